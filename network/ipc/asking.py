"""The asking side of a Unix socket: one connection, many requests under way, answers in any order."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from network.api import NodeUnavailable, Unresponsive
from network.ipc.channel import ANSWER, ERROR, PUSH, REQUEST, Channel, ErrorBody, Limits, ProtocolBroken, RemoteError

log = logging.getLogger("network.ipc")

_decode_error = msgspec.msgpack.Decoder(ErrorBody).decode


class Client(Channel):
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
            self._send(REQUEST, request_id, payload)
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
        if kind == PUSH:
            self._pushed(payload)
        elif kind == ANSWER:
            self._answered(request_id, payload)
        elif kind == ERROR:
            error = _decode_error(payload)
            self._answered(request_id, RemoteError(error.code, error.message))
        else:
            raise ProtocolBroken(f"message kind {kind} from a server, expected {ANSWER}, {ERROR} or {PUSH}")

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
