"""The normal case: a proposal, a quorum of PREPAREs, a quorum of COMMITs, delivery in height order.

Handlers count what arrived; `advance` then takes every touched height as far as it will go (docs/protocol.md,
section 3). Knows nothing of how views change: it reads the current view and votes in no other.
"""

from __future__ import annotations

from consensus.actions import Deliver, FetchBodies
from consensus.certificates import commit_holds
from consensus.core import FUTURE_VIEWS_MAX, Core
from consensus.errors import MessageRefused
from consensus.messages import (
    COMMIT,
    PRE_PREPARE,
    PREPARE,
    CommitCertificate,
    Envelope,
    PreparedCertificate,
    Vote,
    open_envelope,
)
from consensus.recovery import BatchHeld, CommitHeld
from consensus.slot import ASKED, READY, REFUSED, Final, Proposal, Round, Slot, Votes
from consensus.view_changing import suspect, suspect_turn
from ledger.types import HEIGHT_MAX, Batch

# ── what arrives ──────────────────────────────────────────────────────────────────────────────────


def on_pre_prepare(core: Core, envelope: Envelope, vote: Vote) -> None:
    """A fresh proposal (P3.2). Judged by form here; by its bodies and this node's clock before the PREPARE."""
    _require_place(core, PRE_PREPARE, vote)
    entered = vote.view == core.view and not core.changing
    if vote.sender != (core.holder(vote.height) if entered else core.committee.primary(vote.view)):
        raise MessageRefused("not_the_primary")
    slot = core.slots.get(vote.height)
    found = slot.rounds.get(vote.view) if slot else None
    if found and _is_known(core, found, envelope, vote):
        raise MessageRefused("duplicate")
    if entered and vote.height < core.fresh_from:
        raise MessageRefused("already_proposed_by_new_view")
    batch = _require_own_batch(envelope, vote)
    core.require_signature(envelope, vote.sender)
    if _is_improper(core, batch) or (entered and batch.since != core.fresh_from):
        suspect(core, vote.view)
        raise MessageRefused("improper_batch")
    accept(core, batch, vote, envelope)


def accept(core: Core, batch: Batch, vote: Vote, envelope: Envelope) -> None:
    """Take in a checked proposal. Its time is judged by the clock now, at first receipt, and never again."""
    timely = abs(batch.time_ms - core.now_ms) <= core.parameters.clock_drift_max_ms
    slot = core.slot(vote.height)
    slot.round(vote.view).proposal = Proposal(vote.digest, envelope.encode(), timely=timely, fresh=True)
    slot.batches[vote.digest] = batch
    core.touch(vote.height)


def on_vote(core: Core, envelope: Envelope, vote: Vote) -> None:
    """A PREPARE or COMMIT: counted once a member, at its own place only (P2.7)."""
    _require_place(core, envelope.kind, vote)
    core.require_no_batches(envelope)
    slot = core.slots.get(vote.height)
    found = slot.rounds.get(vote.view) if slot else None
    held = _votes(found, envelope.kind).of(vote.sender) if found else None
    if found and held:
        report_double_vote(core, _votes(found, envelope.kind), held, envelope, vote)
    core.require_signature(envelope, vote.sender)
    votes = _votes(core.slot(vote.height).round(vote.view), envelope.kind)
    votes.add(vote.sender, vote.digest, envelope.signature, core.committee.powers[vote.sender])
    core.touch(vote.height)


def report_double_vote(core: Core, votes: Votes, held: tuple[bytes, bytes], envelope: Envelope, vote: Vote) -> None:
    """A second vote of one member at one place: never counted; if it differs, evidence, once. Always raises."""
    if held[0] == vote.digest or vote.sender in votes.conflicting:
        raise MessageRefused("duplicate")
    core.require_signature(envelope, vote.sender)
    votes.conflicting[vote.sender] = vote.digest
    first = Vote(vote.epoch, vote.view, vote.height, vote.sender, held[0])
    core.evidence(vote.sender, Envelope(envelope.kind, first.encode(), held[1]), envelope)
    raise MessageRefused("double_vote")


def on_final(core: Core, certificate: CommitCertificate, batch: Batch) -> None:
    """A commit certificate from a peer that has the batch already (P7.3). Useless ones are passed over."""
    slot = core.slots.get(certificate.height)
    if certificate.height <= core.delivered_height or (slot and (slot.final or slot.offered)):
        return
    core.require_buffered(certificate.height)
    if not commit_holds(core.committee, certificate):
        raise MessageRefused("invalid_certificate")
    slot = core.slot(certificate.height)
    slot.offered = certificate
    slot.batches[certificate.digest] = batch
    core.touch(certificate.height)


def on_bodies(core: Core, digest: bytes, *, valid: bool) -> None:
    """The driver's answer to FetchBodies. An invalid fresh batch is its primary's fault (P3.4)."""
    height = core.awaiting.pop(digest, 0)
    slot = core.slots.get(height)
    if slot is None or digest not in slot.batches:
        return
    slot.mark_bodies(digest, READY if valid else REFUSED)
    core.touch(height)
    current = slot.rounds.get(core.view)
    if not valid and current and current.proposal and current.proposal.fresh and current.proposal.digest == digest:
        suspect(core, core.view)


def _require_place(core: Core, kind: str, vote: Vote) -> None:
    """The cheap checks: member, epoch, height and view in range. COMMITs of the view just left still count (P3.6)."""
    core.require_member(vote.epoch, vote.sender)
    core.require_buffered(vote.height)
    late_commit = kind == COMMIT and core.changing and vote.view == core.entered_view
    if not (core.view <= vote.view <= core.view + FUTURE_VIEWS_MAX or late_commit):
        raise MessageRefused("view_out_of_range")


def _votes(found: Round, kind: str) -> Votes:
    return found.prepares if kind == PREPARE else found.commits


def _is_known(core: Core, found: Round, envelope: Envelope, vote: Vote) -> bool:
    """Whether a proposal is held already. A second digest from one primary is evidence, and reason to leave."""
    held = found.proposal
    if held is None:
        return False
    if held.envelope and held.digest != vote.digest and not found.equivocated:
        core.require_signature(envelope, vote.sender)
        found.equivocated = True
        core.evidence(vote.sender, open_envelope(held.envelope)[0], envelope)
        suspect(core, vote.view)
    return True


def _require_own_batch(envelope: Envelope, vote: Vote) -> Batch:
    """The one batch that a PRE-PREPARE brings is the one that it names, first proposed in this very place."""
    if len(envelope.batches) != 1:
        raise MessageRefused("wrong_batches")
    batch = envelope.batches[0]
    place = (batch.epoch, batch.height, batch.view, batch.proposer)
    if place != (vote.epoch, vote.height, vote.view, vote.sender) or batch.digest != vote.digest:
        raise MessageRefused("wrong_batches")
    return batch


def _is_improper(core: Core, batch: Batch) -> bool:
    """Empty, too large, or naming a transaction twice: no correct primary signs that."""
    count = len(batch.hashes)
    return not 0 < count <= core.parameters.block_transactions_max or len(set(batch.hashes)) != count


# ── what follows ──────────────────────────────────────────────────────────────────────────────────


def advance(core: Core) -> None:
    """Take every touched height as far as it goes, then deliver what is next."""
    heights = sorted(core.touched)
    core.touched.clear()
    for height in heights:
        slot = core.slots.get(height)
        if slot is not None:
            _advance_slot(core, slot)
    while not core.halted and (slot := core.slots.get(core.delivered_height + 1)) is not None and slot.final:
        deliver(core, slot, slot.final)


def deliver(core: Core, slot: Slot, final: Final) -> None:
    """Hand out the next height. It is progress: patience starts anew (P5.3)."""
    batch = slot.batches[final.digest]
    core.out.append(Deliver(slot.height, batch, final.digest))
    _judge_pace(core, batch)
    core.delivered_height = slot.height
    core.failed_views = 0
    core.unrest = True


def _judge_pace(core: Core, batch: Batch) -> None:
    """The holder of the pen answers for the pace of its own turn, while work waits (P5.7)."""
    if batch.view == core.view and not core.changing and batch.hashes:
        last = core.turns.last_height(batch.since, batch.height)
        slow = core.pace.delivered((batch.view, last), batch.proposer, core.now_ms, waited=core.timer is not None)
        if slow and batch.height < last:
            suspect_turn(core)


def _advance_slot(core: Core, slot: Slot) -> None:
    current = None if core.changing else slot.rounds.get(core.view)
    if current and current.proposal:
        _prepare(core, slot, current, current.proposal)
        _commit(core, slot, current, current.proposal)
    for view in sorted(slot.rounds):
        _conclude(core, slot, view, slot.rounds[view])
    if slot.offered and not slot.final:
        _finish(core, slot, slot.offered)


def _prepare(core: Core, slot: Slot, current: Round, proposal: Proposal) -> None:
    """PREPARE a proposal whose bodies are durable here (P3.3)."""
    if current.prepares.of(core.member) or not proposal.timely or not core.safety.may_vote_at(slot.height):
        return
    batch = slot.batches[proposal.digest]
    if slot.bodies(proposal.digest) is None and proposal.fresh and _repeats_earlier(core, slot.height, batch):
        return  # until the earlier height is sealed: what did not fit there may come again
    if not _has_bodies(core, slot, proposal.digest):
        return
    permit = core.safety.prepare(batch, proposal.digest)
    if permit is not None:
        core.grant(permit)
        _count_own(core, current.prepares, proposal.digest, permit.envelope)


def _commit(core: Core, slot: Slot, current: Round, proposal: Proposal) -> None:
    """COMMIT a prepared batch: the certificate is durable first (P3.5)."""
    prepared = current.prepares.power(proposal.digest) >= core.committee.quorum
    if not prepared or current.commits.of(core.member) or not _has_bodies(core, slot, proposal.digest):
        return
    signatures = current.prepares.signatures_for(proposal.digest)
    certificate = PreparedCertificate(core.view, slot.height, proposal.digest, signatures)
    permit = core.safety.commit(slot.batches[proposal.digest], certificate)
    if permit is not None:
        core.grant(permit)
        slot.prepared = certificate
        _count_own(core, current.commits, proposal.digest, permit.envelope)


def _conclude(core: Core, slot: Slot, view: int, found: Round) -> None:
    """A quorum of COMMITs makes the batch final, in whatever view (P3.6)."""
    digest = found.commits.digest_with(core.committee.quorum)
    if digest is None or (slot.final and slot.final.digest == digest):
        return
    if slot.final:
        core.halt(f"two batches were committed at height {slot.height}: too many members are faulty")
    elif digest in slot.batches:
        signatures = found.commits.signatures_for(digest)
        _finish(core, slot, CommitCertificate(view, slot.height, digest, signatures))


def _finish(core: Core, slot: Slot, certificate: CommitCertificate) -> None:
    """Final once the bodies are here and the certificate is durable."""
    if _has_bodies(core, slot, certificate.digest):
        core.persist(BatchHeld(certificate.digest, slot.batches[certificate.digest]), CommitHeld(certificate))
        slot.final = Final(certificate.digest, certificate)


def _count_own(core: Core, votes: Votes, digest: bytes, envelope: Envelope) -> None:
    votes.add(core.member, digest, envelope.signature, core.committee.powers[core.member])


def _has_bodies(core: Core, slot: Slot, digest: bytes) -> bool:
    """Whether every body is durable here; asks for them when nobody has asked yet."""
    state = slot.bodies(digest)
    if state is None:
        slot.mark_bodies(digest, ASKED)
        core.awaiting[digest] = slot.height
        core.out.append(FetchBodies(slot.batches[digest], _sources(core, slot, digest)))
    return state == READY


def _sources(core: Core, slot: Slot, digest: bytes) -> tuple[int, ...]:
    """Whom to ask: the proposer, those who signed that they hold the bodies, then everybody else."""
    batch = slot.batches[digest]
    order = dict.fromkeys([batch.proposer])
    for view in sorted(slot.rounds, reverse=True):
        order.update(dict.fromkeys(slot.rounds[view].prepares.members_for(digest)))
    order.update(dict.fromkeys(range(core.committee.size)))
    return tuple(member for member in order if member != core.member)


def _repeats_earlier(core: Core, height: int, batch: Batch) -> bool:
    """Whether a transaction of this batch stands in a lower height that is not sealed yet."""
    hashes = set(batch.hashes)
    return any(not hashes.isdisjoint(earlier.hashes) for earlier in in_flight_below(core, height))


def in_flight(core: Core) -> list[Batch]:
    """The batches proposed or final at every unsealed height, ascending."""
    return in_flight_below(core, HEIGHT_MAX + 1)


def in_flight_below(core: Core, height: int) -> list[Batch]:
    """The batches proposed or final at unsealed heights below `height`."""
    found = []
    for each in sorted(core.slots):
        if each >= height:
            break
        slot = core.slots[each]
        proposal = slot.proposal_in(core.view)
        digest = slot.final.digest if slot.final else proposal and proposal.digest
        if digest:
            found.append(slot.batches[digest])
    return found
