"""A chain on a laptop, for the tests of contract authors: named accounts, blocks at will, gas and events at hand.

It runs the very engine, checker, system contract and interpreter of a validator, over a state in memory; what is left
out is the consensus and the signatures. Time and heights move only when told to, so a test is the same every time.

    chain = LocalChain("alice", "bob")
    chain.deploy(Token, "token", "Acme", "ACM", 1_000, sender="alice")
    chain.call("alice", "token", "transfer", chain.address("bob"), 10)
    assert chain.view("token", "balance_of", chain.address("bob")) == 10
    refused = chain.call("bob", "token", "transfer", chain.address("alice"), 11, check=False)
    assert (refused.code, refused.message) == ("failed", "insufficient balance")

Under pytest the fixture `new_chain` makes such chains. Their contracts are run by Python itself, where breakpoints and
coverage work; `pytest --contracts=interpreter` runs the same tests as a validator would, with gas, and
`--contracts=both` runs everything twice and fails where the two differ.
"""

from __future__ import annotations

from contracts.testing.chain import ADMIN, BLOCK_TIME_MS, GAS_LIMIT, GENESIS_TIME_MS, MEMBER_ROLES, LocalChain, NewChain
from contracts.testing.gas_report import GasReport, GasUnknown, MethodGas
from contracts.testing.outcomes import CallFailed, Event, Outcome
from contracts.testing.sources import source_text
from contracts.testing.twin import Disagreement

__all__ = [
    "ADMIN",
    "BLOCK_TIME_MS",
    "GAS_LIMIT",
    "GENESIS_TIME_MS",
    "MEMBER_ROLES",
    "CallFailed",
    "Disagreement",
    "Event",
    "GasReport",
    "GasUnknown",
    "LocalChain",
    "MethodGas",
    "NewChain",
    "Outcome",
    "source_text",
]
