"""The bodies of batches: found, checked, pinned until sealed. A vote for a batch rests on every body being here.

Batches name transactions by hash. What the mempool lacks is asked of the batch's sources, one after the other and
over again, until the batch is held, superseded or sealed. Pinned bodies lie outside the mempool's limits: a full pool
must never keep a validator from voting. This module judges transactions by the one shared rule and asks no clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ledger import hashing
from ledger.transactions import identify, read_transaction
from ledger.types import Batch, Parameters
from network.mempool import Mempool
from network.verification import Checked
from network.wire import BODIES_PER_REQUEST_MAX

log = logging.getLogger("quorate.bodies")

ASK_AGAIN_S = 0.4
ANSWERS_IN_CHECK_MAX = 64


@dataclass(frozen=True)
class Body:
    """A checked transaction: its bytes, and what must be judged again for each height."""

    raw: bytes
    valid_until: int
    gas_limit: int


@dataclass
class Want:
    """A batch whose bodies are not all here yet."""

    batch: Batch
    sources: tuple[int, ...]
    missing: set[bytes]
    asked: int = 0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class BodyKeeper:
    """Holds the bodies of every batch that is not sealed yet.

    `ready(digest)` and `refused(digest, reason)` answer a `hold`; `keep(raws)` makes bodies durable with the next
    journal record; `request(member, hashes)` asks a peer; `check(raws)` verifies signatures off the loop.
    """

    def __init__(
        self,
        *,
        mempool: Mempool,
        parameters: Parameters,
        keep: Callable[[Sequence[bytes]], None],
        request: Callable[[int, tuple[bytes, ...]], object],
        check: Callable[[Sequence[bytes]], Awaitable[Sequence[Checked]]],
        ready: Callable[[bytes], None],
        refused: Callable[[bytes, str], None],
    ) -> None:
        self._mempool = mempool
        self._parameters = parameters
        self._keep = keep
        self._request = request
        self._check = check
        self._ready = ready
        self._refused = refused
        self._pinned: dict[bytes, Body] = {}
        self._heights: dict[int, set[bytes]] = {}
        self._wants: dict[bytes, Want] = {}
        self._sealed_height = 0
        self._checks: set[asyncio.Task[None]] = set()
        self._in_check: set[bytes] = set()  # bytes are checked once, whoever sends them again meanwhile

    # ── what the node asks ────────────────────────────────────────────────────────────────────────

    def restore(self, raws: Sequence[bytes], batches: Sequence[Batch], sealed_height: int) -> None:
        """Take up the bodies that the journal held, each until the last of the journal's batches that name it is
        sealed: this member has voted for them, and is asked for no body again. What none names goes with the next seal.
        """
        self._sealed_height = sealed_height
        for raw in raws:
            self._pin_raw(raw, sealed_height + 1)
        for batch in batches:
            if batch.height > sealed_height:
                self._heights.setdefault(batch.height, set()).update(self._pinned.keys() & set(batch.hashes))

    def hold(self, batch: Batch, sources: tuple[int, ...]) -> None:
        """See to it that every body of `batch` is here, checked and durable; then `ready`, or `refused`."""
        digest = batch.digest
        if digest in self._wants:
            self._wants[digest].sources = sources
            return
        missing = {each for each in batch.hashes if not self._pin(each, batch.height)}
        if not missing:
            self._answer(batch)
            return
        want = self._wants[digest] = Want(batch, sources, missing)
        self._ask(want)

    def of(self, batch: Batch) -> list[bytes] | None:
        """The bodies of a batch in its order, or None when one is not here."""
        bodies = [self._pinned.get(each) for each in batch.hashes]
        return None if None in bodies else [body.raw for body in bodies if body is not None]

    def get(self, transaction_hash: bytes) -> bytes | None:
        """One body, from here or from the mempool."""
        body = self._pinned.get(transaction_hash)
        return body.raw if body is not None else self._mempool.get(transaction_hash)

    def pin_fetched(self, height: int, raws: Sequence[bytes]) -> None:
        """Hold the bodies of a sealed block that was fetched: its seal says that they are valid."""
        for raw in raws:
            self._pin_raw(raw, height)
        self._keep(raws)

    def pinned(self) -> list[bytes]:
        """Everything that must stay durable until its height is sealed."""
        return [body.raw for body in self._pinned.values()]

    def unpin(self, sealed_height: int) -> None:
        """Let go of what is sealed."""
        self._sealed_height = sealed_height
        done = [height for height in self._heights if height <= sealed_height]
        candidates: set[bytes] = set()
        for height in done:
            candidates |= self._heights.pop(height)
        still_needed: set[bytes] = set().union(*self._heights.values()) if self._heights else set()
        for each in candidates - still_needed:
            self._pinned.pop(each, None)
        for digest in [digest for digest, want in self._wants.items() if want.batch.height <= sealed_height]:
            self._drop(digest)

    # ── what arrives ──────────────────────────────────────────────────────────────────────────────

    def on_bodies(self, raws: Sequence[bytes]) -> None:
        """A peer's answer: what a want names is checked off the loop, then pinned. Unasked answers cost nothing."""
        if self._wants and len(self._checks) < ANSWERS_IN_CHECK_MAX:
            task = asyncio.create_task(self._take(raws))
            self._checks.add(task)
            task.add_done_callback(self._checks.discard)

    def on_added(self, hashes: Sequence[bytes]) -> None:
        """The mempool gained these transactions: some wants may be complete now."""
        for want in list(self._wants.values()):
            if not want.missing.isdisjoint(hashes):
                self._fill(want)

    async def _take(self, raws: Sequence[bytes]) -> None:
        named = {hashing.transaction_hash(raw): raw for raw in raws}
        asked = (self._missing() - self._in_check) & named.keys()
        self._in_check |= asked
        try:
            answers = await self._check([named[each] for each in asked])
        finally:
            self._in_check -= asked
        missing = self._missing()  # the check took its time: what nobody wants any more would never be let go
        for checked in answers:
            if checked.code == "" and checked.transaction is not None and checked.transaction_hash in missing:
                body = checked.transaction.body
                self._pinned[checked.transaction_hash] = Body(checked.raw, body.valid_until, body.gas_limit)
        for want in list(self._wants.values()):
            self._fill(want)

    def _missing(self) -> set[bytes]:
        return set().union(*(want.missing for want in self._wants.values()))

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _fill(self, want: Want) -> None:
        want.missing = {each for each in want.missing if not self._pin(each, want.batch.height)}
        if not want.missing and want.batch.digest in self._wants:
            self._drop(want.batch.digest)
            self._answer(want.batch)

    def _answer(self, batch: Batch) -> None:
        reason = self._judge(batch)
        if reason:
            log.warning("batch %s at height %d refused: %s", batch.digest.hex()[:12], batch.height, reason)
            self._refused(batch.digest, reason)
            return
        self._keep([self._pinned[each].raw for each in batch.hashes])
        self._ready(batch.digest)

    def _judge(self, batch: Batch) -> str:
        """Why no correct primary would have proposed this batch at its height; empty when it may be voted for."""
        size = 0
        for each in batch.hashes:
            body = self._pinned[each]
            size += len(body.raw)
            if not batch.height <= body.valid_until <= batch.height + self._parameters.validity_window:
                return f"transaction {each.hex()[:12]} is valid until {body.valid_until}"
        if size > self._parameters.block_bytes_max:
            return f"{size} bytes of transactions, at most {self._parameters.block_bytes_max} are allowed"
        return ""

    def _pin(self, transaction_hash: bytes, height: int) -> bool:
        """Pin a body that is here already; False when it is not."""
        if transaction_hash not in self._pinned:
            entry = self._mempool.entry(transaction_hash)
            if entry is None:
                return False
            self._pinned[transaction_hash] = Body(entry.raw, entry.valid_until, entry.gas_limit)
        self._heights.setdefault(height, set()).add(transaction_hash)
        return True

    def _pin_raw(self, raw: bytes, height: int) -> None:
        body = read_transaction(raw).body
        _, transaction_hash = identify(raw)
        self._pinned[transaction_hash] = Body(raw, body.valid_until, body.gas_limit)
        self._heights.setdefault(height, set()).add(transaction_hash)

    def _ask(self, want: Want) -> None:
        if want.sources:
            member = want.sources[want.asked % len(want.sources)]
            want.asked += 1
            # In the batch's order, so that a peer's answer is the same whoever asks.
            hashes = tuple(each for each in want.batch.hashes if each in want.missing)
            self._request(member, hashes[:BODIES_PER_REQUEST_MAX])
        want.timer = asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._ask, want)

    def _drop(self, digest: bytes) -> None:
        want = self._wants.pop(digest, None)
        if want is not None and want.timer is not None:
            want.timer.cancel()

    def close(self) -> None:
        """Stop asking."""
        for digest in list(self._wants):
            self._drop(digest)
