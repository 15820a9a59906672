"""What one transaction costs a gateway, and the load generator: the real HTTP server before a node that only pretends.

    python -m scripts.bench_gateway [--rate 250] [--others 750] [--seconds 8]

The pretended node is a process of its own behind the real local sockets. It takes every transaction and seals a block
four times a second, to which it adds `--others` transfers a second that came in elsewhere. CPU time of the gateway's
process and of the load generator's, so that a busy machine tells nearly the same as an idle one. `--rate 0` leaves the
streamed blocks alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from ledger import blocks, codec, hashing, transactions
from ledger.crypto import SigningKey
from ledger.types import (
    Account,
    Batch,
    Block,
    BlockRecord,
    Call,
    Genesis,
    LogEntry,
    Parameters,
    Receipt,
    Seal,
    SealSignature,
    Validator,
    ValidatorSet,
)
from network import api
from network.gateway import GatewaySettings, create_app, serve
from network.ipc import Connection, Server
from network.lifeline import settle_memory
from network.proxies import ExecutorProxy, ValidatorProxy
from scripts.load import LoadReport, LoadSpec, account_key

BLOCK_S = 0.25
ACCOUNTS = 100
_encode = msgspec.msgpack.Encoder().encode


class PretendedNode:
    """Both sides of a node as its gateway sees them: everything is admitted, sealed and a success."""

    def __init__(self, others_per_s: float) -> None:
        keys = [SigningKey.from_seed(bytes([member]) * 32) for member in range(4)]
        members = tuple(Validator(f"v{n}", key.public_key, 1, b"certificate") for n, key in enumerate(keys))
        accounts = tuple(Account(f"a{n}", account_key(n).public_key, ("writer",)) for n in range(ACCOUNTS))
        self.genesis = Genesis(1, "bench", 1, Parameters(), ValidatorSet(members), accounts)
        self._tip = blocks.genesis_record(self.genesis, bytes(32)).block.header
        self._pending: list[bytes] = []
        self._others = [self._foreign(number) for number in range(int(others_per_s * BLOCK_S))]
        self._followers: list[Connection] = []
        self._decode = msgspec.msgpack.Decoder(api.AnyValidatorRequest | api.KnownSenders).decode

    async def handle(self, connection: Connection, payload: bytes) -> bytes:
        """The encoded answer to an encoded request."""
        return _encode(self._answer(connection, self._decode(payload)))

    def _answer(self, connection: Connection, request: Any) -> Any:
        match request:
            case api.Submit(raw):
                self._pending += raw
                return [api.Admission("accepted", transactions.identify(each)[0]) for each in raw]
            case api.KnownSenders(public_keys):
                return [True] * len(public_keys)
            case api.Subscribe():
                self._followers.append(connection)
                return self._tip.height
            case api.GetStatus():
                tip = self._tip
                names = ("0", "bench", self.genesis.chain_id, 0, "v0", 0, 0, False, tip.height, tip.height)
                return api.NodeStatus(*names, tip.hash, tip.state_root, tip.time_ms, 0, 0, "", (), 1, {})
            case api.GetGenesis():
                return self.genesis
        raise AssertionError(f"nobody asks for {request}")

    async def seal_for_ever(self) -> None:
        """A block every quarter of a second."""
        while True:
            await asyncio.sleep(BLOCK_S)
            bodies, self._pending = (*self._pending, *self._others), []
            if bodies and self._followers:
                payload = self._seal(bodies).encode()
                self._followers = [each for each in self._followers if each.push(payload)]

    def _seal(self, bodies: tuple[bytes, ...]) -> BlockRecord:
        parent = self._tip
        hashes = tuple(hashing.transaction_hash(raw) for raw in bodies)
        batch = Batch(0, parent.height + 1, 0, 0, parent.time_ms + 250, hashes)
        receipts = tuple(self._receipt(batch.height, index, raw) for index, raw in enumerate(bodies))
        self._tip = header = blocks.next_header(
            parent,
            batch,
            executed=hashes,
            transactions_root=bytes(32),
            receipts_root=bytes(32),
            state_root=bytes(32),
            gas_used=0,
            validators_hash=self.genesis.validators.hash,
            next_validators_hash=self.genesis.validators.hash,
        )
        seal = Seal(0, header.height, header.hash, tuple(SealSignature(n, bytes(64)) for n in range(3)))
        return BlockRecord(Block(header, batch, hashes), bodies, receipts, seal)

    @staticmethod
    def _receipt(height: int, index: int, raw: bytes) -> bytes:
        fields = codec.encode({"sender": "ab" * 32, "to": "cd" * 32, "amount": 1})
        events = (LogEntry("token", "Transfer", fields),)
        names = transactions.identify(raw)
        return Receipt(height, index, *names, "ok", "", "", 0, 4_321, (codec.encode(None),), events).encode()

    def _foreign(self, number: int) -> bytes:
        call = Call("token", "transfer", codec.encode(["cd" * 32, 1]))
        salt = number.to_bytes(16, "big")
        return transactions.sign_transaction(account_key(0), self.genesis.chain_id, [call], 100_000, 1_000_000, salt)


async def pretend(directory: Path, others_per_s: float) -> None:
    """Be the node, until killed."""
    node = PretendedNode(others_per_s)
    for name in ("validator", "executor"):
        await Server(directory / name, node.handle).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await node.seal_for_ever()


# ── the gateway, which is this process ────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with pipes, killed at the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, stdin=pipe, stdout=pipe)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def measure(rate: float, others: float, seconds: float) -> None:
    """One run; prints the figures."""
    with tempfile.TemporaryDirectory(prefix="quorate-") as directory:
        place = Path(directory)
        async with child("scripts.bench_gateway", "--node", directory, "--others", str(others)) as node:
            assert node.stdout is not None, "a pipe"
            assert await node.stdout.readline() == b"ready\n", "the pretended node did not start"
            async with ValidatorProxy(place / "validator") as validator, ExecutorProxy(place / "executor") as executor:
                settings = GatewaySettings()
                app = create_app(validator, executor, settings)
                settle_memory()
                ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
                serving = asyncio.create_task(serve(app, on_ready=ready.set_result, handle_signals=False))
                try:
                    genesis = await validator.genesis()
                    await load(await ready, genesis.chain_id.hex(), rate, others, seconds)
                finally:
                    serving.cancel()
                    await asyncio.gather(serving, return_exceptions=True)


async def load(port: int, chain_id: str, rate: float, others: float, seconds: float) -> None:
    """Offer the load to the gateway in this process, and print what it cost."""
    print(f"pid {os.getpid()}", file=sys.stderr)
    if not rate:
        started, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        count = others * (time.perf_counter() - started)
        print(f"streamed only: {1e6 * (time.process_time() - cpu_s) / count:.1f} us a transaction")
        return
    spec = LoadSpec(
        urls=[f"http://127.0.0.1:{port}"],
        chain_id=chain_id,
        mode="open",
        rate=rate,
        outstanding=0,
        accounts=ACCOUNTS,
        warmup_s=1.0,
        seconds=seconds,
        gas_limit=100_000,
        height=0,
        valid_for=1000,
    )
    async with child("scripts.load") as generator:
        assert generator.stdin is not None, "a pipe"
        assert generator.stdout is not None, "a pipe"
        generator.stdin.write(msgspec.json.encode(spec) + b"\n")
        assert await generator.stdout.readline() == b"measuring\n", "the load generator did not start"
        cpu_s = time.process_time()
        assert await generator.stdout.readline() == b"measured\n", "the load generator did not end"
        cpu_s = time.process_time() - cpu_s
        report = msgspec.json.decode(await generator.stdout.readline(), type=LoadReport)
    print(f"{report.sealed} of {report.due} sealed, median {report.latency_ms['p50']:.0f} ms, {report.failures}")
    print(f"gateway: {1e6 * cpu_s / report.due:.0f} us a POST (with {others / rate:.1f} streamed beside each)")
    print(f"load generator: {1e6 * report.cpu_s / report.due:.0f} us a transaction")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench_gateway", description="What one transaction costs a gateway.")
    parser.add_argument("--rate", type=float, default=250.0, help="transactions a second that are posted here")
    parser.add_argument("--others", type=float, default=750.0, help="transactions a second from elsewhere")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--node", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if arguments.node is not None:
            runner.run(pretend(arguments.node, arguments.others))
        else:
            runner.run(measure(arguments.rate, arguments.others, arguments.seconds))


if __name__ == "__main__":
    main()
