"""Looking through state: Maps between bounds, either way, and pages of a List; in both worlds, over writes too."""

import inspect
import random

import pytest

from contracts import Address, Contract, List, Map, Value, call, check, view
from contracts.language import Bounds, Failure
from contracts.testing import CallFailed, LocalChain

HEAD = "from contracts import Address, Contract, List, Map, Value, call, view\n"


class Book(Contract):
    plain: Map[int, int]
    nested: Map[tuple[str, int], int]
    who: Map[Address, int]
    log: List[int]

    @call
    def fill(self, numbers: list[int]) -> None:
        for number in numbers:
            self.plain[number] = number * 10
            self.nested["ab"[number % 2], number] = number
            self.log.append(number)

    @call
    def change_and_look(self, gone: list[int], new: list[int], reverse: bool) -> Value:
        for number in gone:
            del self.plain[number]
        for number in new:
            self.plain[number] = -number
        return self.plain.items(100, reverse=reverse)

    @view
    def between(self, name: str, low: int, high: int, limit: int, reverse: bool) -> Value:
        if name == "first last":
            return self.plain.keys(limit, first=low, last=high, reverse=reverse)
        if name == "after before":
            return self.plain.keys(limit, after=low, before=high, reverse=reverse)
        if name == "values":
            return self.plain.values(limit, first=low, before=high, reverse=reverse)
        if name == "both":
            return self.plain.items(limit, first=low, after=low, last=high, before=high, reverse=reverse)
        return self.nested.keys(limit, prefix=name, first=("a", low), last=("b", high), reverse=reverse)

    @view
    def all_of(self, limit: int, reverse: bool) -> Value:
        return self.plain.keys(limit, reverse=reverse, after=None, last=None)

    @view
    def wrong(self, how: str) -> Value:
        if how == "reverse":
            return self.plain.keys(1, reverse=1)
        if how == "key":
            return self.plain.keys(1, last="1")
        if how == "nested":
            return self.nested.keys(1, last="a")
        if how == "address":
            return self.who.keys(1, first="Not one")
        return self.plain.keys(1001, reverse=True)

    @view
    def page(self, start: int | None, stop: int | None) -> list[int]:
        return self.log[start:stop]

    @view
    def pages(self) -> list[list[int]]:
        return [self.log[:2], self.log[2:], self.log[-2:], self.log[:], self.log[1:-1], self.log[5:2]]


SOURCE = HEAD + inspect.getsource(Book)
NUMBERS = [5, 1, 4, 2, 3, -7]


@pytest.fixture
def chain():
    made = LocalChain("ada")
    made.deploy(SOURCE, "book", sender="ada")
    made.call("ada", "book", "fill", NUMBERS)
    return made


@pytest.fixture
def book():
    made = Book()
    made.fill(NUMBERS)
    return made


CASES = [
    (("first last", 1, 4, 10, False), [1, 2, 3, 4]),
    (("first last", 1, 4, 10, True), [4, 3, 2, 1]),
    (("first last", 1, 4, 2, True), [4, 3]),
    (("first last", 4, 1, 10, True), []),
    (("first last", -7, -7, 10, True), [-7]),
    (("first last", 6, 9, 10, False), []),
    (("after before", 1, 4, 10, False), [2, 3]),
    (("after before", 1, 4, 10, True), [3, 2]),
    (("after before", 0, 99, 3, False), [1, 2, 3]),
    (("after before", 1, 2, 10, False), []),
    (("values", 2, 4, 10, True), [30, 20]),
    (("both", 1, 4, 10, True), [(3, 30), (2, 20)]),
    (("both", 1, 4, 0, True), []),
    (("a", 2, 9, 10, False), [("a", 2), ("a", 4)]),
    (("a", 2, 9, 10, True), [("a", 4), ("a", 2)]),
    (("b", 9, 3, 10, True), [("b", 3), ("b", 1), ("b", -7)]),
]


def lists(value):
    return [lists(item) for item in value] if type(value) in (list, tuple) else value


@pytest.mark.parametrize(("args", "expected"), CASES)
def test_between_bounds(chain, book, args, expected):
    assert chain.view("book", "between", *args) == lists(expected)
    assert lists(book.between(*args)) == lists(expected)


def test_without_bounds_it_is_the_whole_map_either_way(chain, book):
    for reverse in (False, True):
        expected = sorted(NUMBERS, reverse=reverse)
        assert chain.view("book", "all_of", 100, reverse) == book.all_of(100, reverse) == expected
        assert chain.view("book", "all_of", 2, reverse) == book.all_of(2, reverse) == expected[:2]


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("reverse", "bad_type", "reverse must be bool, not int"),
        ("key", "bad_type", "a key of plain must be int, not str"),
        ("nested", "bad_type", "a key of nested must be a tuple of 2"),
        ("address", "bad_type", "a key of who is no Address: an Address is"),
        ("limit", "bad_value", "a limit of 1001, it must lie from 0 to 1000"),
    ],
)
def test_bounds_are_held_to_their_types(chain, book, how, code, message):
    with pytest.raises(CallFailed, match=f"{code}: {message}"):
        chain.view("book", "wrong", how)
    with pytest.raises(Failure, match=message) as caught:
        book.wrong(how)
    assert caught.value.code == code


@pytest.mark.parametrize("reverse", [False, True])
def test_it_sees_what_this_call_wrote_and_deleted(chain, book, reverse):
    expected = [(-7, -70), (1, 10), (2, -2), (4, 40), (5, 50), (9, -9)]
    expected = lists(expected[::-1] if reverse else expected)
    assert chain.call("ada", "book", "change_and_look", [3], [2, 9], reverse).result == expected
    assert lists(book.change_and_look([3], [2, 9], reverse)) == expected


def test_pages_of_many_entries_are_read_in_order_from_either_end(chain):
    numbers = random.Random(7).sample(range(10, 10_000), 150)
    chain.call("ada", "book", "fill", numbers)
    gone, new = sorted(numbers)[10:90:3], [10_001, 10_002]
    kept = sorted({*NUMBERS, *numbers, *new} - set(gone))
    got = chain.call("ada", "book", "change_and_look", gone, new, True).result
    assert [key for key, _ in got] == kept[::-1][:100]
    assert chain.view("book", "all_of", 1000, True) == kept[::-1]
    assert chain.view("book", "between", "after before", kept[40], kept[90], 1000, True) == kept[41:90][::-1]


def test_the_last_key_of_a_page_begins_the_next(chain):
    seen, last = [], 99
    while page := chain.view("book", "between", "after before", -99, last, 2, True):
        seen += page
        last = page[-1]
    assert seen == sorted(NUMBERS, reverse=True)


# ── pages of a List ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("start", [None, 0, 2, 5, 6, 99, -2, -99])
@pytest.mark.parametrize("stop", [None, 0, 3, 6, 99, -1, -99])
def test_a_slice_of_a_list_is_that_of_python(chain, book, start, stop):
    assert chain.view("book", "page", start, stop) == book.page(start, stop) == NUMBERS[start:stop]


def test_positions_written_out(chain, book):
    expected = [NUMBERS[:2], NUMBERS[2:], NUMBERS[-2:], NUMBERS, NUMBERS[1:-1], []]
    assert chain.view("book", "pages") == book.pages() == expected


def test_a_page_has_a_limit(contract, book):
    ran = contract(SOURCE)
    ran.run("fill", list(range(1001)))
    assert ran.run("page", 0, 1000) == list(range(1000))
    failure = ran.fail("page", None, None)
    message = "a slice of 1001 items of log, at most 1000 are read at once"
    assert (failure.code, failure.message) == ("size_limit", message)
    book.fill(list(range(1000)))
    with pytest.raises(Failure, match="a slice of 1006 items of log, at most 1000 are read at once"):
        book.page(None, None)


def test_a_page_costs_in_proportion_and_what_is_behind_it_nothing(contract):
    ran = contract(SOURCE)
    ran.run("fill", list(range(100)))
    used = []
    for stop in (0, 10, 20):
        ran.run("page", 0, stop)
        used.append(ran.meter.used)
    assert used[2] - used[1] == used[1] - used[0] > 10 * 100


# ── what the checker says ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("self.plain.keys(1, until=2)",
         "arity: keys(limit) takes the limit, and by name, each once: after, before, first, last, prefix, reverse"),
        ("self.plain.keys(first=2)",
         "arity: keys(limit) takes the limit, and by name, each once: after, before, first, last, prefix, reverse"),
        ("self.plain.keys(1, prefix='a')", "arity: plain has plain keys: prefix= is for keys that are tuples"),
        ("self.log[0:2:1]", "not_allowed: a step in a slice of stored state: read the page, then slice it"),
        ("self.plain[0:2]", "not_allowed: a slice of stored state: use .items(limit, ...)"),
    ],
)  # fmt: skip
def test_a_refusal(text, problem):
    lines = [HEAD + "class Box(Contract):", "    plain: Map[int, int]", "    log: List[int]", "    @view"]
    (found,) = check("\n".join([*lines, "    def run(self) -> Value:", f"        return {text}", ""]))
    assert str(found).split(" ", 1)[1] == problem


@pytest.mark.parametrize("text", ["self.log[0:2] = [1]", "del self.log[0:2]", "self.log[0:2] += [1]"])
def test_a_slice_is_read_only(text):
    lines = [HEAD + "class Box(Contract):", "    log: List[int]", "    @call", "    def run(self) -> None:"]
    assert [problem.code for problem in check("\n".join([*lines, f"        {text}", ""]))]


# ── the host ──────────────────────────────────────────────────────────────────────────────────────


def test_bounds_of_the_host_are_those_of_sorted_keys():
    """The obvious twin: keys of every type, sorted as tuples by their encoding, cut by hand."""
    from contracts.frame import key_span
    from contracts.keys import state_key

    keys = [(text, number) for text in ("", "a", "a\x00", "ab", "b") for number in (-300, -1, 0, 1, 2**200)]
    places = {key: state_key("c", "m", key) for key in keys}
    choose = random.Random(3)
    for _ in range(400):
        low, high = choose.choice(keys), choose.choice(keys)
        names = choose.choice(["first", "after"]), choose.choice(["last", "before"])
        prefix = choose.choice([(), ("a",), ("ab",)])
        span = key_span("c", "m", prefix, Bounds(**{names[0]: low, names[1]: high}))
        got = [key for key in keys if places[key].startswith(span.prefix) and span.start <= places[key] < span.end]
        above = [key for key in keys if (key >= low if names[0] == "first" else key > low)]
        wanted = [key for key in above if (key <= high if names[1] == "last" else key < high)]
        assert got == [key for key in wanted if key[: len(prefix)] == prefix]
