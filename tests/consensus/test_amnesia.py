"""A journal that was lost is waited out and begun anew: nobody contradicts its own forgotten word."""

import pytest

from consensus import first_journal
from consensus.actions import Broadcast, Deliver, FetchBodies, Send
from consensus.events import BatchReady, Executed, TimerFired
from consensus.messages import CHECKPOINT, PREPARE, STATUS, VIEW_CHANGE
from consensus.recovery import Anchor, Left, Resumed

NOW = 1_700_000_000_000
TOKEN = 1 << 61
ANCHOR = first_journal()


# ── a lost journal ────────────────────────────────────────────────────────────────────────────────


def forgetful(bench, **other):
    """A member without a journal whose question a quorum has answered: nobody came further than genesis."""
    replica, out = bench.started(journal=[], **other)
    bench.answer(replica, bench.asked(out))
    return replica


def waited(bench, view=0, **other):
    """One that has waited for its seal a window above the answers: (the replica, what its last step said)."""
    replica, out = bench.started(journal=[])
    bench.answer(replica, bench.asked(out), view=view, **other)
    bench.follow(replica, [1, 2, 3])
    assert replica.silent
    return replica, bench.follow(replica, [4])


def test_a_lost_journal_is_waited_out_and_then_has_a_past(bench, said):
    replica, out = waited(bench)
    assert bench.durable(out, Resumed, Anchor) == [Resumed(0, 4), Anchor(4)]
    assert not replica.silent
    assert said(bench.accept(replica, bench.batch(5, names=("e",)))).kinds() == [PREPARE]


def test_an_answer_to_somebody_else_is_none(bench):
    """A faulty member asks with this one's token and passes the answers on: they were had without its words."""
    replica, out = bench.started(journal=[])
    bench.answer(replica, bench.asked(out), senders=(0, 1, 3), answers=3)
    assert "power 1 of 3" in replica.silence
    bench.answer(replica, bench.asked(out))
    assert "when height 4" in replica.silence


def test_an_answer_names_whom_it_answers(bench, said):
    peer = bench.replica(1)
    (answer,) = [body for body in said(bench.hear(peer, bench.status(2, token=TOKEN))).messages(STATUS) if body.echo]
    assert (answer.echo, answer.answers) == (TOKEN, 2)


def test_even_at_genesis_it_was_lost(bench, said):
    replica = forgetful(bench)
    assert said(bench.accept(replica, bench.batch())).kinds() == []
    assert "when height 4 is sealed, now 0" in replica.silence


def test_what_it_had_sealed_lies_at_the_reach_of_a_quorum_or_below(bench):
    replica, out = bench.started(journal=[])
    token = bench.asked(out)
    bench.answer(replica, token, senders=(0,), reach=7)
    assert replica.silence.startswith("its vote journal was lost or set back: members with power 2 of 3")
    bench.answer(replica, token, senders=(1,), reach=9)
    assert "when height 13 is sealed" in replica.silence
    bench.answer(replica, token, senders=(3,), reach=5)
    assert "when height 11 is sealed" in replica.silence  # itself, 3 and 0 are a quorum


def test_a_liar_does_not_silence_it_for_ever(bench):
    replica, out = bench.started(journal=[])
    token = bench.asked(out)
    bench.answer(replica, token, senders=(3,), reach=10**12)
    bench.answer(replica, token, senders=(0, 1), reach=2)
    assert "when height 6 is sealed" in replica.silence


def test_a_store_that_lost_its_tail_reports_what_its_journal_reached(bench, said):
    peer = bench.replica(1)
    out = bench.follow(peer, range(1, 4))
    again = bench.replica(1, journal=ANCHOR + bench.persisted(out))  # every block is lost, the journal is whole
    assert said(bench.hear(again, bench.status(2, token=TOKEN))).messages(STATUS)[-1].reach == 3


def test_old_answers_do_not_count(bench):
    replica, out = bench.started(journal=[])
    old = [bench.status(each, echo=TOKEN - 5) for each in (0, 1, 3)]
    bench.hear(replica, *old)
    assert "power 1 of 3" in replica.silence
    bench.answer(replica, bench.asked(out))
    assert "when height 4" in replica.silence


def test_who_is_in_doubt_itself_vouches_for_nothing(bench):
    replica, out = bench.started(journal=[])
    bench.answer(replica, bench.asked(out), senders=(0, 1, 3), forgetful=True)
    assert "power 1 of 3" in replica.silence


def test_more_than_may_fail_lost_theirs_and_nobody_speaks(bench, said):
    """Two of four with fresh disks: no quorum remembers, so nobody votes until operators decide."""
    replicas = {member: bench.started(member, journal=[])[0] for member in (2, 3)}
    replicas |= {member: bench.replica(member) for member in (0, 1)}
    proposed = replicas[0].step(BatchReady(1, 0, bench.batch().hashes, NOW, NOW))
    wire = [(0, proposed), *((each, replicas[each].step(TimerFired("status", NOW))) for each in (0, 1, 2, 3))]
    while wire:
        sender, out = wire.pop(0)
        for action in out:
            if isinstance(action, Broadcast | Send):
                receivers = [action.member] if isinstance(action, Send) else list(replicas)
                wire += [(each, bench.hear(replicas[each], action.data)) for each in receivers if each != sender]
            elif isinstance(action, FetchBodies):
                wire.append((sender, replicas[sender].step(bench.bodies(action.batch))))
    assert [replica.delivered_height for replica in replicas.values()] == [0] * 4
    assert [replicas[each].silent for each in range(4)] == [False, False, True, True]
    assert "if members with more power than 1 lost theirs, nobody will: then operators must decide" in (
        replicas[2].silence
    )


def test_in_doubt_it_still_follows_what_the_others_commit_and_the_views_they_enter(bench, said):
    replica, _ = bench.started(journal=[])
    out = bench.commit_block(replica, bench.batch())
    assert said(out).of(Deliver)
    assert said(out).kinds() == []
    bench.hear(replica, bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)]))
    assert replica.view == 1
    assert said(bench.hear(replica, bench.suspect(0, 1), bench.suspect(3, 1))).messages(VIEW_CHANGE) == []


def test_the_doubt_survives_a_restart_at_every_stage(bench):
    replica = forgetful(bench)
    assert bench.started(journal=replica.journal_snapshot())[0].silent
    bench.follow(replica, [1, 2, 3])
    again, out = bench.started(journal=replica.journal_snapshot(), tip=bench.tip(3))
    bench.answer(again, bench.asked(out))
    assert "its vote journal was lost" in again.silence


def test_its_promise_that_comes_back_is_kept(bench, said):
    replica, out = bench.started(journal=[])
    promise = bench.view_change(2, 3)
    assert bench.durable(bench.hear(replica, promise), Left) == [Left(3, promise)]
    bench.answer(replica, bench.asked(out))
    for height in range(1, 5):
        batch = bench.batch(height, names=(str(height),))
        final = (bench.commit_certificate(batch),)
        bench.hear(replica, bench.status(0, height=height, final=final, batches=(batch,)))
        replica.step(bench.bodies(batch))
        bench.seal_block(replica, height)
    assert not replica.silent
    assert (replica.view, replica.changing_view) == (3, True)


@pytest.mark.parametrize("batches", ["none", "others"])
def test_a_promise_without_its_batches_is_not_passed_on(bench, batches):
    batch, other = bench.batch(), bench.batch(names=("other",))
    promise = bench.view_change(2, 3, prepared=[(bench.certificate(batch), batch)])
    bent = type(promise)(promise.kind, promise.body, promise.signature, () if batches == "none" else (other,))
    replica, _ = bench.started(journal=[])
    assert bench.durable(bench.hear(replica, bent), Left) == []


# ── votes again ───────────────────────────────────────────────────────────────────────────────────


def test_a_forgotten_promise_that_turns_up_after_all_is_kept(bench):
    """Nobody that answered had heard of it; it is shown when the doubt is over. It is no news that it was forgotten."""
    replica, _ = waited(bench)
    promise = bench.view_change(2, 1)
    out = bench.hear(replica, promise, bench.prepare(2, bench.batch(2, names=("x",), view=7)))
    assert bench.durable(out, Left) == [Left(1, promise)]
    assert (replica.silent, replica.view, replica.changing_view) == (False, 1, True)
    assert bench.persisted(bench.hear(replica, promise)) == []


def test_a_forgotten_promise_that_differs_from_a_later_one_is_no_second_signer(bench):
    """It left for view 1 before the loss, and again after it: the old VIEW-CHANGE was only late."""
    replica, _ = waited(bench)
    bench.hear(replica, bench.suspect(0, 0, 5), bench.suspect(1, 0, 5))
    assert (replica.view, replica.changing_view) == (1, True)
    bench.hear(replica, bench.view_change(2, 1))
    assert (replica.halted, replica.silent) == ("", False)


def test_a_vote_above_what_it_waited_for_that_turns_up_is_a_new_loss(bench):
    replica, _ = waited(bench)
    bench.hear(replica, bench.prepare(2, bench.batch(6, names=("x",))))
    assert replica.silent


def entered(bench, replica, height=4):
    left = [bench.view_change(each, 1, seal=bench.seal(height)) for each in (0, 1, 3)]
    return bench.hear(replica, bench.new_view(left))


def test_it_waits_until_it_has_entered_the_view_that_a_quorum_may_be_in(bench, said):
    replica, out = bench.started(journal=[])
    bench.answer(replica, bench.asked(out), view=1)
    bench.follow(replica, range(1, 5))
    assert "when height 4 is sealed, now 4, and view 1 entered, now 0" in replica.silence
    assert bench.durable(entered(bench, replica), Resumed) == [Resumed(1, 4)]
    assert said(bench.accept(replica, bench.batch(5, view=1, names=("f",), since=5))).kinds() == [PREPARE]


def test_a_lie_about_the_view_that_comes_first_is_outvoted_later(bench):
    replica, out = bench.started(journal=[])
    token = bench.asked(out)
    bench.answer(replica, token, senders=(3,), view=(1 << 53) - 1)
    bench.answer(replica, token, senders=(0,))
    bench.follow(replica, range(1, 5))
    assert replica.silent
    out = bench.answer(replica, token, senders=(1,))
    assert bench.durable(out, Resumed) == [Resumed(0, 4)]


def test_one_that_is_changing_view_has_entered_the_one_below_at_most(bench, said):
    replica, _ = waited(bench, view=1, changing=True)
    assert said(bench.accept(replica, bench.batch(5, names=("e",)))).kinds() == [PREPARE]


def test_after_it_the_store_may_lose_its_tail_and_get_its_seals_back(bench, said):
    replica, _ = waited(bench)
    journal = replica.journal_snapshot()
    again, _ = bench.started(journal=journal, tip=bench.tip(2))
    bench.answer(again, TOKEN)
    assert "its block store ends at height 2, but it voted up to 4" in again.silence
    delivered = said(again.step(TimerFired("status", NOW))).kinds()
    assert delivered == [STATUS]
    out = again.step(Executed(3, bench.seal(3).header_hash, NOW))
    assert said(out).kinds() == [CHECKPOINT]
    bench.hear(again, *[bench.checkpoint(each, 3) for each in (0, 1)])
    again.step(Executed(4, bench.seal(4).header_hash, NOW))
    bench.hear(again, *[bench.checkpoint(each, 4) for each in (0, 1)])
    assert (again.sealed_height, again.silence) == (4, "")


def test_a_second_loss_is_waited_out_like_the_first(bench):
    replica, _ = waited(bench)
    out = bench.hear(replica, bench.prepare(2, bench.batch(6, names=("x",))))
    assert replica.silent
    bench.answer(replica, bench.asked(out), height=4)
    rewritten, _ = bench.started(journal=replica.journal_snapshot(), tip=bench.tip(4))
    assert (rewritten.silent, rewritten._core.resumed_height) == (True, 4)  # the first is not forgotten over the second
    out = bench.follow(replica, range(5, 9))
    assert bench.durable(out, Resumed) == [Resumed(0, 8)]
    again, _ = bench.started(journal=replica.journal_snapshot(), tip=bench.tip(8))
    bench.answer(again, TOKEN)
    assert not again.silent
