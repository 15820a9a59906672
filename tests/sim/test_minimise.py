"""A failing plan gets as small as it can while it still fails in the same way; and never past the fault bound."""

import msgspec

from consensus import committee
from consensus.simulation.campaign import plan_of, play
from consensus.simulation.minimise import minimise, simpler, weight
from consensus.simulation.plan import Disturbance, NetworkFaults, Plan

BUSY = Plan(
    seed=7,
    members=10,
    powers=(1,) * 10,
    byzantine=((1, "mute"), (5, "equivocate")),
    skewed=((8, 700),),
    network=NetworkFaults(loss_permille=100, duplicate_permille=50, delay_max_ms=400),
    disturbances=tuple(Disturbance(at_ms=at * 500, kind="crash", members=(at % 10,), for_ms=900) for at in range(16)),
    transactions=200,
    window=8,
)


def always():
    return True


def test_everything_goes_that_the_violation_does_not_need():
    culprit = Disturbance(at_ms=1500, kind="crash", members=(3,), for_ms=900)

    def fails(plan):
        return "fork" if culprit in plan.disturbances and plan.network.loss_permille >= 30 else ""

    found = minimise(BUSY, "fork", fails, always)
    assert found.complete
    loss = found.plan.network.loss_permille
    assert 30 <= loss <= 30 * 8 // 7  # to the last eighth
    assert found.plan == Plan(
        seed=7,
        powers=(1,) * 4,
        network=NetworkFaults(loss_permille=loss),
        disturbances=(culprit,),
        transactions=1,
        window=1,
        heal_ms=1000,
    )


def test_two_faults_that_only_fail_together_both_stay():
    one, other = BUSY.disturbances[2], BUSY.disturbances[13]

    def fails(plan):
        return "fork" if one in plan.disturbances and other in plan.disturbances else ""

    assert minimise(BUSY, "fork", fails, always).plan.disturbances == (one, other)


def test_of_two_behaviours_the_guilty_one_stays():
    plan = msgspec.structs.replace(BUSY, byzantine=((1, "mute+equivocate"),), disturbances=())

    def fails(candidate):
        return "fork" if any("equivocate" in how for _, how in candidate.byzantine) else ""

    assert minimise(plan, "fork", fails, always).plan.byzantine == ((1, "equivocate"),)


def test_another_kind_of_violation_is_another_story():
    def fails(plan):
        return "fork" if plan.transactions > 100 else "stall"

    assert minimise(BUSY, "fork", fails, always).plan.transactions in range(101, 101 * 8 // 7)


def test_a_plan_that_needs_everything_stays_as_it_is():
    found = minimise(BUSY, "fork", lambda plan: "fork" if plan == BUSY else "", always)
    assert found.plan == BUSY
    assert found.complete
    assert found.runs == len({plan.encode() for plan in simpler(BUSY)})


def test_time_runs_out_and_what_was_found_by_then_counts():
    left = iter([True] * 5)
    found = minimise(BUSY, "fork", lambda plan: "fork", lambda: next(left, False))
    assert (found.runs, found.complete) == (5, False)
    assert weight(found.plan) < weight(BUSY)


def test_no_run_is_made_twice():
    seen = []

    def fails(plan):
        seen.append(plan.encode())
        return "fork" if plan.transactions >= 17 and len(plan.disturbances) >= 3 else ""

    found = minimise(BUSY, "fork", fails, always)
    assert len(seen) == len(set(seen)) == found.runs


def test_every_step_is_lighter_and_can_be_read_back():
    for plan in simpler(BUSY):
        assert weight(plan) < weight(BUSY)
        assert Plan.decode(plan.encode()) == plan


def test_a_smaller_network_never_has_more_faulty_members_than_it_bears():
    two_of_four = msgspec.structs.replace(BUSY, byzantine=((1, "mute"), (2, "mute")))
    assert {plan.members for plan in simpler(two_of_four)} == {7, 10}
    assert {plan.members for plan in simpler(BUSY)} == {4, 7, 10}


def test_a_real_violation_becomes_a_small_one(monkeypatch):
    monkeypatch.setattr(committee, "quorum_power", lambda total: (total - 1) // 3 + 1)
    found = next(each for each in map(play, map(plan_of, range(200))) if each.kind)
    plan = plan_of(found.seed)
    left = iter([True] * 60)
    smaller = minimise(plan, found.kind, lambda candidate: play(candidate).kind, lambda: next(left, False))
    assert weight(smaller.plan) < weight(plan)
    again = play(Plan.decode(smaller.plan.encode()))
    assert again.kind == found.kind
    assert again == play(smaller.plan)
