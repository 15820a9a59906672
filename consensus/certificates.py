"""Whether a certificate holds: pure checks of signatures in numbers. Never asks who was primary (P2.5).

One fixed rule for all kinds (P2.4): signatures by ascending distinct members of the epoch, every one of them valid,
together a quorum. One bad signature spoils the certificate, wherever it stands, so every replica answers alike.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.committee import Committee
from consensus.messages import CHECKPOINT, COMMIT, PREPARE, CommitCertificate, PreparedCertificate, Vote
from ledger.types import Checkpoint, Seal, SealSignature


def is_quorum(committee: Committee, signatures: tuple[SealSignature, ...]) -> bool:
    """Ascending distinct members with a quorum of power. The cheap half: no signature is checked."""
    power, last = 0, -1
    for signature in signatures:
        if not last < signature.member < committee.size:
            return False
        last = signature.member
        power += committee.powers[last]
    return power >= committee.quorum


def _all_signed(
    committee: Committee, kind: str, signatures: tuple[SealSignature, ...], body_of: Callable[[int], bytes]
) -> bool:
    return is_quorum(committee, signatures) and all(
        committee.signed_by(kind, each.member, body_of(each.member), each.signature) for each in signatures
    )


def prepared_holds(committee: Committee, certificate: PreparedCertificate) -> bool:
    """Whether a quorum signed PREPARE for exactly this view, height and digest."""
    return _voted(committee, PREPARE, certificate)


def commit_holds(committee: Committee, certificate: CommitCertificate) -> bool:
    """Whether a quorum signed COMMIT for exactly this view, height and digest."""
    return _voted(committee, COMMIT, certificate)


def _voted(committee: Committee, kind: str, certificate: PreparedCertificate | CommitCertificate) -> bool:
    def body_of(member: int) -> bytes:
        return Vote(committee.epoch, certificate.view, certificate.height, member, certificate.digest).encode()

    return _all_signed(committee, kind, certificate.signatures, body_of)


def seal_holds(committee: Committee, seal: Seal) -> bool:
    """Whether a quorum signed CHECKPOINT for exactly this height and header hash."""

    def body_of(member: int) -> bytes:
        return Checkpoint(committee.epoch, seal.height, member, seal.header_hash).encode()

    return seal.epoch == committee.epoch and _all_signed(committee, CHECKPOINT, seal.signatures, body_of)
