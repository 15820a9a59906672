"""Measures a network of validators on this machine: committed transfers a second, latency, CPU, memory.

Every write is durable and every validator checks every signature; nothing is switched off for the measurement. The
rate is counted in the blocks' own headers, not by the client; latency runs from the moment a transfer fell due to the
answer that its block is sealed. `scripts.load` offers the load. The figures are printed, and written as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ledger.types import Account, Genesis
from network.testnet import Testnet, TestnetError, make_testnet
from scripts.load import LoadReport, LoadSpec, account_key
from scripts.processes import Usage, usage_of
from scripts.workplace import ROOT, fresh_directory

if TYPE_CHECKING:
    from network.client import Client

GAS_LIMIT = 200_000
FUNDS_EACH = 1_000_000
CALLS_PER_TRANSACTION = 50
PAGE_BLOCKS = 100
LOAD_GRACE_S = 60.0
CLIENT_TIMEOUT_S = 60.0


class BenchFailed(Exception):
    """There is no figure to report; the text says why."""


class Options(msgspec.Struct, frozen=True):
    """What to run."""

    seconds: float
    warmup_s: float
    mode: Literal["open", "closed"]
    rate: float
    outstanding: int
    accounts: int
    validators: int
    output: Path
    keep: bool


class Process(msgspec.Struct, frozen=True):
    """What one process used in the measured time; memory is its peak since its start."""

    name: str
    cpu_s: float
    peak_mib: float


class Figures(msgspec.Struct, frozen=True):
    """The result, as it is written."""

    committed_per_s: float
    committed: int
    blocks: int
    transactions_per_block: float
    latency_ms: dict[str, float]
    seconds: float
    offered: dict[str, Any]
    failures: dict[str, int]
    unanswered: int
    shed: int
    state_roots_equal: bool
    processes: list[Process]
    cpu_us_per_transaction: float
    machine: dict[str, Any]
    time: str


# ── the run ───────────────────────────────────────────────────────────────────────────────────────


def run(options: Options, directory: Path) -> Figures:
    """Make the network, fund the accounts, offer the load, and take the figures."""
    known = tuple(
        Account(f"payer-{index}", account_key(index).public_key, ("writer",)) for index in range(options.accounts)
    )
    genesis = make_testnet(
        directory,
        time_ms=time.time_ns() // 1_000_000,
        validators=options.validators,
        base_port=None,
        known=known,
        network="bench",
        log_level="warning",
    )
    with Testnet(directory) as network:
        note(f"starting {options.validators} validators")
        network.start()
        network.wait_ready()
        with connect(network, genesis) as client:
            note(f"deploying token and funding {options.accounts} accounts")
            fund(client, options.accounts)
            height = client.status()["sealed_height"]
        note(f"offering transfers for {options.warmup_s:g} s of warm-up and {options.seconds:g} s of measurement")
        report, processes = offer(options, network, genesis, height)
        note("reading the blocks")
        return figures(options, network, report, processes)


@contextlib.contextmanager
def connect(network: Testnet, genesis: Genesis | None = None, url: str = "") -> Iterator[Client]:
    """A client of the network, or of one node, that signs as the admin; with a genesis it proves what it gets."""
    from ledger.keys import load_signing_key
    from network.client import Client

    key = load_signing_key(network.account_key_path("admin"))
    with Client([url] if url else network.urls, key=key, genesis=genesis, timeout_s=CLIENT_TIMEOUT_S) as client:
        yield client


def fund(client: Client, accounts: int) -> None:
    """Deploy the token, its supply the admin's, and hand every account its part."""
    source = (ROOT / "contracts" / "examples" / "token.py").read_text()
    client.deploy("token", source, "Bench", "BEN", FUNDS_EACH * accounts)
    payments = [("token", "transfer", (account_key(index).public_key.hex(), FUNDS_EACH)) for index in range(accounts)]
    raws = [
        client.sign(payments[first : first + CALLS_PER_TRANSACTION])
        for first in range(0, accounts, CALLS_PER_TRANSACTION)
    ]
    for outcome in client.submit_many(raws, wait=True):
        if isinstance(outcome, Exception) or not outcome.ok:
            raise BenchFailed(f"funding failed: {outcome}")


# ── the figures ───────────────────────────────────────────────────────────────────────────────────


def offer(options: Options, network: Testnet, genesis: Genesis, height: int) -> tuple[LoadReport, list[Process]]:
    """Run the load generator, and sample every process when the measured time begins and ends."""
    spec = LoadSpec(
        urls=network.urls,
        chain_id=genesis.chain_id.hex(),
        mode=options.mode,
        rate=options.rate,
        outstanding=options.outstanding,
        accounts=options.accounts,
        warmup_s=options.warmup_s,
        seconds=options.seconds,
        gas_limit=GAS_LIMIT,
        height=height,
        valid_for=genesis.parameters.validity_window // 2,
    )
    command = [sys.executable, "-m", "scripts.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as load:
        assert load.stdin is not None, "a pipe was asked for"
        assert load.stdout is not None, "a pipe was asked for"
        guard = threading.Timer(options.warmup_s + options.seconds + LOAD_GRACE_S, load.kill)
        guard.daemon = True
        guard.start()
        try:
            load.stdin.write(msgspec.json.encode(spec) + b"\n")
            load.stdin.flush()
            pids = {f"{node.name} {role}": pid for node in network.nodes for role, pid in node.processes().items()}
            pids["load generator"] = load.pid
            expect(load, b"measuring\n")
            before = sample(network, pids)
            expect(load, b"measured\n")
            after = sample(network, pids)
            report = msgspec.json.decode(load.stdout.readline(), type=LoadReport)
        finally:
            guard.cancel()
            load.kill()
    return report, [difference(name, before[name], after[name]) for name in pids]


def expect(load: subprocess.Popen[bytes], word: bytes) -> None:
    """Wait for the load generator's next word."""
    assert load.stdout is not None, "a pipe was asked for"
    found = load.stdout.readline()
    if found != word:
        raise BenchFailed(f"the load generator said {found!r}, expected {word!r}: see what it wrote above")


def sample(network: Testnet, pids: dict[str, int]) -> dict[str, Usage]:
    """What every process has used so far. A process that is gone spoils the measurement."""
    try:
        return {name: usage_of(pid) for name, pid in pids.items()}
    except OSError:
        logs = "\n".join(f"{node.name}:\n{node.log_tail(8)}" for node in network.nodes)
        raise BenchFailed(f"a process ended under the load; the logs end:\n{logs}") from None


def difference(name: str, before: Usage, after: Usage) -> Process:
    """What a process used between two samples."""
    return Process(name, round(after.cpu_s - before.cpu_s, 2), round(after.peak_mib, 1))


def figures(options: Options, network: Testnet, report: LoadReport, processes: list[Process]) -> Figures:
    """Everything that is reported, the rate from the headers of the blocks sealed in the measured time."""
    blocks = [
        block
        for block in blocks_since(network, report.started_ms)
        if block["time_ms"] < report.ended_ms and block["transaction_count"]
    ]
    committed = sum(block["transaction_count"] for block in blocks)
    seconds = (report.ended_ms - report.started_ms) / 1000
    cpu_s = sum(process.cpu_s for process in processes)
    return Figures(
        committed_per_s=round(committed / seconds, 1),
        committed=committed,
        blocks=len(blocks),
        transactions_per_block=round(committed / max(1, len(blocks)), 1),
        latency_ms={name: round(value, 1) for name, value in report.latency_ms.items()},
        seconds=round(seconds, 3),
        offered={
            "mode": options.mode,
            "rate_per_s": options.rate if options.mode == "open" else None,
            "outstanding": options.outstanding if options.mode == "closed" else None,
            "due": report.due,
            "sealed": report.sealed,
            "accounts": options.accounts,
            "validators": options.validators,
            "warmup_s": options.warmup_s,
        },
        failures=report.failures,
        unanswered=report.unanswered,
        shed=report.shed,
        state_roots_equal=states_agree(network),
        processes=processes,
        cpu_us_per_transaction=round(1e6 * cpu_s / max(1, committed), 1),
        machine={
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def blocks_since(network: Testnet, time_ms: int) -> Iterator[dict[str, Any]]:
    """Block summaries, newest first, back to the first one sealed at `time_ms` or later."""
    before: int | None = None
    with connect(network) as client:
        while page := client.blocks(before, PAGE_BLOCKS):
            for block in page:
                if block["time_ms"] < time_ms:
                    return
                yield block
            before = page[-1]["height"]


def states_agree(network: Testnet) -> bool:
    """Whether all nodes have the same header at the lowest of their sealed heights."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(network, url=url)) for url in network.urls]
        height = min(client.status()["sealed_height"] for client in clients)
        headers = [client.block(height)["header"] for client in clients]
    return len({(header["hash"], header["state_root"]) for header in headers}) == 1


# ── the words ─────────────────────────────────────────────────────────────────────────────────────


def note(text: str) -> None:
    """Say what is going on."""
    print(f"  {text} ...", flush=True)


def show(figures: Figures) -> None:
    """The figures as a table for a person."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    latency = figures.latency_ms
    table = Table(title=f"{figures.offered['validators']} validators on {figures.machine['cores']} cores")
    table.add_column("measured")
    table.add_column("figure", justify="right")
    for name, value in (
        ("committed transactions a second (from block headers)", f"{figures.committed_per_s:,.0f}"),
        ("latency, due to sealed: p50", f"{latency['p50']:,.0f} ms"),
        ("p95", f"{latency['p95']:,.0f} ms"),
        ("p99", f"{latency['p99']:,.0f} ms"),
        ("longest", f"{latency['max']:,.0f} ms"),
        ("blocks, transactions a block", f"{figures.blocks}, {figures.transactions_per_block:g}"),
        ("due, sealed", f"{figures.offered['due']:,}, {figures.offered['sealed']:,}"),
        ("failed, unanswered, shed", f"{sum(figures.failures.values())}, {figures.unanswered}, {figures.shed}"),
        ("CPU a transaction, all processes", f"{figures.cpu_us_per_transaction:,.0f} us"),
        ("state roots of all nodes", "equal" if figures.state_roots_equal else "DIFFER"),
    ):
        table.add_row(name, value)
    console.print(table)
    usage = Table(title=f"Processes, over {figures.seconds:.0f} s")
    for name, justify in (("process", "left"), ("CPU seconds", "right"), ("peak memory", "right")):
        usage.add_column(name, justify="right" if justify == "right" else "left")
    for process in figures.processes:
        usage.add_row(process.name, f"{process.cpu_s:.1f}", f"{process.peak_mib:.0f} MiB")
    console.print(usage)
    for failure, count in figures.failures.items():
        console.print(f"[red]{count} x {failure}[/]")


def read_options() -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="measured time (30)")
    parser.add_argument("--warmup", type=float, default=5.0, help="load before the measured time, in seconds (5)")
    parser.add_argument(
        "--mode", choices=("open", "closed"), default="open", help="fixed rate, or fixed number at a time"
    )
    parser.add_argument("--rate", type=float, default=1050.0, help="transfers a second in open mode (1050)")
    parser.add_argument("--outstanding", type=int, default=400, help="transfers under way in closed mode (400)")
    parser.add_argument("--accounts", type=int, default=1000, help="accounts that pay each other (1000)")
    parser.add_argument("--validators", type=int, default=4, help="(4)")
    parser.add_argument("--output", type=Path, default=Path("bench.json"), help="where the figures go (bench.json)")
    parser.add_argument("--keep", action="store_true", help="leave the network's directory, .bench, for a look")
    words = parser.parse_args()
    if words.accounts < 2 or words.seconds <= 0 or words.rate <= 0 or words.outstanding < 1:
        parser.error("at least 2 accounts, 1 transfer under way, and a time and rate above 0 are needed")
    return Options(
        seconds=words.seconds,
        warmup_s=words.warmup,
        mode=words.mode,
        rate=words.rate,
        outstanding=words.outstanding,
        accounts=words.accounts,
        validators=words.validators,
        output=words.output,
        keep=words.keep,
    )


def main() -> int:
    """Run, show, write. 0 when everything offered was sealed and all nodes agree."""
    from network.client import ClientError

    options = read_options()
    directory = fresh_directory("bench", options.validators)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = run(options, directory)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (BenchFailed, ClientError, TestnetError) as error:
        print(f"bench: {error}\nThe nodes' directories are left in {directory}", file=sys.stderr)
        return 1
    show(result)
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    print(f"written: {options.output}")
    if not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return 0 if result.state_roots_equal and lost(result) == 0 else 1


def lost(result: Figures) -> int:
    """Transfers that were due and are not known to be sealed."""
    return sum(result.failures.values()) + result.unanswered + result.shed


if __name__ == "__main__":
    raise SystemExit(main())
