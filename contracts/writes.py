"""A write-set: what a frame, a transaction or a block would change, in the order of its keys when that is asked for.

It holds no state and charges nothing. A write-set is dropped when its frame fails, else merged into the one below.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from heapq import merge as merge_sorted
from typing import NamedTuple

from contracts.storage import PAGE_BYTES, Reader


class Span(NamedTuple):
    """Where a scan looks: from `start` to below `end`, where every key has the prefix; backwards if `reverse`."""

    prefix: bytes
    start: bytes
    end: bytes
    reverse: bool


class WriteSet:
    """Writes by state key; None deletes. The sorted keys are kept only once a scan has asked for them."""

    __slots__ = ("_sorted", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes | None] = {}
        self._sorted: list[bytes] | None = None

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set or delete one key."""
        if self._sorted is not None and key not in self.values:
            insort(self._sorted, key)
        self.values[key] = value

    def merge(self, upper: WriteSet) -> None:
        """Take over everything that `upper` wrote."""
        if self._sorted is None:
            self.values.update(upper.values)
            return
        for key, value in upper.values.items():
            self.put(key, value)

    def keys_in(self, span: Span) -> Iterator[bytes]:
        """The written keys of a span, in its order."""
        if self._sorted is None:
            self._sorted = sorted(self.values)
        positions = range(bisect_left(self._sorted, span.start), bisect_left(self._sorted, span.end))
        for position in reversed(positions) if span.reverse else positions:
            yield self._sorted[position]


def overlaid(
    layers: Sequence[WriteSet], reader: Reader, span: Span, page: int
) -> Iterator[tuple[bytes, bytes | None, int]]:
    """State entries of a span, in its order, as the layers (uppermost first) leave them.

    Yields (key, value, bytes read). A key that a layer deleted comes with None, and what lies below a layer counts
    as read, so that whoever pays for the scan pays for all of it.
    """
    stored: dict[bytes, bytes] = {}  # what was read ahead of the entry at hand
    sources: list[Iterator[bytes]] = [layer.keys_in(span) for layer in layers if layer.values]
    sources.append(_stored_keys(reader, span, page, stored))
    previous = None
    for key in merge_sorted(*sources, reverse=span.reverse):
        if key != previous:
            previous = key
            below = stored.pop(key, None)
            value = _value_of(key, layers, below)
            yield key, value, len(key) + max(len(value or b""), len(below or b""))


def _value_of(key: bytes, layers: Sequence[WriteSet], below: bytes | None) -> bytes | None:
    for layer in layers:
        if key in layer.values:
            return layer.values[key]
    return below


def _stored_keys(reader: Reader, span: Span, page: int, stored: dict[bytes, bytes]) -> Iterator[bytes]:
    """Page through the stored entries; the values of the page at hand are left in `stored`."""
    start, end = span.start, span.end
    while start < end:
        entries = reader.scan_back(start, end, page) if span.reverse else reader.scan(span.prefix, start, page)
        for key, value in entries:
            if key >= end:
                return
            stored[key] = value
            yield key
        if len(entries) < page and sum([len(value) for _, value in entries]) < PAGE_BYTES:
            return
        if span.reverse:
            end = entries[-1][0]
        else:
            start = entries[-1][0] + b"\x00"
