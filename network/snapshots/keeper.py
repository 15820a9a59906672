"""When a snapshot is due, and which are kept: starts the process that makes one, and deletes those that are old.

One is made at a time; a height that falls due meanwhile is passed over. What a process that died has left half-made is
removed before the next begins. A validator that cannot make snapshots goes on voting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ledger.snapshot_file import PART_SUFFIX
from ledger.snapshot_maker import SPOOL_SUFFIX

log = logging.getLogger("quorate.snapshots")

SUFFIX = ".snapshot"
DIGITS = 16
MODULE = "network.snapshots.process"
EXIT_STATE_DIFFERS = 3  # of that process: it read the whole state, and that does not give the sealed root


def snapshot_path(directory: Path, height: int) -> Path:
    """Where the snapshot of a height is kept."""
    return directory / f"{height:0{DIGITS}d}{SUFFIX}"


def kept_snapshots(directory: Path) -> list[Path]:
    """Those there are, the newest first."""
    return sorted(directory.glob(f"{'[0-9]' * DIGITS}{SUFFIX}"), reverse=True)


def clear_rubbish(directory: Path) -> list[str]:
    """Remove what a process left that died while it made one, and say which."""
    found = [path for suffix in (PART_SUFFIX, SPOOL_SUFFIX) for path in directory.glob(f"*{SUFFIX}{suffix}")]
    for path in found:
        path.unlink(missing_ok=True)
    return [path.name for path in found]


def is_wanted(directory: Path, height: int, keep: int) -> bool:
    """Whether a snapshot of this height would stay: a node that lost its state executes heights again."""
    kept = kept_snapshots(directory)[:keep]
    path = snapshot_path(directory, height)
    return path not in kept and (len(kept) < keep or path > kept[-1])


def delete_old(directory: Path, keep: int) -> None:
    """Keep only the newest."""
    for path in kept_snapshots(directory)[keep:]:
        path.unlink(missing_ok=True)


class SnapshotKeeper:
    """Follows the sealed heights of one node. `close` ends a process that is at work.

    `state_differs(height)` is told when the state that was read for a snapshot does not give the sealed root.
    """

    def __init__(
        self,
        config_path: Path,
        every: int,
        environment: Mapping[str, str],
        state_differs: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._config_path = config_path
        self._state_differs = state_differs
        self._every = every
        self._environment = environment
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def on_sealed(self, height: int) -> None:
        """This block is sealed: is its state to be kept?"""
        if self._every and height % self._every == 0 and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._make(height), name="snapshot")

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _make(self, height: int) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", MODULE, "--config", str(self._config_path), "--height", str(height)),
                stdin=asyncio.subprocess.PIPE,  # it ends when this process does
                env=dict(self._environment),
            )
        except OSError as error:
            log.error("the process that makes a snapshot cannot be started now: %s", error)
            return
        code = await self._process.wait()
        if code:
            log.warning("no snapshot of height %d was made (its own message is above)", height)
        if code == EXIT_STATE_DIFFERS:
            self._state_differs(height)


def environment() -> dict[str, str]:
    """What the process needs of this one's environment."""
    names = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")
    return {name: os.environ[name] for name in names if name in os.environ}
