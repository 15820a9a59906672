"""`quorate export`: a stopped node's chain as Parquet files. Thin: it shows how far it is, and what was written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from network.cli.console import AsJson, UserError, examples, explain, hint, say, say_json, short

if TYPE_CHECKING:
    from ledger.types import Genesis
    from network.export import Standing, Summary

EXPORT_EXAMPLES = examples(
    "quorate export net/node-1 chain",
    "quorate export net/node-1 week --first 120000 --last 186000",
    "duckdb -c \"SELECT code, count(*) FROM 'chain/receipts/*.parquet' GROUP BY code\"",
)
EXIT_DAMAGED, EXIT_UNFIT, EXIT_INTERRUPTED = 1, 2, 130
_BAR_CHARACTERS = 24


def export(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory of a stopped node.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or one that holds an earlier export.")],
    first: Annotated[
        int | None,
        typer.Option("--first", min=0, help="The height to begin at: 0, or where OUT ends.", show_default=False),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", min=0, help="The height to end at: the last sealed one.", show_default=False),
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option(
            "--genesis",
            envvar="QUORATE_GENESIS",
            help="The genesis file; without it, genesis.json in DIR.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write blocks, transactions, receipts and events as Parquet, for DuckDB, Spark, pandas and their like.

    Needs pyarrow: pip install 'quorate\\[export]'. DIR is only read. Run it again and it goes on: after an interruption
    as after new blocks, what OUT has is kept and what is missing is added.
    Exit code 0 when OUT is complete, 1 when it is not yet, because DIR is damaged or a disk full, 2 when nothing can be
    exported; then it says what to do.
    """
    from ledger.errors import DatabaseInUse, LedgerError
    from network.cli.progress import Progress
    from network.export import Export, ExportRefused, PyarrowMissing

    progress = Progress()
    bar = _Bar(progress.show)
    try:
        summary = Export(data, out, _genesis(data, genesis), first=first, last=last, show=bar.show).run()
    except (ExportRefused, PyarrowMissing, DatabaseInUse, UserError) as error:
        progress.clear()
        hint(f"quorate: {error}")
        raise typer.Exit(EXIT_UNFIT) from None
    except (LedgerError, OSError) as error:
        progress.clear()
        hint(f"quorate: {explain(error)}. What {short(out)} has is whole; mend this, and the same command goes on")
        raise typer.Exit(EXIT_DAMAGED) from None
    except KeyboardInterrupt:
        progress.clear()
        hint(f"interrupted at height {bar.height}; the same command goes on")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    progress.clear()
    if as_json:
        say_json({name: getattr(summary, name) for name in ("first", "last", "transactions", "events", "parts")})
    else:
        _tell(out, summary)


def _genesis(data: Path, given: Path | None) -> Genesis:
    from ledger.errors import GenesisError
    from ledger.genesis import load_genesis

    path = given or data / "genesis.json"
    if not data.is_dir():
        raise UserError(f"{short(data)} is no directory: give the data directory of a node, the one with blocks/")
    if not path.exists():
        raise UserError(f"there is no {short(path)}: give the network's genesis file with --genesis")
    try:
        return load_genesis(path)
    except GenesisError as error:
        raise UserError(str(error)) from None


class _Bar:
    """How far the export is, on one line."""

    def __init__(self, show: Any) -> None:
        self._show = show
        self._begun = time.monotonic()
        self.height = -1

    def show(self, standing: Standing) -> None:
        """After every block."""
        self.height = standing.height
        done = (standing.height + 1 - standing.first) / max(1, standing.last + 1 - standing.first)
        full = int(done * _BAR_CHARACTERS)
        rate = standing.transactions / max(1e-6, time.monotonic() - self._begun)
        bar = "#" * full + "." * (_BAR_CHARACTERS - full)
        rows = f"{standing.transactions} transactions, {standing.events} events"
        self._show(f"[{bar}] {done:4.0%}  height {standing.height} of {standing.last}, {rows}, {rate:.0f}/s")


def _tell(out: Path, summary: Summary) -> None:
    if summary.last < summary.first:
        say(f"{short(out)} is complete up to height {summary.first - 1}: nothing to add")
        return
    parts = "1 part" if summary.parts == 1 else f"{summary.parts} parts"
    say(f"{short(out)}: added heights {summary.first} to {summary.last}, in {parts}")
    say(f"{summary.transactions} transactions, {summary.events} events")
    say(f"Read it with: duckdb -c \"FROM '{short(out)}/transactions/*.parquet' LIMIT 10\"")
