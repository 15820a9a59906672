"""The shape of the authenticated state, and the judging of proofs about it. Pure: hashes and comparisons.

The state is a tree with sixteen branches a node. The place of a key is its path, SHA-256 of the key, read four bits
at a time. A key stands in the highest place in which it is alone, so the tree, and its root, depend on what
is in the state and not on how it came there. Hashes, each kind with its own first byte:

    empty place = 32 zero bytes
    leaf        = SHA-256(00 path value_hash), value_hash = SHA-256(03 value)
    node        = SHA-256(01 quarter quarter quarter quarter)
    quarter     = SHA-256(02 child child child child), or empty when all four are

A node is hashed in quarters because a proof then needs six siblings a level and not fifteen: near 1 KB among a
million keys. A proof says what stands at the end of the key's path: its leaf; or, for absence, nothing, or the leaf of
another key (two keys cannot stand in one place). Every state and key have exactly one proof that holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from ledger import codec
from ledger.errors import CodecError, InvalidProof
from ledger.types import Struct

HASH_BYTES = 32
EMPTY = bytes(HASH_BYTES)
BRANCHES = 16
LEVELS_MAX = 2 * HASH_BYTES  # one a nibble of the path
LEAF_BYTES = 2 * HASH_BYTES  # path, value hash

_SIBLINGS = 6  # three in the quarter, then three quarters
_NO_QUARTER = EMPTY * 4


class StateProof(Struct, frozen=True):
    """A proof from the root down. `present[i]` has a bit for each of the six siblings of level i that is not empty.

    `siblings` are those, one after the other; `other` is the leaf (path, value hash) of another key that stands where
    an absent key would stand, else empty.
    """

    present: bytes
    siblings: bytes
    other: bytes


def path_of(key: bytes) -> bytes:
    """The place of a key: 64 nibbles."""
    return sha256(key).digest()


def value_hash(value: bytes) -> bytes:
    """What a leaf names."""
    return sha256(b"\x03" + value).digest()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf, given as path and value hash."""
    return sha256(b"\x00" + leaf).digest()


def quarter_hash(children: bytes | bytearray) -> bytes:
    """The hash of four children in a row."""
    return EMPTY if children == _NO_QUARTER else sha256(b"\x02" + children).digest()


def node_hash(quarters: bytes) -> bytes:
    """The hash of a node, from its four quarters in a row."""
    return EMPTY if quarters == _NO_QUARTER else sha256(b"\x01" + quarters).digest()


def siblings_of(children: Sequence[bytes], branch: int) -> list[bytes]:
    """The six hashes with which the child at `branch` gives its node's hash."""
    quarter, place = divmod(branch, 4)
    near = [child for index, child in enumerate(children[4 * quarter : 4 * quarter + 4]) if index != place]
    return near + [quarter_hash(b"".join(children[4 * each : 4 * each + 4])) for each in range(4) if each != quarter]


def make_proof(levels: Sequence[Sequence[bytes]], other: bytes) -> bytes:
    """The encoded proof from the six siblings of each level, root first."""
    present = bytes(sum(1 << index for index, each in enumerate(level) if each != EMPTY) for level in levels)
    return StateProof(present, b"".join(each for level in levels for each in level if each != EMPTY), other).encode()


def verify_state_proof(root: bytes, key: bytes, value: bytes | None, proof: bytes) -> bool:
    """Whether `proof` shows that `key` has this value (None: has none) in the state with this root. Never raises."""
    try:
        check_state_proof(root, key, value, proof)
    except InvalidProof:
        return False
    return True


def check_state_proof(root: bytes, key: bytes, value: bytes | None, proof: bytes) -> None:
    """As `verify_state_proof`, raising `InvalidProof` with the reason."""
    try:
        found = codec.decode(proof, StateProof)
    except CodecError as error:
        raise InvalidProof(f"the state proof does not decode: {error}") from None
    path = path_of(key)
    levels = _levels(found)
    at_the_end = _end(found, levels, path, value)
    if _fold(at_the_end, path, levels) != root:
        raise InvalidProof("the state proof leads to another root")


def _levels(proof: StateProof) -> list[list[bytes]]:
    """The six siblings of each level, root first. One proof has one form, so empty siblings are never spelled out."""
    if len(proof.present) > LEVELS_MAX:
        raise InvalidProof(f"the state proof has {len(proof.present)} levels, at most {LEVELS_MAX} exist")
    if any(bits >> _SIBLINGS for bits in proof.present):
        raise InvalidProof(f"the state proof names more than {_SIBLINGS} siblings in a level")
    count = sum(bits.bit_count() for bits in proof.present)
    if len(proof.siblings) != count * HASH_BYTES:
        raise InvalidProof(
            f"the state proof has {len(proof.siblings)} bytes of siblings, expected {count * HASH_BYTES}"
        )
    hashes = iter([proof.siblings[at : at + HASH_BYTES] for at in range(0, len(proof.siblings), HASH_BYTES)])
    levels = [[next(hashes) if bits >> index & 1 else EMPTY for index in range(_SIBLINGS)] for bits in proof.present]
    if any(
        each == EMPTY
        for at, bits in zip(levels, proof.present, strict=True)
        for index, each in enumerate(at)
        if bits >> index & 1
    ):
        raise InvalidProof("the state proof spells out an empty sibling")
    return levels


def _end(proof: StateProof, levels: list[list[bytes]], path: bytes, value: bytes | None) -> bytes:
    """The hash that must stand at the end of the path."""
    if value is not None:
        if proof.other:
            raise InvalidProof("the state proof is one of absence")
        return leaf_hash(path + value_hash(value))
    if not proof.other:
        if levels and all(each == EMPTY for each in levels[-1]):
            raise InvalidProof("the state proof goes on below an empty place")
        return EMPTY
    if len(proof.other) != LEAF_BYTES:
        raise InvalidProof(f"the other leaf has {len(proof.other)} bytes, expected {LEAF_BYTES}")
    shared = len(levels)
    if proof.other[:HASH_BYTES] == path or proof.other[:HASH_BYTES].hex()[:shared] != path.hex()[:shared]:
        raise InvalidProof("the other leaf does not stand where the key would stand")
    return leaf_hash(proof.other)


def _fold(at_the_end: bytes, path: bytes, levels: list[list[bytes]]) -> bytes:
    """The root, from the hash at the end of the path and the siblings on the way up."""
    current = at_the_end
    branches = path.hex()
    for depth in range(len(levels) - 1, -1, -1):
        quarter, place = divmod(int(branches[depth], 16), 4)
        near, far = levels[depth][:3], levels[depth][3:]
        current = quarter_hash(b"".join([*near[:place], current, *near[place:]]))
        current = node_hash(b"".join([*far[:quarter], current, *far[quarter:]]))
    return current
