"""Stand-ins for what a simulated cluster does not test: signatures, keys, and the execution of transactions.

Fast, deterministic, secure against nobody: nobody forges in a simulation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from consensus.standing import Tip
from ledger.hashing import ZERO_HASH
from ledger.types import Batch, Header, Validator, ValidatorSet

EPOCH_START_MS = 1_700_000_000_000  # the virtual clock's zero
CHAIN_ID = hashlib.sha256(b"simulation").digest()


def stub_signer(public_key: bytes) -> Callable[[bytes], bytes]:
    """A stand-in for Ed25519, fast and deterministic. Secure against nobody; nobody forges in a simulation."""
    return lambda message: hashlib.blake2b(message, key=public_key, digest_size=64).digest()


def stub_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """The verdict on a stand-in signature."""
    return hashlib.blake2b(message, key=public_key, digest_size=64).digest() == signature


def stub_validators(powers: Sequence[int]) -> ValidatorSet:
    """A validator set with stand-in keys."""
    keys = [hashlib.sha256(b"member %d" % index).digest() for index in range(len(powers))]
    return ValidatorSet(
        tuple(Validator(f"v{i}", key, power, b"") for i, (key, power) in enumerate(zip(keys, powers, strict=True)))
    )


GENESIS = Tip(0, hashlib.sha256(b"genesis header").digest(), EPOCH_START_MS, None)


def execute(parent: bytes, parent_time_ms: int, batch: Batch, done: set[bytes]) -> tuple[Header, tuple[bytes, ...]]:
    """A header that follows from the batch and its parent alone; transactions that ran before are skipped."""
    fresh = tuple(each for each in batch.hashes if each not in done)
    root = hashlib.sha256(parent + b"".join(fresh)).digest()
    header = Header(
        CHAIN_ID,
        batch.epoch,
        batch.height,
        parent,
        batch.digest,
        batch.view,
        batch.proposer,
        batch.since,
        max(batch.time_ms, parent_time_ms + 1),
        root,
        root,
        root,
        ZERO_HASH,
        ZERO_HASH,
        len(fresh),
        0,
    )
    return header, fresh
