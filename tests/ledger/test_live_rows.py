"""Rows in order, past what was deleted: a walk over it happens once, and nothing that is found depends on that."""

import random
import time

import pytest

from contracts.memory import MemoryState
from ledger import live_rows
from ledger.live_rows import Gaps
from ledger.state import State

KEYS = [bytes([first, second]) for first in range(8) for second in range(8)]
DELETED = 20_000


class SlowClock:
    """By it every step takes a millisecond."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        self.now += 1_000_000
        return self.now


def opened(path, clock=None):
    state = State.open(path, clock)
    state.commit(0, {b"\x00": b"first", b"\xff": b"last"})
    return state


# ── gaps ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_gap_is_leapt_over_from_within_and_from_its_ends():
    gaps = Gaps()
    gaps.add(b"c", b"f")
    assert [gaps.above(row) for row in (b"b", b"c", b"e", b"f")] == [b"b", b"f", b"f", b"f"]
    assert [gaps.below(end) for end in (b"c", b"d", b"f", b"f\x00")] == [b"c", b"c", b"c", b"f\x00"]


def test_gaps_that_touch_become_one_and_others_stay_apart():
    gaps = Gaps()
    gaps.add(b"c", b"f")
    gaps.add(b"h", b"k")
    assert (len(gaps), gaps.above(b"c"), gaps.above(b"g")) == (2, b"f", b"g")
    gaps.add(b"f", b"h")
    assert (len(gaps), gaps.above(b"c"), gaps.below(b"k")) == (1, b"k", b"c")


def test_a_row_that_is_born_in_a_gap_divides_it_and_its_death_joins_the_parts():
    gaps = Gaps()
    gaps.add(b"c", b"f")
    gaps.born(b"d")
    assert (len(gaps), gaps.above(b"c"), gaps.above(b"d"), gaps.above(b"d\x00")) == (2, b"d", b"d", b"f")
    gaps.born(b"g")
    gaps.died(b"g")
    assert len(gaps) == 2
    gaps.died(b"d")
    assert (len(gaps), gaps.above(b"c")) == (1, b"f")


def test_a_gap_grows_over_what_dies_beside_it():
    gaps = Gaps()
    gaps.add(b"c", b"f")
    gaps.died(b"f")
    assert gaps.above(b"c") == b"f\x00"
    gaps.died(b"b\xff")
    assert gaps.below(b"d") == b"c"


def test_too_many_gaps_are_forgotten(monkeypatch):
    monkeypatch.setattr(live_rows, "GAPS_MAX", 3)
    gaps = Gaps()
    for letter in (b"a", b"c", b"e"):
        gaps.add(letter, letter + b"x")
    assert len(gaps) == 3
    gaps.add(b"g", b"gx")
    assert (len(gaps), gaps.above(b"a"), gaps.above(b"g")) == (1, b"a", b"gx")


def test_gaps_hold_no_row_that_lives():
    chance = random.Random(4)
    for _ in range(200):
        gaps, living = Gaps(), set(chance.sample(KEYS, 12))
        for _ in range(40):
            row = chance.choice(KEYS)
            if chance.random() < 0.4:
                above = min((one for one in living if one >= row), default=b"\xff")
                gaps.add(row, above)
            elif row in living:
                living.discard(row)
                gaps.died(row)
            else:
                living.add(row)
                gaps.born(row)
            assert gaps._starts == sorted(gaps._starts)
            assert gaps._ends == sorted(gaps._ends)
            assert all(start < end for start, end in zip(gaps._starts, gaps._ends, strict=True))
            assert [one for one in living if gaps.above(one) != one or gaps.below(one + b"\x00") != one + b"\x00"] == []


# ── over a database ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("gaps_max", [4096, 4], ids=["remembered", "forgotten all the time"])
def test_what_is_found_is_the_same_where_every_step_is_remembered(tmp_path, monkeypatch, gaps_max):
    monkeypatch.setattr(live_rows, "GAPS_MAX", gaps_max)
    monkeypatch.setattr(live_rows, "CLEAR_NS", 1 << 60)
    state, memory, chance = opened(tmp_path / "state", SlowClock()), MemoryState(), random.Random(7)
    memory.commit(0, {b"\x00": b"first", b"\xff": b"last"}, {})
    for height in range(1, 40):
        writes = {key: chance.choice([None, None, bytes([height])]) for key in chance.sample(KEYS, 9)}
        state.commit(height, writes)
        memory.commit(height, writes, {})
        for _ in range(30):
            start, end, limit = chance.choice(KEYS), chance.choice([*KEYS, b"\xff"]), chance.choice([1, 3, 1000])
            at = chance.choice([None, height, max(height - 3, 0)])
            assert state.scan(b"", start, limit, at) == memory.scan(b"", start, limit, at)
            assert state.scan(start[:1], start, limit, at) == memory.scan(start[:1], start, limit, at)
            assert state.scan_back(start, end, limit, at) == memory.scan_back(start, end, limit, at)
    assert len(state._versions._rows._gaps) <= gaps_max
    state.close()


def emptied(path, clock):
    """A state of two entries, with many deleted between them."""
    state = opened(path, clock)
    keys = [b"\x10%05d\x00" % number for number in range(DELETED)]
    state.commit(1, dict.fromkeys(keys, b"1"))
    state.commit(2, dict.fromkeys(keys))
    return state


def forward(state, limit=1):
    return state.scan(b"", b"\x01", limit)


def backward(state, limit=1):
    return state.scan_back(b"\x00", b"\xf0", limit)


def seconds(read, state):
    before = time.thread_time()
    assert len(read(state)) == 1
    return time.thread_time() - before


@pytest.mark.parametrize("read", [forward, backward])
def test_the_second_scan_over_what_was_deleted_is_as_fast_as_among_nothing(tmp_path, monkeypatch, read):
    monkeypatch.setattr(live_rows, "CLEAR_NS", 1 << 60)  # it is not the clearing that makes it fast here
    state = emptied(tmp_path / "state", time.perf_counter_ns)
    first = seconds(read, state)
    assert min(seconds(read, state) for _ in range(10)) < first / 5
    state.close()


def test_without_a_clock_every_scan_walks_over_it(tmp_path):
    state = emptied(tmp_path / "state", None)
    first = seconds(backward, state)
    assert min(seconds(backward, state) for _ in range(10)) > first / 5
    state.close()


def test_a_queue_and_a_stack_stay_fast_as_they_move(tmp_path, monkeypatch):
    """Blocks take from the end where all before was taken, and put at the other."""
    monkeypatch.setattr(live_rows, "CLEAR_NS", 1 << 60)
    for name, read, living in (("queue", forward, range(20)), ("stack", backward, range(20, 0, -1))):
        state = emptied(tmp_path / name, time.perf_counter_ns)
        base = b"\x10zzzzz%02d" if name == "queue" else b"\x01%02d"
        first = seconds(read, state)
        state.commit(3, {base % number: b"1" for number in living})
        slow = 0
        for height, number in enumerate(living, 4):
            took = [seconds(read, state) for _ in range(5)]
            assert read(state)[0][0] == base % number
            slow += min(took[1:]) >= first / 5
            state.commit(height, {base % number: None})
        assert slow == 0, name
        state.close()


def test_what_takes_very_long_to_pass_is_cleared_away_beside_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(live_rows, "CLEAR_NS", 1)
    monkeypatch.setattr(live_rows, "CLEAR_AGAIN_NS", 1)
    state = emptied(tmp_path / "state", time.perf_counter_ns)
    first = seconds(backward, state)
    state._versions._reclaiming.join(30)
    state._versions._rows.forget()
    assert min(seconds(backward, state) for _ in range(10)) < first / 5
    assert backward(state, 10) == [(b"\x00", b"first")]
    state.close()


class HaltingClock:
    """By it the first step takes as long as these halts, and every later one no time."""

    def __init__(self, *halts_ns):
        self.now, self.halts_ns = 0, [0, *halts_ns]

    def __call__(self):
        self.now += self.halts_ns.pop(0) if self.halts_ns else 0
        return self.now


def test_a_step_that_was_slow_once_has_nothing_cleared(tmp_path):
    """A busy machine, or a cold disk, takes as long as deleted rows do: clearing then writes tables for nothing."""
    for again_ns, cleared in ((0, 0), (live_rows.CLEAR_AGAIN_NS + 1, 1)):
        ranges = []
        state = opened(tmp_path / str(cleared))
        rows = state._versions._rows
        rows._clock = HaltingClock(live_rows.CLEAR_NS + 1000, 0, 0, again_ns)
        rows._clear_soon = lambda start, end, ranges=ranges: ranges.append((start, end))
        assert forward(state) == [(b"\xff", b"last")]
        assert ranges == [(b"rv\x01", b"rv\xff")] * cleared
        assert len(rows._gaps) == 1
        state.close()
