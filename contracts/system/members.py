"""Who may send and who may deploy: the accounts of a network, their roles, and the parameters of its genesis.

One half of the contract `system`, written in the contract language like anybody's: every validator checks, compiles
and meters this text as it does any other, and `quorate replay --trace` shows its lines. The other half,
`contracts.system.code`, does what the language cannot: compile sources, and look whether a key is a point on a curve.
"""

from contracts import Address, Contract, Event, Interface, Map, Record, Var, call, require, view

ROLES = ("admin", "deployer", "writer", "auditor")
PAGE_MAX = 100
ADDRESS_CHARACTERS = 64  # of an account; the name of a contract is shorter, and is no account
LETTERS = "abcdefghijklmnopqrstuvwxyz"
IN_A_NAME = LETTERS + "0123456789_-"


class Account(Record):
    """What is known of a key."""

    name: str
    roles: list[str]


class Listed(Record):
    """An account in a list."""

    public_key: Address
    name: str
    roles: list[str]


class AccountSet(Event):
    """A key is an account, with this name and these roles."""

    public_key: Address
    name: str
    roles: list[str]


class AccountRemoved(Event):
    """A key is a stranger again."""

    public_key: Address
    name: str


class Keys(Interface):
    """What the other half of this contract knows of keys."""

    @view
    def is_public_key(self, key: str) -> bool:
        """Whether somebody can have made it: a point of prime order, canonically encoded."""


class Members(Contract):
    """Accounts by address, the number of admins among them, and the parameters. The genesis writes all three."""

    registered: Map[Address, Account]
    admins: Var[int]
    settings: Var[dict[str, int]]

    @call
    def set_account(self, public_key: Address, name: str, roles: list[str]) -> None:
        """Make a key a known account, or change its name and roles. For admins."""
        self.require_admin()
        require(len(public_key) == ADDRESS_CHARACTERS, "an account is named by the 64 hex digits of its public key")
        require(is_name(name), "an account's name has 1 to 63 of a-z, 0-9, _ and -, a letter first")
        ordered = [role for role in ROLES if role in roles]
        require(0 < len(ordered) == len(roles), f"roles must be some of {', '.join(ROLES)}, each once")
        before = self.registered.get(public_key)
        if before is None:
            # For points of small order anybody can sign, and libraries disagree about them.
            known = self.at(Keys, self.ctx.contract).is_public_key(public_key)
            require(known, "this is no Ed25519 public key: no point of prime order, canonically encoded")
        self.count_admins(before is not None and "admin" in before["roles"], "admin" in ordered)
        self.registered[public_key] = Account(name=name, roles=ordered)
        self.emit(AccountSet(public_key=public_key, name=name, roles=ordered))

    @call
    def remove_account(self, public_key: Address) -> None:
        """Make a key unknown: it can send nothing more. For admins; the last admin stays."""
        self.require_admin()
        require(public_key in self.registered, f"{public_key} is no account of this network")
        before = self.registered.pop(public_key)
        self.count_admins("admin" in before["roles"], False)
        self.emit(AccountRemoved(public_key=public_key, name=before["name"]))

    @view
    def account(self, public_key: str) -> Account | None:
        """The name and roles of an account, None for a stranger."""
        return self.registered.get(Address(public_key))

    @view
    def accounts(self, after: str, limit: int) -> list[Listed]:
        """Accounts by ascending public key, from the one after `after` ("" for the first), at most 100."""
        require(0 < limit <= PAGE_MAX, f"1 to {PAGE_MAX} accounts at once")
        found = self.registered.items(limit, after=Address(after) if after else None)
        return [Listed(public_key=key, name=known["name"], roles=known["roles"]) for key, known in found]

    @view
    def parameters(self) -> dict[str, int]:
        """What every member agreed on in the genesis: windows, sizes, times."""
        return self.settings.get()

    def require_admin(self) -> None:
        known = self.registered.get(self.ctx.sender)
        admin = known is not None and "admin" in known["roles"]
        require(admin, "this needs the role admin, which the sender does not have")

    def count_admins(self, before: bool, after: bool) -> None:
        """Keep the number of admins, which never falls to zero: nobody could make another."""
        if before != after:
            count = self.admins.get() + (1 if after else -1)
            require(count > 0, "this is the last admin; make another one first")
            self.admins.set(count)


def is_name(text: str) -> bool:
    return 0 < len(text) < 64 and text[0] in LETTERS and text.strip(IN_A_NAME) == ""
