"""A contract file as plain Python: the same results and refusals as in the interpreter, with state in memory."""

import importlib.util
from importlib.resources import files

import pytest

from contracts import Contract, Error, Event, List, Map, Value, Var, call, check, init, require, sha256, view
from contracts.examples import NAMES
from contracts.language import Failure, compile_source
from contracts.testing import LocalChain


class Noted(Event):
    text: str
    number: int


class Notes(Contract):
    owner: Var[str]
    notes: Map[tuple[str, int], tuple[int, str]]
    log: List[str]
    kept: Map[str, Value]

    @init
    def set_up(self, owner: str) -> None:
        self.owner.set(owner)

    @call
    def note(self, number: int, text: str) -> int:
        self.notes[self.ctx.sender, number] = (number, text)
        self.log.append(text)
        self.emit(Noted(text=text, number=number))
        require(number >= 0, "negative")
        return len(self.log)

    @call
    def unlog(self) -> str:
        return self.log.pop()

    @call
    def ask(self, other: str) -> int:
        return self.call(other, "note", [1, "from afar"])

    @call
    def keep(self, key: str, value: Value) -> Value:
        self.kept[key] = value
        return self.kept[key]

    @view
    def peek(self) -> list[tuple[str, int]]:
        return self.notes.keys(10, prefix="ada")

    @view
    def cheat(self) -> None:
        self.owner.delete()


@pytest.fixture
def notes():
    made = Notes()
    made.ctx.sender = "ada"
    made.set_up("ada")
    return made


def test_state_events_and_views(notes):
    assert notes.note(5, "five") == 1
    assert notes.note(3, "three") == 2
    assert notes.peek() == [("ada", 3), ("ada", 5)]
    assert notes.notes["ada", 5] == (5, "five")
    assert notes.ctx.events[-1] == Noted(text="three", number=3)
    assert (list(notes.log), notes.log[-1], notes.unlog(), len(notes.log)) == (["five", "three"], "three", "three", 1)
    assert notes.owner.get() == "ada"


def test_a_failed_call_changes_nothing(notes):
    with pytest.raises(Error, match="negative"):
        notes.note(-1, "x")
    assert (notes.peek(), len(notes.log), notes.ctx.events) == ([], 0, [])


def test_a_view_cannot_write(notes):
    with pytest.raises(Error, match="view"):
        notes.cheat()
    assert notes.owner.exists()


@pytest.mark.parametrize("args", [(True, "x"), ("1", "x"), (1, b"x"), (2**256, "x")])
def test_types_are_held(notes, args):
    with pytest.raises(TypeError, match="must"):
        notes.note(*args)


def test_nothing_is_aliased(notes):
    mine = [1]
    got = notes.keep("a", mine)
    mine.append(2)
    got.append(3)
    assert notes.kept["a"] == [1]


def test_contracts_reach_each_other_by_name(notes):
    other = Notes()
    notes.ctx.contract = "first"
    notes.ctx.connect("second", other)
    assert notes.ask("second") == 1
    assert list(other.notes.keys(5)) == [("first", 1)]
    with pytest.raises(Error, match="no contract"):
        notes.ask("third")


def test_a_map_answers_like_a_dict(notes):
    with pytest.raises(KeyError):
        notes.kept["x"]
    with pytest.raises(KeyError):
        notes.kept.pop("x")
    with pytest.raises(ValueError, match="limit"):
        notes.kept.keys(1001)
    notes.keep("x", 1)
    assert ("x" in notes.kept, notes.kept.get("y"), notes.kept.get("y", 2), notes.kept.pop("x")) == (True, None, 2, 1)
    assert sha256(b"").hex().startswith("e3b0")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_accepted_and_runs_in_both_worlds(name):
    path = files("contracts.examples").joinpath(f"{name}.py")
    assert check(path.read_text()) == []
    spec = importlib.util.spec_from_file_location(f"example_{name}", str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    program = compile_source(path.read_text())
    native = getattr(module, program.name)()
    for method in program.methods:
        assert getattr(native, method.name).entry.kind == method.kind


def test_a_token_moves_alike_in_both_worlds(contract):
    source = files("contracts.examples").joinpath("token.py").read_text()
    namespace = importlib.import_module("contracts.examples.token")
    native, ran = namespace.Token(), contract(source)
    native.ctx.sender = ran.host.context.sender
    for method, args in [("create", ("Acme", "ACM", 100)), ("transfer", ("bob", 30)), ("approve", ("bob", 5))]:
        getattr(native, method)(*args)
        ran.run(method, *args)
    for account in ("ada", "bob", "eve"):
        assert native.balance_of(account) == ran.run("balance_of", account)
    with pytest.raises(Error, match="insufficient balance"):
        native.transfer("bob", 71)
    with pytest.raises(Failure, match="insufficient balance"):
        ran.run("transfer", "bob", 71)
    assert native.ctx.entries == ran.host.entries


SURROGATE = """
from contracts import Contract, Value, Var, call

class Box(Contract):
    kept: Var[Value]

    @call
    def put(self, how: int) -> None:
        text = chr(0xD7FF + 1)
        self.kept.set([text, [text], {text: 1}, {"a": text}][how])
"""


@pytest.mark.parametrize("mode", ["python", "interpreter"])
@pytest.mark.parametrize("how", [0, 1, 2, 3])
def test_a_text_without_an_encoding_ends_the_call_and_not_the_chain(mode, how):
    chain = LocalChain("ada", mode=mode)
    chain.deploy(SURROGATE, "box")
    assert chain.call("ada", "box", "put", how, check=False).code == "bad_value"
    assert chain.call("ada", "box", "put", how, check=False).code == "bad_value"
