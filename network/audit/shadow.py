"""Looking at a stopped node's files without touching them.

LevelDB cannot be opened without being written to. So it is given a directory of its own: links to the tables, which
never change once written, and copies of the few small files that do. It works on a disk that is mounted read-only, and
as many processes as like can read at once, each through a shadow of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.files import hold
from network.paths import NodePaths

_TABLES = (".ldb", ".sst")
_PASSED_OVER = ("LOCK", "LOG", "LOG.old")


class Unfit(Exception):
    """The directory, or what was given with it, cannot be audited at all. The text says what to do."""


@contextmanager
def stopped(directory: Path) -> Iterator[None]:
    """Keep any node from starting on the directory meanwhile. Raises `DatabaseInUse` when one is running."""
    path = NodePaths(directory).lock
    if not path.exists():  # no node has ever run here
        yield
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        hold(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def make_shadow(database: Path, shadow: Path) -> None:
    """A directory `shadow` that LevelDB may open and change, with all that the database at `database` holds."""
    shadow.mkdir(parents=True)
    for path in sorted(database.resolve().iterdir()):
        if path.suffix in _TABLES:
            (shadow / path.name).symlink_to(path)
        elif path.name not in _PASSED_OVER and path.is_file():
            shutil.copyfile(path, shadow / path.name)
