"""Whole clusters under seeded faults. A failing seed goes into seeds.txt with its reason, and stays."""

from pathlib import Path

import pytest

from consensus.simulation import NetworkFaults, Plan, Prng, simulate, swarm
from consensus.simulation.byzantine import BEHAVIOURS

SEEDS = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
KNOWN = [int(line.split()[0]) for line in SEEDS if not line.startswith("#")]


@pytest.mark.parametrize("seed", KNOWN)
def test_a_seed_that_once_failed_holds(seed):
    simulate(swarm(seed))


@pytest.mark.parametrize("first", range(100_000, 100_080, 10))
def test_a_swarm_of_faults_forks_nothing_and_loses_nothing(first):
    for seed in range(first, first + 10):
        simulate(swarm(seed))


def test_the_same_seed_gives_the_same_run_to_the_last_action():
    plan = swarm(5)
    assert simulate(plan).fingerprint == simulate(plan).fingerprint


def test_another_seed_gives_another_run():
    assert simulate(Plan(seed=1)).fingerprint != simulate(Plan(seed=2)).fingerprint


def test_a_calm_cluster_stays_in_its_first_view():
    cluster = simulate(Plan(seed=3))
    assert {node.replica.view for node in cluster.nodes} == {0}
    assert not cluster.evidence


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("member", [0, 1])
def test_one_faulty_of_four_stops_nothing(behaviour, member):
    simulate(Plan(seed=7 + member, byzantine=((member, behaviour),)))


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_three_faulty_of_ten_stop_nothing(behaviour):
    simulate(Plan(seed=11, members=10, byzantine=((0, behaviour), (1, "mute"), (2, behaviour)), transactions=10))


def test_an_equivocating_primary_is_left_and_leaves_evidence():
    cluster = simulate(Plan(seed=4, byzantine=((0, "equivocate"),)))
    assert cluster.nodes[1].replica.view > 0


def test_double_votes_leave_evidence_against_their_sender_only():
    cluster = simulate(Plan(seed=5, byzantine=((2, "double_vote"),)))
    assert cluster.evidence
    assert {member for _, _, member in cluster.evidence} == {2}


def test_a_faulty_member_may_hold_more_than_one_vote_as_long_as_it_is_below_a_third():
    simulate(Plan(seed=6, powers=(3, 3, 3, 2), byzantine=((0, "choosy"),)))


@pytest.mark.parametrize("seed", range(4))
def test_everybody_crashes_again_and_again(seed):
    simulate(Plan(seed=seed, crashes=40, network=NetworkFaults(loss_permille=50)))


@pytest.mark.parametrize("seed", range(4))
def test_a_third_of_all_messages_lost_half_repeated(seed):
    simulate(Plan(seed=seed, network=NetworkFaults(loss_permille=300, duplicate_permille=500, delay_max_ms=100)))


@pytest.mark.parametrize("seed", range(6))
def test_a_member_that_keeps_losing_its_journal_forks_nothing(seed):
    simulate(Plan(seed=seed, forgetful=(seed % 4,), crashes=30, network=NetworkFaults(loss_permille=50)))


def test_memory_stays_within_the_window():
    cluster = simulate(Plan(seed=8, byzantine=((1, "impatient"),), transactions=60, window=2))
    for node in cluster.correct:
        core = node.replica._core
        assert len(core.slots) <= 6
        assert len(core.checkpoints) <= 4
        assert len(core.view_changes) <= 4
        assert len(core.suspects) <= 4


def test_the_generator_is_splitmix64():
    # First outputs for seed 1234567 (Steele, Lea and Flood; the reference of the Java library).
    prng = Prng(1234567)
    assert [prng.next() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
