"""Offers signed token transfers over HTTP, one transaction a POST, and times each from its due moment to its seal.

Read by `scripts.bench`, which runs it as a process of its own. It is lean, because it shares the cores with what it
measures: raw HTTP/1.1 over kept-alive connections, signatures made as they are sent. Open loop: transfers fall due at
a fixed rate whatever the answers do, so that a stall shows in the latencies instead of thinning out the load. Closed
loop: a fixed number is under way at any time. It starts no node and judges nothing; it counts every failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal, cast
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop

from ledger import codec, hashing
from ledger.crypto import SigningKey, signing_message
from ledger.transactions import SIGNING_KIND
from ledger.types import Call, TransactionBody

TICK_S = 0.010  # how often due transfers are sent in the open loop: in the latencies, as they count from when due
CONNECTIONS_PER_GATEWAY_MAX = 512
WAITING_PER_GATEWAY_MAX = 4096  # due transfers without a free connection; more are counted as shed
ANSWER_BYTES_MAX = 1 << 20
DRAIN_TIMEOUT_S = 15.0
SALT_BYTES = 16

_pack = msgspec.msgpack.Encoder().encode


class LoadSpec(msgspec.Struct, frozen=True):
    """What to offer. `rate` is transfers a second (open loop), `outstanding` how many at a time (closed loop).

    `height` is the sealed height at the start; a transfer is valid until `valid_for` above the last height heard of.
    """

    urls: list[str]
    chain_id: str
    mode: Literal["open", "closed"]
    rate: float
    outstanding: int
    accounts: int
    warmup_s: float
    seconds: float
    gas_limit: int
    height: int
    valid_for: int
    contract: str = "token"
    method: str = "transfer"


class LoadReport(msgspec.Struct, frozen=True):
    """What became of the transfers that fell due within the measured time; wall-clock times in milliseconds.

    `shed` fell due but found no connection and no room to wait; `unanswered` had no answer when the drain ended.
    """

    started_ms: int
    ended_ms: int
    due: int
    sealed: int
    shed: int
    unanswered: int
    failures: dict[str, int]
    latency_ms: dict[str, float]
    cpu_s: float


def account_key(index: int) -> SigningKey:
    """The key of benchmark account `index`: derived, so that the generator and the genesis agree without a file."""
    return SigningKey.from_seed(hashing.tagged("bench.account")(index.to_bytes(4, "big")))


Done = Callable[[int, bytes], None]  # status (0 when the connection was lost) and body


class Connection(asyncio.Protocol):
    """One kept-alive connection: a request at a time."""

    __slots__ = ("_body", "_done", "_parser", "_pool", "_transport")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._done: Done | None = None
        self._body = b""

    def send(self, request: bytes, done: Done) -> None:
        """Send a whole request; `done` is called once, with its answer or the loss of the connection."""
        assert self._transport is not None, "not connected"
        self._done, self._body = done, b""
        self._transport.write(request)

    def close(self) -> None:
        """Close without waiting."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > ANSWER_BYTES_MAX:
            self.close()

    def on_message_complete(self) -> None:
        done, self._done = self._done, None
        keep = self._parser.should_keep_alive()
        if done is not None:
            done(self._parser.get_status_code(), self._body)
        if keep:
            self._pool.released(self)
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        done, self._done = self._done, None
        self._pool.lost(self)
        if done is not None:
            done(0, b"connection lost" if exc is None else str(exc).encode())


class Pool:
    """The connections to one gateway: opened when needed, up to a limit; beyond it requests wait in line."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None, f"no host in {url}"
        assert parts.port is not None, f"no port in {url}"
        self.host, self.port = parts.hostname, parts.port
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[bytes, Done]] = deque()
        post = "POST /v1/transactions?wait=sealed HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/octet-stream\r\n"
        self._head = post.format(self.host, self.port).encode()

    def post(self, raw: bytes, done: Done) -> bool:
        """Offer one raw transaction; False when the line is full."""
        request = b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(raw), raw)
        if self._idle:
            self._idle.pop().send(request, done)
            return True
        if len(self._waiting) >= WAITING_PER_GATEWAY_MAX:
            return False
        self._waiting.append((request, done))
        if len(self._open) + len(self._opening) < CONNECTIONS_PER_GATEWAY_MAX:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        return True

    def released(self, connection: Connection) -> None:
        """A connection whose answer has come."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection that is gone."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Drop every connection."""
        for connection in [*self._open]:
            connection.close()

    async def _connect(self) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self), self.host, self.port
            )
        except OSError as error:
            if self._waiting:
                self._waiting.popleft()[1](0, f"cannot connect: {error.strerror}".encode())
            return
        self._open.add(connection)
        self.released(connection)


class Transfers:
    """Makes signed transfers, each from the next account to another."""

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._chain_id = bytes.fromhex(spec.chain_id)
        self._keys = [account_key(index) for index in range(spec.accounts)]
        payees = self._keys[1:] + self._keys[:1]  # every account pays its neighbour, so none ever runs dry
        self._openings = [
            self._opening(sender, payee.public_key) for sender, payee in zip(self._keys, payees, strict=True)
        ]
        self._signed_prefix = signing_message(SIGNING_KIND, self._chain_id, b"")
        self._made = 0
        self._salt = os.urandom(8)
        self.height = spec.height

    def next(self) -> bytes:
        """The next raw signed transaction: as `sign_transaction` makes it, from a body whose beginning is known."""
        turn = self._made % len(self._keys)
        salt = self._salt + self._made.to_bytes(8, "big")
        self._made += 1
        body = self._openings[turn] + _pack(self.height + self._spec.valid_for) + _pack(salt)
        return b"\x92" + body + _pack(self._keys[turn].sign(self._signed_prefix + body))

    def _opening(self, sender: SigningKey, payee: bytes) -> bytes:
        """What every body of this sender begins with: all but `valid_until` and the salt."""
        body = TransactionBody(
            self._chain_id, sender.public_key, self._call(payee), self._spec.gas_limit, 0, bytes(SALT_BYTES)
        )
        return body.encode()[: -len(_pack(0) + _pack(bytes(SALT_BYTES)))]

    def _call(self, payee: bytes) -> tuple[Call, ...]:
        return (Call(self._spec.contract, self._spec.method, codec.encode([payee.hex(), 1])),)


class Tally:
    """Counts what became of the measured transfers."""

    def __init__(self) -> None:
        self.due = 0
        self.shed = 0
        self.answered = 0
        self.latencies_s: list[float] = []
        self.failures: Counter[str] = Counter()

    @property
    def unanswered(self) -> int:
        """Transfers still under way."""
        return self.due - self.answered - self.shed

    def record(self, failure: str, latency_s: float) -> None:
        """One answer."""
        self.answered += 1
        if failure:
            self.failures[failure] += 1
        else:
            self.latencies_s.append(latency_s)


class AnswerReceipt(msgspec.Struct):
    """The part of a receipt that counts here."""

    code: str


class Answer(msgspec.Struct):
    """The part of a gateway's answer, or of its problem, that counts here."""

    state: str = ""
    code: str = ""
    sealed_height: int = 0
    receipt: AnswerReceipt | None = None


_decode_answer = msgspec.json.Decoder(Answer).decode


def read_answer(status: int, body: bytes) -> tuple[str, int]:
    """(why this is no sealed, successful transfer, "" when it is one; the sealed height that it tells, else 0)."""
    if status == 0:
        return body.decode(errors="replace"), 0
    try:
        answer = _decode_answer(body)
    except msgspec.MsgspecError:
        return f"status {status}, not the JSON expected", 0
    if answer.receipt is not None:
        return "" if answer.receipt.code == "ok" else f"receipt: {answer.receipt.code}", answer.sealed_height
    return f"status {status}: {answer.code or answer.state or 'no code'}", answer.sealed_height


class Generator:
    """One run: warm-up, measured time, drain."""

    def __init__(self, spec: LoadSpec) -> None:
        self.spec = spec
        self.transfers = Transfers(spec)
        self.pools = [Pool(url) for url in spec.urls]
        self.tally = Tally()
        self._turn = 0
        self._measuring = False
        self._offering = True
        self._draining = False
        self._settled = asyncio.Event()

    async def run(self) -> LoadReport:
        """Offer the load and report on the measured part of it."""
        offering = asyncio.create_task(self._open_loop() if self.spec.mode == "open" else self._closed_loop())
        await asyncio.sleep(self.spec.warmup_s)
        say("measuring")
        self._measuring, started_ms, cpu_s = True, now_ms(), time.process_time()
        await asyncio.sleep(self.spec.seconds)
        self._measuring, self._offering, ended_ms = False, False, now_ms()
        cpu_s = time.process_time() - cpu_s
        say("measured")
        await offering
        await self._drain()
        for pool in self.pools:
            pool.close()
        return self._report(started_ms, ended_ms, cpu_s)

    async def _open_loop(self) -> None:
        loop = asyncio.get_running_loop()
        started, offered = loop.time(), 0
        while self._offering:
            due = int((loop.time() - started) * self.spec.rate)
            while offered < due:
                self._offer(started + offered / self.spec.rate)
                offered += 1
            await asyncio.sleep(TICK_S)

    async def _closed_loop(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self.spec.outstanding):
            self._offer(loop.time())
            await asyncio.sleep(0)

    def _offer(self, due: float) -> None:
        """Send one transfer that fell due at `due` (loop time), and follow it."""
        pool = self.pools[self._turn % len(self.pools)]
        self._turn += 1
        loop, measured = asyncio.get_running_loop(), self._measuring

        def done(status: int, body: bytes) -> None:
            failure, height = read_answer(status, body)
            self.transfers.height = max(self.transfers.height, height)
            if measured:
                self.tally.record(failure, loop.time() - due)
                self._note_if_settled()
            if self.spec.mode == "closed" and self._offering:
                # A failed request must not turn the loop into a busy one.
                loop.call_later(0 if status == 200 else 0.05, self._offer_now)

        self.tally.due += measured
        if not pool.post(self.transfers.next(), done):
            self.tally.shed += measured

    def _offer_now(self) -> None:
        if self._offering:
            self._offer(asyncio.get_running_loop().time())

    async def _drain(self) -> None:
        """Wait for the answers to what was measured."""
        self._draining = True
        self._note_if_settled()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), DRAIN_TIMEOUT_S)

    def _note_if_settled(self) -> None:
        if self._draining and self.tally.unanswered == 0:
            self._settled.set()

    def _report(self, started_ms: int, ended_ms: int, cpu_s: float) -> LoadReport:
        tally = self.tally
        latencies = sorted(tally.latencies_s)
        return LoadReport(
            started_ms=started_ms,
            ended_ms=ended_ms,
            due=tally.due,
            sealed=len(latencies),
            shed=tally.shed,
            unanswered=tally.unanswered,
            failures=dict(tally.failures),
            latency_ms={name: 1000 * percentile(latencies, share) for name, share in PERCENTILES.items()},
            cpu_s=cpu_s,
        )


PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}


def percentile(ascending: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 without values."""
    if not ascending:
        return 0.0
    return ascending[max(0, -int(-share * len(ascending) // 1) - 1)]


def now_ms() -> int:
    """Wall-clock milliseconds, the clock of block headers."""
    return time.time_ns() // 1_000_000


def say(word: str) -> None:
    """Tell the process that started us where we are."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the specification from standard input, write marks and then the report to standard output."""
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=LoadSpec)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(Generator(spec).run())
    say(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main()
