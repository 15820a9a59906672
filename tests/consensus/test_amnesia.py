"""A journal that was lost, set back to an older copy, or written by two: nobody contradicts its own forgotten word."""

import pytest

from consensus import first_journal
from consensus.actions import Broadcast, Deliver, FetchBodies, Halt, Persist, Send, SetTimer
from consensus.events import BatchReady, BlockFetched, Executed, Start, TimerFired
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    PREPARE,
    STATUS,
    VIEW_CHANGE,
    Fence,
    open_envelope,
)
from consensus.recovery import Anchor, Doubted, Entered, Fenced, Left, Resumed, read_record
from consensus.simulation.stubs import GENESIS, execute

NOW = 1_700_000_000_000
TOKEN = 1 << 61
ANCHOR = first_journal()


def records(actions):
    return [action.record for action in actions if isinstance(action, Persist)]


def opened_records(actions, *kinds):
    return [record for record in map(read_record, records(actions)) if isinstance(record, kinds)]


def token_in(actions):
    """What the last STATUS to everybody asks."""
    opened = [open_envelope(action.data)[1] for action in actions if isinstance(action, Broadcast)]
    return [body.token for body in opened if hasattr(body, "token")][-1]


def answer(bench, replica, token, senders=(0, 1), height=0, **other):
    """STATUSes that echo a question."""
    seal = bench.seal(height, members=(0, 1, 3)) if height else None
    said = {"height": height, "seal": seal, "echo": token} | other
    return bench.hear(replica, *[bench.status(each, **said) for each in senders])


def follow(bench, replica, heights, **batch):
    out = []
    for height in heights:
        out += bench.commit_block(replica, bench.batch(height, names=(str(height),), **batch))
        out += bench.seal_block(replica, height)
    return out


def started(bench, member=2, journal=ANCHOR, token=TOKEN, **other):
    """A replica that has just put its question."""
    replica = bench.replica(member, journal=journal, start=False, **other)
    out = replica.step(Start(NOW, token))
    return replica, out


# ── every start ───────────────────────────────────────────────────────────────────────────────────


def test_a_start_asks_at_once_and_soon_again(bench, said):
    replica, out = started(bench)
    assert token_in(out) == TOKEN
    assert said(out).of(SetTimer) == [SetTimer("status", 250), SetTimer("ask", 50)]
    again = [replica.step(TimerFired("ask", NOW)) for _ in range(3)]
    assert [token_in(each) for each in again] == [TOKEN] * 3
    assert [said(each).of(SetTimer) for each in again] == [[SetTimer("ask", 100)], [SetTimer("ask", 200)], []]


def test_it_votes_once_a_quorum_has_answered(bench, said):
    replica, _ = started(bench)
    batch = bench.batch()
    assert said(bench.accept(replica, batch)).kinds() == []
    assert "power 1 of 3" in replica.silence
    answer(bench, replica, TOKEN, senders=(0,))
    assert replica.silent
    out = answer(bench, replica, TOKEN, senders=(1,))
    out += replica.step(bench.bodies(batch))
    assert said(out).messages(PREPARE)  # of what it had heard meanwhile
    assert (replica.silent, replica.silence) == (False, "")
    assert replica.step(TimerFired("ask", NOW)) == []


@pytest.mark.parametrize("echo", [0, TOKEN - 1, TOKEN + 1])
def test_what_echoes_another_token_is_no_answer(bench, echo):
    replica, _ = started(bench)
    answer(bench, replica, echo, senders=(0, 1, 3))
    assert replica.silent


def test_one_member_answers_for_itself_only(bench):
    replica, _ = started(bench)
    answer(bench, replica, TOKEN, senders=(0, 0, 0))
    assert replica.silent


def test_a_network_of_one_asks_nobody(make_bench):
    bench = make_bench(powers=(1,))
    replica, out = started(bench, member=0)
    assert not replica.silent
    assert [action for action in out if isinstance(action, Broadcast)] == []


def test_all_start_at_once_and_answer_each_other(bench):
    """A power cut of everybody: who asks is answered by others that ask as well."""
    replicas = {member: started(bench, member) for member in range(4)}
    wire = [(member, action) for member, (_, out) in replicas.items() for action in out]
    sent = 0
    while wire:
        sender, action = wire.pop(0)
        if isinstance(action, Broadcast | Send):
            receivers = [action.member] if isinstance(action, Send) else [each for each in range(4) if each != sender]
            for receiver in receivers:
                sent += 1
                wire += [(receiver, each) for each in bench.hear(replicas[receiver][0], action.data)]
    assert [replica.silence for replica, _ in replicas.values()] == [""] * 4
    assert sent <= 12 * 4  # questions, answers, and no storm


def test_an_answer_to_a_question_comes_at_once_with_all_that_it_holds(bench, said):
    peer = bench.replica(1)
    follow(bench, peer, [1, 2])
    batch, later = bench.batch(3, names=("c",)), bench.batch(4, names=("d",))
    bench.hear(peer, bench.pre_prepare(batch), bench.prepare(2, batch), bench.commit(2, batch))
    bench.hear(peer, bench.checkpoint(2, 3), bench.view_change(2, 5), bench.prepare(2, later), bench.prepare(3, later))
    bench.hear(peer, bench.status(2, token=7))  # the answer of this tick is given
    out = bench.hear(peer, bench.status(2, token=TOKEN))
    sent = [open_envelope(action.data)[0] for action in said(out).of(Send) if action.member == 2]
    kinds = [each.kind for each in sent]
    assert kinds[:5] == [VIEW_CHANGE, PREPARE, COMMIT, PREPARE, CHECKPOINT]
    assert kinds.index(STATUS) > 4  # after what it holds: who hears the echo has heard all of it
    assert bench.prepare(2, later) in sent
    assert bench.prepare(3, later) not in sent
    assert said(out).messages(STATUS)[-1].echo == TOKEN


def test_but_not_more_than_a_few_times_a_tick(bench, said):
    peer = bench.replica(1)
    out = bench.hear(peer, *[bench.status(2, token=token) for token in range(1, 100)])
    assert 1 <= len(said(out).messages(STATUS)) <= 5


def test_a_member_that_has_not_answered_is_asked_when_it_speaks_once_a_tick(bench, said):
    replica, _ = started(bench)
    out = bench.hear(replica, *[bench.status(0, height=each) for each in range(3)])
    asked = [body.token for body in said(out).messages(STATUS) if body.token]
    assert asked == [TOKEN]
    answer(bench, replica, TOKEN, senders=(0, 1))
    replica.step(TimerFired("status", NOW))
    assert [body.token for body in said(bench.hear(replica, bench.status(3))).messages(STATUS)] == [0]


def test_what_others_had_sealed_it_takes_by_their_seals_and_votes_above(bench, said):
    replica, _ = started(bench)
    answer(bench, replica, TOKEN, height=2)
    assert not replica.silent
    assert said(bench.accept(replica, bench.batch(2, names=("b",)))).kinds() == []
    assert said(bench.accept(replica, bench.batch(3, names=("c",)))).kinds() == [PREPARE]


# ── the latest word ───────────────────────────────────────────────────────────────────────────────


def test_an_old_status_sets_nobody_back_and_uses_no_answer_up(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    old, new = bench.status(3, view=0), bench.status(3, view=2, height=7, seal=bench.seal(6))
    bench.hear(replica, new)
    replica.step(TimerFired("status", NOW))
    assert [each.number for each in said(bench.hear(replica, *[old] * 20)).messages(STATUS)] == [NOW + 2]
    assert (replica.peers[3].view, replica.peers[3].sealed_height) == (2, 6)
    assert replica.refused["stale"] == 20
    again = bench.status(3, view=2, height=0)
    assert said(bench.hear(replica, again, bench.status(3, view=2, token=5))).kinds() == [STATUS]


def test_what_an_old_status_proves_still_counts(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    proof = bench.status(1, height=1, final=(bench.commit_certificate(batch),), batches=(batch,))
    bench.hear(replica, bench.status(1), proof)
    late = bench.batch(2, names=("b",))
    certificate = bench.commit_certificate(late)
    overtaken = bench.status(0, height=2, final=(certificate,), batches=(late,), number=1)
    bench.hear(replica, bench.status(0))
    out = bench.hear(replica, overtaken)
    assert [action.batch.height for action in out if hasattr(action, "batch")] == [2]


def test_a_member_whose_clock_was_set_back_learns_where_it_was(bench, said):
    peer = bench.replica(1)
    replica, out = started(bench, journal=ANCHOR)
    early = [action.data for action in out if isinstance(action, Broadcast)]
    bench.hear(peer, bench.status(2, number=NOW + 10**9))  # of an earlier process
    handed_back = [action.data for action in said(bench.hear(peer, *early)).of(Send)]
    assert len(handed_back) == 1
    out = bench.hear(replica, *handed_back)  # it asks again at once
    answers = [action.data for action in said(bench.hear(peer, *[a.data for a in said(out).of(Broadcast)])).of(Send)]
    assert [body.echo for body in said(map_sent(answers)).messages(STATUS)] == [TOKEN]


def map_sent(datas):
    return [Send(0, data) for data in datas]


# ── an older journal ──────────────────────────────────────────────────────────────────────────────


def lived(bench, member=2):
    """A member's life: a block, then votes at the next height; (its records, its votes by kind)."""
    replica = bench.replica(member)
    out = follow(bench, replica, [1])
    second = bench.batch(2, names=("b",))
    out += bench.accept(replica, second)
    out += bench.hear(replica, *[bench.prepare(each, second) for each in (0, 3)])
    sent = [open_envelope(action.data)[0] for action in out if isinstance(action, Broadcast)]
    return ANCHOR + records(out), [each for each in sent if each.kind != STATUS]


def test_a_whole_journal_is_not_moved_by_its_own_words(bench):
    journal, words = lived(bench)
    assert [each.kind for each in words] == [PREPARE, COMMIT, CHECKPOINT, PREPARE, COMMIT]
    replica, _ = started(bench, journal=journal)
    assert records(bench.hear(replica, *words)) == []
    answer(bench, replica, TOKEN)
    assert not replica.silent
    assert records(bench.hear(replica, *words)) == []
    assert not replica.silent


@pytest.mark.parametrize("word", range(5))
def test_a_vote_that_an_older_journal_lacks_is_doubt_and_stays_so(bench, word):
    _, words = lived(bench)
    replica, _ = started(bench)  # restored from the day when it was begun
    out = bench.hear(replica, words[word])
    assert opened_records(out, Doubted) == [Doubted(words[word].kind, words[word].body)]
    assert "set back" in replica.silence
    answer(bench, replica, token_in(out))
    again, _ = started(bench, journal=ANCHOR + records(out))
    assert "set back" in again.silence
    rewritten, _ = started(bench, journal=again.journal_snapshot())
    assert "set back" in rewritten.silence


def test_so_it_is_when_the_vote_comes_later(bench, said):
    _, words = lived(bench)
    replica, _ = started(bench)
    answer(bench, replica, TOKEN)
    assert not replica.silent
    bench.hear(replica, words[-1])
    assert replica.silent
    assert said(bench.accept(replica, bench.batch(1, names=("other",)))).kinds() == []


def test_a_forged_vote_moves_nobody(bench):
    replica, _ = started(bench)
    answer(bench, replica, TOKEN)
    forged = bench.vote(PREPARE, 2, bench.batch())
    wrong = type(forged)(forged.kind, forged.body, bytes(64))
    bench.hear(replica, wrong)
    assert not replica.silent
    assert replica.refused["bad_signature"] == 1


def test_a_later_view_of_the_same_height_is_missing_too(bench):
    replica, _ = started(bench, journal=ANCHOR + records(bench.accept(bench.replica(2), bench.batch())))
    answer(bench, replica, TOKEN)
    bench.hear(replica, bench.prepare(2, bench.batch(view=1)))
    assert replica.silent


def test_an_earlier_view_of_the_same_height_is_not(bench):
    first = bench.replica(2)
    out = bench.hear(first, bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)]))
    out += bench.accept(first, bench.batch(view=1, names=("b",)))
    replica, _ = started(bench, journal=ANCHOR + records(out))
    answer(bench, replica, TOKEN)
    bench.hear(replica, bench.prepare(2, bench.batch()))
    assert not replica.silent


def test_below_the_anchor_the_journal_may_have_forgotten(bench):
    _, words = lived(bench)
    replica, _ = started(bench, journal=[Anchor(1).encode()], tip=bench.tip(1))
    answer(bench, replica, TOKEN)
    bench.hear(replica, *words[:3])
    assert not replica.silent
    bench.hear(replica, words[3])
    assert replica.silent


def test_a_suspicion_and_a_status_prove_nothing(bench):
    replica, _ = started(bench)
    answer(bench, replica, TOKEN)
    bench.hear(replica, bench.suspect(2, view=3), bench.status(2, view=3))
    assert not replica.silent


def test_its_own_hand_in_a_seal_that_it_fetches_is_a_word_of_its_own(bench):
    header, _ = execute(GENESIS.header_hash, NOW, bench.batch(), set())
    for members, silent in (((0, 1, 3), False), ((0, 1, 2), True)):
        replica, _ = started(bench)
        answer(bench, replica, TOKEN)
        replica.step(BlockFetched(header, bench.batch(), bench.seal(1, header.hash, members=members), NOW))
        assert replica.silent is silent


def test_a_promise_to_leave_is_missing_and_taken_back(bench):
    replica, _ = started(bench)
    promise = bench.view_change(2, 3)
    out = bench.hear(replica, promise)
    assert opened_records(out, Doubted, Left) == [Doubted(VIEW_CHANGE, promise.body), Left(3, promise)]
    assert (replica.view, replica.changing_view) == (3, True)
    again, _ = started(bench, journal=ANCHOR + records(out))
    assert (again.view, again.changing_view) == (3, True)


def test_a_new_view_of_its_own_is_missing_and_entered_again(bench):
    replica, _ = started(bench, member=1)
    new_view = bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)])
    out = bench.hear(replica, new_view)
    assert [type(each) for each in opened_records(out, Doubted, Entered)] == [Doubted, Entered]
    assert (replica.view, replica.changing_view) == (1, False)


def test_two_hands_at_one_pen_differ_and_it_halts(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    bench.accept(replica, batch)
    out = bench.hear(replica, bench.prepare(2, bench.batch(names=("other",))))
    assert "another process signs" in said(out).of(Halt)[0].diagnosis


def test_two_hands_that_do_not_differ_yet_only_silence_it(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    bench.accept(replica, batch)
    out = bench.hear(replica, bench.prepare(2, bench.batch(2, names=("other",))))
    assert said(out).of(Halt) == []
    assert replica.silent


# ── a lost journal ────────────────────────────────────────────────────────────────────────────────


def forgetful(bench, **other):
    """A member without a journal whose question a quorum has answered: nobody came further than genesis."""
    replica, out = started(bench, journal=[], **other)
    answer(bench, replica, token_in(out))
    return replica


def fencing(bench, **other):
    """One that has waited a window: (the replica, what its last step said)."""
    replica = forgetful(bench, **other)
    follow(bench, replica, [1, 2, 3])
    assert replica.silent
    return replica, follow(bench, replica, [4])


def test_a_lost_journal_is_waited_out_fenced_off_and_then_has_a_past(bench, said):
    replica, out = fencing(bench)
    assert replica.silent
    question = [body for body in said(out).messages(STATUS) if body.token][-1]
    assert question.fence == Fence(0, 4)
    assert question.token == TOKEN + 1
    answer(bench, replica, TOKEN, senders=(0, 1, 3))  # the first question's answers come late
    assert replica.silent
    out = answer(bench, replica, question.token)
    assert opened_records(out, Resumed, Anchor) == [Resumed(0, Fence(0, 4)), Anchor(4)]
    assert not replica.silent
    assert said(bench.accept(replica, bench.batch(5, names=("e",)))).kinds() == [PREPARE]


def test_even_at_genesis_it_was_lost(bench, said):
    replica = forgetful(bench)
    assert said(bench.accept(replica, bench.batch())).kinds() == []
    assert "when height 4 is sealed, now 0" in replica.silence


def test_what_it_had_sealed_lies_at_the_reach_of_a_quorum_or_below(bench):
    replica, out = started(bench, journal=[])
    token = token_in(out)
    answer(bench, replica, token, senders=(0,), reach=7)
    assert replica.silence.startswith("its vote journal was lost or set back: members with power 2 of 3")
    answer(bench, replica, token, senders=(1,), reach=9)
    assert "when height 13 is sealed" in replica.silence
    answer(bench, replica, token, senders=(3,), reach=5)
    assert "when height 11 is sealed" in replica.silence  # itself, 3 and 0 are a quorum


def test_a_liar_does_not_silence_it_for_ever(bench):
    replica, out = started(bench, journal=[])
    token = token_in(out)
    answer(bench, replica, token, senders=(3,), reach=10**12)
    answer(bench, replica, token, senders=(0, 1), reach=2)
    assert "when height 6 is sealed" in replica.silence


def test_a_store_that_lost_its_tail_reports_what_its_journal_reached(bench, said):
    peer = bench.replica(1)
    out = follow(bench, peer, range(1, 4))
    again = bench.replica(1, journal=ANCHOR + records(out))  # every block is lost, the journal is whole
    assert said(bench.hear(again, bench.status(2, token=TOKEN))).messages(STATUS)[-1].reach == 3


def test_old_answers_do_not_count(bench):
    replica, out = started(bench, journal=[])
    old = [bench.status(each, echo=TOKEN - 5) for each in (0, 1, 3)]
    bench.hear(replica, *old)
    assert "power 1 of 3" in replica.silence
    answer(bench, replica, token_in(out))
    assert "when height 4" in replica.silence


def test_who_is_in_doubt_itself_vouches_for_nothing(bench):
    replica, out = started(bench, journal=[])
    answer(bench, replica, token_in(out), senders=(0, 1, 3), forgetful=True)
    assert "power 1 of 3" in replica.silence


def test_more_than_may_fail_lost_theirs_and_nobody_speaks(bench, said):
    """Two of four with fresh disks: no quorum remembers, so nobody votes until operators decide."""
    replicas = {member: started(bench, member, journal=[])[0] for member in (2, 3)}
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
    replica, _ = started(bench, journal=[])
    out = bench.commit_block(replica, bench.batch())
    assert said(out).of(Deliver)
    assert said(out).kinds() == []
    bench.hear(replica, bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)]))
    assert replica.view == 1
    assert said(bench.hear(replica, bench.suspect(0, 1), bench.suspect(3, 1))).messages(VIEW_CHANGE) == []


def test_the_doubt_survives_a_restart_at_every_stage(bench):
    replica = forgetful(bench)
    assert started(bench, journal=replica.journal_snapshot())[0].silent
    replica, _ = fencing(bench)
    again, out = started(bench, journal=replica.journal_snapshot(), tip=bench.tip(4))
    answer(bench, again, token_in(out))
    assert "its vote journal was lost" in again.silence


def test_its_promise_that_comes_back_is_kept(bench, said):
    replica, out = started(bench, journal=[])
    promise = bench.view_change(2, 3)
    assert opened_records(bench.hear(replica, promise), Left) == [Left(3, promise)]
    answer(bench, replica, token_in(out))
    for height in range(1, 5):
        batch = bench.batch(height, names=(str(height),))
        final = (bench.commit_certificate(batch),)
        bench.hear(replica, bench.status(0, height=height, final=final, batches=(batch,)))
        replica.step(bench.bodies(batch))
        out = bench.seal_block(replica, height)
    question = [body for body in said(out).messages(STATUS) if body.token][-1]
    assert question.fence == Fence(3, 4)  # what it keeps is not void
    answer(bench, replica, question.token)
    assert not replica.silent
    assert (replica.view, replica.changing_view) == (3, True)


@pytest.mark.parametrize("batches", ["none", "others"])
def test_a_promise_without_its_batches_is_not_passed_on(bench, batches):
    batch, other = bench.batch(), bench.batch(names=("other",))
    promise = bench.view_change(2, 3, prepared=[(bench.certificate(batch), batch)])
    bent = type(promise)(promise.kind, promise.body, promise.signature, () if batches == "none" else (other,))
    replica, _ = started(bench, journal=[])
    assert opened_records(bench.hear(replica, bent), Left) == []


# ── fences ────────────────────────────────────────────────────────────────────────────────────────


def fence_status(bench, **other):
    return bench.status(2, token=TOKEN, forgetful=True, fence=Fence(0, 4), **other)


def test_a_fence_is_durable_before_it_is_acknowledged(bench):
    peer = bench.replica(1)
    out = bench.hear(peer, fence_status(bench))
    kinds = [type(action) for action in out]
    assert opened_records(out, Fenced) == [Fenced(2, Fence(0, 4))]
    assert kinds.index(Persist) < kinds.index(Send)
    assert records(bench.hear(peer, fence_status(bench))) == []


def test_behind_it_a_promise_to_leave_is_void_for_ever(bench):
    peer = bench.replica(1)
    out = bench.hear(peer, bench.view_change(2, 1), fence_status(bench))  # one that is held already, too
    assert 2 not in peer._core.view_changes
    for replica in (peer, bench.replica(1, journal=ANCHOR + records(out)), restarted(bench, peer)):
        bench.hear(replica, bench.view_change(2, 1))
        bench.hear(replica, bench.new_view([bench.view_change(each, 2) for each in (0, 2, 3)], view=2))
        assert replica.view == 0
        assert replica.refused["void"] == 2
        bench.hear(replica, bench.new_view([bench.view_change(each, 2) for each in (0, 1, 3)], view=2))
        assert replica.view == 2


def restarted(bench, replica):
    return bench.replica(1, journal=replica.journal_snapshot())


def test_what_it_signs_after_it_is_not(bench):
    peer = bench.replica(1)
    bench.hear(peer, fence_status(bench))
    left = [bench.view_change(each, 2, seal=bench.seal(4)) for each in (0, 2, 3)]
    bench.hear(peer, bench.new_view(left, view=2))
    assert peer.view == 2


def test_nor_what_it_said_that_it_keeps(bench):
    peer = bench.replica(1)
    bench.hear(peer, bench.status(2, token=TOKEN, fence=Fence(2, 4)))
    bench.hear(peer, bench.new_view([bench.view_change(each, 2) for each in (0, 2, 3)], view=2))
    assert peer.view == 2


def test_a_forgotten_promise_that_turns_up_after_all_changes_nothing(bench):
    """Nobody that answered had heard of it; a faulty member shows it when the doubt is over."""
    replica, out = fencing(bench)
    answer(bench, replica, token_in(out))
    out = bench.hear(replica, bench.view_change(2, 1), bench.prepare(2, bench.batch(2, names=("x",), view=7)))
    assert records(out) == []
    assert (replica.silent, replica.view) == (False, 0)


def test_it_votes_in_no_view_that_was_left_when_it_was_fenced_off(bench, said):
    """Members of the quorum had entered view 1 by then, maybe on the strength of its forgotten promise."""
    replica, out = fencing(bench)
    answer(bench, replica, token_in(out), view=1)
    assert not replica.silent
    assert said(bench.accept(replica, bench.batch(5, names=("e",)))).kinds() == []
    left = [bench.view_change(each, 1, seal=bench.seal(4)) for each in (0, 1, 3)]
    bench.hear(replica, bench.new_view(left))
    assert said(bench.accept(replica, bench.batch(5, view=1, names=("f",), since=5))).kinds() == [PREPARE]


def test_one_that_is_changing_view_has_entered_the_one_below_at_most(bench, said):
    replica, out = fencing(bench)
    answer(bench, replica, token_in(out), view=1, changing=True)
    assert said(bench.accept(replica, bench.batch(5, names=("e",)))).kinds() == [PREPARE]


def test_after_it_the_store_may_lose_its_tail_and_get_its_seals_back(bench, said):
    replica, out = fencing(bench)
    out = answer(bench, replica, token_in(out))
    journal = replica.journal_snapshot()
    again, _ = started(bench, journal=journal, tip=bench.tip(2))
    answer(bench, again, TOKEN)
    assert "its block store ends at height 2, but it voted up to 4" in again.silence
    delivered = said(again.step(TimerFired("status", NOW))).kinds()
    assert delivered == [STATUS]
    out = again.step(Executed(3, bench.seal(3).header_hash, NOW))
    assert said(out).kinds() == [CHECKPOINT]
    bench.hear(again, *[bench.checkpoint(each, 3) for each in (0, 1)])
    again.step(Executed(4, bench.seal(4).header_hash, NOW))
    bench.hear(again, *[bench.checkpoint(each, 4) for each in (0, 1)])
    assert (again.sealed_height, again.silence) == (4, "")


def test_a_second_loss_has_a_second_fence(bench, said):
    replica, out = fencing(bench)
    out = answer(bench, replica, token_in(out))
    out = bench.hear(replica, bench.prepare(2, bench.batch(6, names=("x",))))
    assert replica.silent
    answer(bench, replica, token_in(out), height=4)
    out = follow(bench, replica, range(5, 9))
    question = [body for body in said(out).messages(STATUS) if body.token][-1]
    assert question.fence == Fence(0, 8)
    out = answer(bench, replica, question.token, height=8)
    assert not replica.silent
    again, _ = started(bench, journal=replica.journal_snapshot(), tip=bench.tip(8))
    answer(bench, again, TOKEN)
    assert (again.silent, again._core.fences[2]) == (False, Fence(0, 8))


def test_a_number_that_no_clock_shows_is_not_counted_on_from(bench, said):
    """Signed with this member's own key, by whoever holds it: no STATUS could be numbered after it."""
    replica = bench.replica(2)
    bench.hear(replica, bench.status(2, number=(1 << 53) - 1))
    (body,) = said(replica.step(TimerFired("status", NOW))).messages(STATUS)
    assert body.number == NOW + 2


# ── why the fence is there ────────────────────────────────────────────────────────────────────────


def fork_by_a_forgotten_promise(bench, said):
    """Member 2 once promised to leave for view 1, and only 3 heard it. It lost its journal and recovered with the help
    of 0 and 1. Now 0, 1 and 2 make height 5 final in view 0; then 1 turns, and leads view 1 with the old promise, its
    own lie, and the word of 3, that was cut off. Who votes in view 1 for another batch at height 5?
    """
    replica, out = fencing(bench)
    other = bench.replica(0)
    follow_batches = [bench.batch(height, names=(str(height),)) for height in range(1, 5)]
    for batch in follow_batches:
        final = (bench.commit_certificate(batch, members=(0, 1, 3)),)
        bench.hear(other, bench.status(1, height=batch.height, final=final, batches=(batch,)))
        other.step(bench.bodies(batch))
        bench.seal_block(other, batch.height)
    fence = next(action for action in out if isinstance(action, Broadcast) and token_in([action]))
    bench.hear(other, fence.data)
    answer(bench, replica, token_in(out))
    final = bench.batch(5, names=("final",))
    replica_out = bench.commit_block(replica, final)
    assert [action.height for action in said(replica_out).of(Deliver)] == [5]
    forgotten = bench.view_change(2, 1)
    left = [bench.view_change(1, 1, seal=bench.seal(4)), forgotten, bench.view_change(3, 1, seal=bench.seal(4))]
    new_view, rival = bench.new_view(left), bench.batch(5, view=1, names=("rival",), since=5)
    votes = []
    for each in (replica, other):
        out = bench.hear(each, new_view, bench.pre_prepare(rival)) + each.step(bench.bodies(rival))
        votes += [body.sender for body in said(out).messages(PREPARE) if body.digest == rival.digest]
    return votes


def test_a_forgotten_promise_that_one_member_kept_forks_nothing(bench, said):
    assert fork_by_a_forgotten_promise(bench, said) == []


def test_without_fences_it_would(bench, said, monkeypatch):
    monkeypatch.setattr("consensus.view_changing.is_void", lambda *_: False)
    assert fork_by_a_forgotten_promise(bench, said) == [2, 0]
