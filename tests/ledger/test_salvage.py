"""A block store that met damage: noted beside it, made anew at the next start, whenever the process dies meanwhile."""

from pathlib import Path

import plyvel
import pytest

from ledger import salvage as module
from ledger.errors import DataLost
from ledger.salvage import salvage
from ledger.store import BlockStore, damage_path, marker_path
from scripts.paper_node import PaperNode

BLOCKS = 8


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    node = PaperNode(tmp_path_factory.mktemp("paper") / "node")
    for _ in range(BLOCKS - 2):
        node.block([node.transfer()])
    node.close()
    store = BlockStore(node.paths.blocks)
    found = [store.record(height) for height in range(BLOCKS + 1)]
    store.close()
    return found


@pytest.fixture
def path(tmp_path, records):
    """A store whose block 5 is damaged, which nobody has noticed yet."""
    path = tmp_path / "blocks"
    store = BlockStore(path)
    for record in records:
        store.put(record)
    store.sync()
    store.close()
    database = plyvel.DB(str(path))
    key = b"b" + (5).to_bytes(8, "big")
    data = database.get(key)
    database.put(key, data[:200] + bytes([data[200] ^ 4]) + data[201:])
    database.close()
    return path


def meet(path):
    """A read that meets the damage, as of a peer that asks for the block."""
    store = BlockStore(path)
    assert (store.height, store.lost_heights, store.damage) == (BLOCKS, range(BLOCKS + 1, BLOCKS + 1), "")
    with pytest.raises(DataLost, match=r"the transactions of block 5 in .* are damaged"):
        store.record(5)
    assert "block 5" in store.damage
    store.close()


def expect_mended(path, records):
    """Up to the damage it is whole, what is missing is known, and once that is there all is."""
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (4, range(5, BLOCKS + 1))
    for record in records[5:]:
        store.put(record)
    assert [store.record(height) for height in range(BLOCKS + 1)] == records
    assert (store.sealed_height, store.damage) == (BLOCKS, "")
    store.close()
    assert not damage_path(path).exists()


def test_without_a_note_nothing_is_touched(path):
    before = sorted(file.name for file in path.parent.iterdir())
    assert salvage(path) is None
    assert sorted(file.name for file in path.parent.iterdir()) == before


def test_what_is_whole_is_kept_and_the_rest_is_known_to_be_missing(path, records):
    meet(path)
    assert "block 5" in damage_path(path).read_text()
    done = salvage(path)
    assert (done.height, done.aside) == (4, path.with_name("blocks.damaged-1"))
    assert "transactions of block 5" in done.because
    assert done.aside.is_dir()
    assert salvage(path) is None
    expect_mended(path, records)


def test_a_lost_tail_alone_is_no_reason_to_make_it_anew(path, records):
    for log in path.glob("*.log"):
        log.write_bytes(log.read_bytes()[:-10])
    store = BlockStore(path)
    store.close()
    assert not damage_path(path).exists()


class Dead(BaseException):
    """The process is killed."""


@pytest.mark.parametrize("step", range(1, 10))
def test_killed_at_any_step_it_ends_the_same(path, records, monkeypatch, step):
    meet(path)
    with monkeypatch.context() as patch:
        count = kill_at(patch, step)
        with pytest.raises(Dead):
            salvage(path)
        assert count() >= step
    salvage(path)
    expect_mended(path, records)


def kill_at(patch, step):
    """The process dies in place of the `step`th change to the directory."""
    count = 0

    def dying(owner, name):
        real = getattr(owner, name)

        def do(*words, **options):
            nonlocal count
            count += 1
            if count == step:
                raise Dead
            return real(*words, **options)

        patch.setattr(owner, name, do)

    for owner, name in (
        (module, "sync_directory"),
        (Path, "rename"),
        (Path, "unlink"),
        (BlockStore, "put"),
        (BlockStore, "sync"),
    ):
        dying(owner, name)
    return lambda: count


def test_a_store_that_cannot_be_opened_any_more_is_put_aside(path, records):
    meet(path)
    (path / "CURRENT").unlink()
    assert salvage(path).height == -1
    store = BlockStore(path)
    assert (store.height, store.lost_heights) == (-1, range(BLOCKS + 1))
    store.close()
    assert marker_path(path).exists()
