"""Addresses: a str that was looked at. What is none is refused wherever it crosses a boundary, in both worlds."""

import inspect

import pytest

from contracts import Address, Contract, Event, Map, Var, call, check, view
from contracts.language import Context, Failure, Meter, compile_source, gas
from contracts.testing import CallFailed, LocalChain

HEAD = "from contracts import Address, Contract, Event, List, Map, Value, Var, call, view\n"
KEY = "0123456789abcdef" * 4
GOOD = [KEY, "a" * 64, "token", "t", "my-token_2", "a" * 63]
BAD = [
    "",
    "Token",
    "2token",
    "my token",
    "token\n",
    "0x" + KEY[2:],
    KEY.upper(),
    KEY[1:],
    KEY + "0",
    "to.ken",
    "é",
    "b" * 65,
]
WHY = "an Address is the 64 lower-case hex digits of a public key, or the name of a contract; not "


def function(text):
    """A contract whose view gives an expression of `text`, which is of any type."""
    return f"{HEAD}class Box(Contract):\n    @view\n    def run(self, text: Value) -> Value:\n        return {text}\n"


class NoHost:
    context = Context("", 0, 0, "", "box")


def run(text, argument):
    return compile_source(function(text)).run("run", [argument], NoHost(), Meter(100_000))


@pytest.mark.parametrize("text", GOOD)
def test_an_address_is_its_text(text):
    assert run("Address(text)", text) == Address(text) == text
    assert type(run("Address(text)", text)) is type(Address(text)) is str
    assert check(function(f"Address({text!r})")) == []


@pytest.mark.parametrize("text", BAD)
def test_what_is_none_is_refused_with_the_reason(text):
    with pytest.raises(Failure) as caught:
        run("Address(text)", text)
    shown = "a text of 71 characters" if len(text) > 70 else ascii(text)
    assert (caught.value.code, caught.value.message) == ("bad_value", WHY + shown)
    with pytest.raises(ValueError, match="an Address is the 64 lower-case hex digits"):
        Address(text)
    (problem,) = check(function(f"Address({text!r})"))
    assert str(problem) == "5:24: constant: this is no Address: " + WHY + shown if text.isascii() else problem


def test_a_long_text_is_not_repeated():
    with pytest.raises(Failure, match="not a text of 500 characters"):
        run("Address(text)", "x" * 500)


@pytest.mark.parametrize("value", [None, 1, b"token", ["token"]])
def test_other_types_have_no_address(value):
    with pytest.raises(Failure) as caught:
        run("Address(text)", value)
    assert caught.value.code == "bad_type"
    with pytest.raises(TypeError):
        Address(value)


def test_what_is_used_is_imported():
    (problem,) = check(function("Address('token')").replace("Address, ", "", 1))
    assert "Address is used but not imported: from contracts import Address" in str(problem)
    (problem,) = check(function("isinstance(text, Address)"))
    assert problem.code == "arity"


# ── where it is looked at ─────────────────────────────────────────────────────────────────────────

ISSUER = Address("issuer")


class Moved(Event):
    to: Address


class Vault(Contract):
    owner: Var[Address]
    shares: Map[Address, int]
    allowed: Map[tuple[Address, Address], bool]
    friends: Var[list[Address]]

    @call
    def give(self, to: Address, amount: int) -> Address:
        self.shares[to] = self.shares.get(to, 0) + amount
        self.allowed[self.ctx.sender, to] = True
        self.emit(Moved(to=to))
        return self.ctx.sender

    @call
    def put(self, how: str, text: str) -> None:
        if how == "var":
            self.owner.set(text)
        if how == "list":
            self.friends.set(["token", text])
        if how == "key":
            self.shares[text] = 1
        if how == "nested":
            self.allowed["token", text] = True
        if how == "event":
            self.emit(Moved(to=text))

    @view
    def of(self, who: Address) -> int:
        return self.shares.get(who, 0) if who != ISSUER else -1

    @view
    def wrong(self, text: str) -> Address:
        return text

    @view
    def friends_of(self, who: Address) -> list[tuple[Address, Address]]:
        return self.allowed.keys(10, prefix=who)


SOURCE = HEAD + 'ISSUER = Address("issuer")\n' + inspect.getsource(Moved) + inspect.getsource(Vault)


@pytest.fixture
def chain():
    made = LocalChain("ada")
    made.deploy(SOURCE, "vault", sender="ada")
    return made


def test_addresses_are_str_everywhere(chain):
    ada = chain.address("ada")
    outcome = chain.call("ada", "vault", "give", "token", 3)
    assert (outcome.result, outcome.events[0].fields) == (ada, {"to": "token"})
    assert (chain.view("vault", "of", "token"), chain.view("vault", "of", "issuer")) == (3, -1)
    assert (chain.state("vault", "shares", "token"), chain.view("vault", "friends_of", ada)) == (3, [[ada, "token"]])
    vault = Vault()
    vault.ctx.sender = ada
    assert (vault.give("token", 3), vault.of("token"), vault.of("issuer")) == (ada, 3, -1)
    assert vault.friends_of(ada) == [(ada, "token")]


def test_an_argument_that_is_none_is_refused(chain):
    with pytest.raises(CallFailed, match=r"bad_arguments: the argument 'to' of give is no Address: " + WHY + "'Token'"):
        chain.call("ada", "vault", "give", "Token", 3)
    with pytest.raises(CallFailed, match="bad_arguments: the argument 'to' of give must be Address, not int"):
        chain.call("ada", "vault", "give", 7, 3)
    with pytest.raises(TypeError, match="an Address is the 64"):
        Vault().give("Token", 3)


@pytest.mark.parametrize(
    ("how", "what"),
    [("var", "a value of owner"), ("list", "a value of friends"), ("key", "a key of shares"),
     ("nested", "a key of allowed"), ("event", "Moved.to")],
)  # fmt: skip
def test_inside_it_is_looked_at_where_it_leaves(chain, how, what):
    chain.call("ada", "vault", "put", how, "fine")
    with pytest.raises(CallFailed, match=f"bad_type: {what} is no Address: {WHY}'Not fine'"):
        chain.call("ada", "vault", "put", how, "Not fine")
    vault = Vault()
    vault.put(how, "fine")
    with pytest.raises(TypeError, match="is no Address: an Address is the 64"):
        vault.put(how, "Not fine")


def test_a_result_is_looked_at(chain):
    assert chain.view("vault", "wrong", "fine") == "fine"
    with pytest.raises(CallFailed, match="bad_type: the result of wrong is no Address"):
        chain.view("vault", "wrong", "Not fine")


def test_a_union_with_a_decimal_is_refused():
    source = HEAD.replace("Contract,", "Contract, Decimal,") + "class Box(Contract):\n    x: Var[Address | Decimal]\n"
    (problem,) = check(source)
    assert "could not be told apart" in str(problem)


def test_every_look_is_paid_for():
    def used(kind, text):
        source = f"{HEAD}class Box(Contract):\n    m: Map[{kind}, int]\n    @view\n"
        source += f"    def run(self, x: {kind}) -> int:\n        return {text}\n"
        meter = Meter(100_000)
        host = NoHost()
        host.get = lambda *_: None
        compile_source(source).run("run", ["token"], host, meter)
        return meter.used

    assert used("Address", "1") - used("str", "1") == gas.ADDRESS
    assert used("Address", "self.m.get(x, 0)") - used("str", "self.m.get(x, 0)") == 2 * gas.ADDRESS
