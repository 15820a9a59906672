"""What is left of a process that the machine ended where no Python could catch it, and the next start's answer to it.

LevelDB maps its tables into memory. A sector that the disk gives no more is then no error but a signal (SIGBUS) when
that place is read; a node that only starts again would end there again. So a process leaves a note of the signal that
ended it. The start that finds the note reads every table as a plain file, which is slow and gives an error: a database
with a table that cannot be read is not opened any more. What others, or the blocks, can give again is made again.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
from collections import deque
from pathlib import Path
from typing import BinaryIO

from ledger.database import read_tables
from ledger.errors import StorageError
from ledger.store import BlockStore
from network.paths import NodePaths

log = logging.getLogger("quorate.node")

_BUS_ERROR = "Bus error"
_NOTE_BYTES_MAX = 64 << 10

_notes: list[BinaryIO] = []  # kept open: a process that is being ended can open nothing


def answer(paths: NodePaths) -> None:
    """Read the note of the process before this one. Raises OSError."""
    try:
        with paths.last_words.open("rb") as file:
            text = file.read(_NOTE_BYTES_MAX).decode(errors="replace")
    except FileNotFoundError:
        return
    if not text:
        return
    log.error("the process before this one was ended by the machine: %s (more in %s)", _first(text), _before(paths))
    if _BUS_ERROR in _first(text):
        log.error("a bus error is a disk that did not give what was read: every table is read as a plain file first")
        _set_aside_if_unreadable(paths.blocks, "fetched from peers")
        _set_aside_if_unreadable(paths.state, "made again from the blocks")


def answer_child(code: int, database: Path) -> None:
    """The same for a child of this process that ended with this code, and reads this database. Raises OSError."""
    if code == -signal.SIGBUS:
        _set_aside_if_unreadable(database, "made again from the blocks")


def leave(paths: NodePaths) -> None:
    """From now on a signal that ends this process leaves a note. Raises OSError."""
    if paths.last_words.exists() and paths.last_words.stat().st_size:
        paths.last_words.replace(_before(paths))
    note = paths.last_words.open("wb")
    faulthandler.enable(note)
    _notes[:] = [note]


def _before(paths: NodePaths) -> Path:
    return paths.last_words.with_name(paths.last_words.name + ".1")


def _first(text: str) -> str:
    return text.partition("\n")[0].strip()


def _set_aside_if_unreadable(database: Path, whence: str) -> None:
    try:
        deque(read_tables(database), maxlen=0)
    except StorageError as error:
        aside = BlockStore.set_aside(database)
        log.error("%s; %s is kept as %s, and is %s. Replace the disk", error, database.name, aside, whence)
