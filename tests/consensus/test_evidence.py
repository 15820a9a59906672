"""Evidence: what two signed messages prove, to anybody, offline; and every way in which they prove nothing."""

import json

import pytest

from consensus.actions import Evidence
from consensus.evidence import judge, verify_evidence, write_evidence
from consensus.messages import CHECKPOINT, COMMIT, PREPARE, Envelope
from consensus.simulation.stubs import CHAIN_ID, stub_verify
from ledger.errors import InvalidProof


def judged(bench, first, second, chain_id=CHAIN_ID):
    return judge(chain_id, bench.validators, stub_verify, first.encode(), second.encode())


@pytest.fixture
def pair(bench):
    return bench.prepare(2, bench.batch(3, names=("a",))), bench.prepare(2, bench.batch(3, names=("b",)))


def text_of(bench, first, second):
    return write_evidence(CHAIN_ID, judged(bench, first, second), first.encode(), second.encode())


def test_two_votes_in_one_place_name_their_member(bench, pair):
    found = judged(bench, *pair)
    assert (found.name, found.kind, found.epoch, found.view, found.height) == ("v2", PREPARE, 0, 0, 3)


def test_a_checkpoint_has_no_view_and_a_view_change_no_height(bench):
    found = judged(bench, bench.checkpoint(1, 4), bench.checkpoint(1, 4, b"\x01" * 32))
    assert (found.kind, found.view, found.height) == (CHECKPOINT, None, 4)
    found = judged(bench, bench.view_change(1, 4), bench.view_change(1, 4, seal=bench.seal(2)))
    assert (found.kind, found.view, found.height) == ("view-change", 4, None)


def test_what_a_replica_reports_is_evidence(bench, said):
    replica = bench.replica(1)
    batches = bench.batch(names=("a",)), bench.batch(names=("b",))
    (action,) = said(bench.hear(replica, *[bench.commit(3, each) for each in batches])).of(Evidence)
    found = judge(CHAIN_ID, bench.validators, stub_verify, action.first, action.second)
    assert (found.member, found.kind) == (3, COMMIT)


def test_a_file_proves_the_same_and_says_it_in_words(bench, pair):
    text = text_of(bench, *pair)
    assert verify_evidence(text.encode(), CHAIN_ID, bench.validators, stub_verify) == judged(bench, *pair)
    document = json.loads(text)
    assert document["member"]["name"] == "v2"
    assert document["signed_two_of"] == {"kind": "prepare", "epoch": 0, "view": 0, "height": 3}
    assert document["first"]["says"].startswith("digest ")


def other(bench, name):
    batch = bench.batch(3, names=("a",))
    return {
        "the same": bench.prepare(2, batch),
        "another member": bench.prepare(1, bench.batch(3, names=("b",))),
        "another height": bench.prepare(2, bench.batch(4)),
        "another view": bench.prepare(2, bench.batch(3, view=1)),
        "another kind": bench.commit(2, bench.batch(3, names=("b",))),
        "another epoch": bench.prepare(2, bench.batch(3, names=("b",)), epoch=1),
        "a bad signature": Envelope(PREPARE, bench.prepare(2, bench.batch(3, names=("b",))).body, bytes(64)),
    }[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("the same", "they say the same"),
        ("another member", "their sender is 2 and 1"),
        ("another height", "their height is 3 and 4"),
        ("another view", "their view is 0 and 1"),
        ("another kind", "their kind is prepare and commit"),
        ("another epoch", "their epoch is 0 and 1"),
        ("a bad signature", "the second message is not signed by member 2"),
    ],
)
def test_what_a_correct_member_may_sign_proves_nothing(bench, pair, name, reason):
    with pytest.raises(InvalidProof, match=reason):
        judged(bench, pair[0], other(bench, name))


def test_suspicions_bind_nobody(bench):
    with pytest.raises(InvalidProof, match="a suspect binds nobody"):
        judged(bench, bench.suspect(1, 0, 3), bench.suspect(1, 0, 4))


def test_another_chain_s_messages_prove_nothing_here(bench, pair):
    with pytest.raises(InvalidProof, match="the first message is not signed by member 2"):
        judged(bench, *pair, chain_id=bytes(32))


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(format="other"),
        lambda document: document["member"].update(name="v1"),
        lambda document: document["signed_two_of"].update(height=4),
        lambda document: document["first"].update(message="00"),
        lambda document: document["first"].update(message="no hex"),
        lambda document: document["second"].pop("message"),
        lambda document: document.pop("first"),
        lambda document: document.update(more=1),
    ],
)
def test_a_file_with_anything_else_in_it_is_refused(bench, pair, change):
    document = json.loads(text_of(bench, *pair))
    change(document)
    with pytest.raises(InvalidProof):
        verify_evidence((json.dumps(document, indent=2) + "\n").encode(), CHAIN_ID, bench.validators, stub_verify)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"null", b'{"format": []}'])
def test_what_is_no_file_of_evidence_is_refused(bench, data):
    with pytest.raises(InvalidProof):
        verify_evidence(data, CHAIN_ID, bench.validators, stub_verify)
