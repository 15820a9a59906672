"""The link to the executor: what goes wrong behind it is a reason to ask again, never the end of the validator."""

import pytest

from network.api import Execute, NodeUnavailable
from network.executor_link import ExecutorLink
from network.ipc import RemoteError, Server


class Child:
    def __init__(self):
        self.kills = 0

    async def kill(self):
        self.kills += 1


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


async def test_no_other_question_lets_a_remote_error_through(tmp_path):
    server, link, child = await link_to(tmp_path / "x.sock", RemoteError("internal", "disk full"))
    for question in (link.status, link.forget):
        with pytest.raises(NodeUnavailable, match="disk full"):
            await question()
    assert child.kills == 0
    await link.close()
    await server.close()
