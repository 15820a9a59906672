"""CHECKPOINTs become seals; a replica that executed something else stops."""

import pytest

from consensus.actions import Broadcast, Evidence, Halt, Persist, Sealed
from consensus.events import Executed
from consensus.messages import CHECKPOINT

NOW = 1_700_000_000_000
OTHER = b"\xee" * 32


@pytest.fixture
def executed(bench):
    """A replica that has delivered and executed height 1."""
    replica = bench.replica(1)
    bench.commit_block(replica, bench.batch())
    return replica


def header(bench, height=1):
    return bench.seal(height).header_hash


def test_the_header_is_durable_before_the_checkpoint_leaves(bench, executed):
    out = executed.step(Executed(1, header(bench), NOW))
    assert [type(action) for action in out] == [Persist, Broadcast]
    assert out[1].data == bench.checkpoint(1, 1).encode()


def test_a_quorum_of_checkpoints_seals(bench, executed, said):
    executed.step(Executed(1, header(bench), NOW))
    assert bench.hear(executed, bench.checkpoint(0, 1)) == []
    out = bench.hear(executed, bench.checkpoint(3, 1))
    assert said(out).of(Sealed) == [Sealed(1, header(bench), bench.seal(1, members=(0, 1, 3)))]
    assert executed.sealed_height == 1


def test_checkpoints_may_come_before_its_own_execution(bench, executed, said):
    bench.hear(executed, *[bench.checkpoint(sender, 1) for sender in (0, 2, 3)])
    assert executed.sealed_height == 0
    out = executed.step(Executed(1, header(bench), NOW))
    assert said(out).of(Sealed)
    assert said(out).kinds() == []  # nobody needs its vote any more


def test_headers_are_sealed_in_height_order(bench, said):
    replica = bench.replica(1)
    for height in (1, 2):
        bench.commit_block(replica, bench.batch(height, names=(str(height),)))
    assert said(bench.seal_block(replica, 2)).of(Sealed) == []
    assert [action.height for action in said(bench.seal_block(replica, 1)).of(Sealed)] == [1, 2]


@pytest.mark.parametrize("height", [1, 2])
def test_a_sealed_header_other_than_its_own_stops_it_for_good(bench, said, height):
    replica = bench.replica(1)
    for each in (1, 2):
        bench.commit_block(replica, bench.batch(each, names=(str(each),)))
        replica.step(Executed(each, OTHER, NOW))
    out = bench.hear(replica, *[bench.checkpoint(sender, height) for sender in (0, 2, 3)])
    assert f"diverged at height {height}" in said(out).of(Halt)[0].diagnosis
    assert replica.halted
    assert bench.hear(replica, bench.pre_prepare(bench.batch(3, names=("x",)))) == []


def test_the_diagnosis_survives_a_restart(bench, executed, said):
    out = executed.step(Executed(1, OTHER, NOW))
    out += bench.hear(executed, *[bench.checkpoint(sender, 1) for sender in (0, 2, 3)])
    journal = [action.record for action in said(out).of(Persist)]
    from consensus.events import Start

    again = bench.replica(1, journal=journal, start=False)
    assert [type(action) for action in again.step(Start(NOW))] == [Halt]


def test_when_no_header_can_reach_a_quorum_everybody_stops(bench, executed, said):
    executed.step(Executed(1, header(bench), NOW))
    assert said(bench.hear(executed, bench.checkpoint(0, 1), bench.checkpoint(2, 1, OTHER))).of(Halt) == []
    out = bench.hear(executed, bench.checkpoint(3, 1, OTHER))
    assert "no header can be sealed at height 1" in said(out).of(Halt)[0].diagnosis


def test_one_faulty_header_stops_nobody(bench, executed, said):
    executed.step(Executed(1, header(bench), NOW))
    out = bench.hear(executed, bench.checkpoint(0, 1, OTHER), bench.checkpoint(2, 1), bench.checkpoint(3, 1))
    assert said(out).of(Halt) == []
    assert executed.sealed_height == 1


def test_two_headers_from_one_member_are_evidence(bench, executed, said):
    out = bench.hear(executed, bench.checkpoint(0, 1), bench.checkpoint(0, 1, OTHER), bench.checkpoint(0, 1, OTHER))
    assert [(each.kind, each.member) for each in said(out).of(Evidence)] == [(CHECKPOINT, 0)]


@pytest.mark.parametrize("height", [0, 9])
def test_checkpoints_outside_of_two_windows_are_not_stored(bench, height):
    replica = bench.replica(1)
    bench.hear(replica, bench.checkpoint(0, height))
    assert replica.refused == {"height_out_of_range": 1}


def test_the_seal_never_goes_back(bench, executed):
    bench.seal_block(executed, 1)
    bench.hear(executed, *[bench.checkpoint(sender, 1) for sender in (0, 2, 3)])
    assert executed.sealed_height == 1


def test_execution_reported_twice_or_of_what_was_not_delivered_is_nothing(bench, executed):
    executed.step(Executed(1, header(bench), NOW))
    assert executed.step(Executed(1, OTHER, NOW)) == []
    assert executed.step(Executed(2, OTHER, NOW)) == []
