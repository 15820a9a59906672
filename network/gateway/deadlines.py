"""One timer for the deadlines of many connections: a request sets numbers, and a sweep looks at them now and then.

A timer of its own for the head, the body and the pause of every request costs more than reading the request does.
It knows no connection: who is late is told so, at most `every_s` after its time.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Timed(Protocol):
    """What is swept."""

    def on_time(self, now_s: float) -> None:
        """It is `now_s`, in the loop's time: do what is due."""
        ...


class Sweep:
    """Runs while it has members."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._members: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Timed) -> None:
        """Tell it the time from now on."""
        self._members.add(member)
        if self._timer is None:
            self._start()

    def discard(self, member: Timed) -> None:
        """Tell it no more."""
        self._members.discard(member)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._every_s, self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now_s = loop.time()
        for member in list(self._members):
            member.on_time(now_s)
        if self._members:
            self._start()
