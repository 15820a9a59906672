"""Bodies of `POST /v1/transactions`, read into offers: raw bytes, msgpack lists, and JSON in two shapes.

Every shape ends as the canonical signed bytes, or as a `Problem` that says what is wrong with it. One bad transaction
of many is that one's problem. No signature is checked here and nobody is asked anything.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ledger import codec, hashing
from ledger.errors import CodecError
from ledger.transactions import read_transaction
from ledger.types import Call, Transaction, TransactionBody, body_bytes
from network.gateway.intake import Offer
from network.gateway.problems import Problem
from network.gateway.settings import GatewaySettings
from network.json_values import NotAValue, from_json

T = TypeVar("T")

RAW_TYPES = frozenset({b"application/octet-stream", b"application/vnd.quorate.transaction"})
MSGPACK_TYPES = frozenset({b"application/msgpack", b"application/vnd.msgpack", b"application/x-msgpack"})
JSON_TYPE = b"application/json"
CALLS_MAX = 64  # as in `ledger.types.TransactionBody`

Submission = tuple[list[Offer | Problem], bool]  # the offers, and whether the client sent a list


class JsonCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call, its arguments as JSON values (`network.json_values`)."""

    contract: str
    method: str
    args: msgspec.Raw = msgspec.Raw(b"[]")


class JsonTransaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either `raw`, or all the other fields. Bytes are hex."""

    raw: str | None = None
    chain_id: str | None = None
    sender: str | None = None
    calls: list[JsonCall] | None = None
    gas_limit: int | None = None
    valid_until: int | None = None
    salt: str | None = None
    signature: str | None = None


_one_json = msgspec.json.Decoder(JsonTransaction)
_many_json = msgspec.json.Decoder(list[JsonTransaction])
_many_msgpack = msgspec.msgpack.Decoder(list[bytes])
_STRUCTURED = ("chain_id", "sender", "calls", "gas_limit", "valid_until", "salt", "signature")


def read_submission(content_type: bytes | None, body: bytes, settings: GatewaySettings) -> Submission:
    """What a request offers. Raises `Problem` where not even the number of transactions can be told."""
    kind = b"" if content_type is None else content_type.partition(b";")[0].strip().lower()
    if kind in RAW_TYPES:
        return [read_raw(body)], False
    if kind == JSON_TYPE:
        return _read_json(body, settings)
    if kind in MSGPACK_TYPES:
        return [read_raw(raw) for raw in _counted(_read_msgpack(body), settings)], True
    raise Problem(
        "unsupported_media_type",
        f"the content type is {kind[:80].decode('latin-1')!r}; send one signed transaction as "
        "application/octet-stream, a list of them as application/msgpack, or application/json",
    )


def read_raw(raw: bytes) -> Offer | Problem:
    """One signed transaction, refused unless these are its canonical bytes."""
    try:
        transaction = read_transaction(raw)
    except CodecError as error:
        return Problem("malformed", f"not a signed transaction in its canonical encoding: {error}")
    return Offer(raw, transaction.body.sender, hashing.transaction_id(body_bytes(raw)))


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────


def _read_msgpack(body: bytes) -> list[bytes]:
    try:
        return _many_msgpack.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Problem("bad_msgpack", f"expected a list of signed transactions as binaries: {error}") from None


def _read_json(body: bytes, settings: GatewaySettings) -> Submission:
    try:
        if body.lstrip(b" \t\r\n")[:1] == b"[":
            many = _many_json.decode(body)
            return [_read_json_transaction(item, settings) for item in _counted(many, settings)], True
        return [_read_json_transaction(_one_json.decode(body), settings)], False
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Problem(
            "bad_json",
            f'{error}. Expected {{"raw": "<hex>"}}, or an object with {", ".join(_STRUCTURED)}, or a list of these',
        ) from None


def _counted(items: list[T], settings: GatewaySettings) -> list[T]:
    limit = settings.transactions_per_request_max
    if not items:
        raise Problem("malformed", "the list holds no transaction: send at least one")
    if len(items) > limit:
        raise Problem("too_many_transactions", f"{len(items)} transactions, at most {limit} are taken in one request")
    return items


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────


def _read_json_transaction(item: JsonTransaction, settings: GatewaySettings) -> Offer | Problem:
    try:
        if item.raw is not None:
            return read_raw(_hex("raw", item.raw))
        return read_raw(_structured(item, settings).encode())
    except Problem as problem:
        return problem
    except CodecError as error:
        return Problem("malformed", f"these fields make no transaction: {error}")


def _structured(item: JsonTransaction, settings: GatewaySettings) -> Transaction:
    missing = [name for name in _STRUCTURED if getattr(item, name) is None]
    if missing:
        raise Problem("malformed", f"without raw, all other fields are needed; missing: {', '.join(missing)}")
    assert item.calls is not None
    assert item.gas_limit is not None
    assert item.valid_until is not None
    if len(item.calls) > CALLS_MAX:
        raise Problem("malformed", f"{len(item.calls)} calls, at most {CALLS_MAX} are allowed")
    body = TransactionBody(
        _hex("chain_id", item.chain_id),
        _hex("sender", item.sender),
        tuple(Call(call.contract, call.method, read_arguments(call.args, settings)) for call in item.calls),
        item.gas_limit,
        item.valid_until,
        _hex("salt", item.salt),
    )
    return Transaction(body, _hex("signature", item.signature))


def read_arguments(text: msgspec.Raw, settings: GatewaySettings) -> bytes:
    """The canonical encoding of a JSON list of arguments. Raises `Problem`."""
    if len(bytes(text)) > settings.json_arguments_bytes_max:
        raise Problem("too_large", f"arguments of more than {settings.json_arguments_bytes_max} bytes of JSON")
    try:
        found = msgspec.json.decode(text)
        if not isinstance(found, list):
            raise NotAValue(f"args is a {type(found).__name__}, expected a list")
        return codec.encode(from_json(found))
    except (NotAValue, CodecError) as error:
        raise Problem("bad_value", f"the arguments are no contract values: {error}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Problem("bad_json", f"the arguments are not JSON that can be read: {error}") from None


def _hex(name: str, text: str | None) -> bytes:
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        raise Problem("malformed", f"{name} is not hexadecimal") from None
