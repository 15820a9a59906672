"""A cluster without chance: real replicas, honest drivers, virtual time, and a hook for what faulty members say.

Nothing here fails by itself: every message takes a millisecond, every disk is at once durable. What goes wrong is
what the user of this module does to it: bend a faulty member's messages, hold back batches or executions, cut links,
restart a node. So a run is a function of those deeds alone, and can be had again. Judges are `scripts.witness`.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from functools import partial

import msgspec

from consensus.actions import (
    Action,
    Broadcast,
    CancelBatch,
    CancelTimer,
    Deliver,
    Fetch,
    FetchBodies,
    Halt,
    Persist,
    RequestBatch,
    Sealed,
    Send,
    SetTimer,
)
from consensus.events import (
    BatchReady,
    BlockFetched,
    BodiesReady,
    Event,
    Executed,
    FetchFailed,
    Received,
    RequestsWaiting,
    Start,
    TimerFired,
)
from consensus.recovery import first_journal
from consensus.replica import Replica
from consensus.simulation.checkers import Violation
from consensus.simulation.stubs import (
    EPOCH_START_MS,
    GENESIS,
    execute,
)
from consensus.standing import Tip, Turn
from ledger.types import Batch, Header, Seal
from scripts.cast import Cast
from scripts.court import Court
from scripts.witness import Witness

LINK_MS = 1
ANSWER_MS = 1
EVENTS_MAX = 1_000_000

Bend = Callable[[int, tuple[int, ...], bytes], list[tuple[int, bytes]]]


class Stored(msgspec.Struct, frozen=True):
    """A block on a node's disk; sealed once it has a seal."""

    header: Header
    batch: Batch
    fresh: tuple[bytes, ...]
    seal: Seal | None


class Node:
    """One member: a disk that survives a restart, and a process that does not."""

    def __init__(self, member: int, world: World) -> None:
        self.member = member
        self.world = world
        self.journal: list[bytes] = first_journal()
        self.blocks: dict[int, Stored] = {}
        self.done: set[bytes] = set()  # every transaction that the blocks have run
        self.replica: Replica | None = None
        self.life = 0
        self.pool: dict[bytes, None] = {}
        self.halted = ""
        self.witness: Witness | None = None  # judges a correct member
        self.stalled: list[tuple[int, Batch]] = []  # delivered, and held up before its execution
        self._timers: dict[str, int] = {}
        self._wanted: RequestBatch | None = None
        self._told_waiting = False
        self._bodies_wanted: list[Batch] = []

    # ── life and death ────────────────────────────────────────────────────────────────────────────

    @property
    def primary(self) -> int:
        """Who proposes next, as this node sees it; -1 while it is down."""
        return self.replica.primary if self.replica else -1

    @property
    def sealed_height(self) -> int:
        """The height of the disk's last sealed block."""
        return max((height for height, block in self.blocks.items() if block.seal), default=0)

    def start(self) -> None:
        """A process begins with what the disk holds."""
        self.life += 1
        top = self.sealed_height
        self.blocks = {height: block for height, block in self.blocks.items() if height <= top}
        self.done = {each for block in self.blocks.values() for each in block.fresh}
        self._timers, self._wanted, self._told_waiting, self._bodies_wanted = {}, None, False, []
        self.stalled = []
        self.pool = {each: None for each in self.world.submitted if each not in self.done}
        tip = self._tip(top)
        if self.witness:
            self.witness.on_start(tip)
        self.replica = self.world.cast.replica(self.member, list(self.journal), tip)
        self.step(Start(self.world.clock_ms))
        self.tell_waiting()

    def _tip(self, top: int) -> Tip:
        block = self.blocks.get(top)
        if block is None:
            return GENESIS
        batches = [self.blocks[height].batch for height in range(1, top + 1)]
        turns = tuple(Turn(each.view, each.proposer, each.since) for each in batches)
        return Tip(top, block.header.hash, block.header.time_ms, block.seal, turns)

    def stop(self) -> None:
        """The process ends; timers and what was under way go with it."""
        self.life += 1
        self.replica = None

    # ── the driver ────────────────────────────────────────────────────────────────────────────────

    def later(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Act after a while, if this process still lives."""
        life = self.life
        self.world.at(self.world.now + delay_ms, lambda: act() if life == self.life else None)

    def receive(self, data: bytes) -> None:
        """Bytes from a link."""
        if self.replica is not None:
            if self.witness:
                self.witness.on_heard(data)
            self.step(Received(data, self.world.clock_ms))

    def step(self, event: Event) -> None:
        """Hand an event to the replica, and perform what it asks for, in order."""
        if self.replica is None:
            return
        if self.witness:
            self.witness.on_event(event)
        for action in self.replica.step(event):
            if self.witness:
                self.witness.on_action(action)
            self.perform(action)

    def perform(self, action: Action) -> None:
        """Do one thing that the replica asked for."""
        match action:
            case Persist(record):
                self.journal.append(record)
            case Send(receiver, data):
                self.world.transmit(self.member, (receiver,), data)
            case Broadcast(data):
                others = tuple(each for each in range(self.world.cast.size) if each != self.member)
                self.world.transmit(self.member, others, data)
            case SetTimer(name, after_ms):
                self._set_timer(name, after_ms)
            case CancelTimer(name):
                self._timers.pop(name, None)
            case RequestBatch():
                self._wanted = action
                self.offer()
            case CancelBatch():
                self._wanted = None
            case FetchBodies(batch):
                self._bodies_wanted.append(batch)
                self.later(ANSWER_MS, self.answer_bodies)
            case Deliver(height, batch):
                self.stalled.append((height, batch))
                self.later(ANSWER_MS, self.execute)
            case Sealed(height, _, seal):
                self._seal(height, seal)
            case Fetch(member, first, last):
                self._fetch(member, first, last)
            case Halt(diagnosis):
                self.halted = diagnosis

    def _set_timer(self, name: str, after_ms: int) -> None:
        ticket = self._timers[name] = self.world.ticket()

        def fire() -> None:
            if self._timers.get(name) == ticket:
                del self._timers[name]
                self.step(TimerFired(name, self.world.clock_ms))

        self.later(after_ms, fire)

    def learn(self, transaction: bytes) -> None:
        """A transaction arrives, with its body."""
        if transaction not in self.done:
            self.pool[transaction] = None
        self.tell_waiting()
        self.answer_bodies()

    def tell_waiting(self) -> None:
        """The pool became empty, or not."""
        if self.replica is not None and bool(self.pool) != self._told_waiting:
            self._told_waiting = bool(self.pool)
            self.step(RequestsWaiting(self._told_waiting, self.world.clock_ms))
        self.offer()

    def offer(self) -> None:
        """Answer a RequestBatch when there is something to propose, and nobody holds the pens back."""
        if self._wanted and self.pool and self.world.pens_move:
            wanted, self._wanted = self._wanted, None
            hashes = tuple(self.pool)[: self.world.cast.parameters.block_transactions_max]
            clock = self.world.clock_ms
            self.later(
                ANSWER_MS,
                lambda: self.step(BatchReady(wanted.height, wanted.view, hashes, clock, self.world.clock_ms)),
            )

    def answer_bodies(self) -> None:
        """Every body that was ever submitted can be had; what was not exists nowhere, and is waited for."""
        wanted, self._bodies_wanted = self._bodies_wanted, []
        for batch in wanted:
            if all(each in self.world.submitted for each in batch.hashes):
                self.step(BodiesReady(batch.digest, self.world.clock_ms))
            else:
                self._bodies_wanted.append(batch)

    def execute(self) -> None:
        """Run what was delivered, unless executions are held up."""
        while self.stalled and self.world.executes:
            height, batch = self.stalled.pop(0)
            parent = self.blocks.get(height - 1)
            before = parent.header if parent else None
            header, fresh = execute(
                before.hash if before else GENESIS.header_hash,
                before.time_ms if before else GENESIS.time_ms,
                batch,
                self.done,
            )
            self.blocks[height] = Stored(header, batch, fresh, None)
            self.done.update(fresh)
            for each in batch.hashes:
                self.pool.pop(each, None)
            self.step(Executed(height, header.hash, self.world.clock_ms))
            self.tell_waiting()

    def _seal(self, height: int, seal: Seal) -> None:
        self.blocks[height] = msgspec.structs.replace(self.blocks[height], seal=seal)

    def _fetch(self, member: int, first: int, last: int) -> None:
        there = self.world.nodes[member].blocks
        blocks = [block for height in range(first, last + 1) if (block := there.get(height)) and block.seal]
        if not blocks:
            self.later(2 * LINK_MS, lambda: self.step(FetchFailed(member, self.world.clock_ms)))
        for block in blocks:
            self.later(2 * LINK_MS, partial(self._take, block))

    def _take(self, block: Stored) -> None:
        assert block.seal is not None
        self.step(BlockFetched(block.header, block.batch, block.seal, self.world.clock_ms))


class World:
    """The nodes, the links between them, and the clock."""

    def __init__(self, cast: Cast, faulty: frozenset[int] = frozenset(), *, lawful: bool = True) -> None:
        self.cast = cast
        self.faulty = faulty  # they may say anything, and are not judged
        self.now = 0
        self.submitted: dict[bytes, None] = {}
        self.pens_move = True  # else nobody answers RequestBatch
        self.executes = True  # else nobody executes
        self.bend: Bend | None = None  # what a faulty member sends instead of a message, to whom
        self.cut: Callable[[int, int], bool] | None = None  # whether a link carries nothing
        self.tap: Callable[[bytes], None] | None = None  # hears every message
        self.court = Court(cast.committee)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._tickets = 0
        self.nodes = [Node(member, self) for member in range(cast.size)]
        for node in self.correct:
            bound = faulty if lawful else None
            node.witness = Witness(node.member, cast.committee, cast.parameters, self.court, bound)

    @property
    def correct(self) -> list[Node]:
        """The members that follow the protocol."""
        return [node for node in self.nodes if node.member not in self.faulty]

    @property
    def clock_ms(self) -> int:
        """What every node's clock shows."""
        return EPOCH_START_MS + self.now

    def ticket(self) -> int:
        """A number never given before."""
        self._tickets += 1
        return self._tickets

    def at(self, when_ms: int, act: Callable[[], None]) -> None:
        """Act then; equal times in the order in which they were asked for."""
        heapq.heappush(self._queue, (when_ms, self.ticket(), act))

    def transmit(self, sender: int, receivers: tuple[int, ...], data: bytes) -> None:
        """One message on its way, bent first if its sender is faulty."""
        if self.tap:
            self.tap(data)
        bent = self.bend is not None and sender in self.faulty
        outgoing = self.bend(sender, receivers, data) if bent and self.bend else [(each, data) for each in receivers]
        for receiver, message in outgoing:
            if self.cut is None or not self.cut(sender, receiver):
                self.at(self.now + LINK_MS, partial(self._arrive, receiver, message))

    def _arrive(self, receiver: int, message: bytes) -> None:
        self.nodes[receiver].receive(message)

    def start(self) -> None:
        """Every node starts now, in order."""
        for node in self.nodes:
            node.start()

    def submit(self, name: str) -> bytes:
        """A transaction reaches every node at once."""
        transaction = hashlib.sha256(name.encode()).digest()
        self.submitted[transaction] = None
        for node in self.nodes:
            node.learn(transaction)
        return transaction

    def set_pens(self, *, move: bool) -> None:
        """Let primaries have batches, or hold them back."""
        self.pens_move = move
        for node in self.nodes:
            node.offer()

    def set_executes(self, *, go: bool) -> None:
        """Let executions go on, or hold them up."""
        self.executes = go
        for node in self.nodes:
            node.execute()

    def tick(self) -> bool:
        """Let the next thing happen. False when nothing will."""
        if not self._queue:
            return False
        self.now, _, act = heapq.heappop(self._queue)
        act()
        return True

    def run_to(self, when_ms: int) -> None:
        """Let everything happen up to that time."""
        while self._queue and self._queue[0][0] <= when_ms:
            self.tick()
        self.now = max(self.now, when_ms)

    def finish(self, within_ms: int) -> None:
        """Run until every correct member has sealed all that was submitted. Raises `Violation` after too long."""
        deadline = self.now + within_ms
        while not self._done():
            if self.now > deadline or not self.tick():
                raise Violation(f"not everything came to a seal within {within_ms} ms: {self.standing()}")

    def _done(self) -> bool:
        heights = {node.sealed_height for node in self.correct}
        if len(heights) != 1 or any(node.pool or node.replica is None for node in self.correct):
            return False
        top = max(heights)
        return all(max(node.blocks, default=0) == top and self.submitted.keys() <= node.done for node in self.correct)

    def standing(self) -> str:
        """Where every node stands, in words."""
        lines = []
        for node in self.nodes:
            replica = node.replica
            where = "down"
            if replica:
                where = f"view {replica.view}{' (changing)' if replica.changing_view else ''}, "
                where += f"delivered {replica.delivered_height}, sealed {replica.sealed_height}"
            lines.append(f"{node.member}: {where}, pool {len(node.pool)} {node.halted}".rstrip())
        return "; ".join(lines)
