"""Byzantine behaviours in the normal case: proposals, votes, checkpoints, and the lack of them.

Each takes one message that an honest replica would send to one receiver, and returns what goes out instead.
"""

from __future__ import annotations

import msgspec

from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    PRE_PREPARE,
    PREPARE,
    SUSPECT,
    Body,
    Envelope,
    Suspect,
    ViewChange,
    Vote,
)
from consensus.simulation.liar import Liar
from ledger.types import Batch, Checkpoint

Saying = list[Envelope]


def mute(_liar: Liar, _receiver: int, _envelope: Envelope, _body: Body) -> Saying:
    """Says nothing at all."""
    return []


def choosy(_liar: Liar, receiver: int, envelope: Envelope, _body: Body) -> Saying:
    """Talks to half of the members only."""
    return [envelope] if receiver % 2 else []


def withhold(liar: Liar, receiver: int, envelope: Envelope, _body: Body) -> Saying:
    """Leaves out every message of one kind, for some receivers also of a second."""
    kinds = (COMMIT, CHECKPOINT, PREPARE, PRE_PREPARE, "view-change", "new-view", "status", SUSPECT)
    first, second = kinds[liar.member % len(kinds)], kinds[(liar.member + receiver) % len(kinds)]
    return [] if envelope.kind in (first, second) else [envelope]


def equivocate(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Two proposals: one half of the members sees the one, the rest the other."""
    if envelope.kind != PRE_PREPARE or receiver % 2 == 0:
        return [envelope]
    return [_proposal(liar, body, liar.other_batch(envelope.batches[0]))]


def conspire(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Two proposals, and the votes of all accomplices for each, to the half that sees it."""
    if envelope.kind != PRE_PREPARE or not isinstance(body, Vote):
        return [envelope]
    batch = envelope.batches[0] if receiver % 2 == 0 else liar.other_batch(envelope.batches[0])
    said = [_proposal(liar, body, batch)]
    for each in liar.accomplices:
        vote = msgspec.structs.replace(body, sender=each, digest=batch.digest)
        said += [liar.signed(PREPARE, vote), liar.signed(COMMIT, vote)]
    return said


def impersonate(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """As `conspire`, with votes in the name of every member: those of correct ones are badly forged."""
    if envelope.kind != PRE_PREPARE or not isinstance(body, Vote) or receiver % 2 == 0:
        return [envelope]
    batch = liar.other_batch(envelope.batches[0])
    said = [_proposal(liar, body, batch)]
    for each in range(liar.members + 1):
        vote = msgspec.structs.replace(body, sender=each, digest=batch.digest)
        said += [liar.signed(PREPARE, vote), liar.signed(COMMIT, vote)]
    return said


def usurp(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Says whatever it says in others' names too, and in that of nobody; proposes where it is not its turn."""
    said = [envelope]
    if isinstance(body, Vote | Checkpoint | Suspect | ViewChange):
        other = (liar.member + 1 + liar.prng.below(liar.members)) % (liar.members + 1)
        said.append(liar.signed(envelope.kind, msgspec.structs.replace(body, sender=other), envelope.batches))
    if envelope.kind == PREPARE and isinstance(body, Vote) and body.digest in liar.batches:
        batch = liar.other_batch(liar.batches[body.digest])
        mine = msgspec.structs.replace(batch, proposer=liar.member)
        said += [_proposal(liar, body, mine), _proposal(liar, body, batch)]
        theirs = msgspec.structs.replace(body, sender=batch.proposer)
        said.append(_proposal(liar, theirs, batch))
    return said if receiver % 2 else said[::-1]


def relabel(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Hands on what others signed as if they had signed it for another kind of message: PREPAREs as COMMITs."""
    if not isinstance(body, Vote):
        return [envelope]
    said = [envelope]
    for (view, height, digest), signatures in list(liar.prepares.items())[-4:]:
        for member, signature in signatures.items():
            vote = Vote(body.epoch, view, height, member, digest)
            said.append(Envelope(COMMIT, vote.encode(), signature))
    return said


def stuff(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Votes for two digests at once and again, and also in the neighbouring views and heights."""
    if not isinstance(body, Vote) or envelope.kind == PRE_PREPARE:
        return [envelope]
    known = [key for key in liar.prepares if key[1] == body.height]
    view, _, digest = known[liar.prng.below(len(known))] if known else (body.view, 0, bytes([receiver % 3]) * 32)
    other = msgspec.structs.replace(body, digest=digest)
    shifted = msgspec.structs.replace(other, view=view, height=body.height + liar.prng.below(2))
    return [liar.signed(envelope.kind, each) for each in (other, body, other, shifted)]


def double_vote(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Another digest for every other receiver, both for some."""
    if not isinstance(body, Vote) or envelope.kind == PRE_PREPARE or receiver % 2 == 0:
        return [envelope]
    bent = liar.signed(envelope.kind, msgspec.structs.replace(body, digest=bytes([liar.prng.below(3)]) * 32))
    return [bent, envelope] if liar.prng.chance(500) else [bent]


def make_up(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Proposes a transaction that nobody submitted."""
    if envelope.kind != PRE_PREPARE or liar.prng.chance(500):
        return [envelope]
    return [_proposal(liar, body, liar.made_up_batch(envelope.batches[0]))]


def misplace(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Proposes improper batches: empty, too large, a transaction twice, another's place; and what is sealed already."""
    if envelope.kind != PRE_PREPARE or not isinstance(body, Vote) or liar.prng.chance(500):
        return [envelope]
    batch = envelope.batches[0]
    old = [each for each in liar.batches.values() if each.height < batch.height and each.hashes]
    bent = (
        msgspec.structs.replace(batch, hashes=()),
        msgspec.structs.replace(batch, hashes=batch.hashes * 2),
        msgspec.structs.replace(batch, hashes=_too_many(liar)),
        msgspec.structs.replace(batch, proposer=(batch.proposer + 1) % liar.members),
        msgspec.structs.replace(batch, time_ms=batch.time_ms + 86_400_000),
        msgspec.structs.replace(batch, hashes=old[liar.prng.below(len(old))].hashes if old else batch.hashes),
    )[liar.prng.below(6)]
    return [_proposal(liar, body, bent)]


def wrong_header(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Claims another execution."""
    if not isinstance(body, Checkpoint):
        return [envelope]
    return [liar.signed(CHECKPOINT, msgspec.structs.replace(body, header_hash=b"\xee" * 32))]


def two_headers(liar: Liar, receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Claims another execution to some, and in the name of others."""
    if not isinstance(body, Checkpoint) or receiver % 2:
        return [envelope]
    wrong = msgspec.structs.replace(body, header_hash=b"\xee" * 32)
    return [liar.signed(CHECKPOINT, msgspec.structs.replace(wrong, sender=each)) for each in range(liar.members)]


def impatient(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> Saying:
    """Suspects everybody all the time, and asks for views far ahead."""
    if not isinstance(body, Vote):
        return [envelope]
    doubt = Suspect(body.epoch, body.view, body.height + 1, body.sender)
    away = ViewChange(body.epoch, body.view + 1 + liar.prng.below(1000), body.sender, None, ())
    return [envelope, liar.signed(SUSPECT, doubt), liar.signed("view-change", away)]


def repeat(_liar: Liar, _receiver: int, envelope: Envelope, _body: Body) -> Saying:
    """Says everything four times."""
    return [envelope] * 4


def _too_many(liar: Liar) -> tuple[bytes, ...]:
    """Every transaction that it knows, each once."""
    return tuple(dict.fromkeys(each for batch in liar.batches.values() for each in batch.hashes))


def _proposal(liar: Liar, body: Body, batch: Batch) -> Envelope:
    return liar.signed(PRE_PREPARE, msgspec.structs.replace(body, digest=batch.digest), (batch,))


BEHAVIOURS = (
    mute,
    choosy,
    withhold,
    equivocate,
    conspire,
    impersonate,
    usurp,
    relabel,
    stuff,
    double_vote,
    make_up,
    misplace,
    wrong_header,
    two_headers,
    impatient,
    repeat,
)
