"""What self.ctx shows: the same in a call, in a view, in a contract called by another, and in plain Python."""

import inspect

import pytest

from contracts import Contract, Value, call, check, view
from contracts.testing import LocalChain

HEAD = "from contracts import Contract, Value, call, view\n"


class Shown(Contract):
    @call
    def show(self) -> list[Value]:
        return [self.ctx.sender, self.ctx.height, self.ctx.time, self.ctx.contract, self.ctx.chain_id]

    @call
    def show_other(self, name: str) -> Value:
        return self.call(name, "show", [])

    @view
    def chain_of(self) -> str:
        return self.ctx.chain_id


SOURCE = HEAD + inspect.getsource(Shown)


@pytest.fixture
def chain():
    made = LocalChain("ada")
    made.deploy(SOURCE, "one", sender="ada")
    made.deploy(SOURCE, "two", sender="ada")
    return made


def test_the_chain_is_the_hash_of_its_genesis(chain):
    chain_id = chain._genesis.chain_id.hex()
    assert len(chain_id) == 64
    outcome = chain.call("ada", "one", "show")
    assert outcome.result == [chain.address("ada"), outcome.height, chain.time_ms, "one", chain_id]
    outcome = chain.call("ada", "one", "show_other", "two")
    assert outcome.result == ["one", outcome.height, chain.time_ms, "two", chain_id]
    assert chain.view("one", "chain_of") == chain_id


def test_another_genesis_is_another_chain(chain):
    other = LocalChain("ada", "bob")
    other.deploy(SOURCE, "one", sender="ada")
    assert other.view("one", "chain_of") != chain.view("one", "chain_of")


def test_a_test_in_plain_python_says_which_chain_it_is():
    shown = Shown()
    assert shown.chain_of() == "00" * 32
    shown.ctx.chain_id = "ab" * 32
    shown.ctx.sender, shown.ctx.height, shown.ctx.time = "ada", 7, 9
    assert (shown.chain_of(), shown.show()) == ("ab" * 32, ["ada", 7, 9, "shown", "ab" * 32])


def test_nothing_else_is_shown():
    (problem,) = check(SOURCE.replace("self.ctx.chain_id\n", "self.ctx.genesis\n"))
    known = "sender, height, time, transaction_id, contract, chain_id"
    assert str(problem) == f"13:16: unknown_name: self.ctx has {known}; there is no 'genesis'"
