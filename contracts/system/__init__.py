"""The contract `system`: who may send, who may deploy, and which code each contract has.

It is called like every other contract, with the same gas and receipts, and its state is ordinary authenticated state
under the reserved name `system`, so that accounts and code are proven like balances. One half is written in the
contract language (`members`), the other in Python (`code`); `roles` is what the runtime reads of the first.
"""

from __future__ import annotations

from contracts.system.code import PAGE_MAX, PROBLEMS_SHOWN_MAX, RESERVED_NAMES, SystemHost
from contracts.system.program import system_program
from contracts.system.roles import account_key, genesis_writes, roles_in

__all__ = [
    "PAGE_MAX",
    "PROBLEMS_SHOWN_MAX",
    "RESERVED_NAMES",
    "SystemHost",
    "account_key",
    "genesis_writes",
    "roles_in",
    "system_program",
]
