"""The folder of an export: its parts, and `export.json`, which says what is in them.

A part is one file in each table's folder, named after its heights. Parts are only ever added: a part counts once
`export.json` names it, which happens last, in one step; what an interrupted export left beside is no part and is
cleared away by the next. So whoever reads the folders of an export that was interrupted reads at most what a complete
export would have added next, and `export.json` always tells exactly.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ledger.errors import DatabaseInUse
from ledger.files import TEMPORARY_SUFFIX, hold, replace, sync_directory
from network.export.parquet import path_in
from network.export.tables import FORMAT, TABLES

MANIFEST = "export.json"
PARTIAL = ".partial"
LOCK = ".lock"
_PART_NAME = re.compile(r"^\d{12}-\d{12}\.parquet$", re.ASCII)


class ExportRefused(Exception):
    """Nothing was exported; what is there stays as it is. The text says what to do."""


class Part(msgspec.Struct, frozen=True):
    """The heights of one part, and its rows."""

    first: int
    last: int
    transactions: int
    events: int

    @property
    def file_name(self) -> str:
        """In each table's folder."""
        return f"{self.first:012d}-{self.last:012d}.parquet"


class Manifest(msgspec.Struct, frozen=True):
    """`export.json`. `last_hash` is the hash of the highest block; while there is no part it is empty."""

    format: str
    network: str
    chain_id: str
    last_hash: str
    parts: tuple[Part, ...]

    @property
    def last(self) -> int | None:
        """The highest height that is exported."""
        return self.parts[-1].last if self.parts else None


class Folder:
    """The folder of one export, held by one process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder where it is missing; keep other exports out. Raises `ExportRefused`, OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        strange = [each.name for each in self.path.iterdir() if each.name not in (LOCK, MANIFEST + TEMPORARY_SUFFIX)]
        if strange and MANIFEST not in strange:
            raise ExportRefused(
                f"{self.path} is not empty (it has {min(strange)}) and holds no export: give a new folder"
            )
        lock = self.path / LOCK
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _hold(descriptor, lock)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Manifest | None:
        """The manifest, None where there is none yet. Raises `ExportRefused`, OSError."""
        path = self.path / MANIFEST
        if not path.exists():
            return None
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except msgspec.MsgspecError as error:
            raise ExportRefused(f"{path} is no export's: {error}. Give a new folder") from None
        if found.format != FORMAT:
            raise ExportRefused(f"{path} has format {found.format}, this program writes {FORMAT}: give a new folder")
        for part in found.parts:
            for table in TABLES:
                if not (self.path / table / part.file_name).is_file():
                    raise ExportRefused(
                        f"{self.path / table / part.file_name} is missing, and {MANIFEST} names it: "
                        "restore it, or export into a new folder"
                    )
        return found

    def write(self, manifest: Manifest) -> None:
        """Replace the manifest, durably. Raises OSError."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        replace(self.path / MANIFEST, text)

    def clear(self, manifest: Manifest) -> None:
        """Take away what an interrupted export left. Raises OSError."""
        named = {part.file_name for part in manifest.parts}
        for table in TABLES:
            (self.path / table).mkdir(exist_ok=True)
            for path in (self.path / table).iterdir():
                if _PART_NAME.match(path.name) and path.name not in named:
                    path.unlink()
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)

    def begin_part(self) -> Path:
        """The folder to write a part's files into. Raises OSError."""
        partial = self.path / PARTIAL
        partial.mkdir()
        return partial

    def end_part(self, part: Part, manifest: Manifest) -> None:
        """Move a finished part's files to their places, then let the manifest name it. Raises OSError."""
        for table in TABLES:
            path_in(self.path / PARTIAL, table).rename(self.path / table / part.file_name)
            sync_directory(self.path / table)
        self.write(manifest)
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)


def _hold(descriptor: int, lock: Path) -> None:
    try:
        hold(descriptor, lock)
    except DatabaseInUse:
        because = f"another export is writing to {lock.parent}"
        raise ExportRefused(f"{because}: wait for it, or give another folder") from None
