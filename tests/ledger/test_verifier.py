"""The verifier over changes of the validators, from trusted headers, and on the state: a chain of three epochs."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from contracts.keys import BadKey, split_key, state_key
from ledger import proofs, verifier
from ledger.errors import InvalidProof
from ledger.proof_encoding import CONTRACT_NAME, VARIABLE_NAME, element_label, read_key
from ledger.proof_file import write_proof
from ledger.proofs import Closing, Way, verify_proof
from ledger.types import Block, BlockRecord, ValidatorSet
from scripts.paper_proofs import EPOCH_HEIGHTS, Chain

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture(scope="module")
def chain():
    return Chain("paper")


@pytest.fixture(scope="module")
def last(chain):
    """The last block, of epoch 2."""
    return chain.records[-1]


def refused(reason, text, trusted):
    with pytest.raises(InvalidProof, match=reason):
        verify_proof(text, trusted)


def test_every_kind_of_proof_about_every_block_holds_from_the_genesis_and_from_trusted_headers(chain):
    kinds = set()
    for number, (text, begin) in enumerate(chain.files()):
        if number % 7 == 0:
            found = verify_proof(text, chain.genesis if begin is None else begin)
            kinds.add((found.kind, begin is None))
            assert found.header.epoch == (found.height - 1) // EPOCH_HEIGHTS
            assert found.signers == tuple(member.name for member in chain.sets[found.header.epoch].members)
    assert kinds == {(kind, way) for kind in ("header", "transaction", "receipt", "event", "state") for way in (0, 1)}


# ── changes of the validators ─────────────────────────────────────────────────────────────────────


def header_file(record, *closings, anchor=None):
    return proofs.prove_header(record, Way(anchor, closings))


def test_each_closing_is_needed_in_its_order_and_no_other(chain, last):
    first, second = chain.way(last).closings
    assert verify_proof(header_file(last, first, second), chain.genesis).height == 6
    for closings, reason in [
        ((), "the block is of epoch 2, the trusted set is that of epoch 0"),
        ((first,), "the block is of epoch 2, the trusted set is that of epoch 1"),
        ((second,), "the closing header is of epoch 1, the trusted set is that of epoch 0"),
        ((second, first), "the closing header is of epoch 1, the trusted set is that of epoch 0"),
        ((first, first, second), "the closing header is of epoch 0, the trusted set is that of epoch 1"),
        ((first, second, second), "the closing header is of epoch 1, the trusted set is that of epoch 2"),
    ]:
        refused(reason, header_file(last, *closings), chain.genesis)


def test_a_closing_hands_over_to_no_other_set_than_the_one_it_names(chain, last):
    first, second = chain.way(last).closings
    strangers = Chain("other").sets[1]
    refused("epoch 0 names another next set", header_file(last, Closing(*first[:2], strangers), second), chain.genesis)
    shuffled = ValidatorSet(chain.sets[1].members[::-1])
    refused("epoch 0 names another next set", header_file(last, Closing(*first[:2], shuffled), second), chain.genesis)


def test_no_header_but_the_last_of_its_epoch_can_close_it(chain, last):
    """The header before it names its own set as the next one: it hands over to nobody new."""
    second, early = chain.way(last).closings[1], chain.records[0]
    text = header_file(last, Closing(early.block.header, early.seal, chain.sets[1]), second)
    refused("the closing header of epoch 0 names another next set", text, chain.genesis)


def test_a_removed_validator_set_seals_nothing_more(chain, last):
    """The members of epoch 0 seal a block of their own after they closed their epoch."""
    old = replace(
        last.block.header, epoch=0, validators_hash=chain.sets[0].hash, next_validators_hash=chain.sets[0].hash
    )
    forged = BlockRecord(Block(old, last.block.batch, ()), (), (), chain.seal(old))
    refused("the block is of epoch 0", header_file(forged, *chain.way(last).closings), chain.genesis)
    posing = replace(last.block.header, gas_used=1)
    seal = replace(chain.seal(old), epoch=2, header_hash=posing.hash)
    forged = BlockRecord(Block(posing, last.block.batch, ()), (), (), seal)
    refused("in the seal does not hold", header_file(forged, *chain.way(last).closings), chain.genesis)


def test_heights_rise_over_the_closings(chain):
    """A block of epoch 1 below the header that closed epoch 0, sealed by the members of epoch 1."""
    honest = chain.records[EPOCH_HEIGHTS]
    header = replace(honest.block.header, height=1)
    early = BlockRecord(Block(header, honest.block.batch, ()), (), (), chain.seal(header))
    refused(
        "the block has height 1, its epoch begins above 2",
        header_file(early, *chain.way(honest).closings),
        chain.genesis,
    )


def test_a_seal_needs_a_quorum_of_its_own_epochs_power(chain, last):
    """Powers 3, 2, 1 and 1: five are needed."""
    header, closings = last.block.header, chain.way(last).closings
    for members, holds in (([0, 1], True), ([0, 2, 3], True), ([1, 2, 3], False), ([0, 2], False)):
        record = replace(last, seal=chain.seal(header, members))
        if holds:
            assert len(verify_proof(header_file(record, *closings), chain.genesis).signers) == len(members)
        else:
            refused("of 7, at least 5 is a quorum", header_file(record, *closings), chain.genesis)


def test_a_closing_is_sealed_like_any_header(chain, last):
    first, second = chain.way(last).closings
    weak = Closing(first.header, chain.seal(first.header, [0, 1]), first.validators)
    refused("the seal has voting power 2 of 4", header_file(last, weak, second), chain.genesis)
    swapped = Closing(first.header, second.seal, first.validators)
    refused("the seal of the closing header is for another header", header_file(last, swapped, second), chain.genesis)


# ── trusted headers ───────────────────────────────────────────────────────────────────────────────


def test_a_proof_begins_where_its_reader_trusts_and_nowhere_else(chain, last):
    text, header = header_file(last, *chain.way(last, 3).closings, anchor=chain.way(last, 3).anchor), chain.headers[2]
    assert verify_proof(text, header.hash).height == 6
    refused(f"it begins at header {header.hash.hex()}, the trusted one is 0909", text, b"\x09" * 32)
    refused("it begins at header .*, not at the genesis", text, chain.genesis)
    refused(
        "it begins at the genesis, not at a trusted header", header_file(last, *chain.way(last).closings), header.hash
    )


def test_a_trusted_header_names_the_set_that_stands_beside_it(chain, last):
    header, closings = chain.headers[2], chain.way(last, 3).closings
    text = header_file(last, *closings, anchor=(header, chain.sets[2]))
    refused("the trusted header names another set than the one beside it", text, header.hash)


def test_a_trusted_header_of_another_chain_vouches_for_nothing(chain, last):
    other = Chain("other")
    text = header_file(last, *chain.way(last, 3).closings, anchor=(other.headers[2], other.sets[1]))
    refused("it is from chain .*, the trusted one is", text, other.headers[2].hash)


def test_a_trusted_header_vouches_for_its_own_epoch_in_both_directions_and_for_none_before(chain):
    trusted = chain.headers[3]  # the second of epoch 1
    before = header_file(chain.records[2], anchor=(trusted, chain.sets[1]))
    assert verify_proof(before, trusted.hash).height == 3
    earlier = header_file(chain.records[0], anchor=(trusted, chain.sets[1]))
    refused("the block is of epoch 0, the trusted set is that of epoch 1", earlier, trusted.hash)


# ── the state ─────────────────────────────────────────────────────────────────────────────────────


def state_file(chain, record, key, **changes):
    text = proofs.prove_state(
        record, key, chain.states[record.height].get(key), chain.proven[record.height, key], chain.way(record)
    )
    fields = {name: part for name, part in json.loads(text).items() if name not in ("format", "kind", "summary")}
    return write_proof("state", fields | changes)


def test_a_value_and_an_absence_are_told_with_their_place(chain, last):
    for key, value in ((k, chain.states[6].get(k)) for height, k in chain.proven if height == 6):
        found = verify_proof(state_file(chain, last, key), chain.genesis).state
        contract, variable, elements = split_key(key)
        assert (found.contract, found.variable, found.elements, found.value) == (contract, variable, elements, value)


def test_neither_a_value_nor_an_absence_passes_for_the_other(chain, last):
    for key in (k for height, k in chain.proven if height == 6):
        there = chain.states[6].get(key) is not None
        lie = state_file(chain, last, key, value=None if there else "c0")
        refused("another root|below an empty place|one of absence", lie, chain.genesis)
        if there:
            refused("another root", state_file(chain, last, key, value="c0"), chain.genesis)


def test_a_proof_is_about_its_own_height(chain):
    """The pair of height 5 came with block 6."""
    key = state_key("token", "pairs", (5, True, b"\x00\xff"))
    assert verify_proof(state_file(chain, chain.records[5], key), chain.genesis).state.value is not None
    moved = state_file(chain, chain.records[5], key, header=chain.headers[4].encode().hex())
    refused("for another header", moved, chain.genesis)
    seal = chain.records[4].seal.encode().hex()
    refused(
        "another root",
        state_file(chain, chain.records[5], key, header=chain.headers[4].encode().hex(), seal=seal),
        chain.genesis,
    )


ELEMENTS = [
    (),
    (0,),
    (255, -1, -256, 1 << 255, -(1 << 256) + 1),
    (True, False),
    (b"", b"\x00", b"\x00\xff\x01"),
    ("", "é\x00", "😀"),
]


@pytest.mark.parametrize("elements", ELEMENTS, ids=range(len(ELEMENTS)))
def test_a_key_is_read_as_it_was_written_and_in_no_other_writing(elements):
    """Every key with one byte changed, or one more: read as the contracts read it, or refused as they refuse it."""
    key = state_key("token", "some_map", elements)
    found = read_key(key)
    assert (found["contract"], found["variable"], tuple(found["elements"])) == ("token", "some_map", elements)
    variants = [key + b"\x00", key[:-1]]
    variants += [key[:at] + bytes([byte]) + key[at + 1 :] for at in range(len(key)) for byte in range(256)]
    for variant in variants:
        try:
            expected = split_key(variant)
            names = CONTRACT_NAME.fullmatch(expected[0].encode()) and VARIABLE_NAME.fullmatch(expected[1].encode())
            written = bool(names) and state_key(*expected) == variant
        except (ValueError, BadKey):
            written = False
        try:
            found = read_key(variant)
        except InvalidProof:
            assert not written, variant
        else:
            assert written, variant
            assert (found["contract"], found["variable"], tuple(found["elements"])) == expected


@pytest.mark.parametrize(
    ("contract", "variable"),
    [
        ("token had this value\n  value 1000000\n\x1b[8m", "balances"),
        ("Token", "balances"),
        ("token ", "balances"),
        ("token\n", "balances"),
        ("t" * 64, "balances"),
        ("token", "_balances"),
        ("token", "bal ances"),
        ("token", "balances\n"),
        ("token", "9"),
    ],
)
def test_what_nothing_can_be_named_is_not_proven_absent(contract, variable):
    """Whoever holds the tree could prove it: true, and made to be misread."""
    with pytest.raises(InvalidProof, match="no name is written like that"):
        read_key(state_key(contract, variable, ()))


def test_no_two_parts_of_a_key_look_alike_to_people():
    alike = [b"\xe2", "e2", "0xe2", 5, "5", True, "true", 1, '"5"', "a\n", "a\\n"]
    labels = [element_label(each) for each in alike]
    assert labels == ["0xe2", '"e2"', '"0xe2"', "5", '"5"', "true", '"true"', "1", '"\\"5\\""', '"a\\n"', '"a\\\\n"']
    assert len(set(labels)) == len(alike)


# ── the trees ─────────────────────────────────────────────────────────────────────────────────────


def test_every_public_inclusion_vector_has_the_same_verdict_here():
    """Those of `ledger.merkle`'s own tests; a leaf's hash of another length cannot come from a file."""
    every = json.loads((VECTORS / "merkle/testdata.json").read_text())
    cases = {name: case for name, case in every.items() if name.startswith("inclusion")}
    for name, case in cases.items():
        root, leaf, *path = (
            base64.b64decode(text or "") for text in (case["root"], case["leafHash"], *(case["proof"] or []))
        )
        held = len(leaf) == 32 and verifier.is_included(root, leaf, case["leafIdx"], case["treeSize"], path)
        assert held is not case["wantErr"], f"{name}: {case['desc']}"
    assert len(cases) == 98
