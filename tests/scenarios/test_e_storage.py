"""Disks that tear, rot, lie, fill up and crawl: what a member's files make of it, and what it then dares to say."""

import asyncio
import errno
import os
import shutil
from itertools import pairwise

import msgspec
import plyvel
import pytest

from consensus import actions, events, first_journal
from consensus.messages import COMMIT, PREPARE
from consensus.recovery import Anchor
from consensus.simulation import Plan, simulate
from consensus.simulation.disturbances import SLOW_DISK
from consensus.simulation.plan import Disturbance
from consensus.simulation.stubs import EPOCH_START_MS
from ledger import files
from ledger.errors import DataLost, StorageError
from ledger.journal import Journal
from ledger.marker import Mark, Marker
from ledger.store import BlockStore, marker_path
from ledger.types import BlockRecord
from network.api import Admission, GetBlocks, Submit
from network.driver import REPLICA_RECORD, Driver, split_journal
from network.evidence import EvidenceBook
from network.gateway.problems import KINDS
from network.mempool import Limits, Mempool
from network.service import ValidatorService
from network.sync import BlockSync
from network.wire import BlocksRequest, read_peer_frame

NOW = EPOCH_START_MS
HEADER_BYTES, FRAME_BYTES = 36, 24


# ── a journal as a member writes it ───────────────────────────────────────────────────────────────


@pytest.fixture
def written(make_solo, forge, memory_path):
    """The records of three heights, and the file that holds them."""
    solo = make_solo(journal=first_journal())
    for height in (1, 2, 3):
        solo.commit(forge.batch(height, (f"t{height}",)))
        solo.step(events.Executed(height, bytes([height]) * 32, NOW))
    path = memory_path / "votes.journal"
    journal, _ = Journal.open(path)
    journal.append(REPLICA_RECORD + record for record in solo.records)
    journal.sync()
    journal.close()
    return path, solo.records


def read(path):
    journal, records = Journal.open(path)
    journal.close()
    return split_journal(records)[1]


def ends_of(records):
    """The offset at which each record ends."""
    ends, offset = [], HEADER_BYTES
    for record in records:
        offset += FRAME_BYTES + len(REPLICA_RECORD) + len(record)
        ends.append(offset)
    return ends


# ── 70 ────────────────────────────────────────────────────────────────────────────────────────────


def test_70_torn_tail_at_every_byte_of_the_last_three_records_leaves_the_whole_ones(written, make_solo):
    """What is left is exactly the complete records, and a member that starts on them.

    Source: Tendermint, issues 3295 and 4578.
    """
    path, records = written
    whole, ends = path.read_bytes(), ends_of(records)
    assert ends[-1] == len(whole)
    for size in range(ends[-4], len(whole)):
        path.write_bytes(whole[:size])
        complete = sum(end <= size for end in ends)
        assert complete in range(len(records) - 3, len(records))
        assert read(path) == records[:complete], size
        assert path.stat().st_size == ends[complete - 1]  # the torn rest is gone, so that the next record can follow
    for complete in range(len(records) - 3, len(records)):
        final = complete >= len(records) - 1  # the last but one says that height 3 is final
        assert make_solo(journal=records[:complete]).replica.delivered_height == 2 + final


async def test_70_torn_tail_means_that_nothing_of_it_was_ever_sent(memory_path, monkeypatch):
    """The process dies after each byte of its last append: in none of these cases has the vote on it left."""
    vote = b"the vote" * 8
    real = os.write
    for written_bytes in range(len(vote) + 1 + FRAME_BYTES + 1):
        path = memory_path / f"{written_bytes}.journal"
        journal, _ = Journal.open(path)
        script = {events.Received: [actions.Persist(vote), actions.Broadcast(vote)]}
        driver, heard, _ = make_driver(journal, script)
        driver.receive(1, b"")

        def dying(descriptor, data, written_bytes=written_bytes):
            real(descriptor, data[:written_bytes])
            raise Dead

        with monkeypatch.context() as patch:
            patch.setattr(files.os, "write", dying)
            with pytest.raises(Dead):
                await driver._turn()
        journal.close()
        assert heard == []
        found = read(path)
        assert found == ([vote] if written_bytes == len(vote) + 1 + FRAME_BYTES else [])


class Dead(BaseException):
    """The process ended."""


class Scripted:
    """A replica that answers each kind of event with actions from a script."""

    view, silent = 0, False

    def __init__(self, script):
        self.script, self.seen = script, []

    def step(self, event):
        self.seen.append(event)
        return self.script.get(type(event), [])

    def journal_snapshot(self):
        return [b"snapshot"]


class Ear:
    """A performer that hears what is sent."""

    def __init__(self):
        self.heard = []

    def send(self, member, data):
        self.heard.append(data)

    def broadcast(self, data):
        self.heard.append(data)

    def perform(self, action):
        self.heard.append(action)

    def pinned_bodies(self):
        return []


def make_driver(journal, script):
    ear, halts = Ear(), []
    return Driver(Scripted(script), journal, ear, lambda: NOW, halted=halts.append), ear.heard, halts


# ── 71 ────────────────────────────────────────────────────────────────────────────────────────────


def test_71_flipped_bit_anywhere_in_a_members_journal_stops_it_with_the_offset(written):
    """One bit in every byte, each in turn: never skipped, never passed over for a torn tail, the file left as it is.

    Source: Jepsen's remark on Tendermint, issue 573.
    """
    path, records = written
    whole = path.read_bytes()
    starts = [0, HEADER_BYTES, *ends_of(records)]
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        start = max(each for each in starts if each <= position)
        with pytest.raises(DataLost, match=f"is damaged at offset {start}:"):
            Journal.open(path)
        assert path.read_bytes() == damaged


# ── 72 and 73 ─────────────────────────────────────────────────────────────────────────────────────


def stored(path, records, *, synced=True):
    store = BlockStore(path)
    for record in records:
        store.put(record)
    if synced:
        store.sync()
    store.close()


def test_72_lost_tail_of_the_block_store_is_noticed_by_its_mark(memory_path, consortium):
    """LevelDB opens a log that was cut cleanly without a word; the mark in a second place knows better."""
    path, chain = memory_path / "blocks", consortium.chain(6)
    stored(path, chain)
    (log,) = path.glob("*.log")
    os.truncate(log, log.stat().st_size // 2)
    store = BlockStore(path)
    assert 0 <= store.height < 6
    assert store.lost_heights == range(store.height + 1, 7)
    assert store.synced_height == 6
    for record in chain[store.height + 1 :]:
        store.put(record)
    assert [store.record(height) for height in range(7)] == chain
    store.close()


def test_72_lost_tail_with_an_older_block_in_its_place_is_noticed_by_the_hash_in_the_mark(memory_path, consortium):
    """The store ends at the height that the mark names, and with another block: a write that never came back."""
    path, chain = memory_path / "blocks", consortium.chain(6)
    stored(path, chain)
    marker = Marker(marker_path(path))
    assert marker.mark == Mark(6, chain[6].block.header.hash, 6)
    marker.write(Mark(6, bytes(32), 5))
    marker.close()
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (5, range(6, 7))
    store.put(chain[6])
    assert store.record(6) == chain[6]
    store.close()


def test_72_lost_tail_of_the_block_store_silences_its_member_until_it_is_level_again(make_solo, forge, tip_at, bodies):
    """The journal says that blocks up to 9 were sealed once, the store ends at 4: no vote until 9 is here (P6.4)."""
    blocks = forge.chain(11)
    solo = make_solo(tip=tip_at(blocks[3]), journal=[Anchor(9).encode()])
    assert solo.replica.silent
    assert bodies(solo.accept(blocks[4][1]), PREPARE) == []
    solo.hear(forge.status(0, height=9, seal=blocks[8][2]))
    out = solo.fetched(*blocks[4:8])
    assert solo.replica.silent
    out += solo.fetched(blocks[8])
    assert not solo.replica.silent
    assert bodies(out, PREPARE, COMMIT) == []
    assert [vote.height for vote in bodies(solo.accept(blocks[9][1]), PREPARE)] == [10]


async def test_73_bit_rot_in_a_table_is_never_returned_and_never_served(memory_path, consortium):
    """Each block is read against its checksums and a hash of our own; a peer that asks gets what is before it."""
    path, chain = memory_path / "blocks", consortium.chain(6)
    stored(path, chain)
    bend(path, b"b", 3)
    store, sent = BlockStore(path), []
    with pytest.raises(DataLost, match=r"transactions of block 3 in .* are damaged"):
        store.record(3)
    sync = BlockSync(
        chain_id=consortium.genesis.chain_id,
        validators=consortium.genesis.validators,
        store=store,
        send=lambda _, frame: sent.append(read_peer_frame(frame)),
        fetched=print,
        failed=print,
    )
    sync.serve(2, BlocksRequest(1, 6))
    while not sent:
        await asyncio.sleep(0.001)
    assert list(sent[0].records) == chain[1:3]
    store.put(chain[3])  # what a peer sends again is stored over it
    assert [store.record(height) for height in range(7)] == chain
    store.close()


def bend(path, kind, height):
    """One bit of a value, with LevelDB's own checksums right: as if it had been written so."""
    database = plyvel.DB(os.fspath(path))
    key = kind + height.to_bytes(8, "big")
    value = bytearray(database.get(key))
    value[len(value) // 2] ^= 4
    database.put(key, bytes(value))
    database.close()


def test_73_bit_rot_at_any_place_of_a_table_file_is_never_silent(memory_path, consortium):
    """Also where the seals lie, which have no hash of our own: every read verifies, and so fills no cache with rot."""
    path, chain = memory_path / "blocks", consortium.chain(6)
    stored(path, chain)
    for _ in range(2):  # each opening turns the log into a table
        BlockStore(path).close()
    table = max(path.glob("*.ldb"), key=lambda file: file.stat().st_size)
    whole = table.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 8
        copy = memory_path / "copy"
        shutil.copytree(path, copy)
        shutil.copy(marker_path(path), marker_path(copy))
        (copy / table.name).write_bytes(damaged)
        assert_whole_or_said_so(copy, chain)
        shutil.rmtree(copy)


def assert_whole_or_said_so(path, chain):
    try:
        store = BlockStore(path)
    except StorageError:
        return
    for height, record in enumerate(chain):
        try:
            found = store.record(height)
        except DataLost:
            continue
        assert found == record or (found is None and height in store.lost_heights)
    store.close()


# ── 74 ────────────────────────────────────────────────────────────────────────────────────────────


async def test_74_failed_flush_of_the_journal_is_the_last_one(memory_path, monkeypatch):
    """The flush fails once and would succeed the next time: there is no next time, nothing leaves, voting is over.

    Source: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
    """
    calls = []

    def fails_once(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal, _ = Journal.open(memory_path / "votes.journal")
    driver, heard, halts = make_driver(
        journal, {events.Received: [actions.Persist(b"the vote"), actions.Broadcast(b"the vote")]}
    )
    monkeypatch.setattr("ledger.journal.os.fdatasync", fails_once)
    driver.receive(1, b"")
    await driver.run()
    driver.receive(1, b"")
    assert heard == []
    assert len(calls) == 1
    assert len(halts) == 1
    assert "its storage failed, so this validator votes no more: could not flush the journal" in halts[0]
    assert "Input/output error" in halts[0]
    for attempt in (journal.sync, lambda: journal.append([b"x"]), lambda: journal.rewrite([])):
        with pytest.raises(StorageError, match="could not flush"):
            attempt()
    assert len(calls) == 1
    journal.close()


def test_74_failed_flush_of_the_block_store_is_the_last_one(memory_path, consortium, monkeypatch):
    chain = consortium.chain(2)
    store = BlockStore(memory_path / "blocks")
    store.put(chain[0])
    calls = []

    def fails_once(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("ledger.database.os.fdatasync", fails_once)
    for attempt in (store.sync, store.sync, lambda: store.put(chain[1])):
        with pytest.raises(StorageError, match="could not flush: Input/output error"):
            attempt()
    assert len(calls) == 1
    assert store.synced_height == -1
    store.close()


# ── 75 ────────────────────────────────────────────────────────────────────────────────────────────


class Full:
    """A disk with so many bytes left."""

    def __init__(self, monkeypatch, left):
        self._write, self.left = os.write, left
        monkeypatch.setattr(files.os, "write", self.write)

    def write(self, descriptor, data):
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(descriptor, data[: self.left])
        self.left -= written
        return written


@pytest.mark.parametrize("left", [0, 1, 30, 100])
async def test_75_full_disk_ends_voting_before_anything_is_lost_and_says_so(memory_path, monkeypatch, left):
    """Whatever part of the record still fits: the vote never leaves, and once there is room a start mends it alone."""
    path = memory_path / "votes.journal"
    journal, _ = Journal.open(path)
    journal.append([REPLICA_RECORD + b"before"])
    journal.sync()
    driver, heard, halts = make_driver(
        journal, {events.Received: [actions.Persist(b"x" * 100), actions.Broadcast(b"the vote")]}
    )
    with monkeypatch.context() as patch:
        Full(patch, left)
        driver.receive(1, b"")
        await driver.run()
    assert heard == []
    assert len(halts) == 1
    assert "votes no more" in halts[0]
    assert "No space left on device" in halts[0]
    for attempt in (journal.sync, lambda: journal.append([REPLICA_RECORD]), lambda: journal.rewrite([])):
        with pytest.raises(StorageError, match="nothing more is written to it until the node is restarted"):
            attempt()  # there is room again, and half a record before it
    journal.close()
    assert read(path) == [b"before"]  # nothing was repaired by hand
    journal, _ = Journal.open(path)
    driver, heard, halts = make_driver(
        journal, {events.Received: [actions.Persist(b"x" * 100), actions.Broadcast(b"the vote")]}
    )
    driver.receive(1, b"")
    await driver._turn()
    assert (heard, halts) == ([b"the vote"], [])
    journal.close()
    assert read(path) == [b"before", b"x" * 100]


async def test_75_full_disk_during_a_rewriting_keeps_the_old_journal(memory_path, monkeypatch):
    """The new file does not fit: the old one is whole, under its name. What it holds was said, and nothing else."""
    monkeypatch.setattr("network.driver.JOURNAL_REWRITE_BYTES", 10)
    path = memory_path / "votes.journal"
    journal, _ = Journal.open(path)
    driver, heard, halts = make_driver(
        journal, {events.Received: [actions.Persist(b"y" * 50), actions.Broadcast(b"the vote")]}
    )
    with monkeypatch.context() as patch:
        Full(patch, FRAME_BYTES + 51 + 20)
        driver.receive(1, b"")
        await driver.run()
        driver.receive(1, b"")
    journal.close()
    assert heard == [b"the vote"]
    assert "could not rewrite the journal" in halts[0]
    assert read(path) == [b"y" * 50]


def test_75_full_disk_under_the_block_store_ends_writing_and_leaves_it_readable(memory_path, consortium, monkeypatch):
    """The mark beside the store does not fit. Reads go on, and after a start with room so do writes."""
    chain = consortium.chain(2)
    store = BlockStore(memory_path / "blocks")
    store.put(chain[0])
    with monkeypatch.context() as patch:
        patch.setattr("ledger.marker.os.pwrite", lambda *_: 0)
        with pytest.raises(StorageError, match="No space left on device"):
            store.put(chain[1])
        with pytest.raises(StorageError, match="No space left on device"):
            store.sync()
    assert store.record(0) == chain[0]
    store.close()
    store = BlockStore(memory_path / "blocks")
    for record in chain[1:]:
        store.put(record)
    assert [store.record(height) for height in range(3)] == chain
    store.close()


async def test_75_full_disk_is_told_to_clients_with_its_reason(memory_path, consortium):
    """A node that cannot write takes nothing in: 503, and why; what is sealed can still be read."""
    store = BlockStore(memory_path / "blocks")
    for record in consortium.chain(1):
        store.put(record)
    service = ValidatorService(
        genesis=consortium.genesis,
        store=store,
        mempool=Mempool(Limits()),
        intake=None,
        status=lambda: None,
        halted=lambda: "its storage failed, so this validator votes no more: No space left on device",
        evidence=EvidenceBook(memory_path / "evidence", consortium.genesis),
    )
    submitted = await service.handle(None, msgspec.msgpack.encode(Submit((consortium.transaction(1),))))
    (admission,) = msgspec.msgpack.decode(submitted, type=list[Admission])
    assert admission.code == "busy"
    assert "No space left on device" in admission.message
    assert KINDS["busy"].status == 503
    found = await service.handle(None, msgspec.msgpack.encode(GetBlocks(1, 1, False)))
    assert [record.height for record in msgspec.msgpack.decode(found, type=list[BlockRecord])] == [1]
    store.close()


# ── 76 ────────────────────────────────────────────────────────────────────────────────────────────

LOAD = {"transactions": 250, "heal_ms": 15_000, "window": 4, "seed": 76}


class Count:
    """Watches a run: how many transactions were delivered at a member, and when."""

    def __init__(self, member):
        self.member, self.delivered = member, []

    def on_event(self, now_ms, member, event):
        pass

    def on_world(self, now_ms, member, what):
        pass

    def on_violation(self, now_ms, what):
        pass

    def on_action(self, now_ms, member, action):
        if member == self.member and isinstance(action, actions.Deliver):
            self.delivered += [now_ms] * len(action.batch.hashes)


def delivered_in(plan, first_ms, last_ms, member=1):
    """Transactions delivered at a member between two times."""
    count = Count(member)
    simulate(plan, count)
    return sum(first_ms <= each < last_ms for each in count.delivered)


@pytest.mark.parametrize("slow", [3, 0], ids=["a backup's", "the first primary's"])
def test_76_slow_disk_of_one_costs_less_than_half_of_the_rate(slow):
    """Every flush of one member takes two seconds, for the whole run: the others are a quorum, and if it is its turn to
    propose they leave it.

    Source: TigerBeetle, gray failure.
    """
    lame = Disturbance(0, SLOW_DISK, (slow,), 15_000, 2000)
    whole = delivered_in(Plan(**LOAD), 5000, 15_000)
    assert delivered_in(Plan(**LOAD, disturbances=(lame,)), 5000, 15_000) >= whole // 2


# ── 77 ────────────────────────────────────────────────────────────────────────────────────────────


def test_77_lost_write_of_a_block_is_noticed_and_mended(memory_path, consortium):
    """A block was acknowledged and is not there: the chain ends below it and its height is named."""
    path, chain = memory_path / "blocks", consortium.chain(6)
    stored(path, chain, synced=False)
    database = plyvel.DB(os.fspath(path))
    database.delete(b"h" + (4).to_bytes(8, "big"))
    database.close()
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (3, range(4, 7))
    for record in chain[4:]:
        store.put(record)
    assert [store.record(height) for height in range(7)] == chain
    store.close()


def test_77_misdirected_write_of_a_block_is_never_returned_in_its_place(memory_path, consortium):
    path, chain = memory_path / "blocks", consortium.chain(6)
    stored(path, chain)
    database = plyvel.DB(os.fspath(path))
    for kind in (b"h", b"b"):
        database.put(kind + (2).to_bytes(8, "big"), database.get(kind + (3).to_bytes(8, "big")))
    database.close()
    store = BlockStore(path)
    with pytest.raises(DataLost, match=r"at height 2 in .* lies the header of block 3"):
        store.record(2)
    store.put(chain[2])
    assert store.record(2) == chain[2]
    store.close()


@pytest.mark.parametrize("what", ["left out", "moved", "repeated", "of an older file"])
def test_77_lost_or_misdirected_write_of_a_vote_is_damage_and_not_a_shorter_journal(written, what):
    """Every record checks the one before it, from the file's own number on."""
    path, records = written
    whole, ends = path.read_bytes(), [HEADER_BYTES, *ends_of(records)]
    frames = [whole[first:last] for first, last in pairwise(ends)]
    if what == "of an older file":
        journal, _ = Journal.open(path)
        journal.rewrite([])
        journal.close()
        path.write_bytes(path.read_bytes() + frames[0])
    else:
        order = {"left out": [0, 2, 3], "moved": [0, 2, 1, 3], "repeated": [0, 1, 1, 2]}[what]
        path.write_bytes(whole[:HEADER_BYTES] + b"".join(frames[each] for each in order))
    with pytest.raises(DataLost, match="is damaged at offset"):
        Journal.open(path)


# ── 79 ────────────────────────────────────────────────────────────────────────────────────────────


def test_79_other_format_is_named_refused_and_left_as_it_is(written, memory_path, consortium, monkeypatch):
    """A file that a later program wrote: the older one says both numbers and touches nothing.

    Source: TigerBeetle's upgrades, and what Jepsen found in them.
    """
    path, _ = written
    with monkeypatch.context() as patch:
        patch.setattr("ledger.journal.FORMAT_VERSION", 99)
        later = memory_path / "later.journal"
        Journal.open(later)[0].close()
        patch.setattr("ledger.store.FORMAT_VERSION", 99)
        stored(memory_path / "later", consortium.chain(1))
        with pytest.raises(StorageError, match=r"has format \d, this program reads format 99"):
            Journal.open(path)
    before = later.read_bytes()
    with pytest.raises(StorageError, match=r"has format 99, this program reads format \d$"):
        Journal.open(later)
    assert later.read_bytes() == before
    with pytest.raises(StorageError, match=r"has format 99, this program reads format \d$"):
        BlockStore(memory_path / "later")
    assert marker_path(memory_path / "later").exists()


@pytest.mark.parametrize("point", ["write_all", "os.fsync", "sync_directory"])
def test_79_crash_while_the_journal_is_written_anew_leaves_one_whole_format(written, monkeypatch, point):
    """A change of format is a rewriting: the old file or the new one, whole, and nothing of either beside it."""
    path, records = written
    journal, _ = Journal.open(path)

    def die(*_):
        raise Dead

    with monkeypatch.context() as patch:
        patch.setattr(f"ledger.journal.{point}", die)
        with pytest.raises(Dead):
            journal.rewrite([REPLICA_RECORD + b"new"])
    journal.close()
    assert read(path) == (records if point != "sync_directory" else [b"new"])
    assert [each.name for each in path.parent.glob("votes*")] == ["votes.journal"]
