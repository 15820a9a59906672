"""Where an audit stopped: a small file, and beside it the directory of the state that execution had reached.

The file names the chain, the directory, the height, and the header and state there, under a check of its own. What it
says is held against the store before it is believed: a file that is damaged, or that another directory or chain made,
is refused and never used in part.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ledger.files import replace
from network.audit.shadow import Unfit

FORMAT = "quorate-audit-1"


@dataclass(frozen=True)
class Checkpoint:
    """Everything up to `height` was found to hold. Hashes in hex; `entries` are rows of the index of senders."""

    data: str
    chain_id: str
    height: int
    header_hash: str
    state_root: str
    transactions: int
    entries: int


def state_directory(file: Path) -> Path:
    """Where the state lies that belongs to a resume file."""
    return file.with_name(file.name + ".state")


def write_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Replace the file in one step."""
    document = {"format": FORMAT, **asdict(checkpoint)}
    replace(file, (json.dumps(document | {"check": _check(document)}, indent=2) + "\n").encode(), durable=False)


def read_checkpoint(file: Path, directory: Path, chain_id: bytes) -> Checkpoint | None:
    """What the file says, None where there is no file yet. Raises `Unfit`."""
    if not file.exists():
        if state_directory(file).exists():
            raise Unfit(f"{state_directory(file)} is there and {file} is not: delete it to begin anew")
        return None
    try:
        document = json.loads(file.read_bytes())
        check = document.pop("check")
        if document.pop("format") != FORMAT or check != _check({"format": FORMAT, **document}):
            raise ValueError
        found = Checkpoint(**document)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unfit(f"{file} is no resume file of an audit, or is damaged: {_again(file)}") from None
    if found.chain_id != chain_id.hex():
        raise Unfit(f"{file} belongs to chain {found.chain_id}, this is {chain_id.hex()}: give another resume file")
    if found.data != str(directory.resolve()):
        raise Unfit(f"{file} belongs to the audit of {found.data}: give another resume file")
    return found


def refused(file: Path, why: str) -> Unfit:
    """The checkpoint is not that of this directory any more."""
    return Unfit(f"{file} does not hold: {why}. {_again(file).capitalize()}")


def _again(file: Path) -> str:
    return f"delete it and {state_directory(file)} to begin anew"


def _check(document: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
