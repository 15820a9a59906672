"""Receipts, blocks and state values checked against the genesis: what a node gave holds, or it is `ProofInvalid`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.keys import BadKey, state_key
from ledger import blocks, codec, seals
from ledger.errors import LedgerError
from ledger.proofs import VerifiedProof, verify_proof
from ledger.state_proof import check_state_proof
from ledger.types import BlockRecord, Genesis
from network.client.errors import ProofInvalid
from network.client.messages import StateValue


def checked_proof(text: bytes, transaction_id: bytes, genesis: Genesis) -> VerifiedProof:
    """A receipt file, verified, and about this transaction. Raises `ProofInvalid`."""
    try:
        found = verify_proof(text, genesis)
    except LedgerError as error:
        raise ProofInvalid(f"the proof of {transaction_id.hex()} does not hold: {error}") from None
    if found.transaction is None or found.receipt is None:
        raise ProofInvalid(f"the proof of {transaction_id.hex()} is one of kind {found.kind!r}")
    if found.receipt.transaction_id != transaction_id:
        raise ProofInvalid(f"the proof is of {found.receipt.transaction_id.hex()}, asked was {transaction_id.hex()}")
    return found


def checked_block(data: bytes, name: str, genesis: Genesis | None) -> BlockRecord:
    """A block record whose parts belong together and that is the one asked for. Raises `ProofInvalid`."""
    try:
        record = codec.decode(data, BlockRecord)
        blocks.check_record(record)
        header = record.block.header
        if name not in (str(header.height), header.hash.hex()):
            raise ProofInvalid(f"the node gave block {header.height}, asked was {name}")
        if genesis is not None:
            _check_seal(record, genesis)
    except LedgerError as error:
        raise ProofInvalid(f"block {name} does not hold: {error}") from None
    return record


def _check_seal(record: BlockRecord, genesis: Genesis) -> None:
    header = record.block.header
    if header.chain_id != genesis.chain_id:
        raise ProofInvalid(f"block {header.height} is of chain {header.chain_id.hex()}, not of this genesis")
    if header.height == blocks.GENESIS_HEIGHT:
        if header != blocks.genesis_header(genesis, header.state_root):
            raise ProofInvalid("block 0 is not the one that this genesis makes")
        return
    if record.seal is None:
        raise ProofInvalid(f"block {header.height} came without a seal")
    seals.verify_sealed_header(header, record.seal, genesis.validators)


# ── state ─────────────────────────────────────────────────────────────────────────────────────────


def checked_light(data: bytes, genesis: Genesis) -> BlockRecord:
    """A block without bodies and receipts whose header is sealed. Raises `ProofInvalid`."""
    try:
        record = codec.decode(data, BlockRecord)
        blocks.check_block(record.block)
        _check_seal(record, genesis)
    except LedgerError as error:
        raise ProofInvalid(f"a block's header does not hold: {error}") from None
    return record


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
