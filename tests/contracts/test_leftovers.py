"""Memory that transactions and views leave behind in cycles is given back before it is much."""

import gc

import pytest

from contracts import leftovers
from contracts.testing import LocalChain

SOURCE = """
from contracts import Contract, call, require, view

class Hoarder(Contract):
    @call
    def hoard(self, texts: int) -> None:
        items = []
        for i in range(texts):
            items.append(chr(48 + i % 10) * 262000)
        items.append(items)

    @call
    def refuse(self, texts: int) -> None:
        items = []
        for i in range(texts):
            items.append(chr(48 + i % 10) * 262000)
        items.append(items)
        require(False, "no")

    @view
    def peek(self, texts: int) -> None:
        items = []
        for i in range(texts):
            items.append(chr(48 + i % 10) * 262000)
        items.append(items)
"""


@pytest.fixture
def hoard(monkeypatch):
    """A chain with the contract, Python's own collector switched off, and a count of the collections made by us."""
    collections = []
    monkeypatch.setattr(leftovers, "LEFT_BYTES_MAX", 4 << 20)
    chain = LocalChain("alice", mode="interpreter")
    chain.deploy(SOURCE, "hoarder")
    gc.collect()
    gc.freeze()
    monkeypatch.setattr(leftovers.LEFTOVERS, "bytes", 0)
    gc.callbacks.append(on_collection := lambda phase, _: collections.append(lists()) if phase == "stop" else None)
    gc.disable()
    yield chain, collections
    gc.callbacks.remove(on_collection)
    gc.enable()
    gc.unfreeze()
    gc.collect()


def lists():
    """Contract lists that hold themselves and are still there."""
    return sum(1 for each in gc.get_objects() if type(each) is list and each and each[-1] is each)


def test_lists_that_hold_themselves_are_freed_within_the_block(hoard):
    chain, collections = hoard
    outcomes = chain.block(*(chain.sign("alice", ("hoarder", "hoard", 10)) for _ in range(12)))
    assert [outcome.code for outcome in outcomes] == ["ok"] * 12
    assert len({outcome.gas for outcome in outcomes}) == 1
    # Two of them make more than 4 MiB: before every other transaction what is left is freed.
    assert collections == [0] * 5
    assert lists() == 2


def test_little_is_left_to_pythons_own_collector(hoard):
    chain, collections = hoard
    chain.block(*(chain.sign("alice", ("hoarder", "hoard", 1)) for _ in range(12)))
    assert collections == []
    assert lists() == 12


def test_views_leave_no_more(hoard):
    chain, collections = hoard
    for _ in range(12):
        chain.view("hoarder", "peek", 10)
    assert collections == [0] * 5
    assert lists() == 2


def test_what_a_failed_call_made_is_counted_too(hoard):
    chain, collections = hoard
    outcomes = chain.block(*(chain.sign("alice", ("hoarder", "refuse", 10)) for _ in range(12)))
    assert [outcome.code for outcome in outcomes] == ["failed"] * 12
    assert collections == [0] * 5


def test_what_compiling_made_is_counted_too(hoard):
    chain, collections = hoard
    tables = [f"T{number} = ({', '.join(['1'] * 1500)})\n" for number in range(4)]
    above = SOURCE.strip().split("\n")[0] + "\n"
    for number in range(2):
        source = SOURCE.replace(above, above + "".join(tables) + f"NUMBER = {number}\n")
        assert chain.deploy(source, f"hoarder{number}").code == "ok"
    assert len(collections) == 1
