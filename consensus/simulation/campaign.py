"""A campaign of simulated runs: which plan a seed stands for, what came out of a run, and what all runs add up to.

Knows no processor, no process and no clock: whoever spreads a campaign over cores (`network.cli.simulate`) plays
single seeds, and hands the outcomes to a `Tally` in any order. The summary is the same in every order.
"""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Sequence

import msgspec

from consensus.simulation.checkers import Violation
from consensus.simulation.cluster import Cluster, Watcher
from consensus.simulation.plan import Plan
from consensus.simulation.swarm import swarm

LIVE_WITHIN_TIMEOUTS = 2  # after healing, in time-outs: the first commit of nearly every seed
LIVE_WORST_TIMEOUTS = 10  # of every seed
LATE_ONE_IN = 1000  # so many seeds may have one later than the first of the two; less than as many may have one too

LATEST_SHOWN = 5
PLACES_SHOWN = 6  # of a traceback

_NUMBERS = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")
_DETAILS = re.compile(r"[\[({'\"].*", re.DOTALL)


class Outcome(msgspec.Struct, frozen=True):
    """What came out of one run."""

    seed: int
    members: int
    fingerprint: str  # the trace hash
    simulated_ms: int
    timeout_ms: int  # the longest of a correct member at healing
    recovery_ms: int | None = None  # from healing to the first commit; None where nothing was committed after it
    kind: str = ""  # of the violation, empty for none
    violation: str = ""

    @property
    def recovery_permille(self) -> int:
        """How long the first commit after healing took, in thousandths of a time-out."""
        return (self.recovery_ms or 0) * 1000 // self.timeout_ms


def plan_of(seed: int, sizes: Sequence[int] = ()) -> Plan:
    """The plan that a seed stands for; with sizes, a cluster of one of them, so that one size alone replays it."""
    return swarm(seed, sizes[seed % len(sizes)]) if sizes else swarm(seed)


def play(plan: Plan, watch: Watcher | None = None) -> Outcome:
    """Run a plan to its end. Whatever it raises is an outcome too: nothing may raise out of a run."""
    cluster = Cluster(plan, watch)
    kind = violation = ""
    try:
        cluster.run()
    except Violation as found:
        kind, violation = kind_of(found), str(found)
    except Exception as error:  # noqa: BLE001 - of a replica or of the simulator: both are defects, reported with their seed
        kind, violation = f"raised {type(error).__name__}", _raised(error)
        if watch:
            watch.on_violation(cluster.now, violation)
    return Outcome(
        seed=plan.seed,
        members=plan.members,
        fingerprint=cluster.fingerprint,
        simulated_ms=cluster.now,
        timeout_ms=cluster.patience_ms,
        recovery_ms=cluster.recovery_ms,
        kind=kind,
        violation=violation,
    )


def kind_of(violation: Violation) -> str:
    """What was broken, without where: equal for two violations of the same sort."""
    return _NUMBERS.sub("_", _DETAILS.sub("", str(violation))).strip(" :,")


def _raised(error: Exception) -> str:
    """What was raised and where, the innermost place first."""
    places = [f"{each.filename.rpartition('/')[2]}:{each.lineno}" for each in traceback.extract_tb(error.__traceback__)]
    return f"raised {type(error).__name__}: {error} ({', '.join(places[: -PLACES_SHOWN - 1 : -1])})"


class Summary(msgspec.Struct, frozen=True):
    """What a campaign adds up to."""

    seeds: int
    violations: int
    lost: int  # seeds whose process died
    simulated_ms: int
    recovered: int  # seeds with a commit after healing
    late: int  # of those, the ones that took more than `LIVE_WITHIN_TIMEOUTS`
    worst_permille: int  # the longest first commit after healing, in thousandths of a time-out
    worst_seed: int | None
    latest_seeds: tuple[int, ...]  # some of the late ones, the latest first
    trace: str  # over the trace hashes of all seeds

    @property
    def faults(self) -> list[str]:
        """Why the campaign failed; empty when it did not."""
        found = []
        if self.violations:
            found.append(f"seeds with a violation: {self.violations}")
        if self.lost:
            found.append(f"seeds whose process died: {self.lost}")
        allowed = max(1, self.recovered // LATE_ONE_IN)
        if self.late > allowed:
            found.append(
                f"seeds whose first commit after healing took more than {LIVE_WITHIN_TIMEOUTS} time-outs: {self.late}, "
                f"allowed: {allowed}; the latest: {', '.join(map(str, self.latest_seeds))}"
            )
        if self.worst_permille > LIVE_WORST_TIMEOUTS * 1000:
            found.append(
                f"time-outs until the first commit after healing, seed {self.worst_seed}: "
                f"{hundredths(self.worst_permille)}, allowed: {LIVE_WORST_TIMEOUTS}"
            )
        return found


class Tally:
    """Outcomes as they come in, and the seeds that have none."""

    def __init__(self) -> None:
        self._outcomes: dict[int, Outcome] = {}
        self.lost: dict[int, str] = {}  # seed to what became of its process

    def add(self, outcome: Outcome) -> None:
        """A run has ended."""
        self._outcomes[outcome.seed] = outcome

    def lose(self, seed: int, why: str) -> None:
        """A run never ended: its process died."""
        self.lost[seed] = why

    def __len__(self) -> int:
        return len(self._outcomes) + len(self.lost)

    @property
    def violations(self) -> list[Outcome]:
        """The outcomes that broke a rule, by ascending seed."""
        return [outcome for _, outcome in sorted(self._outcomes.items()) if outcome.kind]

    def summary(self) -> Summary:
        """What they add up to so far."""
        outcomes = [outcome for _, outcome in sorted(self._outcomes.items())]
        recovered = [each for each in outcomes if each.recovery_ms is not None and not each.kind]
        late = [each for each in recovered if each.recovery_permille > LIVE_WITHIN_TIMEOUTS * 1000]
        late.sort(key=lambda each: (-each.recovery_permille, each.seed))
        worst = max(recovered, key=lambda each: each.recovery_permille, default=None)
        return Summary(
            seeds=len(outcomes),
            violations=len(self.violations),
            lost=len(self.lost),
            simulated_ms=sum(each.simulated_ms for each in outcomes),
            recovered=len(recovered),
            late=len(late),
            latest_seeds=tuple(each.seed for each in late[:LATEST_SHOWN]),
            worst_permille=worst.recovery_permille if worst else 0,
            worst_seed=worst.seed if worst else None,
            trace=combined(outcomes),
        )


def combined(outcomes: Sequence[Outcome]) -> str:
    """One hash for all runs, by ascending seed, so that two machines compare a single line."""
    lines = "".join(f"{each.seed} {each.fingerprint}\n" for each in sorted(outcomes, key=lambda each: each.seed))
    return hashlib.sha256(lines.encode()).hexdigest()


def hundredths(permille: int) -> str:
    """A number of thousandths with two decimals, rounded down, for people."""
    return f"{permille // 1000}.{permille % 1000 // 10:02}"
