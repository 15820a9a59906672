"""The four tables of an export: their columns, and the rows that a block makes in them.

Knows the ledger's nouns and no file format. Names and types are a promise to whoever wrote a query: columns may be
added, none is renamed, retyped or removed without another `FORMAT`. Hashes, ids and keys are text in hexadecimal, as
everywhere that people read; values of contracts are JSON text in the form of the API (`network.json_values`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from ledger import codec, hashing
from ledger.types import BlockRecord, Call, Genesis, Receipt, Transaction, body_bytes
from network import present

FORMAT = "quorate-export-1"

CALLS = "list<struct<contract: string, method: string, args: string>>"


class Column(NamedTuple):
    """One column. `kind` is the Parquet reader's word for its type; no column is ever null."""

    name: str
    kind: str
    meaning: str


Row = tuple[Any, ...]

TABLES: dict[str, tuple[Column, ...]] = {
    "blocks": (
        Column("height", "int64", "the block's height; 0 is genesis"),
        Column("hash", "string", "the header's hash"),
        Column("previous_hash", "string", "that of the block below"),
        Column("time", "timestamp[ms, tz=UTC]", "the block's time"),
        Column("epoch", "int64", "the run of heights with one validator set"),
        Column("batch_view", "int64", "the view in which its batch was first proposed"),
        Column("proposer", "int32", "the member that proposed it"),
        Column("proposer_name", "string", "that member's name; empty for genesis"),
        Column("transaction_count", "int64", "transactions in it"),
        Column("gas_used", "int64", "gas of all of them"),
        Column("batch_digest", "string", "what the validators agreed on"),
        Column("transactions_root", "string", "Merkle root of the transactions"),
        Column("receipts_root", "string", "Merkle root of the receipts"),
        Column("state_root", "string", "root of the state after it"),
        Column("validators_hash", "string", "the set that sealed it"),
        Column("next_validators_hash", "string", "the set of the next block"),
        Column("signers", "list<string>", "names of the members whose signatures are in its seal"),
    ),
    "transactions": (
        Column("height", "int64", "the block it is in"),
        Column("index", "int32", "its place in the block, from 0"),
        Column("time", "timestamp[ms, tz=UTC]", "the block's time"),
        Column("id", "string", "its id: the hash of what was signed"),
        Column("hash", "string", "the hash of it with its signature"),
        Column("sender", "string", "the sender's public key"),
        Column("contract", "string", "the contract of its first call"),
        Column("method", "string", "the method of its first call"),
        Column("calls", CALLS, "all its calls; `args` is a JSON list"),
        Column("gas_limit", "int64", "the most gas it might use"),
        Column("valid_until", "int64", "the last height at which it was valid"),
        Column("raw", "binary", "the signed transaction itself"),
    ),
    "receipts": (
        Column("height", "int64", "the block it is in"),
        Column("index", "int32", "its place in the block, that of the transaction"),
        Column("time", "timestamp[ms, tz=UTC]", "the block's time"),
        Column("transaction_id", "string", "the transaction's id"),
        Column("transaction_hash", "string", "the transaction's hash"),
        Column("ok", "bool", "whether it took effect"),
        Column("code", "string", '"ok", or the error\'s stable code'),
        Column("message", "string", "why it failed, in words"),
        Column("contract", "string", "the contract in which it failed"),
        Column("line", "int64", "the line there, 0 where none is to blame"),
        Column("gas_used", "int64", "the gas it used"),
        Column("results", "list<string>", "what each call returned, as JSON"),
        Column("event_count", "int32", "events it emitted"),
    ),
    "events": (
        Column("height", "int64", "the block it is in"),
        Column("index", "int32", "the place of its transaction in the block"),
        Column("event_index", "int32", "its place among the transaction's events, from 0"),
        Column("time", "timestamp[ms, tz=UTC]", "the block's time"),
        Column("transaction_id", "string", "the transaction's id"),
        Column("contract", "string", "the contract that emitted it"),
        Column("name", "string", "the event's name"),
        Column("fields", "string", "its fields, a JSON object"),
    ),
}


def rows_of(record: BlockRecord, genesis: Genesis) -> dict[str, list[Row]]:
    """The rows of one block, by table."""
    receipts = [codec.decode(each, Receipt) for each in record.receipts]
    return {
        "blocks": [_block(record, genesis)],
        "transactions": list(_transactions(record)),
        "receipts": [_receipt(each, record.block.header.time_ms) for each in receipts],
        "events": [row for each in receipts for row in _events(each, record.block.header.time_ms)],
    }


def _block(record: BlockRecord, genesis: Genesis) -> Row:
    found = record.block.header
    validators = present.signers_of(found, genesis.validators)
    signers = record.seal.signatures if record.seal else ()
    return (
        found.height,
        found.hash.hex(),
        found.previous_hash.hex(),
        found.time_ms,
        found.epoch,
        found.batch_view,
        found.batch_proposer,
        present.member_name(found.batch_proposer, validators) if found.height else "",
        found.transaction_count,
        found.gas_used,
        found.batch_digest.hex(),
        found.transactions_root.hex(),
        found.receipts_root.hex(),
        found.state_root.hex(),
        found.validators_hash.hex(),
        found.next_validators_hash.hex(),
        [present.member_name(each.member, validators) for each in signers],
    )


def _transactions(record: BlockRecord) -> Iterator[Row]:
    header = record.block.header
    for index, (raw, name) in enumerate(zip(record.bodies, record.block.transactions, strict=True)):
        body = codec.decode(raw, Transaction).body
        yield (
            header.height,
            index,
            header.time_ms,
            hashing.transaction_id(body_bytes(raw)).hex(),
            name.hex(),
            body.sender.hex(),
            body.calls[0].contract,
            body.calls[0].method,
            [_call(each) for each in body.calls],
            body.gas_limit,
            body.valid_until,
            raw,
        )


def _call(found: Call) -> dict[str, str]:
    return {"contract": found.contract, "method": found.method, "args": _json(found.args)}


def _receipt(found: Receipt, time_ms: int) -> Row:
    return (
        found.height,
        found.index,
        time_ms,
        found.transaction_id.hex(),
        found.transaction_hash.hex(),
        found.code == "ok",
        found.code,
        found.message,
        found.contract,
        found.line,
        found.gas_used,
        [_json(each) for each in found.results],
        len(found.events),
    )


def _events(found: Receipt, time_ms: int) -> Iterator[Row]:
    for index, event in enumerate(found.events):
        yield (
            found.height,
            found.index,
            index,
            time_ms,
            found.transaction_id.hex(),
            event.contract,
            event.name,
            _json(event.fields),
        )


def _json(encoded: bytes) -> str:
    return json.dumps(present.value(encoded), ensure_ascii=False, separators=(",", ":"))
