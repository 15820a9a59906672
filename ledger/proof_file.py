"""The form of a proof file: JSON that a person can look at, of which there is exactly one text for one proof.

The bytes inside are canonical (`ledger.proof_encoding`) and all else follows from them, the summary for people
included; so every other text is refused, down to white space. Nothing is judged here: `ledger.verifier` does that.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

from ledger.errors import InvalidProof
from ledger.hashing import header_hash
from ledger.proof_encoding import (
    HEADER,
    NUMBER_MAX,
    RECEIPT,
    SEAL,
    STATE_PROOF,
    TRANSACTION,
    Parts,
    Shape,
    decode,
    element_label,
    read_key,
)

FORMAT = "quorate-proof-1"
# Each kind of proof, and what its file has beside the sealed header.
KINDS = {
    "header": (),
    "transaction": ("transaction", "transaction_path", "receipt", "receipt_path"),
    "receipt": ("receipt", "receipt_path"),
    "event": ("event", "receipt", "receipt_path"),
    "state": ("key", "value", "state_proof"),
}
FILE_BYTES_MAX = 32 << 20  # a transaction and its receipt, in hex, are far below
CLOSINGS_MAX = 10_000
PATH_HASHES_MAX = 64


def open_proof(data: bytes) -> Parts:
    """What is in a file, named as there; bytes for hex, parts for their encodings. Raises `InvalidProof`.

    The file is taken apart and put together again, and only that very text is accepted.
    """
    if not data:
        raise InvalidProof("the file is empty")
    if len(data) > FILE_BYTES_MAX:
        raise InvalidProof(f"the file has {len(data)} bytes, at most {FILE_BYTES_MAX} are a proof")
    try:
        document = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidProof("the file is not JSON: it is no proof, or it was cut short") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidProof(f'the file is no proof: it lacks "format": "{FORMAT}"')
    proof = _taken_apart(document)
    expected = _text(document, proof).encode()
    if data != expected:
        raise InvalidProof(_difference(data, expected, document))
    return proof


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(name)


def write_proof(kind: str, fields: Parts) -> str:
    """The one text of a proof with these fields (hex for bytes). Raises `InvalidProof` for what is no proof's form."""
    document = {"format": FORMAT, "kind": kind, **fields}
    return _text(document, _taken_apart(document))


def _difference(data: bytes, expected: bytes, document: Parts) -> str:
    """Changed content is told from changed form: the latter is mended by fetching the file again."""
    pairs = enumerate(zip(data, expected, strict=False))
    at = next((at for at, (found, right) in pairs if found != right), min(len(data), len(expected)))
    if document == json.loads(expected):
        return f"the file's form (its white space, or how it is written) was changed at byte {at}: get the file again"
    shown = slice(max(0, at - 40), at + 20)
    found, right = (text[shown].decode(errors="replace") for text in (data, expected))
    return f"the file says {found!r} where its content gives {right!r}"


def _taken_apart(document: Parts) -> Parts:
    """What stands in the file, each part in its one encoding."""
    kind, anchor = document.get("kind"), document.get("anchor")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidProof(f'"kind" is none of {", ".join(KINDS)}')
    has = KINDS[kind]
    closings = _items(document, "closings", CLOSINGS_MAX)
    return {
        "kind": kind,
        "anchor": {} if anchor is None else {"header": _header(anchor), "validators": _bytes(anchor, "validators")},
        "closings": [
            {"header": _header(each), "seal": _seal(each), "validators": _bytes(each, "validators")}
            for each in closings
        ],
        "header": _header(document),
        "seal": _seal(document),
        "transaction": _part(document, "transaction", TRANSACTION) if "transaction" in has else {},
        "transaction_path": _path(document, "transaction_path") if "transaction" in has else [],
        "receipt": _part(document, "receipt", RECEIPT) if "receipt" in has else {},
        "receipt_path": _path(document, "receipt_path") if "receipt" in has else [],
        "event": _event_number(document) if "event" in has else 0,
        "state": _state(document) if "key" in has else {},
    }


def _text(document: Parts, proof: Parts) -> str:
    """The one text of a proof: its parts in this order, and a summary for people that follows from them."""
    text: Parts = {"format": FORMAT, "kind": proof["kind"], "summary": _summary(proof)}
    if proof["anchor"]:
        text["anchor"] = _only(document["anchor"], "header", "validators")
    text["closings"] = [_only(closing, "header", "seal", "validators") for closing in document["closings"]]
    text |= _only(document, "header", "seal", *KINDS[proof["kind"]])
    return as_text(text)


def as_text(document: Parts) -> str:
    """A JSON object as a proof file is written, for a proof that came inside another answer."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _only(document: Parts, *names: str) -> Parts:
    return {name: document[name] for name in names}


def _summary(proof: Parts) -> Parts:
    header, receipt, state = proof["header"], proof["receipt"], proof["state"]
    summary: Parts = {}
    if receipt:
        summary["transaction_id"] = receipt["transaction_id"].hex()
    if proof["transaction"]:
        body = proof["transaction"]["body"]
        summary["sender"] = body["sender"].hex()
        summary["calls"] = [f"{call['contract']}.{call['method']}" for call in body["calls"]]
    if receipt:
        summary["outcome"] = receipt["code"]
    if proof["kind"] == "event":
        events = receipt["events"][proof["event"] : proof["event"] + 1]
        summary["event"] = "".join(f"{event['contract']}.{event['name']}" for event in events)
    if state:
        summary |= _only(state, "contract", "variable")
        summary["key"] = [element_label(element) for element in state["elements"]]
        summary["present"] = state["value"] is not None
    summary |= {"height": header["height"], "block": header["hash"].hex(), "time": _utc(header["time_ms"])}
    summary["chain"] = header["chain_id"].hex()
    summary["sealed_by_members"] = [entry["member"] for entry in proof["seal"]["signatures"]]
    return summary


def _utc(time_ms: int) -> str:
    """The time as people write it; past the year 9999, the number of milliseconds."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    try:
        moment = epoch + datetime.timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ── its parts ─────────────────────────────────────────────────────────────────────────────────────


def _bytes(holder: object, name: str) -> bytes:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, str) or len(value) % 2 or re.fullmatch("[0-9a-f]*", value) is None:
        raise InvalidProof(f'"{name}" is not lower-case hex')
    return bytes.fromhex(value)


def _items(document: Parts, name: str, most: int) -> list[Any]:
    items = document.get(name)
    if not isinstance(items, list) or len(items) > most:
        raise InvalidProof(f'"{name}" is not a list of at most {most}')
    return items


def _path(document: Parts, name: str) -> list[bytes]:
    path = [_bytes({name: each}, name) for each in _items(document, name, PATH_HASHES_MAX)]
    if any(len(each) != 32 for each in path):
        raise InvalidProof(f'"{name}" has a hash that is not of 32 bytes')
    return path


def _event_number(document: Parts) -> int:
    number = document.get("event")
    if type(number) is not int or not 0 <= number <= NUMBER_MAX:
        raise InvalidProof(f'"event" is not an integer from 0 to {NUMBER_MAX}')
    return number


def _part(holder: object, name: str, shape: Shape) -> Parts:
    raw = _bytes(holder, name)
    return {**decode(name, raw, shape), "raw": raw}


def _header(holder: object) -> Parts:
    header = _part(holder, "header", HEADER)
    return header | {"hash": header_hash(header["raw"])}


def _seal(holder: object) -> Parts:
    return _part(holder, "seal", SEAL)


def _state(document: Parts) -> Parts:
    key = _bytes(document, "key")
    value = None if document.get("value", "") is None else _bytes(document, "value")
    proof = _part(document, "state_proof", STATE_PROOF)
    if len(proof["other"]) not in (0, 64):
        raise InvalidProof(f"the other leaf has {len(proof['other'])} bytes, expected none or 64")
    levels = _levels(proof["present"], proof["siblings"])
    return {**read_key(key), "key": key, "value": value, "levels": levels, "other": proof["other"]}


def _levels(present: bytes, siblings: bytes) -> list[list[bytes]]:
    """Six siblings a level, root first: three in the quarter, three quarters. Those without a bit are empty."""
    if len(present) > 64 or any(bits >> 6 for bits in present):
        raise InvalidProof("the state proof has more than 64 levels, or more than 6 siblings in one")
    if len(siblings) != 32 * sum(bits.bit_count() for bits in present):
        raise InvalidProof("the state proof has more or fewer siblings than it announces")
    hashes = [siblings[at : at + 32] for at in range(0, len(siblings), 32)]
    if not all(map(any, hashes)):
        raise InvalidProof("the state proof spells out an empty sibling")
    following = iter(hashes)
    return [[next(following) if bits >> place & 1 else bytes(32) for place in range(6)] for bits in present]
