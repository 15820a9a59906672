"""What a verified proof file says, told to a person or as JSON; and whether it is about a given file.

Nothing is judged here but that last question: `ledger.proofs` has verified the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from network.cli.console import say, say_fields
from network.cli.moments import utc

if TYPE_CHECKING:
    from ledger.proofs import VerifiedProof
    from ledger.types import Genesis

Rows = list[tuple[str, object]]
CHANGES_SHOWN = 5


def check_names_file(found: VerifiedProof, file: Path) -> str:
    """The file's SHA-256, which an argument of the transaction must be. Raises `InvalidProof`."""
    from ledger.errors import InvalidProof

    if found.transaction is None:
        raise InvalidProof(f"it is a proof of kind {found.kind!r}, which has no transaction that could name a file")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    named: set[str | bytes] = {digest.hexdigest(), digest.digest()}
    if not any(_holds(argument, named) for call in _calls(found) for argument in call["args"]):
        raise InvalidProof(f"no argument of the transaction is the SHA-256 of {file}, {digest.hexdigest()}")
    return digest.hexdigest()


def _holds(value: Any, named: set[str | bytes]) -> bool:
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return any(_holds(part, named) for part in parts)
    return isinstance(value, str | bytes) and value in named


def _calls(found: VerifiedProof) -> list[dict[str, Any]]:
    """The calls with their arguments decoded."""
    calls = []
    for call in found.transaction.body.calls if found.transaction is not None else ():
        args = _decoded(call.args)
        args = args if isinstance(args, list) else [args]
        calls.append({"contract": call.contract, "method": call.method, "args": args})
    return calls


def _decoded(encoded: bytes) -> Any:
    """A contract's value; what is no encoding of one stays bytes."""
    from ledger import codec
    from ledger.errors import CodecError

    try:
        return codec.decode(encoded)
    except CodecError:
        return encoded


# ── for people ────────────────────────────────────────────────────────────────────────────────────


def tell(found: VerifiedProof, genesis: Genesis | None, file: Path | None, digest: str | None) -> None:
    """What is proven, first in a sentence."""
    what = f"this file ({file}) existed" if file is not None else _claim(found)
    count = f"{len(found.signers)} of {found.member_count}"
    where = f"block {found.height}" if found.kind == "header" else f"{what} at block {found.height}"
    say(f"valid: {where}, sealed by {count} validators at {utc(found.time_ms)}")
    rows: Rows = [
        ("network", _network(found, genesis)),
        ("block", found.header_hash.hex()),
        ("sealed by", ", ".join(found.signers)),
        *_changes(found),
        *_rows(found, genesis),
    ]
    if digest is not None:
        rows.append(("file SHA-256", f"{digest}, an argument of the call"))
    say_fields(rows, indent="  ")
    if found.receipt is not None and found.receipt.code != "ok":
        say("Note: the receipt proves that the transaction FAILED; it changed nothing.")
    if found.state is not None:
        say(f"Note: so it stood at block {found.height}; what later blocks made of it, this file cannot say.")


def _claim(found: VerifiedProof) -> str:
    if found.state is not None:
        place = f"{found.state.contract}.{_place(found)}"
        return f"{place} had no value" if found.state.value is None else f"{place} had this value"
    claims = {"event": "this event was emitted", "receipt": "this was the outcome of the transaction"}
    return claims.get(found.kind, "this transaction took place")


def _network(found: VerifiedProof, genesis: Genesis | None) -> str:
    chain = found.header.chain_id.hex()
    return f"chain {chain}, from the trusted header on" if genesis is None else f"{genesis.network}, chain {chain}"


def _changes(found: VerifiedProof) -> Rows:
    """How the trust of the reader reached those who sealed it, where they are not those that the reader knew."""
    last = ", ".join(str(closing.header.height) for closing in found.closings[-CHANGES_SHOWN:])
    earlier = "..., " if len(found.closings) > CHANGES_SHOWN else ""
    return (
        [("validators", f"changed after block {earlier}{last}: each time the set before named the next")]
        if last
        else []
    )


def _rows(found: VerifiedProof, genesis: Genesis | None) -> Rows:
    rows: Rows = []
    if found.kind == "header":
        rows.append(("state root", found.header.state_root.hex()))
    if found.receipt is not None:
        rows.append(("transaction", found.receipt.transaction_id.hex()))
    if found.transaction is not None:
        rows.append(("sender", _sender(found.transaction.body.sender, genesis)))
        rows += [("call", f"{call['contract']}.{call['method']}({_listed(call['args'])})") for call in _calls(found)]
    if found.receipt is not None:
        code, message = found.receipt.code, found.receipt.message
        rows.append(("outcome", code if code == "ok" else f"{code}: {message}"))
    if found.event is not None:
        fields = shown(_decoded(found.event.fields))
        rows.append(("event", f"number {_number(found)}: {found.event.contract}.{found.event.name} {fields}"))
    if found.state is not None:
        value = found.state.value
        rows += [("place", f"{found.state.contract}.{_place(found)}"), ("state root", found.header.state_root.hex())]
        rows.append(("value", "none: it is absent" if value is None else shown(_decoded(value))))
    return rows


def _number(found: VerifiedProof) -> int:
    """Which of the transaction's events it is, from 0 on."""
    number: int = json.loads(found.text)["event"]
    return number


def _place(found: VerifiedProof) -> str:
    assert found.state is not None
    elements = found.state.elements
    return found.state.variable + (f"[{_listed(elements)}]" if elements else "")


def _sender(sender: bytes, genesis: Genesis | None) -> str:
    accounts = () if genesis is None else genesis.accounts
    name = next((account.name for account in accounts if account.public_key == sender), "")
    return f"{sender.hex()} {f'({name} in genesis)' if name else ''}".rstrip()


def _listed(values: Any) -> str:
    return ", ".join(shown(value) for value in values)


def shown(value: Any) -> str:
    """A contract's value in a line."""
    return value.hex() if isinstance(value, bytes) else repr(value)


# ── for machines ──────────────────────────────────────────────────────────────────────────────────


def document(found: VerifiedProof, genesis: Genesis | None, digest: str | None) -> dict[str, Any]:
    """What is proven, as JSON. The keys of a kind are there for that kind only."""
    from network.json_values import to_json

    shown: dict[str, Any] = {
        "valid": True,
        "kind": found.kind,
        "network": None if genesis is None else genesis.network,
        "chain_id": found.header.chain_id.hex(),
        "height": found.height,
        "block": found.header_hash.hex(),
        "time_ms": found.time_ms,
        "signers": list(found.signers),
        "member_count": found.member_count,
        "validator_changes": [closing.header.height for closing in found.closings],
    }
    if found.receipt is not None:
        shown["transaction_id"] = found.receipt.transaction_id.hex()
    if found.transaction is not None:
        shown["sender"] = found.transaction.body.sender.hex()
        shown["calls"] = [call | {"args": to_json(call["args"])} for call in _calls(found)]
        shown["file_sha256"] = digest
    if found.receipt is not None:
        names = ("code", "message", "line", "gas_used")
        shown["outcome"] = {name: getattr(found.receipt, name) for name in names}
    if found.event is not None:
        fields = to_json(_decoded(found.event.fields))
        event = {"contract": found.event.contract, "name": found.event.name, "fields": fields}
        shown["event"] = {"number": _number(found), **event}
    if found.state is not None:
        state = found.state
        shown |= {"contract": state.contract, "variable": state.variable, "key": to_json(list(state.elements))}
        shown |= {"present": state.value is not None, "state_root": found.header.state_root.hex()}
        shown["value"] = None if state.value is None else to_json(_decoded(state.value))
    return shown
