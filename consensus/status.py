"""STATUS: every replica says now and then where it stands, and the others send what it lacks. Casts no vote.

Whatever a lost connection lost is so sent again, and only to a peer that did not move since its last STATUS
(docs/protocol.md, section 7). One answer a peer and tick, however often it asks.
"""

from __future__ import annotations

import msgspec

from consensus.actions import SetTimer
from consensus.amnesia import Past
from consensus.certificates import seal_holds
from consensus.core import BUFFERED_WINDOWS, Core, Peer
from consensus.errors import MessageRefused
from consensus.messages import COMMIT, PREPARE, CommitCertificate, Envelope, Status, open_envelope
from consensus.ordering import on_final
from consensus.reminding import words_of
from consensus.sealing import note_seal
from consensus.slot import Slot
from consensus.view_change import require_batches
from ledger.types import HEIGHT_MAX, Batch

STATUS_TIMER = "status"
PERIOD_MS_MIN = 50
ASK_TIMER = "ask"
ASK_AGAIN_MS = 50
QUESTIONS_A_TICK_MAX = 4
NUMBER_OWN_MAX = HEIGHT_MAX >> 1  # no clock shows that: whoever signed it has this member's key, and nobody follows
FINAL_A_STATUS_MAX = 8
NOTHING, PROPOSAL, PREPARED, FINAL = range(4)


def period_ms(core: Core) -> int:
    """A quarter of the request time-out: what was lost is sent again well before anybody loses patience."""
    return max(PERIOD_MS_MIN, core.parameters.request_timeout_ms // 4)


def tick(core: Core) -> None:
    """Say where this replica stands, and set the timer for the next time."""
    for peer in core.peers:
        peer.rest()
    core.pen_rests = False
    core.broadcast(own_status(core, token=core.question))
    core.out.append(SetTimer(STATUS_TIMER, period_ms(core)))


def begin(core: Core) -> None:
    """The process starts: the first STATUS puts its question, if it has one."""
    tick(core)
    if core.question:
        core.asking_due = False
        _ask_soon_again(core, ASK_AGAIN_MS)


def ask(core: Core, after_ms: int = ASK_AGAIN_MS) -> None:
    """Put a question to everybody at once, and soon again: links may just be coming up (P6.6)."""
    core.broadcast(own_status(core, token=core.question))
    _ask_soon_again(core, after_ms)


def ask_again(core: Core) -> None:
    """The timer of a question ran out: twice as long until the next time, until the STATUS ticks take over."""
    if core.question:
        ask(core, 2 * core.asking_pause_ms)


def _ask_soon_again(core: Core, after_ms: int) -> None:
    core.asking_pause_ms = after_ms
    if after_ms < period_ms(core):
        core.out.append(SetTimer(ASK_TIMER, after_ms))


def own_status(
    core: Core,
    final: tuple[CommitCertificate, ...] = (),
    batches: tuple[Batch, ...] = (),
    *,
    token: int = 0,
    echo: int = 0,
    answers: int = 0,
) -> Envelope:
    """Where this replica stands, with what is final for one who lacks it; what it asks, and whom it answers."""
    first = core.delivered_height + 1
    last = min(max(core.slots, default=0), core.sealed_height + BUFFERED_WINDOWS * core.window)
    core.status_number += 1
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
        core.status_number,
        token,
        echo,
        answers,
        max(core.sealed_height, core.journal.reach),
    )
    return core.safety.status(body, batches)


def _progress(core: Core, slot: Slot | None) -> int:
    if slot and slot.final:
        return FINAL
    found = slot.rounds.get(core.view) if slot else None
    if found is None or found.proposal is None:
        return NOTHING
    return PREPARED if found.prepares.power(found.proposal.digest) >= core.committee.quorum else PROPOSAL


def on_status(core: Core, envelope: Envelope, body: Status, past: Past) -> None:
    """Learn where a member stands, and answer with what it lacks.

    What it proves counts whenever it was said; where it stands, only if this is its latest word (P7.5).
    """
    core.require_member(body.epoch, body.sender)
    core.require_signature(envelope, body.sender)
    peer = core.peers[body.sender]
    _take_seal(core, peer, body)
    _take_final(core, envelope, body)
    past.hear(core, body)
    if 0 < body.number <= peer.number:
        _correct(core, peer, body)
        raise MessageRefused("stale")
    before, peer.status = peer.status, body
    peer.number, peer.envelope = body.number, msgspec.structs.replace(envelope, batches=())
    peer.view, peer.sealed_height = body.view, max(peer.sealed_height, body.seal.height if body.seal else 0)
    _ask_back(core, peer, body, past)
    asks_anew = body.token != 0 and (before is None or before.token != body.token)
    if asks_anew:
        peer.questions += 1
    if not peer.answered or (asks_anew and peer.questions <= QUESTIONS_A_TICK_MAX):
        peer.answered = True
        _answer(core, peer, body, before)


def on_own_status(core: Core, envelope: Envelope, body: Status) -> None:
    """A peer shows a later STATUS of this member than it sent: its clock was set back. It counts on from there."""
    if core.status_number < body.number <= NUMBER_OWN_MAX:
        core.require_signature(envelope, core.member)
        core.status_number = body.number
        core.asking_due = core.question != 0


def _take_seal(core: Core, peer: Peer, body: Status) -> None:
    """A higher seal than is known: checked before anything follows from it (P7.4)."""
    if body.seal and body.seal.height > max(peer.sealed_height, core.sealed_height):
        if not seal_holds(core.committee, body.seal):
            raise MessageRefused("invalid_seal")
        note_seal(core, body.seal)


def _correct(core: Core, peer: Peer, body: Status) -> None:
    """An old STATUS: a replay, or its sender's clock was set back. That one learns from its own latest word."""
    if body.number < peer.number and peer.envelope and not peer.corrected:
        peer.corrected = True
        core.send(body.sender, peer.envelope)


def _ask_back(core: Core, peer: Peer, body: Status, past: Past) -> None:
    """A member speaks that has not answered this one's question: maybe it never got it."""
    token = past.token_for(core, body.sender)
    if token and not peer.asked:
        peer.asked = True
        core.send(body.sender, own_status(core, token=token))


def _answer(core: Core, peer: Peer, body: Status, before: Status | None) -> None:
    """What that member lacks, as far as it is this replica's to give."""
    stalled = before is None or _standing(before) == _standing(body)
    if body.token:
        for words in words_of(core, body.sender):
            core.send(body.sender, words)
    if before is None or body.token or body.forgetful or (stalled and _is_behind(core, peer, body)):
        core.send(body.sender, own_status(core, *_final_above(core, body.height), echo=body.token, answers=body.sender))
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
