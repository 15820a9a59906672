"""Steps as httpx wants them, and httpx' answers as steps want them: what the two performers share."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any

import httpx

from network.client.answers import rejection
from network.client.errors import Rejected
from network.client.messages import Answer, Ask, NoAnswer
from network.client.sse import EventReader

ANSWER_BYTES_MAX = 64 << 20  # no answer of a node is larger; what goes on is no node
CONNECT_TIMEOUT_S = 3.0
RECONNECT_S = 0.5
STREAM_TIMEOUT = httpx.Timeout(CONNECT_TIMEOUT_S, read=60.0)  # heartbeats come more often
LIMITS = httpx.Limits(max_connections=256, max_keepalive_connections=256)
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
GATEWAY_PORT = (  # said where something else than a gateway answers
    "a gateway's port is `port` under [gateway] in its node's node.toml (8101 where nothing is said); `listen` under "
    "[peer] is for validators alone"
)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """What all clients check servers with: making one takes longer than a request."""
    return ssl.create_default_context()


def request_of(step: Ask) -> dict[str, Any]:
    """The arguments for `stream`."""
    return {
        "method": step.method,
        "url": step.url + step.path,
        "params": dict(step.params),
        "content": step.body,
        "headers": {"content-type": step.content_type} if step.content_type else {},
        "timeout": httpx.Timeout(step.timeout_s, connect=min(step.timeout_s, CONNECT_TIMEOUT_S)),
    }


def answer_of(response: httpx.Response, parts: Iterator[bytes]) -> Answer | NoAnswer:
    """The whole answer, unless it is larger than any can be."""
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            return _too_long()
    return Answer(response.status_code, dict(response.headers), bytes(body))


async def answer_of_async(response: httpx.Response, parts: AsyncIterator[bytes]) -> Answer | NoAnswer:
    """The same, awaited."""
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            return _too_long()
    return Answer(response.status_code, dict(response.headers), bytes(body))


def _too_long() -> NoAnswer:
    return NoAnswer(f"the answer exceeds {ANSWER_BYTES_MAX} bytes", sent=True)


def no_answer(error: Exception, step: Ask) -> NoAnswer:
    """A failed request: what happened, in words that say where to look."""
    return NoAnswer(_told(error, step), sent=not isinstance(error, NEVER_SENT))


def _told(error: Exception, step: Ask) -> str:
    what = str(error).rstrip(".")
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {min(step.timeout_s, CONNECT_TIMEOUT_S):.3g} s: is the address right?"
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return (
            f"it took the connection and gave no answer within {step.timeout_s:.3g} s: the gateway hangs or has too "
            "much to do, its node's log may say why; ask another node"
        )
    if isinstance(error, httpx.RemoteProtocolError):
        return f"no gateway answers there, or it ended just now ({what}): {GATEWAY_PORT}"
    return f"{type(error).__name__}: {what}".rstrip(": ")


def event_params(contract: str, event: str, types: str, start: int | None) -> dict[str, str]:
    """The query of a stream."""
    found = {"contract": contract, "event": event, "types": types, "from": "" if start is None else str(start)}
    return {name: value for name, value in found.items() if value}


def event_headers(reader: EventReader) -> dict[str, str]:
    """What resumes a stream."""
    return {"last-event-id": reader.cursor} if reader.cursor else {}


def is_refusal(status: int) -> bool:
    """Whether a stream will never be given, here or elsewhere: then asking again makes no sense."""
    return 400 <= status < 500 and status not in (408, 429)


def refusal(status: int, body: bytes) -> Rejected:
    """Why not."""
    return rejection(Answer(status, {}, body))
