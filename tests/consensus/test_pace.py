"""A holder of the pen that is just quick enough for the time-out is found out by comparison with the others."""

import pytest

from consensus.events import Executed, RequestPassedOver, RequestsWaiting
from consensus.messages import SUSPECT
from consensus.overlooked import Overlooked
from consensus.pace import Pace
from ledger.types import Batch, Parameters

NOW = 1_700_000_000_000
PARAMETERS = Parameters(window=2, request_timeout_ms=1600)  # the floor is 100 ms


def turn(pace, holder, waits_ms, now=0, waited=True, number=0):
    """One turn of a holder; what was said of each height."""
    pace.begin(now)
    said = []
    for wait_ms in waits_ms:
        now += wait_ms
        said.append(pace.delivered((0, number), holder, now, waited=waited))
    return said


def test_with_nobody_to_compare_it_with_no_holder_is_slow():
    assert turn(Pace(3, PARAMETERS), 0, [5000] * 8) == [False] * 8


def test_four_times_the_others_pace_is_bearable_and_more_is_not():
    pace = Pace(3, PARAMETERS)
    turn(pace, 0, [50] * 8)
    assert turn(pace, 1, [200] * 8, number=1) == [False] * 8
    assert turn(pace, 2, [900] * 8, number=2) == [False] * 2 + [True] * 6  # the median of 50 and 200 is 200


def test_it_is_judged_after_three_heights_and_after_a_whole_window():
    for window, first in ((1, 3), (4, 4), (8, 8)):
        pace = Pace(3, Parameters(window=window, request_timeout_ms=1600))
        turn(pace, 0, [50] * 8)
        said = turn(pace, 1, [900] * 10, number=1)
        assert said.index(True) + 1 == first


def test_a_height_within_a_sixteenth_of_the_time_out_is_never_slow():
    pace = Pace(3, PARAMETERS)
    turn(pace, 0, [2] * 8)
    assert turn(pace, 1, [100] * 8, number=1) == [False] * 8
    assert True in turn(pace, 2, [120] * 8, number=2) or True in turn(pace, 2, [420] * 8, number=3)


def test_time_in_which_nothing_waited_counts_for_nobody():
    pace = Pace(3, PARAMETERS)
    turn(pace, 0, [50] * 8)
    assert turn(pace, 1, [90_000] * 8, waited=False, number=1) == [False] * 8


def test_nobody_suspects_itself():
    pace = Pace(1, PARAMETERS)
    turn(pace, 0, [50] * 8)
    assert turn(pace, 1, [900] * 8, number=1) == [False] * 8


def test_a_clock_that_steps_back_is_no_reason():
    pace = Pace(3, PARAMETERS)
    turn(pace, 0, [50] * 8)
    assert turn(pace, 1, [50, -10_000, 50, 50, 50, 50], number=1) == [False] * 6


# ── requests that are passed over ─────────────────────────────────────────────────────────────────


def batch(height, names=(), proposer=0, view=0):
    return Batch(0, height, view, proposer, NOW, tuple(name.encode().ljust(32, b"\0") for name in names))


def name(text):
    return text.encode().ljust(32, b"\0")


def deliver(found, count, first=1, proposer=0, waits=lambda _: True, had_room=True, names=()):
    return [
        found.delivered(batch(height, names, proposer), had_room=had_room, waits=waits)
        for height in range(first, first + count)
    ]


@pytest.mark.parametrize(("window", "batches"), [(1, 8), (4, 8), (6, 12)])
def test_two_windows_of_batches_with_room_but_at_least_eight_pass_a_request_over(window, batches):
    found = Overlooked(window)
    found.arrived([name("a")])
    assert deliver(found, batches + 1) == [False] * (batches - 1) + [True, True]


def test_a_request_that_is_taken_along_was_not_passed_over():
    found = Overlooked(window=2)
    found.arrived([name("a")])
    deliver(found, 7)
    assert deliver(found, 4, first=8, names=("a",)) == [False] * 4


@pytest.mark.parametrize("why", ["no room", "gone", "in a proposal"])
def test_there_is_nothing_to_blame_where_it_could_not_be_taken(why):
    found = Overlooked(window=2)
    found.arrived([name("a")])
    assert deliver(found, 9, had_room=why != "no room", waits=lambda _: why == "no room") == [False] * 9


def test_every_holder_answers_for_its_own_turn():
    found = Overlooked(window=2)
    found.arrived([name("a")])
    assert deliver(found, 7, proposer=0) + deliver(found, 7, first=8, proposer=1) == [False] * 14
    assert deliver(found, 1, first=15, proposer=1) == [True]


def test_what_came_late_in_a_turn_is_given_its_time():
    found = Overlooked(window=2)
    deliver(found, 10)
    found.arrived([name("a")])
    assert deliver(found, 8, first=11) == [False] * 7 + [True]


def test_a_holder_answers_for_what_it_was_handed_from_then_on_and_in_that_turn():
    found = Overlooked(window=2)
    deliver(found, 3)
    found.handed([name("a")], (0, 0))
    assert deliver(found, 8, first=4) == [False] * 7 + [True]
    assert deliver(found, 9, first=12, proposer=1) == [False] * 9  # the next one was handed nothing
    found.handed([name("a")], (0, 1))
    assert deliver(found, 8, first=21, proposer=1) == [False] * 7 + [True]


def test_what_is_handed_over_before_the_first_batch_of_a_turn_counts_from_there():
    found = Overlooked(window=2)
    deliver(found, 5)
    found.handed([name("a")], (0, 1))
    assert deliver(found, 3, first=6) == [False] * 3  # what the last holder still had under way
    assert deliver(found, 8, first=9, proposer=1) == [False] * 7 + [True]


def test_a_request_that_was_handed_over_and_taken_or_gone_is_nobodys_fault():
    found = Overlooked(window=2)
    found.handed([name("a"), name("b")], (0, 0))
    assert deliver(found, 4) + deliver(found, 1, first=5, names=("a",)) == [False] * 5
    assert deliver(found, 9, first=6, waits=lambda _: False) == [False] * 9


# ── the replica ───────────────────────────────────────────────────────────────────────────────────


def suspects(said, out):
    return [body.height for body in said(out).messages(SUSPECT)]


def test_a_request_passed_over_makes_the_turn_suspect_to_its_last_height(bench, said):
    replica = bench.replica(2)
    replica.step(RequestsWaiting(True, NOW))
    out = replica.step(RequestPassedOver(NOW))
    assert suspects(said, out) == [16]  # four windows of four heights
    assert suspects(said, replica.step(RequestPassedOver(NOW))) == []  # said once


def test_such_a_suspicion_survives_the_progress_of_its_turn(bench, said):
    replica = bench.replica(2)
    replica.step(RequestPassedOver(NOW))
    bench.commit_block(replica, bench.batch(1))
    replica.step(Executed(1, bench.seal(1).header_hash, NOW))
    out = bench.hear(replica, bench.suspect(3, 0, 16))
    assert [body.view for body in said(out).messages("view-change")] == [1]


def test_a_suspicion_of_one_height_is_over_when_it_is_delivered(bench, said):
    replica = bench.replica(2)
    replica.step(RequestPassedOver(NOW))
    bench.commit_block(replica, bench.batch(1))
    assert said(bench.hear(replica, bench.suspect(3, 0, 1))).messages("view-change") == []


def test_who_is_behind_blames_nobody(bench, said):
    replica = bench.replica(2)
    bench.hear(replica, bench.status(3, height=3, seal=bench.seal(3)))
    assert suspects(said, replica.step(RequestPassedOver(NOW))) == []


def test_a_slow_turn_is_suspected_by_those_who_waited(make_bench, said):
    bench = make_bench(window=1)  # a turn has 4 heights, the time-out is 1000 ms
    replica = bench.replica(3)
    replica.step(RequestsWaiting(True, NOW))
    now, heights = NOW, []
    for height in range(1, 9):
        now += 20 if height <= 4 else 900
        block = bench.batch(height, names=(str(height),), proposer=(height - 1) // 4, time_ms=now)
        others = (0, 1, 2)
        bench.hear(replica, bench.pre_prepare(block), now=now)
        replica.step(bench.bodies(block, now))
        bench.hear(replica, *[bench.prepare(each, block) for each in others], now=now)
        heights += suspects(said, bench.hear(replica, *[bench.commit(each, block) for each in others], now=now))
        bench.seal_block(replica, height)
    assert heights == [8]  # said at the third, until the last of that turn
