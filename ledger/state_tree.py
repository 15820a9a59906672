"""The tree of the authenticated state as pages, and the change of many keys at once.

A page is one node: sixteen slots, each empty, the hash of the node below, or a leaf. It is stored under the
nibbles that lead to it and replaced where it stands. What hashes mean, and the shape that they must have, is in
`ledger.state_proof`; where pages are kept, and which versions, is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from ledger.state_proof import (
    BRANCHES,
    EMPTY,
    HASH_BYTES,
    LEAF_BYTES,
    leaf_hash,
    make_proof,
    node_hash_of,
    path_of,
    siblings_of,
)

Slot = bytes
"""Nothing (no bytes), a node's hash (32), or a leaf (64: path, value hash). The root is a slot too."""

NOTHING: Slot = b""
ReadPage = Callable[[str], bytes]
"""The stored page under these nibbles (hexadecimal digits); raises where it is lost."""

_BRANCH = {digit: number for number, digit in enumerate("0123456789abcdef")}
_MASKS_BYTES = 4
_NO_SLOTS = [NOTHING] * BRANCHES


def root_hash(root: Slot) -> bytes:
    """The state root."""
    return _hash_of(root)


class TreeChange:
    """What one set of changes does to the pages: `before` as they were read, `pages` as they become (None: removed)."""

    def __init__(self, read: ReadPage) -> None:
        self._read = read
        self.before: dict[str, bytes] = {}
        self.pages: dict[str, bytes | None] = {}

    def apply(self, root: Slot, changes: Iterable[tuple[bytes, Slot]]) -> Slot:
        """The new root slot after each path got its leaf, or NOTHING to take it away."""
        ordered = sorted((path.hex(), leaf) for path, leaf in changes)
        return self._change_slot(root, "", ordered) if ordered else root

    def _change_slot(self, slot: Slot, prefix: str, changes: list[tuple[str, Slot]]) -> Slot:
        """What stands at `prefix` after the changes, all of whose paths begin so."""
        if len(slot) == HASH_BYTES:
            return self._change_page(prefix, changes)
        leaves = dict(changes)
        if slot:
            leaves.setdefault(slot[:HASH_BYTES].hex(), slot)
        kept = sorted((path, leaf) for path, leaf in leaves.items() if leaf)
        return self._build(prefix, kept)

    def _change_page(self, prefix: str, changes: list[tuple[str, Slot]]) -> Slot:
        page = self.before[prefix] = self._read(prefix)
        slots, depth = decode_page(page), len(prefix)
        for digit, group in groupby(changes, key=lambda change: change[0][depth]):
            branch = _BRANCH[digit]
            slots[branch] = self._change_slot(slots[branch], prefix + digit, list(group))
        return self._settle(prefix, slots)

    def _build(self, prefix: str, leaves: list[tuple[str, Slot]]) -> Slot:
        """A place that holds exactly these leaves, in order of path."""
        if len(leaves) <= 1:
            return leaves[0][1] if leaves else NOTHING
        slots, depth = list(_NO_SLOTS), len(prefix)
        for digit, group in groupby(leaves, key=lambda leaf: leaf[0][depth]):
            slots[_BRANCH[digit]] = self._build(prefix + digit, list(group))
        return self._settle(prefix, slots)

    def _settle(self, prefix: str, slots: list[Slot]) -> Slot:
        """Keep the page, unless one leaf or none is left: then that leaf stands in the page's place."""
        taken = [slot for slot in slots if slot]
        if len(taken) <= 1 and not (taken and len(taken[0]) == HASH_BYTES):
            self.pages[prefix] = None
            return taken[0] if taken else NOTHING
        self.pages[prefix] = encode_page(slots)
        return node_hash_of([_hash_of(slot) for slot in slots])


def prove(read: ReadPage, root: Slot, key: bytes) -> bytes:
    """The encoded proof that the key has its value, or none."""
    path = path_of(key)
    levels: list[list[bytes]] = []
    slot, digits = root, path.hex()
    while len(slot) == HASH_BYTES:
        prefix = digits[: len(levels)]
        slots, branch = decode_page(read(prefix)), _BRANCH[digits[len(levels)]]
        levels.append(siblings_of([_hash_of(each) for each in slots], branch))
        slot = slots[branch]
    return make_proof(levels, slot if slot and slot[:HASH_BYTES] != path else NOTHING)


def encode_page(slots: list[Slot]) -> bytes:
    """Two masks (which slots hold a leaf, which a node), then the slots that hold something, in order."""
    leaves = nodes = 0
    for branch, slot in enumerate(slots):
        if len(slot) == LEAF_BYTES:
            leaves |= 1 << branch
        elif slot:
            nodes |= 1 << branch
    return (leaves << BRANCHES | nodes).to_bytes(_MASKS_BYTES, "big") + b"".join(slots)


def decode_page(page: bytes) -> list[Slot]:
    """The sixteen slots of an encoded page."""
    masks = int.from_bytes(page[:_MASKS_BYTES], "big")
    slots, offset = list(_NO_SLOTS), _MASKS_BYTES
    for branch in range(BRANCHES):
        if masks >> branch & 1:
            slots[branch] = page[offset : offset + HASH_BYTES]
            offset += HASH_BYTES
        elif masks >> (branch + BRANCHES) & 1:
            slots[branch] = page[offset : offset + LEAF_BYTES]
            offset += LEAF_BYTES
    return slots


def _hash_of(slot: Slot) -> bytes:
    if len(slot) == LEAF_BYTES:
        return leaf_hash(slot)
    return slot or EMPTY
