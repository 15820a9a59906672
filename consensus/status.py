"""STATUS: every replica says now and then where it stands, and the others send what it lacks. Casts no vote.

Whatever a lost connection lost is so sent again, and only to a peer that did not move since its last STATUS
(docs/protocol.md, section 7). One answer a peer and tick, however often it asks.
"""

from __future__ import annotations

from consensus.actions import SetTimer
from consensus.amnesia import Doubt
from consensus.certificates import seal_holds
from consensus.core import BUFFERED_WINDOWS, Core, Peer
from consensus.errors import MessageRefused
from consensus.messages import CHECKPOINT, COMMIT, PREPARE, Envelope, Status, Vote, open_envelope
from consensus.sealing import note_seal
from consensus.slot import Round, Slot
from ledger.types import Checkpoint

STATUS_TIMER = "status"
PERIOD_MS_MIN = 50
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


def own_status(core: Core) -> Envelope:
    """Where this replica stands."""
    first = core.sealed_height + 1
    last = min(max(core.slots, default=0), core.sealed_height + BUFFERED_WINDOWS * core.window)
    progress = tuple(_progress(core, core.slots.get(height)) for height in range(first, last + 1))
    body = Status(
        core.committee.epoch,
        core.view,
        core.member,
        core.changing,
        core.delivered_height,
        core.seal,
        progress,
        core.safety.doubtful,
    )
    return core.safety.status(body)


def _progress(core: Core, slot: Slot | None) -> int:
    if slot is None:
        return NOTHING
    found = slot.rounds.get(core.view)
    reached = NOTHING
    if found and found.proposal:
        prepared = found.prepares.power(found.proposal.digest) >= core.committee.quorum
        reached = PREPARED if prepared else PROPOSAL
    return reached + (FINAL if slot.committed else 0)


def on_status(core: Core, envelope: Envelope, body: Status, doubt: Doubt | None) -> None:
    """Learn where a member stands, and answer with what it lacks."""
    core.require_member(body.epoch, body.sender)
    core.require_no_batches(envelope)
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
    if not peer.answered:
        peer.answered = True
        _answer(core, peer, body, before)


def _answer(core: Core, peer: Peer, body: Status, before: Status | None) -> None:
    """What that member lacks, as far as it is this replica's to give."""
    stalled = before is None or _standing(before) == _standing(body)
    if body.forgetful:
        _remind(core, body.sender)
    if before is None or body.forgetful or (stalled and _is_behind(core, peer)):
        core.send(body.sender, own_status(core))
    _send_view(core, body, stalled)
    if stalled:
        _send_checkpoints(core, body)
        if body.view == core.view and not body.changing and not core.changing:
            _send_votes(core, body)


def _is_behind(core: Core, peer: Peer) -> bool:
    return peer.view < core.view or peer.sealed_height < core.sealed_height


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
    """This member's own votes; and the proposal, if it is this primary's or that of the one height that is awaited.

    A height that is final there may still lack votes of this view: others wait for the COMMIT that rests on them.
    """
    first = body.seal.height + 1 if body.seal else 1
    for height in sorted(core.slots):
        found = core.slots[height].rounds.get(core.view)
        if found is None or height < first:
            continue
        progress = body.progress[height - first] if height - first < len(body.progress) else NOTHING
        reached, final = progress % FINAL, progress >= FINAL
        if reached == NOTHING and found.proposal and found.proposal.envelope:
            if core.leads or height == body.height + 1:
                core.send(body.sender, open_envelope(found.proposal.envelope)[0])
        prepare = core.safety.sent(PREPARE, height) if reached < PREPARED else None
        if prepare is not None:
            core.send(body.sender, prepare)
        if not final:
            _send_commits(core, body.sender, height, found)


def _send_commits(core: Core, member: int, height: int, found: Round) -> None:
    """A whole certificate where there is one: a faulty member may have sent its COMMIT to some only. Else one's own."""
    digest = found.commits.digest_with(core.committee.quorum)
    if digest is None:
        own = core.safety.sent(COMMIT, height)
        if own is not None:
            core.send(member, own)
        return
    for each in found.commits.signatures_for(digest):
        vote = Vote(core.committee.epoch, core.view, height, each.member, digest)
        if each.member != member:
            core.send(member, Envelope(COMMIT, vote.encode(), each.signature))


def _remind(core: Core, member: int) -> None:
    """Hand a forgetful member one vote of its own that is held here: it then knows that it has a past (P6.5)."""
    epoch = core.committee.epoch
    for height in sorted(core.checkpoints):
        held = core.checkpoints[height].of(member)
        if held:
            body = Checkpoint(epoch, height, member, held[0])
            core.send(member, Envelope(CHECKPOINT, body.encode(), held[1]))
            return
    for height in sorted(core.slots):
        for view in sorted(core.slots[height].rounds):
            held = core.slots[height].rounds[view].prepares.of(member)
            if held:
                core.send(member, Envelope(PREPARE, Vote(epoch, view, height, member, held[0]).encode(), held[1]))
                return
