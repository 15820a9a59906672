"""Proof that a member broke the protocol: two messages that it signed, of which a correct one signs at most one.

The proof is one JSON file that a person can look at and anybody can check offline with the genesis alone: the two
signed messages, and in words whose they are and what they contradict each other about. Everything in it follows from
the two messages and the validator set, so there is one text for one proof and any other is refused. Knows no replica.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from consensus.committee import Committee, Verify
from consensus.errors import MessageRefused
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    VIEW_CHANGE,
    Body,
    Envelope,
    NewView,
    ViewChange,
    Vote,
    open_envelope,
)
from ledger.errors import InvalidProof
from ledger.types import Checkpoint, ValidatorSet

FORMAT = "quorate-evidence-1"
BYTES_MAX = 64 << 20
ONE_A_PLACE = (PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT, VIEW_CHANGE, NEW_VIEW)  # SUSPECT and STATUS bind nobody


class Finding(NamedTuple):
    """What is proven. `view` or `height` is None where the kind of message has none."""

    member: int
    name: str
    public_key: bytes
    kind: str
    epoch: int
    view: int | None
    height: int | None


def judge(chain_id: bytes, validators: ValidatorSet, verify: Verify, first: bytes, second: bytes) -> Finding:
    """What two encoded messages prove about a member of these validators. Raises `InvalidProof` if nothing."""
    one, body = _opened("first", first)
    two, other = _opened("second", second)
    if one.kind not in ONE_A_PLACE:
        raise InvalidProof(f"a {one.kind} binds nobody: a correct member may sign another one at any time")
    for what, mine, yours in (("kind", one.kind, two.kind), *zip(_PLACE, _place(body), _place(other), strict=True)):
        if mine != yours:
            raise InvalidProof(f"the messages do not contradict each other: their {what} is {mine} and {yours}")
    if one.body == two.body:
        raise InvalidProof("the messages do not contradict each other: they say the same")
    epoch, sender, view, height = _place(body)
    committee = Committee(chain_id, epoch or 0, validators, verify)
    if epoch != 0 or sender is None or sender >= committee.size:
        raise InvalidProof(f"no member {sender} in epoch {epoch} of this network")
    for which, envelope in (("first", one), ("second", two)):
        if not committee.signed_by(envelope.kind, sender, envelope.body, envelope.signature):
            raise InvalidProof(f"the {which} message is not signed by member {sender} of this network")
    member = validators.members[sender]
    return Finding(sender, member.name, member.public_key, one.kind, epoch, view, height)


def write_evidence(chain_id: bytes, finding: Finding, first: bytes, second: bytes) -> str:
    """The text of the evidence file."""
    document = {
        "format": FORMAT,
        "chain_id": chain_id.hex(),
        "member": {"index": finding.member, "name": finding.name, "public_key": finding.public_key.hex()},
        "signed_two_of": {
            "kind": finding.kind,
            "epoch": finding.epoch,
            "view": finding.view,
            "height": finding.height,
        },
        "first": _message(first),
        "second": _message(second),
    }
    return json.dumps(document, indent=2) + "\n"


def verify_evidence(data: bytes, chain_id: bytes, validators: ValidatorSet, verify: Verify) -> Finding:
    """What an evidence file proves. Raises `InvalidProof`, with the reason, for any file that is not exactly one."""
    document = _parsed(data)
    if document.get("format") != FORMAT:
        raise InvalidProof(f"the format is {str(document.get('format'))[:60]!r}, expected {FORMAT!r}")
    first, second = (_bytes_of(document, which) for which in ("first", "second"))
    finding = judge(chain_id, validators, verify, first, second)
    if write_evidence(chain_id, finding, first, second).encode() != data:
        raise InvalidProof("its words are not those that follow from the two messages and the genesis")
    return finding


_PLACE = ("epoch", "sender", "view", "height")


def _place(body: Body) -> tuple[int | None, ...]:
    return tuple(getattr(body, name, None) for name in _PLACE)


def _opened(which: str, data: bytes) -> tuple[Envelope, Body]:
    try:
        return open_envelope(data)
    except MessageRefused as refused:
        raise InvalidProof(f"the {which} message is no message of the protocol: {refused.reason}") from None


def _message(data: bytes) -> dict[str, str]:
    envelope, body = open_envelope(data)
    return {"says": _says(body), "message": data.hex(), "signature": envelope.signature.hex()}


def _says(body: Body) -> str:
    match body:
        case Vote():
            return f"digest {body.digest.hex()}"
        case Checkpoint():
            return f"header {body.header_hash.hex()}"
        case ViewChange():
            seal = f"sealed through {body.seal.height}" if body.seal else "nothing sealed"
            return f"{seal}, prepared {[certificate.height for certificate in body.prepared]}"
        case NewView():
            return f"{len(body.view_changes)} view changes"
    return ""


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > BYTES_MAX:
        raise InvalidProof(f"the file has {len(data)} bytes, more than any evidence: at most {BYTES_MAX}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidProof("the file is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidProof("the file is not a JSON object")
    return document


def _bytes_of(document: dict[str, Any], which: str) -> bytes:
    part = document.get(which)
    text = part.get("message") if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise InvalidProof(f"the {which} message is missing")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidProof(f"the {which} message is not hex") from None
