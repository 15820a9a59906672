"""STATUS: every replica says now and then where it stands, and the others send what it lacks. Casts no vote.

Whatever a lost connection lost is so sent again, and only to a peer that did not move since its last STATUS
(docs/protocol.md, section 7). One answer a peer and tick, however often it asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.actions import SetTimer
from consensus.amnesia import Doubt
from consensus.certificates import seal_holds
from consensus.core import BUFFERED_WINDOWS, Core, Peer
from consensus.errors import MessageRefused
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    PREPARE,
    CommitCertificate,
    Envelope,
    Kind,
    Status,
    Vote,
    open_envelope,
)
from consensus.ordering import on_final
from consensus.sealing import note_seal
from consensus.slot import Slot
from consensus.view_change import require_batches
from ledger.types import Batch, Checkpoint

STATUS_TIMER = "status"
PERIOD_MS_MIN = 50
FINAL_A_STATUS_MAX = 8
NOTHING, PROPOSAL, PREPARED, FINAL = range(4)


def period_ms(core: Core) -> int:
    """A quarter of the request time-out: what was lost is sent again well before anybody loses patience."""
    return max(PERIOD_MS_MIN, core.parameters.request_timeout_ms // 4)


def tick(core: Core) -> None:
    """Say where this replica stands, and set the timer for the next time."""
    for peer in core.peers:
        peer.answered = False
    core.pen_rests = False
    core.broadcast(own_status(core))
    core.out.append(SetTimer(STATUS_TIMER, period_ms(core)))


def own_status(core: Core, final: tuple[CommitCertificate, ...] = (), batches: tuple[Batch, ...] = ()) -> Envelope:
    """Where this replica stands, with what is final for one who lacks it."""
    first = core.delivered_height + 1
    last = min(max(core.slots, default=0), core.sealed_height + BUFFERED_WINDOWS * core.window)
    body = Status(
        core.committee.epoch,
        core.view,
        core.member,
        core.changing,
        core.delivered_height,
        core.seal,
        tuple(_progress(core, core.slots.get(height)) for height in range(first, last + 1)),
        final,
        core.safety.doubtful,
    )
    return core.safety.status(body, batches)


def _progress(core: Core, slot: Slot | None) -> int:
    if slot and slot.final:
        return FINAL
    found = slot.rounds.get(core.view) if slot else None
    if found is None or found.proposal is None:
        return NOTHING
    return PREPARED if found.prepares.power(found.proposal.digest) >= core.committee.quorum else PROPOSAL


def on_status(core: Core, envelope: Envelope, body: Status, doubt: Doubt | None) -> None:
    """Learn where a member stands, and answer with what it lacks."""
    core.require_member(body.epoch, body.sender)
    core.require_signature(envelope, body.sender)
    peer = core.peers[body.sender]
    sealed_height = body.seal.height if body.seal else 0
    if sealed_height > max(peer.sealed_height, core.sealed_height) and body.seal:
        if not seal_holds(core.committee, body.seal):
            raise MessageRefused("invalid_seal")
        note_seal(core, body.seal)
    before, peer.status = peer.status, body
    peer.view, peer.sealed_height = body.view, max(peer.sealed_height, sealed_height)
    if doubt:
        doubt.report(body.sender, sealed_height)
    _take_final(core, envelope, body)
    if not peer.answered:
        peer.answered = True
        _answer(core, peer, body, before)


def _answer(core: Core, peer: Peer, body: Status, before: Status | None) -> None:
    """What that member lacks, as far as it is this replica's to give."""
    stalled = before is None or _standing(before) == _standing(body)
    if body.forgetful:
        _remind(core, body.sender)
    if before is None or body.forgetful or (stalled and _is_behind(core, peer, body)):
        core.send(body.sender, own_status(core, *_final_above(core, body.height)))
    _send_view(core, body, stalled)
    if stalled:
        _send_checkpoints(core, body)
        if body.view == core.view and not body.changing and not core.changing:
            _send_votes(core, body)


def _is_behind(core: Core, peer: Peer, body: Status) -> bool:
    return peer.view < core.view or peer.sealed_height < core.sealed_height or body.height < core.delivered_height


def _final_above(core: Core, height: int) -> tuple[tuple[CommitCertificate, ...], tuple[Batch, ...]]:
    """The certificates and batches that bring a member at `height` further, while no seal does."""
    certificates: list[CommitCertificate] = []
    batches: list[Batch] = []
    for each in range(max(height, core.sealed_height) + 1, core.delivered_height + 1):
        slot = core.slots.get(each)
        if slot and slot.final and slot.final.certificate and len(certificates) < FINAL_A_STATUS_MAX:
            certificates.append(slot.final.certificate)
            batches.append(slot.batches[slot.final.digest])
    return tuple(certificates), tuple(batches)


def _take_final(core: Core, envelope: Envelope, body: Status) -> None:
    """Take over what a peer proves to be final."""
    digests = [certificate.digest for certificate in body.final]
    require_batches(digests, [certificate.height for certificate in body.final], envelope.batches)
    for certificate, batch in zip(body.final, envelope.batches, strict=True):
        if certificate.height <= core.sealed_height + core.window:
            on_final(core, certificate, batch)


def _standing(body: Status) -> tuple[int, bool, int, int]:
    return (body.view, body.changing, body.height, body.seal.height if body.seal else 0)


def _send_view(core: Core, body: Status, stalled: bool) -> None:
    """What moves a member to this replica's view: the NEW-VIEW it entered by, the VIEW-CHANGE it left with."""
    lacks_entry = body.view < core.entered_view or (body.view == core.entered_view and body.changing)
    if lacks_entry and core.new_view:
        core.send(body.sender, core.new_view)
    own = core.view_changes.get(core.member)
    if core.changing and own and own.body.view == core.view and (body.view < core.view or stalled):
        core.send(body.sender, own.envelope)
    doubt = core.suspects.get(core.member)
    if doubt and doubt.view == core.view == body.view and doubt.height > core.delivered_height:
        permit = core.safety.suspect(doubt.height)
        if permit is not None:
            core.send(body.sender, permit.envelope)


def _send_checkpoints(core: Core, body: Status) -> None:
    sealed_height = body.seal.height if body.seal else 0
    for height in range(sealed_height + 1, sealed_height + core.window + 1):
        sent = core.safety.sent_checkpoint(height)
        if sent is not None:
            core.send(body.sender, sent)


def _send_votes(core: Core, body: Status) -> None:
    """This member's own votes; and the proposal, if it is this primary's or that of the one height that is awaited."""
    for height in sorted(core.slots):
        found = core.slots[height].rounds.get(core.view)
        index = height - body.height - 1
        reached = body.progress[index] if 0 <= index < len(body.progress) else NOTHING
        if found is None or index < 0:
            continue
        own = found.proposal and core.slots[height].batches[found.proposal.digest].proposer == core.member
        awaited = own or index == 0
        if reached == NOTHING and awaited and found.proposal and found.proposal.envelope:
            core.send(body.sender, open_envelope(found.proposal.envelope)[0])
        prepare = core.safety.sent(PREPARE, height) if reached < PREPARED else None
        commit = core.safety.sent(COMMIT, height) if reached < FINAL else None
        for sent in (prepare, commit):
            if sent is not None:
                core.send(body.sender, sent)


def _remind(core: Core, member: int) -> None:
    """Hand a forgetful member one message of its own that is held here: it votes in no view below that one (P6.5)."""
    left = core.view_changes.get(member)
    votes = (vote for height in sorted(core.slots) for vote in _votes_of(core, core.slots[height], member))
    checkpoints = (_checkpoint_of(core, height, member) for height in sorted(core.checkpoints))
    own_view = core.new_view if core.committee.primary(core.entered_view) == member else None
    for held in (left.envelope if left else None, own_view, *votes, *checkpoints):
        if held is not None:
            core.send(member, held)
            return


def _votes_of(core: Core, slot: Slot, member: int) -> Iterator[Envelope]:
    """That member's proposals, PREPAREs and COMMITs at a height."""
    for view in sorted(slot.rounds):
        found = slot.rounds[view]
        if found.proposal and found.proposal.envelope and slot.batches[found.proposal.digest].proposer == member:
            yield open_envelope(found.proposal.envelope)[0]
        if prepare := found.prepares.of(member):
            yield _envelope(PREPARE, Vote(core.committee.epoch, view, slot.height, member, prepare[0]), prepare[1])
        if commit := found.commits.of(member):
            yield _envelope(COMMIT, Vote(core.committee.epoch, view, slot.height, member, commit[0]), commit[1])


def _checkpoint_of(core: Core, height: int, member: int) -> Envelope | None:
    held = core.checkpoints[height].of(member)
    return _envelope(CHECKPOINT, Checkpoint(core.committee.epoch, height, member, held[0]), held[1]) if held else None


def _envelope(kind: Kind, body: Vote | Checkpoint, signature: bytes) -> Envelope:
    return Envelope(kind, body.encode(), signature)
