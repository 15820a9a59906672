"""Does the primary leave somebody's requests out? A count for the node, which alone knows what waits (P5.6).

A request that the holder of the pen passes over, batch after batch with room to spare, is reason to suspect it. The
count begins anew with every turn: a member answers for its own batches only, and for what it was told of. The driver
says what this node's clients sent (everybody has it), what it handed to the holder itself, and what is delivered; the
answer is a reason to tell the replica `RequestPassedOver`. Bounded by the pool that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger.types import Batch

Turn = tuple[int, int]  # view and proposer

BATCHES_WINDOWS = 2  # passed over by this many windows of batches: one window may have been under way already
BATCHES_MIN = 8  # and by so many at least: a request takes its time to reach the primary. A shorter turn ends by itself


class Overlooked:
    """The waiting requests in order of arrival, and how many batches with room went by without each."""

    def __init__(self, window: int) -> None:
        self._batches_max = max(BATCHES_MIN, BATCHES_WINDOWS * window)
        self._sent: dict[bytes, tuple[Turn, int]] = {}  # to everybody: hash -> (turn, batches then seen of it)
        self._handed: dict[bytes, tuple[Turn, int]] = {}  # to the holder of `_handed_turn`
        self._handed_turn: Turn = (0, 0)
        self._turn: Turn = (0, 0)
        self._batches = 0

    def arrived(self, hashes: Iterable[bytes]) -> None:
        """Requests that every member has, and may propose from now on."""
        for each in hashes:
            self._sent.setdefault(each, (self._turn, self._batches))

    def handed(self, hashes: Iterable[bytes], turn: Turn) -> None:
        """Requests that the holder of this turn was given by this node: it knows them now, whoever else does."""
        if turn != self._handed_turn:
            self._handed, self._handed_turn = {}, turn
        for each in hashes:
            self._handed.setdefault(each, (turn, self._batches if turn == self._turn else 0))

    def delivered(self, batch: Batch, *, had_room: bool, waits: Callable[[bytes], bool]) -> bool:
        """A batch is final. Whether its proposer has passed over the oldest request that it knows and that still waits.

        `had_room`: one more request would have fitted. `waits(hash)`: still in the pool, and in no proposal.
        """
        turn = (batch.view, batch.proposer)
        if turn != self._turn:
            self._turn, self._batches = turn, 0
        self._batches += had_room
        for marks in (self._sent, self._handed):
            for each in batch.hashes:
                marks.pop(each, None)
            while marks and not waits(oldest := next(iter(marks))):
                del marks[oldest]
        answers_for = [self._sent, self._handed] if self._handed_turn == turn else [self._sent]
        return had_room and any(self._passed(marks) for marks in answers_for)

    def _passed(self, marks: dict[bytes, tuple[Turn, int]]) -> bool:
        """Whether too many batches of this turn went by without the oldest of these."""
        if not marks:
            return False
        turn, since = marks[next(iter(marks))]
        return self._batches - (since if turn == self._turn else 0) >= self._batches_max
