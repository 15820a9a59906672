"""Four real nodes; the disk of one spoils a table of blocks and a value of the state. It finds and mends both."""

import hashlib

import plyvel
import pytest

from contracts import examples
from ledger.genesis import load_genesis
from ledger.scrub import check_height
from ledger.store import BlockStore, damage_path
from network.paths import NodePaths


def tear(path, raw):
    """Flip a bit of a transaction within LevelDB's own table, as a disk does."""
    database = plyvel.DB(str(path))
    database.compact_range()
    database.close()
    for table in path.glob("*.ldb"):
        data = bytearray(table.read_bytes())
        at = data.find(raw[-40:])
        if at >= 0:
            data[at] ^= 1
            table.write_bytes(data)
            return
    pytest.fail("the transaction lies in no table")


def bend_a_value(path):
    """Another value where the tree names one, with LevelDB's own checksums whole: only a hash tells."""
    database = plyvel.DB(str(path))
    key = next(key for key, _ in database.iterator(prefix=b"rv") if b"registry" in key)
    database.put(key, database.get(key) + b"\x00")
    database.close()


@pytest.mark.timeout(120)
def test_a_node_whose_disk_spoiled_old_blocks_and_state_mends_itself_while_it_runs(
    network, client_of, status_of, until
):
    network.start()
    network.wait_ready()
    victim, *others = network.nodes
    genesis = load_genesis(network.genesis_path)
    paths = NodePaths(victim.directory)
    with client_of(others) as client:
        client.deploy("registry", examples.source("registry"))
        for number in range(6):
            assert client.call("registry", "register", hashlib.sha256(b"%d" % number).hexdigest(), "x").ok
        height = client.status()["sealed_height"]
        until(lambda: status_of(victim)["sealed_height"] >= height, "the first to follow")
        victim.stop()
        store = BlockStore(paths.blocks)
        raw = next(record for at in (3, 4, 5) if (record := store.record(at)).bodies).bodies[0]
        store.close()
        tear(paths.blocks, raw)
        bend_a_value(paths.state)

        victim.start()
        network.wait_ready([victim])
        until((paths.root / "blocks.damaged-1").exists, "its store to be made anew")
        until(lambda: "MENDED: the value of the state" in victim.log_tail(10_000), "its state to be made again")
        log = victim.log_tail(10_000)
        assert "is whole again, from" in log
        assert "this validator begins again, with a new block store" in log
        assert "HALTED" not in log
        until(lambda: victim.is_ready() and status_of(victim)["scrub"]["passes"] >= 1, "another pass")
        assert status_of(victim)["scrub"]["problems"] == []
        assert client.call("registry", "register", "ff" * 32, "after").ok
        top = client.status()["sealed_height"]
        until(lambda: status_of(victim)["sealed_height"] >= top, "it to follow again")
        until(lambda: status_of(victim)["executor"]["height"] >= top, "its executor to be level")
        victim.stop()
    store = BlockStore(paths.blocks)
    try:
        assert [check_height(store, genesis, at).fault for at in range(store.sealed_height + 1)] == [None] * (
            store.sealed_height + 1
        )
        assert store.sealed_height >= top
        assert not damage_path(paths.blocks).exists()
    finally:
        store.close()
