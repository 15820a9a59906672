"""How long a fresh validator takes to join a chain that is under load: by snapshot, and by blocks alone.

    python -m scripts.bench_join [--transactions 100000] [--rate 300] [--by snapshot|blocks|both]

The chain is made without a network: the engine executes real token transfers, and three of four keys seal each block.
Three real nodes are started on it, load is offered to them, and once they keep a snapshot the fourth, which has nothing
but its keys, is started. It has joined when its sealed height is within two windows of the others'. Wall-clock time,
with the start of its processes; `transactions` counts all that the blocks it holds then carry.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from consensus.recovery import Anchor
from ledger.journal import Journal
from ledger.keys import load_signing_key
from ledger.store import BlockStore
from ledger.types import Account, Genesis
from network.client import Client
from network.driver import REPLICA_RECORD
from network.paths import NodePaths
from network.snapshots.joining import last_join
from network.snapshots.keeper import kept_snapshots
from network.testnet import Node, Testnet, make_testnet
from scripts.bench import GAS_LIMIT, note
from scripts.load import LoadSpec, account_key
from scripts.paper_node import BLOCK_MS, Consortium, PaperNode
from scripts.workplace import ROOT, fresh_directory

ACCOUNTS = 1000
PER_BLOCK = 200
JOIN_TIMEOUT_S = 600.0
POLL_S = 0.05
SNAPSHOT_EVERY = 100


# ── the chain ─────────────────────────────────────────────────────────────────────────────────────


def make_network(directory: Path, transactions: int) -> Genesis:
    """Four members, three of them with the whole chain, the fourth with nothing."""
    known = tuple(Account(f"payer-{index}", account_key(index).public_key, ("writer",)) for index in range(ACCOUNTS))
    genesis = make_testnet(
        directory,
        # The made blocks lie in the past, however long the chain.
        time_ms=time.time_ns() // 1_000_000 - BLOCK_MS * (transactions // PER_BLOCK + 100),
        base_port=None,
        accounts={"admin": ("admin", "deployer", "writer")},
        known=known,
        network="bench",
    )
    network = Testnet(directory)
    keys = tuple(load_signing_key(node.config.validator_key_path) for node in network.nodes)
    people = (load_signing_key(network.account_key_path("admin")), *(account_key(index) for index in range(ACCOUNTS)))
    first, *others = (node.directory for node in network.nodes)
    node = PaperNode(first, members=Consortium(genesis, keys, people), votes=False)
    for made in range(0, transactions, PER_BLOCK):
        node.block([node.transfer() for _ in range(min(PER_BLOCK, transactions - made))])
    node.close()
    for other in others[:-1]:
        for part in ("blocks", "state"):
            shutil.copytree(first / part, other / part)
        shutil.copyfile(first / "blocks.mark", other / "blocks.mark")
    for member in network.nodes[:3]:
        _begin_journal(NodePaths(member.directory).journal, node.engine.height)
    return genesis


def _begin_journal(path: Path, height: int) -> None:
    """The vote journal of a member that sealed blocks up to this height: without it, it is in doubt about itself."""
    journal, _ = Journal.open(path)
    journal.rewrite([REPLICA_RECORD + Anchor(height).encode()])
    journal.close()


# ── the join ──────────────────────────────────────────────────────────────────────────────────────


def join(network: Testnet, genesis: Genesis, rate: float, *, by_snapshot: bool) -> dict[str, Any]:
    """Start the fourth under load, and wait until it is level."""
    early, late = network.nodes[:3], network.nodes[3]
    _set(late, "join_behind", 256 if by_snapshot else 10_000_000)
    with _load([node.url for node in early], genesis, rate, _sealed_height(early[0])):
        before = _sealed_height(early[0])
        if by_snapshot:
            note("waiting until all three keep a snapshot")
            _wait(lambda: all(kept_snapshots(node.directory / "snapshots") for node in early))
        began, busy_from = time.monotonic(), _sealed_height(early[0])
        late.start()
        _wait(lambda: _height(late) >= _sealed_height(early[0]) - 2 * genesis.parameters.window)
        seconds, height = time.monotonic() - began, _sealed_height(early[0])
    late.stop()
    carried = _transactions(late, height)
    grown = _transactions(late, height, busy_from + 1)
    return {
        "by": "snapshot" if by_snapshot else "blocks",
        "seconds": round(seconds, 1),
        "height": height,
        "transactions": carried,
        "transactions_a_second": round(carried / seconds),
        "committed_a_second_meanwhile": round(grown / seconds),
        "heights_before": before,
        "join": last_join(late.directory),
    }


@contextlib.contextmanager
def _load(urls: list[str], genesis: Genesis, rate: float, height: int) -> Iterator[None]:
    """Transfers at a fixed rate, from a process of its own, until the block ends."""
    if rate <= 0:
        yield
        return
    spec = LoadSpec(
        urls=urls,
        chain_id=genesis.chain_id.hex(),
        mode="open",
        rate=rate,
        outstanding=0,
        accounts=ACCOUNTS,
        warmup_s=1.0,
        seconds=JOIN_TIMEOUT_S,
        gas_limit=GAS_LIMIT,
        height=height,
        valid_for=genesis.parameters.validity_window // 2,
    )
    command = [sys.executable, "-m", "scripts.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT) as load:
        assert load.stdin is not None, "a pipe was asked for"
        try:
            load.stdin.write(msgspec.json.encode(spec) + b"\n")
            load.stdin.flush()
            yield
        finally:
            load.kill()


def _set(node: Node, key: str, value: int) -> None:
    path = node.directory / "node.toml"
    lines = [f"{key} = {value}" if line.startswith(f"{key} =") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")


def _sealed_height(node: Node) -> int:
    with Client([node.url]) as client:
        return int(client.status()["sealed_height"])


def _height(node: Node) -> int:
    try:
        return _sealed_height(node)
    except Exception:  # noqa: BLE001 - it starts, or is between two lives: it has not joined yet
        return -1


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + JOIN_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("bench_join: gave up waiting; the logs of the nodes say why (--keep leaves them)")
        time.sleep(POLL_S)


def _transactions(node: Node, last: int, first: int = 1) -> int:
    """How many the stored blocks carry."""
    store = BlockStore(node.directory / "blocks")
    try:
        return sum(header.transaction_count for header in _headers(store, first, last))
    finally:
        store.close()


def _headers(store: BlockStore, first: int, last: int) -> Iterator[Any]:
    headers = (store.header(height) for height in range(first, last + 1))
    return (header for header in headers if header is not None)


# ── the words ─────────────────────────────────────────────────────────────────────────────────────


def main() -> int:
    """Make, join, print."""
    parser = argparse.ArgumentParser(prog="bench_join", description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000, help="on the chain that is joined (100000)")
    parser.add_argument("--rate", type=float, default=300.0, help="transfers a second offered meanwhile (300)")
    parser.add_argument("--by", choices=("snapshot", "blocks", "both"), default="both")
    parser.add_argument("--keep", action="store_true", help="leave the network's directory for a look")
    words = parser.parse_args()
    results = []
    for by in ("snapshot", "blocks") if words.by == "both" else (words.by,):
        directory = fresh_directory("join", 4)
        try:
            note(f"making a chain of {words.transactions} transfers")
            genesis = make_network(directory, words.transactions)
            with Testnet(directory) as network:
                for node in network.nodes:
                    _set(node, "every", SNAPSHOT_EVERY)
                for node in network.nodes[:3]:
                    node.start()
                network.wait_ready(network.nodes[:3], JOIN_TIMEOUT_S)
                note(f"joining by {by}")
                results.append(join(network, genesis, words.rate, by_snapshot=by == "snapshot"))
        finally:
            if not words.keep:
                shutil.rmtree(directory, ignore_errors=True)
    cores = len(os.sched_getaffinity(0))
    print(json.dumps({"cores": cores, "offered_a_second": words.rate, "joins": results}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
