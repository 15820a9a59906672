"""How long members wait, and for what. Scenarios 39 to 43."""

import pytest

from consensus.messages import COMMIT, NEW_VIEW, PRE_PREPARE, PREPARE, SUSPECT, VIEW_CHANGE

TIMEOUT_MS, TIMEOUT_MAX_MS = 1000, 8000
HALF_AN_HOUR_MS = 30 * 60 * 1000


def test_39_the_current_and_the_next_primary_are_dead(make_stage):
    """Seven members, members 0 and 1 crash: the request is committed in view 2, after one time-out for view 0 and a
    doubled one for view 1. concord-bft, test_single_vc_current_and_next_primaries_down."""
    stage = make_stage(7)
    stage.submit("a")
    stage.settle()
    stage.crash(0, 1)
    stage.submit("b")
    took = stage.run_until(lambda: stage.has("b"))
    assert stage.views() == [2] * 5
    assert took <= 3 * TIMEOUT_MS + TIMEOUT_MS // 4  # and a STATUS tick
    assert stage.replicas[2].primary == 2


def test_39_the_valid_twin_the_next_one_alone_costs_nothing(make_stage):
    """With members 1 and 2 dead, view 0 goes on without a view change."""
    stage = make_stage(7)
    stage.crash(1, 2)
    stage.submit("a")
    stage.settle()
    assert stage.has("a")
    assert stage.views() == [0] * 5


# ── 40: growth, cap, reset ────────────────────────────────────────────────────────────────────────


def test_40_patience_is_capped_and_starts_anew_with_progress(stage):
    """Ten views fail, for every NEW-VIEW is lost: the time-out doubles up to the cap and stays there. Healed, the first
    commit brings it back to where it began (P5.3). Besu issue 7642, a round that would expire after 4,096 seconds."""
    rule = stage.lose(lambda packet: packet.kind in (NEW_VIEW, PRE_PREPARE))
    stage.submit("a")
    stage.run_until(lambda: min(stage.views()) >= 10)
    waits = [after_ms for _, after_ms in stage.patience]
    assert sorted(set(waits)) == [TIMEOUT_MS, 2 * TIMEOUT_MS, 4 * TIMEOUT_MS, TIMEOUT_MAX_MS]
    for member in range(4):
        own = [after_ms for who, after_ms in stage.patience if who == member]
        assert own == sorted(own)  # without progress it never shrinks
        assert own[-1] == TIMEOUT_MAX_MS

    stage.lost.remove(rule)
    took = stage.run_until(lambda: stage.has("a"))
    assert took <= 2 * TIMEOUT_MAX_MS
    stage.patience.clear()
    stage.lose(lambda packet: packet.kind == PRE_PREPARE)
    stage.submit("b")
    stage.settle()
    assert {after_ms for _, after_ms in stage.patience} == {TIMEOUT_MS}


# ── 41: patience that was stretched, and a primary that uses it up ────────────────────────────────


class Dawdler:
    """Keeps its member's proposals back until the test lets one more height go."""

    def __init__(self):
        self.kept = {}  # height -> packets

    def __call__(self, packet):
        if packet.kind != PRE_PREPARE:
            return [packet]
        self.kept.setdefault(packet.body.height, []).append(packet)
        return []

    def next(self):
        height = min(self.kept, default=None)
        return self.kept.pop(height, [])


def test_41_stretched_patience_buys_a_slow_primary_one_height(make_stage):
    """First all go at full speed; then somebody disturbs the network until patience has grown to its cap, and stops
    when member 1 leads, which proposes just before patience would end. Its first height may take as long as the cap,
    and resets it (P5.3); after a window more of slow ones it is left for its pace (P5.7), long before its turn ends.

    BFT-SMaRt issue 51; Amir et al., Prime, 2011.
    """
    dawdler = Dawdler()
    stage = make_stage(puppets={1: dawdler})
    correct = stage.correct
    stage.submit(*(f"quick {number}" for number in range(8)))
    stage.run_until(lambda: stage.has(*(f"quick {number}" for number in range(8)), members=correct))

    rule = stage.lose(lambda packet: packet.kind in (NEW_VIEW, PRE_PREPARE))
    slow = [f"slow {number}" for number in range(40)]
    stage.submit(*slow)
    stage.run_until(lambda: stage.patience[-1][1] == TIMEOUT_MAX_MS)
    stage.run_until(lambda: min(stage.views()) % 4 == 1)
    stage.lost.remove(rule)
    dawdler.kept.clear()
    watcher = stage.replicas[0]
    stage.run_until(lambda: not watcher.changing_view and dawdler.kept)
    view, began = watcher.view, stage.now
    while (watcher.view, watcher.changing_view) == (view, False):
        patience = next(after_ms for who, after_ms in reversed(stage.patience) if who == 0)
        stage.run(patience * 9 // 10)
        stage.wire.extend(dawdler.next())
        stage.settle()
    assert sum(batch.view == view for _, batch, _, _ in stage.disk[0].blocks.values()) == stage.parameters.window
    assert stage.now - began <= TIMEOUT_MAX_MS + stage.parameters.window * TIMEOUT_MS
    assert not stage.evidence
    assert stage.run_until(lambda: stage.has(*slow, members=correct)) <= TIMEOUT_MS


# ── 42: nothing to do ─────────────────────────────────────────────────────────────────────────────


def test_42_an_idle_cluster_changes_no_view(stage):
    """Two minutes without a request, everybody healthy: nobody suspects anybody (P5.1).

    SmartBFT, TestMultiViewChangeWithNoRequestsTimeout; Besu issue 2095.
    """
    stage.run(120_000)
    assert stage.views() == [0] * 4
    assert not any(stage.said(member, kind) for member in range(4) for kind in (SUSPECT, VIEW_CHANGE))


def test_42_nor_does_one_whose_primary_died_until_there_is_work(stage):
    """An idle cluster does not replace a dead primary: nobody waits for it, and everybody can see in the STATUS that
    does not come that it is gone. The first request costs one time-out, and then the cluster is quiet again."""
    stage.submit("a")
    stage.settle()
    stage.crash(0)
    stage.run(60_000)
    assert stage.views() == [0] * 3
    stage.submit("b")
    assert stage.run_until(lambda: stage.has("b")) <= TIMEOUT_MS + TIMEOUT_MS // 4
    stage.run(60_000)
    assert stage.views() == [1] * 3


# ── 43: an old batch ──────────────────────────────────────────────────────────────────────────────


def test_43_a_carried_over_batch_is_not_judged_by_todays_clock(stage):
    """Height 1 is prepared and nobody commits it; everything is frozen for half an hour; thawed, the primary is left.
    The batch, whose time is far from every clock by now, is proposed again and committed at once in the next view,
    also by member 3 that never saw it before (P3.3). indy-plenum issue 1488, view changes for ever among healthy
    members."""
    stage.lose(lambda packet: packet.kind == COMMIT or packet.receiver == 3)
    stage.submit("a")
    stage.settle()
    old = stage.said(0, PRE_PREPARE)[0]
    stage.heal()
    stage.drop()
    stage.now += HALF_AN_HOUR_MS  # nobody's timer ran meanwhile
    stage.expire(*range(4))
    stage.settle()
    assert stage.views() == [1] * 4
    assert stage.chain(3)[1] == old.digest
    assert stage.has("a")
    assert [vote.digest for vote in stage.said(3, PREPARE)] == [old.digest]


@pytest.mark.parametrize("frozen", [(2, 3), (1, 2), (0, 1), (0, 3)])
def test_43_two_of_four_frozen_for_half_an_hour(make_stage, frozen):
    """Two members stop for half an hour in the middle of a height, and go on where they were. The others wait without a
    quorum; then all meet, and one view change at most is due, for none of the old batches is judged again."""
    stage = make_stage()
    stage.submit("a", "b")
    stage.deliver(kind=PRE_PREPARE)
    stage.deliver(kind=PREPARE)
    asleep = {member: stage.replicas.pop(member) for member in frozen}  # the process stands still, its memory stays
    timers = {member: dict(stage.timers[member]) for member in frozen}
    late = stage.drop(receiver=frozen)
    stage.lose(lambda packet: packet.receiver in frozen)
    stage.run(HALF_AN_HOUR_MS // 100)
    stage.now += HALF_AN_HOUR_MS
    for member in stage.replicas:
        stage.timers[member] = {name: max(at, stage.now) for name, at in stage.timers[member].items()}
    stage.heal()
    stage.replicas.update(asleep)
    for member in frozen:
        stage.timers[member] = {name: max(at, stage.now) for name, at in timers[member].items()}
    stage.wire.extend(late)
    stage.submit("c")
    took = stage.run_until(lambda: stage.has("a", "b", "c"))
    assert took <= 2 * TIMEOUT_MAX_MS
    assert len(set(stage.views())) == 1
    assert stage.views()[0] <= 2
    assert not any(kind == PREPARE for _, kind, _ in stage.evidence)
