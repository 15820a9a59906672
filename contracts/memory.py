"""A state in memory, every version of it, for `contracts.testing` and for tests: plain, slow and obviously right.

Its root covers keys and values but is not the root of `ledger.state`, and it has no proofs.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile

from contracts.storage import Writes


class MemoryState:
    """The `StateStore` of a laptop. Every committed height stays readable."""

    def __init__(self) -> None:
        self._versions: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self._keys: list[bytes] = []
        self._side: dict[bytes, bytes] = {}
        self._roots: list[bytes] = []

    @property
    def height(self) -> int:
        """The height last committed, -1 when there is none yet."""
        return len(self._roots) - 1

    @property
    def root(self) -> bytes:
        """The root at `height`."""
        return self._roots[-1] if self._roots else bytes(32)

    def root_at(self, height: int) -> bytes:
        """The root at a height."""
        return self._roots[height]

    def get(self, key: bytes, height: int | None = None) -> bytes | None:
        """The value at a height (None: the newest), None where there is none."""
        for at, value in reversed(self._versions.get(key, [])):
            if height is None or at <= height:
                return value
        return None

    def scan(
        self,
        prefix: bytes,
        start: bytes | None = None,
        limit: int = 1000,
        height: int | None = None,
        bytes_max: int | None = None,
    ) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries whose key has the prefix and is not below `start`, in key order."""
        positions = range(bisect_left(self._keys, max(prefix, start or b"")), len(self._keys))
        keys = takewhile(lambda key: key.startswith(prefix), (self._keys[position] for position in positions))
        return self._entries(keys, limit, height, bytes_max)

    def scan_back(
        self, start: bytes, end: bytes, limit: int = 1000, height: int | None = None, bytes_max: int | None = None
    ) -> Sequence[tuple[bytes, bytes]]:
        """As `scan`, but from the highest key below `end` down to `start`."""
        positions = reversed(range(bisect_left(self._keys, start), bisect_left(self._keys, end)))
        return self._entries((self._keys[position] for position in positions), limit, height, bytes_max)

    def _entries(
        self, keys: Iterable[bytes], limit: int, height: int | None, bytes_max: int | None
    ) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        room = bytes_max
        for key in keys:
            if len(found) == limit or (room is not None and room <= 0):
                break
            value = self.get(key, height)
            if value is not None:
                found.append((key, value))
                room = None if room is None else room - len(value)
        return found

    def looking_at_most(self, _rows: int) -> AbstractContextManager[None]:
        """A laptop looks as long as it takes."""
        return nullcontext()

    def commit(self, height: int, writes: Writes, side: Writes) -> bytes:
        """Apply one block's writes and give the new root."""
        assert height == self.height + 1, f"height {height} cannot follow {self.height}"
        digest = hashlib.sha256(self.root)
        for key in sorted(writes):
            self._write(height, key, writes[key])
            digest.update(repr((key, writes[key])).encode())
        for key, value in side.items():
            if value is None:
                self._side.pop(key, None)
            else:
                self._side[key] = value
        self._roots.append(digest.digest() if writes else self.root)
        return self.root

    def _write(self, height: int, key: bytes, value: bytes | None) -> None:
        if key not in self._versions:
            insort(self._keys, key)
        self._versions.setdefault(key, []).append((height, value))

    def copy(self) -> MemoryState:
        """Another state with all of this one's heights, which goes its own way from here."""
        made = MemoryState()
        made._versions = {key: list(versions) for key, versions in self._versions.items()}
        made._keys, made._side, made._roots = list(self._keys), dict(self._side), list(self._roots)
        return made

    def changes(self, height: int) -> dict[bytes, bytes | None]:
        """What was written at a height, by key; None for what was deleted."""
        found = {key: dict(versions) for key, versions in self._versions.items()}
        return {key: versions[height] for key, versions in found.items() if height in versions}

    def prove(self, _key: bytes, _height: int | None = None) -> bytes:
        """No proof: a laptop convinces nobody."""
        return b""

    def prune(self, _below: int) -> None:
        """Nothing is forgotten."""

    def side_get(self, key: bytes) -> bytes | None:
        """A value of the side table."""
        return self._side.get(key)

    def side_scan(self, prefix: bytes, start: bytes | None = None, limit: int = 1000) -> Sequence[tuple[bytes, bytes]]:
        """Entries of the side table in key order."""
        keys = sorted(key for key in self._side if key.startswith(prefix) and key >= (start or prefix))
        return [(key, self._side[key]) for key in keys[:limit]]
