"""Consensus messages that wait for their step: a bounded queue for each member, taken from in turn.

So a member that floods delays its own messages and nobody else's. It reads no message: who signed one is judged
later, and what is dropped here is sent again (STATUS).
"""

from __future__ import annotations

from collections import deque

from consensus.events import Received

MESSAGES_PER_MEMBER_MAX = 4096
BYTES_PER_MEMBER_MAX = 8 << 20  # one message more is taken below it, so that the largest always finds a way


class Inbox:
    """First in, first out for each member; one of each member after the other."""

    def __init__(self) -> None:
        self.dropped = 0
        self._queues: dict[int, deque[Received]] = {}
        self._bytes: dict[int, int] = {}
        self._turns: deque[int] = deque()  # the members whose queue is not empty

    def __bool__(self) -> bool:
        return bool(self._turns)

    def add(self, member: int, event: Received) -> bool:
        """Queue a message that this member's link brought; False when it is dropped."""
        queue = self._queues.setdefault(member, deque())
        size = self._bytes.get(member, 0)
        if len(queue) >= MESSAGES_PER_MEMBER_MAX or size >= BYTES_PER_MEMBER_MAX:
            self.dropped += 1
            return False
        if not queue:
            self._turns.append(member)
        queue.append(event)
        self._bytes[member] = size + len(event.data)
        return True

    def take(self) -> Received | None:
        """The next message, None when there is none."""
        if not self._turns:
            return None
        member = self._turns.popleft()
        event = self._queues[member].popleft()
        self._bytes[member] -= len(event.data)
        if self._queues[member]:
            self._turns.append(member)
        return event

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._bytes.clear()
        self._turns.clear()
