"""The evidence folder: every file in it is a proof against a member of this network, word for word."""

from __future__ import annotations

import json
from pathlib import Path

from consensus.evidence import judge, verify_evidence, write_evidence
from ledger.crypto import verify
from ledger.errors import InvalidProof
from ledger.types import Genesis
from network.audit.findings import Finding, Wrong, first_difference


def check_evidence(folder: Path, genesis: Genesis) -> int:
    """How many files there are. Raises `Wrong` for the first, by name, that proves nothing."""
    count = 0
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        data = path.read_bytes()
        try:
            verify_evidence(data, genesis.chain_id, genesis.validators, verify)
        except InvalidProof as error:
            offset = _first_wrong_word(data, genesis)
            part, place = "the evidence", 0 if offset is None else offset
            name = f"{folder.name}/{path.name}"
            raise Wrong(Finding(name, part, str(error), None, place, exact=offset is not None)) from None
        count += 1
    return count


def _first_wrong_word(data: bytes, genesis: Genesis) -> int | None:
    """Where the file's words differ from those that follow from its two messages; None where these prove nothing."""
    try:
        document = json.loads(data)
        first, second = (bytes.fromhex(document[which]["message"]) for which in ("first", "second"))
        finding = judge(genesis.chain_id, genesis.validators, verify, first, second)
    except (InvalidProof, ValueError, KeyError, TypeError, RecursionError):
        return None
    return first_difference(data, write_evidence(genesis.chain_id, finding, first, second).encode())
