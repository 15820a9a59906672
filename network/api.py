"""What the processes of one node say to each other: requests, answers, and the two interfaces behind them.

The validator and the executor each serve one Unix socket (`network.ipc`). A request is one tagged struct below,
encoded; its answer is the type named beside it. The gateway is written against the two Protocols only, so its
tests hand it fakes and the node hands it sockets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from ledger.types import BlockRecord, Genesis, ValidatorSet

STATE_DAMAGED = "state_damaged"  # the executor's code for a state that it deletes, to begin with an empty one by itself

# ── answers ───────────────────────────────────────────────────────────────────────────────────────


class Admission(msgspec.Struct, frozen=True, array_like=True):
    """What became of one submitted transaction.

    `code`: "accepted"; "known" (pending or sealed already: the first outcome stands); or a rejection:
    "malformed", "too_large", "wrong_chain", "bad_signature", "expired", "too_far", "gas_limit", "busy".
    """

    code: str
    transaction_id: bytes  # empty when the bytes are malformed
    message: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the transaction is on its way, or has been sealed already."""
        return self.code in ("accepted", "known")


class PeerStatus(msgspec.Struct, frozen=True, array_like=True):
    """One other member as this node sees it. Heights are what it last reported, 0 before that."""

    member: int
    name: str
    connected: bool
    view: int
    sealed_height: int
    round_trip_ms: float


class ScrubStatus(msgspec.Struct, frozen=True, array_like=True):
    """How far the reading again of what is stored has come (`network.scrub`).

    `part` is "off", "waiting", "blocks" (`done` and `of` are heights), "files", "state" (bytes) or "snapshots".
    `passes` are those that were finished since the start, the last of them at `last_pass_ms`. `problems` are what was
    found and is not mended, with what to do; `latest` is what was found or mended last.
    """

    part: str = "off"
    done: int = 0
    of: int = 0
    passes: int = 0
    last_pass_ms: int = 0
    bytes_read: int = 0
    found: int = 0
    mended: int = 0
    latest: str = ""
    problems: tuple[str, ...] = ()


class NodeStatus(msgspec.Struct, frozen=True, array_like=True):
    """How the validator stands.

    `halted` is the diagnosis after a divergence or a storage fault, else empty. `silence` says why it does not vote at
    present, and what ends that, else it is empty.
    """

    version: str
    network: str
    chain_id: bytes
    member: int
    name: str
    view: int
    primary: int
    changing_view: bool
    sealed_height: int
    executed_height: int
    sealed_hash: bytes
    state_root: bytes
    sealed_time_ms: int
    mempool_transactions: int
    mempool_bytes: int
    halted: str
    peers: tuple[PeerStatus, ...]
    started_ms: int
    counters: dict[str, int]
    silence: str = ""
    scrub: ScrubStatus = ScrubStatus()


class TransactionRecord(msgspec.Struct, frozen=True, array_like=True):
    """A transaction as this node knows it: "pending" (no receipt, height 0) or "sealed"."""

    state: str
    raw: bytes
    receipt: bytes
    height: int
    index: int


class AccountEntry(msgspec.Struct, frozen=True, array_like=True):
    """One transaction that an account sent."""

    height: int
    index: int
    transaction_id: bytes


class EvidenceEntry(msgspec.Struct, frozen=True, array_like=True):
    """One proof that a member signed two messages of which a correct one signs at most one."""

    file: str
    member: int
    name: str
    kind: str
    epoch: int
    view: int | None
    height: int | None


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


# ── requests to the validator ─────────────────────────────────────────────────────────────────────


class ValidatorRequest(msgspec.Struct, frozen=True, array_like=True):
    """Base of what a gateway may ask the validator."""


class Submit(ValidatorRequest, frozen=True, array_like=True, tag="submit"):
    """-> list[Admission], in the order of `raw` (canonical signed transactions)."""

    raw: tuple[bytes, ...]


class GetStatus(ValidatorRequest, frozen=True, array_like=True, tag="status"):
    """-> NodeStatus"""


class GetGenesis(ValidatorRequest, frozen=True, array_like=True, tag="genesis"):
    """-> Genesis"""


class GetValidators(ValidatorRequest, frozen=True, array_like=True, tag="validators"):
    """-> ValidatorSet of the current epoch"""


class GetValidatorSet(ValidatorRequest, frozen=True, array_like=True, tag="validator_set"):
    """-> ValidatorSet | None: that of this hash, whichever epoch it is of."""

    hash: bytes


class GetBlocks(ValidatorRequest, frozen=True, array_like=True, tag="blocks"):
    """-> list[BlockRecord] of sealed heights first..last that exist, at most 64. `light` drops bodies and receipts."""

    first: int
    last: int
    light: bool = False


class GetBlockByHash(ValidatorRequest, frozen=True, array_like=True, tag="block_by_hash"):
    """-> BlockRecord | None"""

    hash: bytes


class GetTransaction(ValidatorRequest, frozen=True, array_like=True, tag="transaction"):
    """-> TransactionRecord | None"""

    transaction_id: bytes


class GetAccount(ValidatorRequest, frozen=True, array_like=True, tag="account"):
    """-> list[AccountEntry], newest first, below (before_height, before_index) where given, at most `limit`."""

    public_key: bytes
    before_height: int
    before_index: int
    limit: int


class GetEvidence(ValidatorRequest, frozen=True, array_like=True, tag="evidence"):
    """-> list[EvidenceEntry], by file name"""


class GetEvidenceFile(ValidatorRequest, frozen=True, array_like=True, tag="evidence_file"):
    """-> bytes | None: one file of evidence, as anybody can check it"""

    file: str


class Subscribe(ValidatorRequest, frozen=True, array_like=True, tag="subscribe"):
    """-> sealed height; then each sealed block is pushed as an encoded BlockRecord. A slow reader is cut off."""


AnyValidatorRequest = (
    Submit
    | GetStatus
    | GetGenesis
    | GetValidators
    | GetValidatorSet
    | GetBlocks
    | GetBlockByHash
    | GetTransaction
    | GetAccount
    | GetEvidence
    | GetEvidenceFile
    | Subscribe
)

# ── requests to the executor ──────────────────────────────────────────────────────────────────────


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


# ── what the gateway is written against ───────────────────────────────────────────────────────────


class NodeUnavailable(Exception):
    """The process behind an interface does not answer; the message says which and for how long."""


class Unresponsive(NodeUnavailable):
    """It is there, it was asked, and the time that an answer may take is over."""


class ValidatorApi(Protocol):
    """The validator as the gateway sees it. Every method may raise `NodeUnavailable`."""

    async def submit(self, raw: Sequence[bytes]) -> list[Admission]:
        """Hand over canonical signed transactions; one admission each, in order."""
        ...

    async def status(self) -> NodeStatus:
        """How the node stands."""
        ...

    async def genesis(self) -> Genesis:
        """The network's genesis."""
        ...

    async def validators(self) -> ValidatorSet:
        """The validators of the current epoch."""
        ...

    async def validator_set(self, name: bytes) -> ValidatorSet | None:
        """The set with this hash, of whichever epoch; None where this node does not know it."""
        ...

    async def blocks(self, first: int, last: int, light: bool = False) -> list[BlockRecord]:
        """Sealed blocks first..last (at most 64), ascending."""
        ...

    async def evidence(self) -> list[EvidenceEntry]:
        """The proofs of misbehaviour that this node keeps, by file name."""
        ...

    async def evidence_file(self, file: str) -> bytes | None:
        """One of them, as anybody can check it."""
        ...

    async def block_by_hash(self, block_hash: bytes) -> BlockRecord | None:
        """One sealed block."""
        ...

    async def transaction(self, transaction_id: bytes) -> TransactionRecord | None:
        """A pending or sealed transaction, None where unknown here."""
        ...

    async def account(self, public_key: bytes, before_height: int, before_index: int, limit: int) -> list[AccountEntry]:
        """Sealed transactions of a sender, newest first."""
        ...

    def sealed_blocks(self) -> AsyncIterator[BlockRecord]:
        """Every block sealed from now on, in height order. Ends with `NodeUnavailable` when the link is lost."""
        ...


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
