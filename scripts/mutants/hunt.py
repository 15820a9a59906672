"""The search: a mutant, seed after seed, until a checker of the simulator objects. Knows no single mutant.

Every seed is one plan of the swarm, the same that honest code is tested with. Only a `Violation` counts as found. A
bug that makes a run hang ends at a wall-clock limit and does not count: a checker must say what is wrong.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from types import FrameType

import msgspec

from consensus.simulation import Violation, simulate, swarm
from scripts.mutants.mutant import Mutant, applied

SEED_SECONDS_MAX = 60


class Hung(BaseException):
    """A run took longer than any honest one."""


class Found(msgspec.Struct, frozen=True):
    """What came of one mutant: the seed that found it, None if it survived."""

    mutant: str
    seed: int | None
    violation: str
    seconds: float


def hunt(mutant: Mutant, seeds: Iterable[int]) -> Found:
    """Try one seed after the other; stop at the first violation."""
    began = time.monotonic()
    with applied(mutant):
        for seed in seeds:
            try:
                violation = objection(seed)
            except Hung:
                return Found(mutant.name, None, f"hangs at seed {seed}", time.monotonic() - began)
            if violation is not None:
                return Found(mutant.name, seed, violation, time.monotonic() - began)
    return Found(mutant.name, None, "", time.monotonic() - began)


def objection(seed: int) -> str | None:
    """What the checkers say against this seed's run, None if nothing. Runs whatever code is in place. Raises `Hung`."""

    def hang(_signal: int, _frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SEED_SECONDS_MAX)
    try:
        simulate(swarm(seed))
    except Violation as violation:
        return str(violation)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return None
