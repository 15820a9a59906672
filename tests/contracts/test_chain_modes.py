"""What runs a local chain's contracts: Python, the interpreter, or both, which come to the same, or say where not."""

import pytest

from contracts import Decimal
from contracts.examples.token import Token
from contracts.testing import CallFailed, Disagreement, LocalChain
from contracts.testing.chain import MODES


def test_a_mode_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="one of python, interpreter, both, not 'native'"):
        LocalChain(mode="native")


def test_python_runs_the_very_class_that_was_given(monkeypatch):
    chain = LocalChain("alice", mode="python")
    chain.deploy(Token, "token", "Acme", "ACM", 7)
    assert chain.view("token", "total_supply") == 7
    monkeypatch.setattr(Token.total_supply.entry, "function", lambda self: 8)
    assert chain.view("token", "total_supply") == 8


@pytest.mark.parametrize("mode", ["python", "both"])
def test_the_exception_of_python_is_the_cause_of_the_failure(mode):
    chain = LocalChain("alice", mode=mode)
    chain.deploy(Token, "token", "Acme", "ACM", 1, sender="alice")
    with pytest.raises(CallFailed, match="insufficient balance") as failed:
        chain.call("alice", "token", "transfer", "bob", 2)
    cause, lines = failed.value.__cause__, []
    assert (type(cause).__name__, str(cause)) == ("Error", "insufficient balance")
    traceback = cause.__traceback__
    while traceback is not None:
        lines.append((traceback.tb_frame.f_code.co_name, traceback.tb_lineno))
        traceback = traceback.tb_next
    assert ("take", failed.value.line) in lines


def test_a_source_that_is_text_shows_its_lines_in_tracebacks():
    import linecache

    chain = LocalChain(mode="python")
    chain.deploy(STATEFUL, "odd")
    assert (
        linecache.getline("<contract Odd>", STATEFUL.splitlines().index("class Odd(Contract):") + 1)
        == "class Odd(Contract):\n"
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_names_contract_and_line_in_every_mode(mode):
    chain = LocalChain("alice", mode=mode)
    refused = chain.deploy(Token, "token", "", "ACM", 1, check=False)
    lines = {each: LocalChain(mode=each).deploy(Token, "token", "", "ACM", 1, check=False).line for each in MODES}
    assert refused.code == "failed"
    assert refused.contract == "token"
    assert set(lines.values()) == {refused.line}
    assert refused.line > 0


CODES = """
from contracts import Contract, Decimal, Error, Map, Var, call, require, view


class Codes(Contract):
    state: Map[str, int]
    number: Var[int]

    @view
    def fails(self, how: str) -> int:
        if how == "require":
            require(False, "no")
        if how == "error":
            raise Error("no")
        if how == "value error":
            raise ValueError("no")
        if how == "text":
            return int("x")
        if how == "map":
            return self.state["x"]
        if how == "never set":
            return self.number.get()
        if how == "dict":
            return {"a": 1}["b"]
        if how == "index":
            return [1][1]
        if how == "pop":
            return [1][1:].pop()
        if how == "zero":
            return 1 // (len(how) - 4)
        if how == "modulo":
            return 1 % (len(how) - 6)
        if how == "shift":
            return 1 << (len(how) - 6)
        if how == "unassigned":
            for item in [1][1:]:
                found = item
            return found
        if how == "type":
            return 1 + how
        if how == "method":
            return how.append(1)
        if how == "remove":
            [1].remove(2)
        if how == "dict changed":
            table = {"a": 1}
            for key in table:
                table[key + "x"] = 1
        if how == "decimal":
            return int(Decimal(how))
        if how == "bytes":
            return len(bytes([256 + len(how)]))
        if how == "encode":
            return len(b"\\xff".decode())
        if how == "write":
            self.number.set(1)
        if how == "large":
            return 2 ** (250 + len(how)) * 4
        return how
"""
FAILURES = {
    "require": "failed",
    "error": "failed",
    "value error": "failed",
    "text": "bad_value",
    "map": "key_error",
    "never set": "key_error",
    "dict": "key_error",
    "index": "index_error",
    "pop": "index_error",
    "zero": "arithmetic",
    "modulo": "arithmetic",
    "unassigned": "unassigned",
    "type": "bad_type",
    "method": "bad_type",
    "remove": "bad_value",
    "dict changed": "bad_value",
    "decimal": "bad_value",
    "bytes": "bad_value",
    "encode": "bad_value",
    "write": "not_permitted",
    "the result": "bad_type",
}


@pytest.fixture(scope="module")
def failing():
    chain = LocalChain("alice", mode="both")
    chain.deploy(CODES, "codes")
    return chain


@pytest.mark.parametrize("how", FAILURES)
def test_python_fails_with_the_codes_of_the_interpreter(failing, how):
    with pytest.raises(CallFailed) as failed:
        failing.view("codes", "fails", how)
    assert failed.value.code == FAILURES[how]


def test_a_negative_shift_is_arithmetic_for_both(failing):
    with pytest.raises(CallFailed) as failed:
        failing.view("codes", "fails", "shift")
    assert failed.value.code == "arithmetic"


# What Python allows and a contract does not, as the guide of authors lists it.
DIFFERENCES = {
    "an integer outside 256 bits": ("return (2**200) ** 2 - (2**200) ** 2", "arithmetic"),
    "arithmetic with bool": ("return (len([]) == 0) + 1", "bad_type"),
    "letters that are not ASCII": ("return len('\u00e4'.upper())", "bad_value"),
    "the text of a list": ("return len(str_of([1]))", "bad_type"),
    "a key of a dict that is a tuple": ("return len({(1, 2): 3})", "bad_type"),
    "a text above the limit": ("return len('x' * 300_000)", "size_limit"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_only_python_allows_is_a_disagreement(name):
    body, code = DIFFERENCES[name]
    source = (
        "from contracts import Contract, view\n\n\ndef str_of(x) -> str:\n    return str(x)\n\n\n"
        f"class Odd(Contract):\n    @view\n    def run(self) -> int:\n        {body}\n"
    )
    chains = {mode: LocalChain(mode=mode) for mode in MODES}
    for chain in chains.values():
        chain.deploy(source, "odd")
    assert isinstance(chains["python"].view("odd", "run"), int)
    with pytest.raises(CallFailed) as failed:
        chains["interpreter"].view("odd", "run")
    assert failed.value.code == code
    with pytest.raises(Disagreement, match=r"odd\.run: plain Python and the interpreter disagree") as differs:
        chains["both"].view("odd", "run")
    assert differs.value.interpreter.startswith(code)


ORACLE = """
from contracts import Contract, Decimal, Map, call, view


class Oracle(Contract):
    prices: Map[str, Decimal]

    @call
    def quote(self, symbol: str, price: Decimal) -> Decimal:
        self.prices[symbol] = price
        return price

    @view
    def price(self, symbol: str) -> Decimal:
        return self.prices[symbol]
"""
BROKER = """
from contracts import Address, Contract, Decimal, Event, Interface, List, Map, Value, Var, call, init, require, view


class Oracle(Interface):
    @view
    def price(self, symbol: str) -> Decimal: ...


class Bought(Event):
    by: Address
    paid: Decimal


class Broker(Contract):
    oracle: Var[Address]
    paid: Map[tuple[Address, int], Decimal]
    log: List[tuple[str, Decimal]]

    @init
    def create(self, oracle: Address) -> None:
        self.oracle.set(oracle)

    @call
    def buy(self, symbol: str, amount: int) -> Decimal:
        paid = self.at(Oracle, self.oracle.get()).price(symbol) * amount / 3
        require(paid > 0, f"nothing to pay for {amount}")
        self.paid[self.ctx.sender, len(self.log)] = paid
        self.log.append((symbol, paid))
        self.emit(Bought(by=self.ctx.sender, paid=paid))
        return paid.round(2)

    @view
    def history(self) -> dict[str, Value]:
        last = self.paid.items(5, prefix=(self.ctx.sender,), reverse=True)
        return {"last": [[key[1], paid] for key, paid in last], "log": self.log[-2:], "chain": self.ctx.chain_id}
"""


def test_every_kind_of_value_and_call_comes_to_the_same_in_both():
    chain = LocalChain("alice", "bob", mode="both")
    chain.deploy(ORACLE, "oracle")
    chain.deploy(BROKER, "broker", "oracle")
    chain.call("bob", "oracle", "quote", "GOLD", Decimal("1.5"))
    for amount in (1, 2, 3):
        chain.call("alice", "broker", "buy", "GOLD", amount)
    assert [event.fields["paid"] for event in chain.events_of("broker")] == ["0.5", "1", "1.5"]
    history = chain.view("broker", "history", sender="alice")
    assert history["last"] == [[2, "1.5"], [1, "1"], [0, "0.5"]]
    assert history["log"] == [["GOLD", "1"], ["GOLD", "1.5"]]
    assert len(history["chain"]) == 64
    assert chain.call("alice", "broker", "buy", "GOLD", 0, check=False).message == "nothing to pay for 0"
    assert chain.call("alice", "broker", "buy", "LEAD", 1, check=False).code == "key_error"


ELSEWHERE = {
    "a power below one": ("return 2**-1", "bad_type", "arithmetic"),
    "a quotient of integers": ("return 1 // 1 if Decimal(1) == 2 else len([1]) / len([2])", "bad_type", "bad_type"),
    "a message that nobody reads": ("require(True, f'{1 // len([])}')\n        return 1", "arithmetic", "arithmetic"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_python_refuses_later_or_sooner(name):
    body, python, interpreter = ELSEWHERE[name]
    source = (
        "from contracts import Contract, Decimal, require, view\n\n\n"
        f"class Odd(Contract):\n    @view\n    def run(self) -> int:\n        {body}\n"
    )
    codes = {}
    for mode in ("python", "interpreter"):
        chain = LocalChain(mode=mode)
        chain.deploy(source, "odd")
        try:
            codes[mode] = "ok" if chain.view("odd", "run") == 1 else "?"
        except CallFailed as failed:
            codes[mode] = failed.code
    assert codes == {"python": python, "interpreter": interpreter}


STATEFUL = """
from contracts import Contract, Event, Var, call


class Said(Event):
    length: int


class Odd(Contract):
    length: Var[int]

    @call
    def write(self, text: str) -> None:
        self.length.set(len(text.upper()) if text.isascii() else 0)

    @call
    def tell(self, text: str) -> None:
        self.emit(Said(length=len(text)))
"""


def test_state_and_events_that_differ_are_named(monkeypatch):
    chain = LocalChain("alice", mode="both")
    chain.deploy(STATEFUL, "odd")
    chain.call("alice", "odd", "write", "fine")
    program = chain._twin.engine._catalogue.find("odd", chain._twin.state.get).program
    monkeypatch.setattr(program._class.write.entry, "function", lambda self, text: self.length.set(99))
    with pytest.raises(Disagreement) as differs:
        chain.call("alice", "odd", "write", "four")
    assert str(differs.value).splitlines() == [
        "the state at height 3: plain Python and the interpreter disagree",
        "  python:       odd.length = 99",
        "  interpreter:  odd.length = 4",
    ]


def test_an_endless_loop_ends_where_the_interpreter_counts():
    source = (
        "from contracts import Contract, Var, call\n\n\nclass Odd(Contract):\n    count: Var[int]\n\n"
        "    @call\n    def spin(self) -> None:\n        self.count.set(1)\n        while True:\n            pass\n"
    )
    chain = LocalChain("alice", mode="both")
    chain.deploy(source, "odd")
    assert chain.call("alice", "odd", "spin", gas_limit=1_000_000, check=False).code == "out_of_gas"
    assert chain.state("odd", "count") is None
