"""The chain in a node's data directory, read through copies: of a stopped node, or of one that runs on meanwhile.

Of a stopped node's databases a shadow is enough (`network.audit.shadow`). A running node's change while they are
copied, so a copy counts only if the database had the same files and the same manifest before and after; its newest
block may be missing from it, which is as if one had looked a moment earlier.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ledger.errors import DatabaseInUse, LedgerError
from ledger.state import State
from ledger.types import Genesis
from network.audit.rows import PLACE, BlockRows, read_header, read_rest, row_check
from network.audit.shadow import Unfit, make_shadow, stopped
from network.paths import NodePaths
from network.replay.chain import StoredBlock, Unknown

COPY_ATTEMPTS = 40
_TABLES = (".ldb", ".sst")
_PASSED_OVER = ("LOCK", "LOG", "LOG.old")
_CHECK_BYTES = 16


class DirectoryChain:
    """A data directory's chain. Use it as a context manager; nothing in the directory is changed."""

    def __init__(self, directory: Path, genesis: Genesis) -> None:
        """Raises `Unfit` for what is no data directory."""
        self._paths = NodePaths(directory)
        if not self._paths.blocks.is_dir():
            raise Unfit(f"{self._paths.blocks} is no directory: give a node's data directory, the one with blocks/")
        self._genesis = genesis
        self._opened = ExitStack()

    def __enter__(self) -> DirectoryChain:
        self._opened.__enter__()
        try:
            self._scratch = Path(self._opened.enter_context(tempfile.TemporaryDirectory(prefix="quorate-replay-")))
            self._copy = self._how_to_copy()
            self._copy(self._paths.blocks, self._scratch / "blocks")
            self._rows = BlockRows(self._scratch / "blocks")
            self._opened.callback(self._rows.close)
            self._refuse_other_chain()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._opened.close()

    @property
    def genesis(self) -> Genesis:
        """What every member agreed on first."""
        return self._genesis

    def locate(self, transaction_id: bytes) -> tuple[int, int]:
        """(height, index in the block) of an executed transaction. Raises `Unknown`."""
        row = self._rows.get(b"t" + transaction_id)
        if row is None or len(row) != PLACE.size:
            raise Unknown(
                f"transaction {transaction_id.hex()} is unknown here: block {self._rows.height} is the highest in "
                f"{self._paths.root}"
            )
        height, index = PLACE.unpack(row)
        return height, index

    def block(self, height: int) -> StoredBlock:
        """The block at a height. Raises `Unknown`, or a `LedgerError` where it is damaged."""
        rows = self._rows.at(height)
        if rows.header is None or rows.rest is None:
            raise Unknown(
                f"block {height} is not in {self._paths.root}: a replay needs every block from genesis on, or the "
                "state below the transaction's own; ask a node that has them, with --data or --url"
            )
        if rows.rest[:_CHECK_BYTES] != row_check(height, rows.rest[_CHECK_BYTES:]):
            raise LedgerError(f"block {height} in {self._paths.root} is damaged: quorate verify --data names the byte")
        return StoredBlock(read_header(rows.header), read_rest(rows.rest))

    def kept_state(self) -> State | None:
        """A copy of the node's own state, None where there is none that can be used."""
        if not self._paths.state.is_dir():
            return None
        try:
            self._copy(self._paths.state, self._scratch / "state")
            state = State.open(self._scratch / "state", time.perf_counter_ns)
        except (LedgerError, Unfit):
            return None
        self._opened.callback(state.close)
        return state

    def _how_to_copy(self) -> Callable[[Path, Path], None]:
        try:
            self._opened.enter_context(stopped(self._paths.root))
        except DatabaseInUse:
            return copy_running
        return make_shadow

    def _refuse_other_chain(self) -> None:
        row = self._rows.at(0).header
        chain_id = self._genesis.chain_id if row is None else read_header(row).chain_id
        if chain_id != self._genesis.chain_id:
            raise Unfit(
                f"{self._paths.root} holds chain {chain_id.hex()}, the genesis file is that of "
                f"{self._genesis.chain_id.hex()}: give the right one with --genesis"
            )


def copy_running(database: Path, copy: Path) -> None:
    """Copy a database that a process is writing to. Raises `Unfit` when it never holds still for long enough."""
    for _ in range(COPY_ATTEMPTS):
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        before = _shape(database)
        try:
            for name in before[0]:
                _take(database / name, copy / name)
        except FileNotFoundError:
            continue
        if _shape(database) == before:
            return
    raise Unfit(f"{database} changes faster than it can be copied: try again, or stop the node, or give --url")


def _shape(database: Path) -> tuple[list[str], bytes]:
    """The files that make up the database, and what its manifest says."""
    try:
        names = sorted(path.name for path in database.iterdir() if path.name not in _PASSED_OVER)
        current = (database / "CURRENT").read_bytes()
        return names, current + (database / current.decode().strip()).read_bytes()
    except (FileNotFoundError, UnicodeDecodeError):
        return [], b""  # between two manifests: differs from what is there a moment later


def _take(source: Path, target: Path) -> None:
    """A table never changes once written, so another name for it will do."""
    if source.suffix in _TABLES:
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without such links
            pass
    shutil.copyfile(source, target)
