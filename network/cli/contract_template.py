"""What `quorate new-contract` writes: a small contract that does something, and tests that show how one is tested.

Texts with the places NAME (of the deployed contract), MODULE (of its file) and CLASS. It knows no file system.
"""

from __future__ import annotations

from typing import Final

CONTRACT: Final = '''\
"""CLASS: say here what it is for, who may do what, and what it does not protect against.

This is a beginning that works: a text for each account, no longer than the owner allows. Change it into your own.
"""

from contracts import Address, Contract, Event, Map, Var, call, init, require, view

PAGE_MAX = 100


class Stored(Event):
    """An account has stored its text."""

    account: Address
    text: str


class CLASS(Contract):
    """A text for each account."""

    owner: Var[Address]
    longest: Var[int]
    texts: Map[Address, str]

    @init
    def create(self, longest: int) -> None:
        """Say how long a text may be. Whoever deploys the contract owns it."""
        self.owner.set(self.ctx.sender)
        self.limit_texts(longest)

    @call
    def store(self, text: str) -> None:
        """Store the sender's text, in place of an earlier one."""
        longest = self.longest.get()
        require(0 < len(text) <= longest, f"a text has 1 to {longest} characters")
        self.texts[self.ctx.sender] = text
        self.emit(Stored(account=self.ctx.sender, text=text))

    @call
    def set_longest(self, longest: int) -> None:
        """Let texts be longer or shorter from now on. For the owner."""
        require(
            self.ctx.sender == self.owner.get(),
            "only the owner says how long a text may be",
        )
        self.limit_texts(longest)

    @view
    def text_of(self, account: Address) -> str | None:
        """The text of an account, None where there is none."""
        return self.texts.get(account)

    @view
    def texts_after(
        self, account: Address | None, limit: int
    ) -> list[tuple[Address, str]]:
        """Accounts and their texts in the order of addresses, from the one after `account` (None: from the first)."""
        require(0 < limit <= PAGE_MAX, f"1 to {PAGE_MAX} texts at once")
        return self.texts.items(limit, after=account)

    def limit_texts(self, longest: int) -> None:
        require(longest > 0, "a text has at least one character")
        self.longest.set(longest)
'''

TESTS: Final = '''\
"""Tests of CLASS: what is done, what is refused, what it costs.

`pytest` lets Python run the contract; `pytest --contracts=both --gas-report` runs it as a validator does as well, fails
where the two differ, and ends with a table of gas.
"""

import pytest
from contracts import Address, Error
from contracts.testing import LocalChain, NewChain

from MODULE import CLASS, Stored

NAME = "NAME_"
LONGEST = 20


@pytest.fixture
def chain(new_chain: NewChain) -> LocalChain:
    """A chain with the contract, owned by ann, and another account."""
    chain = new_chain("ann", "ben")
    chain.deploy(CLASS, NAME, LONGEST, sender="ann")
    return chain


def test_a_text_is_stored_and_told(chain: LocalChain) -> None:
    chain.call("ben", NAME, "store", "hello")
    ben = chain.address("ben")
    assert chain.view(NAME, "text_of", ben) == "hello"
    assert [(event.name, event.fields) for event in chain.events_of(NAME)] == [
        ("Stored", {"account": ben, "text": "hello"})
    ]


def test_a_later_text_takes_the_place_of_an_earlier_one(chain: LocalChain) -> None:
    chain.call("ben", NAME, "store", "hello")
    before = chain.snapshot()
    chain.advance(seconds=60)
    chain.call("ben", NAME, "store", "goodbye")
    assert chain.view(NAME, "text_of", chain.address("ben")) == "goodbye"
    chain.revert(before)
    assert chain.view(NAME, "text_of", chain.address("ben")) == "hello"


@pytest.mark.parametrize("text", ["", "x" * (LONGEST + 1)])
def test_a_text_out_of_bounds_is_refused(chain: LocalChain, text: str) -> None:
    refused = chain.call("ben", NAME, "store", text, check=False)
    assert (refused.code, refused.message) == (
        "failed",
        "a text has 1 to 20 characters",
    )
    assert chain.view(NAME, "text_of", chain.address("ben")) is None


def test_the_longest_text_fits(chain: LocalChain) -> None:
    assert chain.call("ben", NAME, "store", "x" * LONGEST).ok


def test_only_the_owner_says_how_long_a_text_may_be(chain: LocalChain) -> None:
    refused = chain.call("ben", NAME, "set_longest", 100, check=False)
    assert refused.message == "only the owner says how long a text may be"
    chain.call("ann", NAME, "set_longest", 100)
    assert chain.call("ben", NAME, "store", "x" * 100).ok


def test_a_contract_without_room_for_a_text_is_not_deployed(
    new_chain: NewChain,
) -> None:
    refused = new_chain("ann").deploy(CLASS, NAME, 0, sender="ann", check=False)
    assert refused.message == "a text has at least one character"


def test_texts_are_listed_page_by_page(chain: LocalChain) -> None:
    chain.call("ann", NAME, "store", "from ann")
    chain.call("ben", NAME, "store", "from ben")
    written = sorted(
        [[chain.address("ann"), "from ann"], [chain.address("ben"), "from ben"]]
    )
    assert chain.view(NAME, "texts_after", None, 1) == written[:1]
    assert chain.view(NAME, "texts_after", written[0][0], 100) == written[1:]


def test_what_a_text_costs(new_chain: NewChain) -> None:
    chain = new_chain("ann", mode="interpreter")  # Python counts no gas
    chain.deploy(CLASS, NAME, LONGEST)
    chain.call("ann", NAME, "store", "x" * LONGEST)
    assert chain.gas_report()[f"{NAME}.store"].most < 60_000


def test_the_class_alone_without_a_chain() -> None:
    ann, contract = Address("ann"), CLASS()
    contract.ctx.sender = ann
    contract.create(LONGEST)
    contract.store("hello")
    assert contract.text_of(ann) == "hello"
    assert contract.ctx.events == [Stored(account=ann, text="hello")]
    with pytest.raises(Error, match="1 to 20 characters"):
        contract.store("")
'''

CONFTEST: Final = '''\
"""Lets the tests below import the contracts in this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
'''


def contract_text(class_name: str) -> str:
    """The source of the contract."""
    return CONTRACT.replace("CLASS", class_name)


def tests_text(name: str, module: str, class_name: str) -> str:
    """The tests of the contract that is deployed as `name`."""
    return TESTS.replace("NAME_", name).replace("MODULE", module).replace("CLASS", class_name)
