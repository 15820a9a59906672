"""The proxies against a server that answers like a node: every request typed, one subscription for many readers."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.types import Batch, Block, BlockRecord, Header, ValidatorSet
from network import api, proxies
from network.api import NodeUnavailable
from network.ipc import Connection, RemoteError, Server
from network.proxies import ExecutorProxy, ValidatorProxy

H = bytes(range(32))


def block(height: int) -> BlockRecord:
    header = Header(H, 0, height, H, H, 0, 0, 1, 1000 + height, H, H, H, H, H, 0, 0)
    return BlockRecord(Block(header, Batch(0, height, 0, 0, 1000, ()), ()), (), (), None)


STATUS = api.NodeStatus("0.1", "net", H, 0, "a", 0, 0, False, 5, 5, H, H, 1, 0, 0, "", (), 1, {"frames": 3})


class FakeNode:
    """Answers from a table, by the request's type, and remembers what it was asked."""

    def __init__(self, path: Path, kind: Any) -> None:
        self.asked: list[Any] = []
        self.answers: dict[type, Any] = {}
        self.subscribers: list[Connection] = []
        self.decode = msgspec.msgpack.Decoder(kind).decode
        self.server = Server(path, self.handle)

    async def handle(self, connection: Connection, payload: bytes) -> bytes:
        request = self.decode(payload)
        self.asked.append(request)
        if isinstance(request, api.Subscribe):
            self.subscribers.append(connection)
            return msgspec.msgpack.encode(0)
        if type(request) not in self.answers:
            raise RemoteError("unknown", type(request).__name__)
        return msgspec.msgpack.encode(self.answers[type(request)])

    def publish(self, *blocks: BlockRecord) -> None:
        for subscriber in self.subscribers:
            for each in blocks:
                subscriber.push(msgspec.msgpack.encode(each))


@pytest.fixture
def path() -> Iterator[Path]:
    directory = tempfile.mkdtemp(prefix="q")
    yield Path(directory) / "n.sock"
    shutil.rmtree(directory)


async def test_every_question_to_the_validator_has_its_typed_answer(path: Path, members: Any) -> None:
    node = FakeNode(path, api.AnyValidatorRequest)
    await node.server.start()
    record = api.TransactionRecord("sealed", b"raw", b"receipt", 3, 0)
    node.answers = {
        api.Submit: [api.Admission("accepted", H), api.Admission("busy", H, "later")],
        api.GetStatus: STATUS,
        api.GetValidators: members.validators,
        api.GetValidatorSet: None,
        api.GetBlocks: [block(1), block(2)],
        api.GetBlockByHash: None,
        api.GetTransaction: record,
        api.GetAccount: [api.AccountEntry(3, 0, H)],
    }
    async with ValidatorProxy(path) as proxy:
        assert await proxy.submit([b"one", b"two"]) == node.answers[api.Submit]
        assert await proxy.status() == STATUS
        assert await proxy.validators() == members.validators
        assert await proxy.validator_set(H) is None
        assert await proxy.blocks(1, 2, light=True) == [block(1), block(2)]
        assert await proxy.block_by_hash(H) is None
        assert await proxy.transaction(H) == record
        assert await proxy.account(H, 9, 0, 20) == [api.AccountEntry(3, 0, H)]
        with pytest.raises(RemoteError, match="unknown: GetGenesis"):
            await proxy.genesis()
    assert node.asked == [
        api.Submit((b"one", b"two")),
        api.GetStatus(),
        api.GetValidators(),
        api.GetValidatorSet(H),
        api.GetBlocks(1, 2, True),
        api.GetBlockByHash(H),
        api.GetTransaction(H),
        api.GetAccount(H, 9, 0, 20),
        api.GetGenesis(),
    ]
    await node.server.close()


async def test_every_question_to_the_executor_has_its_typed_answer(path: Path) -> None:
    node = FakeNode(path, api.AnyExecutorRequest)
    await node.server.start()
    info = api.ContractInfo("token", H, H, 1, 1, "", "", (), (("balances", "Map[str, int]"),), ())
    node.answers = {
        api.GetExecutorStatus: api.ExecutorStatus(4, H, 2, ("rlimits",)),
        api.View: api.ViewOutcome("ok", "", 0, b"\x01", 10, 4),
        api.GetContracts: [info],
        api.GetContract: None,
        api.GetState: api.StateAnswer(b"k", False, b"", b"proof", 4, H),
        api.KnownSenders: [True, False],
        api.Execute: api.ExecutionOutcome(5, (0,), (), (b"r",), H, H, H, 10),
        api.MarkSealed: None,
    }
    async with ExecutorProxy(path) as proxy:
        assert (await proxy.status()).height == 4
        assert (await proxy.view("token", "balance_of", b"\x90", H)).gas_used == 10
        assert await proxy.contracts() == [info]
        assert await proxy.contract("none") is None
        assert (await proxy.state("token", b"\x90", 4)).proof == b"proof"
        assert await proxy.known_senders([H, H]) == [True, False]
        assert (await proxy.execute(5, 1000, [b"raw"])).executed == (0,)
        assert await proxy.mark_sealed(5) is None
    assert node.asked[-2:] == [api.Execute(5, 1000, (b"raw",)), api.MarkSealed(5)]
    await node.server.close()


async def test_an_answer_of_another_type_is_an_unavailable_node(path: Path) -> None:
    node = FakeNode(path, api.AnyValidatorRequest)
    await node.server.start()
    node.answers = {api.GetStatus: ["nonsense"], api.GetValidators: ValidatorSet(())}
    async with ValidatorProxy(path) as proxy:
        with pytest.raises(NodeUnavailable, match="the answer to GetStatus is not what it should be"):
            await proxy.status()
        with pytest.raises(NodeUnavailable, match="the answer to GetValidators is not what it should be"):
            await proxy.validators()
    await node.server.close()


async def test_an_absent_node_is_unavailable(path: Path) -> None:
    async with ValidatorProxy(path) as proxy:
        with pytest.raises(NodeUnavailable, match="unreachable for"):
            await proxy.status()
        with pytest.raises(NodeUnavailable, match="not connected"):
            await anext(proxy.sealed_blocks())


# ── sealed blocks ─────────────────────────────────────────────────────────────────────────────────


async def test_many_readers_share_one_subscription(path: Path, until: Any) -> None:
    node = FakeNode(path, api.AnyValidatorRequest)
    await node.server.start()
    async with ValidatorProxy(path) as proxy:
        readers = [proxy.sealed_blocks() for _ in range(3)]
        await until(lambda: node.subscribers)
        node.publish(block(1), block(2))
        for reader in readers:
            assert [await anext(reader), await anext(reader)] == [block(1), block(2)]
        await readers[0].aclose()
        late = proxy.sealed_blocks()
        node.publish(block(3))
        for reader in (*readers[1:], late):
            assert await anext(reader) == block(3)
    assert node.asked == [api.Subscribe()]
    await node.server.close()


async def test_a_slow_reader_ends_after_what_it_has_and_the_others_go_on(
    path: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "SEALED_QUEUE_BLOCKS_MAX", 3)
    node = FakeNode(path, api.AnyValidatorRequest)
    await node.server.start()
    async with ValidatorProxy(path) as proxy:
        slow, quick = proxy.sealed_blocks(), proxy.sealed_blocks()
        await until(lambda: node.subscribers)
        for height in range(1, 6):
            node.publish(block(height))
            assert await anext(quick) == block(height)
        assert [await anext(slow) for _ in range(3)] == [block(1), block(2), block(3)]
        for _ in range(2):
            with pytest.raises(NodeUnavailable, match="this reader is 3 blocks behind"):
                await anext(slow)
    await node.server.close()


async def test_readers_end_with_the_link_and_new_ones_subscribe_on_the_next(path: Path, until: Any) -> None:
    node = FakeNode(path, api.AnyValidatorRequest)
    await node.server.start()
    async with ValidatorProxy(path) as proxy:
        reader = proxy.sealed_blocks()
        await until(lambda: node.subscribers)
        node.publish(block(1))
        assert await anext(reader) == block(1)
        waiting = asyncio.ensure_future(anext(reader))
        await node.server.close()
        with pytest.raises(NodeUnavailable, match="lost"):
            await waiting
        again = FakeNode(path, api.AnyValidatorRequest)
        await again.server.start()
        await until(lambda: proxy.connected)
        reader = proxy.sealed_blocks()
        await until(lambda: again.subscribers)
        again.publish(block(2))
        assert await anext(reader) == block(2)
        await again.server.close()


async def test_a_refused_subscription_ends_its_readers(path: Path) -> None:
    async def refuse(connection: Connection, payload: bytes) -> bytes:
        raise RemoteError("busy", "too many subscribers")

    server = Server(path, refuse)
    await server.start()
    async with ValidatorProxy(path) as proxy:
        with pytest.raises(NodeUnavailable, match="the subscription failed: busy: too many subscribers"):
            await anext(proxy.sealed_blocks())
    await server.close()
