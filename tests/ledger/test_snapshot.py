"""Snapshots: a state cut into chunks that prove themselves, in a file in which no byte can change unnoticed."""

import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import codec, snapshot, snapshot_file, snapshot_maker, snapshot_tree
from ledger.blocks import genesis_record, next_header
from ledger.crypto import SigningKey
from ledger.errors import DataLost, InvalidProof, OtherFormat, StorageError
from ledger.merkle import root
from ledger.seals import assemble_seal, checkpoint_message
from ledger.snapshot import (
    Contents,
    check_contents,
    check_manifest,
    pack_blocks,
    read_blocks,
)
from ledger.snapshot_file import SnapshotFile, SnapshotWriter
from ledger.snapshot_maker import make_snapshot
from ledger.snapshot_tree import StateChunk, cut, join, join_root, read_chunk, root_of
from ledger.state import State, StateLoader
from ledger.state_proof import EMPTY, path_of
from ledger.transactions import identify, sign_transaction
from ledger.types import Batch, Block, BlockRecord, Call, Checkpoint, Genesis, Parameters, Validator, ValidatorSet

KEYS = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 5)]
MEMBERS = ValidatorSet(tuple(Validator(f"v{n}", key.public_key, 1, b"cert") for n, key in enumerate(KEYS)))
GENESIS = Genesis(1, "test", 1000, Parameters(), MEMBERS, ())
OTHER = Genesis(1, "other", 1000, Parameters(), MEMBERS, ())
ENTRIES = {f"key {number}".encode(): f"value {number}".encode() * 3 for number in range(200)}


def seal_of(header, members=(0, 1, 2)):
    votes = {}
    for member in members:
        checkpoint = Checkpoint(header.epoch, header.height, member, header.hash)
        votes[member] = KEYS[member].sign(checkpoint_message(GENESIS.chain_id, checkpoint))
    return assemble_seal(header.epoch, header.height, header.hash, votes)


def chain(length, state_root):
    """Genesis and sealed blocks of one transaction each; every header has the same state root."""
    records = [genesis_record(GENESIS, state_root)]
    for height in range(1, length + 1):
        salt = height.to_bytes(16, "big")
        raw = sign_transaction(KEYS[0], GENESIS.chain_id, [Call("c", "m", b"\x90")], 1000, 50, salt)
        hashes = (identify(raw)[1],)
        batch = Batch(0, height, 0, 0, 2000 + height, hashes)
        header = next_header(
            records[-1].block.header,
            batch,
            executed=hashes,
            transactions_root=root(hashes),
            receipts_root=root([b"receipt"]),
            state_root=state_root,
            gas_used=0,
            validators_hash=MEMBERS.hash,
            next_validators_hash=MEMBERS.hash,
        )
        records.append(BlockRecord(Block(header, batch, hashes), (raw,), (b"receipt",), seal_of(header)))
    return records


CHAIN = chain(5, root_of(ENTRIES.items()))
TOP = CHAIN[-1].block.header


@pytest.fixture
def small(monkeypatch):
    """Chunks small enough that two hundred entries are many."""
    for module in (snapshot_tree, snapshot_maker):
        monkeypatch.setattr(module, "CHUNK_BYTES", 600)


def chunks_of(entries):
    ordered = sorted((path_of(key).hex(), key, value) for key, value in entries.items())
    return list(cut("", ordered))


def written(path, records=CHAIN[1:]):
    return make_snapshot(path, GENESIS, TOP, CHAIN[-1].seal, ENTRIES.items(), records)


# ── the tree in chunks ────────────────────────────────────────────────────────────────────────────


def test_a_small_state_is_one_chunk_and_an_empty_one_none():
    ((chunk, _),) = chunks_of(ENTRIES)
    assert (chunk.prefix, chunk.entries) == ("", 200)
    assert chunks_of({}) == []
    assert join_root(()) == EMPTY


def test_chunks_give_the_root_that_the_state_has_by_itself(small, tmp_path):
    state = State.open(tmp_path / "state")
    state.commit(0, dict(ENTRIES))
    chunks = chunks_of(ENTRIES)
    assert len(chunks) > 16
    assert join_root([chunk for chunk, _ in chunks]) == state.root == root_of(ENTRIES.items())
    assert sum(chunk.entries for chunk, _ in chunks) == 200
    assert all(chunk.entry_bytes <= 600 for chunk, _ in chunks)
    state.close()


@settings(max_examples=40)
@given(st.dictionaries(st.binary(max_size=8), st.binary(max_size=40), max_size=60), st.integers(60, 400))
def test_any_state_cut_anywhere_gives_its_root_and_its_entries(entries, size):
    before = snapshot_tree.CHUNK_BYTES
    snapshot_tree.CHUNK_BYTES = size + 40
    try:
        chunks = chunks_of(entries)
        assert join_root([chunk for chunk, _ in chunks]) == root_of(entries.items())
        found = [entry for chunk, data in chunks for entry in read_chunk(chunk, data, {})]
        assert dict(found) == entries
    finally:
        snapshot_tree.CHUNK_BYTES = before


def test_a_loaded_state_is_the_one_that_was_cut(small, tmp_path):
    """Values, proofs and the next block's root: nothing tells it from one that grew."""
    grown = State.open(tmp_path / "grown")
    grown.commit(0, dict(ENTRIES))
    chunks = chunks_of(ENTRIES)
    loader = StateLoader(tmp_path / "loaded")
    pages = {}
    for chunk, data in chunks:
        loader.add(read_chunk(chunk, data, pages), {})
    loader.add((), pages)
    above = {}
    slot = join([chunk for chunk, _ in chunks], above)
    loader.add((), above)
    loader.add_side([(b"side", b"table")])
    loader.finish(7, slot)
    loader.close()
    loaded = State.open(tmp_path / "loaded")
    assert (loaded.height, loaded.oldest_height, loaded.root) == (7, 7, grown.root)
    assert list(loaded.walk(7)) == sorted(ENTRIES.items())
    assert loaded.side_get(b"side") == b"table"
    for key in (b"key 3", b"key 77", b"no such key"):
        assert loaded.prove(key) == grown.prove(key)
    writes = {b"key 5": None, b"key 6": b"new", b"a new one": b"1"}
    assert loaded.commit(8, writes) == grown.commit(1, writes)
    assert loaded.get(b"key 5", 7) == ENTRIES[b"key 5"]
    loaded.close()
    grown.close()


def test_a_state_that_was_loaded_in_part_cannot_be_opened(tmp_path):
    loader = StateLoader(tmp_path / "state")
    loader.add([(b"key", b"value")], {})
    loader.close()
    with pytest.raises(DataLost, match="lost the record of its height"):
        State.open(tmp_path / "state")


def test_a_frozen_state_stands_still(tmp_path):
    state = State.open(tmp_path / "state")
    state.commit(0, {b"a": b"1", b"b": b"2", b"c": b"3"})
    frozen = state.freeze()
    state.commit(1, {b"a": b"changed", b"b": None, b"d": b"4"})
    assert (frozen.height, state.height) == (0, 1)
    assert frozen.scan(b"", 1) == [(b"a", b"1")]
    assert frozen.scan(b"a\x00", 1000) == [(b"b", b"2"), (b"c", b"3")]
    assert frozen.scan(b"c\x00", 1000) == []
    frozen.close()
    frozen.close()
    assert list(state.walk(0)) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert list(state.walk(1)) == [(b"a", b"changed"), (b"c", b"3"), (b"d", b"4")]
    state.close()


# ── chunks that lie ───────────────────────────────────────────────────────────────────────────────


def altered(entries, key, value):
    return codec.encode(tuple((each, value if each == key else held) for each, held in entries))


def test_a_chunk_with_another_value_is_refused(small):
    chunk, data = chunks_of(ENTRIES)[3]
    entries = read_chunk(chunk, data, {})
    key, value = entries[0]
    with pytest.raises(InvalidProof, match="other entries than the state root vouches for"):
        read_chunk(chunk, altered(entries, key, value[:-1] + b"!"), {})


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        (lambda entries: entries[:-1], "has .* entries, .* expected"),
        (lambda entries: entries[::-1], "does not belong there"),
        (lambda entries: (*entries[:-1], entries[0]), "expected|does not belong there"),
        (lambda entries: ((b"stranger", b"x" * 12), *entries[1:]), "expected|does not belong there"),
    ],
)
def test_a_chunk_of_another_shape_is_refused(small, bend, told):
    chunk, data = chunks_of(ENTRIES)[3]
    bent = bend(read_chunk(chunk, data, {}))
    with pytest.raises(InvalidProof, match=told):
        read_chunk(chunk, codec.encode(tuple(bent)), {})


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x91\x92\xc4\x00", b"\xdd\xff\xff\xff\xff", b"x" * 100])
def test_a_chunk_that_is_no_list_of_entries_is_refused(data):
    chunk, _ = chunks_of(ENTRIES)[0]
    with pytest.raises(InvalidProof, match="is no list of entries"):
        read_chunk(chunk, data, {})


def test_a_list_of_chunks_has_one_form(small):
    chunks = [chunk for chunk, _ in chunks_of(ENTRIES)]
    with pytest.raises(InvalidProof, match="not in order"):
        join_root([chunks[1], chunks[0], *chunks[2:]])
    with pytest.raises(InvalidProof, match="overlap"):
        join_root([chunks[0], *chunks])
    with pytest.raises(InvalidProof, match="empty or too large"):
        join_root([msgspec.structs.replace(chunks[0], slot=EMPTY), *chunks[1:]])
    with pytest.raises(InvalidProof, match="empty or too large"):
        join_root([msgspec.structs.replace(chunks[0], slot=bytes(40)), *chunks[1:]])
    with pytest.raises(InvalidProof, match="stands alone"):
        join_root([StateChunk("ab", path_of(b"x") + bytes(32), 1, 20)])
    assert join_root(chunks[1:]) != join_root(chunks)


# ── a snapshot against a genesis ──────────────────────────────────────────────────────────────────


def contents(**fields):
    return Contents(msgspec.structs.replace(TOP, **fields), tuple(chunk for chunk, _ in chunks_of(ENTRIES)))


def test_sealed_contents_hold_and_their_twins_do_not():
    check_contents(contents(), CHAIN[-1].seal, GENESIS)
    with pytest.raises(InvalidProof, match="it is of chain"):
        check_contents(contents(), CHAIN[-1].seal, OTHER)
    with pytest.raises(InvalidProof, match="voting power 2 of 4"):
        check_contents(contents(), seal_of(TOP, (0, 1)), GENESIS)
    with pytest.raises(InvalidProof, match="the seal is for header"):
        check_contents(contents(gas_used=1), CHAIN[-1].seal, GENESIS)
    with pytest.raises(InvalidProof, match="its chunks give state root"):
        check_contents(Contents(TOP, contents().chunks[:-1]), CHAIN[-1].seal, GENESIS)
    with pytest.raises(InvalidProof, match="height 0"):
        check_contents(Contents(CHAIN[0].block.header, ()), CHAIN[-1].seal, GENESIS)


def test_blocks_hold_and_their_twins_do_not():
    ((chunk, data),) = list(pack_blocks(CHAIN[1:]))
    assert read_blocks(chunk, data, GENESIS) == tuple(CHAIN[1:])
    unsealed = msgspec.structs.replace(CHAIN[3], seal=None)
    bent = msgspec.structs.replace(CHAIN[3], receipts=(b"other",))
    for records, told in (
        ((*CHAIN[1:3], unsealed, *CHAIN[4:]), "block 3 has no seal"),
        ((*CHAIN[1:3], bent, *CHAIN[4:]), "block 3: the receipts root is"),
        ((*CHAIN[1:3], CHAIN[4], CHAIN[3], CHAIN[5]), "other blocks than 1 to 5"),
        (CHAIN[1:5], "other blocks than 1 to 5"),
    ):
        with pytest.raises(InvalidProof, match=told):
            read_blocks(chunk, codec.encode(tuple(records)), GENESIS)
    with pytest.raises(InvalidProof, match="are no blocks"):
        read_blocks(chunk, b"\xc0", GENESIS)
    with pytest.raises(InvalidProof, match="another chain"):
        read_blocks(chunk, data, OTHER)


# ── the file ──────────────────────────────────────────────────────────────────────────────────────


def test_a_file_gives_back_what_was_written(small, tmp_path):
    path = tmp_path / "a.snapshot"
    manifest = written(path)
    assert (manifest.height, manifest.first_block) == (5, 1)
    with SnapshotFile(path) as file:
        assert file.manifest == manifest
        check_manifest(file.manifest, GENESIS)
        chunks = manifest.contents.chunks
        found = [entry for index, chunk in enumerate(chunks) for entry in read_chunk(chunk, file.piece(index), {})]
        assert dict(found) == ENTRIES
        assert read_blocks(manifest.blocks[0], file.piece(len(chunks)), GENESIS) == tuple(CHAIN[1:])
    assert [each.name for each in tmp_path.iterdir()] == ["a.snapshot"]


def test_two_nodes_make_the_same_contents(small, tmp_path):
    entries = list(ENTRIES.items())
    one = make_snapshot(tmp_path / "one", GENESIS, TOP, CHAIN[-1].seal, entries)
    two = make_snapshot(tmp_path / "two", GENESIS, TOP, seal_of(TOP, (1, 2, 3)), reversed(entries), CHAIN[1:])
    assert one.contents.hash == two.contents.hash
    assert one.first_block is None


def read_piece(path, index):
    with SnapshotFile(path) as file:
        assert index is not None, "a flip outside the pieces was not found on opening"
        file.piece(index)


def test_every_flipped_byte_is_refused_and_told(small, tmp_path):
    """Whole file, one bit in each byte: found on opening, or by the piece that it lies in, which is named."""
    path = tmp_path / "a.snapshot"
    entries = dict(list(ENTRIES.items())[:20])
    record = chain(1, root_of(entries.items()))[1]
    manifest = make_snapshot(path, GENESIS, record.block.header, record.seal, entries.items(), [record])
    assert len(manifest.pieces) > 2
    whole = path.read_bytes()
    ends, offset = [], 12
    for piece in manifest.pieces:
        offset += piece.size_bytes
        ends.append(offset)
    descriptor = os.open(path, os.O_RDWR)
    for at in range(len(whole)):
        os.pwrite(descriptor, bytes([whole[at] ^ 1 << at % 8]), at)
        index = next((number for number, end in enumerate(ends) if 12 <= at < end), None)
        with pytest.raises((DataLost, OtherFormat)) as found:
            read_piece(path, index)
        os.pwrite(descriptor, whole[at : at + 1], at)
        told = str(found.value)
        if 12 <= at < offset:
            assert f"{ends[index] - 1}" in told
            assert "chunk" in told
        else:
            assert any(word in told for word in ("begin", "end", "manifest")), told
    os.close(descriptor)


def test_a_file_cut_short_or_lengthened_is_refused(tmp_path):
    path = tmp_path / "a.snapshot"
    written(path)
    whole = path.read_bytes()
    for data in (
        b"",
        whole[:5],
        whole[:12],
        whole[:100],
        whole[:-1],
        whole[1:],
        whole + b"\0",
        whole[:-60] + whole[-50:],
    ):
        path.write_bytes(data)
        with pytest.raises(DataLost, match="Take another copy"):
            SnapshotFile(path)


def test_a_later_format_is_told_apart(tmp_path, monkeypatch):
    path = tmp_path / "a.snapshot"
    monkeypatch.setattr(snapshot_file, "FORMAT_VERSION", 2)
    written(path)
    monkeypatch.setattr(snapshot_file, "FORMAT_VERSION", 1)
    with pytest.raises(OtherFormat, match="has format 2, this program reads 1"):
        SnapshotFile(path)


def test_nothing_is_replaced_and_nothing_half_made_stays(tmp_path):
    path = tmp_path / "a.snapshot"
    written(path)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        written(path)
    with pytest.raises(InvalidProof, match="this copy of the state is damaged"):
        make_snapshot(tmp_path / "b", GENESIS, TOP, CHAIN[-1].seal, [(b"key 1", b"wrong")])
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.snapshot"]


def test_a_writer_that_ends_early_leaves_nothing(tmp_path):
    with SnapshotWriter(tmp_path / "a") as writer:
        chunk, data = chunks_of(ENTRIES)[0]
        writer.add_state(chunk, data)
    assert list(tmp_path.iterdir()) == []


# ── names that are taken, and files of strangers ──────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", [snapshot_file.PART_SUFFIX, snapshot_maker.SPOOL_SUFFIX])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_half_written_file_of_the_name_is_told_and_not_touched(tmp_path, suffix, kind):
    """It may be another snapshot at work, or a link that was planted in a directory that others write to."""
    treasure = tmp_path / "treasure"
    treasure.write_bytes(b"mine")
    taken = tmp_path / ("a.snapshot" + suffix)
    taken.symlink_to(treasure) if kind == "link" else taken.write_bytes(b"mine")
    with pytest.raises(StorageError, match="is there already: another snapshot of this name is being made, or one was"):
        written(tmp_path / "a.snapshot")
    assert taken.read_bytes() == treasure.read_bytes() == b"mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([taken.name, "treasure"])
    taken.unlink()
    written(tmp_path / "a.snapshot")


def test_a_name_that_was_taken_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a"
    with SnapshotWriter(path) as writer:
        for chunk, data in chunks_of(ENTRIES):
            writer.add_state(chunk, data)
        path.symlink_to("nowhere")
        with pytest.raises(StorageError, match="exists already"):
            writer.finish(TOP, CHAIN[-1].seal)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_pipe_and_a_directory_are_no_snapshots(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(StorageError, match="it is no regular file"):
            SnapshotFile(tmp_path / name)
    with pytest.raises(StorageError, match="No such file"):
        SnapshotFile(tmp_path / "nothing")


def with_piece(path, index, size):
    """The same file, whole by all its checks, whose manifest claims another length for a piece."""
    manifest = written(path, CHAIN[1:])
    data = path.read_bytes()
    pieces = list(manifest.pieces)
    pieces[index] = msgspec.structs.replace(pieces[index], size_bytes=size)
    encoded = msgspec.structs.replace(manifest, pieces=tuple(pieces)).encode()
    offset = len(data) - snapshot_file._END_BYTES - len(manifest.encode())
    place = snapshot_file._END.pack(offset, len(encoded))
    check = snapshot_file._end_check(data[:12], encoded, place)
    path.write_bytes(data[:offset] + encoded + place + check + b"SETARORQ")


@pytest.mark.parametrize(("index", "told"), [(0, "chunk 0 of the state"), (-1, "the chunk of blocks 1 to 5")])
def test_a_piece_that_claims_to_be_huge_is_not_read(tmp_path, index, told):
    with_piece(tmp_path / "a", index, 1 << 30)
    with pytest.raises(DataLost, match=rf"{told}.* is said to have {1 << 30} bytes, \d+ is the most"):
        SnapshotFile(tmp_path / "a")


def test_a_chunk_that_is_long_for_its_entries_is_not_even_decoded(small):
    """Five bytes of an empty entry are twenty times as many once they are decoded."""
    chunk, data = chunks_of(ENTRIES)[3]
    empty = codec.encode(((b"", b""),) * (chunk.entry_bytes // 4))
    assert len(data) <= chunk.entry_bytes + 16 < len(empty)
    with pytest.raises(InvalidProof, match=r"bytes, .* is the most"):
        read_chunk(chunk, empty, {})


def test_many_small_blocks_with_large_seals_make_more_than_one_chunk(monkeypatch):
    monkeypatch.setattr(snapshot, "BLOCKS_CHUNK_BYTES", 2800)
    chunks = list(pack_blocks(CHAIN[1:]))
    assert [(chunk.first, chunk.last) for chunk, _ in chunks] == [(1, 2), (3, 4), (5, 5)]
    assert all(len(data) < 2 * 2800 for _, data in chunks)
