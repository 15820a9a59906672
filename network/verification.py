"""Transactions checked off the event loop: their form, their limits, their signature. One thread, many a job.

libsodium frees the interpreter's lock, so one worker thread gives a second core to signatures while the loop goes
on voting; checked one by one the same work would stall it. Jobs hold up to `CHUNK_TRANSACTIONS` and linger
adaptively: at once when quiet, and under load a few milliseconds so that they fill.

This module knows neither mempool nor state: whether a transaction is new, or its sender known, is asked elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ledger.errors import CodecError
from ledger.transactions import find_fault, identify, read_transaction, signature_holds
from ledger.types import Parameters, Transaction

log = logging.getLogger(__name__)

CHUNK_TRANSACTIONS = 64  # a job of about 5 ms
LINGER_S = 0.010
QUIET_S = 0.012  # no job for that long, and the next transaction does not linger
QUEUE_TRANSACTIONS_MAX = 8_192
QUEUE_BYTES_MAX = 32 << 20
SIGNED_REMEMBERED_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one raw transaction.

    `code` is "" when everything holds, else "malformed", "too_large", "wrong_chain", "gas_limit", "expired",
    "too_far", "bad_signature", or "busy" when it was not checked at all. `transaction` is None, and id and hash are
    empty, when the bytes could not be read.
    """

    raw: bytes
    code: str
    message: str = ""
    transaction: Transaction | None = None
    transaction_id: bytes = b""
    transaction_hash: bytes = b""


def check_one(
    raw: bytes, *, chain_id: bytes, parameters: Parameters, height: int | None, signed: Container[bytes] = ()
) -> Checked:
    """Everything that can be said about `raw` without state, for a block at `height` (None: for any height).

    `signed` holds hashes of transactions whose signature was found to hold before: these very bytes need no more.
    """
    if len(raw) > parameters.transaction_bytes_max:
        limit = parameters.transaction_bytes_max
        return Checked(raw, "too_large", f"{len(raw)} bytes long, at most {limit} are allowed")
    try:
        transaction = read_transaction(raw)
    except CodecError as error:
        return Checked(raw, "malformed", f"not a signed transaction in its canonical encoding: {error}")
    at = transaction.body.valid_until if height is None else height
    fault = find_fault(raw, chain_id=chain_id, parameters=parameters, height=at, transaction=transaction)
    code, message = ("", "") if fault is None else fault
    transaction_id, transaction_hash = identify(raw)
    if fault is None and transaction_hash not in signed and not signature_holds(raw, transaction):
        code, message = "bad_signature", "the signature is not the sender's over this body on this chain"
    return Checked(raw, code, message, transaction, transaction_id, transaction_hash)


@dataclass(slots=True, eq=False)
class _Job:
    """The transactions of one call, some of which may be in different chunks."""

    raws: Sequence[bytes]
    height: int | None
    done: asyncio.Future[list[Checked]]
    unchecked: int = 0
    results: list[Checked | None] = field(default_factory=list)

    def finish(self, index: int, checked: Checked) -> None:
        self.results[index] = checked
        self.unchecked -= 1
        if self.unchecked == 0 and not self.done.done():
            self.done.set_result([each for each in self.results if each is not None])


_Item = tuple[_Job, int]


class Verifier:
    """Checks transactions on one worker thread. `next_height()` is the height that admission judges by."""

    def __init__(self, *, chain_id: bytes, parameters: Parameters, next_height: Callable[[], int]) -> None:
        self._chain_id = chain_id
        self._parameters = parameters
        self._next_height = next_height
        self._worker = ThreadPoolExecutor(1, "verify")
        self._queue: deque[_Item] = deque()
        self._urgent: deque[_Item] = deque()
        self._queue_bytes = 0
        self._running: asyncio.Future[list[Checked]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_done = float("-inf")
        self._closed = False
        self._signed: OrderedDict[bytes, None] = (
            OrderedDict()
        )  # hashes that passed lately, oldest first; touched by the worker only
        self.counters = {"verified": 0, "verify_chunks": 0, "verify_busy": 0}

    @property
    def waiting(self) -> int:
        """Transactions that are not with the worker yet."""
        return len(self._queue) + len(self._urgent)

    async def check(self, raws: Sequence[bytes]) -> list[Checked]:
        """One verdict each, in order, for the next height. What finds the queue full comes back as "busy"."""
        return await self._enter(raws, self._next_height(), self._queue)

    async def check_bodies(self, raws: Sequence[bytes]) -> list[Checked]:
        """The same for bodies that a vote waits for: in front of the others, never "busy", and not judged by height.

        The batch that names them has a height of its own. Its caller bounds how many it asks for.
        """
        return await self._enter(raws, None, self._urgent)

    async def close(self) -> None:
        """Stop after the chunk at work; what still waits comes back as "busy"."""
        self._closed = True
        self._stop_lingering()
        for queue in (self._urgent, self._queue):
            while queue:
                job, index = queue.popleft()
                job.finish(index, self._busy(job.raws[index]))
        if self._running is not None:
            await asyncio.wait([self._running])
        self._worker.shutdown()

    async def _enter(self, raws: Sequence[bytes], height: int | None, queue: deque[_Item]) -> list[Checked]:
        if not raws:
            return []
        job = _Job(raws, height, asyncio.get_running_loop().create_future(), len(raws), [None] * len(raws))
        for index, raw in enumerate(raws):
            if self._closed or (queue is self._queue and not self._has_room(raw)):
                job.finish(index, self._busy(raw))
                continue
            queue.append((job, index))
            self._queue_bytes += len(raw) if queue is self._queue else 0
        self._wake()
        return await job.done

    def _has_room(self, raw: bytes) -> bool:
        return len(self._queue) < QUEUE_TRANSACTIONS_MAX and self._queue_bytes + len(raw) <= QUEUE_BYTES_MAX

    def _busy(self, raw: bytes) -> Checked:
        self.counters["verify_busy"] += 1
        return Checked(raw, "busy", "too many transactions wait for their signature check: send it again in a second")

    # ── chunks ────────────────────────────────────────────────────────────────────────────────────

    def _wake(self) -> None:
        """Give the worker a chunk, if it is idle and there is reason not to linger."""
        if self._running is not None or not self.waiting or self._closed:
            return
        loop = asyncio.get_running_loop()
        quiet = loop.time() - self._last_done > QUIET_S
        if (quiet and self._timer is None) or self._urgent or self.waiting >= CHUNK_TRANSACTIONS:
            self._start_chunk()
        elif self._timer is None:
            self._timer = loop.call_later(LINGER_S, self._start_chunk)

    def _start_chunk(self) -> None:
        self._stop_lingering()
        chunk: list[_Item] = []
        while len(chunk) < CHUNK_TRANSACTIONS and self.waiting:
            if self._urgent:
                chunk.append(self._urgent.popleft())
            else:
                job, index = self._queue.popleft()
                self._queue_bytes -= len(job.raws[index])
                chunk.append((job, index))
        items = [(job.raws[index], job.height) for job, index in chunk]
        self._running = asyncio.get_running_loop().run_in_executor(self._worker, self._check_all, items)
        self._running.add_done_callback(lambda running: self._on_chunk(chunk, running))

    def _check_all(self, items: list[tuple[bytes, int | None]]) -> list[Checked]:
        """On the worker thread."""
        return [self._check_one(raw, height) for raw, height in items]

    def _check_one(self, raw: bytes, height: int | None) -> Checked:
        """A transaction comes by gossip, as the body of a batch, and again from its client: it is checked once."""
        signed = self._signed
        checked = check_one(raw, chain_id=self._chain_id, parameters=self._parameters, height=height, signed=signed)
        if not checked.code and checked.transaction_hash not in signed:
            if len(signed) >= SIGNED_REMEMBERED_MAX:
                signed.popitem(last=False)
            signed[checked.transaction_hash] = None
        return checked

    def _on_chunk(self, chunk: list[_Item], running: asyncio.Future[list[Checked]]) -> None:
        self._running = None
        self._last_done = asyncio.get_running_loop().time()
        self.counters["verified"] += len(chunk)
        self.counters["verify_chunks"] += 1
        if running.cancelled() or running.exception() is not None:
            log.error("a chunk of %d transactions could not be checked", len(chunk), exc_info=running.exception())
            results = [self._busy(job.raws[index]) for job, index in chunk]
        else:
            results = running.result()
        for (job, index), checked in zip(chunk, results, strict=True):
            job.finish(index, checked)
        self._wake()

    def _stop_lingering(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
