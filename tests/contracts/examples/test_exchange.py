"""The exchange: rates and fees to the last unit, whoever calls it, and what is refused changes nothing."""

import pytest

from contracts import Decimal, check
from contracts.examples import source
from contracts.examples.exchange import Exchange
from contracts.examples.token import Token
from contracts.testing import LocalChain


@pytest.fixture
def chain():
    """Ann has 1,000 EUR, the exchange 500 USD; Python and the interpreter both run everything, and must agree."""
    made = LocalChain("ann", "ben", mode="both")
    made.deploy(Token, "euro", "Euro", "EUR", 1000, sender="ann")
    made.deploy(Token, "dollar", "Dollar", "USD", 10_000)
    made.deploy(Exchange, "desk", "euro", "dollar", Decimal("0.003"))
    made.call("admin", "dollar", "transfer", "desk", 500)
    made.call("ann", "euro", "approve", "desk", 1000)
    return made


def refused(chain, sender, method, *args):
    outcome = chain.call(sender, "desk", method, *args, check=False)
    assert outcome.events == ()
    return outcome.message if outcome.code == "failed" else outcome.code


def test_the_source_is_accepted():
    assert check(source("exchange")) == []


def test_it_pays_out_what_rate_and_fee_leave(chain):
    chain.call("admin", "desk", "post", Decimal("1.0837"))
    assert chain.view("desk", "quote", 100) == 108  # 108.37, less a fee of 0.32511, is 108.04489
    outcome = chain.call("ann", "desk", "buy", 100, 108)
    assert outcome.result == 108
    fields = {"buyer": chain.address("ann"), "paid": 100, "received": 108, "rate": "1.0837"}
    assert [(event.contract, event.name) for event in outcome.events] == [
        ("desk", "Exchanged"), ("euro", "Transfer"), ("dollar", "Transfer")
    ]  # fmt: skip
    assert outcome.events[0].fields == fields
    balances = [
        chain.view(token, "balance_of", who) for token in ("euro", "dollar") for who in ("desk", fields["buyer"])
    ]
    assert balances == [100, 900, 392, 108]
    assert chain.view("desk", "stock") == 392


def test_the_fee_is_rounded_up_and_the_rest_down(chain):
    chain.call("admin", "desk", "post", "1")
    assert [chain.view("desk", "quote", amount) for amount in (0, 1, 2, 333, 334)] == [0, 0, 1, 332, 332]


def test_rates_stay_readable_newest_first(chain):
    times = []
    for rate in ("1.1", "1.2", "1.25"):
        chain.call("admin", "desk", "post", rate)
        times.append(chain.time_ms)
    first, second, third = times
    assert (chain.view("desk", "rate"), chain.view("desk", "history", None, 2)) == (
        "1.25", [[third, "1.25"], [second, "1.2"]]
    )  # fmt: skip
    assert chain.view("desk", "history", second, 2) == [[first, "1.1"]]
    at = [chain.view("desk", "rate_at", time) for time in (first - 1, first, second - 1, third + 99)]
    assert at == [None, "1.1", "1.1", "1.25"]
    terms = {"paid": "euro", "sold": "dollar", "owner": chain.address("admin"), "fee": "0.003"}
    assert chain.view("desk", "terms") == terms


def test_what_is_refused(chain):
    assert refused(chain, "ann", "buy", 1, 0) == "there is no rate yet"
    assert refused(chain, "ann", "post", "1") == "only the owner does this"
    assert refused(chain, "admin", "post", "0") == "a rate is positive"
    assert refused(chain, "admin", "post", "1.10") == "bad_arguments"
    chain.call("admin", "desk", "post", "1")
    assert refused(chain, "ann", "buy", 0, 0) == "an amount is positive"
    assert refused(chain, "ann", "buy", 100, 100) == "99 would come out, at a rate of 1"
    assert refused(chain, "ann", "buy", 1, 0) == "0 would come out, at a rate of 1"
    assert refused(chain, "ann", "buy", 600, 0) == "the exchange has not so much"
    assert refused(chain, "ben", "buy", 100, 0) == "more than was allowed"
    assert refused(chain, "ann", "withdraw", "dollar", 1) == "only the owner does this"
    for limit in (0, 101):
        outcome = chain.call("ann", "desk", "history", None, limit, check=False)
        assert outcome.message == "a page has 1 to 100 rates"


def test_the_owner_takes_out_what_is_there(chain):
    chain.call("admin", "desk", "withdraw", "dollar", 500)
    assert (chain.view("desk", "stock"), chain.view("dollar", "balance_of", chain.address("admin"))) == (0, 10_000)
    assert refused(chain, "admin", "withdraw", "dollar", 1) == "insufficient balance"


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("euro", "euro", "0.003"), "a token is not exchanged for itself"),
        (("euro", "dollar", "0.1001"), "a fee lies from 0 to 0.1"),
        (("euro", "dollar", "-0.1"), "a fee lies from 0 to 0.1"),
    ],
)
def test_what_no_exchange_is_made_of(chain, args, why):
    assert chain.deploy(Exchange, "other", *args, check=False).message == why
