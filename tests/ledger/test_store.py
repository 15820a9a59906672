"""The block store: what is put is found by every name, and what the disk lost or bent is noticed and mended."""

import errno
import os
import shutil

import plyvel
import pytest

from ledger import blocks, hashing
from ledger.crypto import SigningKey
from ledger.errors import DatabaseInUse, DataLost, StorageError
from ledger.marker import Mark, Marker
from ledger.store import BlockStore, marker_path, sender_of
from ledger.transactions import sign_transaction
from ledger.types import Batch, Block, BlockRecord, Call, Genesis, Parameters, Seal, Validator, ValidatorSet

KEYS = [SigningKey.from_seed(bytes([number]) * 32) for number in (1, 2)]
VALIDATORS = ValidatorSet((Validator("alpha", KEYS[0].public_key, 1, b""),))
GENESIS = Genesis(1, "test", 1_000, Parameters(), VALIDATORS, ())
ROOT = b"\x05" * 32


def transaction(sender: int, salt: int) -> bytes:
    calls = (Call("registry", "register", b"\x90"),)
    return sign_transaction(KEYS[sender], GENESIS.chain_id, calls, 1_000, 10, salt.to_bytes(16, "big"))


def next_record(parent, raws) -> BlockRecord:
    hashes = tuple(hashing.transaction_hash(raw) for raw in raws)
    batch = Batch(0, parent.height + 1, 0, 0, 2_000 + parent.height, hashes)
    receipts = tuple(b"receipt of " + name for name in hashes)
    header = blocks.next_header(
        parent,
        batch,
        executed=hashes,
        transactions_root=blocks.transactions_root(hashes),
        receipts_root=blocks.receipts_root(receipts),
        state_root=ROOT,
        gas_used=0,
        validators_hash=VALIDATORS.hash,
        next_validators_hash=VALIDATORS.hash,
    )
    return BlockRecord(Block(header, batch, hashes), tuple(raws), receipts, None)


def chain(length: int) -> list[BlockRecord]:
    """Genesis and `length` blocks of three transactions: two of sender 0, one of sender 1."""
    records = [blocks.genesis_record(GENESIS, ROOT)]
    for height in range(1, length + 1):
        raws = [transaction(0, 3 * height), transaction(1, 3 * height + 1), transaction(0, 3 * height + 2)]
        records.append(next_record(records[-1].block.header, raws))
    return records


CHAIN = chain(6)


def seal_of(record: BlockRecord) -> Seal:
    return Seal(0, record.height, record.block.header.hash, ())


def sealed(record: BlockRecord) -> BlockRecord:
    return BlockRecord(record.block, record.bodies, record.receipts, seal_of(record))


def transaction_id(raw: bytes) -> bytes:
    return hashing.transaction_id(raw[1:-66])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "blocks"


def filled(path, records=CHAIN, *, synced=False) -> None:
    store = BlockStore(path)
    for record in records:
        store.put(record)
    if synced:
        store.sync()
    store.close()


# ── what is put is found ──────────────────────────────────────────────────────────────────────────


def test_an_empty_store_knows_nothing(path):
    store = BlockStore(path)
    assert (store.height, store.sealed_height, store.tip(), store.sealed_tip()) == (-1, -1, None, None)
    assert store.record(0) is None
    assert store.header(0) is None
    assert store.by_hash(ROOT) is None
    assert store.locate(ROOT) is None
    assert store.account_entries(ROOT) == []
    store.sync()
    store.close()
    assert BlockStore(path).lost_heights == range(0)


@pytest.mark.parametrize("reopened", [False, True])
def test_a_block_is_found_by_height_hash_transaction_and_sender(path, reopened):
    store = BlockStore(path)
    for record in CHAIN:
        store.put(record)
    if reopened:
        store.close()
        store = BlockStore(path)
    assert store.height == 6
    assert store.tip() == CHAIN[6].block.header
    assert store.lost_heights == range(7, 7)
    for height, record in enumerate(CHAIN):
        assert store.record(height) == record
        assert store.header(height) == record.block.header
        assert store.by_hash(record.block.header.hash) == record
        for index, raw in enumerate(record.bodies):
            assert store.locate(transaction_id(raw)) == (height, index)
    assert store.record(7) is None
    assert store.record(-1) is None
    store.close()


def test_an_accounts_entries_come_newest_first_in_pages(path):
    filled(path)
    store = BlockStore(path)
    expected = [
        (height, index, transaction_id(CHAIN[height].bodies[index])) for height in range(6, 0, -1) for index in (2, 0)
    ]
    assert store.account_entries(KEYS[0].public_key) == expected
    assert [entry[:2] for entry in store.account_entries(KEYS[1].public_key)] == [(h, 1) for h in range(6, 0, -1)]
    for size in (1, 2, 3, 5):
        pages, before = [], None
        while page := store.account_entries(KEYS[0].public_key, before, size):
            assert len(page) <= size
            pages += page
            before = page[-1][:2]
        assert pages == expected, size
    assert store.account_entries(KEYS[0].public_key, before=((1 << 53) - 1, 0)) == expected
    assert store.account_entries(KEYS[0].public_key, before=(0, 0)) == []
    assert store.account_entries(SigningKey.from_seed(bytes(32)).public_key) == []
    store.close()


def test_the_sender_is_cut_out_where_the_codec_puts_it():
    assert sender_of(transaction(1, 0)) == KEYS[1].public_key
    with pytest.raises(AssertionError, match="not a canonical signed transaction"):
        sender_of(b"x" * 200)


def test_seals_are_kept_with_their_blocks(path):
    store = BlockStore(path)
    store.put(CHAIN[0])
    assert store.sealed_height == 0
    store.put(CHAIN[1])
    store.put(sealed(CHAIN[2]))
    assert store.sealed_height == 2
    store.put(CHAIN[3])
    assert (store.sealed_height, store.height) == (2, 3)
    store.seal(3, seal_of(CHAIN[3]))
    store.seal(1, seal_of(CHAIN[1]))
    assert store.sealed_tip() == CHAIN[3].block.header
    store.close()
    store = BlockStore(path)
    assert store.sealed_height == 3
    assert [store.record(height) for height in (1, 2, 3)] == [sealed(record) for record in CHAIN[1:4]]
    store.close()


def test_a_seal_of_another_block_is_refused(path):
    store = BlockStore(path)
    for record in CHAIN[:3]:
        store.put(record)
    for height, seal in ((1, seal_of(CHAIN[2])), (2, seal_of(CHAIN[1])), (3, seal_of(CHAIN[3]))):
        with pytest.raises(StorageError):
            store.seal(height, seal)
    with pytest.raises(StorageError, match="is not for block 3"):
        store.put(BlockRecord(CHAIN[3].block, CHAIN[3].bodies, CHAIN[3].receipts, seal_of(CHAIN[2])))
    assert (store.sealed_height, store.height) == (0, 2)
    store.close()


def test_heights_have_no_gaps_and_no_second_block(path):
    store = BlockStore(path)
    with pytest.raises(StorageError, match="block 1 cannot be stored, the next height is 0"):
        store.put(CHAIN[1])
    for record in CHAIN[:3]:
        store.put(record)
    with pytest.raises(StorageError, match="block 4 cannot be stored, the next height is 3"):
        store.put(CHAIN[4])
    other = next_record(CHAIN[1].block.header, [transaction(0, 99)])
    with pytest.raises(StorageError, match="another block 2 is stored"):
        store.put(other)
    with pytest.raises(StorageError, match=r"block 3 follows .*, the tip is"):
        store.put(next_record(other.block.header, []))
    store.put(CHAIN[2])
    store.put(CHAIN[3])
    assert store.height == 3
    store.close()


def test_a_store_that_is_open_cannot_be_opened_again(path):
    store = BlockStore(path)
    with pytest.raises(DatabaseInUse, match=r"another process has .* open: is a node running with this data directory"):
        BlockStore(path)
    store.close()
    BlockStore(path).close()


def test_another_format_is_named_and_refused(path, monkeypatch):
    monkeypatch.setattr("ledger.store.FORMAT_VERSION", 3)
    filled(path)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="has format 3, this program reads format 2"):
        BlockStore(path)


def test_truncating_forgets_everything_above(path):
    filled(path)
    store = BlockStore(path)
    store.seal(5, seal_of(CHAIN[5]))
    store.truncate_after(3)
    assert (store.height, store.sealed_height, store.synced_height) == (3, 3, 3)
    store.close()
    store = BlockStore(path)
    assert store.lost_heights == range(4, 4)
    assert store.record(4) is None
    assert store.by_hash(CHAIN[4].block.header.hash) is None
    assert store.locate(transaction_id(CHAIN[4].bodies[0])) is None
    assert store.locate(transaction_id(CHAIN[3].bodies[0])) == (3, 0)
    assert [entry[0] for entry in store.account_entries(KEYS[1].public_key)] == [3, 2, 1]
    with pytest.raises(StorageError, match="cannot keep the blocks up to 4, the highest is 3"):
        store.truncate_after(4)
    store.put(next_record(CHAIN[3].block.header, [transaction(0, 99)]))
    assert store.height == 4
    store.close()


# ── what the disk lost ────────────────────────────────────────────────────────────────────────────


def logs(path):
    return sorted(path.glob("*.log"))


def test_a_truncated_log_is_noticed_and_mended(path):
    """LevelDB opens it cleanly, even with paranoid checks."""
    filled(path, synced=True)
    log = logs(path)[-1]
    os.truncate(log, log.stat().st_size * 2 // 3)
    store = BlockStore(path)
    assert 0 <= store.height < 6
    assert store.lost_heights == range(store.height + 1, 7)
    assert store.synced_height == 6
    for height in store.lost_heights:
        store.put(CHAIN[height])
    store.close()
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (6, range(7, 7))
    assert [store.record(height) for height in range(7)] == CHAIN
    store.close()


def test_cut_anywhere_the_log_gives_a_prefix_of_the_chain_and_the_rest_is_named(path, tmp_path):
    filled(path, CHAIN[:3])
    size = logs(path)[-1].stat().st_size
    for keep in range(0, size, 97):
        copy = tmp_path / "copy"
        shutil.copytree(path, copy)
        shutil.copy(marker_path(path), marker_path(copy))
        os.truncate(logs(copy)[-1], keep)
        try:
            store = BlockStore(copy)
        except DataLost:
            pass  # LevelDB itself refuses a torn first record in this place
        else:
            assert store.lost_heights == range(store.height + 1, 3)
            assert [store.record(height) for height in range(store.height + 1)] == CHAIN[: store.height + 1]
            store.close()
        shutil.rmtree(copy)


def test_a_whole_database_that_is_gone_is_noticed(path):
    filled(path)
    shutil.rmtree(path)
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (-1, range(7))
    store.close()


def test_a_directory_without_its_first_file_is_no_new_store(path):
    """LevelDB would make a new database there, delete the tables that it finds, and keep what is in the log."""
    filled(path, CHAIN[:4], synced=True)
    filled(path, CHAIN[4:], synced=True)
    (path / "CURRENT").unlink()
    left = sorted(file.name for file in path.iterdir())
    with pytest.raises(DataLost, match=r"CURRENT is missing, and .* is there\. Move .* away and leave"):
        BlockStore(path)
    assert sorted(file.name for file in path.iterdir()) == left
    BlockStore.set_aside(path)
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (-1, range(7))
    store.close()


@pytest.mark.parametrize("missing", [0, 2, 5])
def test_a_hole_below_a_whole_top_is_noticed_and_mended(path, missing):
    """LevelDB's list of tables may lose its own end, and the table before the log with it; the log is read again."""
    filled(path, synced=True)
    database = plyvel.DB(str(path))
    for kind in (b"h", b"b"):
        database.delete(kind + missing.to_bytes(8, "big"))
    for raw in CHAIN[missing].bodies:
        database.delete(b"t" + transaction_id(raw))
    database.close()
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (missing - 1, range(missing, 7))
    for record in CHAIN[missing:]:
        store.put(record)
    assert [store.locate(transaction_id(raw)) for raw in CHAIN[5].bodies] == [(5, index) for index in range(3)]
    store.close()
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (6, range(7, 7))
    store.close()


def test_unsynced_blocks_lost_in_a_power_cut_are_told_apart_from_promised_ones(path):
    filled(path, CHAIN[:3], synced=True)
    store = BlockStore(path)
    for record in CHAIN[3:]:
        store.put(record)
    store.close()
    for log in logs(path):
        os.truncate(log, 0)  # what was put since the last opening
    store = BlockStore(path)
    assert (store.height, store.synced_height, store.lost_heights) == (2, 2, range(3, 7))
    store.close()


@pytest.mark.parametrize("kind", [b"h", b"b"])
def test_a_bent_tip_is_lost_and_put_again(path, kind):
    filled(path, synced=True)
    bend(path, kind, 6)
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (5, range(6, 7))
    store.put(CHAIN[6])
    assert store.record(6) == CHAIN[6]
    store.close()


def bend(path, kind: bytes, height: int) -> None:
    """Flip one bit of a value behind the store's back, with LevelDB's own checksums right."""
    database = plyvel.DB(str(path))
    key = kind + height.to_bytes(8, "big")
    value = bytearray(database.get(key))
    value[len(value) // 2] ^= 4
    database.put(key, bytes(value))
    database.close()


@pytest.mark.parametrize(("kind", "what"), [(b"h", "header"), (b"b", "transactions")])
def test_a_bent_block_below_the_tip_is_never_returned_and_can_be_mended(path, kind, what):
    filled(path, synced=True)
    bend(path, kind, 2)
    store = BlockStore(path)
    assert store.height == 6
    with pytest.raises(DataLost, match=rf"{what} of block 2 in .* (is|are) damaged"):
        store.record(2)
    with pytest.raises(StorageError, match="another block 2"):
        store.put(next_record(CHAIN[1].block.header, []))
    store.put(CHAIN[2])
    assert store.record(2) == CHAIN[2]
    store.close()


def test_a_block_in_anothers_place_is_never_returned(path):
    filled(path, synced=True)
    database = plyvel.DB(str(path))
    for kind in (b"h", b"b"):
        database.put(kind + (2).to_bytes(8, "big"), database.get(kind + (3).to_bytes(8, "big")))
    database.close()
    store = BlockStore(path)
    with pytest.raises(DataLost, match=r"at height 2 in .* lies the header of block 3"):
        store.record(2)
    store.close()


def test_a_hole_above_the_last_synced_block_ends_the_chain_there(path):
    filled(path)
    database = plyvel.DB(str(path))
    database.delete(b"h" + (4).to_bytes(8, "big"))
    database.close()
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (3, range(4, 7))
    assert store.locate(transaction_id(CHAIN[5].bodies[0])) is None
    assert store.account_entries(KEYS[1].public_key)[0][0] == 3
    for record in CHAIN[4:]:
        store.put(record)
    assert store.record(6) == CHAIN[6]
    store.close()


def test_a_flipped_bit_in_a_table_file_is_never_silent(path):
    filled(path, synced=True)
    for _ in range(2):  # each opening turns the log into a table
        BlockStore(path).close()
    table = max(path.glob("*.ldb"), key=lambda file: file.stat().st_size)
    whole = table.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 40)):
        damaged = bytearray(whole)
        damaged[position] ^= 16
        table.write_bytes(damaged)
        try:
            store = BlockStore(path)
        except StorageError:
            continue
        found = []
        for height in range(7):
            try:
                found.append(store.record(height))
            except DataLost:
                found.append(None)
        lost = [height for height in range(7) if found[height] is None]
        assert all(found[height] == CHAIN[height] for height in range(7) if height not in lost)
        assert store.height == 6 or store.lost_heights == range(store.height + 1, 7)
        store.close()


def test_a_database_that_cannot_be_opened_is_set_aside_and_what_it_held_is_known(path):
    filled(path, synced=True)
    BlockStore(path).close()
    for table in path.glob("*.ldb"):
        table.unlink()
    with pytest.raises(
        DataLost, match=r"is damaged: .*\. Move .* away and leave .*blocks\.mark: the blocks are fetched"
    ):
        BlockStore(path)
    aside = BlockStore.set_aside(path)
    assert aside.name == "blocks.damaged-1"
    assert aside.is_dir()
    store = BlockStore(path)
    assert store.lost_heights == range(7)
    for record in CHAIN:
        store.put(record)
    store.close()


def test_a_lost_marker_costs_a_walk_and_nothing_else(path):
    filled(path, synced=True)
    marker_path(path).unlink()
    store = BlockStore(path)
    assert (store.height, store.synced_height, store.lost_heights) == (6, -1, range(7, 7))
    store.close()


def failing(*_arguments):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_after_one_failed_flush_nothing_more_is_written(path, monkeypatch):
    store = BlockStore(path)
    store.put(CHAIN[0])
    with monkeypatch.context() as patch:
        patch.setattr("ledger.database.os.fdatasync", failing)
        with pytest.raises(StorageError, match="could not flush"):
            store.sync()
    for attempt in (store.sync, lambda: store.put(CHAIN[1]), lambda: store.seal(0, seal_of(CHAIN[0]))):
        with pytest.raises(StorageError, match="could not flush"):
            attempt()
    assert store.record(0) == CHAIN[0]
    assert store.synced_height == -1
    store.close()


# ── the marker ────────────────────────────────────────────────────────────────────────────────────


def test_the_marker_survives_one_torn_slot(tmp_path):
    path = tmp_path / "blocks.mark"
    marker = Marker(path)
    assert marker.mark is None
    older, newer = Mark(4, ROOT, 3), Mark(5, ROOT, 3)
    marker.write(older)
    marker.write(newer)
    marker.close()
    whole = path.read_bytes()
    assert Marker(path).mark == newer
    newer_slot = 0  # the second write
    for position in range(80):
        damaged = bytearray(whole)
        damaged[newer_slot + position] ^= 1
        path.write_bytes(damaged)
        assert Marker(path).mark == older, position
    path.write_bytes(bytes(len(whole)))
    assert Marker(path).mark is None
