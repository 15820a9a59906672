"""An escrow: tokens that wait with the contract until the deal is done, or is off.

The payer first allows this contract to take the amount (`approve` of the token, for this contract's name), then
opens a deal. The payer or the arbiter releases it to the payee. The payee or the arbiter may refund it at any time,
and the payer once the deadline has passed. A deal is written as closed before any token moves.
"""

from contracts import Contract, Event, Map, Value, Var, call, require, view


class Opened(Event):
    """Tokens wait for the payee."""

    deal: int
    payer: str
    payee: str
    token: str
    amount: int
    deadline: int


class Closed(Event):
    """A deal is over: "released" to the payee or "refunded" to the payer."""

    deal: int
    outcome: str
    by: str


class Escrow(Contract):
    """Deals by number, from 1 on."""

    deals: Map[int, dict[str, Value]]
    last: Var[int]

    @call
    def deposit(self, payee: str, arbiter: str, token: str, amount: int, deadline: int) -> int:
        """Open a deal with tokens of the sender, and answer its number. `deadline` is a block time in milliseconds;
        `arbiter` is "" where there is none."""
        payer = self.ctx.sender
        require(payee != "" and payee != payer, "the payee is somebody else")
        require(amount > 0, "an amount is positive")
        require(deadline > self.ctx.time, "the deadline lies in the future")
        deal = self.last.get(0) + 1
        self.last.set(deal)
        self.deals[deal] = {
            "payer": payer,
            "payee": payee,
            "arbiter": arbiter,
            "token": token,
            "amount": amount,
            "deadline": deadline,
            "status": "open",
        }
        self.emit(Opened(deal=deal, payer=payer, payee=payee, token=token, amount=amount, deadline=deadline))
        self.call(token, "transfer_from", [payer, self.ctx.contract, amount])
        return deal

    @call
    def release(self, deal: int) -> None:
        """Pay the payee. For the payer and the arbiter."""
        terms = self.open_deal(deal)
        require(self.ctx.sender in (terms["payer"], terms["arbiter"]), "only the payer or the arbiter releases")
        self.close(deal, terms, "released", terms["payee"])

    @call
    def refund(self, deal: int) -> None:
        """Pay the payer back. For the payee and the arbiter, and for the payer after the deadline."""
        terms = self.open_deal(deal)
        overdue = self.ctx.time > terms["deadline"]
        agreed = self.ctx.sender in (terms["payee"], terms["arbiter"])
        require(agreed or (self.ctx.sender == terms["payer"] and overdue), "only after the deadline, or by the others")
        self.close(deal, terms, "refunded", terms["payer"])

    @view
    def deal(self, number: int) -> dict[str, Value] | None:
        """The terms and the status of a deal, None where there is none."""
        return self.deals.get(number)

    @view
    def count(self) -> int:
        """How many deals there have been."""
        return self.last.get(0)

    def open_deal(self, deal: int) -> dict[str, Value]:
        terms = self.deals.get(deal)
        require(terms is not None, "there is no such deal")
        require(terms["status"] == "open", "the deal is closed")
        return terms

    def close(self, deal: int, terms: dict[str, Value], outcome: str, to: str) -> None:
        terms["status"] = outcome
        self.deals[deal] = terms
        self.emit(Closed(deal=deal, outcome=outcome, by=self.ctx.sender))
        self.call(terms["token"], "transfer", [to, terms["amount"]])
