"""What one token transfer costs the executor, all in: reading, executing, committing, sealing, its side tables.

    python -m scripts.bench_executor [--accounts 1000] [--blocks 60] [--transfers 150] [--profile]

A state on disk, a thousand funded accounts, and blocks of single transfers between two of them, signed and different
from each other, through the same requests and answers as between the processes of a node. The same transactions every
time: the last line names what they did, so that a change that was to change nothing can be seen to have changed
nothing. CPU time of the process, the database's own threads among it; waiting for the disk is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import resource
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec

from contracts.engine import Engine
from ledger.crypto import SigningKey
from ledger.state import State
from ledger.transactions import sign_transaction
from ledger.types import Account, Call, Genesis, Parameters, Receipt, Validator, ValidatorSet
from network.api import Execute, ExecutionOutcome, MarkSealed
from network.executor_process import ExecutorService
from network.ipc import Connection
from network.lifeline import settle_memory
from network.snapshots.frozen import FrozenStates
from scripts.paper_keys import key_of
from scripts.paper_node import FUNDS_EACH, GAS_LIMIT, deployment, transfer

TIME_MS = 1_700_000_000_000
FUNDED_A_TRANSACTION = 60
PROFILE_LINES = 45

_encode = msgspec.msgpack.Encoder().encode
_outcome_of = msgspec.msgpack.Decoder(ExecutionOutcome).decode
_receipt_of = msgspec.msgpack.Decoder(Receipt).decode


class Stopwatch:
    """Adds up the time spent inside one method of an object."""

    def __init__(self, owner: object, method: str) -> None:
        self.seconds = 0.0
        self._timed: Callable[..., Any] = getattr(owner, method)
        setattr(owner, method, self)

    def __call__(self, *args: Any) -> Any:
        """As the method."""
        start = time.process_time()
        try:
            return self._timed(*args)
        finally:
            self.seconds += time.process_time() - start


class Bench:
    """An executor over a state in a folder, with a token and accounts that hold some of it."""

    def __init__(self, state: State, accounts: int) -> None:
        self.keys = [key_of(f"account {number}") for number in range(accounts)]
        self.genesis = make_genesis(self.keys)
        self.engine = Engine(state, self.genesis)
        self.engine.initialise()
        self.service = ExecutorService(self.engine, (), asyncio.Event(), FrozenStates(state, every=0))
        self.random = random.Random(1)  # noqa: S311 - the same transfers in every run
        self.receipts = sha256()
        self.last: tuple[bytes, ...] = ()
        self._set_up()

    def _set_up(self) -> None:
        owner, *others = self.keys
        self.run_block([self.sign(owner, deployment("Bench", "B"))])
        for first in range(0, len(others), FUNDED_A_TRANSACTION):
            some = others[first : first + FUNDED_A_TRANSACTION]
            self.run_block([self.sign(owner, *(transfer(key, FUNDS_EACH) for key in some))])

    def sign(self, key: SigningKey, *calls: Call) -> bytes:
        """A signed transaction of one's own."""
        salt, until = self.random.randbytes(16), self.engine.height + 100
        return sign_transaction(key, self.genesis.chain_id, calls, GAS_LIMIT, until, salt)

    def transfer(self) -> bytes:
        """A transfer between two random accounts."""
        sender, to = self.random.sample(self.keys, 2)
        return self.sign(sender, transfer(to, self.random.randint(1, 1000)))

    def run_block(self, transactions: list[bytes]) -> None:
        """Execute and seal one block, as a validator asks for it."""
        height = self.engine.height + 1
        outcome = _outcome_of(self._ask(Execute(height, TIME_MS + height, tuple(transactions))))
        self._ask(MarkSealed(height))
        assert len(outcome.executed) == len(transactions), outcome.returned
        for receipt in outcome.receipts:
            self.receipts.update(receipt)
        self.last = outcome.receipts

    def _ask(self, request: Execute | MarkSealed) -> bytes:
        """The service answers without ever waiting, and asks the connection for nothing."""
        answering = self.service.handle(cast(Connection, None), _encode(request))
        try:
            answering.send(None)
        except StopIteration as done:
            return cast(bytes, done.value)
        raise AssertionError("the executor waited for something")


def make_genesis(keys: list[SigningKey]) -> Genesis:
    """A chain of one validator on which all of them may write."""
    accounts = [Account(f"account{number}", key.public_key, ("writer",)) for number, key in enumerate(keys)]
    accounts[0] = Account("owner", keys[0].public_key, ("admin", "deployer", "writer"))
    validators = ValidatorSet((Validator("one", key_of("validator").public_key, 1, b""),))
    return Genesis(1, "bench", TIME_MS, Parameters(block_gas_max=10**12), validators, tuple(accounts))


def measure(state: State, accounts: int, blocks: int, transfers: int, profile: bool) -> None:
    """Run the blocks and print what a transfer cost."""
    bench = Bench(state, accounts)
    batches = [[bench.transfer() for _ in range(transfers)] for _ in range(blocks)]
    settle_memory()
    executing, committing = Stopwatch(bench.engine, "execute"), Stopwatch(state, "commit")
    profiler = cProfile.Profile()
    start = time.process_time()
    if profile:
        profiler.enable()
    for batch in batches:
        bench.run_block(batch)
    profiler.disable()
    total = time.process_time() - start
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(PROFILE_LINES)
    failed = {receipt.code for receipt in map(_receipt_of, bench.last)} - {"ok"}
    assert not failed, f"what was measured is how fast transfers fail: {failed}"
    each = 1e6 / (blocks * transfers)
    print(f"execute  {(executing.seconds - committing.seconds) * each:7.1f} us a transfer")
    print(f"commit   {committing.seconds * each:7.1f} us")
    print(f"other    {(total - executing.seconds) * each:7.1f} us (requests, answers, sealing, pruning)")
    print(f"all      {total * each:7.1f} us, memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    print(f"state root {state.root.hex()[:16]}, receipts {bench.receipts.hexdigest()[:16]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--transfers", type=int, default=150)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = State.open(Path(folder) / "state")
        measure(state, options.accounts, options.blocks, options.transfers, options.profile)
        state.close()


if __name__ == "__main__":
    main()
