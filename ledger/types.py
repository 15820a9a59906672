"""The nouns of the ledger, frozen, each checked when it is decoded: no invalid shape can exist.

Those that come by the thousand are hidden from the cycle collector (`gc=False`): frozen values form no cycles.
All are msgpack arrays in field order (`ledger.codec`). Bytes inside; hex belongs to the edge. What these
values *mean* together (roots, seals, proofs) is in the modules beside this one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

import msgspec
from msgspec import Meta

from ledger import codec, hashing

HEIGHT_MAX = (1 << 53) - 1  # so that a height is exact in every JSON reader
POWER_MAX = 1 << 32
NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Height = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]
Count = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]
Gas = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]
TimeMs = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]
MemberIndex = Annotated[int, Meta(ge=0, le=1023)]
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Power = Annotated[int, Meta(ge=1, le=POWER_MAX)]


class Struct(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of everything that is hashed, signed or stored."""

    def encode(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)


# ── transactions ──────────────────────────────────────────────────────────────────────────────────


class Call(Struct, frozen=True, gc=False):
    """One contract call. `args` is the canonical encoding of the list of arguments."""

    contract: Annotated[str, Meta(min_length=1, max_length=63)]
    method: Annotated[str, Meta(min_length=1, max_length=63)]
    args: bytes


class TransactionBody(Struct, frozen=True, gc=False):
    """What a client signs. Calls succeed or fail together; `salt` makes equal intents distinct."""

    chain_id: Hash
    sender: PublicKey
    calls: Annotated[tuple[Call, ...], Meta(min_length=1, max_length=64)]
    gas_limit: Gas
    valid_until: Height
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]


class Transaction(Struct, frozen=True, gc=False):
    """A signed transaction. Its id names the body, its hash these exact bytes."""

    body: TransactionBody
    signature: Signature


_SIGNED_PREFIX = b"\x92"  # array of two: body, signature
_SIGNATURE_BYTES_ENCODED = 2 + 64  # bin8 header and the signature


def body_bytes(raw_transaction: bytes) -> bytes:
    """The body's encoding, cut out of a *canonical* signed transaction without encoding it again."""
    return raw_transaction[len(_SIGNED_PREFIX) : -_SIGNATURE_BYTES_ENCODED]


# ── batches, headers, receipts ────────────────────────────────────────────────────────────────────


class Batch(Struct, frozen=True, gc=False):
    """What PBFT orders. `view` and `proposer` are those of the first proposal; a re-proposal keeps them.

    `since` is the first height that the start of that view left open: turns are counted from there.
    """

    epoch: Count
    height: Height
    view: Count
    proposer: MemberIndex
    time_ms: TimeMs
    hashes: tuple[Hash, ...]
    since: Height = 1

    @property
    def digest(self) -> bytes:
        """What PRE-PREPARE, PREPARE and COMMIT name."""
        return hashing.batch_digest(self.encode())


class Header(Struct, frozen=True, gc=False):
    """Everything in it follows from the ordered batches; a quorum of CHECKPOINTs over its hash seals it.

    `time_ms` is the larger of the batch's timestamp and the parent's time plus one. `transactions_root` is
    the RFC 9162 root over the hashes of the *executed* transactions, `receipts_root` over their receipts.
    `next_validators_hash` names the set that seals the block after this one: its own, but for an epoch's last.
    """

    chain_id: Hash
    epoch: Count
    height: Height
    previous_hash: Hash
    batch_digest: Hash
    batch_view: Count
    batch_proposer: MemberIndex
    batch_since: Height
    time_ms: TimeMs
    transactions_root: Hash
    receipts_root: Hash
    state_root: Hash
    validators_hash: Hash
    next_validators_hash: Hash
    transaction_count: Count
    gas_used: Gas

    @property
    def hash(self) -> bytes:
        """The block's hash: the header's."""
        return hashing.header_hash(self.encode())


class LogEntry(Struct, frozen=True, gc=False):
    """An event that a contract emitted. `fields` encodes a map from field name to value."""

    contract: str
    name: str
    fields: bytes


class Receipt(Struct, frozen=True, gc=False):
    """The outcome of one transaction. `code` is "ok" or a stable error code; never a host's error text.

    `results` holds the encoded return value of every call (empty unless ok). `line` is the contract's
    source line that failed, 0 where none did.
    """

    height: Height
    index: Count
    transaction_id: Hash
    transaction_hash: Hash
    code: str
    message: str
    contract: str
    line: Count
    gas_used: Gas
    results: tuple[bytes, ...]
    events: tuple[LogEntry, ...]


# ── validators and seals ──────────────────────────────────────────────────────────────────────────


class Validator(Struct, frozen=True):
    """A member that votes. `tls_certificate` is the DER certificate whose key its links must prove."""

    name: Name
    public_key: PublicKey
    power: Power
    tls_certificate: bytes


class ValidatorSet(Struct, frozen=True, dict=True):
    """The members of one epoch, in their fixed order: a `MemberIndex` points into it."""

    members: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=1024)]

    @cached_property
    def hash(self) -> bytes:
        """What headers name."""
        return hashing.validators_hash(self.encode())

    @cached_property
    def powers(self) -> tuple[int, ...]:
        """Voting power by member index."""
        return tuple(member.power for member in self.members)

    @cached_property
    def total_power(self) -> int:
        """T of the quorum arithmetic."""
        return sum(self.powers)

    def index_of(self, public_key: bytes) -> int | None:
        """The member index of a key, None for a stranger."""
        for index, member in enumerate(self.members):
            if member.public_key == public_key:
                return index
        return None


class Checkpoint(Struct, frozen=True, gc=False):
    """The body of a CHECKPOINT vote: "I executed height h of this epoch and got this header". It has no view."""

    epoch: Count
    height: Height
    sender: MemberIndex
    header_hash: Hash


class SealSignature(Struct, frozen=True, gc=False):
    """One member's CHECKPOINT signature."""

    member: MemberIndex
    signature: Signature


class Seal(Struct, frozen=True, gc=False):
    """A quorum of CHECKPOINT signatures over one header, by ascending distinct member index."""

    epoch: Count
    height: Height
    header_hash: Hash
    signatures: tuple[SealSignature, ...]


class Block(Struct, frozen=True, gc=False):
    """A block as stored and sent: `transactions` are the hashes that were executed, in order."""

    header: Header
    batch: Batch
    transactions: tuple[Hash, ...]


# ── genesis ───────────────────────────────────────────────────────────────────────────────────────


class Parameters(Struct, frozen=True):
    """What every member must agree on, fixed for an epoch. Times in milliseconds, sizes in bytes."""

    window: Annotated[int, Meta(ge=1, le=64)] = 8
    validity_window: Annotated[int, Meta(ge=16, le=1_000_000)] = 4096
    block_transactions_max: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    block_bytes_max: Annotated[int, Meta(ge=65_536, le=16 << 20)] = 4 << 20
    block_gas_max: Annotated[int, Meta(ge=1_000_000, le=HEIGHT_MAX)] = 2_000_000_000
    transaction_bytes_max: Annotated[int, Meta(ge=1024, le=1 << 20)] = 128 << 10
    transaction_gas_max: Annotated[int, Meta(ge=100_000, le=HEIGHT_MAX)] = 100_000_000
    request_timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 2_000
    timeout_max_ms: Annotated[int, Meta(ge=1_000, le=600_000)] = 60_000
    clock_drift_max_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 30_000


class Account(Struct, frozen=True):
    """A known sender. Roles: admin, deployer, writer, auditor."""

    name: Name
    public_key: PublicKey
    roles: tuple[Annotated[str, Meta(pattern="^(admin|deployer|writer|auditor)$")], ...]


class Genesis(Struct, frozen=True, dict=True):
    """The first agreement of a network; its hash is the chain id."""

    format: Annotated[int, Meta(ge=1, le=1)]
    network: Name
    time_ms: TimeMs
    parameters: Parameters
    validators: ValidatorSet
    accounts: tuple[Account, ...]

    @cached_property
    def chain_id(self) -> bytes:
        """The chain id: the tagged hash of the canonical genesis."""
        return hashing.genesis_hash(self.encode())


# ── a block with all that belongs to it ───────────────────────────────────────────────────────────


class BlockRecord(Struct, frozen=True, gc=False):
    """A block as it is stored, synced and streamed: with its signed transactions, receipts and, once sealed, its seal.

    `bodies` and `receipts` are raw canonical bytes in execution order, as many as `block.transactions`.
    """

    block: Block
    bodies: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
    seal: Seal | None

    @property
    def height(self) -> int:
        """The block's height."""
        return self.block.header.height
