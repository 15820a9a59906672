"""What the engine asks of the authenticated state, and the reads it puts in front of it.

`ledger.state` is one such state; `contracts.memory` is another, for a laptop. Values and keys are bytes here:
what they mean is in `contracts.keys` and in the language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

CACHE_BYTES_MAX: Final = 16 << 20  # of each of the two generations
PAGE_BYTES: Final = 64 << 10  # of values, after which a scan may end early
_ENTRY_BYTES: Final = 200  # what an entry costs beside its key and value

Writes = Mapping[bytes, bytes | None]
"""By key; None deletes."""


class StateStore(Protocol):
    """Key-value state with a root and versions, and a side table that no root covers."""

    @property
    def height(self) -> int:
        """The height last committed, -1 when there is none yet."""
        ...

    @property
    def root(self) -> bytes:
        """The state root at `height`."""
        ...

    def get(self, key: bytes, height: int | None = None) -> bytes | None:
        """The value at a height (None: the newest), None where there is none."""
        ...

    def scan(
        self,
        prefix: bytes,
        start: bytes | None = None,
        limit: int = 1000,
        height: int | None = None,
        bytes_max: int | None = None,
    ) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries whose key has the prefix and is not below `start`, in key order.

        They end once the values have `bytes_max` together.
        """
        ...

    def scan_back(
        self, start: bytes, end: bytes, limit: int = 1000, height: int | None = None, bytes_max: int | None = None
    ) -> Sequence[tuple[bytes, bytes]]:
        """As `scan`, but from the highest key below `end` down to `start`."""
        ...

    def looking_at_most(self, rows: int) -> AbstractContextManager[None]:
        """Within it, reads below the newest height look at so many changed rows at most: then `TooMuchLookedAt`."""
        ...

    def commit(self, height: int, writes: Writes, side: Writes) -> bytes:
        """Apply one block's writes, durable together, and give the new root."""
        ...

    def root_at(self, height: int) -> bytes:
        """The state root at a height whose version is kept."""
        ...

    def prove(self, key: bytes, height: int | None = None, /) -> bytes:
        """The encoded proof that the key has its value, or has none, at a height."""
        ...

    def prune(self, below: int, /) -> None:
        """Versions below this height are not asked for any more."""
        ...

    def side_get(self, key: bytes) -> bytes | None:
        """A value of the side table."""
        ...

    def side_scan(self, prefix: bytes, start: bytes | None = None, limit: int = 1000) -> Sequence[tuple[bytes, bytes]]:
        """Entries of the side table in key order."""
        ...


class Reader(Protocol):
    """The state as one transaction or view finds it: at one height, not changing.

    A scan may end early once its values have `PAGE_BYTES` together: what is read ahead is not paid for yet.
    """

    def read(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""
        ...

    def scan(self, prefix: bytes, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries with the prefix and not below `start`, in key order."""
        ...

    def scan_back(self, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries from the highest key below `end` down to `start`."""
        ...


class HeightReader:
    """The state at one height."""

    def __init__(self, state: StateStore, height: int) -> None:
        self._state = state
        self._height = height

    def read(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""
        return self._state.get(key, self._height)

    def scan(self, prefix: bytes, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries with the prefix and not below `start`, in key order."""
        return self._state.scan(prefix, start, limit, self._height, PAGE_BYTES)

    def scan_back(self, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries from the highest key below `end` down to `start`."""
        return self._state.scan_back(start, end, limit, self._height, PAGE_BYTES)


class CachedReader:
    """The newest state, with what was read or written lately at hand.

    Two generations of a plain dict come near to least-recently-used at a fraction of its cost: what is asked for
    moves to the young one; when that is full it becomes the old one, and the old one is forgotten.
    """

    def __init__(self, state: StateStore, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._state = state
        self._bytes_max = bytes_max
        self._young_bytes = 0
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}

    def read(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""
        try:
            return self._young[key]
        except KeyError:
            pass
        value = self._old[key] if key in self._old else self._state.get(key)
        self._keep(key, value)
        return value

    def scan(self, prefix: bytes, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries with the prefix and not below `start`, in key order."""
        return self._state.scan(prefix, start, limit, None, PAGE_BYTES)

    def scan_back(self, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries from the highest key below `end` down to `start`."""
        return self._state.scan_back(start, end, limit, None, PAGE_BYTES)

    def on_commit(self, writes: Writes) -> None:
        """The state has changed by these writes."""
        for key, value in writes.items():
            self._keep(key, value)

    def _keep(self, key: bytes, value: bytes | None) -> None:
        self._young_bytes += _ENTRY_BYTES + len(key) + len(value or b"")
        if self._young_bytes > self._bytes_max:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = value
