"""The vote journal: an append-only file of opaque records that a validator must never forget.

Knows lengths, checks, flushes and renames. Does not know what a record means, nor when it may be dropped.

The file is a header (magic, format version, generation, check) and then records, each

    length (4 bytes) | check of the length (4) | check of the record (16) | the record

The check is SHA-256 cut to 128 bits over the previous check, the length and the record. SHA-256, not CRC-32,
because a vote is the one thing that no peer can give back: at 1 us a record a false "intact" is not worth a
shorter check. It is chained, and starts from the header with its generation, so that a record moved, repeated,
left out, or surfacing from an older generation of the file fails like a damaged one. It guards against
disks, not against an owner of the disk.

What `open` makes of a file that does not end well:
- it ends inside a record (its length is vouched for by its own check): the process died in the middle of its
  last append. Nothing that depended on it was sent, since `sync` had not returned: it is dropped;
- it ends in zeros from the end of a record on: a power cut after the file grew; dropped for the same reason;
- anything else is damage to what was promised: `DataLost`, with the offset, and never a byte skipped. The
  owner of the journal must then be treated as one who has lost it.
A file cut short exactly, by a hand or a restored backup, looks like the first case; only what peers remember can tell.

`open` flushes before it returns: a record read back from the page cache alone must not be taken for durable.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ledger.errors import DatabaseInUse, DataLost, DiskFull, StorageError
from ledger.files import NO_ROOM, TEMPORARY_SUFFIX, hold, sync_directory, write_all

FORMAT_VERSION = 1
RECORD_BYTES_MAX = 64 << 20
READ_AGAIN_BYTES = 256 << 10  # at once

_MAGIC = b"QUORATEJ"
_HEADER = struct.Struct("<8sIQ")  # magic, format version, generation
_RECORD = struct.Struct("<I4s16s")  # length, check of the length, check of the record
_CHECK_BYTES = 16
_HEADER_BYTES = _HEADER.size + _CHECK_BYTES


class Journal:
    """An open journal. After any failed write or flush it refuses everything but `close`, for ever."""

    def __init__(self, path: Path, descriptor: int, generation: int, check: bytes, size_bytes: int) -> None:
        self.path = path
        self._extent = (generation, size_bytes)  # replaced as one, so that another thread never sees half of a change
        self._descriptor = descriptor
        self._check = check
        self._fault = ""

    @classmethod
    def open(cls, path: Path | str) -> tuple[Journal, list[bytes]]:
        """Open or create the journal at `path`; returns it with every record, oldest first, all of them durable.

        Raises `DatabaseInUse` when another process has it open, `DataLost` (see above), `StorageError`.
        """
        path = Path(path)
        try:
            if not path.exists():
                descriptor, check, size = _create(path, 1, ())
                return cls(path, descriptor, 1, check, size), []
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot open the journal {path}: {error.strerror}") from None
        try:
            hold(descriptor, path)
            path.with_name(path.name + TEMPORARY_SUFFIX).unlink(missing_ok=True)  # a rewrite that never happened
            data = path.read_bytes()
            generation, check = _read_header(data, path)
            records, check, end = _read_records(data, check, path)
            if end < len(data):
                os.ftruncate(descriptor, end)
            os.lseek(descriptor, end, os.SEEK_SET)
            os.fsync(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise StorageError(f"cannot read the journal {path}: {error.strerror}") from None
        except (DatabaseInUse, DataLost, StorageError):
            os.close(descriptor)
            raise
        return cls(path, descriptor, generation, check, end), records

    @property
    def extent(self) -> tuple[int, int]:
        """(generation, bytes) of what was written, the two of one moment: for whoever reads beside the writer."""
        return self._extent

    @property
    def generation(self) -> int:
        """How often it was written anew, counted from 1."""
        return self._extent[0]

    @property
    def size_bytes(self) -> int:
        """Of the whole file, header included."""
        return self._extent[1]

    def append(self, records: Iterable[bytes]) -> None:
        """Write records at the end. They are durable only after `sync`. Raises `DiskFull`, `StorageError`."""
        self._refuse_after_fault()
        data, check = _frame(records, self._check)
        if not data:
            return
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            self._fail("append to", error)
        self._check = check
        self._extent = (self.generation, self.size_bytes + len(data))

    def sync(self) -> None:
        """Flush to the disk. Raises `StorageError`, and then the journal is poisoned: a flush is never retried."""
        self._refuse_after_fault()
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._fail("flush", error)

    def rewrite(self, records: Iterable[bytes]) -> None:
        """Replace the whole content, durably, in one step: a crash leaves the old records or the new ones."""
        self._refuse_after_fault()
        generation = self.generation + 1
        try:
            descriptor, check, size = _create(self.path, generation, records)
        except OSError as error:
            self._fail("rewrite", error)
            raise  # unreachable: `_fail` raises
        os.close(self._descriptor)
        self._descriptor, self._check, self._extent = descriptor, check, (generation, size)

    def close(self) -> None:
        """Release the file; flushes nothing. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._fault = self._fault or f"the journal {self.path} is closed"

    def _refuse_after_fault(self) -> None:
        if self._fault:
            raise StorageError(self._fault)

    def _fail(self, attempt: str, error: OSError) -> None:
        self._fault = (
            f"could not {attempt} the journal {self.path}: {error.strerror or error}; "
            "nothing more is written to it until the node is restarted"
        )
        full = attempt != "flush" and error.errno in NO_ROOM
        raise (DiskFull if full else StorageError)(self._fault) from error


def journal_bytes(records: Iterable[bytes], generation: int = 1) -> bytes:
    """A whole journal with these records, as the file holds it. For who keeps no file: the simulator, a repair."""
    head = _HEADER.pack(_MAGIC, FORMAT_VERSION, generation)
    check = _digest(head)
    return head + check + _frame(records, check)[0]


def read_journal(data: bytes, name: Path | str) -> list[bytes]:
    """The records of a journal's bytes, a torn tail dropped as told at the top; `name` is what errors call it.

    Raises `DataLost`, `StorageError`.
    """
    return _read_records(data, _read_header(data, name)[1], name)[0]


def read_again(journal: Journal) -> Iterator[int]:
    """Read what an open journal has written, from its file, and say now and then how many bytes were read.

    Nothing is torn there: so much was written. In another thread than the writer's: a file that the writer is just
    putting in the place of the one meant here, or has put there since, is left to the next time. Raises `DataLost`,
    `StorageError`.
    """
    path = journal.path
    generation, size_bytes = journal.extent
    try:
        with path.open("rb") as file:
            found, check = _read_header(file.read(_HEADER_BYTES), path)
            if found == generation:
                yield from _check_file(file, check, size_bytes, path)
            elif found != generation + 1 and journal.generation == generation:
                raise DataLost(f"the journal {path} is another file: generation {found}, expected {generation}")
    except FileNotFoundError:
        raise DataLost(f"the journal {path} is missing") from None
    except OSError as error:
        raise StorageError(f"cannot read the journal {path}: {error.strerror}") from None


def _check_file(file: BinaryIO, check: bytes, size_bytes: int, path: Path) -> Iterator[int]:
    offset, told = _HEADER_BYTES, 0
    while offset < size_bytes:
        head = file.read(_RECORD.size)
        length, length_check, record_check = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, b"", b"")
        record = file.read(length) if _length_check(check, length) == length_check else b""
        check = _checks(check, record)[1]
        if len(record) != length or check != record_check:
            raise DataLost(f"the journal {path} is damaged at offset {offset}: a record does not hold")
        offset += _RECORD.size + length
        if offset - told >= READ_AGAIN_BYTES:
            yield offset - told
            told = offset


def _create(path: Path, generation: int, records: Iterable[bytes]) -> tuple[int, bytes, int]:
    """Write a complete journal beside `path` and rename it into place: (locked descriptor, check, size)."""
    head = _HEADER.pack(_MAGIC, FORMAT_VERSION, generation)
    check = _digest(head)
    data, last_check = _frame(records, check)
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        hold(descriptor, temporary)
        write_all(descriptor, head + check + data)
        os.fsync(descriptor)
        temporary.rename(path)
        sync_directory(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, last_check, _HEADER_BYTES + len(data)


def _frame(records: Iterable[bytes], check: bytes) -> tuple[bytes, bytes]:
    """The bytes of records that follow a record with this check, and the last record's check."""
    parts: list[bytes] = []
    for record in records:
        if len(record) > RECORD_BYTES_MAX:
            raise StorageError(f"a journal record of {len(record)} bytes, at most {RECORD_BYTES_MAX} are allowed")
        length_check, check_after = _checks(check, record)
        parts += (_RECORD.pack(len(record), length_check, check_after), record)
        check = check_after
    return b"".join(parts), check


def _read_header(data: bytes, path: Path | str) -> tuple[int, bytes]:
    """(generation, check). Written whole before the file got its name, so no crash excuses a bad one."""
    head, check = data[: _HEADER.size], data[_HEADER.size : _HEADER_BYTES]
    if len(check) < _CHECK_BYTES or _digest(head) != check:
        raise DataLost(f"the journal {path} is damaged at offset 0: its header does not hold")
    magic, version, generation = _HEADER.unpack(head)
    if magic != _MAGIC:
        raise StorageError(f"{path} is not a vote journal")
    if version != FORMAT_VERSION:
        raise StorageError(f"the journal {path} has format {version}, this program reads format {FORMAT_VERSION}")
    return generation, check


def _read_records(data: bytes, check: bytes, path: Path | str) -> tuple[list[bytes], bytes, int]:
    """(records, last check, offset of the end of the last one), dropping a torn tail as told at the top."""
    records: list[bytes] = []
    offset = _HEADER_BYTES
    while offset < len(data):
        start = offset + _RECORD.size
        if start > len(data):
            break
        length, length_check, record_check = _RECORD.unpack_from(data, offset)
        if _length_check(check, length) != length_check:
            if not any(data[offset:]):
                break
            raise DataLost(f"the journal {path} is damaged at offset {offset}: the length of record {len(records)}")
        if start + length > len(data):
            break
        record = data[start : start + length]
        check = _checks(check, record)[1]
        if check != record_check:
            raise DataLost(f"the journal {path} is damaged at offset {offset}: record {len(records)} does not hold")
        records.append(record)
        offset = start + length
    return records, check, offset


def _checks(previous: bytes, record: bytes) -> tuple[bytes, bytes]:
    return _length_check(previous, len(record)), _digest(previous + len(record).to_bytes(4, "little") + record)


def _length_check(previous: bytes, length: int) -> bytes:
    return _digest(previous + length.to_bytes(4, "little"))[:4]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_CHECK_BYTES]
