"""Every start asks what the others hold of this member's votes; and of each member the latest word counts."""

import pytest

from consensus import first_journal
from consensus.actions import Broadcast, Send, SetTimer
from consensus.events import TimerFired
from consensus.messages import CHECKPOINT, COMMIT, PREPARE, STATUS, VIEW_CHANGE, open_envelope

NOW = 1_700_000_000_000
TOKEN = 1 << 61
ANCHOR = first_journal()


# ── every start ───────────────────────────────────────────────────────────────────────────────────


def test_a_start_asks_at_once_and_soon_again(bench, said):
    replica, out = bench.started()
    assert bench.asked(out) == TOKEN
    assert said(out).of(SetTimer) == [SetTimer("status", 250), SetTimer("ask", 50)]
    again = [replica.step(TimerFired("ask", NOW)) for _ in range(3)]
    assert [bench.asked(each) for each in again] == [TOKEN] * 3
    assert [said(each).of(SetTimer) for each in again] == [[SetTimer("ask", 100)], [SetTimer("ask", 200)], []]


def test_it_votes_once_a_quorum_has_answered(bench, said):
    replica, _ = bench.started()
    batch = bench.batch()
    assert said(bench.accept(replica, batch)).kinds() == []
    assert "power 1 of 3" in replica.silence
    bench.answer(replica, TOKEN, senders=(0,))
    assert replica.silent
    out = bench.answer(replica, TOKEN, senders=(1,))
    out += replica.step(bench.bodies(batch))
    assert said(out).messages(PREPARE)  # of what it had heard meanwhile
    assert (replica.silent, replica.silence) == (False, "")
    assert replica.step(TimerFired("ask", NOW)) == []


@pytest.mark.parametrize("echo", [0, TOKEN - 1, TOKEN + 1])
def test_what_echoes_another_token_is_no_answer(bench, echo):
    replica, _ = bench.started()
    bench.answer(replica, echo, senders=(0, 1, 3))
    assert replica.silent


def test_one_member_answers_for_itself_only(bench):
    replica, _ = bench.started()
    bench.answer(replica, TOKEN, senders=(0, 0, 0))
    assert replica.silent


def test_a_network_of_one_asks_nobody(make_bench):
    bench = make_bench(powers=(1,))
    replica, out = bench.started(member=0)
    assert not replica.silent
    assert [action for action in out if isinstance(action, Broadcast)] == []


def test_all_start_at_once_and_answer_each_other(bench):
    """A power cut of everybody: who asks is answered by others that ask as well."""
    replicas = {member: bench.started(member) for member in range(4)}
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
    bench.follow(peer, [1, 2])
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
    replica, _ = bench.started()
    out = bench.hear(replica, *[bench.status(0, height=each) for each in range(3)])
    asked = [body.token for body in said(out).messages(STATUS) if body.token]
    assert asked == [TOKEN]
    bench.answer(replica, TOKEN, senders=(0, 1))
    replica.step(TimerFired("status", NOW))
    assert [body.token for body in said(bench.hear(replica, bench.status(3))).messages(STATUS)] == [0]


def test_what_others_had_sealed_it_takes_by_their_seals_and_votes_above(bench, said):
    replica, _ = bench.started()
    bench.answer(replica, TOKEN, height=2)
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
    replica, out = bench.started(journal=ANCHOR)
    early = [action.data for action in out if isinstance(action, Broadcast)]
    bench.hear(peer, bench.status(2, number=NOW + 10**9))  # of an earlier process
    handed_back = [action.data for action in said(bench.hear(peer, *early)).of(Send)]
    assert len(handed_back) == 1
    out = bench.hear(replica, *handed_back)  # it asks again at once
    answers = [action.data for action in said(bench.hear(peer, *[a.data for a in said(out).of(Broadcast)])).of(Send)]
    assert [body.echo for body in said(map_sent(answers)).messages(STATUS)] == [TOKEN]


def map_sent(datas):
    return [Send(0, data) for data in datas]


def test_a_number_that_no_clock_shows_is_not_counted_on_from(bench, said):
    """Signed with this member's own key, by whoever holds it: no STATUS could be numbered after it."""
    replica = bench.replica(2)
    bench.hear(replica, bench.status(2, number=(1 << 53) - 1))
    (body,) = said(replica.step(TimerFired("status", NOW))).messages(STATUS)
    assert body.number == NOW + 2
