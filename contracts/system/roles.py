"""What the runtime itself knows of accounts: where they lie, which roles one has, and the state at height 0.

The rules by which accounts change are `contracts.system.members`, which keeps them under these names:

    registered[address] -> {name, roles}      admins -> how many of them have the role admin
    settings -> {parameter: value}, of the genesis

An address is the lower-case hex of a public key. A contract that calls has its name for an address, which is
shorter, so it is no account and has no role.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.catalogue import SYSTEM
from contracts.keys import state_key
from ledger import codec
from ledger.types import Genesis

REGISTERED: Final = "registered"
ADMINS: Final = "admins"
SETTINGS: Final = "settings"
ROLES: Final = ("admin", "deployer", "writer", "auditor")


def roles_in(account_record: bytes | None) -> frozenset[str]:
    """The roles that an account's state value grants; an admin has every role. Empty for a stranger."""
    if account_record is None:
        return frozenset()
    roles = frozenset(codec.decode(account_record)["roles"])
    return frozenset(ROLES) if "admin" in roles else roles


def account_key(address: str) -> bytes:
    """The state key of an account."""
    return state_key(SYSTEM, REGISTERED, (address,))


def genesis_writes(genesis: Genesis) -> dict[bytes, bytes | None]:
    """The state at height 0."""
    writes: dict[bytes, bytes | None] = {}
    for entry in genesis.accounts:
        ordered = [role for role in ROLES if role in entry.roles]
        writes[account_key(entry.public_key.hex())] = codec.encode({"name": entry.name, "roles": ordered})
    admins = sum("admin" in entry.roles for entry in genesis.accounts)
    writes[state_key(SYSTEM, ADMINS, ())] = codec.encode(admins)
    settings = sorted(msgspec.structs.asdict(genesis.parameters).items())
    writes[state_key(SYSTEM, SETTINGS, ())] = codec.encode(dict(settings))
    return writes
