"""The authenticated key-value state: what contracts read and write, under one root that a header names.

Puts together the tree (`ledger.state_tree`), its pages (`ledger.state_pages`) and proofs (`ledger.state_proof`), the
versions kept (`ledger.versions`) and a side table that the root does not cover. Knows no contract, and not what a key
or a value means. One process, and in it one thread at a time, owns a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from ledger import state_tree
from ledger.errors import DataLost
from ledger.live_rows import Clock
from ledger.state_pages import StatePages, loaded_pages, page_rows
from ledger.state_proof import EMPTY, check_state_proof, path_of, value_hash, verify_state_proof
from ledger.state_scrub import Scrubbed, scrub_rows
from ledger.state_tree import NOTHING, Slot, TreeChange
from ledger.versions import FrozenRows, Versions

__all__ = ["EMPTY_ROOT", "State", "check_state_proof", "verify_state_proof"]

EMPTY_ROOT = EMPTY
KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1 << 20

_VALUE, _ROOT, _SIDE = b"v", b"r", b"s"  # kinds of row; those of pages are `ledger.state_pages`'s
_NO_SIDE: Mapping[bytes, bytes | None] = {}


class State:
    """An open state. `height` is -1 until the first commit."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._root = versions.get(_ROOT) or NOTHING
        self._pages = StatePages(versions)

    @classmethod
    def open(cls, path: Path | str, clock: Clock | None = None) -> State:
        """Open or create the state in the directory `path`.

        By `clock`, of nanoseconds, scans notice that they walk over much that was deleted, and do so once: no result
        depends on it. Raises `DatabaseInUse`, `StorageError`, or `DataLost`: then the directory is to be deleted, and
        the state made again from the blocks.
        """
        try:
            return cls(Versions(Path(path), clock))
        except DataLost as error:
            raise DataLost(f"{error}. Delete {path}: the state is made again from the blocks") from None

    @property
    def height(self) -> int:
        """The height last committed, -1 when there is none yet."""
        return self._versions.height

    @property
    def oldest_height(self) -> int:
        """The oldest height that can still be read, -1 while there is none."""
        return self._versions.oldest

    @property
    def root(self) -> bytes:
        """The state root at `height`."""
        return state_tree.root_hash(self._root)

    def root_at(self, height: int) -> bytes:
        """The state root at a height that is kept. Raises `HeightNotKept`."""
        return state_tree.root_hash(self._versions.get(_ROOT, height) or NOTHING)

    def get(self, key: bytes, height: int | None = None) -> bytes | None:
        """The value of a key at a height (None: the newest). Raises `HeightNotKept`."""
        return self._versions.get(_VALUE + key, height)

    def scan(
        self,
        prefix: bytes,
        start: bytes | None = None,
        limit: int = 1000,
        height: int | None = None,
        bytes_max: int | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` (key, value) whose key has the prefix and is not below `start`, in key order.

        They end once the values have `bytes_max` together.
        """
        rows = self._versions.scan(_VALUE + prefix, _VALUE + (start or prefix), limit, height, bytes_max)
        return [(row[1:], value) for row, value in rows]

    def scan_back(
        self, start: bytes, end: bytes, limit: int = 1000, height: int | None = None, bytes_max: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """As `scan`, but from the highest key below `end` down to `start`."""
        rows = self._versions.scan_back(_VALUE + start, _VALUE + end, limit, height, bytes_max)
        return [(row[1:], value) for row, value in rows]

    def looking_at_most(self, rows: int) -> AbstractContextManager[None]:
        """Within it, reads below the newest height look at so many changed rows at most: then `TooMuchLookedAt`."""
        return self._versions.looking_at_most(rows)

    def prove(self, key: bytes, height: int | None = None) -> bytes:
        """The encoded proof of a key's value, or of its absence, against `root_at(height)`. Raises `HeightNotKept`."""
        root = self._versions.get(_ROOT, height) or NOTHING
        return state_tree.prove(lambda nibbles: self._pages.read(nibbles, height), root, key)

    def commit(
        self, height: int, writes: Mapping[bytes, bytes | None], side: Mapping[bytes, bytes | None] = _NO_SIDE
    ) -> bytes:
        """Apply the writes (None deletes) of the next height, all in one step, and give the new root.

        Raises `StorageError`; nothing has changed then, and after a failed write nothing can be committed any more.
        """
        rows = self._changed_values(writes)
        change = TreeChange(self._pages.open)
        try:
            root = change.apply(self._root, _changed_leaves(rows))
            if root != self._root:
                rows[_ROOT] = (self._root, root)
            plain, kept = page_rows(change)
            plain.update((_SIDE + key, value) for key, value in side.items())
            self._versions.commit(height, rows, plain, kept)
        except BaseException:
            self._pages.open.clear()  # they are ahead of what is stored
            raise
        self._root = root
        return self.root

    def walk(self, height: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) at a height, in order. Nothing may be committed meanwhile. Raises `HeightNotKept`."""
        return ((row[1:], value) for row, value in self._versions.walk(_VALUE, height))

    def freeze(self) -> FrozenState:
        """The newest state, to be read while commits go on."""
        return FrozenState(self.height, self.root, self._versions.freeze())

    def scrub(self, start: bytes, looks_max: int) -> Scrubbed:
        """Read about so many rows again from `start` on (empty: the first), and hold each against the root."""
        done = scrub_rows(self._versions.raw(start), self._pages.stored, self._root, looks_max)
        if done.after or done.fault:
            return done
        missing = self._versions.missing_files()
        return Scrubbed(b"", done.bytes_read, f"the state {self._versions.path} lacks {missing[0]}" if missing else "")

    @property
    def size_bytes(self) -> int:
        """About how much it takes on the disk."""
        return self._versions.size_bytes

    def side_get(self, key: bytes) -> bytes | None:
        """A value of the side table, as last committed."""
        return self._versions.plain_get(_SIDE + key)

    def side_scan(self, prefix: bytes, start: bytes | None = None, limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """At most `limit` entries of the side table in key order."""
        found = self._versions.plain_scan(_SIDE + prefix, _SIDE + (start or prefix), limit)
        return [(row[1:], value) for row, value in found]

    def prune(self, below: int) -> None:
        """Forget the versions below a height."""
        self._versions.prune(below)

    def close(self) -> None:
        """Release the database; a second call does nothing."""
        self._versions.close()

    def _changed_values(self, writes: Mapping[bytes, bytes | None]) -> dict[bytes, tuple[bytes | None, bytes | None]]:
        """(old, new) of every value that the writes change."""
        rows: dict[bytes, tuple[bytes | None, bytes | None]] = {}
        for key, new in sorted(writes.items()):  # in the order in which they lie in the tables
            if len(key) > KEY_BYTES_MAX:
                raise ValueError(f"a state key of {len(key)} bytes, at most {KEY_BYTES_MAX} are allowed")
            if new is not None and len(new) > VALUE_BYTES_MAX:
                raise ValueError(f"a state value of {len(new)} bytes, at most {VALUE_BYTES_MAX} are allowed")
            old = self._versions.get(_VALUE + key)
            if old != new:
                rows[_VALUE + key] = (old, new)
        return rows


class FrozenState:
    """The state after one height, for whoever copies it: it does not change. Close it soon, it costs disk."""

    def __init__(self, height: int, root: bytes, rows: FrozenRows) -> None:
        self.height = height
        self.root = root
        self._rows = rows

    def scan(self, start: bytes, bytes_max: int) -> list[tuple[bytes, bytes]]:
        """(key, value) not below `start`, in order, until they have so many bytes; none at the end."""
        return [(row[1:], value) for row, value in self._rows.scan(_VALUE, _VALUE + start, bytes_max)]

    def close(self) -> None:
        """Give the disk back; a second call does nothing."""
        self._rows.close()


class StateLoader:
    """Fills an empty directory with a state that came whole from elsewhere, checked by whoever calls."""

    def __init__(self, path: Path) -> None:
        self._versions = Versions(path)

    def add(self, entries: Iterable[tuple[bytes, bytes]], pages: Mapping[str, bytes]) -> None:
        """Some entries, and pages of the tree. Raises `StorageError`."""
        self._versions.load(((_VALUE + key, value) for key, value in entries), loaded_pages(pages))

    def add_side(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Some entries of the side table. Raises `StorageError`."""
        self._versions.load((), ((_SIDE + key, value) for key, value in entries))

    def finish(self, height: int, root: Slot) -> None:
        """This was all, and is the state of this height. Raises `StorageError`."""
        self._versions.load([(_ROOT, root)] if root else [], ())
        self._versions.begin(height)

    def close(self) -> None:
        """Release the database; a second call does nothing."""
        self._versions.close()


def _changed_leaves(rows: Mapping[bytes, tuple[bytes | None, bytes | None]]) -> list[tuple[bytes, bytes]]:
    """The tree's leaf for each changed value."""
    leaves = []
    for row, (_, new) in rows.items():
        path = path_of(row[1:])
        leaves.append((path, NOTHING if new is None else path + value_hash(new)))
    return leaves
