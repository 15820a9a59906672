"""The two questions that whoever runs a node asks every second: does it live, can it serve?

They are asked first of all right after a start, when a validator has the best use for the processor; so they are
answered without FastAPI, whose import takes as long as that of the rest of a node. It lists them none the less.
"""

from __future__ import annotations

from typing import Any

import msgspec

from network.gateway.http import JSON, Send, answer
from network.gateway.problems import Problem
from network.gateway.services import HEIGHT_HEADER, Services

LIVES, SERVES = "/healthz", "/readyz"
PATHS = frozenset({LIVES, SERVES})
READY_LAG_BLOCKS = 16  # a node further behind the highest peer sends its clients elsewhere


async def probe(services: Services, path: str) -> dict[str, Any]:
    """The answer to one of `PATHS`. Raises `Problem` or `NodeUnavailable` with the reason why it cannot serve."""
    return {"ok": True} if path == LIVES else await _readiness(services)


async def _readiness(services: Services) -> dict[str, Any]:
    status = await services.validator.status()
    await services.executor.status()
    if status.halted:
        raise Problem("node_unavailable", f"the validator has stopped: {status.halted}")
    highest = max((peer.sealed_height for peer in status.peers if peer.connected), default=0)
    if highest - status.sealed_height > READY_LAG_BLOCKS:
        raise Problem("busy", f"catching up: sealed height {status.sealed_height}, a peer has {highest}")
    return {"ready": True}


async def send_probe(services: Services, path: str, send: Send) -> None:
    """Answer with ASGI alone."""
    found = await probe(services, path)
    height = services.feed.height
    body = msgspec.json.encode({**found, "sealed_height": height})
    await answer(send, 200, body, (JSON, (HEIGHT_HEADER.encode(), str(height).encode())))
