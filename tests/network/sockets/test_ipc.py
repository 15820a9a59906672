"""Requests, answers and pushes over real Unix sockets: many at once, errors, slow readers, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from network import ipc
from network.api import NodeUnavailable
from network.frames import frame
from network.ipc import Backoff, Client, Connection, Limits, ReconnectingClient, RemoteError, Server, SocketInUse

Handler = Callable[[Connection, bytes], Any]


@pytest.fixture
def path() -> Iterator[Path]:
    """A socket path that is short enough wherever the tests run."""
    directory = tempfile.mkdtemp(prefix="q")
    yield Path(directory) / "n.sock"
    shutil.rmtree(directory)


@pytest.fixture
async def serve(path: Path) -> AsyncIterator[Callable[..., Any]]:
    servers: list[Server] = []

    async def begin(handler: Handler, limits: Limits | None = None) -> Server:
        server = Server(path, handler, limits)
        await server.start()
        servers.append(server)
        return server

    yield begin
    for server in servers:
        await server.close()


@pytest.fixture
async def connect(path: Path) -> AsyncIterator[Callable[..., Any]]:
    clients: list[Client] = []

    async def begin(**more: Any) -> Client:
        client = Client(**more)
        await client.connect(path)
        clients.append(client)
        return client

    yield begin
    for client in clients:
        await client.close()


async def echo(connection: Connection, payload: bytes) -> bytes:
    return b"echo " + payload


# ── questions and answers ─────────────────────────────────────────────────────────────────────────


async def test_a_request_gets_its_answer(serve: Any, connect: Any) -> None:
    await serve(echo)
    client = await connect()
    assert await client.request(b"hello") == b"echo hello"
    assert await client.request(b"") == b"echo "
    assert await client.request(bytes(5 << 20)) == b"echo " + bytes(5 << 20)


async def test_many_requests_are_under_way_at_once_and_answers_find_their_askers(serve: Any, connect: Any) -> None:
    gates = [asyncio.Event() for _ in range(50)]

    async def backwards(connection: Connection, payload: bytes) -> bytes:
        number = int(payload)
        if number + 1 < len(gates):
            await gates[number + 1].wait()
        gates[number].set()
        return payload

    await serve(backwards)
    client = await connect()
    answers = await asyncio.gather(*(client.request(b"%d" % n) for n in range(50)))
    assert answers == [b"%d" % n for n in range(50)]


async def test_a_handler_chooses_its_error_and_a_defect_answers_internal(
    serve: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(connection: Connection, payload: bytes) -> bytes:
        if payload == b"known":
            raise RemoteError("not_found", "no block at height 9")
        if payload == b"defect":
            raise ZeroDivisionError("oops")
        return b"fine"

    await serve(handler)
    client = await connect()
    with pytest.raises(RemoteError, match="not_found: no block at height 9") as caught:
        await client.request(b"known")
    assert (caught.value.code, caught.value.message) == ("not_found", "no block at height 9")
    with pytest.raises(RemoteError, match="internal: ZeroDivisionError: oops"):
        await client.request(b"defect")
    assert "a request on" in caplog.text
    assert await client.request(b"x") == b"fine", "the server and the connection go on"


async def test_an_answer_above_the_limit_is_an_error_not_a_broken_stream(serve: Any, connect: Any) -> None:
    async def handler(connection: Connection, payload: bytes) -> bytes:
        return bytes(int(payload))

    limits = Limits(frame_bytes_max=1000)
    await serve(handler, limits)
    client = await connect(limits=limits)
    assert len(await client.request(b"995")) == 995
    with pytest.raises(RemoteError, match="answer_too_large: a frame of 1001 bytes, expected at most 1000"):
        await client.request(b"996")
    assert len(await client.request(b"1")) == 1


async def test_no_answer_in_time_is_unavailable_and_a_late_one_disturbs_nobody(serve: Any, connect: Any) -> None:
    late = asyncio.Event()

    async def handler(connection: Connection, payload: bytes) -> bytes:
        if payload == b"slow":
            await late.wait()
        return payload

    await serve(handler)
    client = await connect()
    with pytest.raises(NodeUnavailable, match=r"n\.sock: no answer within 0.05 s"):
        await client.request(b"slow", 0.05)
    late.set()
    assert await client.request(b"next") == b"next"


# ── pushes ────────────────────────────────────────────────────────────────────────────────────────


async def test_pushes_come_in_order_among_the_answers(serve: Any, connect: Any) -> None:
    async def handler(connection: Connection, payload: bytes) -> bytes:
        for n in range(3):
            assert connection.push(b"push %d" % n)
        return b"subscribed"

    pushed: list[bytes] = []
    await serve(handler)
    client = await connect(on_push=pushed.append)
    assert await client.request(b"subscribe") == b"subscribed"
    assert pushed == [b"push 0", b"push 1", b"push 2"]


async def test_a_reader_who_does_not_read_is_cut_off_and_the_others_are_not(
    serve: Any, connect: Any, path: Path, until: Any
) -> None:
    subscribers: list[Connection] = []

    async def handler(connection: Connection, payload: bytes) -> bytes:
        subscribers.append(connection)
        return b"subscribed"

    await serve(handler, Limits(outbound_bytes_max=100_000))
    pushed: list[bytes] = []
    good = await connect(on_push=pushed.append)
    await good.request(b"subscribe")
    _, writer = await asyncio.open_unix_connection(path, limit=1024)
    writer.write(frame(b"\x01\x00\x00\x00\x01subscribe"))
    await until(lambda: len(subscribers) == 2)
    writer.transport.pause_reading()
    sent = 0
    while subscribers[1].push(bytes(10_000)):
        assert subscribers[0].push(bytes(10_000))
        await asyncio.sleep(0)
        sent += 1
        assert sent < 1000, "the buffer has no end"
    assert subscribers[1].closed
    assert not subscribers[1].push(b"more")
    await until(lambda: len(pushed) == sent)
    assert await good.request(b"still here") == b"subscribed"
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_push_that_cannot_be_taken_does_not_end_the_connection(
    serve: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(connection: Connection, payload: bytes) -> bytes:
        connection.push(b"x")
        return b"fine"

    def explode(payload: bytes) -> None:
        raise ValueError("a defect")

    await serve(handler)
    client = await connect(on_push=explode)
    assert await client.request(b"1") == b"fine"
    assert await client.request(b"2") == b"fine"
    assert "could not be taken" in caplog.text


# ── limits ────────────────────────────────────────────────────────────────────────────────────────


async def test_requests_beyond_the_limit_wait_for_their_turn(serve: Any, connect: Any, until: Any) -> None:
    running: list[bytes] = []
    peaks: list[int] = []
    gate = asyncio.Event()

    async def handler(connection: Connection, payload: bytes) -> bytes:
        running.append(payload)
        peaks.append(len(running))
        await gate.wait()
        running.remove(payload)
        return payload

    await serve(handler, Limits(concurrent_requests_max=4))
    client = await connect()
    asked = [asyncio.create_task(client.request(b"%d" % n)) for n in range(40)]
    await until(lambda: len(running) == 4)
    gate.set()
    assert await asyncio.gather(*asked) == [b"%d" % n for n in range(40)]
    assert max(peaks) == 4


async def test_a_client_bounds_what_it_asks(serve: Any, connect: Any) -> None:
    gate = asyncio.Event()

    async def handler(connection: Connection, payload: bytes) -> bytes:
        await gate.wait()
        return payload

    await serve(handler)
    client = await connect(limits=Limits(pending_requests_max=2, outbound_bytes_max=1000))
    with pytest.raises(NodeUnavailable, match="bytes wait to be read"):
        await client.request(bytes(1001))
    asked = [asyncio.create_task(client.request(b"%d" % n)) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NodeUnavailable, match="2 requests are waiting for an answer already"):
        await client.request(b"third")
    gate.set()
    assert await asyncio.gather(*asked) == [b"0", b"1"]


async def test_connections_are_bounded(serve: Any, connect: Any) -> None:
    server = await serve(echo, Limits(connections_max=2))
    first, second = await connect(), await connect()
    assert await first.request(b"1") == await second.request(b"1") == b"echo 1"
    third = await connect()
    with pytest.raises(NodeUnavailable):
        await third.request(b"3", 2)
    await first.close()
    while server.connections == 2:
        await asyncio.sleep(0.005)
    fourth = await connect()
    assert await fourth.request(b"4") == b"echo 4"


@pytest.mark.parametrize(
    "nonsense", [b"\xff\xff\xff\xff", frame(b""), frame(b"\x01\x00"), frame(b"\x02\x00\x00\x00\x01answer"), b"GET / "]
)
async def test_a_client_that_speaks_something_else_is_hung_up_on(
    nonsense: bytes, serve: Any, connect: Any, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await serve(echo)
    client = await connect()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(nonsense + frame(b"\x01\x00\x00\x00\x01late"))
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    assert "does not speak the protocol" in caplog.text
    assert await client.request(b"x") == b"echo x"


# ── the socket file ───────────────────────────────────────────────────────────────────────────────


async def test_only_the_owner_may_connect_and_the_file_goes_with_the_server(serve: Any, path: Path) -> None:
    server = await serve(echo)
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    await server.close()
    assert not path.exists()


async def test_a_dead_socket_is_replaced(serve: Any, connect: Any, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    await serve(echo)
    assert await (await connect()).request(b"x") == b"echo x"


async def test_a_living_socket_is_left_alone(serve: Any, connect: Any, path: Path) -> None:
    await serve(echo)
    with pytest.raises(SocketInUse, match="is served by another process: is this node running already"):
        await Server(path, echo).start()
    assert await (await connect()).request(b"x") == b"echo x"


async def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(SocketInUse, match="exists and is no socket"):
        await Server(path, echo).start()
    assert path.read_text() == "precious"


async def test_a_path_that_the_kernel_would_not_take_is_named(path: Path) -> None:
    long = path.with_name("n" * 120)
    with pytest.raises(ipc.IpcError, match=r"bytes, expected at most 107: use a data directory with a shorter path"):
        await Server(long, echo).start()


async def test_closing_a_server_leaves_its_successors_file(serve: Any, path: Path) -> None:
    server = await serve(echo)
    path.unlink()
    successor = Server(path, echo)
    await successor.start()
    await server.close()
    assert path.exists()
    await successor.close()
    assert not path.exists()


# ── endings ───────────────────────────────────────────────────────────────────────────────────────


async def test_nobody_there_is_said_plainly(path: Path) -> None:
    with pytest.raises(NodeUnavailable, match=r"n\.sock: No such file or directory"):
        await Client().connect(path)
    with pytest.raises(NodeUnavailable, match="not connected"):
        await Client().request(b"x")


async def test_a_server_that_closes_ends_what_is_pending(serve: Any, connect: Any, until: Any) -> None:
    cancelled: list[bytes] = []

    async def handler(connection: Connection, payload: bytes) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(payload)
            raise
        return b""

    server = await serve(handler)
    client = await connect()
    asked = asyncio.create_task(client.request(b"x"))
    await until(lambda: server.connections and next(iter(server._connections))._running)
    await asyncio.sleep(0.01)
    await server.close()
    with pytest.raises(NodeUnavailable):
        await asked
    assert cancelled == [b"x"]
    assert client.closed


async def test_a_handler_outlives_its_client_and_its_place_is_kept_till_then(
    serve: Any, connect: Any, until: Any
) -> None:
    gate, done = asyncio.Event(), asyncio.Event()

    async def handler(connection: Connection, payload: bytes) -> bytes:
        await gate.wait()
        done.set()
        return b""

    server = await serve(handler)
    client = await connect()
    asked = asyncio.create_task(client.request(b"x"))
    await until(lambda: server.connections and next(iter(server._connections))._running)
    await client.close()
    with pytest.raises(NodeUnavailable):
        await asked
    await asyncio.sleep(0.01)
    assert server.connections == 1, "half a job is not dropped"
    gate.set()
    await done.wait()
    await until(lambda: server.connections == 0)


# ── coming back ───────────────────────────────────────────────────────────────────────────────────

QUICK = Backoff(first_ms=5, max_ms=20)


async def test_a_lost_server_is_found_again_and_subscribed_to_first(path: Path, until: Any) -> None:
    log: list[str] = []

    async def handler(connection: Connection, payload: bytes) -> bytes:
        log.append(payload.decode())
        return b"ok"

    async def subscribe(client: Client) -> None:
        await client.request(b"subscribe")

    lost: list[str] = []
    server = Server(path, handler)
    await server.start()
    client = ReconnectingClient(path, on_connect=subscribe, on_lost=lost.append, backoff=QUICK)
    await client.start()
    assert client.connected
    assert await client.request(b"one") == b"ok"
    await server.close()
    await until(lambda: not client.connected)
    with pytest.raises(NodeUnavailable, match=r"n\.sock: unreachable for \d+\.\d s: "):
        await client.request(b"two")
    server = Server(path, handler)
    await server.start()
    await until(lambda: client.connected)
    assert await client.request(b"three") == b"ok"
    assert log == ["subscribe", "one", "subscribe", "three"]
    assert lost == ["the connection was lost"]
    await client.close()
    with pytest.raises(NodeUnavailable, match="closed"):
        await client.request(b"four")
    await server.close()


async def test_a_client_may_start_before_its_server(path: Path, until: Any) -> None:
    client = ReconnectingClient(path, backoff=QUICK)
    await client.start()
    assert not client.connected
    with pytest.raises(NodeUnavailable, match="No such file"):
        await client.request(b"x")
    server = Server(path, echo)
    await server.start()
    await until(lambda: client.connected)
    assert await client.request(b"x") == b"echo x"
    await client.close()
    await server.close()


async def test_a_subscription_that_fails_is_tried_again(
    path: Path, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    async def fragile(client: Client) -> None:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            raise RemoteError("busy", "later")
        if len(attempts) == 2:
            raise KeyError("a defect")

    server = Server(path, echo)
    await server.start()
    client = ReconnectingClient(path, on_connect=fragile, backoff=QUICK)
    await client.start()
    await until(lambda: client.connected)
    assert attempts == [0, 1, 2]
    assert "on_connect failed" in caplog.text
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    await client.close()
    await server.close()


def test_backoff_doubles_up_to_its_limit() -> None:
    backoff = Backoff(first_ms=50, max_ms=2000)
    assert [backoff.delay_s(n) for n in (0, 1, 2, 5, 6, 1000)] == [0.05, 0.1, 0.2, 1.6, 2.0, 2.0]


def test_the_kernel_agrees_on_the_longest_path(path: Path) -> None:
    longest = str(path.parent / "x")
    longest += "x" * (ipc.SOCKET_PATH_BYTES_MAX - len(os.fsencode(longest)))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(longest)
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(OSError, match="too long"):
        sock.bind(longest + "xx")
