"""A client that comes back: the process it asks is started again whenever it dies, and so is the connection to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from network.api import NodeUnavailable
from network.ipc.asking import Client
from network.ipc.channel import IpcError, Limits

log = logging.getLogger("network.ipc")


@dataclass(frozen=True)
class Backoff:
    """How long to wait between attempts: doubled each time, up to a limit."""

    first_ms: int = 50
    max_ms: int = 200
    connect_timeout_s: float = 5.0

    def delay_s(self, attempt: int) -> float:
        """The pause after that many failures in a row (0 is the first), in seconds."""
        return min(self.max_ms, self.first_ms << min(attempt, 16)) / 1000


class ReconnectingClient:
    """A client that comes back: whenever the connection is lost it is made again, and `on_connect` runs first.

    `on_connect(client)` is where a caller subscribes again; until it has returned nobody else's request is sent.
    While there is no connection, requests fail at once and say for how long it has been away.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        on_push: Callable[[bytes], None] | None = None,
        on_connect: Callable[[Client], Awaitable[None]] | None = None,
        on_lost: Callable[[str], None] | None = None,
        backoff: Backoff | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._path = Path(path)
        self._on_push = on_push
        self._on_connect = on_connect
        self._on_lost = on_lost
        self._backoff = backoff or Backoff()
        self._limits = limits
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._attempted = asyncio.Event()
        self._reason = "not started"
        self._away_since = time.monotonic()

    @property
    def connected(self) -> bool:
        """Whether a request would be sent."""
        return self._client is not None and not self._client.closed

    async def start(self) -> None:
        """Connect in the background for ever; returns after the first attempt, whatever became of it."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        await self._attempted.wait()

    async def close(self) -> None:
        """Disconnect and stay so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._reason = "closed"

    async def request(self, payload: bytes, timeout_s: float = 30.0) -> bytes:
        """`Client.request` on the connection of the moment."""
        client = self._client
        if client is None or client.closed:
            away_s = time.monotonic() - self._away_since
            raise NodeUnavailable(f"{self._path}: unreachable for {away_s:.1f} s: {self._reason}")
        return await client.request(payload, timeout_s)

    async def _run(self) -> None:
        failures = 0
        while True:
            lost = asyncio.Event()
            client = Client(on_push=self._on_push, on_close=lost.set, limits=self._limits)
            try:
                await self._connect(client)
                failures = 0
                self._attempted.set()
                await lost.wait()
                self._reason = "the connection was lost"
                log.warning("%s: the connection was lost, connecting again", self._path)
            except (NodeUnavailable, IpcError) as error:
                self._reason = str(error)
                failures += 1
            except Exception as error:
                self._reason = f"{type(error).__name__}: {error}"
                failures += 1
                log.exception("%s: connected, but the caller's on_connect failed", self._path)
            finally:
                await self._disconnect(client)
            self._attempted.set()
            await asyncio.sleep(self._backoff.delay_s(failures))

    async def _connect(self, client: Client) -> None:
        await client.connect(self._path, self._backoff.connect_timeout_s)
        if self._on_connect is not None:
            await self._on_connect(client)
        self._client = client

    async def _disconnect(self, client: Client) -> None:
        if self._client is client:
            self._client = None
            self._away_since = time.monotonic()
            if self._on_lost is not None:
                self._on_lost(self._reason)
        await client.close()
