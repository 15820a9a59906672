"""Random contracts, each as plain Python and in the interpreter: the same results, state and events, or failures alike.

    python -m scripts.contract_differential --programs 1000 [--first 0] [--jobs 2] [--digest FILE] [--against FILE]
    python -m scripts.contract_differential --show NUMBER

Every program is run by the runtime of a validator twice: compiled anew on a shallow stack of the host, then from the
cache on a deep one. Results, gas, state and events must be equal to the byte. `--digest` writes a line for every
thousand programs, with a hash over all of it; `--against` compares with what another Python or another hash seed wrote;
`--interpreter` leaves plain Python out, which a comparison of two Pythons has no need of. What differs is shown with
its number, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from contracts.language import SourceRefused
from ledger import codec
from scripts.contract_natives import Differs, compare, forget
from scripts.contract_programs import RandomProgram, random_program
from scripts.contract_steps import Step, deep, interpreted

RANGE: Final = 1_000  # programs in a line of the digest
COLLECTED_EVERY: Final = 250  # programs, after which memory is looked through for what nobody can reach
RANGES_A_PROCESS: Final = 10
DIFFERENCES_SHOWN: Final = 20  # of one range


@dataclass(frozen=True, slots=True)
class Report:
    """What a range of programs came to: the line of the digest, how often each code came, and what differs."""

    line: str
    tally: Counter[str]
    differences: tuple[str, ...]


def digest_of(program: RandomProgram, steps: Sequence[Step]) -> bytes:
    """A hash over the text of a program and everything that its calls did."""
    return hashlib.sha256(ascii((program.source, [step.facts for step in steps])).encode()).digest()


def examine(number: int, natively: bool = True) -> tuple[bytes, list[Step]]:
    """One program in every way. Raises `Differs`."""
    program = random_program(number)
    try:
        steps = interpreted(program)
        if deep(lambda: interpreted(program)) != steps:
            raise Differs("a deep stack and a warm cache change something")
        if natively:
            compare(program, steps)
    except SourceRefused as error:  # a draw that means nothing; every Python must say so alike
        return hashlib.sha256(ascii((program.source, str(error))).encode()).digest(), []
    except Differs as error:
        raise Differs(f"program {number}: {error}") from error
    except Exception as error:  # a contract must never make the host fail
        raise Differs(f"program {number}: the host fails with {error!r}") from error
    return digest_of(program, steps), steps


def digest_line(first: int, count: int, natively: bool = True) -> Report:
    """Examine a range: what every Python must agree on as a line."""
    total, used = hashlib.sha256(), 0
    tally: Counter[str] = Counter()
    differences = []
    gc.disable()  # which would be a quarter of the time that a program takes
    for number in range(first, first + count):
        if number % COLLECTED_EVERY == 0:
            gc.collect()
        try:
            digest, steps = examine(number, natively)
        except Differs as error:
            differences.append(str(error))
            continue
        total.update(digest)
        used += sum([step.gas for step in steps])
        tally.update([step.code for step in steps] or ["refused"])
    gc.enable()
    forget()
    line = json.dumps({"first": first, "programs": count, "gas": used, "digest": total.hexdigest()})
    return Report(line, tally, tuple(differences))


def show(number: int) -> None:
    """Print one program, its calls, and what they did."""
    program = random_program(number)
    print(program.source)
    for (method, args), step in zip(program.calls, interpreted(program), strict=True):
        result = codec.decode(step.result) if step.result else None
        print(f"# {method}{args}: {step.code} {step.message} {step.place} {result!r}, gas {step.gas}")


# ── many of them ──────────────────────────────────────────────────────────────────────────────────


def reports(ranges: Sequence[tuple[int, int]], natively: bool, jobs: int) -> Iterator[Report]:
    """What each range came to, in order. Several jobs are as many processes, begun anew now and then: Python remembers
    something of every class that was ever made."""
    run = partial(digest_line, natively=natively)
    firsts, counts = [first for first, _ in ranges], [count for _, count in ranges]
    if jobs == 1:
        yield from map(run, firsts, counts)
        return
    fresh, together = multiprocessing.get_context("spawn"), RANGES_A_PROCESS * jobs
    # Not by `max_tasks_per_child`: where all processes reach it at once, Python 3.11 waits for ever.
    for begin in range(0, len(ranges), together):
        with ProcessPoolExecutor(jobs, mp_context=fresh) as pool:
            yield from pool.map(run, firsts[begin : begin + together], counts[begin : begin + together])


@dataclass(frozen=True, slots=True)
class Campaign:
    """Which programs to examine, how, and where the digests are."""

    first: int = 0
    programs: int = RANGE
    jobs: int = 1
    natively: bool = True
    digest: Path | None = None
    against: Path | None = None

    def run(self) -> int:
        """Examine, write, compare; the exit code."""
        begin, end = time.monotonic(), self.first + self.programs
        ranges = [(start, min(RANGE, end - start)) for start in range(self.first, end, RANGE)]
        expected = self.against.read_text().splitlines() if self.against else []
        if self.digest:
            self.digest.write_text("")
        tally: Counter[str] = Counter()
        differing = 0
        for place, report in enumerate(reports(ranges, self.natively, self.jobs)):
            tally += report.tally
            told = [*report.differences[:DIFFERENCES_SHOWN], *self._against(report.line, expected[place : place + 1])]
            differing += len(told)
            if told:
                print("\n".join(told), flush=True)
            if self.digest:
                with self.digest.open("a") as out:
                    out.write(report.line + "\n")
        seconds = time.monotonic() - begin
        outcome = f"{differing} DIFFERENCES" if differing else "agree"
        calls = f"{tally.total()} calls in {seconds:.0f} s"
        print(f"{self.programs} programs, {calls}, {outcome}: {dict(tally.most_common())}")
        return 1 if differing else 0

    def _against(self, line: str, expected: list[str]) -> list[str]:
        if self.against is None or expected == [line]:
            return []
        return [f"{line}, and {expected} in {self.against}"]


def main() -> None:
    """Examine, write, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=RANGE)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes to share the programs between")
    parser.add_argument("--digest", type=Path, help="write the digests here, a line for every thousand programs")
    parser.add_argument("--against", type=Path, help="digests that these must be equal to")
    parser.add_argument("--interpreter", action="store_true", help="leave plain Python out: for --against")
    parser.add_argument("--show", type=int, help="print this program instead")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show)
        return
    natively = not options.interpreter
    campaign = Campaign(options.first, options.programs, options.jobs, natively, options.digest, options.against)
    sys.exit(campaign.run())


if __name__ == "__main__":
    main()
