"""`quorate proof`: one file that proves one thing, fetched from a node and checked before it is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from network.cli.connection import DEFAULT_URL, GenesisFile, Url, connect
from network.cli.console import UserError, examples, hint, say, short
from network.cli.negatives import TakesNegatives
from network.cli.newfiles import refuse_existing, write_new
from network.cli.receipts import read_header_hash

if TYPE_CHECKING:
    from ledger.proofs import VerifiedProof
    from ledger.types import Genesis

TRANSACTION_EXAMPLES = examples(
    "quorate proof transaction 5be1...90aa --genesis net/genesis.json",
    "quorate proof transaction 5be1...90aa --output receipt.json",
)
RECEIPT_EXAMPLES = examples("quorate proof receipt 5be1...90aa --genesis net/genesis.json")
EVENT_EXAMPLES = examples("quorate proof event 5be1...90aa 0 --genesis net/genesis.json")
STATE_EXAMPLES = examples(
    "quorate proof state token balances e2a0...51c7 --genesis net/genesis.json",
    "quorate proof state token supply --height 1200 --output supply.json",
)
HEADER_EXAMPLES = examples(
    "quorate proof header 1200 --genesis net/genesis.json", "quorate proof header 1300 --header 1d4e...07aa"
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="One file that proves one thing, to keep.")

TransactionId = Annotated[str, typer.Argument(metavar="ID", help="A transaction's id, 64 hex digits.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Where to write it; without it, a name that says what.", show_default=False),
]
Header = Annotated[
    str,
    typer.Option("--header", metavar="HASH", help="A header you trust: the proof begins there.", show_default=False),
]


@app.command(epilog=TRANSACTION_EXAMPLES)
def transaction(
    transaction_id: TransactionId,
    output: Output = None,
    header: Header = "",
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
) -> None:
    """That a transaction took place, with its arguments and its outcome: the receipt to keep."""
    _write(["transaction", transaction_id], f"receipt-{transaction_id[:16]}.json", output, header, url, genesis)


@app.command(epilog=RECEIPT_EXAMPLES)
def receipt(
    transaction_id: TransactionId,
    output: Output = None,
    header: Header = "",
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
) -> None:
    """What came of a transaction, without its arguments.

    For showing an outcome to somebody who need not know what was called.
    """
    _write(["receipt", transaction_id], f"outcome-{transaction_id[:16]}.json", output, header, url, genesis)


@app.command(epilog=EVENT_EXAMPLES)
def event(
    transaction_id: TransactionId,
    number: Annotated[int, typer.Argument(min=0, help="Which of its events, from 0 on.")] = 0,
    output: Output = None,
    header: Header = "",
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
) -> None:
    """That a contract emitted an event."""
    name = f"event-{transaction_id[:16]}-{number}.json"
    _write(["event", transaction_id, str(number)], name, output, header, url, genesis)


@app.command(epilog=STATE_EXAMPLES, cls=TakesNegatives)
def state(
    contract: Annotated[str, typer.Argument(help="The contract.")],
    variable: Annotated[str, typer.Argument(help="A state variable that it declares.")],
    key: Annotated[list[str] | None, typer.Argument(help="The parts of a Map's key.", show_default=False)] = None,
    height: Annotated[
        int | None, typer.Option("--height", min=1, help="A sealed height; without it, the last.", show_default=False)
    ] = None,
    output: Output = None,
    header: Header = "",
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
) -> None:
    """What stood at a place of the state, or that nothing did.

    Parts of a key are written as their declared type: an int in decimal, bytes in hexadecimal, a bool as true or false.
    """
    name = f"state-{contract}-{variable}.json"
    _write(["state", contract, variable, *(key or [])], name, output, header, url, genesis, height)


@app.command("header", epilog=HEADER_EXAMPLES)
def sealed_header(
    block: Annotated[str, typer.Argument(help="A height, or a block's hash.")],
    output: Output = None,
    header: Header = "",
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
) -> None:
    """That a header was sealed: the roots of its transactions, receipts and state, and its time."""
    _write(["header", block], f"block-{block[:16]}.json", output, header, url, genesis)


def _write(
    path: Sequence[str],
    name: str,
    output: Path | None,
    header: str,
    url: str,
    genesis: Path | None,
    height: int | None = None,
) -> None:
    """Fetch the file, judge it where there is something to judge it by, and write it."""
    from ledger.genesis import load_genesis
    from ledger.proof_file import as_text
    from network.cli.proven import tell

    target = output or Path(name.replace("/", "_"))
    refuse_existing(target, "choose another name with --output")
    begin = read_header_hash(header)
    known = None if begin or genesis is None else load_genesis(genesis)
    with connect(url) as client:
        route = "/".join(quote(part, safe="") for part in path)
        text = as_text(client.get(f"/v1/proofs/{route}", header=begin.hex() or None, height=height))
    found = _checked(text, path, height, begin or known)
    write_new(target, text)
    if found is None:
        hint("not checked: give --genesis FILE, and what the node gives is verified before it is written")
    else:
        tell(found, known, None, None)
    how = f"--header {header}" if header else f"--genesis {short(genesis) if genesis else 'FILE'}"
    say(f"written: {short(target)}   check it with: quorate verify {short(target)} {how}")


def _checked(
    text: str, path: Sequence[str], height: int | None, trusted: Genesis | bytes | None
) -> VerifiedProof | None:
    """What the file proves, which must be what was asked for; None where nothing is trusted. Raises `UserError`."""
    from ledger.errors import InvalidProof
    from ledger.proofs import verify_proof

    if trusted is None:
        return None
    try:
        found = verify_proof(text, trusted)
    except InvalidProof as error:
        raise UserError(f"the node gave a proof that is invalid, because {error}") from None
    if not _is_about(found, text, path, height):
        raise UserError("the node gave a valid proof of something else than was asked for")
    return found


def _is_about(found: VerifiedProof, text: str, path: Sequence[str], height: int | None) -> bool:
    from ledger.proof_encoding import element_text

    kind, *rest = path
    if found.kind != kind or height not in (None, found.height):
        return False
    if found.state is not None:
        key = [element_text(element) for element in found.state.elements]
        return [found.state.contract, found.state.variable, *key] == rest
    if found.receipt is not None:
        number = [str(json.loads(text)["event"])] if kind == "event" else []
        return [found.receipt.transaction_id.hex(), *number] == [rest[0].lower(), *rest[1:]]
    return rest[0].lower() in (str(found.height), found.header_hash.hex())
