"""The heights that are not sealed yet: what each step of one means for the transactions and bodies that it names.

Proposed, delivered, executed, sealed: at each step the pool, the bodies and the replica are told what they may take
up or let go. Blocks that peers sealed, and that are fetched to be executed here, wait here too. Nothing is executed
or stored here but the seal: the pipeline stores the block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from consensus import events
from ledger.store import BlockStore
from ledger.transactions import identify
from ledger.types import Batch, BlockRecord, Seal
from network.bodies import BodyKeeper
from network.mempool import Mempool
from network.requests import Requests

FETCHED_BLOCKS_MAX = 1024


class InFlight:
    """`post(event)` tells the replica."""

    def __init__(
        self,
        *,
        store: BlockStore,
        mempool: Mempool,
        bodies: BodyKeeper,
        requests: Requests,
        post: Callable[[events.Event], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._mempool = mempool
        self._bodies = bodies
        self._requests = requests
        self._post = post
        self._now_ms = now_ms
        self._fetched: dict[int, BlockRecord] = {}
        self._unsealed: dict[int, BlockRecord] = {}  # executed: the window at most

    def fetched(self, height: int) -> BlockRecord | None:
        """The sealed block of that height, where a peer gave it and this node has not sealed it."""
        return self._fetched.get(height)

    def on_proposed(self, batch: Batch, sources: tuple[int, ...]) -> None:
        """A primary proposes it, and these members have its bodies."""
        self._mempool.mark_in_flight(batch.height, batch.hashes)
        self._bodies.hold(batch, sources)

    def on_fetched(self, record: BlockRecord) -> None:
        """A peer gave this block, and its seal holds."""
        if record.height <= self._store.sealed_height or len(self._fetched) >= FETCHED_BLOCKS_MAX:
            return
        assert record.seal is not None, "only sealed blocks are fetched"
        self._fetched[record.height] = record
        self._bodies.pin_fetched(record.height, record.bodies)
        block = record.block
        self._post(events.BlockFetched(block.header, block.batch, record.seal, self._now_ms()))

    def on_delivered(self, batch: Batch) -> None:
        """Its order is final, and it is about to be executed."""
        self._mempool.mark_in_flight(batch.height, batch.hashes)
        self._requests.delivered(batch)

    def on_executed(self, record: BlockRecord, left: Collection[bytes]) -> None:
        """Its block is stored; what is `left` of its batch did not run, and waits for another."""
        header = record.block.header
        self._unsealed[header.height] = record
        done = [each for each in record.block.batch.hashes if each not in left]
        if self._mempool.remove(done) < len(done):  # one body may wait here under another of its signatures
            self._mempool.remove_ids(identify(raw)[0] for raw in record.bodies)
        self._requests.returned(left)
        self._post(events.Executed(header.height, header.hash, self._now_ms()))
        self._requests.tell_waiting()

    def on_sealed(self, height: int, seal: Seal) -> BlockRecord:
        """The block, sealed. What stood in its batch and did not run waits again."""
        self._store.seal(height, seal)
        self._mempool.release(height)
        self._mempool.drop_expired(height + 1)
        self._bodies.unpin(height)
        self._fetched.pop(height, None)
        return msgspec.structs.replace(self._unsealed.pop(height), seal=seal)
