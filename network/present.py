"""The ledger's nouns as JSON objects: one function a noun, hex for bytes, field names as in `ledger.types`.

Everything that the gateway shows passes through here, and nothing here asks anybody anything. A header's object has
exactly the header's fields beside `hash` and `time`, so a client can build the header again and check its hash.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ledger import codec, hashing
from ledger.errors import CodecError
from ledger.types import (
    Batch,
    BlockRecord,
    Call,
    Header,
    LogEntry,
    Parameters,
    Receipt,
    Seal,
    Transaction,
    ValidatorSet,
    body_bytes,
)
from network.api import ContractInfo, EvidenceEntry, ExecutorStatus, NodeStatus, ScrubStatus
from network.json_values import to_json

Json = dict[str, Any]


def iso_time(time_ms: int) -> str:
    """UTC with milliseconds, as people and `Date.parse` read it; empty beyond the calendar's end."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return ""


def value(encoded: bytes) -> Any:
    """An encoded contract value; undecodable bytes are shown as what they are."""
    try:
        return to_json(codec.decode(encoded))
    except (CodecError, ValueError):
        return {"$undecodable": encoded.hex()}


# ── blocks ────────────────────────────────────────────────────────────────────────────────────────


def header(found: Header) -> Json:
    """A header, with its hash and its time in words."""
    return {
        "hash": found.hash.hex(),
        "chain_id": found.chain_id.hex(),
        "epoch": found.epoch,
        "height": found.height,
        "previous_hash": found.previous_hash.hex(),
        "batch_digest": found.batch_digest.hex(),
        "batch_view": found.batch_view,
        "batch_proposer": found.batch_proposer,
        "batch_since": found.batch_since,
        "time_ms": found.time_ms,
        "time": iso_time(found.time_ms),
        "transactions_root": found.transactions_root.hex(),
        "receipts_root": found.receipts_root.hex(),
        "state_root": found.state_root.hex(),
        "validators_hash": found.validators_hash.hex(),
        "next_validators_hash": found.next_validators_hash.hex(),
        "transaction_count": found.transaction_count,
        "gas_used": found.gas_used,
    }


def batch(found: Batch) -> Json:
    """What PBFT ordered for this height."""
    return {
        "digest": found.digest.hex(),
        "epoch": found.epoch,
        "height": found.height,
        "view": found.view,
        "proposer": found.proposer,
        "since": found.since,
        "time_ms": found.time_ms,
        "hashes": [item.hex() for item in found.hashes],
    }


def evidence(found: EvidenceEntry) -> Json:
    """One proof of misbehaviour, without the proof."""
    return {
        "file": found.file,
        "member": found.member,
        "name": found.name,
        "kind": found.kind,
        "epoch": found.epoch,
        "view": found.view,
        "height": found.height,
    }


def seal(found: Seal | None, validators: ValidatorSet | None) -> Json | None:
    """A seal. `validators` gives the signers their names; pass None where they are not that block's set."""
    if found is None:
        return None
    return {
        "epoch": found.epoch,
        "height": found.height,
        "header_hash": found.header_hash.hex(),
        "signatures": [
            {
                "member": item.member,
                "name": member_name(item.member, validators),
                "signature": item.signature.hex(),
            }
            for item in found.signatures
        ],
    }


def member_name(index: int, validators: ValidatorSet | None) -> str:
    """The name of a member, empty where the set is another epoch's."""
    if validators is None or index >= len(validators.members):
        return ""
    return validators.members[index].name


def signers_of(found: Header, validators: ValidatorSet) -> ValidatorSet | None:
    """`validators` where they are the set that this header was sealed by."""
    return validators if found.validators_hash == validators.hash else None


def block_summary(record: BlockRecord, validators: ValidatorSet | None) -> Json:
    """One line of a list of blocks."""
    found = record.block.header
    return {
        "height": found.height,
        "hash": found.hash.hex(),
        "time_ms": found.time_ms,
        "time": iso_time(found.time_ms),
        "transaction_count": found.transaction_count,
        "gas_used": found.gas_used,
        "batch_view": found.batch_view,
        "proposer": found.batch_proposer,
        "proposer_name": member_name(found.batch_proposer, validators) if found.height else "",
        "state_root": found.state_root.hex(),
        "signers": len(record.seal.signatures) if record.seal else 0,
    }


def block(record: BlockRecord, validators: ValidatorSet | None) -> Json:
    """A whole block: header, batch, seal, transactions and their receipts, in order of execution."""
    return {
        "header": header(record.block.header),
        "batch": batch(record.block.batch),
        "seal": seal(record.seal, validators),
        "proposer_name": member_name(record.block.header.batch_proposer, validators) if record.height else "",
        "transactions": [
            {"transaction": transaction(body), "receipt": receipt(outcome)}
            for body, outcome in zip(record.bodies, record.receipts, strict=True)
        ],
    }


# ── transactions ──────────────────────────────────────────────────────────────────────────────────


def transaction(raw: bytes) -> Json:
    """A signed transaction with its calls decoded, and its raw bytes."""
    found = codec.decode(raw, Transaction)
    body = found.body
    return {
        "id": hashing.transaction_id(body_bytes(raw)).hex(),
        "hash": hashing.transaction_hash(raw).hex(),
        "chain_id": body.chain_id.hex(),
        "sender": body.sender.hex(),
        "calls": [call(item) for item in body.calls],
        "gas_limit": body.gas_limit,
        "valid_until": body.valid_until,
        "salt": body.salt.hex(),
        "signature": found.signature.hex(),
        "raw": raw.hex(),
    }


def call(found: Call) -> Json:
    """One call with its arguments as JSON values."""
    return {"contract": found.contract, "method": found.method, "args": value(found.args)}


def receipt(encoded: bytes) -> Json:
    """A receipt with results and events decoded."""
    found = codec.decode(encoded, Receipt)
    return {
        "height": found.height,
        "index": found.index,
        "transaction_id": found.transaction_id.hex(),
        "transaction_hash": found.transaction_hash.hex(),
        "code": found.code,
        "message": found.message,
        "contract": found.contract,
        "line": found.line,
        "gas_used": found.gas_used,
        "results": [value(item) for item in found.results],
        "events": [event(item) for item in found.events],
    }


def event(found: LogEntry) -> Json:
    """One event that a contract emitted."""
    return {"contract": found.contract, "name": found.name, "fields": value(found.fields)}


# ── contracts ─────────────────────────────────────────────────────────────────────────────────────


def contract(found: ContractInfo, *, whole: bool) -> Json:
    """A contract; `whole` adds the source."""
    shown: Json = {
        "name": found.name,
        "code_hash": found.code_hash.hex(),
        "owner": found.owner.hex(),
        "deployed_height": found.height,
        "version": found.version,
        "doc": found.doc,
        "methods": [
            {
                "name": method.name,
                "kind": method.kind,
                "parameters": fields(method.parameters),
                "returns": method.returns,
                "doc": method.doc,
            }
            for method in found.methods
        ],
        "state": fields(found.state),
        "events": [{"name": name, "fields": fields(items)} for name, items in found.events],
    }
    if whole:
        shown["source"] = found.source
    return shown


def fields(found: tuple[tuple[str, str], ...]) -> list[Json]:
    """Named and typed things, in order."""
    return [{"name": name, "type": kind} for name, kind in found]


# ── the node ──────────────────────────────────────────────────────────────────────────────────────


def status(found: NodeStatus) -> Json:
    """How the node stands."""
    return {
        "version": found.version,
        "network": found.network,
        "chain_id": found.chain_id.hex(),
        "member": found.member,
        "name": found.name,
        "view": found.view,
        "primary": found.primary,
        "changing_view": found.changing_view,
        "sealed_height": found.sealed_height,
        "executed_height": found.executed_height,
        "sealed_hash": found.sealed_hash.hex(),
        "state_root": found.state_root.hex(),
        "sealed_time_ms": found.sealed_time_ms,
        "sealed_time": iso_time(found.sealed_time_ms),
        "mempool": {"transactions": found.mempool_transactions, "bytes": found.mempool_bytes},
        "halted": found.halted,
        "silence": found.silence,
        "scrub": scrub(found.scrub),
        "started_ms": found.started_ms,
        "counters": dict(found.counters),
        "peers": [
            {
                "member": peer.member,
                "name": peer.name,
                "connected": peer.connected,
                "view": peer.view,
                "sealed_height": peer.sealed_height,
                "round_trip_ms": peer.round_trip_ms,
            }
            for peer in found.peers
        ],
    }


def scrub(found: ScrubStatus) -> Json:
    """How far the reading again of what is stored has come."""
    return {name: getattr(found, name) for name in ScrubStatus.__struct_fields__} | {"problems": list(found.problems)}


def executor_status(found: ExecutorStatus) -> Json:
    """How the executor stands."""
    return {
        "height": found.height,
        "state_root": found.state_root.hex(),
        "contracts": found.contracts,
        "sandbox": list(found.sandbox),
        "unprotected": dict(found.unprotected),
    }


def parameters(found: Parameters) -> Json:
    """What every member agreed on."""
    return {name: getattr(found, name) for name in Parameters.__struct_fields__}
