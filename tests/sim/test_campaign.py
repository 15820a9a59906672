"""Many runs, and what they add up to: the same in every order and in every number of processes; nothing gets lost."""

import multiprocessing
import os
import signal

import pytest

from consensus.simulation import Plan, Violation, simulate, swarm
from consensus.simulation.campaign import Outcome, Tally, combined, hundredths, kind_of, plan_of, play
from consensus.simulation.cluster import Cluster
from network.cli.workers import Lost, spread


def outcome(seed, recovery_ms=500, kind="", fingerprint="aa"):
    return Outcome(
        seed=seed,
        members=4,
        fingerprint=fingerprint,
        simulated_ms=10_000,
        timeout_ms=1000,
        recovery_ms=recovery_ms,
        kind=kind,
        violation=kind,
    )


def summary(outcomes):
    tally = Tally()
    for each in outcomes:
        tally.add(each)
    return tally.summary()


def test_an_outcome_is_that_of_the_run():
    plan = Plan(seed=3, members=7, byzantine=((2, "mute"),))
    found, cluster = play(plan), simulate(plan)
    assert (found.fingerprint, found.simulated_ms) == (cluster.fingerprint, cluster.now)
    assert (found.kind, found.violation, found.members) == ("", "", len(cluster.nodes))
    assert found.recovery_ms is not None


def test_a_violation_is_an_outcome(monkeypatch):
    def run(self):
        raise Violation("height 3: member 0 delivered ab12cd34ef56, member 1 0a1b2c3d4e5f")

    monkeypatch.setattr(Cluster, "run", run)
    found = play(Plan(seed=1))
    assert found.kind == "height _: member _ delivered _, member _ _"
    assert found.violation == "height 3: member 0 delivered ab12cd34ef56, member 1 0a1b2c3d4e5f"


def test_whatever_else_a_run_raises_is_an_outcome_too(monkeypatch):
    monkeypatch.setattr(Cluster, "run", lambda self: {}["nothing"])
    found = play(Plan(seed=1))
    assert found.kind == "raised KeyError"
    assert found.violation.startswith("raised KeyError: 'nothing' (test_campaign.py:")
    assert ", campaign.py:" in found.violation


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("height 3: member 0 delivered ab1, member 1 cd2", "height 12: member 2 delivered 0f9, member 0 1e7"),
        ("member 1 signed two of ('prepare', 0, 3): x", "member 3 signed two of ('commit', 2, 9): y"),
        ("no progress after healing: ['0: view 3']", "no progress after healing: ['0: down']"),
    ],
)
def test_violations_of_one_kind(one, other):
    assert kind_of(Violation(one)) == kind_of(Violation(other))


def test_violations_of_two_kinds():
    kinds = {kind_of(Violation(text)) for text in ("delivered height 3 after 1", "sealed height 3 after 1")}
    assert len(kinds) == 2


def test_one_size_alone_gives_the_plan_that_many_sizes_gave():
    for seed in range(6):
        plan = plan_of(seed, (4, 7, 10))
        assert plan.members == (4, 7, 10)[seed % 3]
        assert plan == plan_of(seed, (plan.members,))
    assert plan_of(5) == swarm(5)


# ── what they add up to ───────────────────────────────────────────────────────────────────────────


def test_the_order_of_the_outcomes_is_of_no_account():
    outcomes = [outcome(seed, recovery_ms=seed, fingerprint=f"{seed:02}") for seed in range(20)]
    assert summary(outcomes) == summary(outcomes[::-1])


def test_the_combined_hash_sees_every_run():
    outcomes = [outcome(seed) for seed in range(3)]
    others = [outcomes[:2], [*outcomes[:2], outcome(2, fingerprint="ab")], [*outcomes[:2], outcome(3)]]
    assert len({combined(outcomes), *map(combined, others)}) == 4


def test_a_campaign_without_faults():
    found = summary(outcome(seed) for seed in range(10))
    assert found.faults == []
    assert (found.seeds, found.simulated_ms, found.recovered, found.worst_permille) == (10, 100_000, 10, 500)


def test_a_violation_fails_a_campaign():
    assert summary([outcome(1), outcome(2, kind="fork")]).faults == ["seeds with a violation: 1"]


def test_a_dead_process_fails_a_campaign():
    tally = Tally()
    tally.add(outcome(1))
    tally.lose(2, "killed by SIGKILL")
    assert tally.summary().faults == ["seeds whose process died: 1"]
    assert len(tally) == 2


def test_one_late_seed_in_a_thousand_is_borne_and_no_second_one():
    on_time = [outcome(seed, recovery_ms=2000) for seed in range(998)]
    late = [outcome(998, recovery_ms=2001), outcome(999, recovery_ms=2500)]
    assert summary([*on_time, outcome(998), late[1]]).faults == []
    assert summary([*on_time, *late]).faults == [
        "seeds whose first commit after healing took more than 2 time-outs: 2, allowed: 1; the latest: 999, 998"
    ]


def test_no_seed_may_take_more_than_ten_time_outs():
    assert summary([outcome(1, recovery_ms=10_000)]).faults == []
    (fault,) = summary([outcome(1, recovery_ms=10_100)]).faults
    assert fault == "time-outs until the first commit after healing, seed 1: 10.10, allowed: 10"


def test_a_seed_that_broke_a_rule_says_nothing_about_liveness():
    found = summary([outcome(1), outcome(2, recovery_ms=99_000, kind="fork")])
    assert (found.recovered, found.worst_seed) == (1, 1)


def test_hundredths_are_rounded_down():
    assert [hundredths(each) for each in (0, 9, 10, 3499, 10_000)] == ["0.00", "0.00", "0.01", "3.49", "10.00"]


# ── over processes ────────────────────────────────────────────────────────────────────────────────


def test_two_processes_find_what_one_finds():
    one = {played.outcome.seed: played.outcome for played in spread(range(5), (4,), 1)}
    two = {played.outcome.seed: played.outcome for played in spread(range(5), (4,), 2)}
    assert one == two
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_reported_with_its_seed_and_the_others_go_on():
    running = spread(range(8), (4,), 2)
    found = [next(running)]
    victim = multiprocessing.active_children()[0]
    os.kill(victim.pid, signal.SIGKILL)
    found += running
    lost = [each for each in found if isinstance(each, Lost)]
    assert [each.why for each in lost] == ["killed by SIGKILL"]
    played = [each.outcome.seed for each in found if not isinstance(each, Lost)]
    assert sorted([*played, lost[0].seed]) == list(range(8))


def test_who_stops_listening_leaves_no_process_behind():
    running = spread(range(1000), (4,), 2)
    next(running)
    assert len(multiprocessing.active_children()) == 2
    running.close()
    assert not multiprocessing.active_children()
