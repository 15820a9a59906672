"""Files of any shape before both verifiers: each says why it is invalid, both say the same, and neither ever fails."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import InvalidProof
from ledger.genesis import to_json
from ledger.proof_file import KINDS, as_text
from ledger.proofs import prove_transaction, trust_in
from ledger.seals import assemble_seal
from ledger.verifier import verify
from scripts.mutate_proofs import FORM, JUDGE
from scripts.paper_proofs import Chain
from scripts.proof_mutations import rewritten

CHAIN = Chain("paper")
MAKERS = {kind: make for kind, begin, make in CHAIN.makers() if begin is None}  # of the last epoch
FILES = {kind: json.loads(make()) for kind, make in MAKERS.items()}
NAMES = sorted({name for document in FILES.values() for name in document} | {"anchor", "note"})
ANY = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def both():
    """The verdicts of the two on a file: None for valid, else why not."""
    found = shutil.which("node")
    assert found, "the JavaScript verifier is tested in Node 20 or newer, and there is no node on the PATH"
    trusts = json.dumps([{"genesis": to_json(CHAIN.genesis)}])
    with subprocess.Popen([found, str(JUDGE)], stdin=-1, stdout=-1, text=True, bufsize=1) as node:
        assert node.stdin
        assert node.stdout
        node.stdin.write(trusts + "\n")

        def judge(data):
            node.stdin.write(f"0 {base64.b64encode(data).decode()}\n")
            ours = None
            try:
                verify(data, trust_in(CHAIN.genesis))
            except InvalidProof as error:
                ours = str(error)
            return ours, json.loads(node.stdout.readline())

        yield judge
        node.stdin.close()


def agree(both, data):
    """The reason that both have; None when both accept."""
    ours, theirs = both(data)
    assert (ours is None) == (theirs is None), (ours, theirs, data)
    assert ours == theirs or ours.startswith(FORM), (ours, theirs, data)
    assert ours is None or (ours and "\n" not in ours)
    return ours


hexadecimal = st.binary(max_size=80).map(bytes.hex)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | hexadecimal
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner),
    max_leaves=20,
)
encodable = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 255), 1 << 64) | st.text(max_size=10) | st.binary(max_size=70),
    lambda inner: st.lists(inner, max_size=17),
    max_leaves=20,
)


@ANY
@given(data=st.data())
def test_any_value_in_any_place(both, data):
    """The text is then the one that its content has, where it has one: so the judging is reached, too."""
    document = dict(FILES[data.draw(st.sampled_from(sorted(FILES)))])
    before = as_text(document)
    for name in data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)):
        document[name] = data.draw(values | encodable.map(codec.encode).map(bytes.hex))
    written = rewritten(document) if data.draw(st.booleans()) else as_text(document).encode(errors="surrogatepass")
    if agree(both, written) is None:
        assert written == before.encode()


@ANY
@given(data=st.data())
def test_any_part_of_a_record_is_another(both, data):
    """One field of an encoded part, any depth down, replaced by anything that can be encoded."""
    document = dict(FILES[data.draw(st.sampled_from(sorted(FILES)))])
    encoded = [name for name in ("header", "seal", "transaction", "receipt", "state_proof") if name in document]
    name = data.draw(st.sampled_from(encoded))
    record = codec.decode(bytes.fromhex(document[name]))
    holder = record
    while isinstance(inner := holder[data.draw(st.integers(0, len(holder) - 1))], list) and inner:
        holder = inner
    holder[data.draw(st.integers(0, len(holder) - 1))] = data.draw(encodable)
    document[name] = codec.encode(record).hex()
    agree(both, rewritten(document))


@ANY
@given(text=st.binary(max_size=300) | values.map(json.dumps).map(str.encode) | st.text().map(str.encode))
def test_any_bytes_at_all(both, text):
    assert agree(both, text) is not None


# ── by name: what is tried first ──────────────────────────────────────────────────────────────────


def changed(kind, **fields):
    return rewritten(FILES[kind] | fields)


def record_with(kind, name, place, value):
    record = codec.decode(bytes.fromhex(FILES[kind][name]))
    record[place] = value
    return changed(kind, **{name: codec.encode(record).hex()})


def sealed_by(members):
    """The first block, with these signatures in its seal."""
    record = CHAIN.records[0]
    signatures = {each.member: each.signature for each in record.seal.signatures}
    entries = tuple((member, signatures[member]) for member in members)
    seal = [*codec.decode(assemble_seal(0, 1, record.block.header.hash, {}).encode())[:3], [list(e) for e in entries]]
    document = json.loads(prove_transaction(record, 0))
    return rewritten(document | {"seal": codec.encode(seal).hex()})


OTHER = Chain("other")
NAMED = {
    "empty": (b"", "the file is empty"),
    "one byte": (b"\x00", "the file is not JSON"),
    "huge": (b" " * ((32 << 20) + 1), "the file has 33554433 bytes, at most 33554432 are a proof"),
    "not UTF-8": (b'{"format": "\xff"}', "the file is not JSON"),
    "nested deeply": (b"[" * 3_000_000, "the file is not JSON"),
    "another kind of file": (b'{"format": "quorate-genesis-1"}\n', "the file is no proof: it lacks"),
    "an index past the end": (
        record_with("receipt", "receipt", 1, 1 << 40),
        "the index is 1099511627776, in a block of",
    ),
    "an event past the end": (changed("event", event=99), "the event is number 99 of a receipt with"),
    "another chain's": (prove_transaction(OTHER.records[0], 0).encode(), "it is from chain "),
    "another epoch's": (prove_transaction(CHAIN.records[5], 0).encode(), "the block is of epoch 2, the trusted set is"),
    "too few signatures": (sealed_by([0, 1]), "the seal has voting power 2 of 4, at least 3 is a quorum"),
    "no signature": (sealed_by([]), "the seal has voting power 0 of 4, at least 3 is a quorum"),
    "one signature twice": (
        sealed_by([0, 0, 1]),
        "the seal names member 0 after 0, expected ascending distinct members",
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_tried_first(both, name):
    data, reason = NAMED[name]
    found = agree(both, data)
    assert found.startswith(reason)


def test_keys_that_stand_twice_are_refused_whichever_is_taken(both):
    text = as_text(FILES["receipt"]).encode()
    for again in (
        b'"kind": "header",',
        b'"kind": "receipt",',
        b'"receipt": "00",',
        b'"__proto__": {},',
        b'"summary": {},',
    ):
        for data in (b"{\n  " + again + text[1:], text.replace(b'\n  "header"', b"\n  " + again + b'\n  "header"')):
            assert data != text
            with contextlib.suppress(json.JSONDecodeError):
                json.loads(data)
            assert agree(both, data) is not None


def test_a_valid_file_is_valid_for_both(both):
    for document in FILES.values():
        assert agree(both, as_text(document).encode()) is None


def test_every_kind_is_tried():
    assert set(FILES) == set(KINDS)
