"""Leaving a view and entering the next: SUSPECT, VIEW-CHANGE, NEW-VIEW (docs/protocol.md, sections 4 and 5).

Reads what each height prepared; `view_change` says what follows from it. Knows no PREPARE and counts no COMMIT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from consensus.actions import ViewChanged
from consensus.core import BUFFERED_WINDOWS, Core, HeldViewChange
from consensus.errors import MessageRefused
from consensus.messages import (
    NEW_VIEW,
    PREPARE,
    VIEW_CHANGE,
    Envelope,
    NewView,
    PreparedCertificate,
    SignedViewChange,
    Suspect,
    ViewChange,
    Vote,
)
from consensus.recovery import Entered
from consensus.sealing import note_seal
from consensus.slot import Proposal
from consensus.view_change import (
    Choice,
    choose,
    contradictions,
    open_view_changes,
    proposals,
    require_batches,
    require_view_change,
)
from ledger.types import Batch

COSTLY_A_TICK_MAX = 4  # of one member; a correct one sends its latest VIEW-CHANGE again with the next tick

# ── what arrives ──────────────────────────────────────────────────────────────────────────────────


def on_suspect(core: Core, envelope: Envelope, body: Suspect) -> None:
    """A member waits in vain: one entry a member, its latest."""
    core.require_member(body.epoch, body.sender)
    core.require_no_batches(envelope)
    held = core.suspects.get(body.sender)
    if body.view < core.view or (held and (body.view, body.height) <= (held.view, held.height)):
        raise MessageRefused("stale")
    core.require_signature(envelope, body.sender)
    core.suspects[body.sender] = body
    core.unrest = True


def on_view_change(core: Core, envelope: Envelope, body: ViewChange) -> None:
    """A member left: one entry a member, that of its highest view. Wrong in one part, it is discarded whole (P4.3)."""
    core.require_member(body.epoch, body.sender)
    if body.view < core.view or (body.view == core.view and not core.changing):
        raise MessageRefused("stale")
    held = core.view_changes.get(body.sender)
    if held and held.body.view >= body.view:
        _report_double_view_change(core, held, envelope, body)
    _require_patience(core, body.sender)
    core.require_signature(envelope, body.sender)
    digests = [certificate.digest for certificate in body.prepared]
    require_batches(digests, [certificate.height for certificate in body.prepared], envelope.batches)
    with _judging(core, body.sender):
        require_view_change(core.committee, core.window, body)
    core.peers[body.sender].costly += 1
    core.view_changes[body.sender] = HeldViewChange(body, envelope)
    core.unrest = True
    _note_seal_of(core, body)


def on_new_view(core: Core, envelope: Envelope, body: NewView) -> None:
    """A view's start: entered only if everything in it is what this replica computes itself (P4.6)."""
    core.require_member(body.epoch, body.sender)
    if body.sender != core.committee.primary(body.view):
        raise MessageRefused("not_the_primary")
    if not core.safety.may_enter(body.view):
        _report_double_new_view(core, envelope, body)
    _require_patience(core, body.sender)
    core.require_signature(envelope, body.sender)
    with _judging(core, body.sender):
        view_changes = open_view_changes(core.committee, body)
        if envelope.body != core.sound_new_view:
            for signed, view_change in zip(body.view_changes, view_changes, strict=True):
                _require_checked(core, signed, view_change)
            core.sound_new_view = envelope.body
    _report_contradictions(core, view_changes)
    choice = choose(view_changes)
    _require_chosen_batches(choice, envelope.batches)
    for view_change in view_changes:
        _note_seal_of(core, view_change)
    enter(core, envelope, body.view, choice)


def _require_patience(core: Core, sender: int) -> None:
    """Raise `MessageRefused` where this sender has used up its checks of many signatures until the next tick (P2.6)."""
    if core.peers[sender].costly >= COSTLY_A_TICK_MAX:
        raise MessageRefused("too_many")


@contextmanager
def _judging(core: Core, sender: int) -> Iterator[None]:
    """Check many signatures. The sender signed what they are in, so if it does not hold, that is its own fault.

    Not so for what is not signed, the batches: anybody could hand on a correct member's message with others.
    """
    try:
        yield
    except MessageRefused:
        core.peers[sender].costly += 1
        raise


def _require_checked(core: Core, signed: SignedViewChange, view_change: ViewChange) -> None:
    """One VIEW-CHANGE of a NEW-VIEW, checked in full unless it came before by itself."""
    held = core.view_changes.get(view_change.sender)
    if held and held.envelope.body == signed.body and held.envelope.signature == signed.signature:
        return
    if not core.committee.signed_by(VIEW_CHANGE, view_change.sender, signed.body, signed.signature):
        raise MessageRefused("bad_signature")
    require_view_change(core.committee, core.window, view_change)


def _require_chosen_batches(choice: Choice, batches: tuple[Batch, ...]) -> None:
    heights = [certificate.height for certificate in choice.certificates if certificate]
    require_batches(choice.digests, heights, batches)


def _note_seal_of(core: Core, body: ViewChange) -> None:
    if body.seal:
        note_seal(core, body.seal)
        peer = core.peers[body.sender]
        peer.sealed_height = max(peer.sealed_height, body.seal.height)


def _report_double_view_change(core: Core, held: HeldViewChange, envelope: Envelope, body: ViewChange) -> None:
    """Never replaces what is held; two for one view are evidence. Always raises."""
    if held.body.view == body.view:
        _report_double(core, held.envelope, envelope, body)
    raise MessageRefused("duplicate")


def _report_double_new_view(core: Core, envelope: Envelope, body: NewView) -> None:
    """The first NEW-VIEW of a view stays; another one is evidence. Always raises."""
    if core.new_view and body.view == core.entered_view:
        _report_double(core, core.new_view, envelope, body)
    raise MessageRefused("stale")


def _report_double(core: Core, held: Envelope, envelope: Envelope, body: ViewChange | NewView) -> None:
    """Evidence, once a member, kind and view."""
    place = (envelope.kind, body.sender)
    if held.body != envelope.body and core.reported.get(place) != body.view:
        core.require_signature(envelope, body.sender)
        core.reported[place] = body.view
        core.evidence(body.sender, held, envelope)


def _report_contradictions(core: Core, view_changes: Sequence[ViewChange]) -> None:
    """Two certificates for one place cannot be within the fault bound: whoever signed both is named, once a view."""
    for first, second in contradictions(view_changes):
        signed_first = {each.member: each.signature for each in first.signatures}
        for each in second.signatures:
            place = (PREPARE, each.member)
            if each.member in signed_first and core.reported.get(place) != first.view:
                core.reported[place] = first.view
                core.evidence(
                    each.member,
                    _prepare_in(core, first, each.member, signed_first[each.member]),
                    _prepare_in(core, second, each.member, each.signature),
                )


def _prepare_in(core: Core, certificate: PreparedCertificate, member: int, signature: bytes) -> Envelope:
    vote = Vote(core.committee.epoch, certificate.view, certificate.height, member, certificate.digest)
    return Envelope(PREPARE, vote.encode(), signature)


# ── what follows ──────────────────────────────────────────────────────────────────────────────────


def fits(core: Core, batch: Batch) -> bool:
    """Whether a fresh batch has its place in the view that was entered: open there, and in its proposer's turn."""
    return (
        core.fresh_from <= batch.height
        and batch.since == core.fresh_from
        and batch.proposer == core.holder(batch.height)
    )


def suspect_turn(core: Core) -> None:
    """The present turn should end: true until its last height is delivered, for then the pen moves on (P5.6, P5.7)."""
    if core.changing or core.best_sealed_height > core.delivered_height:
        return  # who is behind has not seen what the others deliver
    suspect(core, core.view, core.turns.last_height(core.fresh_from, core.delivered_height + 1))


def suspect(core: Core, view: int, height: int = 0) -> None:
    """Tell everybody that `view` should be left, if it is the current one. Alone this moves nobody (P5.4).

    It holds until `height` is delivered: the next one, unless more is said.
    """
    height = max(height, core.delivered_height + 1)
    held = core.suspects.get(core.member)
    if view != core.view or (held and held.view == view and held.height >= height):
        return
    permit = core.safety.suspect(height)
    if permit is not None:
        core.grant(permit)
        core.suspects[core.member] = Suspect(core.committee.epoch, view, height, core.member)
        core.unrest = True


def advance(core: Core) -> None:
    """Leave when a weak quorum wants to; start the new view as its primary when a quorum has left."""
    if not core.unrest:
        return
    core.unrest = False
    _renew_doubt(core)
    target = wanted_view(core)
    if target > core.view:
        _leave(core, target)
    if core.changing and core.leads and left_power(core, core.view) >= core.committee.quorum:
        _lead(core)


def _renew_doubt(core: Core) -> None:
    """A height that an earlier view brings to a commit makes no NEW-VIEW: the doubt goes on to the next one (P5.4)."""
    doubt = core.suspects.get(core.member)
    if core.changing and doubt and doubt.view == core.view:
        suspect(core, core.view)


def wanted_view(core: Core) -> int:
    """The highest view that a weak quorum of members has left for, or wants to see next (P5.4, P5.5)."""
    wishes = sorted(((_wish(core, member), member) for member in range(core.committee.size)), reverse=True)
    power = 0
    for view, member in wishes:
        power += core.committee.powers[member]
        if power >= core.committee.weak_quorum:
            return view
    return core.view


def _wish(core: Core, member: int) -> int:
    """The view that a member is known to want: a SUSPECT about a height that is delivered here is out of date."""
    left = core.view_changes.get(member)
    doubt = core.suspects.get(member)
    wish = left.body.view if left else 0
    if doubt and doubt.view == core.view and doubt.height > core.delivered_height:
        wish = max(wish, _view_after(core))
    return wish


def _view_after(core: Core) -> int:
    """The view to leave for: the next, but not one that the very member starts whose turn it was (P5.4)."""
    blamed = None if core.changing else core.holder(core.delivered_height + 1)
    return core.view + (2 if core.committee.primary(core.view + 1) == blamed else 1)


def left_power(core: Core, through: int) -> int:
    """The power of those who left for the current view, or for any later one up to `through`."""
    powers = core.committee.powers
    return sum(powers[each] for each, held in core.view_changes.items() if core.view <= held.body.view <= through)


def _leave(core: Core, view: int) -> None:
    """VIEW-CHANGE with the highest seal and every prepared certificate above it: durable, then sent (P4.2)."""
    prepared, batches = [], []
    for height in range(core.sealed_height + 1, core.sealed_height + core.window + 1):
        slot = core.slots.get(height)
        if slot and slot.prepared:
            prepared.append(slot.prepared)
            batches.append(slot.batches[slot.prepared.digest])
    body = ViewChange(core.committee.epoch, view, core.member, core.seal, tuple(prepared))
    permit = core.safety.leave(body, tuple(batches))
    if permit is None:
        return
    core.grant(permit)
    core.view_changes[core.member] = HeldViewChange(body, permit.envelope)
    core.failed_views += 1
    core.unrest = True


def _lead(core: Core) -> None:
    """NEW-VIEW from every VIEW-CHANGE for this view that is held."""
    held = [core.view_changes[member] for member in sorted(core.view_changes)]
    mine = [each for each in held if each.body.view == core.view]
    _report_contradictions(core, [each.body for each in mine])
    try:
        choice = choose([each.body for each in mine])
    except MessageRefused:
        return  # more members are faulty than the quorum bears: the time-out goes on to the next view
    by_digest = {batch.digest: batch for each in mine for batch in each.envelope.batches}
    signed = tuple(SignedViewChange(each.envelope.body, each.envelope.signature) for each in mine)
    body = NewView(core.committee.epoch, core.view, core.member, signed)
    permit = core.safety.lead(body, tuple(by_digest[digest] for digest in choice.digests))
    if permit is not None:
        core.grant(permit)
        enter(core, permit.envelope, body.view, choice)


def enter(core: Core, envelope: Envelope, view: int, choice: Choice) -> None:
    """Begin to vote in a view: its NEW-VIEW is durable, and stands for the PRE-PREPAREs of what it proposes again."""
    assert envelope.kind == NEW_VIEW
    core.persist(Entered(view, envelope))
    core.safety.enter(view)
    core.entered_view, core.new_view = view, envelope
    core.fresh_from = choice.fresh_from
    core.view_changes = {member: held for member, held in core.view_changes.items() if held.body.view > view}
    _propose_again(core, view, proposals(core.committee, view, choice, envelope.batches))
    for height in sorted(core.slots):
        core.slots[height].enter_view(view)
    _drop_far_slots(core, view)
    core.out.append(ViewChanged(view, core.committee.primary(view)))
    core.unrest = True
    core.touch_all()


def _drop_far_slots(core: Core, view: int) -> None:
    """Far above a laggard's window only this view's start may reach: what an earlier one proposed there is dropped."""
    near = core.sealed_height + BUFFERED_WINDOWS * core.window
    core.slots = {
        height: slot
        for height, slot in core.slots.items()
        if height <= near or slot.final or slot.prepared or slot.proposal_in(view)
    }


def _propose_again(core: Core, view: int, batches: tuple[Batch, ...]) -> None:
    """Put the view's start in place; what its primary sent too early, and has no place in it, does not count."""
    for height in sorted(core.slots):
        slot = core.slots[height]
        found = slot.rounds.get(view)
        if found and found.proposal and not fits(core, slot.batches[found.proposal.digest]):
            found.proposal = None
    for batch in batches:
        if batch.height <= core.sealed_height:
            continue
        slot, digest = core.slot(batch.height), batch.digest
        slot.batches[digest] = batch
        slot.round(view).proposal = Proposal(digest, b"", timely=True, fresh=False)
        if slot.final and slot.final.digest != digest:
            core.halt(f"view {view} proposes another batch at height {batch.height}, which is final here")
