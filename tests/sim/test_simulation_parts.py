"""The simulator's own parts: plans, disks that tear, links that go one way, mutations, and what the swarm draws."""

from itertools import pairwise

import msgspec
import pytest

from consensus.messages import BODIES, Suspect, Vote
from consensus.recovery import Anchor
from consensus.simulation import Disturbance, NetworkFaults, Plan, Prng, Violation, simulate, swarm
from consensus.simulation.bounds import deep_excess, excess
from consensus.simulation.byzantine import BEHAVIOURS
from consensus.simulation.checkers import AgreementChecker, DurabilityChecker
from consensus.simulation.cluster import Cluster
from consensus.simulation.disk import Disk
from consensus.simulation.disturbances import KINDS, LINKS
from consensus.simulation.links import Links
from consensus.simulation.mutation import changed_at, paths
from consensus.simulation.prng import stream
from consensus.slot import Slot

SWARM = [swarm(seed) for seed in range(1500)]


# ── plans ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_the_same_after_its_json(seed):
    plan = swarm(seed)
    assert Plan.decode(plan.encode()) == plan
    assert "\n" not in plan.encode()
    assert " " not in plan.encode()  # so that a reason may follow it


def test_a_plan_with_a_field_that_nobody_knows_is_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field `luck`"):
        Plan.decode('{"seed":1,"luck":2}')


def test_a_swarm_never_has_more_faulty_power_than_the_protocol_bears():
    for plan in SWARM:
        powers = plan.powers or (1,) * plan.members
        faulty = [member for member, _ in (*plan.byzantine, *plan.skewed, *plan.diverges)]
        faulty += [*plan.twins, *plan.forgetful, *plan.restored]
        assert len(faulty) == len(set(faulty))
        assert 3 * sum(powers[member] for member in faulty) < sum(powers)


def test_a_swarm_has_every_size_behaviour_and_disturbance_and_thirty_seconds_of_them():
    assert {plan.members for plan in SWARM} == {4, 7, 10}
    assert {plan.window for plan in SWARM} == {1, 2, 4, 8}
    assert all(plan.heal_ms >= 30_000 for plan in SWARM)
    assert {name for plan in SWARM for _, how in plan.byzantine for name in how.split("+")} == set(BEHAVIOURS)
    assert {what.kind for plan in SWARM for what in plan.disturbances} == set(KINDS)
    for name in ("twins", "forgetful", "restored", "skewed", "diverges", "powers", "collude"):
        assert any(getattr(plan, name) for plan in SWARM), name


def test_a_swarm_of_one_size():
    assert {swarm(seed, 7).members for seed in range(50)} == {7}
    assert swarm(3, 7) == swarm(3, 7)


def test_streams_of_chance_are_apart():
    assert stream(1, "crashes").next() != stream(1, "partitions").next()
    assert stream(1, "crashes").next() == stream(1, "crashes").next()


# ── disks ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_crash_loses_any_part_of_what_was_not_flushed_and_nothing_else():
    flushed = [*Disk().journal, b"one", b"two"]
    lost = [b"three", b"four" * 100]
    outcomes = set()
    for seed in range(200):
        disk = Disk()
        disk.journal, disk.written = list(flushed), list(lost)
        survived = disk.tear(Prng(seed))
        assert disk.journal == flushed + survived
        assert survived == lost[: len(survived)]
        outcomes.add(len(survived))
    assert outcomes == {0, 1, 2}


def test_what_was_flushed_outlives_a_crash():
    disk = Disk()
    disk.written = [b"one"]
    assert disk.flush() == [b"one"]
    assert disk.tear(Prng(1)) == []
    assert disk.journal == [Anchor(0).encode(), b"one"]


def test_a_backup_brings_back_what_was_once_there():
    disk = Disk()
    disk.back_up()
    disk.journal = [b"later"]
    which = disk.restore(Prng(3))
    assert which in ("journal", "journal and store")
    assert disk.journal == [Anchor(0).encode()]


def test_without_a_backup_nothing_is_restored():
    disk = Disk()
    assert disk.restore(Prng(1)) == ""


# ── links ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_cut_is_one_way_and_ends():
    links = Links(1, 4, NetworkFaults())
    links.cut(7, {(0, 1)})
    assert (links.linked(0, 1), links.linked(1, 0)) == (False, True)
    assert links.delays(0, 0, 1) == ()
    links.mend(7)
    assert links.linked(0, 1)


def test_two_cuts_of_one_link_end_with_the_second():
    links = Links(1, 4, NetworkFaults())
    links.cut(1, {(0, 1)})
    links.cut(2, {(0, 1)})
    links.mend(1)
    assert not links.linked(0, 1)
    links.mend(2)
    assert links.linked(0, 1)


def test_a_clogged_link_loses_nothing_and_holds_everything_back():
    links = Links(1, 4, NetworkFaults(delay_max_ms=10))
    links.clog(2, until_ms=5000)
    assert all(5000 < 1000 + links.delays(1000, 2, 3)[0] <= 5010 for _ in range(20))
    assert links.delays(1000, 0, 1)[0] <= 10


@pytest.mark.parametrize(("permille", "expected"), [(0, 0), (300, 300), (1000, 1000)])
def test_as_many_messages_are_lost_as_the_plan_says(permille, expected):
    links = Links(1, 4, NetworkFaults(loss_permille=permille))
    lost = sum(links.delays(0, 0, 1) == () for _ in range(1000))
    assert abs(lost - expected) < 60


def test_a_healed_network_loses_nothing():
    links = Links(1, 4, NetworkFaults(loss_permille=1000, duplicate_permille=1000))
    links.cut(1, {(0, 1)})
    links.heal()
    assert all(len(links.delays(0, 0, 1)) == 1 for _ in range(100))


def test_messages_overtake_each_other():
    links = Links(1, 4, NetworkFaults(delay_max_ms=100))
    arrivals = [at_ms + links.delays(at_ms, 0, 1)[0] for at_ms in range(100)]
    assert any(later < earlier for earlier, later in pairwise(arrivals))


def test_a_ring_is_not_transitive():
    cut = LINKS["ring"](4, Disturbance(0, "ring", amount=1))
    assert cut == {(0, 2), (2, 0), (1, 3), (3, 1)}


# ── mutations ─────────────────────────────────────────────────────────────────────────────────────


def test_any_one_field_of_a_vote_can_be_bent():
    vote = Vote(0, 1, 2, 3, bytes(32))
    places = paths(vote)
    assert [place[0] for place in places] == ["epoch", "view", "height", "sender", "digest"]
    for place in places:
        bent = changed_at(Prng(4), vote, place)
        changed = [name for name in Vote.__struct_fields__ if getattr(bent, name) != getattr(vote, name)]
        assert changed in ([], [place[0]])  # a zero made zero is no change


def test_every_message_kind_is_made_of_places_that_a_mutation_reaches():
    for kind, shape in BODIES.items():
        assert set(shape.__struct_fields__), kind
    seen = {place[-1] for place in paths(Suspect(0, 1, 2, 3))}
    assert seen == {"epoch", "view", "height", "sender"}


# ── judges ────────────────────────────────────────────────────────────────────────────────────────


def test_a_replica_that_hoards_slots_is_found():
    cluster = simulate(Plan(seed=1, transactions=5, heal_ms=2000))
    core = cluster.nodes[0].replica._core
    assert excess(core, 4, 4) == deep_excess(core, 4, 4) == ""
    for height in range(1000, 1020):
        core.slots[height] = Slot(height)
    assert "slots above what is delivered: 20, at most 12" in excess(core, 4, 4)


def test_a_replica_that_hoards_votes_is_found():
    cluster = simulate(Plan(seed=1, transactions=5, heal_ms=2000))
    core = cluster.nodes[0].replica._core
    votes = core.slot(core.sealed_height + 1).round(0).prepares
    for member in range(5):
        votes.add(member, b"d", b"s", 1)
    assert "PREPAREs at height" in deep_excess(core, 4, 4)


def test_a_lost_acknowledgement_is_found():
    durability = DurabilityChecker((1, 1, 1, 1))
    durability.on_sealed(0, 1, b"h")
    durability.judge(2, {})  # one reply acknowledges nothing
    durability.on_sealed(1, 1, b"h")
    durability.judge(2, {1: b"h"})
    with pytest.raises(Violation, match="height 1: clients were told that it is sealed, member 2 does not hold it"):
        durability.judge(2, {})


def test_a_made_up_transaction_is_found(monkeypatch):
    monkeypatch.setattr(AgreementChecker, "on_submitted", lambda *_: None)
    with pytest.raises(Violation, match="delivered what nobody submitted"):
        simulate(Plan(seed=1))


def test_an_exception_out_of_step_is_found(monkeypatch):
    def stumble(_core, event):
        raise ZeroDivisionError(f"at height {event.height}")

    monkeypatch.setattr("consensus.sealing.on_executed", lambda core, *_: stumble(core, core.seal))
    with pytest.raises(Violation, match="AttributeError left step"):
        simulate(Plan(seed=1))


def test_evidence_against_a_correct_member_is_found():
    cluster = Cluster(Plan(seed=1, byzantine=((3, "mute"),)))
    cluster.on_evidence(0, "prepare", 3)
    with pytest.raises(Violation, match="evidence of prepare against 1, which is correct"):
        cluster.on_evidence(0, "prepare", 1)
