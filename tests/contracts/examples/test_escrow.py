"""The escrow example: tokens wait, and leave once, to the payee or back to the payer."""

import pytest

from contracts import Error
from contracts.examples.escrow import Escrow
from contracts.examples.token import Token
from contracts.testing import LocalChain

DAY_MS = 86_400_000


# ── as plain Python, two contract objects side by side ────────────────────────────────────────────


@pytest.fixture
def pair():
    token, escrow = Token(), Escrow()
    token.ctx.sender = "payer"
    token.create("Acme", "ACM", 100)
    token.approve("escrow", 60)
    escrow.ctx.connect("token", token)
    escrow.ctx.sender, escrow.ctx.time = "payer", 1_000
    return token, escrow


def test_natively_a_deal_is_made_and_released(pair):
    token, escrow = pair
    assert escrow.deposit("payee", "", "token", 60, 2_000) == 1
    assert token.balance_of("escrow") == 60
    escrow.release(1)
    assert (token.balance_of("escrow"), token.balance_of("payee")) == (0, 60)
    with pytest.raises(Error, match="closed"):
        escrow.release(1)


def test_natively_the_payer_waits_for_the_deadline(pair):
    token, escrow = pair
    escrow.deposit("payee", "", "token", 60, 2_000)
    with pytest.raises(Error, match="only after the deadline"):
        escrow.refund(1)
    escrow.ctx.time = 2_001
    escrow.refund(1)
    assert token.balance_of("payer") == 100


# ── on a chain ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def chain():
    chain = LocalChain("payer", "payee", "judge", "thief")
    chain.deploy(Token, "token", "Acme", "ACM", 100, sender="payer")
    chain.deploy(Escrow, "escrow")
    chain.call("payer", "token", "approve", "escrow", 60)
    return chain


def deposit(chain, amount=60, after_ms=DAY_MS, sender="payer", arbiter="judge", token="token", check=True):
    who = chain.address(arbiter) if arbiter else ""
    return chain.call(
        sender, "escrow", "deposit", chain.address("payee"), who, token, amount, chain.time_ms + after_ms, check=check
    )


def balances(chain):
    people = [chain.address("payer"), chain.address("payee"), "escrow"]
    return tuple(chain.view("token", "balance_of", account) for account in people)


def status(chain, deal=1):
    return chain.view("escrow", "deal", deal)["status"]


def test_a_deposit_takes_what_was_allowed_and_waits(chain):
    outcome = deposit(chain)
    assert outcome.result == 1
    assert [(event.contract, event.name) for event in outcome.events] == [("escrow", "Opened"), ("token", "Transfer")]
    assert (balances(chain), status(chain)) == ((40, 0, 60), "open")


@pytest.mark.parametrize("sender", ["payer", "judge"])
def test_the_payer_or_the_arbiter_releases(chain, sender):
    deposit(chain)
    chain.call(sender, "escrow", "release", 1)
    assert (balances(chain), status(chain)) == ((40, 60, 0), "released")


@pytest.mark.parametrize("sender", ["payee", "judge"])
def test_the_payee_or_the_arbiter_refunds_at_any_time(chain, sender):
    deposit(chain)
    chain.call(sender, "escrow", "refund", 1)
    assert (balances(chain), status(chain)) == ((100, 0, 0), "refunded")


def test_the_payer_gets_it_back_only_after_the_deadline(chain):
    deposit(chain)
    assert chain.call("payer", "escrow", "refund", 1, check=False).code == "failed"
    assert balances(chain) == (40, 0, 60)
    chain.advance(ms=DAY_MS)
    chain.call("payer", "escrow", "refund", 1)
    assert balances(chain) == (100, 0, 0)


@pytest.mark.parametrize(("sender", "method"), [("payee", "release"), ("thief", "release"), ("thief", "refund")])
def test_nobody_else_moves_anything(chain, sender, method):
    deposit(chain)
    chain.advance(ms=2 * DAY_MS)
    assert chain.call(sender, "escrow", method, 1, check=False).code == "failed"
    assert balances(chain) == (40, 0, 60)


def test_without_an_arbiter_nobody_can_pose_as_one(chain):
    deposit(chain, arbiter="")
    assert chain.call("thief", "escrow", "release", 1, check=False).code == "failed"


@pytest.mark.parametrize(("first", "second"), [("release", "release"), ("release", "refund"), ("refund", "release")])
def test_a_deal_closes_once(chain, first, second):
    deposit(chain)
    chain.call("judge", "escrow", first, 1)
    before = balances(chain)
    refused = chain.call("judge", "escrow", second, 1, check=False)
    assert (refused.code, refused.message) == ("failed", "the deal is closed")
    assert balances(chain) == before


def test_a_deposit_that_was_not_allowed_leaves_no_deal(chain):
    refused = deposit(chain, amount=61, check=False)
    assert (refused.code, refused.message, refused.contract) == ("failed", "more than was allowed", "token")
    assert chain.view("escrow", "count") == 0
    assert chain.view("escrow", "deal", 1) is None
    assert deposit(chain).result == 1


def test_a_deposit_in_a_token_that_is_none_fails(chain):
    assert deposit(chain, token="nothing", check=False).code == "unknown_contract"
    assert deposit(chain, token="escrow", check=False).code == "unknown_method"


@pytest.mark.parametrize("terms", [{"amount": 0}, {"amount": -1}, {"after_ms": 0}, {"sender": "payee"}])
def test_a_deal_out_of_shape_is_refused(chain, terms):
    assert deposit(chain, check=False, **terms).code == "failed"
    assert chain.view("escrow", "count") == 0


def test_a_deal_that_is_none_cannot_be_released(chain):
    refused = chain.call("payer", "escrow", "release", 9, check=False)
    assert (refused.code, refused.message) == ("failed", "there is no such deal")


def test_a_token_that_calls_back_finds_the_door_shut(chain):
    evil = """
from contracts import Contract, call

class Evil(Contract):
    @call
    def transfer_from(self, owner: str, to: str, amount: int) -> None:
        pass

    @call
    def transfer(self, to: str, amount: int) -> None:
        self.call("escrow", "release", [1])
"""
    chain.deploy(evil, "evil", sender="thief")
    deposit(chain, token="evil")
    refused = chain.call("judge", "escrow", "release", 1, check=False)
    assert (refused.code, refused.contract) == ("reentrancy", "evil")
    assert status(chain) == "open"
