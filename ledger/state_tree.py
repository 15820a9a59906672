"""The tree of the authenticated state as pages, and the change of many keys at once.

A page is one node: sixteen slots, each empty, the hash of the node below, or a leaf. It is stored under the
nibbles that lead to it and replaced where it stands. What hashes mean, and the shape that they must have, is in
`ledger.state_proof`; where pages are kept, and which versions, is the caller's.

A stored page leaves out the hashes that are empty or follow from a leaf. An open one has all sixteen beside it, and
those of its quarters: the neighbours of what changes are hashed again far oftener than they change. For the same reason
pages stay open between changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ledger.state_proof import (
    BRANCHES,
    EMPTY,
    HASH_BYTES,
    LEAF_BYTES,
    leaf_hash,
    make_proof,
    node_hash,
    path_of,
    quarter_hash,
    siblings_of,
)

Slot = bytes
"""Nothing (no bytes), a node's hash (32), or a leaf (64: path, value hash). The root is a slot too."""

NOTHING: Slot = b""
ReadPage = Callable[[str], bytes]
"""The stored page under these nibbles (hexadecimal digits); raises where it is lost."""

_BRANCH = {digit: number for number, digit in enumerate("0123456789abcdef")}
MASKS_BYTES = 4
_ALL = (1 << BRANCHES) - 1
_QUARTERS = _CHILDREN = 4  # of a node, of a quarter
_ALL_STALE = (1 << _QUARTERS) - 1

PAGES_OPEN_MAX = 2048  # in each of two generations; a page takes about 2 KB
SHALLOW_NIBBLES = 3  # of the pages that stay open for good: 4,369 at most, and every change of a large state meets some


def root_hash(root: Slot) -> bytes:
    """The state root."""
    return leaf_hash(root) if len(root) == LEAF_BYTES else root or EMPTY


class Page:
    """One node, open to change: as it is stored, and the hashes of its branches and quarters beside.

    What is replaced by its like, a leaf by a leaf or a node by a node, is replaced in the stored bytes where it lies:
    nearly every change of a large state is of that kind.
    """

    __slots__ = ("_hashes", "_leaves", "_nodes", "_quarters", "_stale", "stored")

    def __init__(self, stored: bytes) -> None:
        """Of a stored page: two masks (what is taken, what of it are leaves), the hashes of the nodes, the leaves."""
        masks = int.from_bytes(stored[:MASKS_BYTES], "big")
        self.stored = stored
        self._leaves = masks & _ALL
        self._nodes = masks >> BRANCHES ^ self._leaves
        self._quarters = [EMPTY] * _QUARTERS
        self._stale = _ALL_STALE  # a bit for each quarter whose hash is not that of the branches
        self._hashes = hashes = [EMPTY] * BRANCHES
        offset = MASKS_BYTES
        for branch in branches(self._nodes):
            hashes[branch] = stored[offset : offset + HASH_BYTES]
            offset += HASH_BYTES
        for branch in branches(self._leaves):
            hashes[branch] = leaf_hash(stored[offset : offset + LEAF_BYTES])
            offset += LEAF_BYTES

    def slot(self, branch: int) -> Slot:
        """What stands at a branch."""
        bit = 1 << branch
        if self._leaves & bit:
            offset = self._leaf_offset(bit)
            return self.stored[offset : offset + LEAF_BYTES]
        return self._hashes[branch] if self._nodes & bit else NOTHING

    def put(self, branch: int, slot: Slot) -> None:
        """Let this stand at a branch."""
        bit, size, stored = 1 << branch, len(slot), self.stored
        if size == HASH_BYTES and self._nodes & bit:
            offset = MASKS_BYTES + HASH_BYTES * (self._nodes & bit - 1).bit_count()
            self.stored = b"".join((stored[:offset], slot, stored[offset + size :]))
        elif size == LEAF_BYTES and self._leaves & bit:
            offset = self._leaf_offset(bit)
            self.stored = b"".join((stored[:offset], slot, stored[offset + size :]))
        else:
            self._reshape(branch, slot)
        self._hashes[branch] = leaf_hash(slot) if size == LEAF_BYTES else slot or EMPTY
        self._stale |= 1 << branch // _CHILDREN

    def lone(self) -> Slot | None:
        """The leaf that stands alone in this page, NOTHING where nothing stands there; None for a page that may be."""
        if self._nodes or self._leaves & (self._leaves - 1):
            return None
        return self.stored[MASKS_BYTES:]

    def hash_at(self, branch: int) -> bytes:
        """The hash of what stands at a branch."""
        return self._hashes[branch]

    def hash(self) -> bytes:
        """The hash of the node."""
        hashes, quarters = self._hashes, self._quarters
        for quarter in branches(self._stale):
            quarters[quarter] = quarter_hash(b"".join(hashes[_CHILDREN * quarter : _CHILDREN * (quarter + 1)]))
        self._stale = 0
        return node_hash(b"".join(quarters))

    def _leaf_offset(self, bit: int) -> int:
        nodes, below = self._nodes.bit_count(), (self._leaves & bit - 1).bit_count()
        return MASKS_BYTES + HASH_BYTES * nodes + LEAF_BYTES * below

    def _reshape(self, branch: int, slot: Slot) -> None:
        slots = split_slots(self.stored)
        slots[branch] = slot
        self.stored = join_slots(slots)
        self._leaves = leaf_mask(self.stored)
        self._nodes = taken_mask(self.stored) ^ self._leaves


class OpenPages:
    """Pages kept open between changes: those near the root for good, the others in two generations.

    A full young generation becomes the old one, and that is forgotten. What is in here is as the last change left it.
    When that change was not stored after all, `clear`.
    """

    def __init__(self, read: ReadPage, pages_max: int = PAGES_OPEN_MAX) -> None:
        self._read = read
        self._pages_max = pages_max
        self._shallow: dict[str, Page] = {}
        self._young: dict[str, Page] = {}
        self._old: dict[str, Page] = {}

    def open(self, nibbles: str) -> Page:
        """The page under these nibbles."""
        page = self._shallow.get(nibbles) or self._young.get(nibbles)
        if page is None:
            page = self._old.pop(nibbles, None) or Page(self._read(nibbles))
            self.keep(nibbles, page)
        return page

    def keep(self, nibbles: str, page: Page) -> None:
        """This page stands there now."""
        if len(nibbles) <= SHALLOW_NIBBLES:
            self._shallow[nibbles] = page
            return
        if len(self._young) >= self._pages_max:
            self._old, self._young = self._young, {}
        self._young[nibbles] = page

    def drop(self, nibbles: str) -> None:
        """No page stands there any more."""
        for pages in (self._shallow, self._young, self._old):
            pages.pop(nibbles, None)

    def clear(self) -> None:
        """Forget all of them."""
        self._shallow, self._young, self._old = {}, {}, {}


Change = tuple[str, Slot]
"""A path in hexadecimal digits, and the leaf that it gets, or NOTHING."""


Before = tuple[bytes, Sequence[tuple[int, Slot]]]
"""A page as it was stored, and what stood at each branch that a change touches, in order of branch."""


class TreeChange:
    """What one set of changes does to the pages: `before` as they were, `pages` as they become (None: removed)."""

    def __init__(self, pages: OpenPages) -> None:
        self._open = pages
        self.before: dict[str, Before] = {}
        self.pages: dict[str, bytes | None] = {}

    def apply(self, root: Slot, changes: Iterable[tuple[bytes, Slot]]) -> Slot:
        """The new root slot after each path got its leaf, or NOTHING to take it away."""
        ordered = sorted([(path.hex(), leaf) for path, leaf in changes])
        if not ordered:
            return root
        return self._change_page("", ordered) if len(root) == HASH_BYTES else self._change_place("", root, ordered)

    def _change_page(self, prefix: str, changes: list[Change]) -> Slot:
        """What stands at `prefix`, where a page stood, after the changes, all of whose paths begin so."""
        page = self._open.open(prefix)
        was: list[tuple[int, Slot]] = []
        self.before[prefix] = page.stored, was
        for digit, group in _by_digit(changes, len(prefix)):
            branch = _BRANCH[digit]
            slot = page.slot(branch)
            was.append((branch, slot))
            page.put(branch, self._change_slot(prefix + digit, slot, group))
        return self._settle(prefix, page)

    def _change_slot(self, prefix: str, slot: Slot, changes: list[Change]) -> Slot:
        if len(slot) != HASH_BYTES:
            return self._change_place(prefix, slot, changes)
        return (self._change_path if len(changes) == 1 else self._change_page)(prefix, changes)

    def _change_path(self, prefix: str, changes: list[Change]) -> Slot:
        """As `_change_page`, of one change: most of the pages that a block changes lie where the paths have parted."""
        page, path = self._open.open(prefix), changes[0][0]
        branch = _BRANCH[path[len(prefix)]]
        slot = page.slot(branch)
        self.before[prefix] = page.stored, ((branch, slot),)
        below = path[: len(prefix) + 1]
        if len(slot) == HASH_BYTES:
            page.put(branch, self._change_path(below, changes))
        else:
            page.put(branch, self._change_place(below, slot, changes))
        return self._settle(prefix, page)

    def _change_place(self, prefix: str, leaf: Slot, changes: list[Change]) -> Slot:
        """What stands at `prefix`, where a leaf stood or NOTHING, after the changes."""
        if len(changes) == 1 and (not leaf or changes[0][0] == leaf[:HASH_BYTES].hex()):
            return changes[0][1]  # the commonest of changes: another value of a key that stands alone
        leaves = dict(changes)
        if leaf:
            leaves.setdefault(leaf[:HASH_BYTES].hex(), leaf)
        return self._build(prefix, sorted([(path, each) for path, each in leaves.items() if each]))

    def _build(self, prefix: str, leaves: list[Change]) -> Slot:
        """A place that holds exactly these leaves, in order of path."""
        if len(leaves) <= 1:
            return leaves[0][1] if leaves else NOTHING
        slots = [NOTHING] * BRANCHES
        for digit, group in _by_digit(leaves, len(prefix)):
            slots[_BRANCH[digit]] = self._build(prefix + digit, group)
        page = Page(join_slots(slots))
        self._open.keep(prefix, page)
        return self._settle(prefix, page)

    def _settle(self, prefix: str, page: Page) -> Slot:
        """Keep the page, unless one leaf or none is left: then that leaf stands in the page's place."""
        lone = page.lone()
        if lone is not None:
            self.pages[prefix] = None
            self._open.drop(prefix)
            return lone
        self.pages[prefix] = page.stored
        return page.hash()


def prove(read: ReadPage, root: Slot, key: bytes) -> bytes:
    """The encoded proof that the key has its value, or none."""
    path = path_of(key)
    levels: list[list[bytes]] = []
    slot, digits = root, path.hex()
    while len(slot) == HASH_BYTES:
        depth = len(levels)
        page, branch = Page(read(digits[:depth])), _BRANCH[digits[depth]]
        levels.append(siblings_of([page.hash_at(each) for each in range(BRANCHES)], branch))
        slot = page.slot(branch)
    return make_proof(levels, slot if slot and slot[:HASH_BYTES] != path else NOTHING)


def _by_digit(changes: list[Change], depth: int) -> list[tuple[str, list[Change]]]:
    """The changes, ordered by path, grouped by the digit at a depth."""
    if len(changes) == 1:
        return [(changes[0][0][depth], changes)]
    groups: list[tuple[str, list[Change]]] = []
    group: list[Change] = []
    current = ""
    for change in changes:
        digit = change[0][depth]
        if digit != current:
            current, group = digit, []
            groups.append((digit, group))
        group.append(change)
    return groups


def taken_mask(stored: bytes) -> int:
    """A bit for each branch of a stored page that is not empty."""
    return int.from_bytes(stored[:MASKS_BYTES], "big") >> BRANCHES


def leaf_mask(stored: bytes) -> int:
    """A bit for each branch of a stored page at which a leaf stands."""
    return int.from_bytes(stored[:MASKS_BYTES], "big") & _ALL


def split_slots(stored: bytes) -> list[Slot]:
    """The sixteen slots of a stored page; nothing is hashed."""
    slots = [NOTHING] * BRANCHES
    taken, leaves = taken_mask(stored), leaf_mask(stored)
    offset = MASKS_BYTES
    for mask, size in ((taken & ~leaves, HASH_BYTES), (leaves, LEAF_BYTES)):
        for branch in branches(mask):
            slots[branch] = stored[offset : offset + size]
            offset += size
    return slots


def join_slots(slots: Sequence[Slot]) -> bytes:
    """The stored page with these slots."""
    taken = sum(1 << branch for branch, slot in enumerate(slots) if slot)
    leaves = sum(1 << branch for branch, slot in enumerate(slots) if len(slot) == LEAF_BYTES)
    masks = (taken << BRANCHES | leaves).to_bytes(MASKS_BYTES, "big")
    nodes = [slot for slot in slots if len(slot) == HASH_BYTES]
    return b"".join((masks, *nodes, *(slot for slot in slots if len(slot) == LEAF_BYTES)))


_LOW = [tuple(branch for branch in range(8) if mask >> branch & 1) for mask in range(256)]
_HIGH = [tuple(branch + 8 for branch in low) for low in _LOW]


def branches(mask: int) -> tuple[int, ...]:
    """The branches whose bit is set, in order."""
    return _LOW[mask & 255] + _HIGH[mask >> 8]
