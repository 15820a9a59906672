"""The few HTTP motions that run outside FastAPI: reading a body under limits, sending an answer, checking the Host.

It knows ASGI and limits; it knows nothing of transactions or blocks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

from network.gateway.problems import Problem
from network.gateway.settings import GatewaySettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
COMMON_HEADERS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
CLOSE = (b"connection", b"close")
HOSTS_REMEMBERED_MAX = 256


class Answer(NamedTuple):
    """A whole answer. `headers` are those beside the common ones and the length."""

    status: int
    headers: Headers
    body: bytes


class Disconnected(Exception):
    """The client went away before its request was complete."""


class BodyBudget:
    """The bytes of all request bodies held at once: one number, so that a thousand slow uploads stay bounded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, count: int) -> None:
        """Reserve `count` bytes, or refuse."""
        if self.held + count > self._limit:
            raise Problem("busy", f"{self.held} bytes of request bodies are being read already; try again in a second")
        self.held += count

    def give_back(self, count: int) -> None:
        """Release what `take` reserved."""
        self.held -= count
        assert self.held >= 0


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def declared_length(scope: Scope, limit: int) -> int | None:
    """Content-Length, None when the body is chunked. Refuses what exceeds `limit`, before a byte is read."""
    text = header(scope, b"content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 15:
        raise Problem("bad_request", "Content-Length is no decimal number")
    length = int(text)
    if length > limit:
        raise Problem("too_large", f"the body has {length} bytes, at most {limit} are taken; send it in parts")
    return length


async def read_body(scope: Scope, receive: Receive, limit: int, budget: BodyBudget) -> bytes:
    """The whole body, at most `limit` bytes. Its length is taken from `budget`: the caller gives it back."""
    declared = declared_length(scope, limit)
    taken = declared or 0
    budget.take(taken)
    parts: list[bytes] = []
    received = 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            received += len(part)
            if received > limit:
                raise Problem("too_large", f"the body exceeds the {limit} bytes that are taken; send it in parts")
            if received > taken:
                budget.take(received - taken)
                taken = received
            parts.append(part)
            if not message.get("more_body", False):
                break
    except BaseException:
        budget.give_back(taken)
        raise
    budget.give_back(taken - received)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def answer(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (JSON,)) -> None:
    """Send one whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*COMMON_HEADERS, *headers, length]})
    await send({"type": "http.response.body", "body": body})


def problem_answer(problem: Problem) -> Answer:
    """A refusal. Where the body was not read, the connection cannot be used again."""
    headers = problem.headers()
    if problem.status == 413:
        headers.append(CLOSE)
    return Answer(problem.status, headers, problem.body())


async def answer_problem(send: Send, problem: Problem) -> None:
    """Send a refusal."""
    status, headers, body = problem_answer(problem)
    await answer(send, status, body, headers)


@lru_cache(HOSTS_REMEMBERED_MAX)
def host_name(value: bytes) -> str:
    """The name in a Host header, without its port: "[::1]:80" -> "::1"."""
    text = value.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def host_is_allowed(value: bytes, settings: GatewaySettings) -> bool:
    """Whether this node answers to such a Host header."""
    return settings.any_host or host_name(value) in settings.host_names


def check_host(scope: Scope, settings: GatewaySettings) -> None:
    """Refuse unknown Host names: a page that rebinds its DNS name to this machine must get nothing."""
    if settings.any_host:
        return
    values = [value for key, value in scope["headers"] if key == b"host"]
    if len(values) != 1:
        raise Problem("bad_request", f"the request has {len(values)} Host headers, exactly one is expected")
    if not host_is_allowed(values[0], settings):
        name = host_name(values[0])
        raise Problem(
            "host_not_allowed",
            f"the Host header says {name[:80]!r}; this node answers to {', '.join(settings.allowed_hosts)}. "
            "An operator adds names under allowed_hosts in node.toml",
        )
