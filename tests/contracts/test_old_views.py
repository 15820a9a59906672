"""What a view far below the newest height may look at, over the state as a node has it."""

import pytest

from contracts import costs
from ledger import codec
from ledger.errors import TooMuchLookedAt
from ledger.state import State

KEYS = 12
HEIGHTS = 10


@pytest.fixture
def aged(make_chain, chain, tmp_path):
    """A chain whose every block since the deployment writes all entries of a map again."""
    state = State.open(tmp_path / "state")
    aged = make_chain(chain.programs, state=state)
    aged.deploy("map")
    for turn in range(HEIGHTS):
        aged.block(*(aged.transaction("cleo", ("map", "set_at", [f"k{n:02}"], turn)) for n in range(KEYS)))
    yield aged
    state.close()


def scan(aged, height, limit=100):
    return codec.decode(aged.view("map", "scan", [], None, limit, height=height).value)


def test_a_view_at_an_old_height_that_looks_at_too_much_is_ended(aged, monkeypatch):
    everything = [[[f"k{n:02}"], 2] for n in range(KEYS)]
    assert scan(aged, height=4) == everything
    monkeypatch.setattr(costs, "VIEW_LOOKS_MAX", 150)
    with pytest.raises(TooMuchLookedAt, match=r"between height 4 and 11 .*at a newer height"):
        scan(aged, height=4)
    assert scan(aged, height=10) == [[key, 8] for key, _ in everything]


def test_the_newest_height_has_no_such_limit_nor_has_the_next_block(aged, monkeypatch):
    monkeypatch.setattr(costs, "VIEW_LOOKS_MAX", 0)
    with pytest.raises(TooMuchLookedAt):
        scan(aged, height=10)
    assert len(scan(aged, height=None)) == KEYS
    receipt = aged.send("cleo", ("map", "scan", [], None, 100))
    assert (receipt.code, len(codec.decode(receipt.results[0]))) == ("ok", KEYS)


def test_a_block_that_is_executed_again_has_no_such_limit(aged, monkeypatch):
    monkeypatch.setattr(costs, "VIEW_LOOKS_MAX", 0)
    transaction = aged.transaction("cleo", ("map", "scan", [], None, 100))
    outcome = aged.block(transaction)
    aged.block(aged.transaction("cleo", ("map", "set_at", ["k00"], 99)))
    with pytest.raises(TooMuchLookedAt):
        scan(aged, height=12)
    assert aged.engine.execute(12, 2_200, [transaction]) == outcome


def test_long_values_count_as_several_rows(aged, monkeypatch):
    aged.send("cleo", ("map", "set_at", ["k00"], "a" * 100_000))
    aged.send("cleo", ("map", "set_at", ["k00"], "short"))
    monkeypatch.setattr(costs, "VIEW_LOOKS_MAX", 450)
    assert len(scan(aged, height=12)) == KEYS
    monkeypatch.setattr(costs, "VIEW_LOOKS_MAX", 350)
    with pytest.raises(TooMuchLookedAt):
        scan(aged, height=12)
