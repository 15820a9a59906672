"""What this replica holds of another member's own messages, to be handed back when it asks. Sends nothing.

A member that starts cannot know whether its journal is the one that it wrote last: its disk may have been lost, or
set back to an older copy. What it signed, it learns from those who heard it (P6.5, P6.6). Of each height and kind the
latest vote is enough: an intact journal shows that one, too. Bounded by the buffered windows.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.core import Core
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    PREPARE,
    VIEW_CHANGE,
    CommitCertificate,
    Envelope,
    Kind,
    NewView,
    PreparedCertificate,
    Vote,
    open_body,
    open_envelope,
)
from consensus.slot import Slot, Votes
from ledger.types import Checkpoint, Seal, SealSignature


def words_of(core: Core, member: int) -> Iterator[Envelope]:
    """That member's messages, as far as they are held here: by themselves, or inside of a certificate."""
    left = core.view_changes.get(member)
    if left:
        yield left.envelope
    yield from _in_new_view(core, member)
    for height in sorted(core.slots):
        yield from _votes(core, core.slots[height], member)
    for height in sorted(core.checkpoints):
        held = core.checkpoints[height].of(member)
        if held:
            yield _checkpoint(core, height, member, *held)
    if core.seal:
        yield from words_in(core, member, core.seal)


def words_in(core: Core, member: int, seal: Seal) -> Iterator[Envelope]:
    """That member's CHECKPOINT, if it is one of those that make the seal."""
    for signature in _of(member, seal.signatures):
        yield _checkpoint(core, seal.height, member, seal.header_hash, signature)


def _in_new_view(core: Core, member: int) -> Iterator[Envelope]:
    """The NEW-VIEW that this replica entered by, if it is that member's, and its VIEW-CHANGE in there."""
    if core.new_view is None:
        return
    body = open_body(core.new_view.kind, core.new_view.body)
    assert isinstance(body, NewView)
    if body.sender == member:
        yield core.new_view
    for signed in body.view_changes:
        if getattr(open_body(VIEW_CHANGE, signed.body), "sender", None) == member:
            yield Envelope(VIEW_CHANGE, signed.body, signed.signature)


def _votes(core: Core, slot: Slot, member: int) -> Iterator[Envelope]:
    """Its latest PRE-PREPARE, PREPARE and COMMIT at a height, and those in certificates."""
    views = sorted(slot.rounds, reverse=True)
    for view in views:
        proposal = slot.rounds[view].proposal
        if proposal and proposal.envelope and slot.batches[proposal.digest].proposer == member:
            yield open_envelope(proposal.envelope)[0]
            break
    yield from _latest(core, slot.height, member, PREPARE, [(view, slot.rounds[view].prepares) for view in views])
    yield from _latest(core, slot.height, member, COMMIT, [(view, slot.rounds[view].commits) for view in views])
    if slot.prepared:
        yield from _in_certificate(core, member, PREPARE, slot.prepared)
    final = (slot.final and slot.final.certificate) or slot.offered
    if final:
        yield from _in_certificate(core, member, COMMIT, final)


def _latest(core: Core, height: int, member: int, kind: Kind, rounds: list[tuple[int, Votes]]) -> Iterator[Envelope]:
    for view, votes in rounds:
        held = votes.of(member)
        if held:
            yield _vote(core, kind, view, height, member, *held)
            return


def _in_certificate(
    core: Core, member: int, kind: Kind, certificate: PreparedCertificate | CommitCertificate
) -> Iterator[Envelope]:
    for signature in _of(member, certificate.signatures):
        yield _vote(core, kind, certificate.view, certificate.height, member, certificate.digest, signature)


def _of(member: int, signatures: tuple[SealSignature, ...]) -> list[bytes]:
    return [each.signature for each in signatures if each.member == member]


def _vote(core: Core, kind: Kind, view: int, height: int, member: int, digest: bytes, signature: bytes) -> Envelope:
    return Envelope(kind, Vote(core.committee.epoch, view, height, member, digest).encode(), signature)


def _checkpoint(core: Core, height: int, member: int, header_hash: bytes, signature: bytes) -> Envelope:
    return Envelope(CHECKPOINT, Checkpoint(core.committee.epoch, height, member, header_hash).encode(), signature)
