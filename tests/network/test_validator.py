"""What the validator's parts are to each other: an action of the replica reaches the part that it is for."""

import logging
import math
from types import SimpleNamespace

import pytest

from consensus import actions
from consensus.messages import PREPARE, Envelope, Vote
from ledger.blocks import genesis_record
from ledger.crypto import SigningKey, signing_message
from ledger.errors import DataLost
from ledger.salvage import salvage
from ledger.store import BlockStore
from ledger.types import Genesis, Parameters, Validator, ValidatorSet
from network.evidence import EvidenceBook
from network.paths import NodePaths
from network.validator import ValidatorNode

MEMBERS = ValidatorSet((Validator("v0", SigningKey.from_seed(bytes(32)).public_key, 1, b"cert"),))
GENESIS = Genesis(1, "test", 1000, Parameters(), MEMBERS, ())


class Driver:
    def __init__(self):
        self.halts = 0
        self.replica = SimpleNamespace(peers=(), silence="", changing_view=False)

    def halt(self):
        self.halts += 1


@pytest.fixture
async def node(tmp_path):
    made = ValidatorNode(SimpleNamespace(data_directory=tmp_path), GENESIS, None, 0, None)
    made._driver = Driver()
    made._evidence = EvidenceBook(made._paths.evidence, GENESIS)
    return made


async def test_a_store_that_lost_all_blocks_since_its_snapshot_begins_with_another(node, caplog):
    """Block 1 is nowhere, so it could never go on by blocks."""
    store = BlockStore(node._paths.blocks)
    store.put(genesis_record(GENESIS, bytes(32)))
    store.skip_to(10)
    store.close()
    await node.start()
    await node.stop()
    assert (node.ending.join, node.ending.begin_again) == ("state", True)
    assert "all blocks since a snapshot were lost" in caplog.text


async def test_a_start_that_meets_damaged_blocks_begins_again_with_a_new_store(node, caplog, rotten):
    """The next one finds the note and makes the store anew; its operator need not know that it takes two starts."""
    await node.start()
    await node.stop()
    assert (node.ending.remade, node.ending.begin_again, node._driver.halts) == (True, True, 0)
    assert "block 7 is damaged: this validator begins again, with a new block store" in caplog.text
    assert salvage(node._paths.blocks).height == -1


async def test_a_start_does_not_begin_again_for_ever(tmp_path, rotten, monkeypatch):
    """A store that was made anew just now, or damage that is not the blocks': this is for the operator."""
    hasty = ValidatorNode(SimpleNamespace(data_directory=tmp_path), GENESIS, None, 0, None, remake_not_before=math.inf)
    with pytest.raises(DataLost, match="the header of block 7 is damaged"):
        await hasty.start()
    await hasty.stop()
    salvage(hasty._paths.blocks)
    monkeypatch.undo()
    hasty._paths.journal.write_bytes(bytes(40))
    node = ValidatorNode(SimpleNamespace(data_directory=tmp_path), GENESIS, None, 0, None)
    with pytest.raises(DataLost, match="Move it away, never restore a copy"):
        await node.start()
    await node.stop()
    assert not node.ending.begin_again


@pytest.fixture
def rotten(monkeypatch):
    """The first read of a start meets damage, as any later one may."""

    def read(store, _):
        raise store._noted(DataLost("the header of block 7 is damaged"))

    monkeypatch.setattr("network.validator.check_chain", read)


async def test_a_replica_that_halts_ends_the_votes_with_its_diagnosis(node):
    node.perform(actions.Halt("diverged at height 7"))
    assert (node.ending.halted, node._driver.halts) == ("diverged at height 7", 1)


async def test_evidence_is_kept_and_named(node, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    first, second = (signed_prepare(node, digest) for digest in (b"a", b"b"))
    node.perform(actions.Evidence("prepare", 0, first, second))
    assert len(list(NodePaths(tmp_path).evidence.iterdir())) == 1
    assert "EVIDENCE: v0 signed two different messages (prepare, view 0, height 3)" in caplog.text


async def test_evidence_that_does_not_hold_is_a_defect_that_stops_nothing(node, caplog):
    node.perform(actions.Evidence("prepare", 0, b"first", b"second"))
    assert "evidence against member 0 does not hold: this is a defect" in caplog.text
    assert not node.ending.halted


@pytest.mark.parametrize("doing", [{"silence": "it was restarted"}, {"changing_view": True}, {"ahead": True}, {}])
async def test_a_node_in_doubt_in_a_view_change_or_behind_has_better_things_to_do_than_to_read_again(node, doing):
    node._driver.replica = SimpleNamespace(**{"silence": "", "changing_view": False} | doing)
    node._peers = SimpleNamespace(are_ahead=lambda: doing.get("ahead", False))
    assert node._is_busy() is bool(doing)


def signed_prepare(node, digest):
    body = Vote(0, 0, 3, 0, digest * 32).encode()
    signature = SigningKey.from_seed(bytes(32)).sign(signing_message(PREPARE, node.genesis.chain_id, body))
    return Envelope(PREPARE, body, signature).encode()
