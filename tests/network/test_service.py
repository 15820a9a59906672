"""What a gateway gets from the validator: admissions in order, sealed blocks only, bounded answers, a stream."""

import msgspec
import pytest

from ledger.blocks import genesis_record, next_header
from ledger.crypto import SigningKey
from ledger.hashing import ZERO_HASH
from ledger.merkle import root
from ledger.seals import assemble_seal, checkpoint_message
from ledger.store import BlockStore
from ledger.transactions import identify, sign_transaction
from ledger.types import Batch, Block, BlockRecord, Call, Checkpoint, Genesis, Parameters, Validator, ValidatorSet
from network import api, frames
from network.evidence import EvidenceBook
from network.intake import Intake
from network.mempool import Limits, Mempool
from network.service import BLOCKS_MAX, ValidatorService
from network.verification import check_one

KEY = SigningKey.from_seed(bytes(32))
GENESIS = Genesis(1, "test", 1000, Parameters(), ValidatorSet((Validator("v0", KEY.public_key, 1, b"cert"),)), ())


def transaction(number, *, chain=GENESIS.chain_id, valid_until=100):
    return sign_transaction(KEY, chain, [Call("c", "m", b"\x90")], 1000, valid_until, number.to_bytes(16, "big"))


def next_record(parent, *raws, sealed=True):
    hashes = tuple(identify(raw)[1] for raw in raws)
    height = parent.height + 1
    batch = Batch(0, height, 0, 0, 2000 + height, hashes)
    receipts = tuple(b"receipt" for _ in raws)
    header = next_header(
        parent.block.header,
        batch,
        executed=hashes,
        transactions_root=root(hashes),
        receipts_root=root(receipts),
        state_root=ZERO_HASH,
        gas_used=0,
        validators_hash=GENESIS.validators.hash,
        next_validators_hash=GENESIS.validators.hash,
    )
    vote = KEY.sign(checkpoint_message(GENESIS.chain_id, Checkpoint(0, height, 0, header.hash)))
    seal = assemble_seal(0, height, header.hash, {0: vote}) if sealed else None
    return BlockRecord(Block(header, batch, hashes), raws, receipts, seal)


class Gateway:
    """A connection that keeps what is pushed, until it is cut off."""

    def __init__(self):
        self.pushed = []
        self.slow = False
        self.closed = False

    def push(self, payload):
        if self.slow:
            return False
        self.pushed.append(msgspec.msgpack.decode(payload, type=BlockRecord))
        return True


class World:
    def __init__(self, path):
        self.store = BlockStore(path)
        self.store.put(genesis_record(GENESIS, ZERO_HASH))
        self.mempool = Mempool(Limits(transactions_max=20))
        self.spread = []
        self.asked_again = []
        self.intake = Intake(
            mempool=self.mempool,
            check=self.check,
            in_block=lambda each: self.store.locate(each) is not None,
            added=lambda news, own: self.spread.append((len(news), own)),
            asked_again=self.asked_again.extend,
        )
        self.service = ValidatorService(
            genesis=GENESIS,
            store=self.store,
            mempool=self.mempool,
            intake=self.intake,
            status=lambda: None,
            halted=lambda: self.halted,
            evidence=EvidenceBook(path / "evidence", GENESIS),
        )
        self.gateway = Gateway()
        self.halted = ""

    async def check(self, raws):
        height = self.store.height + 1
        return [check_one(raw, chain_id=GENESIS.chain_id, parameters=GENESIS.parameters, height=height) for raw in raws]

    def grow(self, *raws, sealed=True):
        record = next_record(self.store.record(self.store.height), *raws, sealed=sealed)
        self.store.put(record)
        return record

    async def ask(self, request, kind):
        answer = await self.service.handle(self.gateway, msgspec.msgpack.encode(request))
        return msgspec.msgpack.decode(answer, type=kind)

    async def submit(self, *raws):
        return await self.ask(api.Submit(raws), list[api.Admission])


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "blocks")
    yield made
    made.store.close()


async def test_submissions_are_answered_in_order_each_for_itself(world):
    good, forged = transaction(1), transaction(2)[:-1] + b"\x00"
    answers = await world.submit(good, forged, b"junk", transaction(3, chain=bytes(32)), good)
    assert [each.code for each in answers] == ["accepted", "bad_signature", "malformed", "wrong_chain", "known"]
    assert answers[0].transaction_id == identify(good)[0]
    assert world.spread == [(1, True)]


async def test_a_transaction_in_a_block_is_known_even_after_it_expired(world):
    raw = transaction(1, valid_until=1)
    world.grow(raw)
    assert [each.code for each in await world.submit(raw)] == ["known"]
    assert [each.code for each in await world.submit(transaction(2, valid_until=1))] == ["expired"]
    assert world.spread == []


async def test_a_full_pool_says_busy_and_what_to_do(world):
    answers = await world.submit(*(transaction(n) for n in range(20)))
    assert answers[0].code == "accepted"
    assert answers[-1].code == "busy"
    assert "send it again" in answers[-1].message


async def test_gossip_fills_the_pool_but_is_not_passed_on(world):
    await world.intake.take_gossip([transaction(1), b"junk"])
    assert len(world.mempool) == 1
    assert world.spread == [(1, False)]


async def test_only_sealed_blocks_are_served(world):
    world.grow(transaction(1))
    unsealed = world.grow(transaction(2), sealed=False)
    blocks = await world.ask(api.GetBlocks(0, 10), list[BlockRecord])
    assert [record.height for record in blocks] == [0, 1]
    assert await world.ask(api.GetBlockByHash(unsealed.block.header.hash), BlockRecord | None) is None
    found = await world.ask(api.GetTransaction(identify(transaction(2))[0]), api.TransactionRecord | None)
    assert (found.state, found.raw) == ("pending", transaction(2))


async def test_a_range_of_blocks_is_bounded_and_light_ones_carry_no_bodies(world):
    for number in range(BLOCKS_MAX + 3):
        world.grow(transaction(number))
    blocks = await world.ask(api.GetBlocks(1, 10**9, light=True), list[BlockRecord])
    assert len(blocks) == BLOCKS_MAX
    assert blocks[0].bodies == ()
    assert blocks[0].block.transactions == (identify(transaction(0))[1],)
    assert await world.ask(api.GetBlocks(-5, -1), list[BlockRecord]) == []


async def test_a_sealed_transaction_is_found_with_its_receipt_and_place(world):
    world.grow(transaction(1), transaction(2))
    found = await world.ask(api.GetTransaction(identify(transaction(2))[0]), api.TransactionRecord | None)
    assert found == api.TransactionRecord("sealed", transaction(2), b"receipt", 1, 1)
    assert await world.ask(api.GetTransaction(bytes(32)), api.TransactionRecord | None) is None


async def test_an_account_lists_what_it_sent_newest_first_page_by_page(world):
    for number in range(3):
        world.grow(transaction(2 * number), transaction(2 * number + 1))
    first = await world.ask(api.GetAccount(KEY.public_key, 1 << 53, 0, 4), list[api.AccountEntry])
    assert [(each.height, each.index) for each in first] == [(3, 1), (3, 0), (2, 1), (2, 0)]
    rest = await world.ask(api.GetAccount(KEY.public_key, 2, 0, 4), list[api.AccountEntry])
    assert [(each.height, each.index) for each in rest] == [(1, 1), (1, 0)]
    assert first[0].transaction_id == identify(transaction(5))[0]


async def test_subscribers_get_each_sealed_block_and_a_slow_one_is_cut_off(world):
    assert await world.ask(api.Subscribe(), int) == 0
    record = world.grow(transaction(1))
    world.service.publish(record)
    assert world.gateway.pushed == [record]
    world.gateway.slow = True
    world.service.publish(record)
    world.gateway.slow = False
    world.service.publish(record)
    assert len(world.gateway.pushed) == 1


async def test_bytes_that_are_no_request_are_an_error_not_a_crash(world):
    with pytest.raises(msgspec.MsgspecError):
        await world.service.handle(world.gateway, b"\xc1junk")


async def test_a_gateway_that_subscribes_again_gets_each_block_once_and_a_gone_one_is_forgotten(world):
    for _ in range(3):
        await world.ask(api.Subscribe(), int)
    assert len(world.service._subscribers) == 1
    world.gateway.closed, gone = True, world.gateway
    world.gateway = Gateway()
    await world.ask(api.Subscribe(), int)
    assert world.service._subscribers == [world.gateway]
    assert gone.pushed == []


async def test_a_block_too_large_for_the_stream_stops_nobody(world, monkeypatch):
    record = world.grow(transaction(1))
    await world.ask(api.Subscribe(), int)
    monkeypatch.setattr(world.gateway, "push", lambda _payload: frames.header(1 << 40))
    world.service.publish(record)
    monkeypatch.undo()
    world.service.publish(record)
    assert world.gateway.pushed == [record]


async def test_what_came_by_gossip_and_is_submitted_here_becomes_this_nodes_matter(world):
    """Whoever accepted it first may have died before it reached everybody."""
    raw, new = transaction(1), transaction(2)
    await world.intake.take_gossip([raw])
    assert [each.code for each in await world.submit(raw, new)] == ["known", "accepted"]
    assert world.asked_again == [(identify(raw)[1], raw)]


async def test_a_halted_validator_takes_nothing_in_and_says_where_to_go(world):
    world.halted = "its state root differs from the sealed one"
    (answer,) = await world.submit(transaction(1))
    assert answer.code == "busy"
    assert "its state root differs from the sealed one" in answer.message
    assert "another node" in answer.message
    assert len(world.mempool) == 0
