"""Starts the executor and the gateway beside the validator, watches them, starts them again when they die.

A child inherits one pipe from its parent as standard input and ends when that pipe closes (`network.lifeline`), so
nothing outlives a validator that was killed with SIGKILL. Restarts back off; a child that lives long enough resets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

log = logging.getLogger("quorate.supervisor")

RESTART_DELAY_MIN_S = 0.2
RESTART_DELAY_MAX_S = 2.0  # a node whose disk was full must be whole again in seconds
HEALTHY_AFTER_S = 10.0
STOP_GRACE_S = 5.0
ENDED_IN_ORDER = frozenset({0, -signal.SIGTERM})  # as if it had been asked to
EXIT_UNFIT = 3  # a child's word that starting it again cannot help (a port taken, say)


@dataclass(frozen=True)
class ChildSpec:
    """A process to keep alive: `module` is run with `python -m`, in exactly the environment given.

    `ended(code)` is called in a thread before it is started again.
    """

    name: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ended: Callable[[int], None] = lambda _: None


class Child:
    """One supervised process."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.unfit: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        """The running process's id, None between two lives."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process and watch it from now on."""
        await self._spawn()
        self._task = asyncio.create_task(self._watch(), name=f"watch-{self.spec.name}")

    def expect_end(self) -> None:
        """It may end from now on, and is not started again: whoever stops this process may stop all of its group."""
        self._stopping.set()

    async def stop(self) -> None:
        """Ask it to end, wait, and end it."""
        self.expect_end()
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_GRACE_S)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if not self.unfit.done():
            self.unfit.cancel()

    async def kill(self) -> None:
        """End it at once; the watch starts it again."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.spec.module,
            *self.spec.arguments,
            stdin=asyncio.subprocess.PIPE,
            env=dict(self.spec.environment),
        )
        log.debug("%s runs as process %d", self.spec.name, self._process.pid)

    async def _is_stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        delay_s = RESTART_DELAY_MIN_S
        while True:
            assert self._process is not None
            began = loop.time()
            code = await self._process.wait()
            if self._stopping.is_set():
                return
            if code == EXIT_UNFIT:
                self.unfit.set_result(f"the {self.spec.name} cannot run (its own message is above)")
                return
            if loop.time() - began > HEALTHY_AFTER_S:
                delay_s = RESTART_DELAY_MIN_S
            if code not in ENDED_IN_ORDER:
                log.warning("the %s ended with code %s: starting it again in %.1f s", self.spec.name, code, delay_s)
            if await self._is_stopped_within(delay_s):
                return
            if code in ENDED_IN_ORDER:  # a signal to the whole group is told to this process a moment later
                log.warning("the %s was ended by somebody (code %s): starting it again", self.spec.name, code)
            delay_s = min(delay_s * 2, RESTART_DELAY_MAX_S)
            self.restarts += 1
            try:
                await asyncio.to_thread(self.spec.ended, code)
                await self._spawn()
            except OSError as error:  # no memory, no file left: the old process has still ended, so it is tried again
                log.error("the %s cannot be started now: %s", self.spec.name, error)
