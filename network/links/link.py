"""One connection to one member, from the first frame to the last: greeting, two priorities, pings, and every limit.

What is sent in one turn of the loop leaves in one write. Votes go first: bulk payloads are cut into parts, and a part
is written only while the connection takes more, so a block on its way delays a vote by one part at most. Both queues
are bounded. A full bulk queue refuses (`send_bulk` answers False; what gossip loses is fetched when it is proposed). A
full vote queue means a peer that has stopped reading, and dropping votes out of the middle would leave it worse off
than a new link with its exchange of STATUS: the link is reset.

This module knows no member by address and dials nobody; the mesh does.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, cast

import msgspec

from network import frames

log = logging.getLogger("network.link")

PROTOCOL = "quorate"
PROTOCOL_VERSION = 1

_HELLO, _VOTE, _BULK_PART, _BULK_END, _PING, _PONG = 0, 1, 2, 3, 4, 5
_PING_BODY = struct.Struct(">Q")

RATE_WINDOW_S = 1.0


@dataclass(frozen=True)
class LinkLimits:
    """Every bound on one link, and on the unknown callers of one listener."""

    frame_bytes_max: int = frames.PEER_FRAME_BYTES_MAX
    vote_queue_bytes_max: int = 16 << 20
    bulk_queue_bytes_max: int = 16 << 20
    """Either queue takes one payload more when it is below its limit, so the largest frame always finds a way."""
    bulk_part_bytes: int = 64 << 10
    write_ahead_bytes: int = 128 << 10
    """What lies in the transport unsent before votes and bulk are held back here, where votes can still overtake."""
    inbound_bytes_per_s_max: int = 64 << 20
    """A member that sends faster is not read from until the window of `RATE_WINDOW_S` is over."""
    connect_timeout_s: float = 2.0
    """Of TCP's first exchange: a call into a partition is made anew, not repeated by TCP at ever longer pauses."""
    handshake_timeout_s: float = 5.0
    hello_timeout_s: float = 5.0
    ping_interval_s: float = 1.0
    silence_max_s: float = 4.0
    """A link on which nothing arrived for so long, pongs included, is half-open: it is reset. TCP alone would find out
    that a partition has healed only after a pause as long as the partition."""
    stall_max_s: float = 20.0
    """A peer that takes nothing off our hands for so long is reset."""
    redial_first_ms: int = 100
    redial_max_ms: int = 400
    penalty_s: float = 5.0
    unauthenticated_max: int = 64
    unauthenticated_per_address_max: int = 8


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """The first frame in each direction."""

    protocol: str
    version: int
    chain_id: bytes
    member: int


_encode_hello = msgspec.msgpack.Encoder().encode
_decode_hello = msgspec.msgpack.Decoder(Hello).decode


class Owner(Protocol):
    """Whoever holds the links, as a link sees it."""

    member: int
    chain_id: bytes
    limits: LinkLimits
    counters: dict[str, int]

    def identify(self, certificate_der: bytes | None, dialled: int | None) -> int | str:
        """The member that a peer's certificate proves, or why it is refused."""
        ...

    def on_up(self, link: Link) -> None:
        """The greeting is done."""

    def on_down(self, link: Link, reason: str) -> None:
        """A link that was up is gone."""

    def on_payload(self, link: Link, payload: bytes) -> None:
        """A member said something."""

    def penalise(self, member: int, reason: str) -> None:
        """A member said what no correct one says."""


class Link(asyncio.Protocol):
    """One end of a connection. `dialled` is the member that was called, None on the side that was called."""

    def __init__(self, owner: Owner, dialled: int | None) -> None:
        self.member = -1
        self.up = False
        self.round_trip_ms = 0.0
        self.inbound_bytes_per_s = 0.0
        self.reason = ""
        self._owner = owner
        self._limits = owner.limits
        self._dialled = dialled
        self._loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._reader = frames.FrameReader(owner.limits.frame_bytes_max)
        self._votes: list[bytes] = []
        self._votes_bytes = 0
        self._bulk: deque[bytes] = deque()
        self._bulk_bytes = 0
        self._bulk_offset = 0  # what has gone already of the first in _bulk
        self._bulk_incoming = bytearray()  # not a list: a million parts of one byte must cost a megabyte
        self._flush_scheduled = False
        self._paused_since: float | None = None
        self._heard = self._loop.time()
        self._ping_number = 0
        self._pinged = float("-inf")
        self._pinged_exactly = 0.0
        self._window_start = self._heard
        self._window_bytes = 0
        self._throttled = False

    # ── sending ───────────────────────────────────────────────────────────────────────────────────

    def send(self, payload: bytes) -> bool:
        """Queue a payload that goes before all bulk. False when there is no link (any more)."""
        if not self.up:
            return False
        if self._votes_bytes > self._limits.vote_queue_bytes_max:
            self.reset(f"{self._votes_bytes} bytes of votes wait to be read by the peer")
            return False
        self._queue_vote(_VOTE, payload)
        return True

    def send_bulk(self, payload: bytes) -> bool:
        """Queue a payload that votes may overtake. False when there is no link, or too much is queued already."""
        if not self.up or self._bulk_bytes > self._limits.bulk_queue_bytes_max:
            return False
        frames.header(len(payload) + 1, self._limits.frame_bytes_max)
        self._bulk.append(payload)
        self._bulk_bytes += len(payload)
        self._schedule_flush()
        return True

    def _queue_vote(self, kind: int, payload: bytes) -> None:
        head = frames.header(len(payload) + 1, self._limits.frame_bytes_max) + bytes((kind,))
        self._votes += (head, payload)
        self._votes_bytes += len(head) + len(payload)
        self._owner.counters["frames_out"] += 1
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled and self._paused_since is None:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        while self._transport is not None and self._paused_since is None:
            slab = self._take_slab()
            if not slab:
                return
            self._owner.counters["bytes_out"] += len(slab)
            self._transport.write(slab)

    def _take_slab(self) -> bytes:
        """All votes, and as much bulk as one part may be long, as one piece of the stream."""
        pieces, self._votes = self._votes, []
        room, self._votes_bytes = self._limits.bulk_part_bytes - self._votes_bytes, 0
        while self._bulk and room > 0:
            payload, start = self._bulk[0], self._bulk_offset
            part = memoryview(payload)[start : start + room]
            last = start + len(part) == len(payload)
            pieces += (frames.header(len(part) + 1) + bytes((_BULK_END if last else _BULK_PART,)), bytes(part))
            room -= len(part) + 1
            self._bulk_bytes -= len(part)
            self._bulk_offset += len(part)
            if last:
                self._bulk.popleft()
                self._bulk_offset = 0
                self._owner.counters["frames_out"] += 1
        return b"".join(pieces)

    def pause_writing(self) -> None:
        self._paused_since = self._loop.time()

    def resume_writing(self) -> None:
        self._paused_since = None
        self._flush()

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._owner.counters["bytes_in"] += len(data)
        self._account(len(data))
        try:
            for body in self._reader.feed(data):
                if self._transport is None:
                    return  # an earlier frame of this very read ended the link
                self._on_frame(body)
        except frames.FrameTooLarge as error:
            self._end_in_disgrace(str(error))

    def _account(self, size: int) -> None:
        self._window_bytes += size
        most = self._limits.inbound_bytes_per_s_max * RATE_WINDOW_S
        if self._window_bytes > most and not self._throttled and self._transport is not None:
            self._throttled = True
            self._owner.counters["throttled"] += 1
            self._transport.pause_reading()

    def _on_frame(self, body: bytes) -> None:
        kind = body[0] if body else -1
        if not self.up:
            self._on_hello(body)
        elif kind == _VOTE:
            self._deliver(body[1:])
        elif kind in (_BULK_PART, _BULK_END):
            self._on_bulk(body, last=kind == _BULK_END)
        elif kind == _PING and len(body) == 1 + _PING_BODY.size:
            self._answer_ping(body[1:])
        elif kind == _PONG and len(body) == 1 + _PING_BODY.size:
            self._on_pong(body[1:])
        else:
            self._end_in_disgrace(f"a frame of kind {kind} with {len(body)} bytes is none of this protocol")

    def _on_bulk(self, body: bytes, *, last: bool) -> None:
        if last and not self._bulk_incoming:
            self._deliver(body[1:])
            return
        if len(self._bulk_incoming) + len(body) > self._limits.frame_bytes_max:
            self._end_in_disgrace(f"a bulk payload above {self._limits.frame_bytes_max} bytes")
            return
        self._bulk_incoming += memoryview(body)[1:]
        if last:
            payload, self._bulk_incoming = bytes(self._bulk_incoming), bytearray()
            self._deliver(payload)

    def _deliver(self, payload: bytes) -> None:
        self._owner.counters["frames_in"] += 1
        self._owner.on_payload(self, payload)

    # ── greeting ──────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done; nothing of the peer is read before its certificate has been held against the members."""
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        found = self._owner.identify(tls.getpeercert(binary_form=True), self._dialled)
        if isinstance(found, str):
            self.reset(found)
            return
        self.member = found
        self._transport.set_write_buffer_limits(high=self._limits.write_ahead_bytes)
        hello = Hello(PROTOCOL, PROTOCOL_VERSION, self._owner.chain_id, self._owner.member)
        self._queue_vote(_HELLO, _encode_hello(hello))

    def _on_hello(self, body: bytes) -> None:
        refusal = self._judge_hello(body)
        if refusal:
            self.reset(refusal)
            return
        self.up = True
        if not self.greeted.done():
            self.greeted.set_result(None)
        self._owner.on_up(self)

    def _judge_hello(self, body: bytes) -> str:
        """Why this first frame does not open a link; empty when it does."""
        try:
            hello = _decode_hello(memoryview(body)[1:]) if body[:1] == bytes((_HELLO,)) else None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            hello = None
        if hello is None or hello.protocol != PROTOCOL:
            return "its first frame is no greeting of this protocol"
        if hello.version != PROTOCOL_VERSION:
            return f"it speaks protocol version {hello.version}, expected {PROTOCOL_VERSION}"
        if hello.chain_id != self._owner.chain_id:
            return f"it is on chain {hello.chain_id.hex()[:16]}, expected {self._owner.chain_id.hex()[:16]}"
        if hello.member != self.member:
            return f"it says that it is member {hello.member}, its key is that of member {self.member}"
        return ""

    # ── keeping, and ending ───────────────────────────────────────────────────────────────────────

    def silent_s(self, now: float) -> float:
        """For how long nothing at all has come."""
        return now - self._heard

    def tick(self, now: float) -> None:
        """Once in a while: ping, and notice who has gone."""
        self._close_window(now)
        silent_s = self.silent_s(now)
        stalled_s = 0.0 if self._paused_since is None else now - self._paused_since
        if silent_s > self._limits.silence_max_s:
            self.reset(f"nothing was heard for {silent_s:.0f} s")
        elif stalled_s > self._limits.stall_max_s:
            self.reset(f"the peer has read nothing for {stalled_s:.0f} s")
        elif self.up and now - self._pinged >= self._limits.ping_interval_s:
            self._pinged = now
            self._pinged_exactly = time.perf_counter()  # uvloop's own clock has whole milliseconds
            self._ping_number += 1
            self._queue_vote(_PING, _PING_BODY.pack(self._ping_number))

    def _close_window(self, now: float) -> None:
        span_s = now - self._window_start
        if span_s < RATE_WINDOW_S:
            return
        self.inbound_bytes_per_s = self._window_bytes / span_s
        self._window_start, self._window_bytes = now, 0
        if self._throttled and self._transport is not None:
            self._throttled = False
            self._transport.resume_reading()

    def _answer_ping(self, body: bytes) -> None:
        if self._votes_bytes > self._limits.vote_queue_bytes_max:
            self._end_in_disgrace("pings are sent, and their answers not read")
        else:
            self._queue_vote(_PONG, body)

    def _on_pong(self, body: bytes) -> None:
        if _PING_BODY.unpack(body)[0] == self._ping_number:
            self.round_trip_ms = (time.perf_counter() - self._pinged_exactly) * 1000

    def _end_in_disgrace(self, reason: str) -> None:
        """The peer sent what no correct one sends: it loses the link, and a member stays out for a while."""
        if self.up:
            self._owner.penalise(self.member, reason)
        self.reset(reason)

    def reset(self, reason: str) -> None:
        """End the link at once; what is queued is lost."""
        transport, self._transport = self._transport, None
        self._end(reason)
        if transport is not None:
            transport.abort()

    def close(self) -> None:
        """End the link after what is queued has gone."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(str(exc) if exc else "the peer closed the link")

    def _end(self, reason: str) -> None:
        if self.ended.done():
            return
        self.reason = reason
        was_up, self.up = self.up, False
        self._votes, self._bulk = [], deque()
        self._votes_bytes = self._bulk_bytes = self._bulk_offset = 0
        self._bulk_incoming = bytearray()
        self.ended.set_result(None)
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(reason))
            self.greeted.exception()  # somebody may have given up waiting
        if was_up:
            self._owner.on_down(self, reason)
