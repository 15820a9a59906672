"""The audit of a data directory: a whole one passes, and of a damaged one it names the very byte.

Damage is put through LevelDB, so that its own checksums hold and only the audit can find it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import plyvel
import pytest

from consensus.evidence import judge, write_evidence
from consensus.messages import COMMIT, PREPARE, VIEW_CHANGE, CommitCertificate, Envelope, ViewChange, Vote
from consensus.recovery import CheckpointSigned, CommitHeld, Left, Voted
from ledger import codec, hashing
from ledger.blocks import receipts_root, transactions_root
from ledger.crypto import signing_message, verify
from ledger.errors import DatabaseInUse
from ledger.journal import Journal
from ledger.lock import DirectoryLock
from ledger.seals import checkpoint_message
from ledger.store import BlockStore, sender_of
from ledger.transactions import identify
from ledger.types import Checkpoint, Header, Receipt, Seal, SealSignature
from network.audit import Audit, Unfit, resume
from network.audit.findings import first_difference, mending_byte
from network.audit.rows import (
    ENTRY,
    INVERTED_MAX,
    NUMBER,
    PLACE,
    Positions,
    field_at,
    read_header,
    read_rest,
    row_check,
)
from network.cli import main, progress
from network.cli.audit import _Bar
from network.driver import REPLICA_RECORD
from scripts.paper_node import PaperNode

BLOCKS = 24
WRONG = 9  # the height that is damaged


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A directory in which everything holds; nobody writes to it."""
    node = PaperNode(tmp_path_factory.mktemp("paper") / "node")
    for _ in range(3, BLOCKS):
        node.block([node.transfer() for _ in range(3)])
    node.block([])
    node.close()
    return node


@pytest.fixture
def damaged(whole, tmp_path):
    """A copy to damage, `audit` it and look at what was found."""
    return Damaged(whole, tmp_path / "node")


class Damaged:
    def __init__(self, node, directory):
        shutil.copytree(node.directory, directory)
        self.node = node
        self.directory = directory

    def row(self, key):
        database = plyvel.DB(str(self.directory / "blocks"))
        try:
            return database.get(key)
        finally:
            database.close()

    def put(self, key, value):
        database = plyvel.DB(str(self.directory / "blocks"))
        database.delete(key) if value is None else database.put(key, value)
        database.close()

    def flip(self, key, offset, by=0x01):
        row = bytearray(self.row(key))
        row[offset] ^= by
        self.put(key, bytes(row))

    def audit(self, **options):
        return Audit(self.directory, self.node.genesis, **options).run()

    def finding(self, **options):
        return self.audit(**options).finding


def at(kind, height=WRONG):
    return kind + NUMBER.pack(height)


def told(finding):
    return finding.height, finding.record, finding.part, finding.offset, finding.exact


def files_of(directory):
    found = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_a_directory_that_began_from_a_snapshot_cannot_be_audited_from_genesis(damaged):
    damaged.put(b"f", NUMBER.pack(WRONG))
    with pytest.raises(Unfit, match=f"its blocks begin at {WRONG}, and an audit executes the chain from genesis"):
        damaged.audit()


# ── all holds ─────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_directory_holds_and_is_not_touched(whole):
    before = files_of(whole.directory)
    verdict = Audit(whole.directory, whole.genesis).run()
    assert verdict.finding is None
    assert (verdict.height, verdict.sealed_height, verdict.transactions) == (BLOCKS, BLOCKS, 2 + 3 * (BLOCKS - 3))
    assert verdict.journal_records == 1 + 3 * BLOCKS + verdict.transactions
    assert files_of(whole.directory) == before


def test_processes_agree_with_one(damaged):
    assert damaged.finding(jobs=2) is None
    damaged.flip(at(b"s"), 60)
    damaged.flip(at(b"s", WRONG + 11), 60)  # another job's heights: the lowest counts
    alone = damaged.finding(jobs=1)
    assert damaged.finding(jobs=2) == alone
    assert alone.height == WRONG


def test_a_process_that_reads_the_journal_agrees_with_none(damaged):
    """It has its verdict long before; what does not hold in the chain comes first all the same."""
    journal = damaged.directory / "votes.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:700] + bytes([whole[700] ^ 1]) + whole[701:])
    alone = damaged.finding(jobs=1)
    assert alone.record == "votes.journal"
    assert damaged.finding(jobs=2) == alone
    damaged.flip(at(b"s"), 60)
    assert damaged.finding(jobs=2) == damaged.finding(jobs=1) != alone


def test_a_process_that_reads_the_journal_and_dies_is_no_verdict(damaged, monkeypatch):
    monkeypatch.setattr("network.audit.ahead._audit", print)  # it ends without a word
    with pytest.raises(Unfit, match="the process that reads the vote journal died: nothing is said; try --jobs 1"):
        damaged.audit(jobs=2)


def test_blocks_of_the_last_window_may_be_unsealed(damaged):
    damaged.put(at(b"s", BLOCKS), None)
    verdict = damaged.audit()
    assert (verdict.finding, verdict.height, verdict.sealed_height) == (None, BLOCKS, BLOCKS - 1)
    for height in range(BLOCKS - 8, BLOCKS):
        damaged.put(at(b"s", height), None)
    finding = damaged.finding()
    assert (finding.height, finding.record) == (BLOCKS - 8, f"row s {BLOCKS - 8}")


# ── a byte of a header ────────────────────────────────────────────────────────────────────────────


def header_offset(header, name):
    """Where a field's last byte lies in row h."""
    wanted = [offset for offset in range(len(header.encode())) if field_at(header, offset) == name]
    return 32 + wanted[-1]


@pytest.mark.parametrize("name", Header.__struct_fields__)
def test_a_byte_of_a_header_field(damaged, name):
    header = read_header(damaged.row(at(b"h")))
    offset = header_offset(header, name)
    damaged.flip(at(b"h"), offset)
    assert told(damaged.finding()) == (WRONG, "row h 9", f"the header's {name}", offset, True)


def test_a_header_that_was_given_its_new_hash_is_still_not_the_sealed_one(damaged):
    row = damaged.row(at(b"h"))
    header = read_header(row)
    offset = header_offset(header, "state_root")
    forged = bytearray(row[32:])
    forged[offset - 32] ^= 1
    name = hashing.header_hash(bytes(forged))
    damaged.put(at(b"h"), name + bytes(forged))
    damaged.put(b"n" + name, NUMBER.pack(WRONG))
    assert told(damaged.finding()) == (WRONG, "row h 9", "the header's state_root", offset, True)


def test_a_byte_of_the_hash_before_the_header(damaged):
    damaged.flip(at(b"h"), 31)
    assert told(damaged.finding()) == (WRONG, "row h 9", "the header's hash", 31, True)


@pytest.mark.parametrize(("height", "name"), [(0, "chain_id"), (0, "state_root"), (BLOCKS, "receipts_root")])
def test_a_byte_of_the_first_and_of_the_last_header(damaged, height, name):
    offset = header_offset(read_header(damaged.row(at(b"h", height))), name)
    damaged.flip(at(b"h", height), offset)
    assert told(damaged.finding()) == (height, f"row h {height}", f"the header's {name}", offset, True)


# ── a byte of a seal ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("which", "byte"), [(0, 1), (1, 0), (2, 33)])
def test_a_byte_of_a_member_s_signature(damaged, which, byte):
    row = damaged.row(at(b"s"))
    offset = row.index(codec.decode(row, Seal).signatures[which].signature) + byte
    damaged.flip(at(b"s"), offset)
    part = f"the seal's signature of member {which} (v{which})"
    assert told(damaged.finding()) == (WRONG, "row s 9", part, offset, True)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("epoch", {"epoch": 1}),
        ("height", {"height": WRONG + 1}),
        ("header_hash", {"header_hash": b"\x01" * 32}),
    ],
)
def test_a_word_of_a_seal(damaged, part, change):
    row = damaged.row(at(b"s"))
    forged = msgspec.structs.replace(codec.decode(row, Seal), **change).encode()
    damaged.put(at(b"s"), forged)
    assert told(damaged.finding()) == (WRONG, "row s 9", f"the seal's {part}", first_difference(forged, row), True)


def test_a_seal_that_names_another_member(damaged):
    row = damaged.row(at(b"s"))
    seal = codec.decode(row, Seal)
    third = msgspec.structs.replace(seal.signatures[2], member=3)
    forged = msgspec.structs.replace(seal, signatures=(*seal.signatures[:2], third)).encode()
    damaged.put(at(b"s"), forged)
    offset = first_difference(forged, row)
    assert told(damaged.finding()) == (WRONG, "row s 9", "the seal's signatures", offset, True)


def test_a_seal_without_a_quorum(damaged):
    header = read_header(damaged.row(at(b"h")))
    damaged.put(at(b"s"), damaged.node.seal(header, (1, 3)).encode())
    finding = damaged.finding()
    assert (finding.height, finding.record) == (WRONG, "row s 9")
    assert "voting power 2 of 4, at least 3 is a quorum" in finding.because


def test_a_seal_by_other_members_is_as_good(damaged):
    header = read_header(damaged.row(at(b"h")))
    damaged.put(at(b"s"), damaged.node.seal(header, (1, 2, 3)).encode())
    assert damaged.finding() is None


def test_a_byte_of_a_seal_s_encoding(damaged):
    damaged.flip(at(b"s"), 0)
    finding = damaged.finding()
    assert (finding.height, finding.record, finding.offset, finding.exact) == (WRONG, "row s 9", 0, True)


# ── a byte of the transactions ────────────────────────────────────────────────────────────────────


def places(row):
    """A byte of every part of a row b: (part, offset)."""
    rest = read_rest(row)
    positions = Positions(rest)
    return {
        "the batch's time_ms": positions.batch + 8,
        "the batch's hashes": positions.transactions - 3,
        "the name of transaction 1": positions.transaction(1) + 5,
        "transaction 0": positions.body(0) + 50,
        "transaction 2": positions.body(2) + len(rest.bodies[2]) - 1,
        "receipt 1, its transaction_id": positions.receipt(1) + 10,
        "the row's check": 3,
    }


PARTS = (
    "the batch's time_ms",
    "the batch's hashes",
    "the name of transaction 1",
    "transaction 0",
    "transaction 2",
    "receipt 1, its transaction_id",
)


@pytest.mark.parametrize(
    ("part", "mended_check"),
    [*((part, mended) for part in PARTS for mended in (False, True)), ("the row's check", False)],
)
def test_a_byte_of_the_transactions(damaged, part, mended_check):
    row = damaged.row(at(b"b"))
    offset = places(row)[part]
    damaged.flip(at(b"b"), offset)
    if mended_check:
        data = damaged.row(at(b"b"))[16:]
        damaged.put(at(b"b"), row_check(WRONG, data) + data)
    assert told(damaged.finding()) == (WRONG, "row b 9", part, offset, True)


def test_a_byte_of_the_batch_of_genesis(damaged):
    offset = Positions(read_rest(damaged.row(at(b"b", 0)))).batch + 9
    damaged.flip(at(b"b", 0), offset)
    assert told(damaged.finding()) == (0, "row b 0", "the batch's time_ms", offset, True)


def test_a_byte_of_the_row_s_encoding(damaged):
    offset = Positions(read_rest(damaged.row(at(b"b")))).receipt(0) - 2
    damaged.flip(at(b"b"), offset, 0x40)
    finding = damaged.finding()
    assert (finding.height, finding.record) == (WRONG, "row b 9")


def test_a_forged_block_of_colluding_members_is_found_by_its_transaction_s_signature(damaged):
    """A quorum that seals what nobody signed: every hash holds, and the audit believes no quorum."""
    tampered(damaged, forge_signature)
    finding = damaged.finding()
    row = damaged.row(at(b"b"))
    begins = Positions(read_rest(row)).body(1) + len(read_rest(row).bodies[1]) - 64
    assert told(finding) == (WRONG, "row b 9", "the signature of transaction 1", begins + 7, True)


def test_a_forged_receipt_of_colluding_members_is_found_by_execution(damaged):
    tampered(damaged, forge_receipt)
    finding = damaged.finding()
    positions = Positions(read_rest(damaged.row(at(b"b"))))
    assert (finding.height, finding.record, finding.part) == (WRONG, "row b 9", "receipt 1, its gas_used")
    assert finding.offset > positions.receipt(1)
    assert finding.exact


def test_a_forged_state_root_of_colluding_members_is_found_by_execution(damaged):
    tampered(damaged, lambda rest: rest, state_root=b"\x07" * 32)
    offset = header_offset(read_header(damaged.row(at(b"h"))), "state_root") - 31
    assert told(damaged.finding()) == (WRONG, "row h 9", "the state root after height 9", offset, True)


def forge_signature(rest):
    raw = bytearray(rest.bodies[1])
    raw[len(raw) - 64 + 7] ^= 1
    bodies = (rest.bodies[0], bytes(raw), rest.bodies[2])
    hashes = tuple(hashing.transaction_hash(each) for each in bodies)
    batch = msgspec.structs.replace(rest.batch, hashes=hashes)
    return msgspec.structs.replace(rest, batch=batch, transactions=hashes, bodies=bodies)


def forge_receipt(rest):
    receipt = codec.decode(rest.receipts[1], Receipt)
    forged = msgspec.structs.replace(receipt, gas_used=receipt.gas_used + 1).encode()
    return msgspec.structs.replace(rest, receipts=(rest.receipts[0], forged, rest.receipts[2]))


def tampered(damaged, change, **words):
    """Rewrite the block at the wrong height as a quorum could: consistent in itself, sealed, indexed."""
    rest = change(read_rest(damaged.row(at(b"b"))))
    header = msgspec.structs.replace(
        read_header(damaged.row(at(b"h"))),
        batch_digest=rest.batch.digest,
        transactions_root=transactions_root(rest.transactions),
        receipts_root=receipts_root(rest.receipts),
        **words,
    )
    data = codec.encode(rest)
    damaged.put(at(b"h"), header.hash + header.encode())
    damaged.put(at(b"b"), row_check(WRONG, data) + data)
    damaged.put(at(b"s"), damaged.node.seal(header).encode())
    damaged.put(b"n" + header.hash, NUMBER.pack(WRONG))
    sent = {}
    for index, raw in enumerate(rest.bodies):
        damaged.put(b"t" + identify(raw)[0], PLACE.pack(WRONG, index))
        sent.setdefault(sender_of(raw), []).append(ENTRY.pack(index, identify(raw)[0]))
    for sender, entries in sent.items():
        damaged.put(b"a" + sender + NUMBER.pack(INVERTED_MAX - WRONG), b"".join(entries))


def test_flipped_bits_anywhere_in_the_store(damaged):
    """Each is found in its row, at its height, and at its byte: none is lost, and none is blamed on another."""
    database = plyvel.DB(str(damaged.directory / "blocks"))
    rows = [(key, value) for key, value in database if key != b"v"]
    database.close()
    chance = random.Random(5)
    for _ in range(40):
        key, value = chance.choice(rows)
        offset = chance.randrange(len(value))
        damaged.flip(key, offset, 1 << chance.randrange(8))
        finding = damaged.finding()
        damaged.put(key, value)
        record = key[1:].hex() if key[:1] in b"nta" else str(NUMBER.unpack(key[1:])[0])
        assert (finding.record, finding.offset) == (f"row {key[:1].decode()} {record}", offset), finding
    assert damaged.finding() is None


# ── what is missing, and what is too much ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "part"), [(b"h", "the header"), (b"b", "the transactions"), (b"s", "the seal")])
def test_a_missing_row(damaged, kind, part):
    damaged.put(at(kind), None)
    finding = damaged.finding()
    assert (finding.height, finding.record, finding.part) == (WRONG, f"row {kind.decode()} 9", part)
    assert "the row is missing" in finding.because


@pytest.mark.parametrize(("kind", "part"), [(b"n", "hashes"), (b"t", "transactions"), (b"a", "senders")])
def test_a_byte_of_an_index_and_a_missing_one(damaged, kind, part):
    key = index_key(damaged, kind)
    damaged.flip(key, 7)
    record = f"row {kind.decode()} {key[1:].hex()}"
    assert told(damaged.finding()) == (WRONG, record, f"the index of {part}", 7, True)
    damaged.put(key, None)
    assert told(damaged.finding()) == (WRONG, record, f"the index of {part}", None, False)


def index_key(damaged, kind):
    raw = read_rest(damaged.row(at(b"b"))).bodies[0]
    return {
        b"n": b"n" + damaged.row(at(b"h"))[:32],
        b"t": b"t" + identify(raw)[0],
        b"a": b"a" + sender_of(raw) + NUMBER.pack(INVERTED_MAX - WRONG),
    }[kind]


@pytest.mark.parametrize("key", [b"n" + bytes(32), b"t" + bytes(32), b"a" + bytes(40), b"x", b"s" + bytes(8)])
def test_a_row_that_no_block_has(damaged, key):
    damaged.put(key, bytes(12))
    assert damaged.finding().record.startswith(f"row {key[:1].decode()}")


def test_a_lost_tail(damaged):
    for height in (BLOCKS - 1, BLOCKS):
        for kind in (b"h", b"b", b"s"):
            damaged.put(at(kind, height), None)
    database = plyvel.DB(str(damaged.directory / "blocks"))
    for key, value in list(database.iterator(prefix=b"n")):
        if NUMBER.unpack(value)[0] > BLOCKS - 2:
            database.delete(key)
    for prefix in (b"t", b"a"):
        for key, value in list(database.iterator(prefix=prefix)):
            height = NUMBER.unpack(value[:8])[0] if prefix == b"t" else (1 << 64) - 1 - NUMBER.unpack(key[-8:])[0]
            if height > BLOCKS - 2:
                database.delete(key)
    database.close()
    finding = damaged.finding()
    assert (finding.height, finding.part) == (BLOCKS - 1, f"block {BLOCKS - 1}")
    assert f"blocks up to {BLOCKS} were stored" in finding.because


def test_a_table_of_the_database_with_a_flipped_bit(damaged):
    BlockStore(damaged.directory / "blocks").close()  # its log becomes a table
    (table,) = (damaged.directory / "blocks").glob("*.ldb")
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    assert "corrupt" in damaged.finding().because.lower()


# ── the files beside ──────────────────────────────────────────────────────────────────────────────


def flip_file(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("offset", [0, 9, 20, 60, 4096 + 30, 4096 + 70])
def test_a_byte_of_the_marker(damaged, offset):
    flip_file(damaged.directory / "blocks.mark", offset)
    finding = damaged.finding()
    assert told(finding) == (None, "blocks.mark", f"slot {offset // 4096}", offset, True)


def test_a_marker_that_is_gone(damaged):
    (damaged.directory / "blocks.mark").unlink()
    assert damaged.finding().record == "blocks.mark"


@pytest.mark.parametrize(
    ("offset", "part"),
    [(3, "the file's header"), (36, "the length of record 0"), (44, "the check of record 0"), (62, "record 0")],
)
def test_a_byte_of_the_vote_journal(damaged, offset, part):
    flip_file(damaged.directory / "votes.journal", offset)
    assert told(damaged.finding()) == (None, "votes.journal", part, offset, True)


def test_a_torn_tail_of_the_vote_journal_is_no_damage(damaged):
    path = damaged.directory / "votes.journal"
    path.write_bytes(path.read_bytes()[:-7])
    assert damaged.finding() is None


def test_a_vote_journal_that_is_gone(damaged):
    (damaged.directory / "votes.journal").unlink()
    assert told(damaged.finding()) == (None, "votes.journal", "the file", None, False)


def append(damaged, *records):
    journal, _ = Journal.open(damaged.directory / "votes.journal")
    journal.append(REPLICA_RECORD + record.encode() for record in records)
    journal.close()


def vote(damaged, digest, *, member=0, height=BLOCKS, key=None):
    body = Vote(0, 0, height, member, digest)
    message = signing_message(PREPARE, damaged.node.genesis.chain_id, body.encode())
    return Voted(PREPARE, body, damaged.node.keys[member if key is None else key].sign(message))


def test_two_votes_for_one_place(damaged):
    append(damaged, vote(damaged, b"\x09" * 32))
    finding = damaged.finding()
    assert (finding.record, finding.height) == ("votes.journal", BLOCKS)
    assert f"a second prepare for view 0, height {BLOCKS}" in finding.because


def test_a_vote_of_another_member_or_with_a_wrong_signature(damaged):
    append(damaged, vote(damaged, b"\x09" * 32, member=1, height=BLOCKS + 1))
    assert "of member 1, the journal is that of 0" in damaged.finding().because


def test_a_vote_that_its_member_did_not_sign(damaged):
    append(damaged, vote(damaged, b"\x09" * 32, key=3, height=BLOCKS + 1))
    assert "is not signed by member 0" in damaged.finding().because


def test_a_vote_above_the_chain_is_as_it_should_be(damaged):
    append(damaged, vote(damaged, b"\x09" * 32, height=BLOCKS + 1))
    assert damaged.finding() is None


def test_a_signed_header_that_is_not_the_chain_s(damaged):
    """A journal that was rewritten and holds but this one: nothing in it contradicts itself, the chain does."""
    node, path = damaged.node, damaged.directory / "votes.journal"
    path.unlink()
    body = Checkpoint(0, WRONG, 0, b"\x05" * 32)
    append(damaged, CheckpointSigned(body, node.keys[0].sign(checkpoint_message(node.genesis.chain_id, body))))
    finding = damaged.finding()
    assert (finding.record, finding.part, finding.height) == ("votes.journal", "record 0", WRONG)
    assert f"it signed header {'05' * 32}" in finding.because


def left(damaged, seal, *, view=1, prepared=(), signer=0):
    body = ViewChange(0, view, 0, seal, prepared).encode()
    message = signing_message(VIEW_CHANGE, damaged.node.genesis.chain_id, body)
    return Left(view, Envelope(VIEW_CHANGE, body, damaged.node.keys[signer].sign(message)))


def test_a_view_that_was_left(damaged):
    header = read_header(damaged.row(at(b"h")))
    append(damaged, left(damaged, damaged.node.seal(header)), left(damaged, None, view=2))
    assert damaged.finding() is None
    append(damaged, left(damaged, None, view=1))
    assert "a second view-change for view 1" in damaged.finding().because


def test_a_view_change_with_a_seal_that_is_not_the_chain_s(damaged):
    header = msgspec.structs.replace(read_header(damaged.row(at(b"h"))), state_root=b"\x01" * 32)
    append(damaged, left(damaged, damaged.node.seal(header)))
    finding = damaged.finding()
    assert (finding.record, finding.height) == ("votes.journal", WRONG)
    assert f"a seal of {header.hash.hex()}, the chain has" in finding.because


@pytest.mark.parametrize(("power", "says"), [((0, 1), "invalid_seal"), ((0, 1, 2), "")])
def test_a_view_change_with_a_seal_of_too_few(damaged, power, says):
    header = read_header(damaged.row(at(b"h")))
    append(damaged, left(damaged, damaged.node.seal(header, power)))
    finding = damaged.finding()
    assert says in finding.because if says else finding is None


def test_a_view_change_that_another_member_signed(damaged):
    append(damaged, left(damaged, None, signer=2))
    assert "its view-change is not signed by member 0" in damaged.finding().because


def test_a_commit_certificate_for_another_batch_than_the_chain_s(damaged):
    """As many colluders as that takes may sign two; the journal that holds the other one says so."""
    append(damaged, CommitHeld(certificate(damaged, read_header(damaged.row(at(b"h"))).batch_digest)))
    assert damaged.finding() is None
    append(damaged, CommitHeld(certificate(damaged, b"\x08" * 32)))
    finding = damaged.finding()
    assert (finding.record, finding.height) == ("votes.journal", WRONG)
    assert f"batch {'08' * 32} is final there, the chain has" in finding.because


def certificate(damaged, digest):
    signatures = []
    for member in (0, 1, 2):
        body = Vote(0, 0, WRONG, member, digest).encode()
        message = signing_message(COMMIT, damaged.node.genesis.chain_id, body)
        signatures.append(SealSignature(member, damaged.node.keys[member].sign(message)))
    return CommitCertificate(0, WRONG, digest, tuple(signatures))


def test_evidence(damaged):
    genesis = damaged.node.genesis

    def prepared(digest):
        body = vote(damaged, digest, member=2, height=7)
        return Envelope(PREPARE, body.vote.encode(), body.signature).encode()

    first, second = prepared(b"\x01" * 32), prepared(b"\x02" * 32)
    finding = judge(genesis.chain_id, genesis.validators, verify, first, second)
    path = damaged.directory / "evidence" / "one.json"
    path.parent.mkdir()
    path.write_text(write_evidence(genesis.chain_id, finding, first, second))
    assert damaged.audit().evidence_files == 1
    text = path.read_text()
    path.write_text(text.replace('"height": 7', '"height": 8'))
    offset = text.index('"height": 7') + len('"height": ')
    assert told(damaged.finding()) == (None, "evidence/one.json", "the evidence", offset, True)


def test_a_value_in_the_node_s_own_state(damaged):
    database = plyvel.DB(str(damaged.directory / "state"))
    key, value = next(iter(database.iterator(prefix=b"rv")))
    database.put(key, value[:-1] + bytes([value[-1] ^ 1]))
    database.close()
    record = f"state/ key {key[2:].hex()}"
    assert told(damaged.finding()) == (BLOCKS, record, "a value of the state", len(value) - 1, True)


def test_a_node_without_a_state_rebuilds_it_and_passes(damaged):
    shutil.rmtree(damaged.directory / "state")
    assert damaged.finding() is None


# ── resuming ──────────────────────────────────────────────────────────────────────────────────────


class Enough(Exception):
    pass


def interrupt_at(height):
    def show(standing):
        if standing.height == height:
            raise Enough

    return show


def test_an_audit_that_was_interrupted_goes_on_and_says_the_same(damaged, tmp_path):
    resume_file = tmp_path / "audit.json"
    damaged.flip(at(b"s", 20), 60)
    expected = damaged.finding()
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(12))
    verdict = damaged.audit(resume_file=resume_file)
    assert (verdict.finding, verdict.resumed_at) == (expected, 12)


def test_an_audit_that_was_killed_after_its_checkpoint_goes_on(damaged, tmp_path):
    """The state is then ahead of the file: those heights are executed once more."""
    resume_file = tmp_path / "audit.json"
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(8))
    early = resume_file.read_bytes()
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(15))
    resume_file.write_bytes(early)
    verdict = damaged.audit(resume_file=resume_file)
    assert (verdict.finding, verdict.height, verdict.resumed_at) == (None, BLOCKS, 8)
    assert verdict.transactions == 2 + 3 * (BLOCKS - 3)


def test_an_audit_that_was_killed_before_its_first_checkpoint_begins_anew(damaged, tmp_path):
    resume_file = tmp_path / "audit.json"
    none = resume.Checkpoint(str(damaged.directory.resolve()), damaged.node.genesis.chain_id.hex(), -1, "", "", 0, 0)
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(0))
    resume.write_checkpoint(resume_file, none)
    verdict = damaged.audit(resume_file=resume_file)
    assert (verdict.finding, verdict.resumed_at, verdict.height) == (None, None, BLOCKS)


def test_a_state_without_its_resume_file_is_refused(damaged, tmp_path):
    resume_file = tmp_path / "audit.json"
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(12))
    resume_file.unlink()
    with pytest.raises(Unfit, match="is not: delete it to begin anew"):
        damaged.audit(resume_file=resume_file)


def test_a_finished_audit_resumed_checks_what_came_since(damaged, tmp_path):
    resume_file = tmp_path / "audit.json"
    assert damaged.finding(resume_file=resume_file) is None
    verdict = damaged.audit(resume_file=resume_file)
    assert (verdict.finding, verdict.resumed_at, verdict.transactions) == (None, BLOCKS, 2 + 3 * (BLOCKS - 3))


def test_a_header_that_broke_since_is_found_though_it_was_checked_before(damaged, tmp_path):
    resume_file = tmp_path / "audit.json"
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(12))
    offset = header_offset(read_header(damaged.row(at(b"h"))), "time_ms")
    damaged.flip(at(b"h"), offset)
    finding = damaged.finding(resume_file=resume_file)
    assert told(finding) == (WRONG, "row h 9", "the header's time_ms", offset, True)


@pytest.mark.parametrize("field", ["height", "header_hash", "state_root", "chain_id", "transactions"])
def test_a_resume_file_that_was_changed_is_refused(damaged, tmp_path, field):
    resume_file = tmp_path / "audit.json"
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(12))
    document = json.loads(resume_file.read_text())
    value = document[field]
    document[field] = value + 1 if isinstance(value, int) else "00" * 32
    resume_file.write_text(json.dumps(document))
    with pytest.raises(Unfit, match="no resume file of an audit, or is damaged"):
        damaged.audit(resume_file=resume_file)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("height", 11, "names block"),
        ("header_hash", "00" * 32, "names block"),
        ("state_root", "00" * 32, "has root"),
        ("chain_id", "00" * 32, "belongs to chain"),
        ("data", "/elsewhere", "belongs to the audit of /elsewhere"),
    ],
)
def test_a_resume_file_that_lies_under_a_good_check_is_refused(damaged, tmp_path, field, value, says):
    resume_file = tmp_path / "audit.json"
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(12))
    found = resume.read_checkpoint(resume_file, damaged.directory, damaged.node.genesis.chain_id)
    resume.write_checkpoint(resume_file, dataclasses.replace(found, **{field: value}))
    with pytest.raises(Unfit, match=says):
        damaged.audit(resume_file=resume_file)


def test_a_resume_file_without_its_state_is_refused(damaged, tmp_path):
    resume_file = tmp_path / "audit.json"
    with pytest.raises(Enough):
        damaged.audit(resume_file=resume_file, show=interrupt_at(12))
    shutil.rmtree(tmp_path / "audit.json.state")
    with pytest.raises(Unfit, match="the state beside it is at height -1, it says 12"):
        damaged.audit(resume_file=resume_file)


# ── the command ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def quorate(monkeypatch, capsys):
    def type_it(*words):
        monkeypatch.setattr(sys, "argv", ["quorate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return int(ended.value.code or 0), found.out, found.err

    monkeypatch.delenv("QUORATE_GENESIS", raising=False)
    return type_it


@pytest.fixture
def with_genesis(damaged, monkeypatch):
    """The paper's certificates are no certificates, so its genesis is read without asking for real ones."""
    path = damaged.directory / "genesis.json"
    path.write_text("{}")
    monkeypatch.setattr("ledger.genesis.load_genesis", lambda _: damaged.node.genesis)
    return damaged


def test_the_command_says_that_all_holds(quorate, with_genesis):
    code, out, _ = quorate("verify", "--data", with_genesis.directory, "--jobs", 1)
    assert code == 0
    assert f"holds: {BLOCKS} blocks above genesis, {2 + 3 * (BLOCKS - 3)} transactions" in out


def test_the_command_names_the_byte(quorate, with_genesis):
    with_genesis.flip(at(b"b"), 3)
    code, out, _ = quorate("verify", "--data", with_genesis.directory, "--jobs", 1, "--json")
    document = json.loads(out)
    assert (code, document["valid"], document["height"]) == (1, False, WRONG - 1)
    assert document["finding"] == {
        "height": WRONG,
        "record": "row b 9",
        "part": "the row's check",
        "offset": 3,
        "exact": True,
        "because": "the check before the row is not that of the row, which holds",
    }
    code, out, _ = quorate("verify", "--data", with_genesis.directory, "--jobs", 1)
    assert "does not hold: height 9: the row's check (row b 9, first wrong byte at offset 3)" in out


def test_a_file_or_a_directory_and_not_both(quorate, with_genesis):
    for words in ([], ["receipt.json", "--data", with_genesis.directory]):
        code, _, err = quorate("verify", *words)
        assert code == 2
        assert "and not both" in " ".join(err.replace("│", " ").split())


def test_a_running_node_is_not_audited(quorate, with_genesis):
    with DirectoryLock(with_genesis.directory):
        code, _, err = quorate("verify", "--data", with_genesis.directory, "--jobs", 1)
    assert code == 2
    assert "is a node running with this data directory?" in err


def test_no_node_starts_while_its_directory_is_audited(whole, damaged):
    DirectoryLock(damaged.directory).release()

    def start_one(_):
        with pytest.raises(DatabaseInUse):
            DirectoryLock(damaged.directory)

    assert damaged.finding(show=start_one) is None


@pytest.mark.parametrize("words", [["nowhere"], ["."]])
def test_what_is_no_data_directory(quorate, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = quorate("verify", "--data", *words)
    assert code == 2
    assert "no directory" in err or "no genesis" in err


def test_the_genesis_of_another_chain(quorate, with_genesis, monkeypatch):
    other = msgspec.structs.replace(with_genesis.node.genesis, network="other")
    monkeypatch.setattr("ledger.genesis.load_genesis", lambda _: other)
    code, _, err = quorate("verify", "--data", with_genesis.directory, "--jobs", 1)
    assert code == 2
    assert "give the right one with --genesis" in err


# ── the finder of bytes ───────────────────────────────────────────────────────────────────────────


def test_the_byte_that_mends():
    right = bytes(range(50))
    wrong = right[:20] + b"\xff" + right[21:]
    assert mending_byte(wrong, lambda changed: changed == right) == (20, right)
    assert mending_byte(wrong[:-1], lambda changed: changed == right) is None
    assert mending_byte(bytes(20_000), lambda changed: True) is None
    assert mending_byte(bytes(3000), lambda changed: changed[2999] == 3) is None
    assert mending_byte(bytes(2000), lambda changed: changed[1999] == 3)[0] == 1999


def test_the_first_difference():
    assert first_difference(b"abc", b"abd") == 2
    assert first_difference(b"abc", b"ab") == 2
    assert first_difference(b"abc", b"abc") is None


# ── how far it is ─────────────────────────────────────────────────────────────────────────────────


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_how_far_the_audit_is_and_is_left_as_it_was(whole, monkeypatch):
    monkeypatch.setattr(progress, "_REDRAW_SECONDS", 0.0)
    terminal = Terminal()
    shown = progress.Progress(terminal)
    verdict = Audit(whole.directory, whole.genesis, show=_Bar(shown.show).show).run()
    lines = [line.rstrip() for line in terminal.getvalue().split("\r") if line]
    assert len(lines) == BLOCKS + 1
    assert re.fullmatch(rf"\[\.{{24}}\] +4%  height 0 of {BLOCKS}, 0 transactions, \d+/s", lines[0])
    last = rf"\[#{{24}}\] 100%  height {BLOCKS} of {BLOCKS}, {verdict.transactions} transactions, \d+/s"
    assert re.fullmatch(last, lines[-1])
    done = [int(re.search(r"(\d+)%", line)[1]) for line in lines]
    assert done == sorted(set(done))
    shown.clear()
    assert terminal.getvalue().endswith("\r" + " " * len(lines[-1]) + "\r")


def test_what_is_no_terminal_gets_a_line_now_and_then(whole):
    log = io.StringIO()
    Audit(whole.directory, whole.genesis, show=_Bar(progress.Progress(log).show).show).run()
    assert log.getvalue() == ""  # ten seconds are not over


DYING = """
import multiprocessing, os, signal, sys
from pathlib import Path
from ledger import codec
from ledger.types import Genesis
from network.audit import Audit, run
run.CHECKPOINT_EVERY = 8
def show(standing):
    if standing.height == 20:
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
directory, genesis, resume_file = map(Path, sys.argv[1:])
Audit(directory, codec.decode(genesis.read_bytes(), Genesis), jobs=2, resume_file=resume_file, show=show).run()
"""


def test_an_audit_whose_process_is_killed_goes_on_where_its_file_says(damaged, tmp_path):
    """SIGKILL to the real process, its two workers at work, and the same audit again."""
    genesis, resume_file = tmp_path / "genesis", tmp_path / "audit.json"
    genesis.write_bytes(damaged.node.genesis.encode())
    words = [sys.executable, "-c", DYING, *map(str, (damaged.directory, genesis, resume_file))]
    died = subprocess.run(words, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    workers = died.stdout.split()
    assert len(workers) in (2, 3)  # that of the vote journal may have ended
    assert json.loads(resume_file.read_text())["height"] == 16
    deadline = time.monotonic() + 10
    while any(Path("/proc", pid).exists() for pid in workers):  # nobody is left who waits for a dead audit
        assert time.monotonic() < deadline
        time.sleep(0.02)
    verdict = damaged.audit(resume_file=resume_file)
    assert (verdict.finding, verdict.height, verdict.resumed_at) == (None, BLOCKS, 16)
    assert verdict.transactions == 2 + 3 * (BLOCKS - 3)
