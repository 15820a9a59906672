"""A trace tells every line, value, access and call of one transaction, and changes neither its outcome nor its gas."""

from __future__ import annotations

import pytest

from contracts import tracing
from contracts.engine import Engine
from contracts.memory import MemoryState
from contracts.notation import CHARACTERS_MAX, ITEMS_MAX, literal
from contracts.testing import LocalChain
from contracts.trace_text import trace_lines
from contracts.tracing import CallStep, EventStep, FailStep, LineStep, Tracer, ValuesStep
from ledger import codec
from ledger.types import Receipt

SHOP = '''from contracts import Contract, Event, List, Map, Var, call, init, require


class Sold(Event):
    item: str
    price: int


class Shop(Contract):
    """Sells things."""

    till: Var[int]
    stock: Map[str, int]
    log: List[str]

    @init
    def open(self, item: str, count: int) -> None:
        self.till.set(0)
        self.stock[item] = count

    @call
    def sell(self, item: str, prices: list[int]) -> int:
        """What was taken."""
        total = 0
        for price in prices:
            if price < 10:
                kind = "cheap"
            elif price < 100:
                kind = "fair"
            else:
                kind = "dear"
            total += self.taxed(price)
            self.log.append(kind)
        left = self.stock[item] - len(prices)
        require(left >= 0, "not so many left")
        self.stock[item] = left
        while total > 1000:
            total -= 500
        self.till.set(self.till.get() + total)
        self.emit(Sold(item=item, price=total))
        return total

    def taxed(self, price: int) -> int:
        rate = 20
        return price + price * rate // 100
'''

AGENT = """from contracts import Contract, call


class Agent(Contract):
    @call
    def buy(self, shop: str, prices: list[int]) -> int:
        seen: list[int] = []
        seen.append(len(prices))
        result = self.call(shop, "sell", ["apple", prices])
        seen.append(result)
        return result
"""


class Recording(LocalChain):
    """A local chain that remembers its blocks, so that they can be executed again."""

    def __init__(self, *members):
        self.log = []
        super().__init__(*members)

    def block(self, *transactions):
        outcomes = super().block(*transactions)
        self.log.append((self.time_ms, transactions))
        return outcomes

    def again(self, transaction_id):
        """The tracer of a transaction, and the engine that executed every block again with it."""
        tracer = Tracer(transaction_id)
        engine = Engine(MemoryState(), self._genesis, watch=tracer.watch)
        engine.initialise()
        self.receipts = []
        for height, (time_ms, transactions) in enumerate(self.log, start=1):
            self.receipts += engine.execute(height, time_ms, transactions).receipts
            assert engine.root == self.engine._state.root_at(height), f"the root of height {height} differs"
        return tracer


@pytest.fixture
def chain():
    chain = Recording("ann")
    chain.deploy(SHOP, "shop", "apple", 5)
    chain.deploy(AGENT, "agent")
    return chain


def traced(chain, outcome):
    return list(trace_lines(chain.again(outcome.transaction_id).steps))


def told(lines):
    """The lines without what gas was used, and without addresses."""
    return [line[13:].rstrip() for line in lines[1:]]


# ── what is told ──────────────────────────────────────────────────────────────────────────────────


def test_a_trace_tells_lines_turns_branches_values_and_accesses_in_order(chain):
    outcome = chain.call("ann", "shop", "sell", "apple", [5, 50])
    lines = told(traced(chain, outcome))
    assert lines[0].strip() == f'shop.sell("apple", [5, 50])   sender {chain.address("ann")}'
    assert lines[1:] == [
        "   24    total = 0",
        "           total = 0",
        "   25    for price in prices:",
        "   25    for price in prices:",
        "           price = 5",
        "   26    if price < 10:",
        '   27    kind = "cheap"',
        '           kind = "cheap"',
        "   32    total += self.taxed(price)",
        "           taxed(price=5)",
        "   44      rate = 20",
        "             rate = 20",
        "   45      return price + price * rate // 100",
        "             return 6",
        "           total = 6",
        "   33    self.log.append(kind)",
        "           read log: nothing there",
        '           write log[0] = "cheap"',
        "           write log = 1",
        "   25    for price in prices:",
        "           price = 50",
        "   26    if price < 10:",
        "   28    elif price < 100:",
        '   29    kind = "fair"',
        '           kind = "fair"',
        "   32    total += self.taxed(price)",
        "           taxed(price=50)",
        "   44      rate = 20",
        "             rate = 20",
        "   45      return price + price * rate // 100",
        "             return 60",
        "           total = 66",
        "   33    self.log.append(kind)",
        "           read log = 1",
        '           write log[1] = "fair"',
        "           write log = 2",
        "   34    left = self.stock[item] - len(prices)",
        '           read stock["apple"] = 5',
        "           left = 3",
        '   35    require(left >= 0, "not so many left")',
        "   36    self.stock[item] = left",
        '           write stock["apple"] = 3',
        "   37    while total > 1000:",
        "   39    self.till.set(self.till.get() + total)",
        "           read till = 0",
        "           write till = 66",
        "   40    self.emit(Sold(item=item, price=total))",
        '           event Sold(item="apple", price=66)',
        "   41    return total",
        "           return 66",
        "       shop.sell returns 66",
    ]


def test_the_gas_of_a_trace_grows_to_what_the_receipt_says(chain):
    outcome = chain.call("ann", "shop", "sell", "apple", [2000])
    gas = [step.gas for step in chain.again(outcome.transaction_id).steps]
    assert gas == sorted(gas)
    assert gas[0] > 10_000  # the transaction itself was paid before the first call
    assert 0 <= outcome.gas_used - gas[-1] < 1000  # and its result after the last


def test_each_turn_of_a_while_is_told(chain):
    outcome = chain.call("ann", "shop", "sell", "apple", [2000])
    steps = chain.again(outcome.transaction_id).steps
    assert [step.line for step in steps if isinstance(step, LineStep)].count(37) == 1 + 3
    assert [step.values["total"] for step in steps if isinstance(step, ValuesStep) and "total" in step.values] == [
        "0",
        "2400",
        "1900",
        "1400",
        "900",
    ]


def test_a_call_of_another_contract_lies_deeper_and_names_its_caller(chain):
    outcome = chain.call("ann", "agent", "buy", "shop", [7])
    steps = chain.again(outcome.transaction_id).steps
    calls = [(step.depth, step.contract, step.method, step.sender) for step in steps if isinstance(step, CallStep)]
    assert calls == [(0, "agent", "buy", chain.address("ann")), (2, "shop", "sell", "agent")]
    lines = [(step.contract, step.depth) for step in steps if isinstance(step, LineStep)]
    assert {depth for contract, depth in lines if contract == "agent"} == {1}
    assert {depth for contract, depth in lines if contract == "shop"} == {3, 4}  # sell, and taxed within it


def test_a_list_that_grows_later_is_shown_as_it_was(chain):
    outcome = chain.call("ann", "agent", "buy", "shop", [7])
    steps = chain.again(outcome.transaction_id).steps
    seen = [step.values["seen"] for step in steps if isinstance(step, ValuesStep) and "seen" in step.values]
    assert seen == ["[]", "[1]", "[1, 8]"]


def test_the_line_that_fails_is_marked_with_its_code(chain):
    outcome = chain.call("ann", "agent", "buy", "shop", [1] * 6, check=False)
    assert outcome.code == "failed"
    lines = told(traced(chain, outcome))
    assert lines[-2:] == [
        '!  35        require(left >= 0, "not so many left")',
        "               failed: not so many left",
    ]
    assert [line[0] for line in lines].count("!") == 1


def test_a_line_that_cannot_be_paid_for_is_marked_though_it_never_began(chain):
    whole = chain.call("ann", "shop", "sell", "apple", [5])
    steps = chain.again(whole.transaction_id).steps
    last = next(step for step in steps if isinstance(step, LineStep) and step.line == 36)
    outcome = chain.call("ann", "shop", "sell", "apple", [5], check=False, gas_limit=last.gas - 1)
    assert (outcome.code, outcome.line) == ("out_of_gas", 36)
    lines = told(traced(chain, outcome))
    assert lines[-2:] == ["!  36    self.stock[item] = left", "           out_of_gas: the gas limit was reached"]


def test_a_deployment_is_told_with_its_init(chain):
    outcome = chain.deploy(SHOP, "other", "pear", 1)
    calls = [step for step in chain.again(outcome.transaction_id).steps if isinstance(step, CallStep)]
    assert [(step.contract, step.method) for step in calls] == [("system", "deploy"), ("other", "open")]


def test_the_code_of_that_time_is_shown_after_an_upgrade(chain):
    before = chain.call("ann", "shop", "sell", "apple", [5])
    chain.upgrade(SHOP.replace("rate = 20", "rate = 0"), "shop")
    after = chain.call("ann", "shop", "sell", "apple", [5])
    assert "   44      rate = 20" in told(traced(chain, before))
    assert "   44      rate = 0" in told(traced(chain, after))


def test_no_other_transaction_of_the_block_is_told(chain):
    first, second = chain.sign("ann", ("shop", "sell", "apple", [1])), chain.sign("ann", ("shop", "sell", "pear", [1]))
    _, outcome = chain.block(first, second)
    steps = chain.again(outcome.transaction_id).steps
    assert [step.args[0] for step in steps if isinstance(step, CallStep)] == ['"pear"']
    assert isinstance(steps[-1], FailStep)
    assert steps[-1].code == "key_error"


def test_a_sender_who_is_no_account_runs_nothing(chain):
    chain.add_stranger("eve")
    outcome = chain.call("eve", "shop", "sell", "apple", [1], check=False)
    assert outcome.code == "unknown_sender"
    assert traced(chain, outcome) == []


# ── what it does not change ───────────────────────────────────────────────────────────────────────


def test_a_trace_changes_neither_outcome_nor_gas_wherever_the_gas_ends(chain):
    full = chain.call("ann", "agent", "buy", "shop", [7, 70, 700]).gas_used
    limits = [full * part // 40 for part in range(1, 41)]
    outcomes = [chain.call("ann", "agent", "buy", "shop", [7], check=False, gas_limit=limit) for limit in limits]
    assert {outcome.code for outcome in outcomes} == {"ok", "out_of_gas", "failed"}
    for outcome in outcomes:
        chain.again(outcome.transaction_id)
        receipts = [codec.decode(raw, Receipt) for raw in chain.receipts]
        (again,) = [each for each in receipts if each.transaction_id.hex() == outcome.transaction_id]
        assert (again.code, again.gas_used, again.line) == (outcome.code, outcome.gas_used, outcome.line)


def test_what_fails_emits_no_event_though_the_trace_tells_of_it(chain):
    outcome = chain.transact("ann", ("shop", "sell", "apple", [1]), ("shop", "sell", "pear", [1]), check=False)
    steps = chain.again(outcome.transaction_id).steps
    assert [step.name for step in steps if isinstance(step, EventStep)] == ["Sold"]
    assert outcome.events == ()


def test_a_trace_is_bounded_and_says_how_much_it_left_out(chain, monkeypatch):
    outcome = chain.call("ann", "shop", "sell", "apple", [5])
    whole = len(chain.again(outcome.transaction_id).steps)
    monkeypatch.setattr(tracing, "STEPS_MAX", 10)
    tracer = chain.again(outcome.transaction_id)
    assert (len(tracer.steps), tracer.left_out) == (10, whole - 10)


# ── values as text ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (-(2**255), str(-(2**255))),
        ('a "quoted"\n', '"a \\"quoted\\"\\n"'),
        (b"\x00\xff", "0x00ff"),
        ((1,), "(1,)"),
        ({"a": [1, b"\x01"]}, '{"a": [1, 0x01]}'),
        ([], "[]"),
        ("x" * (CHARACTERS_MAX + 1), f'"{"x" * CHARACTERS_MAX}"... ({CHARACTERS_MAX + 1} characters)'),
        (bytes(50), f"0x{'0' * CHARACTERS_MAX}... (100 digits)"),
        (list(range(ITEMS_MAX + 3)), f"[{', '.join(map(str, range(ITEMS_MAX)))}, ... 3 more]"),
        ([[[[[1, 2]]]]], "[[[[[... 2 items]]]]]"),
    ],
)
def test_a_value_is_one_line_of_bounded_length(value, text):
    assert literal(value) == text
