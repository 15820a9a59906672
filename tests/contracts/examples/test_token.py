"""The token example, as plain Python and on a chain: who may move what, and that nothing is made from nothing."""

import pytest

from contracts import Error
from contracts.examples.token import Approval, OwnerChanged, Token, Transfer
from contracts.testing import CallFailed, LocalChain

# ── as plain Python ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def token():
    token = Token()
    token.ctx.sender = "alice"
    token.create("Acme", "ACM", 100)
    return token


def test_the_deployer_owns_the_first_supply(token):
    assert token.balance_of("alice") == token.total_supply() == 100
    assert token.info() == {"name": "Acme", "symbol": "ACM", "owner": "alice"}
    assert token.ctx.events == [Transfer(sender="", to="alice", amount=100)]


def test_a_transfer_moves_and_tells(token):
    token.transfer("bob", 30)
    assert (token.balance_of("alice"), token.balance_of("bob")) == (70, 30)
    assert token.ctx.events[-1] == Transfer(sender="alice", to="bob", amount=30)


def test_a_transfer_to_oneself_changes_nothing(token):
    token.transfer("alice", 100)
    assert token.balance_of("alice") == 100


@pytest.mark.parametrize(
    ("to", "amount", "why"),
    [
        ("bob", 101, "insufficient balance"),
        ("bob", 0, "an amount is positive"),
        ("bob", -1, "an amount is positive"),
        ("", 1, "nobody to give it to"),
    ],
)
def test_a_transfer_out_of_reach_is_refused(token, to, amount, why):
    with pytest.raises(Error, match=why):
        token.transfer(to, amount)
    assert token.balance_of("alice") == 100


def test_true_is_no_amount(token):
    with pytest.raises(TypeError):
        token.transfer("bob", True)


def test_an_allowance_is_used_up(token):
    token.approve("bob", 50)
    assert token.ctx.events[-1] == Approval(owner="alice", spender="bob", amount=50)
    token.ctx.sender = "bob"
    token.transfer_from("alice", "carol", 20)
    assert (token.balance_of("carol"), token.allowance("alice", "bob")) == (20, 30)
    with pytest.raises(Error, match="more than was allowed"):
        token.transfer_from("alice", "carol", 31)
    token.transfer_from("alice", "bob", 30)
    assert token.allowance("alice", "bob") == 0


def test_an_allowance_can_be_taken_back_and_is_never_negative(token):
    token.approve("bob", 50)
    token.approve("bob", 0)
    assert token.allowance("alice", "bob") == 0
    with pytest.raises(Error, match="not negative"):
        token.approve("bob", -1)


def test_a_negative_amount_cannot_raise_an_allowance(token):
    token.ctx.sender = "bob"
    with pytest.raises(Error, match="positive"):
        token.transfer_from("alice", "carol", -5)
    assert token.allowance("alice", "bob") == 0


def test_only_the_owner_mints_until_it_hands_over(token):
    token.mint("bob", 5)
    assert token.total_supply() == 105
    token.set_owner("bob")
    assert token.ctx.events[-1] == OwnerChanged(old="alice", new="bob")
    for refused in (lambda: token.mint("alice", 1), lambda: token.set_owner("alice")):
        with pytest.raises(Error, match="only the owner"):
            refused()
    token.ctx.sender = "bob"
    token.mint("bob", 1)
    assert token.balance_of("bob") == 6


def test_burning_lowers_the_supply(token):
    token.burn(40)
    assert token.balance_of("alice") == token.total_supply() == 60
    with pytest.raises(Error, match="insufficient balance"):
        token.burn(61)


# ── on a chain ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def chain():
    chain = LocalChain("alice", "bob", "carol")
    chain.deploy(Token, "token", "Acme", "ACM", 100, sender="alice")
    return chain


def test_it_deploys_as_it_stands_and_does_the_same(chain):
    alice, bob, carol = (chain.address(name) for name in ("alice", "bob", "carol"))
    outcome = chain.call("alice", "token", "transfer", bob, 30)
    assert [(event.name, event.fields) for event in outcome.events] == [
        ("Transfer", {"sender": alice, "to": bob, "amount": 30})
    ]
    chain.call("alice", "token", "approve", carol, 50)
    chain.call("carol", "token", "transfer_from", alice, bob, 20)
    assert chain.view("token", "balance_of", bob) == 50
    assert chain.view("token", "allowance", alice, carol) == 30
    assert chain.state("token", "balances", alice) == 50
    chain.call("alice", "token", "mint", carol, 7)
    assert chain.view("token", "total_supply") == 107


def test_a_refusal_names_the_reason_and_the_line(chain):
    refused = chain.call("bob", "token", "transfer", chain.address("alice"), 1, check=False)
    assert (refused.code, refused.message, refused.contract) == ("failed", "insufficient balance", "token")
    assert "require(balance >= amount" in chain.contract("token").source.splitlines()[refused.line - 1]
    with pytest.raises(CallFailed, match="insufficient balance"):
        chain.call("bob", "token", "transfer", chain.address("alice"), 1)


@pytest.mark.parametrize("args", [(), ("x",), ("x", 1, 2), ("x", True), ("x", "1"), (1, 1), ("x", None), ("x", 2**255)])
def test_arguments_out_of_shape_change_nothing(chain, args):
    refused = chain.call("alice", "token", "transfer", *args, check=False)
    assert refused.code in ("bad_arguments", "failed")
    assert chain.view("token", "balance_of", chain.address("alice")) == 100


def test_no_history_of_transfers_makes_or_loses_tokens(chain):
    people = ["alice", "bob", "carol"]
    for turn in range(30):
        sender, to = people[turn % 3], people[(turn * turn + 1) % 3]
        chain.call(sender, "token", "transfer", chain.address(to), 1 + turn * 7 % 40, check=False)
    total = sum(chain.view("token", "balance_of", chain.address(name)) for name in people)
    assert total == chain.view("token", "total_supply") == 100


def test_the_supply_stays_within_256_bits(chain):
    chain.call("alice", "token", "mint", "x", 2**256 - 101)
    refused = chain.call("alice", "token", "mint", "x", 1, check=False)
    assert refused.code == "arithmetic"
    assert chain.view("token", "balance_of", "x") == 2**256 - 101
