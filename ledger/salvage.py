"""A block store that a read found damaged, made anew from what is whole in it; the rest is for the peers to give.

A damaged table cannot be mended where it stands: what is put again lies above it, but whoever scans past it meets the
damage, and the database refuses all writes once it has to merge that table. So the blocks from genesis up to the first
that does not hold are copied into a new store. The old one is kept under another name: it is evidence.

Whenever the process dies meanwhile, the next start finds either the old store and its note, and begins again, or the
new one complete, and only renames it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ledger.blocks import check_record
from ledger.errors import DataLost, InvalidProof
from ledger.files import sync_directory
from ledger.store import BlockStore, damage_path, marker_path

_REBUILT = ".rebuilt"


@dataclass(frozen=True)
class Salvaged:
    """What was done `because` of some damage: `height` is the highest whole block, `aside` has the old files."""

    because: str
    height: int
    aside: Path


def salvage(path: Path) -> Salvaged | None:
    """Make the store at `path` anew if it noted damage, None where it did not. Raises `StorageError`, OSError.

    The marker stays, so the store that is opened next knows which heights are missing.
    """
    note = damage_path(path)
    if not note.exists():
        return None
    because = note.read_text(errors="replace")
    rebuilt = path.with_name(path.name + _REBUILT)
    aside, height = path, -1
    if path.exists():
        height = _copy(path, rebuilt)
        aside = BlockStore.set_aside(path)
    if rebuilt.exists():
        rebuilt.rename(path)
    sync_directory(path.parent)
    note.unlink()
    return Salvaged(because, height, aside)


def _copy(path: Path, rebuilt: Path) -> int:
    """Copy the blocks up to the first that does not hold, durably; the highest of them, -1 for none."""
    shutil.rmtree(rebuilt, ignore_errors=True)
    marker_path(rebuilt).unlink(missing_ok=True)
    try:
        old = BlockStore(path)
    except DataLost:
        return -1
    new = BlockStore(rebuilt)
    try:
        heights = (0, *range(old.first_height, old.height + 1)) if old.height >= 0 else ()
        for height in heights:
            try:
                record = old.record(height)
                assert record is not None, "up to the highest"
                check_record(record)
            except (DataLost, InvalidProof):
                break
            if new.height == 0 and height > 1:
                new.skip_to(height)
            new.put(record)
        new.sync()
        return new.height
    finally:
        old.close()
        new.close()
        marker_path(rebuilt).unlink(missing_ok=True)
