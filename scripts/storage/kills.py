"""A process that writes, killed at one of its system calls: `strace` counts them and kills, LevelDB's thread included.

The process opens a copy, writes a few blocks more, or a few records, and ends. Which system calls change files is
counted in a run that is left alive; then each of them is the last one once.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger import codec
from scripts.storage.world import ACKNOWLEDGED, BLOCKS, KINDS, LANDING, STATE, World

CALLS = ("openat", "write", "pwrite64", "rename", "unlink", "ftruncate", "fsync", "fdatasync", "mkdir")
TIMEOUT_S = 60
LATER = "later"  # a file: what the writer is to write
_OPENS_FOR_WRITING = "O_CREAT"


@dataclass(frozen=True)
class Kill:
    """The writer of one kind of file dies in place of its `number`th call of this name."""

    kind: str
    call: str
    number: int
    later: bytes
    name: str = "kill"

    def do(self, folder: Path) -> None:
        """Run the writer on the copy, until it is killed."""
        (folder / LATER).write_bytes(self.later)
        (folder / ACKNOWLEDGED).touch()
        _run(self.kind, folder, self.call, ["-e", f"inject={self.call}:signal=SIGKILL:when={self.number}"])

    def __str__(self) -> str:
        return f"kill: the writer of {self.kind} at {self.call} number {self.number}"


def find_strace() -> str | None:
    """Where it is."""
    return shutil.which("strace")


def kills(
    world: World, folder: Path, kinds: Sequence[str] = (*KINDS, LANDING), calls: Sequence[str] = CALLS
) -> Iterator[Kill]:
    """One for every call by which the writer of each kind changes files of its folder."""
    for kind in kinds:
        for call in calls:
            shutil.rmtree(folder, ignore_errors=True)
            world.copy(kind, folder)
            (folder / LATER).write_bytes(later(world, kind))
            for number in sorted(_changing(_run(kind, folder, call, []), call, folder)):
                yield Kill(kind, call, number, later(world, kind))
    shutil.rmtree(folder, ignore_errors=True)


def _changing(log: str, call: str, folder: Path) -> set[int]:
    """Which calls of this name change the folder, each counted within its thread: so does strace when it kills."""
    counts: Counter[str] = Counter()
    found: set[int] = set()
    for line in log.splitlines():
        match = re.match(rf"(\d+) +{call}\(", line)
        if match:
            counts[match[1]] += 1
            if str(folder) in line and (call != "openat" or _OPENS_FOR_WRITING in line):
                found.add(counts[match[1]])
    return found


def _run(kind: str, folder: Path, call: str, inject: list[str]) -> str:
    log = folder.parent / "strace.log"
    strace = find_strace()
    assert strace is not None, "asked for before"
    words = [strace, "-f", "-y", "-s", "0", "-qq", "-o", str(log), "-e", f"trace={call}", *inject]
    writer = [sys.executable, "-m", "scripts.storage.writer", kind, str(folder)]
    subprocess.run([*words, *writer], check=False, timeout=TIMEOUT_S, capture_output=True)
    return log.read_text(errors="replace")


def later(world: World, kind: str) -> bytes:
    """What a writer adds to a copy, encoded for it."""
    if kind == BLOCKS:
        return codec.encode([record.encode() for record in world.records[world.heights :]])
    if kind == LANDING:
        return codec.encode([world.genesis.encode(), [record.encode() for record in world.records]])
    if kind == STATE:
        return codec.encode([list(writes.items()) for writes in world.writes[world.heights :]])
    return codec.encode(world.journal[world.journal_length :])
