"""Disks that fail, by the thousand: every fault to a node's files is noticed and named, or does no harm.

    python -m scripts.storage_faults [--flips 10000] [--seed 1] [--no-kills] [--show 20]

Makes the files of a validator (block store with its marker, state, vote journal) whose whole content is known. Then, to
a fresh copy each time: bits flipped at random, truncation at every byte of the last records, every page zeroed, every
file deleted; and a process killed at every single system call by which it changes a file (with `strace`), also while it
puts a snapshot in the place of an older state. Whatever can
be read afterwards is read, and held against the truth; then the damage is repaired as a node with peers does, and all
is read again. What counts is in `scripts.storage.world`. Exit code 1 when anything was silently lost or wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from network.cli.progress import Progress
from scripts.storage.faults import Fault, deleted_files, flipped_bits, truncations, zeroed_pages
from scripts.storage.kills import Kill, find_strace, kills
from scripts.storage.world import BAD, HARMLESS, NAMED, SHORTER, Verdict, World

CRASHED = "CRASHED"
COLUMNS = (HARMLESS, NAMED, SHORTER, *BAD, CRASHED)
MEMORY = Path("/dev/shm")  # noqa: S108 -- thousands of copies: not on a disk, where there is memory
FAULTS_A_PROCESS = 250


def judge(world: World, fault: Fault | Kill, folder: Path) -> Verdict:
    """Do it to a fresh copy, and judge that."""
    shutil.rmtree(folder, ignore_errors=True)
    world.copy(fault.kind, folder)
    fault.do(folder)
    return world.judge(fault.kind, folder)


def _judge_some(world: World, faults: list[Fault | Kill], folder: Path, told: Connection) -> None:
    for fault in faults:
        told.send(judge(world, fault, folder))
    shutil.rmtree(folder, ignore_errors=True)


def judged(world: World, faults: Iterable[Fault | Kill], folder: Path) -> Iterator[tuple[Fault | Kill, Verdict]]:
    """Every fault with its verdict. In processes of their own: a database that crashes on damage is a verdict, too."""
    waiting = list(faults)
    anew = multiprocessing.get_context("spawn")  # a fork would lack the thread that LevelDB believes it has
    while waiting:
        some, waiting = waiting[:FAULTS_A_PROCESS], waiting[FAULTS_A_PROCESS:]
        results, told = anew.Pipe(duplex=False)
        process = anew.Process(target=_judge_some, args=(world, some, folder, told))
        process.start()
        told.close()  # now a process that dies ends the pipe, were it in the middle of a verdict
        while some:
            try:
                verdict = results.recv()
            except EOFError:
                process.join()
                yield some.pop(0), Verdict(CRASHED, f"the process ended with {process.exitcode}")
                waiting, some = some + waiting, []
                continue
            assert isinstance(verdict, Verdict)
            yield some.pop(0), verdict
        results.close()
        process.join()


def table(counts: dict[tuple[str, str], Counter[str]]) -> str:
    """How many faults of each class ended how."""
    lines = [f"{'fault':<14} {'file':<14}" + "".join(f"{column:>10}" for column in COLUMNS)]
    for (name, kind), found in sorted(counts.items()):
        lines.append(f"{name:<14} {kind:<14}" + "".join(f"{found[column]:>10}" for column in COLUMNS))
    total = sum(counts.values(), Counter[str]())
    lines.append(f"{'all':<29}" + "".join(f"{total[column]:>10}" for column in COLUMNS))
    return "\n".join(lines)


def campaign(world: World, faults: list[Fault | Kill], folder: Path, show: int = 20) -> Counter[str]:
    """Do all of them, print the table and what was bad; how many ended how."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    progress, bad = Progress(), []
    try:
        for done, (fault, verdict) in enumerate(judged(world, faults, folder), 1):
            counts.setdefault((fault.name, fault.kind), Counter())[verdict.kind] += 1
            if verdict.kind in (*BAD, CRASHED):
                bad.append(f"{verdict.kind}: {fault}: {verdict.text}")
            progress.show(f"{done} of {len(faults)} faults, {len(bad)} bad; {fault}")
    except KeyboardInterrupt:  # what was judged is worth its table
        print(f"interrupted: not all of the {len(faults)} faults were judged")
    progress.clear()
    print(table(counts))
    print("\n".join(bad[:show]))
    return sum(counts.values(), Counter[str]())


def main() -> int:
    """Parse, make the files, do everything to them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-kills", action="store_true", help="leave out the kills, which need strace")
    parser.add_argument("--show", type=int, default=20, help="how many bad ones to show")
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 -- the same faults again
    with tempfile.TemporaryDirectory(prefix="quorate-faults-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name)
        world = World(folder / "world")
        faults: list[Fault | Kill] = [*deleted_files(world), *zeroed_pages(world), *truncations(world)]
        faults += flipped_bits(world, options.flips, rng)
        if not options.no_kills:
            if find_strace() is None:
                print("no strace here: kills at every system call are left out (--no-kills)", file=sys.stderr)
            else:
                faults += kills(world, folder / "count")
        total = campaign(world, faults, folder / "copy", options.show)
    failed = sum(total[column] for column in (*BAD, CRASHED))
    print(f"{sum(total.values())} faults, {failed} silently lost, wrong or crashed (seed {options.seed})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
