"""Chaos in short: four real nodes disturbed for half a minute come through it, and the judges would have noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from consensus.messages import PREPARE, Vote
from consensus.recovery import Voted
from ledger.genesis import load_genesis
from ledger.hashing import transaction_id
from ledger.store import BlockStore
from ledger.types import body_bytes
from network import present
from network.driver import REPLICA_RECORD
from network.paths import NodePaths
from scripts.chaos_audit import ChainAudit
from scripts.chaos_load import Acknowledged, receipt_digest
from scripts.chaos_votes import VoteWatch

ROOT = Path(__file__).parent.parent.parent
MEMBERS = 4
MINUTES = 0.4
RATE = 20
RECOVERY_MAX_S = 60  # of a machine that does much else; what is wanted of an idle one is the command's default

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    """A whole run: (its directory, its report)."""
    directory = tmp_path_factory.mktemp("chaos") / "net"
    report = directory.parent / "report.json"
    command = [
        *(sys.executable, "-m", "scripts.chaos", "--minutes", str(MINUTES), "--seed", "5", "--rate", str(RATE)),
        *("--disturb-every", "2", "--recovery-max", str(RECOVERY_MAX_S), "--wires", "relays"),
        *("--keep", str(directory), "--json", str(report)),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=360, check=False)
    assert ended.returncode == 0, f"{ended.stdout[-4000:]}\n{ended.stderr[-2000:]}"
    return directory, json.loads(report.read_text())


def nodes(directory):
    return {f"validator-{number}": directory / f"node-{number}" for number in range(1, MEMBERS + 1)}


@pytest.fixture
def audit(chaos):
    """`audit(acknowledged)`: what the judge of the chain says of the run's nodes."""
    directory, _ = chaos

    def run(acknowledged):
        judge = ChainAudit(load_genesis(directory / "genesis.json"), acknowledged)
        judge.run(nodes(directory))
        return judge.complaints

    return run


@pytest.fixture
def acknowledged(chaos):
    """The first transaction of the run's chain, as a client would have had it acknowledged."""
    directory, _ = chaos
    store = BlockStore(NodePaths(directory / "node-1").blocks)
    record = next(record for record in map(store.record, range(1, store.height + 1)) if record.bodies)
    store.close()
    shown = present.receipt(record.receipts[0])
    promise = Acknowledged(
        record.height, 0, record.block.header.hash.hex(), receipt_digest(msgspec.json.encode(shown)), shown["code"]
    )
    return transaction_id(body_bytes(record.bodies[0])), promise


def test_everything_held_under_load_and_disturbance(chaos):
    _, report = chaos
    assert report["held"]
    assert report["wrong"] == []
    assert report["disturbances"] == len(report["recoveries"]) >= 2
    assert report["acknowledged"] == report["offered"] > MINUTES * 60 * RATE / 2
    assert report["without_outcome"] == 0
    assert report["chain"]["transactions"] >= report["acknowledged"]
    assert report["votes"] > report["chain"]["height"] * MEMBERS


def test_an_acknowledged_transaction_is_looked_for_as_it_was_acknowledged(audit, acknowledged):
    name, promise = acknowledged
    assert audit({name: promise}) == []
    (elsewhere,) = audit({name: msgspec.structs.replace(promise, height=promise.height + 1)})
    assert elsewhere.startswith(f"transaction {name.hex()} was acknowledged as")
    (otherwise,) = audit({name: msgspec.structs.replace(promise, receipt=bytes(32))})
    assert otherwise.startswith(f"transaction {name.hex()} was acknowledged as")


def test_a_transaction_that_is_gone_is_missed(audit):
    assert audit({b"\1" * 32: Acknowledged(1, 0, "", b"", "ok")}) == [
        f"1 acknowledged transactions are in no block, such as {'01' * 32}"
    ]


def test_votes_of_the_run_agree_and_a_second_one_for_the_same_place_is_found(chaos):
    directory, _ = chaos
    watch = VoteWatch({member: NodePaths(folder).journal for member, folder in enumerate(nodes(directory).values())})
    watch.poll()
    watch.close()
    assert watch.audit.conflicts == []
    assert watch.audit.votes > 0
    for digest in (b"a" * 32, b"a" * 32, b"b" * 32):
        vote = Vote(epoch=0, view=10_000, height=20_000, sender=2, digest=digest)
        watch.audit.take(2, REPLICA_RECORD + Voted(PREPARE, vote, bytes(64)).encode())
    assert watch.audit.conflicts == [
        f"member 2 signed two prepare for view 10000, height 20000: {'61' * 8} and {'62' * 8}"
    ]


def test_a_node_that_lost_a_block_is_named(chaos, audit):
    directory, report = chaos
    height = report["chain"]["height"]
    store = BlockStore(NodePaths(directory / "node-3").blocks)
    store.truncate_after(height - 1)
    store.close()
    (complaint,) = audit({})
    assert complaint.startswith("the nodes end at different heights")
    assert f"'validator-3': {height - 1}" in complaint
