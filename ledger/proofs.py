"""Making proof files out of a sealed block and what stands under its roots; and what a verified one says, in our types.

A file holds how a reader's trust reaches the block (its `Way`), the sealed header, and the thing proven with its path
to a root. The judging is not here: `ledger.verifier` is written to be read alone, and to trust none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ledger import codec, merkle
from ledger.errors import CodecError, InvalidProof
from ledger.proof_file import write_proof
from ledger.types import BlockRecord, Genesis, Header, LogEntry, Receipt, Seal, Transaction, ValidatorSet
from ledger.verifier import Trust, verify


class Closing(NamedTuple):
    """The last header of an epoch with its seal, and the validators of the next, whom it names."""

    header: Header
    seal: Seal
    validators: ValidatorSet


class Way(NamedTuple):
    """From what a reader trusts to the set that sealed a block.

    It begins at the genesis, or at `anchor`: a header that the reader trusts, and the set of its epoch. One closing for
    each change of the set in between.
    """

    anchor: tuple[Header, ValidatorSet] | None = None
    closings: tuple[Closing, ...] = ()


FROM_GENESIS = Way()


class ProvenValue(NamedTuple):
    """What stands at a place of the state: its encoding, None for nothing. `elements` are the parts of a Map's key."""

    contract: str
    variable: str
    elements: tuple[bool | int | bytes | str, ...]
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """What a proof file proves; what its kind lacks is None. `signers` are those in the seal, of `member_count`.

    `closings` are the changes of the set of validators on the way from what was trusted.
    """

    text: str
    kind: str
    header: Header
    header_hash: bytes
    seal: Seal
    closings: tuple[Closing, ...]
    signers: tuple[str, ...]
    member_count: int
    transaction: Transaction | None
    receipt: Receipt | None
    event: LogEntry | None
    state: ProvenValue | None

    @property
    def height(self) -> int:
        """Of the block."""
        return self.header.height

    @property
    def time_ms(self) -> int:
        """Of the block."""
        return self.header.time_ms

    def to_json(self) -> str:
        """The text of the file, to keep."""
        return self.text


# ── making ────────────────────────────────────────────────────────────────────────────────────────


def prove_header(record: BlockRecord, way: Way = FROM_GENESIS) -> str:
    """The file for a sealed header alone. Raises `InvalidProof` when the block has no seal, as do those below."""
    return write_proof("header", _sealed(record, way))


def prove_sealed(header: Header, seal: Seal, way: Way = FROM_GENESIS) -> str:
    """The same, where no more than the header and its seal is at hand."""
    return write_proof("header", _parts(header, seal, way))


def prove_transaction(record: BlockRecord, index: int, way: Way = FROM_GENESIS) -> str:
    """The file for transaction `index` of a block, and its outcome: the one-file receipt."""
    transaction = {
        "transaction": record.bodies[index].hex(),
        "transaction_path": _hex(merkle.inclusion_proof(record.block.transactions, index)),
    }
    return write_proof("transaction", _sealed(record, way) | transaction | _receipt(record, index))


def prove_receipt(record: BlockRecord, index: int, way: Way = FROM_GENESIS) -> str:
    """The file for the outcome of transaction `index`, without saying what was called with which arguments."""
    return write_proof("receipt", _sealed(record, way) | _receipt(record, index))


def prove_event(record: BlockRecord, index: int, event: int, way: Way = FROM_GENESIS) -> str:
    """The file for event number `event`, from 0 on, of transaction `index`. Raises `InvalidProof` if there is none."""
    events = len(codec.decode(record.receipts[index], Receipt).events)
    if not 0 <= event < events:
        count = f"{events} event{'' if events == 1 else 's'}"
        raise InvalidProof(f"the transaction emitted {count}, there is no number {event}: they count from 0")
    return write_proof("event", _sealed(record, way) | {"event": event} | _receipt(record, index))


def prove_state(record: BlockRecord, key: bytes, value: bytes | None, proof: bytes, way: Way = FROM_GENESIS) -> str:
    """The file for the value at `key` (None: its absence) in the state after a block; `proof` is the state's own.

    The block may come without bodies and receipts.
    """
    state = {"key": key.hex(), "value": None if value is None else value.hex(), "state_proof": proof.hex()}
    return write_proof("state", _sealed(record, way) | state)


def _sealed(record: BlockRecord, way: Way) -> dict[str, Any]:
    if record.seal is None:
        raise InvalidProof(
            f"block {record.height} is not sealed" + (" yet" if record.height else ": it is the genesis")
        )
    return _parts(record.block.header, record.seal, way)


def _parts(header: Header, seal: Seal, way: Way) -> dict[str, Any]:
    fields: dict[str, Any] = {"closings": [_closing(each) for each in way.closings]}
    if way.anchor is not None:
        fields["anchor"] = {"header": way.anchor[0].encode().hex(), "validators": way.anchor[1].encode().hex()}
    return fields | {"header": header.encode().hex(), "seal": seal.encode().hex()}


def _closing(closing: Closing) -> dict[str, str]:
    return {name: part.encode().hex() for name, part in zip(Closing._fields, closing, strict=True)}


def _receipt(record: BlockRecord, index: int) -> dict[str, Any]:
    path = merkle.inclusion_proof(record.receipts, index)
    return {"receipt": record.receipts[index].hex(), "receipt_path": _hex(path)}


def _hex(path: Sequence[bytes]) -> list[str]:
    return [node.hex() for node in path]


# ── verifying ─────────────────────────────────────────────────────────────────────────────────────


def verify_proof(data: bytes | str, trusted: Genesis | bytes) -> VerifiedProof:
    """What a proof file proves on the chain of a genesis, or on from a header whose hash is trusted.

    Raises `InvalidProof`, which says why, and nothing else.
    """
    data = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    found = verify(data, trust_in(trusted))
    try:
        return VerifiedProof(
            text=data.decode(),
            kind=found.kind,
            header=codec.decode(found.header["raw"], Header),
            header_hash=found.header["hash"],
            seal=codec.decode(found.seal["raw"], Seal),
            closings=tuple(map(_read_closing, found.closings)),
            signers=found.signers,
            member_count=found.member_count,
            transaction=codec.decode(found.transaction["raw"], Transaction) if found.transaction else None,
            receipt=codec.decode(found.receipt["raw"], Receipt) if found.receipt else None,
            event=LogEntry(**found.event) if found.event else None,
            state=_proven_value(found.state) if found.state else None,
        )
    except CodecError as error:  # sealed by a quorum, and yet nothing that this program writes
        raise InvalidProof(f"what it proves cannot be read: {error}") from None


def _read_closing(closing: dict[str, Any]) -> Closing:
    return Closing(
        codec.decode(closing["header"]["raw"], Header),
        codec.decode(closing["seal"]["raw"], Seal),
        codec.decode(closing["validators"], ValidatorSet),
    )


def trust_in(trusted: Genesis | bytes) -> Trust:
    """What the verifier is to start from."""
    if isinstance(trusted, bytes):
        return Trust(header_hash=trusted)
    return Trust(trusted.chain_id, trusted.validators.encode())


def _proven_value(state: dict[str, Any]) -> ProvenValue:
    return ProvenValue(state["contract"], state["variable"], tuple(state["elements"]), state["key"], state["value"])
