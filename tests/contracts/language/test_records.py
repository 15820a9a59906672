"""Records: dicts whose fields are known, held to their types where they cross a boundary, alike in both worlds."""

import inspect

import pytest

from contracts import Address, Contract, Decimal, Event, List, Map, Record, Value, Var, call, check, view
from contracts.native.kinds import type_of
from contracts.testing import CallFailed, LocalChain

HEAD = "from contracts import Address, Contract, Decimal, Event, List, Map, Record, Value, Var, call, view\n"


class Money(Record):
    """So much of a token."""

    token: Address
    amount: Decimal


class Order(Record):
    seller: Address
    price: Money
    tags: list[str]
    place: tuple[int, int] | None


class Placed(Event):
    order: Order


class Market(Contract):
    orders: Map[int, Order]
    last: Var[Order]
    prices: List[Money]
    loose: Var[Value]

    @call
    def place(self, number: int, order: Order) -> Order:
        self.orders[number] = order
        self.last.set(order)
        self.prices.append(order["price"])
        self.emit(Placed(order=order))
        return self.orders[number]

    @call
    def make(self, token: Address, amount: Decimal) -> Money:
        made = Money(amount=amount, token=token)
        made["amount"] += 1
        self.prices.append(made)
        return made

    @view
    def cheapest(self) -> Money | None:
        prices = [price for price in self.prices[:100] if price["token"] == "gold"]
        if not prices:
            return None
        least = min([price["amount"] for price in prices])
        return Money(token="gold", amount=least)

    @view
    def told(self) -> list[str]:
        money = Money(token="gold", amount=Decimal(1))
        same = money == {"amount": Decimal(1), "token": "gold"}
        return [str(isinstance(money, dict)), str(same)] + sorted(money)  # noqa: RUF005 -- no stars in a contract

    @call
    def wrong(self, how: str) -> Money:
        if how == "less":
            self.last.set({"seller": "a"})
        if how == "kind":
            self.prices.append(Money(token="gold", amount="1"))
        if how == "list":
            self.prices.append([])
        return {"token": "gold", "amount": Decimal(1), "more": 1}

    @call
    def keep_loose(self) -> Value:
        self.loose.set(Money(token="gold", amount=Decimal("1.5")))
        return self.loose.get()


SOURCE = HEAD + "\n".join(inspect.getsource(each) for each in (Money, Order, Placed, Market))
MONEY = {"token": "gold", "amount": "2.5"}
ORDER = {"seller": "ada", "price": MONEY, "tags": ["new"], "place": [1, 2]}


@pytest.fixture
def chain():
    """Python and the interpreter both run everything, and must agree."""
    made = LocalChain("ada", mode="both")
    made.deploy(SOURCE, "market", sender="ada")
    return made


def test_a_record_travels_as_a_dict_and_its_fields_have_their_types(chain):
    outcome = chain.call("ada", "market", "place", 7, ORDER)
    assert outcome.result == ORDER
    assert outcome.events[0].fields == {"order": ORDER}
    assert chain.state("market", "orders", 7) == ORDER
    assert chain.call("ada", "market", "make", "gold", "1.5").result == {"token": "gold", "amount": "2.5"}
    chain.call("ada", "market", "make", "gold", "0.25")
    assert chain.view("market", "cheapest") == {"token": "gold", "amount": "1.25"}


def test_in_plain_python_it_is_a_dict_too():
    market = Market()
    order = market.place(7, ORDER)
    assert order == {**ORDER, "price": {"token": "gold", "amount": Decimal("2.5")}, "place": (1, 2)}
    assert type(Money(token="gold", amount=Decimal(1))) is dict
    assert market.make("gold", Decimal("1.5")) == Money(token="gold", amount=Decimal("2.5"))


def test_it_is_a_dict_to_every_operation(chain):
    assert chain.view("market", "told") == ["True", "True", "amount", "token"]
    assert chain.call("ada", "market", "keep_loose").result == {"token": "gold", "amount": "1.5"}


FIELDS = "must have the fields of Money, each and no other: token, amount"


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ({"token": "gold"}, FIELDS),
        ({**MONEY, "more": 1}, FIELDS),
        ({}, FIELDS),
        ({**MONEY, "amount": 2}, "must be Decimal, not int"),
        ({**MONEY, "token": "Gold"}, "is no Address: an Address is"),
        (["gold", "2.5"], "must be Money{token: Address, amount: Decimal}, not list"),
        (None, "must be Money{token: Address, amount: Decimal}, not None"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused(chain, price, message):
    with pytest.raises(CallFailed) as caught:
        chain.call("ada", "market", "place", 1, {**ORDER, "price": price})
    assert caught.value.code == "bad_arguments"
    assert f"the argument 'order' of place {message}" in str(caught.value)
    with pytest.raises(TypeError):
        Market().place(1, {**ORDER, "price": price})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("less", "a value of last must have the fields of Order, each and no other: seller, price, tags, place"),
        ("kind", "a value of prices must be Decimal, not str"),
        ("list", "a value of prices must be Money{token: Address, amount: Decimal}, not list"),
        ("result", f"the result of wrong {FIELDS}"),
    ],
)
def test_inside_it_is_held_to_its_fields_where_it_leaves(chain, how, message):
    outcome = chain.call("ada", "market", "wrong", how, check=False)
    assert (outcome.code, outcome.message) == ("bad_type", message)


def test_an_upgrade_with_another_field_is_refused(chain):
    changed = SOURCE.replace("    amount: Decimal\n", "    amount: Decimal\n    memo: str | None\n", 1)
    outcome = chain.upgrade(changed, "market", sender="ada", check=False)
    assert outcome.code in ("layout_changed", "source_refused")
    fitting = changed.replace("Money(amount=amount,", "Money(memo=None, amount=amount,")
    fitting = fitting.replace('Money(token="gold",', 'Money(memo=None, token="gold",')
    assert check(fitting) == []
    assert chain.upgrade(fitting, "market", sender="ada", check=False).code == "layout_changed"


def test_its_text_names_its_fields(chain):
    money = "Money{token: Address, amount: Decimal}"
    order = f"Order{{seller: Address, price: {money}, tags: list[str], place: tuple[int, int] | None}}"
    info = chain.contract("market")
    assert dict(info.state)["orders"] == f"Map[int, {order}]"
    assert type_of(Order).text == order


def test_fields_are_given_by_name_in_plain_python():
    for make in (
        lambda: Money("gold", Decimal(1)),
        lambda: Money(token="gold"),
        lambda: Money(token="a", amount=1, x=2),
    ):
        with pytest.raises(TypeError, match="Money takes its fields by name, each once: token, amount"):
            make()


# ── what the checker says ─────────────────────────────────────────────────────────────────────────

ABOVE = "class Money(Record):\n    token: str\n    amount: int\n"


def problems(body="pass", above=ABOVE, state=""):
    contract = f"class Box(Contract):\n    {state or 'pass'}\n    @call\n    def run(self) -> None:\n        {body}\n"
    return [str(problem) for problem in check(f"{HEAD}{above}{contract}")]


BY_NAME = "arity: Money takes its fields by name, each once: Money(token=..., amount=...)"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("x = Money(token='a', amount=1)", None),
        ("x: Money = {'token': 'a', 'amount': 1}", None),
        ("x = Money('a', 1)", BY_NAME),
        ("x = Money(token='a')", BY_NAME),
        ("x = Money(token='a', amount=1, more=2)", BY_NAME),
        ("x = Money(token='a', amont=1)", BY_NAME),
        ("x = Money", "unknown_name: 'Money' is not a value that can be passed around"),
        ("Money = 1", "name: the name 'Money' is taken by the module"),
        ("x = Money(token='a', amount=1).token",
         "not_allowed: the attribute .token: values have methods, which are called where they are named"),
    ],
)  # fmt: skip
def test_a_use(body, problem):
    assert [text.split(": ", 1)[1] for text in problems(body)] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("above", "problem"),
    [
        ("class A(Record):\n    pass\n", "structure: a record has fields: name: type"),
        ("class A(Record):\n    x: int = 1\n", "structure: a record has fields only: name: type"),
        ("class A(Record):\n    x: int\n    x: str\n", "name: the field 'x' is declared twice"),
        ("class A(Record):\n    x: float\n", "annotation: there are no floats"),
        ("class A(Record):\n    x: Money\n" + ABOVE, "the type 'Money' is not known; a Record stands above"),
        ("class A(Record):\n    x: list[A]\n", "annotation: the type 'A' is not known; a Record stands above"),
        (ABOVE + ABOVE, "name: the name 'Money' is declared twice"),
        ("class A(Money):\n    x: int\n",
         "structure: class A: a class inherits from Contract, Event, Interface or Record, and no other"),
    ],
)  # fmt: skip
def test_a_declaration(above, problem):
    assert any(problem in text for text in problems(above=above))


def test_a_record_is_no_key_and_must_be_imported():
    assert "annotation: a key is str" in problems(state="x: Map[Money, int]")[0]
    (problem,) = check(f"{HEAD.replace('Record, ', '')}{ABOVE}class Box(Contract):\n    pass\n")
    assert "Record is used but not imported: from contracts import Record" in str(problem)


def test_records_in_records_do_not_grow_without_end():
    above = "class A0(Record):\n    number_of_it: int\n"
    for number in range(1, 12):
        above += f"class A{number}(Record):\n    first: A{number - 1}\n    second: A{number - 1}\n"
    assert "too_large: a record of 1" in problems(above=above)[0]
    many = "".join(f"class R{number}(Record):\n    x: int\n" for number in range(65))
    assert [text for text in problems(above=many) if "more than 64 records" in text]
