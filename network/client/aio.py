"""`AsyncClient`: the SDK for asyncio. The same methods as `Client`, awaited; see there for what they promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx

from ledger.crypto import SigningKey
from ledger.proofs import VerifiedProof
from ledger.types import BlockRecord, Genesis, Header
from network.client import web
from network.client.core import GAS_LIMIT, CallLike, Core, Flow
from network.client.errors import ProofInvalid, Rejected, Unavailable
from network.client.messages import Ask, Event, Outcome, Pause, Reply, StateValue
from network.client.reads import ReadMode
from network.client.sse import EventReader

T = TypeVar("T")


class AsyncClient:
    """One user's view of a network, for asyncio. Any number of its methods may run at once."""

    def __init__(
        self,
        urls: Sequence[str],
        key: SigningKey | None = None,
        genesis: Genesis | None = None,
        *,
        timeout_s: float = 30.0,
        gas_limit: int = GAS_LIMIT,
        read_mode: ReadMode | None = None,
        trust_file: Path | str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._core = Core(
            urls,
            key,
            genesis,
            timeout_s=timeout_s,
            gas_limit=gas_limit,
            read_mode=read_mode,
            trust_file=trust_file,
        )
        self._http = httpx.AsyncClient(verify=web.tls_context(), limits=web.LIMITS, transport=transport)

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """Close the connections, and keep what was verified in the trust file."""
        await self._http.aclose()
        self._core.keep_trust()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────

    async def call(
        self,
        contract: str,
        method: str,
        *args: Any,
        wait: bool = True,
        gas_limit: int | None = None,
        timeout_s: float | None = None,
    ) -> Outcome:
        """Call a contract."""
        return await self.send([(contract, method, args)], wait=wait, gas_limit=gas_limit, timeout_s=timeout_s)

    async def send(
        self,
        calls: Iterable[CallLike],
        *,
        wait: bool = True,
        gas_limit: int | None = None,
        timeout_s: float | None = None,
    ) -> Outcome:
        """Several calls in one transaction."""
        return await self._run(self._core.send(calls, wait=wait, gas_limit=gas_limit, timeout_s=timeout_s))

    async def deploy(self, name: str, source: str, *args: Any, timeout_s: float | None = None) -> Outcome:
        """Deploy a contract; `args` go to its init."""
        return await self.call("system", "deploy", name, source, list(args), timeout_s=timeout_s)

    async def sign(self, calls: Iterable[CallLike], gas_limit: int | None = None) -> bytes:
        """The raw signed transaction, without sending it."""
        return await self._run(self._core.sign(calls, gas_limit))

    async def submit(self, raw: bytes, *, wait: bool = True, timeout_s: float | None = None) -> Outcome:
        """Send a signed transaction."""
        return await self._run(self._core.submit(raw, wait=wait, timeout_s=timeout_s))

    async def submit_many(
        self, raws: Sequence[bytes], *, wait: bool = False, timeout_s: float | None = None
    ) -> list[Outcome | Rejected]:
        """Send many signed transactions: one result each, in order."""
        return await self._run(self._core.submit_many(raws, wait=wait, timeout_s=timeout_s))

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    async def status(self) -> dict[str, Any]:
        """The status of some node."""
        return await self._run(self._core.status())

    async def chain_id(self) -> bytes:
        """The chain id."""
        return await self._run(self._core.chain_id())

    async def view(
        self,
        contract: str,
        method: str,
        *args: Any,
        height: int | None = None,
        sender: str | None = None,
        mode: ReadMode | None = None,
        min_height: int | None = None,
    ) -> Any:
        """What a view returns: one node's word, or with mode="quorum" that of more nodes than can be faulty."""
        flow = self._core.view(contract, method, args, height=height, sender=sender, mode=mode, min_height=min_height)
        return await self._run(flow)

    async def state(
        self,
        contract: str,
        variable: str,
        *key: Any,
        height: int | None = None,
        mode: ReadMode | None = None,
        min_height: int | None = None,
    ) -> StateValue:
        """A state value, or its absence: proven, unless `mode` is "quorum" or "local"; not below `min_height`."""
        return await self._run(
            self._core.state(contract, variable, key, height=height, mode=mode, min_height=min_height)
        )

    async def header(self, height: int | None = None, min_height: int | None = None) -> Header:
        """A sealed header, verified: of a height, or the highest that some node has."""
        return await self._run(self._core.header(height, min_height))

    async def headers(self, after: int | None = None) -> AsyncIterator[Header]:
        """The newest verified header, again and again as the chain grows, without end; those between are skipped.

        Begins above `after`, without it above the highest that this client has verified. Raises `Forked`.
        """
        light = self._core.need_light("verify headers")
        at = light.height if after is None else after
        while True:
            found = await self._run(self._core.next_header(at))
            at = found.height
            yield found

    @property
    def verified_epoch(self) -> int:
        """The newest epoch whose validators this client has verified; 0 is that of the genesis."""
        return self._core.light.epoch if self._core.light else 0

    @property
    def verified_height(self) -> int:
        """The highest height whose sealed header this client has verified, -1 before the first."""
        return self._core.light.height if self._core.light else -1

    async def transaction(self, transaction_id: bytes | str, mode: ReadMode | None = None) -> dict[str, Any]:
        """A transaction, proven where it is sealed (unless `mode` is "local"): its "proven" says so."""
        return await self._run(self._core.transaction(transaction_id, mode))

    async def proof(self, transaction_id: bytes | str) -> VerifiedProof:
        """The verified one-file receipt."""
        return await self._run(self._core.proof(transaction_id))

    async def block(self, block: int | bytes | str) -> dict[str, Any]:
        """A block by height or hash, as JSON; verified where there is a genesis."""
        return await self._run(self._core.block(block))

    async def block_record(self, block: int | bytes | str) -> BlockRecord:
        """A block by height or hash, as the ledger has it; verified where there is a genesis."""
        return await self._run(self._core.block_record(block))

    async def blocks(
        self, before: int | None = None, limit: int = 20, mode: ReadMode | None = None
    ) -> list[dict[str, Any]]:
        """Summaries of blocks, newest first, each proven (unless `mode` is "local"); that none is newer is not."""
        return await self._run(self._core.blocks(before, limit, mode))

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Any other JSON resource of the API, from some node."""
        return await self._run(self._core.get(path, **params))

    async def events(
        self,
        *,
        contract: str = "",
        event: str = "",
        types: str = "",
        start: int | None = None,
        cursor: str = "",
        mode: ReadMode | None = None,
    ) -> AsyncIterator[Event]:
        """Events from height `start` (or after `cursor`) on, without end.

        Each is proven, unless `mode` is "local"; a node whose events are not is passed over. That none was left out
        nothing proves. Raises `ProofInvalid` when no node's hold, and `Forked`.
        """
        chosen = self._core.provable(mode)
        reader, seen, liars = EventReader(cursor), cursor, 0
        params = web.event_params(contract, event, types, start)
        while True:
            url = self._core.nodes.pick()
            try:
                async with self._http.stream(
                    "GET",
                    url + "/v1/events",
                    params=params,
                    headers=web.event_headers(reader),
                    timeout=web.STREAM_TIMEOUT,
                ) as response:
                    if web.is_refusal(response.status_code):
                        raise web.refusal(response.status_code, await response.aread())
                    async for line in response.aiter_lines():
                        found = reader.line(line)
                        if found is not None:
                            found = await self._run(self._core.event(found, url, chosen))
                            seen, liars = found.cursor, 0
                            yield found
            except (httpx.TransportError, Unavailable):
                self._core.nodes.failed(url)
            except ProofInvalid:
                self._core.nodes.failed(url)
                liars += 1
                if liars >= len(self._core.nodes):
                    raise
                reader = EventReader(seen)
            await asyncio.sleep(web.RECONNECT_S)

    # ── performing ────────────────────────────────────────────────────────────────────────────────

    async def _run(self, flow: Flow[T]) -> T:
        reply: Reply = None
        try:
            while True:
                step = flow.send(reply)
                reply = await self._perform(step)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _perform(self, step: Ask | Pause) -> Reply:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            async with self._http.stream(**web.request_of(step)) as response:
                return await web.answer_of_async(response, response.aiter_bytes())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return web.no_answer(error, step)
