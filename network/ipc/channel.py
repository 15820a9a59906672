"""One end of a connection between two processes of a node: messages as frames, in and out, within limits.

Both sides share this: what a message looks like, what breaks the protocol, how much may wait. Who asks and who answers
is not known here.

IpcError
├── SocketInUse          another process serves this path (`socket_file`)
├── ProtocolBroken       the other side sends what is no message
└── RemoteError          the other side answered with an error: code and message
"""

from __future__ import annotations

import asyncio
import logging
import struct
from dataclasses import dataclass
from typing import cast

import msgspec

from network import frames

log = logging.getLogger("network.ipc")

REQUEST, ANSWER, ERROR, PUSH = 1, 2, 3, 4

_MESSAGE = struct.Struct(">BI")  # kind, request id (0 for a push)


class IpcError(Exception):
    """Root of what goes wrong between the processes of a node, `network.api.NodeUnavailable` apart."""


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


class ErrorBody(msgspec.Struct, frozen=True, array_like=True):
    """What an ERROR carries."""

    code: str
    message: str


class Channel(asyncio.Protocol):
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
        """One whole message came; may raise `ProtocolBroken`."""
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
