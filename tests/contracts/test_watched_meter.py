"""A view may be ended by its host at any moment; until then its gas is what it would be under any meter."""

import pytest

from contracts import costs
from contracts.language.interface import Meter, OutOfGas
from contracts.testing import LocalChain
from contracts.watched_meter import PORTION, TookTooLong, WatchedMeter
from ledger import codec

SOURCE = """
from contracts import Contract, Map, view

class Busy(Contract):
    kept: Map[int, int]

    @view
    def turns(self, n: int) -> int:
        x = 0
        for i in range(n):
            x += 1
        return x

    @view
    def scans(self, n: int) -> int:
        for i in range(n):
            x = self.kept.keys(1000)
        return n
"""


class Questions:
    """Says that it is late when it is asked for the n-th time."""

    def __init__(self, patience):
        self.left = patience
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.asked > self.left


@pytest.fixture
def chain():
    chain = LocalChain("ada", mode="interpreter")
    chain.deploy(SOURCE, "busy")
    return chain


def view(chain, method, n, late=None):
    return chain.engine.view("busy", method, codec.encode([n]), late=late)


@pytest.mark.parametrize("method", ["turns", "scans"])
@pytest.mark.parametrize("n", [0, 1, 300, 10**9])
def test_what_a_view_gives_and_uses_does_not_depend_on_the_meter(chain, method, n):
    late = Questions(10**9)
    assert view(chain, method, n, late) == view(chain, method, n)
    assert late.asked == -(-view(chain, method, n).gas_used // PORTION)


def test_a_view_that_is_late_is_ended_and_the_next_one_runs(chain):
    late = Questions(3)
    with pytest.raises(TookTooLong):
        view(chain, "turns", 10**9, late)
    assert late.asked == 4
    assert view(chain, "turns", 7, Questions(1)).code == "ok"
    assert view(chain, "turns", 10**9).code == "out_of_gas"


def test_a_view_that_is_late_from_the_beginning_does_nothing(chain):
    with pytest.raises(TookTooLong):
        view(chain, "turns", 0, lambda: True)


def test_a_watched_meter_counts_and_is_sticky_as_another():
    watched, plain = WatchedMeter(3 * PORTION, lambda: False), Meter(3 * PORTION)
    for amount in (4, PORTION, 0, 2 * PORTION - 4):
        watched.charge(amount)
        plain.charge(amount)
        assert (watched.used, watched.exhausted) == (plain.used, plain.exhausted)
    for amount in (1, 0):
        for meter in (watched, plain):
            with pytest.raises(OutOfGas):
                meter.charge(amount)
            assert (meter.used, meter.exhausted) == (3 * PORTION, True)


def test_a_charge_larger_than_a_portion_is_asked_about_before_it_is_paid():
    late = Questions(5)
    meter = WatchedMeter(costs.VIEW_GAS_MAX, late)
    meter.charge(5 * PORTION)
    assert (late.asked, meter.used) == (5, 5 * PORTION)
    with pytest.raises(TookTooLong):
        meter.charge(1)
