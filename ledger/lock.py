"""One process a data directory: an advisory lock on a file in it, released by the kernel when the process dies.

The file holds the process id of its holder, for the error message alone; nobody trusts it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from ledger.errors import DatabaseInUse, StorageError
from ledger.files import hold

LOCK_NAME = "LOCK"


class DirectoryLock:
    """Holds a data directory from the moment it is made until `release` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Raises `DatabaseInUse` when another process (or another lock of this one) holds the directory."""
        self.path = Path(directory) / LOCK_NAME
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"cannot open {self.path}: {error.strerror}") from None
        try:
            hold(self._descriptor, self.path)
        except DatabaseInUse:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise DatabaseInUse(
                f"another process{f' (pid {holder})' if holder.isdigit() else ''} is running with the data directory "
                f"{directory}: stop it first, or choose another directory"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the directory back, with no process id left in it; a second call does nothing."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
