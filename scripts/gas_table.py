"""Is gas honest? The host time of one unit of gas, for every primitive of the language and of the runtime, as a table.

    python -m scripts.gas_table [--quick] [--only TEXT] [--all]

Each primitive is run alone, on an input that makes it do the work it is charged for, and the time of an empty loop is
taken off. CPU time of one thread, the middle of several turns, as on a core that nobody else slows down. What counts is
the ratio of the dearest primitive (most time for a unit) to the cheapest; above 20 the exit code is 1. `--all` prints
every row and not just both ends.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from contracts.language import Meter, Program, compile_source
from ledger.state import State
from scripts.bench_contracts import DictHost
from scripts.gas_host import HOST_ROWS, HostBench, transaction_rows
from scripts.gas_rows import Row, rows

RATIO_MAX = 20
GAS = 10**15
SHOWN = 20  # rows at either end

Timed = Callable[[int], tuple[float, int]]

_ABOVE = """from contracts import Address, Contract, Decimal, Value, call, require, sha256

LIMIT = 5

def plain(x):
    return x

"""
_ROOMY = "def roomy(x):\n" + "".join([f"    y{number} = x\n" for number in range(20)]) + "    return x\n"
_CLASS = """
class Table(Contract):
    def nothing(self):
        pass

    def same(self, a, b, c):
        return a

    @call
    def run(self, n: int) -> None:
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One primitive, measured: seconds and gas of one execution of it."""

    name: str
    seconds: float
    gas: float

    @property
    def ns_per_gas(self) -> float:
        """Nanoseconds of the host for one unit."""
        return self.seconds * 1e9 / self.gas


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: seconds of one turn, and of how many the middle counts."""

    seconds: float
    turns: int


SHORT_TIMES = 7
CAREFUL, QUICK = Effort(0.02, 5), Effort(0.003, 3)


# ── the language ──────────────────────────────────────────────────────────────────────────────────


def source_of(setup: str, body: str) -> str:
    """A contract that runs `setup` and then `body` in n turns."""
    inner = textwrap.indent(setup + "\n" if setup else "", " " * 8)
    return f"{_ABOVE}{_ROOMY}{_CLASS}{inner}        for turn in range(n):\n{textwrap.indent(body, ' ' * 12)}\n"


def timed(program: Program) -> Timed:
    """What runs a program for n turns and gives its seconds and gas."""
    host = DictHost("a" * 64)

    def run(n: int) -> tuple[float, int]:
        meter = Meter(GAS, GAS)
        before = time.thread_time()
        program.run("run", [n], host, meter)
        return time.thread_time() - before, meter.used

    return run


def slope(run: Timed, effort: Effort, turns_max: int, turns: int = 1) -> tuple[float, float]:
    """Seconds and gas of one turn, besides what no turn costs."""
    enough = max(effort.seconds, 2 * run(0)[0])  # of which no turn is a small part
    while turns < turns_max and run(turns)[0] < enough:
        turns = min(2 * turns, turns_max)
    # Where there cannot be so many turns, it is done oftener: what disturbs a short one is as long as itself.
    times = effort.turns if run(turns)[0] >= effort.seconds else SHORT_TIMES * effort.turns
    pairs = [(_paced(run, 0), _paced(run, turns)) for _ in range(times)]
    seconds = sorted([some - none for (none, _), (some, _) in pairs])[times // 2]
    (_, gas_of_none), (_, gas_of_some) = pairs[0]
    return max(seconds, 1e-12) / turns, (gas_of_some - gas_of_none) / turns


def _paced(run: Timed, turns: int) -> tuple[float, int]:
    """What `run` gives, in seconds of the machine as it was at first: a fixed piece of work is timed beside it."""
    gc.disable()  # whatever is alive by now would be looked through in the midst of it
    try:
        before = _reference()
        seconds, gas = run(turns)
        pace = min(before, _reference())
    finally:
        gc.enable()
    return seconds * _pace_at_first() / pace, gas


def _reference() -> float:
    before = time.thread_time()
    table = {}
    for number in range(4_000):
        table[number & 63] = [number, -number]
    return time.thread_time() - before


@cache
def _pace_at_first() -> float:
    return sorted([_reference() for _ in range(51)])[25]


def language_figure(row: Row, effort: Effort, empty: tuple[float, float]) -> Figure:
    """A row of `gas_rows`, without the loop around it."""
    program = compile_source(source_of(row.setup, "\n".join(["pass", *[row.body] * row.copies])))
    seconds, gas = slope(timed(program), effort, row.turns_max)
    return Figure(row.name, max(seconds - empty[0], 1e-12) / row.copies, (gas - empty[1]) / row.copies)


def language_figures(effort: Effort, only: str = "") -> list[Figure]:
    """Every primitive of the language whose name has `only` in it."""
    empty = slope(timed(compile_source(source_of("", "pass"))), effort, 1 << 40)
    return [language_figure(row, effort, empty) for row in rows() if only in row.name]


# ── the runtime ───────────────────────────────────────────────────────────────────────────────────


def host_figures(effort: Effort, only: str = "") -> list[Figure]:
    """Every primitive of the runtime whose name has `only` in it, over a state in a temporary folder."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="quorate-gas-") as folder:
        state = State.open(Path(folder) / "state")
        bench = HostBench(state)
        for number, row in enumerate(HOST_ROWS):
            if only in row.name:
                figures.append(_host_figure(row.name, partial(bench.row, number), row.turns, effort))
        for name, turns, run in transaction_rows(bench):
            if only in name:
                figures.append(_host_figure(name, run, turns, effort))
        state.close()
    return figures


def _host_figure(name: str, run: Timed, turns: int, effort: Effort) -> Figure:
    seconds, gas = slope(run, effort, turns, turns)
    return Figure(name, seconds, gas)


# ── the table ─────────────────────────────────────────────────────────────────────────────────────


def ratio(figures: list[Figure]) -> float:
    """The dearest against the cheapest."""
    costs = [figure.ns_per_gas for figure in figures]
    return max(costs) / min(costs)


def table(figures: list[Figure], shown: int) -> str:
    """The dearest first; of more than twice `shown` rows those in the middle are left out."""
    ordered = sorted(figures, key=lambda figure: -figure.ns_per_gas)
    lines = [f"{'ns/gas':>8}  {'ns':>12}  {'gas':>12}  primitive"]
    for place, figure in enumerate(ordered):
        if shown <= place < len(ordered) - shown:
            if place == shown:
                lines.append(f"{'...':>8}  {len(ordered) - 2 * shown} more, the middle one {_median(ordered):.2f}")
            continue
        lines.append(f"{figure.ns_per_gas:8.2f}  {figure.seconds * 1e9:12,.0f}  {figure.gas:12,.1f}  {figure.name}")
    return "\n".join(lines)


def _median(ordered: list[Figure]) -> float:
    return ordered[len(ordered) // 2].ns_per_gas


def main() -> None:
    """Measure, print, and say whether gas is honest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less careful, for a first look")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--all", action="store_true", help="every row")
    options = parser.parse_args()
    effort = QUICK if options.quick else CAREFUL
    for _ in range(200):
        _reference()
    figures = [*language_figures(effort, options.only), *host_figures(effort, options.only)]
    print(table(figures, len(figures) if options.all else SHOWN))
    found = ratio(figures)
    print(f"{len(figures)} primitives; dearest to cheapest {found:.1f}, at most {RATIO_MAX} is honest")
    sys.exit(0 if found <= RATIO_MAX else 1)


if __name__ == "__main__":
    main()
