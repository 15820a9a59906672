"""What a campaign of simulated runs came to, for people and for machines; the last line is the summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from consensus.simulation.campaign import LIVE_WITHIN_TIMEOUTS, Outcome, Summary, Tally, hundredths
from network.cli.console import say
from network.cli.failing_runs import Failure, replay_seed


class Result(NamedTuple):
    """A campaign that has ended, or was made to."""

    tally: Tally
    seeds_wanted: int
    sizes: Sequence[int]
    failures: Sequence[Failure]  # those that were looked into
    interrupted: bool
    jobs: int
    seeds_per_minute: int
    seeds_per_minute_core: int

    @property
    def reasons(self) -> list[str]:
        """Why it is no success; empty where it is one."""
        cut = [f"interrupted after {len(self.tally)} of {self.seeds_wanted} seeds"] if self.interrupted else []
        missing = self.seeds_wanted - len(self.tally)
        given_up = [f"given up: {missing} seeds were not played"] if missing and not self.interrupted else []
        return [*self.tally.summary().faults, *cut, *given_up]


def say_result(result: Result) -> None:
    """For a person."""
    looked_into = {failure.outcome.seed for failure in result.failures}
    for failure in result.failures:
        _say_failure(failure)
    for outcome in result.tally.violations:
        if outcome.seed not in looked_into:
            say(f"seed {outcome.seed}: {outcome.violation}")
            say(f"  replay: {replay_seed(outcome, result.sizes)} --trace")
    for seed, why in sorted(result.tally.lost.items()):
        say(f"seed {seed}: its process was lost: {why}")
    for reason in result.reasons:
        say(f"FAILED: {reason}")
    say(summary_line(result))


def _say_failure(failure: Failure) -> None:
    say(f"seed {failure.outcome.seed}: {failure.outcome.violation}")
    say(f"  plan, {failure.remark}:")
    say(f"  {failure.plan.encode()}")
    for line in failure.transcript:
        say(f"  {line}")
    for command in failure.commands:
        say(f"  replay: {command}")
    say()


def summary_line(result: Result) -> str:
    """All of it in one line."""
    summary = result.tally.summary()
    return (
        f"{summary.seeds} seeds, {summary.violations} violations, {summary.simulated_ms // 1000} simulated seconds, "
        f"{result.seeds_per_minute} seeds/min ({result.seeds_per_minute_core} a core), {_liveness(summary)}, "
        f"trace {summary.trace}"
    )


def _liveness(summary: Summary) -> str:
    if not summary.recovered:
        return "no commit after healing"
    on_time = (summary.recovered - summary.late) * 10_000 // summary.recovered
    return (
        f"first commit after healing within {LIVE_WITHIN_TIMEOUTS} time-outs {on_time // 100}.{on_time % 100:02}%, "
        f"worst {hundredths(summary.worst_permille)} (seed {summary.worst_seed})"
    )


def result_json(result: Result) -> dict[str, Any]:
    """For a machine."""
    summary = result.tally.summary()
    looked_into = {failure.outcome.seed: failure for failure in result.failures}
    return {
        "seeds": summary.seeds,
        "violations": [
            _outcome_json(each, looked_into.get(each.seed), result.sizes) for each in result.tally.violations
        ],
        "lost": {str(seed): why for seed, why in sorted(result.tally.lost.items())},
        "reasons": result.reasons,
        "simulated_ms": summary.simulated_ms,
        "jobs": result.jobs,
        "seeds_per_minute": result.seeds_per_minute,
        "seeds_per_minute_core": result.seeds_per_minute_core,
        "recovered": summary.recovered,
        "late": summary.late,
        "latest_seeds": list(summary.latest_seeds),
        "worst_permille": summary.worst_permille,
        "worst_seed": summary.worst_seed,
        "trace": summary.trace,
    }


def _outcome_json(outcome: Outcome, failure: Failure | None, sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "members": outcome.members,
        "kind": outcome.kind,
        "violation": outcome.violation,
        "plan": failure.plan.encode() if failure else None,
        "transcript": failure.transcript if failure else [],
        "replay": list(failure.commands) if failure else [f"{replay_seed(outcome, sizes)} --trace"],
    }
