"""A failing run made readable: its plan as small as it gets, the transcript of that, and the commands that replay it.

It runs plans and writes one file for each failing seed; what a plan is and how it gets smaller, `consensus.simulation`
knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from consensus.simulation import Plan
from consensus.simulation.campaign import Outcome, plan_of, play
from consensus.simulation.minimise import Minimised, minimise
from consensus.simulation.plan_rules import check
from consensus.simulation.transcript import Transcript, excerpt, whole

PLAN_BYTES_MAX = 1 << 20

Report = Callable[[str], None]


class Failure(NamedTuple):
    """A violation, and what it takes to see it again."""

    outcome: Outcome
    plan: Plan
    remark: str  # how the plan came to be
    commands: tuple[str, ...]
    transcript: list[str]


def watched(plan: Plan) -> tuple[Outcome, Transcript]:
    """A run with its transcript."""
    transcript = Transcript()
    return play(plan, transcript), transcript


def shown(outcome: Outcome, transcript: Transcript, *, everything: bool) -> list[str]:
    """A transcript for a reader: what the violation is about, or everything."""
    return whole(transcript.lines) if everything else excerpt(transcript.lines, outcome.violation)


def replay_seed(outcome: Outcome, sizes: Sequence[int]) -> str:
    """The command that plays this seed again, and no other."""
    size = f" --validators {outcome.members}" if sizes else ""
    return f"quorate simulate --first-seed {outcome.seed} --seeds 1{size}"


def investigate(found: Outcome, sizes: Sequence[int], seconds: int, directory: Path, report: Report) -> Failure:
    """Minimise the plan of a failing seed for at most so long, and write it to a file in that directory."""
    plan = plan_of(found.seed, sizes)
    again = f"{replay_seed(found, sizes)} --trace"
    smaller = _minimised(plan, found, seconds, report)
    if smaller is None:
        remark = "the seed went otherwise when it was played again: the run is not deterministic"
        return Failure(found, plan, remark, (again,), [])
    outcome, transcript = watched(smaller.plan)
    lines = shown(outcome, transcript, everything=False)
    remark = f"made smaller in {smaller.runs} runs" + ("" if smaller.complete else ", as far as time allowed")
    path = directory / f"simulate-{found.seed}.json"
    try:
        write_plan(path, smaller.plan)
    except OSError as error:
        return Failure(outcome, smaller.plan, f"{remark}; not written: {path}: {error.strerror}", (again,), lines)
    return Failure(outcome, smaller.plan, remark, (f"quorate simulate --plan {path.name} --trace", again), lines)


def _minimised(plan: Plan, found: Outcome, seconds: int, report: Report) -> Minimised | None:
    """None where the plan does not fail here as it failed there."""
    if play(plan) != found:
        return None
    end, runs = time.monotonic() + seconds, 0

    def fails(candidate: Plan) -> str:
        nonlocal runs
        runs += 1
        report(f"seed {found.seed}: a smaller plan, run {runs}")
        return play(candidate).kind

    return minimise(plan, found.kind, fails, lambda: time.monotonic() < end)


def write_plan(path: Path, plan: Plan) -> None:
    """A plan as a file that a person can read and change."""
    path.write_bytes(msgspec.json.format(plan.encode().encode(), indent=2) + b"\n")


def read_plan(path: Path) -> Plan:
    """A plan from a file. Raises `ValueError` saying what is wrong, and `OSError`."""
    with path.open("rb") as file:
        data = file.read(PLAN_BYTES_MAX + 1)
    if len(data) > PLAN_BYTES_MAX:
        raise ValueError(f"not a plan: more than {PLAN_BYTES_MAX} bytes")
    try:
        plan = msgspec.json.decode(data, type=Plan)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a plan: {error}") from None
    check(plan)
    return plan
