"""A supply chain: who has an item, who had it before, and which documents belong to it.

A maker registers an item and is its first custodian. Custody passes by two steps: the custodian offers it to a party,
and that party accepts. So nobody is made responsible for what they never took. The maker may recall an item wherever
it is; from then on it can be offered to nobody but the maker. Documents stay outside, their SHA-256 is kept.
"""

from contracts import Contract, Event, Map, Value, Var, call, init, require, view

PAGE_MAX = 100


class MakerAdmitted(Event):
    """This party may register items now, or no longer."""

    maker: str
    admitted: bool


class OperatorChanged(Event):
    """Another says now who is a maker."""

    old: str
    new: str


class Registered(Event):
    """There is a new item, with its maker."""

    item: str
    maker: str


class Offered(Event):
    """Custody waits for `to`; the offer was withdrawn or refused where `to` is ""."""

    item: str
    custodian: str
    to: str


class HandedOver(Event):
    """Custody has passed."""

    item: str
    sender: str
    to: str


class Recalled(Event):
    """The maker wants it back."""

    item: str
    reason: str


class Attached(Event):
    """A document belongs to an item."""

    item: str
    digest: str
    by: str


class SupplyChain(Contract):
    """Items by number or serial: a maker, a custodian, a history and documents."""

    operator: Var[str]
    makers: Map[str, bool]
    items: Map[str, dict[str, Value]]
    custody: Map[tuple[str, int], dict[str, Value]]
    held: Map[tuple[str, str], bool]
    papers: Map[tuple[str, str], dict[str, Value]]

    @init
    def create(self) -> None:
        """The deployer is the operator, who says who is a maker."""
        self.operator.set(self.ctx.sender)

    @call
    def admit(self, maker: str, admitted: bool) -> None:
        """Let a party register items, or no longer. For the operator."""
        require(self.ctx.sender == self.operator.get(), "only the operator admits makers")
        require(maker != "", "a maker has an address")
        require((maker in self.makers) != admitted, "it is so already")
        if admitted:
            self.makers[maker] = True
        else:
            self.makers.pop(maker)
        self.emit(MakerAdmitted(maker=maker, admitted=admitted))

    @call
    def set_operator(self, operator: str) -> None:
        """Hand the right to admit makers to another, such as a vote. For the operator; "" gives it up for ever."""
        old = self.operator.get()
        require(self.ctx.sender == old, "only the operator hands over")
        self.operator.set(operator)
        self.emit(OperatorChanged(old=old, new=operator))

    @call
    def register(self, item: str, description: str) -> None:
        """Enter a new item under a name that is its own for ever. For makers."""
        require(self.ctx.sender in self.makers, "only makers register items")
        require(0 < len(item) <= 64, "an item's name has 1 to 64 characters")
        require(0 < len(description) <= 256, "a description has 1 to 256 characters")
        require(item not in self.items, "registered already")
        self.emit(Registered(item=item, maker=self.ctx.sender))
        entry: dict[str, Value] = {
            "maker": self.ctx.sender,
            "description": description,
            "custodian": "",
            "offered_to": "",
            "recalled": "",
            "hands": 0,
        }
        self.hand(item, entry, self.ctx.sender)

    @call
    def offer(self, item: str, to: str) -> None:
        """Offer custody to a party; another offer that was open is replaced. For the custodian."""
        entry = self.in_custody(item)
        require(to != "" and to != self.ctx.sender, "custody is offered to somebody else")
        require(entry["recalled"] == "" or to == entry["maker"], "a recalled item goes to its maker alone")
        self.set_offer(item, entry, to)

    @call
    def withdraw(self, item: str) -> None:
        """Take back an offer. For the custodian."""
        entry = self.in_custody(item)
        require(entry["offered_to"] != "", "it is not on offer")
        self.set_offer(item, entry, "")

    @call
    def accept(self, item: str) -> None:
        """Take custody. For the party that it is offered to."""
        entry = self.on_offer(item)
        custodian = entry["custodian"]
        self.held.pop((custodian, item))
        self.emit(HandedOver(item=item, sender=custodian, to=self.ctx.sender))
        self.hand(item, entry, self.ctx.sender)

    @call
    def refuse(self, item: str) -> None:
        """Decline custody, which stays where it is. For the party that it is offered to."""
        self.set_offer(item, self.on_offer(item), "")

    @call
    def recall(self, item: str, reason: str) -> None:
        """Want an item back, for ever; an offer that is open ends. For its maker, wherever the item is."""
        entry = self.known(item)
        require(self.ctx.sender == entry["maker"], "only the maker recalls an item")
        require(entry["recalled"] == "", "recalled already")
        require(0 < len(reason) <= 256, "a reason has 1 to 256 characters")
        entry["recalled"] = reason
        entry["offered_to"] = ""
        self.items[item] = entry
        self.emit(Recalled(item=item, reason=reason))

    @call
    def attach(self, item: str, digest: str, name: str) -> None:
        """Add a document by its SHA-256 (64 lower-case hex digits). For the maker and the custodian."""
        entry = self.known(item)
        require(self.ctx.sender in (entry["maker"], entry["custodian"]), "only the maker or the custodian")
        require(len(digest) == 64 and digest.strip("0123456789abcdef") == "", "a hash is 64 lower-case hex digits")
        require(0 < len(name) <= 256, "a name has 1 to 256 characters")
        require((item, digest) not in self.papers, "attached already")
        self.papers[item, digest] = {"name": name, "by": self.ctx.sender, "time": self.ctx.time}
        self.emit(Attached(item=item, digest=digest, by=self.ctx.sender))

    @view
    def item(self, name: str) -> dict[str, Value] | None:
        """Maker, description, custodian, open offer, reason of a recall, number of custodians; None where there is
        no such item."""
        return self.items.get(name)

    @view
    def is_maker(self, party: str) -> bool:
        """Whether a party may register items."""
        return party in self.makers

    @view
    def history(self, item: str, after: int, limit: int) -> list[dict[str, Value]]:
        """Who had an item, since which height and time, in order, after the first `after` of them, at most 100."""
        check_limit(limit)
        return self.custody.values(limit, prefix=(item,), after=(item, after))

    @view
    def documents(self, item: str, after: str, limit: int) -> list[tuple[str, dict[str, Value]]]:
        """The documents of an item in the order of their hashes, from the one after `after` ("" for the first)."""
        check_limit(limit)
        return [(key[1], paper) for key, paper in self.papers.items(limit, prefix=(item,), after=(item, after))]

    @view
    def held_by(self, party: str, after: str, limit: int) -> list[str]:
        """The items in a party's custody in the order of their names, from the one after `after` ("" for the first)."""
        check_limit(limit)
        return [key[1] for key in self.held.keys(limit, prefix=(party,), after=(party, after))]

    def known(self, item: str) -> dict[str, Value]:
        entry = self.items.get(item)
        require(entry is not None, "there is no such item")
        return entry

    def in_custody(self, item: str) -> dict[str, Value]:
        entry = self.known(item)
        require(self.ctx.sender == entry["custodian"], "only the custodian offers it")
        return entry

    def on_offer(self, item: str) -> dict[str, Value]:
        entry = self.known(item)
        require(self.ctx.sender == entry["offered_to"], "it is not offered to the sender")
        return entry

    def set_offer(self, item: str, entry: dict[str, Value], to: str) -> None:
        entry["offered_to"] = to
        self.items[item] = entry
        self.emit(Offered(item=item, custodian=entry["custodian"], to=to))

    def hand(self, item: str, entry: dict[str, Value], to: str) -> None:
        entry["custodian"] = to
        entry["offered_to"] = ""
        entry["hands"] += 1
        self.items[item] = entry
        self.held[to, item] = True
        self.custody[item, entry["hands"]] = {"custodian": to, "height": self.ctx.height, "time": self.ctx.time}


def check_limit(limit: int) -> None:
    require(0 < limit <= PAGE_MAX, f"1 to {PAGE_MAX} entries at once")
