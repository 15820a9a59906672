"""Four real nodes: one joins late by a snapshot of the others, and later comes back from a backup without its votes."""

import hashlib
import json
import shutil
import signal
import sys
from pathlib import Path

import pytest

from contracts import examples
from ledger.genesis import load_genesis
from ledger.scrub import check_height
from ledger.store import BlockStore
from network.cli import main
from network.snapshots.joining import last_join
from network.snapshots.keeper import kept_snapshots

EVERY, BEHIND = 20, 16
DYING = Path(__file__).with_name("dying_node.py")
PLACES_TO_DIE = (  # in the order in which a join comes to them: what lies there after one is what the next goes on from
    ("fetched", 1),
    ("fetched", 2),
    ("fetched", 2),
    ("built", 1),
    ("ready", 1),
    ("moved", 1),
    ("moved", 2),
    ("done", 1),
    ("cleared", 2),
)


@pytest.fixture
def network(network):
    """The same, not started, with snapshots after few blocks."""
    for node in network.nodes:
        path = node.directory / "node.toml"
        text = path.read_text()
        for old, new in (("every = 1000", f"every = {EVERY}"), ("join_behind = 512", f"join_behind = {BEHIND}")):
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
    return network


def register(client, number):
    return client.call("registry", "register", hashlib.sha256(b"%d" % number).hexdigest(), str(number))


def quorate(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["quorate", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


@pytest.mark.timeout(240)
def test_a_late_member_joins_by_snapshot_and_comes_back_from_a_backup(
    network, client_of, status_of, until, tmp_path, monkeypatch, capsys
):
    early, late = network.nodes[:3], network.nodes[3]
    for node in early:
        node.start()
    network.wait_ready(early)
    genesis = load_genesis(network.genesis_path)
    with client_of(early) as client:
        client.deploy("registry", examples.source("registry"))
        numbers = iter(range(10_000))
        while client.status()["sealed_height"] < 2 * EVERY + 3:
            assert register(client, next(numbers)).ok
        until(lambda: all(kept_snapshots(node.directory / "snapshots") for node in early), "snapshots at all three")

        # Forty blocks are fetched sooner than it finds itself behind: so it died, as it were, when its join had begun.
        (late.directory / "joining").mkdir()
        late.start()
        network.wait_ready([late])
        until(lambda: last_join(late.directory) is not None, "the fourth to join")
        assert last_join(late.directory)["height"] >= EVERY
        assert last_join(late.directory)["refused"] == {}
        target = register(client, next(numbers)).height
        until(lambda: status_of(late)["sealed_height"] >= target, "the fourth to catch up")
        with client_of([late]) as through_late:
            assert register(through_late, next(numbers)).ok  # it serves, and what it takes in is proposed

        backup = tmp_path / "backup"
        assert quorate(monkeypatch, "snapshot", "--data", early[0].directory, backup, "--json") == 0
        height = json.loads(capsys.readouterr().out)["height"]
        assert height >= target
        late.stop()
        for part in ("blocks", "state"):
            shutil.rmtree(late.directory / part)
        for part in ("blocks.mark", "votes.journal"):
            (late.directory / part).unlink()
        assert quorate(monkeypatch, "restore", backup, "--data", late.directory) == 0
        assert "no votes.journal there" in capsys.readouterr().out
        late.start()
        network.wait_ready([late])
        assert "vote journal was lost" in status_of(late)["silence"]
        until(lambda: register(client, next(numbers)).ok and not status_of(late)["silence"], "it to vote again")
        assert status_of(late)["sealed_height"] > height
        late.stop()
        store = BlockStore(late.directory / "blocks")
        assert store.header(height) is not None
        store.close()
        dies_at_every_place_of_its_join(late, until)
        late.start()
        network.wait_ready([late])
        target = register(client, next(numbers)).height
        until(lambda: status_of(late)["sealed_height"] >= target, "the fourth to catch up once more")
    late.stop()
    assert [path.name for path in late.directory.glob("joining*")] == []
    store = BlockStore(late.directory / "blocks")
    held = [0, *range(store.first_height, target + 1)]
    assert [check_height(store, genesis, at).fault for at in held] == [None] * len(held)
    store.close()


def dies_at_every_place_of_its_join(node, until):
    """Killed with SIGKILL, started again, killed at the next place: each life goes on where the one before died."""
    for part in ("blocks", "state", "snapshots"):
        shutil.rmtree(node.directory / part)
    (node.directory / "blocks.mark").unlink()
    (node.directory / "joining").mkdir()
    settings = (node.directory / "node.toml").read_text()
    (node.directory / "node.toml").write_text(settings.replace("enabled = true", "enabled = false"))  # dies sooner
    for place, count in PLACES_TO_DIE:
        node.command = lambda place=place, count=count: [
            *(sys.executable, str(DYING), place, str(count), str(node.directory), "--follow-parent")
        ]
        node.start()
        until(lambda: node.exit_code() is not None, f"it to die at {place} {count}")
        assert node.exit_code() == -signal.SIGKILL, node.log_tail()
        node.kill()
        joining = node.directory / "joining"
        assert joining.exists() is (place != "cleared")
        assert place == "cleared" or any(joining.iterdir()) is not (place == "fetched" and count == 1)
        assert (joining / "ready").exists() is (place in ("moved", "done"))
    del node.command
    (node.directory / "node.toml").write_text(settings)
