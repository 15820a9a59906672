"""The express lane answers as the usual way does, byte for byte, and leaves all that is unusual to it."""

from __future__ import annotations

import asyncio
import re

import pytest

from network.gateway import GatewaySettings
from network.gateway.express import BODY_BYTES_MAX

HOST = b"host: localhost\r\n"
RAW = b"content-type: application/octet-stream\r\n"


@pytest.fixture
def settings():
    return GatewaySettings(status_poll_s=0.02, linger_ms=0, body_timeout_s=0.3, keep_alive_s=1)


@pytest.fixture
async def wire(node, settings, serving):
    async with serving(node, settings) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield Wire(reader, writer)
        writer.close()


class Wire:
    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, head: bytes, body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        self.writer.write(head + body)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body of the next answer."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        pairs = [tuple(line.split(b": ", 1)) for line in lines]
        headers = dict(pairs)
        assert len(headers) == len(pairs), "no header twice"
        return int(first.split()[1]), headers, await self.reader.readexactly(int(headers[b"content-length"]))


def post(raw: bytes, query: bytes = b"", more: bytes = b"", host: bytes = HOST, kind: bytes = RAW) -> bytes:
    length = b"content-length: %d\r\n\r\n" % len(raw)
    return b"POST /v1/transactions" + query + b" HTTP/1.1\r\n" + host + kind + more + length


@pytest.fixture
def taken(monkeypatch):
    """The bodies that went through the lane."""
    bodies = []
    from network.gateway.express import Express

    answer = Express.answer

    async def noted(self, raw, wait):
        bodies.append(raw)
        return await answer(self, raw, wait)

    monkeypatch.setattr(Express, "answer", noted)
    return bodies


USUAL = b"expect: nothing\r\n"  # any such header keeps a request out of the lane


@pytest.mark.parametrize("query", [b"", b"?wait=sealed", b"?wait=sealed&timeout_s=3"])
async def test_both_ways_give_the_same_answer(wire, node, taken, query):
    sealed = node.sign("aa")
    await wire.ask(post(sealed, b"?wait=sealed"), sealed)
    taken.clear()
    for raw in (sealed, node.sign("bb", chain_id=bytes(32)), b"no transaction"):
        fast = await wire.ask(post(raw, query), raw)
        assert taken.pop() == raw
        slow = await wire.ask(post(raw, query, USUAL), raw)
        assert taken == []
        fast[1].pop(b"date"), slow[1].pop(b"date")
        assert fast == slow


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"host": b"host: evil.example\r\n"}, 421),
        ({"host": b""}, 400),
        ({"host": HOST + HOST}, 400),
        ({"host": b"host: localhost\r\nhost: evil.example\r\n"}, 400),
        ({"kind": b"content-type: text/plain\r\n"}, 415),
        ({"kind": b""}, 415),
        ({"query": b"?wait=now"}, 400),
        ({"query": b"?wait=sealed&timeout_s=61"}, 400),
        ({"query": b"/"}, 404),
    ],
)
async def test_what_is_refused_is_refused_by_the_usual_way(wire, node, taken, change, status):
    raw = node.sign("aa")
    assert (await wire.ask(post(raw, **change), raw))[0] == status
    assert (taken, node.calls["submit"]) == ([], 0)


async def test_a_large_body_and_a_chunked_one_go_the_usual_way(wire, node, taken):
    raw = node.sign("a" * BODY_BYTES_MAX)
    assert (await wire.ask(post(raw), raw))[0] == 202
    raw = node.sign("bb")
    chunked = b"POST /v1/transactions HTTP/1.1\r\n" + HOST + RAW + b"transfer-encoding: chunked\r\n\r\n"
    assert (await wire.ask(chunked, b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw)))[0] == 202
    assert taken == []


async def test_a_body_in_parts_is_one_body(wire, node, taken):
    raw = node.sign("aa")
    wire.writer.write(post(raw, b"?wait=sealed") + raw[:100])
    await wire.writer.drain()
    assert (await wire.ask(b"", raw[100:]))[0] == 200
    assert taken == [raw]


async def test_a_body_that_does_not_come_runs_out_of_time(wire, node, taken):
    raw = node.sign("aa")
    status, headers, _ = await wire.ask(post(raw), raw[:-1])
    assert (status, headers[b"connection"]) == (408, b"close")
    assert await wire.reader.read() == b""
    assert taken == []


async def test_requests_of_one_packet_are_answered_in_order(wire, node, taken):
    raws = [node.sign(name) for name in ("aa", "bb", "cc")]
    wire.writer.write(b"".join(post(raw, b"?wait=sealed") + raw for raw in raws))
    found = [await wire.answer() for _ in raws]
    assert [status for status, _, _ in found] == [200] * 3
    assert [re.search(rb'"fields":\{"digest":"(..)"', body)[1] for _, _, body in found] == [b"aa", b"bb", b"cc"]
    assert taken == raws[:1]  # the others had to wait for their turn
    assert (await wire.ask(post(raws[0]), raws[0]))[0] == 200
    assert taken == [raws[0], raws[0]]


async def test_a_client_that_closes_gets_its_answer_first(wire, node):
    raw = node.sign("aa")
    status, headers, _ = await wire.ask(post(raw, b"?wait=sealed", b"connection: close\r\n"), raw)
    assert (status, headers[b"connection"]) == (200, b"close")
    assert await wire.reader.read() == b""


async def test_an_idle_connection_is_closed_after_a_while(wire, node):
    raw = node.sign("aa")
    assert (await wire.ask(post(raw), raw))[0] == 202
    async with asyncio.timeout(5):
        assert await wire.reader.read() == b""


async def test_a_fault_of_ours_is_an_answer_too(wire, node, monkeypatch, caplog):
    async def fail(_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(node.validator, "submit", fail)
    raw = node.sign("aa")
    status, _, body = await wire.ask(post(raw), raw)
    assert status == 500
    assert b"secret" not in body
    assert "POST /v1/transactions failed" in caplog.text


async def test_what_it_answers_is_counted(wire, node):
    raw = node.sign("aa")
    await wire.ask(post(raw, b"?wait=sealed"), raw)
    _, _, page = await wire.ask(b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n", b"")
    assert b'http_requests_total{method="POST",status="200"} 1\n' in page
    assert b'submissions_total{outcome="sealed"} 1\n' in page
