"""How fast the others come forward: a primary that is just quick enough for the time-out is still too slow (P5.7).

For each member it keeps how long its last turn made everybody wait for a height, while work waited. A holder whose
present turn takes several times as long as the others' is suspected. It compares members with each other, never with
a clock of its own making, so a network that is slow for all moves nobody. It judges nothing else and sends nothing.
After Clement et al., "Making Byzantine Fault Tolerant Systems Tolerate Byzantine Faults" (Aardvark), NSDI 2009, 4.2.
"""

from __future__ import annotations

from ledger.types import Parameters

SLOWER_MAX = 4  # times as slow as the median of the others: with a quarter that slow, over half of the rate is left
HEIGHTS_MIN = 3  # judged after so many heights of a turn, and not before a whole window
FLOOR_DIVISOR = 16  # a height within this part of the request time-out is never slow


class Pace:
    """Waiting times in milliseconds. Times are the node's clock: a step of it can at most cost one wrong suspicion."""

    def __init__(self, member: int, parameters: Parameters) -> None:
        self._member = member
        self._heights_min = max(HEIGHTS_MIN, parameters.window)
        self._floor_ms = max(1, parameters.request_timeout_ms // FLOOR_DIVISOR)
        self._means_ms: dict[int, int] = {}  # by member: of its last judged turn
        self._turn: tuple[int, int] | None = None  # (view, last height) of the running turn
        self._heights = 0
        self._waited_ms = 0
        self._since_ms = 0

    def begin(self, now_ms: int) -> None:
        """Work begins to wait now."""
        self._since_ms = now_ms

    def delivered(self, turn: tuple[int, int], holder: int, now_ms: int, *, waited: bool) -> bool:
        """A fresh batch of this turn came to a commit. Whether its holder is too slow.

        `waited`: work was waiting all the time since the last delivery, so that the time counts.
        """
        if turn != self._turn:
            self._turn, self._heights, self._waited_ms = turn, 0, 0
        elapsed, self._since_ms = max(0, now_ms - self._since_ms), now_ms
        if not waited:
            return False
        self._heights += 1
        self._waited_ms += elapsed
        if self._heights < self._heights_min:
            return False
        slow = self._waited_ms > self._heights * self._bearable_ms(holder)
        self._means_ms[holder] = self._waited_ms // self._heights
        return slow and holder != self._member

    def _bearable_ms(self, holder: int) -> int:
        """What the others' pace allows; without anybody to compare with, anything."""
        others = sorted(mean for member, mean in self._means_ms.items() if member != holder)
        if not others:
            return self._waited_ms
        return max(self._floor_ms, SLOWER_MAX * others[len(others) // 2])
