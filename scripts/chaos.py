"""Four real nodes under load, disturbed every few seconds: `python -m scripts.chaos --minutes 30`.

Nodes are killed, stopped, cut off, slowed down, set on wrong clocks and full disks, in an order that a seed draws,
while signed transfers come in. At the end everything is mended and compared: no member signed two votes for one place,
every acknowledged transfer stands exactly once in the chain of every node, as it was acknowledged, all headers and
state roots are equal, nobody is accused, no process is left. Recovery is measured after each disturbance. The exit
code is 0 only if all of it held.

What is done is in `scripts.chaos_faults`; the wires are `scripts.chaos_links`, the members `scripts.chaos_members`,
the load `scripts.chaos_load`, the judges `scripts.chaos_votes` and `scripts.chaos_audit`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from ledger.types import Account, Genesis
from network.paths import NodePaths
from network.proxies import ExecutorProxy
from network.testnet import Testnet, TestnetError, make_testnet
from network.testnet_layout import free_ports
from scripts.bench import GAS_LIMIT, BenchFailed, connect, fund
from scripts.chaos_audit import ChainAudit, evidence_of
from scripts.chaos_faults import CATALOGUE, Disturbance, Field, Kind, draw
from scripts.chaos_links import Wires
from scripts.chaos_load import Load
from scripts.chaos_members import ClockedNode, Member, Watch, lead_through
from scripts.chaos_namespaces import Namespaces, NotAllowed, Way
from scripts.chaos_report import Recovery, Report, distribution, processes_in, say, show, tracebacks_in
from scripts.chaos_votes import VoteWatch
from scripts.load import LoadSpec, account_key, percentile
from scripts.workplace import fresh_directory

VALIDATORS = 4
ACCOUNTS = 100
WARMUP_S = 2.0
REST_S = 0.5  # between two disturbances at least
VOTES_POLL_S = 0.5
WELL_POLL_S = 0.05
GIVE_UP_S = 60.0  # a network that is not well by then stays so
DRAIN_TIMEOUT_S = 60.0
LEVEL_TIMEOUT_S = 60.0
SKEW_AT_START_MS = 1_500  # clocks of real machines differ a little


class ChaosFailed(Exception):
    """The network could not be set up, or did not come back; the text says which."""


class Options(msgspec.Struct, frozen=True):
    """What to run."""

    minutes: float
    seed: int
    rate: float
    disturb_every_s: float
    recovery_max_s: float
    only: str
    wires: Literal["auto", "namespaces", "relays"]
    keep: Path | None
    json: Path | None


# ── the run ───────────────────────────────────────────────────────────────────────────────────────


class Run:
    """One run, from an empty directory to its report."""

    def __init__(self, options: Options, directory: Path) -> None:
        self.options = options
        self.directory = directory
        self.recoveries: list[Recovery] = []
        self.wrong: list[str] = []
        self._started = time.monotonic()

    async def run(self) -> Report:
        """Everything, in order. Raises `ChaosFailed`, `TestnetError` or `BenchFailed` where it could not be run."""
        namespaces = namespaces_where_allowed(self.options.wires)
        ClockedNode.namespaces = namespaces
        try:
            return await self._run(namespaces)
        finally:
            if namespaces is not None:
                namespaces.close()

    async def _run(self, namespaces: Namespaces | None) -> Report:
        genesis, relay_ports = self._make()
        targets = await asyncio.to_thread(lead_through, self.directory, relay_ports, namespaces)
        wires = Wires(targets, relay_ports, self.options.seed, namespaces)
        with Testnet(self.directory, ClockedNode) as network:
            members = [Member(index, _clocked(node)) for index, node in enumerate(network.nodes)]
            votes = VoteWatch({member.index: NodePaths(member.node.directory).journal for member in members})
            await wires.start()
            try:
                await self._start(network, members)
                spec = await asyncio.to_thread(self._prepare, network, genesis)
                watch, load = Watch(members), Load(spec)
                async with _watching(watch, votes):
                    await self._under_load(Field(members, wires, watch), load)
                    await self._quiesce(members, load, watch)
                self.wrong += watch.wrong + load.wrong
            finally:
                for member in members:
                    member.signal(("validator", "executor", "gateway"), signal.SIGCONT)
                await wires.close()
            await self._stop(network)
        votes.poll()
        return await asyncio.to_thread(self._judge, genesis, members, load, votes)

    def _make(self) -> tuple[Genesis, dict[Way, int]]:
        known = tuple(
            Account(f"payer-{index}", account_key(index).public_key, ("writer",)) for index in range(ACCOUNTS)
        )
        now_ms = time.time_ns() // 1_000_000
        genesis = make_testnet(
            self.directory, time_ms=now_ms, validators=VALIDATORS, base_port=None, known=known, network="chaos"
        )
        pairs = [(one, other) for one in range(VALIDATORS) for other in range(one + 1, VALIDATORS)]
        return genesis, dict(zip(pairs, _more_ports(self.directory, len(pairs)), strict=True))

    async def _start(self, network: Testnet, members: Sequence[Member]) -> None:
        chance = random.Random(self.options.seed)  # noqa: S311 - a reproducible test, no secret
        for member in members:
            member.shift_clock(chance.randint(-SKEW_AT_START_MS, SKEW_AT_START_MS))
        await asyncio.to_thread(network.start)
        await asyncio.to_thread(network.wait_ready)

    def _prepare(self, network: Testnet, genesis: Genesis) -> LoadSpec:
        with connect(network, genesis) as client:
            fund(client, ACCOUNTS)
            height = client.status()["sealed_height"]
        return LoadSpec(
            urls=network.urls,
            chain_id=genesis.chain_id.hex(),
            mode="open",
            rate=self.options.rate,
            outstanding=0,
            accounts=ACCOUNTS,
            warmup_s=0.0,
            seconds=0.0,
            gas_limit=GAS_LIMIT,
            height=height,
            valid_for=genesis.parameters.validity_window // 2,
        )

    async def _under_load(self, field: Field, load: Load) -> None:
        say(f"seed {self.options.seed}: {self.options.rate:g} transfers a second for {self.options.minutes:g} minutes")
        load.start()
        await asyncio.sleep(WARMUP_S)
        self._started = time.monotonic()
        catalogue = named(self.options.only)
        for disturbance in draw(self.options.seed, len(field.members), catalogue):
            began = time.monotonic()
            if began - self._started > self.options.minutes * 60 or self.wrong or field.watch.wrong or load.wrong:
                break
            self.recoveries.append(await self._carry_out(disturbance, field))
            rest_s = max(REST_S, began + self.options.disturb_every_s - time.monotonic())
            await asyncio.sleep(rest_s)
        await load.stop()

    async def _carry_out(self, disturbance: Disturbance, field: Field) -> Recovery:
        kind = disturbance.kind
        victim = field.watch.primary() if disturbance.victim is None else field.members[disturbance.victim]
        leads = victim is field.watch.primary()
        began = time.monotonic()
        await kind.act(field, victim, disturbance.hold_s, random.Random(disturbance.chance))  # noqa: S311
        ended, top = time.monotonic(), field.watch.top
        while not await field.watch.all_well(above=top):
            if time.monotonic() - ended > GIVE_UP_S:
                self.wrong.append(f"#{disturbance.number} {kind.name}: not well again {GIVE_UP_S:g} s after its end")
                break
            await asyncio.sleep(WELL_POLL_S)
        well = time.monotonic()
        recovery = Recovery(
            disturbance.number,
            round(began - self._started, 2),
            kind.name,
            kind.faults,
            victim.name,
            disturbance.hold_s,
            round(field.watch.longest_pause_s(began, well), 2),
            round(well - ended, 2),
        )
        say(
            f"{recovery.at_s:8.1f} s  #{recovery.number} {kind.name}: {victim.name}{' (primary)' if leads else ''}, "
            f"{disturbance.hold_s:.1f} s; longest pause {recovery.pause_s:.2f} s, "
            f"all well {recovery.back_s:.2f} s after its end, height {field.watch.top}"
        )
        return recovery

    # ── the end ───────────────────────────────────────────────────────────────────────────────────

    async def _quiesce(self, members: Sequence[Member], load: Load, watch: Watch) -> None:
        """Nothing is disturbed any more: every transfer gets its outcome, all members get to one height."""
        for member in members:
            member.shift_clock(0)
        await load.drain(DRAIN_TIMEOUT_S)
        load.close()
        deadline = time.monotonic() + LEVEL_TIMEOUT_S
        while len({(member.height, member.fresh) for member in members}) != 1:
            if time.monotonic() > deadline:
                heights = ", ".join(f"{member.name} {member.height}" for member in members)
                self.wrong.append(f"the members do not get to one height: {heights}")
                return
            await asyncio.sleep(WELL_POLL_S)
        say(f"mended: all members at height {watch.top}")
        roots = {await _executed_root(member) for member in members}
        if len(roots) != 1:
            self.wrong.append(f"the executors differ: {roots}")

    async def _stop(self, network: Testnet) -> None:
        codes = await asyncio.gather(*(asyncio.to_thread(node.stop) for node in network.nodes))
        if any(codes):
            self.wrong.append(f"not every node ended in good order: exit codes {codes}")
        left = processes_in(self.directory)
        if left:
            self.wrong.append(f"processes are left behind: {left}")

    def _judge(self, genesis: Genesis, members: Sequence[Member], load: Load, votes: VoteWatch) -> Report:
        directories = {member.name: member.node.directory for member in members}
        audit = ChainAudit(genesis, load.acknowledged)
        chain = audit.run(directories)
        votes.close()
        self.wrong += votes.audit.conflicts + audit.complaints
        self.wrong += [
            f"evidence against a member that did nothing: {each}" for each in evidence_of([*directories.values()])
        ]
        self.wrong += tracebacks_in(members)
        failures = [name for name, acknowledged in load.acknowledged.items() if acknowledged.code != "ok"]
        if failures:
            self.wrong.append(f"{len(failures)} transfers failed, such as {failures[0].hex()}")
        if load.open:
            self.wrong.append(f"{len(load.open)} transfers had no outcome after {DRAIN_TIMEOUT_S:g} s of peace")
        pauses = sorted(each.pause_s for each in self.recoveries if each.faults == 1)
        backs = sorted(each.back_s for each in self.recoveries)
        for what, values in (("pause with one member disturbed", pauses), ("recovery", backs)):
            p99 = percentile(values, 0.99)
            if p99 >= self.options.recovery_max_s:
                self.wrong.append(
                    f"p99 of the {what} is {p99:.2f} s, less than {self.options.recovery_max_s:g} s wanted"
                )
        return Report(
            held=not self.wrong,
            wrong=self.wrong,
            seed=self.options.seed,
            minutes=self.options.minutes,
            rate=self.options.rate,
            disturbances=len(self.recoveries),
            pause_s=distribution(pauses),
            back_s=distribution(backs),
            chain=chain,
            offered=load.offered,
            acknowledged=len(load.acknowledged),
            refused=dict(load.refused),
            without_outcome=len(load.open),
            asked_again=dict(load.again.most_common()),
            latency_s=distribution(sorted(load.latencies_s)),
            votes=votes.audit.votes,
            journal_rewritings=votes.rewritings,
            recoveries=self.recoveries,
        )


@contextlib.asynccontextmanager
async def _watching(watch: Watch, votes: VoteWatch) -> AsyncIterator[None]:
    async def follow() -> None:
        while True:
            await asyncio.to_thread(votes.poll)
            await asyncio.sleep(VOTES_POLL_S)

    watch.start()
    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await watch.close()


def named(words: str) -> list[Kind]:
    """The kinds in whose names one of these words stands; all of them without a word."""
    wanted = words.split()
    return [kind for kind in CATALOGUE if not wanted or not set(wanted).isdisjoint(kind.name.split())]


def namespaces_where_allowed(wanted: str) -> Namespaces | None:
    """Network namespaces, or None where relays do, or where they must do. Raises `ChaosFailed`."""
    if wanted == "relays":
        return None
    namespaces = Namespaces(VALIDATORS)
    try:
        namespaces.make()
    except NotAllowed as error:
        if wanted == "namespaces":
            raise ChaosFailed(f"no network namespaces: {error}") from None
        say(f"no network namespaces here, so relays hold back what a cut should lose ({error})")
        return None
    return namespaces


def _clocked(node: Any) -> ClockedNode:
    assert isinstance(node, ClockedNode), "the test network was made of them"
    return node


def _more_ports(directory: Path, count: int) -> list[int]:
    """Free ports that the nodes' settings do not name."""
    text = "".join(path.read_text() for path in directory.glob("node-*/node.toml"))
    while True:
        found = free_ports(count)
        if not any(str(port) in text for port in found):
            return found


async def _executed_root(member: Member) -> str:
    async with ExecutorProxy(NodePaths(member.node.config.data_directory).executor_socket) as executor:
        status = await executor.status()
    return f"height {status.height}, state root {status.state_root.hex()}"


# ── the words ─────────────────────────────────────────────────────────────────────────────────────


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to disturb (30)")
    parser.add_argument("--seed", type=int, default=None, help="what draws the disturbances (a new one each time)")
    parser.add_argument("--rate", type=float, default=100.0, help="transfers a second (100)")
    parser.add_argument("--disturb-every", type=float, default=5.0, help="seconds from one to the next, at least (5)")
    parser.add_argument("--recovery-max", type=float, default=5.0, help="what the p99 must stay below, in seconds (5)")
    parser.add_argument(
        "--only", default="", help='only disturbances with one of these words in their names ("cut split")'
    )
    parser.add_argument(
        "--wires",
        choices=("auto", "namespaces", "relays"),
        default="auto",
        help="who cuts: the kernel, in network namespaces, or relays (namespaces where allowed)",
    )
    parser.add_argument("--keep", type=Path, default=None, help="run in this directory and leave it, whatever comes")
    parser.add_argument("--json", type=Path, default=None, help="write the report here")
    words = parser.parse_args(arguments)
    if words.minutes <= 0 or words.rate <= 0:
        parser.error("a time and a rate above 0 are needed")
    if not named(words.only):
        parser.error(f"--only {words.only!r} leaves nothing of: {', '.join(kind.name for kind in CATALOGUE)}")
    return Options(
        minutes=words.minutes,
        seed=random.SystemRandom().getrandbits(32) if words.seed is None else words.seed,
        rate=words.rate,
        disturb_every_s=words.disturb_every,
        recovery_max_s=words.recovery_max,
        only=words.only,
        wires=words.wires,
        keep=words.keep,
        json=words.json,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, show, write. 0 when everything held."""
    from network.client import ClientError

    options = read_options(arguments)
    directory = (options.keep or fresh_directory("chaos", VALIDATORS)).absolute()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = asyncio.run(Run(options, directory).run())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (BenchFailed, ChaosFailed, ClientError, TestnetError) as error:
        print(f"chaos: {error}\nThe nodes' directories are left in {directory}", file=sys.stderr)
        return 1
    show(report)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if not report.held:
        say(f"FAILED. Seed {options.seed}; the nodes' directories, logs among them, are left in {directory}")
        return 1
    say(f"everything held (seed {options.seed}, {len(CATALOGUE)} kinds of disturbance)")
    if options.keep is None:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
