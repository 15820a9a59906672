"""What a gateway asks the validator of its node, what it is answered, and the interface behind which both stand.

A request is one tagged struct, encoded; its answer is the type named beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from ledger.types import BlockRecord, Genesis, ValidatorSet

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


# ── requests ──────────────────────────────────────────────────────────────────────────────────────


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


# ── the interface ─────────────────────────────────────────────────────────────────────────────────


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
