"""What processes used, read from /proc: CPU seconds so far, peak and present resident memory. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Usage(msgspec.Struct, frozen=True):
    """One process at one moment. `peak_mib` is the most memory it ever held (VmHWM)."""

    cpu_s: float
    memory_mib: float
    peak_mib: float


def usage_of(pid: int) -> Usage:
    """What process `pid` has used since its start. Raises OSError when it is gone."""
    directory = Path("/proc") / str(pid)
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    user_ticks, system_ticks = int(fields[11]), int(fields[12])
    lines = dict(line.split(":", 1) for line in (directory / "status").read_text().splitlines())
    return Usage(
        cpu_s=(user_ticks + system_ticks) / _TICKS_PER_S,
        memory_mib=_mib(lines.get("VmRSS", "0 kB")),
        peak_mib=_mib(lines.get("VmHWM", "0 kB")),
    )


def age_s(pid: int) -> float:
    """Seconds since process `pid` was started."""
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    up_s = float(Path("/proc/uptime").read_text().split()[0])
    return up_s - int(fields[19]) / _TICKS_PER_S


def _mib(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) / 1024
