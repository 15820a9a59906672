"""What a process hears, and when: it may be frozen for a while, or slow. Knows no message and no replica.

A frozen process (SIGSTOP) hears nothing and no timer of it runs out; when it goes on, everything that was due meanwhile
happens at once, then every message that found room. A slow one takes its time for each message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

INBOX_PER_MEMBER_MAX = 128  # of messages that wait for their step; more are dropped, and sent again (STATUS)

Later = Callable[..., None]  # (milliseconds, what to do, its arguments)


class Attention:
    """One process's. `begin` starts with nothing heard; what an earlier process was due is forgotten."""

    def __init__(self, later: Later, hear: Callable[[bytes], None]) -> None:
        self.frozen = False
        self.thought_ms = 0  # how long it thinks about a message
        self._later = later
        self._hear = hear
        self.begin()

    def begin(self) -> None:
        """Another process."""
        self.life = object()
        self.frozen = False
        self.waiting: deque[tuple[int, bytes]] = deque()  # (sender, message)
        self._waiting_of: dict[int, int] = {}
        self._overdue: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._thinking = False

    def attend(self, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Something is due: now, or when the process goes on."""
        if self.frozen:
            self._overdue.append((act, arguments))
        else:
            act(*arguments)

    def receive(self, sender: int, data: bytes) -> None:
        """A message comes over a link."""
        if not self.frozen and not self.thought_ms and not self.waiting:
            self._hear(data)
        elif self._waiting_of.get(sender, 0) < INBOX_PER_MEMBER_MAX:
            self._waiting_of[sender] = self._waiting_of.get(sender, 0) + 1
            self.waiting.append((sender, data))
            self._think()

    def go_on(self) -> None:
        """Not frozen any more: every timer that ran out meanwhile, then every message that was not dropped, at once."""
        self.frozen = False
        overdue, self._overdue = self._overdue, []
        life = self.life
        for act, arguments in overdue:
            if life is self.life:
                act(*arguments)
        if life is self.life and not self._thinking:
            self._hear_all()

    def _think(self) -> None:
        if not self._thinking and not self.frozen:
            self._thinking = True
            self._later(self.thought_ms, self._thought)

    def _thought(self) -> None:
        self._thinking = False
        if not self.thought_ms:
            self._hear_all()
        elif self.waiting:
            self._hear_one()
            if self.waiting:
                self._think()

    def _hear_all(self) -> None:
        life = self.life
        while self.waiting and life is self.life:
            self._hear_one()

    def _hear_one(self) -> None:
        sender, data = self.waiting.popleft()
        self._waiting_of[sender] -= 1
        self._hear(data)
