"""GET /v1/events: blocks and contract events in order, from any cursor, for slow readers and through broken links."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import pytest

from network.gateway import GatewaySettings, create_app


class Stream:
    """One open stream, read message by message."""

    def __init__(self, response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def message(self) -> dict[str, str]:
        """The next message: its fields, comments under ""."""
        found: dict[str, str] = {}
        async for line in self._lines:
            if not line:
                if found:
                    return found
                continue
            name, _, value = line.partition(":")
            found[name] = value.strip()
        raise EOFError

    async def events(self, count: int) -> list[tuple[str, str]]:
        """(kind, cursor) of the next events, heartbeats aside."""
        found = []
        while len(found) < count:
            message = await self.message()
            if "data" in message:
                found.append((message["event"], message["id"]))
        return found


@pytest.fixture
async def base(node, settings, serving):
    async with serving(node, settings) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        yield http


@contextlib.asynccontextmanager
async def opened(http, query="", **headers):
    async with http.stream("GET", f"/v1/events{query}", headers=headers, timeout=10) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


async def send(http, node, *names):
    for name in names:
        answer = await http.post(
            "/v1/transactions?wait=sealed",
            content=node.sign(name),
            headers={"content-type": "application/octet-stream"},
        )
        assert answer.status_code == 200


async def test_new_blocks_and_their_events_arrive_as_they_are_sealed(base, node):
    async with opened(base) as stream:
        assert await stream.message() == {"retry": "1000"}
        await send(base, node, "aa")
        event = await stream.message()
        assert (event["event"], event["id"]) == ("contract", "1.0.0")
        data = json.loads(event["data"])
        assert (data["contract"], data["name"], data["fields"]) == ("registry", "Registered", {"digest": "aa"})
        assert data["transaction_id"] in {name.hex() for name in node.sealed}
        block = await stream.message()
        assert (block["event"], block["id"]) == ("block", "1")
        assert json.loads(block["data"])["transaction_count"] == 1
        assert json.loads(block["data"])["proposer_name"] == "alpha"


async def test_history_is_told_from_a_height_on(base, node):
    await send(base, node, "aa", "bb")
    async with opened(base, "?from=0&types=block") as stream:
        assert await stream.events(3) == [("block", "0"), ("block", "1"), ("block", "2")]


async def test_a_long_history_is_told_whole(base, node):
    for _ in range(150):
        node.seal()
    async with opened(base, "?from=1&types=block") as stream:
        assert await stream.events(150) == [("block", str(height)) for height in range(1, 151)]


async def test_a_reader_resumes_after_the_last_event_it_saw(base, node):
    node.auto_seal = False
    for name in ("aa", "bb", "cc"):
        await base.post(
            "/v1/transactions", content=node.sign(name), headers={"content-type": "application/octet-stream"}
        )
    node.seal()
    async with opened(base, "?from=1", **{"last-event-id": "1.0.0"}) as stream:
        assert await stream.events(3) == [("contract", "1.1.0"), ("contract", "1.2.0"), ("block", "1")]
    async with opened(base, **{"last-event-id": "1"}) as stream:
        node.seal()
        assert await stream.events(1) == [("block", "2")]


async def test_filters(base, node):
    await send(base, node, "aa", "aa", "bb")
    async with opened(base, "?from=1&contract=registry") as stream:
        assert await stream.events(2) == [("contract", "1.0.0"), ("contract", "3.0.0")]
    async with opened(base, "?from=1&event=Registered&types=contract,block") as stream:
        assert await stream.events(3) == [("contract", "1.0.0"), ("block", "1"), ("block", "2")]
    async with opened(base, "?from=1&contract=other") as stream:
        node.seal()
        await stream.message()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stream.message()


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?from=x", {}),
        ("?from=-1", {}),
        ("?from=99999999999999999", {}),
        ("?types=everything", {}),
        ("", {"last-event-id": "1.2"}),
        ("", {"last-event-id": "x"}),
    ],
)
async def test_a_cursor_or_filter_that_means_nothing(gateway, query, headers):
    answer = await gateway.get(f"/v1/events{query}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_parameter")


async def test_a_broken_link_to_the_validator_loses_no_block(base, node):
    async with opened(base) as stream:
        await send(base, node, "aa")
        node.break_stream()
        node.seal(announce=False)
        node.seal(announce=False)
        node.seal()
        assert await stream.events(5) == [("contract", "1.0.0")] + [("block", str(height)) for height in range(1, 5)]


async def test_blocks_that_the_stream_never_brings_are_fetched(base, node):
    node.mute = True
    async with opened(base, "?types=block") as stream:
        node.seal()
        assert await stream.events(1) == [("block", "1")]


class TestHeartbeats:
    @pytest.fixture
    def settings(self):
        return GatewaySettings(heartbeat_s=0.05, streams_max=1, status_poll_s=0.02)

    async def test_silence_is_filled_with_comments_that_carry_the_cursor(self, base, node):
        async with opened(base, "?contract=other") as stream:
            await stream.message()
            node.seal()
            beats = [await stream.message()]
            while beats[-1].get("id") != "1":
                beats.append(await stream.message())
            assert all(set(beat) == {"", "id"} for beat in beats)

    async def test_one_stream_too_many(self, base):
        async with opened(base) as stream:
            await stream.message()
            answer = await base.get("/v1/events")
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
        async with asyncio.timeout(5):
            while (await base.get("/metrics")).text.find("quorate_gateway_streams 0") < 0:
                pass
        async with opened(base) as stream:
            assert await stream.message() == {"retry": "1000"}


async def test_streams_end_when_the_gateway_stops(node, settings, serving):
    async with httpx.AsyncClient() as http, contextlib.AsyncExitStack() as stack:
        async with serving(node, settings) as port:
            response = await stack.enter_async_context(http.stream("GET", f"http://127.0.0.1:{port}/v1/events"))
            stream = Stream(response)
            await stream.message()
        with pytest.raises(EOFError):
            await stream.message()


async def test_a_node_that_is_not_there_yet_is_no_broken_stream(node, settings, caplog, poll):
    caplog.set_level("DEBUG", "network.gateway.feed")
    node.down = True
    app = create_app(node.validator, node.executor, settings)
    await app.start()
    await poll(lambda: node._queues)
    node.break_stream()
    await poll(lambda: caplog.records)
    node.down = False
    await poll(lambda: app.services.feed.height >= 0 and node._queues)
    node.break_stream()
    await poll(lambda: len(caplog.records) == 2)
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO"]
    await app.stop()
