"""The pipeline: blocks follow from batches, and an executor that restarts, forgets or runs ahead is brought level."""

import asyncio
import itertools

import pytest

from ledger.blocks import genesis_record
from ledger.crypto import SigningKey
from ledger.hashing import ZERO_HASH
from ledger.merkle import root
from ledger.store import BlockStore
from ledger.transactions import identify, sign_transaction
from ledger.types import Batch, Call, Genesis, Parameters, Validator, ValidatorSet
from network.api import ExecutionOutcome, ExecutorStatus, NodeUnavailable
from network.pipeline import Diverged, Pipeline

KEY = SigningKey.from_seed(bytes(32))
GENESIS = Genesis(1, "test", 1000, Parameters(), ValidatorSet((Validator("v0", KEY.public_key, 1, b"cert"),)), ())


def transaction(number):
    return sign_transaction(KEY, GENESIS.chain_id, [Call("c", "m", b"\x90")], 1000, 50, number.to_bytes(16, "big"))


class FakeExecutor:
    """State root = height and how many transactions so far; loses its connection, state or mind when told to."""

    def __init__(self):
        self.height = 0
        self.total = 0
        self.root = ZERO_HASH
        self.executed = []
        self.fail_next = 0
        self.commit_but_lose_answer = False
        self.forgotten = 0
        self.lie = False
        self.fit_max = 100

    async def status(self):
        return ExecutorStatus(self.height, self.root, 0, ())

    async def forget(self):
        self.height = self.total = 0
        self.root = ZERO_HASH
        self.forgotten += 1

    async def execute(self, request):
        if self.fail_next:
            self.fail_next -= 1
            raise NodeUnavailable("executor: gone")
        assert 0 < request.height <= self.height + 1
        if request.height == self.height + 1:
            self.height, self.total = request.height, self.total + len(request.transactions)
        self.executed.append(request.height)
        if self.commit_but_lose_answer:
            self.commit_but_lose_answer = False
            raise NodeUnavailable("executor: the answer was lost")
        hashes = [identify(raw)[1] for raw in request.transactions]
        state_root = bytes([self.height, self.total, self.lie]) + bytes(29)
        self.root = state_root
        executed = tuple(range(len(hashes)))[: self.fit_max]
        returned = tuple(range(len(hashes)))[self.fit_max :]
        hashes = hashes[: self.fit_max]
        return ExecutionOutcome(
            request.height, executed, returned, tuple(b"receipt" for _ in hashes), root(hashes),
            root([b"receipt" for _ in hashes]), state_root, 0,
        )  # fmt: skip


class World:
    def __init__(self, path):
        self.store = BlockStore(path)
        if self.store.height < 0:
            self.store.put(genesis_record(GENESIS, ZERO_HASH))
        self.executor = FakeExecutor()
        self.bodies = {}
        self.fetched = {}
        self.done = []
        self.left = []
        self.missing = []
        self.pipeline = Pipeline(
            store=self.store,
            executor=self.executor,
            validators_hash=GENESIS.validators.hash,
            ahead_max=2,
            bodies=self.bodies_of,
            fetched=self.fetched.get,
            missing=self.missing.append,
            executed=self.on_executed,
        )

    def bodies_of(self, batch):
        found = [self.bodies.get(each) for each in batch.hashes]
        return None if None in found or batch.height in self.fetched else found

    def on_executed(self, record, left):
        self.done.append(record.height)
        self.left.append(set(left))

    def batch(self, height, *numbers):
        raws = [transaction(number) for number in numbers]
        hashes = [identify(raw)[1] for raw in raws]
        self.bodies.update(zip(hashes, raws, strict=True))
        return Batch(0, height, 0, 0, 2000 + height, tuple(hashes))

    async def run(self, *batches):
        task = asyncio.create_task(self.pipeline.run())
        for batch in batches:
            self.pipeline.deliver(batch)
        deadline = asyncio.get_running_loop().time() + 10
        while len(self.done) < len(batches) and not task.done():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.001)
        task.cancel()
        result = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(result[0], asyncio.CancelledError):
            raise result[0]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "blocks")
    yield made
    made.store.close()


async def test_batches_become_blocks_that_chain(world):
    await world.run(world.batch(1, 1, 2), world.batch(2), world.batch(3, 3))
    headers = [world.store.header(height) for height in range(4)]
    assert [header.transaction_count for header in headers] == [0, 2, 0, 1]
    assert all(after.previous_hash == before.hash for before, after in itertools.pairwise(headers))


async def test_time_never_goes_back_even_when_a_batch_does(world):
    early = world.batch(2, 2)
    early = Batch(0, 2, 0, 0, 5, early.hashes)
    await world.run(world.batch(1, 1), early)
    assert world.store.header(2).time_ms == world.store.header(1).time_ms + 1


async def test_an_executor_that_dies_is_asked_again(world):
    world.executor.fail_next = 2
    await world.run(world.batch(1, 1))
    assert world.executor.executed == [1]


async def test_an_executor_that_lost_its_state_gets_the_blocks_again(world):
    await world.run(world.batch(1, 1), world.batch(2, 2))
    await world.executor.forget()
    world.done.clear()
    world.executor.fail_next = 1
    await world.run(world.batch(3, 3))
    assert world.executor.executed == [1, 2, 1, 2, 3]


async def test_an_answer_lost_after_the_commit_is_asked_for_again(world):
    world.executor.commit_but_lose_answer = True
    await world.run(world.batch(1, 1), world.batch(2, 2))
    assert world.executor.executed == [1, 1, 2]
    assert world.executor.forgotten == 0
    assert world.store.header(2).state_root == bytes([2, 2, 0]) + bytes(29)


async def test_a_state_far_ahead_of_the_block_store_is_rebuilt(world):
    world.executor.height = 3
    await world.pipeline.catch_up(0)
    assert world.executor.forgotten == 1


async def test_a_replay_that_gives_another_root_is_a_divergence(world):
    await world.run(world.batch(1, 1))
    await world.executor.forget()
    world.executor.lie = True
    with pytest.raises(Diverged, match="executing block 1 again gave state root 0101"):
        await world.pipeline.catch_up(1)


async def test_a_block_that_is_stored_already_is_not_executed_twice(world):
    batch = world.batch(1, 1)
    await world.run(batch)
    world.done.clear()
    await world.run(batch)
    assert world.executor.executed == [1]
    assert world.done == [1]


async def test_what_did_not_fit_waits_for_another_block(world):
    world.executor.fit_max = 2
    batch = world.batch(1, 1, 2, 3)
    await world.run(batch)
    assert world.left == [{batch.hashes[2]}]


async def test_what_did_not_fit_waits_on_whoever_fetched_the_block_too(world, tmp_path):
    """A sealed block that came from a peer brings the bodies that ran, and no others."""
    world.executor.fit_max = 2
    batch = world.batch(1, 1, 2, 3)
    await world.run(batch)
    laggard = World(tmp_path / "laggard")
    laggard.fetched[1] = world.store.record(1)
    await laggard.run(batch)
    assert laggard.left == [{batch.hashes[2]}]
    assert laggard.store.header(1).transactions_root == world.store.header(1).transactions_root
    laggard.store.close()


async def test_what_did_not_fit_waits_after_a_restart_too(world):
    world.executor.fit_max = 2
    batch = world.batch(1, 1, 2, 3)
    await world.run(batch)
    world.done.clear()
    await world.run(batch)
    assert world.left == [{batch.hashes[2]}] * 2


async def test_a_state_that_is_not_that_of_its_height_is_rebuilt(world):
    """A state directory from elsewhere: at a height that the blocks have, with another root."""
    await world.run(world.batch(1, 1), world.batch(2, 2))
    world.executor.root = b"\x07" * 32
    await world.pipeline.catch_up(2)
    assert world.executor.forgotten == 1
    assert world.executor.executed == [1, 2, 1, 2]


async def test_a_genesis_that_gives_another_root_is_a_divergence(world):
    world.executor.root = b"\x07" * 32
    with pytest.raises(Diverged, match="the genesis gives state root 0707"):
        await world.pipeline.catch_up(0)
    assert world.executor.forgotten == 0


@pytest.mark.parametrize("way", ["a peer sends the bodies", "a peer sends the sealed block"])
async def test_a_final_batch_without_its_bodies_waits_for_them(world, tmp_path, monkeypatch, way):
    monkeypatch.setattr("network.pipeline.RETRY_S", 0.001)
    batch = world.batch(1, 1, 2)
    await world.run(batch)
    laggard = World(tmp_path / "laggard")

    def answer(asked):
        laggard.missing.append(asked)
        if len(laggard.missing) == 3 and way == "a peer sends the bodies":
            laggard.bodies.update(world.bodies)
        elif len(laggard.missing) == 3:
            laggard.fetched[1] = world.store.record(1)

    laggard.pipeline._missing = answer
    await laggard.run(batch)
    assert laggard.missing == [batch] * 3
    assert laggard.store.header(1) == world.store.header(1)
    laggard.store.close()
