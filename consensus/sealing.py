"""Execution's answers and CHECKPOINT votes become seals, in height order. Knows no view.

A seal is a quorum of CHECKPOINT signatures over one header (docs/protocol.md, section 3). A replica whose own header
differs from a sealed one has diverged, and stops (P3.9).
"""

from __future__ import annotations

from consensus.actions import Sealed
from consensus.core import BUFFERED_WINDOWS, Core
from consensus.errors import MessageRefused
from consensus.messages import CHECKPOINT, Envelope
from consensus.slot import Slot, Votes
from consensus.standing import Turn
from ledger.types import Checkpoint, Seal

JOURNAL_WINDOWS = 2  # records are kept this far below the seal, so that a block store may lose its last few


def on_executed(core: Core, height: int, header_hash: bytes) -> None:
    """A delivered batch gave this header. It must be the one that was signed before a restart, if any was."""
    if not core.sealed_height < height <= core.delivered_height or height in core.executed:
        return
    signed = core.safety.checkpoint_at(height)
    if signed is not None and signed != header_hash:
        core.halt(
            f"execution of height {height} gave {header_hash.hex()}, but this member signed {signed.hex()} before"
        )
        return
    core.executed[height] = header_hash
    core.sealing_due = True


def on_checkpoint(core: Core, envelope: Envelope, checkpoint: Checkpoint) -> None:
    """A member's header at a height: counted once a member and height."""
    core.require_member(checkpoint.epoch, checkpoint.sender)
    core.require_buffered(checkpoint.height)
    core.require_no_batches(envelope)
    votes = core.checkpoints.get(checkpoint.height)
    held = votes.of(checkpoint.sender) if votes else None
    if votes and held:
        _report_double_vote(core, votes, held, envelope, checkpoint)
    core.require_signature(envelope, checkpoint.sender)
    _count(core, checkpoint, envelope.signature)


def note_seal(core: Core, seal: Seal) -> None:
    """Take in a seal that was checked."""
    if seal.height <= core.sealed_height:
        return
    if seal.height > core.best_sealed_height:
        core.best_seal = seal
    if seal.height <= core.sealed_height + BUFFERED_WINDOWS * core.window:
        core.seals.setdefault(seal.height, seal)
        core.sealing_due = True


def advance(core: Core) -> None:
    """Sign what was executed, gather seals from votes, and seal what is next."""
    if not core.sealing_due:
        return
    core.sealing_due = False
    for height in sorted(core.executed):
        _sign(core, height)
    for height in sorted(core.checkpoints):
        _gather(core, height)
    for height in sorted(core.executed):
        _require_same_header(core, height)
    while not core.halted and (height := core.sealed_height + 1) in core.executed and height in core.seals:
        _seal(core, core.seals[height])


def _sign(core: Core, height: int) -> None:
    """CHECKPOINT, unless a seal exists already: then nobody needs the vote."""
    votes = core.checkpoints.get(height)
    if height in core.seals or (votes and votes.of(core.member)):
        return
    permit = core.safety.checkpoint(height, core.executed[height])
    if permit is not None:
        core.grant(permit)
        checkpoint = Checkpoint(core.committee.epoch, height, core.member, core.executed[height])
        _count(core, checkpoint, permit.envelope.signature)


def _count(core: Core, checkpoint: Checkpoint, signature: bytes) -> None:
    votes = core.checkpoints.setdefault(checkpoint.height, Votes())
    votes.add(checkpoint.sender, checkpoint.header_hash, signature, core.committee.powers[checkpoint.sender])
    core.sealing_due = True


def _gather(core: Core, height: int) -> None:
    votes = core.checkpoints[height]
    header_hash = votes.digest_with(core.committee.quorum)
    if header_hash is not None and height not in core.seals:
        note_seal(core, Seal(core.committee.epoch, height, header_hash, votes.signatures_for(header_hash)))
    unheard = core.committee.total - votes.voted_power
    if votes.highest_power() + unheard < core.committee.quorum and height not in core.seals:
        core.halt(f"no header can be sealed at height {height} any more: the members' executions differ")


def _require_same_header(core: Core, height: int) -> None:
    seal = core.seals.get(height)
    if seal is not None and seal.header_hash != core.executed[height]:
        own, sealed = core.executed[height].hex(), seal.header_hash.hex()
        core.halt(f"diverged at height {height}: this member executed {own}, the quorum sealed {sealed}")


def _seal(core: Core, seal: Seal) -> None:
    """The window moves up by one; what lies below is history."""
    core.out.append(Sealed(seal.height, seal.header_hash, seal))
    core.sealed_height, core.sealed_hash, core.seal = seal.height, seal.header_hash, seal
    if seal.height > core.best_sealed_height:
        core.best_seal = seal
    core.turns.seal(_turn_of(core.slots[seal.height]))
    core.safety.seal(seal.height)
    core.journal.forget_through(max(0, seal.height - JOURNAL_WINDOWS * core.window))
    for kept in (core.slots, core.executed, core.checkpoints, core.seals):
        kept.pop(seal.height, None)
    core.awaiting = {digest: height for digest, height in core.awaiting.items() if height > seal.height}
    core.pen_rests = False
    core.sealing_due = core.unrest = True
    core.touch_all()


def _turn_of(slot: Slot) -> Turn:
    assert slot.final, "what was executed is final"
    batch = slot.batches[slot.final.digest]
    return Turn(batch.view, batch.proposer, batch.since)


def _report_double_vote(
    core: Core, votes: Votes, held: tuple[bytes, bytes], envelope: Envelope, checkpoint: Checkpoint
) -> None:
    if held[0] == checkpoint.header_hash or checkpoint.sender in votes.conflicting:
        raise MessageRefused("duplicate")
    core.require_signature(envelope, checkpoint.sender)
    votes.conflicting[checkpoint.sender] = checkpoint.header_hash
    first = Checkpoint(checkpoint.epoch, checkpoint.height, checkpoint.sender, held[0])
    core.evidence(checkpoint.sender, Envelope(CHECKPOINT, first.encode(), held[1]), envelope)
    raise MessageRefused("double_vote")
