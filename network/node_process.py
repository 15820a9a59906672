"""A node as a process: what `quorate start` runs, and, without the command line's weight, every node of a test network.

`python -m network.node_process DIRECTORY` starts in half the time of the whole command: on a machine where four nodes
come back at once from a power cut, that is time in which nothing can be committed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from network.config import ConfigError, read_config
from network.node import EXIT_UNUSABLE, run

FOLLOW_PARENT = "--follow-parent"


def start(directory: Path, *, follow_parent: bool = False) -> int:
    """Run the node of this directory (or node.toml) until it is told to stop. Returns the exit code."""
    try:
        config = read_config(directory)
    except ConfigError as error:
        print(f"quorate: {error}", file=sys.stderr)  # noqa: T201 - the last word of a command
        return EXIT_UNUSABLE
    if follow_parent:
        threading.Thread(target=_end_with_parent, name="follow-parent", daemon=True).start()
    return run(config)


def _end_with_parent() -> None:
    """Whoever started us holds the other end of our standard input; when it goes, so do we."""
    while os.read(0, 1):  # not sys.stdin, whose lock a thread must not hold when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Entry point of `python -m network.node_process DIRECTORY [--follow-parent]`."""
    words = [word for word in sys.argv[1:] if word != FOLLOW_PARENT]
    if len(words) != 1 or words[0].startswith("-"):
        usage = f"usage: python -m network.node_process DIRECTORY [{FOLLOW_PARENT}]"
        print(usage, file=sys.stderr)  # noqa: T201 - the only word of a command
        return EXIT_UNUSABLE
    return start(Path(words[0]), follow_parent=FOLLOW_PARENT in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
