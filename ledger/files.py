"""Files that survive a crash: write whole, flush, rename, flush the directory.

Knows the order of system calls that POSIX needs for a durable change of a name, and nothing of what is in
the files. A failed flush is never tried again: after one, the kernel may have dropped the dirty pages and
report success (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ledger.errors import DatabaseInUse

TEMPORARY_SUFFIX = ".tmp"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # of a write: a flush that fails may have lost anything


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of `data`, however many system calls that takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o644) -> None:
    """Put `data` at `path` in one step: a reader, or a crash, finds the old content or the new, never a mixture.

    `durable` flushes before and after the rename, so that the new content survives a power cut; without it the
    change survives the death of the process alone, and costs some 20 us. Raises OSError.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    if durable:
        sync_directory(path.parent)


def create_new(path: Path, mode: int = 0o600) -> int:
    """A descriptor, for reading and writing, of a file that was not there. Raises FileExistsError, OSError.

    A name that is taken may be another's work, or a link that somebody planted: it is not followed and not emptied.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def open_regular(path: Path) -> BinaryIO:
    """A file to read. Raises OSError, also for a directory, a device, and a pipe (which would be waited for)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file")


def hold(descriptor: int, path: Path) -> None:
    """Lock an open file for this process alone, until it is closed. Raises `DatabaseInUse`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DatabaseInUse(in_use(path)) from None
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return
    raise DatabaseInUse(in_use(path))  # replaced by its holder between our open and our lock


def in_use(path: Path) -> str:
    """The sentence that an operator reads."""
    return f"another process has {path} open: is a node running with this data directory? Stop it first"
