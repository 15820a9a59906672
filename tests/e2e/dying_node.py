"""A node that is killed at one place of its join: `python dying_node.py PLACE COUNT DIRECTORY --follow-parent`.

It is the real process with the real files; only, where it comes to that place for the COUNTth time, it sends SIGKILL to
itself in the place of what it was about to do.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from ledger.state import StateLoader
from network.node_process import main
from network.snapshots import fetched, switching

PLACES = {
    "fetched": (fetched, "replace", lambda *_: True),  # a piece that was checked is written down
    "built": (StateLoader, "finish", lambda *_: True),  # the state is whole
    "ready": (switching, "replace", lambda *_: True),  # the word that from now on the new parts are the node's
    "moved": (Path, "rename", lambda path, *_: path.parent.name == "new"),  # one of them into its place
    "done": (Path, "rename", lambda path, *_: path.name == switching.JOINING),  # in one step it is over
    "cleared": (shutil, "rmtree", lambda path, *_: Path(path).name == switching.JOINING + switching.DONE),
}


def die_at(place: str, count: int) -> None:
    owner, name, is_meant = PLACES[place]
    real, left = getattr(owner, name), [count]

    def dying(*words, **options):
        left[0] -= is_meant(*words)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*words, **options)

    setattr(owner, name, dying)


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[2]))
    del sys.argv[1:3]
    raise SystemExit(main())
