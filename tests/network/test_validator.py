"""What the validator's parts are to each other: a diagnosis ends voting, and a fault beside the votes does not."""

import logging
from types import SimpleNamespace

import pytest

from consensus import actions, events
from consensus.messages import PREPARE, Envelope, Vote
from consensus.overlooked import Overlooked
from ledger.blocks import genesis_record, next_header
from ledger.crypto import SigningKey, signing_message
from ledger.errors import StorageError
from ledger.store import BlockStore
from ledger.transactions import identify, read_transaction, sign_transaction
from ledger.types import Batch, Block, BlockRecord, Call, Genesis, Parameters, Validator, ValidatorSet
from network.evidence import EvidenceBook
from network.mempool import Mempool
from network.paths import NodePaths
from network.pipeline import Diverged, StateMissing
from network.validator import ValidatorNode

MEMBERS = ValidatorSet((Validator("v0", SigningKey.from_seed(bytes(32)).public_key, 1, b"cert"),))
KEY = SigningKey.from_seed(b"c" * 32)
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


async def test_a_state_that_blocks_cannot_make_again_ends_the_votes_for_a_snapshot_and_diagnoses_nothing(node):
    async def part():
        raise StateMissing("the blocks here begin at 10")

    await node._guard(part())
    assert (node.join, node.begin_again, node.halted) == ("state", True, "")
    assert node._driver.halts == 1
    assert node._stopped.is_set()


async def test_a_store_that_lost_all_blocks_since_its_snapshot_begins_with_another(node, caplog):
    """Block 1 is nowhere, so it could never go on by blocks."""
    store = BlockStore(node._paths.blocks)
    store.put(genesis_record(GENESIS, bytes(32)))
    store.skip_to(10)
    store.close()
    await node.start()
    await node.stop()
    assert (node.join, node.begin_again) == ("state", True)
    assert "all blocks since a snapshot were lost" in caplog.text


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


# ── what was executed waits no more ───────────────────────────────────────────────────────────────


@pytest.fixture
def pooled(node):
    """A node with a pool, and one body under two signatures of its sender (which may choose its nonces as it likes)."""
    node._mempool, node._overlooked, node._driver = Mempool(), Overlooked(8), Told()
    first = sign_transaction(KEY, GENESIS.chain_id, [Call("token", "mint", b"\x90")], 100_000, 100, bytes(16))
    return node, first, first[:-64] + bytes(64)


class Told:
    def __init__(self):
        self.events = []

    def post(self, event):
        self.events.append(event)


def put(node, raw):
    transaction_id, transaction_hash = identify(raw)
    assert node._mempool.add(raw, read_transaction(raw), transaction_id, transaction_hash) == "accepted"
    return transaction_hash


def execute(node, *raws):
    batch = Batch(0, 1, 0, 0, 2000, tuple(identify(raw)[1] for raw in raws), 1)
    parent = genesis_record(GENESIS, bytes(32)).block.header
    roots = dict.fromkeys(("transactions_root", "receipts_root", "state_root"), bytes(32))
    sets = dict.fromkeys(("validators_hash", "next_validators_hash"), MEMBERS.hash)
    header = next_header(parent, batch, executed=batch.hashes, gas_used=1, **roots, **sets)
    node._mempool.mark_in_flight(1, batch.hashes)
    node._on_executed(BlockRecord(Block(header, batch, batch.hashes), raws, (), None), ())


def test_a_body_that_ran_under_another_signature_waits_no_more(pooled):
    node, first, second = pooled
    put(node, first)
    node._tell_waiting()
    execute(node, second)
    assert len(node._mempool) == 0
    assert [event.waiting for event in node._driver.events if isinstance(event, events.RequestsWaiting)] == [
        True,
        False,
    ]


def test_what_did_not_run_waits_on(pooled):
    node, first, second = pooled
    other = put(node, sign_transaction(KEY, GENESIS.chain_id, [Call("token", "mint", b"\x90")], 1, 100, bytes(16)))
    put(node, first)
    execute(node, second)
    assert node._mempool.waits(other)


def signed_prepare(node, digest):
    body = Vote(0, 0, 3, 0, digest * 32).encode()
    signature = SigningKey.from_seed(bytes(32)).sign(signing_message(PREPARE, node.genesis.chain_id, body))
    return Envelope(PREPARE, body, signature).encode()
