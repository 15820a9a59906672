"""The executor's state is derived, so a state that it cannot read is made again and never ends the node; and no
view keeps it from its blocks."""

from __future__ import annotations

import asyncio

import msgspec
import plyvel
import pytest

from contracts import codes, examples
from contracts.testing import LocalChain
from ledger import codec, versions
from ledger.state import State
from network import executor_process
from network.api import GetContracts, GetExecutorStatus, View
from network.executor_process import ExecutorService, open_state
from network.ipc import RemoteError


def test_a_state_that_another_version_wrote_is_made_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(versions, "FORMAT_VERSION", versions.FORMAT_VERSION + 1)
    state = State.open(tmp_path / "state")
    state.commit(0, {b"a": b"1"})
    state.close()
    monkeypatch.undo()
    state = open_state(tmp_path / "state")
    assert state.height == -1
    state.close()
    assert "this program reads format" in caplog.text
    assert "it is deleted and rebuilt from the blocks" in caplog.text


def test_a_state_that_lost_its_height_is_made_again(tmp_path):
    state = State.open(tmp_path / "state")
    state.commit(0, {b"a": b"1"})
    state.close()
    database = plyvel.DB(str(tmp_path / "state"))
    database.delete(b"m")
    database.close()
    state = open_state(tmp_path / "state")
    assert state.height == -1
    state.close()


def test_a_state_that_is_whole_is_kept(tmp_path):
    state = State.open(tmp_path / "state")
    state.commit(0, {b"a": b"1"})
    state.close()
    state = open_state(tmp_path / "state")
    assert state.height == 0
    state.close()


async def test_a_view_that_takes_too_long_is_ended_and_the_executor_goes_on(monkeypatch):
    chain = LocalChain("ada", mode="interpreter")
    chain.deploy(examples.source("key_value"), "notes")
    service = ExecutorService(chain.engine, (), asyncio.Event(), None)

    async def ask(request):
        return msgspec.msgpack.decode(await service.handle(None, msgspec.msgpack.encode(request)))

    view = View("notes", "get", codec.encode(["a"]), b"", None)
    with monkeypatch.context() as patch:
        patch.setattr(executor_process, "VIEW_S_MAX", -1.0)
        with pytest.raises(RemoteError, match="ask for less at a time") as refused:
            await ask(view)
        assert refused.value.code == "view_too_long"
    assert (await ask(view))[0] == codes.OK
    assert (await ask(GetExecutorStatus()))[2] == 2
    assert [found[0] for found in await ask(GetContracts())] == ["system", "notes"]
