"""A child's tie to its parent: it ends when its standard input closes, so a killed validator leaves nothing behind.

It also holds what every process of a node does first: the fast event loop, the log's form, and signals.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

COLLECT_AFTER_ALLOCATIONS = 20_000
LOG_FORMAT = "%(asctime)s %(levelname).1s %(name)s %(message)s"


def set_up_logging(process: str, level: str) -> None:
    """Log to standard error, one line an event, each with the process's name."""
    logging.basicConfig(
        level=level.upper(), format=LOG_FORMAT.replace("%(name)s", f"[{process}] %(name)s"), stream=sys.stderr
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a process's main coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def settle_memory() -> None:
    """Called once a process is assembled: what is there stays, and the collector of cycles comes less often.

    A node makes tens of thousands of short-lived values a second and hardly a cycle; with the defaults the collector
    looks at all of them again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_ALLOCATIONS, 20, 50)


class StopSignal:
    """Set by SIGTERM, SIGINT, or the parent's death.

    Ctrl-C reaches every process of a terminal at once. A child leaves it to its parent, which ends the children in
    order and would otherwise take an early end for a failure.
    """

    def __init__(self, *, follow_parent: bool) -> None:
        self.reason = ""
        self._event = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.set, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, (lambda: None) if follow_parent else lambda: self.set("SIGINT"))
        if follow_parent:
            os.set_blocking(sys.stdin.fileno(), False)
            loop.add_reader(sys.stdin.fileno(), self._on_parent)

    def set(self, reason: str) -> None:
        """Ask the process to end."""
        self.reason = self.reason or reason
        self._event.set()

    async def wait(self) -> str:
        """Wait for the first reason to end."""
        await self._event.wait()
        return self.reason

    def _on_parent(self) -> None:
        try:
            alive = bool(os.read(sys.stdin.fileno(), 64))
        except BlockingIOError:
            return
        if not alive:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.set("the parent process is gone")
