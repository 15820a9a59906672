"""The whole system at work, on real files: what `make demo` shows, and exit code 0 only if all of it held.

Four validators start as separate processes; the Python standard library is notarised file by file; one receipt is
proven offline and broken on purpose; the nodes are compared; the primary is killed, the rest go on, it comes back.
Each step checks what it shows. Nothing is left running, however this ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from network.testnet import Node, Testnet, TestnetError, make_testnet
from network.testnet_layout import BASE_PORT, fixed_ports
from scripts.processes import age_s
from scripts.workplace import ROOT, fresh_directory

if TYPE_CHECKING:
    from ledger.crypto import SigningKey
    from ledger.types import Genesis
    from network.client import Client, Outcome

CONTRACT = ROOT / "contracts" / "examples" / "registry.py"
VALIDATORS = 4
FILES_MIN = 1000
FILES_MAX = 5000
KEPT_BACK = 25  # files that are registered while the primary is down
IN_FLIGHT = 32  # transactions under way at a time
STEP_TIMEOUT_S = 60.0
POLL_S = 0.05

console = Console(highlight=False)


class DemoFailed(Exception):
    """A step did not show what it must."""


class RealFile(NamedTuple):
    """A file of the Python installation, and what is registered of it."""

    path: Path
    name: str
    digest: str


class Tip(NamedTuple):
    """What must be equal on all nodes."""

    height: int
    header_hash: str
    state_root: str


# ── the story ─────────────────────────────────────────────────────────────────────────────────────


def tell(directory: Path, *, files_max: int, stay: bool) -> None:
    """Everything, in order. Raises `DemoFailed` or `TestnetError` at the first thing that does not hold."""
    genesis = make_network(directory)
    with Testnet(directory) as network:
        network.start()
        files, twins = real_files(files_max)  # while the validators start
        network.wait_ready()
        done(f"four validators run, three processes each: {', '.join(network.urls)}")
        key = admin_key(network)
        deploy(network, key, genesis)
        registered = notarise(network, key, files[:-KEPT_BACK], twins)
        receipt = keep_receipt(network, genesis, key, registered)
        show_verification(receipt, directory)
        compare(network.nodes)
        primary = kill_primary(network)
        others = [node for node in network.nodes if node is not primary]
        go_on(network, others, key, files[-KEPT_BACK:])
        bring_back(network, primary, others)
        if stay:
            explain_where_to_look(network, receipt)
            console.print("\nThe network is up until Ctrl-C.", style="bold")
            network.watch()
    show_offline(receipt, directory)


def make_network(directory: Path) -> Genesis:
    """Keys, settings and genesis of four validators, on the usual ports where they are free."""
    base_port: int | None = BASE_PORT
    try:
        fixed_ports(BASE_PORT, VALIDATORS)
    except TestnetError as error:
        note(f"{str(error).partition(':')[0]}, so free ports are used")
        base_port = None
    time_ms = time.time_ns() // 1_000_000
    return make_testnet(directory, time_ms=time_ms, validators=VALIDATORS, base_port=base_port, network="demo")


def real_files(files_max: int) -> tuple[list[RealFile], int]:
    """The standard library's files, each content once, and how many were the twin of another.

    Where the installation has few sources (some distributions leave parts out), compiled files count too.
    """
    root = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in sorted(root.rglob("*")) if "site-packages" not in path.parts and path.is_file()]
    sources = [path for path in paths if "__pycache__" not in path.parts]
    chosen = (sources if len(sources) >= FILES_MIN else paths)[:files_max]
    found: dict[str, RealFile] = {}
    for path in chosen:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.setdefault(digest, RealFile(path, str(path.relative_to(root))[-256:], digest))
    return list(found.values()), len(chosen) - len(found)


def deploy(network: Testnet, key: SigningKey, genesis: Genesis) -> None:
    """Deploy the registry: the first sealed transaction."""
    with client_of(network.nodes, key, genesis) as client:
        outcome = client.deploy("registry", CONTRACT.read_text())
    check(outcome.ok and outcome.proven, "the registry is not deployed")
    seconds = age_s(os.getpid())
    done(f"first transaction sealed (contract registry, block {outcome.height}) {seconds:.1f} s after the command")


def notarise(
    network: Testnet, key: SigningKey, files: Sequence[RealFile], twins: int
) -> list[tuple[RealFile, Outcome]]:
    """Register every file in a transaction of its own, sent in parallel over HTTP to all nodes."""
    started = time.monotonic()
    registered = asyncio.run(register_all(network.urls, key, files))
    seconds = time.monotonic() - started
    with client_of(network.nodes) as client:
        count = until(lambda: client.view("registry", "count") == len(files) and len(files), "the registry's count")
    check(count == len(files), f"the registry counts {count} files, {len(files)} were registered")
    blocks = len({outcome.height for _, outcome in registered})
    done(
        f"{len(files)} real files notarised, one signed transaction each, in {seconds:.1f} s "
        f"({len(files) / seconds:.0f} a second, {blocks} blocks; {twins} files were copies of others)"
    )
    return registered


async def register_all(
    urls: Sequence[str], key: SigningKey, files: Sequence[RealFile]
) -> list[tuple[RealFile, Outcome]]:
    """The outcomes, in the order of the files, with a progress bar while they come."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from network.client import AsyncClient

    room = asyncio.Semaphore(IN_FLIGHT)
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("sealed", total=len(files))
        async with AsyncClient(urls, key=key, timeout_s=STEP_TIMEOUT_S) as client, asyncio.TaskGroup() as group:

            async def register(file: RealFile) -> Outcome:
                async with room:
                    outcome = await client.call("registry", "register", file.digest, file.name)
                progress.advance(bar)
                return outcome

            tasks = [group.create_task(register(file)) for file in files]
    outcomes = [task.result() for task in tasks]
    check(all(outcome.ok for outcome in outcomes), "a registration failed")
    return list(zip(files, outcomes, strict=True))


# ── proof ─────────────────────────────────────────────────────────────────────────────────────────


class ReceiptFile(NamedTuple):
    """The receipt that was written, and the file that it is about."""

    path: Path
    about: RealFile


def keep_receipt(
    network: Testnet, genesis: Genesis, key: SigningKey, registered: Sequence[tuple[RealFile, Outcome]]
) -> ReceiptFile:
    """Fetch one proof and write it as a file."""
    file, outcome = next(
        ((file, outcome) for file, outcome in registered if file.path.name == "this.py"),
        registered[len(registered) // 2],
    )
    path = network.directory / "receipt.json"
    with client_of(network.nodes, key, genesis) as client:
        path.write_text(client.proof(outcome.transaction_id).to_json())
    done(f"receipt for {file.name}: {shown(path)} ({path.stat().st_size:,} bytes)")
    return ReceiptFile(path, file)


def show_verification(receipt: ReceiptFile, directory: Path) -> None:
    """Verify the receipt in a process of its own, then with one byte changed."""
    code, words = run_verify(receipt.path, receipt.about.path, directory)
    check(code == 0 and words.startswith("valid"), f"the receipt does not verify: {words}")
    quote(words)
    done("verified offline against the genesis file")
    text = receipt.path.read_bytes()
    place = text.index(b'"', text.index(b'"seal": "') + len(b'"seal": "')) - 9  # within the last signature of the seal
    changed = directory / "receipt-changed.json"
    changed.write_bytes(text[:place] + flipped(text[place]) + text[place + 1 :])
    code, words = run_verify(changed, receipt.about.path, directory)
    check(code == 1 and words.startswith("invalid"), f"a changed receipt was not refused: {words}")
    quote(words)
    done(f"byte {place} changed: refused")


def show_offline(receipt: ReceiptFile, directory: Path) -> None:
    """The network is down; the receipt still holds."""
    code, words = run_verify(receipt.path, receipt.about.path, directory)
    check(code == 0, f"the receipt does not verify with the network shut down: {words}")
    done("the network is shut down, and the receipt still verifies")


def run_verify(receipt: Path, file: Path, directory: Path) -> tuple[int, str]:
    """`quorate verify` as a person would run it: (exit code, what it printed)."""
    command = [
        sys.executable,
        "-m",
        "network.cli",
        "verify",
        str(receipt),
        "--genesis",
        str(directory / "genesis.json"),
    ]
    ended = subprocess.run(
        [*command, "--file", str(file)], capture_output=True, text=True, timeout=STEP_TIMEOUT_S, check=False, cwd=ROOT
    )
    return ended.returncode, (ended.stdout + ended.stderr).strip()


def flipped(byte: int) -> bytes:
    """Another hex digit, so that the file stays well-formed and only its meaning changes."""
    return b"1" if byte == ord("0") else b"0"


# ── the nodes ─────────────────────────────────────────────────────────────────────────────────────


def compare(nodes: Sequence[Node]) -> Tip:
    """All nodes at one height, with one header hash and one state root."""
    tips: list[Tip] = until(lambda: equal_height(nodes), "all nodes at the same height")
    check(len(set(tips)) == 1, f"the nodes differ: {tips}")
    tip = tips[0]
    done(
        f"all {len(nodes)} nodes agree: height {tip.height}, "
        f"header {tip.header_hash[:16]}..., state root {tip.state_root[:16]}..."
    )
    return tip


def equal_height(nodes: Sequence[Node]) -> list[Tip] | None:
    """The tips of all nodes, once they have the same height."""
    tips = [tip_of(node) for node in nodes]
    return tips if len({tip.height for tip in tips}) == 1 else None


def tip_of(node: Node) -> Tip:
    """The header of a node's last sealed block, as that node has it."""
    with client_of([node]) as client:
        header = client.block(client.status()["sealed_height"])["header"]
    return Tip(header["height"], header["hash"], header["state_root"])


def kill_primary(network: Testnet) -> Node:
    """SIGKILL to every process of the primary's node."""
    with client_of(network.nodes) as client:
        member: int = client.status()["primary"]
    primary = network.nodes[member]
    pids = sorted(primary.processes().values())
    primary.kill()
    done(f"killed {primary.name}, the primary: SIGKILL to processes {', '.join(map(str, pids))}")
    return primary


def go_on(network: Testnet, others: Sequence[Node], key: SigningKey, files: Sequence[RealFile]) -> None:
    """New transactions commit while the old primary is down."""
    started = time.monotonic()
    outcomes = asyncio.run(register_all([node.url for node in others], key, files))
    check(len(outcomes) == len(files), "a transaction was lost")
    with client_of(others) as client:
        status = client.status()
    done(
        f"{len(files)} more files sealed by the other three within {time.monotonic() - started:.1f} s "
        f"(view {status['view']}, the primary is now {network.nodes[status['primary']].name})"
    )
    compare(others)


def bring_back(network: Testnet, node: Node, others: Sequence[Node]) -> None:
    """Start the killed node on what its disk holds, and wait until it has all that it missed."""
    target = tip_of(others[0])
    started = time.monotonic()
    node.start()
    network.wait_ready([node])
    until(lambda: tip_of(node).height >= target.height, f"{node.name} at height {target.height}")
    done(f"{node.name} is back, and caught up to height {target.height} in {time.monotonic() - started:.1f} s")
    compare(network.nodes)


def explain_where_to_look(network: Testnet, receipt: ReceiptFile) -> None:
    """What a visitor may open and type now."""
    console.print("\nExplorer", style="bold")
    for node in network.nodes:
        console.print(f"  {node.url}/")
    console.print("Try", style="bold")
    for command in (
        f"quorate status --url {network.urls[0]}",
        f"quorate view registry entry {receipt.about.digest} --url {network.urls[0]}",
        f"quorate verify {shown(receipt.path)} --file {receipt.about.path}",
    ):
        console.print(f"  .venv/bin/{command}", style="cyan", soft_wrap=True)


# ── small things ──────────────────────────────────────────────────────────────────────────────────


def admin_key(network: Testnet) -> SigningKey:
    """The key of the network's admin."""
    from ledger.keys import load_signing_key

    return load_signing_key(network.account_key_path("admin"))


@contextlib.contextmanager
def client_of(nodes: Sequence[Node], key: SigningKey | None = None, genesis: Genesis | None = None) -> Iterator[Client]:
    """A client of these nodes; with a genesis it proves what it gets."""
    from network.client import Client

    with Client([node.url for node in nodes], key=key, genesis=genesis, timeout_s=STEP_TIMEOUT_S) as client:
        yield client


def until(condition: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true; it is returned. Raises `DemoFailed` after `STEP_TIMEOUT_S`."""
    deadline = time.monotonic() + STEP_TIMEOUT_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(POLL_S)
    raise DemoFailed(f"waited {STEP_TIMEOUT_S:.0f} s in vain for {what}")


def check(held: bool, complaint: str) -> None:
    """Raise `DemoFailed` unless it held."""
    if not held:
        raise DemoFailed(complaint)


def done(text: str) -> None:
    """One step that held."""
    console.print(f"[green]✓[/] {text}", soft_wrap=True)


def note(text: str) -> None:
    """A remark."""
    console.print(f"  {text}", style="dim", soft_wrap=True)


def quote(text: str) -> None:
    """What a command printed."""
    for line in text.splitlines():
        console.print(f"    {line}", style="dim", markup=False, soft_wrap=True)


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def main() -> int:
    """0 only if every step held."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="stop by itself at the end")
    parser.add_argument("--files", type=int, default=FILES_MAX, help=f"notarise at most so many ({FILES_MAX})")
    parser.add_argument("--directory", type=Path, help="where to make the network; it must be new or empty (.demo)")
    words = parser.parse_args()
    if words.files <= KEPT_BACK:
        parser.error(f"--files must be above {KEPT_BACK}: so many are kept for the time without a primary")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console.print("[bold]Quorate[/]: four validators, one ledger")
    try:
        directory = words.directory or fresh_directory("demo", VALIDATORS)
        tell(directory, files_max=words.files, stay=not words.exit)
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 0 if not words.exit else 130
    except (DemoFailed, TestnetError) as failure:
        console.print(f"[red]✗[/] {failure}", soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
