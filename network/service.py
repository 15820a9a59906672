"""What the validator answers to its gateways over the Unix socket: submissions, reads, and the stream of sealed blocks.

Reads are small and bounded, and a gateway that does not drain its stream is cut off: nothing a client does may
delay a vote. Only sealed heights are served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ledger import hashing
from ledger.store import BlockStore
from ledger.types import Block, BlockRecord, Genesis, body_bytes
from network.api import (
    AccountEntry,
    Admission,
    AnyValidatorRequest,
    GetAccount,
    GetBlockByHash,
    GetBlocks,
    GetEvidence,
    GetEvidenceFile,
    GetGenesis,
    GetStatus,
    GetTransaction,
    GetValidators,
    GetValidatorSet,
    NodeStatus,
    Submit,
    Subscribe,
    TransactionRecord,
)
from network.evidence import EvidenceBook
from network.frames import FrameTooLarge
from network.intake import Intake
from network.ipc import Connection
from network.mempool import Mempool

log = logging.getLogger("quorate.service")

BLOCKS_MAX = 64
BLOCKS_ANSWER_BYTES_MAX = 8 << 20
ACCOUNT_ENTRIES_MAX = 200
BLOCKS_BEFORE_YIELD = 4

_decoder = msgspec.msgpack.Decoder(AnyValidatorRequest)
_encode = msgspec.msgpack.Encoder().encode


class ValidatorService:
    """Handles one request after another; `status()` and `halted()` (its diagnosis, or empty) are asked of the node."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        store: BlockStore,
        mempool: Mempool,
        intake: Intake,
        status: Callable[[], NodeStatus],
        halted: Callable[[], str],
        evidence: EvidenceBook,
    ) -> None:
        self._genesis = genesis
        self._store = store
        self._mempool = mempool
        self._intake = intake
        self._status = status
        self._halted = halted
        self._evidence = evidence
        self._subscribers: list[Connection] = []

    async def handle(self, connection: Connection, payload: bytes) -> bytes:
        """The encoded answer to an encoded request. Raises `msgspec.MsgspecError` for what is no request."""
        request = _decoder.decode(payload)
        return _encode(await self._answer(connection, request))

    def publish(self, record: BlockRecord) -> None:
        """Push a sealed block to every gateway that follows."""
        if self._subscribers:
            payload = record.encode()
            self._subscribers = [each for each in self._subscribers if _pushed(each, payload)]

    async def _answer(self, connection: Connection, request: AnyValidatorRequest) -> Any:
        match request:
            case Submit(raw):
                return _refused(raw, self._halted()) if self._halted() else await self._intake.submit(raw)
            case GetStatus():
                return self._status()
            case GetGenesis():
                return self._genesis
            case GetValidators():
                return self._genesis.validators
            case GetValidatorSet(name):
                return self._genesis.validators if name == self._genesis.validators.hash else None
            case GetBlocks(first, last, light):
                return await self._blocks(first, last, light)
            case GetBlockByHash(block_hash):
                return self._sealed(self._store.by_hash(block_hash))
            case GetTransaction(transaction_id):
                return self._transaction(transaction_id)
            case GetAccount(public_key, before_height, before_index, limit):
                return self._account(public_key, before_height, before_index, limit)
            case GetEvidence():
                return self._evidence.entries()
            case GetEvidenceFile(file):
                return self._evidence.text(file)
            case Subscribe():
                others = [each for each in self._subscribers if each is not connection and not each.closed]
                self._subscribers = [*others, connection]
                return self._store.sealed_height

    async def _blocks(self, first: int, last: int, light: bool) -> list[BlockRecord]:
        records: list[BlockRecord] = []
        size = 0
        for height in range(max(first, 0), min(last, first + BLOCKS_MAX - 1) + 1):
            record = self._sealed(self._store.record(height))
            if record is None:
                break
            size += 0 if light else sum(map(len, record.bodies)) + sum(map(len, record.receipts))
            if records and size > BLOCKS_ANSWER_BYTES_MAX:
                break
            records.append(_light(record) if light else record)
            if len(records) % BLOCKS_BEFORE_YIELD == 0:
                await asyncio.sleep(0)  # votes go first
        return records

    def _sealed(self, record: BlockRecord | None) -> BlockRecord | None:
        return record if record is not None and record.height <= self._store.sealed_height else None

    def _transaction(self, transaction_id: bytes) -> TransactionRecord | None:
        place = self._store.locate(transaction_id)
        if place is not None:
            record = self._sealed(self._store.record(place[0]))
            if record is not None:
                height, index = place
                return TransactionRecord("sealed", record.bodies[index], record.receipts[index], height, index)
        raw = self._mempool.by_id(transaction_id)
        if raw is None and place is not None:
            unsealed = self._store.record(place[0])
            raw = unsealed.bodies[place[1]] if unsealed is not None else None
        return None if raw is None else TransactionRecord("pending", raw, b"", 0, 0)

    def _account(self, public_key: bytes, before_height: int, before_index: int, limit: int) -> list[AccountEntry]:
        entries = self._store.account_entries(
            public_key, before=(before_height, before_index), limit=max(1, min(limit, ACCOUNT_ENTRIES_MAX))
        )
        return [AccountEntry(*entry) for entry in entries if entry[0] <= self._store.sealed_height]


def _pushed(connection: Connection, payload: bytes) -> bool:
    """Whether this gateway still follows. A block that fits no frame is one that it must do without: votes go on."""
    try:
        return connection.push(payload)
    except FrameTooLarge as error:
        log.error("a sealed block cannot be streamed to a gateway: %s", error)
        return True


def _refused(raws: Sequence[bytes], diagnosis: str) -> list[Admission]:
    """A halted validator takes nothing in: what it accepted might never be proposed by anybody."""
    message = f"this node has halted and votes no more ({diagnosis}): send it to another node"
    return [Admission("busy", hashing.transaction_id(body_bytes(raw)), message) for raw in raws]


def _light(record: BlockRecord) -> BlockRecord:
    block = record.block
    return BlockRecord(Block(block.header, block.batch, block.transactions), (), (), record.seal)
