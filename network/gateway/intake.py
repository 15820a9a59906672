"""Submissions of many clients, handed to the validator together.

What arrives in one turn of the loop goes in one `submit`. When quiet nothing waits; under load a hand-over follows
the one before by a few milliseconds, which gathers more (measured: a third less CPU per transaction). The queue has
a limit, and beyond it clients are told to come back. It knows no HTTP and judges no transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from network.api import Admission, ExecutorApi, NodeUnavailable, ValidatorApi
from network.gateway.problems import Problem
from network.gateway.senders import KnownSenders
from network.gateway.settings import GatewaySettings


class Offer(msgspec.Struct, frozen=True):
    """One well-formed transaction on its way to the validator."""

    raw: bytes
    sender: bytes
    transaction_id: bytes


class Parcel(msgspec.Struct, frozen=True, eq=False):
    """What one request offers, and where its admissions go."""

    offers: Sequence[Offer]
    size: int
    admissions: asyncio.Future[list[Admission]]


class Intake:
    """The queue between the hot route and the validator."""

    def __init__(self, validator: ValidatorApi, executor: ExecutorApi, settings: GatewaySettings) -> None:
        self._validator = validator
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that the first offer runs in
        self._senders = KnownSenders(
            executor, settings.known_senders_max, settings.known_sender_ttl_s, lambda: self._running_loop().time()
        )
        self._queue: deque[Parcel] = deque()
        self._queued = 0  # transactions in the queue
        self._held = 0  # transactions in the queue and in hand-overs
        self._held_bytes = 0
        self._scheduled: asyncio.Handle | None = None
        self._handovers: set[asyncio.Task[None]] = set()
        self._last_handover = float("-inf")
        self.submitted = 0
        self.submit_calls = 0

    @property
    def held(self) -> int:
        """Transactions that have no admission yet."""
        return self._held

    async def offer(self, offers: Sequence[Offer]) -> list[Admission]:
        """Hand over, and wait for one admission each, in order. Refuses when too much waits already.

        An unknown sender's admission has the code "unknown_sender". Raises `NodeUnavailable`.
        """
        size = sum(len(offer.raw) for offer in offers)
        self._check_room(len(offers), size)
        parcel = Parcel(offers, size, self._running_loop().create_future())
        self._queue.append(parcel)
        self._queued += len(offers)
        self._held += len(offers)
        self._held_bytes += size
        self._schedule()
        return await parcel.admissions

    def _check_room(self, count: int, size: int) -> None:
        limits = self._settings
        if self._held + count > limits.intake_transactions_max or self._held_bytes + size > limits.intake_bytes_max:
            raise Problem(
                "too_many_requests",
                f"{self._held} transactions wait for admission at this node; nothing of this request was taken, "
                "send the same bytes again in a second or to another node",
            )

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # ── when to hand over ─────────────────────────────────────────────────────────────────────────

    def _schedule(self) -> None:
        if self._scheduled is not None or not self._queue:
            return
        if len(self._handovers) >= self._settings.handovers_at_once_max:
            return  # the end of one schedules the next
        loop = self._running_loop()
        wait_s = self._last_handover + self._settings.linger_ms / 1000 - loop.time()
        if wait_s <= 0 or self._queued >= self._settings.handover_transactions_max:
            self._scheduled = loop.call_soon(self._hand_over)
        else:
            self._scheduled = loop.call_later(wait_s, self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = None
        loop = self._running_loop()
        self._last_handover = loop.time()
        parcels = self._take()
        task = loop.create_task(self._deliver(parcels))
        self._handovers.add(task)
        task.add_done_callback(self._handovers.discard)
        task.add_done_callback(lambda _: self._schedule())
        self._schedule()

    def _take(self) -> list[Parcel]:
        """Parcels for one hand-over: at least one, and no more than the limit holds."""
        parcels = [self._queue.popleft()]
        count = len(parcels[0].offers)
        while self._queue and count + len(self._queue[0].offers) <= self._settings.handover_transactions_max:
            count += len(self._queue[0].offers)
            parcels.append(self._queue.popleft())
        self._queued -= count
        return parcels

    # ── the hand-over ─────────────────────────────────────────────────────────────────────────────

    async def _deliver(self, parcels: list[Parcel]) -> None:
        try:
            offers = [offer for parcel in parcels for offer in parcel.offers]
            admissions = iter(await self._admissions(offers))
            for parcel in parcels:
                verdicts = [next(admissions) for _ in parcel.offers]
                if not parcel.admissions.done():
                    parcel.admissions.set_result(verdicts)
        except asyncio.CancelledError:
            self._fail(parcels, NodeUnavailable("the gateway is stopping"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, every request of this hand-over must hear of it
            self._fail(parcels, error)
        finally:
            self._held -= sum(len(parcel.offers) for parcel in parcels)
            self._held_bytes -= sum(parcel.size for parcel in parcels)

    async def _admissions(self, offers: list[Offer]) -> list[Admission]:
        unknown = await self._senders.unknown([offer.sender for offer in offers])
        raw = [offer.raw for offer in offers if offer.sender not in unknown] if unknown else [o.raw for o in offers]
        admitted: list[Admission] = []
        if raw:
            self.submit_calls += 1
            self.submitted += len(raw)
            admitted = await self._validator.submit(raw)
            assert len(admitted) == len(raw), f"{len(admitted)} admissions for {len(raw)} transactions"
        if not unknown:
            return admitted
        remaining = iter(admitted)
        return [stranger(offer) if offer.sender in unknown else next(remaining) for offer in offers]

    @staticmethod
    def _fail(parcels: list[Parcel], error: BaseException) -> None:
        for parcel in parcels:
            if not parcel.admissions.done():
                parcel.admissions.set_exception(error)


def stranger(offer: Offer) -> Admission:
    """The admission of a transaction whose sender is no account."""
    return Admission(
        "unknown_sender",
        offer.transaction_id,
        f"{offer.sender.hex()} is no account of this network that may send; an admin adds it with system.set_account",
    )
