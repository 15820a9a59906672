"""Who leaves which view, when, and what survives of it. Scenarios 30 to 33, 36 to 38."""

import pytest

from consensus.messages import (
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    VIEW_MAX,
    ViewChange,
)
from consensus.recovery import Left
from consensus.simulation.stubs import GENESIS, execute

EVERYBODY = (0, 1, 2, 3)


def recorded(stage, kind, view):
    """What correct members sent of that kind for that view, each once, by sender."""
    return {packet.sender: packet.envelope for packet in stage.sent if packet.kind == kind and packet.body.view == view}


def refused(stage, member, reason):
    return stage.replicas[member].refused.get(reason, 0)


# ── 30: old VIEW-CHANGEs ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def far(stage):
    """Four members in view 5 or later: every NEW-VIEW was lost until then. Its transaction is committed."""
    rule = stage.lose(lambda packet: packet.kind in (NEW_VIEW, PRE_PREPARE))
    stage.submit("a")
    stage.run_until(lambda: min(stage.views()) >= 5)
    stage.lost.remove(rule)
    stage.run_until(lambda: stage.has("a"))
    return stage


def test_30_a_recorded_view_change_is_history(far):
    """Everybody's VIEW-CHANGEs for view 1, replayed when the cluster is in view 5 or later, and again after everybody
    restarted: refused as stale, nobody moves, work goes on (P4.1, P6.1).

    BFT-SMaRt pull request 121, where an old signed message of the view change was used again.
    """
    old, views = recorded(far, VIEW_CHANGE, 1), far.views()
    assert sorted(old) == [0, 1, 2, 3]
    for name in ("b", "c"):
        for member in EVERYBODY:
            others = [envelope for sender, envelope in old.items() if sender != member]
            before = refused(far, member, "stale")
            far.hear(member, *others)
            assert refused(far, member, "stale") == before + 3
        far.settle()
        assert far.views() == views
        far.submit(name)
        far.settle()
        assert far.has(name)
        far.restart(*EVERYBODY)
        far.settle()
        assert far.views() == views  # a restart is no way back


def test_30_at_a_laggard_one_is_a_wish_and_no_more(make_stage):
    """A member that was cut off since view 0 hears one recorded VIEW-CHANGE again and again: it stays. Two are a weak
    quorum, and it is right to follow (P5.5)."""
    stage = make_stage()
    stage.cut({0, 1, 2}, {3})
    stage.crash(0)
    stage.submit("a", to=(1, 2))
    stage.run(3000)
    old = recorded(stage, VIEW_CHANGE, 1)
    stage.hear(3, *[old[1]] * 100)
    assert (stage.replicas[3].view, stage.said(3, VIEW_CHANGE)) == (0, [])
    stage.hear(3, old[2])
    assert [body.view for body in stage.said(3, VIEW_CHANGE)] == [1]


# ── 31, 32: one member, and one more ──────────────────────────────────────────────────────────────


def raw_view_change(forge, sender, view):
    """Signed by its sender, whatever number it names."""
    return forge.sign(VIEW_CHANGE, sender, ViewChange(0, view, sender, None, ()))


@pytest.mark.parametrize("view", [-1, VIEW_MAX + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_31_a_view_out_of_range_is_malformed(make_stage, view):
    """Integers are range-checked when they are read, for SUSPECT and NEW-VIEW as well. pactus 465, monad-bft 1969."""
    stage = make_stage(byzantine={3})
    forge = stage.forge
    stage.hear(1, raw_view_change(forge, 3, view), forge.suspect(3, view, 1))
    stage.hear(1, forge.new_view([forge.view_change(each, 1) for each in (0, 2, 3)], view, sender=3))
    assert stage.replicas[1].refused == {"malformed": 3}


def test_31_one_member_alone_moves_nobody(make_stage):
    """Member 3 asks for every view from 1 to 10,000, then for the highest there is, with SUSPECTs beside: nobody moves,
    work goes on in view 0. Then one correct member loses patience: they leave for view 1 and not for the far one, for a
    weak quorum has reached no more (P2.7, P5.4, P5.5)."""
    stage = make_stage(byzantine={3})
    forge = stage.forge
    for view in range(1, 10_001):
        stage.hear(1, forge.view_change(3, view))
    for view in (*range(10), 1 << 52, VIEW_MAX):
        stage.hear((0, 1, 2), forge.view_change(3, view), forge.suspect(3, view, view + 1))
    stage.settle()
    assert stage.views() == [0, 0, 0]
    stage.submit("a")
    stage.settle()
    assert stage.has("a")
    assert not any(stage.said(member, kind) for member in (0, 1, 2) for kind in (SUSPECT, VIEW_CHANGE))

    stage.lose(lambda packet: packet.kind == PRE_PREPARE)
    stage.submit("b")
    stage.settle()
    stage.expire(1)
    stage.settle()
    assert stage.views() == [1, 1, 1]
    stage.heal()
    stage.run_until(lambda: stage.has("b"))
    assert max(stage.views()) <= 2


def test_31_doubts_about_what_is_delivered_here_move_nobody(make_stage):
    """Laggards in any number suspect the primary for a height that this member has: void. For the next height the same
    members are heard (P5.4)."""
    stage = make_stage(byzantine={0, 1, 3})
    forge, batch = stage.forge, stage.forge.batch()
    stage.hear(2, forge.pre_prepare(batch), *[forge.prepare(m, batch) for m in (0, 1, 3)])
    stage.hear(2, *[forge.commit(m, batch) for m in (0, 1, 3)])
    assert stage.delivered(2) == [(1, batch.digest)]
    stage.hear(2, *[forge.suspect(member, 0, 1) for member in (0, 1, 3)])
    assert (stage.replicas[2].view, stage.said(2, VIEW_CHANGE)) == (0, [])
    stage.hear(2, *[forge.suspect(member, 0, 2) for member in (0, 3)])
    assert [body.view for body in stage.said(2, VIEW_CHANGE)] == [1]


@pytest.mark.parametrize("order", [(7, 9), (9, 7)])
def test_32_a_weak_quorum_ahead_takes_a_laggard_along(make_stage, order):
    """Two members left for views 7 and 9. A third joins view 7, the highest that both have reached, at once, without a
    timer of its own, and once only (P5.5). PBFT 1999, section 4.5.2."""
    stage = make_stage(byzantine={0, 1, 3})
    forge = stage.forge
    first, second = (forge.view_change(member, view) for member, view in zip((0, 3), order, strict=True))
    stage.hear(2, *[first] * 50)
    assert stage.said(2, VIEW_CHANGE) == []
    stage.hear(2, *[second, first] * 50)
    assert [body.view for body in stage.said(2, VIEW_CHANGE)] == [7]
    assert (stage.replicas[2].view, stage.replicas[2].changing_view) == (7, True)
    stage.hear(2, forge.view_change(1, 9))  # now two have reached 9
    assert [body.view for body in stage.said(2, VIEW_CHANGE)] == [7, 9]


@pytest.mark.parametrize("members", [7, 10])
def test_32_in_larger_clusters_it_takes_more(make_stage, members):
    """With f = 2 and 3: f members ahead, however far, move nobody; the next one takes everybody to the lowest of their
    views."""
    faulty = (members - 1) // 3
    stage = make_stage(members, byzantine=set(range(faulty + 1)))
    views = [7 + 2 * number for number in range(faulty + 1)]
    for sender, view in reversed(list(enumerate(views))):
        assert set(stage.views()) == {0}
        stage.hear(stage.correct, stage.forge.view_change(sender, view))
    assert set(stage.views()) == {7}


# ── 33: apart ─────────────────────────────────────────────────────────────────────────────────────


def drift(stage, views):
    """Before the first start: each member has left for its view, says its journal; nobody has heard of it."""
    for member, view in enumerate(views):
        if view and member in stage.correct:
            record = Left(view, stage.forge.view_change(member, view)).encode()
            stage.disk[member].journal.append(record)
            stage.votes[member].on_durable(record)


DRIFTS = [(110, 111, 113, 116), (116, 113, 111, 110), (0, 1, 2, 3), (5, 5, 9, 9), (0, 0, 0, 50), (0, 40, 50, 60)]


@pytest.mark.parametrize("views", DRIFTS, ids=str)
@pytest.mark.parametrize("apart_ms", [0, 500])
def test_33_views_that_drifted_apart_meet(make_stage, views, apart_ms):
    """Members in views as far apart as you like, that start out of step: a quorum of them meets in one view, and all
    have the request within two of the longest time-outs (P5.2, P5.5, P7.2). At most f stay ahead, for they promised.

    indy-node issue 1720, an endless loop of view changes for over an hour and a half.
    """
    stage = make_stage(start=False)
    drift(stage, views)
    stage.submit("a")
    for member in EVERYBODY:
        stage.start(member)
        stage.run(apart_ms)
    took = stage.run_until(lambda: stage.has("a"))
    assert took <= 2 * stage.parameters.timeout_max_ms
    entered = [replica.view for replica in stage.replicas.values() if not replica.changing_view]
    assert len(entered) >= 3
    assert len(set(entered)) == 1


@pytest.mark.parametrize("absent", EVERYBODY)
@pytest.mark.parametrize("views", [*DRIFTS[:4], (110, 110, 111, 111), (3, 4, 5, 4), (0, 0, 0, 12)], ids=str)
def test_33_so_they_do_with_one_member_gone(make_stage, views, absent):
    """Three members of four, so that all three must meet. No single member can call the others to its view, or a liar
    could; they follow at one time-out a view. (No run of the protocol brings them further apart than two views: P5.2
    keeps a member's patience from ending while a quorum did not leave.)"""
    stage = make_stage(byzantine={absent}, start=False)
    drift(stage, views)
    stage.submit("a")
    for member in stage.correct:
        stage.start(member)
    took = stage.run_until(lambda: stage.has("a"), ms_max=1_000_000)
    present = sorted(view for member, view in enumerate(views) if member != absent)
    to_go = present[2] - present[1] + 2  # and the first view where they meet may be the absent member's
    assert took <= (to_go + 1) * stage.parameters.timeout_max_ms
    assert len(set(stage.views())) == 1


# ── 36: a restart on the way ──────────────────────────────────────────────────────────────────────


def all_leave(stage):
    """Everybody leaves view 0; the VIEW-CHANGEs stay on the wire."""
    stage.expire(*EVERYBODY)
    stage.deliver(kind=SUSPECT)


def proposed(stage, name):
    """Height 1 is proposed, and its PREPAREs wait on the wire."""
    stage.submit(name)
    stage.deliver(kind=PRE_PREPARE)
    return stage.said(0, PRE_PREPARE)[0]


def test_36_a_restart_between_two_views_stays_between_them(stage):
    """Member 2 crashes after it sent VIEW-CHANGE for view 1 and before it entered it. It comes back changing to view 1,
    and signs nothing for view 0 whatever arrives; the change ends without further ado (P6.1).

    concord-bft pull request 805; SmartBFT, TestRestoringViewChange.
    """
    vote = proposed(stage, "a")
    old = stage.drop(kind=PREPARE)
    all_leave(stage)
    (left,) = [packet.envelope for packet in stage.waiting(2, 0, VIEW_CHANGE)]
    stage.restart(2)
    assert (stage.replicas[2].view, stage.replicas[2].changing_view) == (1, True)
    said = len(stage.said(2, PREPARE)), len(stage.said(2, COMMIT))
    forge, batch = stage.forge, stage.forge.batch(1, ("a",))
    assert batch.digest == vote.digest
    for packet in old:
        stage.hear(2, packet.data)
    stage.hear(2, forge.pre_prepare(forge.batch(2, ("b",))), forge.prepare(0, forge.batch(2, ("b",))))
    assert (len(stage.said(2, PREPARE)), len(stage.said(2, COMMIT))) == said

    stage.drop(2, kind=VIEW_CHANGE)  # what it sent before the crash is lost: it is sent again, the same bytes
    stage.run_until(lambda: stage.has("a"))
    again = recorded(stage, VIEW_CHANGE, 1)[2]
    assert again == left
    assert stage.views() == [1, 1, 1, 1]


@pytest.mark.parametrize("performed", range(4))
def test_36_at_whatever_action_the_power_fails(stage, performed):
    """The power fails at member 2 after so many actions of the step in which it leaves: what it does afterwards never
    contradicts what it let out."""
    proposed(stage, "a")
    stage.drop(kind=PREPARE)
    stage.expire(*EVERYBODY)
    stage.fuse[2] = performed
    stage.deliver(kind=SUSPECT)
    durable = 2 in stage.replicas or any(Left.__struct_config__.tag.encode() in each for each in stage.disk[2].journal)
    stage.restart(2)
    assert stage.replicas[2].changing_view == durable
    stage.run_until(lambda: stage.has("a"))
    assert len(set(stage.views())) == 1


# ── 37, 38: once ──────────────────────────────────────────────────────────────────────────────────


def once(stage):
    """Nobody delivered a height twice."""
    places = [(member, height) for member, height, _ in stage.deliveries]
    return len(places) == len(set(places))


@pytest.mark.parametrize("late", [{3}, {2, 3}, {0, 1, 2, 3}], ids=str)
def test_37_commits_that_arrive_after_the_view_was_left(stage, late):
    """COMMITs of a quorum reach some members only after they left view 0: a commit certificate is always good, so they
    deliver (P3.6); the new view votes for the batch again, and nobody delivers it twice (P4.7).

    SmartBFT pull requests 484 and 570.
    """
    proposed(stage, "a")
    stage.deliver(kind=PREPARE)
    all_leave(stage)
    assert all(replica.changing_view for replica in stage.replicas.values())
    assert stage.deliveries == []
    stage.deliver(kind=COMMIT, receiver=late)
    assert {member for member, _, _ in stage.deliveries} == late
    stage.drop(kind=COMMIT)
    stage.settle()
    stage.run_until(lambda: stage.has("a"))
    assert once(stage)
    assert stage.views() == [1, 1, 1, 1]
    assert stage.heights() == [1, 1, 1, 1]


def test_37_prepares_that_arrive_then_make_nobody_commit(stage):
    """The twin: PREPAREs of the view that was left complete no certificate (P4.2)."""
    proposed(stage, "a")
    all_leave(stage)
    stage.deliver(kind=PREPARE)
    assert not any(stage.said(member, COMMIT) for member in EVERYBODY)
    stage.run_until(lambda: stage.has("a"))
    assert {vote.view for member in EVERYBODY for vote in stage.said(member, COMMIT)} == {1}


def chain_of(forge, heights):
    """Sealed blocks of one transaction each, as a member serves them."""
    blocks, parent, done = [], (GENESIS.header_hash, GENESIS.time_ms), set()
    for height in range(1, heights + 1):
        batch = forge.batch(height, (f"block {height}",))
        header, fresh = execute(*parent, batch, done)
        done |= set(fresh)
        parent = (header.hash, header.time_ms)
        blocks.append((header, batch, forge.seal(height, header.hash, (0, 1, 3))))
    return blocks


@pytest.mark.parametrize("executor", ["fast", "slow"])
def test_38_delivered_by_catching_up_and_again_by_the_view_change(make_stage, executor):
    """Member 2 fetched heights 1 to 5 and delivered them. A NEW-VIEW proposes 4 and 5 again: it votes for them, as far
    as they lie above its seal, and does not deliver them again (P4.7). SmartBFT pull request 570."""
    stage = make_stage(byzantine={0, 1, 3})
    forge = stage.forge
    blocks = chain_of(forge, 5)
    stage.servers = {member: lambda first, last: blocks[first - 1 : last] for member in (0, 1, 3)}
    if executor == "slow":
        stage.slow_execution.add(2)
    stage.hear(2, forge.status(0, height=5, seal=blocks[4][2]))
    assert stage.delivered(2) == [(height, blocks[height - 1][1].digest) for height in range(1, 6)]

    again = [blocks[height - 1][1] for height in (4, 5)]
    shown = [(forge.prepared(batch, (0, 1, 3)), batch) for batch in again]
    view_changes = [forge.view_change(member, 1, blocks[2][2], shown) for member in (0, 1, 3)]
    stage.hear(2, forge.new_view(view_changes, batches=again))
    votes = [forge.commit(m, batch, view=1) for batch in again for m in (0, 1, 3)]
    stage.hear(2, *[forge.prepare(m, batch, view=1) for batch in again for m in (0, 1, 3)], *votes)
    assert stage.replicas[2].view == 1
    voted = [vote.height for vote in stage.said(2, PREPARE)]
    assert voted == ([4] if executor == "slow" else [])  # its seal is 0 or 5, its window as far as 4 or 9
    stage.slow_execution.clear()
    stage.execute(2)
    assert once(stage)
    assert stage.replicas[2].sealed_height == 5
