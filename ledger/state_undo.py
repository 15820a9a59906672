"""What a page of the state's tree was before a change, in as few bytes as that takes: the slots that were replaced.

A block replaces one or two of a page's sixteen slots, and every version kept holds what its block replaced, so whole
pages would make the versions larger than the state itself. An undo is applied to the page as the change left it; where
the change left none, it is the whole page. Where no page was before, there is no undo (None).

    w page                                      the whole page
    s masks changed slot...                     the masks that it had, and the slots at the branches in `changed`
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.state_proof import HASH_BYTES, LEAF_BYTES
from ledger.state_tree import MASKS_BYTES, Slot, branches, join_slots, leaf_mask, split_slots, taken_mask

_WHOLE, _SLOTS = b"w", b"s"
_CHANGED_BYTES = 2

Undo = bytes


def undo_of_page(stored: bytes) -> Undo:
    """For a page that the change takes away."""
    return _WHOLE + stored


def undo_of_slots(stored: bytes, was: Sequence[tuple[int, Slot]]) -> Undo:
    """For a page that stays: it was `stored`, and had these slots at the branches that change, in order."""
    if len(was) == 1:  # as most have
        branch, slot = was[0]
        return b"".join((_SLOTS, stored[:MASKS_BYTES], (1 << branch).to_bytes(_CHANGED_BYTES, "big"), slot))
    changed, slots = 0, []
    for branch, slot in was:
        changed |= 1 << branch
        slots.append(slot)
    return b"".join((_SLOTS, stored[:MASKS_BYTES], changed.to_bytes(_CHANGED_BYTES, "big"), *slots))


def undone(page: bytes | None, undo: Undo | None) -> bytes | None:
    """The stored page before the change, from the one after it (None: there is none)."""
    if undo is None or undo[:1] == _WHOLE:
        return undo if undo is None else undo[1:]
    assert page is not None, "an undo by slots belongs to a page that stays"
    slots, masks = split_slots(page), undo[1 : 1 + MASKS_BYTES]
    taken, leaves = taken_mask(masks), leaf_mask(masks)
    offset = 1 + MASKS_BYTES + _CHANGED_BYTES
    for branch in branches(int.from_bytes(undo[offset - _CHANGED_BYTES : offset], "big")):
        size = (LEAF_BYTES if leaves >> branch & 1 else HASH_BYTES) if taken >> branch & 1 else 0
        slots[branch] = undo[offset : offset + size]
        offset += size
    return join_slots(slots)
