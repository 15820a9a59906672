"""The two processes behind a gateway, as objects: `ValidatorApi` and `ExecutorApi` spoken over Unix sockets.

Knows how requests and answers of `network.api` are encoded and how one subscription feeds many readers. It
holds no state of the ledger and trusts its own node: what comes over a local socket is decoded, not proven.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from ledger.types import BlockRecord, Genesis, ValidatorSet
from network import api, ipc
from network.api import NodeUnavailable

log = logging.getLogger(__name__)

SEALED_QUEUE_BLOCKS_MAX = 64  # blocks that one reader of `sealed_blocks` may fall behind
REQUEST_TIMEOUT_S = 10.0
EXECUTE_TIMEOUT_S = 120.0  # a full block of the heaviest transactions, on a machine that is busy

_encode = msgspec.msgpack.Encoder().encode


class _Proxy:
    """Asks one process. `start` before the first question, `close` at the end, or use as a context manager."""

    def __init__(self, path: str | Path, limits: ipc.Limits | None = None) -> None:
        self._decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
        self._client = ipc.ReconnectingClient(
            path, on_push=self._on_push, on_connect=self._on_connect, on_lost=self._on_lost, limits=limits
        )

    @property
    def connected(self) -> bool:
        """Whether the process behind this proxy is there."""
        return self._client.connected

    async def start(self) -> None:
        """Connect, and stay connected from then on; returns after the first attempt."""
        await self._client.start()

    async def close(self) -> None:
        """Disconnect for good."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ask(self, request: msgspec.Struct, kind: Any, timeout_s: float = REQUEST_TIMEOUT_S) -> Any:
        """The answer to one request struct, decoded as `kind`. Raises `NodeUnavailable` or `ipc.RemoteError`."""
        answer = await self._client.request(_encode(request), timeout_s)
        try:
            return self._decoder(kind).decode(answer)
        except msgspec.MsgspecError as error:
            raise NodeUnavailable(f"the answer to {type(request).__name__} is not what it should be: {error}") from None

    def _decoder(self, kind: Any) -> msgspec.msgpack.Decoder[Any]:
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = msgspec.msgpack.Decoder(kind)
        return decoder

    async def _on_connect(self, client: ipc.Client) -> None:
        pass

    def _on_push(self, payload: bytes) -> None:
        log.warning("a push of %d bytes was not expected", len(payload))

    def _on_lost(self, reason: str) -> None:
        pass


class ValidatorProxy(_Proxy):
    """The validator over its socket."""

    def __init__(self, path: str | Path, limits: ipc.Limits | None = None) -> None:
        super().__init__(path, limits)
        self._readers: set[SealedReader] = set()
        self._subscription: asyncio.Task[bytes] | None = None

    async def submit(self, raw: Sequence[bytes]) -> list[api.Admission]:
        answer: list[api.Admission] = await self.ask(api.Submit(tuple(raw)), list[api.Admission])
        return answer

    async def status(self) -> api.NodeStatus:
        answer: api.NodeStatus = await self.ask(api.GetStatus(), api.NodeStatus)
        return answer

    async def genesis(self) -> Genesis:
        answer: Genesis = await self.ask(api.GetGenesis(), Genesis)
        return answer

    async def validators(self) -> ValidatorSet:
        answer: ValidatorSet = await self.ask(api.GetValidators(), ValidatorSet)
        return answer

    async def validator_set(self, name: bytes) -> ValidatorSet | None:
        """The set with this hash."""
        answer: ValidatorSet | None = await self.ask(api.GetValidatorSet(name), ValidatorSet | None)
        return answer

    async def blocks(self, first: int, last: int, light: bool = False) -> list[BlockRecord]:
        answer: list[BlockRecord] = await self.ask(api.GetBlocks(first, last, light), list[BlockRecord])
        return answer

    async def block_by_hash(self, block_hash: bytes) -> BlockRecord | None:
        answer: BlockRecord | None = await self.ask(api.GetBlockByHash(block_hash), BlockRecord | None)
        return answer

    async def evidence(self) -> list[api.EvidenceEntry]:
        """The proofs of misbehaviour that this node keeps."""
        answer: list[api.EvidenceEntry] = await self.ask(api.GetEvidence(), list[api.EvidenceEntry])
        return answer

    async def evidence_file(self, file: str) -> bytes | None:
        """One of them, as anybody can check it."""
        answer: bytes | None = await self.ask(api.GetEvidenceFile(file), bytes | None)
        return answer

    async def transaction(self, transaction_id: bytes) -> api.TransactionRecord | None:
        answer: api.TransactionRecord | None = await self.ask(
            api.GetTransaction(transaction_id), api.TransactionRecord | None
        )
        return answer

    async def account(
        self, public_key: bytes, before_height: int, before_index: int, limit: int
    ) -> list[api.AccountEntry]:
        request = api.GetAccount(public_key, before_height, before_index, limit)
        answer: list[api.AccountEntry] = await self.ask(request, list[api.AccountEntry])
        return answer

    def sealed_blocks(self) -> SealedReader:
        """Blocks as they are sealed. All readers of this proxy share one subscription.

        A reader is counted from this call on, not from its first turn. It ends with `NodeUnavailable` when the link
        is lost and when it falls more than `SEALED_QUEUE_BLOCKS_MAX` blocks behind: a reader that starts again
        closes the gap with `blocks`.
        """
        reader = SealedReader(self)
        self._readers.add(reader)
        if not self._client.connected:
            reader.end("the validator is not connected")
        elif self._subscription is None:
            request = self._client.request(_encode(api.Subscribe()), REQUEST_TIMEOUT_S)
            self._subscribe(asyncio.get_running_loop().create_task(request))
        return reader

    def leave(self, reader: SealedReader) -> None:
        """Forget a reader; the subscription stays for the next one."""
        self._readers.discard(reader)

    def _subscribe(self, task: asyncio.Task[bytes]) -> None:
        self._subscription = task
        task.add_done_callback(self._on_subscribed)

    def _on_subscribed(self, task: asyncio.Task[bytes]) -> None:
        failed = not task.cancelled() and task.exception() is not None
        if failed and task is self._subscription:
            self._on_lost(f"the subscription failed: {task.exception()}")

    def _on_push(self, payload: bytes) -> None:
        if not self._readers:
            return
        block: BlockRecord = self._decoder(BlockRecord).decode(payload)
        for reader in list(self._readers):
            reader.put(block)

    def _on_lost(self, reason: str) -> None:
        self._subscription = None
        for reader in list(self._readers):
            reader.end(reason)


class SealedReader(AsyncIterator[BlockRecord]):
    """One reader's queue of sealed blocks."""

    def __init__(self, proxy: ValidatorProxy) -> None:
        self._proxy = proxy
        self._queue: asyncio.Queue[BlockRecord | NodeUnavailable] = asyncio.Queue(SEALED_QUEUE_BLOCKS_MAX + 1)
        self._ended: NodeUnavailable | None = None

    def put(self, block: BlockRecord) -> None:
        """One more block; a reader whose queue is full ends, once it has read what is in it."""
        if self._queue.qsize() >= SEALED_QUEUE_BLOCKS_MAX:
            self.end(f"this reader is {SEALED_QUEUE_BLOCKS_MAX} blocks behind")
        else:
            self._queue.put_nowait(block)

    def end(self, reason: str) -> None:
        """No block follows."""
        self._proxy.leave(self)
        if self._ended is None:
            self._ended = NodeUnavailable(reason)
            self._queue.put_nowait(self._ended)

    async def aclose(self) -> None:
        """Stop reading."""
        self._proxy.leave(self)

    def __aiter__(self) -> SealedReader:
        return self

    async def __anext__(self) -> BlockRecord:
        if self._ended is not None and self._queue.empty():
            raise self._ended
        item = await self._queue.get()
        if isinstance(item, NodeUnavailable):
            raise item
        return item


class ExecutorProxy(_Proxy):
    """The executor over its socket. `execute` and `mark_sealed` are the validator's alone."""

    async def status(self) -> api.ExecutorStatus:
        answer: api.ExecutorStatus = await self.ask(api.GetExecutorStatus(), api.ExecutorStatus)
        return answer

    async def view(
        self, contract: str, method: str, args: bytes, sender: bytes, height: int | None = None
    ) -> api.ViewOutcome:
        request = api.View(contract, method, args, sender, height)
        answer: api.ViewOutcome = await self.ask(request, api.ViewOutcome)
        return answer

    async def contracts(self) -> list[api.ContractInfo]:
        answer: list[api.ContractInfo] = await self.ask(api.GetContracts(), list[api.ContractInfo])
        return answer

    async def contract(self, name: str) -> api.ContractInfo | None:
        answer: api.ContractInfo | None = await self.ask(api.GetContract(name), api.ContractInfo | None)
        return answer

    async def state(self, contract: str, path: bytes, height: int | None = None) -> api.StateAnswer:
        answer: api.StateAnswer = await self.ask(api.GetState(contract, path, height), api.StateAnswer)
        return answer

    async def known_senders(self, public_keys: Sequence[bytes]) -> list[bool]:
        answer: list[bool] = await self.ask(api.KnownSenders(tuple(public_keys)), list[bool])
        return answer

    async def execute(self, height: int, time_ms: int, transactions: Sequence[bytes]) -> api.ExecutionOutcome:
        """Run one ordered batch. Not for gateways."""
        request = api.Execute(height, time_ms, tuple(transactions))
        answer: api.ExecutionOutcome = await self.ask(request, api.ExecutionOutcome, EXECUTE_TIMEOUT_S)
        return answer

    async def mark_sealed(self, height: int) -> None:
        """Let reads serve this height. Not for gateways."""
        await self.ask(api.MarkSealed(height), None)


if TYPE_CHECKING:
    _validator: api.ValidatorApi = ValidatorProxy("")
    _executor: api.ExecutorApi = ExecutorProxy("")
