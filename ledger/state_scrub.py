"""Reads a state again, row by row, and holds each against the tree that gives its root. Reads only, a few rows a step.

A value must be what the leaf at its path names; a page must have the hash that the page above it names, up to the root
slot. So a step that finds nothing vouches for what it has read, whatever was committed between the steps. Rows that no
root covers (older versions, the side table) are read for the sake of the database's own checksums. What a walk over the
rows cannot see is a value whose row is gone altogether: making a snapshot reads all values and notices it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ledger.errors import DataLost
from ledger.state_proof import BRANCHES, HASH_BYTES, path_of, value_hash
from ledger.state_tree import Page, Slot, split_slots

BYTES_A_LOOK = 1024  # longer rows count as several

VALUE_ROW, ROOT_ROW, PAGE_ROW = b"rv", b"rr", b"sp"  # as `ledger.state` and `ledger.state_pages` have them

ReadPage = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Scrubbed:
    """One step. `after` is where the next begins, empty at the end; `fault` is a sentence, empty where all holds."""

    after: bytes
    bytes_read: int
    fault: str


def scrub_rows(rows: Iterable[tuple[bytes, bytes]], read_page: ReadPage, root: Slot, looks_max: int) -> Scrubbed:
    """Check rows (of the whole database, in order) until about `looks_max` were looked at. Damage is a fault."""
    looks = size = 0
    reader = _Reader(read_page, root)
    try:
        for key, value in rows:
            if looks >= looks_max:
                return Scrubbed(key, size, "")
            looks += 1 + len(value) // BYTES_A_LOOK + reader.check(key, value)
            size += len(key) + len(value)
    except DataLost as error:
        return Scrubbed(b"", size, str(error))
    return Scrubbed(b"", size, "")


class _Reader:
    """The checks of one step; the pages on the way to its values are read once."""

    def __init__(self, read_page: ReadPage, root: Slot) -> None:
        self._read = read_page
        self._root = root
        self._slots: dict[str, list[Slot]] = {}

    def check(self, key: bytes, value: bytes) -> int:
        """How many pages were read for this row. Raises `DataLost` where it is not what the tree says."""
        before = len(self._slots)
        if key.startswith(VALUE_ROW):
            self._check_value(key[len(VALUE_ROW) :], value)
        elif key.startswith(PAGE_ROW):
            return self._check_page(key[len(PAGE_ROW) :].decode("ascii", "replace"), value)
        elif key == ROOT_ROW and value != self._root:
            raise DataLost("the row of the state's root is not the root that was committed")
        return len(self._slots) - before

    def _check_value(self, key: bytes, value: bytes) -> None:
        path = path_of(key)
        digits, depth, slot = path.hex(), 0, self._root
        while len(slot) == HASH_BYTES:
            slot = self._slots_at(digits[:depth])[int(digits[depth], BRANCHES)]
            depth += 1
        if slot != path + value_hash(value):
            raise DataLost(f"the value of the state at key {key.hex()} is not the one that the tree names")

    def _check_page(self, nibbles: str, stored: bytes) -> int:
        """That the pages below have the hashes that this one names, and the topmost the one of the root."""
        if not nibbles:
            _expect_hash(nibbles, stored, self._root)
        below = [(branch, slot) for branch, slot in enumerate(split_slots(stored)) if len(slot) == HASH_BYTES]
        for branch, slot in below:
            place = f"{nibbles}{branch:x}"
            _expect_hash(place, self._page(place), slot)
        return len(below)

    def _slots_at(self, nibbles: str) -> list[Slot]:
        found = self._slots.get(nibbles)
        if found is None:
            found = self._slots[nibbles] = split_slots(self._page(nibbles))
        return found

    def _page(self, nibbles: str) -> bytes:
        stored = self._read(nibbles)
        if stored is None:
            raise DataLost(f"the state has lost a page of its tree, at {nibbles or 'the root'}")
        return stored


def _expect_hash(nibbles: str, stored: bytes, slot: Slot) -> None:
    if Page(stored).hash() != slot:
        raise DataLost(f"a page of the state's tree, at {nibbles or 'the root'}, is not the one that is named above it")
