"""The newest rows of a LevelDB database in order, forwards and backwards, without walking over deleted ones for ever.

LevelDB keeps a mark for every row that was deleted until it happens to rewrite the tables above, and an iterator walks
over all of them: a queue grows slower with every entry that was ever taken out, though what is found costs its reader
the same. So a step that took long is remembered as a gap, where no row lies, and later ones leap over it; a very long
one has the marks cleared away beside the work. What is found never depends on this. It knows no height and reads no
clock: it is handed one, and without it remembers nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ledger.database import Database, speaking_of

GAPS_MAX: Final = 4096  # remembered; one more, and all are forgotten and found again
GAP_NS: Final = 100_000  # a step that takes longer has found one: some 400 deleted rows backwards, 2,000 forwards
CLEAR_NS: Final = 5_000_000  # a step that takes longer has the gap cleared, if forwards
CLEAR_AGAIN_NS: Final = CLEAR_NS // 8  # it takes longer than this once more: backwards is as much slower
NS_A_BYTE: Final = 2  # that reading a long value may take besides

_KIND: Final = b"r"
_NEXT: Final = b"\x00"  # behind a row: the lowest that can follow it

Clock = Callable[[], int]
"""Nanoseconds, from anywhere on."""


class Gaps:
    """Where no row lies: spans from a start to below an end, apart from each other, in order."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes] = []

    def __len__(self) -> int:
        return len(self._starts)

    def above(self, row: bytes) -> bytes:
        """From where on the rows from `row` on lie."""
        place = bisect_right(self._starts, row) - 1
        return self._ends[place] if place >= 0 and row < self._ends[place] else row

    def below(self, end: bytes) -> bytes:
        """Below what the rows below `end` lie."""
        place = bisect_left(self._starts, end) - 1
        return self._starts[place] if place >= 0 and end <= self._ends[place] else end

    def add(self, start: bytes, end: bytes) -> None:
        """No row lies from `start` to below `end`; gaps that this touches become one with it."""
        if start >= end:
            return
        low, high = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
        elif len(self._starts) >= GAPS_MAX:
            self.clear()
            low = high = 0
        self._starts[low:high], self._ends[low:high] = [start], [end]

    def born(self, row: bytes) -> None:
        """A row lies here now."""
        place = bisect_right(self._starts, row) - 1
        if place < 0 or row >= self._ends[place]:
            return
        parts = ((self._starts[place], row), (row + _NEXT, self._ends[place]))
        del self._starts[place], self._ends[place]
        for start, end in parts:
            self.add(start, end)

    def died(self, row: bytes) -> None:
        """A row lies here no more. Gaps beside it grow over it; alone it is none worth remembering."""
        after = row + _NEXT
        if bisect_left(self._ends, row) < bisect_right(self._starts, after):
            self.add(row, after)

    def clear(self) -> None:
        """Forget them all."""
        self._starts.clear()
        self._ends.clear()


class LiveRows:
    """Iterates over the newest rows ("r" row). `clear_soon` is told where much that was deleted is walked over."""

    def __init__(
        self, database: Database, path: Path, clock: Clock | None, clear_soon: Callable[[bytes, bytes], None]
    ) -> None:
        self._database = database
        self._path = path
        self._clock = clock or (lambda: 0)
        self._clear_soon = clear_soon
        self._gaps = Gaps()

    def forward(self, start: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(row, value) from `start` on, in order, while the row has the prefix."""
        clock, gaps, wanted = self._clock, self._gaps, _KIND + prefix
        with speaking_of(self._path):
            rows, position = self._iterator(), gaps.above(start)
            began = clock()
            rows.seek(_KIND + position)
            while rows.valid():
                key, value = rows.item()
                row = key[1:]
                if clock() - began > GAP_NS and key.startswith(_KIND):
                    self._note(position, row, clock() - began - NS_A_BYTE * len(value))
                if not key.startswith(wanted):
                    return
                yield row, value
                began = clock()
                position = gaps.above(row + _NEXT)
                if position == row + _NEXT:
                    rows.next()
                else:
                    rows.seek(_KIND + position)

    def backward(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(row, value) from the highest row below `end` down to `start`."""
        clock, gaps = self._clock, self._gaps
        with speaking_of(self._path):
            rows, row, position = self._iterator(), b"", gaps.below(end)
            while position > start:
                began, upper = clock(), position
                if position == row:
                    rows.prev()
                else:
                    upper = _seek_below(rows, position)
                found = rows.valid() and rows.key() >= _KIND + start
                row, value = (rows.key()[1:], rows.value()) if found else (b"", b"")
                if clock() - began > GAP_NS:
                    self._note(row + _NEXT if found else start, upper, clock() - began - NS_A_BYTE * len(value))
                if not found:
                    return
                yield row, value
                position = gaps.below(row)

    def on_commit(self, rows: Mapping[bytes, tuple[bytes | None, bytes | None]]) -> None:
        """These rows have changed, from (old value) to (new value)."""
        if not len(self._gaps):
            return
        for row, (old, new) in rows.items():
            if new is None:
                self._gaps.died(row)
            elif old is None:
                self._gaps.born(row)

    def forget(self) -> None:
        """Rows have changed, it is not said which."""
        self._gaps.clear()

    def _iterator(self) -> Any:
        return self._database.raw_iterator(verify_checksums=True, fill_cache=False)  # plyvel has no stubs

    def _note(self, start: bytes, end: bytes, took_ns: int) -> None:
        if took_ns > GAP_NS:
            self._gaps.add(start, end)
        if took_ns > CLEAR_NS and start < end and self._is_long(start):
            self._clear_soon(_KIND + start, _KIND + end)

    def _is_long(self, start: bytes) -> bool:
        """Whether the way over a gap takes long once more. The first time the machine may have been busy, or the disk
        slow; and to clear means to write out what is in memory, and tables anew."""
        rows, began = self._iterator(), self._clock()
        rows.seek(_KIND + start)
        return self._clock() - began > CLEAR_AGAIN_NS


def _seek_below(rows: Any, position: bytes) -> bytes:
    """Stand at the highest row below `position`; gives the lowest of those above, or `position`.

    What ends with a zero comes right behind the same without it, and that is mostly the row below a gap: to stand
    on it at once spares the walk up through the gap that a seek to `position` would be, and the walk down again.
    """
    exactly = _KIND + (position.removesuffix(_NEXT) if position.endswith(_NEXT) else position)
    rows.seek(exactly)
    if not rows.valid():
        rows.seek_to_last()
        return position
    key: bytes = rows.key()
    if key == exactly and key < _KIND + position:
        return position
    rows.prev()
    return key[1:] if key.startswith(_KIND) and key[1:] > position else position
