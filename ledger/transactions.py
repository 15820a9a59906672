"""Signed transactions: made, read, named, and judged by what their own bytes say.

Judging here needs no state and no clock, only the chain id, the epoch's parameters and the height of the block
that a transaction would go in; so every validator judges alike, however far each has executed. Whether the sender
is known and the calls succeed is found out when they are executed. Randomness (the salt) is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger import codec, crypto, hashing
from ledger.errors import CodecError
from ledger.types import Call, Parameters, Transaction, TransactionBody, body_bytes

SIGNING_KIND = "transaction"

# Encoded, a transaction is an array of two: the body, and a signature of 64 bytes (`body_bytes` cuts it there).
_ARRAY_OF_2 = b"\x92"
_BIN_OF_64 = b"\xc4\x40"


class Fault(NamedTuple):
    """Why a transaction is not admitted: a stable code, and a sentence with what was found and what is expected."""

    code: str
    message: str


def sign_transaction(
    key: crypto.SigningKey, chain_id: bytes, calls: Iterable[Call], gas_limit: int, valid_until: int, salt: bytes
) -> bytes:
    """The raw signed transaction. Raises `Malformed` for parts that no validator would read (empty calls, wrong sizes).

    `valid_until` is a height; `salt` is 16 random bytes, new for each intent and the same again for a retry.
    """
    body = TransactionBody(chain_id, key.public_key, tuple(calls), gas_limit, valid_until, salt).encode()
    codec.decode(body, TransactionBody)
    signature = key.sign(crypto.signing_message(SIGNING_KIND, chain_id, body))
    return _ARRAY_OF_2 + body + _BIN_OF_64 + signature


def read_transaction(raw: bytes) -> Transaction:
    """The transaction in `raw`. Raises `CodecError` unless `raw` is its canonical encoding. Checks no signature."""
    return codec.decode(raw, Transaction)


def identify(raw: bytes) -> tuple[bytes, bytes]:
    """(id, hash) of a canonical raw transaction: the id names what was signed, the hash these exact bytes.

    One body can carry several valid signatures, so replays are found by id, and batches name hashes.
    """
    return hashing.transaction_id(body_bytes(raw)), hashing.transaction_hash(raw)


def signature_holds(raw: bytes, transaction: Transaction) -> bool:
    """Whether the sender signed it; `transaction` is what `read_transaction(raw)` gave."""
    return crypto.verify(*signature_item(raw, transaction))


def signature_item(raw: bytes, transaction: Transaction) -> tuple[bytes, bytes, bytes]:
    """(public key, message, signature) for `crypto.verify_many`."""
    body = transaction.body
    message = crypto.signing_message(SIGNING_KIND, body.chain_id, body_bytes(raw))
    return body.sender, message, transaction.signature


def judge(
    raw: bytes, *, chain_id: bytes, parameters: Parameters, height: int, transaction: Transaction | None = None
) -> str:
    """The admission code: "" when fine, else the code of `find_fault`. The signature is a question of its own."""
    fault = find_fault(raw, chain_id=chain_id, parameters=parameters, height=height, transaction=transaction)
    return "" if fault is None else fault.code


def find_fault(
    raw: bytes, *, chain_id: bytes, parameters: Parameters, height: int, transaction: Transaction | None = None
) -> Fault | None:
    """The first thing wrong with `raw` for a block at `height`, None when nothing is.

    Codes: "too_large", "malformed", "wrong_chain", "gas_limit", "expired", "too_far". Who has read `raw` already
    hands in the `transaction` and saves reading it twice.
    """
    if len(raw) > parameters.transaction_bytes_max:
        return Fault("too_large", f"{len(raw)} bytes long, at most {parameters.transaction_bytes_max} are allowed")
    if transaction is None:
        try:
            transaction = read_transaction(raw)
        except CodecError as error:
            return Fault("malformed", f"not a signed transaction in its canonical encoding: {error}")
    body = transaction.body
    if body.chain_id != chain_id:
        return Fault("wrong_chain", f"signed for chain {body.chain_id.hex()}, this one is {chain_id.hex()}")
    return _gas_fault(body, parameters) or _validity_fault(body, parameters, height)


def _gas_fault(body: TransactionBody, parameters: Parameters) -> Fault | None:
    if 1 <= body.gas_limit <= parameters.transaction_gas_max:
        return None
    return Fault("gas_limit", f"gas limit {body.gas_limit}, it must be 1 to {parameters.transaction_gas_max}")


def _validity_fault(body: TransactionBody, parameters: Parameters, height: int) -> Fault | None:
    last = height + parameters.validity_window
    if body.valid_until < height:
        return Fault("expired", f"valid until height {body.valid_until}, the next block is {height}")
    if body.valid_until > last:
        return Fault("too_far", f"valid until height {body.valid_until}, it may be at most {last} for block {height}")
    return None
