"""Seals: what a CHECKPOINT vote signs, and whether a seal's votes are enough for its header.

Pure, and weighted: power decides, not heads. Who counts votes while they arrive is elsewhere; here a seal is whole,
and one bad signature in it refuses all of it, so that a seal has no part that nobody checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ledger import crypto, quorum
from ledger.errors import InvalidProof
from ledger.types import Checkpoint, Header, Seal, SealSignature, ValidatorSet

SIGNING_KIND = "checkpoint"

Verify = Callable[[bytes, bytes, bytes], bool]


def checkpoint_message(chain_id: bytes, checkpoint: Checkpoint) -> bytes:
    """The bytes that a member signs in its CHECKPOINT."""
    return crypto.signing_message(SIGNING_KIND, chain_id, checkpoint.encode())


def assemble_seal(epoch: int, height: int, header_hash: bytes, signatures: Mapping[int, bytes]) -> Seal:
    """The seal of these CHECKPOINT signatures, given by member index. Whoever calls has counted their power."""
    ordered = tuple(SealSignature(member, signatures[member]) for member in sorted(signatures))
    return Seal(epoch, height, header_hash, ordered)


def verify_sealed_header(header: Header, seal: Seal, validators: ValidatorSet, verify: Verify = crypto.verify) -> None:
    """That `seal` is a seal of `header` by `validators`, the set of the header's epoch. Raises `InvalidProof`."""
    if header.validators_hash != validators.hash:
        raise InvalidProof(
            f"the header names validator set {header.validators_hash.hex()}, expected {validators.hash.hex()}"
        )
    if (seal.epoch, seal.height) != (header.epoch, header.height):
        raise InvalidProof(
            f"the seal is for epoch {seal.epoch} and height {seal.height}, "
            f"the header for epoch {header.epoch} and height {header.height}"
        )
    verify_seal(seal, header.hash, validators, header.chain_id, verify)


def verify_seal(
    seal: Seal, header_hash: bytes, validators: ValidatorSet, chain_id: bytes, verify: Verify = crypto.verify
) -> None:
    """That a quorum of `validators` signed `header_hash` at the seal's own epoch and height. Raises `InvalidProof`.

    Where the header is at hand, `verify_sealed_header` also holds its epoch and height against the seal's.
    """
    if seal.header_hash != header_hash:
        raise InvalidProof(f"the seal is for header {seal.header_hash.hex()}, expected {header_hash.hex()}")
    signers = [entry.member for entry in seal.signatures]
    _check_members(signers, len(validators.members))
    _check_power(signers, validators)
    for entry in seal.signatures:
        checkpoint = Checkpoint(seal.epoch, seal.height, entry.member, seal.header_hash)
        member = validators.members[entry.member]
        if not verify(member.public_key, checkpoint_message(chain_id, checkpoint), entry.signature):
            raise InvalidProof(f"the signature of member {entry.member} ({member.name}) in the seal does not hold")


def _check_members(signers: list[int], member_count: int) -> None:
    """Ascending and distinct, so that a set of votes has one seal, and none is counted twice."""
    previous = -1
    for member in signers:
        if not 0 <= member < member_count:
            raise InvalidProof(f"the seal names member {member}, of a set of {member_count} (0 to {member_count - 1})")
        if member <= previous:
            raise InvalidProof(f"the seal names member {member} after {previous}, expected ascending distinct members")
        previous = member


def _check_power(signers: list[int], validators: ValidatorSet) -> None:
    power = quorum.power_of(signers, validators.powers)
    needed = quorum.quorum_power(validators.total_power)
    if power < needed:
        raise InvalidProof(
            f"the seal has voting power {power} of {validators.total_power}, at least {needed} is a quorum"
        )
