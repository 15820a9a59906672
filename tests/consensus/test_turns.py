"""Whose turn it is: the pen goes round, past members that were left, the same for everybody who looks."""

import pytest

from consensus import Turn, memory_heights
from consensus.actions import Broadcast, RequestBatch
from consensus.committee import Committee
from consensus.events import BatchReady, RequestsWaiting
from consensus.messages import PRE_PREPARE, PREPARE, open_envelope
from consensus.simulation.stubs import CHAIN_ID, stub_validators, stub_verify
from consensus.turns import Turns, turn_heights

W = 2
K = turn_heights(W)  # 8
NOW = 1_700_000_000_000


def turns(history=(), powers=(1, 1, 1, 1), sealed=None):
    committee = Committee(CHAIN_ID, 0, stub_validators(powers), stub_verify)
    history = list(history)
    return Turns(committee, W, len(history) if sealed is None else sealed, history)


def run(view, proposer, count, since=1):
    return [Turn(view, proposer, since)] * count


def holders(found, view, since, count):
    return [found.holder(view, since, since + number * K) for number in range(count)]


def test_k_is_four_windows():
    assert K == 4 * W


@pytest.mark.parametrize("view", [0, 1, 6])
def test_the_pen_goes_round_the_list_beginning_with_the_view_s_own_primary(view):
    history = run(view, 0, 5 * K)
    assert holders(turns(history), view, 1, 5) == [(view + each) % 4 for each in range(5)]


def test_a_turn_lasts_k_heights_and_not_one_more():
    found = turns(run(0, 0, 2 * K))
    assert [found.holder(0, 1, height) for height in (1, K, K + 1, 2 * K, 2 * K + 1)] == [0, 0, 1, 1, 2]
    assert [found.last_height(1, height) for height in (1, K, K + 1)] == [K, K, 2 * K]


def test_below_its_first_fresh_height_a_view_has_its_own_primary_only():
    assert turns(run(0, 0, 4)).holder(5, 9, 3) == 1
    assert turns().last_height(9, 3) == 8 + K


def test_a_turn_far_above_the_seal_is_not_known_yet():
    found = turns(run(0, 0, 3))  # the second turn begins at 9, and is judged by what is sealed through 5
    assert found.holder(0, 1, 9) is None
    for _ in range(2):
        found.seal(Turn(0, 0, 1))
    assert found.holder(0, 1, 9) == 1


def test_the_first_turn_needs_no_past():
    assert turns(sealed=0).holder(7, 1, K) == 3


def test_a_member_whose_turn_ended_in_a_view_change_is_passed_over():
    # member 1 had the second turn of view 0 and proposed nothing: view 1 begins at 9, with member 1's own first turn
    # never coming about either: view 2 took over there.
    history = run(0, 0, K) + run(2, 2, 3 * K, since=9)
    assert holders(turns(history), 2, 9, 4) == [2, 3, 0, 2]  # 1 would be the fourth


def test_the_one_that_had_the_pen_is_blamed_in_the_middle_of_its_turn_too():
    history = run(0, 0, K) + run(0, 1, 3) + run(1, 1, 1, since=12) + run(2, 2, 2 * K, since=13)
    assert 1 not in holders(turns(history), 2, 13, 6)


def test_leaders_that_never_got_anything_ordered_are_blamed():
    powers = (1,) * 7  # up to two are passed over
    history = run(0, 0, 3) + run(3, 3, 6 * K, since=4)  # the pen was with 0; views 1 and 2 were left in vain
    found = holders(turns(history, powers), 3, 4, 7)
    assert found == [3, 4, 5, 6, 0, 3, 3]  # the newest two, 1 and 2, are passed over: 0 has its turn


def test_never_more_power_than_may_be_faulty_is_passed_over():
    history = run(0, 0, 3) + run(1, 1, 3, since=4) + run(2, 2, 3 * K, since=7)
    assert holders(turns(history), 2, 7, 4) == [2, 3, 0, 2]  # 1 was left last; 0 has its turn again


def test_what_weighs_more_than_may_be_faulty_is_not_passed_over():
    history = run(0, 0, 3) + run(1, 1, 3 * K, since=4)
    assert holders(turns(history, powers=(5, 2, 2, 2)), 1, 4, 4) == [1, 2, 3, 0]


def test_being_left_is_forgotten_after_a_while():
    history = run(0, 0, 3) + run(1, 1, memory_heights(W), since=4)
    later = len(history) - (len(history) - 4) % K  # a turn that begins near the seal
    number = (later - 4) // K
    zeros = [turns(history).holder(1, 4, 4 + each * K) for each in range(number - 4, number)]
    assert 0 in zeros


def test_everybody_judges_alike_however_much_of_the_past_it_holds():
    history = run(0, 0, K) + run(0, 1, 3) + run(2, 2, 700, since=12) + run(5, 1, 300, since=K + 704)
    long = turns(history)
    kept = memory_heights(W)
    short = turns(history[-kept:], sealed=len(history))
    since = K + 704
    last = len(history) + 2 * W
    assert [short.holder(5, since, height) for height in range(last - 6 * W, last + 1)] == [
        long.holder(5, since, height) for height in range(last - 6 * W, last + 1)
    ]


def test_what_it_remembers_does_not_grow_with_the_chain():
    found = turns(run(0, 0, 50 * K))
    assert holders(found, 0, 1, 50) == [each % 4 for each in range(50)]
    assert len(found._known) == 16


# ── the replica ───────────────────────────────────────────────────────────────────────────────────


def sealed_through(bench, replica, last, since=1):
    for height in range(1, last + 1):
        batch = bench.batch(height, names=(str(height),), proposer=(height - 1) // 4)
        bench.commit_block(replica, batch)
        bench.seal_block(replica, height)


def test_the_next_in_the_list_is_asked_for_batches_when_its_turn_comes(make_bench, said):
    bench = make_bench(window=1)  # K is 4
    replica = bench.replica(1)
    sealed_through(bench, replica, 3)
    assert replica.primary == 0
    bench.commit_block(replica, bench.batch(4, names=("4",)))
    assert replica.primary == 1
    assert said(bench.seal_block(replica, 4)).of(RequestBatch) == [RequestBatch(5, 0)]
    out = replica.step(BatchReady(5, 0, bench.batch(names=("x",)).hashes, NOW, NOW))
    proposals = [open_envelope(each.data)[0] for each in out if isinstance(each, Broadcast)]
    assert [each.kind for each in proposals if each.kind == PRE_PREPARE] == [PRE_PREPARE]
    assert proposals[0].batches[0].proposer == 1


def test_it_proposes_only_after_it_has_seen_all_lower_proposals(make_bench, said):
    bench = make_bench(window=2)  # K is 8
    replica = bench.replica(1)
    for height in range(1, 8):
        bench.commit_block(replica, bench.batch(height, names=(str(height),)))
        bench.seal_block(replica, height)
    assert said(replica.step(RequestsWaiting(True, NOW))).of(RequestBatch) == []  # height 8 is still member 0's
    assert said(bench.hear(replica, bench.pre_prepare(bench.batch(8, names=("8",))))).of(RequestBatch) == [
        RequestBatch(9, 0)
    ]


def test_a_proposal_out_of_turn_is_refused(make_bench, said):
    bench = make_bench(window=1)
    replica = bench.replica(2)
    sealed_through(bench, replica, 4)
    early = bench.batch(5, names=("x",), proposer=0)
    assert said(bench.accept(replica, early)).kinds() == []
    assert replica.refused["not_the_primary"] == 1
    proper = bench.batch(5, names=("x",), proposer=1)
    assert PREPARE in said(bench.accept(replica, proper)).kinds()


def test_a_batch_that_counts_its_view_from_another_height_is_improper(bench, said):
    replica = bench.replica(2)
    batch = bench.batch(1, since=2)
    assert PREPARE not in said(bench.accept(replica, batch)).kinds()
    assert replica.refused["improper_batch"] == 1


def test_what_a_primary_sent_before_its_view_began_counts_only_in_its_place(bench, said):
    replica = bench.replica(2)
    bench.hear(replica, bench.pre_prepare(bench.batch(1, view=1, names=("x",), since=4)))
    out = bench.hear(replica, bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)]))
    proper = bench.batch(1, view=1, names=("y",))
    assert PREPARE in said(out + bench.accept(replica, proper)).kinds()


def test_a_view_is_not_left_for_one_that_the_blamed_member_starts(make_bench, said):
    bench = make_bench(window=1)
    replica = bench.replica(0)
    bench.hear(replica, bench.new_view([bench.view_change(each, 2) for each in (1, 2, 3)], view=2))
    for height in range(1, 5):
        bench.commit_block(replica, bench.batch(height, view=2, names=(str(height),), proposer=2))
        bench.seal_block(replica, height)
    assert replica.primary == 3  # it has the second turn of view 2, and would start view 3
    out = bench.hear(replica, bench.suspect(1, 2, 5), bench.suspect(2, 2, 5))
    assert [body.view for body in said(out).messages("view-change")] == [4]


def test_a_view_is_left_for_the_next_one_where_another_starts_it(make_bench, said):
    bench = make_bench(window=1)
    replica = bench.replica(0)
    bench.hear(replica, bench.new_view([bench.view_change(each, 2) for each in (1, 2, 3)], view=2))
    out = bench.hear(replica, bench.suspect(1, 2, 1), bench.suspect(3, 2, 1))
    assert [body.view for body in said(out).messages("view-change")] == [3]
