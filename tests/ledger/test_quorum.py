"""Quorum arithmetic against its obvious twin: enumerate, and hold what the safety proof needs."""

from __future__ import annotations

import ast
from fractions import Fraction
from itertools import combinations, combinations_with_replacement
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.quorum import faulty_power_max, power_of, quorum_power, weak_quorum_power
from ledger.types import POWER_MAX

POWERS = st.lists(st.integers(1, POWER_MAX), min_size=1, max_size=100)
SMALL_POWERS = st.lists(st.integers(1, 20), min_size=1, max_size=100)
ROOT = Path(__file__).parent.parent.parent


def twin_faulty(total: int) -> int:
    """The largest power strictly below a third, found by counting."""
    return max(power for power in range(total + 1) if Fraction(power) < Fraction(total, 3))


def test_every_total_to_100_is_as_counted():
    for total in range(1, 101):
        faulty = twin_faulty(total)
        assert faulty_power_max(total) == faulty
        assert quorum_power(total) == total - faulty
        assert weak_quorum_power(total) == faulty + 1


def test_with_3f_plus_1_equal_members_they_are_2f_plus_1_and_f_plus_1():
    for f in range(34):
        assert quorum_power(3 * f + 1) == 2 * f + 1
        assert weak_quorum_power(3 * f + 1) == f + 1
    assert [(quorum_power(n), weak_quorum_power(n)) for n in range(1, 8)] == [
        (1, 1), (2, 1), (3, 1), (3, 2), (4, 2), (5, 2), (5, 3)
    ]  # fmt: skip


def test_a_quorum_is_the_smallest_power_above_two_thirds():
    for total in range(1, 101):
        assert Fraction(quorum_power(total)) > Fraction(2 * total, 3)
        assert Fraction(quorum_power(total) - 1) <= Fraction(2 * total, 3)
        assert Fraction(weak_quorum_power(total)) >= Fraction(total, 3)
        assert Fraction(weak_quorum_power(total) - 1) < Fraction(total, 3)


def test_a_third_exactly_is_not_tolerated_as_faulty():
    """Three equal members tolerate none, not one: a third is not below a third."""
    assert (faulty_power_max(3), quorum_power(3)) == (0, 3)
    assert (faulty_power_max(6), quorum_power(6)) == (1, 5)


@given(SMALL_POWERS)
def test_random_weights_are_as_counted(powers):
    total = sum(powers)
    assert faulty_power_max(total) == twin_faulty(total)
    assert quorum_power(total) == total - twin_faulty(total)
    assert weak_quorum_power(total) == twin_faulty(total) + 1


def subsets(count: int) -> list[tuple[int, ...]]:
    return [each for size in range(count + 1) for each in combinations(range(count), size)]


@pytest.mark.parametrize(
    "powers", [powers for count in range(1, 6) for powers in combinations_with_replacement((1, 2, 5), count)]
)
def test_every_set_of_members_of_every_small_committee(powers):
    """The definition itself, on sets: whoever may be faulty is what quorums bear and correct members alone exceed."""
    total, everyone = sum(powers), subsets(len(powers))
    may_fail = [each for each in everyone if Fraction(power_of(each, powers)) < Fraction(total, 3)]
    quorums = [each for each in everyone if power_of(each, powers) >= quorum_power(total)]
    weak = [each for each in everyone if power_of(each, powers) >= weak_quorum_power(total)]
    for faulty in may_fail:
        assert tuple(sorted(set(range(len(powers))) - set(faulty))) in quorums, "the correct alone are a quorum"
        assert all(set(each) - set(faulty) for each in weak), "a weak quorum holds a correct member"
        for one, other in combinations(quorums, 2):
            assert (set(one) & set(other)) - set(faulty), "two quorums share a correct member"
    for each in everyone:
        assert (each in weak) != (each in may_fail), "a weak quorum is what cannot be all faulty, and nothing less"


def test_no_other_place_reckons_with_thirds():
    thirds = []
    for package in ("ledger", "consensus", "contracts", "network", "scripts"):
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text()
            for node in ast.walk(ast.parse(source)) if "/ 3" in source else ():
                divides = isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv | ast.Div)
                if divides and isinstance(node.right, ast.Constant) and node.right.value == 3:
                    thirds.append(str(path.relative_to(ROOT)))
    assert thirds == ["ledger/quorum.py"]


@given(POWERS)
def test_what_safety_and_liveness_rest_on_holds_for_any_weights(powers):
    total = sum(powers)
    faulty = faulty_power_max(total)
    assert 2 * quorum_power(total) - total > faulty, "two quorums share a correct member"
    assert quorum_power(total) <= total - faulty, "the correct alone are a quorum"
    assert weak_quorum_power(total) > faulty, "a weak quorum holds a correct member"
    assert weak_quorum_power(total) <= quorum_power(total), "no quorum forms that is not also a weak one"


@given(POWERS, st.data())
def test_any_two_quorums_overlap_in_more_than_the_faulty(powers, data):
    """With members and not only sums: draw two sets that reach a quorum and add up what they share."""
    everyone = list(range(len(powers)))
    one, other = (data.draw(st.permutations(everyone)) for _ in range(2))

    def grow(order):
        members = set()
        for member in order:
            members.add(member)
            if power_of(members, powers) >= quorum_power(sum(powers)):
                return members
        raise AssertionError("all members together are a quorum")

    assert power_of(grow(one) & grow(other), powers) > faulty_power_max(sum(powers))


@given(POWERS, st.lists(st.integers(-200, 200), max_size=200))
def test_power_counts_each_member_once_and_no_stranger(powers, members):
    twin = 0
    for index, power in enumerate(powers):
        if index in members:
            twin += power
    assert power_of(members, powers) == twin


@pytest.mark.parametrize("total", [0, -1])
def test_no_power_at_all_is_an_error(total):
    for function in (faulty_power_max, quorum_power, weak_quorum_power):
        with pytest.raises(ValueError, match="must be positive"):
            function(total)
