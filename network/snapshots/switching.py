"""The one step from a node's old parts to new ones that lie ready beside them, whenever a process dies in it.

    restoring/ or joining/      new/state, new/blocks, new/blocks.mark, ready (and what a join has fetched so far)

A file `ready` is written, and from that moment on the new parts *are* the node's, whatever happens: each is moved into
its place, and a process that dies between two moves leaves the rest to the next start. Then the directory is renamed,
which ends it in one step; what still lies in it is deleted, now or by the next start. What the parts are made of, and
from what, is `network.snapshots.landing`'s; every node asks here when it starts, so it imports next to nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ledger.errors import StorageError
from ledger.files import replace, sync_directory

READY = "ready"
RESTORING, JOINING = "restoring", "joining"
DONE = ".done"  # behind one of these: what a switch left that has come to its end
PARTS = ("state", "blocks", "blocks.mark")


def is_join_begun(data: Path) -> bool:
    """Whether a process died in the middle of a join."""
    return (data / JOINING).is_dir()


def switch(data: Path, directory: Path) -> None:
    """Make the new parts in `directory` the node's."""
    sync_directory(directory / "new")  # what the parts hold is durable already
    replace(directory / READY, b"")
    _move(data, directory)


def finish_switch(data: Path) -> bool:
    """Carry on where a process died that had begun to move new parts into their places; False where none had.

    Raises `StorageError` for a restore that was begun and is not finished.
    """
    found = False
    for name in (RESTORING, JOINING):
        shutil.rmtree(data / (name + DONE), ignore_errors=True)
        if (data / name / READY).exists():
            _move(data, data / name)
            found = True
    if (data / RESTORING).exists():
        raise StorageError(
            f"a restore into {data} was begun and not finished: run `quorate restore` again, "
            f"or delete {data / RESTORING} to start without it"
        )
    return found


def _move(data: Path, directory: Path) -> None:
    new, old = directory / "new", directory / "old"
    old.mkdir(exist_ok=True)
    for name in PARTS:
        source, target = new / name, data / name
        if not source.exists():
            continue
        if target.exists():
            target.rename(old / name)
            sync_directory(old)
        source.rename(target)
        sync_directory(data)
    done = directory.with_name(directory.name + DONE)
    directory.rename(done)
    sync_directory(data)
    shutil.rmtree(done)
