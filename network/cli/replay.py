"""`quorate replay`: a past transaction executed again on this machine, and shown line by line. Thin: it shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from network.cli.connection import DEFAULT_URL, GenesisFile, Url, connect
from network.cli.console import AsJson, UserError, examples, explain, hint, say, say_fields, say_json

if TYPE_CHECKING:
    from contracts.tracing import Tracer
    from ledger.types import Receipt
    from network.replay import Chain, Replayed

REPLAY_EXAMPLES = examples(
    "quorate replay 5be1...90aa --trace",
    "quorate replay 5be1...90aa --trace --data net/node-1",
    "quorate replay 5be1...90aa --json",
)
EXIT_DIFFERS = 1
EXIT_UNFIT = 2
EXIT_INTERRUPTED = 130


def replay(
    transaction_id: Annotated[str, typer.Argument(metavar="ID", help="A transaction's id, 64 hex digits.")],
    trace: Annotated[
        bool, typer.Option("--trace", help="Show every line with the values of its names, state and gas.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Read this data directory, ask no node.", show_default=False),
    ] = None,
    from_genesis: Annotated[
        bool, typer.Option("--from-genesis", help="With --data: believe no state, execute every block before it.")
    ] = False,
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """Execute a past transaction again, here.

    On the state of its block, after the transactions before it; the receipt is compared with the stored one.
    Exit code 1 when it differs. With --data no node need run; without it, every block before is fetched and executed.
    """
    from ledger.errors import LedgerError
    from network.audit import Unfit
    from network.cli.progress import Progress
    from network.client import ClientError
    from network.replay import Broken, Unknown
    from network.replay import replay as replay_transaction

    progress = Progress()
    bar = _Bar(progress)
    try:
        with _chain(data, url, genesis) as chain:
            wanted = _id(transaction_id)
            found = replay_transaction(chain, wanted, trace=trace, from_genesis=from_genesis, show=bar.show)
    except (Unfit, Unknown, Broken, LedgerError, ClientError, UserError) as error:
        progress.clear()
        hint(f"quorate: {explain(error) or error}")
        raise typer.Exit(EXIT_UNFIT) from None
    except KeyboardInterrupt:
        progress.clear()
        hint(f"interrupted at height {bar.height}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    progress.clear()
    if as_json:
        say_json(_document(found))
    else:
        _tell(found)
    raise typer.Exit(0 if found.equal else EXIT_DIFFERS)


def _id(text: str) -> bytes:
    try:
        if len(found := bytes.fromhex(text)) == 32:
            return found
    except ValueError:
        pass
    raise UserError(f"{text[:80]!r} is no transaction id: it has 64 hex digits")


def _chain(data: Path | None, url: str, genesis: Path | None) -> AbstractContextManager[Chain]:
    from ledger.genesis import load_genesis
    from network.cli.audit import genesis_in
    from network.replay import DirectoryChain

    if data is None:
        return _node_chain(url, genesis)
    return DirectoryChain(data, load_genesis(genesis or genesis_in(data)))


@contextmanager
def _node_chain(url: str, genesis: Path | None) -> Iterator[Chain]:
    from ledger.genesis import load_genesis
    from network.replay import NodeChain

    with connect(url, genesis) as client:
        yield NodeChain(client, None if genesis is None else load_genesis(genesis))


class _Bar:
    """How far the way from genesis is, on one line."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._begun = time.monotonic()
        self.height = 0

    def show(self, height: int, last: int) -> None:
        """After every height."""
        self.height = height
        rate = height / max(1e-6, time.monotonic() - self._begun)
        self._progress.show(f"executing from genesis: block {height} of {last}, {rate:.0f} blocks/s")


# ── for a person ──────────────────────────────────────────────────────────────────────────────────


def _tell(found: Replayed) -> None:
    if found.trace is not None:
        _tell_trace(found.trace)
    receipt = found.receipt
    say_fields(
        [
            ("transaction", receipt.transaction_id.hex()),
            ("sender", found.transaction.body.sender.hex()),
            ("outcome", _outcome(receipt)),
            ("gas used", f"{receipt.gas_used} of {found.transaction.body.gas_limit}"),
            ("block", f"{found.height}, transaction {found.index}"),
            ("state", _begun(found)),
            ("receipt", _verdict(found)),
        ]
    )


def _tell_trace(tracer: Tracer) -> None:
    from contracts.trace_text import trace_lines

    for line in trace_lines(tracer.steps):
        say(line)
    if not tracer.steps:
        say("No contract was run: the transaction failed before.")
    if tracer.left_out:
        say(f"... and {tracer.left_out} steps more: a trace keeps {len(tracer.steps)}")
    say()


def _outcome(receipt: Receipt) -> str:
    if receipt.code == "ok":
        return "ok"
    where = f" ({receipt.contract}, line {receipt.line})" if receipt.line else ""
    return f"{receipt.code}: {receipt.message}{where}"


def _begun(found: Replayed) -> str:
    return "made again from genesis" if found.from_height == 0 else f"of height {found.from_height}, kept by the node"


def _verdict(found: Replayed) -> str:
    if found.equal:
        return "equal to the stored one, byte for byte"
    if found.again == found.stored:
        return "equal to the stored one; but the block's header DIFFERS"
    return "DIFFERS from the stored one: " + ", ".join(_differences(found) or ["it came out not at all"])


def _differences(found: Replayed) -> list[str]:
    """The fields in which the two receipts differ, each with both values."""
    from ledger import codec
    from ledger.types import Receipt

    if found.again is None:
        return []
    stored, again = codec.decode(found.stored, Receipt), found.receipt
    pairs = ((name, getattr(stored, name), getattr(again, name)) for name in Receipt.__struct_fields__)
    return [f"{name} was {old!r}, is {new!r}" for name, old, new in pairs if old != new]


# ── for a machine ─────────────────────────────────────────────────────────────────────────────────


def _document(found: Replayed) -> dict[str, Any]:
    import msgspec

    from network import present

    trace = found.trace
    return {
        "id": found.receipt.transaction_id.hex(),
        "height": found.height,
        "index": found.index,
        "equal": found.equal,
        "receipt_equal": found.again == found.stored,
        "block_equal": found.block_equal,
        "differences": _differences(found),
        "from_height": found.from_height,
        "receipt": present.receipt(found.stored if found.again is None else found.again),
        "trace": None if trace is None else [msgspec.to_builtins(step) for step in trace.steps],
        "steps_left_out": 0 if trace is None else trace.left_out,
    }
