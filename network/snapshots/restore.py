"""`quorate restore`: a data directory out of one snapshot file, checked in full, offline.

It makes no vote journal and believes none that is blank: the key that is put into a restored directory may have signed
before, and only a journal that shows its votes may speak for it. Without one its validator is in doubt and stays silent
until the others have told it how far its votes may reach (docs/protocol.md, P6.5).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from consensus import first_journal
from ledger.errors import DataLost, GenesisError, InvalidProof, StorageError
from ledger.journal import read_journal
from ledger.snapshot import Manifest, check_manifest, read_blocks
from ledger.snapshot_file import SnapshotFile
from ledger.snapshot_tree import read_chunk
from ledger.types import BlockRecord, Genesis
from network.driver import REPLICA_RECORD
from network.paths import NodePaths
from network.snapshots.landing import Landing, first_block
from network.snapshots.switching import RESTORING, finish_switch

Show = Callable[[str], None]

NO_JOURNAL, BLANK_JOURNAL, HELD_JOURNAL = "none", "blank", "held"


@dataclass(frozen=True)
class Restored:
    """What was put there. `journal` is what was found: none, a blank one (set aside), or one that holds votes."""

    height: int
    first_block: int
    entries: int
    journal: str


def verify_snapshot(path: Path, genesis: Genesis, show: Show = lambda _: None) -> Manifest:
    """Check every byte and every proof of a file. Raises `DataLost`, `InvalidProof` or `StorageError`."""
    with SnapshotFile(path) as file:
        manifest = _checked_manifest(file, genesis)
        chunks = manifest.contents.chunks
        for index, chunk in enumerate(chunks):
            read_chunk(chunk, file.piece(index), {})
            show(f"checked chunk {index + 1} of {len(chunks)} of the state")
        last: BlockRecord | None = None
        for record in _records(file, manifest, genesis, 0):
            last = record
            if record.height % 64 == 0:
                show(f"checked blocks up to {record.height} of {manifest.height}")
        if last is not None and last.block.header != manifest.contents.header:
            raise InvalidProof("its last block is not the one that its state belongs to")
        return manifest


def restore(path: Path, data: Path, genesis: Genesis, show: Show = lambda _: None) -> Restored:
    """Make the blocks and the state of `data` out of a file. Run again after a crash, it begins anew or finishes.

    Raises `InvalidProof` or `DataLost` for a file that does not hold, `StorageError` for a directory that is not fit.
    """
    _finish_or_clear(data)
    _refuse_node(data, genesis)
    landing = Landing(data, RESTORING, genesis, show)
    with SnapshotFile(path) as file:
        manifest = _checked_manifest(file, genesis)
        _expect_blocks(manifest, genesis, path)
        landing.directory.mkdir(exist_ok=True)
        landing.build(manifest.contents, file.piece, lambda first: _records(file, manifest, genesis, first))
    journal = _judge_journal(NodePaths(data).journal)
    landing.switch()
    entries = sum(chunk.entries for chunk in manifest.contents.chunks)
    return Restored(manifest.height, manifest.first_block or manifest.height, entries, journal)


def _checked_manifest(file: SnapshotFile, genesis: Genesis) -> Manifest:
    header = file.manifest.contents.header
    if header.chain_id != genesis.chain_id:
        raise GenesisError(
            f"{file.path} is a snapshot of chain {header.chain_id.hex()}, the genesis file makes "
            f"{genesis.chain_id.hex()}: give the right one with --genesis"
        )
    check_manifest(file.manifest, genesis)
    return file.manifest


def _records(file: SnapshotFile, manifest: Manifest, genesis: Genesis, first: int) -> Iterable[BlockRecord]:
    begin = len(manifest.contents.chunks)
    for index, chunk in enumerate(manifest.blocks):
        if chunk.last >= first:
            records = read_blocks(chunk, file.piece(begin + index), genesis)
            yield from (record for record in records if record.height >= first)


def _expect_blocks(manifest: Manifest, genesis: Genesis, path: Path) -> None:
    needed = first_block(manifest.height, genesis)
    if manifest.first_block is None or manifest.first_block > needed:
        has = "no blocks" if manifest.first_block is None else f"blocks from {manifest.first_block} on"
        raise StorageError(
            f"{path} holds {has}, a node of its height {manifest.height} needs them from {needed} on: "
            "it is one of those that nodes keep for each other. Make a backup with `quorate snapshot`"
        )


def _finish_or_clear(data: Path) -> None:
    """A restore that died before it was ready left nothing of use; one that died after it is finished."""
    if not data.is_dir():
        raise StorageError(f"{data} is no directory: make one with `quorate init`, and put the member's keys into it")
    try:
        finish_switch(data)
    except StorageError:
        shutil.rmtree(data / RESTORING)


def _refuse_node(data: Path, genesis: Genesis) -> None:
    paths = NodePaths(data)
    for each in (paths.blocks, paths.state):
        if each.exists() and any(each.iterdir()):
            raise StorageError(
                f"{each} is there already: a restore replaces nothing. If {data} is damaged past repair, move "
                "blocks, blocks.mark and state away (and leave votes.journal where it is)"
            )
    own = data / "genesis.json"
    if own.exists():
        from ledger.genesis import load_genesis

        if load_genesis(own).chain_id != genesis.chain_id:
            raise GenesisError(f"{own} is the genesis of another chain than the snapshot's: use another directory")


def _judge_journal(path: Path) -> str:
    """What the journal there is worth. A blank one is set aside: it would say that its key never signed."""
    if not path.exists():
        return NO_JOURNAL
    try:
        records = read_journal(path.read_bytes(), path)
    except DataLost:
        return HELD_JOURNAL  # damaged: the node says so when it starts
    if records != [REPLICA_RECORD + record for record in first_journal()] and records:
        return HELD_JOURNAL
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.blank-{number}")
        if not aside.exists():
            path.rename(aside)
            return BLANK_JOURNAL
    raise StorageError(f"there are already 999 copies of {path}: delete those that end in .blank-N")
