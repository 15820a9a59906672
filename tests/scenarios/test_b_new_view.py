"""What a view may start with: the certificates that bind it, and the lies about them. Scenarios 21 to 29."""

import itertools

import msgspec
import pytest

from consensus.messages import COMMIT, NEW_VIEW, PRE_PREPARE, PREPARE, VIEW_CHANGE, open_envelope

OTHERS = (0, 1, 3)


@pytest.fixture
def lone(make_stage):
    """Member 2 is real and a backup; the others' messages are the test's, the leader's of view 1 included."""
    return make_stage(byzantine=OTHERS)


def pair(forge, batch, view=None, members=OTHERS):
    """A prepared certificate and its batch."""
    return forge.prepared(batch, members, view), batch


def prepare_everywhere(stage, *names):
    """Heights are prepared at all and committed by nobody: every COMMIT is lost."""
    rule = stage.lose(lambda packet: packet.kind == COMMIT)
    stage.submit(*names)
    stage.settle()
    stage.lost.remove(rule)


def leave(stage, *members):
    """These members lose patience, and everything that follows arrives."""
    stage.expire(*members)
    stage.settle()


def reproposed(stage, member, view):
    """The digests that this member voted for in a view, by height."""
    return {vote.height: vote.digest for vote in stage.said(member, PREPARE) if vote.view == view}


# ── 21, 22: a VIEW-CHANGE that lies ───────────────────────────────────────────────────────────────

LIES = {
    "no signatures": lambda forge, batch: msgspec.structs.replace(forge.prepared(batch), signatures=()),
    "too few": lambda forge, batch: forge.prepared(batch, (0, 3)),
    "its own, three times": lambda forge, batch: forge.prepared(batch, (0, 0, 0)),
    "COMMITs": lambda forge, batch: msgspec.structs.replace(
        forge.prepared(batch), signatures=forge.committed(batch).signatures
    ),
    "another digest": lambda forge, batch: msgspec.structs.replace(
        forge.prepared(batch), signatures=forge.prepared(forge.batch(1, ("y",))).signatures
    ),
    "the view that it leaves for": lambda forge, batch: forge.prepared(batch, view=1),
}


@pytest.mark.parametrize("lie", LIES)
def test_21_a_claim_of_prepared_without_its_certificate_is_discarded_whole(make_stage, lie):
    """Member 0 leaves for view 1 and claims that height 1 was prepared. The new primary has its own VIEW-CHANGE and
    member 2's, and would need but one more: it does not take this one, but waits for member 3's (P4.3)."""
    stage = make_stage(byzantine={0})
    forge, batch = stage.forge, stage.forge.batch(1, ("z",))
    stage.submit("a")
    stage.settle()
    leave_without(stage, 3)
    stage.hear((1, 2, 3), forge.view_change(0, 1, prepared=[(LIES[lie](forge, batch), batch)]))
    assert stage.said(1, NEW_VIEW) == []
    for member in (1, 2, 3):
        refused = stage.replicas[member].refused
        assert refused.get("invalid_certificate", 0) + refused.get("misplaced_certificate", 0) == 1
    stage.heal()
    stage.run_until(lambda: stage.has("a"))
    (started,) = stage.said(1, NEW_VIEW)
    assert senders(started) == [1, 2, 3]
    assert batch.digest not in stage.chain(1).values()


def leave_without(stage, silent):
    """All correct members leave view 0, but what `silent` says is lost."""
    stage.lose(lambda packet: packet.sender == silent and packet.kind == VIEW_CHANGE)
    leave(stage, 1, 2, 3)


def senders(new_view):
    return [open_view_change(each).sender for each in new_view.view_changes]


def open_view_change(signed):
    from consensus.messages import open_body

    return open_body(VIEW_CHANGE, signed.body)


def test_21_the_valid_twin_is_taken(make_stage):
    """The same with an honest VIEW-CHANGE of member 0, which prepared nothing: three have left, view 1 starts."""
    stage = make_stage(byzantine={0})
    stage.submit("a")
    stage.settle()
    leave_without(stage, 3)
    stage.hear((1, 2, 3), stage.forge.view_change(0, 1))
    (started,) = stage.said(1, NEW_VIEW)
    assert senders(started) == [0, 1, 2]


@pytest.mark.parametrize("lie", LIES)
def test_22_one_bad_view_change_hides_no_good_one(make_stage, lie):
    """Member 3's VIEW-CHANGE comes first, with a false certificate at a height where members 1 and 2 hold a true one.
    It is dropped by itself: the true certificate binds the height (P4.3). concord-bft pull request 50."""
    stage = make_stage(byzantine={3})
    forge, invented = stage.forge, stage.forge.batch(1, ("z",))
    prepare_with(stage, 3, "a")
    real = stage.said(1, COMMIT)[0].digest
    bad = forge.view_change(3, 1, prepared=[(LIES[lie](forge, invented), invented)])
    stage.hear((0, 1, 2), bad)
    stage.crash(0)
    stage.hear((1, 2), forge.suspect(3, 0, 1))
    leave(stage, 1, 2)
    assert stage.said(1, NEW_VIEW) == []
    stage.hear((1, 2), forge.view_change(3, 1))  # member 3 thinks better of it: an honest one, that hides
    stage.settle()
    assert reproposed(stage, 2, 1) == reproposed(stage, 1, 1) == {1: real}
    stage.start(0)
    stage.run_until(lambda: stage.has("a"))
    assert stage.chain(1)[1] == real


def prepare_with(stage, faulty, *names):
    """Heights are prepared at all correct members, with the faulty one's PREPAREs; every COMMIT is lost."""
    stage.lose(lambda packet: packet.kind == COMMIT)
    stage.submit(*names)
    stage.settle()
    stage.heal()
    assert faulty in stage.byzantine


# ── 23, 26, 27: certificates that bind ────────────────────────────────────────────────────────────


def committed_by_two(make_stage):
    """Height 1 is final by COMMITs of 1 (Byzantine), 2 and 3; member 0 has not even seen it. Member 2 delivered."""
    stage = make_stage(byzantine={1})
    forge = stage.forge
    stage.lose(lambda packet: packet.receiver == 0 and packet.kind in (PREPARE, COMMIT))
    stage.submit("a")
    stage.deliver(kind=PRE_PREPARE)
    batch = stage.forge.batch(1, ("a",))
    stage.hear((2, 3), forge.prepare(1, batch), forge.commit(1, batch))
    stage.lose(lambda packet: packet.receiver == 3 and packet.kind == COMMIT)
    stage.settle()
    assert stage.deliveries == [(2, 1, batch.digest)]
    stage.heal()
    return stage, batch


def left_for(stage, member, view=1):
    """The VIEW-CHANGE that a correct member sent, as it travels."""
    packets = (p for p in stage.sent if p.sender == member and p.kind == VIEW_CHANGE and p.body.view == view)
    return next(packets).envelope


def test_23_a_new_primary_cannot_drop_what_was_committed(make_stage):
    """Member 1 leads view 1 and wants height 1, which is final at member 2, to be forgotten. It leaves VIEW-CHANGEs
    out, strips them, repeats them, puts nothing or another batch in the place: each is refused by every correct
    member, which recomputes the start itself (P4.6). The view passes, and the committed batch stays (PBFT 1999,
    section 4.4)."""
    stage, batch = committed_by_two(make_stage)
    forge = stage.forge
    stage.submit("b")
    stage.hear((0, 2, 3), forge.suspect(1, 0, 1), forge.suspect(1, 0, 2))
    leave(stage, 0, 2, 3)
    own, (zero, two, three) = forge.view_change(1, 1), (left_for(stage, member) for member in (0, 2, 3))
    other = forge.batch(1, ("z",), view=1)
    stripped = msgspec.structs.replace(two, body=forge.view_change(2, 1).body)
    assert [each.digest for each in open_envelope(two.encode())[1].prepared] == [batch.digest]
    lies = {
        "no_quorum": forge.new_view([zero, own]),
        "bad_signature": forge.new_view([zero, own, stripped]),
        "view_changes_out_of_order": forge.new_view([zero, zero, own]),
        "wrong_batches": forge.new_view([zero, own, two]),
    }
    for reason, lie in lies.items():
        for member in (0, 2, 3):
            before = stage.replicas[member].refused.get(reason, 0)
            stage.hear(member, lie)
            assert stage.replicas[member].refused[reason] == before + 1
    stage.hear((0, 2, 3), forge.new_view([zero, own, two], batches=[other]))
    stage.hear((0, 2, 3), forge.new_view([zero, own, three], batches=[forge.batch(1, ())]))
    assert all(replica.changing_view for replica in stage.replicas.values())

    stage.run_until(lambda: stage.has("b"))
    assert {stage.chain(member)[1] for member in (0, 2, 3)} == {batch.digest}
    assert min(stage.views()) >= 2


def test_23_the_valid_twin_with_the_certificate_and_its_batch_is_entered(make_stage):
    """The same primary, honest for once: VIEW-CHANGEs of a quorum, one with the certificate, and the batch."""
    stage, batch = committed_by_two(make_stage)
    forge = stage.forge
    stage.hear((0, 2, 3), forge.suspect(1, 0, 1), forge.suspect(1, 0, 2))
    stage.submit("b")
    leave(stage, 0, 2, 3)
    view_changes = [left_for(stage, 0), forge.view_change(1, 1), left_for(stage, 2)]
    stage.hear((0, 2, 3), forge.new_view(view_changes, batches=[batch]))
    assert [(replica.view, replica.changing_view) for replica in stage.replicas.values()] == [(1, False)] * 3
    assert reproposed(stage, 0, 1) == {1: batch.digest}


def test_24_of_two_certificates_the_one_of_the_higher_view_wins(lone):
    """Views 1 and 3 each prepared another batch at height 1. View 5 starts with that of view 3; a NEW-VIEW with the
    lower one's batch is refused, however many show it (P4.5).

    PBFT 1999, section 4.4; Besu pull request 7875, where a proposal on an older round's block stopped the chain.
    """
    forge = lone.forge
    lower, higher = forge.batch(1, ("low",), view=1), forge.batch(1, ("high",), view=3)
    view_changes = [
        forge.view_change(0, 5, prepared=[pair(forge, lower)]),
        forge.view_change(1, 5, prepared=[pair(forge, lower)]),
        forge.view_change(3, 5, prepared=[pair(forge, higher)]),
    ]
    lone.hear(2, forge.new_view(view_changes, 5, batches=[lower]), forge.new_view(view_changes, 5, batches=[]))
    assert lone.replicas[2].refused == {"wrong_batches": 2}
    assert lone.replicas[2].view == 0
    lone.hear(2, forge.new_view(view_changes, 5, batches=[higher]))
    assert lone.replicas[2].view == 5
    assert reproposed(lone, 2, 5) == {1: higher.digest}


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_24_whoever_holds_it_and_in_whatever_order(lone, order):
    """The certificates of three views for one batch and two others, spread over the members in every way."""
    forge = lone.forge
    batches = {view: forge.batch(1, (f"of view {view}",), view=view) for view in order}
    view_changes = [
        forge.view_change(member, 5, prepared=[pair(forge, batches[view])])
        for member, view in zip(OTHERS, order, strict=True)
    ]
    lone.hear(2, forge.new_view(view_changes, 5, batches=[batches[3]]))
    assert reproposed(lone, 2, 5) == {1: batches[3].digest}


def test_24_a_member_shows_the_latest_certificate_of_a_height(stage):
    """Height 1 is prepared in view 0, and again in view 1, and never committed: who leaves view 1 shows the certificate
    of view 1 and that one only (P4.2). Then it is committed in view 2, the same batch as ever."""
    rule = stage.lose(lambda packet: packet.kind == COMMIT)
    stage.submit("a")
    stage.settle()
    leave(stage, *range(4))
    assert stage.views() == [1] * 4
    leave(stage, *range(4))
    for member in range(4):
        first, second = stage.said(member, VIEW_CHANGE)
        assert [(each.view, each.height) for each in first.prepared] == [(0, 1)]
        assert [(each.view, each.height) for each in second.prepared] == [(1, 1)]
    stage.lost.remove(rule)
    stage.run_until(lambda: stage.has("a"))
    assert {vote.digest for member in range(4) for vote in stage.said(member, PREPARE)} == {stage.chain(0)[1]}


def test_25_two_certificates_of_one_view_and_height_are_refused(lone):
    """They cannot exist unless more members are faulty than the quorum bears: the NEW-VIEW is refused, no batch of
    the two is voted for, and whoever signed both is named (P2.8, P4.5).

    Besu, validationFailsIfTwoRoundChangesArePreparedOnSameRoundDifferentBlock.
    """
    forge = lone.forge
    one, other = forge.batch(1, ("a",)), forge.batch(1, ("b",))
    view_changes = [
        forge.view_change(0, 1, prepared=[pair(forge, one)]),
        forge.view_change(1, 1, prepared=[pair(forge, other)]),
        forge.view_change(3, 1),
    ]
    for batches in ([one], [other], [one, other], []):
        lone.hear(2, forge.new_view(view_changes, batches=batches))
    assert lone.replicas[2].refused == {"contradicting_certificates": 4}
    assert lone.replicas[2].view == 0
    assert lone.said(2, PREPARE) == []
    assert sorted(lone.evidence) == [(2, PREPARE, member) for member in OTHERS]  # once each, however often it comes
    # The twin: both for one batch.
    view_changes[1] = forge.view_change(1, 1, prepared=[pair(forge, one)])
    lone.hear(2, forge.new_view(view_changes, batches=[one]))
    assert lone.replicas[2].view == 1


def test_25_only_those_who_signed_both_are_named(make_stage):
    """Seven members, five a quorum: the two certificates share four signers. Those are accused, each by both of its
    signed PREPAREs, and no other (P2.8)."""
    stage = make_stage(7, byzantine={0, 1, 3, 4, 5, 6})
    forge, one, other = stage.forge, stage.forge.batch(1, ("a",)), stage.forge.batch(1, ("b",))
    shown = {0: pair(forge, one, members=(0, 1, 3, 4, 5)), 6: pair(forge, other, members=(1, 3, 4, 5, 6))}
    leaving = [forge.view_change(m, 1, prepared=[shown[m]] if m in shown else []) for m in (0, 1, 3, 4, 6)]
    stage.hear(2, forge.new_view(leaving, batches=[one]))
    assert stage.replicas[2].refused == {"contradicting_certificates": 1}
    assert stage.evidence == [(2, PREPARE, member) for member in (1, 3, 4, 5)]
    for proof in stage.proofs:
        kept = [open_envelope(each) for each in (proof.first, proof.second)]
        assert [body.digest for _, body in kept] == [one.digest, other.digest]
        assert all(stage.committee.signed_by(PREPARE, proof.member, each.body, each.signature) for each, _ in kept)


def test_26_a_gap_is_filled_with_the_null_batch(make_stage, named):
    """Heights 5 and 7 are prepared, 6 is not. The new view proposes 5 and 7 again and the null batch for 6; 7 waits for
    6; the null batch changes nothing, and all headers agree. What stood in 6 comes again later (PBFT 1999, 4.4)."""
    stage = make_stage(window=8)
    stage.submit("1", "2", "3", "4")
    stage.settle()
    assert stage.heights("sealed_height") == [4] * 4
    stage.lose(lambda packet: packet.kind == COMMIT)
    stage.lose(lambda packet: packet.kind in (PRE_PREPARE, PREPARE) and packet.body.height == 6)
    stage.submit("5", "6", "7")
    stage.settle()
    assert stage.heights() == [4] * 4
    before = [stage.transactions(member) for member in range(4)]
    stage.heal()
    stage.lose(lambda packet: packet.kind in (PREPARE, COMMIT) and packet.body.height == 6 and packet.body.view == 1)
    leave(stage, *range(4))
    assert stage.heights() == [5] * 4  # 7 is final and is not delivered before 6
    stage.heal()
    stage.run_until(lambda: stage.has("5", "6", "7"))
    for member in range(4):
        header, batch, fresh, _ = stage.disk[member].blocks[6]
        assert (batch.hashes, fresh, header.transaction_count) == ((), (), 0)
        assert stage.transactions(member) == before[member] + [named(each) for each in ("5", "7", "6")]
    assert len({stage.disk[member].blocks[6][0].hash for member in range(4)}) == 1
    assert stage.views() == [1] * 4


def test_27_a_null_batch_over_a_certificate_is_refused(lone):
    """Heights 1 and 3 are certified, 2 is not. A NEW-VIEW without the batch of 1, or of 3, or with an empty batch in
    its place, is refused; the right one puts the null batch at 2 alone (P4.5, P4.6)."""
    forge = lone.forge
    first, third = forge.batch(1, ("a",)), forge.batch(3, ("c",))
    view_changes = [
        forge.view_change(0, 1, prepared=[pair(forge, first)]),
        forge.view_change(1, 1),
        forge.view_change(3, 1, prepared=[pair(forge, third)]),
    ]
    empty = [forge.batch(height, (), view=1, time_ms=0, since=4) for height in (1, 2, 3)]
    lies = ([], [first], [third], empty, [empty[0], third], [first, empty[2]], [first, empty[1], third], [third, first])
    for lie in lies:
        lone.hear(2, forge.new_view(view_changes, batches=lie))
    assert lone.replicas[2].refused == {"wrong_batches": len(lies)}
    assert lone.replicas[2].view == 0
    lone.hear(2, forge.new_view(view_changes, batches=[first, third]))
    assert lone.replicas[2].view == 1
    votes = reproposed(lone, 2, 1)
    assert (votes[1], votes[3]) == (first.digest, third.digest)
    assert votes[2] not in (first.digest, third.digest)


# ── 28, 29: a NEW-VIEW that should not be ─────────────────────────────────────────────────────────


def test_28_a_bad_new_view_is_refused(lone):
    """From a member that does not lead the view; with too few VIEW-CHANGEs, with one twice, unsorted, with one for
    another view, with a forged one, for a view that is past. Nothing happens but a count (P4.6).

    SmartBFT, TestBadNewViewMessage.
    """
    forge = lone.forge
    good = [forge.view_change(each, 1) for each in OTHERS]
    forged = msgspec.structs.replace(good[2], signature=bytes(64))
    later = forge.view_change(3, 5)
    bad = {
        "not_the_primary": [forge.new_view(good, sender=each) for each in (0, 3)],
        "no_quorum": [forge.new_view(good[:2]), forge.new_view([])],
        "view_changes_out_of_order": [forge.new_view([good[0], good[1], good[1]]), forge.new_view(good[::-1])],
        "view_change_for_another_view": [forge.new_view([*good[:2], later])],
        "bad_signature": [
            forge.new_view([*good[:2], forged]),
            msgspec.structs.replace(forge.new_view(good), signature=bytes(64)),
        ],
        "malformed": [forge.new_view([*good[:2], msgspec.structs.replace(good[2], body=b"\xc0")])],
    }
    for reason, envelopes in bad.items():
        lone.tick(2)  # or the fifth in a row would not be looked at
        lone.hear(2, *envelopes)
        assert lone.replicas[2].refused.pop(reason) == len(envelopes)
        assert (lone.replicas[2].view, lone.replicas[2].changing_view) == (0, False)
    lone.hear(2, forge.new_view(good))
    assert lone.replicas[2].view == 1


def test_28_one_for_a_view_that_is_past_is_refused(lone):
    """View 1's NEW-VIEW, well-formed, at a member that is in view 5, or that has promised view 9 to a weak quorum."""
    forge = lone.forge
    old = forge.new_view([forge.view_change(each, 1) for each in OTHERS])
    lone.hear(2, forge.new_view([forge.view_change(each, 5) for each in OTHERS], 5))
    lone.hear(2, old)
    assert (lone.replicas[2].view, lone.replicas[2].refused) == (5, {"stale": 1})
    lone.hear(2, forge.view_change(0, 9), forge.view_change(1, 9))
    lone.hear(2, old, forge.new_view([forge.view_change(each, 5) for each in OTHERS[:2]], 5))
    assert (lone.replicas[2].view, lone.replicas[2].changing_view) == (9, True)
    assert lone.replicas[2].refused["stale"] == 3


def test_28_nobody_votes_in_a_view_before_its_new_view(lone):
    """Member 2 has left for view 1. Its primary proposes, and all others vote, before a NEW-VIEW is there: member 2
    signs nothing, for it does not know what the view may start with; with the NEW-VIEW it does (P4.2, P4.6)."""
    forge, batch = lone.forge, lone.forge.batch(1, ("a",), view=1)
    lone.hear(2, forge.suspect(0, 0, 1), forge.suspect(3, 0, 1))
    assert (lone.replicas[2].view, lone.replicas[2].changing_view) == (1, True)
    votes = [vote(member, batch) for vote in (forge.prepare, forge.commit) for member in OTHERS]
    lone.hear(2, forge.pre_prepare(batch), *votes)
    assert lone.said(2, PREPARE) == lone.said(2, COMMIT) == []
    lone.hear(2, forge.new_view([forge.view_change(each, 1) for each in OTHERS]))
    assert reproposed(lone, 2, 1) == {1: batch.digest}
    assert lone.delivered(2) == [(1, batch.digest)]


@pytest.mark.parametrize("told_first", [set(each) for n in range(4) for each in itertools.combinations((0, 2, 3), n)])
def test_29_two_new_views_from_one_primary(make_stage, told_first):
    """Member 1 builds two valid starts of view 1 from different quorums: in one, member 3's certificate makes height 1
    what it was, in the other nothing is bound and height 1 is proposed afresh. Every split of the members between the
    two: nobody forks; who sees both has evidence; the members meet again and go on (P2.8).

    After the flaw in other protocols' view changes of Abraham et al., arXiv 1712.01367.
    """
    stage = make_stage(byzantine={1})
    forge, batch = stage.forge, stage.forge.batch(1, ("a",))
    stage.lose(lambda packet: packet.kind == COMMIT)
    stage.lose(lambda packet: packet.kind == PREPARE and packet.receiver != 3)
    stage.submit("a")
    stage.settle()  # prepared at member 3 alone
    stage.heal()
    stage.hear((0, 2, 3), forge.suspect(1, 0, 1))
    leave(stage, 0, 2, 3)
    zero, two, three = (left_for(stage, member) for member in (0, 2, 3))
    own = forge.view_change(1, 1)
    open_start, bound = forge.new_view([zero, own, two]), forge.new_view([own, two, three], batches=[batch])
    fresh = forge.batch(1, ("x",), view=1)
    for member in (0, 2, 3):
        if member in told_first:
            stage.hear(member, open_start, forge.pre_prepare(fresh), forge.prepare(1, fresh), forge.commit(1, fresh))
        else:
            stage.hear(member, bound, forge.prepare(1, batch, view=1), forge.commit(1, batch, view=1))
    stage.settle()
    assert len({digest for _, height, digest in stage.deliveries if height == 1}) <= 1
    stage.hear((0, 2, 3), open_start, bound)
    assert sorted(stage.evidence) == [(member, NEW_VIEW, 1) for member in (0, 2, 3)]

    stage.submit("b")
    stage.run_until(lambda: stage.has("a", "b"))
    assert stage.chain(0) == stage.chain(2) == stage.chain(3)
