"""Calls by a typed interface: what is known is checked early, what is believed shows later; views cannot write."""

import inspect

import pytest

from contracts import Address, Contract, Decimal, Interface, Map, Var, call, check, init, view
from contracts.language import gas
from contracts.testing import CallFailed, LocalChain

HEAD = "from contracts import Address, Contract, Decimal, Interface, Map, Value, Var, call, init, view\n"


class Oracle(Interface):
    """Where prices come from."""

    @view
    def price(self, symbol: str) -> Decimal:
        """The price of one."""

    @view
    def pair(self, low: Decimal, high: Decimal) -> tuple[Decimal, int]: ...

    @call
    def put(self, symbol: str, price: Decimal) -> None:
        """Set the price."""

    @view
    def bump(self, symbol: str) -> int: ...

    @call
    def missing(self) -> None: ...

    @view
    def wrong(self) -> int: ...


class Prices(Contract):
    prices: Map[str, Decimal]
    asked: Var[int]
    by: Var[Address]

    @view
    def price(self, symbol: str) -> Decimal:
        return self.prices.get(symbol, Decimal(0))

    @view
    def pair(self, low: Decimal, high: Decimal) -> tuple[Decimal, int]:
        return (high - low, 7)

    @call
    def put(self, symbol: str, price: Decimal) -> None:
        self.prices[symbol] = price
        self.by.set(self.ctx.sender)

    @call
    def bump(self, symbol: str) -> int:
        self.asked.set(self.asked.get(0) + 1)
        return self.asked.get()

    @view
    def wrong(self) -> str:
        return "no number"


class Shop(Contract):
    oracle: Var[Address]

    @init
    def create(self, oracle: Address) -> None:
        self.oracle.set(oracle)

    @view
    def cost(self, symbol: str, count: int) -> Decimal:
        return self.at(Oracle, self.oracle.get()).price(symbol) * count

    @view
    def spread(self, low: Decimal) -> tuple[Decimal, int]:
        width, seven = self.at(Oracle, self.oracle.get()).pair(low, high=low + Decimal("0.5"))
        return (width, seven)

    @call
    def update(self, symbol: str, price: Decimal) -> None:
        self.at(Oracle, self.oracle.get()).put(symbol=symbol, price=price)

    @call
    def go(self, how: str) -> None:
        oracle = self.oracle.get()
        if how == "a view that writes":
            self.at(Oracle, oracle).bump("gold")
        if how == "missing":
            self.at(Oracle, oracle).missing()
        if how == "a result of another type":
            self.at(Oracle, oracle).wrong()
        if how == "nobody":
            self.at(Oracle, "nobody").price("gold")
        if how == "an account":
            self.at(Oracle, self.ctx.sender).price("gold")

    @call
    def mistyped(self, address: str | int, price: str) -> None:
        self.at(Oracle, address).put("gold", price)

    @view
    def sneak(self) -> None:
        self.at(Oracle, self.oracle.get()).put("gold", Decimal(1))


PRICES = HEAD + inspect.getsource(Prices)
SHOP = HEAD + inspect.getsource(Oracle) + inspect.getsource(Shop)


@pytest.fixture
def chain():
    made = LocalChain("ada")
    made.deploy(PRICES, "prices", sender="ada")
    made.deploy(SHOP, "shop", "prices", sender="ada")
    return made


@pytest.fixture
def shop():
    shop, prices = Shop(), Prices()
    shop.ctx.connect("prices", prices)
    shop.create("prices")
    return shop


def test_the_source_is_accepted():
    assert (check(PRICES), check(SHOP)) == ([], [])


def test_arguments_and_results_have_their_types_on_both_sides(chain, shop):
    chain.call("ada", "shop", "update", "gold", "2.5")
    assert (chain.view("shop", "cost", "gold", 3), chain.view("shop", "spread", "1")) == ("7.5", ["0.5", 7])
    assert chain.state("prices", "by") == "shop"
    shop.update("gold", Decimal("2.5"))
    assert (shop.cost("gold", 3), shop.spread(Decimal(1))) == (Decimal("7.5"), (Decimal("0.5"), 7))


FAILURES = [
    ("a view that writes", "not_permitted", "'prices'.bump may write, and only a view can run here"),
    ("missing", "unknown_method", "contract 'prices' has no method 'missing'"),
    ("a result of another type", "bad_type", "the result of Oracle.wrong must be int, not str"),
    ("nobody", "unknown_contract", "there is no contract 'nobody'"),
    ("an account", "bad_value", "a name of 64 characters"),
]


@pytest.mark.parametrize(("how", "code", "message"), FAILURES)
def test_what_was_believed_shows_when_it_is_called(chain, shop, how, code, message):
    shop.ctx.sender = "b" * 64
    outcome = chain.call("ada", "shop", "go", how, check=False)
    assert (outcome.code, outcome.message) == (code, message)
    with pytest.raises(Exception, match=message) as caught:
        shop.go(how)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("address", "price", "message"),
    [(7, "1", "the address must be str, not int"),
     ("prices", "1", "the argument 'price' of Oracle.put must be Decimal, not str")],
)  # fmt: skip
def test_values_are_held_to_the_interface_before_they_leave(chain, shop, address, price, message):
    with pytest.raises(CallFailed, match=f"bad_type: {message}"):
        chain.call("ada", "shop", "mistyped", address, price)
    with pytest.raises(TypeError, match=message):
        shop.mistyped(address, price)


def test_a_view_cannot_write_by_way_of_another(chain, shop):
    with pytest.raises(CallFailed, match=r"not_permitted: 'prices'\.put may write, and only a view can run here"):
        chain.view("shop", "sneak")
    with pytest.raises(Exception, match="only a view can run here"):
        shop.sneak()


def test_it_costs_what_a_call_costs(contract):
    ran = contract(f"""{HEAD}
class Oracle(Interface):
    @call
    def put(self, key: str, number: int) -> Value: ...

class Box(Contract):
    @call
    def typed(self, name: str) -> Value:
        return self.at(Oracle, name).put("a", 1)

    @call
    def plain(self, name: str) -> Value:
        return self.call(name, "put", ["a", 1])
""")
    assert ran.run("typed", "other") == ["other", "put"]
    typed = ran.meter.used
    assert ran.run("plain", "other") == ["other", "put"]
    assert ran.host.calls == [("other", "put", ["a", 1])] * 2
    # no list display and no method's name; but the result is held to its type
    assert ran.meter.used - typed == gas.BUILD + gas.LOAD - 2 * gas.ITEM_CODED


# ── what the checker says ─────────────────────────────────────────────────────────────────────────

ABOVE = """
class Oracle(Interface):
    @view
    def price(self, symbol: str, day: int) -> int: ...
"""


def problems(body="", above=ABOVE, head=HEAD):
    lines = [
        head + above,
        "class Box(Contract):",
        "    @call",
        "    def run(self) -> None:",
        f"        {body or 'pass'}",
    ]
    return [str(problem) for problem in check("\n".join(lines) + "\n")]


AT = "a call by interface is written self.at(Interface, address).method(...)"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("self.at(Oracle, 'x').price('a', 1)", None),
        ("self.at(Oracle, 'x').price('a', day=1)", None),
        ("self.at(Oracle, 'x').price('a')", "arity: Oracle.price() needs the argument 'day'"),
        ("self.at(Oracle, 'x').price('a', 1, 2)", "arity: Oracle.price() takes 2 arguments, not 3"),
        ("self.at(Oracle, 'x').price('a', 1, day=2)", "arity: Oracle.price() is given 'day' twice"),
        ("self.at(Oracle, 'x').price('a', week=2)", "arity: Oracle.price() is given 'week' which it does not have"),
        ("self.at(Oracle, 'x').cost('a')", "unknown_name: Oracle has no method 'cost'; it has price"),
        ("self.at(Oracle).price('a', 1)", f"arity: {AT}, with an Interface that this module declares"),
        ("self.at(Other, 'x').price('a', 1)", f"arity: {AT}, with an Interface that this module declares"),
        ("self.at(Oracle, address='x').price('a', 1)", f"arity: {AT}, with an Interface that this module declares"),
        ("oracle = self.at(Oracle, 'x')", f"not_allowed: {AT}; what self.at() gives is no value"),
        ("x = Oracle", "unknown_name: 'Oracle' is not a value that can be passed around"),
        ("Oracle = 1", "name: the name 'Oracle' is taken by the module"),
    ],
)
def test_a_use(body, problem):
    assert [text.split(": ", 1)[1] for text in problems(body)] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ("    @view\n    def p(self) -> int: ...", None),
        ("    @call\n    def p(self, a: list[int]) -> Value:\n        'Doc.'", None),
        ("    'Doc.'", None),
        ("    @view\n    def p(self) -> int:\n        return 1",
         "4:9: structure: p of an interface has no code: write ... in its place"),
        ("    @view\n    def p(self) -> int:\n        pass",
         "4:9: structure: p of an interface has no code: write ... in its place"),
        ("    def p(self) -> int: ...",
         "2:5: structure: p of an interface is marked @call, or @view to be asked read-only"),
        ("    @init\n    def p(self) -> int: ...",
         "3:5: structure: p of an interface is marked @call, or @view to be asked read-only"),
        ("    @view\n    def p(self, a) -> int: ...", "3:17: annotation: the parameter 'a' of p needs a type"),
        ("    @view\n    def p(self): ...", "3:5: annotation: p needs a return type: -> None, or what it returns"),
        ("    @view\n    def p() -> int: ...", "3:5: structure: the first parameter of p is self"),
        ("    @view\n    def p(self, a: int = 1) -> int: ...",
         "3:26: not_allowed: a default for 'a': whoever calls a contract gives every argument"),
        ("    @view\n    def p(self) -> int: ...\n    @view\n    def p(self) -> int: ...",
         "5:5: name: the method 'p' is declared twice"),
        ("    @view\n    def sum(self) -> int: ...", "3:5: name: the name 'sum' is taken by the language"),
        ("    x: Var[int]",
         "2:5: structure: an interface has methods only, without their code: def name(self, ...) -> type: ..."),
    ],
)  # fmt: skip
def test_a_declaration(above, expected):
    found = problems(above=f"class Other(Interface):\n{above}\n", head="")
    assert [text for text in found if "not imported" not in text] == ([expected] if expected else [])


def test_an_interface_is_imported_declared_once_and_no_base_of_a_contract():
    assert any("Interface is used but not imported" in text for text in problems(head=HEAD.replace("Interface, ", "")))
    assert "declared twice" in problems(above=ABOVE + ABOVE)[0]
    (problem,) = problems(above=ABOVE + "class More(Oracle):\n    pass\n")
    assert "a class inherits from Contract, Event, Interface or Record, and no other" in problem


def test_at_is_free_where_no_interface_is_known():
    source = HEAD.replace("Interface, ", "") + "class Box(Contract):\n    at: Var[int]\n"
    assert check(source) == []
    (problem,) = check(HEAD + "class Box(Contract):\n    at: Var[int]\n")
    assert "the name 'at' is taken by the language" in str(problem)


def test_there_is_a_limit():
    many = "".join(f"class I{number}(Interface):\n    pass\n" for number in range(33)).replace("    pass", "    'x'")
    assert any("more than 32 interfaces" in text for text in problems(above=many))
