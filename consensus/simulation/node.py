"""One member of a simulated cluster: its disk, its process, and an honest driver that performs its actions in order.

A Persist takes its time on the disk and everything after it waits; a crash loses whatever was not performed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from consensus.actions import (
    Action,
    Broadcast,
    CancelBatch,
    CancelTimer,
    Deliver,
    Evidence,
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
    RequestPassedOver,
    RequestsWaiting,
    Start,
    TimerFired,
)
from consensus.overlooked import Overlooked
from consensus.recovery import first_journal
from consensus.replica import Replica
from consensus.simulation.byzantine import Tamper
from consensus.simulation.checkers import OrderChecker, VoteChecker
from consensus.simulation.stubs import CHAIN_ID, GENESIS, execute, stub_signer, stub_verify
from consensus.standing import Tip, Turn
from ledger.types import Batch, Header, Seal

if TYPE_CHECKING:
    from consensus.simulation.cluster import Cluster

BODIES_RETRY_MS = 50


class StoredBlock(msgspec.Struct, frozen=True):
    """An executed block; sealed once it has a seal."""

    header: Header
    batch: Batch
    fresh: tuple[bytes, ...]
    seal: Seal | None


def _turn_of(batch: Batch) -> Turn:
    return Turn(batch.view, batch.proposer, batch.since)


class Node:
    """One member: its disk, which survives a crash, and its process, which does not."""

    def __init__(self, member: int, cluster: Cluster) -> None:
        self.member = member
        self.cluster = cluster
        key = cluster.validators.members[member].public_key
        self.sign = stub_signer(key)
        self.tamper: Tamper | None = None
        # disk
        self.journal = first_journal()
        self.blocks: dict[int, StoredBlock] = {}
        self.bodies: set[bytes] = set()
        # process
        self.life = 0
        self.replica: Replica | None = None
        self.pool: dict[bytes, None] = {}
        self.timers: dict[str, int] = {}
        self.wanted: RequestBatch | None = None
        self.free_at = 0
        self.executing_free_at = 0
        self.told_waiting = False
        self.halted = ""
        self.overlooked = Overlooked(cluster.parameters.window)
        self.order = OrderChecker(0)
        self.votes = VoteChecker(member)

    # ── life and death ────────────────────────────────────────────────────────────────────────────

    @property
    def sealed_height(self) -> int:
        """The height of the disk's last sealed block."""
        return max((height for height, block in self.blocks.items() if block.seal), default=0)

    def start(self) -> None:
        """A process begins with what the disk holds."""
        self.life += 1
        tip_height = self.sealed_height
        self.blocks = {height: block for height, block in self.blocks.items() if block.seal}
        block = self.blocks.get(tip_height)
        turns = tuple(_turn_of(self.blocks[height].batch) for height in range(1, tip_height + 1))
        tip = Tip(tip_height, block.header.hash, block.header.time_ms, block.seal, turns) if block else GENESIS
        self.overlooked = Overlooked(self.cluster.parameters.window)
        self.order = OrderChecker(tip_height)
        self.timers, self.wanted, self.told_waiting = {}, None, False
        self.pool = dict.fromkeys(sorted(self.bodies - self.executed()))
        self.overlooked.arrived(self.pool)
        self.free_at = self.executing_free_at = self.cluster.now
        self.replica = Replica(
            member=self.member,
            chain_id=CHAIN_ID,
            validators=self.cluster.validators,
            parameters=self.cluster.parameters,
            sign=self.sign,
            verify=stub_verify,
            tip=tip,
            journal=list(self.journal),
        )
        self.step(Start(self.cluster.clock_ms))
        self.tell_waiting()

    def crash(self) -> None:
        """The process ends: queued actions, timers and memory are gone; the disk stays, but for blocks not synced."""
        self.life += 1
        self.replica = None
        for _ in range(self.cluster.prng.below(self.cluster.plan.window + 1)):
            self.blocks.pop(max(self.blocks, default=0), None)  # not synced yet: the journal must make up for it
        if self.member in self.cluster.plan.forgetful:
            self.journal = []
            if self.cluster.prng.chance(300):
                self.blocks = {}

    def executed(self) -> set[bytes]:
        """Every transaction that the blocks on disk have run."""
        return {each for block in self.blocks.values() for each in block.fresh}

    # ── the driver ────────────────────────────────────────────────────────────────────────────────

    def later(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Act after a while, if this process still lives."""
        life = self.life
        self.cluster.at(self.cluster.now + delay_ms, lambda: act() if life == self.life else None)

    def step(self, event: Event) -> None:
        """Hand an event to the replica and queue what it asks for; the disk holds up what comes after a Persist."""
        if self.replica is None:
            return
        for action in self.replica.step(event):
            self.cluster.trace(self.member, action)
            if isinstance(action, Persist):
                self.free_at = max(self.free_at, self.cluster.now) + self.cluster.prng.between(0, 4)
            self.later(max(0, self.free_at - self.cluster.now), lambda action=action: self.perform(action))  # type: ignore[misc]

    def perform(self, action: Action) -> None:
        """Do one thing that the replica asked for."""
        match action:
            case Persist(record):
                self.journal.append(record)
                self.votes.on_durable(record)
            case Send(receiver, data):
                self.send([receiver], data)
            case Broadcast(data):
                self.send([each for each in range(self.cluster.plan.members) if each != self.member], data)
            case SetTimer(name, after_ms):
                self.set_timer(name, after_ms)
            case CancelTimer(name):
                self.timers.pop(name, None)
            case RequestBatch():
                self.wanted = action
                self.offer_batch()
            case CancelBatch():
                self.wanted = None
            case FetchBodies(batch, sources):
                self.later(1, lambda: self.fetch_bodies(batch, sources))
            case Deliver(height, batch, digest):
                self.deliver(height, batch, digest)
            case Sealed(height, header_hash, seal):
                self.seal(height, header_hash, seal)
            case Fetch(member, first, last):
                self.fetch(member, first, last)
            case Halt(diagnosis):
                self.halted = diagnosis
            case Evidence(kind, member):
                self.cluster.evidence.append((self.member, kind, member))

    def send(self, receivers: list[int], data: bytes) -> None:
        """Into the network, bent first if this member is Byzantine."""
        if self.tamper is None:
            if self.member not in self.cluster.plan.forgetful:
                self.votes.on_sent(data)
            outgoing = [(receiver, data) for receiver in receivers]
        else:
            outgoing = self.tamper.bend(receivers, data)
        for receiver, message in outgoing:
            self.cluster.transmit(self.member, receiver, message)

    def set_timer(self, name: str, after_ms: int) -> None:
        """Run a timer; a later one of that name replaces it."""
        token = self.timers[name] = self.cluster.ticket()

        def fire() -> None:
            if self.timers.get(name) == token:
                del self.timers[name]
                self.step(TimerFired(name, self.cluster.clock_ms))

        self.later(after_ms, fire)

    def learn(self, hashes: Sequence[bytes]) -> None:
        """Transactions arrive: from a client, by gossip, or fetched."""
        done = self.executed()
        for each in hashes:
            self.bodies.add(each)
            if each not in done:
                self.pool[each] = None
                self.overlooked.arrived([each])
        self.tell_waiting()

    def tell_waiting(self) -> None:
        """The pool became empty, or not."""
        if self.replica is not None and bool(self.pool) != self.told_waiting:
            self.told_waiting = bool(self.pool)
            self.step(RequestsWaiting(self.told_waiting, self.cluster.clock_ms))
        self.offer_batch()

    def offer_batch(self) -> None:
        """Answer a RequestBatch when there is something to propose."""
        if self.wanted and self.pool:
            wanted, self.wanted = self.wanted, None
            clock = self.cluster.clock_ms
            hashes = tuple(self.pool)[: 3 * self.cluster.parameters.block_transactions_max]
            self.later(
                1, lambda: self.step(BatchReady(wanted.height, wanted.view, hashes, clock, self.cluster.clock_ms))
            )

    def fetch_bodies(self, batch: Batch, sources: tuple[int, ...]) -> None:
        """Have every body here, or ask again a little later."""
        for source in sources:
            node = self.cluster.nodes[source]
            if self.cluster.linked(self.member, source) and node.replica is not None:
                self.bodies.update(each for each in batch.hashes if each in node.bodies)
        if all(each in self.bodies for each in batch.hashes):
            self.step(BodiesReady(batch.digest, self.cluster.clock_ms))
        else:
            self.later(BODIES_RETRY_MS, lambda: self.fetch_bodies(batch, sources))

    def deliver(self, height: int, batch: Batch, digest: bytes) -> None:
        """Store, execute in order, answer with the header."""
        self.order.on_delivered(batch, height, digest)
        if self.tamper is None:
            self.cluster.agreement.on_delivered(self.member, height, digest)
        self.executing_free_at = max(self.executing_free_at, self.cluster.now) + self.cluster.prng.between(0, 10)
        self.later(self.executing_free_at - self.cluster.now, lambda: self.execute(height, batch))
        had_room = len(batch.hashes) < self.cluster.parameters.block_transactions_max
        if self.overlooked.delivered(batch, had_room=had_room, waits=self.waits):
            self.step(RequestPassedOver(self.cluster.clock_ms))

    def waits(self, transaction: bytes) -> bool:
        """Whether it is in the pool, and in no proposal."""
        proposed = self.replica.in_flight.values() if self.replica else ()
        return transaction in self.pool and not any(transaction in hashes for hashes in proposed)

    def execute(self, height: int, batch: Batch) -> None:
        """Run a batch on top of its parent."""
        parent = self.blocks.get(height - 1)
        parent_hash, parent_time = (
            (parent.header.hash, parent.header.time_ms) if parent else (GENESIS.header_hash, GENESIS.time_ms)
        )
        header, fresh = execute(parent_hash, parent_time, batch, self.executed())
        self.blocks[height] = StoredBlock(header, batch, fresh, None)
        for each in batch.hashes:
            self.pool.pop(each, None)
        self.step(Executed(height, header.hash, self.cluster.clock_ms))
        self.tell_waiting()

    def seal(self, height: int, header_hash: bytes, seal: Seal) -> None:
        """The block is final for the world; now and then the journal is rewritten."""
        block = self.blocks.get(height)
        self.order.on_sealed(height, block.header if block else None, header_hash)
        if self.tamper is None:
            self.cluster.agreement.on_sealed(self.member, height, header_hash)
        assert block is not None
        self.blocks[height] = msgspec.structs.replace(block, seal=seal)
        if (
            self.replica
            and self.replica.sealed_height == height
            and self.idle
            and self.cluster.prng.chance(self.cluster.plan.snapshot_permille)
        ):
            self.journal = self.replica.journal_snapshot()

    @property
    def idle(self) -> bool:
        """Whether every record that the replica asked to persist is on the disk."""
        return self.free_at <= self.cluster.now

    def fetch(self, member: int, first: int, last: int) -> None:
        """Ask a member for its sealed blocks."""
        node = self.cluster.nodes[member]
        blocks = [block for height in range(first, last + 1) if (block := node.blocks.get(height)) and block.seal]
        delay = self.cluster.prng.between(2, 40)
        if not blocks or node.replica is None or not self.cluster.linked(self.member, member):
            self.later(delay, lambda: self.step(FetchFailed(member, self.cluster.clock_ms)))
            return
        for block in blocks:
            self.later(delay, lambda block=block: self.take(block))  # type: ignore[misc]

    def take(self, block: StoredBlock) -> None:
        """A fetched block, with its bodies."""
        self.bodies.update(block.batch.hashes)
        assert block.seal is not None
        self.step(BlockFetched(block.header, block.batch, block.seal, self.cluster.clock_ms))
