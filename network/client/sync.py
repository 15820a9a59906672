"""`Client`: the SDK for code that waits. It performs the steps of `network.client.core` with httpx and `time.sleep`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
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


class Client:
    """One user's view of a network: a key to sign with, nodes to ask, a genesis to check them against.

    Safe to use from one thread at a time. Without `key` it reads only; without `genesis` nothing is verified.
    """

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
        transport: httpx.BaseTransport | None = None,
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
        self._http = httpx.Client(verify=web.tls_context(), limits=web.LIMITS, transport=transport)

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close the connections, and keep what was verified in the trust file."""
        self._http.close()
        self._core.keep_trust()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────

    def call(
        self,
        contract: str,
        method: str,
        *args: Any,
        wait: bool = True,
        gas_limit: int | None = None,
        timeout_s: float | None = None,
    ) -> Outcome:
        """Call a contract. With `wait`, returns once the outcome is sealed, and proven where there is a genesis.

        Raises `Rejected`, `TransactionFailed`, `Undecided`, `Unavailable`, `ProofInvalid`.
        """
        return self.send([(contract, method, args)], wait=wait, gas_limit=gas_limit, timeout_s=timeout_s)

    def send(
        self,
        calls: Iterable[CallLike],
        *,
        wait: bool = True,
        gas_limit: int | None = None,
        timeout_s: float | None = None,
    ) -> Outcome:
        """Several calls in one transaction: they succeed or fail together."""
        return self._run(self._core.send(calls, wait=wait, gas_limit=gas_limit, timeout_s=timeout_s))

    def deploy(self, name: str, source: str, *args: Any, timeout_s: float | None = None) -> Outcome:
        """Deploy a contract; `args` go to its init."""
        return self.call("system", "deploy", name, source, list(args), timeout_s=timeout_s)

    def sign(self, calls: Iterable[CallLike], gas_limit: int | None = None) -> bytes:
        """The raw signed transaction, without sending it."""
        return self._run(self._core.sign(calls, gas_limit))

    def submit(self, raw: bytes, *, wait: bool = True, timeout_s: float | None = None) -> Outcome:
        """Send a signed transaction; the same bytes may be sent again at any time."""
        return self._run(self._core.submit(raw, wait=wait, timeout_s=timeout_s))

    def submit_many(
        self, raws: Sequence[bytes], *, wait: bool = False, timeout_s: float | None = None
    ) -> list[Outcome | Rejected]:
        """Send many signed transactions: one result each, in order. Nothing is raised for a single one of them."""
        return self._run(self._core.submit_many(raws, wait=wait, timeout_s=timeout_s))

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def status(self) -> dict[str, Any]:
        """The status of some node."""
        return self._run(self._core.status())

    def chain_id(self) -> bytes:
        """The chain id."""
        return self._run(self._core.chain_id())

    def view(
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
        return self._run(flow)

    def state(
        self,
        contract: str,
        variable: str,
        *key: Any,
        height: int | None = None,
        mode: ReadMode | None = None,
        min_height: int | None = None,
    ) -> StateValue:
        """A state value, or its absence: proven, unless `mode` is "quorum" or "local"; not below `min_height`."""
        return self._run(self._core.state(contract, variable, key, height=height, mode=mode, min_height=min_height))

    def header(self, height: int | None = None, min_height: int | None = None) -> Header:
        """A sealed header, verified: of a height, or the highest that some node has."""
        return self._run(self._core.header(height, min_height))

    def headers(self, after: int | None = None) -> Iterator[Header]:
        """The newest verified header, again and again as the chain grows, without end; those between are skipped.

        Begins above `after`, without it above the highest that this client has verified. Raises `Forked`.
        """
        light = self._core.need_light("verify headers")
        at = light.height if after is None else after
        while True:
            found = self._run(self._core.next_header(at))
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

    def transaction(self, transaction_id: bytes | str, mode: ReadMode | None = None) -> dict[str, Any]:
        """A transaction, proven where it is sealed (unless `mode` is "local"): its "proven" says so."""
        return self._run(self._core.transaction(transaction_id, mode))

    def proof(self, transaction_id: bytes | str) -> VerifiedProof:
        """The verified one-file receipt."""
        return self._run(self._core.proof(transaction_id))

    def block(self, block: int | bytes | str) -> dict[str, Any]:
        """A block by height or hash, as JSON; verified where there is a genesis."""
        return self._run(self._core.block(block))

    def block_record(self, block: int | bytes | str) -> BlockRecord:
        """A block by height or hash, as the ledger has it; verified where there is a genesis."""
        return self._run(self._core.block_record(block))

    def blocks(self, before: int | None = None, limit: int = 20, mode: ReadMode | None = None) -> list[dict[str, Any]]:
        """Summaries of blocks, newest first, each proven (unless `mode` is "local"); that none is newer is not."""
        return self._run(self._core.blocks(before, limit, mode))

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Any other JSON resource of the API, from some node."""
        return self._run(self._core.get(path, **params))

    def events(
        self,
        *,
        contract: str = "",
        event: str = "",
        types: str = "",
        start: int | None = None,
        cursor: str = "",
        mode: ReadMode | None = None,
    ) -> Iterator[Event]:
        """Events from height `start` (or after `cursor`) on, without end; a broken connection is resumed elsewhere.

        Each is proven, unless `mode` is "local"; a node whose events are not is passed over. That none was left out
        nothing proves. Raises `ProofInvalid` when no node's hold, and `Forked`.
        """
        chosen = self._core.provable(mode)
        reader, seen, liars = EventReader(cursor), cursor, 0
        params = web.event_params(contract, event, types, start)
        while True:
            url = self._core.nodes.pick()
            try:
                with self._http.stream(
                    "GET",
                    url + "/v1/events",
                    params=params,
                    headers=web.event_headers(reader),
                    timeout=web.STREAM_TIMEOUT,
                ) as response:
                    if web.is_refusal(response.status_code):
                        raise web.refusal(response.status_code, response.read())
                    for line in response.iter_lines():
                        found = reader.line(line)
                        if found is not None:
                            found = self._run(self._core.event(found, url, chosen))
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
            time.sleep(web.RECONNECT_S)

    # ── performing ────────────────────────────────────────────────────────────────────────────────

    def _run(self, flow: Flow[T]) -> T:
        reply: Reply = None
        try:
            while True:
                step = flow.send(reply)
                reply = self._perform(step)
        except StopIteration as end:
            result: T = end.value
            return result

    def _perform(self, step: Ask | Pause) -> Reply:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            with self._http.stream(**web.request_of(step)) as response:
                return web.answer_of(response, response.iter_bytes())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return web.no_answer(error, step)
