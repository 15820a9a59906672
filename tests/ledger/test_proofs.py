"""The one-file receipt: it proves what it says, and no change to it goes unnoticed."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger import codec, merkle
from ledger.errors import InvalidProof
from ledger.proofs import PROOF_TEXT_LENGTH_MAX, TransactionProof, prove_transaction, verify_transaction_proof
from ledger.transactions import identify, sign_transaction
from ledger.types import Call, Receipt, Seal


@pytest.fixture(scope="module")
def proof(consortium):
    return prove_transaction(consortium.block(5), 3)


def verify_text(text, genesis):
    return verify_transaction_proof(TransactionProof.from_json(text), genesis)


def test_every_transaction_of_a_block_is_proven_by_its_file(consortium):
    for count in (1, 2, 3, 5, 8):
        record = consortium.block(count, (0, 2, 3))
        for index in range(count):
            text = prove_transaction(record, index).to_json()
            verified = verify_text(text, consortium.genesis)
            assert verified.height == 1
            assert verified.header_hash == record.block.header.hash
            assert verified.time_ms == 1_700_000_001_000
            assert verified.transaction.encode() == record.bodies[index]
            assert verified.receipt.encode() == record.receipts[index]
            assert verified.signers == ("validator-0", "validator-2", "validator-3")
            assert verified.member_count == 4


def test_the_file_tells_a_person_what_it_is_about(consortium, proof):
    document = json.loads(proof.to_json())
    assert document["format"] == "quorate-transaction-proof-1"
    assert document["summary"] == {
        "transaction_id": codec.decode(proof.receipt, Receipt).transaction_id.hex(),
        "sender": consortium.client.public_key.hex(),
        "calls": ["registry.register"],
        "outcome": "ok",
        "height": 1,
        "block": proof.header.hash.hex(),
        "time": "2023-11-14T22:13:21.000Z",
        "sealed_by_members": [0, 1, 2],
    }


def test_white_space_is_free_and_everything_else_is_not(consortium, proof):
    text = proof.to_json()
    document = json.loads(text)
    for same in (json.dumps(document), json.dumps(document, indent=7), text.replace("\n", "\r\n\t"), text.encode()):
        assert verify_text(same, consortium.genesis).height == 1


def test_any_changed_character_is_noticed(consortium, proof):
    """Every position once, with a change drawn from a fixed seed; and every position left out."""
    text = json.dumps(json.loads(proof.to_json()), separators=(",", ":"))
    verify_text(text, consortium.genesis)
    draw = random.Random(7)
    for place, character in enumerate(text):
        other = draw.choice([c for c in '0123456789abcdefABCDEF"{}[]:,x\\\x00é' if c != character])
        for changed in (text[:place] + other + text[place + 1 :], text[:place] + text[place + 1 :]):
            with pytest.raises(InvalidProof):
                verify_text(changed, consortium.genesis)


def test_any_changed_bit_is_noticed(consortium, proof):
    data = proof.to_json().encode()
    spaces = set(b" \n\t\r")
    draw = random.Random(8)
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8)
        if {data[place], changed[place]} <= spaces:
            continue
        with pytest.raises(InvalidProof):
            verify_text(bytes(changed), consortium.genesis)


def test_a_receipt_file_has_one_form_down_to_its_white_space(consortium, proof):
    """Every byte that is white space, made another white space, left out or doubled; and the file as it is."""
    data = proof.to_json().encode()
    assert verify_transaction_proof(TransactionProof.from_file(data), consortium.genesis).height == 1
    changes = [data + b"\n", b" " + data, data.replace(b"\n", b"\r\n"), json.dumps(json.loads(data)).encode()]
    for place in (place for place, byte in enumerate(data) if byte in b" \n"):
        other = b"\n" if data[place] == 32 else b" "
        changes.extend(data[:place] + new + data[place + 1 :] for new in (other, b"\t", b"", b"  "))
    for changed in changes:
        with pytest.raises(InvalidProof, match=r"was changed at byte|the file says|not JSON|no receipt"):
            TransactionProof.from_file(changed)


def edited(proof, **changes):
    return json.dumps(json.loads(proof.to_json()) | changes)


@pytest.mark.parametrize(
    ("what", "text", "reason"),
    [
        ("an unknown key", lambda p: edited(p, note="trust me"), "where its content gives"),
        ("a summary that lies", lambda p: p.to_json().replace('"ok"', '"no"'), "where its content gives"),
        ("a repeated key", lambda p: p.to_json().replace('"index": 3', '"index": 3, "index": 3'), "where its content"),
        ("upper-case hex", lambda p: edited(p, receipt=p.receipt.hex().upper()), "where its content gives"),
        ("spaces in hex", lambda p: edited(p, receipt=p.receipt.hex(" ")), "where its content gives"),
        ("a float", lambda p: edited(p, index=3.0), '"index" is not an integer'),
        ("a bool", lambda p: edited(p, index=True), '"index" is not an integer'),
        ("minus nothing", lambda p: p.to_json().replace('"height": 1', '"height": -0'), "where its content gives"),
        ("an escape", lambda p: p.to_json().replace('"ok"', '"\\u006fk"'), "where its content gives"),
        ("text after the end", lambda p: p.to_json() + "{}", "not JSON"),
        ("a byte order mark", lambda p: "\ufeff" + p.to_json(), "not JSON"),
        ("half a file", lambda p: p.to_json()[:500], "not JSON"),
        ("bytes that are no text", lambda p: p.to_json().encode() + b"\xff", "not UTF-8"),
        ("nothing", lambda p: "", "not JSON"),
        ("another format", lambda p: edited(p, format="quorate-transaction-proof-2"), "no receipt"),
        ("a list", lambda p: "[]", "no receipt"),
        ("deep nesting", lambda p: "[" * 100_000, "nested too deep"),
        ("a huge number", lambda p: p.to_json().replace('"index": 3', '"index": ' + "9" * 5000), "not JSON"),
        ("a huge file", lambda p: " " * (PROOF_TEXT_LENGTH_MAX + 1), "at most"),
        ("no index", lambda p: edited(p, index=None), '"index" is not an integer'),
        ("no header", lambda p: edited(p, header=None), '"header" is not lower-case hex'),
        ("a header that is none", lambda p: edited(p, header="c0"), "the header cannot be read"),
        ("a seal that is none", lambda p: edited(p, seal="c0"), "the seal cannot be read"),
        ("a receipt that is none", lambda p: edited(p, receipt="c0"), "the receipt cannot be read"),
        ("no path", lambda p: edited(p, receipt_path={}), '"receipt_path" is not a list'),
        ("a path too long", lambda p: edited(p, receipt_path=["00" * 32] * 65), "at most 64"),
        ("a path of numbers", lambda p: edited(p, receipt_path=[1]), '"receipt_path" is not lower-case hex'),
    ],
)
def test_a_file_of_another_form_is_refused(consortium, proof, what, text, reason):
    with pytest.raises(InvalidProof, match=reason):
        verify_text(text(proof), consortium.genesis)


def refused(reason, proof, genesis):
    with pytest.raises(InvalidProof, match=reason):
        verify_transaction_proof(proof, genesis)


def test_parts_that_do_not_belong_together_are_refused(consortium, proof):
    genesis, record = consortium.genesis, consortium.block(5)
    other = prove_transaction(record, 2)
    refused("receipt's transaction id", replace(proof, receipt=other.receipt), genesis)
    refused("receipt's transaction id", replace(proof, transaction=other.transaction), genesis)
    refused("receipt's index is 2, expected 3", replace(other, index=3), genesis)
    refused("transaction is not under", replace(proof, transaction_path=other.transaction_path), genesis)
    refused("receipt is not under", replace(proof, receipt_path=other.receipt_path), genesis)
    refused("transaction is not under", replace(proof, transaction_path=()), genesis)


def test_an_outcome_that_was_never_sealed_is_refused(consortium, proof):
    receipt = codec.decode(proof.receipt, Receipt)
    for forged in (replace(receipt, code="failed"), replace(receipt, gas_used=1), replace(receipt, events=())):
        refused("receipt is not under", replace(proof, receipt=forged.encode()), consortium.genesis)
    refused("receipt's height is 2", replace(proof, receipt=replace(receipt, height=2).encode()), consortium.genesis)


def test_a_header_that_was_never_sealed_is_refused(consortium, proof):
    genesis, header = consortium.genesis, proof.header
    refused("the seal is for header", replace(proof, header=replace(header, state_root=b"\x09" * 32)), genesis)
    refused("the seal is for epoch", replace(proof, header=replace(header, height=2)), genesis)
    refused("of epoch 1", replace(proof, header=replace(header, epoch=1)), genesis)
    refused("from chain", replace(proof, header=replace(header, chain_id=b"\x09" * 32)), genesis)
    refused("names validator set", replace(proof, header=replace(header, validators_hash=b"\x09" * 32)), genesis)


def test_two_of_four_signatures_prove_nothing(consortium, proof):
    refused("at least 3 is a quorum", replace(proof, seal=consortium.seal(proof.header, (0, 1))), consortium.genesis)


def test_a_proof_of_another_network_is_refused(consortium_of, proof):
    refused("from chain", proof, consortium_of(1, 1, 1, 2).genesis)


def test_an_index_outside_the_block_is_refused(consortium, proof):
    receipt = codec.decode(proof.receipt, Receipt)
    beyond = replace(proof, index=5, receipt=replace(receipt, index=5).encode())
    refused("index is 5, in a block of 5", beyond, consortium.genesis)
    refused("cannot be read", replace(proof, index=-1), consortium.genesis)


def test_what_a_quorum_sealed_still_needs_the_clients_signature(consortium):
    """Were a quorum corrupt, it could seal a transaction that no client signed; the file shows it."""
    honest = consortium.block(1)
    body = honest.bodies[0]
    forged = body[:-1] + bytes([body[-1] ^ 1])
    refused("client's signature", resealed(consortium, honest, forged), consortium.genesis)
    elsewhere = sign_transaction(consortium.client, b"\x09" * 32, [Call("a", "b", b"\xc0")], 1, 1, bytes(16))
    refused("signed for chain", resealed(consortium, honest, elsewhere), consortium.genesis)


def resealed(consortium, record, body):
    """A proof that a (corrupt) quorum seals for `body`, with everything else in order."""
    receipt = replace(
        codec.decode(record.receipts[0], Receipt), transaction_id=identify(body)[0], transaction_hash=identify(body)[1]
    ).encode()
    roots = {"transactions_root": merkle.root([identify(body)[1]]), "receipts_root": merkle.root([receipt])}
    header = replace(record.block.header, **roots)
    return TransactionProof(header, consortium.seal(header, (0, 1, 2)), body, receipt, 0, (), ())


def test_an_unsealed_block_has_no_proof_yet(consortium):
    with pytest.raises(InvalidProof, match="not sealed yet"):
        prove_transaction(replace(consortium.block(1), seal=None), 0)


def test_other_bytes_for_the_same_value_are_refused(consortium, proof):
    """An array16 header in front of the same fields: it decodes, and is not the one encoding."""
    seal = proof.seal.encode()
    assert codec.decode(seal, Seal) == proof.seal
    wider = b"\xdc\x00\x04" + seal[1:]
    with pytest.raises(InvalidProof, match="not the canonical encoding of a Seal"):
        verify_text(edited(proof, seal=wider.hex()), consortium.genesis)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=40).map(bytes.hex),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_altered_value_is_an_invalid_proof_and_nothing_worse(consortium, proof, data):
    document = json.loads(proof.to_json())
    holder = document
    name = data.draw(st.sampled_from(sorted(document)), label="field")
    if name == "summary":
        holder = document["summary"]
        name = data.draw(st.sampled_from(sorted(holder)), label="summary field")
    value = data.draw(JSON_VALUES.filter(lambda other: other != holder[name]), label="value")
    holder[name] = value
    with pytest.raises(InvalidProof):
        verify_text(json.dumps(document), consortium.genesis)


@settings(max_examples=150, deadline=None)
@given(value=JSON_VALUES)
def test_arbitrary_json_is_an_invalid_proof_and_nothing_worse(consortium, value):
    with pytest.raises(InvalidProof):
        verify_text(json.dumps(value), consortium.genesis)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_an_invalid_proof_and_nothing_worse(consortium, data):
    with pytest.raises(InvalidProof):
        verify_text(data, consortium.genesis)
