"""Byzantine behaviours in view changes and STATUS: what was prepared is hidden, old, forged, or left out of NEW-VIEW.

Each takes one message that an honest replica would send to one receiver, and returns what goes out instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from consensus.errors import MessageRefused
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PREPARE,
    STATUS,
    VIEW_CHANGE,
    WINDOW_MAX,
    Body,
    CommitCertificate,
    Envelope,
    NewView,
    PreparedCertificate,
    SignedViewChange,
    Status,
    ViewChange,
    Vote,
    open_body,
)
from consensus.simulation.liar import Liar
from consensus.view_change import choose
from ledger.errors import CodecError
from ledger.types import Batch, Checkpoint, Seal, SealSignature

Saying = list[Envelope]
Certificate = TypeVar("Certificate", PreparedCertificate, CommitCertificate)


# ── VIEW-CHANGE ───────────────────────────────────────────────────────────────────────────────────


def hide_prepared(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Leaves views without saying what it prepared, and claims no seal."""
    if not isinstance(body, ViewChange):
        return [envelope]
    return [liar.signed(VIEW_CHANGE, msgspec.structs.replace(body, seal=None, prepared=()))]


def hide_one(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Leaves one certificate out, another one for every receiver."""
    if not isinstance(body, ViewChange) or not body.prepared:
        return [envelope]
    left_out = liar.prng.below(len(body.prepared))
    return [_shown(liar, body, [each for each in body.prepared if each is not body.prepared[left_out]], envelope)]


def show_old(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Shows a true certificate of the lowest view instead of the latest: made from the PREPAREs that it heard."""
    if not isinstance(body, ViewChange):
        return [envelope]
    base = body.seal.height if body.seal else 0
    found = {each.height: each for each in body.prepared}
    for (view, height, digest), signatures in liar.prepares.items():
        power = sum(liar.powers[each] for each in signatures)
        known = found.get(height)
        proper = height > base and view < body.view and digest in liar.batches
        if proper and power >= liar.quorum and (known is None or view < known.view):
            found[height] = PreparedCertificate(view, height, digest, _listed(signatures))
    return [_shown(liar, body, [found[height] for height in sorted(found)], envelope)]


def show_forged(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Claims to have prepared another batch, in the highest view that can be."""
    if not isinstance(body, ViewChange) or body.view == 0:
        return [envelope]
    base = body.seal.height if body.seal else 0
    batch = _rival(liar, base)
    if batch is None:
        return [envelope]
    forged = _forged_certificate(liar, PreparedCertificate, PREPARE, body.view - 1, batch)
    found = {each.height: each for each in body.prepared} | {forged.height: forged}
    return [_shown(liar, body, [found[height] for height in sorted(found)], envelope)]


def false_seal(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Claims a seal that no quorum gave, in VIEW-CHANGE and STATUS."""
    if not isinstance(body, ViewChange | Status):
        return [envelope]
    height = (body.seal.height if body.seal else 0) + 1 + liar.prng.below(3)
    header_hash = b"\xdd" * 32 if body.seal is None or liar.prng.chance(500) else body.seal.header_hash
    signatures = liar.forged_signatures(CHECKPOINT, lambda each: Checkpoint(0, height, each, header_hash))
    bent = msgspec.structs.replace(body, seal=Seal(0, height, header_hash, signatures))
    if isinstance(bent, ViewChange):
        return [_shown(liar, bent, [each for each in bent.prepared if each.height > height], envelope)]
    return [liar.signed(STATUS, bent, envelope.batches)]


def old_seal(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Shows a true seal that is not its highest, and what it prepared above it only as far as the window goes."""
    if not isinstance(body, ViewChange):
        return [envelope]
    seals = [held.seal for views in liar.view_changes.values() for held, _ in views.values() if held.seal]
    seal = min(seals, key=lambda each: each.height, default=None)
    return [_shown(liar, msgspec.structs.replace(body, seal=seal), list(body.prepared), envelope)]


# ── NEW-VIEW ──────────────────────────────────────────────────────────────────────────────────────


def uneven_new_view(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Another quorum of VIEW-CHANGEs for every receiver, each a legal start of the view (scenario 29)."""
    held = liar.view_changes.get(body.view, {}) if isinstance(body, NewView) else {}
    if not held:
        return [envelope]
    return [_new_view(liar, body, liar.subset(sorted(held), liar.quorum))]


def short_new_view(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """One VIEW-CHANGE too few, one twice, one of another view in its place, or its own with a forged certificate."""
    if not isinstance(body, NewView) or not body.view_changes:
        return [envelope]
    listed = list(body.view_changes)
    left_out = liar.prng.below(len(listed))
    way = liar.prng.below(4)
    if way == 0:
        listed = listed[:left_out] + listed[left_out + 1 :]
    elif way == 1:
        listed[left_out] = listed[(left_out + 1) % len(listed)]
    elif way == 2:
        return [_with_forged_own(liar, receiver, envelope, body)]
    else:
        old = [each for views in liar.view_changes.values() for _, each in views.values()]
        if old:
            other = old[liar.prng.below(len(old))]
            listed[left_out] = SignedViewChange(other.body, other.signature)
    return [liar.signed(NEW_VIEW, msgspec.structs.replace(body, view_changes=tuple(listed)), envelope.batches)]


def forged_new_view(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """All VIEW-CHANGEs but its own replaced by empty ones in those members' names; starts views that are another's."""
    if isinstance(body, ViewChange):
        held = liar.view_changes.get(body.view, {})
        if sum(liar.powers[each] for each in held) < liar.quorum:
            return [envelope]
        return [envelope, _new_view(liar, NewView(body.epoch, body.view, liar.member, ()), sorted(held))]
    if not isinstance(body, NewView):
        return [envelope]
    forged = [
        liar.signed(VIEW_CHANGE, ViewChange(body.epoch, body.view, each, None, ())) for each in range(liar.members)
    ]
    listed = tuple(SignedViewChange(each.body, each.signature) for each in forged)
    return [liar.signed(NEW_VIEW, msgspec.structs.replace(body, view_changes=listed))]


def wrong_proposals(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """The VIEW-CHANGEs are right, what is proposed again is not: other batches, fewer, or swapped."""
    if not isinstance(body, NewView) or not envelope.batches:
        return [envelope]
    batches = list(envelope.batches)
    chosen = liar.prng.below(len(batches))
    ways = (
        batches[:chosen] + batches[chosen + 1 :],
        [*batches[:chosen], liar.other_batch(batches[chosen]), *batches[chosen + 1 :]],
        batches[::-1],
        [*batches[:chosen], msgspec.structs.replace(batches[chosen], hashes=()), *batches[chosen + 1 :]],
    )
    return [msgspec.structs.replace(envelope, batches=tuple(ways[liar.prng.below(len(ways))]))]


# ── STATUS ────────────────────────────────────────────────────────────────────────────────────────


def forged_final(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Hands over commit certificates that no quorum gave."""
    if not isinstance(body, Status):
        return [envelope]
    batch = _rival(liar, body.seal.height if body.seal else 0)
    if batch is None:
        return [envelope]
    forged = _forged_certificate(liar, CommitCertificate, COMMIT, body.view, batch)
    bent = msgspec.structs.replace(body, final=(forged,))
    return [liar.signed(STATUS, bent, (batch,))]


def needy(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Claims to be far behind, in another view, and to have forgotten everything: all the time."""
    if not isinstance(body, Status):
        return [envelope]
    behind = msgspec.structs.replace(
        body, height=0, seal=None, progress=(), final=(), forgetful=liar.prng.chance(300), view=liar.prng.below(3)
    )
    return [liar.signed(STATUS, behind), liar.signed(STATUS, behind)]


# ── pieces ────────────────────────────────────────────────────────────────────────────────────────


def _listed(signatures: dict[int, bytes]) -> tuple[SealSignature, ...]:
    return tuple(SealSignature(member, signatures[member]) for member in sorted(signatures))


def _shown(liar: Liar, body: ViewChange, certificates: list[PreparedCertificate], envelope: Envelope) -> Envelope:
    """A VIEW-CHANGE that shows these certificates, with their batches."""
    known = {batch.digest: batch for batch in envelope.batches} | liar.batches
    kept = [each for each in certificates if each.digest in known]
    batches = tuple(known[each.digest] for each in kept)
    return liar.signed(VIEW_CHANGE, msgspec.structs.replace(body, prepared=tuple(kept)), batches)


def _rival(liar: Liar, base: int) -> Batch | None:
    """A proper batch that competes with the latest one known above `base`."""
    known = [batch for batch in liar.batches.values() if batch.height > base and batch.hashes]
    if not known:
        return None
    rival = liar.other_batch(known[liar.prng.below(len(known))])
    liar.batches[rival.digest] = rival
    return rival


def _forged_certificate(liar: Liar, shape: type[Certificate], kind: str, view: int, batch: Batch) -> Certificate:
    digest = batch.digest
    signatures = liar.forged_signatures(kind, lambda each: Vote(0, view, batch.height, each, digest))
    return shape(view, batch.height, digest, signatures)


def _with_forged_own(liar: Liar, receiver: int, envelope: Envelope, body: NewView) -> Envelope:
    """The same NEW-VIEW, with a VIEW-CHANGE of its own that shows what it never prepared."""
    held = liar.view_changes.get(body.view, {})
    if liar.member not in held:
        return envelope
    mine, signed = held[liar.member]
    bent = show_forged(liar, receiver, signed, mine)[0]
    listed = tuple(
        SignedViewChange(bent.body, bent.signature) if each.body == signed.body else each for each in body.view_changes
    )
    batches = {batch.digest: batch for batch in (*envelope.batches, *bent.batches)}
    try:
        opened = [open_body(VIEW_CHANGE, each.body) for each in listed]
        wanted = _start_of([each for each in opened if isinstance(each, ViewChange)])
    except (MessageRefused, CodecError):
        return envelope
    chosen = tuple(batches[digest] for digest in wanted if digest in batches)
    return liar.signed(NEW_VIEW, msgspec.structs.replace(body, view_changes=listed), chosen)


def _new_view(liar: Liar, body: Body, members: list[int]) -> Envelope:
    """A NEW-VIEW from the VIEW-CHANGEs of these members, with what follows from them."""
    assert isinstance(body, NewView)
    held = [liar.view_changes[body.view][each] for each in members]
    batches = {batch.digest: batch for _, envelope in held for batch in envelope.batches}
    try:
        wanted = _start_of([each for each, _ in held])
    except MessageRefused:
        wanted = []
    listed = tuple(SignedViewChange(envelope.body, envelope.signature) for _, envelope in held)
    bent = msgspec.structs.replace(body, view_changes=listed)
    return liar.signed(NEW_VIEW, bent, tuple(batches[digest] for digest in wanted if digest in batches))


def _start_of(view_changes: Sequence[ViewChange]) -> Sequence[bytes]:
    """What a view proposes again that starts from these. Raises `MessageRefused` as `choose` does, and where they lie
    as far apart as those of other liars may: no correct member gets to reckon with such.
    """
    heights = [each.seal.height for each in view_changes if each.seal]
    certified = [certificate.height for each in view_changes for certificate in each.prepared]
    if certified and max(certified) - max(heights, default=0) > WINDOW_MAX:
        raise MessageRefused("outside_window")
    return choose(view_changes).digests


BEHAVIOURS = (
    hide_prepared,
    hide_one,
    show_old,
    show_forged,
    false_seal,
    old_seal,
    uneven_new_view,
    short_new_view,
    forged_new_view,
    wrong_proposals,
    forged_final,
    needy,
)
