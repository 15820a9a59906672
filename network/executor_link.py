"""The validator's side of the executor's socket: requests that outlive a restart of the process behind it.

An executor that fails at a block, or answers nothing for longer than any block can take, is ended and started again.
Both are faults of this node: nothing of them reaches a transaction, whose outcome comes from the replay.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from network.api import (
    STATE_DAMAGED,
    Execute,
    ExecutionOutcome,
    ExecutorStatus,
    Forget,
    GetExecutorStatus,
    MarkSealed,
    NodeUnavailable,
    ScrubbedState,
    ScrubState,
    Unresponsive,
)
from network.ipc import ReconnectingClient, RemoteError
from network.supervisor import Child

log = logging.getLogger("quorate.executor_link")

T = TypeVar("T")

CONNECT_TIMEOUT_S = 30.0
POLL_S = 0.02
PULSE_S = 5.0  # between two looks whether it still answers
HUNG_AFTER_S = 60.0  # without an answer, beside what the gas of a block may take
SLOW_GAS_S = 20e-9  # a unit of gas stands for some 5 ns; a slow, busy machine may take four times as long
HEIGHT_UNAVAILABLE = "height_unavailable"  # its code for a height that it does not stand below


def hung_after_s(block_gas_max: int) -> float:
    """How long an executor of a network with such blocks may stay silent before it counts as hung."""
    return HUNG_AFTER_S + block_gas_max * SLOW_GAS_S


class ExecutorLink:
    """Speaks to the executor; `child` is its process where this node supervises it."""

    def __init__(self, socket_path: Path, child: Child | None, hung_after_s: float = HUNG_AFTER_S) -> None:
        self._client = ReconnectingClient(socket_path)
        self._child = child
        self._hung_after_s = hung_after_s
        self._pulse: asyncio.Task[None] | None = None
        self._sealed_height = -1
        self._sealing: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Wait until it answers. Raises `NodeUnavailable` when it does not come up."""
        await self._client.start()
        deadline = asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S
        while True:
            try:
                await self.status()
                break
            except NodeUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(POLL_S)
        if self._pulse is None:
            self._pulse = asyncio.create_task(self._feel_pulse(), name="pulse-of-the-executor")

    async def close(self) -> None:
        """Hang up."""
        for task in (self._sealing, self._pulse):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._client.close()

    async def execute(self, request: Execute) -> ExecutionOutcome:
        """Run one batch. An executor that fails at it is started again: what its host lacked may be there then."""
        process = self._process
        try:
            return await self._ask_once(request, ExecutionOutcome, self._hung_after_s)
        except RemoteError as error:
            if error.code not in (HEIGHT_UNAVAILABLE, STATE_DAMAGED):
                await self._start_again(process, f"failed at block {request.height}: {error}")
            raise NodeUnavailable(str(error)) from None
        except Unresponsive as error:
            await self._start_again(process, f"hangs at block {request.height}: {error}")
            raise

    @property
    def _process(self) -> int | None:
        return None if self._child is None else self._child.pid

    async def _start_again(self, process: int | None, why: str) -> None:
        """End the process that failed, unless another has taken its place meanwhile; its supervisor starts the next."""
        log.error("the executor %s; it is started again", why)
        if self._child is not None and self._child.pid == process:
            await self._child.kill()

    async def _feel_pulse(self) -> None:
        """Ask for ever whether it still answers: a view, too, may find it stuck, or somebody may have stopped it."""
        while True:
            await asyncio.sleep(PULSE_S)
            process = self._process
            try:
                await self._ask_once(GetExecutorStatus(), ExecutorStatus, self._hung_after_s)
            except Unresponsive as error:
                await self._start_again(process, f"hangs: {error}")
            except (NodeUnavailable, RemoteError) as error:
                log.debug("the executor has no pulse just now: %s", error)

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

    async def scrub(self, after: bytes) -> ScrubbedState:
        """Have it read a few rows of its state again."""
        return await self._ask(ScrubState(after), ScrubbedState, CONNECT_TIMEOUT_S)

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
