"""A member's own message comes back: mostly an echo, else a journal that is an older copy, or a second signer."""

import pytest

from consensus import first_journal
from consensus.actions import Broadcast, Halt
from consensus.events import BlockFetched
from consensus.messages import CHECKPOINT, COMMIT, PREPARE, STATUS, VIEW_CHANGE, open_envelope
from consensus.recovery import Anchor, Doubted, Entered, Left
from consensus.simulation.stubs import GENESIS, execute

NOW = 1_700_000_000_000
TOKEN = 1 << 61
ANCHOR = first_journal()


# ── an older journal ──────────────────────────────────────────────────────────────────────────────


def lived(bench, member=2):
    """A member's life: a block, then votes at the next height; (its records, its votes by kind)."""
    replica = bench.replica(member)
    out = bench.follow(replica, [1])
    second = bench.batch(2, names=("b",))
    out += bench.accept(replica, second)
    out += bench.hear(replica, *[bench.prepare(each, second) for each in (0, 3)])
    sent = [open_envelope(action.data)[0] for action in out if isinstance(action, Broadcast)]
    return ANCHOR + bench.persisted(out), [each for each in sent if each.kind != STATUS]


def test_a_whole_journal_is_not_moved_by_its_own_words(bench):
    journal, words = lived(bench)
    assert [each.kind for each in words] == [PREPARE, COMMIT, CHECKPOINT, PREPARE, COMMIT]
    replica, _ = bench.started(journal=journal)
    assert bench.persisted(bench.hear(replica, *words)) == []
    bench.answer(replica, TOKEN)
    assert not replica.silent
    assert bench.persisted(bench.hear(replica, *words)) == []
    assert not replica.silent


@pytest.mark.parametrize("word", range(5))
def test_a_vote_that_an_older_journal_lacks_is_doubt_and_stays_so(bench, word):
    _, words = lived(bench)
    replica, _ = bench.started()  # restored from the day when it was begun
    out = bench.hear(replica, words[word])
    assert bench.durable(out, Doubted) == [Doubted(words[word].kind, words[word].body)]
    assert "set back" in replica.silence
    bench.answer(replica, bench.asked(out))
    again, _ = bench.started(journal=ANCHOR + bench.persisted(out))
    assert "set back" in again.silence
    rewritten, _ = bench.started(journal=again.journal_snapshot())
    assert "set back" in rewritten.silence


def test_so_it_is_when_the_vote_comes_later(bench, said):
    _, words = lived(bench)
    replica, _ = bench.started()
    bench.answer(replica, TOKEN)
    assert not replica.silent
    bench.hear(replica, words[-1])
    assert replica.silent
    assert said(bench.accept(replica, bench.batch(1, names=("other",)))).kinds() == []


def test_a_forged_vote_moves_nobody(bench):
    replica, _ = bench.started()
    bench.answer(replica, TOKEN)
    forged = bench.vote(PREPARE, 2, bench.batch())
    wrong = type(forged)(forged.kind, forged.body, bytes(64))
    bench.hear(replica, wrong)
    assert not replica.silent
    assert replica.refused["bad_signature"] == 1


def test_a_later_view_of_the_same_height_is_missing_too(bench):
    replica, _ = bench.started(journal=ANCHOR + bench.persisted(bench.accept(bench.replica(2), bench.batch())))
    bench.answer(replica, TOKEN)
    bench.hear(replica, bench.prepare(2, bench.batch(view=1)))
    assert replica.silent


def test_an_earlier_view_of_the_same_height_is_not(bench):
    first = bench.replica(2)
    out = bench.hear(first, bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)]))
    out += bench.accept(first, bench.batch(view=1, names=("b",)))
    replica, _ = bench.started(journal=ANCHOR + bench.persisted(out))
    bench.answer(replica, TOKEN)
    bench.hear(replica, bench.prepare(2, bench.batch()))
    assert not replica.silent


def test_below_the_anchor_the_journal_may_have_forgotten(bench):
    _, words = lived(bench)
    replica, _ = bench.started(journal=[Anchor(1).encode()], tip=bench.tip(1))
    bench.answer(replica, TOKEN)
    bench.hear(replica, *words[:3])
    assert not replica.silent
    bench.hear(replica, words[3])
    assert replica.silent


def test_a_suspicion_and_a_status_prove_nothing(bench):
    replica, _ = bench.started()
    bench.answer(replica, TOKEN)
    bench.hear(replica, bench.suspect(2, view=3), bench.status(2, view=3))
    assert not replica.silent


def test_its_own_hand_in_a_seal_that_it_fetches_is_a_word_of_its_own(bench):
    header, _ = execute(GENESIS.header_hash, NOW, bench.batch(), set())
    for members, silent in (((0, 1, 3), False), ((0, 1, 2), True)):
        replica, _ = bench.started()
        bench.answer(replica, TOKEN)
        replica.step(BlockFetched(header, bench.batch(), bench.seal(1, header.hash, members=members), NOW))
        assert replica.silent is silent


def test_a_promise_to_leave_is_missing_and_taken_back(bench):
    replica, _ = bench.started()
    promise = bench.view_change(2, 3)
    out = bench.hear(replica, promise)
    assert bench.durable(out, Doubted, Left) == [Doubted(VIEW_CHANGE, promise.body), Left(3, promise)]
    assert (replica.view, replica.changing_view) == (3, True)
    again, _ = bench.started(journal=ANCHOR + bench.persisted(out))
    assert (again.view, again.changing_view) == (3, True)


def test_a_new_view_of_its_own_is_missing_and_entered_again(bench):
    replica, _ = bench.started(member=1)
    new_view = bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)])
    out = bench.hear(replica, new_view)
    assert [type(each) for each in bench.durable(out, Doubted, Entered)] == [Doubted, Entered]
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
