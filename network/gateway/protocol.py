"""uvicorn's HTTP/1.1 protocol with the express lane, and with limits on silence, slowness, and heads without end.

uvicorn by itself keeps a silent connection for ever and takes headers of any number and size. Here a connection has
so long to send a request's head, so long for its body, and so long to read an answer; what is too large is refused
while it arrives. A request that `Express` admits by its head is answered here; all others are uvicorn's. It knows
connections and bytes; what a request means is the application's business.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from network.gateway.deadlines import Sweep
from network.gateway.express import Express
from network.gateway.http import CLOSE, COMMON_HEADERS, Answer
from network.gateway.problems import KINDS, Problem
from network.gateway.settings import GatewaySettings
from network.gateway.submit import Wait

SWEEP_S_MAX = 0.25
NEVER = float("inf")
HEAD, BODY, ANSWER, NEXT = "the head of the request", "the body of the request", "the answer", "the next request"


class Exchange:
    """A request in the express lane, where uvicorn keeps a cycle; these are the names that it asks a cycle for."""

    __slots__ = ("body", "disconnected", "keep_alive", "more_body", "response_complete", "response_started", "wait")

    def __init__(self, wait: Wait, *, keep_alive: bool) -> None:
        self.wait = wait
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.disconnected = self.response_started = self.response_complete = False

    @property
    def message_event(self) -> Exchange:
        """Nobody waits for parts of this body."""
        return self

    def set(self) -> None:
        """As an event's."""


class LimitedProtocol(HttpToolsProtocol):
    """Make a class with settings by `limited`."""

    settings: GatewaySettings
    express: Express
    sweep: Sweep

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._awaited = HEAD
        self._patience_s = 0.0
        self._due = self._write_due = NEVER
        self._in_head = True
        self._head_bytes = 0
        self._refused = False

    # ── connections ───────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > self.settings.connections_max:
            self._refuse(Problem("busy", f"{self.settings.connections_max} connections are open, which is the limit"))
            return
        self.sweep.add(self)
        self._expect(HEAD, self.settings.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self.sweep.discard(self)
        super().connection_lost(exc)

    # ── what arrives ──────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        if self._in_head:
            if self._awaited is not HEAD:  # the first bytes of a further request on this connection
                self._expect(HEAD, self.settings.header_timeout_s)
            self._head_bytes += len(data)
            if self._head_bytes > self.settings.header_bytes_max + len(data) - self._head_part(data):
                self._refuse_head(f"the head of the request exceeds {self.settings.header_bytes_max} bytes")
                return
        super().data_received(data)

    def _head_part(self, data: bytes) -> int:
        """How many of these bytes can belong to the head: all, where its end is not among them."""
        end = data.find(b"\r\n\r\n")
        return len(data) if end < 0 else end + 4

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._refused:
            return
        super().on_header(name, value)
        if len(self.headers) > self.settings.headers_max:
            self._refuse_head(f"the request has more than {self.settings.headers_max} headers")

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._in_head = False
        self._head_bytes = 0
        self._expect(BODY, self.settings.body_timeout_s)
        wait = self._express_wait()
        if wait is None:
            super().on_headers_complete()
        else:
            exchange = Exchange(wait, keep_alive=self.parser.should_keep_alive())
            self.cycle = cast(Any, exchange)

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._in_head = True
        self._expect(ANSWER, NEVER)
        super().on_message_complete()
        cycle: RequestResponseCycle | Exchange = self.cycle
        if isinstance(cycle, Exchange):
            self._start_exchange(cycle)

    # ── the express lane ──────────────────────────────────────────────────────────────────────────

    def _express_wait(self) -> Wait | None:
        """How the client of a plain submission waits; None where the request goes the usual way."""
        parser = self.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        before: RequestResponseCycle | None = self.cycle
        if before is not None and not before.response_complete:
            return None  # pipelined: it has to wait for its turn
        return self.express.admit(self.url, self.headers)

    def _start_exchange(self, exchange: Exchange) -> None:
        task = self.loop.create_task(self._answer(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, exchange: Exchange) -> None:
        answer = await self.express.answer(bytes(exchange.body), exchange.wait)
        if self.flow.write_paused:
            await self.flow.drain()
        if exchange.disconnected or self.transport.is_closing():
            return
        close = not exchange.keep_alive or CLOSE in answer.headers
        exchange.response_started = exchange.response_complete = True
        self.transport.write(whole(answer, self.server_state.default_headers, close=close))
        if close:
            self.transport.close()
        self.on_response_complete()

    # ── what leaves ───────────────────────────────────────────────────────────────────────────────

    def on_response_complete(self) -> None:
        """As uvicorn does it, but for the timer of an idle connection."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._awaited is ANSWER:
            self._expect(NEXT, self.settings.keep_alive_s)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_due = self.loop.time() + self.settings.write_timeout_s

    def resume_writing(self) -> None:
        self._write_due = NEVER
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if not self._refused:
            self._refuse(Problem("bad_request", msg))

    # ── deadlines and refusals ────────────────────────────────────────────────────────────────────

    def _expect(self, what: str, within_s: float) -> None:
        self._awaited, self._patience_s, self._due = what, within_s, self.loop.time() + within_s

    def on_time(self, now_s: float) -> None:
        """Called now and then: end what is late."""
        if now_s >= self._write_due:
            self.transport.abort()
        elif now_s >= self._due:
            self._due = NEVER
            if self._awaited is NEXT:
                self.transport.close()
            else:
                found = f"{self._awaited} did not arrive within {self._patience_s:g} s"
                self._refuse(Problem("request_timeout", found))

    def _refuse_head(self, detail: str) -> None:
        self._refuse(Problem("headers_too_large", detail))

    def _refuse(self, problem: Problem) -> None:
        """Answer where nothing was answered yet, and close. Nothing that still arrives is looked at."""
        self._refused = True
        self._due = NEVER
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self.transport.write(_refusal(problem))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


def _refusal(problem: Problem) -> bytes:
    body = problem.body()
    headers = b"".join(b"%s: %s\r\n" % item for item in problem.headers())
    status = KINDS[problem.code].status
    head = b"HTTP/1.1 %d %s\r\n%scontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, problem.code.encode(), headers, len(body)) + body


_COMMON = b"".join(b"%s: %s\r\n" % item for item in COMMON_HEADERS)


def whole(answer: Answer, default_headers: list[tuple[bytes, bytes]], *, close: bool) -> bytes:
    """An answer as it is written. Its headers are ours, none repeats a client's words."""
    headers = [*default_headers, *answer.headers, (b"content-length", b"%d" % len(answer.body))]
    if close and CLOSE not in headers:
        headers.append(CLOSE)
    lines = b"".join([b"%s: %s\r\n" % item for item in headers])
    return b"".join((STATUS_LINE[answer.status], _COMMON, lines, b"\r\n", answer.body))


def limited(limits: GatewaySettings, express: Express) -> type[LimitedProtocol]:
    """The protocol class of one server, as uvicorn's `http` option takes it."""
    patience_s = min(limits.header_timeout_s, limits.body_timeout_s, limits.write_timeout_s)
    members = {"settings": limits, "express": express, "sweep": Sweep(min(SWEEP_S_MAX, patience_s / 8))}
    return type("LimitedProtocol", (LimitedProtocol,), members)
