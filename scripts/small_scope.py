"""Small scope, exhaustively: four members, one height in every order, every single-field lie of one faulty member.

    python -m scripts.small_scope [orders | proposals | mutations] [--jobs 2] [--every 1] [--case MEMBER:NUMBER]

Without a word all three: `orders` and `proposals` search every delivery order of one height, without faults and with
an equivocating primary (`delivery_orders`); `mutations` plays every bent message to every subset of receivers
(`mutations`), `--every 100` each hundredth of them, `--case` one alone, as a failure's last line names it. Exit code 0
only without a violation; the last line is a summary.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import Pool

import msgspec

from consensus.simulation.checkers import Violation
from scripts.delivery_orders import MEMBERS, PRIMARY, require_agreement, search_one_height, search_two_proposals
from scripts.mutations import Case, cases, play

CHUNK = 50  # cases that a worker takes at a time
LOG_EVERY = 2_000  # cases between two lines of a log
SHOWN_MAX = 20  # failures shown in full


class Failure(msgspec.Struct, frozen=True):
    """A case that did not end well."""

    faulty: int
    number: int
    case: str
    error: str

    def __str__(self) -> str:
        replay = f"python -m scripts.small_scope mutations --case {self.faulty}:{self.number}"
        return f"{self.case}\n    {self.error}\n    {replay}"


@cache
def all_cases(faulty: int) -> list[Case]:
    """Every case of one faulty member, once a process."""
    return list(cases(faulty))


def play_chunk(chunk: tuple[int, tuple[int, ...]]) -> tuple[int, list[Failure]]:
    """Play some cases of one member: how many, and which failed."""
    faulty, numbers = chunk
    failures = []
    for number in numbers:
        case = all_cases(faulty)[number]
        try:
            play(case)
        except Exception as error:  # noqa: BLE001 - whatever escapes from `step` is what is looked for
            failures.append(Failure(faulty, number, str(case), f"{type(error).__name__}: {error}"))
    return len(numbers), failures


def chunks(every: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The work, cut up."""
    for faulty in range(MEMBERS):
        numbers = range(faulty, len(all_cases(faulty)), every)
        for start in range(0, len(numbers), CHUNK):
            yield faulty, tuple(numbers[start : start + CHUNK])


def run_mutations(jobs: int, every: int) -> bool:
    """Every case; whether all held."""
    work = list(chunks(every))
    total = sum(len(numbers) for _, numbers in work)
    began, done, failures = time.monotonic(), 0, list[Failure]()
    with Pool(jobs) as pool:
        for count, failed in pool.imap_unordered(play_chunk, work):
            done += count
            failures += failed
            for failure in failed[: max(0, SHOWN_MAX - len(failures))]:
                print(f"\n{failure}", flush=True)
            _tell_progress(began, done, total, len(failures))
    seconds = time.monotonic() - began
    print(f"\nmutations: {total} cases, {len(failures)} violations, {seconds:.0f} s on {jobs} processes", flush=True)
    return not failures


def _tell_progress(began: float, done: int, total: int, failed: int) -> None:
    tty = sys.stderr.isatty()
    if tty or done % LOG_EVERY < CHUNK:
        left = (time.monotonic() - began) / done * (total - done)
        line = f"{done} of {total}, {failed} violations, {left:.0f} s left "
        print(f"\r{line}" if tty else line, end="" if tty else "\n", file=sys.stderr, flush=True)


def run_case(name: str) -> bool:
    """One case alone."""
    faulty, _, number = name.partition(":")
    case = all_cases(int(faulty))[int(number)]
    print(case)
    play(case)
    print("holds")
    return True


def run_orders() -> bool:
    """Every order of a height without faults, at its primary and at every other member."""
    states = orders = 0
    for member in range(MEMBERS):
        for checkpoints in (False, True):
            for impatient in (False, True):
                found = search_one_height(member, checkpoints=checkpoints, impatient=impatient)
                states, orders = states + found.states, orders + found.orders
                what = f"{'with' if checkpoints else 'without'} CHECKPOINTs, {'im' * impatient}patient"
                print(f"member {member}, {what}: {found.orders} orders, {found.states} states", flush=True)
    print(f"orders: {orders} orders in {states} states, 0 violations", flush=True)
    return True


def run_proposals() -> bool:
    """Every order of a height whose primary equivocates, at each of the others, and whether they can disagree."""
    found = {member: search_two_proposals(member) for member in range(MEMBERS) if member != PRIMARY}
    pairs = require_agreement({member: outcome.delivered for member, outcome in found.items()})
    states, orders = (sum(getattr(each, name) for each in found.values()) for name in ("states", "orders"))
    print(f"proposals: {orders} orders in {states} states, {pairs} pairs of deliveries, 0 violations", flush=True)
    return True


def main() -> int:
    """Parse, run, and say how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=["orders", "proposals", "mutations", "all"], default="all")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--every", type=int, default=1, help="play each so-manieth mutation only")
    parser.add_argument("--case", default="", help="one mutation alone: MEMBER:NUMBER")
    options = parser.parse_args()
    if options.case:
        return 0 if run_case(options.case) else 1
    parts: dict[str, Callable[[], bool]] = {
        "orders": run_orders,
        "proposals": run_proposals,
        "mutations": lambda: run_mutations(options.jobs, options.every),
    }
    try:
        held = [run() for name, run in parts.items() if options.what in (name, "all")]
    except Violation as violation:
        print(f"violation: {violation}")
        return 1
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
