"""Requests, answers and pushes over a Unix socket: how the processes of one node speak to each other.

This module moves opaque payloads. It knows frames, request ids, time-outs and the limits of each queue; what a
request says is in `network.api`, who asks and who answers is in `network.proxies` and the node.

Both sides are processes of one node under one user (the socket file has mode 0600), so a peer that breaks the
protocol is a fault, not an attacker: the connection ends with a log line. Slowness is a different matter. A side
that does not read is never waited for: its answers hold back its own requests, and the first push that finds its
buffer full cuts it off.

IpcError
├── SocketInUse          another process serves this path
├── ProtocolBroken       the other side sends what is no message
└── RemoteError          the other side answered with an error: code and message
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import stat
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from network import frames
from network.api import NodeUnavailable, Unresponsive

log = logging.getLogger(__name__)

SOCKET_PATH_BYTES_MAX = 107  # what the kernel keeps of a Unix socket's path

_REQUEST, _ANSWER, _ERROR, _PUSH = 1, 2, 3, 4
_MESSAGE = struct.Struct(">BI")  # kind, request id (0 for a push)


class IpcError(Exception):
    """Root of what goes wrong between the processes of a node, `network.api.NodeUnavailable` apart."""


class SocketInUse(IpcError):
    """A living process already serves this path, or something that is no socket lies there."""


class ProtocolBroken(IpcError):
    """The other side sends what is no message of this protocol."""


class RemoteError(IpcError):
    """An error that a handler answered with. Raise it in a handler to choose what the other side gets."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Limits:
    """The bounds of one connection (and, at the end, of one server)."""

    frame_bytes_max: int = 64 << 20
    outbound_bytes_max: int = 64 << 20
    """A push that finds more than this unsent ends the connection. An answer may go beyond it by itself."""
    concurrent_requests_max: int = 256
    """Requests whose handler runs; the reader stops reading until one is done."""
    pending_requests_max: int = 4096
    """Requests that a client has sent without having the answer yet."""
    connections_max: int = 64


class _ErrorBody(msgspec.Struct, frozen=True, array_like=True):
    code: str
    message: str


_encode = msgspec.msgpack.Encoder().encode
_decode_error = msgspec.msgpack.Decoder(_ErrorBody).decode


class _Channel(asyncio.Protocol):
    """One end of a connection: frames in, frames out, all writes of one turn of the loop in one system call."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = frames.FrameReader(limits.frame_bytes_max)
        self._unflushed: list[bytes] = []
        self._unflushed_bytes = 0

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None

    @property
    def outbound_bytes(self) -> int:
        """Bytes that were sent here and that the kernel has not taken yet."""
        return self._unflushed_bytes + (self._transport.get_write_buffer_size() if self._transport else 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                if len(message) < _MESSAGE.size:
                    raise ProtocolBroken(f"a message of {len(message)} bytes, expected at least {_MESSAGE.size}")
                kind, request_id = _MESSAGE.unpack_from(message)
                self._on_message(kind, request_id, message[_MESSAGE.size :])
        except (frames.FrameTooLarge, ProtocolBroken, msgspec.MsgspecError) as error:
            log.warning("a connection on a local socket is closed, it does not speak the protocol: %s", error)
            self._abort()

    def _on_message(self, kind: int, request_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _send(self, kind: int, request_id: int, payload: bytes) -> None:
        """Queue one message; it leaves when the loop has finished this turn."""
        if self._transport is None:
            return
        head = frames.header(_MESSAGE.size + len(payload), self._limits.frame_bytes_max)
        if not self._unflushed:
            self._loop.call_soon(self._flush)
        self._unflushed += (head + _MESSAGE.pack(kind, request_id), payload)
        self._unflushed_bytes += len(head) + _MESSAGE.size + len(payload)

    def _flush(self) -> None:
        chunks, self._unflushed, self._unflushed_bytes = self._unflushed, [], 0
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(chunks)

    def _abort(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


# ── the serving side ──────────────────────────────────────────────────────────────────────────────


class Connection(_Channel):
    """One client, as the server's handler sees it: something to push to."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.limits)
        self._server = server
        self._backlog: deque[tuple[int, bytes]] = deque()  # at most what one read from the socket holds
        self._running: set[asyncio.Task[None]] = set()

    def push(self, payload: bytes) -> bool:
        """Send without having been asked. False: the client is gone, or was just cut off for not reading."""
        if self.closed:
            return False
        if self.outbound_bytes > self._limits.outbound_bytes_max:
            log.warning("a client of %s does not read (%d bytes wait): cut off", self._server.path, self.outbound_bytes)
            self._abort()
            return False
        self._send(_PUSH, 0, payload)
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._server.admit(self):
            log.warning("a client of %s is refused: %d are connected", self._server.path, self._limits.connections_max)
            self._abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._backlog.clear()
        self._leave_when_idle()

    def pause_writing(self) -> None:
        """The client does not read its answers: take no further requests from it."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._read_on()

    def _on_message(self, kind: int, request_id: int, payload: bytes) -> None:
        if kind != _REQUEST:
            raise ProtocolBroken(f"message kind {kind} from a client, expected {_REQUEST}")
        if len(self._running) < self._limits.concurrent_requests_max:
            self._run(request_id, payload)
        elif self._transport is not None:
            self._backlog.append((request_id, payload))
            self._transport.pause_reading()

    def _run(self, request_id: int, payload: bytes) -> None:
        task = self._loop.create_task(self._answer(request_id, payload))
        self._running.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._backlog:
            self._run(*self._backlog.popleft())
        self._read_on()
        self._leave_when_idle()

    def _read_on(self) -> None:
        if self._transport is not None and not self._backlog and not self._transport.is_closing():
            self._transport.resume_reading()

    def _leave_when_idle(self) -> None:
        """A connection counts until its last handler has finished, so that reconnecting cannot multiply them."""
        if self.closed and not self._running:
            self._server.dismiss(self)

    async def _answer(self, request_id: int, payload: bytes) -> None:
        try:
            answer = await self._server.handler(self, payload)
            self._send(_ANSWER, request_id, answer)
        except RemoteError as error:
            self._send_error(request_id, error.code, error.message)
        except frames.FrameTooLarge as error:
            self._send_error(request_id, "answer_too_large", str(error))
        except Exception as error:
            log.exception("a request on %s failed", self._server.path)
            self._send_error(request_id, "internal", f"{type(error).__name__}: {error}")

    def _send_error(self, request_id: int, code: str, message: str) -> None:
        self._send(_ERROR, request_id, _encode(_ErrorBody(code, message)))

    async def _close(self) -> None:
        self._abort()
        self._backlog.clear()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


Handler = Callable[[Connection, bytes], Awaitable[bytes]]


class Server:
    """Serves one Unix socket. Every request runs `handler(connection, payload)` as a task of its own."""

    def __init__(self, path: str | Path, handler: Handler, limits: Limits | None = None) -> None:
        self.path = Path(path)
        self.handler = handler
        self.limits = limits or Limits()
        self._connections: set[Connection] = set()
        self._server: asyncio.AbstractServer | None = None
        self._socket: socket.socket | None = None
        self._inode: int | None = None

    @property
    def connections(self) -> int:
        """Clients that are connected, or whose last request is not finished."""
        return len(self._connections)

    def bind(self) -> None:
        """Take the path, and refuse everybody until `start`: for who must give up the right to it in between.

        Replaces the socket file of a dead process; raises `SocketInUse` when its owner lives.
        """
        self._socket = _bind(self.path)
        self._inode = self.path.stat().st_ino

    async def start(self) -> None:
        """Listen, and take the path first unless that is done."""
        if self._socket is None:
            self.bind()
        sock, self._socket = self._socket, None
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: Connection(self), sock=sock)

    async def close(self) -> None:
        """Stop listening, end every connection, cancel what still runs, remove the socket file."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in list(self._connections):
            await connection._close()  # noqa: SLF001 - one class in two: a connection is its server's
        with contextlib.suppress(FileNotFoundError, PermissionError):  # a sandbox may have taken the right away
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        if len(self._connections) >= self.limits.connections_max:
            return False
        self._connections.add(connection)
        return True

    def dismiss(self, connection: Connection) -> None:
        """Forget a connection that is over."""
        self._connections.discard(connection)


def _bind(path: Path) -> socket.socket:
    """A socket bound to `path`, readable by its owner alone from before anybody can connect."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise IpcError(
            f"the socket path {path} has {len(os.fsencode(path))} bytes, expected at most {SOCKET_PATH_BYTES_MAX}: "
            "use a data directory with a shorter path"
        )
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)  # nobody can connect before listen(), so there is no moment with a wider mode
    except OSError:
        sock.close()
        raise
    return sock


def _clear(path: Path) -> None:
    """Remove the socket that a dead process left behind."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketInUse(f"{path} exists and is no socket, expected none or the socket of a stopped process")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # a full backlog is a living process too
    raise SocketInUse(f"{path} is served by another process: is this node running already?")


# ── the asking side ───────────────────────────────────────────────────────────────────────────────


class Client(_Channel):
    """One connection to a server. Many requests may be under way; answers come in any order."""

    def __init__(
        self,
        *,
        on_push: Callable[[bytes], None] | None = None,
        on_close: Callable[[], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(limits or Limits())
        self._on_push = on_push
        self._on_close = on_close
        self._path = Path()
        self._ids = itertools.cycle(range(1, 1 << 32))
        self._pending: dict[int, asyncio.Future[bytes]] = {}

    async def connect(self, path: str | Path, timeout_s: float = 5.0) -> None:
        """Connect, or raise `NodeUnavailable`."""
        self._path = Path(path)
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.create_unix_connection(lambda: self, str(path))
        except TimeoutError:
            raise NodeUnavailable(f"{self._path}: no connection within {timeout_s} s") from None
        except OSError as error:
            raise NodeUnavailable(f"{self._path}: {error.strerror or error}") from None

    async def request(self, payload: bytes, timeout_s: float = 30.0) -> bytes:
        """The answer to one request.

        Raises `RemoteError` when the other side answers with one, `Unresponsive` when it does not answer within
        `timeout_s`, another `NodeUnavailable` when it is gone or has too much to answer already. After a time-out the
        request may still happen.
        """
        request_id = self._open(payload)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._pending[request_id] = future
        try:
            self._send(_REQUEST, request_id, payload)
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise Unresponsive(f"{self._path}: no answer within {timeout_s} s") from None
        finally:
            self._pending.pop(request_id, None)

    def _open(self, payload: bytes) -> int:
        """A free request id, if this connection can take `payload`."""
        if self.closed:
            raise NodeUnavailable(f"{self._path}: not connected")
        if len(self._pending) >= self._limits.pending_requests_max:
            raise NodeUnavailable(f"{self._path}: {len(self._pending)} requests are waiting for an answer already")
        if self.outbound_bytes + len(payload) > self._limits.outbound_bytes_max:
            raise NodeUnavailable(f"{self._path}: {self.outbound_bytes} bytes wait to be read by the other side")
        request_id = next(self._ids)
        while request_id in self._pending:
            request_id = next(self._ids)
        return request_id

    async def close(self) -> None:
        """End the connection; what is pending ends with `NodeUnavailable`."""
        self._abort()
        self._end("closed")
        await asyncio.sleep(0)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(str(exc) if exc else "the other side closed the connection")
        if self._on_close is not None:
            self._on_close()

    def _end(self, reason: str) -> None:
        pending, self._pending = self._pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(NodeUnavailable(f"{self._path}: {reason}"))

    def _on_message(self, kind: int, request_id: int, payload: bytes) -> None:
        if kind == _PUSH:
            self._pushed(payload)
        elif kind == _ANSWER:
            self._answered(request_id, payload)
        elif kind == _ERROR:
            error = _decode_error(payload)
            self._answered(request_id, RemoteError(error.code, error.message))
        else:
            raise ProtocolBroken(f"message kind {kind} from a server, expected {_ANSWER}, {_ERROR} or {_PUSH}")

    def _answered(self, request_id: int, outcome: bytes | RemoteError) -> None:
        future = self._pending.get(request_id)
        if future is None or future.done():
            return  # its caller has given up
        if isinstance(outcome, bytes):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)

    def _pushed(self, payload: bytes) -> None:
        try:
            if self._on_push is not None:
                self._on_push(payload)
        except Exception:
            log.exception("a push from %s could not be taken", self._path)


@dataclass(frozen=True)
class Backoff:
    """How long to wait between attempts: doubled each time, up to a limit."""

    first_ms: int = 50
    max_ms: int = 200
    connect_timeout_s: float = 5.0

    def delay_s(self, attempt: int) -> float:
        """The pause after that many failures in a row (0 is the first), in seconds."""
        return min(self.max_ms, self.first_ms << min(attempt, 16)) / 1000


class ReconnectingClient:
    """A client that comes back: whenever the connection is lost it is made again, and `on_connect` runs first.

    `on_connect(client)` is where a caller subscribes again; until it has returned nobody else's request is sent.
    While there is no connection, requests fail at once and say for how long it has been away.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        on_push: Callable[[bytes], None] | None = None,
        on_connect: Callable[[Client], Awaitable[None]] | None = None,
        on_lost: Callable[[str], None] | None = None,
        backoff: Backoff | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._path = Path(path)
        self._on_push = on_push
        self._on_connect = on_connect
        self._on_lost = on_lost
        self._backoff = backoff or Backoff()
        self._limits = limits
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._attempted = asyncio.Event()
        self._reason = "not started"
        self._away_since = time.monotonic()

    @property
    def connected(self) -> bool:
        """Whether a request would be sent."""
        return self._client is not None and not self._client.closed

    async def start(self) -> None:
        """Connect in the background for ever; returns after the first attempt, whatever became of it."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        await self._attempted.wait()

    async def close(self) -> None:
        """Disconnect and stay so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._reason = "closed"

    async def request(self, payload: bytes, timeout_s: float = 30.0) -> bytes:
        """`Client.request` on the connection of the moment."""
        client = self._client
        if client is None or client.closed:
            away_s = time.monotonic() - self._away_since
            raise NodeUnavailable(f"{self._path}: unreachable for {away_s:.1f} s: {self._reason}")
        return await client.request(payload, timeout_s)

    async def _run(self) -> None:
        failures = 0
        while True:
            lost = asyncio.Event()
            client = Client(on_push=self._on_push, on_close=lost.set, limits=self._limits)
            try:
                await self._connect(client)
                failures = 0
                self._attempted.set()
                await lost.wait()
                self._reason = "the connection was lost"
                log.warning("%s: the connection was lost, connecting again", self._path)
            except (NodeUnavailable, IpcError) as error:
                self._reason = str(error)
                failures += 1
            except Exception as error:
                self._reason = f"{type(error).__name__}: {error}"
                failures += 1
                log.exception("%s: connected, but the caller's on_connect failed", self._path)
            finally:
                await self._disconnect(client)
            self._attempted.set()
            await asyncio.sleep(self._backoff.delay_s(failures))

    async def _connect(self, client: Client) -> None:
        await client.connect(self._path, self._backoff.connect_timeout_s)
        if self._on_connect is not None:
            await self._on_connect(client)
        self._client = client

    async def _disconnect(self, client: Client) -> None:
        if self._client is client:
            self._client = None
            self._away_since = time.monotonic()
            if self._on_lost is not None:
                self._on_lost(self._reason)
        await client.close()
