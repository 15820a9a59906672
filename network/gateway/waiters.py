"""Who waits for which transaction: id -> places, with a limit on their number. It learns outcomes; it asks nobody."""

from __future__ import annotations

import asyncio
from typing import Self

import msgspec

from ledger.types import BlockRecord

SWEEP_S = 0.1  # one timer for all who wait: nobody waits longer than that beyond their time


class ReceiptHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
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


class Place:
    """One who waits for one transaction, from `with` to its end. In a full room the wait is over at once."""

    __slots__ = ("_future", "_waiters", "due", "transaction_id")

    def __init__(self, waiters: Waiters, transaction_id: bytes) -> None:
        self._waiters = waiters
        self.transaction_id = transaction_id
        self.due = float("inf")  # loop time
        self._future: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        if not self._waiters.enter(self):
            self.tell(None)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiters.leave(self)

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._future.done()

    @property
    def found(self) -> Outcome | None:
        """The outcome, None while it is not known here."""
        return self._future.result() if self._future.done() else None

    async def outcome(self, timeout_s: float) -> Outcome | None:
        """Wait for the outcome. None after the time, in a full room, and when the gateway stops."""
        if not self._future.done():
            self._waiters.remind(self, timeout_s)
        return await self._future

    def tell(self, outcome: Outcome | None) -> None:
        """The wait is over."""
        if not self._future.done():
            self._future.set_result(outcome)


class Waiters:
    """The waiting room. Full means: the transaction is taken, but its client asks for the outcome later."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places: dict[bytes, list[Place]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self.count = 0

    @property
    def ids(self) -> list[bytes]:
        """The transactions that somebody waits for."""
        return list(self._places)

    def place(self, transaction_id: bytes) -> Place:
        """A place for whoever waits for this transaction; it is taken by `with`."""
        return Place(self, transaction_id)

    def enter(self, place: Place) -> bool:
        """Take a place; False when the room is full."""
        if self.count >= self._limit:
            return False
        self._places.setdefault(place.transaction_id, []).append(place)
        self.count += 1
        return True

    def leave(self, place: Place) -> None:
        """Give the place back, if it was taken and is still."""
        waiting = self._places.get(place.transaction_id)
        if waiting is not None and place in waiting:
            self.count -= 1
            waiting.remove(place)
            if not waiting:
                del self._places[place.transaction_id]

    # ── outcomes ──────────────────────────────────────────────────────────────────────────────────

    def on_block(self, record: BlockRecord, block_hash: bytes) -> None:
        """Tell everybody whose transaction is in this block."""
        if not self._places:
            return
        for receipt in record.receipts:
            head = read_head(receipt)
            if head.transaction_id in self._places:
                self.tell(head.transaction_id, Outcome(head.height, head.index, block_hash, receipt))

    def tell(self, transaction_id: bytes, outcome: Outcome) -> None:
        """This transaction's outcome is known."""
        for place in self._dismissed(transaction_id):
            place.tell(outcome)

    def release(self) -> None:
        """Let everybody go without an outcome: the gateway is stopping."""
        for transaction_id in self.ids:
            for place in self._dismissed(transaction_id):
                place.tell(None)

    def _dismissed(self, transaction_id: bytes) -> list[Place]:
        places = self._places.pop(transaction_id, [])
        self.count -= len(places)
        return places

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    def remind(self, place: Place, timeout_s: float) -> None:
        """End this wait without an outcome after the time."""
        loop = asyncio.get_running_loop()
        place.due = loop.time() + timeout_s
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_S, self._end_waits, loop)

    def _end_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for places in self._places.values():
            for place in places:
                if place.due <= now:
                    place.tell(None)  # and its owner leaves
        self._sweep = loop.call_later(SWEEP_S, self._end_waits, loop) if self._places else None
