"""The wires between members, as something that can be cut: a TCP relay for each pair, steered one way at a time.

Links are TLS end to end, so a relay sees and changes nothing but time: it holds bytes back (a cut), delays them, lets
some of them wait as lost packets would, or drops a connection. What is held back in a cut goes on when it heals, as TCP
itself would send it again. It needs no privilege; where namespaces are allowed, the kernel cuts instead. It knows
addresses and bytes, and nothing of members' processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scripts.chaos_namespaces import Namespaces, Way

CHUNK_BYTES = 64 << 10
HELD_CHUNKS_MAX = 64  # of one direction of one connection; then the sender is no longer read from
LOST_AGAIN_S = 0.2  # a lost packet is sent again after TCP's shortest time-out
CONNECT_TIMEOUT_S = 5.0
CALL_AGAIN_S = 0.5


def relay_host(way: Way, namespaces: Namespaces | None) -> str:
    """The address at which the relay of a pair listens."""
    return "127.0.0.1" if namespaces is None else namespaces.pair_address(way)


@dataclass
class Weather:
    """How one direction treats what passes: `lost` is the share of pieces that come late, as if sent again."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    lost: float = 0.0
    bytes_per_s: float = 0.0  # 0 is as fast as it goes


@dataclass
class Direction:
    """One way between two members."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    weather: Weather = field(default_factory=Weather)


class Relay:
    """Between two members: listens where the one dials, connects to where the other listens."""

    def __init__(
        self, there: Direction, back: Direction, target: tuple[str, int], host: str, chance: random.Random
    ) -> None:
        self._there, self._back = there, back
        self._target = target
        self._host = host
        self._chance = chance
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Listen on this port."""
        self._server = await asyncio.start_server(self._on_call, self._host, port, limit=CHUNK_BYTES)

    def reset(self) -> None:
        """Drop every connection as if the cable had been pulled on both ends."""
        for task in [*self._open]:
            task.cancel()

    async def close(self) -> None:
        """Stop listening, drop everything."""
        if self._server is not None:
            self._server.close()
        self.reset()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _on_call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "called by the server in a task"
        self._open.add(task)
        ends = [writer]
        try:
            await self._there.open.wait()  # a call gets through when it can be heard and answered
            await self._back.open.wait()
            far_reader, far_writer = await self._call()
            ends.append(far_writer)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(reader, far_writer, self._there))
                ways.create_task(self._carry(far_reader, writer, self._back))
        except* (OSError, asyncio.CancelledError, EOFError):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._open.discard(task)

    async def _call(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Reach the other end. A call into a cut is made again and again: the caller's own patience ends it."""
        deadline = asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S
        while True:
            try:
                async with asyncio.timeout(CALL_AGAIN_S):  # not wait_for: that may swallow a reset
                    return await asyncio.open_connection(*self._target, limit=CHUNK_BYTES, local_addr=(self._host, 0))
            except TimeoutError:
                if asyncio.get_running_loop().time() > deadline:
                    raise

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        """Bytes of one way, in order; its end too, which a cut holds back like everything else."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD_CHUNKS_MAX)
        writing = asyncio.create_task(self._deliver(queue, writer, way))
        loop = asyncio.get_running_loop()
        try:
            while not writing.done():
                try:
                    data = await reader.read(CHUNK_BYTES)
                except OSError:
                    data = b""
                await queue.put((loop.time() + self._late_s(way.weather), data))
                if not data:
                    break
            await writing
        finally:
            writing.cancel()
        raise EOFError  # both ways end together: links are never half-closed

    async def _deliver(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            await way.open.wait()
            if not data:
                return
            with contextlib.suppress(OSError):  # it hung up; that it did is told by its own way, if that is open
                writer.write(data)
                await writer.drain()
            if way.weather.bytes_per_s:
                await asyncio.sleep(len(data) / way.weather.bytes_per_s)

    def _late_s(self, weather: Weather) -> float:
        late_s = weather.delay_s + weather.jitter_s * self._chance.random()
        if weather.lost and self._chance.random() < weather.lost:
            late_s += LOST_AGAIN_S * (1 + self._chance.random())
        return late_s


class Wires:
    """All pairs: `relay_ports` says where the lower member of a pair finds the higher, `targets` where that listens.

    With `namespaces` a cut is theirs, and drops packets; without, the relays hold back what should be lost.
    """

    def __init__(
        self,
        targets: Mapping[int, tuple[str, int]],
        relay_ports: Mapping[Way, int],
        seed: int,
        namespaces: Namespaces | None = None,
    ) -> None:
        chance = random.Random(seed)  # noqa: S311 - a reproducible test, no secret
        self._members = sorted(targets)
        self._ways = {(a, b): Direction() for a in self._members for b in self._members if a != b}
        self._ports = dict(relay_ports)
        self._relays = {
            (a, b): Relay(self._ways[a, b], self._ways[b, a], targets[b], relay_host((a, b), namespaces), chance)
            for a, b in self._ports
        }
        self._namespaces = namespaces
        self.heal()

    async def start(self) -> None:
        """Begin to listen."""
        for way, relay in self._relays.items():
            await relay.start(self._ports[way])

    async def close(self) -> None:
        """Drop everything."""
        await asyncio.gather(*(relay.close() for relay in self._relays.values()))

    @property
    def ways(self) -> Iterable[Way]:
        """Every ordered pair."""
        return tuple(self._ways)

    def cut(self, ways: Iterable[Way]) -> None:
        """Nothing passes these ways from now on."""
        if self._namespaces is not None:
            self._namespaces.cut(ways)
            return
        for way in ways:
            self._ways[way].open.clear()

    def mend(self, ways: Iterable[Way]) -> None:
        """What was held back passes, and all that follows."""
        if self._namespaces is not None:
            self._namespaces.mend(ways)
        for way in ways:
            self._ways[way].open.set()

    def heal(self) -> None:
        """All ways open, and the weather fine."""
        self.mend(self._ways)
        self.set_weather(self._ways, Weather())

    def set_weather(self, ways: Iterable[Way], weather: Weather) -> None:
        """Delay, loss, speed of these ways."""
        for way in ways:
            self._ways[way].weather = weather

    def reset(self, ways: Iterable[Way]) -> None:
        """Drop the connections that serve any of these ways; new ones come about at once."""
        for a, b in {(min(way), max(way)) for way in ways}:
            self._relays[a, b].reset()

    def of(self, member: int) -> list[Way]:
        """Every way that begins or ends at a member."""
        return [way for way in self._ways if member in way]

    def between(self, one: Iterable[int], other: Iterable[int]) -> list[Way]:
        """Every way from one group to another, and back."""
        here, there = set(one), set(other)
        return [(a, b) for a, b in self._ways if (a in here and b in there) or (a in there and b in here)]
