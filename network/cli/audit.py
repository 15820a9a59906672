"""`quorate verify --data`: a stopped node's whole directory audited, and the first wrong byte named. Thin: it shows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from network.cli.console import UserError, explain, hint, say, say_json, short

if TYPE_CHECKING:
    from network.audit import Finding, Standing, Verdict

EXIT_UNFIT = 2
EXIT_INTERRUPTED = 130
_BAR_CHARACTERS = 24


def audit_directory(data: Path, genesis: Path | None, jobs: int, resume_file: Path | None, *, as_json: bool) -> None:
    """Audit, say what was found, and end the command: 0 all holds, 1 it does not, 2 it cannot be audited."""
    from ledger.errors import DatabaseInUse, GenesisError
    from ledger.genesis import load_genesis
    from network.audit import Audit, Unfit
    from network.cli.progress import Progress

    progress = Progress()
    bar = _Bar(progress.show)
    try:
        trusted = load_genesis(genesis or genesis_in(data))
        audit = Audit(data, trusted, jobs=jobs or os.cpu_count() or 1, resume_file=resume_file, show=bar.show)
        verdict = audit.run()
    except (Unfit, DatabaseInUse, GenesisError, UserError) as error:
        progress.clear()
        hint(f"quorate: {error if isinstance(error, Unfit) else explain(error)}")
        raise typer.Exit(EXIT_UNFIT) from None
    except KeyboardInterrupt:
        progress.clear()
        again = f"; go on with --resume-file {short(resume_file)}" if resume_file else ""
        hint(f"interrupted at height {bar.height}{again}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    progress.clear()
    if as_json:
        say_json(_document(verdict))
    else:
        _tell(data, verdict)
    raise typer.Exit(0 if verdict.finding is None else 1)


def genesis_in(data: Path) -> Path:
    """The genesis file of a data directory. Raises `UserError`."""
    if not data.is_dir():
        raise UserError(f"{short(data)} is no directory: give the data directory of a node, the one with blocks/")
    path = data / "genesis.json"
    if not path.exists():
        raise UserError(f"no genesis to check against: give --genesis FILE, or put it into {short(data)}")
    return path


class _Bar:
    """How far the audit is, on one line."""

    def __init__(self, show: Any) -> None:
        self._show = show
        self._begun = time.monotonic()
        self._before: int | None = None
        self.height = -1

    def show(self, standing: Standing) -> None:
        """After every height."""
        self.height = standing.height
        if self._before is None:
            self._before = standing.transactions
        done = (standing.height + 1) / max(1, standing.last_height + 1)
        full = int(done * _BAR_CHARACTERS)
        rate = (standing.transactions - self._before) / max(1e-6, time.monotonic() - self._begun)
        bar = "#" * full + "." * (_BAR_CHARACTERS - full)
        heights = f"height {standing.height} of {standing.last_height}"
        self._show(f"[{bar}] {done:4.0%}  {heights}, {standing.transactions} transactions, {rate:.0f}/s")


def _tell(data: Path, verdict: Verdict) -> None:
    resumed = "" if verdict.resumed_at is None else f" (up to height {verdict.resumed_at} by an earlier audit)"
    if verdict.finding is not None:
        say(f"{short(data)} does not hold: {verdict.finding}")
        say(f"Everything below was checked and holds: up to height {verdict.height}{resumed}.")
        return
    unsealed = verdict.height - max(0, verdict.sealed_height)
    say(f"{short(data)} holds: {verdict.height} blocks above genesis, {verdict.transactions} transactions{resumed}")
    say("Checked: hashes, links, seals, signatures, receipts and, by execution, every state root; indexes, marker,")
    say(f"state, {verdict.journal_records} records of the vote journal, {verdict.evidence_files} files of evidence.")
    if unsealed > 0:
        say(f"The last {unsealed} blocks are executed and not sealed yet.")


def _document(verdict: Verdict) -> dict[str, Any]:
    return {
        "valid": verdict.finding is None,
        "height": verdict.height,
        "sealed_height": verdict.sealed_height,
        "transactions": verdict.transactions,
        "resumed_at": verdict.resumed_at,
        "journal_records": verdict.journal_records,
        "evidence_files": verdict.evidence_files,
        "finding": None if verdict.finding is None else _finding(verdict.finding),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "height": finding.height,
        "record": finding.record,
        "part": finding.part,
        "offset": finding.offset,
        "exact": finding.exact,
        "because": finding.because,
    }
