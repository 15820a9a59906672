"""How long one token transfer takes: in the interpreter alone, and in the engine with decoding, state, receipt, commit.

    python -m scripts.bench_contracts [--accounts 1000] [--blocks 10] [--transactions 1000]

CPU time of the one thread, so that a busy machine tells nearly the same as an idle one; waiting for the disk, and what
the database does in threads of its own, is not in it. Signatures are not checked here, as in the executor.
`--profile` shows where the time goes, and takes a good deal itself.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from contracts.language import Context, Meter, compile_source
from contracts.memory import MemoryState
from contracts.storage import StateStore
from contracts.testing import LocalChain
from ledger.state import State
from ledger.types import Parameters

GAS_LIMIT = 1_000_000


class DictHost:
    """State in a dict: what is left is the interpreter."""

    def __init__(self, sender: str) -> None:
        self.context = Context(sender, 1, 1_000, "00" * 32, "token")
        self._values: dict[object, bytes] = {}

    def get(self, variable: str, key: tuple[object, ...]) -> bytes | None:
        """The stored bytes."""
        return self._values.get((variable, key))

    def put(self, variable: str, key: tuple[object, ...], value: bytes | None) -> None:
        """Store bytes."""
        if value is None:
            self._values.pop((variable, key), None)
        else:
            self._values[variable, key] = value

    def scan(self, *_: object) -> list[tuple[tuple[str | int | bytes | bool, ...], bytes]]:
        """Nothing iterates here."""
        return []

    def emit(self, *_: object) -> None:
        """Events are dropped."""

    def call(self, *_: object) -> None:
        """Nothing else is called."""

    def ask(self, *_: object) -> None:
        """Nothing else is asked."""


def token_source() -> str:
    """The token example."""
    return files("contracts.examples").joinpath("token.py").read_text(encoding="utf-8")


def bench_interpreter(turns: int = 20_000) -> float:
    """Microseconds of one transfer against a dict."""
    program, meter = compile_source(token_source()), Meter(10**15)
    host = DictHost("a" * 64)
    program.run("create", ["Bench", "B", 10**12], host, meter)
    args = ["b" * 64, 1]
    start = time.thread_time()
    for _ in range(turns):
        program.run("transfer", args, host, meter)
    return (time.thread_time() - start) / turns * 1e6


def long_source() -> str:
    """The longest example: more than 200 lines."""
    return files("contracts.examples").joinpath("auction.py").read_text(encoding="utf-8")


def bench_compile(source: str, turns: int = 20) -> float:
    """Milliseconds to check and compile a contract."""
    start = time.thread_time()
    for turn in range(turns):
        compile_source(f"{source}# {turn}\n")  # another hash, so that no cache answers
    return (time.thread_time() - start) / turns * 1e3


def bench_engine(
    state: StateStore, accounts: int, blocks: int, transactions: int, profile: bool
) -> tuple[float, float]:
    """Microseconds of one transfer (decode, execute, receipt, roots) without and with the commit."""
    chain = LocalChain("payer", parameters=Parameters(block_gas_max=10**13), state=state)
    chain.deploy(token_source(), "token", "Bench", "B", 10**12, sender="payer")
    people = [f"{number:064x}" for number in range(accounts)]
    for first in range(0, accounts, 50):
        calls = [("token", "transfer", person, 1) for person in people[first : first + 50]]
        chain.transact("payer", *calls)

    def transfer(number: int) -> bytes:
        return chain.sign("payer", ("token", "transfer", people[number % accounts], 1), gas_limit=GAS_LIMIT)

    batches = [
        [transfer(number) for number in range(block * transactions, (block + 1) * transactions)]
        for block in range(blocks)
    ]
    committing = 0.0
    commit = state.commit

    def timed_commit(height: int, writes: object, side: object) -> bytes:
        nonlocal committing
        begin = time.thread_time()
        root = commit(height, writes, side)  # type: ignore[arg-type]  # passed through
        committing += time.thread_time() - begin
        return root

    state.commit = timed_commit  # type: ignore[method-assign]  # a stopwatch around it
    profiler = cProfile.Profile()
    start = time.thread_time()
    for batch in batches:
        if profile:
            profiler.enable()
        outcome = chain.engine.execute(chain.engine.height + 1, 10**12, batch)
        profiler.disable()
        assert len(outcome.executed) == transactions, outcome.returned
    total = time.thread_time() - start
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    count = blocks * transactions
    return (total - committing) / count * 1e6, total / count * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--transactions", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    sizes = (options.accounts, options.blocks, options.transactions)
    print(f"check and compile the token   {bench_compile(token_source()):8.1f} ms")
    source = long_source()
    print(f"check and compile {len(source.splitlines())} lines   {bench_compile(source):8.1f} ms")
    print(f"transfer, interpreter alone   {bench_interpreter():8.1f} us")
    without, with_commit = bench_engine(MemoryState(), *sizes, options.profile)
    print(f"transfer, engine in memory    {without:8.1f} us, {with_commit:.1f} us with commit")
    with tempfile.TemporaryDirectory() as folder:
        state = State.open(Path(folder) / "state")
        without, with_commit = bench_engine(state, *sizes, False)
        state.close()
    print(f"transfer, engine on disk      {without:8.1f} us, {with_commit:.1f} us with commit")


if __name__ == "__main__":
    main()
