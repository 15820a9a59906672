"""The performer of the replica: one event at a time in, its actions out, in order, and never before they are durable.

It owns the vote journal and the replica's timers. Many events are stepped, then one fsync makes all their records
durable, then all their actions are performed: under load that is one fsync for many votes. It decides nothing; what
an action means for the rest of the node is behind the `Performer` that it is given.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from consensus import Replica, actions, events
from ledger.errors import StorageError
from ledger.journal import Journal

log = logging.getLogger("quorate.driver")

EVENTS_QUEUED_MAX = 100_000
EVENTS_A_TURN_MAX = 256
JOURNAL_REWRITE_BYTES = 32 << 20

BODY_RECORD = b"B"
REPLICA_RECORD = b"R"


class Performer(Protocol):
    """The rest of the node, as the driver needs it. No method may block or raise."""

    def send(self, member: int, data: bytes) -> None:
        """Send a consensus message to one member."""

    def broadcast(self, data: bytes) -> None:
        """Send a consensus message to every other member."""

    def perform(self, action: actions.Action) -> None:
        """Carry out any other action."""

    def pinned_bodies(self) -> Sequence[bytes]:
        """The bodies that must outlive a rewriting of the journal. Whatever is older is in the block store, synced."""
        ...


class Driver:
    """Runs one replica. `post` from anywhere on the loop; `run` until it is cancelled or the storage fails."""

    def __init__(
        self,
        replica: Replica,
        journal: Journal,
        performer: Performer,
        now_ms: Callable[[], int],
        *,
        halted: Callable[[str], None],
    ) -> None:
        self.replica = replica
        self.events_dropped = 0
        self._journal = journal
        self._performer = performer
        self._now_ms = now_ms
        self._halted = halted
        self._events: deque[events.Event] = deque([events.Start(now_ms())])
        self._wake = asyncio.Event()
        self._wake.set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._bodies_to_append: list[bytes] = []
        self._disk = ThreadPoolExecutor(1, "journal")

    def post(self, event: events.Event) -> None:
        """Queue an event. Consensus messages are dropped past the limit (peers send again); all else always fits."""
        if len(self._events) >= EVENTS_QUEUED_MAX and isinstance(event, events.Received):
            self.events_dropped += 1
            return
        self._events.append(event)
        self._wake.set()

    def keep_bodies(self, raws: Sequence[bytes]) -> None:
        """Journal transaction bodies: they are durable with the next record, so before any vote that rests on them."""
        self._bodies_to_append.extend(BODY_RECORD + raw for raw in raws)

    async def run(self) -> None:
        """Step and perform until cancelled. A journal that cannot be written ends it: no vote without its record."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._turn()
        except StorageError as error:
            self._halted(f"the vote journal cannot be written, so this validator votes no more: {error}")
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._disk.shutdown(wait=True)

    async def _turn(self) -> None:
        todo: list[actions.Action] = []
        for _ in range(min(len(self._events), EVENTS_A_TURN_MAX)):
            todo += self.replica.step(self._events.popleft())
        if self._events:
            self._wake.set()
        records = [REPLICA_RECORD + action.record for action in todo if isinstance(action, actions.Persist)]
        if records:
            await self._make_durable(records)
        for action in todo:
            self._perform(action)

    async def _make_durable(self, records: list[bytes]) -> None:
        bodies, self._bodies_to_append = self._bodies_to_append, []
        await asyncio.get_running_loop().run_in_executor(self._disk, self._write, bodies + records)
        if self._journal.size_bytes > JOURNAL_REWRITE_BYTES:
            await self._rewrite()

    def _write(self, records: list[bytes]) -> None:
        self._journal.append(records)
        self._journal.sync()

    async def _rewrite(self) -> None:
        """Keep only what is still needed. Nothing is appended meanwhile: only this coroutine writes."""
        kept = [BODY_RECORD + raw for raw in self._performer.pinned_bodies()]
        kept += [REPLICA_RECORD + record for record in self.replica.journal_snapshot()]
        self._bodies_to_append.clear()  # they are among the pinned ones
        before = self._journal.size_bytes
        await asyncio.get_running_loop().run_in_executor(self._disk, self._journal.rewrite, kept)
        log.info("vote journal rewritten: %d KiB, was %d KiB", self._journal.size_bytes >> 10, before >> 10)

    def _perform(self, action: actions.Action) -> None:
        match action:
            case actions.Persist():
                pass
            case actions.Broadcast(data):
                self._performer.broadcast(data)
            case actions.Send(member, data):
                self._performer.send(member, data)
            case actions.SetTimer(name, after_ms):
                self._set_timer(name, after_ms)
            case actions.CancelTimer(name):
                self._cancel_timer(name)
            case _:
                self._performer.perform(action)

    def _set_timer(self, name: str, after_ms: int) -> None:
        self._cancel_timer(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(after_ms / 1000, self._fire, name)

    def _cancel_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, name: str) -> None:
        self._timers.pop(name, None)
        self.post(events.TimerFired(name, self._now_ms()))


def split_journal(records: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """A journal's records as (bodies, replica records), in order."""
    bodies = [record[1:] for record in records if record[:1] == BODY_RECORD]
    votes = [record[1:] for record in records if record[:1] == REPLICA_RECORD]
    return bodies, votes
