"""Dying while a snapshot is put in place: what lies there then is the old state or the new one, and never half."""

import os
import resource
import shutil

import pytest

from ledger import snapshot_maker, snapshot_tree
from ledger.errors import DiskFull
from ledger.snapshot_file import SnapshotFile
from ledger.snapshot_maker import make_snapshot
from ledger.state import State
from ledger.store import BlockStore
from network.paths import NodePaths
from network.snapshots.joining import JOINING
from network.snapshots.landing import Landing
from network.snapshots.switching import READY, finish_switch
from scripts.paper_node import PaperNode

OLD, NEW = 6, 14  # heights
CHANGES = ("mkdir", "rename", "replace", "unlink", "rmdir", "write", "pwrite", "fsync", "fdatasync")
PARTS = ("state", "blocks", "blocks.mark")


class Dead(BaseException):
    """The process ended."""


class Fuse:
    """Ends the process in the place of its `left`th change to a file; from then on it changes nothing any more.

    LevelDB's own writes are not seen here: they are killed by `scripts.storage_faults`, with a system call each.
    """

    def __init__(self, monkeypatch, left):
        self.left = left
        for name in CHANGES:
            monkeypatch.setattr(os, name, self.burning(name, getattr(os, name)))

    def burning(self, name, real):
        def change(*words, **options):
            self.left -= 1
            if self.left > 0:
                return real(*words, **options)
            if self.left == 0:
                raise Dead(name)
            return len(words[1]) if name in ("write", "pwrite") else None

        return change


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A node at the old height and again at the new one, and a snapshot of the latter in several chunks."""
    before, size = snapshot_tree.CHUNK_BYTES, 6000
    snapshot_tree.CHUNK_BYTES = snapshot_maker.CHUNK_BYTES = size
    folder = tmp_path_factory.mktemp("landing")
    node = PaperNode(folder / "node", accounts=40)
    for height in range(node.store.height + 1, NEW + 1):
        node.block([node.transfer() for _ in range(3)])
        if height == OLD:
            node.close()
            shutil.copytree(folder / "node", folder / "old")
            node.reopen()
    node.records = [node.store.record(height) for height in range(NEW + 1)]
    node.entries = {height: list(node.state.walk(height)) for height in (OLD, NEW)}
    node.close()
    top = node.records[NEW]
    make_snapshot(folder / "snapshot", node.genesis, top.block.header, top.seal, node.entries[NEW])
    node.file = SnapshotFile(folder / "snapshot")
    assert len(node.file.manifest.contents.chunks) > 2
    node.old = folder / "old"
    yield node
    node.file.close()
    snapshot_tree.CHUNK_BYTES = snapshot_maker.CHUNK_BYTES = before


def land(source, data):
    """What a join does with what it has fetched."""
    landing = Landing(data, JOINING, source.genesis)
    landing.directory.mkdir(exist_ok=True)
    landing.build(source.file.manifest.contents, source.file.piece, lambda first: source.records[first:])
    landing.switch()


def entries_in(data):
    if not NodePaths(data).state.exists():
        return None
    state = State.open(NodePaths(data).state)
    try:
        return list(state.walk(state.height))
    finally:
        state.close()


def records_in(data):
    if not NodePaths(data).blocks.exists():
        return []
    store = BlockStore(NodePaths(data).blocks)
    try:
        assert not store.lost_heights
        return [store.record(height) for height in range(store.height + 1)]
    finally:
        store.close()


def is_old_or_new(source, data, before):
    """Whether it is new already; it is asserted to be one of the two, down to the last entry."""
    entries, records = entries_in(data), records_in(data)
    assert records == source.records[: len(records)]  # a node with blocks of its own appends to them, one by one
    if entries == source.entries[NEW]:
        assert len(records) == NEW + 1
        return True
    assert entries == before
    assert len(records) >= (OLD + 1 if before else 0)
    return False


@pytest.mark.parametrize("kind", ["an empty node", "a node that is behind"])
def test_60_crash_in_the_middle_of_installing_a_snapshot_leaves_the_old_state_or_the_new(
    source, memory_path, monkeypatch, kind
):
    """It dies at every change that it makes to a file, its next start tidies up, and the snapshot is installed again.

    Source: CometBFT's fail points.
    """
    before = None if kind == "an empty node" else source.entries[OLD]
    outcomes = []
    for place in range(1, 1000):
        data = memory_path / str(place)
        data.mkdir()
        if before:
            for part in PARTS:
                whole = source.old / part
                (shutil.copytree if whole.is_dir() else shutil.copy)(whole, data / part)
        with monkeypatch.context() as patch:
            Fuse(patch, place)
            try:
                land(source, data)
            except Dead:
                died = True
            else:
                died = False
        if not died:
            break
        was_ready = (data / JOINING / READY).exists()
        moved = finish_switch(data)
        assert moved is was_ready
        outcomes.append(is_old_or_new(source, data, before))
        begun = (data / JOINING).exists()  # by this the next start knows that there is a join to go on with
        assert begun is (place > 1 and not outcomes[-1])
        land(source, data)
        assert is_old_or_new(source, data, before)
        assert sorted(path.name for path in data.iterdir()) == ["blocks", "blocks.mark", "state"]
        shutil.rmtree(data)
    assert is_old_or_new(source, data, before)
    assert len(outcomes) > 30
    assert outcomes == sorted(outcomes)  # old up to one moment, new from there on
    assert set(outcomes) == {False, True}


# ── 75 ────────────────────────────────────────────────────────────────────────────────────────────


def test_75_full_disk_under_a_snapshot_leaves_nothing_half_made_and_says_so(source, memory_path):
    """The file may have so many bytes and no more, wherever that ends it: in the spool, a chunk, or the manifest."""
    top, whole = source.records[NEW], source.file.path.stat().st_size
    path, before = memory_path / "made", resource.getrlimit(resource.RLIMIT_FSIZE)
    for left in (100, whole // 3, whole // 2, whole - 10):
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
        try:
            with pytest.raises(DiskFull, match=r"cannot write .*made.*: (File too large|no room on the disk)"):
                make_snapshot(path, source.genesis, top.block.header, top.seal, source.entries[NEW])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(memory_path.iterdir()) == []
    make_snapshot(path, source.genesis, top.block.header, top.seal, source.entries[NEW])
    assert path.read_bytes() == source.file.path.read_bytes()
