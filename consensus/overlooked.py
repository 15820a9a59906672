"""Does the primary leave somebody's requests out? A count for the node, which alone knows what waits (P5.6).

A request that the holder of the pen passes over, batch after batch with room to spare, is reason to suspect it. The
count begins anew with every turn: a member answers for its own batches only. The driver says what arrives and what is
delivered; the answer is a reason to tell the replica `RequestPassedOver`. Bounded by the pool that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger.types import Batch

BATCHES_WINDOWS = 2  # passed over by this many windows of batches: one window may have been under way already
BATCHES_MIN = 8  # and by so many at least: a request takes its time to reach the primary. A shorter turn ends by itself


class Overlooked:
    """The waiting requests in order of arrival, and how many batches with room went by without each."""

    def __init__(self, window: int) -> None:
        self._batches_max = max(BATCHES_MIN, BATCHES_WINDOWS * window)
        self._marks: dict[bytes, tuple[tuple[int, int], int]] = {}  # hash -> (turn, batches then seen of it)
        self._turn = (0, 0)
        self._batches = 0

    def arrived(self, hashes: Iterable[bytes]) -> None:
        """Requests that may be proposed from now on."""
        for each in hashes:
            self._marks.setdefault(each, (self._turn, self._batches))

    def delivered(self, batch: Batch, *, had_room: bool, waits: Callable[[bytes], bool]) -> bool:
        """A batch is final. Whether its proposer has passed over the oldest request that still waits.

        `had_room`: one more request would have fitted. `waits(hash)`: still in the pool, and in no proposal.
        """
        for each in batch.hashes:
            self._marks.pop(each, None)
        turn = (batch.view, batch.proposer)
        if turn != self._turn:
            self._turn, self._batches = turn, 0
        self._batches += had_room
        while self._marks and not waits(oldest := next(iter(self._marks))):
            del self._marks[oldest]
        if not self._marks:
            return False
        since_turn, since = self._marks[next(iter(self._marks))]
        return had_room and self._batches - (since if since_turn == turn else 0) >= self._batches_max
