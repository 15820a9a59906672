"""A host in memory for one contract, and short ways to check and run a few lines of the language."""

import textwrap

import pytest

from contracts import check
from contracts.language import Context, Failure, Meter, compile_source
from ledger import codec

IMPORTS = "from contracts import Contract, Error, Event, List, Map, Value, Var, call, init, require, sha256, view\n"
GAS = 200_000_000


def within(key, bounds):
    """Whether a scan between these bounds finds a key."""
    low = (bounds.first is None or key >= bounds.first) and (bounds.after is None or key > bounds.after)
    return low and (bounds.last is None or key <= bounds.last) and (bounds.before is None or key < bounds.before)


class MemoryHost:
    """State as a dict, events as a list, other contracts as functions that record what they are given."""

    def __init__(self):
        self.entries = {}
        self.events = []
        self.calls = []
        self.context = Context("ada", 7, 1234, "ff00", "box")

    def get(self, variable, key):
        return self.entries.get((variable, key))

    def put(self, variable, key, value):
        assert value is None or isinstance(value, bytes)
        if value is None:
            self.entries.pop((variable, key), None)
        else:
            self.entries[variable, key] = value

    def scan(self, variable, prefix, bounds, limit):
        found = sorted(key for name, key in self.entries if name == variable and len(key) > len(prefix))
        chosen = [key for key in found if key[: len(prefix)] == prefix and within(key, bounds)]
        if bounds.reverse:
            chosen.reverse()
        return [(key, self.entries[variable, key]) for key in chosen[:limit]]

    def emit(self, event, fields):
        self.events.append((event, fields))

    def call(self, contract, method, args):
        self.calls.append((contract, method, codec.decode(codec.encode(args))))
        return [contract, method]

    def ask(self, contract, method, args):
        return ["asked", *self.call(contract, method, args)]


class Ran:
    """One contract with its host; `run` gives a value, `fail` the failure."""

    def __init__(self, source):
        self.program = compile_source(source)
        self.host = MemoryHost()
        self.meter = Meter(GAS)

    def run(self, method="run", *args, gas=GAS):
        self.meter = Meter(gas)
        return self.program.run(method, list(args), self.host, self.meter)

    def fail(self, method="run", *args, gas=GAS):
        with pytest.raises(Failure) as caught:
            self.run(method, *args, gas=gas)
        assert caught.value.contract == "box"
        return caught.value


def contract_of(body, above="", state="", methods="", parameters="", returns="Value"):
    """A contract whose one view, `run`, has this body."""
    lines = [IMPORTS, textwrap.dedent(above), "class Box(Contract):", textwrap.indent(textwrap.dedent(state), "    ")]
    lines += [f"    @view\n    def run(self{parameters and ', '}{parameters}) -> {returns}:"]
    lines += [textwrap.indent(textwrap.dedent(body), "        "), textwrap.indent(textwrap.dedent(methods), "    ")]
    return "\n".join(lines) + "\n"


@pytest.fixture
def contract():
    """Compile a contract source."""
    return lambda source: Ran(source if "\nfrom contracts import" in source else IMPORTS + textwrap.dedent(source))


@pytest.fixture
def body():
    """Compile a contract whose one view has this body; see `contract_of`."""
    return lambda text, **parts: Ran(contract_of(text, **parts))


@pytest.fixture
def value():
    """The value of one expression."""
    return lambda text: Ran(contract_of(f"return {text}")).run()


@pytest.fixture
def failure():
    """The code with which an expression fails."""
    return lambda text: Ran(contract_of(f"return {text}")).fail().code


@pytest.fixture
def refused():
    """The codes of the problems of a body; empty when it is accepted."""

    def codes_of(text, **parts):
        return [problem.code for problem in check(contract_of(text, **parts))]

    return codes_of
