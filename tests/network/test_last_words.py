"""A process that a signal ended has left a note; the start after it reads what the disk may not give any more."""

import logging
import os
import signal
import subprocess
import sys

import pytest

from ledger.errors import StorageError
from ledger.files import open_regular
from ledger.state import State
from ledger.store import BlockStore, marker_path
from network import last_words
from scripts.paper_node import PaperNode

DYING = """
import mmap, os, sys
from pathlib import Path
from network import last_words
from network.paths import NodePaths
root = Path(sys.argv[1])
last_words.leave(NodePaths(root))
with (root / "table").open("w+b") as file:
    file.truncate(8192)
    table = mmap.mmap(file.fileno(), 8192)
    file.truncate(0)  # to a reader of the map, a sector that the disk does not give
    if sys.argv[2] == "reads":
        table[5000]
"""


def process(directory, what):
    """One life of a process: how it ended."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", DYING, str(directory), what], check=False, env=environment).returncode


@pytest.fixture
def node(tmp_path):
    """What a stopped node has: tables of blocks and of state."""
    made = PaperNode(tmp_path / "node")
    for _ in range(5):
        made.block([made.transfer()])
    for _ in range(2):
        made.close()
        made.reopen()  # by this LevelDB makes tables of its logs
    made.close()
    assert any(made.paths.blocks.glob("*.ldb"))
    assert any(made.paths.state.glob("*.ldb"))
    return made


def test_a_bus_error_is_named_by_the_next_start_and_what_can_be_read_stays(node, caplog):
    assert process(node.directory, "reads") == -signal.SIGBUS
    last_words.answer(node.paths)
    assert "ended by the machine: Fatal Python error: Bus error" in caplog.text
    assert "every table is read as a plain file first" in caplog.text
    assert not list(node.directory.glob("*.damaged-*"))


def test_what_the_disk_does_not_give_is_set_aside_and_made_again_by_others(node, caplog, monkeypatch):
    process(node.directory, "reads")
    bad = {sorted(path.glob("*.ldb"))[0] for path in (node.paths.blocks, node.paths.state)}

    def opened(path):
        if path in bad:
            raise OSError(5, os.strerror(5))
        return open_regular(path)

    monkeypatch.setattr("ledger.database.open_regular", opened)
    last_words.answer(node.paths)
    for table, whence in zip(sorted(bad), ("fetched from peers", "made again from the blocks"), strict=True):
        assert f"the table {table} cannot be read: Input/output error; {table.parent.name} is kept as" in caplog.text
        assert f"and is {whence}. Replace the disk" in caplog.text
    store = BlockStore(node.paths.blocks)
    assert (store.height, len(store.lost_heights)) == (-1, node.store.height + 1)  # it knows what it has to fetch
    store.close()
    assert marker_path(node.paths.blocks).exists()
    state = State.open(node.paths.state)
    assert state.height == -1
    state.close()


def test_a_child_that_a_bus_error_ended_is_not_started_on_the_same_tables(node, caplog, monkeypatch):
    """The executor dies alone: the validator that watches it sets the state aside, and it is made again."""
    last_words.answer_child(-signal.SIGKILL, node.paths.state)
    last_words.answer_child(-signal.SIGBUS, node.paths.state)
    assert node.paths.state.exists()  # the disk gives all of it

    def opened(path):
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr("ledger.database.open_regular", opened)
    last_words.answer_child(-signal.SIGKILL, node.paths.state)
    assert node.paths.state.exists()
    last_words.answer_child(-signal.SIGBUS, node.paths.state)
    assert not node.paths.state.exists()
    assert "state is kept as" in caplog.text


def test_a_process_that_ends_by_itself_leaves_nothing_to_be_answered(node, caplog, monkeypatch):
    caplog.set_level(logging.INFO)

    def never(_):
        raise StorageError("not without need: it takes minutes")

    monkeypatch.setattr(last_words, "read_tables", never)
    last_words.answer(node.paths)
    assert process(node.directory, "ends") == 0
    last_words.answer(node.paths)
    node.paths.last_words.write_bytes(b"Fatal Python error: Segmentation fault\n\nThread 0x1:\n")
    assert not caplog.text
    last_words.answer(node.paths)
    assert "Segmentation fault" in caplog.text  # which is no word about the disk
    assert not list(node.directory.glob("*.damaged-*"))


def test_the_next_note_takes_the_place_of_the_last_one(node):
    process(node.directory, "reads")
    kept = node.paths.last_words.read_bytes()
    assert process(node.directory, "ends") == 0
    assert node.paths.last_words.read_bytes() == b""
    assert node.paths.last_words.with_name("last-words.1").read_bytes() == kept
