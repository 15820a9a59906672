"""The tree of the authenticated state as pages, and the change of many keys at once.

A page is one node: sixteen slots, each empty, the hash of the node below, or a leaf. It is stored under the
nibbles that lead to it and replaced where it stands. What hashes mean, and the shape that they must have, is in
`ledger.state_proof`; where pages are kept, and which versions, is the caller's.

In memory the sixteen hashes lie in one row of bytes, so that a quarter is hashed as it lies; stored, those that are
empty or follow from a leaf are left out. The hash of a leaf is kept beside the leaf, and those of the quarters beside
the row: the neighbours of what changes are hashed again far oftener than they change. For the same reason pages stay
open between changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

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
_ROW_BYTES = BRANCHES * HASH_BYTES
_QUARTERS = 4
_QUARTER_BYTES = _ROW_BYTES // _QUARTERS
_ALL_STALE = (1 << _QUARTERS) - 1

PAGES_OPEN_MAX = 2048  # in each of two generations; a page takes about 2 KB
SHALLOW_NIBBLES = 3  # of the pages that stay open for good: 4,369 at most, and every change of a large state meets some


def root_hash(root: Slot) -> bytes:
    """The state root."""
    return leaf_hash(root) if len(root) == LEAF_BYTES else root or EMPTY


class Page:
    """One node, open to change: a row of sixteen hashes, and the leaves among them by branch."""

    __slots__ = ("_quarters", "_stale", "leaves", "row", "stored", "taken")

    def __init__(self) -> None:
        self.row = bytearray(_ROW_BYTES)
        self.taken = 0  # a bit for each branch that is not empty
        self.leaves: dict[int, Slot] = {}
        self.stored = b""  # its bytes, as `decode` got them or `encode` gave them last
        self._quarters = [EMPTY] * _QUARTERS
        self._stale = 0  # a bit for each quarter whose hash is not that of the row any more

    @classmethod
    def decode(cls, stored: bytes) -> Page:
        """A stored page: two masks (what is taken, what of it are leaves), the hashes of the nodes, the leaves."""
        page = cls()
        page.stored, page._stale = stored, _ALL_STALE
        masks = int.from_bytes(stored[:MASKS_BYTES], "big")
        page.taken, leaves = masks >> BRANCHES, masks & _ALL
        offset = MASKS_BYTES
        if page.taken == _ALL and not leaves:
            page.row = bytearray(memoryview(stored)[offset:])
            return page
        for branch in branches(page.taken & ~leaves):
            page.row[branch * HASH_BYTES : (branch + 1) * HASH_BYTES] = stored[offset : offset + HASH_BYTES]
            offset += HASH_BYTES
        for branch in branches(leaves):
            leaf = page.leaves[branch] = stored[offset : offset + LEAF_BYTES]
            page.row[branch * HASH_BYTES : (branch + 1) * HASH_BYTES] = leaf_hash(leaf)
            offset += LEAF_BYTES
        return page

    def encode(self) -> bytes:
        """The bytes to store."""
        row, leaves, nodes = self.row, self.leaves, self.taken
        for branch in leaves:
            nodes ^= 1 << branch
        masks = (self.taken << BRANCHES | self.taken ^ nodes).to_bytes(MASKS_BYTES, "big")
        if nodes == _ALL:
            self.stored = masks + row
        else:
            parts: list[bytes | bytearray] = [masks]
            parts += [row[branch * HASH_BYTES : (branch + 1) * HASH_BYTES] for branch in branches(nodes)]
            parts += [leaves[branch] for branch in branches(self.taken ^ nodes)]
            self.stored = b"".join(parts)
        return self.stored

    def slot(self, branch: int) -> Slot:
        """What stands at a branch."""
        leaf = self.leaves.get(branch)
        if leaf is not None:
            return leaf
        return self.hash_at(branch) if self.taken >> branch & 1 else NOTHING

    def is_node(self, branch: int) -> bool:
        """Whether another page stands below a branch."""
        return bool(self.taken >> branch & 1) and branch not in self.leaves

    def put(self, branch: int, slot: Slot) -> None:
        """Let this stand at a branch."""
        if len(slot) == LEAF_BYTES:
            self.leaves[branch] = slot
            named = leaf_hash(slot)
        else:
            self.leaves.pop(branch, None)
            named = slot or EMPTY
        self.row[branch * HASH_BYTES : (branch + 1) * HASH_BYTES] = named
        self.taken = self.taken | 1 << branch if slot else self.taken & ~(1 << branch)
        self._stale |= 1 << branch // _QUARTERS

    def hash_at(self, branch: int) -> bytes:
        """The hash of what stands at a branch."""
        return bytes(self.row[branch * HASH_BYTES : (branch + 1) * HASH_BYTES])

    def hash(self) -> bytes:
        """The hash of the node."""
        for quarter in branches(self._stale):
            at = quarter * _QUARTER_BYTES
            self._quarters[quarter] = quarter_hash(self.row[at : at + _QUARTER_BYTES])
        self._stale = 0
        return node_hash(b"".join(self._quarters))


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
            page = self._old.pop(nibbles, None) or Page.decode(self._read(nibbles))
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


Before = tuple[bytes, list[tuple[int, Slot]]]
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
            was.append((branch, page.slot(branch)))
            if page.is_node(branch):
                page.put(branch, self._change_page(prefix + digit, group))
            else:
                page.put(branch, self._change_place(prefix + digit, page.leaves.get(branch, NOTHING), group))
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
        page = Page()
        self._open.keep(prefix, page)
        for digit, group in _by_digit(leaves, len(prefix)):
            page.put(_BRANCH[digit], self._build(prefix + digit, group))
        return self._settle(prefix, page)

    def _settle(self, prefix: str, page: Page) -> Slot:
        """Keep the page, unless one leaf or none is left: then that leaf stands in the page's place."""
        alone = not page.taken & (page.taken - 1)  # at most one bit
        if alone and (page.leaves or not page.taken):
            self.pages[prefix] = None
            self._open.drop(prefix)
            return next(iter(page.leaves.values()), NOTHING)
        self.pages[prefix] = page.encode()
        return page.hash()


def prove(read: ReadPage, root: Slot, key: bytes) -> bytes:
    """The encoded proof that the key has its value, or none."""
    path = path_of(key)
    levels: list[list[bytes]] = []
    slot, digits = root, path.hex()
    while len(slot) == HASH_BYTES:
        depth = len(levels)
        page, branch = Page.decode(read(digits[:depth])), _BRANCH[digits[depth]]
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


@lru_cache(maxsize=8192)
def branches(mask: int) -> tuple[int, ...]:
    """The branches whose bit is set, in order."""
    return tuple(branch for branch in range(BRANCHES) if mask >> branch & 1)
