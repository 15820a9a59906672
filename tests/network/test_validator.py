"""What the validator's parts are to each other: a diagnosis ends voting, and a fault beside the votes does not."""

import logging
from types import SimpleNamespace

import pytest

from consensus import actions
from consensus.messages import PREPARE, Envelope, Vote
from ledger.crypto import SigningKey, signing_message
from ledger.errors import StorageError
from ledger.types import Genesis, Parameters, Validator, ValidatorSet
from network.evidence import EvidenceBook
from network.paths import NodePaths
from network.pipeline import Diverged
from network.validator import ValidatorNode

MEMBERS = ValidatorSet((Validator("v0", SigningKey.from_seed(bytes(32)).public_key, 1, b"cert"),))
GENESIS = Genesis(1, "test", 1000, Parameters(), MEMBERS, ())


class Driver:
    def __init__(self):
        self.halts = 0

    def halt(self):
        self.halts += 1


@pytest.fixture
async def node(tmp_path):
    made = ValidatorNode(SimpleNamespace(data_directory=tmp_path), GENESIS, None, 0, None)
    made._driver = Driver()
    made._evidence = EvidenceBook(made._paths.evidence, GENESIS)
    return made


@pytest.mark.parametrize("error", [Diverged("another state root"), StorageError("no space left on device")])
async def test_a_part_that_finds_that_going_on_would_be_wrong_stops_the_votes_and_leaves_the_reads(node, error):
    async def part():
        raise error

    await node._guard(part())
    assert node.halted == str(error)
    assert node._driver.halts == 1
    assert not node._stopped.is_set()


async def test_a_defect_in_a_part_stops_the_votes_and_the_node(node, caplog):
    async def part():
        raise KeyError("a defect")

    await node._guard(part())
    assert "internal error" in node.halted
    assert node._driver.halts == 1
    assert node._stopped.is_set()
    assert "a part of this validator failed" in caplog.text


async def test_the_first_diagnosis_stands(node):
    node.perform(actions.Halt("diverged at height 7"))
    node._halt("the disk failed as well")
    assert node.halted == "diverged at height 7"


async def test_evidence_is_kept_and_named(node, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    first, second = (signed_prepare(node, digest) for digest in (b"a", b"b"))
    node.perform(actions.Evidence("prepare", 0, first, second))
    assert len(list(NodePaths(tmp_path).evidence.iterdir())) == 1
    assert "EVIDENCE: v0 signed two different messages (prepare, view 0, height 3)" in caplog.text


async def test_evidence_that_does_not_hold_is_a_defect_that_stops_nothing(node, caplog):
    node.perform(actions.Evidence("prepare", 0, b"first", b"second"))
    assert "evidence against member 0 does not hold: this is a defect" in caplog.text
    assert not node.halted


def signed_prepare(node, digest):
    body = Vote(0, 0, 3, 0, digest * 32).encode()
    signature = SigningKey.from_seed(bytes(32)).sign(signing_message(PREPARE, node.genesis.chain_id, body))
    return Envelope(PREPARE, body, signature).encode()
