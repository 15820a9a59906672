"""Heights in flight: what was executed waits no more, under whatever signature; what did not run waits on."""

import msgspec
import pytest

from consensus import events
from ledger.blocks import genesis_record, next_header
from ledger.crypto import SigningKey
from ledger.store import BlockStore
from ledger.transactions import identify, read_transaction, sign_transaction
from ledger.types import Batch, Block, BlockRecord, Call, Genesis, Parameters, Seal, Validator, ValidatorSet
from network import in_flight as module
from network.gossip import Gossip
from network.in_flight import InFlight
from network.mempool import Mempool
from network.requests import Requests

MEMBERS = ValidatorSet((Validator("v0", SigningKey.from_seed(bytes(32)).public_key, 1, b"cert"),))
KEY = SigningKey.from_seed(b"c" * 32)
GENESIS = Genesis(1, "test", 1000, Parameters(), MEMBERS, ())


class Bodies:
    """What the keeper of bodies is told."""

    def __init__(self):
        self.held, self.pinned, self.unpinned = [], [], []

    def hold(self, batch, sources):
        self.held.append((batch.height, sources))

    def pin_fetched(self, height, raws):
        self.pinned.append(height)

    def unpin(self, height):
        self.unpinned.append(height)


class Node:
    """A store with block 0, a pool, and what the replica is told."""

    def __init__(self, directory):
        self.store = BlockStore(directory)
        self.store.put(genesis_record(GENESIS, bytes(32)))
        self.mempool, self.bodies, self.told = Mempool(), Bodies(), []
        self.requests = Requests(
            member=0,
            parameters=GENESIS.parameters,
            mempool=self.mempool,
            gossip=Gossip(broadcast=None, send=None, get=None),
            send=None,
            post=self.told.append,
            replica=None,
            now_ms=lambda: 2000,
        )
        self.part = InFlight(
            store=self.store,
            mempool=self.mempool,
            bodies=self.bodies,
            requests=self.requests,
            post=self.told.append,
            now_ms=lambda: 2000,
        )

    def pool(self, raw):
        transaction_id, transaction_hash = identify(raw)
        assert self.mempool.add(raw, read_transaction(raw), transaction_id, transaction_hash) == "accepted"
        self.requests.tell_waiting()
        return transaction_hash

    def executes(self, *raws, left=()):
        record = block(*raws, ran=[raw for raw in raws if raw not in left])
        self.part.on_proposed(record.block.batch, (0,))
        self.part.on_delivered(record.block.batch)
        self.store.put(record)
        self.part.on_executed(record, {identify(raw)[1] for raw in left})
        return record

    def waiting_told(self):
        return [event.waiting for event in self.told if isinstance(event, events.RequestsWaiting)]


def signed(gas_limit=100_000):
    return sign_transaction(KEY, GENESIS.chain_id, [Call("token", "mint", b"\x90")], gas_limit, 100, bytes(16))


def block(*raws, ran):
    batch = Batch(0, 1, 0, 0, 2000, tuple(identify(raw)[1] for raw in raws), 1)
    parent = genesis_record(GENESIS, bytes(32)).block.header
    roots = dict.fromkeys(("transactions_root", "receipts_root", "state_root"), bytes(32))
    sets = dict.fromkeys(("validators_hash", "next_validators_hash"), MEMBERS.hash)
    hashes = tuple(identify(raw)[1] for raw in ran)
    header = next_header(parent, batch, executed=hashes, gas_used=1, **roots, **sets)
    return BlockRecord(Block(header, batch, hashes), tuple(ran), (bytes(1),) * len(ran), None)


def seal(record):
    return Seal(0, record.height, record.block.header.hash, ())


def sealed(record):
    return BlockRecord(record.block, record.bodies, record.receipts, seal(record))


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path / "blocks")
    yield made
    made.store.close()


def test_a_body_that_ran_under_another_signature_waits_no_more(node):
    """Its sender may choose its nonces as it likes: one body has many valid signatures."""
    first = signed()
    second = first[:-64] + bytes(64)
    node.pool(first)
    node.executes(second)
    assert len(node.mempool) == 0
    assert node.waiting_told() == [True, False]


def test_what_is_in_no_batch_waits_on(node):
    other, ran = signed(gas_limit=1), signed()
    waits = node.pool(other)
    node.pool(ran)
    node.executes(ran)
    assert node.mempool.waits(waits)
    assert node.waiting_told() == [True]


def test_what_its_batch_was_executed_without_waits_again_once_the_height_is_sealed(node):
    passed_over, ran = signed(gas_limit=1), signed()
    waits = node.pool(passed_over)
    node.pool(ran)
    record = node.executes(ran, passed_over, left=[passed_over])
    assert not node.mempool.waits(waits)
    assert node.part.on_sealed(1, seal(record)) == sealed(record)
    assert node.mempool.waits(waits)
    assert (node.store.sealed_height, node.bodies.held, node.bodies.unpinned) == (1, [(1, (0,))], [1])


def test_the_replica_hears_of_a_stored_block_and_of_a_fetched_one(node):
    record = node.executes(signed())
    header = record.block.header
    assert [event for event in node.told if isinstance(event, events.Executed)] == [
        events.Executed(1, header.hash, 2000)
    ]
    given = sealed(block(signed(), ran=[signed()]))
    node.part.on_fetched(given)
    assert node.told[-1] == events.BlockFetched(given.block.header, given.block.batch, given.seal, 2000)
    assert (node.part.fetched(1), node.bodies.pinned) == (given, [1])


def test_a_fetched_block_is_let_go_with_its_seal_and_never_taken_below_it(node):
    given = sealed(node.executes(signed()))
    node.part.on_fetched(given)
    node.part.on_sealed(1, given.seal)
    assert node.part.fetched(1) is None
    told = list(node.told)
    node.part.on_fetched(given)
    assert (node.part.fetched(1), node.told) == (None, told)


def test_peers_that_send_without_end_fill_only_so_much(node, monkeypatch):
    monkeypatch.setattr(module, "FETCHED_BLOCKS_MAX", 1)
    given = sealed(block(signed(), ran=[signed()]))
    header = msgspec.structs.replace(given.block.header, height=2)
    next_one = sealed(BlockRecord(Block(header, given.block.batch, ()), (), (), None))
    node.part.on_fetched(given)
    node.part.on_fetched(next_one)
    assert (node.part.fetched(1), node.part.fetched(2)) == (given, None)
