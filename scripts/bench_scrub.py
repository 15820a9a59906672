"""What reading again costs a node: bytes a second of work, and how long a block waits for one step at most.

    python -m scripts.bench_scrub [--transfers 5000] [--block 150] [--accounts 1000] [--keys 20000]

A chain of token transfers on paper is read again block by block, as the scrubber does in its thread, and a state with
so many keys row by row, as the executor does between two blocks. At the default rate a node does that for a hundredth
of the time at most; that is how long "with its rests" is.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from ledger.scrub import check_height
from ledger.state import State
from ledger.store import BlockStore
from network.config import ScrubSection
from network.executor_process import SCRUB_LOOKS
from network.scrub.scrubber import RESTS
from scripts.paper_node import PaperNode


def main() -> None:
    """Make, read, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--transfers", type=int, default=5_000)
    parser.add_argument("--block", type=int, default=150, help="transfers in a block")
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=20_000, help="of a state beside it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        node = PaperNode(Path(folder) / "node", options.accounts)
        for first in range(0, options.transfers, options.block):
            node.block([node.transfer() for _ in range(min(options.block, options.transfers - first))])
        node.close()
        read_blocks(node, options.transfers)
        state = State.open(Path(folder) / "state")
        for height, first in enumerate(range(0, options.keys, 1000)):
            state.commit(height, {b"key %032d" % number: bytes(64) for number in range(first, first + 1000)})
        read_state(state, options.keys)
        state.close()


def read_blocks(node: PaperNode, transfers: int) -> None:
    """Every height, timed."""
    store = BlockStore(node.paths.blocks)
    took, size = [], 0
    for height in range(store.sealed_height + 1):
        began = time.thread_time()
        checked = check_height(store, node.genesis, height)
        took.append(time.thread_time() - began)
        assert checked.fault is None, checked.fault
        size += checked.bytes_read
    store.close()
    tell("blocks", took, size)
    print(f"        {1e6 * sum(took) / transfers:.1f} us a transfer")


def read_state(state: State, keys: int) -> None:
    """Every row, timed."""
    took, size, after = [], 0, b""
    while True:
        began = time.thread_time()
        step = state.scrub(after, SCRUB_LOOKS)
        took.append(time.thread_time() - began)
        assert not step.fault, step.fault
        size, after = size + step.bytes_read, step.after
        if not after:
            break
    tell("state", took, size)
    print(f"        {1e6 * sum(took) / keys:.1f} us a key")


def tell(what: str, took: list[float], size: int) -> None:
    """The figures of one part."""
    rate = ScrubSection().bytes_per_second
    spent = sum(max(size / len(took) / rate, (1 + RESTS) * each) for each in took)
    print(
        f"{what:<7} {len(took)} steps, {size / 1e6:.1f} MB: {size / 1e6 / sum(took):.1f} MB a second of work; a step "
        f"takes {1e3 * statistics.median(took):.2f} ms, {1e3 * max(took):.2f} ms at most; with its rests all of it "
        f"takes {spent:.0f} s, {100 * sum(took) / spent:.1f}% of a core"
    )


if __name__ == "__main__":
    main()
