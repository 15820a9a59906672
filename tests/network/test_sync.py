"""Block sync: a block is believed for its seal; a lying, lagging or silent peer is named and left."""

import asyncio

import msgspec
import pytest

from ledger.blocks import genesis_record, next_header
from ledger.crypto import SigningKey
from ledger.errors import DataLost
from ledger.hashing import ZERO_HASH
from ledger.merkle import root
from ledger.seals import assemble_seal, checkpoint_message
from ledger.store import BlockStore
from ledger.transactions import identify, sign_transaction
from ledger.types import Batch, Block, BlockRecord, Call, Checkpoint, Genesis, Parameters, Validator, ValidatorSet
from network.sync import BlockSync
from network.wire import Blocks, BlocksRequest, read_peer_frame

KEYS = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 5)]
MEMBERS = ValidatorSet(tuple(Validator(f"v{n}", key.public_key, 1, b"cert") for n, key in enumerate(KEYS)))
GENESIS = Genesis(1, "test", 1000, Parameters(), MEMBERS, ())


def transaction(number):
    return sign_transaction(KEYS[0], GENESIS.chain_id, [Call("c", "m", b"\x90")], 1000, 50, number.to_bytes(16, "big"))


def chain(length):
    """Genesis and sealed blocks, each with one transaction."""
    records = [genesis_record(GENESIS, ZERO_HASH)]
    for height in range(1, length + 1):
        raw = transaction(height)
        hashes = (identify(raw)[1],)
        batch = Batch(0, height, 0, 0, 2000 + height, hashes)
        header = next_header(
            records[-1].block.header,
            batch,
            executed=hashes,
            transactions_root=root(hashes),
            receipts_root=root([b"receipt"]),
            state_root=ZERO_HASH,
            gas_used=0,
            validators_hash=MEMBERS.hash,
            next_validators_hash=MEMBERS.hash,
        )
        records.append(BlockRecord(Block(header, batch, hashes), (raw,), (b"receipt",), seal_of(header, (0, 1, 2))))
    return records


def seal_of(header, members):
    votes = {}
    for member in members:
        checkpoint = Checkpoint(header.epoch, header.height, member, header.hash)
        votes[member] = KEYS[member].sign(checkpoint_message(GENESIS.chain_id, checkpoint))
    return assemble_seal(header.epoch, header.height, header.hash, votes)


CHAIN = chain(5)


class World:
    def __init__(self, store):
        self.sent, self.fetched, self.failed = [], [], []
        self.linked = {0, 1, 2, 3}
        self.silent = set()
        self.sync = BlockSync(
            chain_id=GENESIS.chain_id,
            validators=MEMBERS,
            store=store,
            send=self.send,
            silent_s=lambda member: 10.0 if member in self.silent else 0.1,
            fetched=self.fetched.append,
            failed=self.failed.append,
        )

    def send(self, member, frame):
        self.sent.append((member, read_peer_frame(frame)))
        return member in self.linked


@pytest.fixture
def world(tmp_path):
    store = BlockStore(tmp_path / "blocks")
    for record in CHAIN:
        store.put(record)
    yield World(store)
    store.close()


async def test_sealed_blocks_from_a_peer_are_taken_in_order(world):
    world.sync.fetch(2, 1, 3)
    assert world.sent == [(2, BlocksRequest(1, 3))]
    world.sync.on_blocks(2, Blocks(1, tuple(CHAIN[1:4])))
    assert [record.height for record in world.fetched] == [1, 2, 3]
    assert world.failed == []


async def test_an_answer_nobody_asked_for_is_dropped(world):
    world.sync.on_blocks(2, Blocks(1, tuple(CHAIN[1:4])))
    world.sync.fetch(2, 1, 3)
    world.sync.on_blocks(3, Blocks(1, tuple(CHAIN[1:4])))
    world.sync.on_blocks(2, Blocks(2, tuple(CHAIN[2:4])))
    assert world.fetched == []
    world.sync.close()


def forged(record, **header):
    block = msgspec.structs.replace(record.block, header=msgspec.structs.replace(record.block.header, **header))
    return msgspec.structs.replace(record, block=block)


LIES = {
    "another state root": forged(CHAIN[2], state_root=b"\x01" * 32),
    "another height": CHAIN[3],
    "no seal": msgspec.structs.replace(CHAIN[2], seal=None),
    "a seal of two": msgspec.structs.replace(CHAIN[2], seal=seal_of(CHAIN[2].block.header, (0, 1))),
    "another block's seal": msgspec.structs.replace(CHAIN[2], seal=CHAIN[3].seal),
    "another body": msgspec.structs.replace(CHAIN[2], bodies=(transaction(99),)),
    "a missing body": msgspec.structs.replace(CHAIN[2], bodies=()),
    "another receipt": msgspec.structs.replace(CHAIN[2], receipts=(b"better",)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_wrong_block_ends_the_fetch_at_its_height_and_names_the_peer(world, lie):
    world.sync.fetch(2, 1, 3)
    world.sync.on_blocks(2, Blocks(1, (CHAIN[1], lie, CHAIN[3])))
    assert [record.height for record in world.fetched] == [1]
    assert world.failed == [2]


async def test_a_silent_peer_and_an_empty_answer_are_failures(world, monkeypatch):
    monkeypatch.setattr("network.sync.ANSWER_DEADLINE_S", 0.001)
    world.sync.fetch(1, 1, 3)
    while not world.failed:
        await asyncio.sleep(0.001)
    world.sync.fetch(2, 1, 3)
    world.sync.on_blocks(2, Blocks(1, ()))
    assert world.failed == [1, 2]


async def test_a_peer_without_a_link_is_a_failure_at_once_and_not_after_the_deadline(world):
    world.linked = {3}
    world.sync.fetch(2, 1, 3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert world.failed == [2]
    world.sync.fetch(3, 1, 3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert world.failed == [2]
    world.sync.close()


async def test_a_peer_that_hangs_is_given_up_long_before_the_deadline_and_a_slow_one_is_not(world, monkeypatch):
    monkeypatch.setattr("network.sync.LOOK_EVERY_S", 0.001)
    world.sync.fetch(2, 1, 3)
    await asyncio.sleep(0.02)
    assert world.failed == []
    world.silent = {2}
    await asyncio.sleep(0.05)
    assert world.failed == [2]


async def test_a_link_that_is_lost_takes_its_answer_along_and_no_other_does(world):
    world.sync.on_lost(2)
    world.sync.fetch(2, 1, 3)
    world.sync.on_lost(3)
    assert world.failed == []
    world.sync.on_lost(2)
    assert world.failed == [2]
    world.sync.on_blocks(2, Blocks(1, tuple(CHAIN[1:4])))
    assert world.fetched == []


async def test_what_is_asked_is_served_sealed_and_bounded(world):
    world.sync.serve(3, BlocksRequest(4, 10**12))
    world.sync.serve(3, BlocksRequest(1, 5))  # asks again before it was answered: not queued
    while not world.sent:
        await asyncio.sleep(0.001)
    assert world.sent == [(3, Blocks(4, tuple(CHAIN[4:6])))]
    world.sync.serve(1, BlocksRequest(77, 78))
    while len(world.sent) < 2:
        await asyncio.sleep(0.001)
    assert world.sent[1] == (1, Blocks(77, ()))


async def test_what_did_not_fit_one_answer_is_asked_for_at_once(world):
    """Blocks of megabytes come two at a time; waiting for somebody's patience between them would never close a gap."""
    world.sync.fetch(2, 1, 5)
    world.sync.on_blocks(2, Blocks(1, tuple(CHAIN[1:3])))
    world.sync.on_blocks(2, Blocks(3, tuple(CHAIN[3:4])))
    world.sync.on_blocks(2, Blocks(4, tuple(CHAIN[4:6])))
    assert [request for _, request in world.sent] == [BlocksRequest(1, 5), BlocksRequest(3, 5), BlocksRequest(4, 5)]
    assert [record.height for record in world.fetched] == [1, 2, 3, 4, 5]
    assert world.failed == []
    world.sync.on_blocks(2, Blocks(4, tuple(CHAIN[4:6])))  # done: nothing is asked any more
    assert len(world.fetched) == 5


async def test_a_peer_that_drips_block_after_block_has_one_deadline_for_all(world, monkeypatch):
    monkeypatch.setattr("network.sync.FETCH_DEADLINE_S", 0.001)
    world.sync.fetch(2, 1, 5)
    world.sync.on_blocks(2, Blocks(1, tuple(CHAIN[1:2])))
    while not world.failed:
        await asyncio.sleep(0.001)
    assert world.failed == [2]


async def test_more_than_was_asked_for_is_not_looked_at(world):
    world.sync.fetch(2, 1, 2)
    world.sync.on_blocks(2, Blocks(1, tuple(CHAIN[1:5])))
    assert [record.height for record in world.fetched] == [1, 2]


async def test_who_asks_in_a_loop_rests_in_proportion_to_what_it_cost(world, monkeypatch):
    clock = iter([0.0, 0.5])  # the answer takes half a second
    monkeypatch.setattr("network.sync.time.perf_counter", lambda: next(clock))
    world.sync.serve(3, BlocksRequest(1, 5))
    while not world.sent:
        await asyncio.sleep(0.001)
    assert 1.4 < world.sync._served_until[3] - asyncio.get_running_loop().time() <= 1.5


async def test_a_block_that_cannot_be_read_ends_an_answer_and_nothing_else(world, monkeypatch):
    read = BlockStore.record

    def damaged(self, height):
        if height == 3:
            raise DataLost("block 3 is damaged")
        return read(self, height)

    monkeypatch.setattr(BlockStore, "record", damaged)
    world.sync.serve(3, BlocksRequest(1, 5))
    while not world.sent:
        await asyncio.sleep(0.001)
    assert world.sent == [(3, Blocks(1, tuple(CHAIN[1:3])))]
