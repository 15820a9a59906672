"""The second place: a small file that remembers how far a block store had got, so that a lost tail is noticed.

Two slots, a page apart, written in turn, each with a sequence number and a check: a torn write spoils one slot and
the other still speaks. A write costs one system call and no flush; it therefore outlives the process, and a
power cut only once `sync` was called. So the marker says two things: how far blocks were *stored*, and how far
they were *synced*, which is what was promised.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from ledger.files import sync_directory

_MAGIC = b"QUORATEM"
_SLOT = struct.Struct("<8sQqq32s")  # magic, sequence, stored height, synced height, header hash of the stored one
_CHECK_BYTES = 16
_SLOT_DISTANCE = 4096


@dataclass(frozen=True)
class Mark:
    """Heights are -1 before the first block."""

    stored_height: int
    stored_hash: bytes
    synced_height: int


NOTHING = Mark(-1, bytes(32), -1)


class Marker:
    """An open marker file. `mark` is the last one written; None in a file that never held one, or lost both slots."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises OSError."""
        existed = path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not existed:
            sync_directory(path.parent)
        slots = [self._read(0), self._read(1)]
        found = max((slot for slot in slots if slot), key=lambda slot: slot[0], default=None)
        self._sequence = found[0] if found else 0
        self.mark: Mark | None = found[1] if found else None

    def write(self, mark: Mark) -> None:
        """Replace the older slot; not flushed. Raises OSError."""
        self._sequence += 1
        data = _SLOT.pack(_MAGIC, self._sequence, mark.stored_height, mark.synced_height, mark.stored_hash)
        slot = data + _check(data)
        if os.pwrite(self._descriptor, slot, self._sequence % 2 * _SLOT_DISTANCE) != len(slot):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.mark = mark

    def sync(self) -> None:
        """Flush. Raises OSError, after which the marker must not be trusted to be durable."""
        os.fdatasync(self._descriptor)

    def mend(self, path: Path) -> str:
        """Write the file anew where it does not hold what was written last; says what was wrong. Raises OSError."""
        wrong = self._wrong(path)
        if wrong and self.mark is not None:
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:  # the number stays, and is at no moment another file's: another thread may flush by it
                os.dup2(opened, self._descriptor, inheritable=False)
            finally:
                os.close(opened)
            self.write(self.mark)
            self.write(self.mark)
            self.sync()
            sync_directory(path.parent)
        return wrong

    def _wrong(self, path: Path) -> str:
        try:
            same = path.stat().st_ino == os.fstat(self._descriptor).st_ino
        except FileNotFoundError:
            return f"{path} is missing"
        if not same:
            return f"{path} is another file than this process writes to"
        if self.mark is not None and self._read(self._sequence % 2) != (self._sequence, self.mark):
            return f"{path} is damaged"
        return ""

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self, slot: int) -> tuple[int, Mark] | None:
        data = os.pread(self._descriptor, _SLOT.size + _CHECK_BYTES, slot * _SLOT_DISTANCE)
        body, check = data[: _SLOT.size], data[_SLOT.size :]
        if len(check) != _CHECK_BYTES or _check(body) != check or not body.startswith(_MAGIC):
            return None
        _, sequence, stored_height, synced_height, stored_hash = _SLOT.unpack(body)
        return sequence, Mark(stored_height, stored_hash, synced_height)


def _check(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_CHECK_BYTES]
