"""A snapshot as one file: written in one pass and never seen half-made, checked byte by byte when it is read.

    head      8 magic, 4 format version
    pieces    the chunks of state, then those of blocks, one after the other
    manifest  encoded (`ledger.snapshot.Manifest`)
    end       8 offset of the manifest, 4 its length, 16 check of head, manifest and these two, 8 magic

The manifest has the length and check of every piece, so each byte of the file is under one check or another, and what
is damaged can be named. The checks guard against disks; what a piece *says* is judged in `ledger.snapshot`. A file is
written beside its place and renamed into it when it is whole and durable.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger import codec
from ledger.errors import CodecError, DataLost, DiskFull, OtherFormat, StorageError
from ledger.files import NO_ROOM, create_new, open_regular, sync_directory, write_all
from ledger.snapshot import BLOCKS_CHUNK_BYTES_MAX, CHECK_BYTES, BlockChunk, Contents, Manifest, Piece
from ledger.snapshot_tree import StateChunk, chunk_bytes_max
from ledger.types import Header, Seal

FORMAT_VERSION = 1
MANIFEST_BYTES_MAX = 64 << 20
PART_SUFFIX = ".part"

_MAGIC = b"QUORATES"
_END_MAGIC = b"SETARORQ"
_HEAD = struct.Struct("<8sI")
_END = struct.Struct("<QI")
_END_BYTES = _END.size + CHECK_BYTES + len(_END_MAGIC)


class SnapshotWriter:
    """Writes one file: chunks of state by prefix, then blocks, then `finish`; without that nothing stays."""

    def __init__(self, path: Path) -> None:
        """Raises `StorageError` when the place cannot be written to, or holds something already."""
        self.path = path
        self._part = path.with_name(path.name + PART_SUFFIX)
        self._named = False
        self._expect_free()
        self._chunks: list[StateChunk] = []
        self._blocks: list[BlockChunk] = []
        self._pieces: list[Piece] = []
        self._offset = 0
        with self._speaking():
            # Without a buffer of its own: on a full disk that could not even be closed, and half a file would stay.
            self._file = os.fdopen(self._create(), "wb", buffering=0)
            self._put(_HEAD.pack(_MAGIC, FORMAT_VERSION))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._named:
            self._part.unlink(missing_ok=True)

    def add_state(self, chunk: StateChunk, data: bytes) -> None:
        """The next chunk of state. Raises `StorageError`."""
        self._chunks.append(chunk)
        self._add(data)

    def add_blocks(self, chunk: BlockChunk, data: bytes) -> None:
        """The next blocks. Raises `StorageError`."""
        self._blocks.append(chunk)
        self._add(data)

    @property
    def chunks(self) -> tuple[StateChunk, ...]:
        """Those written so far."""
        return tuple(self._chunks)

    def finish(self, header: Header, seal: Seal) -> Manifest:
        """Write the end, make everything durable, and give the file its name. Raises `StorageError`."""
        manifest = Manifest(Contents(header, self.chunks), seal, tuple(self._blocks), tuple(self._pieces))
        encoded = manifest.encode()
        place = _END.pack(self._offset, len(encoded))
        with self._speaking():
            self._put(encoded)
            self._put(place + _end_check(_HEAD.pack(_MAGIC, FORMAT_VERSION), encoded, place) + _END_MAGIC)
            os.fsync(self._file.fileno())
            self._file.close()
            self._expect_free()
            self._part.rename(self.path)
            self._named = True
            sync_directory(self.path.parent)
        return manifest

    def _expect_free(self) -> None:
        if self.path.exists() or self.path.is_symlink():
            raise StorageError(f"{self.path} exists already: a snapshot never replaces anything, choose another name")

    def _create(self) -> int:
        try:
            return create_new(self._part, 0o644)
        except FileExistsError:
            raise StorageError(
                f"{self._part} is there already: another snapshot of this name is being made, or one was left "
                "half-written. Delete it if none is being made, or choose another name"
            ) from None

    def _add(self, data: bytes) -> None:
        self._pieces.append(Piece(len(data), _check(data)))
        with self._speaking():
            self._put(data)

    def _put(self, data: bytes) -> None:
        write_all(self._file.fileno(), data)
        self._offset += len(data)

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kind = DiskFull if error.errno in NO_ROOM else StorageError
            raise kind(f"cannot write the snapshot {self.path}: {error.strerror or error}") from None


class SnapshotFile:
    """An open snapshot file. `manifest` is as it stands there: whole, and not yet held against a genesis."""

    def __init__(self, path: Path) -> None:
        """Raises `DataLost` (damaged or cut short, saying where), `OtherFormat`, or `StorageError`."""
        self.path = path
        try:
            self._file = open_regular(path)
        except OSError as error:
            raise StorageError(f"cannot open the snapshot {path}: {error.strerror or error}") from None
        try:
            self.manifest = self._read_manifest()
            self._offsets = self._lay_out()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._file.close()

    def piece(self, index: int) -> bytes:
        """The bytes of a piece: chunks of state first, then those of blocks. Raises `DataLost` naming it."""
        piece, offset = self.manifest.pieces[index], self._offsets[index]
        data = self._read(offset, piece.size_bytes)
        if _check(data) != piece.check:
            raise self._damaged(f"{self.name_of(index)} is damaged, at bytes {offset} to {offset + len(data) - 1}")
        return data

    def name_of(self, index: int) -> str:
        """What a piece is, for people."""
        chunks = self.manifest.contents.chunks
        if index < len(chunks):
            return f"chunk {index} of the state (paths from {chunks[index].prefix or 'the root'})"
        blocks = self.manifest.blocks[index - len(chunks)]
        return f"the chunk of blocks {blocks.first} to {blocks.last}"

    def _read_manifest(self) -> Manifest:
        size = os.fstat(self._file.fileno()).st_size
        head = self._read(0, _HEAD.size)
        if len(head) < _HEAD.size or head[: len(_MAGIC)] != _MAGIC:
            raise self._damaged("it does not begin as a snapshot does, at byte 0: another kind of file, or damaged")
        version = _HEAD.unpack(head)[1]
        end = self._read(max(_HEAD.size, size - _END_BYTES), _END_BYTES)
        if len(end) < _END_BYTES or not end.endswith(_END_MAGIC):
            raise self._damaged(f"it does not end as a snapshot does, at byte {size}: cut short, or its end is damaged")
        place = end[: _END.size]
        offset, length = _END.unpack(place)
        if not _HEAD.size <= offset <= size or offset + length + _END_BYTES != size or length > MANIFEST_BYTES_MAX:
            raise self._damaged(f"its end is damaged, from byte {size - _END_BYTES} on")
        encoded = self._read(offset, length)
        if _end_check(head, encoded, place) != end[_END.size : _END.size + CHECK_BYTES]:
            raise self._damaged(
                f"its head (bytes 0 to {_HEAD.size - 1}), manifest (bytes {offset} to {offset + length - 1}) "
                f"or end (from byte {offset + length} on) is damaged"
            )
        if version != FORMAT_VERSION:
            raise OtherFormat(f"the snapshot {self.path} has format {version}, this program reads {FORMAT_VERSION}")
        try:
            return codec.decode(encoded, Manifest)
        except CodecError as error:
            raise self._damaged(f"its manifest is none: {error}") from None

    def _lay_out(self) -> list[int]:
        """Where each piece begins. Raises `DataLost` unless they fill the file up to the manifest."""
        if len(self.manifest.pieces) != len(self.manifest.contents.chunks) + len(self.manifest.blocks):
            raise self._damaged("its manifest lists another number of pieces than of chunks")
        offsets, offset = [], _HEAD.size
        for index, piece in enumerate(self.manifest.pieces):
            if piece.size_bytes > self._bytes_max(index):
                size, most = piece.size_bytes, self._bytes_max(index)
                raise self._damaged(f"{self.name_of(index)} is said to have {size} bytes, {most} is the most")
            offsets.append(offset)
            offset += piece.size_bytes
        size = os.fstat(self._file.fileno()).st_size
        found = _END.unpack(self._read(size - _END_BYTES, _END.size))[0]
        if found != offset:
            raise self._damaged(f"its pieces end at byte {offset}, its manifest begins at {found}")
        return offsets

    def _bytes_max(self, index: int) -> int:
        """The most that a piece can have: it is read, and decoded, as a whole."""
        chunks = self.manifest.contents.chunks
        return chunk_bytes_max(chunks[index]) if index < len(chunks) else BLOCKS_CHUNK_BYTES_MAX

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), length, offset)
        except OSError as error:
            raise StorageError(f"cannot read the snapshot {self.path}: {error.strerror or error}") from None

    def _damaged(self, why: str) -> DataLost:
        return DataLost(f"the snapshot {self.path} cannot be used: {why}. Take another copy of it")


def _check(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:CHECK_BYTES]


def _end_check(head: bytes, manifest: bytes, place: bytes) -> bytes:
    return _check(head + manifest + place)
