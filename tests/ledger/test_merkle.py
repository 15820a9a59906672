"""RFC 9162 trees: the public vectors, an obvious twin by the RFC's own recursion, and proofs that must not pass."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import merkle, verifier

VECTORS = Path(__file__).parents[1] / "vectors"


def cases(kind: str) -> dict[str, dict]:
    every = json.loads((VECTORS / "merkle/testdata.json").read_text())
    return {path: case for path, case in every.items() if path.startswith(kind)}


def data(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def path_of(case: dict) -> list[bytes]:
    return [data(node) for node in case["proof"] or []]


def test_scenario_88_every_public_inclusion_vector():
    verdicts = {}
    for name, case in cases("inclusion").items():
        verdicts[name] = merkle.verify_inclusion_of_hash(
            data(case["root"]), data(case["leafHash"]), case["leafIdx"], case["treeSize"], path_of(case)
        )
        assert verdicts[name] is not case["wantErr"], f"{name}: {case['desc']}"
    assert (len(verdicts), sum(verdicts.values())) == (98, 6)


def test_scenario_88_every_public_consistency_vector():
    verdicts = {}
    for name, case in cases("consistency").items():
        verdicts[name] = merkle.verify_consistency(
            data(case["root1"]), case["size1"], data(case["root2"]), case["size2"], path_of(case)
        )
        assert verdicts[name] is not case["wantErr"], f"{name}: {case['desc']}"
    assert (len(verdicts), sum(verdicts.values())) == (98, 6)


def test_scenario_88_a_proof_that_is_longer_than_the_way_to_the_root_is_none():
    """A leaf of a tree passes for none of a smaller tree with the same root. No public vector has that."""
    for size in range(2, 18):
        leaves = leaves_of(size)
        root = merkle.root(leaves)
        for index in range(size):
            path = merkle.inclusion_proof(leaves, index)
            assert merkle.verify_inclusion(root, leaves[index], index, size, path)
            for smaller in range(1, size):
                if (smaller - 1).bit_length() < len(path):
                    for place in range(smaller):
                        assert not merkle.verify_inclusion(root, leaves[index], place, smaller, path)
                        leaf = merkle.leaf_hash(leaves[index])
                        assert not verifier.is_included(root, leaf, place, smaller, list(path))
    first, second = leaves_of(2)
    assert not merkle.verify_consistency(merkle.root([first]), 1, merkle.root([first, second]), 1, [second])


# ── the obvious twin: section 2.1 as it is written ────────────────────────────────────────────────


def split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def twin_root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + twin_root(leaves[:k]) + twin_root(leaves[k:])).digest()


def twin_path(index, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*twin_path(index, leaves[:k]), twin_root(leaves[k:])]
    return [*twin_path(index - k, leaves[k:]), twin_root(leaves[:k])]


def twin_subproof(first, leaves, known):
    if first == len(leaves):
        return [] if known else [twin_root(leaves)]
    k = split(len(leaves))
    if first <= k:
        return [*twin_subproof(first, leaves[:k], known), twin_root(leaves[k:])]
    return [*twin_subproof(first - k, leaves[k:], False), twin_root(leaves[:k])]


def leaves_of(size: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(size)]


def test_roots_and_proofs_are_those_of_the_rfc_for_every_size_to_33():
    for size in range(34):
        leaves = leaves_of(size)
        root = merkle.root(leaves)
        assert root == twin_root(leaves)
        for index in range(size):
            path = merkle.inclusion_proof(leaves, index)
            assert list(path) == twin_path(index, leaves)
            assert merkle.verify_inclusion(root, leaves[index], index, size, path)
        for first in range(1, size + 1):
            path = merkle.consistency_proof(leaves, first)
            assert list(path) == twin_subproof(first, leaves, True), (first, size)
            assert merkle.verify_consistency(merkle.root(leaves[:first]), first, root, size, path)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=300))
def test_the_root_is_that_of_the_rfc_for_any_leaves(leaves):
    assert merkle.root(leaves) == twin_root(leaves)


# ── what must not pass ────────────────────────────────────────────────────────────────────────────


def test_scenario_86_moving_bytes_between_neighbours_gives_another_root():
    assert merkle.root([b"ab", b"c"]) != merkle.root([b"a", b"bc"])
    assert merkle.root([b"abc"]) != merkle.root([b"ab", b"c"]) != merkle.root([b"ab", b"c", b""])


def test_scenario_87_an_inner_node_is_no_leaf():
    leaves = leaves_of(4)
    root, left, right = merkle.root(leaves), merkle.root(leaves[:2]), merkle.root(leaves[2:])
    inner = merkle.leaf_hash(leaves[0]) + merkle.leaf_hash(leaves[1])
    assert merkle.node_hash(left, right) == root
    assert not merkle.verify_inclusion(root, inner, 0, 2, [right])
    assert not merkle.verify_inclusion(root, b"\x01" + inner, 0, 2, [right])
    other = merkle.leaf_hash(leaves[2]) + merkle.leaf_hash(leaves[3])
    for prefix in (b"", b"\x00", b"\x01"):  # nor are two leaves that are made of the inner nodes the same tree
        assert merkle.root([prefix + inner, prefix + other]) != root
        assert merkle.root([prefix + left + right]) != root
    assert [merkle.root([leaf]) for leaf in leaves] == [merkle.leaf_hash(leaf) for leaf in leaves]
    assert (merkle.node_hash(inner[:32], inner[32:]), merkle.node_hash(other[:32], other[32:])) == (left, right)


def test_scenario_87_doubling_the_last_leaf_gives_another_root():
    for size in range(1, 20):
        leaves = leaves_of(size)
        assert merkle.root(leaves) != merkle.root([*leaves, leaves[-1]])


def test_nothing_is_in_an_empty_tree():
    assert merkle.root([]) == merkle.EMPTY_ROOT
    assert not merkle.verify_inclusion(merkle.EMPTY_ROOT, b"", 0, 0, [])
    assert not merkle.verify_inclusion_of_hash(merkle.EMPTY_ROOT, merkle.EMPTY_ROOT, 0, 1, [merkle.EMPTY_ROOT])
    with pytest.raises(IndexError, match="leaf 0 of a tree with 0 leaves"):
        merkle.inclusion_proof([], 0)
    with pytest.raises(IndexError, match="from size 0"):
        merkle.consistency_proof([b"a"], 0)
    with pytest.raises(IndexError, match="from size 2"):
        merkle.consistency_proof([b"a"], 2)


def test_negative_and_huge_places_are_refused():
    leaves = leaves_of(3)
    root, path = merkle.root(leaves), merkle.inclusion_proof(leaves, 0)
    for index, size in [
        (-1, 3),
        (3, 3),
        (0, -3),
        (0, 1 << 63),
        (1 << 63, (1 << 63) + 1),
        (1 << 64, 3),
        (0.0, 3),
        (False, 3),
    ]:
        assert not merkle.verify_inclusion(root, leaves[0], index, size, path)
    for first, second in [(-1, 3), (0, 3), (4, 3), (1, 1 << 63), (1 << 64, 1 << 65), (True, 3), (1.0, 3)]:
        assert not merkle.verify_consistency(merkle.root(leaves[:1]), first, root, second, path)


@pytest.mark.parametrize(
    "wrong", [None, 7, "text", b"short", b"\x00" * 31, object(), [None], [b"x"], [b"\x00" * 32] * 65]
)
def test_verifiers_never_raise(wrong):
    leaves = leaves_of(2)
    root, path = merkle.root(leaves), merkle.inclusion_proof(leaves, 0)
    assert merkle.verify_inclusion(root, leaves[0], 0, 2, path)
    for arguments in [(wrong, leaves[0], 0, 2, path), (root, wrong, 0, 2, path), (root, leaves[0], 0, 2, wrong)]:
        assert merkle.verify_inclusion(*arguments) is False
    for index, size in [(wrong, 2), (0, wrong)]:
        assert wrong == 7 or not merkle.verify_inclusion(root, leaves[0], index, size, path)
    first = merkle.root(leaves[:1])
    for arguments in [(wrong, 1, root, 2, path), (first, 1, wrong, 2, path), (first, 1, root, 2, wrong)]:
        assert merkle.verify_consistency(*arguments) is False


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_mutation_of_an_inclusion_proof_fails(draw):
    size = draw.draw(st.integers(1, 70))
    index = draw.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    root, leaf, path = merkle.root(leaves), leaves[index], list(merkle.inclusion_proof(leaves, index))
    what = draw.draw(st.sampled_from(["leaf", "index", "flip", "drop", "add", "swap", "root"]))
    if what == "leaf":
        leaf = draw.draw(st.sampled_from([other for other in [*leaves, b"no leaf"] if other != leaf]))
    elif what == "index":
        index = draw.draw(st.integers(-5, 80).filter(lambda other: other != index))
    elif what == "root":
        root = merkle.root([*leaves, b"one more"])
    else:
        changed = mutated(draw, path, what)
        if changed == path:
            return
        path = changed
    assert not merkle.verify_inclusion(root, leaf, index, size, path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_mutation_of_a_consistency_proof_fails(draw):
    size = draw.draw(st.integers(2, 70))
    first = draw.draw(st.integers(1, size - 1))
    leaves = leaves_of(size)
    path = list(merkle.consistency_proof(leaves, first))
    roots = [merkle.root(leaves[:first]), merkle.root(leaves)]
    assert merkle.verify_consistency(roots[0], first, roots[1], size, path)
    what = draw.draw(st.sampled_from(["flip", "drop", "add", "swap", "roots"]))
    if what == "roots":
        assert not merkle.verify_consistency(roots[1], first, roots[0], size, path)
        return
    changed = mutated(draw, path, what)
    assert changed == path or not merkle.verify_consistency(roots[0], first, roots[1], size, changed)


def mutated(draw, path: list[bytes], what: str) -> list[bytes]:
    place = draw.draw(st.integers(0, len(path)))
    if what == "add":
        return [*path[:place], draw.draw(st.binary(min_size=32, max_size=32)), *path[place:]]
    if place == len(path):
        return path
    if what == "drop":
        return path[:place] + path[place + 1 :]
    if what == "swap":
        return [*path[:place], *reversed(path[place : place + 2]), *path[place + 2 :]]
    bit = draw.draw(st.integers(0, 255))
    node = int.from_bytes(path[place], "big") ^ 1 << bit
    return [*path[:place], node.to_bytes(32, "big"), *path[place + 1 :]]
