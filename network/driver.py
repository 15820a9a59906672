"""The performer of the replica: one event at a time in, its actions out, in order, and never before they are durable.

It owns the vote journal and the replica's timers. Many events are stepped, then one fsync makes all their records
durable, then all their actions are performed: under load that is one fsync for many votes. It decides nothing; what
an action means for the rest of the node is behind the `Performer` that it is given.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from consensus import Replica, actions, events
from consensus.errors import JournalDamaged
from consensus.recovery import BatchHeld, read_record
from ledger.errors import DataLost, DiskFull, StorageError
from ledger.journal import Journal
from ledger.types import Batch
from network.inbox import Inbox

log = logging.getLogger("quorate.driver")

EVENTS_A_TURN_MAX = 256
TURN_S_MAX = 0.02  # then links, pings and clients get their turn, however costly the messages are
JOURNAL_REWRITE_BYTES = 2 << 20  # reading 32 MiB of votes took a restarting validator two seconds
TOKEN_BITS = 62  # of the random number that each start puts to the others
BODIES_PENDING_BYTES_MAX = 4 << 20  # bodies are written with the next record, or when so many wait for one

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
    """Runs one replica. `post` and `receive` from anywhere on the loop; `run` until cancelled, halted or diskless."""

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
        self._journal = journal
        self._performer = performer
        self._now_ms = now_ms
        self._halted = halted
        self.disk_full = False
        """Whether lack of room is what ended it: a driver made anew on the same journal may go on."""
        self._events: deque[events.Event] = deque([events.Start(now_ms(), _draw_token())])
        self._inbox = Inbox()
        self._ended = False
        self._wake = asyncio.Event()
        self._wake.set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._due: dict[str, events.TimerFired] = {}  # fired, and not stepped yet
        self._bodies_to_append: list[bytes] = []
        self._bodies_to_append_bytes = 0
        self._rewrite_above_bytes = JOURNAL_REWRITE_BYTES
        self._disk = ThreadPoolExecutor(1, "journal")

    @property
    def events_dropped(self) -> int:
        """Messages of members that found their queue full."""
        return self._inbox.dropped

    def post(self, event: events.Event) -> None:
        """Queue what this node itself has to say: never dropped, and stepped before what members say."""
        if not self._ended:
            self._events.append(event)
            self._wake.set()

    def receive(self, member: int, data: bytes) -> None:
        """Queue a consensus message that came over this member's link. Past its limit it is dropped, and sent again."""
        if not self._ended and self._inbox.add(member, events.Received(data, self._now_ms())):
            self._wake.set()

    def halt(self) -> None:
        """Sign and count nothing from now on, whatever is queued: this node has found that it must not vote."""
        self._end()
        self._wake.set()

    def rewrite_journal(self) -> bool:
        """Write the vote journal anew with the next turn: its file does not hold what was written any more.

        False where nothing is written any more: this driver has ended.
        """
        if self._ended:
            return False
        self._rewrite_above_bytes = 0
        self._wake.set()
        return True

    def keep_bodies(self, raws: Sequence[bytes]) -> None:
        """Journal transaction bodies: they are durable with the next record, so before any vote that rests on them."""
        if not self._ended:
            self._bodies_to_append.extend(BODY_RECORD + raw for raw in raws)
            self._bodies_to_append_bytes += sum(map(len, raws))

    async def run(self) -> None:
        """Step and perform until cancelled. Storage that cannot be written ends it: no vote without its record."""
        try:
            while not self._ended:
                await self._wake.wait()
                self._wake.clear()
                await self._turn()
                await asyncio.sleep(0)  # a turn without a record has not let anybody else run
        except StorageError as error:
            self.disk_full = isinstance(error, DiskFull)
            self._halted(f"its storage failed, so this validator votes no more: {error}")
        finally:
            self._end()
            for timer in self._timers.values():
                timer.cancel()
            self._disk.shutdown(wait=True)

    def _end(self) -> None:
        self._ended = True
        self._events.clear()
        self._inbox.clear()

    async def _turn(self) -> None:
        todo: list[actions.Action] = []
        until = time.monotonic() + TURN_S_MAX
        for _ in range(EVENTS_A_TURN_MAX):
            event = self._next()
            if event is None:
                break
            todo += self._step(event)
            if time.monotonic() > until:
                break
        if self._events or self._inbox:
            self._wake.set()
        records = [REPLICA_RECORD + action.record for action in todo if isinstance(action, actions.Persist)]
        if records or self._bodies_to_append_bytes > BODIES_PENDING_BYTES_MAX:
            await self._make_durable(records)
        if self._ended:
            return  # halted meanwhile: what was signed in this turn never leaves
        for action in todo:
            self._perform(action)
        if self._journal.size_bytes > self._rewrite_above_bytes:
            await self._rewrite()

    def _next(self) -> events.Event | None:
        return self._events.popleft() if self._events else self._inbox.take()

    def _step(self, event: events.Event) -> list[actions.Action]:
        """One step. A firing counts only if its timer was neither set anew nor cancelled since it was queued."""
        if isinstance(event, events.TimerFired):
            if self._due.get(event.name) is not event:
                return []
            del self._due[event.name]
        todo = self.replica.step(event)
        for action in todo:
            if isinstance(action, actions.SetTimer | actions.CancelTimer):
                self._cancel_timer(action.name)
        return todo

    async def _make_durable(self, records: list[bytes]) -> None:
        bodies = self._take_bodies()
        await asyncio.get_running_loop().run_in_executor(self._disk, self._write, bodies + records)

    def _take_bodies(self) -> list[bytes]:
        bodies, self._bodies_to_append, self._bodies_to_append_bytes = self._bodies_to_append, [], 0
        return bodies

    def _write(self, records: list[bytes]) -> None:
        self._journal.append(records)
        self._journal.sync()

    async def _rewrite(self) -> None:
        """Keep only what is still needed. Nothing is appended meanwhile: only this coroutine writes.

        Every action of the replica was performed, so the block store holds each seal that the replica does, and
        `pinned_bodies` syncs it first. The snapshot's anchor lies two windows below that seal: no crash, not even of
        all members at once, leaves a store below the anchor of its journal (P6.4).
        """
        bodies = [BODY_RECORD + raw for raw in self._performer.pinned_bodies()] + self._take_bodies()
        kept = [*dict.fromkeys(bodies), *(REPLICA_RECORD + record for record in self.replica.journal_snapshot())]
        before = self._journal.size_bytes
        await asyncio.get_running_loop().run_in_executor(self._disk, self._journal.rewrite, kept)
        # What is needed may itself be large: then the next rewriting must wait until half of the file is not.
        self._rewrite_above_bytes = max(JOURNAL_REWRITE_BYTES, 2 * self._journal.size_bytes)
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
        self._due.pop(name, None)
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, name: str) -> None:
        self._timers.pop(name, None)
        self._due[name] = events.TimerFired(name, self._now_ms())
        self.post(self._due[name])


def _draw_token() -> int:
    return 1 + secrets.randbits(TOKEN_BITS)


def split_journal(records: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """A journal's records as (bodies, replica records), in order."""
    bodies = [record[1:] for record in records if record[:1] == BODY_RECORD]
    votes = [record[1:] for record in records if record[:1] == REPLICA_RECORD]
    return bodies, votes


def batches_in(votes: Sequence[bytes]) -> list[Batch]:
    """The batches that a journal's replica records rest on. Raises `DataLost` for what is no such record."""
    try:
        return [record.batch for record in map(read_record, votes) if isinstance(record, BatchHeld)]
    except JournalDamaged as error:
        raise DataLost(f"the vote journal holds what this program never writes: {error}") from None
