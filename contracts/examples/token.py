"""A fungible token: balances, allowances, and an owner who may mint.

Amounts are whole numbers of the smallest unit. An address is the hex public key of an account, or the name of a
contract: what `self.ctx.sender` is when it calls.
"""

from contracts import Contract, Event, Map, Var, call, init, require, view


class Transfer(Event):
    """Tokens moved. Minted tokens come from "", burnt ones go to ""."""

    sender: str
    to: str
    amount: int


class Approval(Event):
    """`owner` lets `spender` take up to `amount`."""

    owner: str
    spender: str
    amount: int


class OwnerChanged(Event):
    """Another may mint now."""

    old: str
    new: str


class Token(Contract):
    """A fungible token with one owner."""

    name: Var[str]
    symbol: Var[str]
    owner: Var[str]
    supply: Var[int]
    balances: Map[str, int]
    allowances: Map[tuple[str, str], int]

    @init
    def create(self, name: str, symbol: str, supply: int) -> None:
        """The deployer owns the token, and the first supply."""
        require(0 < len(name) <= 64, "a name has 1 to 64 characters")
        require(0 < len(symbol) <= 12, "a symbol has 1 to 12 characters")
        require(supply >= 0, "a supply is not negative")
        self.name.set(name)
        self.symbol.set(symbol)
        self.owner.set(self.ctx.sender)
        self.supply.set(supply)
        if supply > 0:
            self.balances[self.ctx.sender] = supply
            self.emit(Transfer(sender="", to=self.ctx.sender, amount=supply))

    @call
    def transfer(self, to: str, amount: int) -> None:
        """Give of one's own."""
        self.move(self.ctx.sender, to, amount)

    @call
    def approve(self, spender: str, amount: int) -> None:
        """Let another take up to `amount` of one's own; it replaces what was allowed before."""
        require(amount >= 0, "an allowance is not negative")
        require(spender != "", "nobody to allow it to")
        if amount == 0:
            self.allowances.pop((self.ctx.sender, spender), 0)
        else:
            self.allowances[self.ctx.sender, spender] = amount
        self.emit(Approval(owner=self.ctx.sender, spender=spender, amount=amount))

    @call
    def transfer_from(self, owner: str, to: str, amount: int) -> None:
        """Give of what another has allowed."""
        allowed = self.allowances.get((owner, self.ctx.sender), 0)
        require(allowed >= amount, "more than was allowed")
        if allowed == amount:
            self.allowances.pop((owner, self.ctx.sender), 0)
        else:
            self.allowances[owner, self.ctx.sender] = allowed - amount
        self.move(owner, to, amount)

    @call
    def mint(self, to: str, amount: int) -> None:
        """Make new tokens. For the owner."""
        require(self.ctx.sender == self.owner.get(), "only the owner mints")
        require(amount > 0, "an amount is positive")
        require(to != "", "nobody to give it to")
        self.supply.set(self.supply.get() + amount)
        self.balances[to] = self.balances.get(to, 0) + amount
        self.emit(Transfer(sender="", to=to, amount=amount))

    @call
    def burn(self, amount: int) -> None:
        """Destroy of one's own."""
        require(amount > 0, "an amount is positive")
        self.take(self.ctx.sender, amount)
        self.supply.set(self.supply.get() - amount)
        self.emit(Transfer(sender=self.ctx.sender, to="", amount=amount))

    @call
    def set_owner(self, owner: str) -> None:
        """Hand the right to mint to another. For the owner; "" gives it up for ever."""
        old = self.owner.get()
        require(self.ctx.sender == old, "only the owner hands over")
        self.owner.set(owner)
        self.emit(OwnerChanged(old=old, new=owner))

    @view
    def balance_of(self, account: str) -> int:
        """What an account has."""
        return self.balances.get(account, 0)

    @view
    def allowance(self, owner: str, spender: str) -> int:
        """What `spender` may still take from `owner`."""
        return self.allowances.get((owner, spender), 0)

    @view
    def total_supply(self) -> int:
        """All there is."""
        return self.supply.get()

    @view
    def info(self) -> dict[str, str]:
        """Name, symbol and owner."""
        return {"name": self.name.get(), "symbol": self.symbol.get(), "owner": self.owner.get()}

    def move(self, sender: str, to: str, amount: int) -> None:
        require(amount > 0, "an amount is positive")
        require(to != "", "nobody to give it to")
        self.take(sender, amount)
        self.balances[to] = self.balances.get(to, 0) + amount
        self.emit(Transfer(sender=sender, to=to, amount=amount))

    def take(self, sender: str, amount: int) -> None:
        balance = self.balances.get(sender, 0)
        require(balance >= amount, "insufficient balance")
        if balance == amount:
            self.balances.pop(sender, 0)
        else:
            self.balances[sender] = balance - amount
