"""Gas is honest: in proportion to the work, before the work, the same everywhere, and final once it is used up."""

import timeit

import pytest

from contracts import check
from contracts.language import Failure, Meter, OutOfGas, compile_source, gas, limits, value_types


def test_a_meter_counts_and_is_sticky():
    meter = Meter(10)
    meter.charge(4)
    assert (meter.used, meter.left, meter.exhausted) == (4, 6, False)
    meter.charge(6)
    assert (meter.used, meter.exhausted) == (10, False)
    for amount in (1, 0, 100):
        with pytest.raises(OutOfGas):
            meter.charge(amount)
        assert (meter.used, meter.exhausted) == (10, True)
    with pytest.raises(ValueError, match="negative"):
        meter.charge(-1)
    with pytest.raises(ValueError, match="negative"):
        Meter(-1)


def test_an_empty_limit_runs_nothing(body):
    assert body("return 1").fail(gas=0).code == "out_of_gas"


def test_gas_runs_out_exactly_at_the_limit(body):
    ran = body("x = [1, 2]\nreturn x + x")
    ran.run()
    used = ran.meter.used
    assert ran.run(gas=used) == [1, 2, 1, 2]
    assert ran.fail(gas=used - 1).code == "out_of_gas"
    assert ran.meter.exhausted


def test_what_a_transaction_makes_is_bounded_whatever_its_gas(body):
    ran = body("s = 'a' * 200_000\nfor i in range(n):\n    x = s + 'b'\nreturn None", parameters="n: int")
    least = limits.MADE_BYTES_MAX // 200_001
    assert ran.run("run", least - 1) is None
    assert ran.fail("run", least + 1).code == "size_limit"
    assert ran.meter.used < 3_000_000


def test_out_of_gas_says_where(body):
    ran = body("x = 1\nwhile True:\n    x += 0")
    failure = ran.fail(gas=5_000)
    assert (failure.code, failure.line) == ("out_of_gas", ran.program.methods[0].line + 3)
    assert ran.meter.used == 5_000


def used(ran, size):
    ran.run("run", size)
    return ran.meter.used


PROPORTIONAL = {
    "repeat": "x = 'a' * n",
    "repeat a list": "x = [0] * n",
    "bytes": "x = bytes(n)",
    "concatenate": "s = 'a' * n\nfor i in range(50):\n    x = s + s",
    "concatenate lists": "s = [0] * n\nfor i in range(50):\n    x = s + s",
    "slice": "s = 'a' * n\nfor i in range(50):\n    x = s[1:]",
    "replace": "s = 'a' * n\nfor i in range(50):\n    x = s.replace('a', 'b')",
    "join": "s = ['a'] * n\nfor i in range(50):\n    x = ''.join(s)",
    "split": "s = 'a ' * n\nfor i in range(50):\n    x = s.split(' ')",
    "find": "s = 'a' * n\nfor i in range(50):\n    x = s.find('b')",
    "in a text": "s = 'a' * n\nfor i in range(50):\n    x = 'b' in s",
    "in a list": "s = [0] * n\nfor i in range(50):\n    x = 1 in s",
    "compare texts": "s = 'a' * n\nt = 'a' * n\nfor i in range(100):\n    x = s == t",
    "compare lists": "s = [0] * n\nt = [0] * n\nfor i in range(50):\n    x = s == t",
    "order lists": "s = [0] * n\nt = [0] * n\nfor i in range(50):\n    x = s < t",
    "range to list": "for i in range(50):\n    x = list(range(n))",
    "sum": "s = [1] * n\nfor i in range(50):\n    x = sum(s)",
    "max": "s = [1] * n\nfor i in range(50):\n    x = max(s)",
    "sort": "s = [1] * n\nfor i in range(50):\n    x = sorted(s)",
    "iterate": "for i in range(n):\n    pass",
    "comprehension": "x = [i for i in range(n)]",
    "dict": "x = {i: i for i in range(n)}",
    "union": "s = {i: i for i in range(n)}\nfor i in range(10):\n    x = s | s",
    "copy": "s = [1] * n\nfor i in range(50):\n    x = s.copy()",
    "insert": "s = [1] * n\nfor i in range(50):\n    s.insert(0, 1)",
    "upper": "s = 'a' * n\nfor i in range(50):\n    x = s.upper()",
    "hash": "s = bytes(n)\nfor i in range(50):\n    x = sha256(s)",
    "hex": "s = bytes(n)\nfor i in range(50):\n    x = s.hex()",
    "f-string": "s = 'a' * n\nfor i in range(50):\n    x = f'{s}'",
    "state": "s = 'a' * n\nfor i in range(50):\n    self.kept['a'] = s\n    x = self.kept['a']",
    "state of many": "s = [1] * n\nfor i in range(50):\n    self.kept['a'] = s\n    x = self.kept['a']",
    "event": "s = 'a' * n\nfor i in range(50):\n    self.emit(Noted(text=s))",
    "call": "s = 'a' * n\nfor i in range(50):\n    self.call('a', 'b', [s])",
}


@pytest.mark.parametrize("text", PROPORTIONAL.values(), ids=PROPORTIONAL)
def test_ten_times_the_data_costs_at_least_five_times_the_gas(body, text):
    parts = {"parameters": "n: int", "state": "kept: Map[str, Value]", "above": "class Noted(Event):\n    text: str"}
    ran = body(f"{text}\nreturn None", **parts)
    base, small, large = used(ran, 1), used(ran, 1_000), used(ran, 10_000)
    assert large - base >= 5 * (small - base) > 0


UNPAID = {
    "repeat": "'a' * 200_000",
    "repeat a list": "[0] * 60_000",
    "bytes": "bytes(200_000)",
    "range": "list(range(60_000))",
    "pad": "'a'.rjust(200_000)",
    "power": "pow(3, 2 ** 250, 2 ** 250)",
}


@pytest.mark.parametrize("text", UNPAID.values(), ids=UNPAID)
def test_what_cannot_be_paid_is_not_begun(body, text, monkeypatch):
    assert body(f"x = {text}\nreturn None").fail(gas=1_000).code == "out_of_gas"


def test_a_loop_pays_even_when_it_does_nothing(body):
    for text in ("while True:\n    pass", "while True:\n    continue", "for i in range(10 ** 40):\n    pass"):
        assert body(text).fail(gas=100_000).code == "out_of_gas"


def test_both_branches_of_a_condition_cost_the_same(body):
    ran = body("return 1 if n else 2 + 2 + 2", parameters="n: int")
    assert used(ran, 0) == used(ran, 1)


def test_a_failure_keeps_what_was_charged(body):
    ran = body("x = 'a' * 100_000\nraise Error('no')")
    with pytest.raises(Failure):
        ran.run()
    assert ran.meter.used > 500


def test_gas_of_a_known_program_never_changes(body):
    """These numbers are part of what validators agree on: a change of the table is a change of the protocol."""
    ran = body("total = 0\nfor i in range(10):\n    if i % 2 == 0:\n        total += i\nreturn f'{total}'")
    assert (ran.run(), ran.meter.used) == ("20", 2060)


# ── unions ────────────────────────────────────────────────────────────────────────────────────────


def union_source(union):
    return f"from contracts import Contract, Var, call\n\nclass Box(Contract):\n    v: Var[{union}]\n"


def test_what_a_union_names_twice_counts_once():
    (variable,) = compile_source(union_source("int | (int | str) | int | list[int] | list[int]")).state
    assert variable == ("v", "Var[int | str | list[int]]")
    assert compile_source(union_source("list[int | int]")).state == (("v", "Var[list[int]]"),)


def test_a_union_has_a_largest_number_of_options():
    most = "((None | bool) | (int | str)) | ((bytes | list[int]) | (list[str] | list[bool]))"
    assert check(union_source(f"({most}) | int")) == []
    (problem,) = check(union_source(f"({most}) | list[bytes]"))
    assert (problem.line, problem.code) == (4, "annotation")
    assert problem.message.startswith("a union of 9 types, at most 8 are allowed; ")


def test_the_last_option_of_a_union_costs_more_than_the_first(body):
    first, last = body("return None", parameters="x: int | str | bytes"), body("return None", parameters="x: str")
    costs = []
    for ran, value in ((first, 1), (first, "a"), (first, b"a"), (last, "a")):
        ran.run("run", value)
        costs.append(ran.meter.used)
    assert [costs[1] - costs[0], costs[2] - costs[1], costs[1] - costs[3]] == [gas.OPTION_TRIED] * 2 + [
        2 * gas.OPTION_TRIED
    ]


# ── one price, however often a thing is written ───────────────────────────────────────────────────


def test_a_loop_has_a_largest_number_of_sources():
    """Each turn of a loop costs the same, and takes a step of everything that it runs over."""

    def source(text):
        head = "from contracts import Contract, view\n\nclass Box(Contract):\n    @view\n"
        return f"{head}    def run(self, a: list[int]) -> int:\n        return sum([1 for x in {text}])\n"

    numbered = f"zip({', '.join(['enumerate(range(0, len(a), 1))'] * 8)})"
    assert check(source(numbered)) == []
    assert check(source(f"zip({numbered})")) == []
    (problem,) = check(source(f"zip({numbered}, a)"))
    assert (problem.line, problem.code) == (6, "too_deep")
    assert problem.message == "19 views and what they run over in one loop, at most 18 are allowed"
    nested = "a"
    for _ in range(3):
        nested = f"zip({', '.join([nested] * 8)})"
    assert [found.code for found in check(source(nested))] == ["too_deep"]


def test_a_type_that_is_named_often_is_looked_at_once(body):
    many = body(f"return isinstance(x, ({'int, list, ' * 2_000}bytes))", parameters="x: Value")
    few = body("return isinstance(x, (int, list, bytes))", parameters="x: Value")
    assert [many.run("run", value) for value in (1, "a", [], b"")] == [True, False, True, True]
    assert used(many, "a") == used(few, "a")

    def seconds(ran):
        return min(timeit.repeat(lambda: ran.run("run", "a"), number=20, repeat=5))

    assert seconds(many) < 3 * seconds(few)  # sixty times as long before


@pytest.mark.parametrize("text", ["x in s", "s.find(x)", "s.rfind(x)", "s.count(x)", "s.split(x)"])
def test_one_character_in_a_long_wide_text_costs_more_than_in_a_narrow_one(body, text):
    """The host looks for one byte of it, and may find that in every other character."""

    def cost(character, count):
        return used(
            body(f"s = '{character}' * n\nx = '{character}'\ny = {text}\nreturn None", parameters="n: int"), count
        )

    made = used(body("s = 'é' * n\nreturn None", parameters="n: int"), 9_000)
    made -= used(body("s = 'a' * n\nreturn None", parameters="n: int"), 9_000)
    besides = cost("é", 9_000) - cost("a", 9_000) - made
    assert 1_000 <= besides < (1_000 if "split" not in text else 60_000) + 10
    assert cost("é", 900) - cost("a", 900) < (20 if "split" not in text else 6_000)


@pytest.mark.parametrize(
    "kind",
    [value_types.ANY, value_types.ListOf(value_types.ANY, "list[Value]")],
    ids=lambda kind: kind.text,
)
@pytest.mark.parametrize("item", [[], {}, (), {"a": 1}, [[]]])
def test_a_list_or_dict_that_is_checked_costs_more_than_a_number_where_there_are_many(kind, item):
    """A result is held against its type before anything looks at its size: empty dicts took 22 ns a unit."""

    def used(count):
        meter = Meter(10**9)
        kind.fit(meter, [item] * count)
        return meter.used

    plain = gas.ITEM_CODED * (1 + len(item))
    containers = 1 + (item == [[]])
    free = gas.CONTAINERS_CHECKED_FREE // containers - 1
    assert used(free) == free * plain
    assert used(free + 500) - used(free) == pytest.approx(500 * (plain + containers * gas.CONTAINER_CHECKED), abs=200)


def test_each_value_has_its_own_few_that_are_free():
    meter = Meter(10**9)
    for _ in range(10):
        value_types.ANY.fit(meter, [[]] * 50)
    assert meter.used == 10 * 50 * gas.ITEM_CODED
