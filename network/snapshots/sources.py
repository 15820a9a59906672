"""Where a snapshot is made from: a directory whose node stands still, or a node that runs, asked over its sockets.

Both give the same: a sealed header, the state after it, and the blocks up to it. A running node is asked for a page,
left alone for twice as long as that took, and asked again: whoever makes a snapshot is never in a hurry.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ledger.errors import GenesisError, StorageError
from ledger.lock import DirectoryLock
from ledger.snapshot import Manifest
from ledger.snapshot_maker import make_snapshot
from ledger.snapshot_tree import Entry
from ledger.state import State
from ledger.store import BlockStore
from ledger.types import BlockRecord, Genesis, Header, Seal
from network.api import FreezeState, Frozen, NodeUnavailable, ReadFrozen, ThawState
from network.ipc import RemoteError
from network.paths import NodePaths
from network.proxies import ExecutorProxy, ValidatorProxy
from network.snapshots.landing import first_block
from network.snapshots.switching import finish_switch

SEAL_TIMEOUT_S = 60.0
POLL_S = 0.1
RESTS = 2
BLOCKS_A_REQUEST = 16

T = TypeVar("T")

Show = Callable[[str], None]


class NotReady(StorageError):
    """There is nothing to make a snapshot of yet. The text says what to wait for."""


# ── a node that stands still ──────────────────────────────────────────────────────────────────────


def from_stopped(data: Path, genesis: Genesis, path: Path, show: Show = lambda _: None) -> Manifest:
    """A backup of a stopped node. Raises `DatabaseInUse` when one runs there, `StorageError`, `InvalidProof`."""
    paths = NodePaths(data)
    if not paths.blocks.is_dir() or not paths.state.is_dir():
        raise NotReady(f"{data} is no node's directory, or its node has never run: it has no blocks or no state")
    with DirectoryLock(data):
        finish_switch(data)
        store, state = BlockStore(paths.blocks), State.open(paths.state)
        try:
            height = _height_of(store, state)
            record = store.record(height)
            assert record is not None, "the sealed height is stored"
            assert record.seal is not None, "a sealed block has a seal"
            header = record.block.header
            blocks = _stored(store, first_block(height, genesis), height)
            return make_snapshot(path, genesis, header, record.seal, state.walk(height), blocks, show)
        finally:
            state.close()
            store.close()


def _height_of(store: BlockStore, state: State) -> int:
    height = min(store.sealed_height, state.height)
    if height < 1:
        raise NotReady("no block above genesis is sealed: a new node needs no snapshot of that")
    if height < state.oldest_height:
        raise NotReady(
            f"the highest sealed block here is {height}, the state is kept from height {state.oldest_height} on: "
            "start the node until it has caught up, and try again"
        )
    return height


def _stored(store: BlockStore, first: int, last: int) -> Iterator[BlockRecord]:
    for height in range(first, last + 1):
        record = store.record(height)
        if record is None:
            raise StorageError(f"block {height} is not here: a backup needs the blocks from {first} on")
        yield record


# ── a node that runs ──────────────────────────────────────────────────────────────────────────────


async def from_running(
    data: Path,
    genesis: Genesis,
    path: Path | Callable[[int], Path],
    show: Show = lambda _: None,
    *,
    height: int = 0,
    with_blocks: bool = True,
) -> Manifest:
    """A snapshot of a running node: of a height of the interval, that one or a later, or (0) of the present one.

    `path` may depend on the height.

    Raises `NodeUnavailable`, `NotReady`, `StorageError`, `InvalidProof`.
    """
    paths = NodePaths(data)
    async with ExecutorProxy(paths.executor_socket) as executor, ValidatorProxy(paths.validator_socket) as validator:
        running = _Running(executor, validator, asyncio.get_running_loop())
        frozen = await running.freeze(height)
        try:
            header, seal = await running.sealed(frozen, genesis)
            blocks = running.blocks(first_block(frozen.height, genesis), frozen.height) if with_blocks else ()
            entries = running.entries(frozen)
            path = path if isinstance(path, Path) else path(frozen.height)
            return await asyncio.to_thread(make_snapshot, path, genesis, header, seal, entries, blocks, show)
        finally:
            await running.thaw(frozen)


class _Running:
    """The two processes of a node. `entries` and `blocks` are read in another thread than the loop's."""

    def __init__(self, executor: ExecutorProxy, validator: ValidatorProxy, loop: asyncio.AbstractEventLoop) -> None:
        self._executor = executor
        self._validator = validator
        self._loop = loop

    async def freeze(self, height: int) -> Frozen:
        """Have the executor keep a state still."""
        try:
            frozen: Frozen = await self._executor.ask(FreezeState(height), Frozen)
        except RemoteError as error:
            raise NotReady(str(error)) from None
        if frozen.height < 1:
            raise NotReady("no block above genesis was executed: a new node needs no snapshot of that")
        return frozen

    async def thaw(self, frozen: Frozen) -> None:
        """It need not any more."""
        with contextlib.suppress(NodeUnavailable, RemoteError):
            await self._executor.ask(ThawState(frozen.name, frozen.height), type(None))

    async def sealed(self, frozen: Frozen, genesis: Genesis) -> tuple[Header, Seal]:
        """The sealed header of the frozen state, once a quorum sealed it."""
        deadline = time.monotonic() + SEAL_TIMEOUT_S
        while time.monotonic() < deadline:
            records = await self._validator.blocks(frozen.height, frozen.height, light=True)
            if records and records[0].seal is not None:
                header = records[0].block.header
                if header.chain_id != genesis.chain_id:
                    raise GenesisError(f"the node is on chain {header.chain_id.hex()}, this genesis is another's")
                return header, records[0].seal
            await asyncio.sleep(POLL_S)
        raise NotReady(f"block {frozen.height} was executed and is not sealed: the network does not agree at present")

    def entries(self, frozen: Frozen) -> Iterator[Entry]:
        """All of the frozen state."""
        start = b""
        while True:
            began = time.monotonic()
            request = ReadFrozen(frozen.name, frozen.height, start)
            page: list[tuple[bytes, bytes]] = self._wait_for(self._executor.ask(request, list[tuple[bytes, bytes]]))
            yield from page
            if not page:
                return
            start = page[-1][0] + b"\x00"
            time.sleep(RESTS * (time.monotonic() - began))

    def blocks(self, first: int, last: int) -> Iterator[BlockRecord]:
        """The blocks from one height to another."""
        while first <= last:
            began = time.monotonic()
            records = self._wait_for(self._validator.blocks(first, min(last, first + BLOCKS_A_REQUEST - 1)))
            if not records:
                raise StorageError(f"block {first} is not there: a backup needs it and all above")
            yield from records
            first = records[-1].height + 1
            time.sleep(RESTS * (time.monotonic() - began))

    def _wait_for(self, question: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result()
        except RemoteError as error:
            raise NotReady(f"the node went on without this snapshot: {error}") from None
