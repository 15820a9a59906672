"""A sealed-bid auction: nobody knows the bids until nobody can change them. The highest bid wins and pays the second.

A bidder first commits: the hash of the bid and a secret salt, with a deposit of tokens that covers the bid. When the
height `bids_until` is past, bidders reveal amount and salt until the height `reveals_until`. Then the seller gets the
price, the highest other bid or the reserve if that is more, and bidders get back what is theirs. Of equal bids the
earlier one wins. Who committed and does not reveal loses the deposit, to the treasury and not to the seller:
a seller who got it back could bid through others, and reveal only what drives the price.

The commitment is SHA-256 of the text "CONTRACT:AUCTION:BIDDER:AMOUNT:SALT": the contract's name, the auction's number,
the bidder's address, the amount in decimal digits, the salt as at least 32 lower-case hex digits. So no commitment
can be copied from another bidder or another auction, and none can be guessed.
"""

from contracts import Contract, Event, Map, Value, Var, call, init, require, sha256, view

PAGE_MAX = 100


class Opened(Event):
    """Bids are taken until a height, and revealed until another."""

    auction: int
    seller: str
    bids_until: int
    reveals_until: int


class Committed(Event):
    """Somebody has bid; how much is not known."""

    auction: int
    bidder: str
    deposit: int


class Revealed(Event):
    """A bid is known."""

    auction: int
    bidder: str
    amount: int


class Cancelled(Event):
    """The seller took it back before anybody had bid."""

    auction: int


class Settled(Event):
    """The seller has the price; `winner` is "" where no bid reached the reserve."""

    auction: int
    winner: str
    price: int
    forfeited: int


class Claimed(Event):
    """A bidder has back what is theirs."""

    auction: int
    bidder: str
    amount: int


class Auction(Contract):
    """Auctions by number, from 1 on; bids by auction and bidder."""

    treasury: Var[str]
    last: Var[int]
    auctions: Map[int, dict[str, Value]]
    bids: Map[tuple[int, str], dict[str, Value]]

    @init
    def create(self, treasury: str) -> None:
        """Say who gets the deposits of bids that are never revealed."""
        require(treasury != "", "a treasury has an address")
        self.treasury.set(treasury)

    @call
    def open(self, item: str, token: str, reserve: int, bids_until: int, reveals_until: int) -> int:
        """Put up something for tokens of one kind, and answer the auction's number. The sender is the seller."""
        require(0 < len(item) <= 256, "a description has 1 to 256 characters")
        require(reserve > 0, "a reserve is positive")
        require(self.ctx.height < bids_until < reveals_until, "bids end in the future, and reveals end after them")
        require(self.ctx.sender != self.treasury.get(), "the treasury does not sell")
        auction = self.last.get(0) + 1
        self.last.set(auction)
        self.auctions[auction] = {
            "item": item,
            "seller": self.ctx.sender,
            "token": token,
            "reserve": reserve,
            "bids_until": bids_until,
            "reveals_until": reveals_until,
            "status": "open",
            "bids": 0,
            "sealed": 0,
            "winner": "",
            "winner_order": 0,
            "highest": 0,
            "price": reserve,
        }
        self.emit(Opened(auction=auction, seller=self.ctx.sender, bids_until=bids_until, reveals_until=reveals_until))
        return auction

    @call
    def bid(self, auction: int, commitment: bytes, deposit: int) -> None:
        """Commit to one bid, once, with a deposit that covers it (`approve` of the token first, for this contract)."""
        terms = self.open_auction(auction)
        require(self.ctx.height <= terms["bids_until"], "bids are over")
        require(self.ctx.sender != terms["seller"], "the seller does not bid")
        require(len(commitment) == 32, "a commitment has 32 bytes")
        require(deposit >= terms["reserve"], f"the deposit covers at least the reserve of {terms['reserve']}")
        require((auction, self.ctx.sender) not in self.bids, "one bid a bidder")
        terms["bids"] += 1
        terms["sealed"] += deposit
        self.auctions[auction] = terms
        self.bids[auction, self.ctx.sender] = {
            "commitment": commitment,
            "deposit": deposit,
            "order": terms["bids"],
            "status": "sealed",
            "amount": 0,
        }
        self.emit(Committed(auction=auction, bidder=self.ctx.sender, deposit=deposit))
        self.call(terms["token"], "transfer_from", [self.ctx.sender, self.ctx.contract, deposit])

    @call
    def reveal(self, auction: int, amount: int, salt: str) -> None:
        """Show one's bid. A bid below the reserve cannot win, but saves the deposit."""
        terms = self.open_auction(auction)
        require(terms["bids_until"] < self.ctx.height <= terms["reveals_until"], "it is not the time to reveal")
        bid = self.bids.get((auction, self.ctx.sender))
        require(bid is not None, "the sender has not bid")
        require(bid["status"] == "sealed", "revealed already")
        require(
            len(salt) >= 32 and salt.strip("0123456789abcdef") == "", "a salt has at least 32 lower-case hex digits"
        )
        opened = f"{self.ctx.contract}:{auction}:{self.ctx.sender}:{amount}:{salt}"
        require(sha256(opened.encode()) == bid["commitment"], "that is not what was committed to")
        require(0 <= amount <= bid["deposit"], "a bid lies between 0 and its deposit")
        bid["status"] = "revealed"
        bid["amount"] = amount
        self.bids[auction, self.ctx.sender] = bid
        terms["sealed"] -= bid["deposit"]
        self.rank(terms, amount, bid["order"])
        self.auctions[auction] = terms
        self.emit(Revealed(auction=auction, bidder=self.ctx.sender, amount=amount))

    @call
    def cancel(self, auction: int) -> None:
        """Take the auction back. For the seller, before the first bid."""
        terms = self.open_auction(auction)
        require(self.ctx.sender == terms["seller"], "only the seller cancels")
        require(terms["bids"] == 0, "somebody has bid")
        terms["status"] = "cancelled"
        self.auctions[auction] = terms
        self.emit(Cancelled(auction=auction))

    @call
    def settle(self, auction: int) -> None:
        """Pay the seller the price, and the treasury what was not revealed. For anybody, once reveals are over."""
        terms = self.open_auction(auction)
        require(self.ctx.height > terms["reveals_until"], "reveals are not over")
        price = terms["price"] if terms["winner"] != "" else 0
        terms["status"] = "settled"
        self.auctions[auction] = terms
        self.emit(Settled(auction=auction, winner=terms["winner"], price=price, forfeited=terms["sealed"]))
        if price > 0:
            self.call(terms["token"], "transfer", [terms["seller"], price])
        if terms["sealed"] > 0:
            self.call(terms["token"], "transfer", [self.treasury.get(), terms["sealed"]])

    @call
    def claim(self, auction: int) -> int:
        """Get back one's deposit, less the price for the winner, and answer how much. For bidders who revealed."""
        terms = self.known(auction)
        require(self.ctx.height > terms["reveals_until"], "reveals are not over")
        bid = self.bids.get((auction, self.ctx.sender))
        require(bid is not None, "the sender has not bid")
        require(bid["status"] == "revealed", "it was never revealed, or is claimed already")
        bid["status"] = "claimed"
        self.bids[auction, self.ctx.sender] = bid
        amount: int = bid["deposit"] - (terms["price"] if self.ctx.sender == terms["winner"] else 0)
        self.emit(Claimed(auction=auction, bidder=self.ctx.sender, amount=amount))
        if amount > 0:
            self.call(terms["token"], "transfer", [self.ctx.sender, amount])
        return amount

    @view
    def auction(self, number: int) -> dict[str, Value] | None:
        """The terms of an auction and how it stands; the winner is final when reveals are over. None where there is
        none."""
        return self.auctions.get(number)

    @view
    def bid_of(self, number: int, bidder: str) -> dict[str, Value] | None:
        """Commitment, deposit, status (sealed, revealed or claimed) and revealed amount of a bid."""
        return self.bids.get((number, bidder))

    @view
    def bids_of(self, number: int, after: str, limit: int) -> list[tuple[str, dict[str, Value]]]:
        """The bids of an auction in the order of the bidders' addresses, from the one after `after` ("" for the
        first), at most 100."""
        require(0 < limit <= PAGE_MAX, f"1 to {PAGE_MAX} bids at once")
        return [(key[1], bid) for key, bid in self.bids.items(limit, prefix=(number,), after=(number, after))]

    @view
    def count(self) -> int:
        """How many auctions there have been."""
        return self.last.get(0)

    def known(self, auction: int) -> dict[str, Value]:
        terms = self.auctions.get(auction)
        require(terms is not None, "there is no such auction")
        return terms

    def open_auction(self, auction: int) -> dict[str, Value]:
        terms = self.known(auction)
        require(terms["status"] == "open", f"the auction is {terms['status']}")
        return terms

    def rank(self, terms: dict[str, Value], amount: int, order: int) -> None:
        if amount < terms["reserve"]:
            return
        ahead = amount > terms["highest"] or (amount == terms["highest"] and order < terms["winner_order"])
        if ahead:
            terms["price"] = max(terms["reserve"], terms["highest"])
            terms["winner"] = self.ctx.sender
            terms["winner_order"] = order
            terms["highest"] = amount
        else:
            terms["price"] = max(terms["price"], amount)
