"""From an ordered batch to a stored block: execute in height order, build the header, store, tell the replica.

The executor holds derived state only. Whenever it is behind the block store (it was restarted, or its disk lost its
tail) the blocks that it lacks are replayed to it and every state root is compared. A little ahead (its answer or the
store's last write was lost) it executes the height once more from the version below; far ahead the block store has
lost data, and the state is rebuilt from genesis. It is never trusted to be anywhere: it is asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from ledger.blocks import next_header, next_time_ms
from ledger.errors import LedgerError
from ledger.store import BlockStore
from ledger.transactions import identify
from ledger.types import Batch, Block, BlockRecord, Header
from network.api import Execute, ExecutionOutcome, ExecutorStatus, NodeUnavailable

log = logging.getLogger("quorate.pipeline")

REPLAY_LOG_EVERY = 1000
RETRY_S = 0.1


class Diverged(LedgerError):
    """This node's execution contradicts a stored header: nothing it computes can be trusted until it is repaired."""


class StateMissing(LedgerError):
    """The state is gone, and the blocks that would make it again never were here: it must come as a snapshot."""


class Executor(Protocol):
    """The executor as the pipeline needs it. Any method may raise `NodeUnavailable`: it is asked again then."""

    async def execute(self, request: Execute) -> ExecutionOutcome:
        """Run one batch on top of the state of the height below."""
        ...

    async def status(self) -> ExecutorStatus:
        """Where it stands."""
        ...

    async def forget(self) -> None:
        """Delete the state and start from genesis."""
        ...


class Pipeline:
    """Executes what is delivered, one height after the other.

    `ahead_max` is how many heights the executor can execute again; `bodies(batch)` are the transactions in order;
    `fetched(height)` is a sealed record that came from a peer, where one did; `missing(batch)` asks for bodies that
    neither has; `executed(record, left)` reports a stored block, and the hashes of its batch that did not run and wait
    for another; `levelled()` that an executor whose state was thrown away is level again.
    """

    def __init__(
        self,
        *,
        store: BlockStore,
        executor: Executor,
        validators_hash: bytes,
        ahead_max: int,
        bodies: Callable[[Batch], Sequence[bytes] | None],
        fetched: Callable[[int], BlockRecord | None],
        missing: Callable[[Batch], None],
        executed: Callable[[BlockRecord, Collection[bytes]], None],
        levelled: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._executor = executor
        self._validators_hash = validators_hash
        self._ahead_max = ahead_max
        self._bodies = bodies
        self._fetched = fetched
        self._missing = missing
        self._executed = executed
        self._levelled = levelled
        self._queue: asyncio.Queue[Batch | None] = asyncio.Queue()  # bounded by the replica's window

    def deliver(self, batch: Batch) -> None:
        """A batch is final: execute it in its turn."""
        self._queue.put_nowait(batch)

    def level_executor(self) -> None:
        """Bring the executor level with the store in its turn: its state was thrown away."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Execute until cancelled. Raises `Diverged` or `StorageError` when going on would be wrong."""
        while True:
            batch = await self._queue.get()
            if batch is None:
                await self.catch_up(self._store.height)
                self._levelled()
            else:
                await self._apply(batch)

    async def catch_up(self, height: int) -> None:
        """Bring the executor to `height` by replaying stored blocks, comparing every state root."""
        while True:
            try:
                if await self._replay(height):
                    return
            except NodeUnavailable as error:
                log.debug("waiting for the executor: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _apply(self, batch: Batch) -> None:
        stored = self._store.record(batch.height)
        if stored is not None and stored.block.batch == batch:
            await self.catch_up(batch.height)
            self._executed(stored, _not_run(stored))
            return
        parent = self._store.header(batch.height - 1)
        assert parent is not None, "batches are delivered in height order"
        raws = await self._transactions(batch)
        time_ms = next_time_ms(parent, batch)
        outcome = await self._execute(Execute(batch.height, time_ms, tuple(raws)))
        record = self._record(parent, batch, raws, outcome)
        self._store.put(record)
        # A fetched block brings only what ran. Of a whole batch, what was passed over stands in an earlier block.
        whole = len(raws) == len(batch.hashes)
        self._executed(record, {batch.hashes[index] for index in outcome.returned} if whole else _not_run(record))

    async def _transactions(self, batch: Batch) -> Sequence[bytes]:
        """The batch's bodies, or those that a sealed block brought. A final batch waits for them, however long.

        They are here unless this node crashed while it followed sealed blocks: those bring only what ran.
        """
        while True:
            raws = self._bodies(batch)
            if raws is not None:
                return raws
            fetched = self._fetched(batch.height)
            if fetched is not None and fetched.block.batch == batch:
                return fetched.bodies
            self._missing(batch)
            await asyncio.sleep(RETRY_S)

    async def _execute(self, request: Execute) -> ExecutionOutcome:
        while True:
            try:
                return await self._executor.execute(request)
            except NodeUnavailable as error:
                log.debug("height %d: %s", request.height, error)
            await asyncio.sleep(RETRY_S)
            await self.catch_up(request.height - 1)

    async def _replay(self, height: int) -> bool:
        """One attempt; False when the state had to be thrown away and the executor comes back empty."""
        status = await self._executor.status()
        at = status.height
        if at > height + self._ahead_max:
            log.error(
                "the state is at height %d, the block store only at %d: blocks were lost; rebuilding the state",
                at,
                height,
            )
            await self._executor.forget()
            return False
        if at <= height and not self._stands_on(status):
            log.error("the state at height %d is not that of the stored block: rebuilding it", at)
            await self._executor.forget()
            return False
        if at + 1 < self._store.first_height and at < height:
            raise StateMissing(
                f"the state is at height {at}, the blocks here begin at {self._store.first_height}: it cannot be made "
                "again from them, and is fetched from the others"
            )
        if height - at > 1:
            log.info("replaying blocks %d to %d to the executor", at + 1, height)
        for each in range(at + 1, height + 1):
            await self._replay_one(each)
            if each % REPLAY_LOG_EVERY == 0:
                log.info("replayed %d of %d", each, height)
        return True

    def _stands_on(self, status: ExecutorStatus) -> bool:
        """Whether the state is that of the stored block of its height."""
        header = self._store.header(status.height)
        if header is None or header.state_root == status.state_root:
            return True
        if status.height == 0:
            raise Diverged(
                f"the genesis gives state root {status.state_root.hex()}, "
                f"the stored block 0 says {header.state_root.hex()}"
            )
        return False

    async def _replay_one(self, height: int) -> None:
        record = self._store.record(height)
        if record is None:
            raise Diverged(f"block {height} is needed to rebuild the state and is not in the block store")
        header = record.block.header
        outcome = await self._executor.execute(Execute(height, header.time_ms, record.bodies))
        if outcome.state_root != header.state_root or outcome.receipts_root != header.receipts_root:
            raise Diverged(
                f"executing block {height} again gave state root {outcome.state_root.hex()}, "
                f"its header says {header.state_root.hex()}"
            )

    def _record(self, parent: Header, batch: Batch, raws: Sequence[bytes], outcome: ExecutionOutcome) -> BlockRecord:
        bodies = tuple(raws[index] for index in outcome.executed)
        # A whole batch names them in the same order; a fetched block is only what ran, and must be named anew.
        names = batch.hashes if len(raws) == len(batch.hashes) else [identify(raw)[1] for raw in raws]
        hashes = tuple(names[index] for index in outcome.executed)
        header = next_header(
            parent,
            batch,
            executed=hashes,
            transactions_root=outcome.transactions_root,
            receipts_root=outcome.receipts_root,
            state_root=outcome.state_root,
            gas_used=outcome.gas_used,
            validators_hash=self._validators_hash,
            next_validators_hash=self._validators_hash,
        )
        return BlockRecord(Block(header, batch, hashes), bodies, outcome.receipts, None)


def _not_run(record: BlockRecord) -> Collection[bytes]:
    return set(record.block.batch.hashes).difference(record.block.transactions)
