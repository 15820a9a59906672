"""A chain on a laptop, for the tests of contract authors: named accounts, blocks at will, gas and events at hand.

It runs the very engine, checker and interpreter of a validator, over a state in memory; what is left out is the
consensus and the signatures. Time and heights move only when told to, so a test is the same every time.

    chain = LocalChain("alice", "bob")
    chain.deploy(Token, "token", "Acme", 1_000, sender="alice")
    chain.call("alice", "token", "transfer", chain.address("bob"), 10)
    assert chain.view("token", "balance_of", chain.address("bob")) == 10
    refused = chain.call("bob", "token", "transfer", chain.address("alice"), 11, check=False)
    assert (refused.code, refused.message) == ("failed", "insufficient balance")
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts import codes
from contracts.decimal import plain
from contracts.engine import Engine
from contracts.memory import MemoryState
from contracts.queries import ContractInfo
from contracts.storage import StateStore
from ledger import codec
from ledger.crypto import SigningKey
from ledger.types import (
    Account,
    Call,
    Genesis,
    Parameters,
    Receipt,
    Transaction,
    TransactionBody,
    Validator,
    ValidatorSet,
)

ADMIN: Final = "admin"
GENESIS_TIME_MS: Final = 1_700_000_000_000
BLOCK_TIME_MS: Final = 1_000
GAS_LIMIT: Final = 50_000_000
MEMBER_ROLES: Final = ("deployer", "writer")


@dataclass(frozen=True, slots=True)
class Event:
    """What a contract emitted."""

    contract: str
    name: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A receipt with its values decoded. `result` is that of the last call, None after a failure."""

    code: str
    message: str
    contract: str
    line: int
    gas_used: int
    height: int
    transaction_id: str
    results: tuple[Any, ...]
    events: tuple[Event, ...]

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == codes.OK

    @property
    def result(self) -> Any:
        """What the (last) call returned."""
        return self.results[-1] if self.results else None


class CallFailed(AssertionError):
    """A call or a view failed that the test expected to succeed; it has the code, the message and the line."""

    def __init__(self, what: str, code: str, message: str, contract: str, line: int) -> None:
        where = f" ({contract or 'contract'}, line {line})" if line else ""
        super().__init__(f"{what}: {code}: {message}{where}")
        self.code = code
        self.message = message
        self.line = line


class LocalChain:
    """A chain of one. The names given are accounts with the roles deployer and writer; `admin` is there always.

    `events` are all events so far; `gas` lists the gas of successful calls by "contract.method".
    """

    def __init__(self, *members: str, parameters: Parameters | None = None, state: StateStore | None = None) -> None:
        self.events: list[Event] = []
        self.gas: dict[str, list[int]] = {}
        self.time_ms = GENESIS_TIME_MS
        self._keys = {name: _key_of(name) for name in (ADMIN, *members)}
        self._salt = 0
        self._genesis = self._make_genesis(members, parameters or Parameters())
        self.engine = Engine(state or MemoryState(), self._genesis)
        self.engine.initialise()

    # ── who ───────────────────────────────────────────────────────────────────────────────────────

    def address(self, name: str) -> str:
        """The address of an account, as contracts see it: its public key in hex."""
        return self._key(name).public_key.hex()

    def add_account(self, name: str, *roles: str) -> str:
        """Make another account, with the roles deployer and writer unless told otherwise, and give its address."""
        address = self.add_stranger(name)
        self.call(ADMIN, "system", "set_account", address, name, list(roles or MEMBER_ROLES))
        return address

    def add_stranger(self, name: str) -> str:
        """A key with a name here that the chain knows nothing of, and its address."""
        self._keys.setdefault(name, _key_of(name))
        return self.address(name)

    # ── what ──────────────────────────────────────────────────────────────────────────────────────

    def deploy(
        self, source: str | type | Path, name: str, *args: Any, sender: str = ADMIN, check: bool = True
    ) -> Outcome:
        """Deploy a contract (its source text, its class, or its file) with arguments for its init."""
        return self.call(sender, "system", "deploy", name, source_text(source), list(args), check=check)

    def upgrade(self, source: str | type | Path, name: str, *, sender: str = ADMIN, check: bool = True) -> Outcome:
        """Give a contract new code."""
        return self.call(sender, "system", "upgrade", name, source_text(source), check=check)

    def call(
        self, sender: str, contract: str, method: str, *args: Any, gas_limit: int = GAS_LIMIT, check: bool = True
    ) -> Outcome:
        """One call in a transaction and a block of its own. Raises `CallFailed` unless `check` is False."""
        outcome = self.transact(sender, (contract, method, *args), gas_limit=gas_limit, check=check)
        if outcome.ok:
            self.gas.setdefault(f"{contract}.{method}", []).append(outcome.gas_used)
        return outcome

    def transact(self, sender: str, *calls: tuple[Any, ...], gas_limit: int = GAS_LIMIT, check: bool = True) -> Outcome:
        """Calls, each (contract, method, *args), that succeed or fail together."""
        (outcome,) = self.block(self.sign(sender, *calls, gas_limit=gas_limit))
        if check and not outcome.ok:
            what = " + ".join(f"{contract}.{method}" for contract, method, *_ in calls)
            raise CallFailed(what, outcome.code, outcome.message, outcome.contract, outcome.line)
        return outcome

    def view(self, contract: str, method: str, *args: Any, sender: str = ADMIN, height: int | None = None) -> Any:
        """What a view returns, now or at an earlier height. Raises `CallFailed`."""
        key = self._key(sender).public_key
        answer = self.engine.view(contract, method, codec.encode(plain(list(args))), key, height)
        if answer.code != codes.OK:
            raise CallFailed(f"{contract}.{method}", answer.code, answer.message, contract, answer.line)
        return codec.decode(answer.value)

    def state(self, contract: str, variable: str, *key: Any) -> Any:
        """A value of a contract's state as it is stored, None where there is none."""
        found = self.engine.state_value(contract, codec.encode([variable, *key]))
        return codec.decode(found.value) if found.present else None

    def contract(self, name: str) -> ContractInfo | None:
        """What the chain knows of a contract: source, interface, owner, version."""
        return self.engine.contract(name)

    # ── when ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def height(self) -> int:
        """The height of the newest block."""
        return self.engine.height

    def advance(self, heights: int = 1, ms: int = 0) -> None:
        """Let `heights` empty blocks and `ms` milliseconds pass, besides the second that each block takes."""
        self.time_ms += ms
        for _ in range(heights):
            self.block()

    # ── blocks ────────────────────────────────────────────────────────────────────────────────────

    def sign(self, sender: str, *calls: tuple[Any, ...], gas_limit: int = GAS_LIMIT) -> bytes:
        """A transaction for `block`. Its signature is blank: the validator checks signatures, the engine does not."""
        self._salt += 1
        body = TransactionBody(
            chain_id=self._genesis.chain_id,
            sender=self._key(sender).public_key,
            calls=tuple(Call(contract, method, codec.encode(plain(list(args)))) for contract, method, *args in calls),
            gas_limit=gas_limit,
            valid_until=self.height + self._genesis.parameters.validity_window,
            salt=self._salt.to_bytes(16, "big"),
        )
        return Transaction(body, bytes(64)).encode()

    def block(self, *transactions: bytes) -> list[Outcome]:
        """Execute and seal one block; the outcomes of those that were executed."""
        self.time_ms += BLOCK_TIME_MS
        executed = self.engine.execute(self.height + 1, self.time_ms, transactions)
        self.engine.mark_sealed(executed.height)
        outcomes = [_outcome_of(codec.decode(raw, Receipt)) for raw in executed.receipts]
        self.events.extend(event for outcome in outcomes for event in outcome.events)
        return outcomes

    def events_of(self, contract: str, name: str = "") -> list[Event]:
        """The events of a contract so far, of one name if given."""
        return [event for event in self.events if event.contract == contract and name in ("", event.name)]

    # ── within ────────────────────────────────────────────────────────────────────────────────────

    def _key(self, name: str) -> SigningKey:
        if name not in self._keys:
            raise KeyError(f"no account {name!r} here, there are: {', '.join(self._keys)}; add_account makes one")
        return self._keys[name]

    def _make_genesis(self, members: Sequence[str], parameters: Parameters) -> Genesis:
        def account(name: str, roles: tuple[str, ...]) -> Account:
            return Account(name, self._key(name).public_key, roles)

        validators = ValidatorSet((Validator("local", self._key(ADMIN).public_key, 1, b""),))
        accounts = (account(ADMIN, ("admin",)), *(account(name, MEMBER_ROLES) for name in members))
        return Genesis(1, "local", GENESIS_TIME_MS, parameters, validators, accounts)


def source_text(source: str | type | Path) -> str:
    """The text of a contract that is given as text, as a class or as a file."""
    if isinstance(source, type):
        file = inspect.getsourcefile(source)
        if file is None:
            raise ValueError(f"the source file of {source.__name__} is not known; give its path")
        return Path(file).read_text(encoding="utf-8")
    if isinstance(source, Path) or (source.endswith(".py") and "\n" not in source):
        return Path(source).read_text(encoding="utf-8")
    return source


def _key_of(name: str) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(b"quorate local chain " + name.encode()).digest())


def _outcome_of(receipt: Receipt) -> Outcome:
    return Outcome(
        code=receipt.code,
        message=receipt.message,
        contract=receipt.contract,
        line=receipt.line,
        gas_used=receipt.gas_used,
        height=receipt.height,
        transaction_id=receipt.transaction_id.hex(),
        results=tuple(codec.decode(result) for result in receipt.results),
        events=tuple(Event(event.contract, event.name, codec.decode(event.fields)) for event in receipt.events),
    )
