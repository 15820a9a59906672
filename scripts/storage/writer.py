"""The process that is killed: opens one kind of file, adds to it, tidies up, and notes each write that has returned.

python -m scripts.storage.writer KIND FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from ledger import codec
from ledger.journal import Journal
from ledger.state import State
from ledger.store import BlockStore
from ledger.types import BlockRecord, Genesis
from scripts.storage.world import ACKNOWLEDGED, BLOCKS, JOURNAL, LANDING, REWRITTEN, STATE, land


def write_blocks(folder: Path, data: bytes) -> None:
    """Blocks, each synced; then the tables are merged."""
    store = BlockStore(folder / BLOCKS)
    for raw in msgspec.msgpack.decode(data, type=list[bytes]):
        store.put(codec.decode(raw, BlockRecord))
        _acknowledge(folder)
        store.sync()
    store._database.compact_range()  # noqa: SLF001 -- it would do so by itself after a million rows
    store.close()


def write_state(folder: Path, data: bytes) -> None:
    """Commits; then old versions are pruned, and the tables are merged."""
    state = State.open(folder / STATE)
    for writes in msgspec.msgpack.decode(data, type=list[list[tuple[bytes, bytes | None]]]):
        state.commit(state.height + 1, dict(writes))
        _acknowledge(folder)
    state.prune(state.height - 8)
    state._versions._database.compact_range()  # noqa: SLF001 -- as above
    state.close()


def write_journal(folder: Path, data: bytes) -> None:
    """Records, each flushed; then the journal is written anew."""
    journal, found = Journal.open(folder / JOURNAL)
    records = msgspec.msgpack.decode(data, type=list[bytes])
    for record in records:
        journal.append([record])
        journal.sync()
        _acknowledge(folder)
    journal.rewrite((found + records)[-REWRITTEN:])
    journal.close()


def put_snapshot(folder: Path, data: bytes) -> None:
    """A snapshot in the place of an older state, as a join does it."""
    genesis, raws = msgspec.msgpack.decode(data, type=tuple[bytes, list[bytes]])
    land(folder, codec.decode(genesis, Genesis), [codec.decode(raw, BlockRecord) for raw in raws])


def _acknowledge(folder: Path) -> None:
    with (folder / ACKNOWLEDGED).open("ab") as file:
        file.write(b".")


if __name__ == "__main__":
    KIND, FOLDER = sys.argv[1], Path(sys.argv[2])
    WRITERS = {BLOCKS: write_blocks, STATE: write_state, JOURNAL: write_journal, LANDING: put_snapshot}
    WRITERS[KIND](FOLDER, (FOLDER / "later").read_bytes())
