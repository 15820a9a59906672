"""Seals: a quorum of power over one header, and every way in which one is not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ledger.errors import InvalidProof
from ledger.seals import assemble_seal, checkpoint_message, verify_seal, verify_sealed_header
from ledger.types import Checkpoint, Seal, SealSignature


@pytest.fixture
def header(consortium):
    return consortium.block(3).block.header


def refused(reason, seal, header, validators):
    with pytest.raises(InvalidProof, match=reason):
        verify_sealed_header(header, seal, validators)


def test_any_three_of_four_seal_a_header_and_two_do_not(consortium, header):
    validators = consortium.genesis.validators
    for members in [(0, 1, 2), (1, 2, 3), (0, 2, 3), (0, 1, 2, 3)]:
        verify_sealed_header(header, consortium.seal(header, members), validators)
    refused("power 2 of 4, at least 3 is a quorum", consortium.seal(header, (0, 3)), header, validators)
    refused("power 0 of 4", consortium.seal(header, ()), header, validators)


def test_power_decides_and_not_heads(consortium_of):
    heavy = consortium_of(5, 1, 1, 1)  # T = 8, t = 2: a quorum is 6
    header = heavy.block(1, (0, 1)).block.header
    verify_sealed_header(header, heavy.seal(header, (0, 1)), heavy.genesis.validators)
    refused("power 3 of 8, at least 6", heavy.seal(header, (1, 2, 3)), header, heavy.genesis.validators)
    refused("power 5 of 8, at least 6", heavy.seal(header, (0,)), header, heavy.genesis.validators)


def test_a_seal_is_assembled_in_member_order(consortium, header):
    whole = consortium.seal(header, (0, 1, 2))
    shuffled = {entry.member: entry.signature for entry in reversed(whole.signatures)}
    assert assemble_seal(0, 1, header.hash, shuffled) == whole


def test_one_bad_signature_refuses_the_whole_seal_even_beside_a_quorum(consortium, header):
    seal = consortium.seal(header, (0, 1, 2, 3))
    for place in range(4):
        forged = bytearray(seal.signatures[place].signature)
        forged[40] ^= 1
        entries = list(seal.signatures)
        entries[place] = SealSignature(place, bytes(forged))
        reason = rf"signature of member {place} \(validator-{place}\)"
        refused(reason, replace(seal, signatures=tuple(entries)), header, consortium.genesis.validators)


def test_members_are_ascending_distinct_and_of_the_set(consortium, header):
    validators = consortium.genesis.validators
    seal = consortium.seal(header, (0, 1, 2))
    one, two, three = seal.signatures
    refused("member 0 after 1", replace(seal, signatures=(two, one, three)), header, validators)
    refused("member 1 after 1", replace(seal, signatures=(one, two, two)), header, validators)
    stranger = SealSignature(4, three.signature)
    refused("names member 4, of a set of 4", replace(seal, signatures=(one, two, stranger)), header, validators)
    below = SealSignature(-1, one.signature)
    refused("names member -1", replace(seal, signatures=(below, two, three)), header, validators)


def test_one_members_signature_does_not_count_for_another(consortium, header):
    one, two, three = consortium.seal(header, (0, 1, 2)).signatures
    swapped = (one, SealSignature(1, three.signature), SealSignature(2, two.signature))
    refused("member 1", Seal(0, 1, header.hash, swapped), header, consortium.genesis.validators)


def test_a_seal_of_another_header_height_or_epoch_is_refused(consortium, header):
    validators = consortium.genesis.validators
    seal = consortium.seal(header, (0, 1, 2))
    other = replace(header, state_root=b"\x03" * 32)
    refused("is for header", seal, other, validators)
    refused("epoch 0 and height 2", replace(seal, height=2), header, validators)
    refused("epoch 1 and height 1", replace(seal, epoch=1), header, validators)
    # The same signatures do not hold for another height or epoch, whoever asks.
    for moved in (replace(seal, height=2), replace(seal, epoch=1)):
        with pytest.raises(InvalidProof, match="does not hold"):
            verify_seal(moved, header.hash, validators, header.chain_id)


def test_a_seal_of_another_chain_is_refused(consortium, header):
    seal = consortium.seal(header, (0, 1, 2))
    verify_seal(seal, header.hash, consortium.genesis.validators, header.chain_id)
    with pytest.raises(InvalidProof, match="does not hold"):
        verify_seal(seal, header.hash, consortium.genesis.validators, b"\x09" * 32)


def test_a_seal_by_another_set_is_refused(consortium, consortium_of, header):
    others = consortium_of(1, 1, 1, 2)
    refused("names validator set", consortium.seal(header, (0, 1, 2)), header, others.genesis.validators)


def test_a_checkpoint_signature_is_for_checkpoints_only(consortium):
    message = checkpoint_message(consortium.genesis.chain_id, Checkpoint(0, 1, 2, b"\x07" * 32))
    assert message.startswith(b"quorate.checkpoint\x00" + consortium.genesis.chain_id)
