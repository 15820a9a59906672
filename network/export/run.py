"""One export from beginning to end: which heights, from where, in which parts. It reads a shadow and changes no node.

Every block is checked against its own roots and against the block below it, the one that an earlier export ended with
included; signatures are not (`quorate verify --data` does that). Only sealed blocks are exported.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ledger import blocks
from ledger.errors import DataLost, InvalidProof
from ledger.store import BlockStore, marker_path
from ledger.types import BlockRecord, Genesis
from network.audit.shadow import make_shadow, stopped
from network.export.manifest import MANIFEST, ExportRefused, Folder, Manifest, Part
from network.export.parquet import PartFiles, load_pyarrow
from network.export.tables import FORMAT, rows_of
from network.paths import NodePaths

BLOCKS_A_PART = 10_000
TRANSACTIONS_A_PART = 1_000_000


@dataclass(frozen=True)
class Standing:
    """How far an export has come; the counts are those of this run."""

    height: int
    first: int
    last: int
    transactions: int
    events: int


@dataclass(frozen=True)
class Summary:
    """What a run added: heights `first` to `last` (none where `last` is below `first`), rows and parts."""

    first: int
    last: int
    transactions: int
    events: int
    parts: int


class Export:
    """The export of one stopped node's chain into one folder. `show` is told how far it is, after every block."""

    def __init__(
        self,
        directory: Path,
        out: Path,
        genesis: Genesis,
        *,
        first: int | None = None,
        last: int | None = None,
        show: Callable[[Standing], None] = lambda _: None,
        blocks_a_part: int = BLOCKS_A_PART,
    ) -> None:
        self._paths = NodePaths(directory)
        self._folder = Folder(out)
        self._genesis = genesis
        self._wanted_first, self._wanted_last = first, last
        self._show = show
        self._blocks_a_part = blocks_a_part
        self._done = Summary(0, -1, 0, 0, 0)

    def run(self) -> Summary:
        """Add what is missing. Raises `ExportRefused`, `PyarrowMissing`, `DataLost`, `DatabaseInUse`, OSError."""
        load_pyarrow()
        if not self._paths.blocks.is_dir():
            raise ExportRefused(
                f"{self._paths.root} is not a node's data directory: it has no {self._paths.blocks.name}/"
            )
        with (
            stopped(self._paths.root),
            tempfile.TemporaryDirectory(prefix="quorate-export-") as scratch,
            self._folder.held(),
        ):
            store = self._open(Path(scratch) / self._paths.blocks.name)
            try:
                return self._run(store)
            finally:
                store.close()

    def _open(self, shadow: Path) -> BlockStore:
        make_shadow(self._paths.blocks, shadow)
        if marker_path(self._paths.blocks).exists():
            shutil.copyfile(marker_path(self._paths.blocks), marker_path(shadow))
        try:
            return BlockStore(shadow)
        except DataLost as error:
            raise DataLost(str(error).replace(str(shadow), str(self._paths.blocks))) from None

    def _run(self, store: BlockStore) -> Summary:
        self._refuse_other_chain(store)
        manifest = self._folder.read()
        if manifest is None:
            manifest = Manifest(FORMAT, self._genesis.network, self._genesis.chain_id.hex(), "", ())
            first, last = self._heights(store, None)
            self._folder.write(manifest)
        else:
            self._refuse_other_export(manifest)
            first, last = self._heights(store, manifest.last)
        self._done = Summary(first, first - 1, 0, 0, 0)
        self._folder.clear(manifest)
        while self._done.last < last:
            manifest = self._write_part(store, manifest, last)
        return self._done

    # ── which heights ─────────────────────────────────────────────────────────────────────────────

    def _refuse_other_chain(self, store: BlockStore) -> None:
        tip = store.tip()
        if tip is None:
            raise ExportRefused(f"{self._paths.blocks} holds no block yet: nothing can be exported")
        if tip.chain_id != self._genesis.chain_id:
            raise ExportRefused(
                f"{self._paths.root} holds chain {tip.chain_id.hex()}, the genesis file is that of "
                f"{self._genesis.chain_id.hex()}: give the right one with --genesis"
            )

    def _refuse_other_export(self, manifest: Manifest) -> None:
        if manifest.chain_id != self._genesis.chain_id.hex():
            raise ExportRefused(
                f"{self._folder.path} holds an export of chain {manifest.chain_id}, this is chain "
                f"{self._genesis.chain_id.hex()}: give another folder"
            )

    def _heights(self, store: BlockStore, done: int | None) -> tuple[int, int]:
        """The first and the last height to export; none are left where the first is above the last."""
        first = self._first(done)
        top = store.sealed_height
        last = top if self._wanted_last is None else self._wanted_last
        if last > top:
            raise ExportRefused(f"the highest sealed block of {self._paths.root} is {top}: --last {last} is above it")
        if first > last and done is None:
            raise ExportRefused(f"--first {first} is above the last height, {last}")
        return first, last

    def _first(self, done: int | None) -> int:
        if done is None:
            return self._wanted_first or 0
        if self._wanted_first not in (None, done + 1):
            raise ExportRefused(
                f"{self._folder.path} is exported up to height {done}: go on with --first {done + 1}, or without "
                "--first, or give a new folder"
            )
        return done + 1

    # ── one part ──────────────────────────────────────────────────────────────────────────────────

    def _write_part(self, store: BlockStore, manifest: Manifest, last: int) -> Manifest:
        """Export the next heights as one part."""
        first = self._done.last + 1
        folder = self._folder.begin_part()
        files = PartFiles(folder, {"quorate.format": FORMAT, "quorate.chain_id": manifest.chain_id})
        below, part = manifest.last_hash, Part(first, first - 1, 0, 0)
        try:
            while part.last < min(last, first + self._blocks_a_part - 1) and part.transactions < TRANSACTIONS_A_PART:
                record = self._record(store, part.last + 1, below)
                below = record.block.header.hash.hex()
                part = self._add(files, record, part, last)
            files.close()
        except BaseException:
            files.abandon()
            raise
        manifest = Manifest(manifest.format, manifest.network, manifest.chain_id, below, (*manifest.parts, part))
        self._folder.end_part(part, manifest)
        self._done = replace(self._done, last=part.last, parts=self._done.parts + 1)
        return manifest

    def _add(self, files: PartFiles, record: BlockRecord, part: Part, last: int) -> Part:
        rows = rows_of(record, self._genesis)
        files.add(rows)
        transactions, events = len(rows["transactions"]), len(rows["events"])
        done = self._done = replace(
            self._done, transactions=self._done.transactions + transactions, events=self._done.events + events
        )
        self._show(Standing(record.height, done.first, last, done.transactions, done.events))
        return Part(part.first, record.height, part.transactions + transactions, part.events + events)

    def _record(self, store: BlockStore, height: int, below: str) -> BlockRecord:
        """One block, whole and on top of the one below. Raises `DataLost`, `ExportRefused`."""
        record = store.record(height)
        if record is None:
            raise DataLost(f"block {height} is not in {self._paths.blocks}: start the node, it fetches what it lost")
        try:
            blocks.check_record(record)
        except InvalidProof as error:
            raise DataLost(f"block {height} in {self._paths.blocks} does not hold: {error}") from None
        if below and record.block.header.previous_hash.hex() != below:
            raise ExportRefused(
                f"block {height} follows {record.block.header.previous_hash.hex()}, exported was {below}: "
                f"{self._folder.path / MANIFEST} is of another history. Give a new folder"
            )
        return record
