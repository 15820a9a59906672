"""The members of a network under test: their processes, what is done to them, and how each stands at the moment.

A member is watched through its validator's own socket, a few times a second, so that a dead gateway hides nothing. It
draws no chance and decides no disturbance; what it sees go wrong that never may (a halt, two blocks at one height, a
sealed height that goes back) it hands to `Watch.wrong` at once.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from network import api
from network.api import NodeUnavailable
from network.config import CONFIG_FILE, PeerAddress, read_config, render_config
from network.ipc import Backoff, IpcError, ReconnectingClient
from network.paths import NodePaths
from network.testnet import ROLES, Node
from network.testnet_layout import NODE_PREFIX
from scripts.chaos_links import relay_host
from scripts.chaos_namespaces import Namespaces, Way
from scripts.chaos_node import set_shift

POLL_S = 0.1
ANSWER_TIMEOUT_S = 1.0
FRESH_S = 0.6  # an answer that is older says nothing about now
LEVEL_BLOCKS = 4  # a member so near to the highest is with the others
EVERY_ROLE = ROLES

_encode = msgspec.msgpack.Encoder().encode
_decode_status = msgspec.msgpack.Decoder(api.NodeStatus).decode


class ClockedNode(Node):
    """A node whose validator runs on a clock that can be shifted, and perhaps in a network namespace of its own."""

    namespaces: Namespaces | None = None

    @property
    def clock(self) -> Path:
        """The file that holds the shift."""
        return self.directory / "run" / "clock"

    def command(self) -> list[str]:
        """The node, behind the shiftable clock."""
        command = [
            *(sys.executable, "-m", "scripts.chaos_node", str(self.clock)),
            *(str(self.directory), "--follow-parent"),
        ]
        return command if self.namespaces is None else self.namespaces.within(number_of(self.directory) - 1, command)

    def start(self) -> None:
        """Start, on a right clock if none was set."""
        if not self.clock.exists():
            set_shift(self.clock, 0)
        super().start()


def number_of(folder: Path) -> int:
    """The number of a node's directory, from 1 on."""
    return int(folder.name.removeprefix(NODE_PREFIX))


def lead_through(
    directory: Path, relay_ports: dict[Way, int], namespaces: Namespaces | None
) -> dict[int, tuple[str, int]]:
    """Have every node dial the relays instead of its peers. Returns where the members really listen."""
    folders = sorted(directory.glob(f"{NODE_PREFIX}*"), key=number_of)
    configs = [read_config(folder) for folder in folders]
    names = [config.node.name for config in configs]
    targets = {}
    for member, config in enumerate(configs):
        host = "127.0.0.1" if namespaces is None else namespaces.address(member)
        targets[member] = (host, int(config.peer.listen.rpartition(":")[2]))
        peers = tuple(
            _through(peer, (member, names.index(peer.name)), relay_ports, namespaces) for peer in config.peers
        )
        changed = msgspec.structs.replace(
            config,
            peer=msgspec.structs.replace(config.peer, listen=f"{host}:{targets[member][1]}"),
            peers=peers,
            gateway=msgspec.structs.replace(config.gateway, host=host, allowed_hosts=("*",)),
        )
        (folders[member] / CONFIG_FILE).write_text(render_config(changed))
    return targets


def _through(peer: PeerAddress, way: Way, relay_ports: dict[Way, int], namespaces: Namespaces | None) -> PeerAddress:
    """A peer's address as that of the relay to it; a peer that is never dialled is known by the relay's host too."""
    host = relay_host((min(way), max(way)), namespaces)
    return PeerAddress(name=peer.name, address=f"{host}:{relay_ports.get(way, 1)}")


class Member:
    """One member: its node, and its last word about itself."""

    def __init__(self, index: int, node: ClockedNode) -> None:
        self.index = index
        self.node = node
        self.status: api.NodeStatus | None = None
        self.heard = float("-inf")
        self.halt_expected = False  # its disk is full, on purpose
        self._client = ReconnectingClient(
            NodePaths(node.config.data_directory).validator_socket, backoff=Backoff(first_ms=50, max_ms=100)
        )

    @property
    def name(self) -> str:
        """As genesis has it."""
        return self.node.name

    @property
    def fresh(self) -> bool:
        """Whether its last word is of now."""
        return time.monotonic() - self.heard < FRESH_S

    @property
    def height(self) -> int:
        """The highest sealed height it told of."""
        return self.status.sealed_height if self.status else -1

    async def watch(self, told: Callable[[Member, api.NodeStatus], None]) -> None:
        """Ask for ever."""
        await self._client.start()
        try:
            while True:
                with contextlib.suppress(NodeUnavailable, IpcError, msgspec.MsgspecError):
                    status = _decode_status(await self._client.request(_encode(api.GetStatus()), ANSWER_TIMEOUT_S))
                    told(self, status)
                    self.status, self.heard = status, time.monotonic()
                await asyncio.sleep(POLL_S)
        finally:
            await self._client.close()

    # ── what is done to it ────────────────────────────────────────────────────────────────────────

    def signal(self, roles: Sequence[str], number: signal.Signals) -> None:
        """Send a signal to its processes of these roles."""
        found = self.node.processes()
        for role in roles:
            if role in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(found[role], number)

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self.node.kill()

    def kill_validator(self) -> None:
        """SIGKILL to the validator alone: what is left of the node ends by itself, as nobody may outlive it."""
        self.signal(["validator"], signal.SIGKILL)

    def revive(self) -> None:
        """Start it again, once nothing is left of its former life."""
        self.node.kill()
        self.node.start()

    def shift_clock(self, shift_ms: int) -> None:
        """Set its validator's clock wrong by so much."""
        set_shift(self.node.clock, shift_ms)

    def fill_disk(self) -> None:
        """From now on no file of its processes grows: each write fails, as on a full disk (`EFBIG` for `ENOSPC`)."""
        self.halt_expected = True
        self._limit_files(0)

    def free_disk(self) -> None:
        """There is room again."""
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, bytes_max: int) -> None:
        done: set[int] = set()
        while fresh := set(self.node.processes().values()) - done:  # one may have started another meanwhile
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (bytes_max, hard))
            done |= fresh

    # ── how it stands ─────────────────────────────────────────────────────────────────────────────

    async def ready(self) -> bool:
        """Whether its gateway says that it can serve."""
        gateway = self.node.config.gateway
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
                try:
                    writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    return (await reader.readline()).startswith(b"HTTP/1.1 200")
                finally:
                    writer.transport.abort()
        except OSError:
            return False


class Watch:
    """All members together: the highest sealed height, when it rose, and what went wrong."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self.top = -1
        self.wrong: list[str] = []
        self._rises: list[float] = [time.monotonic()]
        self._sealed: dict[int, tuple[bytes, bytes]] = {}
        self._last: dict[int, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Watch from now on."""
        self._tasks = [asyncio.create_task(member.watch(self._told)) for member in self.members]

    async def close(self) -> None:
        """Look away."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _told(self, member: Member, status: api.NodeStatus) -> None:
        height, found = status.sealed_height, (status.sealed_hash, status.state_root)
        if self._sealed.setdefault(height, found) != found:
            self.note(f"{member.name} has another block {height} than was seen before: {status.sealed_hash.hex()}")
        if height < self._last.get(member.index, -1):
            self.note(f"{member.name} went back from sealed height {self._last[member.index]} to {height}")
        self._last[member.index] = height
        if status.halted and not member.halt_expected:
            self.note(f"{member.name} halted: {status.halted}")
        if height > self.top:
            self.top = height
            self._rises.append(time.monotonic())

    def note(self, text: str) -> None:
        """Something happened that never may; said once."""
        if text not in self.wrong:
            self.wrong.append(text)

    def primary(self) -> Member:
        """Who leads, as most recently told by one who is not changing views."""
        told = [member for member in self.members if member.status is not None and member.fresh]
        steady = [member for member in told if member.status and not member.status.changing_view] or told
        if not steady:
            return self.members[0]
        newest = max(steady, key=lambda member: (member.status.view if member.status else -1, member.heard))
        assert newest.status is not None, "told above"
        return self.members[newest.status.primary]

    def longest_pause_s(self, since: float, until: float) -> float:
        """The longest time without a newly sealed block that ended, or was still going on, between two moments."""
        first = bisect.bisect_right(self._rises, since)
        points = [since, *(each for each in self._rises[first:] if each < until), until]
        return max(later - earlier for earlier, later in itertools.pairwise(points))

    def level(self, member: Member) -> bool:
        """Whether a member votes, and has what the others have."""
        return (
            member.fresh
            and member.status is not None
            and not member.status.halted
            and member.height >= self.top - LEVEL_BLOCKS
        )

    async def all_well(self, above: int) -> bool:
        """Whether something above this height is sealed, and every member is level and its gateway ready."""
        if self.top <= above or not all(self.level(member) for member in self.members):
            return False
        return all(await asyncio.gather(*(member.ready() for member in self.members)))
