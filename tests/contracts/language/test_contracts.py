# ruff: noqa: E501 -- tables read better in rows
"""The contract around the statements: state, events, entry points, constants, types at the boundary."""

import pytest

from contracts import check
from contracts.language import Failure, SourceRefused, compile_source

SHOP = '''
LIMIT = 10 ** 3
NAMES = ("a", "b")

class Sold(Event):
    """What was sold."""
    item: str
    prices: list[int]

class Shop(Contract):
    """A shop.

    It sells.
    """
    owner: Var[str]
    stock: Map[str, int]
    orders: Map[tuple[str, int], tuple[int, str]]
    log: List[tuple[str, int]]
    anything: Map[bytes, Value]

    @init
    def set_up(self, owner: str) -> None:
        """Set up."""
        self.owner.set(owner)

    @call
    def put(self, item: str, count: int) -> int:
        self.stock[item] = count
        self.stock[item] += 1
        self.log.append((item, count))
        self.emit(Sold(item=item, prices=[count]))
        return self.stock[item]

    @call
    def order(self, who: str, number: int) -> tuple[int, str] | None:
        self.orders[who, number] = (number, who)
        key = (who, number)
        return self.orders.get(key)

    @call
    def take(self, item: str) -> Value:
        had = self.stock.pop(item, None)
        return [had, item in self.stock, self.stock.get(item), self.stock.get(item, 5)]

    @call
    def forget(self, item: str) -> None:
        del self.stock[item]
        self.owner.delete()

    @view
    def listing(self, limit: int) -> Value:
        return [self.orders.keys(limit), self.orders.items(limit, prefix="b"), self.stock.items(limit, after="a")]

    @view
    def logged(self) -> Value:
        out = [entry[0] for entry in self.log]
        return [out, len(self.log), self.log[-1], self.owner.exists(), self.owner.get("nobody")]

    @call
    def unlog(self) -> tuple[str, int]:
        self.log[0] = ("z", 0)
        return self.log.pop()

    @call
    def keep(self, key: bytes, value: Value) -> Value:
        self.anything[key] = value
        return self.anything[key]

    @view
    def shapes(self, flag: bool, pair: tuple[int, str], rest: tuple[int, ...], names: dict[str, list[int]]) -> Value:
        return [flag, pair[0], pair == (1, "a"), len(rest), names, isinstance(pair, tuple), LIMIT, NAMES[1]]

    @view
    def wrong(self) -> int:
        return "text"

    @call
    def mistyped(self) -> None:
        self.stock["a"] = "many"

    def inner(self) -> None:
        return None
'''


@pytest.fixture
def shop(contract):
    ran = contract(SHOP)
    ran.run("set_up", "ada")
    return ran


def test_a_program_describes_itself(shop):
    program = shop.program
    assert (program.name, program.doc) == ("Shop", "A shop.\n\nIt sells.")
    assert [(m.name, m.kind, m.returns) for m in program.methods][:4] == [
        ("set_up", "init", "None"),
        ("put", "call", "int"),
        ("order", "call", "tuple[int, str] | None"),
        ("take", "call", "Value"),
    ]
    assert program.methods[1].parameters == (("item", "str"), ("count", "int"))
    assert program.methods[0].doc == "Set up."
    assert program.state == (
        ("owner", "Var[str]"),
        ("stock", "Map[str, int]"),
        ("orders", "Map[tuple[str, int], tuple[int, str]]"),
        ("log", "List[tuple[str, int]]"),
        ("anything", "Map[bytes, Value]"),
    )
    assert program.events == (("Sold", (("item", "str"), ("prices", "list[int]"))),)


def test_state_is_put_got_and_emitted(shop):
    assert shop.run("put", "nut", 4) == 5
    assert shop.host.events == [("Sold", {"item": "nut", "prices": [4]})]
    assert shop.host.entries["stock", ("nut",)] == b"\x05"
    assert shop.host.entries["log", ()] == b"\x01"
    assert shop.run("take", "nut") == [5, False, None, 5]
    assert ("stock", ("nut",)) not in shop.host.entries


def test_tuples_come_back_as_declared(shop):
    assert shop.run("order", "bob", 3) == (3, "bob")


def test_a_map_is_scanned_in_key_order_with_prefix_and_limit(shop):
    for who, number in (("b", 2), ("a", 9), ("b", 1)):
        shop.run("order", who, number)
    for item in ("c", "a", "b"):
        shop.run("put", item, 1)
    keys, prefixed, after = shop.run("listing", 10)
    assert keys == [("a", 9), ("b", 1), ("b", 2)]
    assert prefixed == [(("b", 1), (1, "b")), (("b", 2), (2, "b"))]
    assert after == [("b", 2), ("c", 2)]
    assert shop.run("listing", 1)[0] == [("a", 9)]
    assert shop.fail("listing", 1001).code == "bad_value"
    assert shop.fail("listing", -1).code == "bad_value"


def test_a_list_keeps_its_length(shop):
    shop.run("put", "x", 1)
    shop.run("put", "y", 2)
    assert shop.run("logged") == [["x", "y"], 2, ("y", 2), True, "ada"]
    assert shop.run("unlog") == ("y", 2)
    assert shop.run("unlog") == ("z", 0)
    assert not [key for key in shop.host.entries if key[0] == "log"]
    assert shop.fail("unlog").code == "index_error"


def test_what_is_forgotten_is_gone(shop):
    shop.run("put", "x", 1)
    shop.run("forget", "x")
    assert shop.fail("forget", "x").code == "key_error"
    assert ("owner", ()) not in shop.host.entries


def test_arguments_are_fitted_to_their_types(shop):
    got = shop.run("shapes", True, [1, "a"], [1, 2, 3], {"x": [1]})
    assert got == [True, 1, True, 3, {"x": [1]}, True, 1000, "b"]


@pytest.mark.parametrize(
    "args",
    [
        [],
        [True, [1, "a"], [1], {}, 5],
        [1, [1, "a"], [1], {}],
        [True, [1], [1], {}],
        [True, [1, 2], [1], {}],
        [True, [1, "a"], ["x"], {}],
        [True, [1, "a"], [1], {1: []}],
        [True, [1, "a"], [1], {"x": [True]}],
        [True, None, [1], {}],
        [True, [1.0, "a"], [1], {}],
        [True, [2**256, "a"], [1], {}],
    ],
)
def test_wrong_arguments_are_refused(shop, args):
    assert shop.fail("shapes", *args).code == "bad_arguments"


@pytest.mark.parametrize("value", [1.5, {1, 2}, {1: 2}, object, [[[1.0]]], "x" * (256 * 1024 + 1)])
def test_an_argument_of_any_type_is_still_a_value(shop, value):
    assert shop.fail("keep", b"k", value).code == "bad_arguments"


def test_values_of_any_type_are_kept(shop):
    value = [None, True, -(2**200), "é", b"\0", {"a": [1]}]
    assert shop.run("keep", b"k", value) == value
    assert shop.fail("keep", b"k" * 1025, 1).code == "size_limit"
    assert shop.fail("keep", b"k", ["x" * 100_000, "y" * 100_000]).code == "size_limit"


def test_types_hold_for_results_and_state(shop):
    assert (shop.fail("wrong").code, shop.fail("wrong").line) == ("bad_type", shop.program.methods[-2].line)
    assert shop.fail("mistyped").message == "a value of stock must be int, not str"


def test_only_entry_points_can_be_entered(shop):
    for name in ("inner", "nothing", "", "run", "__init__"):
        assert shop.fail(name).code == "unknown_method"


def test_nothing_is_aliased(contract):
    ran = contract("""
        class Box(Contract):
            kept: Map[str, list[int]]
            @call
            def run(self) -> Value:
                mine = [1]
                self.kept["a"] = mine
                mine.append(2)
                again = self.kept["a"]
                again.append(3)
                self.call("other", "take", [mine])
                return [self.kept["a"], mine]
    """)
    assert ran.run() == [[1], [1, 2]]
    assert ran.host.calls == [("other", "take", [[1, 2]])]


def test_a_failure_of_the_host_passes_with_its_place_kept(contract):
    ran = contract(
        'class Box(Contract):\n    @call\n    def run(self) -> Value:\n        return self.call("x", "y", [])'
    )

    def fails(contract, method, args):
        raise Failure("failed", "theirs", 77, "x")

    ran.host.call = fails
    with pytest.raises(Failure) as caught:
        ran.run()
    assert (caught.value.contract, caught.value.line) == ("x", 77)


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError])
def test_a_fault_of_the_host_is_no_outcome(contract, error):
    ran = contract(
        "class Box(Contract):\n    v: Var[int]\n    @call\n    def run(self) -> Value:\n        return self.v.get()"
    )

    def breaks(variable, key):
        raise error

    ran.host.get = breaks
    with pytest.raises(error):
        ran.run()


def test_damaged_state_is_a_fault_of_the_host(contract):
    ran = contract(
        "class Box(Contract):\n    v: Var[int]\n    @call\n    def run(self) -> Value:\n        return self.v.get()"
    )
    ran.host.entries["v", ()] = b"\xc1"
    with pytest.raises(RuntimeError, match="no value"):
        ran.run()


REFUSED = [
    ("", "structure"),
    ("x = 1", "structure"),
    ("class A(Contract):\n    pass\nclass B(Contract):\n    pass", "structure"),
    ("class A:\n    pass", "structure"),
    ("class A(Contract, Event):\n    pass", "structure"),
    ("class A(Contract, metaclass=x):\n    pass", "structure"),
    ("@view\nclass A(Contract):\n    pass", "not_allowed"),
    ("import os\nclass A(Contract):\n    pass", "not_allowed"),
    ("from os import path\nclass A(Contract):\n    pass", "not_allowed"),
    ("from contracts import Contract as C\nclass A(Contract):\n    pass", "not_allowed"),
    ("from contracts import testing\nclass A(Contract):\n    pass", "unknown_name"),
    ("from .contracts import Contract\nclass A(Contract):\n    pass", "not_allowed"),
    ("print(1)\nclass A(Contract):\n    pass", "not_allowed"),
    ("class A(Contract):\n    x = 1", "structure"),
    ("class A(Contract):\n    x: int", "annotation"),
    ("class A(Contract):\n    x: Var[int] = 1", "structure"),
    ("class A(Contract):\n    x: Var[float]", "annotation"),
    ("class A(Contract):\n    x: Map[str]", "annotation"),
    ("class A(Contract):\n    x: Map[list[int], int]", "annotation"),
    ("class A(Contract):\n    x: Map[tuple[int, ...], int]", "annotation"),
    ("class A(Contract):\n    x: Map[str, Map[str, int]]", "annotation"),
    ("class A(Contract):\n    x: Var[dict[int, int]]", "annotation"),
    ("class A(Contract):\n    x: Var[list]", "annotation"),
    ("class A(Contract):\n    x: Var[int]\n    x: Var[str]", "name"),
    ("class A(Contract):\n    ctx: Var[int]", "name"),
    ("class A(Contract):\n    _x: Var[int]", "name"),
    ("class A(Contract):\n    @view\n    def call(self) -> None:\n        pass", "name"),
    ("class A(Contract):\n    @view\n    def f() -> None:\n        pass", "structure"),
    ("class A(Contract):\n    @view\n    def f(this) -> None:\n        pass", "structure"),
    ("class A(Contract):\n    @view\n    def f(self, a) -> None:\n        pass", "annotation"),
    ("class A(Contract):\n    @view\n    def f(self):\n        pass", "annotation"),
    ("class A(Contract):\n    @view\n    def f(self, a: int = 1) -> None:\n        pass", "not_allowed"),
    ("class A(Contract):\n    @view\n    @call\n    def f(self) -> None:\n        pass", "structure"),
    ("class A(Contract):\n    @property\n    def f(self) -> None:\n        pass", "not_allowed"),
    ("class A(Contract):\n    @view()\n    def f(self) -> None:\n        pass", "not_allowed"),
    ("class A(Contract):\n    @init\n    def a(self) -> None:\n        pass\n    @init\n    def b(self) -> None:\n        pass", "structure"),
    ("class A(Contract):\n    def init(self):\n        pass", "name"),
    ("class A(Contract):\n    init: Var[int]", "name"),
    ("class A(Contract):\n    @init\n    def init(self) -> None:\n        pass\n    @init\n    def init(self) -> None:\n        pass", "structure"),
    ("class A(Contract):\n    def f(self, *a):\n        pass", "not_allowed"),
    ("class A(Contract):\n    def f(self, *, a):\n        pass", "not_allowed"),
    ("class A(Contract):\n    def f(self, a, /):\n        pass", "structure"),
    ("class A(Contract):\n    def f(self, **a):\n        pass", "not_allowed"),
    ("class A(Contract):\n    def f(self, a=[]):\n        pass", "not_allowed"),
    ("class A(Contract):\n    def f(self, range):\n        pass", "name"),
    ("class A(Contract):\n    async def f(self):\n        pass", "not_allowed"),
    ("class A(Contract):\n    def f[T](self):\n        pass", "not_allowed"),
    ("class A[T](Contract):\n    pass", "not_allowed"),
    ("type X = int\nclass A(Contract):\n    pass", "not_allowed"),
    ("class E(Event):\n    x: int = 1\nclass A(Contract):\n    pass", "structure"),
    ("class E(Event):\n    def f(self):\n        pass\nclass A(Contract):\n    pass", "structure"),
    ("X = [1]\nclass A(Contract):\n    pass", "not_allowed"),
    ("X = len('a')\nclass A(Contract):\n    pass", "not_allowed"),
    ("X = 1 // 0\nclass A(Contract):\n    pass", "constant"),
    ("X = 2 ** 256\nclass A(Contract):\n    pass", "constant"),
    ("X = Y\nclass A(Contract):\n    pass", "unknown_name"),
    ("X, Y = 1, 2\nclass A(Contract):\n    pass", "structure"),
    ("X = 1\nX = 2\nclass A(Contract):\n    pass", "name"),
    ("class A(Contract):\n    v: Var[int]\n    def f(self):\n        return self.v", "not_allowed"),
    ("class A(Contract):\n    v: Var[int]\n    def f(self):\n        return self.v[0]", "type"),
    ("class A(Contract):\n    v: Var[int]\n    def f(self):\n        self.v = 1", "not_allowed"),
    ("class A(Contract):\n    v: Var[int]\n    def f(self):\n        self.v.put(1)", "unknown_name"),
    ("class A(Contract):\n    v: Var[int]\n    def f(self):\n        self.v.set()", "arity"),
    ("class A(Contract):\n    m: Map[str, int]\n    def f(self):\n        for k in self.m:\n            pass", "type"),
    ("class A(Contract):\n    m: Map[str, int]\n    def f(self):\n        return len(self.m)", "type"),
    ("class A(Contract):\n    m: Map[str, int]\n    def f(self):\n        return self.m.items()", "arity"),
    ("class A(Contract):\n    m: Map[str, int]\n    def f(self):\n        return self.m.items(1, prefix='a')", "arity"),
    ("class A(Contract):\n    m: Map[str, int]\n    def f(self):\n        return self.m['a':'b']", "not_allowed"),
    ("class A(Contract):\n    l: List[int]\n    def f(self):\n        return 1 in self.l", "type"),
    ("class A(Contract):\n    l: List[int]\n    def f(self):\n        del self.l[0]", "type"),
    ("class E(Event):\n    x: int\nclass A(Contract):\n    def f(self):\n        self.emit(E(1))", "arity"),
    ("class E(Event):\n    x: int\nclass A(Contract):\n    def f(self):\n        self.emit(E(y=1))", "arity"),
    ("class E(Event):\n    x: int\nclass A(Contract):\n    def f(self):\n        e = E(x=1)", "not_allowed"),
    ("class A(Contract):\n    def f(self):\n        self.emit({'x': 1})", "arity"),
    ("class A(Contract):\n    @init\n    def set_up(self) -> None:\n        pass\n    def f(self):\n        self.set_up()", "not_allowed"),
    ("def f():\n    return self.ctx.sender\nclass A(Contract):\n    pass", "not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), REFUSED, ids=[text for text, _ in REFUSED])
def test_refused(text, code):
    source = "from contracts import Contract, Event, List, Map, Var, call, init, view\n" + text
    assert code in [problem.code for problem in check(source)]
    with pytest.raises(SourceRefused) as caught:
        compile_source(source)
    assert caught.value.problems == tuple(check(source))


def test_what_is_used_is_imported():
    source = "class A(Contract):\n    @view\n    def f(self) -> None:\n        require(True, 'x')\n"
    assert [str(problem) for problem in check(source)] == [
        "1:1: not_imported: Contract is used but not imported: from contracts import Contract",
        "2:6: not_imported: view is used but not imported: from contracts import view",
        "4:9: not_imported: require is used but not imported: from contracts import require",
    ]


def test_programs_are_cached_by_code_hash():
    source = "from contracts import Contract\nclass A(Contract):\n    pass\n"
    assert compile_source(source) is compile_source(source)
    assert compile_source(source).code_hash != compile_source(source + "\n").code_hash


EMPTY = (
    "from contracts import Contract, call\n{}class C(Contract):\n    @call\n    def f(self) -> int:\n        return 1\n"
)


def test_all_constants_of_a_file_together_make_a_bounded_number_of_bytes():
    tables = [f"T{number} = ({'1, ' * 1400})\n" for number in range(2)]
    texts = [f'A{number} = "{number}" * 250_000\n' for number in range(5)]
    allowed = "".join([*tables, *texts[:4], "B = A0\n"])
    assert check(EMPTY.format(allowed)) == []
    (problem,) = check(EMPTY.format(allowed + texts[4] + 'Z = "c" * 40\n'))
    assert (problem.line, problem.code) == (9, "constant")
    assert problem.message.endswith("make at most 1,048,576 bytes, a short one less: 48,576 were left")


@pytest.mark.parametrize("second", ['B = "\U0001f600" * 9_000\n', "B = A + A\n", "B = (A + A, 1)\n"])
def test_a_short_file_makes_no_more_than_its_length_lets_expect(second):
    first = 'A = "x" * 10_000\n'
    assert check(EMPTY.format(first)) == []
    (problem,) = check(EMPTY.format(first + second))
    assert (problem.line, problem.code) == (3, "constant")
    assert "were left" in problem.message
