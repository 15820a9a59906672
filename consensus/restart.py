"""From a journal back to a replica that remembers everything it let out. Runs before the first event; sends nothing."""

from __future__ import annotations

from consensus.core import Core, HeldViewChange
from consensus.errors import JournalDamaged
from consensus.messages import COMMIT, PRE_PREPARE, Envelope, NewView, ViewChange, Vote, open_body
from consensus.recovery import (
    Anchor,
    BatchHeld,
    Certified,
    CheckpointSigned,
    CommitHeld,
    Doubted,
    Entered,
    Halted,
    Left,
    Record,
    Resumed,
    Voted,
)
from consensus.slot import READY, Final, Proposal, Slot
from consensus.view_change import choose, open_view_changes, proposals
from ledger.types import Batch


def restore(core: Core, records: list[Record]) -> None:
    """Take up the past. Raises `JournalDamaged` where a record contradicts its own form."""
    core.safety.seal(core.sealed_height)
    anchors = [record.height for record in records if isinstance(record, Anchor)]
    core.safety.floor = max(anchors, default=0)
    core.safety.doubtful = not anchors
    _restore_doubt(core, records)
    _restore_view(core, records)
    for record in records:
        if isinstance(record, Halted):
            core.halted = record.diagnosis
        elif isinstance(record, BatchHeld) and record.batch.height > core.sealed_height:
            core.slot(record.batch.height).batches[record.digest] = record.batch
    for record in records:
        _restore_height(core, record)


def _restore_doubt(core: Core, records: list[Record]) -> None:
    """Whether the journal was found to have lost something, and since when its member votes again."""
    for record in records:
        match record:
            case Doubted():
                core.safety.doubtful = True
            case Resumed(view, height):
                core.safety.doubtful = False
                core.safety.view_floor = view
                core.safety.floor = max(core.safety.floor, height)
                core.resumed_height = height


def _restore_view(core: Core, records: list[Record]) -> None:
    """The last view entered, then the last one left for, if that is later."""
    for record in records:
        if isinstance(record, Entered) and record.view > core.entered_view:
            core.entered_view, core.new_view = record.view, record.envelope
    if core.new_view:
        body = open_body(core.new_view.kind, core.new_view.body)
        assert isinstance(body, NewView)
        choice = choose(open_view_changes(core.committee, body))
        core.fresh_from = choice.fresh_from
        core.safety.enter(core.entered_view)
        for batch in proposals(core.committee, core.entered_view, choice, core.new_view.batches):
            _restore_reproposal(core, batch)
    for record in records:
        if isinstance(record, Left) and record.view > core.view:
            body = open_body(record.envelope.kind, record.envelope.body)
            assert isinstance(body, ViewChange)
            core.safety.view, core.safety.changing = record.view, True
            core.view_changes[core.member] = HeldViewChange(body, record.envelope)


def _restore_reproposal(core: Core, batch: Batch) -> None:
    if batch.height > core.sealed_height:
        slot, digest = core.slot(batch.height), batch.digest
        slot.batches[digest] = batch
        slot.round(core.entered_view).proposal = Proposal(digest, b"", timely=True, fresh=False)


def _restore_height(core: Core, record: Record) -> None:
    match record:
        case Voted(kind, vote, signature) if vote.height > core.sealed_height:
            core.safety.restore_vote(kind, vote, signature)
            _restore_vote(core, kind, vote, signature)
        case Certified(certificate, signature) if certificate.height > core.sealed_height:
            vote = Vote(core.committee.epoch, certificate.view, certificate.height, core.member, certificate.digest)
            core.safety.restore_vote(COMMIT, vote, signature)
            slot = _slot_with(core, certificate.height, certificate.digest)
            if slot.prepared is None or slot.prepared.view < certificate.view:
                slot.prepared = certificate
            _restore_vote(core, COMMIT, vote, signature)
        case CommitHeld(final) if final.height > core.sealed_height:
            slot = _slot_with(core, final.height, final.digest)
            slot.mark_bodies(final.digest, READY)
            slot.final = Final(final.digest, final)
        case CheckpointSigned(checkpoint, signature):
            core.safety.restore_checkpoint(checkpoint, signature)


def _restore_vote(core: Core, kind: str, vote: Vote, signature: bytes) -> None:
    """A vote of the view that was entered last counts again, with the proposal it was for."""
    slot = _slot_with(core, vote.height, vote.digest)
    if kind != PRE_PREPARE:
        slot.mark_bodies(vote.digest, READY)  # bodies were durable before PREPARE (P6.1)
    if vote.view != core.entered_view:
        return
    found = slot.round(vote.view)
    if found.proposal is None or kind == PRE_PREPARE:
        batch = slot.batches[vote.digest]
        envelope = Envelope(PRE_PREPARE, vote.encode(), signature, (batch,)).encode() if kind == PRE_PREPARE else b""
        # What was committed and never prepared was not timely, by the clock of its first receipt (P3.3).
        found.proposal = Proposal(vote.digest, envelope, timely=kind != COMMIT, fresh=True)
    if kind != PRE_PREPARE:
        votes = found.commits if kind == COMMIT else found.prepares
        votes.add(core.member, vote.digest, signature, core.committee.powers[core.member])


def _slot_with(core: Core, height: int, digest: bytes) -> Slot:
    """The slot of a height, which must hold the batch that a record names."""
    slot = core.slot(height)
    if digest not in slot.batches:
        raise JournalDamaged(f"the journal names a batch at height {height} that it does not hold: {digest.hex()}")
    return slot
