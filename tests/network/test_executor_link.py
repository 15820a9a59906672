"""The link to the executor: what goes wrong behind it is a reason to ask again, never the end of the validator."""

import asyncio
import os
import signal

import msgspec
import pytest

from network import executor_link, supervisor
from network.api import STATE_DAMAGED, Execute, ExecutorStatus, NodeUnavailable, Unresponsive
from network.executor_link import ExecutorLink, hung_after_s
from network.ipc import RemoteError, Server
from network.supervisor import Child as SupervisedChild
from network.supervisor import ChildSpec
from network.testnet import make_testnet


class Child:
    def __init__(self):
        self.kills = 0
        self.pid = 100

    async def kill(self):
        self.kills += 1
        self.pid += 1


async def link_to(path, error):
    async def handler(_connection, _payload):
        raise error

    server, child = Server(path, handler), Child()
    await server.start()
    link = ExecutorLink(path, child)
    await link._client.start()
    return server, link, child


async def test_an_executor_at_another_height_is_unavailable_until_it_is_brought_level(tmp_path):
    server, link, child = await link_to(tmp_path / "x.sock", RemoteError("height_unavailable", "block 7 is next"))
    with pytest.raises(NodeUnavailable, match="block 7 is next"):
        await link.execute(Execute(9, 0, ()))
    assert child.kills == 0
    await link.close()
    await server.close()


async def test_an_executor_that_fails_at_a_block_is_started_again(tmp_path):
    server, link, child = await link_to(tmp_path / "x.sock", MemoryError("no room"))
    with pytest.raises(NodeUnavailable, match="no room"):
        await link.execute(Execute(9, 0, ()))
    assert child.kills == 1
    await link.close()
    await server.close()


async def test_an_executor_that_deletes_a_damaged_state_is_left_to_it(tmp_path):
    """Killed while it does so, it would find the rest of the state there, and fail at the same block for ever."""
    server, link, child = await link_to(tmp_path / "x.sock", RemoteError(STATE_DAMAGED, "a table is torn"))
    with pytest.raises(NodeUnavailable, match="a table is torn"):
        await link.execute(Execute(9, 0, ()))
    assert child.kills == 0
    await link.close()
    await server.close()


async def test_no_other_question_lets_a_remote_error_through(tmp_path):
    server, link, child = await link_to(tmp_path / "x.sock", RemoteError("internal", "disk full"))
    for question in (link.status, link.forget):
        with pytest.raises(NodeUnavailable, match="disk full"):
            await question()
    assert child.kills == 0
    await link.close()
    await server.close()


# ── one that hangs ────────────────────────────────────────────────────────────────────────────────


async def hanging(path, hung_after_s=0.05):
    """A link to an executor that answers what `answers` lets it answer."""
    answers = asyncio.Event()

    async def handler(_connection, _payload):
        await answers.wait()
        return msgspec.msgpack.encode(ExecutorStatus(0, bytes(32), 1, ()))

    server, child = Server(path, handler), Child()
    await server.start()
    link = ExecutorLink(path, child, hung_after_s)
    await link._client.start()
    return server, link, child, answers


async def test_an_executor_that_hangs_at_a_block_is_ended_and_the_block_is_asked_for_again(tmp_path, caplog):
    server, link, child, _ = await hanging(tmp_path / "x.sock")
    with pytest.raises(Unresponsive, match=r"no answer within 0\.05 s"):
        await link.execute(Execute(9, 0, ()))
    assert child.kills == 1
    assert "the executor hangs at block 9" in caplog.text
    await link.close()
    await server.close()


async def test_one_that_has_been_replaced_meanwhile_is_not_ended_for_its_forerunner(tmp_path):
    server, link, child, _ = await hanging(tmp_path / "x.sock")
    asked = asyncio.create_task(link.execute(Execute(9, 0, ())))
    await asyncio.sleep(0)
    child.pid += 1
    with pytest.raises(Unresponsive):
        await asked
    assert child.kills == 0
    await link.close()
    await server.close()


async def test_one_that_hangs_while_nobody_asks_is_found_by_its_pulse(tmp_path, monkeypatch):
    monkeypatch.setattr(executor_link, "PULSE_S", 0.01)
    server, link, child, answers = await hanging(tmp_path / "x.sock")
    answers.set()
    await link.connect()
    await asyncio.sleep(0.2)
    assert child.kills == 0, "it answered"
    answers.clear()
    async with asyncio.timeout(20):
        while not child.kills:
            await asyncio.sleep(0.01)
    await link.close()
    await server.close()


def test_blocks_with_more_gas_may_take_longer():
    assert hung_after_s(0) == 60
    assert hung_after_s(2_000_000_000) == 100


async def test_a_real_process_that_is_stopped_is_ended_and_started_again(tmp_path, monkeypatch):
    """SIGSTOP: the socket stands, the kernel takes what is sent, and nothing ever comes back."""
    monkeypatch.setattr(executor_link, "PULSE_S", 0.05)
    monkeypatch.setattr(supervisor, "RESTART_DELAY_MIN_S", 0.01)
    genesis = tmp_path / "net" / "genesis.json"
    make_testnet(tmp_path / "net", time_ms=1_700_000_000_000, validators=1, base_port=None)
    arguments = ("--socket", tmp_path / "x.sock", "--state", tmp_path / "state", "--genesis", genesis)
    child = SupervisedChild(ChildSpec("executor", "network.executor_process", [str(each) for each in arguments]))
    await child.start()
    link = ExecutorLink(tmp_path / "x.sock", child, hung_after_s=3.0)
    await link.connect()
    first = child.pid
    os.kill(first, signal.SIGSTOP)
    async with asyncio.timeout(60):
        while child.restarts == 0:
            await asyncio.sleep(0.02)
        while child.pid is None or not await answers_again(link):
            await asyncio.sleep(0.02)
    assert child.pid != first
    await link.close()
    await child.stop()


async def answers_again(link):
    try:
        return (await link.status()).height == 0
    except NodeUnavailable:
        return False
