"""What a connection may do, on real sockets: silence, slowness, size, and names that are not ours."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from network.gateway import GatewaySettings, bind, create_app

HOST = b"host: localhost\r\n"


class Wire:
    """One connection, byte by byte."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def refusal(self) -> tuple[int, str]:
        status, body = await self.answer()
        problem = json.loads(body)
        assert problem["status"] == status
        return status, problem["code"]

    async def closed(self) -> bool:
        """Whether the other side closes, within the test's time."""
        try:
            async with asyncio.timeout(5):
                while await self.reader.read(65_536):
                    pass
        except ConnectionError:
            pass
        return True


@pytest.fixture
def patience_s():
    """How long a connection may take for anything: long, but in the tests of just that."""
    return 30.0


@pytest.fixture
def settings(patience_s):
    return GatewaySettings(
        header_timeout_s=patience_s,
        body_timeout_s=patience_s,
        write_timeout_s=patience_s,
        status_poll_s=0.02,
        connections_max=8,
        headers_max=20,
        header_bytes_max=4096,
        body_bytes_max=100_000,
        bodies_bytes_max=150_000,
    )


@pytest.fixture
async def port(node, settings, serving):
    async with serving(node, settings) as port:
        yield port


@pytest.fixture
async def connect(port):
    wires = []

    async def make() -> Wire:
        wires.append(Wire(*await asyncio.open_connection("127.0.0.1", port)))
        return wires[-1]

    yield make
    for wire in wires:
        wire.writer.close()


@pytest.mark.parametrize("patience_s", [0.2])
async def test_a_silent_connection_is_closed(connect):
    wire = await connect()
    assert await wire.refusal() == (408, "request_timeout")
    assert await wire.closed()


@pytest.mark.parametrize("patience_s", [0.2])
async def test_a_head_that_comes_a_byte_at_a_time_runs_out_of_time(connect):
    wire = await connect()
    sending = asyncio.create_task(drip(wire, b"GET /healthz HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 500))
    assert await wire.refusal() == (408, "request_timeout")
    assert await wire.closed()
    sending.cancel()


@pytest.mark.parametrize("patience_s", [0.2])
async def test_a_body_that_comes_a_byte_at_a_time_runs_out_of_time(connect, node):
    wire = await connect()
    await wire.send(b"POST /v1/transactions HTTP/1.1\r\n" + HOST + b"content-length: 5000\r\n\r\n")
    sending = asyncio.create_task(drip(wire, b"x" * 5000))
    assert await wire.refusal() == (408, "request_timeout")
    assert await wire.closed()
    sending.cancel()
    assert node.calls["submit"] == 0


async def drip(wire, data):
    for byte in data:
        await wire.send(bytes([byte]))
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("patience_s", [1.0])
async def test_the_time_starts_again_with_each_request(connect):
    wire = await connect()
    for _ in range(3):
        await wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await wire.answer())[0] == 200
    await wire.send(b"GET /healthz HT")
    assert await wire.refusal() == (408, "request_timeout")


async def test_requests_in_one_packet_are_answered_in_order(connect, node):
    wire = await connect()
    raw = node.sign("aa")
    post = b"POST /v1/transactions HTTP/1.1\r\n" + HOST
    post += b"content-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw
    await wire.send(post + b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await wire.answer())[0] == 202
    assert (await wire.answer())[0] == 200


async def test_a_large_head(connect):
    wire = await connect()
    await wire.send(b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 5000 + b"\r\n\r\n")
    assert await wire.refusal() == (431, "headers_too_large")
    assert await wire.closed()


async def test_a_head_without_end(connect):
    wire = await connect()
    await wire.send(b"GET /" + b"a" * 5000)
    assert await wire.refusal() == (431, "headers_too_large")


async def test_many_headers(connect):
    wire = await connect()
    await wire.send(b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"x%d: y\r\n" % n for n in range(30)) + b"\r\n")
    assert await wire.refusal() == (431, "headers_too_large")
    assert await wire.closed()


async def test_a_small_head_with_a_large_body_in_one_packet(connect, node):
    wire = await connect()
    body = json.dumps({"raw": node.sign("a" * 20_000).hex()}).encode()
    head = b"POST /v1/transactions HTTP/1.1\r\n" + HOST + b"content-type: application/json\r\n"
    await wire.send(head + b"content-length: %d\r\n\r\n" % len(body) + body)
    assert (await wire.answer())[0] == 202


async def test_a_body_declared_too_large_is_refused_before_a_byte_of_it(connect):
    wire = await connect()
    await wire.send(b"POST /v1/transactions HTTP/1.1\r\n" + HOST + b"content-length: 209715200\r\n\r\n")
    assert await wire.refusal() == (413, "too_large")
    assert await wire.closed()


async def test_a_chunked_body_is_cut_off_at_the_limit(connect):
    wire = await connect()
    await wire.send(b"POST /v1/transactions HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    try:
        for _ in range(50):
            await wire.send(chunk)
    except ConnectionError:
        return  # closed while we were sending: cut off all the same
    assert await wire.refusal() == (413, "too_large")


async def test_many_slow_bodies_share_one_budget(connect):
    head = b"POST /v1/transactions HTTP/1.1\r\n" + HOST + b"content-length: 90000\r\n\r\n"
    first, second = await connect(), await connect()
    await first.send(head + b"x")
    async with asyncio.timeout(5):
        await second.send(head + b"x")
        assert await second.refusal() == (503, "busy")
        await first.send(b"x" * 89_999)
        assert await first.refusal() == (415, "unsupported_media_type")
        third = await connect()
        await third.send(head + b"x" * 90_000)
        assert await third.refusal() == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n bad: fold\r\n\r\n",
    ],
)
async def test_what_is_not_http(connect, data):
    wire = await connect()
    await wire.send(data)
    assert await wire.refusal() == (400, "bad_request")
    assert await wire.closed()


async def test_one_connection_too_many(connect):
    wires = [await connect() for _ in range(8)]
    for wire in wires:
        await wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await wire.answer())[0] == 200
    extra = await connect()
    assert await extra.refusal() == (503, "busy")
    assert await extra.closed()
    wires[0].writer.close()
    async with asyncio.timeout(5):
        while True:
            wire = await connect()
            await wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
            if (await wire.answer())[0] == 200:
                return


@pytest.mark.parametrize("patience_s", [0.2])
async def test_a_reader_that_reads_nothing_is_cut_off(connect, node):
    for block in range(40):
        node.pending = {bytes([n]) * 32: node.sign(f"{block}.{n}" + "a" * 60_000) for n in range(10)}
        node.seal()
    wire = await connect()
    wire.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.writer.transport.pause_reading()
    await wire.send(b"GET /v1/events?from=1 HTTP/1.1\r\n" + HOST + b"\r\n")
    other = await connect()

    async def streams() -> int:
        await other.send(b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n")
        _, body = await other.answer()
        return int(body.split(b"\nquorate_gateway_streams ")[1].split()[0])

    async with asyncio.timeout(5):
        while await streams() == 0:
            pass
        while await streams() == 1:
            pass


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost", 200),
        (b"127.0.0.1:8101", 200),
        (b"[::1]:8101", 200),
        (b"LOCALHOST", 200),
        (b"evil.example", 421),
        (b"localhost.evil.example", 421),
        (b"127.0.0.1.evil.example:80", 421),
        (b"", 421),
    ],
)
async def test_only_our_own_names_are_answered(connect, host, status):
    wire = await connect()
    await wire.send(b"GET /v1/status HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")
    found, body = await wire.answer()
    assert found == status
    if status == 421:
        assert json.loads(body)["code"] == "host_not_allowed"


def test_names_from_the_settings_may_be_written_as_in_urls():
    assert GatewaySettings(allowed_hosts=("Node.Example", "[::1]")).host_names == {"node.example", "::1"}


async def test_every_name_is_answered_when_the_settings_say_so(node):
    app = create_app(node.validator, node.executor, GatewaySettings(allowed_hosts=("*",)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any.example") as http:
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("hosts", [b"", b"host: localhost\r\nhost: evil.example\r\n"])
async def test_no_host_or_two(connect, hosts):
    wire = await connect()
    await wire.send(b"GET /v1/status HTTP/1.1\r\n" + hosts + b"\r\n")
    assert (await wire.answer())[0] == 400


async def test_no_cross_origin_reading_and_no_cookies(gateway):
    for path in ("/v1/status", "/", "/healthz"):
        answer = await gateway.get(path, headers={"origin": "https://evil.example"})
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control-") or name == "set-cookie"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    preflight = await gateway.http.options(
        "/v1/transactions", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 405


def test_a_taken_port_is_named():
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        number = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{number}: Address already in use"):
            bind("127.0.0.1", number)


SCRIPT = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from conftest import FakeNode
from network.gateway import GatewaySettings, create_app, serve
node = FakeNode()
app = create_app(node.validator, node.executor, GatewaySettings())
asyncio.run(serve(app, on_ready=lambda port: print(port, flush=True)))
print("calm")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_calmly_and_silently(number):
    tests = str(Path(__file__).parent.parent)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT.format(tests=tests), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    port = int(await process.stdout.readline())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/events HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await reader.readuntil(b"retry: 1000")).startswith(b"HTTP/1.1 200")
    process.send_signal(number)
    output, errors = await process.communicate()
    writer.close()
    assert (process.returncode, output, errors) == (0, b"calm\n", b"")
