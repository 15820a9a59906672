"""Fetching sealed blocks from a peer, and serving them. A block is believed for its seal, never for its sender.

One fetch is outstanding at a time, with a deadline for each answer and one for all: large blocks come few at a time,
and the rest is asked for at once. Everything an answer says is checked before the replica hears of it: the record
against its own hashes, the header against a quorum's signatures.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ledger.blocks import check_record
from ledger.errors import InvalidProof, StorageError
from ledger.seals import verify_sealed_header
from ledger.store import BlockStore
from ledger.types import BlockRecord, ValidatorSet
from network.wire import BLOCKS_ANSWER_BYTES_MAX, BLOCKS_PER_REQUEST_MAX, Blocks, BlocksRequest, peer_frame

log = logging.getLogger("quorate.sync")

ANSWER_DEADLINE_S = 5.0
SILENT_MAX_S = 1.5  # a peer that lives says something twice a second: one that hangs must not be waited for
LOOK_EVERY_S = 0.5
FETCH_DEADLINE_S = 30.0  # a peer that drips block after block has its turn no longer than that
SERVE_INTERVAL_S = 0.02  # a peer that asks in a loop is answered at most this often,
SERVE_RESTS = 3  # and takes at most a quarter of this node's time: after an answer it waits so many times its cost


@dataclass
class Outstanding:
    """The fetch that is under way."""

    member: int
    first: int
    last: int
    until: float
    timer: asyncio.Handle
    look: asyncio.Handle


class BlockSync:
    """`fetched(record)` gets each verified block in order; `failed(member)` ends a fetch that gave nothing.

    `send(member, frame)` is False when the frame certainly does not arrive; `silent_s(member)` is for how long nothing
    came from there, not even a part of a long answer.
    """

    def __init__(
        self,
        *,
        chain_id: bytes,
        validators: ValidatorSet,
        store: BlockStore,
        send: Callable[[int, bytes], object],
        fetched: Callable[[BlockRecord], None],
        failed: Callable[[int], None],
        silent_s: Callable[[int], float] = lambda _: 0.0,
    ) -> None:
        self._chain_id = chain_id
        self._validators = validators
        self._store = store
        self._send = send
        self._silent_s = silent_s
        self._fetched = fetched
        self._failed = failed
        self._outstanding: Outstanding | None = None
        self.lacking: set[int] = set()
        """Who had none of the blocks that were asked for, since any came."""
        self._served_until: dict[int, float] = {}  # member -> when its next answer may go, by the loop's clock
        self._serving: set[int] = set()

    def fetch(self, member: int, first: int, last: int) -> None:
        """Ask one peer for a range; a fetch under way is given up for it."""
        self._ask(member, first, last, asyncio.get_running_loop().time() + FETCH_DEADLINE_S)

    def _ask(self, member: int, first: int, last: int, until: float) -> None:
        self.close()
        loop = asyncio.get_running_loop()
        timer = loop.call_at(min(until, loop.time() + ANSWER_DEADLINE_S), self._fail, "no answer in time")
        look = loop.call_later(LOOK_EVERY_S, self._look)
        self._outstanding = Outstanding(member, first, last, until, timer, look)
        request = BlocksRequest(first, min(last, first + BLOCKS_PER_REQUEST_MAX - 1))
        if self._send(member, peer_frame(request)) is False:
            timer.cancel()
            self._outstanding.timer = loop.call_soon(self._fail, "there is no link to it")

    def on_blocks(self, member: int, message: Blocks) -> None:
        """A peer's answer. What was not asked for is dropped."""
        asked = self._outstanding
        if asked is None or asked.member != member or asked.first != message.first:
            return
        if not message.records:
            self.lacking.add(member)
            self._fail("it has none of these blocks")
            return
        height = asked.first
        for record in message.records[: asked.last - asked.first + 1]:
            try:
                self._verify(record, height)
            except InvalidProof as error:
                self._fail(f"its block {height} is invalid: {error}")
                return
            self._fetched(record)
            height += 1
        self.lacking.clear()
        if height <= asked.last:
            self._ask(member, height, asked.last, asked.until)
        else:
            self.close()

    def _look(self) -> None:
        asked = self._outstanding
        if asked is None:
            return
        if self._silent_s(asked.member) > SILENT_MAX_S:
            self._fail("it has gone silent")
        else:
            asked.look = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def on_lost(self, member: int) -> None:
        """The link to a member is gone, and an answer with it."""
        if self._outstanding is not None and self._outstanding.member == member:
            self._fail("its link was lost")

    def serve(self, member: int, request: BlocksRequest) -> None:
        """Answer a peer from the block store: sealed blocks only, bounded in number, bytes and rate."""
        loop = asyncio.get_running_loop()
        if member in self._serving:
            return  # it asks faster than it is answered: its own deadline will tell it
        self._serving.add(member)
        loop.call_at(max(loop.time(), self._served_until.get(member, 0.0)), self._answer, member, request)

    def close(self) -> None:
        """Give up what is under way."""
        if self._outstanding is not None:
            self._outstanding.timer.cancel()
            self._outstanding.look.cancel()
            self._outstanding = None

    def _answer(self, member: int, request: BlocksRequest) -> None:
        self._serving.discard(member)
        began = time.perf_counter()
        try:
            self._send(member, peer_frame(Blocks(request.first, tuple(self._read(request)))))
        finally:
            rest_s = max(SERVE_INTERVAL_S, SERVE_RESTS * (time.perf_counter() - began))
            self._served_until[member] = asyncio.get_running_loop().time() + rest_s

    def _read(self, request: BlocksRequest) -> list[BlockRecord]:
        records: list[BlockRecord] = []
        size = 0
        last = min(request.last, request.first + BLOCKS_PER_REQUEST_MAX - 1)
        for height in range(request.first, last + 1):
            try:
                record = self._store.record(height)
            except StorageError as error:
                log.error("block %d cannot be served: %s", height, error)
                break
            if record is None or record.seal is None:
                break
            size += sum(map(len, record.bodies)) + sum(map(len, record.receipts))
            if records and size > BLOCKS_ANSWER_BYTES_MAX:
                break
            records.append(record)
        return records

    def _verify(self, record: BlockRecord, height: int) -> None:
        header = record.block.header
        if header.height != height:
            raise InvalidProof(f"it has height {header.height}")
        if record.seal is None:
            raise InvalidProof("it has no seal")
        if header.chain_id != self._chain_id:
            raise InvalidProof("it belongs to another chain")
        check_record(record)
        verify_sealed_header(header, record.seal, self._validators)

    def _fail(self, reason: str) -> None:
        if self._outstanding is None:
            return
        member = self._outstanding.member
        log.warning("fetching blocks from %s failed: %s", self._validators.members[member].name, reason)
        self.close()
        self._failed(member)
