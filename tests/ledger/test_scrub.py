"""Reading again what is stored: what a disk did to a block or to the state is found, named, and can be put right."""

import re
import time

import msgspec
import plyvel
import pytest

from ledger.blocks import check_record
from ledger.errors import DataLost, StorageError
from ledger.marker import Marker
from ledger.scrub import check_height
from ledger.state import State
from ledger.store import BlockStore, damage_path, marker_path, sender_of
from ledger.transactions import identify
from ledger.types import Block, BlockRecord
from scripts.paper_node import PaperNode

BLOCKS = 8
WRONG = 5


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    node = PaperNode(tmp_path_factory.mktemp("paper") / "node")
    for _ in range(BLOCKS - 2):
        node.block([node.transfer() for _ in range(2)])
    node.close()
    store = BlockStore(node.paths.blocks)
    node.records = [store.record(height) for height in range(BLOCKS + 1)]
    store.close()
    return node


@pytest.fixture
def path(tmp_path, paper):
    path = tmp_path / "blocks"
    store = BlockStore(path)
    for record in paper.records:
        store.put(record)
    store.sync()
    store.close()
    return path


@pytest.fixture
def open_store(path):
    opened = []

    def open_it():
        opened.append(BlockStore(path))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


def number(height):
    return height.to_bytes(8, "big")


def change(path, key, to):
    """Put another value where this one stands, as no disk error that LevelDB sees."""
    database = plyvel.DB(str(path))
    value = database.get(key)
    assert value is not None
    database.delete(key) if to is None else database.put(key, to(value))
    database.close()


def flip(at):
    def to(value):
        changed = bytearray(value)
        changed[at] ^= 4
        return bytes(changed)

    return to


def faults(store, paper):
    found = [check_height(store, paper.genesis, height).fault for height in range(BLOCKS + 1)]
    return [fault for fault in found if fault is not None]


def test_a_whole_store_has_no_fault_and_is_read_in_full(open_store, paper):
    store = open_store()
    checked = [check_height(store, paper.genesis, height) for height in range(BLOCKS + 1)]
    assert [each.fault for each in checked] == [None] * (BLOCKS + 1)
    for each, record in zip(checked, paper.records, strict=True):
        assert each.bytes_read > sum(map(len, record.bodies)) + sum(map(len, record.receipts))


@pytest.mark.parametrize(
    ("kind", "to", "told"),
    [
        (b"h", flip(60), "the header of block 5 in .* is damaged"),
        (b"b", flip(300), "the transactions of block 5 in .* are damaged"),
        (b"b", None, "the transactions of block 5 are missing"),
        (b"s", flip(5), "the seal of block 5 in .* is damaged"),
        (b"s", flip(-1), "the signature of member 2 .* in the seal does not hold"),
        (b"s", None, "it was sealed, and its seal is missing"),
    ],
)
def test_a_block_that_does_not_hold_is_for_the_peers_to_give(path, open_store, paper, kind, to, told):
    change(path, kind + number(WRONG), to)
    store = open_store()
    (fault,) = faults(store, paper)
    assert (fault.height, fault.mend) == (WRONG, "peers")
    assert re.search(told, fault.text), fault.text
    store.put(paper.records[WRONG])
    assert faults(store, paper) == []
    store.settle()
    assert (store.damage, damage_path(path).exists()) == ("", False)
    assert not store.torn


@pytest.mark.parametrize("to", [None, flip(-1)], ids=["missing", "another"])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("index of hashes", lambda record: b"n" + record.block.header.hash),
        ("index of transactions", lambda record: b"t" + identify(record.bodies[1])[0]),
        ("index of senders", lambda record: b"a" + sender_of(record.bodies[0]) + number((1 << 64) - 1 - WRONG)),
    ],
)
def test_an_index_is_mended_from_the_block_itself(path, open_store, paper, name, key, to):
    change(path, key(paper.records[WRONG]), to)
    store = open_store()
    (fault,) = faults(store, paper)
    assert (fault.height, fault.mend) == (WRONG, "itself")
    assert name in fault.text
    store.put(store.record(WRONG))
    assert faults(store, paper) == []


def other_block(paper):
    """Another block 5 that a quorum sealed: its state root is another one."""
    record = paper.records[WRONG]
    header = msgspec.structs.replace(record.block.header, state_root=b"\x07" * 32)
    block = Block(header, record.block.batch, record.block.transactions)
    other = BlockRecord(block, record.bodies, record.receipts, paper.seal(header))
    check_record(other)
    return other


def test_two_sealed_blocks_that_contradict_each_other_are_nobodys_to_mend(tmp_path, paper):
    store = BlockStore(tmp_path / "other")
    for record in paper.records[:WRONG]:
        store.put(record)
    store.put(other_block(paper))
    store._tip_hash = paper.records[WRONG].block.header.hash  # as if somebody had put it there under the store
    for record in paper.records[WRONG + 1 :]:
        store.put(record)
    (fault,) = faults(store, paper)
    assert (fault.height, fault.mend) == (WRONG + 1, "nobody")
    assert "a quorum sealed both" in fault.text
    store.close()


def test_a_block_of_another_chain_is_no_block_here(path, open_store, paper, tmp_path):
    stranger = msgspec.structs.replace(paper.genesis, network="stranger")
    assert "belongs to another chain" in check_height(open_store(), stranger, 3).fault.text


# ── tables and files ──────────────────────────────────────────────────────────────────────────────


def tear(path, record):
    """Flip a bit of a stored transaction in LevelDB's own table."""
    database = plyvel.DB(str(path))
    database.compact_range()
    database.close()
    wanted = record.bodies[0][-40:]
    for table in path.glob("*.ldb"):
        data = bytearray(table.read_bytes())
        at = data.find(wanted)
        if at >= 0:
            data[at] ^= 1
            table.write_bytes(data)
            return
    pytest.fail("the transaction lies in no table")


def test_a_torn_table_is_told_and_only_a_new_store_is_rid_of_it(path, open_store, paper):
    tear(path, paper.records[WRONG])
    store = open_store()
    found = faults(store, paper)
    assert WRONG in [fault.height for fault in found]
    assert store.torn
    for fault in reversed(found):
        store.put(paper.records[fault.height])
    assert faults(store, paper) == []  # what was put again lies above it
    store.settle()
    assert damage_path(path).exists()
    assert "Corruption" in store.damage or "damaged" in store.damage


def test_a_merge_that_meets_the_torn_table_is_noted_for_the_next_start(path, open_store, paper):
    """Without the note every start would end at the same place."""
    tear(path, paper.records[WRONG])
    store = open_store()
    with pytest.raises(StorageError, match="nothing more is written until the node is restarted"):
        put_until_tables_are_merged(store, paper.records[WRONG - 1])
    assert store.torn
    assert damage_path(path).exists()


def put_until_tables_are_merged(store, record):
    for _ in range(40):
        store.put(record)
        store._database.compact_range()  # each time another table on the topmost level: four of them are merged
        time.sleep(0.02)


def test_a_table_that_is_gone_is_noticed_while_the_store_is_open(path, open_store):
    database = plyvel.DB(str(path))
    database.compact_range()
    database.close()
    store = open_store()
    assert store.note_missing_files() == ""
    tables = sorted(path.glob("*.ldb"))
    tables[0].unlink()
    assert tables[0].name in store.note_missing_files()
    assert damage_path(path).exists()


def test_a_marker_is_written_anew_from_memory(path, open_store):
    store = open_store()
    marker = marker_path(path)
    assert store.mend_marker() == ""
    whole, descriptor = store._marker.mark, store._marker._descriptor
    for spoil, told in (
        (lambda: marker.write_bytes(bytes(8192)), "is damaged"),
        (marker.unlink, "is missing"),
        (lambda: (marker.unlink(), marker.write_bytes(b"another")), "is another file"),
    ):
        spoil()
        assert told in store.mend_marker()
        assert store.mend_marker() == ""
        assert store._marker._descriptor == descriptor, "it may be flushed by another thread just now"
        again = Marker(marker)
        assert again.mark == whole
        again.close()
    store.sync()


# ── the state ─────────────────────────────────────────────────────────────────────────────────────

KEYS = 400


@pytest.fixture
def state_path(tmp_path):
    path = tmp_path / "state"
    state = State.open(path)
    state.commit(0, {b"key %d" % n: b"value %d" % n for n in range(KEYS)}, {b"side": b"table"})
    state.commit(1, {b"key %d" % n: b"later %d" % n for n in range(0, KEYS, 3)})
    state.commit(2, {b"key 7": None})
    state.close()
    return path


def scrub_all(state, looks=20):
    """(what was wrong or empty, how many steps, how many bytes)"""
    after, steps, size = b"", 0, 0
    while True:
        done = state.scrub(after, looks)
        steps, size = steps + 1, size + done.bytes_read
        if done.fault or not done.after:
            return done.fault, steps, size
        assert done.after > after
        after = done.after


def test_a_whole_state_holds_however_long_the_steps_are(state_path):
    state = State.open(state_path)
    fault, steps, size = scrub_all(state)
    assert (fault, steps > KEYS // 20) == ("", True)
    assert size > KEYS * 13
    assert scrub_all(state, 1 << 20)[1] == 1
    state.close()


def test_commits_between_the_steps_are_no_fault(state_path):
    state = State.open(state_path)
    after, height = b"", 2
    while True:
        done = state.scrub(after, 30)
        assert done.fault == ""
        after, height = done.after, height + 1
        if not after:
            break
        state.commit(height, {b"key %d" % (height * 7 % KEYS): b"new", b"key %d" % (height * 11 % KEYS): None})
    assert height > 10
    state.close()


def rows(path, prefix):
    database = plyvel.DB(str(path))
    found = list(database.iterator(prefix=prefix, include_value=False))
    database.close()
    return found


@pytest.mark.parametrize(
    ("prefix", "to", "told"),
    [
        (b"rvkey 123", flip(0), f"the value of the state at key {b'key 123'.hex()} is not the one that the tree names"),
        (b"rr", flip(3), "the row of the state's root is not the root that was committed|at the root, is not the one"),
        (b"sp7", flip(8), "a page of the state's tree, at 7, is not the one that is named above it"),
        (b"sp7", lambda value: value[:9], "at key [0-9a-f]+ is not the one that the tree names"),
        (b"sp7", None, "the state has lost a page of its tree, at 7"),
    ],
)
def test_a_value_or_a_page_that_does_not_hold_is_named(state_path, prefix, to, told):
    key = rows(state_path, prefix)[0]
    change(state_path, key, to)
    state = State.open(state_path)
    fault = scrub_all(state)[0]
    assert fault
    assert re.search(told, fault), fault
    state.close()


def test_a_value_that_nobody_committed_is_named(state_path):
    database = plyvel.DB(str(state_path))
    database.put(b"rvkey stranger", b"x")
    database.close()
    state = State.open(state_path)
    assert f"key {b'key stranger'.hex()} is not the one that the tree names" in scrub_all(state)[0]
    state.close()


def test_a_state_of_one_key_and_an_empty_one_hold(tmp_path):
    state = State.open(tmp_path / "state")
    state.commit(0, {})
    assert scrub_all(state)[0] == ""
    state.commit(1, {b"only": b"one"})
    assert scrub_all(state)[0] == ""
    state.close()


def test_a_torn_table_of_the_state_is_named(state_path):
    database = plyvel.DB(str(state_path))
    database.compact_range()
    database.close()
    table = max(state_path.glob("*.ldb"), key=lambda path: path.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 1
    table.write_bytes(data)
    state = State.open(state_path)
    assert "is damaged" in scrub_all(state)[0]
    state.close()


def test_a_table_of_the_state_that_is_gone_is_named(state_path):
    database = plyvel.DB(str(state_path))
    database.compact_range()
    database.close()
    state = State.open(state_path)
    assert scrub_all(state)[0] == ""
    table = max(state_path.glob("*.ldb"), key=lambda path: path.stat().st_size)
    table.unlink()
    fault = scrub_all(state)[0]
    assert table.name in fault or "damaged" in fault
    state.close()


# ── the journal ───────────────────────────────────────────────────────────────────────────────────


def test_an_open_journal_is_read_again(tmp_path):
    from ledger.journal import Journal, read_again

    path = tmp_path / "votes.journal"
    journal, _ = Journal.open(path)
    journal.append([b"vote %d" % n + bytes(50_000) for n in range(40)])
    journal.sync()
    sizes = list(read_again(journal))
    assert len(sizes) > 3
    whole = path.read_bytes()
    for at in (3, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataLost, match="is damaged at offset"):
            list(read_again(journal))
    path.write_bytes(whole[:-1])
    with pytest.raises(DataLost, match="is damaged at offset"):
        list(read_again(journal))
    path.write_bytes(whole + b"an append that is under way")
    assert list(read_again(journal)) == sizes
    path.unlink()
    with pytest.raises(DataLost, match="is missing"):
        list(read_again(journal))
    journal.close()


def test_a_journal_that_is_being_written_anew_is_not_called_damaged(tmp_path, monkeypatch):
    """Its new file has the name already, and the writer still flushes the directory; or it has done so meanwhile."""
    from ledger import journal as journals

    journal, _ = journals.Journal.open(tmp_path / "votes.journal")
    journal.append([b"vote %d" % n for n in range(40)])
    looked = []

    def look(directory):
        looked.append(list(journals.read_again(journal)))

    with monkeypatch.context() as patch:
        patch.setattr(journals, "sync_directory", look)
        journal.rewrite([b"the last vote"])
    assert looked == [[]]
    journal.append([bytes(300_000)] * 3)
    steps = journals.read_again(journal)
    next(steps)  # it has the file of now open,
    journal.rewrite([b"the very last vote"])
    assert len(list(steps)) == 2  # and reads it to its end
    journal.close()


@pytest.mark.parametrize("generations", [-1, 2])
def test_a_file_of_another_generation_in_the_place_of_a_journal_is_damage(tmp_path, generations):
    """An older file that surfaces again is whole in itself, and not the one that was written last."""
    from ledger.journal import Journal, journal_bytes, read_again

    journal, _ = Journal.open(tmp_path / "votes.journal")
    journal.rewrite([b"a vote"])
    journal.rewrite([b"a vote", b"another"])
    other = journal.generation + generations
    journal.path.write_bytes(journal_bytes([b"a vote", b"another"], other))
    with pytest.raises(DataLost, match=f"is another file: generation {other}, expected 3"):
        list(read_again(journal))
    journal.close()
