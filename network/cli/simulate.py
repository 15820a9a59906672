"""`quorate simulate`: whole networks in virtual time under seeded faults, and what came out of them.

A campaign plays many seeds on every core and ends with a summary; a seed that broke a rule is minimised and told to
the reader. A single plan is replayed from its file. Exit code 0 only without a violation.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from network.cli.console import AsJson, examples, say

if TYPE_CHECKING:
    from consensus.simulation import Plan
    from consensus.simulation.campaign import Tally
    from network.cli.failing_runs import Failure
    from network.cli.simulation_report import Result
    from network.cli.workers import Lost, Played

SIMULATE_EXAMPLES = examples(
    "quorate simulate --seeds 20000",
    "quorate simulate --seeds 1000 --validators 7 --first-seed 5000",
    "quorate simulate --plan simulate-4711.json --trace",
)

SEEDS = 1000
SEED_MAX = (1 << 63) - 1
MEMBERS_MIN, MEMBERS_MAX = 4, 40
SHOWN_MAX = 3  # failing seeds that are looked into; of the others the command alone
LOST_MAX = 20  # dead processes, after which a campaign gives up
EXIT_INTERRUPTED = 130


def simulate(
    seeds: Annotated[
        int | None, typer.Option(help=f"How many seeds; {SEEDS} without it.", min=1, show_default=False)
    ] = None,
    first_seed: Annotated[
        int | None, typer.Option(help="The first of them; 0 without it.", min=0, max=SEED_MAX, show_default=False)
    ] = None,
    validators: Annotated[
        str | None,
        typer.Option(help="Sizes of the networks, such as 4,7,10; without it the seed decides.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes; one for every core without it.", min=1, show_default=False)
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Play the plan in this file, and no seeds.", show_default=False)
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show everything that happens in a single run.")] = False,
    minimise: Annotated[
        int, typer.Option(help="Seconds to spend on making a failing plan smaller.", min=0, max=86_400)
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Play networks of validators in virtual time, under faults and attacks, and judge every event.

    A seed decides everything: how many validators, what fails, who lies, in which order messages arrive.
    Where one breaks a rule, its plan is made smaller, its transcript shown, and the command that replays it.
    The last line is a summary. Exit code 0 only without a violation; 130 when it was interrupted.
    """
    if plan is not None:
        _alone(seeds, first_seed, validators, jobs)
        result = _replay(_read(plan), trace=trace, as_json=as_json)
    else:
        chosen = range(first_seed or 0, (first_seed or 0) + (seeds or SEEDS))
        if trace and len(chosen) > 1:
            raise typer.BadParameter("it takes a single run: --seeds 1, or --plan FILE", param_hint="--trace")
        sizes = _sizes(validators)
        if trace and not as_json:
            _trace(chosen[0], sizes)
        result = _campaign(chosen, sizes, jobs or len(os.sched_getaffinity(0)), minimise)
    _say(result, as_json=as_json)
    raise typer.Exit(EXIT_INTERRUPTED if result.interrupted else 1 if result.reasons else 0)


def _say(result: Result, *, as_json: bool) -> None:
    from network.cli.simulation_report import result_json, say_result

    if as_json:
        import json

        say(json.dumps(result_json(result), ensure_ascii=False))  # on one line, which is the last
    else:
        say_result(result)


# ── what was typed ────────────────────────────────────────────────────────────────────────────────


def _alone(*others: object) -> None:
    if any(other is not None for other in others):
        raise typer.BadParameter(
            "a plan holds its seed and its size: leave out --seeds, --first-seed, --validators and --jobs",
            param_hint="--plan",
        )


def _sizes(text: str | None) -> tuple[int, ...]:
    """Sizes of networks from "4,7,10"; none where the seed decides."""
    words = text.split(",") if text is not None else []
    for word in words:
        if not (word.isascii() and word.isdecimal() and MEMBERS_MIN <= int(word) <= MEMBERS_MAX):
            raise typer.BadParameter(
                f"{word!r} is no size of a network: expected numbers from {MEMBERS_MIN} to {MEMBERS_MAX} "
                "with commas between them, such as 4,7,10",
                param_hint="--validators",
            )
    return tuple(map(int, words))


def _read(path: Path) -> Plan:
    from network.cli.failing_runs import read_plan

    try:
        return read_plan(path)
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--plan") from None
    except ValueError as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--plan") from None


# ── one run ───────────────────────────────────────────────────────────────────────────────────────


def _replay(plan: Plan, *, trace: bool, as_json: bool) -> Result:
    """A plan as it stands."""
    from consensus.simulation.campaign import Tally
    from network.cli.failing_runs import Failure, shown, watched
    from network.cli.simulation_report import Result

    began = time.process_time()
    outcome, transcript = watched(plan)
    pace = _a_minute(1, time.process_time() - began)
    tally = Tally()
    tally.add(outcome)
    lines = shown(outcome, transcript, everything=trace)
    failures = [Failure(outcome, plan, "as it was read", (), lines)] if outcome.kind else []
    if trace and not failures and not as_json:
        _say_lines(lines)
    return Result(tally, 1, (), failures, interrupted=False, jobs=1, seeds_per_minute=pace, seeds_per_minute_core=pace)


def _say_lines(lines: Sequence[str]) -> None:
    for line in lines:
        say(line)


def _trace(seed: int, sizes: Sequence[int]) -> None:
    from consensus.simulation.campaign import plan_of
    from network.cli.failing_runs import shown, watched

    plan = plan_of(seed, sizes)
    say(f"seed {seed}: {plan.encode()}")
    _say_lines(shown(*watched(plan), everything=True))


# ── many ──────────────────────────────────────────────────────────────────────────────────────────


def _campaign(seeds: range, sizes: Sequence[int], cores: int, minimise: int) -> Result:
    """Every seed; then those that failed, one after the other. An interrupt ends it with what there is."""
    from consensus.simulation.campaign import Tally
    from network.cli.failing_runs import investigate
    from network.cli.progress import Progress
    from network.cli.simulation_report import Result
    from network.cli.workers import spread

    tally, progress, interrupted = Tally(), Progress(), False
    failures: list[Failure] = []
    jobs, began, cpu_seconds, wall_seconds = min(cores, len(seeds)), time.monotonic(), 0.0, 0.0
    try:
        with _terminated_like_interrupted(), closing(spread(seeds, sizes, jobs)) as outcomes:
            for played in outcomes:
                cpu_seconds += _count(played, tally)
                wall_seconds = time.monotonic() - began
                progress.show(_progress_line(tally, len(seeds), wall_seconds))
                if len(tally.lost) >= LOST_MAX:
                    break
        with _terminated_like_interrupted():
            for outcome in tally.violations[:SHOWN_MAX]:  # one by one, so that an interrupt keeps those before it
                failures.append(investigate(outcome, sizes, minimise, Path.cwd(), progress.show))  # noqa: PERF401
    except KeyboardInterrupt:
        interrupted = True
    progress.clear()
    return Result(
        tally=tally,
        seeds_wanted=len(seeds),
        sizes=sizes,
        failures=failures,
        interrupted=interrupted,
        jobs=jobs,
        seeds_per_minute=_a_minute(len(tally), wall_seconds),
        seeds_per_minute_core=_a_minute(len(tally), cpu_seconds),
    )


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, of a time limit for one, ends a campaign as Ctrl-C does: with what there is."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _count(played: Played | Lost, tally: Tally) -> float:
    """Take in what became of a seed; the processor's seconds that it took."""
    from network.cli.workers import Lost

    if isinstance(played, Lost):
        tally.lose(played.seed, played.why)
        return 0.0
    tally.add(played.outcome)
    return played.cpu_seconds


def _progress_line(tally: Tally, wanted: int, seconds: float) -> str:
    pace = len(tally) / seconds if seconds else 0.0
    left = round((wanted - len(tally)) / pace) if pace else 0
    return (
        f"{len(tally)} of {wanted} seeds, {_a_minute(len(tally), seconds)} a minute, violations: "
        f"{len(tally.violations)}, {left // 60}:{left % 60:02} to go"
    )


def _a_minute(count: int, seconds: float) -> int:
    return round(60 * count / seconds) if seconds else 0
