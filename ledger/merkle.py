"""Merkle trees as in RFC 9162 section 2.1: roots, and proofs of inclusion and of consistency.

A leaf is hashed as 0x00 || data and a node as 0x01 || left || right, so a node never passes for a leaf; an odd
node at the end of a level moves up unpaired instead of being doubled, so trees of different sizes never share a
root by that. The tree knows bytes only. Verifiers never raise, whatever they are given: they say False.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
SIZE_MAX = (1 << 63) - 1  # leaves
PATH_HASHES_MAX = 64  # in a proof: no tree of that size has a longer path
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over `leaves` (data, not hashes), `EMPTY_ROOT` for none."""
    if not leaves:
        return EMPTY_ROOT
    level = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def _next_level(level: list[bytes]) -> list[bytes]:
    """The parents of `level`; an odd last node moves up as it is."""
    parents = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        parents.append(level[-1])
    return parents


# ── inclusion ─────────────────────────────────────────────────────────────────────────────────────


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of leaf `index`: its siblings from the leaves up. Raises `IndexError` outside the tree."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree with {len(leaves)} leaves")
    level = [leaf_hash(leaf) for leaf in leaves]
    path = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _next_level(level)
        index //= 2
    return tuple(path)


def verify_inclusion(root_hash: bytes, leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bool:
    """Whether `leaf` (data) is leaf `index` of the `size` leaves under `root_hash`."""
    return _are_bytes(leaf) and verify_inclusion_of_hash(root_hash, leaf_hash(leaf), index, size, proof)


def verify_inclusion_of_hash(root_hash: bytes, leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bool:
    """Whether the leaf with hash `leaf` is leaf `index` of the `size` leaves under `root_hash` (RFC 9162, 2.1.3.2)."""
    if not (_are_sizes(index, size) and index < size and _are_hashes(root_hash, leaf) and _is_path(proof)):
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False  # longer than the path to the root
        if position % 2 or position == last:
            node = node_hash(sibling, node)
            while position % 2 == 0 and position:  # levels where the last node moved up unpaired
                position, last = position // 2, last // 2
        else:
            node = node_hash(node, sibling)
        position, last = position // 2, last // 2
    return last == 0 and node == root_hash


# ── consistency ───────────────────────────────────────────────────────────────────────────────────


def consistency_proof(leaves: Sequence[bytes], first_size: int) -> tuple[bytes, ...]:
    """The proof that the tree over `leaves` extends the one over its first `first_size` leaves (1 to all)."""
    if not 1 <= first_size <= len(leaves):
        raise IndexError(f"no consistency proof from size {first_size} in a tree with {len(leaves)} leaves")
    if first_size == len(leaves):
        return ()
    level = [leaf_hash(leaf) for leaf in leaves]
    position = first_size - 1
    while position % 2:  # up to the largest whole subtree that ends the first tree
        level = _next_level(level)
        position //= 2
    path = [level[position]] if position else []  # without it when that subtree is the first tree: its root is known
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _next_level(level)
        position //= 2
    return tuple(path)


def verify_consistency(
    first_root: bytes, first_size: int, second_root: bytes, second_size: int, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of `second_size` leaves extends the one of `first_size` (RFC 9162, 2.1.4.2).

    An empty first tree proves nothing and is refused.
    """
    if not (_are_sizes(first_size, second_size) and _are_bytes(first_root, second_root) and _is_path(proof)):
        return False
    if first_size == second_size:
        return first_size > 0 and not proof and first_root == second_root
    if not (0 < first_size < second_size and proof and _are_hashes(first_root, second_root)):
        return False
    path = list(proof)
    if first_size & (first_size - 1) == 0:  # the first tree is itself a node of the second
        path.insert(0, first_root)
    return _consistent(first_root, first_size, second_root, second_size, path)


def _consistent(first_root: bytes, first_size: int, second_root: bytes, second_size: int, path: list[bytes]) -> bool:
    position, last = first_size - 1, second_size - 1
    while position % 2:
        position, last = position // 2, last // 2
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position % 2 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while position % 2 == 0 and position:
                position, last = position // 2, last // 2
        else:
            second = node_hash(second, sibling)
        position, last = position // 2, last // 2
    return last == 0 and first == first_root and second == second_root


# ── what a verifier lets in ───────────────────────────────────────────────────────────────────────


def _are_sizes(*values: object) -> bool:
    return all(type(value) is int and 0 <= value <= SIZE_MAX for value in values)


def _are_bytes(*values: object) -> bool:
    return all(type(value) is bytes for value in values)


def _are_hashes(*values: object) -> bool:
    return all(type(value) is bytes and len(value) == HASH_BYTES for value in values)


def _is_path(proof: object) -> bool:
    return isinstance(proof, list | tuple) and len(proof) <= PATH_HASHES_MAX and _are_hashes(*proof)
