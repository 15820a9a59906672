"""The one-file receipt: that one transaction had one outcome in one sealed block, checked offline against the genesis.

The file is JSON that a person can look at and a program can trust: everything in it either is hashed or signed, or is
derived from what is. So there is one text (whitespace between tokens aside) for one proof, and any other is refused,
the summary included. It needs no node, no network and no clock. It does not say that a later block exists.

The chain of trust: genesis -> its validators -> a quorum of their signatures over the header's hash -> the header's two
Merkle roots -> the transaction's hash and the receipt at one index -> the client's signature in the transaction.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any, NamedTuple, TypeVar

from ledger import codec, merkle, seals, transactions
from ledger.errors import CodecError, InvalidProof
from ledger.types import BlockRecord, Count, Genesis, Hash, Header, Receipt, Seal, Struct, Transaction

FORMAT = "quorate-transaction-proof-1"
PROOF_TEXT_LENGTH_MAX = 32 << 20  # characters; a transaction and its receipt, in hex, are far below

T = TypeVar("T")


class TransactionProof(Struct, frozen=True):
    """A transaction and its receipt (canonical bytes), the sealed header, and the two audit paths to its roots."""

    header: Header
    seal: Seal
    transaction: bytes
    receipt: bytes
    index: Count
    transaction_path: tuple[Hash, ...]
    receipt_path: tuple[Hash, ...]

    def to_json(self) -> str:
        """The text of the receipt file. Raises `InvalidProof` when transaction or receipt are not canonical bytes."""
        return json.dumps(_document(self), indent=2) + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> TransactionProof:
        """The proof in a receipt file. Raises `InvalidProof` unless `text` is what `to_json` gives for its content."""
        text = _as_text(text)
        proof = _from_document(_parsed(text))
        _expect_same_text(_without_space(text), _without_space(proof.to_json()))
        return proof

    @staticmethod
    def from_file(data: bytes) -> TransactionProof:
        """The proof in a receipt file, byte for byte as `to_json` wrote it. Raises `InvalidProof`.

        `from_json` leaves white space free, for proofs inside other answers; a file to keep has one form only, so that
        whoever compares two copies, or a hash of one, finds any change at all.
        """
        proof = TransactionProof.from_json(data)
        _expect_same_bytes(data, proof.to_json().encode())
        return proof


class VerifiedTransaction(NamedTuple):
    """What a proof proves. `signers` are the names of the members in the seal, of `member_count`."""

    height: int
    header_hash: bytes
    time_ms: int
    transaction: Transaction
    receipt: Receipt
    signers: tuple[str, ...]
    member_count: int


def prove_transaction(record: BlockRecord, index: int) -> TransactionProof:
    """The proof for transaction `index` of a sealed block. Raises `InvalidProof` when the block has no seal yet."""
    if record.seal is None:
        raise InvalidProof(f"block {record.height} is not sealed yet")
    return TransactionProof(
        record.block.header,
        record.seal,
        record.bodies[index],
        record.receipts[index],
        index,
        merkle.inclusion_proof(record.block.transactions, index),
        merkle.inclusion_proof(record.receipts, index),
    )


# ── verifying ─────────────────────────────────────────────────────────────────────────────────────


def verify_transaction_proof(proof: TransactionProof, genesis: Genesis) -> VerifiedTransaction:
    """What `proof` proves on the chain of `genesis`. Raises `InvalidProof`, which says why, and nothing else."""
    proof = _read(TransactionProof, _encoded(proof), "proof")
    header, validators = proof.header, genesis.validators
    if header.chain_id != genesis.chain_id:
        raise InvalidProof(f"it is from chain {header.chain_id.hex()}, the genesis is {genesis.chain_id.hex()}")
    if header.epoch != 0:
        raise InvalidProof(f"the block is of epoch {header.epoch}, the genesis vouches for the set of epoch 0 only")
    seals.verify_sealed_header(header, proof.seal, validators)
    transaction = _check_transaction(proof)
    receipt = _check_receipt(proof)
    _check_places(proof)
    signers = tuple(validators.members[entry.member].name for entry in proof.seal.signatures)
    return VerifiedTransaction(
        header.height, header.hash, header.time_ms, transaction, receipt, signers, len(validators.members)
    )


def _check_transaction(proof: TransactionProof) -> Transaction:
    transaction = _read(Transaction, proof.transaction, "transaction")
    if transaction.body.chain_id != proof.header.chain_id:
        raise InvalidProof(f"the transaction is signed for chain {transaction.body.chain_id.hex()}, not for this one")
    if not transactions.signature_holds(proof.transaction, transaction):
        raise InvalidProof("the client's signature in the transaction does not hold")
    return transaction


def _check_receipt(proof: TransactionProof) -> Receipt:
    """The receipt is about this transaction, at this place."""
    receipt = _read(Receipt, proof.receipt, "receipt")
    transaction_id, transaction_hash = transactions.identify(proof.transaction)
    _expect("receipt's transaction id", receipt.transaction_id.hex(), transaction_id.hex())
    _expect("receipt's transaction hash", receipt.transaction_hash.hex(), transaction_hash.hex())
    _expect("receipt's height", receipt.height, proof.header.height)
    _expect("receipt's index", receipt.index, proof.index)
    return receipt


def _check_places(proof: TransactionProof) -> None:
    """Both are at the same index under the header's roots."""
    header, index, size = proof.header, proof.index, proof.header.transaction_count
    if not 0 <= index < size:
        raise InvalidProof(f"the index is {index}, in a block of {size} transactions")
    _, transaction_hash = transactions.identify(proof.transaction)
    if not merkle.verify_inclusion(header.transactions_root, transaction_hash, index, size, proof.transaction_path):
        raise InvalidProof("the transaction is not under the header's transactions root at its index")
    if not merkle.verify_inclusion(header.receipts_root, proof.receipt, index, size, proof.receipt_path):
        raise InvalidProof("the receipt is not under the header's receipts root at its index")


def _expect(what: str, found: str | int, expected: str | int) -> None:
    if found != expected:
        raise InvalidProof(f"the {what} is {found}, expected {expected}")


def _read(kind: type[T], data: bytes, name: str) -> T:
    try:
        return codec.decode(data, kind)
    except CodecError as error:
        raise InvalidProof(f"the {name} cannot be read: {error}") from None


def _encoded(proof: TransactionProof) -> bytes:
    try:
        return proof.encode()
    except CodecError as error:
        raise InvalidProof(f"the proof has no encoding: {error}") from None


# ── the file ──────────────────────────────────────────────────────────────────────────────────────


def _document(proof: TransactionProof) -> dict[str, Any]:
    """The file's content, in its order."""
    return {
        "format": FORMAT,
        "summary": _summary(proof),
        "chain_id": proof.header.chain_id.hex(),
        "header": proof.header.encode().hex(),
        "seal": proof.seal.encode().hex(),
        "transaction": proof.transaction.hex(),
        "receipt": proof.receipt.hex(),
        "index": proof.index,
        "transaction_path": [node.hex() for node in proof.transaction_path],
        "receipt_path": [node.hex() for node in proof.receipt_path],
    }


def _summary(proof: TransactionProof) -> dict[str, Any]:
    """For people: derived from the rest, and refused when it says anything else."""
    transaction = _read(Transaction, proof.transaction, "transaction")
    receipt = _read(Receipt, proof.receipt, "receipt")
    return {
        "transaction_id": receipt.transaction_id.hex(),
        "sender": transaction.body.sender.hex(),
        "calls": [f"{call.contract}.{call.method}" for call in transaction.body.calls],
        "outcome": receipt.code,
        "height": proof.header.height,
        "block": proof.header.hash.hex(),
        "time": _utc(proof.header.time_ms),
        "sealed_by_members": [entry.member for entry in proof.seal.signatures],
    }


def _utc(time_ms: int) -> str:
    """The time as people write it; past the year 9999, the number of milliseconds."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    try:
        moment = epoch + datetime.timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_text(text: str | bytes) -> str:
    if len(text) > PROOF_TEXT_LENGTH_MAX:
        raise InvalidProof(f"the file is {len(text)} long, at most {PROOF_TEXT_LENGTH_MAX} is a receipt")
    try:
        return text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        raise InvalidProof(f"the file is not UTF-8: {error}") from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except RecursionError:
        raise InvalidProof("the file is nested too deep to be a receipt") from None
    except ValueError as error:
        raise InvalidProof(f"the file is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidProof(f'the file is no receipt: it lacks "format": "{FORMAT}"')
    return document


def _from_document(document: dict[str, Any]) -> TransactionProof:
    """Lenient about form: what the text may look like is settled by comparing it with the text of the result."""
    index = document.get("index")
    if type(index) is not int:
        raise InvalidProof('"index" is not an integer')
    return TransactionProof(
        _read(Header, _bytes_at(document, "header"), "header"),
        _read(Seal, _bytes_at(document, "seal"), "seal"),
        _bytes_at(document, "transaction"),
        _bytes_at(document, "receipt"),
        index,
        _path_at(document, "transaction_path"),
        _path_at(document, "receipt_path"),
    )


def _bytes_at(document: dict[str, Any], name: str) -> bytes:
    return _unhex(document.get(name), name)


def _path_at(document: dict[str, Any], name: str) -> tuple[bytes, ...]:
    nodes = document.get(name)
    if not isinstance(nodes, list) or len(nodes) > merkle.PATH_HASHES_MAX:
        raise InvalidProof(f'"{name}" is not a list of at most {merkle.PATH_HASHES_MAX} hashes')
    return tuple(_unhex(node, name) for node in nodes)


def _unhex(value: object, name: str) -> bytes:
    try:
        if isinstance(value, str):
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise InvalidProof(f'"{name}" is not lower-case hex')


_STRING_OR_SPACE = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+')


def _without_space(text: str) -> str:
    """JSON text without the white space between its tokens."""
    return _STRING_OR_SPACE.sub(lambda match: match[1] or "", text)


def _expect_same_text(found: str, expected: str) -> None:
    if found == expected:
        return
    differing = (place for place, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other)
    at = next(differing, min(len(found), len(expected)))
    shown = slice(max(0, at - 40), at + 20)
    raise InvalidProof(f"the file says {found[shown]!r} where its content gives {expected[shown]!r}")


def _expect_same_bytes(found: bytes, expected: bytes) -> None:
    """Told apart from a changed content, because only this one is mended by fetching the file again."""
    if found == expected:
        return
    differing = (place for place, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other)
    at = next(differing, min(len(found), len(expected)))
    raise InvalidProof(f"the white space of the file was changed at byte {at}: its content holds, get the file again")
