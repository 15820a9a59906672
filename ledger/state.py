"""The authenticated key-value state: what contracts read and write, under one root that a header names.

Puts together the tree (`ledger.state_tree`), its proofs (`ledger.state_proof`), the versions kept
(`ledger.versions`) and a side table that the root does not cover. Knows no contract, and not what a key or a value
means. One process, and in it one thread at a time, owns a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ledger import state_tree
from ledger.errors import DataLost
from ledger.state_proof import EMPTY, check_state_proof, path_of, value_hash, verify_state_proof
from ledger.state_tree import NOTHING, OpenPages, Slot, TreeChange
from ledger.versions import Versions

__all__ = ["EMPTY_ROOT", "State", "check_state_proof", "verify_state_proof"]

EMPTY_ROOT = EMPTY
KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1 << 20

_VALUE, _PAGE, _ROOT = b"v", b"p", b"r"  # kinds of row
_NO_SIDE: Mapping[bytes, bytes | None] = {}


class State:
    """An open state. `height` is -1 until the first commit."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._root = versions.get(_ROOT) or NOTHING
        self._pages = OpenPages(self._page)

    @classmethod
    def open(cls, path: Path | str) -> State:
        """Open or create the state in the directory `path`.

        Raises `DatabaseInUse`, `StorageError`, or `DataLost`: then the directory is to be deleted, and the state made
        again from the blocks.
        """
        try:
            return cls(Versions(Path(path)))
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
        self, prefix: bytes, start: bytes | None = None, limit: int = 1000, height: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` (key, value) whose key has the prefix and is not below `start`, in key order."""
        rows = self._versions.scan(_VALUE + prefix, _VALUE + (start or prefix), limit, height)
        return [(row[1:], value) for row, value in rows]

    def prove(self, key: bytes, height: int | None = None) -> bytes:
        """The encoded proof of a key's value, or of its absence, against `root_at(height)`. Raises `HeightNotKept`."""
        root = self._versions.get(_ROOT, height) or NOTHING
        return state_tree.prove(lambda nibbles: self._page(nibbles, height), root, key)

    def commit(
        self, height: int, writes: Mapping[bytes, bytes | None], side: Mapping[bytes, bytes | None] = _NO_SIDE
    ) -> bytes:
        """Apply the writes (None deletes) of the next height, all in one step, and give the new root.

        Raises `StorageError`; nothing has changed then, and after a failed write nothing can be committed any more.
        """
        rows = self._changed_values(writes)
        try:
            root = self._change_tree(rows)
            self._versions.commit(height, rows, side)
        except BaseException:
            self._pages.clear()  # they are ahead of what is stored
            raise
        self._root = root
        return self.root

    def side_get(self, key: bytes) -> bytes | None:
        """A value of the side table, as last committed."""
        return self._versions.plain_get(key)

    def side_scan(self, prefix: bytes, start: bytes | None = None, limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """At most `limit` entries of the side table in key order."""
        return self._versions.plain_scan(prefix, start or prefix, limit)

    def prune(self, below: int) -> None:
        """Forget the versions below a height."""
        self._versions.prune(below)

    def close(self) -> None:
        """Release the database; a second call does nothing."""
        self._versions.close()

    def _changed_values(self, writes: Mapping[bytes, bytes | None]) -> dict[bytes, tuple[bytes | None, bytes | None]]:
        """(old, new) of every value that the writes change."""
        rows: dict[bytes, tuple[bytes | None, bytes | None]] = {}
        for key, new in writes.items():
            if len(key) > KEY_BYTES_MAX:
                raise ValueError(f"a state key of {len(key)} bytes, at most {KEY_BYTES_MAX} are allowed")
            if new is not None and len(new) > VALUE_BYTES_MAX:
                raise ValueError(f"a state value of {len(new)} bytes, at most {VALUE_BYTES_MAX} are allowed")
            old = self._versions.get(_VALUE + key)
            if old != new:
                rows[_VALUE + key] = (old, new)
        return rows

    def _change_tree(self, rows: dict[bytes, tuple[bytes | None, bytes | None]]) -> Slot:
        """The new root's slot; what becomes of the tree's pages joins the changed values in `rows`."""
        changes = []
        for row, (_, new) in rows.items():
            path = path_of(row[1:])
            changes.append((path, NOTHING if new is None else path + value_hash(new)))
        change = TreeChange(self._pages)
        root = change.apply(self._root, changes)
        for nibbles, page in change.pages.items():
            rows[_PAGE + nibbles.encode()] = (change.before.get(nibbles), page)
        if root != self._root:
            rows[_ROOT] = (self._root, root)
        return root

    def _page(self, nibbles: str, height: int | None = None) -> bytes:
        page = self._versions.get(_PAGE + nibbles.encode(), height)
        if page is None:
            raise DataLost(f"the state has lost a page of its tree, at {nibbles or 'the root'}")
        return page
