"""Backups: a node in one file and a node out of one, whole or not at all; and what its validator may do then."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from consensus import Replica, Tip, Turn, events, memory_heights
from consensus.actions import Broadcast
from consensus.messages import open_envelope
from contracts.engine import Engine, HeightUnavailable
from ledger import codec
from ledger.crypto import verify
from ledger.errors import DataLost, GenesisError, InvalidProof, StorageError
from ledger.journal import Journal
from ledger.salvage import salvage
from ledger.snapshot_file import SnapshotFile
from ledger.state import State
from ledger.store import BlockStore, damage_path, marker_path
from ledger.types import Genesis
from network.cli import main
from network.driver import split_journal
from network.paths import NodePaths
from network.snapshots.landing import Landing, first_block
from network.snapshots.restore import restore, verify_snapshot
from network.snapshots.sources import NotReady, from_stopped
from network.snapshots.switching import READY, RESTORING, finish_switch
from scripts.paper_node import PaperNode

BLOCKS = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A stopped node, its genesis file, and its backup. Nobody writes to them."""
    directory = tmp_path_factory.mktemp("snapshots")
    node = PaperNode(directory / "node")
    for _ in range(3, BLOCKS):
        node.block([node.transfer() for _ in range(3)])
    node.block([node.transfer()])
    node.block([node.transfer()], sealed=False)
    node.close()
    (node.directory / "genesis.json").write_bytes(node.genesis.encode())  # not as JSON: its certificates are none
    node.backup = directory / "backup"
    node.manifest = from_stopped(node.directory, node.genesis, node.backup)
    return node


@pytest.fixture(autouse=True)
def genesis_files(monkeypatch):
    """Genesis files hold the canonical bytes here: a paper node's has no certificates that JSON could carry."""
    monkeypatch.setattr("ledger.genesis.load_genesis", lambda path: codec.decode(path.read_bytes(), Genesis))


def entries_of(data, height):
    state = State.open(NodePaths(data).state)
    try:
        return list(state.walk(height)), state.root_at(height)
    finally:
        state.close()


def blocks_of(data):
    store = BlockStore(NodePaths(data).blocks)
    try:
        return [store.record(height) for height in range(store.sealed_height + 1)]
    finally:
        store.close()


# ── there and back ────────────────────────────────────────────────────────────────────────────────


def test_a_backup_is_of_the_last_sealed_block(whole):
    assert (whole.manifest.height, whole.manifest.first_block) == (BLOCKS, 1)
    assert verify_snapshot(whole.backup, whole.genesis) == whole.manifest


def test_a_restored_node_has_the_same_blocks_and_state(whole, tmp_path):
    restored = restore(whole.backup, tmp_path, whole.genesis)
    assert (restored.height, restored.first_block, restored.journal) == (BLOCKS, 1, "none")
    assert entries_of(tmp_path, BLOCKS) == entries_of(whole.directory, BLOCKS)
    assert blocks_of(tmp_path) == blocks_of(whole.directory)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["blocks", "blocks.mark", "state"]


def test_a_restored_state_goes_on_and_refuses_replays(whole, tmp_path):
    """The next block runs as it would have run; what ran before does not run again; heights below cannot be read."""
    restore(whole.backup, tmp_path, whole.genesis)
    store, state = BlockStore(NodePaths(tmp_path).blocks), State.open(NodePaths(tmp_path).state)
    try:
        engine = Engine(state, whole.genesis)
        genesis_root = engine.initialise()
        assert genesis_root == store.header(0).state_root
        assert (engine.height, engine.sealed_height) == (BLOCKS, BLOCKS)
        old = store.record(BLOCKS - 5).bodies
        outcome = engine.execute(BLOCKS + 1, 10**13, [*old, whole.transfer()])
        assert outcome.executed == (len(old),)
        with pytest.raises(HeightUnavailable, match=f"{BLOCKS} to {BLOCKS} can"):
            engine.state_value("token", b"\x91\xa6supply", BLOCKS - 1)
        with pytest.raises(HeightUnavailable):
            engine.execute(BLOCKS, 10**13, [])
    finally:
        state.close()
        store.close()


def test_a_node_needs_a_validity_window_of_blocks(whole):
    parameters = whole.genesis.parameters
    assert first_block(10, whole.genesis) == 1
    assert first_block(50_000, whole.genesis) == 50_001 - parameters.validity_window
    assert parameters.validity_window > memory_heights(parameters.window)


def test_a_store_with_a_gap_knows_what_never_was_there(whole, tmp_path):
    records = blocks_of(whole.directory)
    store = BlockStore(tmp_path / "blocks")
    store.put(records[0])
    store.skip_to(10)
    with pytest.raises(StorageError, match="cannot be stored, the next height is 10"):
        store.put(records[1])
    for record in records[10:]:
        store.put(record)
    with pytest.raises(StorageError, match="cannot begin at 3 any more"):
        store.skip_to(3)
    store.sync()
    store.close()
    store = BlockStore(tmp_path / "blocks")
    assert (store.first_height, store.height, store.sealed_height) == (10, BLOCKS, BLOCKS)
    assert list(store.lost_heights) == []
    assert [height for height in range(BLOCKS + 1) if store.record(height)] == [0, *range(10, BLOCKS + 1)]
    assert store.header(5) is None
    with pytest.raises(StorageError, match="cannot keep the blocks up to 5"):
        store.truncate_after(5)
    store.close()


def test_a_store_with_a_gap_is_made_anew_with_its_gap(whole, tmp_path):
    records = blocks_of(whole.directory)
    store = BlockStore(tmp_path / "blocks")
    store.put(records[0])
    store.skip_to(10)
    for record in records[10:]:
        store.put(record)
    store.sync()
    store.close()
    damage_path(tmp_path / "blocks").write_text("as a read would note it")
    assert salvage(tmp_path / "blocks").height == BLOCKS
    store = BlockStore(tmp_path / "blocks")
    assert (store.first_height, store.height) == (10, BLOCKS)
    assert [store.record(height) for height in range(10, BLOCKS + 1)] == records[10:]
    store.close()


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


def test_a_new_node_has_nothing_to_back_up(tmp_path):
    node = PaperNode(tmp_path / "node")
    node.close()
    for part in (node.paths.blocks, node.paths.state):
        shutil.rmtree(part)
    with pytest.raises(NotReady, match="has never run"):
        from_stopped(node.directory, node.genesis, tmp_path / "backup")


def test_a_directory_with_blocks_is_not_restored_into(whole, tmp_path):
    shutil.copytree(whole.directory, tmp_path / "node")
    before = blocks_of(tmp_path / "node")
    with pytest.raises(StorageError, match="is there already: a restore replaces nothing"):
        restore(whole.backup, tmp_path / "node", whole.genesis)
    assert blocks_of(tmp_path / "node") == before


def test_another_chains_genesis_is_refused(whole, tmp_path):
    other = PaperNode(tmp_path / "other", accounts=3)
    other.close()
    (tmp_path / "data").mkdir()
    with pytest.raises(GenesisError, match="give the right one with --genesis"):
        restore(whole.backup, tmp_path / "data", other.genesis)
    (tmp_path / "data" / "genesis.json").write_bytes(other.genesis.encode())
    with pytest.raises(GenesisError, match="the genesis of another chain"):
        restore(whole.backup, tmp_path / "data", whole.genesis)
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["genesis.json"]


def test_a_flipped_bit_stops_a_restore_and_nothing_is_put_in_place(whole, tmp_path):
    """In the head, each piece, the manifest and the end; what is wrong is named, and a whole file then does it."""
    bad, data = tmp_path / "bad", tmp_path / "data"
    data.mkdir()
    content = whole.backup.read_bytes()
    state, blocks = 40, 12 + whole.manifest.pieces[0].size_bytes + 40
    for at, told in (
        (3, "does not begin as a snapshot does"),
        (state, "chunk 0 of the state .* is damaged, at bytes 12 to"),
        (blocks, f"the chunk of blocks 1 to {BLOCKS} is damaged"),
        (len(content) - 200, "manifest"),
        (len(content) - 20, "end"),
        (len(content) - 2, "does not end as a snapshot does"),
    ):
        flipped = bytearray(content)
        flipped[at] ^= 0x10
        bad.write_bytes(flipped)
        with pytest.raises(DataLost, match=told):
            restore(bad, data, whole.genesis)
        with pytest.raises(DataLost, match=told):
            verify_snapshot(bad, whole.genesis)
        assert not (data / "blocks").exists()
        assert not (data / "state").exists()
    restore(whole.backup, data, whole.genesis)
    assert blocks_of(data) == blocks_of(whole.directory)


def test_a_snapshot_without_blocks_is_no_backup(whole, tmp_path):
    from ledger.snapshot_maker import make_snapshot

    entries, _ = entries_of(whole.directory, BLOCKS)
    header, seal = whole.manifest.contents.header, whole.manifest.seal
    make_snapshot(tmp_path / "kept", whole.genesis, header, seal, entries)
    (tmp_path / "data").mkdir()
    with pytest.raises(StorageError, match=f"holds no blocks, a node of its height {BLOCKS} needs them from 1 on"):
        restore(tmp_path / "kept", tmp_path / "data", whole.genesis)
    verify_snapshot(tmp_path / "kept", whole.genesis)


def test_blocks_that_do_not_lead_to_the_state_are_refused(whole, tmp_path):
    """A file that was made with care and lies: its blocks are sealed, and they are not those below its state."""
    landing = Landing(tmp_path, RESTORING, whole.genesis)
    landing.directory.mkdir()
    records = blocks_of(whole.directory)[1:]
    with SnapshotFile(whole.backup) as file:
        for given, told in (
            (records[:-1], f"do not lead to the header of height {BLOCKS}"),
            ([*records[:5], *records[6:]], "the height is 7, expected 6"),
        ):
            with pytest.raises((InvalidProof, StorageError), match=told):
                landing.build(whole.manifest.contents, file.piece, lambda _, given=given: given)


# ── killed at any point ───────────────────────────────────────────────────────────────────────────


def child(backup, data, genesis, pause_after):
    """A restore in another process that stops, and says so, after so many steps that it shows."""
    script = f"""
import sys, time
from pathlib import Path
from ledger import codec
from ledger.types import Genesis
from network.snapshots import landing, restore
shown = 0
def show(_line):
    global shown
    shown += 1
    if shown == {pause_after}:
        print("here", flush=True); time.sleep(60)
genesis = codec.decode(Path({str(genesis)!r}).read_bytes(), Genesis)
restore.restore(Path({str(backup)!r}), Path({str(data)!r}), genesis, show)
"""
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_restore_that_is_killed_is_done_again(whole, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    process = child(whole.backup, data, whole.directory / "genesis.json", 1)
    assert process.stdout.readline() == "here\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (data / RESTORING).exists()
    assert not (data / "blocks").exists()
    with pytest.raises(StorageError, match="run `quorate restore` again, or delete"):
        finish_switch(data)
    restore(whole.backup, data, whole.genesis)
    assert entries_of(data, BLOCKS) == entries_of(whole.directory, BLOCKS)
    assert not (data / RESTORING).exists()


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("moment", range(11))
def test_a_switch_that_dies_between_any_two_steps_is_finished_by_the_next_start(whole, tmp_path, monkeypatch, moment):
    """Each step is a rename, a flush or a removal: dying before the n-th of them leaves a start that does the rest."""
    import network.snapshots.switching as module

    data = tmp_path / "data"
    data.mkdir()
    steps = 0

    def counted(function):
        def step(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps > moment:
                raise Killed
            return function(*args, **kwargs)

        return step

    landing = Landing(data, RESTORING, whole.genesis)
    landing.directory.mkdir()
    with SnapshotFile(whole.backup) as file:
        records = blocks_of(whole.directory)[1:]
        landing.build(whole.manifest.contents, file.piece, lambda first: records[first - 1 :])
    with monkeypatch.context() as patched:
        patched.setattr(module, "sync_directory", counted(module.sync_directory))
        patched.setattr(module.shutil, "rmtree", counted(shutil.rmtree))
        patched.setattr(module.Path, "rename", counted(module.Path.rename))
        patched.setattr(module.Path, "unlink", counted(module.Path.unlink))
        with contextlib.suppress(Killed):
            landing.switch()
            assert moment == 10, "that many steps there are"
    if (data / RESTORING / READY).exists():
        assert finish_switch(data)
    elif (data / RESTORING).exists():
        assert not (data / "state").exists()
        restore(whole.backup, data, whole.genesis)  # it was never ready
    assert not finish_switch(data)
    assert sorted(each.name for each in data.iterdir()) == ["blocks", "blocks.mark", "state"]
    assert entries_of(data, BLOCKS) == entries_of(whole.directory, BLOCKS)


def test_a_marker_that_outlived_its_blocks_goes_on_telling_what_was_lost(whole, tmp_path):
    node = PaperNode(tmp_path / "node")
    for _ in range(3, BLOCKS + 6):
        node.block([])
    node.close()
    for part in (node.paths.blocks, node.paths.state):
        shutil.rmtree(part)
    restore(whole.backup, node.directory, whole.genesis)
    store = BlockStore(node.paths.blocks)
    assert (store.height, list(store.lost_heights)) == (BLOCKS, list(range(BLOCKS + 1, BLOCKS + 6)))
    store.close()
    assert marker_path(node.paths.blocks).exists()


# ── a restored validator ──────────────────────────────────────────────────────────────────────────


def restored_replica(node, data, member=0):
    """The replica that a node would make of a data directory."""
    paths = NodePaths(data)
    store = BlockStore(paths.blocks)
    journal, records = Journal.open(paths.journal)
    journal.close()
    record = store.record(store.sealed_height)
    headers = [store.header(height) for height in range(1, store.sealed_height + 1)]
    header = record.block.header
    store.close()
    turns = tuple(Turn(each.batch_view, each.batch_proposer, each.batch_since) for each in headers)
    return Replica(
        member=member,
        chain_id=node.genesis.chain_id,
        validators=node.genesis.validators,
        parameters=node.genesis.parameters,
        sign=node.keys[member].sign,
        verify=verify,
        tip=Tip(header.height, header.hash, header.time_ms, record.seal, turns),
        journal=split_journal(records)[1],
    )


def signed_by(replica):
    """The kinds of message that it sends when it starts, and when it is told to propose."""
    kinds = []
    for event in (
        events.Start(1, 77),
        events.RequestsWaiting(True, 2),
        events.BatchReady(BLOCKS + 1, 0, (), 10**13, 3),
        events.Executed(BLOCKS + 1, bytes(32), 4),
    ):
        for action in replica.step(event):
            if isinstance(action, Broadcast):
                kinds.append(open_envelope(action.data)[0].kind)
    return kinds


@pytest.mark.parametrize("found", ["none", "blank"])
def test_a_restored_validator_is_silent_until_the_others_have_answered(whole, tmp_path, found):
    if found == "blank":
        journal, _ = Journal.open(NodePaths(tmp_path).journal)
        journal.close()
    assert restore(whole.backup, tmp_path, whole.genesis).journal == found
    replica = restored_replica(whole, tmp_path)
    assert set(signed_by(replica)) <= {"status"}
    assert "its vote journal was lost or set back" in replica.silence
    assert replica.silent


def test_a_journal_that_shows_votes_is_kept_and_asks_before_it_votes(whole, tmp_path):
    shutil.copy(whole.paths.journal, NodePaths(tmp_path).journal)
    before = NodePaths(tmp_path).journal.read_bytes()
    assert restore(whole.backup, tmp_path, whole.genesis).journal == "held"
    assert NodePaths(tmp_path).journal.read_bytes() == before
    replica = restored_replica(whole, tmp_path)
    assert set(signed_by(replica)) <= {"status"}
    assert "asking the others" in replica.silence


def test_the_journal_of_a_new_key_is_set_aside(whole, tmp_path):
    """`quorate init` begins a journal that says "signed nothing": true of its key, not of one that is copied in."""
    node = PaperNode(tmp_path / "new")
    node.close()
    node.paths.journal.unlink()
    from network.member import _begin_journal

    _begin_journal(node.paths.journal)
    for part in (node.paths.blocks, node.paths.state):
        shutil.rmtree(part)
    assert restore(whole.backup, node.directory, whole.genesis).journal == "blank"
    assert not node.paths.journal.exists()
    assert node.paths.journal.with_name("votes.journal.blank-1").exists()


# ── the commands ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def quorate(monkeypatch, capsys):
    def type_it(*words):
        monkeypatch.setattr(sys, "argv", ["quorate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return type_it


def test_the_commands_back_up_verify_and_restore(whole, tmp_path, quorate):
    shutil.copytree(whole.directory, tmp_path / "node")
    code, out, _ = quorate("snapshot", "--data", tmp_path / "node", tmp_path / "b", "--json")
    found = json.loads(out)
    assert (code, found["height"], found["first_block"]) == (0, BLOCKS, 1)
    genesis = whole.directory / "genesis.json"
    code, out, _ = quorate("restore", tmp_path / "b", "--genesis", genesis, "--verify")
    assert code == 0
    assert f"the state after block {BLOCKS}" in out
    (tmp_path / "data").mkdir()
    code, out, _ = quorate("restore", tmp_path / "b", "--data", tmp_path / "data", "--genesis", genesis)
    assert code == 0
    assert "There was no votes.journal there" in out
    assert "stay silent" in out
    assert blocks_of(tmp_path / "data") == blocks_of(whole.directory)


def test_mistakes_get_one_line_of_advice(whole, tmp_path, quorate):
    genesis = whole.directory / "genesis.json"
    for words, told in (
        (("snapshot", "--data", tmp_path, tmp_path / "b", "--genesis", genesis), "has never run"),
        (("snapshot", "--data", whole.directory, whole.backup), "exists already: a snapshot never replaces"),
        (("snapshot", "--data", whole.directory, tmp_path / "no" / "b"), "is no directory: make it first"),
        (("restore", whole.backup, "--genesis", genesis), "say where to: --data DIR, or --verify"),
        (("restore", whole.backup, "--verify"), "no genesis to check against"),
        (("restore", genesis, "--genesis", genesis, "--verify"), "another kind of file, or damaged"),
        (("restore", tmp_path / "none", "--genesis", genesis, "--verify"), "No such file"),
        (("restore", whole.backup, "--data", tmp_path / "no", "--genesis", genesis), "make one with `quorate init`"),
        (("restore", whole.backup, "--data", whole.directory), "a restore replaces nothing"),
    ):
        code, out, err = quorate(*words)
        assert (code, out) == (1, ""), (words, out, err)
        assert told in " ".join(err.split()), (words, err)
