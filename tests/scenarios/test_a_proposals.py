"""What a primary may not propose, and in which order heights come. Scenarios 12, 18, 20."""

import pytest

from consensus.messages import COMMIT, MESSAGE_BYTES_MAX, PRE_PREPARE, PREPARE, SUSPECT, VIEW_CHANGE

BACKUPS = (1, 2, 3)
CLOCK_DRIFT_MS = 30_000


def commit_with(stage, batch):
    """Member 0, faulty or not, has a batch committed by the letter of the protocol."""
    forge = stage.forge
    stage.hear(BACKUPS, forge.pre_prepare(batch), forge.prepare(0, batch), forge.commit(0, batch))
    stage.settle()


# ── 12: again what was decided ────────────────────────────────────────────────────────────────────


def test_12_a_decided_batch_at_a_new_height_runs_nothing_twice(make_stage, named):
    """The primary proposes at height 2 what ran at height 1. Backups do not judge by executed state (P3.3), so it may
    be ordered; but nothing in it runs again (I3), and all headers agree. BFT-SMaRt issue 40."""
    stage = make_stage(byzantine={0})
    commit_with(stage, stage.forge.batch(1, ("a",)))
    assert stage.heights("sealed_height") == [1, 1, 1]
    commit_with(stage, stage.forge.batch(2, ("a",)))
    assert stage.heights("sealed_height") == [2, 2, 2]
    assert [stage.transactions(member) for member in BACKUPS] == [[named("a")]] * 3
    assert len({stage.disk[member].blocks[2][0].hash for member in BACKUPS}) == 1


def test_12_not_even_while_the_first_is_in_flight(make_stage, named):
    """A hash that stands in a lower height that is not sealed: no PREPARE until it is sealed, for what did not fit
    there may come again (P3.3)."""
    stage = make_stage(byzantine={0})
    stage.slow_execution.update(BACKUPS)
    commit_with(stage, stage.forge.batch(1, ("a",)))
    commit_with(stage, stage.forge.batch(2, ("a",)))
    assert stage.heights() == [1, 1, 1]
    assert all(vote.height == 1 for member in BACKUPS for vote in stage.said(member, PREPARE))
    stage.slow_execution.clear()
    stage.execute(*BACKUPS)
    stage.run(2000)
    assert [stage.transactions(member) for member in BACKUPS] == [[named("a")]] * 3


def test_12_the_very_same_message_again_is_history(make_stage):
    """The PRE-PREPARE of a sealed height, recorded and sent again; or its batch under a new height's vote."""
    stage = make_stage(byzantine={0})
    batch = stage.forge.batch(1, ("a",))
    commit_with(stage, batch)
    sent, before = len(stage.sent), dict(stage.replicas[1].refused)
    stage.hear(1, stage.forge.pre_prepare(batch), stage.forge.pre_prepare(batch, height=2))
    late = before.get("height_out_of_range", 0)
    assert stage.replicas[1].refused == before | {"height_out_of_range": late + 1, "wrong_batches": 1}
    assert len(stage.sent) == sent


# ── 18: improper proposals ────────────────────────────────────────────────────────────────────────


def refused_by_all(stage, batch, *, at_once):
    """No correct member PREPAREs it; the view is left, at once or when patience ends; the next primary goes on."""
    stage.hear(BACKUPS, stage.forge.pre_prepare(batch))
    assert [stage.said(member, PREPARE) for member in BACKUPS] == [[]] * 3
    assert all(bool(stage.said(member, SUSPECT)) == at_once for member in BACKUPS)
    stage.submit("good")
    stage.run_until(lambda: stage.has("good"))
    assert stage.now <= (0 if at_once else 1500)
    assert stage.views() == [1, 1, 1]
    assert all(batch.digest not in stage.chain(member).values() for member in BACKUPS)


def test_18_invalid_transactions_are_the_primarys_fault(make_stage, named):
    """A body that no member finds valid: no PREPARE, SUSPECT at once (P3.4)."""
    stage = make_stage(byzantine={0})
    stage.refused_bodies.add(named("bad"))
    refused_by_all(stage, stage.forge.batch(1, ("bad",)), at_once=True)


@pytest.mark.parametrize("names", [(), ("a", "a"), ("a", "b")], ids=["empty", "repeating", "oversized"])
def test_18_so_is_a_batch_of_a_wrong_shape(make_stage, names):
    """Empty, one hash twice, or more transactions than a block may hold, here one (P3.2).

    CometBFT, TestRejectOversizedProposals.
    """
    stage = make_stage(byzantine={0})
    refused_by_all(stage, stage.forge.batch(1, names), at_once=True)


@pytest.mark.parametrize("skew_ms", [-CLOCK_DRIFT_MS - 1, CLOCK_DRIFT_MS + 1, 86_400_000])
def test_18_a_wrong_time_is_prepared_by_nobody(make_stage, skew_ms):
    """A batch whose time is further from a backup's clock than the parameters allow: it keeps silent (P3.3), for its
    own clock may be the wrong one. If all keep silent, patience ends."""
    stage = make_stage(byzantine={0})
    batch = stage.forge.batch(1, ("a",), time_ms=stage.clock_ms(1) + skew_ms)
    refused_by_all(stage, batch, at_once=False)


@pytest.mark.parametrize("skew_ms", [-CLOCK_DRIFT_MS, CLOCK_DRIFT_MS])
def test_18_a_time_within_the_bound_is_committed(make_stage, skew_ms):
    """The valid twin."""
    stage = make_stage(byzantine={0})
    commit_with(stage, stage.forge.batch(1, ("a",), time_ms=stage.clock_ms(1) + skew_ms))
    assert stage.heights("sealed_height") == [1, 1, 1]
    assert stage.views() == [0, 0, 0]


def test_18_one_wrong_clock_of_four_stops_nothing(make_stage):
    """A correct member whose clock is a day off does not PREPARE, yet COMMITs what a quorum prepared (P3.5)."""
    stage = make_stage()
    stage.skew_ms[3] = 86_400_000
    stage.submit("a")
    stage.settle()
    assert stage.said(3, PREPARE) == []
    assert len(stage.said(3, COMMIT)) == 1
    assert stage.has("a")
    assert stage.views() == [0, 0, 0, 0]


def test_18_an_oversized_message_is_refused_before_it_is_read(stage):
    """More bytes than any message may have, whatever is in them: counted as too large, not as malformed (P2.6)."""
    stage.hear(1, bytes(MESSAGE_BYTES_MAX + 1), bytes(64))
    assert stage.replicas[1].refused == {"too_large": 1, "malformed": 1}
    stage.submit("a")
    stage.settle()
    assert stage.has("a")


# ── 20: heights out of order ──────────────────────────────────────────────────────────────────────


def of_height(*heights):
    return lambda packet: getattr(packet.body, "height", 0) in heights


def run_only(stage, *heights):
    while stage.deliver(kind=(PRE_PREPARE, PREPARE, COMMIT), where=of_height(*heights)):
        pass


@pytest.mark.parametrize("order", [(2, 3, 1), (3, 2, 1), (3, 1, 2), (2, 1, 3), (1, 3, 2)])
def test_20_heights_that_commit_out_of_order_are_executed_in_order(stage, order):
    """Three proposals in a row; their votes arrive height by height in another order. Delivery waits for the lowest;
    nothing is skipped (P3.7). SmartBFT, TestTwoPrePreparesInARow."""
    stage.submit("a", "b", "c")
    assert [vote.height for vote in stage.said(0, PRE_PREPARE)] == [1, 2, 3]
    stage.deliver(kind=PRE_PREPARE)
    done = set()
    for height in order:
        run_only(stage, height)
        done.add(height)
        ready = next(each for each in range(4) if each + 1 not in done)
        assert stage.heights() == [ready] * 4
    stage.settle()
    for member in range(4):
        assert [height for height, _ in stage.delivered(member)] == [1, 2, 3]
    assert stage.has("a", "b", "c")
    assert stage.views() == [0, 0, 0, 0]


def test_20_a_proposal_that_overtakes_its_predecessor_is_voted_for(stage):
    """Height 2's proposal arrives, height 1's does not: the backups PREPARE and COMMIT it, and wait with the rest.
    Height 1 is sent again once they say that they miss it (P7.2)."""
    stage.submit("a", "b")
    lost = stage.drop(kind=PRE_PREPARE, where=of_height(1))
    assert len(lost) == 3
    stage.settle()
    assert all([vote.height for vote in stage.said(member, COMMIT)] == [2] for member in BACKUPS)
    assert stage.heights() == [0, 0, 0, 0]
    stage.run_until(lambda: stage.has("a", "b"))
    assert stage.now < 1000
    assert not any(stage.said(member, VIEW_CHANGE) for member in BACKUPS)
