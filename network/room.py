"""Waits until a disk that was full has room again. Writes one probe file, and removes it; knows nothing of a node.

Room for the next record is not enough: a node that began again with so little would end again at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

ROOM_BYTES = 64 << 20
LOOK_EVERY_S = 0.5
PROBE_FILE = "room.probe"


async def wait_for_room(directory: Path, room_bytes: int = ROOM_BYTES) -> None:
    """Return as soon as so much can be stored in this directory."""
    while not await asyncio.to_thread(has_room, directory, room_bytes):  # noqa: ASYNC110 - nobody tells of free space
        await asyncio.sleep(LOOK_EVERY_S)


def has_room(directory: Path, room_bytes: int = ROOM_BYTES) -> bool:
    """Whether so much can be stored there now: tried, not computed, since quotas and limits count as well."""
    probe = directory / PROBE_FILE
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, room_bytes)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return True
