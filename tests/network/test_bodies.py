"""The keeper of bodies: no vote without every body, and no full pool, silent peer or forged answer in its way."""

import asyncio

from ledger.crypto import SigningKey
from ledger.transactions import identify, read_transaction, sign_transaction
from ledger.types import Batch, Call, Parameters
from network.bodies import BodyKeeper
from network.mempool import Mempool
from network.verification import Checked

KEY = SigningKey.from_seed(bytes(32))
CHAIN = bytes(32)


def transaction(number, valid_until=10):
    return sign_transaction(KEY, CHAIN, [Call("c", "m", b"\x90")], 1000, valid_until, number.to_bytes(16, "big"))


def batch_of(raws, height=1):
    return Batch(0, height, 0, 0, 0, tuple(identify(raw)[1] for raw in raws))


class World:
    def __init__(self, **parameters):
        self.mempool = Mempool()
        self.kept, self.asked, self.ready, self.refused = [], [], [], []
        self.valid = True
        self.keeper = BodyKeeper(
            mempool=self.mempool,
            parameters=Parameters(**parameters),
            keep=self.kept.extend,
            request=lambda member, hashes: self.asked.append((member, hashes)),
            check=self.check,
            ready=self.ready.append,
            refused=lambda digest, reason: self.refused.append((digest, reason)),
        )

    async def check(self, raws):
        code = "" if self.valid else "bad_signature"
        return [Checked(raw, code, "", read_transaction(raw), *identify(raw)) for raw in raws]

    def pool(self, *raws):
        for raw in raws:
            assert self.mempool.add(raw, read_transaction(raw), *identify(raw)) == "accepted"

    async def answer(self, *raws):
        self.keeper.on_bodies(raws)
        while self.keeper._checks:
            await asyncio.sleep(0)


async def test_a_batch_whose_bodies_wait_in_the_pool_is_ready_at_once():
    world, raws = World(), [transaction(1), transaction(2)]
    world.pool(*raws)
    batch = batch_of(raws)
    world.keeper.hold(batch, (1,))
    assert world.ready == [batch.digest]
    assert world.kept == raws
    assert world.keeper.of(batch) == raws
    assert world.asked == []


async def test_what_is_missing_is_asked_of_each_source_in_turn(monkeypatch):
    monkeypatch.setattr("network.bodies.ASK_AGAIN_S", 0.001)
    world, raws = World(), [transaction(1), transaction(2)]
    world.pool(raws[0])
    world.keeper.hold(batch_of(raws), (2, 3))
    while len(world.asked) < 3:
        await asyncio.sleep(0.001)
    missing = (identify(raws[1])[1],)
    assert world.asked[:3] == [(2, missing), (3, missing), (2, missing)]
    await world.answer(raws[1])
    assert world.ready == [batch_of(raws).digest]


async def test_a_forged_body_never_completes_a_batch():
    world, raws = World(), [transaction(1)]
    world.keeper.hold(batch_of(raws), (1,))
    world.valid = False
    await world.answer(*raws)
    assert world.ready == world.kept == []
    world.valid = True
    await world.answer(*raws)
    assert world.ready == [batch_of(raws).digest]
    world.keeper.close()


async def test_a_body_nobody_wants_is_not_kept():
    world, stranger = World(), transaction(9)
    world.keeper.hold(batch_of([transaction(1)]), (1,))
    await world.answer(stranger)
    assert world.keeper.get(identify(stranger)[1]) is None
    world.keeper.close()


async def test_a_batch_with_an_expired_or_premature_transaction_is_refused():
    for valid_until in (4, 5 + 4096 + 1):
        world, raws = World(), [transaction(1, valid_until)]
        world.pool(*raws)
        batch = batch_of(raws, height=5)
        world.keeper.hold(batch, (1,))
        assert world.ready == []
        assert world.refused == [
            (batch.digest, f"transaction {batch.hashes[0].hex()[:12]} is valid until {valid_until}")
        ]


async def test_a_batch_larger_than_a_block_is_refused():
    world = World(block_bytes_max=65_536)
    raws = [transaction(number) for number in range(500)]
    world.pool(*raws)
    world.keeper.hold(batch_of(raws), (1,))
    assert "at most 65536 are allowed" in world.refused[0][1]


async def test_bodies_stay_until_their_height_is_sealed_even_when_the_pool_forgets():
    world, raws = World(), [transaction(1), transaction(2)]
    world.pool(*raws)
    first, second = batch_of(raws[:1], 1), batch_of(raws, 2)
    world.keeper.hold(first, (1,))
    world.keeper.hold(second, (1,))
    world.mempool.remove(second.hashes)
    world.keeper.unpin(1)
    assert world.keeper.of(second) == raws  # the first body is still named by height 2
    world.keeper.unpin(2)
    assert world.keeper.of(second) is None


async def test_a_restart_brings_the_journalled_bodies_back():
    world, raws = World(), [transaction(1)]
    world.keeper.restore(raws, [], sealed_height=0)
    world.keeper.hold(batch_of(raws), (1,))
    assert world.ready == [batch_of(raws).digest]


async def test_after_a_restart_the_bodies_of_each_batch_stay_until_that_batch_is_sealed():
    """The replica takes up its votes, and never asks again for what it has voted for."""
    world, raws = World(), [transaction(number) for number in range(4)]
    first, second, third = (batch_of([raw], height) for height, raw in enumerate(raws[:3], 1))
    world.keeper.restore(raws, [first, second, third], sealed_height=0)
    world.keeper.unpin(1)
    assert world.keeper.pinned() == raws[1:3]  # the fourth stands in no batch of the journal
    assert world.keeper.of(second) == [raws[1]]
    world.keeper.unpin(2)
    world.keeper.unpin(3)
    assert world.keeper.pinned() == []


async def test_after_a_restart_nothing_is_kept_for_what_was_sealed_before():
    world, raws = World(), [transaction(1)]
    world.keeper.restore(raws, [batch_of(raws, 3)], sealed_height=3)
    world.keeper.unpin(4)
    assert world.keeper.pinned() == []


async def test_only_what_is_missing_is_checked_and_once_at_a_time():
    world, raws, strangers = World(), [transaction(1)], [transaction(number) for number in range(2, 9)]
    checked, answer, check = [], asyncio.Event(), world.check

    async def slow_check(raws):
        checked.extend(raws)
        await answer.wait()
        return await check(raws)

    world.keeper._check = slow_check
    world.keeper.hold(batch_of(raws), (1,))
    for _ in range(3):
        world.keeper.on_bodies([*strangers, *raws])
    await asyncio.sleep(0)
    assert checked == raws
    answer.set()
    while world.keeper._checks:
        await asyncio.sleep(0)
    assert world.ready == [batch_of(raws).digest]


async def test_a_body_that_nobody_wants_any_more_when_it_is_checked_is_not_kept():
    world, raws, sealed = World(), [transaction(1)], asyncio.Event()
    check = world.check

    async def slow_check(raws):
        await sealed.wait()
        return await check(raws)

    world.keeper._check = slow_check
    world.keeper.hold(batch_of(raws), (1,))
    world.keeper.on_bodies(raws)
    await asyncio.sleep(0)
    world.keeper.unpin(1)
    sealed.set()
    while world.keeper._checks:
        await asyncio.sleep(0)
    assert world.keeper.pinned() == []
