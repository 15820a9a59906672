"""When a member may trust its own journal. Knows no message; `safety` obeys the verdict.

A journal with an anchor has a past and a present. Without one it is either brand-new or lost, and a member that lost
what it signed could sign against itself. So it listens first (P6.5): a quorum, itself counted, must report its seals.
If none has sealed anything, and nobody holds a vote of this member, the network is new. Otherwise it stays silent,
VIEW-CHANGE included, until it holds a seal at S + W or above, S being the highest seal so reported: every height that
it may have voted at is then sealed.
"""

from __future__ import annotations

from consensus.core import Core
from consensus.recovery import Anchor


class Doubt:
    """What was heard since a start without an anchor."""

    def __init__(self, core: Core) -> None:
        self._reports: dict[int, int] = {core.member: core.sealed_height}
        self._trusted_from: int | None = None  # the sealed height at which silence ends, once known
        self.voted_before = False  # somebody handed over a vote that this member does not remember

    def report(self, member: int, sealed_height: int) -> None:
        """A member's STATUS. Its first word counts: later ones are no older than the doubt."""
        self._reports.setdefault(member, sealed_height)

    def advance(self, core: Core) -> bool:
        """Whether the doubt is over. Ending it is durable: from then on the journal has a past."""
        if self._trusted_from is None:
            self._trusted_from = self._judge(core)
        if self._trusted_from is None:
            return False
        limit = core.window if self.voted_before else 0
        if core.sealed_height < max(self._trusted_from, limit):
            return False
        core.persist(Anchor(core.sealed_height))
        core.safety.floor = core.sealed_height
        core.safety.doubtful = False
        core.touch_all()
        core.unrest = core.sealing_due = True
        return True

    def _judge(self, core: Core) -> int | None:
        power = sum(core.committee.powers[member] for member in self._reports)
        if power < core.committee.quorum:
            return None
        highest = max(self._reports.values())
        return highest + core.window if highest > 0 else 0
