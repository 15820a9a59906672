"""The serving side of a Unix socket: every request a task of its own, as many at a time as the limits allow.

A client that does not read holds back its own requests, and loses the connection with the first push that finds its
buffer full. What a request says is the handler's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from network import frames
from network.ipc.channel import ANSWER, ERROR, PUSH, REQUEST, Channel, ErrorBody, Limits, ProtocolBroken, RemoteError
from network.ipc.complaints import Complaints
from network.ipc.socket_file import bind_socket

log = logging.getLogger("network.ipc")

_encode = msgspec.msgpack.Encoder().encode


class Connection(Channel):
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
        self._send(PUSH, 0, payload)
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
        if kind != REQUEST:
            raise ProtocolBroken(f"message kind {kind} from a client, expected {REQUEST}")
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
            self._send(ANSWER, request_id, answer)
        except RemoteError as error:
            self._send_error(request_id, error.code, error.message)
        except frames.FrameTooLarge as error:
            self._send_error(request_id, "answer_too_large", str(error))
        except Exception as error:  # noqa: BLE001 -- told to the log, and to who asked
            self._server.complaints.tell(f"a request on {self._server.path}", error)
            self._send_error(request_id, "internal", f"{type(error).__name__}: {error}")

    def _send_error(self, request_id: int, code: str, message: str) -> None:
        self._send(ERROR, request_id, _encode(ErrorBody(code, message)))

    async def close(self) -> None:
        """End it, and what still runs for it."""
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
        self.complaints = Complaints(log)
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
        self._socket = bind_socket(self.path)
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
            await connection.close()
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
