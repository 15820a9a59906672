"""How much one replica may ever remember: a cap for each of its buffers, from the members, the window and the views.

Computed here from docs/protocol.md (P2.7) and not from the replica's own limits, so that a limit that is lost in the
replica shows. Looks into the replica's memory, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.core import Core
from consensus.slot import Slot, Votes

BUFFERED_WINDOWS = 2  # votes: up to 2W above the seal
PROPOSED_AGAIN_WINDOWS = 1  # what a NEW-VIEW proposes again may lie far above a laggard (P4.7)
JOURNAL_HEIGHTS_WINDOWS = 4  # a journal's records reach from 2W below a seal to 2W above it
JOURNAL_WINDOWS = 2  # records: down to 2W below it
FETCHED_BLOCKS = 64  # delivered, and executed one after the other, when a laggard catches up (P7.4)
VIEWS = 4  # the current one, two ahead, and the one just left, whose COMMITs still count
BATCHES_A_SLOT = VIEWS + 3  # a proposal a view; prepared, offered and final ones
RECORDS_A_HEIGHT = BATCHES_A_SLOT + 6  # batches; proposal, PREPARE, prepared, committed, checkpoint, and one to spare
RECORDS_BESIDES = 4  # anchor, left, entered, halted
REFUSAL_REASONS_MAX = 64


def excess(core: Core, members: int, window: int) -> str:
    """What exceeds its cap, empty if nothing does. Quick: the sizes of what peers fill, no buffer is walked."""
    heights = BUFFERED_WINDOWS * window
    if (
        len(core.slots) <= heights
        and len(core.checkpoints) <= heights
        and len(core.seals) <= heights
        and len(core.view_changes) <= members
        and len(core.suspects) <= members
    ):
        return ""
    return deep_excess(core, members, window)


def deep_excess(core: Core, members: int, window: int) -> str:
    """The same, with a look into every slot and into the journal. For now and then."""
    found = [f"{name}: {size}, at most {cap}" for name, size, cap in _sizes(core, members, window) if size > cap]
    found += [text for slot in core.slots.values() for text in _slot_excess(slot, members)]
    found += [text for votes in core.checkpoints.values() for text in _votes_excess("checkpoints", votes, members)]
    return ", ".join(found)


def _sizes(core: Core, members: int, window: int) -> Iterator[tuple[str, int, int]]:
    """(what, how many, cap)"""
    heights = BUFFERED_WINDOWS * window
    # What a certificate stands for is no peer's whim; a journal newer than its store brings some from far above.
    loose = [slot for slot in core.slots.values() if not (slot.final or slot.prepared)]
    ahead = [slot for slot in loose if slot.height > core.delivered_height]
    yield "slots above what is delivered", len(ahead), heights + PROPOSED_AGAIN_WINDOWS * window
    yield "slots", len(core.slots), heights + FETCHED_BLOCKS + JOURNAL_HEIGHTS_WINDOWS * window
    yield "checkpoints", len(core.checkpoints), heights
    yield "seals", len(core.seals), heights + FETCHED_BLOCKS
    yield "executed", len(core.executed), heights + FETCHED_BLOCKS
    yield "view changes", len(core.view_changes), members
    yield "suspects", len(core.suspects), members
    yield "reported", len(core.reported), 2 * members
    yield "awaited batches", len(core.awaiting), heights * BATCHES_A_SLOT
    yield "touched heights", len(core.touched), heights + FETCHED_BLOCKS
    yield "refusal reasons", len(core.refused), REFUSAL_REASONS_MAX
    records = (heights + FETCHED_BLOCKS + JOURNAL_WINDOWS * window) * RECORDS_A_HEIGHT + RECORDS_BESIDES
    yield "journal records", len(core.journal._held), records  # noqa: SLF001 - a judge may look


def _slot_excess(slot: Slot, members: int) -> Iterator[str]:
    if len(slot.rounds) > VIEWS:
        yield f"views at height {slot.height}: {len(slot.rounds)}, at most {VIEWS}"
    if len(slot.batches) > BATCHES_A_SLOT:
        yield f"batches at height {slot.height}: {len(slot.batches)}, at most {BATCHES_A_SLOT}"
    for found in slot.rounds.values():
        yield from _votes_excess(f"PREPAREs at height {slot.height}", found.prepares, members)
        yield from _votes_excess(f"COMMITs at height {slot.height}", found.commits, members)


def _votes_excess(what: str, votes: Votes, members: int) -> Iterator[str]:
    count = len(votes._by_member)  # noqa: SLF001 - a judge may look
    if count > members:
        yield f"{what}: {count}, at most {members}"
