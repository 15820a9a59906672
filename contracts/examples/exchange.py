"""An exchange: one token for another at the posted rate, less a fee, from what its owner has put in.

The owner posts the rate: how many of the token that is sold one of the token that is paid in brings. A buyer names the
least that must come out, so that a rate posted a moment before cannot surprise. What comes out is rounded down, what
the fee keeps is rounded up. Every rate stays readable with the time from which it held.
"""

from contracts import Address, Contract, Decimal, Event, Interface, Map, Value, Var, call, init, require, view

PAGE_MAX = 100
FEE_MAX = Decimal("0.1")


class Token(Interface):
    """What the exchange needs of either token."""

    @call
    def transfer(self, to: Address, amount: int) -> None: ...

    @call
    def transfer_from(self, owner: Address, to: Address, amount: int) -> None: ...

    @view
    def balance_of(self, account: Address) -> int: ...


class Posted(Event):
    """From now on this is the rate."""

    rate: Decimal


class Exchanged(Event):
    """Somebody paid in, and was paid out at this rate."""

    buyer: Address
    paid: int
    received: int
    rate: Decimal


class Exchange(Contract):
    """Two tokens, a fee, and the rates so far by the time from which they held."""

    owner: Var[Address]
    paid: Var[Address]
    sold: Var[Address]
    fee: Var[Decimal]
    rates: Map[int, Decimal]

    @init
    def create(self, paid: Address, sold: Address, fee: Decimal) -> None:
        """`paid` and `sold` are names of tokens; `fee` is the part of what comes out that is kept, 0.003 for 0.3 %."""
        require(paid != sold, "a token is not exchanged for itself")
        require(0 <= fee <= FEE_MAX, f"a fee lies from 0 to {FEE_MAX}")
        self.owner.set(self.ctx.sender)
        self.paid.set(paid)
        self.sold.set(sold)
        self.fee.set(fee)

    @call
    def post(self, rate: Decimal) -> None:
        """Let a rate hold from now on. For the owner."""
        self.only_owner()
        require(rate > 0, "a rate is positive")
        self.rates[self.ctx.time] = rate
        self.emit(Posted(rate=rate))

    @call
    def buy(self, amount: int, least: int) -> int:
        """Pay in `amount`, which this contract was allowed to take; answers what came out, at least `least`."""
        require(amount > 0, "an amount is positive")
        rate = self.rate()
        received = self.out_of(amount, rate)
        require(received >= least and received > 0, f"{received} would come out, at a rate of {rate}")
        require(received <= self.stock(), "the exchange has not so much")
        self.emit(Exchanged(buyer=self.ctx.sender, paid=amount, received=received, rate=rate))
        self.at(Token, self.paid.get()).transfer_from(self.ctx.sender, self.ctx.contract, amount)
        self.at(Token, self.sold.get()).transfer(self.ctx.sender, received)
        return received

    @call
    def withdraw(self, token: Address, amount: int) -> None:
        """Take out what is there of a token. For the owner."""
        self.only_owner()
        self.at(Token, token).transfer(self.owner.get(), amount)

    @view
    def quote(self, amount: int) -> int:
        """What `amount` would bring now."""
        return self.out_of(amount, self.rate())

    @view
    def rate(self) -> Decimal:
        """The rate that holds."""
        rates = self.rates.values(1, reverse=True)
        require(len(rates) == 1, "there is no rate yet")
        return rates[0]

    @view
    def rate_at(self, time: int) -> Decimal | None:
        """The rate that held at a time in milliseconds, None before the first."""
        rates = self.rates.values(1, last=time, reverse=True)
        return rates[0] if rates else None

    @view
    def history(self, before: int | None, limit: int) -> list[tuple[int, Decimal]]:
        """Rates with the times from which they held, the newest first; `before` is the last time of a page before."""
        require(0 < limit <= PAGE_MAX, f"a page has 1 to {PAGE_MAX} rates")
        return self.rates.items(limit, before=before, reverse=True)

    @view
    def stock(self) -> int:
        """What the exchange has to sell."""
        return self.at(Token, self.sold.get()).balance_of(self.ctx.contract)

    @view
    def terms(self) -> dict[str, Value]:
        """Who owns it, which tokens, which fee."""
        tokens = {"paid": self.paid.get(), "sold": self.sold.get()}
        return tokens | {"owner": self.owner.get(), "fee": self.fee.get()}

    def out_of(self, amount: int, rate: Decimal) -> int:
        gross = (amount * rate).floor(6)
        return int(gross - (gross * self.fee.get()).ceil(6))

    def only_owner(self) -> None:
        require(self.ctx.sender == self.owner.get(), "only the owner does this")
