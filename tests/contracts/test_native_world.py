"""Contract objects called from Python: every call is a transaction under the runtime's rules, in all of them."""

import pytest

from contracts import Contract, Error, Event, List, Map, Var, call, codes, init, require, view
from contracts.costs import CALL_DEPTH_MAX
from contracts.language import Failure
from contracts.language.limits import ENCODED_BYTES_MAX, KEY_CHARACTERS_MAX


class Paid(Event):
    by: str
    amount: int


class Till(Contract):
    """Takes payments, and tells who asks and when."""

    total: Var[int]
    by: Map[str, int]
    log: List[str]

    @init
    def create(self, total: int) -> None:
        require(total >= 0, "no debts")
        self.total.set(total)

    @call
    def pay(self, amount: int) -> int:
        self.by[self.ctx.sender] = self.by.get(self.ctx.sender, 0) + amount
        self.total.set(self.total.get(0) + amount)
        self.log.append(self.ctx.sender)
        self.emit(Paid(by=self.ctx.sender, amount=amount))
        require(amount > 0, "an amount is positive")
        return self.total.get()

    @call
    def note(self, text: str) -> None:
        self.log.append(text)

    @call
    def keep(self, key: str) -> None:
        self.by[key] = 1

    @view
    def where(self) -> tuple[str, int, int, str]:
        return (self.ctx.sender, self.ctx.height, self.ctx.time, self.ctx.transaction_id)

    @view
    def sum(self) -> int:
        return self.total.get(0)


class Shop(Contract):
    """Calls a till, and whoever else it is told."""

    sales: Var[int]

    @call
    def sell(self, till: str, amount: int, fails: bool) -> int:
        self.sales.set(self.sales.get(0) + 1)
        self.emit(Paid(by="shop", amount=amount))
        taken: int = self.call(till, "pay", [amount])
        require(not fails, "sold out")
        return taken

    @call
    def start_again(self, till: str) -> None:
        self.call(till, "create", [0])

    @call
    def back(self) -> None:
        self.call("shop", "sell", ["till", 1, False])

    @call
    def through(self, other: str) -> None:
        self.call(other, "ask_back", [])

    @call
    def down(self, depth: int) -> int:
        return depth if depth == 0 else self.call(f"shop{depth - 1}", "down", [depth - 1])

    @view
    def look(self, till: str) -> tuple[str, int, int, str]:
        return self.call(till, "where", [])

    @view
    def touch(self, till: str) -> int:
        return self.call(till, "pay", [1])

    @view
    def count(self) -> int:
        return self.sales.get(0)


class Mirror(Contract):
    """Calls its caller."""

    @call
    def ask_back(self) -> None:
        self.call(self.ctx.sender, "sell", ["till", 1, False])


@pytest.fixture
def till():
    till = Till()
    till.ctx.sender = "ann"
    till.create(5)
    return till


@pytest.fixture
def shop(till):
    shop = Shop()
    shop.ctx.sender = "ann"
    shop.ctx.connect("till", till)
    shop.ctx.connect("mirror", Mirror())
    return shop


def refusal(act):
    with pytest.raises(Failure) as refused:
        act()
    return refused.value.code


# ── all or nothing ────────────────────────────────────────────────────────────────────────────────


def test_a_call_changes_both_contracts(shop, till):
    assert shop.sell("till", 7, False) == 12
    assert (shop.count(), till.sum(), till.by["shop"], list(till.log)) == (1, 12, 7, ["shop"])
    assert (shop.ctx.events, till.ctx.events) == ([Paid(by="shop", amount=7)], [Paid(by="shop", amount=7)])


def test_a_callee_that_has_succeeded_is_undone_with_its_caller(shop, till):
    before = (shop.ctx.entries, till.ctx.entries)
    with pytest.raises(Error, match="sold out"):
        shop.sell("till", 7, True)
    assert (shop.ctx.entries, till.ctx.entries) == before
    assert shop.ctx.events == till.ctx.events == []


def test_a_caller_is_undone_with_its_callee(shop, till):
    before = (shop.ctx.entries, till.ctx.entries)
    with pytest.raises(Error, match="an amount is positive"):
        shop.sell("till", -7, False)
    assert (shop.ctx.entries, till.ctx.entries) == before
    assert shop.ctx.events == till.ctx.events == []


def test_what_was_there_before_a_failure_stays(shop, till):
    shop.sell("till", 7, False)
    with pytest.raises(Error):
        shop.sell("till", 7, True)
    assert (shop.count(), till.sum(), len(till.ctx.events)) == (1, 12, 1)


# ── who calls whom ────────────────────────────────────────────────────────────────────────────────


def test_a_callee_finds_its_caller_and_the_height_time_and_transaction_of_the_call(shop, till):
    shop.ctx.height, shop.ctx.time, shop.ctx.transaction_id = 77, 123_456, "ab" * 32
    assert shop.look("till") == ("shop", 77, 123_456, "ab" * 32)
    assert till.where() == ("ann", 1, 1_700_000_000_000, "00" * 32)


def test_nobody_is_entered_twice(shop, till):
    before = till.ctx.entries
    assert refusal(shop.back) == codes.REENTRANCY
    assert refusal(lambda: shop.through("mirror")) == codes.REENTRANCY
    assert till.ctx.entries == before


def test_calls_are_as_deep_as_on_chain_and_no_deeper():
    shops = [Shop() for _ in range(CALL_DEPTH_MAX + 1)]
    for number, each in enumerate(shops[1:], 1):
        shops[0].ctx.connect(f"shop{number}", each)
    shops[0].ctx.contract = "shop0"
    assert shops[CALL_DEPTH_MAX - 1].down(CALL_DEPTH_MAX - 1) == 0
    assert refusal(lambda: shops[CALL_DEPTH_MAX].down(CALL_DEPTH_MAX)) == codes.CALL_DEPTH


def test_a_view_is_asked_by_a_view_and_a_call_is_not(shop, till):
    assert shop.look("till")[0] == "shop"
    assert refusal(lambda: shop.touch("till")) == codes.NOT_PERMITTED


def test_no_contract_runs_the_init_of_another(shop, till):
    assert refusal(lambda: shop.start_again("till")) == codes.UNKNOWN_METHOD
    assert till.sum() == 5


def test_nobody_is_there_who_was_not_connected(shop):
    assert refusal(lambda: shop.sell("tool", 1, False)) == codes.UNKNOWN_CONTRACT


# ── limits ────────────────────────────────────────────────────────────────────────────────────────


def test_a_value_is_as_large_as_on_chain_and_no_larger(till):
    till.note("x" * (ENCODED_BYTES_MAX - 10))
    assert refusal(lambda: till.note("x" * (ENCODED_BYTES_MAX + 1))) == codes.SIZE_LIMIT


def test_a_key_is_as_long_as_on_chain_and_no_longer(till):
    till.keep("x" * 1_000)
    for length in (KEY_CHARACTERS_MAX, KEY_CHARACTERS_MAX + 1):  # the whole encoded key is bounded, too
        assert refusal(lambda length=length: till.keep("x" * length)) == codes.SIZE_LIMIT
    assert [len(key) for key in till.by.keys(10)] == [1_000]


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


def test_state_goes_with_a_contract_that_gets_another_name(till):
    till.ctx.contract = "box"
    assert (till.sum(), till.ctx.contract) == (5, "box")
    till.pay(1)
    assert till.sum() == 6


def test_two_contracts_of_one_name_are_refused(shop):
    with pytest.raises(ValueError, match="two contracts are called 'till'"):
        shop.ctx.connect("till", Till())
    with pytest.raises(ValueError, match="two contracts are called 'till'"):
        shop.ctx.contract = "till"
    assert shop.ctx.contract == "shop"


# ── failures as Python's own exceptions ───────────────────────────────────────────────────────────


def test_arguments_that_do_not_fit_are_a_type_error(till):
    for act in (lambda: till.pay("1"), lambda: till.pay(True), till.pay, lambda: till.pay(1, 2)):
        with pytest.raises(TypeError) as refused:
            act()
        assert refused.value.code == codes.BAD_ARGUMENTS
    assert till.pay(amount=3) == 8


def test_state_answers_with_the_exceptions_of_python(till):
    with pytest.raises(KeyError, match="by has no entry 'eve'"):
        till.by["eve"]
    with pytest.raises(IndexError, match="which has 0 items"):
        till.log[0]
    with pytest.raises(TypeError, match="a value of total must be int, not str"):
        till.total.set("5")
    with pytest.raises(ValueError, match="a limit of -1"):
        till.by.keys(-1)
    with pytest.raises(TypeError, match="a key of by must be str, not int"):
        till.by[1] = 1


def test_between_calls_a_test_reads_and_writes_state_as_it_likes(till):
    till.by["eve"] = 4
    till.log.append("by hand")
    assert (till.by.pop("eve"), "eve" in till.by, till.log.pop(), len(till.log)) == (4, False, "by hand", 0)
    till.total.delete()
    assert till.sum() == 0
