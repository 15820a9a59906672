"""When a member may trust its own journal. Knows no message; `safety` obeys the verdict.

A journal with an anchor has a past and a present. Without one it is either brand-new or lost, and a member that lost
what it signed could sign against itself. So it listens first (P6.5): a quorum, itself counted, must report its seals;
S is the highest of them. A member that holds blocks, or is handed a vote of its own that it does not remember, did
lose its journal: it stays silent, VIEW-CHANGE included, until it holds a seal at S + W or above, since every height
that it may have voted at is sealed then. A member that starts from genesis, and of which nobody holds a vote, is new:
it need only hold what the others have sealed.
"""

from __future__ import annotations

from consensus.core import Core
from consensus.recovery import Anchor


class Doubt:
    """What was heard since a start without an anchor."""

    def __init__(self, core: Core) -> None:
        self._reports: dict[int, int] = {core.member: core.sealed_height}
        self._lost = core.sealed_height > 0  # blocks, but no journal
        self._highest: int | None = None  # S, once a quorum has reported

    def report(self, member: int, sealed_height: int) -> None:
        """A member's STATUS. Its first word counts: what was signed before this start lies within W of it."""
        self._reports.setdefault(member, sealed_height)

    def voted_before(self) -> None:
        """Somebody handed over a vote of this member, which it does not remember."""
        self._lost = True

    def advance(self, core: Core) -> bool:
        """Whether the doubt is over. Ending it is durable: from then on the journal has a past."""
        if self._highest is None and self._power(core) >= core.committee.quorum:
            self._highest = max(self._reports.values())
        if self._highest is None or core.sealed_height < self._highest + (core.window if self._lost else 0):
            return False
        core.persist(Anchor(core.sealed_height))
        core.safety.floor = core.sealed_height
        core.safety.doubtful = False
        core.touch_all()
        core.unrest = core.sealing_due = True
        return True

    def _power(self, core: Core) -> int:
        return sum(core.committee.powers[member] for member in self._reports)
