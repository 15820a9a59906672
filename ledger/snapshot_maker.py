"""Makes a snapshot file out of a stream of state entries in any order. Knows no database: whoever calls brings them.

The state is kept in the order of its keys, chunks are in the order of its paths, which are hashes. So entries are first
spread over one spool file by the first byte of their path, and then sorted a 256th at a time: memory stays bounded
however large the state. The root of what was written is held against the sealed header before the file gets its name.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger.errors import DiskFull, StateDiffers, StorageError
from ledger.files import NO_ROOM, create_new
from ledger.snapshot import Manifest, check_manifest, pack_blocks
from ledger.snapshot_file import SnapshotWriter
from ledger.snapshot_tree import CHUNK_BYTES, Entry, StateChunk, cut, entry_bytes, join_root
from ledger.state_proof import path_of
from ledger.types import BlockRecord, Genesis, Header, Seal

BUCKETS = 256
BUFFER_BYTES = 64 << 10  # of each bucket, before it goes to the spool
SPOOL_SUFFIX = ".spool"

_LENGTHS = struct.Struct(">HI")

Show = Callable[[str], None]


def make_snapshot(
    path: Path,
    genesis: Genesis,
    header: Header,
    seal: Seal,
    entries: Iterable[Entry],
    blocks: Iterable[BlockRecord] = (),
    show: Show = lambda _: None,
) -> Manifest:
    """Write the snapshot of the state after `header`. Raises `StorageError`, `StateDiffers` when it does not hold."""
    with SnapshotWriter(path) as writer, _Spool(path.with_name(path.name + SPOOL_SUFFIX)) as spool:
        for number, (key, value) in enumerate(entries, 1):
            spool.add(key, value)
            if number % 10_000 == 0:
                show(f"read {number} entries of the state")
        for chunk, data in spool.chunks():
            writer.add_state(chunk, data)
            show(f"wrote chunk {len(writer.chunks)} of the state")
        _expect_root(join_root(writer.chunks), header)
        for blocks_chunk, data in pack_blocks(blocks):
            writer.add_blocks(blocks_chunk, data)
            show(f"wrote blocks up to {blocks_chunk.last} of {header.height}")
        manifest = writer.finish(header, seal)
    check_manifest(manifest, genesis)
    return manifest


def _expect_root(root: bytes, header: Header) -> None:
    if root != header.state_root:
        raise StateDiffers(
            f"the state here gives root {root.hex()}, the sealed header of height {header.height} has "
            f"{header.state_root.hex()}: this copy of the state is damaged (`quorate verify --data` says where)"
        )


class _Spool:
    """Entries by the first byte of their path, in one file that is gone afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buffers: list[list[bytes]] = [[] for _ in range(BUCKETS)]
        self._buffered = [0] * BUCKETS
        self._segments: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self._sizes = [0] * BUCKETS  # as `entry_bytes` counts
        self._end = 0
        try:
            self._descriptor = create_new(path)
        except FileExistsError:
            raise StorageError(
                f"{path} is there already: another snapshot of this name is being made, or one was left half-written. "
                "Delete it if none is being made, or choose another name"
            ) from None
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)

    def add(self, key: bytes, value: bytes) -> None:
        """One entry."""
        bucket = path_of(key)[0]
        self._buffers[bucket] += (_LENGTHS.pack(len(key), len(value)), key, value)
        self._sizes[bucket] += entry_bytes(key, value)
        self._buffered[bucket] += _LENGTHS.size + len(key) + len(value)
        if self._buffered[bucket] >= BUFFER_BYTES:
            self._flush(bucket)

    def chunks(self) -> Iterator[tuple[StateChunk, bytes]]:
        """What was added, cut."""
        for bucket in range(BUCKETS):
            self._flush(bucket)
        for prefix, buckets in self._groups():
            entries = [entry for bucket in buckets for entry in self._entries(bucket)]
            yield from cut(prefix, sorted(entries))

    def _groups(self) -> Iterator[tuple[str, range]]:
        """The largest runs of buckets that fit a chunk, or one bucket each."""
        if sum(self._sizes) <= CHUNK_BYTES:
            yield "", range(BUCKETS)
            return
        for nibble in range(16):
            run = range(16 * nibble, 16 * nibble + 16)
            if sum(self._sizes[bucket] for bucket in run) <= CHUNK_BYTES:
                yield f"{nibble:x}", run
            else:
                yield from ((f"{bucket:02x}", range(bucket, bucket + 1)) for bucket in run)

    def _entries(self, bucket: int) -> Iterator[tuple[str, bytes, bytes]]:
        for offset, length in self._segments[bucket]:
            data = os.pread(self._descriptor, length, offset)
            at = 0
            while at < len(data):
                key_bytes, value_bytes = _LENGTHS.unpack_from(data, at)
                at += _LENGTHS.size
                key, value = data[at : at + key_bytes], data[at + key_bytes : at + key_bytes + value_bytes]
                yield path_of(key).hex(), key, value
                at += key_bytes + value_bytes

    def _flush(self, bucket: int) -> None:
        data = b"".join(self._buffers[bucket])
        if not data:
            return
        try:
            written = os.pwrite(self._descriptor, data, self._end)
        except OSError as error:
            kind = DiskFull if error.errno in NO_ROOM else StorageError
            raise kind(f"cannot write {self._path}: {error.strerror or error}") from None
        if written != len(data):
            raise DiskFull(f"cannot write {self._path}: no room on the disk")
        self._segments[bucket].append((self._end, len(data)))
        self._end += len(data)
        self._buffers[bucket], self._buffered[bucket] = [], 0
