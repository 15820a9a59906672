"""Scans from the end: at every height what a sorted dict shows from behind, and never a key outside the bounds."""

import random

import pytest

from contracts.memory import MemoryState
from ledger.errors import HeightNotKept
from ledger.state import State

KEYS = [bytes([first, second]) for first in range(6) for second in range(4)]


def versions_of(states, heights=12, seed=5):
    """Commit the same random writes to every state; what each height holds."""
    chance = random.Random(seed)
    held, kept = {}, []
    for height in range(heights):
        writes = {key: chance.choice([None, bytes([height])]) for key in chance.sample(KEYS, 5)}
        for state in states:
            state.commit(height, writes, {})
        held = {key: value for key, value in (held | writes).items() if value is not None}
        kept.append(held)
    return kept


def from_behind(held, start, end, limit):
    return [(key, held[key]) for key in sorted(held, reverse=True) if start <= key < end][:limit]


@pytest.fixture
def state(tmp_path):
    opened = State.open(tmp_path / "state")
    yield opened
    opened.close()


def test_every_height_is_read_from_behind_as_it_was(state):
    memory = MemoryState()
    kept = versions_of([state, memory])
    chance = random.Random(9)
    for height, held in enumerate(kept):
        for _ in range(20):
            start, end = chance.choice(KEYS), chance.choice([*KEYS, b"\xff"])
            limit = chance.choice([0, 1, 3, 1000])
            expected = from_behind(held, start, end, limit)
            assert state.scan_back(start, end, limit, height) == expected
            assert memory.scan_back(start, end, limit, height) == expected
    assert state.scan_back(b"\x00", b"\xff") == memory.scan_back(b"\x00", b"\xff")
    assert state.scan_back(b"\x00", b"\xff") == list(reversed(state.scan(b"")))


def test_the_end_is_outside_and_the_start_inside(state):
    state.commit(0, {b"a": b"1", b"b": b"2", b"b\x00": b"3", b"c": b"4"})
    assert state.scan_back(b"a", b"b\x00") == [(b"b", b"2"), (b"a", b"1")]
    assert state.scan_back(b"b", b"c") == [(b"b\x00", b"3"), (b"b", b"2")]
    assert state.scan_back(b"c", b"a") == []
    assert state.scan_back(b"b", b"b") == []


def test_what_is_not_kept_is_not_read(state):
    versions_of([state])
    state.prune(6)
    with pytest.raises(HeightNotKept):
        state.scan_back(b"\x00", b"\xff", 10, 5)


def test_a_scan_ends_once_its_values_have_so_many_bytes(state):
    memory = MemoryState()
    for store in (state, memory):
        store.commit(0, {b"a": b"11", b"b": b"", b"c": b"3333", b"d": b"4"}, {})
        store.commit(1, {b"b": b"2"}, {})
        for height, second in ((0, b""), (1, b"2"), (None, b"2")):
            found = [(b"a", b"11"), (b"b", second), (b"c", b"3333"), (b"d", b"4")]
            assert [len(store.scan(b"", None, 9, height, most)) for most in (1, 2, 4, 7, 99)] == [
                1,
                1,
                3,
                4 - bool(second),
                4,
            ]
            assert list(store.scan(b"", None, 2, height, 99)) == found[:2]
            assert list(store.scan_back(b"a", b"z", 9, height, 5)) == [found[3], found[2]]
