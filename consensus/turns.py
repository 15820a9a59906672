"""Whose turn it is to propose: within a view the pen goes round the members, K heights a turn. Casts no vote.

The member that leads the view has the first turn, the next in the list the second, and so on without a view change,
so nobody keeps the pen (P3.10). A member whose turn ended in a view change is passed over for a while, or everybody
would wait for a dead one again at each of its turns (P3.11). Who that is follows from sealed batches alone, two
windows below the turn's start: what every replica holds that may hear a proposal of that turn. So all judge alike,
and a mistake could cost time only: no certificate asks who proposed (P2.5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from consensus.committee import Committee
from consensus.standing import Turn

TURN_WINDOWS = 4  # K, in windows: at least two, so that who was left before a view is known at its second turn
MEMORY_TURNS = 32  # how many turns' heights are looked back upon: then a member that was left gets the pen again
LOOKBACK_WINDOWS = 2
KNOWN_MAX = 16  # answers that are remembered: the window touches two turns, a view that begins some more

Failing = tuple[int, int]  # (the height at which a later view took over, the member that was left)


def turn_heights(window: int) -> int:
    """K: how many heights a turn has."""
    return TURN_WINDOWS * window


def memory_heights(window: int) -> int:
    """How many of the last sealed batches' `Turn`s a replica needs at its start, or all since genesis if fewer."""
    return (MEMORY_TURNS + 1) * turn_heights(window) + LOOKBACK_WINDOWS * window


class Turns:
    """The turns of the last sealed batches, and what follows from them for the next ones."""

    def __init__(self, committee: Committee, window: int, sealed_height: int, turns: Sequence[Turn]) -> None:
        self._committee = committee
        self._window = window
        self._heights = turn_heights(window)
        self._history: deque[Turn] = deque(turns, memory_heights(window))
        self._sealed_height = sealed_height
        self._known: dict[tuple[int, int, int], int] = {}

    def seal(self, turn: Turn) -> None:
        """The next height is sealed, with a batch of that turn."""
        self._history.append(turn)
        self._sealed_height += 1

    def holder(self, view: int, since: int, height: int) -> int | None:
        """Who may propose a fresh batch at `height` in a view whose fresh heights begin at `since`.

        None where that cannot be known yet: more than two windows above the seal.
        """
        number = max(0, height - since) // self._heights
        place = (view, since, number)
        known = self._known.get(place)
        if known is None:
            start = since + number * self._heights
            judged_through = start - LOOKBACK_WINDOWS * self._window
            if number and judged_through > self._sealed_height:
                return None
            known = self._holder(view, number, start, self._failings(judged_through) if number else ())
            if len(self._known) == KNOWN_MAX:
                del self._known[next(iter(self._known))]
            self._known[place] = known
        return known

    def last_height(self, since: int, height: int) -> int:
        """The last height of the turn that `height` is in."""
        height = max(height, since)
        return height + self._heights - 1 - (height - since) % self._heights

    def _holder(self, view: int, number: int, start: int, failings: Iterable[Failing]) -> int:
        """The member whose turn it is by the list, or the next one that is not passed over."""
        if number == 0:
            return self._committee.primary(view)
        passed = self._passed_over(start, failings)
        ring = (self._committee.primary(view + number + step) for step in range(self._committee.size))
        return next(member for member in ring if member not in passed)

    def _passed_over(self, start: int, failings: Iterable[Failing]) -> list[int]:
        """Whom a turn that begins at `start` skips: the last ones left, never more power than may be faulty."""
        judged = [member for height, member in failings if height <= start - LOOKBACK_WINDOWS * self._window]
        budget = self._committee.total - self._committee.quorum
        passed: list[int] = []
        for member in dict.fromkeys(reversed(judged)):
            if self._committee.powers[member] <= budget:
                budget -= self._committee.powers[member]
                passed.append(member)
        return passed

    def _failings(self, through: int) -> list[Failing]:
        """Every rise of the view in the sealed batches up to a height: who had the pen there, and who never got it."""
        memory = MEMORY_TURNS * self._heights
        oldest = self._sealed_height - len(self._history) + 1
        first = max(oldest, through - memory + 1)
        failings: list[Failing] = []
        top: Turn | None = None
        for height, turn in enumerate(islice(self._history, first - oldest, max(0, through - oldest + 1)), first):
            if top and turn.view > top.view:
                failings += self._left(top, turn.view, height, failings)
            if top is None or turn.view >= top.view:
                top = turn
        return failings

    def _left(self, top: Turn, view: int, height: int, failings: Sequence[Failing]) -> list[Failing]:
        """The views from `top.view` to below `view` were left at `height`: the holder's turn, then leaders in vain."""
        number = max(0, height - top.since) // self._heights
        holder = self._holder(top.view, number, top.since + number * self._heights, failings)
        in_vain = range(max(top.view + 1, view - self._committee.size), view)
        return [(height, holder), *((height, self._committee.primary(each)) for each in in_vain)]
