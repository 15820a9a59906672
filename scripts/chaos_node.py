"""A node on a wall clock that a test can shift while it runs: `python -m scripts.chaos_node CLOCK DIRECTORY`.

The program has no such switch, and needs none: here `time.time_ns` alone, by which proposals are stamped and judged,
is replaced before anything is imported that reads it. CLOCK is a file of eight bytes, the shift in nanoseconds.
Timers run on the monotonic clock, which nobody sets; it stays as it is, and so do the times in the log.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

SHIFT = struct.Struct("<q")


def set_shift(clock: Path, shift_ms: int) -> None:
    """Shift the clock of whoever runs on this file, at once."""
    clock.parent.mkdir(parents=True, exist_ok=True)
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(SHIFT.pack(shift_ms * 1_000_000))


def _shift_clock(clock: Path) -> None:
    with clock.open("rb") as file:
        shift = mmap.mmap(file.fileno(), SHIFT.size, access=mmap.ACCESS_READ)
    true_ns = time.time_ns

    def shifted_ns() -> int:
        return true_ns() + int(SHIFT.unpack_from(shift)[0])

    time.time_ns = shifted_ns


def main() -> int:
    """Take the first argument for the clock, and hand the rest to the node."""
    _shift_clock(Path(sys.argv.pop(1)))
    from network.node_process import main as node

    return node()


if __name__ == "__main__":
    raise SystemExit(main())
