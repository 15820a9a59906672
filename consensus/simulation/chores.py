"""What a node does for its replica besides voting: the pool, batches, bodies, execution, blocks for those behind.

Honest, in memory, and as quick as the run's chance has it. Knows no message of the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from consensus.actions import Action, CancelBatch, Deliver, Fetch, FetchBodies, RequestBatch, Sealed
from consensus.events import (
    BatchReady,
    BlockFetched,
    BodiesReady,
    BodiesRefused,
    Executed,
    FetchFailed,
    RequestPassedOver,
    RequestsWaiting,
)
from consensus.overlooked import Overlooked
from consensus.simulation.disk import StoredBlock
from consensus.simulation.stubs import GENESIS, execute
from ledger.types import Batch, Seal

if TYPE_CHECKING:
    from consensus.simulation.node import Node

BODIES_RETRY_MS = 50
BODIES_RETRY_MS_MAX = 800
OFFERED_BLOCKS = 3  # so many blocks' worth of hashes are offered to a primary: it leaves out those in flight
SILENT_SOURCE_PERMILLE = 200  # how often a liar that is asked for blocks does not answer at all
CENSORED_BELOW = 64  # a censor leaves out clients whose transactions begin with a byte below


class Chores:
    """The rest of one process."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._cluster = node.cluster
        self.pool: dict[bytes, None] = {}
        self.wanted: RequestBatch | None = None
        self.told_waiting = False
        self._executor_free_at = 0
        self._taken: set[int] = set()  # heights that came as sealed blocks in this life
        self._overlooked = Overlooked(self._cluster.parameters.window)

    def start(self) -> None:
        """A process begins."""
        disk = self._node.disk
        self.pool = {each: None for each in disk.bodies if each not in disk.done}
        self.wanted, self.told_waiting, self._taken = None, False, set()
        self._executor_free_at = 0
        self._overlooked = Overlooked(self._cluster.parameters.window)
        self._overlooked.arrived(self.pool)

    def perform(self, action: Action) -> None:
        """Do what the replica asked for."""
        match action:
            case RequestBatch():
                self.wanted = action
                self._offer_batch()
            case CancelBatch():
                self.wanted = None
            case FetchBodies(batch, sources):
                self._node.later(1, self._fetch_bodies, batch, sources, BODIES_RETRY_MS)
            case Deliver(height, batch, digest):
                self._deliver(height, batch, digest)
            case Sealed(height, header_hash, seal):
                self._seal(height, header_hash, seal)
            case Fetch(member, first, last):
                self._fetch(member, first, last)

    # ── the pool ──────────────────────────────────────────────────────────────────────────────────

    def learn(self, hashes: Sequence[bytes]) -> None:
        """Transactions arrive: from a client, by gossip, or fetched."""
        disk = self._node.disk
        for each in hashes:
            disk.bodies[each] = None
            if each not in disk.done and each not in self.pool:
                self.pool[each] = None
                self._overlooked.arrived([each])
        self.tell_waiting()

    def tell_waiting(self) -> None:
        """The pool became empty, or not."""
        if bool(self.pool) != self.told_waiting:
            self.told_waiting = bool(self.pool)
            self._node.step(RequestsWaiting(self.told_waiting, self._node.clock_ms))
        self._offer_batch()

    def _offer_batch(self) -> None:
        """Answer a RequestBatch when there is something to propose."""
        if not self.wanted or not self.pool:
            return
        hashes = tuple(self.pool)
        if self._node.tamper and self._node.tamper.censors:
            hashes = tuple(each for each in hashes if each[0] >= CENSORED_BELOW)
        if hashes:
            wanted, self.wanted = self.wanted, None
            offered = hashes[: OFFERED_BLOCKS * self._cluster.parameters.block_transactions_max]
            self._node.later(1, self._hand_over, wanted, offered, self._node.clock_ms)

    def _hand_over(self, wanted: RequestBatch, hashes: tuple[bytes, ...], time_ms: int) -> None:
        self._node.step(BatchReady(wanted.height, wanted.view, hashes, time_ms, self._node.clock_ms))

    # ── bodies ────────────────────────────────────────────────────────────────────────────────────

    def _fetch_bodies(self, batch: Batch, sources: tuple[int, ...], retry_ms: int) -> None:
        """Have every body here, or ask again a little later: the longer, the less often."""
        disk = self._node.disk
        if batch.height <= disk.sealed_height:
            return  # nobody waits for them any more
        missing = [each for each in batch.hashes if each not in disk.bodies]
        for node in self._cluster.reachable(self._node, sources) if missing else ():
            if node.tamper and node.tamper.withholds_bodies:
                continue
            if node.tamper and any(each in node.tamper.liar.made_up for each in missing):
                self._node.step(BodiesRefused(batch.digest, "its signature does not hold", self._node.clock_ms))
                return
            disk.bodies.update(dict.fromkeys(each for each in missing if each in node.disk.bodies))
        if all(each in disk.bodies for each in batch.hashes):
            self._node.step(BodiesReady(batch.digest, self._node.clock_ms))
        else:
            self._node.later(retry_ms, self._fetch_bodies, batch, sources, min(2 * retry_ms, BODIES_RETRY_MS_MAX))

    # ── execution ─────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, height: int, batch: Batch, digest: bytes) -> None:
        """Store, execute in order, answer with the header."""
        node, cluster = self._node, self._cluster
        node.order.on_delivered(batch, height, digest)
        if node.honest:
            cluster.on_delivered(node, height, batch, digest)
        if node.judged and height not in self._taken:
            node.votes.on_delivered(height)
        delay = max(self._executor_free_at, cluster.now) + node.chance.below(11)
        self._executor_free_at = delay
        node.later(delay - cluster.now, self._execute, height, batch)
        had_room = len(batch.hashes) < cluster.parameters.block_transactions_max
        if self._overlooked.delivered(batch, had_room=had_room, waits=self._waits):
            node.step(RequestPassedOver(node.clock_ms))

    def _waits(self, transaction: bytes) -> bool:
        """Whether it is in the pool, and in no proposal."""
        proposed = self._node.replica.in_flight.values() if self._node.replica else ()
        return transaction in self.pool and not any(transaction in hashes for hashes in proposed)

    def _execute(self, height: int, batch: Batch) -> None:
        """Run a batch on top of its parent."""
        disk = self._node.disk
        parent = disk.blocks.get(height - 1)
        parent_hash, parent_time = (
            (parent.header.hash, parent.header.time_ms) if parent else (GENESIS.header_hash, GENESIS.time_ms)
        )
        header, fresh = execute(parent_hash, parent_time, batch, disk.done)
        if height >= self._node.diverges_from:
            header = msgspec.structs.replace(header, state_root=bytes(32))
        disk.store(height, StoredBlock(header, batch, fresh, None))
        for each in batch.hashes:
            self.pool.pop(each, None)
        if self._node.honest and height < self._node.diverges_from:
            self._cluster.agreement.on_executed(self._node.member, height, header.hash)
        self._node.step(Executed(height, header.hash, self._node.clock_ms))
        self.tell_waiting()

    def _seal(self, height: int, header_hash: bytes, seal: Seal) -> None:
        """The block is final for the world; now and then the journal is rewritten."""
        node = self._node
        block = node.disk.blocks.get(height)
        node.order.on_sealed(height, block.header if block else None, header_hash)
        if node.honest:
            self._cluster.agreement.on_sealed(node.member, height, header_hash)
            self._cluster.durability.on_sealed(node.member, height, header_hash)
        assert block is not None
        node.disk.store(height, msgspec.structs.replace(block, seal=seal))
        if node.chance.chance(self._cluster.plan.snapshot_permille):
            node.rewrite_soon()

    # ── catching up ───────────────────────────────────────────────────────────────────────────────

    def _fetch(self, member: int, first: int, last: int) -> None:
        """Ask a member for its sealed blocks."""
        node, delay = self._node, self._node.chance.between(2, 40)
        blocks = [
            block
            for source in self._cluster.reachable(node, (member,))
            for height in range(first, last + 1)
            if (block := source.disk.blocks.get(height)) and block.seal
        ]
        if not blocks:
            node.later(delay, lambda: node.step(FetchFailed(member, node.clock_ms)))
            return
        tamper = self._cluster.nodes[member].tamper
        if tamper and node.chance.chance(SILENT_SOURCE_PERMILLE):
            return
        for block in blocks:
            handed = tamper.source(block) if tamper else block
            if handed is None:
                node.later(delay, lambda: node.step(FetchFailed(member, node.clock_ms)))
                return
            node.later(delay, self._take, handed)

    def _take(self, block: StoredBlock) -> None:
        """A fetched block, with its bodies."""
        self._node.disk.bodies.update(dict.fromkeys(block.batch.hashes))
        assert block.seal is not None
        self._taken.add(block.header.height)
        self._node.step(BlockFetched(block.header, block.batch, block.seal, self._node.clock_ms))
