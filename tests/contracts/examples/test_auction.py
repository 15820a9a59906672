"""The auction example: bids stay sealed until they cannot change, and every token goes where the rules say."""

import hashlib

import pytest

from contracts.examples.auction import Auction
from contracts.examples.token import Token

SALT = "5a" * 16
BIDDERS = ("ben", "cleo", "dora")
STATE = ("winner", "highest", "price")


@pytest.fixture
def house(world):
    """ann sells; ben, cleo and dora have 1,000 each and have allowed the house to take it; eve keeps the treasury."""
    world.deploy(Token, "token", "Acme", "ACM", 3_000, sender="ann")
    world.deploy(Auction, "house", world.address("eve"))
    for name in BIDDERS:
        world.call("ann", "token", "transfer", world.address(name), 1_000)
        world.call(name, "token", "approve", "house", 1_000)
    return world


def open_auction(world, reserve=100, bids_for=10, reveals_for=10, sender="ann"):
    until = world.height + bids_for
    return world.call(sender, "house", "open", "a crane", "token", reserve, until, until + reveals_for)


def commitment(world, name, amount, auction=1, salt=SALT, contract="house"):
    return hashlib.sha256(f"{contract}:{auction}:{world.address(name)}:{amount}:{salt}".encode()).digest()


def bid(world, name, amount, deposit=1_000, auction=1):
    world.call(name, "house", "bid", auction, commitment(world, name, amount, auction), deposit)


def reveal(world, name, amount, auction=1, salt=SALT):
    world.call(name, "house", "reveal", auction, amount, salt)


def pass_height(world, field, auction=1):
    """Go on until the next block is past the height that the auction names."""
    world.advance(world.view("house", "auction", auction)[field] - world.height)


def sealed(world, **bids):
    open_auction(world)
    for name, amount in bids.items():
        bid(world, name, amount)
    pass_height(world, "bids_until")


def balances(world, *names):
    return [world.view("token", "balance_of", name if name == "house" else world.address(name)) for name in names]


def standing(world):
    terms = world.view("house", "auction", 1)
    names = {world.address(name): name for name in BIDDERS}
    return names.get(terms["winner"], ""), terms["highest"], terms["price"]


# ── from beginning to end ─────────────────────────────────────────────────────────────────────────


def test_the_highest_bid_wins_and_pays_the_second(house):
    sealed(house, ben=300, cleo=500, dora=400)
    assert balances(house, "house", *BIDDERS) == [3_000, 0, 0, 0]
    for name, amount in (("ben", 300), ("cleo", 500), ("dora", 400)):
        reveal(house, name, amount)
    pass_height(house, "reveals_until")
    house.call("admin", "house", "settle", 1)
    settled = {"auction": 1, "winner": house.address("cleo"), "price": 400, "forfeited": 0}
    assert house.events("house")[-1] == ("Settled", settled)
    assert house.view("house", "bid_of", 1, house.address("dora"))["amount"] == 400
    assert [house.call(name, "house", "claim", 1) for name in BIDDERS] == [1_000, 600, 1_000]
    assert balances(house, "ann", "eve", "house", *BIDDERS) == [400, 0, 0, 1_000, 600, 1_000]


@pytest.mark.parametrize("order", [("ben", "cleo", "dora"), ("dora", "cleo", "ben"), ("cleo", "dora", "ben")])
@pytest.mark.parametrize(
    ("bids", "expected"),
    [
        ({"ben": 300, "cleo": 500, "dora": 400}, ("cleo", 500, 400)),
        ({"ben": 500, "cleo": 500, "dora": 400}, ("ben", 500, 500)),
        ({"ben": 400, "cleo": 500, "dora": 500}, ("cleo", 500, 500)),
        ({"ben": 500, "cleo": 99, "dora": 0}, ("ben", 500, 100)),
        ({"ben": 100, "cleo": 99, "dora": 99}, ("ben", 100, 100)),
        ({"ben": 99, "cleo": 0, "dora": 1}, ("", 0, 100)),
        ({"ben": 1_000, "cleo": 1_000, "dora": 1_000}, ("ben", 1_000, 1_000)),
    ],
)
def test_winner_and_price_do_not_depend_on_the_order_of_reveals(house, order, bids, expected):
    sealed(house, **bids)
    for name in order:
        reveal(house, name, bids[name])
    assert standing(house) == expected


def test_a_bid_that_is_not_revealed_cannot_win_and_loses_its_deposit_to_the_treasury(house):
    sealed(house, ben=300, cleo=900)
    reveal(house, "ben", 300)
    pass_height(house, "reveals_until")
    house.call("ann", "house", "settle", 1)
    assert house.refused("cleo", "house", "claim", 1) == "it was never revealed, or is claimed already"
    assert house.call("ben", "house", "claim", 1) == 900
    assert balances(house, "ann", "eve", "house", "ben", "cleo") == [100, 1_000, 0, 900, 0]


def test_without_a_bid_at_the_reserve_nothing_is_sold(house):
    sealed(house, ben=99, cleo=0)
    reveal(house, "ben", 99)
    pass_height(house, "reveals_until")
    house.call("ann", "house", "settle", 1)
    assert house.events("house")[-1][1] == {"auction": 1, "winner": "", "price": 0, "forfeited": 1_000}
    assert house.call("ben", "house", "claim", 1) == 1_000
    assert balances(house, "ann", "eve", "house") == [0, 1_000, 0]


def test_without_any_bid_it_settles_for_nothing(house):
    open_auction(house)
    pass_height(house, "reveals_until")
    house.call("ann", "house", "settle", 1)
    assert house.view("house", "auction", 1)["status"] == "settled"
    assert balances(house, "ann", "eve", "house") == [0, 0, 0]


def test_a_winner_whose_deposit_is_the_price_gets_nothing_back(house):
    open_auction(house)
    bid(house, "ben", 400, deposit=400)
    bid(house, "cleo", 400, deposit=400)
    pass_height(house, "bids_until")
    reveal(house, "ben", 400)
    reveal(house, "cleo", 400)
    pass_height(house, "reveals_until")
    assert [house.call(name, "house", "claim", 1) for name in ("ben", "cleo")] == [0, 400]


def test_bidders_claim_before_the_seller_settles_and_nobody_loses_by_it(house):
    sealed(house, ben=300, cleo=500)
    reveal(house, "ben", 300)
    reveal(house, "cleo", 500)
    pass_height(house, "reveals_until")
    assert [house.call(name, "house", "claim", 1) for name in ("cleo", "ben")] == [700, 1_000]
    house.call("ann", "house", "settle", 1)
    assert balances(house, "ann", "house") == [300, 0]


def test_two_auctions_at_once_keep_their_tokens_apart(house):
    open_auction(house)
    open_auction(house)
    bid(house, "ben", 300, deposit=500, auction=1)
    bid(house, "ben", 200, deposit=500, auction=2)
    pass_height(house, "bids_until", 2)
    reveal(house, "ben", 300, auction=1)
    pass_height(house, "reveals_until", 2)
    house.call("ann", "house", "settle", 1)
    house.call("ann", "house", "settle", 2)
    assert house.call("ben", "house", "claim", 1) == 400
    assert balances(house, "ann", "eve", "house", "ben") == [100, 500, 0, 400]
    assert house.view("house", "count") == 2


# ── sealed means sealed ───────────────────────────────────────────────────────────────────────────


def test_a_sealed_bid_shows_its_deposit_and_nothing_else(house):
    sealed(house, ben=300)
    assert house.view("house", "bid_of", 1, house.address("ben")) == {
        "commitment": commitment(house, "ben", 300),
        "deposit": 1_000,
        "order": 1,
        "status": "sealed",
        "amount": 0,
    }
    assert house.view("house", "bid_of", 1, house.address("eve")) is None
    said = {"auction": 1, "bidder": house.address("ben"), "deposit": 1_000}
    assert house.events("house")[-1] == ("Committed", said)


def test_every_step_is_told(house):
    open_auction(house)
    terms = house.view("house", "auction", 1)
    heights = {"bids_until": terms["bids_until"], "reveals_until": terms["reveals_until"]}
    assert house.events("house")[-1] == ("Opened", {"auction": 1, "seller": house.address("ann"), **heights})
    bid(house, "ben", 300)
    pass_height(house, "bids_until")
    reveal(house, "ben", 300)
    assert house.events("house")[-1] == ("Revealed", {"auction": 1, "bidder": house.address("ben"), "amount": 300})
    pass_height(house, "reveals_until")
    house.call("ben", "house", "claim", 1)
    assert house.events("house")[-1] == ("Claimed", {"auction": 1, "bidder": house.address("ben"), "amount": 900})


def test_a_commitment_copied_from_another_cannot_be_revealed(house):
    open_auction(house)
    bid(house, "ben", 300)
    house.call("cleo", "house", "bid", 1, commitment(house, "ben", 300), 1_000)
    pass_height(house, "bids_until")
    reveal(house, "ben", 300)
    assert house.refused("cleo", "house", "reveal", 1, 300, SALT) == "that is not what was committed to"


@pytest.mark.parametrize("change", [{"contract": "other"}, {"auction": 2}, {"salt": "5b" * 16}, {"amount": 301}])
def test_a_commitment_is_to_everything_in_it(house, change):
    open_auction(house)
    made = commitment(house, "ben", **{"amount": 300, **change})
    house.call("ben", "house", "bid", 1, made, 1_000)
    pass_height(house, "bids_until")
    assert house.refused("ben", "house", "reveal", 1, 300, SALT) == "that is not what was committed to"


@pytest.mark.parametrize("salt", ["", "5a" * 15 + "5", "5A" * 16, "5a" * 15 + "5g", "\u0665a" * 16, "5a" * 16 + ":"])
def test_a_salt_that_could_be_guessed_or_split_is_refused(house, salt):
    open_auction(house)
    house.call("ben", "house", "bid", 1, commitment(house, "ben", 300, salt=salt), 1_000)
    pass_height(house, "bids_until")
    assert house.refused("ben", "house", "reveal", 1, 300, salt) == "a salt has at least 32 lower-case hex digits"


@pytest.mark.parametrize("amount", [1_001, -1])
def test_a_bid_outside_its_deposit_does_not_count(house, amount):
    sealed(house, ben=amount)
    assert house.refused("ben", "house", "reveal", 1, amount, SALT) == "a bid lies between 0 and its deposit"
    assert standing(house) == ("", 0, 100)


# ── phases and rights ─────────────────────────────────────────────────────────────────────────────


def test_bids_end_at_a_height(house):
    open_auction(house, bids_for=4)
    house.advance(1)
    bid(house, "ben", 300)
    assert house.height < house.view("house", "auction", 1)["bids_until"]
    bid(house, "cleo", 300)
    assert house.height == house.view("house", "auction", 1)["bids_until"]
    assert house.refused("dora", "house", "bid", 1, commitment(house, "dora", 300), 1_000) == "bids are over"


def test_reveals_begin_when_bids_are_over_and_end_at_a_height(house):
    open_auction(house, bids_for=4, reveals_for=3)
    bid(house, "ben", 300)
    bid(house, "cleo", 400)
    assert house.refused("ben", "house", "reveal", 1, 300, SALT) == "it is not the time to reveal"
    pass_height(house, "bids_until")
    reveal(house, "ben", 300)
    pass_height(house, "reveals_until")
    assert house.refused("cleo", "house", "reveal", 1, 400, SALT) == "it is not the time to reveal"


def test_the_last_height_of_reveals_is_one_to_reveal_and_not_to_be_paid(house):
    sealed(house, ben=300, cleo=400)
    reveal(house, "ben", 300)
    last = house.view("house", "auction", 1)["reveals_until"]
    house.advance(last - house.height - 3)
    assert house.refused("ann", "house", "settle", 1) == "reveals are not over"
    assert house.refused("ben", "house", "claim", 1) == "reveals are not over"
    reveal(house, "cleo", 400)
    assert house.height == last
    assert house.call("ben", "house", "claim", 1) == 1_000


@pytest.mark.parametrize("method", ["settle", "claim"])
def test_nothing_is_paid_at_the_last_height_itself(house, method):
    sealed(house, ben=300)
    reveal(house, "ben", 300)
    house.advance(house.view("house", "auction", 1)["reveals_until"] - house.height - 1)
    assert house.refused("ben", "house", method, 1) == "reveals are not over"
    house.call("ben", "house", method, 1)


def test_nothing_is_paid_before_reveals_are_over(house):
    sealed(house, ben=300)
    reveal(house, "ben", 300)
    assert house.refused("ann", "house", "settle", 1) == "reveals are not over"
    assert house.refused("ben", "house", "claim", 1) == "reveals are not over"


def test_everything_is_done_once(house):
    sealed(house, ben=300)
    assert house.refused("cleo", "house", "reveal", 1, 300, SALT) == "the sender has not bid"
    reveal(house, "ben", 300)
    assert house.refused("ben", "house", "reveal", 1, 300, SALT) == "revealed already"
    pass_height(house, "reveals_until")
    house.call("ann", "house", "settle", 1)
    assert house.refused("ann", "house", "settle", 1) == "the auction is settled"
    house.call("ben", "house", "claim", 1)
    assert house.refused("ben", "house", "claim", 1) == "it was never revealed, or is claimed already"
    assert house.refused("cleo", "house", "claim", 1) == "the sender has not bid"


def test_one_bid_a_bidder_and_none_of_the_seller(house):
    open_auction(house)
    bid(house, "ben", 300, deposit=500)
    assert house.refused("ben", "house", "bid", 1, commitment(house, "ben", 400), 500) == "one bid a bidder"
    assert house.refused("ann", "house", "bid", 1, commitment(house, "ann", 400), 500) == "the seller does not bid"


@pytest.mark.parametrize(
    ("made", "deposit", "why"),
    [
        (b"", 1_000, "a commitment has 32 bytes"),
        (bytes(33), 1_000, "a commitment has 32 bytes"),
        ("00" * 32, 1_000, "bad_arguments"),
        (bytes(32), 99, "the deposit covers at least the reserve of 100"),
        (bytes(32), -1, "the deposit covers at least the reserve of 100"),
        (bytes(32), 1_001, "more than was allowed"),
    ],
)
def test_bids_out_of_shape_leave_nothing_behind(house, made, deposit, why):
    open_auction(house)
    assert house.refused("ben", "house", "bid", 1, made, deposit) == why
    assert house.view("house", "auction", 1)["bids"] == 0
    assert balances(house, "ben", "house") == [1_000, 0]


def test_a_deposit_of_exactly_the_reserve_will_do(house):
    open_auction(house)
    bid(house, "ben", 100, deposit=100)
    assert balances(house, "ben", "house") == [900, 100]


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"item": ""}, "a description has 1 to 256 characters"),
        ({"item": "x" * 257}, "a description has 1 to 256 characters"),
        ({"reserve": 0}, "a reserve is positive"),
        ({"bids": 0}, "bids end in the future, and reveals end after them"),
        ({"bids": 5, "reveals": 5}, "bids end in the future, and reveals end after them"),
    ],
)
def test_auctions_out_of_shape_are_refused(house, terms, why):
    given = {"item": "x", "reserve": 1, "bids": 5, "reveals": 6, **terms}
    now = house.height + 1
    args = [given["item"], "token", given["reserve"], now + given["bids"], now + given["reveals"]]
    assert house.refused("ann", "house", "open", *args) == why
    assert house.view("house", "count") == 0


def test_the_longest_description_fits(house):
    until = house.height + 2
    assert house.call("ann", "house", "open", "x" * 256, "token", 1, until, until + 1) == 1


def test_the_treasury_has_an_address_and_does_not_sell(house):
    assert house.refuses_deploy(Auction, "") == "a treasury has an address"
    args = ["x", "token", 1, house.height + 5, house.height + 6]
    assert house.refused("eve", "house", "open", *args) == "the treasury does not sell"


def test_the_seller_cancels_while_nobody_has_bid(house):
    open_auction(house)
    for name in ("ben", "admin"):
        assert house.refused(name, "house", "cancel", 1) == "only the seller cancels"
    house.call("ann", "house", "cancel", 1)
    assert house.events("house")[-1] == ("Cancelled", {"auction": 1})
    assert house.refused("ben", "house", "bid", 1, bytes(32), 1_000) == "the auction is cancelled"
    assert house.refused("ann", "house", "cancel", 1) == "the auction is cancelled"
    open_auction(house)
    bid(house, "ben", 300, auction=2)
    assert house.refused("ann", "house", "cancel", 2) == "somebody has bid"


def test_there_is_no_auction_but_those_that_were_opened(house):
    calls = {"bid": [bytes(32), 1], "reveal": [1, SALT], "cancel": [], "settle": [], "claim": []}
    for method, args in calls.items():
        assert house.refused("ben", "house", method, 1, *args) == "there is no such auction"
    assert house.view("house", "auction", 1) is None


def test_bids_are_listed_page_by_page(house):
    open_auction(house)
    for name in BIDDERS:
        bid(house, name, 300)
    first = house.view("house", "bids_of", 1, "", 2)
    rest = house.view("house", "bids_of", 1, first[-1][0], 2)
    assert [bidder for bidder, _ in first + rest] == sorted(house.address(name) for name in BIDDERS)
    assert house.view("house", "bids_of", 1, "", 100) == first + rest
    for limit in (0, 101):
        assert house.refuses_view("house", "bids_of", 1, "", limit) == "1 to 100 bids at once"


# ── tokens that misbehave, on a chain ─────────────────────────────────────────────────────────────

EVIL = '''
from contracts import Contract, call


class Evil(Contract):
    """A token that claims again while it pays."""

    @call
    def transfer_from(self, owner: str, to: str, amount: int) -> None:
        pass

    @call
    def transfer(self, to: str, amount: int) -> None:
        self.call("house", "claim", [1])
'''


@pytest.mark.parametrize("world", ["chain"], indirect=True)
def test_a_token_that_calls_back_finds_the_door_shut_and_harms_its_own_auction_alone(house):
    house.chain.deploy(EVIL, "evil", sender="eve")
    until = house.height + 10
    house.call("ann", "house", "open", "x", "evil", 1, until, until + 10)
    bid(house, "ben", 300)
    pass_height(house, "bids_until")
    reveal(house, "ben", 300)
    pass_height(house, "reveals_until")
    assert house.refused("ben", "house", "claim", 1) == "reentrancy"
    assert house.view("house", "bid_of", 1, house.address("ben"))["status"] == "revealed"
