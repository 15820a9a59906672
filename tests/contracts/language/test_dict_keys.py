"""Dicts of the language: nothing that a contract puts in, or takes out, makes the host dawdle."""

import time

import pytest

from contracts.language import Meter
from contracts.language.dict_keys import given, kept, shrink
from contracts.language.values import contains, delete_item, get_item, set_item
from contracts.notation import literal

PLACES = 1 << 15  # of the host's table
TAKEN = 20_000  # in a row, as the host goes on from one place to the next
SLOW = 480_182_272_756_988_923  # whose every place is taken, up to the last of the row


def row():
    """The integers that take one place after the other on the host's way through its table."""
    number = 0
    for _ in range(TAKEN):
        yield number
        number = (5 * number + 1) % PLACES


def seconds(work, turns=50):
    before = time.thread_time()
    for _ in range(turns):
        work()
    return (time.thread_time() - before) / turns


def test_integers_chosen_to_collide_are_found_as_fast_as_others():
    meter, entries = Meter(10**12), {}
    for number in row():
        set_item(meter, entries, number, 1)
    plain = dict.fromkeys(row(), 1)
    slow = seconds(lambda: SLOW in plain)
    assert seconds(lambda: contains(meter, SLOW, entries)) < slow / 4  # about 68 us and 0.5 us
    assert not contains(meter, SLOW, entries)
    assert contains(meter, 5 * 1 + 1, entries)


def test_a_dict_that_has_become_small_is_walked_over_in_no_time():
    meter, entries, plain = Meter(10**12), {}, {}
    for number in range(60_000):
        set_item(meter, entries, number, number)
        plain[number] = number
    for number in range(59_990):
        delete_item(meter, entries, number)
        del plain[number]
    assert [given(key) for key in entries] == list(plain) == list(range(59_990, 60_000))
    assert seconds(lambda: list(entries)) < seconds(lambda: list(plain)) / 4
    assert entries.__sizeof__() < 10_000 < plain.__sizeof__()


@pytest.mark.parametrize("living", [0, 1, 7, 200])
def test_a_dict_that_is_laid_anew_is_the_same_dict_in_the_same_order(living):
    entries = {str(number): number for number in range(5_000)}
    for number in range(5_000 - living):
        del entries[str(number)]
    before, here = list(entries.items()), id(entries)
    shrink(entries)
    assert (list(entries.items()), id(entries)) == (before, here)
    assert entries.__sizeof__() < 64 * (living + 16)


def test_a_dict_of_which_nothing_was_deleted_is_never_laid_anew():
    entries = {}
    for number in range(70_000):
        entries[kept(number)] = number
        size = entries.__sizeof__()
        shrink(entries)
        assert entries.__sizeof__() == size


SEEN = """
x = {3: 'a', 'k': 'b', -7: 'c', b'z': 'd'}
x[2 ** 60] = 'e'
x |= {3: 'f'}
y = x.copy()
del y[-7]
return [list(x), sorted([k for k in x if isinstance(k, int)]), list(x.values()), list(x.items())[0],
        [list(enumerate(y)), list(zip(y, y.values()))[1]], x.get(3), x.pop(-7), x == y, 3 in x, '3' in x, 4 in x,
        x.setdefault(9, 'g'), len(x), max({1: 1, 5: 2}), sum({1: 1, 5: 2}), dict(x) == x, {1: 2} == {1: 2}]
"""


def test_an_integer_comes_out_as_it_went_in(body):
    assert body(SEEN).run() == [
        *([3, "k", -7, b"z", 2**60], [-7, 3, 2**60], ["f", "b", "c", "d", "e"], (3, "f")),
        *([[(0, 3), (1, "k"), (2, b"z"), (3, 2**60)], ("k", "b")], "f", "c", True, True, False, False),
        *("g", 5, 5, 6, True, True),
    ]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("x[4]", "key_error", "no such key 4"),
        ("x.pop(4)", "key_error", "no such key 4"),
        ("x", "bad_type", "the result of run must be str, not int"),
        ("self.call('a', 'b', [x])", "bad_type", "a dict that leaves the call has str keys, not int"),
        ("x[True]", "bad_type", "a dict key must be str, bytes or int, not bool"),
        ("x[(1, 2)]", "bad_type", "a dict key must be str, bytes or int, not tuple"),
        ("x[2 ** 61]", "bad_value", "an int as a dict key must be within 61 bits; use str(n)"),
    ],
)
def test_nothing_of_it_shows_in_a_failure(body, text, code, message):
    failure = body(f"x = {{3: 1}}\nreturn {text}").fail()
    assert (failure.code, failure.message) == (code, message)


def test_nothing_of_it_shows_in_a_trace():
    assert literal({kept(3): [{kept(-4): 1}], "a": 2}) == '{3: [{-4: 1}], "a": 2}'


def test_an_entry_that_is_read_is_the_one_that_was_written():
    meter, entries = Meter(10**9), {}
    for number in (-5, 0, 5, 2**60, -(2**60)):
        set_item(meter, entries, number, str(number))
    assert [get_item(meter, entries, number) for number in (5, -(2**60))] == ["5", str(-(2**60))]
