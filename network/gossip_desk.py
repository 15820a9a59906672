"""What peers gossip, a fair share each: whoever sends more than is checked in time delays its own transactions only.

A correct member gossips what it has checked itself. So what turns out to be no valid transaction proves that the member
whose link brought it is faulty, and its link is reset for a while. It decides nothing about the transactions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence

CHECKED_AT_ONCE = 2048  # transactions of all members together; this node's own clients wait behind so many
CHECKED_AT_ONCE_MIN = 32  # of one member, however many there are
HELD_TRANSACTIONS_MAX = 8192  # of one member; more is dropped: it is fetched when it is proposed
HELD_BYTES_MAX = 4 << 20
NEVER_CORRECT = frozenset({"malformed", "too_large", "wrong_chain", "gas_limit", "bad_signature"})


class _Queue:
    """What one member sent and is not checked yet."""

    def __init__(self) -> None:
        self.raws: deque[bytes] = deque()
        self.bytes = 0
        self.worker: asyncio.Task[None] | None = None

    def add(self, raws: Sequence[bytes]) -> bool:
        size = sum(map(len, raws))
        if self.raws and (len(self.raws) + len(raws) > HELD_TRANSACTIONS_MAX or self.bytes + size > HELD_BYTES_MAX):
            return False
        self.raws.extend(raws)
        self.bytes += size
        return True

    def take(self, count: int) -> list[bytes]:
        taken = [self.raws.popleft() for _ in range(min(count, len(self.raws)))]
        self.bytes -= sum(map(len, taken))
        return list(dict.fromkeys(taken))

    def clear(self) -> None:
        self.raws.clear()
        self.bytes = 0


class GossipDesk:
    """`take(raws)` checks and pools transactions, and says what was wrong; `penalise(member, reason)` cuts off."""

    def __init__(
        self,
        *,
        members: int,
        take: Callable[[Sequence[bytes]], Awaitable[Collection[str]]],
        penalise: Callable[[int, str], None],
    ) -> None:
        self._at_once = max(CHECKED_AT_ONCE_MIN, CHECKED_AT_ONCE // max(1, members - 1))
        self._take = take
        self._penalise = penalise
        self._queues = [_Queue() for _ in range(members)]
        self.dropped = 0

    def on_gossip(self, member: int, raws: Sequence[bytes]) -> None:
        """A member spreads these."""
        queue = self._queues[member]
        if not queue.add(raws):
            self.dropped += len(raws)
        elif queue.worker is None and raws:
            queue.worker = asyncio.create_task(self._work(member, queue), name=f"gossip-{member}")

    async def close(self) -> None:
        """Leave what is not checked."""
        workers = [queue.worker for queue in self._queues if queue.worker]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, member: int, queue: _Queue) -> None:
        try:
            while queue.raws:
                faults = NEVER_CORRECT.intersection(await self._take(queue.take(self._at_once)))
                if faults:
                    queue.clear()
                    self._penalise(member, f"it spreads what is no valid transaction ({', '.join(sorted(faults))})")
        finally:
            queue.worker = None
