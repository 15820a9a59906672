"""Blocks and state values, checked as far as that goes without knowing who may seal: `ProofInvalid`, or they hold.

Whether a quorum sealed a header is for the light client to say (`network.client.light`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.keys import BadKey, state_key
from ledger import blocks, codec
from ledger.errors import LedgerError
from ledger.proofs import VerifiedProof
from ledger.state_proof import check_state_proof
from ledger.types import BlockRecord
from network.client.errors import ProofInvalid
from network.client.messages import StateValue


def about_transaction(found: VerifiedProof, transaction_id: bytes) -> VerifiedProof:
    """A verified proof, if it is the receipt of this transaction. Raises `ProofInvalid`."""
    if found.transaction is None or found.receipt is None:
        raise ProofInvalid(f"the proof of {transaction_id.hex()} is one of kind {found.kind!r}")
    if found.receipt.transaction_id != transaction_id:
        raise ProofInvalid(f"the proof is of {found.receipt.transaction_id.hex()}, asked was {transaction_id.hex()}")
    return found


def read_block(data: bytes, name: str) -> BlockRecord:
    """A block record whose parts belong together and that is the one asked for. Raises `ProofInvalid`."""
    try:
        record = codec.decode(data, BlockRecord)
        blocks.check_record(record)
    except LedgerError as error:
        raise ProofInvalid(f"block {name} does not hold: {error}") from None
    header = record.block.header
    if name not in (str(header.height), header.hash.hex()):
        raise ProofInvalid(f"the node gave block {header.height}, asked was {name}")
    return record


def read_light(data: bytes) -> BlockRecord:
    """A block without bodies and receipts whose parts belong together. Raises `ProofInvalid`."""
    try:
        record = codec.decode(data, BlockRecord)
        blocks.check_block(record.block)
    except LedgerError as error:
        raise ProofInvalid(f"a block's header does not hold: {error}") from None
    return record


# ── state ─────────────────────────────────────────────────────────────────────────────────────────


def checked_state(
    answer: dict[str, Any], contract: str, variable: str, key: Sequence[Any], mode: str, state_root: bytes | None = None
) -> StateValue:
    """A state answer; proven where the sealed `state_root` is at hand. Raises `ProofInvalid`."""
    try:
        place = state_key(contract, variable, tuple(key))
        value = bytes.fromhex(answer["encoded"]) if answer["present"] else None
        if state_root is not None:
            check_state_proof(state_root, place, value, bytes.fromhex(answer["proof"]))
        found = None if value is None else codec.decode(value)
        return StateValue(found, value is not None, int(answer["height"]), state_root is not None, mode)
    except (LedgerError, BadKey) as error:
        raise ProofInvalid(f"the value of {contract}.{variable} does not hold: {error}") from None
    except (KeyError, TypeError, ValueError):
        raise ProofInvalid("a node's answer is not a state value") from None


def segment(part: Any) -> str:
    """A part of a key as the path of a state read has it."""
    if isinstance(part, bool):
        return "true" if part else "false"
    return part.hex() if isinstance(part, bytes) else str(part)
