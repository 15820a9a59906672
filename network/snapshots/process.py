"""The process that makes one snapshot of the running node beside it, and ends. No key, no port, low priority.

`python -m network.snapshots.process` is started by the validator when a height of the interval is sealed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import threading
import time
from pathlib import Path

from ledger.errors import LedgerError, StateDiffers
from ledger.genesis import load_genesis
from network.api import NodeUnavailable
from network.config import NodeConfig, read_config
from network.lifeline import set_up_logging
from network.paths import NodePaths
from network.snapshots.keeper import EXIT_STATE_DIFFERS, clear_rubbish, delete_old, is_wanted, snapshot_path
from network.snapshots.sources import from_running

log = logging.getLogger("quorate.snapshots")

NICENESS = 10


def make(config: NodeConfig, height: int) -> None:
    """Make the snapshot of a height that the executor keeps still. Raises `LedgerError`, `NodeUnavailable`."""
    began = time.monotonic()
    directory = NodePaths(config.data_directory).snapshots
    directory.mkdir(exist_ok=True)
    clear_rubbish(directory)
    if not is_wanted(directory, height, config.snapshots.keep):
        return
    delete_old(directory, config.snapshots.keep)
    genesis = load_genesis(config.genesis_path)
    manifest = asyncio.run(
        from_running(
            config.data_directory, genesis, lambda at: snapshot_path(directory, at), height=height, with_blocks=False
        )
    )
    size = snapshot_path(directory, manifest.height).stat().st_size
    delete_old(directory, config.snapshots.keep)
    entries = sum(chunk.entries for chunk in manifest.contents.chunks)
    took = time.monotonic() - began
    log.info("snapshot of height %d: %d entries, %d bytes, in %.1f s", manifest.height, entries, size, took)


def _end_with_parent() -> None:
    while os.read(0, 64):
        pass
    os._exit(1)  # nothing is half done that the next one does not remove


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="quorate-snapshot", description="Started by `quorate start`.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--height", type=int, required=True)
    arguments = parser.parse_args()
    threading.Thread(target=_end_with_parent, name="follow-parent", daemon=True).start()
    os.nice(NICENESS)
    config = read_config(arguments.config)
    set_up_logging("snapshot", config.node.log_level)
    try:
        make(config, arguments.height)
    except (LedgerError, NodeUnavailable, OSError) as error:
        log.error("no snapshot of height %d: %s", arguments.height, error)
        return EXIT_STATE_DIFFERS if isinstance(error, StateDiffers) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
