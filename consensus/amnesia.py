"""When a member may trust its own journal. Knows no message; `safety` obeys the verdict.

A journal with an anchor has a past and a present, and a new member's is begun with one (`first_journal`). Without an
anchor it was lost, and a member that lost what it signed could sign against itself, be it at genesis. So it listens
first (P6.5): a quorum, itself counted, must report its seals; S is the highest of them. It may have voted up to a
window above a seal of its own that lies up to a window above S, so it stays silent, VIEW-CHANGE included, until it
holds a seal at S + 2W or above; and until it has entered every view that it is shown to have signed for.
"""

from __future__ import annotations

from consensus.core import Core
from consensus.recovery import Anchor

WINDOWS_TO_WAIT = 2


class Doubt:
    """What was heard since a start without an anchor."""

    def __init__(self, core: Core) -> None:
        self._reports: dict[int, int] = {core.member: core.sealed_height}
        self._view_floor = 0  # the highest view of a message that this member signed and does not remember
        self._highest: int | None = None  # S, once a quorum has reported

    def report(self, member: int, sealed_height: int) -> None:
        """A member's STATUS. Its first word counts: what was signed before this start lies within 2W of it."""
        self._reports.setdefault(member, sealed_height)

    def signed_before(self, view: int) -> None:
        """Somebody handed over a message of this member, for that view, which it does not remember."""
        self._view_floor = max(self._view_floor, view)

    def advance(self, core: Core) -> bool:
        """Whether the doubt is over. Ending it is durable: from then on the journal has a past."""
        if self._highest is None and self._power(core) >= core.committee.quorum:
            self._highest = max(self._reports.values())
        if self._highest is None or core.sealed_height < self._highest + WINDOWS_TO_WAIT * core.window:
            return False
        if core.entered_view < self._view_floor:
            return False
        core.persist(Anchor(core.sealed_height))
        core.safety.floor = core.sealed_height
        core.safety.doubtful = False
        core.touch_all()
        core.unrest = core.sealing_due = True
        return True

    def _power(self, core: Core) -> int:
        return sum(core.committee.powers[member] for member in self._reports)
