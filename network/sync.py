"""Fetching sealed blocks from a peer, and serving them. A block is believed for its seal, never for its sender.

One fetch is outstanding at a time, with a deadline. Everything an answer says is checked before the replica hears
of it: the record against its own hashes, the header against a quorum's signatures.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from ledger.blocks import check_record
from ledger.errors import InvalidProof
from ledger.seals import verify_sealed_header
from ledger.store import BlockStore
from ledger.types import BlockRecord, ValidatorSet
from network.wire import BLOCKS_ANSWER_BYTES_MAX, BLOCKS_PER_REQUEST_MAX, Blocks, BlocksRequest, peer_frame

log = logging.getLogger("quorate.sync")

ANSWER_DEADLINE_S = 5.0
SERVE_INTERVAL_S = 0.02  # a peer that asks in a loop is answered at most this often


@dataclass
class Outstanding:
    """The fetch that is under way."""

    member: int
    first: int
    last: int
    timer: asyncio.TimerHandle


class BlockSync:
    """`fetched(record)` gets each verified block in order; `failed(member)` ends a fetch that gave nothing."""

    def __init__(
        self,
        *,
        chain_id: bytes,
        validators: ValidatorSet,
        store: BlockStore,
        send: Callable[[int, bytes], object],
        fetched: Callable[[BlockRecord], None],
        failed: Callable[[int], None],
    ) -> None:
        self._chain_id = chain_id
        self._validators = validators
        self._store = store
        self._send = send
        self._fetched = fetched
        self._failed = failed
        self._outstanding: Outstanding | None = None
        self._served: dict[int, float] = {}
        self._serving: set[int] = set()

    def fetch(self, member: int, first: int, last: int) -> None:
        """Ask one peer for a range; a fetch under way is given up for it."""
        self.close()
        timer = asyncio.get_running_loop().call_later(ANSWER_DEADLINE_S, self._fail, "no answer in time")
        self._outstanding = Outstanding(member, first, last, timer)
        self._send(member, peer_frame(BlocksRequest(first, min(last, first + BLOCKS_PER_REQUEST_MAX - 1))))

    def on_blocks(self, member: int, message: Blocks) -> None:
        """A peer's answer. What was not asked for is dropped."""
        asked = self._outstanding
        if asked is None or asked.member != member or asked.first != message.first:
            return
        if not message.records:
            self._fail("it has none of these blocks")
            return
        height = asked.first
        for record in message.records:
            try:
                self._verify(record, height)
            except InvalidProof as error:
                self._fail(f"its block {height} is invalid: {error}")
                return
            self._fetched(record)
            height += 1
        self.close()

    def serve(self, member: int, request: BlocksRequest) -> None:
        """Answer a peer from the block store: sealed blocks only, bounded in number, bytes and rate."""
        loop = asyncio.get_running_loop()
        if member in self._serving:
            return  # it asks faster than it is answered: its own deadline will tell it
        wait_s = max(0.0, self._served.get(member, 0.0) + SERVE_INTERVAL_S - loop.time())
        self._served[member] = loop.time() + wait_s
        self._serving.add(member)
        loop.call_later(wait_s, self._answer, member, request)

    def close(self) -> None:
        """Give up what is under way."""
        if self._outstanding is not None:
            self._outstanding.timer.cancel()
            self._outstanding = None

    def _answer(self, member: int, request: BlocksRequest) -> None:
        self._serving.discard(member)
        records: list[BlockRecord] = []
        size = 0
        last = min(request.last, request.first + BLOCKS_PER_REQUEST_MAX - 1)
        for height in range(request.first, last + 1):
            record = self._store.record(height)
            if record is None or record.seal is None:
                break
            size += sum(map(len, record.bodies)) + sum(map(len, record.receipts))
            if records and size > BLOCKS_ANSWER_BYTES_MAX:
                break
            records.append(record)
        self._send(member, peer_frame(Blocks(request.first, tuple(records))))

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
