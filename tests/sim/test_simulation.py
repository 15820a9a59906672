"""Whole clusters under seeded faults. A failing run goes into seeds.txt with its reason, and stays."""

from pathlib import Path

import pytest

from consensus.simulation import Disturbance, NetworkFaults, Plan, Prng, Violation, simulate, swarm
from consensus.simulation.byzantine import BEHAVIOURS
from consensus.simulation.cluster import Cluster
from consensus.simulation.node import Node

LINES = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
KNOWN = [Plan.decode(line.split(" ", 1)[0]) for line in LINES if not line.startswith("#")]
LOSSY = NetworkFaults(loss_permille=50)


@pytest.mark.parametrize("plan", KNOWN, ids=lambda plan: str(plan.seed))
def test_a_run_that_once_failed_holds(plan):
    simulate(plan)


def test_every_run_that_once_failed_says_why():
    assert all(len(line.split(" ", 1)[1]) > 10 for line in LINES if not line.startswith("#"))


@pytest.mark.parametrize("first", range(100_000, 100_050, 10))
def test_a_swarm_of_faults_forks_nothing_and_loses_nothing(first):
    for seed in range(first, first + 10):
        simulate(swarm(seed))


def test_the_same_plan_gives_the_same_run_to_the_last_action():
    plan = swarm(5)
    assert simulate(plan).fingerprint == simulate(plan).fingerprint


def test_another_seed_gives_another_run():
    assert simulate(Plan(seed=1)).fingerprint != simulate(Plan(seed=2)).fingerprint


# ── without faults ────────────────────────────────────────────────────────────────────────────────


def test_a_calm_cluster_stays_in_its_first_view():
    cluster = simulate(Plan(seed=3))
    assert {node.replica.view for node in cluster.nodes} == {0}
    assert not cluster.evidence
    assert cluster.recovery_ms < 100
    assert cluster.patience_ms == 1000


def test_every_transaction_is_acknowledged_and_run_once_everywhere():
    cluster = simulate(Plan(seed=4))
    assert len(cluster.submitted) == 21  # 20 under faults, and one when the cluster heals
    runs = [[each for block in node.disk.blocks.values() for each in block.fresh] for node in cluster.nodes]
    assert all(sorted(each) == sorted(cluster.submitted) for each in runs)
    assert set(cluster.durability.acknowledged) == set(cluster.nodes[0].disk.blocks)


# ── Byzantine members ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("member", [0, 1])
def test_one_faulty_of_four_stops_nothing(behaviour, member):
    simulate(Plan(seed=7 + member, byzantine=((member, behaviour),)))


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_three_that_collude_of_ten_stop_nothing(behaviour):
    liars = ((0, behaviour), (1, "mute"), (2, behaviour))
    simulate(Plan(seed=11, members=10, byzantine=liars, collude=True, transactions=6, heal_ms=5000))


@pytest.mark.parametrize("behaviour", ["show_forged", "uneven_new_view", "wrong_proposals", "old_seal", "mutate"])
@pytest.mark.parametrize("seed", range(3))
def test_lies_in_view_changes_stop_nothing(behaviour, seed):
    liars = ((1, f"{behaviour}+equivocate"),)
    simulate(Plan(seed=seed, byzantine=liars, partitions=6, network=NetworkFaults(loss_permille=150, delay_max_ms=300)))


def test_an_equivocating_primary_is_left_and_leaves_evidence():
    cluster = simulate(Plan(seed=4, byzantine=((0, "equivocate"),)))
    assert cluster.nodes[1].replica.view > 0


def test_double_votes_leave_evidence_against_their_sender_only():
    cluster = simulate(Plan(seed=5, byzantine=((2, "double_vote"),)))
    assert cluster.evidence
    assert {member for _, _, member in cluster.evidence} == {2}


def test_twins_with_one_key_are_found_out_and_stop_nothing():
    cluster = simulate(Plan(seed=6, twins=(1,)))
    assert len(cluster.processes) == 5
    assert {member for _, _, member in cluster.evidence} <= {1}


def test_a_censored_client_is_served():
    cluster = simulate(Plan(seed=9, byzantine=((0, "censor"),), transactions=40))
    censored = {each for each in cluster.submitted if each[0] < 64}
    assert censored
    assert censored <= cluster.nodes[1].disk.done


def test_a_faulty_member_may_hold_more_than_one_vote_as_long_as_it_is_below_a_third():
    simulate(Plan(seed=6, powers=(3, 3, 3, 2), byzantine=((0, "choosy"),)))


def test_a_behaviour_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="no such behaviour: polite"):
        simulate(Plan(seed=1, byzantine=((0, "polite"),)))


# ── crashes and disks ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
def test_everybody_crashes_again_and_again(seed):
    simulate(Plan(seed=seed, crashes=40, network=LOSSY))


@pytest.mark.parametrize("action", range(1, 60, 3))
def test_a_member_dies_right_before_any_action(action):
    crash = Disturbance(1000, "crash-at", (action % 4,), for_ms=200, amount=action)
    simulate(Plan(seed=action, disturbances=(crash,), transactions=10, heal_ms=4000))


@pytest.mark.parametrize("seed", range(3))
def test_the_power_fails_everywhere_at_once_again_and_again(seed):
    cuts = tuple(Disturbance(at_ms, "power-cut", for_ms=300) for at_ms in range(500, 9500, 700))
    simulate(Plan(seed=seed, disturbances=cuts, transactions=60))


def test_a_disk_that_fails_ends_its_process_and_nothing_else():
    cluster = simulate(Plan(seed=1, disturbances=(Disturbance(2000, "disk-fails", (0,), for_ms=3000),)))
    assert [node.life > 2 for node in cluster.nodes] == [True, False, False, False]


def test_a_slow_disk_holds_up_nobody_for_long():
    slow = Disturbance(0, "slow-disk", (2,), for_ms=10_000, amount=2000)
    cluster = simulate(Plan(seed=2, disturbances=(slow,)))
    assert cluster.recovery_ms <= 2 * cluster.patience_ms


@pytest.mark.parametrize("seed", range(6))
def test_a_member_that_keeps_losing_its_journal_forks_nothing(seed):
    simulate(Plan(seed=seed, forgetful=(seed % 4,), crashes=30, network=LOSSY))


@pytest.mark.parametrize("seed", range(6))
def test_a_member_that_gets_older_copies_back_forks_nothing(seed):
    simulate(Plan(seed=seed, restored=(seed % 4,), crashes=30, network=LOSSY, snapshot_permille=600))


@pytest.mark.parametrize("how", ["forgetful", "restored"])
@pytest.mark.parametrize("seed", range(5))
def test_a_member_whose_journal_is_lost_or_older_says_nothing_twice(monkeypatch, how, seed):
    """It counts as faulty, so the campaign forgives it; alone among correct members it needs no forgiving (P6.5)."""
    monkeypatch.setattr(Node, "judged", property(lambda node: node.honest))
    simulate(Plan(seed=seed, crashes=25, network=LOSSY, snapshot_permille=600, **{how: (1,)}))


@pytest.mark.parametrize("seed", range(3))
def test_a_member_that_executes_otherwise_halts_for_good_and_alone(seed):
    cluster = simulate(Plan(seed=seed, diverges=((2, 5),), crashes=8))
    assert [bool(node.halted) for node in cluster.nodes] == [False, False, True, False]
    assert cluster.nodes[2].halted.startswith("diverged at height")
    assert cluster.nodes[2].disk.sealed_height < 5  # nobody sealed what it made of height 5


# ── slow, frozen, and out of time ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("member", [0, 3])
def test_a_frozen_member_catches_up_when_it_goes_on(member):
    frozen = Disturbance(1000, "freeze", (member,), for_ms=8000)
    cluster = simulate(Plan(seed=3, disturbances=(frozen,), transactions=40))
    assert len({node.replica.sealed_height for node in cluster.nodes}) == 1


def test_a_frozen_members_messages_pile_up_to_a_limit():
    cluster = Cluster(Plan(seed=1))
    node = cluster.nodes[0]
    node.start()
    node.freeze()
    for _ in range(1000):
        node.receive(1, b"x")
    assert len(node.attention.waiting) == 128


@pytest.mark.parametrize("skew_ms", [40_000, -40_000, 86_400_000, -86_400_000])
@pytest.mark.parametrize("member", [0, 2])
def test_one_wrong_clock_stops_nothing(skew_ms, member):
    cluster = simulate(Plan(seed=4, skewed=((member, skew_ms),)))
    times = [block.header.time_ms for _, block in sorted(cluster.nodes[1].disk.blocks.items())]
    assert times == sorted(times)
    assert max(times) <= cluster.clock_ms + 1000  # nobody's clock carries the block time away


def test_clocks_that_step_back_and_forth_stop_nothing():
    steps = tuple(
        Disturbance(at_ms, "clock", (at_ms // 500 % 4,), 400, sign * 40_000)
        for at_ms, sign in zip(range(500, 9500, 500), [1, -1] * 9, strict=True)
    )
    simulate(Plan(seed=5, disturbances=steps))


# ── the network ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
def test_a_third_of_all_messages_lost_half_repeated(seed):
    simulate(Plan(seed=seed, network=NetworkFaults(loss_permille=300, duplicate_permille=500, delay_max_ms=100)))


@pytest.mark.parametrize("kind", ["partition", "deaf", "dumb", "clog", "slow-node"])
@pytest.mark.parametrize("member", [0, 1])
def test_one_member_that_is_hard_to_reach_stops_nothing(kind, member):
    cluster = simulate(Plan(seed=6, disturbances=(Disturbance(1000, kind, (member,), 8000, 20),)))
    blocks = cluster.nodes[2].disk.blocks.values()
    assert sum(len(block.fresh) for block in blocks) == 21


def test_one_deaf_member_does_not_keep_the_others_from_committing():
    cluster = Cluster(Plan(seed=6, disturbances=(Disturbance(0, "deaf", (3,), 10_000),)))
    heights = []
    cluster.at(9_900, lambda: heights.extend(node.replica.sealed_height for node in cluster.nodes))
    cluster.run()
    assert min(heights[:3]) > 5
    assert heights[3] == 0


def test_a_ring_where_everybody_sees_two_of_three_others_goes_on():
    """Non-transitive (scenario 97): every quorum lacks a link, so the safety is what counts; it heals at once."""
    cluster = simulate(Plan(seed=7, disturbances=(Disturbance(500, "ring", for_ms=9000, amount=1),)))
    assert cluster.recovery_ms <= 2 * cluster.patience_ms


def test_a_disturbance_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="no such disturbance: meteor"):
        simulate(Plan(seed=1, disturbances=(Disturbance(10, "meteor"),)))


# ── liveness ──────────────────────────────────────────────────────────────────────────────────────


def test_the_recovery_is_measured_from_healing_to_the_first_commit():
    split = Disturbance(1000, "partition", (0, 1), 9000)
    cluster = simulate(Plan(seed=8, disturbances=(split,)))
    assert 0 < cluster.recovery_ms <= 2 * cluster.patience_ms
    assert cluster.patience_ms in (1000, 2000, 4000, 8000)


def test_a_cluster_that_does_not_recover_is_found(monkeypatch):
    monkeypatch.setattr("consensus.status.tick", lambda _: None)  # nobody sends again what was lost
    split = Disturbance(1000, "partition", (0, 1), 9000)
    with pytest.raises(Violation, match=r"no commit within \d+ ms after healing"):
        simulate(Plan(seed=8, disturbances=(split,)))


def test_the_generator_is_splitmix64():
    # First outputs for seed 1234567 (Steele, Lea and Flood; the reference of the Java library).
    prng = Prng(1234567)
    assert [prng.next() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
