"""What the authenticated state costs from 10^4 to 10^6 keys: blocks, proofs, disk. A table, and with --png a picture.

    python -m scripts.bench_state [--sizes 10000,100000,1000000] [--changes 2000] [--blocks 200] [--png state.png]

Each size is a state of its own: random keys of 32 bytes, values of 64. It is opened again, as a node begins with it;
then come blocks that give that many random keys new values, each committed and sealed as the engine does it: versions
of VERSIONS_KEPT heights and a window are kept, and pruned as they go. The process and the database's own threads are
pinned to one core, so a block's time has the compaction in it that ran meanwhile; the mean shows all of it, the
median that of most blocks. On a machine that does other work the processor's time is the figure to look at. Then
proofs of keys that are there and of keys that are not, each checked, and what lies on the disk: with all versions
kept, and after pruning.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from contracts.engine import PRUNE_EVERY, VERSIONS_KEPT
from ledger.state import State
from ledger.state_proof import check_state_proof
from ledger.types import Parameters
from network.cli.progress import Progress

SIZES = "10000,31623,100000,316228,1000000"
KEY_BYTES, VALUE_BYTES = 32, 64
KEYS_A_LOADING_BLOCK = 20_000
PROOFS = 1_000  # of keys that are there, and as many of keys that are not
KEPT = VERSIONS_KEPT + Parameters().window

BLOCK_MS_MAX, PROOF_MS_MAX, PROOF_BYTES_MAX, DISK_MAX = 250, 1.0, 1.2 * 1024, 3.0


@dataclass(frozen=True)
class Measured:
    """One size. Times in milliseconds; disk in multiples of the raw keys and values."""

    keys: int
    block_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    prove_ms: tuple[float, ...]
    prove_cpu_ms: tuple[float, ...]
    check_ms: float
    proof_bytes: tuple[int, ...]
    disk_kept: float
    disk_pruned: float

    @property
    def median_ms(self) -> float:
        """Of a block."""
        return statistics.median(self.block_ms)

    def misses(self) -> list[str]:
        """The bars that this size does not hold."""
        bars = (
            ("block, median", self.median_ms, BLOCK_MS_MAX, "ms"),
            ("proof, median", statistics.median(self.prove_ms), PROOF_MS_MAX, "ms"),
            ("proof, largest", max(self.proof_bytes), PROOF_BYTES_MAX, "bytes"),
            ("disk after pruning", self.disk_pruned, DISK_MAX, "times the raw data"),
        )
        return [f"{what}: {found:.2f} {unit}, the bar is {bar}" for what, found, bar, unit in bars if found >= bar]


def key_of(number: int) -> bytes:
    """A key; those from the number of keys on are not there."""
    return sha256(b"key %d" % number).digest()


def measure(folder: Path, keys: int, changes: int, blocks: int, show: Progress) -> Measured:
    """One size, from an empty directory."""
    rng = random.Random(keys)  # noqa: S311 - the same state in every run
    state = State.open(folder)
    _load(state, keys, rng, show)
    state.close()
    state = State.open(folder)  # a large one is then given more memory to write into
    block_ms, cpu_ms = zip(*_run_blocks(state, keys, changes, blocks, rng, show), strict=True)
    prove_ms, prove_cpu_ms, check_ms, proof_bytes = _prove(state, keys, rng)
    raw = keys * (KEY_BYTES + VALUE_BYTES)
    kept = _disk_bytes(folder) / raw
    state.prune(state.height)
    state.close()
    pruned = _disk_bytes(folder) / raw
    return Measured(keys, block_ms, cpu_ms, prove_ms, prove_cpu_ms, check_ms, proof_bytes, kept, pruned)


def _load(state: State, keys: int, rng: random.Random, show: Progress) -> None:
    for first in range(0, keys, KEYS_A_LOADING_BLOCK):
        some = range(first, min(keys, first + KEYS_A_LOADING_BLOCK))
        state.commit(state.height + 1, {key_of(number): rng.randbytes(VALUE_BYTES) for number in some})
        state.prune(state.height)
        show.show(f"{keys} keys: loading, {first} are in")


def _run_blocks(
    state: State, keys: int, changes: int, blocks: int, rng: random.Random, show: Progress
) -> Iterator[tuple[float, float]]:
    """What each block took by the clock, and of the processor's time, the database's threads among it."""
    for number in range(blocks):
        writes = {key_of(each): rng.randbytes(VALUE_BYTES) for each in rng.sample(range(keys), changes)}
        began, cpu = time.perf_counter(), time.process_time()
        state.commit(state.height + 1, writes)
        if state.height % PRUNE_EVERY == 0:
            state.prune(state.height - KEPT)
        took = 1e3 * (time.perf_counter() - began)
        show.show(f"{keys} keys: block {number} of {blocks}, {took:.0f} ms")
        yield took, 1e3 * (time.process_time() - cpu)


_Times = tuple[float, ...]


def _prove(state: State, keys: int, rng: random.Random) -> tuple[_Times, _Times, float, tuple[int, ...]]:
    """The time of making each proof, by the clock and this thread's of the processor, the mean time of checking one,
    the sizes; each proof holds, or this ends."""
    prove_ms, cpu_ms, check_s, sizes, root = [], [], 0.0, [], state.root
    for number in [*rng.sample(range(keys), PROOFS), *range(keys, keys + PROOFS)]:
        key = key_of(number)
        value = state.get(key)
        assert (value is None) == (number >= keys), "a key is lost, or one is there that was never written"
        began, cpu = time.perf_counter(), time.thread_time()
        proof = state.prove(key)
        made = time.perf_counter()
        cpu_ms.append(1e3 * (time.thread_time() - cpu))
        check_state_proof(root, key, value, proof)
        check_s += time.perf_counter() - made
        prove_ms.append(1e3 * (made - began))
        sizes.append(len(proof))
    return tuple(prove_ms), tuple(cpu_ms), 1e3 * check_s / len(sizes), tuple(sizes)


def _disk_bytes(folder: Path) -> int:
    """What the files take, by their blocks on the disk."""
    return sum(512 * each.stat().st_blocks for each in folder.iterdir())


# ── showing ───────────────────────────────────────────────────────────────────────────────────────


HEADINGS = (
    "keys      block: median  mean   p95    max  CPU: median  mean   proof: median  CPU p99   bytes     check  "
    "disk: kept  pruned"
)


def row(found: Measured) -> str:
    """One line of the table."""
    times, proofs, cpu = sorted(found.block_ms), sorted(found.prove_cpu_ms), found.cpu_ms
    p95, p99 = times[int(0.95 * len(times))], proofs[int(0.99 * len(proofs))]
    return (
        f"{found.keys:<8}  {found.median_ms:10.0f} ms  {statistics.mean(times):4.0f}  {p95:4.0f}  {times[-1]:5.0f}"
        f"  {statistics.median(cpu):8.0f} ms  {statistics.mean(cpu):4.0f}"
        f"  {statistics.median(found.prove_ms):11.3f} ms  {p99:7.3f}  {max(found.proof_bytes):6}  {found.check_ms:8.3f}"
        f"  {found.disk_kept:9.2f}x  {found.disk_pruned:5.2f}x"
    )


def draw(results: Sequence[Measured], changes: int, path: Path) -> None:
    """The picture: what grows with the logarithm of the state is a straight line in it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    keys = [found.keys for found in results]
    figure, (blocks, proofs, disk) = pyplot.subplots(1, 3, figsize=(15, 4.5))
    blocks.plot(keys, [found.median_ms for found in results], "o-", label="median")
    blocks.plot(keys, [statistics.mean(found.block_ms) for found in results], "s--", label="mean")
    blocks.set(title=f"A block that changes {changes} random keys", ylabel="ms, one core, compaction included")
    proofs.plot(keys, [statistics.mean(found.proof_bytes) for found in results], "o-", label="mean")
    proofs.plot(keys, [max(found.proof_bytes) for found in results], "s--", label="largest")
    proofs.set(title="A proof of inclusion or absence", ylabel="bytes")
    disk.plot(keys, [found.disk_pruned for found in results], "o-", label="after pruning")
    disk.plot(keys, [found.disk_kept for found in results], "s--", label=f"{KEPT} to {KEPT + PRUNE_EVERY} versions")
    disk.set(title="Disk", ylabel="times the raw keys and values", yscale="log")
    for axes in (blocks, proofs, disk):
        axes.set(xscale="log", xlabel="keys in the state")
        axes.set_ylim(bottom=0 if axes is not disk else 1)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main() -> int:
    """Measure each size, print the table, draw; 1 where the largest state misses a bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--changes", type=int, default=2_000, help="keys that a block changes")
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to be pinned to")
    parser.add_argument("--png", type=Path, help="where to draw the picture (needs matplotlib)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    results: list[Measured] = []
    show = Progress()
    print(HEADINGS)
    for keys in (int(each) for each in options.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="quorate-state-") as folder:
            results.append(measure(Path(folder), keys, min(options.changes, keys), options.blocks, show))
        show.clear()
        print(row(results[-1]), flush=True)
    if options.png:
        draw(results, options.changes, options.png)
    missed = results[-1].misses()
    for each in missed:
        print(f"{results[-1].keys} keys: {each}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
