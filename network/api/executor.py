"""What the validator, a gateway and a snapshot ask the executor, what they are answered, and the gateway's interface.

A request is one tagged struct, encoded; its answer is the type named beside it. Some only the validator may ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

STATE_DAMAGED = "state_damaged"  # its code for a state that it deletes, to begin with an empty one by itself

# ── answers ───────────────────────────────────────────────────────────────────────────────────────


class ViewOutcome(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a view call at a sealed height. `code` is "ok" or a stable error code; `value` is encoded."""

    code: str
    message: str
    line: int
    value: bytes
    gas_used: int
    height: int


class MethodInterface(msgspec.Struct, frozen=True, array_like=True):
    """A method of a contract: `kind` is "init", "call" or "view"; parameters are (name, type as written)."""

    name: str
    kind: str
    parameters: tuple[tuple[str, str], ...]
    returns: str
    doc: str


class ContractInfo(msgspec.Struct, frozen=True, array_like=True):
    """A deployed contract. `source` is empty in listings.

    `owner` is the public key of the deployer, empty for the system contract.
    """

    name: str
    code_hash: bytes
    owner: bytes
    height: int
    version: int
    source: str
    doc: str
    methods: tuple[MethodInterface, ...]
    state: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


class StateAnswer(msgspec.Struct, frozen=True, array_like=True):
    """A state value at a height with its proof. `present` is False for a proven absence (`value` is empty then)."""

    key: bytes
    present: bool
    value: bytes
    proof: bytes
    height: int
    state_root: bytes


class ExecutorStatus(msgspec.Struct, frozen=True, array_like=True):
    """How the executor stands. `sandbox` names the protections in force; `unprotected` those missing, and why."""

    height: int
    state_root: bytes
    contracts: int
    sandbox: tuple[str, ...]
    unprotected: tuple[tuple[str, str], ...] = ()


class Frozen(msgspec.Struct, frozen=True, array_like=True):
    """A state that the executor keeps still for a snapshot: what to call it, and which it is."""

    name: str
    height: int
    state_root: bytes


class ScrubbedState(msgspec.Struct, frozen=True, array_like=True):
    """Some rows of the state, read again. `after` is where to go on, empty at the end; `fault` a sentence or empty.

    `took_s` is the processor's time that it took.
    """

    after: bytes
    bytes_read: int
    took_s: float
    size_bytes: int
    height: int
    state_root: bytes
    fault: str


class ExecutionOutcome(msgspec.Struct, frozen=True, array_like=True):
    """What executing one ordered batch gave. `executed` indexes the batch's transactions; the rest were skipped.

    `returned` are the indexes that did not fit the block's gas: they go back to the mempool.
    """

    height: int
    executed: tuple[int, ...]
    returned: tuple[int, ...]
    receipts: tuple[bytes, ...]
    transactions_root: bytes
    receipts_root: bytes
    state_root: bytes
    gas_used: int


# ── requests ──────────────────────────────────────────────────────────────────────────────────────


class Execute(msgspec.Struct, frozen=True, array_like=True, tag="execute"):
    """Only from the validator. -> ExecutionOutcome. `height` must be the executor's height plus one."""

    height: int
    time_ms: int
    transactions: tuple[bytes, ...]


class MarkSealed(msgspec.Struct, frozen=True, array_like=True, tag="sealed"):
    """Only from the validator: reads may serve heights up to this one, versions below may be pruned. -> None"""

    height: int


class Forget(msgspec.Struct, frozen=True, array_like=True, tag="forget"):
    """Only from the validator: the state contradicts the block store. -> None; it is deleted, and the executor ends."""


class GetExecutorStatus(msgspec.Struct, frozen=True, array_like=True, tag="executor_status"):
    """-> ExecutorStatus"""


class View(msgspec.Struct, frozen=True, array_like=True, tag="view"):
    """-> ViewOutcome. `args` encodes the argument list; height None means the last sealed."""

    contract: str
    method: str
    args: bytes
    sender: bytes
    height: int | None = None


class GetContracts(msgspec.Struct, frozen=True, array_like=True, tag="contracts"):
    """-> list[ContractInfo] without source"""


class GetContract(msgspec.Struct, frozen=True, array_like=True, tag="contract"):
    """-> ContractInfo | None"""

    name: str


class GetState(msgspec.Struct, frozen=True, array_like=True, tag="state"):
    """-> StateAnswer for `contract`'s state variable `path[0]` with Map keys `path[1:]`, as encoded list of values."""

    contract: str
    path: bytes
    height: int | None = None


class KnownSenders(msgspec.Struct, frozen=True, array_like=True, tag="known_senders"):
    """-> list[bool]: which of these keys may send transactions at the last sealed height."""

    public_keys: tuple[bytes, ...]


class FreezeState(msgspec.Struct, frozen=True, array_like=True, tag="freeze_state"):
    """-> Frozen: the state of a height that the interval for snapshots kept, or the present one for height 0."""

    height: int


class ReadFrozen(msgspec.Struct, frozen=True, array_like=True, tag="read_frozen"):
    """-> list[tuple[bytes, bytes]]: entries of a frozen state not below `start`, in order; none at the end."""

    name: str
    height: int
    start: bytes


class ThawState(msgspec.Struct, frozen=True, array_like=True, tag="thaw_state"):
    """-> None: a frozen state is needed no longer."""

    name: str
    height: int


class ScrubState(msgspec.Struct, frozen=True, array_like=True, tag="scrub_state"):
    """Only from the validator. -> ScrubbedState: a few rows from `after` on, held against the tree."""

    after: bytes


AnyExecutorRequest = (
    Execute
    | MarkSealed
    | Forget
    | GetExecutorStatus
    | View
    | GetContracts
    | GetContract
    | GetState
    | KnownSenders
    | FreezeState
    | ReadFrozen
    | ThawState
    | ScrubState
)


# ── the interface ─────────────────────────────────────────────────────────────────────────────────


class ExecutorApi(Protocol):
    """The executor as the gateway sees it. Every method may raise `NodeUnavailable`."""

    async def status(self) -> ExecutorStatus:
        """How the executor stands."""
        ...

    async def view(
        self, contract: str, method: str, args: bytes, sender: bytes, height: int | None = None
    ) -> ViewOutcome:
        """Run a view on sealed state."""
        ...

    async def contracts(self) -> list[ContractInfo]:
        """All contracts, without source."""
        ...

    async def contract(self, name: str) -> ContractInfo | None:
        """One contract, with source and interface."""
        ...

    async def state(self, contract: str, path: bytes, height: int | None = None) -> StateAnswer:
        """A state value, or its absence, with proof."""
        ...

    async def known_senders(self, public_keys: Sequence[bytes]) -> list[bool]:
        """Which keys may send."""
        ...
