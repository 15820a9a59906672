"""Evidence is kept as files that prove themselves, and nothing about keeping it can hurt the node."""

import json

import pytest

from consensus.evidence import verify_evidence
from consensus.messages import PREPARE, Envelope, Vote
from ledger.crypto import SigningKey, signing_message, verify
from ledger.errors import InvalidProof
from ledger.types import Genesis, Parameters, Validator, ValidatorSet
from network.evidence import EvidenceBook

KEYS = [SigningKey.from_seed(bytes([each]) * 32) for each in range(1, 5)]
VALIDATORS = ValidatorSet(tuple(Validator(f"v{i}", key.public_key, 1, b"") for i, key in enumerate(KEYS)))
GENESIS = Genesis(1, "testnet", 1_700_000_000_000, Parameters(), VALIDATORS, ())


def prepare(digest, member=2, height=7, key=None):
    body = Vote(0, 3, height, member, digest * 32).encode()
    signer = key or KEYS[member]
    return Envelope(PREPARE, body, signer.sign(signing_message(PREPARE, GENESIS.chain_id, body))).encode()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "evidence"


def test_a_finding_is_a_file_that_proves_itself(folder):
    book = EvidenceBook(folder, GENESIS)
    assert book.keep(prepare(b"a"), prepare(b"b")).name == "v2"
    (entry,) = book.entries()
    assert (entry.name, entry.kind, entry.view, entry.height) == ("v2", "prepare", 3, 7)
    assert entry.file.startswith("member2-v2-prepare-v3-h7-")
    assert verify_evidence(book.text(entry.file), GENESIS.chain_id, VALIDATORS, verify).member == 2
    assert json.loads(book.text(entry.file))["member"]["public_key"] == KEYS[2].public_key.hex()


def test_the_same_finding_is_kept_once_and_survives_a_restart(folder):
    EvidenceBook(folder, GENESIS).keep(prepare(b"a"), prepare(b"b"))
    book = EvidenceBook(folder, GENESIS)
    book.keep(prepare(b"a"), prepare(b"b"))
    assert len(book) == len(list(folder.iterdir())) == 1


def test_what_proves_nothing_is_not_kept(folder):
    book = EvidenceBook(folder, GENESIS)
    with pytest.raises(InvalidProof):
        book.keep(prepare(b"a"), prepare(b"b", key=KEYS[0]))
    assert not folder.exists()


def test_strangers_in_the_folder_are_passed_over_with_a_word(folder, caplog):
    book = EvidenceBook(folder, GENESIS)
    book.keep(prepare(b"a"), prepare(b"b"))
    (folder / "notes.json").write_text("{}")
    assert len(EvidenceBook(folder, GENESIS)) == 1
    assert "notes.json is no evidence that this network knows" in caplog.text


@pytest.mark.parametrize("file", ["", "..", "../votes.journal", "/etc/passwd", "notes.json"])
def test_only_what_is_evidence_is_handed_out(folder, file):
    book = EvidenceBook(folder, GENESIS)
    book.keep(prepare(b"a"), prepare(b"b"))
    (folder / "notes.json").write_text("{}")
    assert book.text(file) is None


def test_a_disk_that_cannot_be_written_is_no_reason_to_stop(folder, caplog):
    folder.parent.joinpath("evidence").write_text("a file where the folder should be")
    book = EvidenceBook(folder, GENESIS)
    assert book.keep(prepare(b"a"), prepare(b"b")).name == "v2"
    assert len(book) == 0
    assert "could not be written" in caplog.text


def test_the_folder_has_a_limit(folder, monkeypatch, caplog):
    monkeypatch.setattr("network.evidence.FILES_MAX", 2)
    book = EvidenceBook(folder, GENESIS)
    for height in (7, 8, 9):
        book.keep(prepare(b"a", height=height), prepare(b"b", height=height))
    assert len(book) == 2
    assert "the folder for evidence is full" in caplog.text
