"""What every route is handed: the two interfaces of the node, the shared feed, the limits; and how a route answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.types import Genesis, ValidatorSet
from network.api import ExecutorApi, ValidatorApi
from network.gateway.events import EventStreams
from network.gateway.feed import SealedFeed
from network.gateway.problems import Problem
from network.gateway.settings import GatewaySettings
from network.gateway.waiters import Waiters

if TYPE_CHECKING:
    from starlette.responses import Response

    from network.gateway.closings import Closings

HEIGHT_HEADER = "quorate-height"
_HEX_32 = re.compile(r"^[0-9a-fA-F]{64}$")


class Room:
    """So many at once, and so many waiting for a place; beyond that, "come back later"."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._limit = at_once + waiting
        self.inside = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one place."""
        if self.inside >= self._limit:
            raise Problem("too_many_requests", f"{self.inside} views run or wait already; try again in a second")
        self.inside += 1
        try:
            async with self._places:
                yield
        finally:
            self.inside -= 1


@dataclass
class Services:
    """One per app."""

    validator: ValidatorApi
    executor: ExecutorApi
    settings: GatewaySettings
    waiters: Waiters
    feed: SealedFeed
    streams: EventStreams
    views: Room
    _genesis: Genesis | None = field(default=None)

    async def genesis(self) -> Genesis:
        """The genesis, asked once: it never changes."""
        if self._genesis is None:
            self._genesis = await self.validator.genesis()
        return self._genesis

    async def validators(self) -> ValidatorSet:
        """The current set."""
        return await self.validator.validators()

    @cached_property
    def closings(self) -> Closings:
        """The changes of the validators, for proof files."""
        from network.gateway.closings import Closings  # comes with `rest`, not before

        return Closings(self.validator)

    async def reach(self, min_height: int | None) -> None:
        """Wait briefly until this node has sealed `min_height`. Raises `Problem` if it does not."""
        if min_height is None or self.feed.height >= min_height:
            return
        if not await self.feed.advanced(min_height - 1, self.settings.min_height_wait_s):
            raise Problem(
                "height_not_reached",
                f"min_height is {min_height}, this node has sealed {max(self.feed.height, 0)}; try again, or ask "
                "another node",
                sealed_height=self.feed.height,
            )

    def answer(self, content: Any, status: int = 200, **headers: str) -> Response:
        """JSON with the node's sealed height beside it, in the body of objects and in a header."""
        from starlette.responses import Response  # comes with `rest`, not before

        if isinstance(content, dict):
            content.setdefault("sealed_height", self.feed.height)
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return Response(
            msgspec.json.encode(content),
            status,
            {HEIGHT_HEADER: str(self.feed.height), **named},
            "application/json",
        )


def hex_32(name: str, text: str) -> bytes:
    """A hash, an id or a key in a path or a query. Raises `Problem`."""
    if _HEX_32.match(text) is None:
        raise Problem("bad_parameter", f"{name} is {text[:80]!r}, expected 64 hexadecimal digits")
    return bytes.fromhex(text)
