"""Leaving a view and entering the next, seen from one replica; each rule with its invalid twin."""

import msgspec
import pytest

from consensus.actions import (
    Broadcast,
    CancelTimer,
    Deliver,
    Evidence,
    FetchBodies,
    Halt,
    Persist,
    SetTimer,
    ViewChanged,
)
from consensus.events import BodiesReady, RequestsWaiting, TimerFired
from consensus.messages import COMMIT, NEW_VIEW, PREPARE, SUSPECT, VIEW_CHANGE, ViewChange

NOW = 1_700_000_000_000
VIEW_MAX = (1 << 53) - 1


def expire(replica):
    return replica.step(TimerFired("progress", NOW))


def leave(bench, replica, senders=(2, 3), view=0, height=1):
    return bench.hear(replica, *[bench.suspect(sender, view, height) for sender in senders])


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────


def test_out_of_patience_it_says_so_and_stays(bench, said):
    replica = bench.replica(1)
    replica.step(RequestsWaiting(True, NOW))
    out = expire(replica)
    assert said(out).kinds() == [SUSPECT]
    assert (replica.view, replica.changing_view) == (0, False)


def test_with_one_more_member_in_doubt_it_leaves(bench, said):
    replica = bench.replica(1)
    replica.step(RequestsWaiting(True, NOW))
    expire(replica)
    out = leave(bench, replica, senders=(2,))
    assert [type(action) for action in out[:2]] == [Persist, Broadcast]
    assert said(out).messages(VIEW_CHANGE) == [ViewChange(0, 1, 1, None, ())]
    assert (replica.view, replica.changing_view) == (1, True)


def test_one_other_member_alone_moves_it_nowhere(bench):
    replica = bench.replica(1)
    for view in [*range(1, 200), VIEW_MAX]:
        bench.hear(replica, bench.suspect(3, height=view), bench.view_change(3, view))
    assert (replica.view, replica.changing_view) == (0, False)
    assert list(replica._core.view_changes) == [3]


def test_a_weak_quorum_counts_power_not_heads(make_bench):
    bench = make_bench(powers=(1, 1, 1, 4, 3))  # total 10: four weigh enough
    replica = bench.replica(1)
    leave(bench, replica, senders=(0, 2))
    assert not replica.changing_view
    leave(bench, replica, senders=(3,))
    assert replica.changing_view


def test_a_doubt_about_a_height_that_is_delivered_here_is_out_of_date(bench):
    replica = bench.replica(1)
    bench.commit_block(replica, bench.batch())
    leave(bench, replica, height=1)
    assert not replica.changing_view
    leave(bench, replica, height=2)
    assert replica.changing_view


def test_a_laggard_joins_the_smallest_view_that_f_plus_one_reached(bench):
    replica = bench.replica(1)
    bench.hear(replica, bench.view_change(2, 7))
    assert replica.view == 0
    bench.hear(replica, bench.view_change(3, 9))
    assert (replica.view, replica.changing_view) == (7, True)


def test_it_tells_what_it_prepared_with_the_batch(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    bench.hear(replica, bench.prepare(0, batch), bench.prepare(2, batch))
    out = leave(bench, replica)
    assert said(out).messages(VIEW_CHANGE) == [ViewChange(0, 1, 1, None, (bench.certificate(batch),))]


def test_having_left_it_votes_no_more_in_the_old_view(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    leave(bench, replica)
    assert bench.hear(replica, bench.prepare(0, batch), bench.prepare(2, batch)) == []


def test_but_a_quorum_of_commits_of_the_view_just_left_still_delivers(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    leave(bench, replica)
    out = bench.hear(replica, *[bench.commit(sender, batch) for sender in (0, 2, 3)])
    assert said(out).of(Deliver) == [Deliver(1, batch, batch.digest)]


def test_a_view_change_with_a_false_certificate_is_discarded_whole(bench):
    replica, batch = bench.replica(1), bench.batch()
    weak = bench.certificate(batch, members=(0, 2))
    bench.hear(replica, bench.view_change(3, 1, prepared=[(weak, batch)]), bench.view_change(2, 1))
    assert replica.refused == {"invalid_certificate": 1}
    assert not replica.changing_view


def test_the_other_view_changes_stand(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    weak = bench.certificate(bench.batch(names=("b",)), members=(0, 2))
    bench.hear(replica, bench.view_change(3, 1, prepared=[(weak, bench.batch(names=("b",)))]))
    bench.hear(replica, bench.view_change(2, 1, prepared=[(bench.certificate(batch), batch)]))
    out = bench.hear(replica, bench.view_change(0, 1))
    assert said(out).of(ViewChanged) == [ViewChanged(1, 1)]
    assert said(out).of(FetchBodies) == [FetchBodies(batch, (0, 2, 3))]


def test_a_view_change_without_the_batches_it_names_is_refused(bench):
    replica, batch = bench.replica(1), bench.batch()
    envelope = bench.view_change(2, 1, prepared=[(bench.certificate(batch), batch)])
    bench.hear(replica, msgspec.structs.replace(envelope, batches=()))
    assert replica.refused == {"wrong_batches": 1}


def test_two_view_changes_for_one_view_are_evidence_and_the_first_stays(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    other = bench.view_change(2, 1, prepared=[(bench.certificate(batch), batch)])
    out = bench.hear(replica, bench.view_change(2, 1), other, other)
    assert [(each.kind, each.member) for each in said(out).of(Evidence)] == [(VIEW_CHANGE, 2)]
    assert replica._core.view_changes[2].body.prepared == ()


def test_a_recorded_view_change_does_not_work_twice(bench):
    replica = enter_view(bench, 1, view=5)
    bench.hear(replica, bench.view_change(2, 1), bench.view_change(3, 5))
    assert replica.refused == {"stale": 2}


def test_a_member_that_shows_false_certificates_over_and_over_is_not_listened_to_until_the_next_tick(bench):
    replica, batch = bench.replica(1), bench.batch()
    false = bench.view_change(3, 1, prepared=[(bench.certificate(batch, members=(0, 2)), batch)])
    bench.hear(replica, *[false] * 10, bench.view_change(3, 1))
    assert replica.refused == {"invalid_certificate": 4, "too_many": 7}
    bench.hear(replica, bench.view_change(2, 1))  # others are
    assert list(replica._core.view_changes) == [2]
    replica.step(TimerFired("status", NOW))
    bench.hear(replica, bench.view_change(3, 1))
    assert replica.view == 1


def test_nor_one_that_leaves_for_ever_later_views(bench):
    replica = bench.replica(1)
    bench.hear(replica, *[bench.view_change(3, view) for view in range(1, 10)])
    assert (replica._core.view_changes[3].body.view, replica.refused) == (4, {"too_many": 5})


# ── entering ──────────────────────────────────────────────────────────────────────────────────────


def quorum(bench, view=1, senders=(0, 2, 3), **said):
    return [bench.view_change(sender, view, **said.get(f"of_{sender}", {})) for sender in senders]


def enter_view(bench, member, view):
    replica = bench.replica(member)
    bench.hear(replica, bench.new_view(quorum(bench, view), view=view))
    assert (replica.view, replica.changing_view) == (view, False)
    return replica


def test_the_new_primary_leads_once_a_quorum_has_left(bench, said):
    replica = bench.replica(1)
    bench.hear(replica, bench.view_change(2, 1))
    out = bench.hear(replica, bench.view_change(3, 1))  # a weak quorum: it leaves, and is the third
    assert said(out).kinds() == [VIEW_CHANGE, NEW_VIEW]
    assert said(out).of(ViewChanged) == [ViewChanged(1, 1)]


def test_a_backup_enters_and_votes_for_what_it_proposes_again(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    out = bench.hear(replica, bench.new_view(view_changes, batches=[batch]))
    assert [type(action) for action in out] == [Persist, ViewChanged, FetchBodies, SetTimer]
    out = replica.step(BodiesReady(batch.digest, NOW))
    assert said(out).kinds() == [PREPARE]
    assert said(out).messages(PREPARE)[0].view == 1


def test_a_re_proposal_is_not_judged_by_todays_clock(bench, said):
    replica, batch = bench.replica(2), bench.batch(time_ms=NOW - 30 * 60_000)
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    bench.hear(replica, bench.new_view(view_changes, batches=[batch]))
    assert said(replica.step(BodiesReady(batch.digest, NOW))).kinds() == [PREPARE]


def test_a_gap_is_filled_with_a_null_batch_that_commits_like_any_other(bench, said):
    replica, batch = bench.replica(2), bench.batch(2)
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    out = bench.hear(replica, bench.new_view(view_changes, batches=[batch]))
    vote = said(out).messages(PREPARE)[0]  # an empty batch has no bodies to wait for
    assert vote.height == 1
    null = bench.batch(1, view=1, names=(), time_ms=0, since=3)
    assert vote.digest == null.digest
    out = bench.hear(replica, *[bench.prepare(each, null) for each in (0, 1)])
    out += bench.hear(replica, *[bench.commit(each, null) for each in (0, 1)])
    assert said(out).of(Deliver) == [Deliver(1, null, null.digest)]


def test_a_certificate_cannot_be_left_out(bench):
    replica, batch = bench.replica(2), bench.batch()
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    bench.hear(replica, bench.new_view(view_changes, batches=[]))
    assert replica.refused == {"wrong_batches": 1}
    assert replica.view == 0


def test_whoever_hands_a_new_view_on_with_other_batches_does_not_use_up_its_senders_checks(bench):
    replica, batch = bench.replica(2), bench.batch()
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    bench.hear(replica, *[bench.new_view(view_changes, batches=[])] * 10)
    bench.hear(replica, bench.new_view(view_changes, batches=[batch]))
    assert replica.refused == {"wrong_batches": 10}
    assert replica.view == 1


def test_a_primary_whose_new_views_do_not_hold_is_not_listened_to_until_the_next_tick(bench):
    replica = bench.replica(2)
    good = quorum(bench)
    bad = bench.new_view([*good[:2], msgspec.structs.replace(good[2], signature=bytes(64))])
    bench.hear(replica, *[bad] * 6, bench.new_view(good))
    assert replica.refused == {"bad_signature": 4, "too_many": 3}
    replica.step(TimerFired("status", NOW))
    bench.hear(replica, bench.new_view(good))
    assert replica.view == 1


def test_nor_replaced_nor_can_a_batch_be_added(bench):
    replica, batch, other = bench.replica(2), bench.batch(), bench.batch(names=("b",))
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    for batches in ([other], [batch, bench.batch(2)]):
        bench.hear(replica, bench.new_view(view_changes, batches=batches))
    assert replica.refused == {"wrong_batches": 2}


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        ({"sender": 3}, "not_the_primary"),
        ({"senders": (0, 2)}, "no_quorum"),
        ({"senders": (0, 2, 2)}, "view_changes_out_of_order"),
        ({"of_3": {"seal": "forged"}}, "invalid_seal"),
    ],
)
def test_a_new_view_that_breaks_a_rule_is_refused(bench, bend, reason):
    replica = bench.replica(2)
    if "of_3" in bend:
        bend = {"of_3": {"seal": bench.seal(4, members=(0, 1))}}
    sender = bend.pop("sender", None)
    bench.hear(replica, bench.new_view(quorum(bench, **bend), sender=sender))
    assert replica.refused == {reason: 1}
    assert replica.view == 0


def test_a_forged_view_change_inside_spoils_it(bench):
    replica, view_changes = bench.replica(2), quorum(bench)
    view_changes[1] = msgspec.structs.replace(view_changes[1], signature=bytes(64))
    bench.hear(replica, bench.new_view(view_changes))
    assert replica.refused == {"bad_signature": 1}


def test_one_for_a_lower_view_is_stale(bench):
    replica = enter_view(bench, 3, view=5)
    bench.hear(replica, bench.new_view(quorum(bench, 1), view=1))
    assert replica.refused == {"stale": 1}
    assert replica.view == 5


def test_a_second_different_one_for_the_view_is_evidence(bench, said):
    replica = enter_view(bench, 3, view=1)
    second = bench.new_view(quorum(bench, 1, senders=(0, 1, 2)), view=1)
    out = bench.hear(replica, second, second)
    assert [(each.kind, each.member) for each in said(out).of(Evidence)] == [(NEW_VIEW, 1)]


def test_it_enters_a_later_view_without_having_left_for_it(bench):
    enter_view(bench, 3, view=6)


def test_the_new_view_decides_below_its_first_fresh_height(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    early = bench.batch(1, view=1, names=("x",))
    bench.hear(replica, bench.pre_prepare(early))  # kept: it may be for a view to come
    bench.hear(replica, bench.new_view(view_changes, batches=[batch]))
    assert said(replica.step(BodiesReady(batch.digest, NOW))).messages(PREPARE)[0].digest == batch.digest
    assert said(bench.hear(replica, bench.pre_prepare(early))).kinds() == []
    fresh = bench.batch(2, view=1, names=("y",), since=2)
    assert said(bench.accept(replica, fresh)).messages(PREPARE)[0].digest == fresh.digest


def test_votes_that_came_before_the_new_view_count_in_it(bench, said):
    replica, batch = bench.replica(2), bench.batch(1, view=1)
    bench.hear(replica, bench.pre_prepare(batch), bench.prepare(0, batch), bench.prepare(1, batch))
    bench.hear(replica, bench.new_view(quorum(bench)))
    assert said(replica.step(BodiesReady(batch.digest, NOW))).kinds() == [PREPARE, COMMIT]


def test_what_is_final_here_is_delivered_once_and_voted_for_again(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    bench.commit_block(replica, batch)
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(batch), batch)]})
    out = bench.hear(replica, bench.new_view(view_changes, batches=[batch]))
    out += bench.hear(replica, *[bench.prepare(each, batch, view=1) for each in (0, 1)])
    out += bench.hear(replica, *[bench.commit(each, batch, view=1) for each in (0, 1)])
    assert said(out).kinds() == [PREPARE, COMMIT]
    assert said(out).of(Deliver) == []


def test_another_batch_at_a_height_that_is_final_here_stops_it(bench, said):
    replica = bench.replica(2)
    bench.commit_block(replica, bench.batch())
    later = bench.batch(2)
    view_changes = quorum(bench, of_3={"prepared": [(bench.certificate(later), later)]})
    out = bench.hear(replica, bench.new_view(view_changes, batches=[later]))  # a null batch at height 1
    assert "final here" in said(out).of(Halt)[0].diagnosis


def test_a_laggard_enters_at_once_and_votes_when_its_window_reaches_the_view(bench, said):
    replica = bench.replica(2)
    view_changes = quorum(bench, of_0={"seal": bench.seal(3)})
    out = bench.hear(replica, bench.new_view(view_changes))
    assert said(out).of(ViewChanged) == [ViewChanged(1, 1)]
    assert replica._core.fresh_from == 4
    assert replica._core.best_sealed_height == 3


# ── patience ──────────────────────────────────────────────────────────────────────────────────────


def test_no_work_no_timer(bench, said):
    replica = bench.replica(1)
    assert said(replica.step(RequestsWaiting(True, NOW))).of(SetTimer) == [SetTimer("progress", 1000)]
    assert said(replica.step(RequestsWaiting(False, NOW))).of(CancelTimer) == [CancelTimer("progress")]


def test_a_commit_restarts_it(bench, said):
    replica = bench.replica(1)
    replica.step(RequestsWaiting(True, NOW))
    assert said(bench.commit_block(replica, bench.batch())).of(SetTimer) == [SetTimer("progress", 1000)]


def test_a_slow_execution_is_nobodys_fault(make_bench, said):
    bench = make_bench(window=1)
    replica = bench.replica(1)
    replica.step(RequestsWaiting(True, NOW))
    out = bench.commit_block(replica, bench.batch())
    assert said(out).of(CancelTimer) == [CancelTimer("progress")]  # height 2 is beyond the window until 1 is sealed
    assert said(bench.seal_block(replica, 1)).of(SetTimer) == [SetTimer("progress", 1000)]


def test_a_firing_that_comes_too_late_changes_nothing(bench):
    assert expire(bench.replica(1)) == []


def test_patience_doubles_with_each_failed_view_after_the_first_and_is_capped(bench, said):
    replica, waits = bench.replica(3), []
    for view in range(5):
        out = leave(bench, replica, senders=(0, 1), view=view)
        out += bench.hear(replica, *[bench.view_change(sender, view + 1) for sender in (0, 1)])
        waits += [action.after_ms for action in said(out).of(SetTimer)]
        if replica.view % 4 == 3:
            break
    assert waits == [1000, 2000]  # then member 3 leads itself


def test_the_cap(bench):
    from consensus.liveness import timeout_ms

    core = bench.replica(1)._core
    core.failed_views = 10_000
    assert timeout_ms(core) == 8000


def test_progress_resets_it(bench, said):
    replica = enter_view(bench, 2, view=1)
    replica._core.failed_views = 3
    batch = bench.batch(1, view=1)
    bench.commit_block(replica, batch)
    assert said(replica.step(RequestsWaiting(True, NOW))).of(SetTimer) == [SetTimer("progress", 1000)]


def test_it_waits_for_a_new_view_only_once_a_quorum_has_left(bench, said):
    replica = bench.replica(3)
    out = leave(bench, replica, senders=(0, 1))
    assert said(out).of(SetTimer) == []
    bench.hear(replica, bench.view_change(0, 1))
    out = bench.hear(replica, bench.view_change(2, 4))  # who went further has left as well
    assert said(out).of(SetTimer) == [SetTimer("progress", 1000)]
    assert said(expire(replica)).messages(SUSPECT)[0].view == 1


def test_a_height_that_comes_by_the_old_view_starts_no_new_one_so_the_doubt_goes_on(bench, said):
    """Once every member's doubt was about a height that an old certificate then brought: nobody ever left (P5.4)."""
    replica, batch = bench.replica(3), bench.batch()
    bench.accept(replica, batch)
    leave(bench, replica, senders=(0, 1))
    bench.hear(replica, bench.view_change(0, 1), bench.view_change(2, 1))
    assert [(each.view, each.height) for each in said(expire(replica)).messages(SUSPECT)] == [(1, 1)]
    out = bench.hear(replica, *[bench.commit(sender, batch) for sender in (0, 1, 2)])
    assert said(out).of(Deliver) == [Deliver(1, batch, batch.digest)]
    assert [(each.view, each.height) for each in said(out).messages(SUSPECT)] == [(1, 2)]
    leave(bench, replica, senders=(0,), view=1, height=2)
    assert (replica.view, replica.changing_view) == (2, True)


def test_a_doubt_about_a_view_that_was_entered_ends_with_the_height(bench, said):
    replica, batch = bench.replica(3), bench.batch()
    bench.accept(replica, batch)
    replica.step(RequestsWaiting(True, NOW))
    assert [(each.view, each.height) for each in said(expire(replica)).messages(SUSPECT)] == [(0, 1)]
    out = bench.hear(replica, *[bench.commit(sender, batch) for sender in (0, 1, 2)])
    assert said(out).of(Deliver) == [Deliver(1, batch, batch.digest)]
    assert said(out).messages(SUSPECT) == []


def test_behind_the_others_it_blames_nobody(bench, said):
    replica = bench.replica(1)
    replica.step(RequestsWaiting(True, NOW))
    out = bench.hear(replica, bench.status(2, height=2, seal=bench.seal(2)))
    assert said(out).of(CancelTimer) == [CancelTimer("progress")]
