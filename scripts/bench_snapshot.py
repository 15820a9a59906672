"""What a snapshot costs: making it, checking it, restoring a node from it. Seconds, memory, size.

    python -m scripts.bench_snapshot [--keys 1000000]

The state has that many random keys of 32 bytes with values of 64, under a sealed header. Each step is a process of its
own, so that its peak memory is its own: making reads the state page by page and leaves it alone twice as long as each
page took, as beside a running node (`--rests 0` makes it at once); checking is `quorate restore --verify`, restoring is
`quorate restore`. The processor's time is the figure to compare on a busy machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from contracts.engine import genesis_root
from ledger.blocks import genesis_header, next_header, null_batch, receipts_root, transactions_root
from ledger.snapshot_maker import make_snapshot
from ledger.snapshot_tree import Entry
from ledger.state import State
from ledger.types import Block, BlockRecord, Genesis
from network.snapshots.frozen import PAGE_BYTES
from network.snapshots.restore import restore, verify_snapshot
from scripts.paper_keys import key_of, seal_by
from scripts.paper_node import SIGNERS, make_genesis

KEY_BYTES, VALUE_BYTES = 32, 64
KEYS_A_BLOCK = 20_000
VALIDATORS = [key_of(f"validator {number}") for number in range(4)]


@dataclass(frozen=True)
class Cost:
    """Of one step. Memory is the peak of its process, with the interpreter and its modules."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def genesis() -> Genesis:
    """The network on paper."""
    return make_genesis([key_of("person 0")], VALIDATORS)


def load(folder: Path, keys: int) -> None:
    """The state, at height 1."""
    rng = random.Random(keys)  # noqa: S311 - the same state in every run
    names = [sha256(b"key %d" % number).digest() for number in range(keys)]
    state = State.open(folder)
    heights = range(0, keys, KEYS_A_BLOCK)
    for height, first in enumerate(heights):
        state.commit(height, {name: rng.randbytes(VALUE_BYTES) for name in names[first : first + KEYS_A_BLOCK]})
        state.prune(height)
    state.close()


def block_with(state_root: bytes) -> BlockRecord:
    """Block 1, empty, sealed, after which the state has this root."""
    made = genesis()
    parent = genesis_header(made, genesis_root(made))
    batch = null_batch(epoch=0, height=1, view=0, proposer=0, time_ms=made.time_ms + 1)
    header = next_header(
        parent,
        batch,
        executed=(),
        transactions_root=transactions_root(()),
        receipts_root=receipts_root(()),
        state_root=state_root,
        gas_used=0,
        validators_hash=made.validators.hash,
        next_validators_hash=made.validators.hash,
    )
    seal = seal_by(header, {member: VALIDATORS[member] for member in SIGNERS})
    return BlockRecord(Block(header, batch, ()), (), (), seal)


def make(folder: Path, file: Path, rests: float) -> int:
    """Write the snapshot, page by page; its number of chunks."""
    state = State.open(folder)
    frozen = state.freeze()
    record = block_with(frozen.root)
    assert record.seal is not None, "it was sealed just now"

    def entries() -> Iterator[Entry]:
        start = b""
        while True:
            began = time.monotonic()
            page = frozen.scan(start, PAGE_BYTES)
            if not page:
                return
            took_s = time.monotonic() - began
            yield from page
            start = page[-1][0] + b"\x00"
            time.sleep(rests * took_s)

    manifest = make_snapshot(file, genesis(), record.block.header, record.seal, entries(), [record])
    frozen.close()
    state.close()
    return len(manifest.contents.chunks)


def check(file: Path) -> int:
    """As `quorate restore --verify` does."""
    return verify_snapshot(file, genesis()).height


def put_back(file: Path, data: Path) -> int:
    """As `quorate restore` does."""
    data.mkdir()
    return restore(file, data, genesis()).entries


def costed(step: Callable[..., Any], *words: Any) -> tuple[Cost, Any]:
    """Run a step; what it took, and what it gave."""
    began, cpu = time.monotonic(), time.process_time()
    result = step(*words)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(time.monotonic() - began, time.process_time() - cpu, peak_mib), result


def alone(step: Callable[..., Any], *words: Any) -> tuple[Cost, Any]:
    """In a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(costed, step, *words).result()


def main() -> None:
    """Make, check, restore, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rests", type=float, default=2.0, help="pauses after each page, in what it took (2)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone(load, folder / "state", options.keys)
        made, chunks = alone(make, folder / "state", folder / "file", options.rests)
        checked, _ = alone(check, folder / "file")
        restored, entries = alone(put_back, folder / "file", folder / "data")
        assert entries == options.keys, entries
        size, raw = (folder / "file").stat().st_size, options.keys * (KEY_BYTES + VALUE_BYTES)
    print(f"{options.keys} keys, {chunks} chunks, {size / 1e6:.1f} MB: {size / raw:.2f} times the raw keys and values")
    for what, cost in (("made", made), ("checked", checked), ("restored", restored)):
        print(
            f"{what:<9} in {cost.seconds:6.1f} s ({cost.cpu_seconds:.1f} s of processor time), "
            f"at most {cost.peak_mib:.0f} MiB"
        )


if __name__ == "__main__":
    main()
