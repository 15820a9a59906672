"""Decimals: exact to 18 places, the same in plain Python and in the interpreter, canonical wherever they travel."""

import fractions
import inspect
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import Contract, Decimal, Event, List, Map, Value, Var, call, check, init, view
from contracts.decimal import UNITS_MAX, plain
from contracts.language import Context, Failure, Meter, SourceRefused, compile_source, gas
from contracts.testing import CallFailed, LocalChain
from ledger import codec

LARGEST = "115792089237316195423570985008687907853269984665640564039457.584007913129639935"
HEAD = "from contracts import Contract, Decimal, Event, List, Map, Value, Var, call, init, view\n"


def box(expression, above="", imports=HEAD, parameters=""):
    lines = [
        "class Box(Contract):",
        "    @view",
        f"    def run(self{parameters}) -> Value:",
        f"        return {expression}",
    ]
    return "\n".join([imports + above, *lines, ""])


class NoHost:
    context = Context("", 0, 0, "", "box")


def run(expression, above=""):
    return compile_source(box(expression, above)).run("run", [], NoHost(), Meter(1_000_000))


def outcome(expression):
    try:
        return run(expression)
    except Failure as failure:
        return failure.code


def problems(expression, above="", imports=HEAD):
    return [str(problem) for problem in check(box(expression, above, imports))]


# ── values ────────────────────────────────────────────────────────────────────────────────────────

D = "Decimal({!r})".format
VALUES = [
    ('Decimal("12.50")', "12.5"),
    ('Decimal("-0.000000000000000001")', "-0.000000000000000001"),
    ('Decimal("-0")', "0"),
    ('Decimal("+007.10")', "7.1"),
    ("Decimal(7)", "7"),
    ('Decimal(Decimal("0.1"))', "0.1"),
    (D(LARGEST), LARGEST),
    ('Decimal("0.1") + Decimal("0.2") == Decimal("0.3")', True),
    ('Decimal("1.5") + 1', "2.5"),
    ('1 - Decimal("1.5")', "-0.5"),
    ('3 * Decimal("0.1")', "0.3"),
    ('Decimal("0.1") * Decimal("0.1")', "0.01"),
    ("Decimal(1) / 3", "0.333333333333333333"),
    ("Decimal(2) / 3", "0.666666666666666667"),
    ("2 / Decimal(-3)", "-0.666666666666666667"),
    ('Decimal("0.000000000000000001") / 2', "0"),  # half a unit goes to the even one: 0
    ('Decimal("0.000000000000000003") / 2', "0.000000000000000002"),  # and 1.5 units to 2
    ('Decimal("-0.000000000000000003") / 2', "-0.000000000000000002"),
    ('Decimal("0.000000000000000001") * Decimal("0.5")', "0"),
    ('-Decimal("1.5")', "-1.5"),
    ('+Decimal("1.5")', "1.5"),
    ('abs(Decimal("-1.5"))', "1.5"),
    ('int(Decimal("1.9"))', 1),
    ('int(Decimal("-1.9"))', -1),
    ('bool(Decimal("0.1"))', True),
    ("not Decimal(0)", True),
    ("str(Decimal(10) / 4)", "2.5"),
    ("f'{Decimal(10) / 4} Euro'", "2.5 Euro"),
    ('Decimal("2.5").round()', "2"),
    ('Decimal("3.5").round()', "4"),
    ('Decimal("1.005").round(2)', "1"),
    ('Decimal("1.015").round(2)', "1.02"),
    ('Decimal("-1.29").floor(1)', "-1.3"),
    ('Decimal("-1.29").ceil(1)', "-1.2"),
    ('Decimal("1.21").ceil(1)', "1.3"),
    ('Decimal("1.23").floor(18)', "1.23"),
    ('Decimal("1.5") < 2', True),
    ('2 > Decimal("1.5") >= Decimal("1.5")', True),
    ('Decimal("2") == 2', True),
    ('2 != Decimal("2.1")', True),
    ('Decimal("1") == True', False),
    ('Decimal("1") == "1"', False),
    ('Decimal("1") in [1, 2]', True),
    ('[1, 2].index(Decimal("2"))', 1),
    ('[Decimal(1), Decimal("1.0"), 1].count(1)', 3),
    ('max(Decimal("1.5"), Decimal(2))', "2"),
    ('min([Decimal("1.5"), 1])', 1),
    ('sorted([Decimal(3), Decimal("1.5")])', ["1.5", "3"]),
    ('sorted([(Decimal(3), "a"), (Decimal("1.5"), "b")], reverse=True)', (["3", "a"], ["1.5", "b"])),
    ('sum([1, Decimal("0.5"), 2])', "3.5"),
    ('isinstance(Decimal("1"), Decimal)', True),
    ("isinstance(1, (Decimal, int))", True),
    ('isinstance(Decimal("1"), int)', False),
    ('{"a": [Decimal("1.5"), None]}', {"a": ["1.5", None]}),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_a_value_is_the_same_on_chain_and_in_plain_python(expression, expected):
    def lists(value):
        return [lists(item) for item in value] if type(value) in (list, tuple) else value

    assert lists(run(expression)) == lists(expected)
    assert type(run(expression)) is type(plain(eval(expression)))
    assert lists(plain(eval(expression))) == lists(expected)


FAILURES = [
    (f"{D(LARGEST)} + Decimal('0.000000000000000001')", "arithmetic", OverflowError),
    (f"{D(LARGEST)} * 2", "arithmetic", OverflowError),
    (f"{D(LARGEST)} / Decimal('0.9')", "arithmetic", OverflowError),
    (f"{D(LARGEST)}.ceil()", "arithmetic", OverflowError),
    ("Decimal(2**200)", "arithmetic", OverflowError),
    ("Decimal(1) / 0", "arithmetic", ZeroDivisionError),
    ("1 / Decimal(0)", "arithmetic", ZeroDivisionError),
    ("Decimal(str('1.2.3'))", "bad_value", ValueError),
    ("Decimal(str(''))", "bad_value", ValueError),
    ("Decimal(str('1e5'))", "bad_value", ValueError),
    ("Decimal(str('.5'))", "bad_value", ValueError),
    ("Decimal(str('5.'))", "bad_value", ValueError),
    ("Decimal(str(' 5'))", "bad_value", ValueError),
    ("Decimal(str('5\\n'))", "bad_value", ValueError),
    ("Decimal(str('NaN'))", "bad_value", ValueError),
    ("Decimal(str('\\u0665'))", "bad_value", ValueError),
    ("Decimal(str('1.') + '0' * 19)", "bad_value", ValueError),
    ("Decimal('1' * 101)", "bad_value", ValueError),
    ("Decimal(1).round(19)", "bad_value", ValueError),
    ("Decimal(1).floor(-1)", "bad_value", ValueError),
    ("Decimal(1).round(True)", "bad_type", TypeError),
    ("Decimal([1])", "bad_type", TypeError),
    ("Decimal(1) + True", "bad_type", TypeError),
    ("Decimal(1) + '1'", "bad_type", TypeError),
    ("Decimal(2) * 'ab'", "bad_type", TypeError),
    ("[1] * Decimal(2)", "bad_type", TypeError),
    ("Decimal(1) // Decimal(2)", "bad_type", TypeError),
    ("Decimal(1) % 2", "bad_type", TypeError),
    ("Decimal(1) ** 2", "bad_type", TypeError),
    ("Decimal(1) < '2'", "bad_type", TypeError),
    ("Decimal(1) & 1", "bad_type", TypeError),
    ("sum([Decimal(1), '1'])", "bad_type", TypeError),
    ("{Decimal(1): 1}", "bad_type", TypeError),
    ("[1, 2][Decimal(1)]", "bad_type", TypeError),
    ("Decimal('1').count(1)", "bad_type", AttributeError),
    ("len(Decimal(1))", "bad_type", TypeError),
    ("range(Decimal(1))", None, TypeError),
]


@pytest.mark.parametrize(("expression", "code", "error"), FAILURES)
def test_what_has_no_value_fails_in_both_worlds(expression, code, error):
    if code:
        assert outcome(expression) == code
    else:
        assert outcome(f"list({expression})") == "bad_type"
    with pytest.raises(error):
        eval(expression)


def test_what_is_no_decimal_is_told_when_the_contract_is_checked():
    place = "6:24: constant: this is no Decimal: "
    assert problems('Decimal("1,5")') == [
        place + "a Decimal is written in ASCII digits, with a point between digits or without: '12.5'"
    ]
    assert problems('Decimal("1.0000000000000000001")') == [
        place + "a Decimal has at most 18 digits after the point, not 19"
    ]
    assert problems("Decimal(True)") == [place + "Decimal() takes a str, an int or a Decimal, not bool"]
    assert problems(f'Decimal("1{LARGEST}")') == [
        place + "a Decimal outside 256 bits, 18 digits after the point included"
    ]
    assert problems("Decimal()") == ["6:16: arity: Decimal() takes 1 arguments, not 0"]


def test_division_needs_a_decimal_and_says_so():
    assert problems("1 / 2") == ["6:16: type: no operator / for int and int: use //, or make one of them a Decimal"]
    without = HEAD.replace("Decimal, ", "")
    assert problems("len('ab') / 2", imports=without) == [
        "6:16: not_allowed: the operator Div: true division makes floats; use //, or a Decimal"
    ]
    assert problems("len('ab') / 2") == []
    assert outcome("len('ab') / 2") == "bad_type"


def test_what_is_used_is_imported():
    without = HEAD.replace("Decimal, ", "")
    for expression in ("Decimal(1)", "isinstance(1, Decimal)"):
        (problem,) = problems(expression, imports=without)
        assert "Decimal is used but not imported: from contracts import Decimal" in problem


def test_constants_are_made_once():
    assert run("RATE * 2", above='RATE: Decimal = Decimal("0.05")\nHALF = RATE / 2') == "0.1"
    assert run("HALF", above='RATE = Decimal("0.05")\nHALF = RATE / 2') == "0.025"
    assert problems("X", above="X = Decimal(1) / 0") == ["2:5: constant: the constant has no value: division by zero"]
    assert problems("X", above="X = len('ab')")[0].startswith("2:5: not_allowed: a constant is made of literals")


@pytest.mark.parametrize("kind", ["Decimal | str", "str | None | Decimal", "Value | Decimal", "list[Decimal] | str"])
def test_a_union_with_text_is_refused(kind):
    source = f"{HEAD}class Box(Contract):\n    x: Var[{kind}]\n"
    (problem,) = check(source)
    assert "a Decimal and a str in one union: both travel as text, and could not be told apart" in str(problem)


@pytest.mark.parametrize("kind", ["Decimal | None", "tuple[str, Decimal] | None", "list[Decimal] | int", "str | int"])
def test_a_union_that_can_be_told_apart_is_accepted(kind):
    assert check(f"{HEAD}class Box(Contract):\n    x: Var[{kind}]\n") == []


@pytest.mark.parametrize("kind", ["Map[Decimal, int]", "Map[tuple[str, Decimal], int]"])
def test_a_decimal_is_no_key(kind):
    (problem,) = check(f"{HEAD}class Box(Contract):\n    x: {kind}\n")
    assert problem.code == "annotation"


# ── the number itself ─────────────────────────────────────────────────────────────────────────────

numbers = st.one_of(
    st.integers(-(10**19), 10**19), st.integers(-UNITS_MAX, UNITS_MAX), st.sampled_from([0, 1, -1, UNITS_MAX])
).map(lambda units: (fractions.Fraction(units, 10**18), Decimal(_written(units))))


def _written(units):
    sign, digits = ("-" if units < 0 else ""), str(abs(units)).zfill(19)
    return f"{sign}{digits[:-18]}.{digits[-18:]}"


def nearest(fraction):
    """In units, from halfway to the even one: what `round` of a Fraction does."""
    return round(fraction * 10**18)


@settings(max_examples=300, deadline=None)
@given(numbers, numbers, st.sampled_from([operator.add, operator.sub, operator.mul, operator.truediv]))
def test_arithmetic_is_that_of_fractions_to_the_nearest_unit(left, right, operate):
    try:
        wanted = nearest(operate(left[0], right[0]))
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            operate(left[1], right[1])
        return
    if abs(wanted) > UNITS_MAX:
        with pytest.raises(OverflowError):
            operate(left[1], right[1])
        return
    got = operate(left[1], right[1])
    assert fractions.Fraction(str(got)) * 10**18 == wanted
    assert str(Decimal(str(got))) == str(got)


@settings(max_examples=100, deadline=None)
@given(numbers, numbers)
def test_order_and_equality_are_those_of_fractions(left, right):
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        assert compare(left[1], right[1]) == compare(left[0], right[0])


@settings(max_examples=100, deadline=None)
@given(numbers, st.integers(0, 18))
def test_rounding_is_that_of_fractions(number, places):
    fraction, decimal = number
    step = fractions.Fraction(1, 10**places)
    for method, wanted in (
        (Decimal.floor, fraction // step * step),
        (Decimal.ceil, -(-fraction // step) * step),
        (Decimal.round, round(fraction, places)),
    ):
        if abs(wanted) * 10**18 <= UNITS_MAX:
            assert fractions.Fraction(str(method(decimal, places))) == wanted


leaves = st.one_of(
    numbers.map(lambda number: f"Decimal({str(number[1])!r})"),
    st.integers(-1000, 1000).map(lambda number: f"({number})"),
    st.sampled_from(["Decimal(0)", "Decimal('0.5')", "True", "'1'"]),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "<", "<=", "==", "!=", "//", "%"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(st.sampled_from(["-", "abs", "int", "bool", "str", "Decimal"]), inner).map(
            lambda parts: f"{parts[0]}({parts[1]})"
        ),
        st.tuples(inner, st.sampled_from(["round", "floor", "ceil"]), st.integers(-1, 19)).map(
            lambda parts: f"Decimal({parts[0]}).{parts[1]}({parts[2]})"
        ),
    ),
    max_leaves=6,
)
ERRORS = {"arithmetic": ArithmeticError, "bad_value": ValueError, "bad_type": (TypeError, AttributeError)}


def raised_by(make):
    """What a call gives, and what it raises."""
    try:
        return make(), None
    except (ArithmeticError, ValueError, TypeError, AttributeError, Failure, SourceRefused) as error:
        return None, error


@settings(max_examples=300, deadline=None)
@given(trees)
def test_random_expressions_agree_with_plain_python(text):
    """Where both give a value it is the same; where the interpreter fails, so does Python, or a type is mixed in."""
    expected, error = raised_by(lambda: plain(eval(text)))
    got, failure = raised_by(lambda: run(text))
    if isinstance(failure, SourceRefused):
        assert {problem.code for problem in failure.problems} <= {"type", "constant"}
    elif failure is None:
        assert (error, type(got), got) == (None, type(expected), expected), text
    elif failure.code != "bad_type":  # the interpreter alone is strict with bool and str, and may so stop earlier
        assert isinstance(error, ERRORS[failure.code]), (text, failure, error, expected)


# ── where it travels ──────────────────────────────────────────────────────────────────────────────


class Priced(Event):
    price: Decimal
    others: list[Decimal]


class Shop(Contract):
    price: Var[Decimal]
    prices: Map[str, Decimal]
    log: List[tuple[str, Decimal]]
    anything: Var[Value]

    @init
    def create(self, price: Decimal) -> None:
        self.price.set(price)

    @call
    def put(self, name: str, price: Decimal, more: list[Decimal]) -> Decimal:
        self.prices[name] = price
        self.prices[name] += 1
        self.log.append((name, self.prices[name]))
        self.emit(Priced(price=price, others=more))
        return self.price.get() + self.prices[name]

    @call
    def keep(self) -> None:
        self.anything.set([Decimal("1.50"), {"a": Decimal(2)}])

    @view
    def kept(self) -> Value:
        return self.anything.get()

    @view
    def logged(self) -> list[tuple[str, Decimal]]:
        return [entry for entry in self.log if isinstance(entry[1], Decimal)]

    @call
    def wrong(self, how: int) -> Decimal:
        if how == 0:
            self.price.set(str(self.price.get()))
        if how == 1:
            self.emit(Priced(price=Decimal(1), others=["1"]))
        return "1"

    @call
    def ask(self, other: str) -> Value:
        return self.call(other, "put", ["x", Decimal("1.50"), [Decimal("0.5")]])


SOURCE = HEAD + inspect.getsource(Priced) + inspect.getsource(Shop)


@pytest.fixture
def chain():
    made = LocalChain("ada")
    made.deploy(SOURCE, "shop", Decimal("0.10"), sender="ada")
    made.deploy(SOURCE, "other", "0.2", sender="ada")
    return made


def native():
    shop = Shop()
    shop.create(Decimal("0.10"))
    return shop


def test_it_is_text_outside_and_a_decimal_inside(chain):
    outcome = chain.call("ada", "shop", "put", "tea", Decimal("2.50"), ["0.5"])
    assert outcome.result == "3.6"
    assert outcome.events[0].fields == {"price": "2.5", "others": ["0.5"]}
    assert (chain.state("shop", "price"), chain.state("shop", "prices", "tea")) == ("0.1", "3.5")
    assert chain.view("shop", "logged") == [["tea", "3.5"]]
    shop = native()
    assert shop.put("tea", Decimal("2.50"), ["0.5"]) == Decimal("3.6")
    assert shop.ctx.events[0] == Priced(price=Decimal("2.5"), others=[Decimal("0.5")])
    assert shop.logged() == [("tea", Decimal("3.5"))]
    assert (shop.prices["tea"], shop.price.get()) == (Decimal("3.5"), Decimal("0.1"))


def test_where_no_type_asks_for_it_text_comes_back(chain):
    chain.call("ada", "shop", "keep")
    assert chain.state("shop", "anything") == chain.view("shop", "kept") == ["1.5", {"a": "2"}]
    shop = native()
    shop.keep()
    assert shop.anything.get() == ["1.5", {"a": "2"}]
    assert chain.call("ada", "shop", "ask", "other").result == "2.7"


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("2.50", "must be the text of a Decimal as it is written here, '2.5', not '2.50'"),
        ("+1", "must be the text of a Decimal as it is written here, '1', not '+1'"),
        ("-0", "must be the text of a Decimal as it is written here, '0', not '-0'"),
        ("1e5", "must be the text of a Decimal: a Decimal is written in ASCII digits"),
        ("9" * 90, "must be the text of a Decimal: a Decimal outside 256 bits"),
        (1, "must be Decimal, not int"),
        (None, "must be Decimal, not None"),
    ],
)
def test_there_is_one_text_of_each(chain, argument, reason):
    with pytest.raises(CallFailed, match=r"bad_arguments: the argument 'price' of put ") as caught:
        chain.call("ada", "shop", "put", "tea", argument, [])
    assert reason in str(caught.value)
    with pytest.raises(TypeError, match=r"must be"):
        native().put("tea", argument, [])


@pytest.mark.parametrize("how", [0, 1, 2])
def test_inside_a_text_is_no_decimal(chain, how):
    outcome = chain.call("ada", "shop", "wrong", how, check=False)
    assert (outcome.code, "must be Decimal, not str" in outcome.message) == ("bad_type", True)
    if how < 2:  # plain Python holds no result to its type yet
        with pytest.raises(TypeError, match="must be Decimal, not str"):
            native().wrong(how)


def test_stored_text_is_canonical(chain):
    chain.call("ada", "shop", "put", "tea", "2.5", [])
    assert chain.engine.state_value("shop", codec.encode(["prices", "tea"])).value == codec.encode("3.5")


# ── gas ───────────────────────────────────────────────────────────────────────────────────────────


def used(expression):
    meter = Meter(1_000_000)
    source = box(expression, parameters=", a: Decimal, b: Decimal")
    compile_source(source).run("run", ["1.5", "2.5"], NoHost(), meter)
    return meter.used


def test_every_operation_is_paid_for():
    assert used("a + b") - used("b") == gas.OPERATION + gas.LOAD + gas.DECIMAL
    for text in ("a - b", "a * b", "a / b", "a < b", "a == b", "a != b"):
        assert used(text) == used("a + b")
    assert used("a == None") == used("7 == a") == used("'7' == a") == used("1 == 7") + gas.DECIMAL
    assert used("str(a)") - used("bool(a)") == gas.DECIMAL_TEXT
    assert used("a.round(1)") - used("a") == gas.METHOD_CALL + gas.LOAD + gas.DECIMAL
    assert used("sum([a, b])") - used("len([a, b])") >= 2 * gas.DECIMAL


@pytest.mark.parametrize("text", ["7 in ITEMS", "None in ITEMS", "'a' in ITEMS", "ITEMS.count(7)", "ITEMS == FIVES"])
def test_items_that_are_decimals_are_compared_at_the_price_of_decimals(text):
    """The host compares them in Python, not with a jump of its own."""
    meter, above = Meter(1_000_000), "ITEMS = (Decimal(1),) * 100\nFIVES = (5,) * 100\n"
    compile_source(box(text, above)).run("run", [], NoHost(), meter)
    assert meter.used >= 100 * (gas.ITEM_COMPARED + gas.DECIMAL) * (0.01 if text == "ITEMS == FIVES" else 1)


def test_what_cannot_be_paid_is_not_begun(monkeypatch):
    program, meter = compile_source(box("a + a", parameters=", a: Decimal")), Meter(1_000_000)
    program.run("run", ["1.5"], NoHost(), meter)
    needed = meter.used
    monkeypatch.setattr(Decimal, "__add__", lambda *_: pytest.fail("it was begun"))
    with pytest.raises(Failure) as caught:
        program.run("run", ["1.5"], NoHost(), Meter(needed - 1))
    assert caught.value.code == "out_of_gas"
