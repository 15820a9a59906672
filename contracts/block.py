"""Executing one ordered batch: which of its transactions run, in which order, and what each of them did.

Pure but for the reader it is handed: the same batch over the same state gives the same outcome, and nothing is
written here. Signatures and validity windows are the validator's matter, checked before a batch was ordered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from contracts import codes, costs
from contracts.arguments import decode_arguments, pay_for_parts
from contracts.catalogue import SYSTEM, Catalogue, NodeFault
from contracts.invocation import Invocation, Setting
from contracts.language.interface import Failure, Meter
from contracts.leftovers import LEFTOVERS
from contracts.receipts import fit_message
from contracts.storage import Reader
from contracts.system import account_key, roles_in
from contracts.writes import WriteSet
from ledger import blocks, hashing
from ledger.types import LogEntry, Receipt, Transaction, TransactionBody, body_bytes

SENDING_ROLES: Final = frozenset({"admin", "deployer", "writer"})

_decode_transaction = msgspec.msgpack.Decoder(Transaction).decode
_roles_in = lru_cache(maxsize=4096)(roles_in)


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What executing one ordered batch gave. `executed` indexes the batch's transactions; the rest were skipped.

    `returned` are the indexes that did not fit the block's gas: they go back to the mempool.
    """

    height: int
    executed: tuple[int, ...]
    returned: tuple[int, ...]
    receipts: tuple[bytes, ...]
    transactions_root: bytes
    receipts_root: bytes
    state_root: bytes
    gas_used: int


class ExecutedId(msgspec.Struct, frozen=True, gc=False):
    """A transaction that ran in this block, and until when it must be remembered."""

    transaction_id: bytes
    valid_until: int


class BlockRun:
    """One batch on its way through the engine. Make one, `run` it, and take what it left."""

    def __init__(
        self,
        *,
        height: int,
        time_ms: int,
        gas_max: int,
        reader: Reader,
        catalogue: Catalogue,
        is_executed: Callable[[ExecutedId], bool],
        chain_id: str = "",
    ) -> None:
        self._height = height
        self._time_ms = time_ms
        self._gas_max = gas_max
        self._reader = reader
        self._catalogue = catalogue
        self._is_executed = is_executed
        self._chain_id = chain_id
        self._hashes: list[bytes] = []
        self.writes = WriteSet()
        self.executed: list[int] = []
        self.returned: list[int] = []
        self.receipts: list[bytes] = []
        self.ids: dict[bytes, ExecutedId] = {}
        self.gas_used = 0
        self._receipts_bytes = 0

    def run(self, transactions: Sequence[bytes]) -> None:
        """Execute in order until the block's gas is used up, or its receipts have no room for one more of the largest.

        A transaction fits when its gas *limit* does, so that no member executes what another returns; the first
        one always fits. After the first that does not fit, the rest return, so that their order stands. The bound
        on receipts keeps every block small enough to be sent in one message. Raises `NodeFault` when the host fails.
        """
        for index, raw in enumerate(transactions):
            body = self._read(index, raw)
            identity = ExecutedId(hashing.transaction_id(body_bytes(raw)), body.valid_until)
            if identity.transaction_id in self.ids or self._is_executed(identity):
                continue
            if self.returned or (self.executed and self._has_no_room_for(body)):
                self.returned.append(index)
                continue
            self._execute(index, raw, body, identity)

    def _has_no_room_for(self, body: TransactionBody) -> bool:
        return (
            body.gas_limit > self._gas_max - self.gas_used
            or self._receipts_bytes > costs.BLOCK_RECEIPTS_BYTES_MAX - costs.RECEIPT_BYTES_MAX
        )

    def outcome(self, state_root: bytes) -> BlockOutcome:
        """The outcome, once the writes have given this root."""
        return BlockOutcome(
            height=self._height,
            executed=tuple(self.executed),
            returned=tuple(self.returned),
            receipts=tuple(self.receipts),
            transactions_root=blocks.transactions_root(self._hashes),
            receipts_root=blocks.receipts_root(self.receipts),
            state_root=state_root,
            gas_used=self.gas_used,
        )

    def _read(self, index: int, raw: bytes) -> TransactionBody:
        try:
            return _decode_transaction(raw).body
        except msgspec.MsgspecError as error:
            raise NodeFault(f"transaction {index} of block {self._height} does not decode: {error}") from error

    def _execute(self, index: int, raw: bytes, body: TransactionBody, identity: ExecutedId) -> None:
        LEFTOVERS.collect()
        transaction_hash = hashing.transaction_hash(raw)
        meter = Meter(body.gas_limit)
        invocation = Invocation(
            catalogue=self._catalogue,
            reader=self._reader,
            below=(self.writes,),
            setting=Setting(self._height, self._time_ms, identity.transaction_id.hex(), self._chain_id),
            meter=meter,
        )
        results, events, failure = _outcome_of(invocation, body, len(raw))
        LEFTOVERS.note(meter)
        if failure is None:
            self.writes.merge(invocation.writes)
        receipt = Receipt(
            height=self._height,
            index=len(self.receipts),
            transaction_id=identity.transaction_id,
            transaction_hash=transaction_hash,
            code=codes.OK if failure is None else failure.code,
            message="" if failure is None else fit_message(failure.message),
            contract="" if failure is None else failure.contract,
            line=0 if failure is None else failure.line,
            gas_used=meter.used,
            results=results,
            events=events,
        )
        self.executed.append(index)
        self.receipts.append(receipt.encode())
        self._receipts_bytes += len(self.receipts[-1])
        self._hashes.append(transaction_hash)
        self.ids[identity.transaction_id] = identity
        self.gas_used += meter.used


_Outcome = tuple[tuple[bytes, ...], tuple[LogEntry, ...], Failure | None]


def _outcome_of(invocation: Invocation, body: TransactionBody, size: int) -> _Outcome:
    """Results and events, or the failure. The meter has the last word: what ran out, failed, whatever was raised."""
    failure: Failure | None = None
    results: list[bytes] = []
    try:
        _run_calls(invocation, body, size, results)
    except Failure as raised:
        failure = raised
    except NodeFault:
        raise
    except Exception as error:
        raise NodeFault(
            f"the host failed in transaction {invocation.transaction_id}: {type(error).__name__}"
        ) from error
    if invocation.meter.exhausted:
        where = ("", 0) if failure is None else (failure.contract, failure.line)
        failure = Failure(codes.OUT_OF_GAS, f"the gas limit of {body.gas_limit} was reached", where[1], where[0])
    if failure is not None:
        return (), (), failure
    return tuple(results), tuple(invocation.events), None


def _run_calls(invocation: Invocation, body: TransactionBody, size: int, results: list[bytes]) -> None:
    invocation.meter.charge(costs.TRANSACTION + costs.TRANSACTION_BYTE * size)
    sender = body.sender.hex()
    record = invocation.read(account_key(sender))
    if record is None:
        raise Failure(codes.UNKNOWN_SENDER, f"{sender} is no account of this network; an admin can make it one")
    roles = _roles_in(record)
    for call in body.calls:
        _require_right(roles, call.contract)
        pay_for_parts(invocation.meter, call.args)
        arguments = decode_arguments(call.args)
        results.append(invocation.call(sender, call.contract, call.method, arguments))


def _require_right(roles: frozenset[str], contract: str) -> None:
    """Writers call contracts; who may call what of the system contract is written there."""
    if contract != SYSTEM and "writer" not in roles:
        raise Failure(codes.NOT_PERMITTED, "calling a contract needs the role writer, which the sender does not have")
    if roles.isdisjoint(SENDING_ROLES):
        raise Failure(codes.NOT_PERMITTED, "an auditor reads; sending needs the role writer, deployer or admin")
