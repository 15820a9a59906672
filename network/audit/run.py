"""One audit from beginning to end: the chain height by height, then whatever else lies in the directory.

The quick checks and the vote journal's run ahead in other processes; this one executes, in order, what they found
whole. So the first height
that does not hold is the same however many processes there are, and everything below it was checked in full.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.engine import VERSIONS_KEPT
from ledger.errors import DataLost, HeightNotKept, LedgerError, StorageError
from ledger.state import State
from ledger.store import marker_path, sender_of
from ledger.types import Genesis, Header
from network.audit import resume
from network.audit.ahead import JournalVerdict, journal_ahead
from network.audit.check import Checker
from network.audit.evidence import check_evidence
from network.audit.findings import Finding, Wrong
from network.audit.marker import check_marker, read_marker
from network.audit.naming import check_genesis, compare, name_the_fault
from network.audit.replay import Replay
from network.audit.rows import NUMBER, BlockRows, read_header, read_rest
from network.audit.shadow import Unfit, make_shadow, stopped
from network.audit.state import check_state
from network.audit.strays import check_tail, find_strays
from network.audit.workers import answers
from network.paths import NodePaths

CHECKPOINT_EVERY = VERSIONS_KEPT // 2  # heights: the engine can execute those above a checkpoint once more


@dataclass(frozen=True)
class Standing:
    """How far an audit has come."""

    height: int
    last_height: int
    transactions: int


@dataclass(frozen=True)
class Verdict:
    """What was found. Without a finding all holds: `height` blocks above genesis, `sealed_height` of them sealed."""

    finding: Finding | None
    height: int
    sealed_height: int
    transactions: int
    resumed_at: int | None
    journal_records: int
    evidence_files: int


class Audit:
    """The audit of one data directory. `show` is told how far it is, after every height."""

    def __init__(
        self,
        directory: Path,
        genesis: Genesis,
        *,
        jobs: int = 1,
        resume_file: Path | None = None,
        show: Callable[[Standing], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._paths = NodePaths(directory)
        self._genesis = genesis
        self._jobs = jobs
        self._resume_file = resume_file
        self._show = show
        self._transactions = self._entries = 0
        self._height = -1
        self._resumed_at: int | None = None
        self._journal_records = self._evidence_files = 0
        self._tip: Header | None = None

    def run(self) -> Verdict:
        """Check everything. Raises `Unfit`, or `DatabaseInUse` while a node runs on the directory."""
        if not self._paths.blocks.is_dir():
            raise Unfit(f"{self._paths.blocks} is no directory: {self._directory} is not a node's, or lost its blocks")
        with stopped(self._directory), tempfile.TemporaryDirectory(prefix="quorate-audit-") as scratch:
            try:
                rows = self._open(Path(scratch))
            except Wrong as wrong:
                return self._verdict(wrong.finding, -1)
            try:
                return self._verdict(self._find(rows, Path(scratch)), rows.sealed_height)
            finally:
                rows.close()

    def _open(self, scratch: Path) -> BlockRows:
        make_shadow(self._paths.blocks, scratch / "blocks")
        try:
            return BlockRows(scratch / "blocks")
        except DataLost as error:
            because = str(error).replace(str(scratch / "blocks"), str(self._paths.blocks))
            raise Wrong(Finding("blocks/", "the database", because)) from None
        except StorageError as error:
            raise Unfit(f"{self._paths.blocks}: {error}") from None

    def _find(self, rows: BlockRows, scratch: Path) -> Finding | None:
        self._refuse_other_chain(rows)
        self._refuse_gap(rows)
        found = self._read_checkpoint()
        state = self._open_state(scratch)
        ahead = journal_ahead(self._paths.journal, self._genesis, rows, self._paths.blocks, scratch, self._jobs)
        try:
            with ahead as journal:
                self._check_chain(rows, scratch, state, found)
                self._check_the_rest(rows, scratch, state, journal)
        except Wrong as wrong:
            return wrong.finding
        except DataLost as error:
            return Finding("blocks/", "the database", str(error), self._height + 1)
        finally:
            self._checkpoint()
            state.close()
        return None

    # ── the chain ─────────────────────────────────────────────────────────────────────────────────

    def _refuse_other_chain(self, rows: BlockRows) -> None:
        """Another genesis than the directory's own is a mistake of the caller, not damage."""
        header = rows.header_at(0)
        if header is not None and header.chain_id != self._genesis.chain_id:
            raise Unfit(
                f"{self._directory} holds chain {header.chain_id.hex()}, the genesis file is that of "
                f"{self._genesis.chain_id.hex()}: give the right one with --genesis"
            )

    def _refuse_gap(self, rows: BlockRows) -> None:
        """Execution from genesis needs every block."""
        first = rows.get(b"f")
        if first is not None and first != NUMBER.pack(1):
            raise Unfit(
                f"{self._directory} was begun from a snapshot: its blocks begin at {int.from_bytes(first, 'big')}, and "
                "an audit executes the chain from genesis. Audit a node that has every block"
            )

    def _check_chain(self, rows: BlockRows, scratch: Path, state: State, found: resume.Checkpoint | None) -> None:
        first = 0 if found is None or found.height < 0 else self._resume(rows, state, found)
        replay = Replay(state, self._genesis)
        checker = Checker(rows, self._genesis, rows.sealed_height)
        for begin, end, checked in answers(checker, self._paths.blocks, scratch, self._genesis, first, self._jobs):
            stop = end + 1 if checked.suspect is None else checked.suspect
            for height in range(begin, stop):
                self._execute(rows, replay, height)
                if height % CHECKPOINT_EVERY == 0:
                    self._checkpoint()
            if checked.suspect is not None:
                raise Wrong(name_the_fault(rows, self._genesis, rows.sealed_height, replay, checked.suspect, self._tip))

    def _execute(self, rows: BlockRows, replay: Replay, height: int) -> None:
        found = rows.at(height)
        assert found.header is not None, "checked before"
        assert found.rest is not None, "checked before"
        header, rest = read_header(found.header), read_rest(found.rest)
        try:
            expected = replay.run(self._tip, rest)
        except LedgerError as error:
            raise Wrong(Finding(f"row b {height}", "the block", str(error), height)) from None
        if height == 0:
            check_genesis(found, self._genesis, expected)
        elif expected.header != header or len(expected.executed) != len(rest.bodies):
            compare(found, header, rest, expected)
        self._tip, self._height = header, height
        self._transactions += len(rest.bodies)
        self._entries += len({sender_of(raw) for raw in rest.bodies})
        self._show(Standing(height, rows.height, self._transactions))

    # ── where it stopped before ───────────────────────────────────────────────────────────────────

    def _open_state(self, scratch: Path) -> State:
        if self._resume_file is None:
            return State.open(scratch / "state", time.perf_counter_ns)
        try:
            return State.open(resume.state_directory(self._resume_file), time.perf_counter_ns)
        except StorageError as error:
            raise resume.refused(self._resume_file, str(error)) from None

    def _read_checkpoint(self) -> resume.Checkpoint | None:
        if self._resume_file is None:
            return None
        found = resume.read_checkpoint(self._resume_file, self._directory, self._genesis.chain_id)
        if found is None:  # the file comes before the state: whenever this process dies, they go together
            data, chain_id = str(self._directory.resolve()), self._genesis.chain_id.hex()
            resume.write_checkpoint(self._resume_file, resume.Checkpoint(data, chain_id, -1, "", "", 0, 0))
        return found

    def _resume(self, rows: BlockRows, state: State, found: resume.Checkpoint) -> int:
        """The height to begin at. Raises `Unfit` where the file does not hold, `Wrong` where the chain broke."""
        file = self._resume_file
        assert file is not None
        tip = self._walk_headers(rows, state, found.height)
        if tip is None or tip.hash.hex() != found.header_hash:
            stored = "no block" if tip is None else tip.hash.hex()
            raise resume.refused(file, f"it names block {found.header_hash} at height {found.height}, here is {stored}")
        self._expect_state(file, state, found, tip)
        self._tip, self._height = tip, found.height
        self._transactions, self._entries = found.transactions, found.entries
        self._resumed_at = found.height
        return found.height + 1

    def _walk_headers(self, rows: BlockRows, state: State, last: int) -> Header | None:
        """Follow the chain of headers up again, to the one at `last`: quick, and it binds that one to genesis."""
        parent: Header | None = None
        for height in range(min(last, rows.height) + 1):
            header = rows.header_at(height)
            if header is None or (parent is not None and header.previous_hash != parent.hash):
                replay = Replay(state, self._genesis)
                raise Wrong(name_the_fault(rows, self._genesis, rows.sealed_height, replay, height, parent))
            parent = header
        return parent if rows.height >= last else None

    @staticmethod
    def _expect_state(file: Path, state: State, found: resume.Checkpoint, tip: Header) -> None:
        try:
            root = state.root_at(found.height).hex()
        except HeightNotKept:
            why = f"the state beside it is at height {state.height}, it says {found.height}"
            raise resume.refused(file, why) from None
        if not root == found.state_root == tip.state_root.hex():
            why = f"the state beside it has root {root}, it says {found.state_root}, the block {tip.state_root.hex()}"
            raise resume.refused(file, why)

    def _checkpoint(self) -> None:
        """Write down what holds, unless nothing does yet."""
        if self._resume_file is None or self._tip is None:
            return
        found = resume.Checkpoint(
            str(self._directory.resolve()),
            self._genesis.chain_id.hex(),
            self._height,
            self._tip.hash.hex(),
            self._tip.state_root.hex(),
            self._transactions,
            self._entries,
        )
        resume.write_checkpoint(self._resume_file, found)

    # ── whatever else lies there ──────────────────────────────────────────────────────────────────

    def _check_the_rest(self, rows: BlockRows, scratch: Path, state: State, journal: JournalVerdict) -> None:
        """What belongs to no height, once every height holds."""
        check_tail(rows, self._genesis.parameters.window)
        find_strays(rows, self._transactions, self._entries)
        marked = read_marker(marker_path(self._paths.blocks))
        tip = None if marked is None else rows.header_at(marked.stored_height)
        hashes = {} if tip is None else {tip.height: tip.hash}
        check_marker(marked, marker_path(self._paths.blocks).name, rows.height, hashes)
        check_state(self._paths.state, scratch / "copy", state, self._tip)
        self._journal_records = journal()
        self._evidence_files = check_evidence(self._paths.evidence, self._genesis)

    def _verdict(self, finding: Finding | None, sealed_height: int) -> Verdict:
        return Verdict(
            finding,
            self._height,
            sealed_height,
            self._transactions,
            self._resumed_at,
            self._journal_records,
            self._evidence_files,
        )
