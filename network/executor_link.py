"""The validator's side of the executor's socket: requests that outlive a restart of the process behind it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from network.api import (
    Execute,
    ExecutionOutcome,
    ExecutorStatus,
    Forget,
    GetExecutorStatus,
    MarkSealed,
    NodeUnavailable,
)
from network.ipc import ReconnectingClient, RemoteError
from network.supervisor import Child

log = logging.getLogger("quorate.executor_link")

T = TypeVar("T")

EXECUTE_TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 30.0
POLL_S = 0.02
HEIGHT_UNAVAILABLE = "height_unavailable"  # its code for a height that it does not stand below


class ExecutorLink:
    """Speaks to the executor; `child` is its process where this node supervises it."""

    def __init__(self, socket_path: Path, child: Child | None) -> None:
        self._client = ReconnectingClient(socket_path)
        self._child = child
        self._sealed_height = -1
        self._sealing: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Wait until it answers. Raises `NodeUnavailable` when it does not come up."""
        await self._client.start()
        deadline = asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S
        while True:
            try:
                await self.status()
                return
            except NodeUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Hang up."""
        if self._sealing is not None:
            self._sealing.cancel()
            await asyncio.gather(self._sealing, return_exceptions=True)
        await self._client.close()

    async def execute(self, request: Execute) -> ExecutionOutcome:
        """Run one batch. An executor that fails at it is started again: what its host lacked may be there then."""
        try:
            return await self._ask_once(request, ExecutionOutcome, EXECUTE_TIMEOUT_S)
        except RemoteError as error:
            if error.code != HEIGHT_UNAVAILABLE:
                log.error("the executor failed at block %d and is started again: %s", request.height, error)
                if self._child is not None:
                    await self._child.kill()
            raise NodeUnavailable(str(error)) from None

    async def status(self) -> ExecutorStatus:
        """Where it stands."""
        return await self._ask(GetExecutorStatus(), ExecutorStatus, CONNECT_TIMEOUT_S)

    async def genesis_root(self) -> bytes:
        """The state root of height 0, where a fresh executor stands. One ahead of an empty store starts anew."""
        while True:
            try:
                status = await self.status()
                if status.height == 0:
                    return status.state_root
                await self.forget()
            except NodeUnavailable as error:
                log.debug("waiting for the executor: %s", error)
            await asyncio.sleep(POLL_S)

    async def forget(self) -> None:
        """Have it delete its state and end; its supervisor starts it again."""
        await self._ask(Forget(), type(None), CONNECT_TIMEOUT_S)

    async def mark_sealed(self, height: int) -> None:
        """Tell it how far reads may go."""
        await self._ask(MarkSealed(height), type(None), CONNECT_TIMEOUT_S)

    def mark_sealed_soon(self, height: int) -> None:
        """The same without waiting; only the newest height is sent."""
        self._sealed_height = max(self._sealed_height, height)
        if self._sealing is None or self._sealing.done():
            self._sealing = asyncio.create_task(self._send_sealed())

    async def _send_sealed(self) -> None:
        sent = -1
        while sent < self._sealed_height:
            sent = self._sealed_height
            try:
                await self.mark_sealed(sent)
            except NodeUnavailable as error:
                log.debug("height %d goes with a later one: %s", sent, error)
                return

    async def _ask(self, request: Any, kind: type[T], timeout_s: float) -> T:
        try:
            return await self._ask_once(request, kind, timeout_s)
        except RemoteError as error:
            raise NodeUnavailable(str(error)) from None

    async def _ask_once(self, request: Any, kind: type[T], timeout_s: float) -> T:
        answer = await self._client.request(msgspec.msgpack.encode(request), timeout_s)
        return msgspec.msgpack.decode(answer, type=kind)
