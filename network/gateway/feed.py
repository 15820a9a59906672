"""The one subscription to sealed blocks that everything in the gateway shares.

It keeps the sealed height, the last few blocks and the node's last status, wakes those who wait for a height, and
tells the waiting room of outcomes. When the link breaks it subscribes again and fetches what it missed, so that those
who listen here see every height once, in order. It serves nobody over HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable

from ledger.types import BlockRecord
from network.api import NodeStatus, NodeUnavailable, ValidatorApi
from network.gateway.settings import GatewaySettings
from network.gateway.waiters import Outcome, Waiters

log = logging.getLogger(__name__)

FETCH_BLOCKS = 16  # at once, when filling a gap
GAP_MAX = 256  # a longer gap is jumped: streams page through the store, and waiters are looked up one by one
RESUBSCRIBE_MIN_S = 0.05
RESUBSCRIBE_MAX_S = 2.0


class SealedFeed:
    """Sealed blocks in height order, from the height that the node had when the gateway first reached it."""

    def __init__(self, validator: ValidatorApi, settings: GatewaySettings, waiters: Waiters) -> None:
        self._validator = validator
        self._settings = settings
        self._waiters = waiters
        self._recent: deque[BlockRecord] = deque()
        self._recent_bytes = 0
        self._advanced = asyncio.Event()
        self._filling = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.height = -1  # none known yet
        self.status: NodeStatus | None = None
        self.reachable = False
        self.stopping = False

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Begin to follow. Returns at once; the node may be away still."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._poll())]

    async def stop(self) -> None:
        """End, and wake everybody who waits here."""
        self.begin_stop()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def begin_stop(self) -> None:
        """Wake everybody who waits here: streams end and waits are answered before the server closes."""
        self.stopping = True
        self._waiters.release()
        self._wake()

    # ── what others ask ───────────────────────────────────────────────────────────────────────────

    async def advanced(self, above: int, timeout_s: float) -> bool:
        """Wait until the sealed height is above `above`. False after the time, or when the gateway stops."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.height <= above and not self.stopping:
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await self._advanced.wait()
        return self.height > above

    async def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the next block or the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._advanced.wait()

    async def record_at(self, height: int) -> BlockRecord | None:
        """A sealed block, out of memory where it is recent."""
        return next(iter(await self.records(height, height)), None)

    async def records(self, first: int, last: int) -> list[BlockRecord]:
        """Sealed blocks first..last (at most `FETCH_BLOCKS` of them), out of memory where all are recent."""
        last = min(last, first + FETCH_BLOCKS - 1)
        if self._recent and self._recent[0].height <= first and last <= self._recent[-1].height:
            return [record for record in self._recent if first <= record.height <= last]
        return await self._validator.blocks(first, last)

    # ── following ─────────────────────────────────────────────────────────────────────────────────

    async def _follow(self) -> None:
        pause_s = RESUBSCRIBE_MIN_S
        while True:
            try:
                async for record in self._validator.sealed_blocks():
                    pause_s = RESUBSCRIBE_MIN_S
                    await self._on_block(record)
            except NodeUnavailable as error:
                # Before the first block or status nothing broke: the node is starting too.
                level = logging.INFO if self.height >= 0 else logging.DEBUG
                log.log(level, "the stream of sealed blocks broke: %s", error)
            except Exception:
                log.exception("the stream of sealed blocks failed")
            self.reachable = False
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RESUBSCRIBE_MAX_S)

    async def _poll(self) -> None:
        """Ask for the status every second; a height that the stream did not bring by then is fetched."""
        while True:
            seen = self.height
            try:
                status = await self._validator.status()
                self._on_status(status)
                if self.height == seen and status.sealed_height > seen >= 0:
                    await self._fill(status.sealed_height)
                elif seen < 0:
                    await self._look_up(self._waiters.ids)
            except NodeUnavailable:
                self.reachable = False
            except Exception:
                self.reachable = False
                log.exception("polling the validator failed")
            await asyncio.sleep(self._settings.status_poll_s if self.reachable else RESUBSCRIBE_MIN_S * 4)

    def _on_status(self, status: NodeStatus) -> None:
        self.status = status
        self.reachable = True
        if self.height < 0:
            self.height = status.sealed_height
            self._wake()

    async def _on_block(self, record: BlockRecord) -> None:
        self.reachable = True
        if 0 <= self.height < record.height - 1:
            await self._fill(record.height - 1)
        self._advance(record)

    async def _fill(self, target: int) -> None:
        """Fetch the heights up to `target` that the stream did not bring."""
        async with self._filling:
            if target - self.height > GAP_MAX:
                self._jump(target - 1)
            while self.height < target:
                records = await self._validator.blocks(self.height + 1, min(target, self.height + FETCH_BLOCKS))
                if not records:
                    return  # the status ran ahead of the store; the next block or poll comes back here
                for record in records:
                    self._advance(record)
        await self._look_up(self._waiters.ids)

    def _jump(self, height: int) -> None:
        log.info("jumping from height %d to %d", self.height, height)
        self._recent.clear()
        self._recent_bytes = 0
        self.height = height

    def _advance(self, record: BlockRecord) -> None:
        if record.height <= self.height:
            return
        if self._recent and record.height != self._recent[-1].height + 1:
            self._recent.clear()
            self._recent_bytes = 0
        self._recent.append(record)
        self._recent_bytes += weight(record)
        while (
            len(self._recent) > self._settings.recent_blocks_max or self._recent_bytes > self._settings.recent_bytes_max
        ):
            self._recent_bytes -= weight(self._recent.popleft())
        self.height = record.height
        self._waiters.on_block(record, record.block.header.hash)
        self._wake()

    def _wake(self) -> None:
        self._advanced.set()
        self._advanced = asyncio.Event()

    async def _look_up(self, transaction_ids: Iterable[bytes]) -> None:
        """Ask for outcomes one by one: after a gap, a block may have passed unseen."""
        for transaction_id in transaction_ids:
            outcome = await self.outcome(transaction_id)
            if outcome is not None:
                self._waiters.tell(transaction_id, outcome)
                self._wake()

    async def outcome(self, transaction_id: bytes) -> Outcome | None:
        """The outcome of a sealed transaction, None while it is pending or unknown here."""
        found = await self._validator.transaction(transaction_id)
        if found is None or found.state != "sealed":
            return None
        records = await self._validator.blocks(found.height, found.height, light=True)
        block_hash = records[0].block.header.hash if records else b""
        return Outcome(found.height, found.index, block_hash, found.receipt)


def weight(record: BlockRecord) -> int:
    """About how many bytes a block holds in memory."""
    return 512 + sum(map(len, record.bodies)) + sum(map(len, record.receipts)) + 32 * len(record.block.transactions)
