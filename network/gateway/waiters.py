"""Who waits for which transaction: id -> futures, with a limit on their number. It learns outcomes; it asks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from ledger.types import BlockRecord


class ReceiptHead(msgspec.Struct, frozen=True, array_like=True):
    """The first fields of a receipt: enough to know whose it is, at a third of the cost of reading it all."""

    height: int
    index: int
    transaction_id: bytes


class Outcome(msgspec.Struct, frozen=True):
    """A sealed transaction: its receipt as it stands in the block, and where that is."""

    height: int
    index: int
    block_hash: bytes
    receipt: bytes


read_head = msgspec.msgpack.Decoder(ReceiptHead).decode


class Waiters:
    """The waiting room. Full means: the transaction is taken, but its client asks for the outcome later."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._futures: dict[bytes, list[asyncio.Future[Outcome]]] = {}
        self.count = 0

    @property
    def ids(self) -> list[bytes]:
        """The transactions that somebody waits for."""
        return list(self._futures)

    @contextmanager
    def place(self, transaction_id: bytes) -> Iterator[asyncio.Future[Outcome] | None]:
        """A future for this transaction's outcome while the context lasts, None when the room is full."""
        if self.count >= self._limit:
            yield None
            return
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(transaction_id, []).append(future)
        self.count += 1
        try:
            yield future
        finally:
            self.count -= 1
            waiting = self._futures.get(transaction_id)
            if waiting is not None and future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._futures[transaction_id]

    def on_block(self, record: BlockRecord, block_hash: bytes) -> None:
        """Tell everybody whose transaction is in this block."""
        if not self._futures:
            return
        for receipt in record.receipts:
            head = read_head(receipt)
            if head.transaction_id in self._futures:
                self.tell(head.transaction_id, Outcome(head.height, head.index, block_hash, receipt))

    def tell(self, transaction_id: bytes, outcome: Outcome) -> None:
        """This transaction's outcome is known."""
        for future in self._futures.pop(transaction_id, ()):
            if not future.done():
                future.set_result(outcome)

    def release(self) -> None:
        """Let everybody go without an outcome: the gateway is stopping."""
        for futures in self._futures.values():
            for future in futures:
                future.cancel()
        self._futures.clear()
