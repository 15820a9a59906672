"""Opening LevelDB so that it says what it lost, in the ledger's own errors.

LevelDB by itself drops damaged records silently; paranoid checks at opening and verified checksums on every
read make it say so. It cannot notice a tail that is cleanly gone: who stores what must last keeps a marker in a
second place. Knows no key and no value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import plyvel

from ledger.errors import DatabaseInUse, DataLost, DiskFull, StorageError
from ledger.files import NO_ROOM, in_use, open_regular

WRITE_BUFFER_BYTES = 16 << 20
CACHE_BYTES = 8 << 20
BLOCK_BYTES = 4096
OPEN_FILES_MAX = 256
READ_BYTES = 256 << 10  # of a table, at once

_DATA = (".ldb", ".sst", ".log")
_TABLE_LINE = re.compile(rb"^ (\d+):\d+\[", re.MULTILINE)

Database = Any  # plyvel.DB, which has no type stubs


def open_database(
    path: Path,
    *,
    cache_bytes: int = CACHE_BYTES,
    bloom_filter_bits: int = 0,
    compress: bool = True,
    block_bytes: int = BLOCK_BYTES,
    write_buffer_bytes: int = WRITE_BUFFER_BYTES,
) -> Database:
    """Open or create the database in the directory `path`. A read checks, and decodes, a block of `block_bytes`.

    Raises `DatabaseInUse`, `DataLost` (it is damaged; the text says what to do) or `StorageError`.
    """
    _expect_whole(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        return plyvel.DB(
            os.fspath(path),
            create_if_missing=True,
            paranoid_checks=True,
            write_buffer_size=write_buffer_bytes,
            lru_cache_size=cache_bytes,
            block_size=block_bytes,
            max_open_files=OPEN_FILES_MAX,
            bloom_filter_bits=bloom_filter_bits,
            compression="snappy" if compress else None,
        )
    except (plyvel.Error, OSError) as error:
        raise translated(error, path) from None


def _expect_whole(path: Path) -> None:
    """Without CURRENT LevelDB takes a full directory for a new one, and deletes what it finds there."""
    if not (path / "CURRENT").exists():
        left = sorted(file.name for file in path.glob("*") if file.suffix in _DATA or file.name.startswith("MANIFEST"))
        if left:
            raise DataLost(f"the database {path} is damaged: CURRENT is missing, and {left[0]} is there")


@contextmanager
def speaking_of(path: Path) -> Iterator[None]:
    """Turn LevelDB's errors into the ledger's: `DataLost` where a checksum fails, else `StorageError`."""
    try:
        yield
    except (plyvel.Error, OSError) as error:
        raise translated(error, path) from None


def missing_files(database: Database, path: Path) -> list[str]:
    """The files that the open database lives on and that are not in its directory any more.

    It may go on with what it holds open, and cannot be opened again. A table that a compaction takes away while we look
    is not missing, so a name counts only when it is still listed after it was not found.
    """
    gone = [name for name in ("CURRENT",) if not (path / name).exists()]
    tables = [number for number in _tables(database) if not _has_table(path, number)]
    still = _tables(database) if tables else []
    return gone + [f"{number:06d}.ldb" for number in tables if number in still and not _has_table(path, number)]


def _tables(database: Database) -> list[int]:
    """The numbers of the tables that the database reads."""
    return [int(number) for number in _TABLE_LINE.findall(database.get_property(b"leveldb.sstables") or b"")]


def _has_table(path: Path, number: int) -> bool:
    return any((path / f"{number:06d}{suffix}").exists() for suffix in (".ldb", ".sst"))


def read_tables(path: Path) -> Iterator[int]:
    """Read each table in a database's directory as a plain file, and say now and then how many bytes were read.

    LevelDB maps its tables into memory, and there a sector that the disk gives no more is no error: it ends the process
    (SIGBUS). Here it is one. A table that a compaction takes away meanwhile is passed over. Raises `StorageError`.
    """
    for table in sorted(file for file in path.glob("*") if file.suffix in (".ldb", ".sst")):
        try:
            with open_regular(table) as file:
                while data := file.read(READ_BYTES):
                    yield len(data)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"the table {table} cannot be read: {error.strerror or error}") from None


def sync_logs(path: Path) -> None:
    """Make everything written to the database so far durable. Raises OSError.

    A synced write would flush LevelDB's current log alone; the log before it, full but not yet compacted into a
    (synced) table, would stay in the page cache, and a power cut would leave a hole. So flush every log there is.
    """
    for log in sorted(path.glob("*.log")):
        try:
            descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # compacted meanwhile: its content is in a synced table
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def translated(error: Exception, path: Path) -> StorageError:
    """The ledger's error for one of LevelDB's, or of the system's."""
    text = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
    if "already held by process" in text or "Resource temporarily unavailable" in text:
        return DatabaseInUse(in_use(path))
    if isinstance(error, plyvel.CorruptionError) or "missing files" in text:
        return DataLost(f"the database {path} is damaged: {text}")
    full = any(os.strerror(each) in text for each in NO_ROOM)
    return (DiskFull if full else StorageError)(f"the database {path}: {text}")
