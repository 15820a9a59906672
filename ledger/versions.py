"""Rows of a LevelDB database that can be read as they were at earlier heights.

The newest value of a row lies under its own key. A commit that changes it keeps the old one beside it, under the height
of the change; to read at a height is to take the oldest such value that is above it, or else the newest. Heights in
demand are few below the newest (what is not sealed yet), so the steps are few; what is pruned is one range.

A commit is one atomic write, not flushed: the state is derived, and a lost tail is replayed from the blocks. But a
power cut may lose writes in the *middle*: LevelDB's last but one log, full but not yet a table, while the last one
survived; and its list of tables may lose its own tail, and with it the table before the log. So each commit leaves its
own height as a row, and one that is missing among the last ones is `DataLost`.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import plyvel

from ledger.database import WRITE_BUFFER_BYTES, missing_files, open_database, speaking_of, sync_logs, translated
from ledger.errors import DataLost, HeightNotKept, OtherFormat, StorageError, TooMuchLookedAt
from ledger.live_rows import Clock, LiveRows

FORMAT_VERSION = 3
COMMITS_BETWEEN_FLUSHES = 256
HOLE_LOOK_HEIGHTS = 50_000  # whose rows are kept: more than lie in a log and the tables that LevelDB can lose
RECLAIM_BYTES = 16 << 20  # of pruned rows that still lie in tables, before the disk is asked to have them back
BLOCK_BYTES = 1024
LARGE_BYTES = 64 << 20  # of tables, from which on it is opened with
LARGE_WRITE_BUFFER_BYTES = 64 << 20  # which halves the merging of tables, and costs memory and 0.4 s of a start
CACHE_BYTES_MAX = 8 << 20  # of rows, in each of two generations
ROW_OVERHEAD_BYTES = 200  # of a row in a dict, beside its key and value
LOOKS_A_SEEK = 16  # what beginning to iterate costs, in rows looked at
BYTES_A_LOOK = 256  # of a value that was replaced; longer ones count as several rows

_META_KEY = b"m"
_META = struct.Struct(">IqqQQ")  # format, newest height, oldest height kept, height flushed + 1, first height committed
_HEIGHT = struct.Struct(">Q")
_NOTHING_KEPT: Mapping[bytes, bytes] = {}
UNKNOWN = b"not read yet"  # this very object, told apart by `is`
_WAS_ABSENT = b""
_WAS_PRESENT = b"\x01"


class Versions:
    """An open database of versioned rows ("r" row) and plain rows ("s" row). One thread at a time."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """Open or create. Raises `DatabaseInUse`, `StorageError`, or `DataLost`: then delete it and replay.

        By `clock` scans notice that they walk over what was deleted, and do so once (`ledger.live_rows`).
        """
        self.path = path
        self.height = self.oldest = -1
        self._flushed = -1
        self._first = 0  # the lowest height that was committed here, and left its row
        self._fault = ""
        self._looks_left: int | None = None
        self._reclaiming: threading.Thread | None = None
        self._cache = RecentRows()
        with speaking_of(path):
            buffer = LARGE_WRITE_BUFFER_BYTES if _tables_bytes(path) >= LARGE_BYTES else WRITE_BUFFER_BYTES
        # Most of it is hashes, which no compression shortens, and is read row by row from all over the place.
        self._database = open_database(
            path, bloom_filter_bits=10, compress=False, block_bytes=BLOCK_BYTES, write_buffer_bytes=buffer
        )
        self._rows = LiveRows(self._database, path, clock, self._compact_soon)
        try:
            self._load()
        except BaseException:
            self._database.close()
            raise

    def get(self, row: bytes, height: int | None = None) -> bytes | None:
        """The value of a row at a height (None: the newest). The newest is kept at hand."""
        newest = self._newest(row)
        if height is None or height == self.height:
            return newest
        self._expect_kept(height)
        self._look(self.height - height, height)
        for change in range(height + 1, self.height + 1):
            kept = self._read(b"o" + _HEIGHT.pack(change) + row)
            if kept is not None:
                return kept[1:] if kept else None
        return newest

    def scan(
        self, prefix: bytes, start: bytes, limit: int, height: int | None = None, bytes_max: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` (row, value) with the prefix, not below `start`, in order, at a height (None: the newest).

        The values end once they have `bytes_max` together.
        """
        if limit <= 0:
            return []
        first = max(prefix, start)
        then = self._changed_since(prefix, first, height)
        return _first(_as_it_was(self._rows.forward(first, prefix), then), limit, bytes_max)

    def scan_back(
        self, start: bytes, end: bytes, limit: int, height: int | None = None, bytes_max: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """As `scan`, but from the highest row below `end` down to `start`."""
        if limit <= 0:
            return []
        then = self._changed_since(b"", start, height, end)
        return _first(_as_it_was(self._rows.backward(start, end), then, backwards=True), limit, bytes_max)

    @contextlib.contextmanager
    def looking_at_most(self, rows: int) -> Iterator[None]:
        """Within it, reads below the newest height look at so many rows that changed since, or raise `TooMuchLookedAt`.

        It bounds time and memory: such a read asks every height above it, and a scan holds what it found there.
        """
        self._looks_left = rows
        try:
            yield
        finally:
            self._looks_left = None

    def kept_above(self, height: int, name: bytes) -> Iterator[bytes]:
        """The records of this name that were kept with the heights above one, newest first."""
        if height != self.height:
            self._expect_kept(height)
        for change in range(self.height, height, -1):
            record = self._read(b"o" + _HEIGHT.pack(change) + name)
            if record is not None:
                yield record

    def plain_get(self, row: bytes) -> bytes | None:
        """The value of a row that has no versions."""
        return self._read(b"s" + row)

    def plain_scan(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` plain rows with the prefix, not below `start`, in order."""
        found: list[tuple[bytes, bytes]] = []
        for item in self._iterate(b"s" + max(prefix, start), b"s" + prefix):
            if len(found) >= limit:
                break
            found.append(item)
        return found

    def walk(self, prefix: bytes, height: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (row, value) with the prefix, in order, at a height. Nothing may be committed meanwhile."""
        then = self._changed_since(prefix, prefix, height)
        return _as_it_was(self._iterate(b"r" + prefix, b"r" + prefix), then)

    def freeze(self) -> FrozenRows:
        """The rows as they are now, to be read while commits go on. Close it: the database keeps what it shows."""
        return FrozenRows(self._database.snapshot(), self.path)

    def raw(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every row of the database as it lies there, not below `start`. Nothing may be committed meanwhile."""
        return self._iterate_raw(start)

    @property
    def size_bytes(self) -> int:
        """About how much the tables take."""
        return int(self._database.approximate_size(b"\x00", b"\xff"))

    def missing_files(self) -> list[str]:
        """Files that the database lives on and that are gone."""
        return missing_files(self._database, self.path)

    def load(self, rows: Iterable[tuple[bytes, bytes]], plain: Iterable[tuple[bytes, bytes]]) -> None:
        """Write rows of a state that did not grow here. Until `begin` it has no height, and cannot be opened again."""
        self._refuse_after_fault()
        assert self.height < 0, "only an empty database is loaded"
        self._rows.forget()
        batch = self._database.write_batch()
        for kind, each in ((b"r", rows), (b"s", plain)):
            for row, value in each:
                batch.put(kind + row, value)
        self._write(batch)

    def begin(self, height: int) -> None:
        """What was loaded is the state of this height, durably."""
        self._refuse_after_fault()
        assert self.height < 0, "only an empty database is loaded"
        sync_logs(self.path)
        self.height = self.oldest = self._flushed = height
        self._first = height + 1
        batch = self._database.write_batch()
        batch.put(_META_KEY, self._meta(height, height))
        self._write(batch)
        sync_logs(self.path)

    def commit(
        self,
        height: int,
        rows: Mapping[bytes, tuple[bytes | None, bytes | None]],
        plain: Mapping[bytes, bytes | None],
        kept: Mapping[bytes, bytes] = _NOTHING_KEPT,
    ) -> None:
        """Write one height, all of it or nothing: each row as (old value, new value), and the plain rows.

        `kept` are records about what was before, of a caller that keeps its own; they go as the old values go.
        """
        self._refuse_after_fault()
        if height != self.height + 1:
            raise StorageError(f"height {height} cannot be committed, the next is {self.height + 1}")
        oldest = height if self.oldest < 0 else self.oldest
        batch = self._database.write_batch()
        put, change = batch.put, b"o" + _HEIGHT.pack(height)
        if height > oldest:
            for name, record in kept.items():
                put(change + name, record)
        for row, (old, new) in rows.items():
            if height > oldest:
                put(change + row, _WAS_ABSENT if old is None else _WAS_PRESENT + old)
            if new is None:
                batch.delete(b"r" + row)
            else:
                put(b"r" + row, new)
        for row, value in plain.items():
            if value is None:
                batch.delete(b"s" + row)
            else:
                batch.put(b"s" + row, value)
        batch.put(b"h" + _HEIGHT.pack(height), b"")
        batch.put(_META_KEY, self._meta(height, oldest))
        self._write(batch)
        for row, (_, new) in rows.items():
            if row in self._cache:
                self._cache[row] = new
        self._rows.on_commit(rows)
        self.height, self.oldest = height, oldest
        if height - self._flushed >= COMMITS_BETWEEN_FLUSHES:
            self._flush()

    def prune(self, below: int) -> None:
        """Forget the versions below a height; the newest is always kept."""
        below = min(below, self.height)
        if below <= self.oldest:
            return
        self._refuse_after_fault()
        batch = self._database.write_batch()
        start, stop = b"o" + _HEIGHT.pack(self.oldest), b"o" + _HEIGHT.pack(below + 1)
        with speaking_of(self.path):
            for key in self._database.iterator(
                start=start, stop=stop, include_value=False, verify_checksums=True, fill_cache=False
            ):
                batch.delete(key)
        batch.put(_META_KEY, self._meta(self.height, below))
        self.oldest = below
        self._write(batch)
        self._reclaim()

    def close(self) -> None:
        """Release the database; a second call does nothing."""
        self._fault = self._fault or f"the state {self.path} is closed"
        if self._reclaiming is not None:
            self._reclaiming.join()
        self._database.close()

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _newest(self, row: bytes) -> bytes | None:
        value = self._cache.find(row)
        if value is UNKNOWN:
            value = self._cache[row] = self._read(b"r" + row)
        return value

    def _read(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key, verify_checksums=True)
        except plyvel.Error as error:
            raise translated(error, self.path) from None
        return value

    def _reclaim(self) -> None:
        """Have the space of pruned versions back, beside the work: LevelDB gives none until it rewrites the tables."""
        start, stop = b"o", b"o" + _HEIGHT.pack(self.oldest + 1)
        if self._database.approximate_size(start, stop) >= RECLAIM_BYTES:
            self._compact_soon(start, stop)

    def _compact_soon(self, start: bytes, stop: bytes) -> None:
        """Have these tables rewritten without what was deleted, beside the work and one range at a time."""
        if self._reclaiming is not None and self._reclaiming.is_alive():
            return
        self._reclaiming = threading.Thread(target=self._compact, args=(start, stop), name="reclaim", daemon=True)
        self._reclaiming.start()

    def _compact(self, start: bytes, stop: bytes) -> None:
        """Only space is at stake: what goes wrong here, the next write or read says in its own words."""
        with contextlib.suppress(plyvel.Error, OSError):
            self._database.compact_range(start=start, stop=stop)

    def _load(self) -> None:
        with speaking_of(self.path):
            meta = self._database.get(_META_KEY, verify_checksums=True)
            if meta is None:
                if any(True for _ in self._database.iterator(include_value=False, verify_checksums=True)):
                    raise DataLost(f"the state {self.path} has lost the record of its height")
                return
            version = int.from_bytes(meta[:4], "big")
            if version != FORMAT_VERSION:
                raise OtherFormat(
                    f"the state {self.path} has format {version}, this program reads format {FORMAT_VERSION}"
                )
            _, self.height, self.oldest, flushed_next, self._first = _META.unpack(meta)
            self._flushed = flushed_next - 1
            first = max(self._first, flushed_next - HOLE_LOOK_HEIGHTS)
            start, stop = b"h" + _HEIGHT.pack(first), b"h" + _HEIGHT.pack(self.height + 1)
            written = [
                _HEIGHT.unpack(key[1:])[0]
                for key in self._database.iterator(
                    start=start, stop=stop, include_value=False, verify_checksums=True, fill_cache=False
                )
            ]
        if written != list(range(first, self.height + 1)):
            lost = sorted(set(range(first, self.height + 1)) - set(written))
            raise DataLost(f"the state {self.path} at height {self.height} has lost the changes of height {lost[0]}")

    def _meta(self, height: int, oldest: int) -> bytes:
        return _META.pack(FORMAT_VERSION, height, oldest, self._flushed + 1, self._first)

    def _flush(self) -> None:
        """Nothing up to here can be lost by a power cut any more, and rows of heights far below can go."""
        try:
            sync_logs(self.path)
        except OSError as error:
            self._fault = f"could not flush the state {self.path}: {error.strerror or error}"
            raise StorageError(self._fault) from error
        batch = self._database.write_batch()
        for height in range(self._flushed + 1, self.height + 1):
            if height >= HOLE_LOOK_HEIGHTS:
                batch.delete(b"h" + _HEIGHT.pack(height - HOLE_LOOK_HEIGHTS))
        self._flushed = self.height
        batch.put(_META_KEY, self._meta(self.height, self.oldest))
        self._write(batch)

    def _write(self, batch: object) -> None:
        try:
            with speaking_of(self.path):
                batch.write()  # type: ignore[attr-defined]  # plyvel has no stubs
        except StorageError as error:
            self._fault = f"{error}; nothing more is written until the process is restarted"
            raise StorageError(self._fault) from error

    def _iterate(self, start: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(row, value) from `start` on, while the key has the prefix."""
        with speaking_of(self.path):
            for key, value in self._database.iterator(start=start, verify_checksums=True, fill_cache=False):
                if not key.startswith(prefix):
                    return
                yield key[1:], value

    def _iterate_raw(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        with speaking_of(self.path):
            yield from self._database.iterator(start=start, verify_checksums=True, fill_cache=False)

    def _changed_since(
        self, prefix: bytes, first: bytes, height: int | None, end: bytes | None = None
    ) -> dict[bytes, bytes | None]:
        """What the rows that changed after a height, from `first` on and below `end`, were at that height."""
        then: dict[bytes, bytes | None] = {}
        if height is None or height == self.height:
            return then
        self._expect_kept(height)
        for change in range(height + 1, self.height + 1):
            at = b"o" + _HEIGHT.pack(change)
            self._look(LOOKS_A_SEEK, height)
            with speaking_of(self.path):
                for key, kept in self._database.iterator(start=at + first, verify_checksums=True, fill_cache=False):
                    if not key.startswith(at + prefix) or (end is not None and key >= at + end):
                        break
                    self._look(1 + len(kept) // BYTES_A_LOOK, height)
                    then.setdefault(key[len(at) :], kept[1:] if kept else None)
        return then

    def _look(self, rows: int, height: int) -> None:
        if self._looks_left is None:
            return
        self._looks_left -= rows
        if self._looks_left < 0:
            raise TooMuchLookedAt(
                f"too much has changed between height {height} and {self.height} for all that is read there: "
                "read less at a time, or at a newer height"
            )

    def _expect_kept(self, height: int) -> None:
        if not self.oldest <= height <= self.height:
            raise HeightNotKept(f"the state at height {height} is not kept: heights {self.oldest} to {self.height} are")

    def _refuse_after_fault(self) -> None:
        if self._fault:
            raise StorageError(self._fault)


class FrozenRows:
    """The newest rows of a database as they were when this was made."""

    def __init__(self, snapshot: Any, path: Path) -> None:
        self._snapshot = snapshot  # plyvel has no stubs
        self._path = path

    def scan(self, prefix: bytes, start: bytes, bytes_max: int) -> list[tuple[bytes, bytes]]:
        """(row, value) with the prefix, not below `start`, in order, until they have so many bytes; one at least."""
        found: list[tuple[bytes, bytes]] = []
        size = 0
        with speaking_of(self._path):
            for key, value in self._snapshot.iterator(
                start=b"r" + max(prefix, start), verify_checksums=True, fill_cache=False
            ):
                if not key.startswith(b"r" + prefix) or size >= bytes_max:
                    break
                found.append((key[1:], value))
                size += len(key) + len(value)
        return found

    def close(self) -> None:
        """Let the database forget what only this shows."""
        self._snapshot.close()


def _tables_bytes(path: Path) -> int:
    return sum(table.stat().st_size for table in path.glob("*.ldb"))


class RecentRows:
    """What was read or written lately, in two generations: a full young one becomes the old one, and that is forgotten.

    Near to least-recently-used at a fraction of the cost, and bounded by bytes.
    """

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}
        self._young_bytes = 0

    def find(self, row: bytes) -> bytes | None:
        """The value, `UNKNOWN` where it is not known."""
        value = self._young.get(row, UNKNOWN)
        if value is UNKNOWN:
            value = self._old.get(row, UNKNOWN)
            if value is not UNKNOWN:
                self[row] = value
        return value

    def __contains__(self, row: bytes) -> bool:
        """Whether the value is known."""
        return row in self._young or row in self._old

    def __setitem__(self, row: bytes, value: bytes | None) -> None:
        """The row has this value now."""
        self._young_bytes += ROW_OVERHEAD_BYTES + len(row) + len(value or b"")
        if self._young_bytes > self._bytes_max:
            self._old, self._young = self._young, {}
            self._young_bytes = ROW_OVERHEAD_BYTES + len(row) + len(value or b"")
        self._young[row] = value


def _first(rows: Iterator[tuple[bytes, bytes]], limit: int, bytes_max: int | None) -> list[tuple[bytes, bytes]]:
    if bytes_max is None:
        return list(itertools.islice(rows, limit))
    found, size = [], 0
    for item in itertools.islice(rows, limit):
        found.append(item)
        size += len(item[1])
        if size >= bytes_max:
            break
    return found


def _as_it_was(
    newest: Iterator[tuple[bytes, bytes]], then: Mapping[bytes, bytes | None], backwards: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """The newest rows, in order, but those that changed as they were `then`; None: there was none."""
    waiting = sorted((row for row, value in then.items() if value is not None), reverse=not backwards)
    for row, value in newest:
        while waiting and (waiting[-1] > row if backwards else waiting[-1] < row):
            yield waiting[-1], then[waiting.pop()] or b""
        if row not in then:
            yield row, value
        elif waiting and waiting[-1] == row:
            yield row, then[waiting.pop()] or b""
    for row in reversed(waiting):
        yield row, then[row] or b""
