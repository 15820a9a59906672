"""uvicorn's HTTP/1.1 protocol with the limits that it lacks: silence, slowness, and heads without end.

uvicorn by itself keeps a silent connection for ever and takes headers of any number and size. Here a connection has
so long to send a request's head, so long for its body, and so long to read an answer; what is too large is refused
while it arrives. It knows connections and bytes; what a request means is the application's business.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from network.gateway.problems import KINDS, Problem
from network.gateway.settings import GatewaySettings


class LimitedProtocol(HttpToolsProtocol):
    """Make a class with settings by `limited`."""

    settings: GatewaySettings

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._refused = False

    # ── connections ───────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > self.settings.connections_max:
            self._refuse(Problem("busy", f"{self.settings.connections_max} connections are open, which is the limit"))
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._deadline)
        self._stop(self._write_deadline)
        self._deadline = self._write_deadline = None
        super().connection_lost(exc)

    # ── what arrives ──────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        if self._in_head:
            if self._deadline is None:  # the first bytes of a further request on this connection
                self._expect_head()
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
        self._arm(self.settings.body_timeout_s, "the body of the request")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._in_head = True
        self._stop(self._deadline)
        self._deadline = None
        super().on_message_complete()

    # ── what leaves ───────────────────────────────────────────────────────────────────────────────

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop(self._write_deadline)
        self._write_deadline = self.loop.call_later(self.settings.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop(self._write_deadline)
        self._write_deadline = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if not self._refused:
            self._refuse(Problem("bad_request", msg))

    # ── deadlines and refusals ────────────────────────────────────────────────────────────────────

    def _expect_head(self) -> None:
        self._arm(self.settings.header_timeout_s, "the head of the request")

    def _arm(self, seconds: float, what: str) -> None:
        self._stop(self._deadline)
        self._deadline = self.loop.call_later(seconds, self._too_slow, what, seconds)

    def _too_slow(self, what: str, seconds: float) -> None:
        self._deadline = None
        self._refuse(Problem("request_timeout", f"{what} did not arrive within {seconds:g} s"))

    def _refuse_head(self, detail: str) -> None:
        self._refuse(Problem("headers_too_large", detail))

    def _refuse(self, problem: Problem) -> None:
        """Answer where nothing was answered yet, and close. Nothing that still arrives is looked at."""
        self._refused = True
        self._stop(self._deadline)
        self._deadline = None
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self.transport.write(_answer(problem))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def _answer(problem: Problem) -> bytes:
    body = problem.body()
    headers = b"".join(b"%s: %s\r\n" % item for item in problem.headers())
    status = KINDS[problem.code].status
    head = b"HTTP/1.1 %d %s\r\n%scontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, problem.code.encode(), headers, len(body)) + body


def limited(limits: GatewaySettings) -> type[LimitedProtocol]:
    """The protocol class with these limits, as uvicorn's `http` option takes it."""
    return type("LimitedProtocol", (LimitedProtocol,), {"settings": limits})
