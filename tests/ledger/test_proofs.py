"""Proof files of every kind: each proves what it says, and no change to it goes unnoticed."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.keys import state_key
from ledger import codec, merkle
from ledger.errors import InvalidProof
from ledger.proof_file import FILE_BYTES_MAX, as_text
from ledger.proofs import prove_event, prove_header, prove_receipt, prove_state, prove_transaction, verify_proof
from ledger.transactions import identify, sign_transaction
from ledger.types import Block, BlockRecord, Call, Receipt, Seal
from ledger.verifier import Trust, verify

KEY = state_key("registry", "entries", ("file-3", 7, True, b"\x00\xff"))


def file_of(kind, record):
    """A proof of each kind about transaction 3 of a block, or about the state after it."""
    if kind == "header":
        return prove_header(record)
    if kind == "transaction":
        return prove_transaction(record, 3)
    if kind == "receipt":
        return prove_receipt(record, 3)
    return prove_event(record, 3, 0)


KINDS = ("header", "transaction", "receipt", "event")


@pytest.fixture(scope="module")
def text(consortium):
    return prove_transaction(consortium.block(5), 3)


def test_every_transaction_of_a_block_is_proven_by_its_file(consortium):
    for count in (1, 2, 3, 5, 8):
        record = consortium.block(count, (0, 2, 3))
        for index in range(count):
            found = verify_proof(prove_transaction(record, index), consortium.genesis)
            assert (found.kind, found.height, found.time_ms) == ("transaction", 1, 1_700_000_001_000)
            assert found.header == record.block.header
            assert found.header_hash == record.block.header.hash
            assert found.transaction.encode() == record.bodies[index]
            assert found.receipt.encode() == record.receipts[index]
            assert found.signers == ("validator-0", "validator-2", "validator-3")
            assert found.member_count == 4


def test_a_receipt_alone_proves_the_outcome_and_keeps_the_arguments_to_itself(consortium):
    record = consortium.block(5)
    text = prove_receipt(record, 3)
    found = verify_proof(text, consortium.genesis)
    assert (found.receipt.encode(), found.transaction) == (record.receipts[3], None)
    assert codec.encode("file-3").hex() not in text


def test_an_event_is_proven_with_its_fields(consortium):
    found = verify_proof(prove_event(consortium.block(5), 3, 0), consortium.genesis)
    assert (found.event.contract, found.event.name, codec.decode(found.event.fields)) == (
        "registry",
        "Registered",
        {"index": 3},
    )
    with pytest.raises(InvalidProof, match="emitted 1 event, there is no number 1: they count from 0"):
        prove_event(consortium.block(5), 3, 1)


def test_a_sealed_header_is_proven_by_itself(consortium):
    record = consortium.block(0)
    found = verify_proof(prove_header(record), consortium.genesis)
    assert (found.kind, found.header, found.receipt, found.state) == ("header", record.block.header, None, None)


def test_the_file_tells_a_person_what_it_is_about(consortium, text):
    document = json.loads(text)
    receipt = codec.decode(bytes.fromhex(document["receipt"]), Receipt)
    header = consortium.block(5).block.header
    common = {
        "height": 1,
        "block": header.hash.hex(),
        "time": "2023-11-14T22:13:21.000Z",
        "chain": consortium.genesis.chain_id.hex(),
        "sealed_by_members": [0, 1, 2],
    }
    name = {"transaction_id": receipt.transaction_id.hex()}
    assert (document["format"], document["kind"]) == ("quorate-proof-1", "transaction")
    assert document["summary"] == name | {
        "sender": consortium.client.public_key.hex(),
        "calls": ["registry.register"],
        "outcome": "ok",
        **common,
    }
    event = json.loads(prove_event(consortium.block(5), 3, 0))["summary"]
    assert event == name | {"outcome": "ok", "event": "registry.Registered", **common}
    assert json.loads(prove_receipt(consortium.block(5), 3))["summary"] == name | {"outcome": "ok", **common}
    assert json.loads(prove_header(consortium.block(5)))["summary"] == common


def test_a_time_past_the_calendars_end_is_told_in_milliseconds(consortium):
    record = consortium.block(1)
    for time_ms, shown in ((253_402_300_799_999, "9999-12-31T23:59:59.999Z"), ((1 << 53) - 1, f"{(1 << 53) - 1} ms")):
        header = replace(record.block.header, time_ms=time_ms)
        late = BlockRecord(Block(header, record.block.batch, ()), (), (), consortium.seal(header, (0, 1, 2)))
        assert json.loads(prove_header(late))["summary"]["time"] == shown
        assert verify_proof(prove_header(late), consortium.genesis).time_ms == time_ms


# ── the one form of a file ────────────────────────────────────────────────────────────────────────


def refused(reason, text, trusted):
    with pytest.raises(InvalidProof, match=reason or None):
        verify_proof(text, trusted)


@pytest.mark.parametrize("kind", KINDS)
def test_any_changed_byte_is_noticed(consortium, kind):
    """Every position once, with a change drawn from a fixed seed; and every position left out."""
    data = file_of(kind, consortium.block(5)).encode()
    verify_proof(data, consortium.genesis)
    draw = random.Random(7)
    for place in range(0, len(data), 1 if kind == "header" else 3):
        other = bytes(
            [draw.choice([byte for byte in b'0123456789abcdefABCDEF"{}[]:,x\\\x00 \n\t\xff' if byte != data[place]])]
        )
        for changed in (data[:place] + other + data[place + 1 :], data[:place] + data[place + 1 :]):
            if changed != data:
                refused("", changed, consortium.genesis)


def test_a_file_has_one_form_down_to_its_white_space(consortium, text):
    """Every byte that is white space, made another white space, left out or doubled."""
    data = text.encode()
    changes = [data + b"\n", b" " + data, data.replace(b"\n", b"\r\n"), json.dumps(json.loads(data)).encode()]
    for place in (place for place, byte in enumerate(data) if byte in b" \n"):
        other = b"\n" if data[place] == 32 else b" "
        changes.extend(data[:place] + new + data[place + 1 :] for new in (other, b"\t", b"", b"  "))
    for changed in changes:
        refused(r"was changed at byte|the file says|not JSON|no proof", changed, consortium.genesis)


def test_changed_white_space_is_told_from_changed_content(consortium, text):
    refused(f"form .* was changed at byte {len(text)}: get the file again", text + "\n", consortium.genesis)
    refused("form .* was changed at byte 1: ", text.replace("\n", "\r\n"), consortium.genesis)
    refused('the file says .*"no".* where its content gives', text.replace('"ok"', '"no"'), consortium.genesis)


def test_what_came_inside_another_answer_is_written_as_the_file_it_is(consortium, text):
    assert as_text(json.loads(json.dumps(json.loads(text)))) == text


def edited(text, **changes):
    return as_text(json.loads(text) | changes)


@pytest.mark.parametrize(
    ("what", "change", "reason"),
    [
        ("an unknown key", lambda t: edited(t, note="trust me"), "where its content gives"),
        (
            "a repeated key",
            lambda t: t.replace('  "kind"', '  "kind": "transaction",\n  "kind"'),
            "form .* was changed",
        ),
        ("an empty anchor", lambda t: edited(t, anchor=None), "where its content gives"),
        ("an anchor of no parts", lambda t: edited(t, anchor={}), '"header" is not lower-case hex'),
        ("an anchor that is none", lambda t: edited(t, anchor=True), '"header" is not lower-case hex'),
        ("no closings", lambda t: edited(t, closings=None), '"closings" is not a list'),
        ("closings that are none", lambda t: edited(t, closings=[1]), '"header" is not lower-case hex'),
        ("too many closings", lambda t: edited(t, closings=[{}] * 10_001), "at most 10000"),
        ("upper-case hex", lambda t: edited(t, receipt=json.loads(t)["receipt"].upper()), "not lower-case hex"),
        ("spaces in hex", lambda t: edited(t, receipt=json.loads(t)["receipt"] + "  "), "not lower-case hex"),
        ("half a byte", lambda t: edited(t, receipt=json.loads(t)["receipt"] + "0"), "not lower-case hex"),
        ("a float", lambda t: t.replace('"height": 1', '"height": 1.0'), "form .* was changed"),
        ("minus nothing", lambda t: t.replace('"height": 1', '"height": -0'), "where its content gives"),
        ("an escape", lambda t: t.replace('"ok"', '"\\u006fk"'), "form .* was changed"),
        ("half a pair of escapes", lambda t: t.replace('"ok"', '"\\ud800"'), "where its content gives"),
        ("text after the end", lambda t: t + "{}", "not JSON"),
        ("a byte order mark", lambda t: "\ufeff" + t, "not JSON"),
        ("half a file", lambda t: t[:500], "not JSON"),
        ("bytes that are no text", lambda t: t.encode() + b"\xff", "not JSON"),
        ("half a pair in the text", lambda t: t.replace("ok", "\ud800"), "not JSON"),
        ("nothing", lambda t: "", "the file is empty"),
        ("the format before", lambda t: edited(t, format="quorate-transaction-proof-1"), "no proof"),
        ("another kind", lambda t: edited(t, kind="receipt"), "where its content gives"),
        ("an unknown kind", lambda t: edited(t, kind="constructor"), '"kind" is none of'),
        ("a kind that is no text", lambda t: edited(t, kind=[]), '"kind" is none of'),
        ("a list", lambda t: "[]", "no proof"),
        ("deep nesting", lambda t: "[" * 100_000, "not JSON"),
        ("a huge number", lambda t: t.replace('"height": 1', '"height": ' + "9" * 5000), "not JSON"),
        ("a huge file", lambda t: " " * (FILE_BYTES_MAX + 1), "at most"),
        ("no header", lambda t: edited(t, header=None), '"header" is not lower-case hex'),
        ("a header that is none", lambda t: edited(t, header="c0"), "the header cannot be read: expected a list"),
        ("an empty header", lambda t: edited(t, header=""), "the header cannot be read: it is cut short"),
        ("a seal that is none", lambda t: edited(t, seal="c0"), "the seal cannot be read"),
        ("a receipt that is none", lambda t: edited(t, receipt="c0"), "the receipt cannot be read"),
        ("no path", lambda t: edited(t, receipt_path={}), '"receipt_path" is not a list'),
        ("a path too long", lambda t: edited(t, receipt_path=["00" * 32] * 65), "at most 64"),
        ("a path of numbers", lambda t: edited(t, receipt_path=[1]), '"receipt_path" is not lower-case hex'),
        ("a path of short hashes", lambda t: edited(t, receipt_path=["00"]), "not of 32 bytes"),
    ],
)
def test_a_file_of_another_form_is_refused(consortium, text, what, change, reason):
    refused(reason, change(text), consortium.genesis)


@pytest.mark.parametrize("number", [None, True, 0.0, -1, "0", 1 << 53, []])
def test_the_number_of_an_event_is_a_number(consortium, number):
    text = edited(prove_event(consortium.block(5), 3, 0), event=number)
    refused('"event" is not an integer from 0', text, consortium.genesis)


def test_an_event_past_the_end_is_none(consortium):
    text = prove_event(consortium.block(5), 3, 0)
    past = text.replace('"event": 0', '"event": 1').replace('"event": "registry.Registered"', '"event": ""')
    refused("the event is number 1 of a receipt with 1", past, consortium.genesis)


# ── parts that do not hold ────────────────────────────────────────────────────────────────────────


def rewritten(text, **changes):
    """The file whose parts are these, written out anew in its one form: only the judging can refuse it."""
    from ledger.proof_file import write_proof

    document = json.loads(text)
    fields = {name: item for name, item in document.items() if name not in ("format", "kind", "summary")}
    hexed = {name: item.hex() if isinstance(item, bytes) else item for name, item in changes.items()}
    return write_proof(document["kind"], fields | hexed)


def test_parts_that_do_not_belong_together_are_refused(consortium, text):
    genesis, other = consortium.genesis, json.loads(prove_transaction(consortium.block(5), 2))
    refused("receipt is about another", rewritten(text, receipt=other["receipt"]), genesis)
    refused("receipt is about another", rewritten(text, transaction=other["transaction"]), genesis)
    for path, what in (("transaction_path", "transaction"), ("receipt_path", "receipt")):
        refused(
            f"the {what} is not under the header's root at index 3", rewritten(text, **{path: other[path]}), genesis
        )
        refused(f"the {what} is not under the header's root", rewritten(text, **{path: []}), genesis)
        longer = [*json.loads(text)[path], "00" * 32]
        refused(f"the {what} is not under the header's root", rewritten(text, **{path: longer}), genesis)


def test_an_outcome_that_was_never_sealed_is_refused(consortium, text):
    receipt = codec.decode(bytes.fromhex(json.loads(text)["receipt"]), Receipt)
    for forged in (replace(receipt, code="failed"), replace(receipt, gas_used=1), replace(receipt, events=())):
        refused("receipt is not under", rewritten(text, receipt=forged.encode()), consortium.genesis)
    wrong = rewritten(text, receipt=replace(receipt, height=2).encode())
    refused("the receipt's height is 2, the header's is 1", wrong, consortium.genesis)


def test_a_header_that_was_never_sealed_is_refused(consortium, text):
    genesis, header = consortium.genesis, consortium.block(5).block.header
    for changes, reason in [
        ({"state_root": b"\x09" * 32}, "the seal of the block is for another header"),
        ({"height": 2}, "the seal of the block is for another header"),
        ({"epoch": 1}, "the block is of epoch 1, the trusted set is that of epoch 0"),
        ({"chain_id": b"\x09" * 32}, "it is from chain 0909"),
        ({"validators_hash": b"\x09" * 32}, "names another set of validators"),
    ]:
        refused(reason, rewritten(text, header=replace(header, **changes).encode()), genesis)


def test_a_seal_of_too_few_of_strangers_or_of_one_member_twice_is_refused(consortium, text):
    genesis, header = consortium.genesis, consortium.block(5).block.header
    seal = consortium.seal(header, (0, 1, 2))
    first, second, third = seal.signatures
    for signatures, reason in [
        ((), "power 0 of 4, at least 3 is a quorum"),
        ((first, second), "power 2 of 4, at least 3 is a quorum"),
        ((first, second, second), "names member 1 after 1"),
        ((first, third, second), "names member 1 after 2"),
        ((first, second, replace(third, member=4)), "names member 4, of a set of 4"),
        ((first, second, replace(third, member=3)), "the signature of member 3 in the seal does not hold"),
        ((first, second, replace(third, signature=bytes(64))), "the signature of member 2 in the seal does not hold"),
    ]:
        refused(reason, rewritten(text, seal=replace(seal, signatures=signatures).encode()), genesis)


def test_voting_power_decides_and_not_the_number_of_members(consortium_of):
    heavy = consortium_of(5, 3, 1)
    record = heavy.block(1, (0, 1))
    assert verify_proof(prove_header(record), heavy.genesis).signers == ("validator-0", "validator-1")
    refused("voting power 6 of 9, at least 7 is a quorum", prove_header(heavy.block(1, (0, 2))), heavy.genesis)


def test_a_proof_of_another_network_is_refused(consortium_of, text):
    refused("from chain", text, consortium_of(1, 1, 1, 2).genesis)


def test_an_index_outside_the_block_is_refused(consortium, text):
    receipt = codec.decode(bytes.fromhex(json.loads(text)["receipt"]), Receipt)
    for index in (5, 1 << 50):
        beyond = rewritten(text, receipt=replace(receipt, index=index).encode())
        refused(f"the index is {index}, in a block of 5", beyond, consortium.genesis)


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
    block = Block(header, record.block.batch, (identify(body)[1],))
    return prove_transaction(BlockRecord(block, (body,), (receipt,), consortium.seal(header, (0, 1, 2))), 0)


def test_a_block_without_a_seal_has_no_proof(consortium):
    record = replace(consortium.block(1), seal=None)
    for prove in (prove_header, lambda r: prove_transaction(r, 0), lambda r: prove_state(r, KEY, None, b"")):
        with pytest.raises(InvalidProof, match="block 1 is not sealed yet"):
            prove(record)


def test_other_bytes_for_the_same_value_are_refused(consortium, text):
    """An array16 header in front of the same fields: it decodes, and is not the one encoding."""
    seal = bytes.fromhex(json.loads(text)["seal"])
    assert codec.decode(seal, Seal)
    wider = edited(text, seal=(b"\xdc\x00\x04" + seal[1:]).hex())
    refused("the seal cannot be read: a list is in a longer form than it needs", wider, consortium.genesis)
    longer = edited(text, seal=(seal + b"\x00").hex())
    refused("the seal cannot be read: bytes follow its end", longer, consortium.genesis)


# ── anything at all ───────────────────────────────────────────────────────────────────────────────

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
def test_any_altered_value_is_an_invalid_proof_and_nothing_worse(consortium, data):
    document = json.loads(file_of(data.draw(st.sampled_from(KINDS), label="kind"), consortium.block(5)))
    holder = document
    name = data.draw(st.sampled_from(sorted(document)), label="field")
    if name == "summary":
        holder = document["summary"]
        name = data.draw(st.sampled_from(sorted(holder)), label="summary field")
    value = data.draw(JSON_VALUES.filter(lambda other: json.dumps(other) != json.dumps(holder[name])), label="value")
    holder[name] = value
    refused("", json.dumps(document, indent=2) + "\n", consortium.genesis)


@settings(max_examples=150, deadline=None)
@given(value=JSON_VALUES)
def test_arbitrary_json_is_an_invalid_proof_and_nothing_worse(consortium, value):
    refused("", json.dumps(value), consortium.genesis)
    refused("", json.dumps({"format": "quorate-proof-1", "kind": "state", "key": value}), consortium.genesis)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_an_invalid_proof_and_nothing_worse(consortium, data):
    refused("", data, consortium.genesis)


@settings(max_examples=200, deadline=None)
@given(part=st.sampled_from(["header", "seal", "transaction", "receipt"]), data=st.data())
def test_the_verifier_reads_the_very_bytes_that_the_codec_writes_and_no_others(consortium, text, part, data):
    """Bytes of a part with one change: read by the verifier's own reader exactly where the codec reads them."""
    from ledger import proof_encoding, types

    kind = {"header": types.Header, "seal": Seal, "transaction": types.Transaction, "receipt": Receipt}[part]
    shape = getattr(proof_encoding, part.upper())
    raw = bytearray.fromhex(json.loads(text)[part])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    verdicts = []
    for read in (lambda: codec.decode(bytes(raw), kind), lambda: proof_encoding.decode(part, bytes(raw), shape)):
        try:
            verdicts.append(bool(read()))
        except (codec.Malformed, codec.NotCanonical, InvalidProof):
            verdicts.append(False)
    assert verdicts[0] == verdicts[1]


def test_a_trust_of_nothing_trusts_nothing(consortium, text):
    with pytest.raises(InvalidProof, match="from chain"):
        verify(text.encode(), Trust())
