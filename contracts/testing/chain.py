"""`LocalChain`: a chain of one in memory, with accounts by name, blocks at will, snapshots, and gas.

It assembles and keeps time; contracts are run by the engine of a validator, with the interpreter, with Python, or both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from contracts import codes
from contracts.block import BlockOutcome
from contracts.decimal import plain
from contracts.engine import Engine
from contracts.memory import MemoryState
from contracts.queries import ContractInfo, ViewOutcome
from contracts.storage import StateStore
from contracts.testing.gas_report import GasReport, GasUnknown
from contracts.testing.outcomes import CallFailed, Event, Outcome, outcome_of
from contracts.testing.python_programs import PythonPrograms
from contracts.testing.sources import source_file, source_text
from contracts.testing.twin import Twin
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

Mode = Literal["python", "interpreter", "both"]
"""What runs contracts: Python itself, the interpreter of a validator, or both, held against each other."""

MODES: Final = ("python", "interpreter", "both")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A moment of one chain, to go back to with `revert`."""

    chain: LocalChain
    states: tuple[MemoryState, ...]
    time_ms: int
    events: tuple[Event, ...]


class NewChain(Protocol):
    """The fixture `new_chain`: makes a chain in the mode that the command line of pytest says, or in the one given."""

    def __call__(self, *members: str, parameters: Parameters | None = None, mode: Mode | None = None) -> LocalChain:
        """A chain with these accounts."""
        ...


class LocalChain:
    """A chain of one. The names given are accounts with the roles deployer and writer; `admin` is there always.

    `mode` says what runs contracts. `events` are all events so far; `gas` lists the gas of successful calls, views and
    deployments by "contract.method" and "deploy contract", and stays empty where Python runs them.
    """

    def __init__(
        self,
        *members: str,
        parameters: Parameters | None = None,
        state: StateStore | None = None,
        mode: Mode = "interpreter",
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"a chain's mode is one of {', '.join(MODES)}, not {mode!r}")
        if state is not None and mode == "both":
            raise ValueError("a chain that runs everything twice needs a state of its own for each: leave out `state`")
        self.mode: Mode = mode
        self.events: list[Event] = []
        self.gas: dict[str, list[int]] = {}
        self.time_ms = GENESIS_TIME_MS
        self._keys = {name: _key_of(name) for name in (ADMIN, *members)}
        self._salt = 0
        self._genesis = self._make_genesis(members, parameters or Parameters())
        self._programs = PythonPrograms()
        self._open(state or MemoryState(), MemoryState() if mode == "both" else None)

    def _open(self, state: StateStore, twin: MemoryState | None) -> None:
        compiled = self._programs.compile
        self._state = state
        self.engine = Engine(state, self._genesis, compiled if self.mode == "python" else None)
        self.engine.initialise()
        self._twin = None if twin is None else Twin(Engine(twin, self._genesis, compiled), twin)
        if self._twin is not None:
            self._twin.engine.initialise()

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
        outcome = self.transact(sender, ("system", "deploy", name, self._source(source), list(args)), check=check)
        return self._counted(f"deploy {name}", outcome)

    def upgrade(self, source: str | type | Path, name: str, *, sender: str = ADMIN, check: bool = True) -> Outcome:
        """Give a contract new code."""
        outcome = self.transact(sender, ("system", "upgrade", name, self._source(source)), check=check)
        return self._counted(f"upgrade {name}", outcome)

    def _source(self, source: str | type | Path) -> str:
        text = source_text(source)
        self._programs.expect(text, source, source_file(source))
        return text

    def call(
        self, sender: str, contract: str, method: str, *args: Any, gas_limit: int = GAS_LIMIT, check: bool = True
    ) -> Outcome:
        """One call in a transaction and a block of its own. Raises `CallFailed` unless `check` is False."""
        outcome = self.transact(sender, (contract, method, *args), gas_limit=gas_limit, check=check)
        return self._counted(f"{contract}.{method}", outcome)

    def transact(self, sender: str, *calls: tuple[Any, ...], gas_limit: int = GAS_LIMIT, check: bool = True) -> Outcome:
        """Calls, each (contract, method, *args), that succeed or fail together."""
        (outcome,) = self.block(self.sign(sender, *calls, gas_limit=gas_limit))
        if check and not outcome.ok:
            what = " + ".join(f"{contract}.{method}" for contract, method, *_ in calls)
            failed = CallFailed(what, outcome.code, outcome.message, outcome.contract, outcome.line)
            raise failed from self._programs.error
        return outcome

    def view(self, contract: str, method: str, *args: Any, sender: str = ADMIN, height: int | None = None) -> Any:
        """What a view returns, now or at an earlier height. Raises `CallFailed`."""
        what = f"{contract}.{method}"
        self._programs.error = None
        answer = self._asked(self.engine, contract, method, args, sender, height)
        if self._twin is not None and answer.code != codes.OUT_OF_GAS:
            self._twin.check_view(what, self._asked(self._twin.engine, contract, method, args, sender, height), answer)
        if answer.code != codes.OK:
            raise CallFailed(what, answer.code, answer.message, contract, answer.line) from self._programs.error
        if self.mode != "python":
            self.gas.setdefault(what, []).append(answer.gas_used)
        return codec.decode(answer.value)

    def _asked(
        self, engine: Engine, contract: str, method: str, args: Sequence[Any], sender: str, height: int | None
    ) -> ViewOutcome:
        return engine.view(contract, method, codec.encode(plain(list(args))), self._key(sender).public_key, height)

    def state(self, contract: str, variable: str, *key: Any) -> Any:
        """A value of a contract's state as it is stored, None where there is none."""
        found = self.engine.state_value(contract, codec.encode([variable, *key]))
        return codec.decode(found.value) if found.present else None

    def contract(self, name: str) -> ContractInfo | None:
        """What the chain knows of a contract: source, interface, owner, version."""
        return self.engine.contract(name)

    # ── gas ───────────────────────────────────────────────────────────────────────────────────────

    def gas_report(self) -> GasReport:
        """Gas by method, to print or to assert on: `chain.gas_report()["token.transfer"].most`.

        Raises `GasUnknown` where Python runs the contracts.
        """
        if self.mode == "python":
            raise GasUnknown
        return GasReport(self.gas)

    def _counted(self, name: str, outcome: Outcome) -> Outcome:
        if outcome.ok and outcome.gas is not None:
            self.gas.setdefault(name, []).append(outcome.gas)
        return outcome

    # ── when ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def height(self) -> int:
        """The height of the newest block."""
        return self.engine.height

    def advance(self, heights: int = 1, ms: int = 0, *, seconds: int = 0) -> None:
        """Let `heights` empty blocks pass, and this time, besides the second that each block takes."""
        if heights < 0 or ms < 0 or seconds < 0:
            raise ValueError("time goes forward only: take a snapshot before, and revert to it")
        self.time_ms += ms + 1_000 * seconds
        for _ in range(heights):
            self.block()

    def advance_to(self, *, height: int | None = None, time_ms: int | None = None) -> None:
        """Let empty blocks pass until the newest has this height, and at least this time."""
        blocks = 1 if height is None else height - self.height
        late = 0 if time_ms is None else time_ms - (self.time_ms + BLOCK_TIME_MS * blocks)
        if blocks < 1 or (time_ms is not None and time_ms <= self.time_ms):
            raise ValueError(f"the chain is at height {self.height} and time {self.time_ms}: it goes forward only")
        self.advance(blocks, ms=max(0, late))

    def snapshot(self) -> Snapshot:
        """This moment, to come back to with `revert` as often as you like."""
        states = [self._state] if self._twin is None else [self._state, self._twin.state]
        copies = [state.copy() for state in states if isinstance(state, MemoryState)]
        if len(copies) != len(states):
            raise TypeError("only a chain whose state is in memory has snapshots: leave out `state`")
        return Snapshot(self, tuple(copies), self.time_ms, tuple(self.events))

    def revert(self, snapshot: Snapshot) -> None:
        """Make state, height, time and events what they were. Gas that was measured and names of accounts stay."""
        if snapshot.chain is not self:
            raise ValueError("this snapshot is of another chain")
        copies = [state.copy() for state in snapshot.states]
        self._open(copies[0], copies[1] if len(copies) > 1 else None)
        for engine in (self.engine, *([] if self._twin is None else [self._twin.engine])):
            engine.mark_sealed(engine.height)
        self.time_ms = snapshot.time_ms
        self.events = list(snapshot.events)

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
        executed = self._execute(transactions)
        has_gas = self.mode != "python"
        outcomes = [outcome_of(codec.decode(raw, Receipt), has_gas) for raw in executed.receipts]
        self.events.extend(event for outcome in outcomes for event in outcome.events)
        return outcomes

    def _execute(self, transactions: Sequence[bytes]) -> BlockOutcome:
        self._programs.error = None
        height = self.height + 1
        executed = self.engine.execute(height, self.time_ms, transactions)
        self.engine.mark_sealed(height)
        if self._twin is not None:
            assert isinstance(self._state, MemoryState), "a chain that runs everything twice makes its own states"
            self._twin.follow(height, self.time_ms, transactions, executed, self._state)
        return executed

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


def _key_of(name: str) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(b"quorate local chain " + name.encode()).digest())
