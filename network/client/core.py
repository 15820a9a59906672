"""What the SDK does, step by step and without doing it: each operation is a generator of requests and pauses.

`Client` and `AsyncClient` perform these steps, so the rules are here once: same bytes on every retry, another node
after each failure, three outcomes of a transaction and no fourth (sealed, rejected, undecided), and nothing
believed that the genesis could disprove.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from ledger import codec
from ledger.crypto import SigningKey
from ledger.proofs import VerifiedProof
from ledger.transactions import identify, sign_transaction
from ledger.types import BlockRecord, Call, Genesis, Header
from network import present
from network.client import proven, reads
from network.client.answers import (
    Json,
    expect_success,
    is_gateway_error,
    may_retry,
    note_results,
    outcome_of,
    read_json,
    reason_of,
    refused_or_unavailable,
    rejection,
)
from network.client.checks import about_transaction, checked_state, read_block, segment
from network.client.errors import NotConfigured, ProofInvalid, Rejected, TransactionFailed, Unavailable, Undecided
from network.client.light import LightClient
from network.client.messages import Answer, Ask, Event, NoAnswer, Outcome, Pause, Reply, StateValue, Step, read_outcome
from network.client.nodes import Nodes
from network.client.trust import read_trust, write_trust
from network.json_values import NotAValue, from_json, to_json

T = TypeVar("T")
Flow = Generator[Step, Reply, T]

GAS_LIMIT = 10_000_000
READ_TIMEOUT_S = 10.0
NODE_TIMEOUT_MIN_S = 3.0  # of a read: a node that is waited for min_height, or runs a long view, takes two seconds
SAME_NODE_TIMEOUT_S = 3.0  # for what belongs to an answer that the node has just given
WAIT_ROUND_S = 20.0  # of a longer wait: after that the question is put again, perhaps to another node
PAUSE_MIN_S = 0.05
PAUSE_MAX_S = 1.0
HEIGHT_AGE_MAX_S = 5.0  # how old a height may be for choosing valid_until
MANY_TRANSACTIONS_MAX = 500  # in one request
MANY_BYTES_MAX = 2 << 20
SAME_EVERYWHERE = frozenset({"malformed", "too_large", "wrong_chain", "bad_signature", "gas_limit"})
SALT_BYTES = 16

CallLike = Call | tuple[str, str, Sequence[Any]]


class Core:
    """The state that both clients share: nodes, key, genesis, and what was learned of the chain."""

    def __init__(
        self,
        urls: Sequence[str],
        key: SigningKey | None,
        genesis: Genesis | None,
        *,
        timeout_s: float,
        gas_limit: int,
        read_mode: str | None = None,
        trust_file: Path | str | None = None,
        salt: Callable[[], bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.nodes = Nodes(urls, clock)
        self.answered_by = ""  # whose answer was the last
        self.key = key
        self.genesis = genesis
        self.timeout_s = timeout_s
        self.gas_limit = gas_limit
        self.read_timeout_s = READ_TIMEOUT_S
        self.read_mode = reads.mode_of(read_mode, reads.PROVEN if genesis else reads.LOCAL)
        self.light = LightClient(genesis) if genesis else None
        self._trust_file = None if trust_file is None else Path(trust_file)
        if self._trust_file is not None:
            read_trust(self._trust_file, self.need_light("keep a trust file"))
        self._salt = salt or (lambda: os.urandom(SALT_BYTES))
        self._clock = clock
        self._chain_id = genesis.chain_id if genesis else None
        self._validity_window = genesis.parameters.validity_window if genesis else 0
        self._height = 0  # of the chain, as last reported
        self._height_at = float("-inf")
        self._written = 0  # the highest height of an own sealed transaction: reads must not be older

    # ── one exchange with some node ───────────────────────────────────────────────────────────────

    def exchange(self, path: str, *, params: Mapping[str, str] | None = None, only: str = "") -> Flow[Answer]:
        """Read from one node after the other until one answers, or from `only` this one.

        Raises `Rejected` or `Unavailable`.
        """
        until = self._clock() + (min(SAME_NODE_TIMEOUT_S, READ_TIMEOUT_S) if only else READ_TIMEOUT_S)
        attempts: list[str] = []
        pause_s = PAUSE_MIN_S
        while True:
            url = only or self.nodes.pick()
            reply = yield Ask(url, path, params=params or {}, timeout_s=self._share_of(until, len(attempts), only))
            if isinstance(reply, Answer) and not may_retry(reply):
                self.nodes.answered(url)
                self.answered_by = url
                return expect_success(reply)
            self.nodes.failed(url)
            attempts.append(f"{url}: {reason_of(reply)}")
            if self._clock() + pause_s >= until:
                if isinstance(reply, Answer) and reply.status == 409:
                    raise rejection(reply)
                raise Unavailable(attempts)
            if only or len(attempts) >= len(self.nodes):
                yield Pause(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _share_of(self, until: float, asked: int, only: str) -> float:
        """How long one node may take: what is left, shared with those not asked yet, or one that hangs has it all."""
        left_s = until - self._clock()
        others = 0 if only else max(0, len(self.nodes) - asked - 1)
        return max(0.5, min(left_s, max(NODE_TIMEOUT_MIN_S, left_s / (others + 1))))

    def get(self, path: str, **params: Any) -> Flow[Json]:
        """A JSON object, not older than this client's own last write."""
        shown = {name: str(value) for name, value in params.items() if value is not None}
        answer = yield from self.exchange(path, params=shown)
        return read_json(answer)

    def fresh(self) -> int | None:
        """The `min_height` for reads, None while nothing was written."""
        return self._written or None

    # ── the node and the chain ────────────────────────────────────────────────────────────────────

    def status(self) -> Flow[Json]:
        """The status of some node."""
        status = yield from self.get("/v1/status")
        self._note_status(status)
        return status

    def _note_status(self, status: Json) -> None:
        try:
            chain_id = bytes.fromhex(status["chain_id"])
            height = int(status["sealed_height"])
            window = int(status["parameters"]["validity_window"])
        except (KeyError, TypeError, ValueError):
            raise ProofInvalid("a node's status lacks its chain id, height or parameters") from None
        if self._chain_id is not None and chain_id != self._chain_id:
            raise ProofInvalid(f"the node is on chain {chain_id.hex()}, expected {self._chain_id.hex()}")
        self._chain_id = chain_id
        self._validity_window = self._validity_window or window
        self._height, self._height_at = height, self._clock()

    def chain_id(self) -> Flow[bytes]:
        """The chain id: the genesis', else what the first node said."""
        if self._chain_id is None:
            yield from self.status()
        assert self._chain_id is not None
        return self._chain_id

    def _valid_until(self) -> Flow[int]:
        if self._clock() - self._height_at > HEIGHT_AGE_MAX_S:
            yield from self.status()
        return self._height + max(1, self._validity_window // 2)

    # ── transactions ──────────────────────────────────────────────────────────────────────────────

    def sign(self, calls: Iterable[CallLike], gas_limit: int | None = None) -> Flow[bytes]:
        """The raw signed transaction for these calls. Raises `NotConfigured` without a key."""
        if self.key is None:
            raise NotConfigured("this client has no key to sign with; make it with key=...")
        chain_id = yield from self.chain_id()
        valid_until = yield from self._valid_until()
        encoded = [encode_call(call) for call in calls]
        return sign_transaction(self.key, chain_id, encoded, gas_limit or self.gas_limit, valid_until, self._salt())

    def send(
        self, calls: Iterable[CallLike], *, wait: bool, gas_limit: int | None, timeout_s: float | None
    ) -> Flow[Outcome]:
        """Sign and submit; see `submit`."""
        raw = yield from self.sign(calls, gas_limit)
        return (yield from self.submit(raw, wait=wait, timeout_s=timeout_s))

    def submit(self, raw: bytes, *, wait: bool, timeout_s: float | None = None) -> Flow[Outcome]:
        """Send one signed transaction until a node took it (or, with `wait`, until its outcome is sealed).

        Raises `Rejected`, `TransactionFailed`, `Undecided`, `Unavailable`, `ProofInvalid`.
        """
        name, _ = identify(raw)
        until = self._clock() + (self.timeout_s if timeout_s is None else timeout_s)
        outcome = yield from self._submit_until(raw, name, until, wait=wait)
        if outcome.transaction_id != name:
            raise ProofInvalid(f"the node answered about {outcome.transaction_id.hex()}, asked was {name.hex()}")
        if not outcome.sealed:
            return outcome
        if self.genesis is not None:
            outcome = yield from self._proven(outcome, raw)
        self._written = max(self._written, outcome.height)
        if not outcome.ok:
            raise TransactionFailed(outcome)
        return outcome

    def _submit_until(self, raw: bytes, name: bytes, until: float, *, wait: bool) -> Flow[Outcome]:
        attempts: list[str] = []
        taken = False  # some node may have it
        pause_s = PAUSE_MIN_S
        while True:
            url = self.nodes.pick()
            reply = yield self._submission(url, raw, "application/octet-stream", until, wait=wait)
            if isinstance(reply, Answer) and reply.status in (200, 202):
                self.nodes.answered(url)
                taken = True
                outcome = outcome_of(reply)
                if outcome.sealed or not wait:
                    return outcome
            elif isinstance(reply, Answer) and not may_retry(reply):
                self.nodes.answered(url)
                refusal = rejection(reply)
                if taken and refusal.code not in SAME_EVERYWHERE:
                    raise Undecided(name, raw, f"one node may have taken it before another answered {refusal}")
                raise refusal
            else:
                self.nodes.failed(url)
                taken = taken or (isinstance(reply, NoAnswer) and reply.sent) or is_gateway_error(reply)
                attempts.append(f"{url}: {reason_of(reply)}")
            if self._clock() + pause_s >= until:
                if taken:
                    raise Undecided(
                        name, raw, "no seal within the time" + "".join(f"; {each}" for each in attempts[-2:])
                    )
                raise refused_or_unavailable(reply, attempts)
            yield Pause(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _submission(self, url: str, body: bytes, content_type: str, until: float, *, wait: bool) -> Ask:
        left_s = max(0.0, until - self._clock())
        wait_s = min(left_s, WAIT_ROUND_S)
        params = {"wait": "sealed", "timeout_s": f"{wait_s:.3f}"} if wait else {}
        return Ask(
            url, "/v1/transactions", "POST", params, body, content_type, (wait_s if wait else 0.0) + READ_TIMEOUT_S
        )

    def submit_many(
        self, raws: Sequence[bytes], *, wait: bool, timeout_s: float | None
    ) -> Flow[list[Outcome | Rejected]]:
        """Send many signed transactions; one result each, in order. A failed transaction is an `Outcome` here.

        What stays without an answer is an `Outcome` with the state "unknown": it may or may not be on its way.
        """
        results: list[Outcome | Rejected] = []
        until = self._clock() + (self.timeout_s if timeout_s is None else timeout_s)
        for part in parts_of(raws):
            results += yield from self._submit_part(part, until, wait=wait)
        heights = [item.height for item in results if isinstance(item, Outcome) and item.sealed]
        self._written = max([self._written, *heights])
        return results

    def _submit_part(self, raws: Sequence[bytes], until: float, *, wait: bool) -> Flow[list[Outcome | Rejected]]:
        results: list[Outcome | Rejected] = [Outcome(identify(raw)[0], "unknown") for raw in raws]
        open_ = list(range(len(raws)))
        pause_s = PAUSE_MIN_S
        while open_:
            url = self.nodes.pick()
            body = msgspec.msgpack.encode([raws[place] for place in open_])
            reply = yield self._submission(url, body, "application/msgpack", until, wait=wait)
            if isinstance(reply, Answer) and reply.status in (200, 202):
                self.nodes.answered(url)
                open_ = note_results(results, open_, read_json(reply), wait=wait)
            elif isinstance(reply, Answer) and not may_retry(reply):
                raise rejection(reply)
            else:
                self.nodes.failed(url)
            if not open_ or self._clock() + pause_s >= until:
                break
            yield Pause(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
        return results

    # ── proofs ────────────────────────────────────────────────────────────────────────────────────

    def proof(self, transaction_id: bytes | str, min_height: int = 0) -> Flow[VerifiedProof]:
        """The verified one-file receipt of a sealed transaction. A node that lies is passed over for the next."""
        light = self.need_light("check a proof")
        name = as_bytes(transaction_id)
        params = {"min_height": str(max(min_height, self._written))}

        def ask() -> Flow[VerifiedProof]:
            answer = yield from self.exchange(f"/v1/transactions/{name.hex()}/receipt", params=params)
            return about_transaction(light.learn(answer.body), name)

        return (yield from reads.first_that_holds(self, ask))

    def _proven(self, outcome: Outcome, raw: bytes) -> Flow[Outcome]:
        """The outcome as the proof has it, whatever the node said beside it."""
        name = outcome.transaction_id
        try:
            proof = yield from self.proof(name, outcome.height)
        except (Unavailable, Rejected) as error:
            raise Undecided(name, raw, f"a node says it is sealed, but no proof could be had: {error}") from error
        assert proof.receipt is not None
        shown = {
            "id": outcome.transaction_id.hex(),
            "state": "sealed",
            "height": proof.height,
            "index": proof.receipt.index,
            "block_hash": proof.header_hash.hex(),
            "receipt": present.receipt(proof.receipt.encode()),
        }
        found = read_outcome(shown)
        return Outcome(**{name: getattr(found, name) for name in Outcome.__slots__ if name != "proven"}, proven=True)

    def need_genesis(self, what: str) -> Genesis:
        """The genesis. Raises `NotConfigured` without one."""
        if self.genesis is None:
            raise NotConfigured(f"this client has no genesis to {what} with; make it with genesis=...")
        return self.genesis

    # ── reads ─────────────────────────────────────────────────────────────────────────────────────

    def view(
        self,
        contract: str,
        method: str,
        args: Sequence[Any],
        *,
        height: int | None,
        sender: str | None,
        mode: str | None,
        min_height: int | None,
    ) -> Flow[Any]:
        """What a view returns at a sealed height: as one node says, or with "quorum" as enough of them do."""
        chosen = reads.mode_of(mode, self.read_mode if self.read_mode != reads.PROVEN else reads.LOCAL)
        if chosen == reads.PROVEN:
            raise NotConfigured("what a view computes has no proof: ask a quorum for it, or read the state beneath it")
        shown = {"contract": contract, "method": method, "args": json.dumps(to_json(list(args)))}
        params = shown | ({} if sender is None else {"sender": sender})
        floor = self.floor(min_height)
        if chosen == reads.QUORUM:
            flow = reads.agreed(self, "/v1/view", params, lambda found: found["value"], height=height, floor=floor)
            answer = yield from flow
        else:
            answer = yield from self.get("/v1/view", **params, height=height, min_height=floor or None)
            reads.height_of(answer, min(floor, height) if height is not None else floor)
        try:
            return from_json(answer["value"])
        except (KeyError, NotAValue) as error:
            raise ProofInvalid(f"a node's answer is not what a view returns: {error}") from None

    def state(
        self,
        contract: str,
        variable: str,
        key: Sequence[Any],
        *,
        height: int | None,
        mode: str | None,
        min_height: int | None,
    ) -> Flow[StateValue]:
        """A state value, or its absence, believed as `mode` says (`network.client.reads`)."""
        chosen = reads.mode_of(mode, self.read_mode)
        path = "/v1/state/" + "/".join(quote(segment(part), safe="") for part in (contract, variable, *key))
        floor = self.floor(min_height)
        if chosen == reads.QUORUM:
            flow = reads.agreed(
                self, path, {}, lambda said: [said["present"], said["encoded"]], height=height, floor=floor
            )
            return checked_state((yield from flow), contract, variable, key, chosen)

        def ask() -> Flow[StateValue]:
            answer = yield from self.get(path, height=height, min_height=floor or None)
            at = reads.height_of(answer, floor if height is None else 0)
            if height not in (None, at):
                raise ProofInvalid(f"the node answered for height {at}, asked was {height}")
            root = None if chosen == reads.LOCAL else (yield from reads.sealed(self, at)).state_root
            return checked_state(answer, contract, variable, key, chosen, root)

        if chosen == reads.LOCAL:
            return (yield from ask())
        self.need_light("prove a read")
        return (yield from reads.first_that_holds(self, ask))

    def header(self, height: int | None, min_height: int | None) -> Flow[Header]:
        """A sealed header, verified against the genesis: of a height, or the highest that a node has."""
        return (yield from reads.header_at(self, height, self.floor(min_height)))

    def next_header(self, after: int) -> Flow[Header]:
        """The highest sealed header, as soon as it is above `after`."""
        return (yield from reads.next_header(self, after))

    def floor(self, min_height: int | None) -> int:
        """The height below which no read may be: the caller's, and that of this client's own last write."""
        return max(min_height or 0, self._written)

    def need_light(self, what: str) -> LightClient:
        """The light client. Raises `NotConfigured` without a genesis."""
        self.need_genesis(what)
        assert self.light is not None
        return self.light

    def keep_trust(self) -> None:
        """Write the trust file, where there is one."""
        if self._trust_file is not None:
            write_trust(self._trust_file, self.need_light("keep a trust file"))

    def transaction(self, transaction_id: bytes | str, mode: str | None) -> Flow[Json]:
        """A transaction, proven where it is sealed, unless `mode` is "local"."""
        return (yield from proven.transaction(self, as_bytes(transaction_id), self.provable(mode)))

    def block_record(self, block: int | bytes | str) -> Flow[BlockRecord]:
        """A whole block, its parts checked against each other, and against its seal where there is a genesis."""
        name = block.hex() if isinstance(block, bytes) else str(block)

        def ask() -> Flow[BlockRecord]:
            answer = yield from self.exchange(f"/v1/blocks/{name}", params={"format": "raw"})
            record = read_block(answer.body, name)
            if self.light is not None:
                yield from reads.judge(self, record)
            return record

        return (yield from reads.first_that_holds(self, ask))

    def block(self, block: int | bytes | str) -> Flow[Json]:
        """A whole block as JSON, checked as by `block_record`."""
        record = yield from self.block_record(block)
        light = self.light if record.height else None
        return present.block(record, light.validators(record.block.header.epoch) if light else None)

    def blocks(self, before: int | None, limit: int, mode: str | None) -> Flow[list[Json]]:
        """Summaries of blocks, newest first, each proven unless `mode` is "local"."""
        return (yield from proven.blocks(self, before, limit, self.provable(mode)))

    def event(self, told: Event, node: str, mode: str) -> Flow[Event]:
        """An event that this node streamed, proven unless `mode` is "local"."""
        if mode == reads.LOCAL:
            return told
        return (yield from proven.event(self, told, node))

    def provable(self, mode: str | None) -> str:
        """The mode of a read that comes with its proof: what would ask a quorum is proven."""
        if reads.mode_of(mode, self.read_mode) == reads.LOCAL:
            return str(reads.LOCAL)
        self.need_light("prove a read")
        return str(reads.PROVEN)


# ── small things ──────────────────────────────────────────────────────────────────────────────────


def encode_call(call: CallLike) -> Call:
    """A call, from (contract, method, args) too."""
    if isinstance(call, Call):
        return call
    contract, method, args = call
    return Call(contract, method, codec.encode(list(args)))


def as_bytes(name: bytes | str) -> bytes:
    """An id given as bytes or as hex."""
    return bytes.fromhex(name) if isinstance(name, str) else name


def parts_of(raws: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Lists that one request each can carry."""
    parts: list[Sequence[bytes]] = []
    start = size = 0
    for place, raw in enumerate(raws):
        if place > start and (place - start >= MANY_TRANSACTIONS_MAX or size + len(raw) > MANY_BYTES_MAX):
            parts.append(raws[start:place])
            start, size = place, 0
        size += len(raw)
    if start < len(raws):
        parts.append(raws[start:])
    return parts
