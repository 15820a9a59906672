"""What is done to a network under test: a catalogue of disturbances, and the order in which a seed draws them.

Of four members one may be faulty, so most disturbances touch one member, and the other three must go on. Some touch
more: then the network may stand still, but must come back by itself once they are over. A disturbance is a function
that begins it, lets it last, and ends it; how long the network then takes to be well again is measured elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from network.testnet import ROLES
from scripts.chaos_links import Weather, Wires
from scripts.chaos_members import Member, Watch
from scripts.chaos_namespaces import Way

PRIMARY_SHARE = 0.4  # of disturbances hit whoever leads at that moment
SKEW_MS = 40_000  # more than the 30 s by which a proposal's time may be off
SMALL_SKEW_MS = 5_000
HALT_WAIT_S = 2.0  # for a validator to come back by itself from a disk that was full


@dataclass(frozen=True)
class Field:
    """Where disturbances happen."""

    members: Sequence[Member]
    wires: Wires
    watch: Watch


@dataclass(frozen=True)
class Disturbance:
    """One to come. `victim` is a member's index, None for whoever leads; `chance` is its own seed."""

    number: int
    kind: Kind
    victim: int | None
    hold_s: float
    chance: int


Action = Callable[[Field, Member, float, random.Random], Awaitable[None]]


@dataclass(frozen=True)
class Kind:
    """One entry of the catalogue. `faults` is how many members it makes faulty: with one the others must go on."""

    name: str
    act: Action
    hold_s: tuple[float, float]
    faults: int = 1
    weight: int = 2


# ── processes ─────────────────────────────────────────────────────────────────────────────────────


async def kill_validator(_: Field, victim: Member, hold_s: float, __: random.Random) -> None:
    """SIGKILL to the validator process; started again after a while."""
    victim.kill_validator()
    await asyncio.sleep(hold_s)
    await asyncio.to_thread(victim.revive)


async def kill_member(_: Field, victim: Member, hold_s: float, __: random.Random) -> None:
    """SIGKILL to all three processes at once."""
    await asyncio.to_thread(victim.kill)
    await asyncio.sleep(hold_s)
    await asyncio.to_thread(victim.revive)


async def kill_executor(_: Field, victim: Member, __: float, ___: random.Random) -> None:
    """SIGKILL to the executor; its own validator starts it again."""
    victim.signal(["executor"], signal.SIGKILL)


async def kill_gateway(_: Field, victim: Member, __: float, ___: random.Random) -> None:
    """SIGKILL to the gateway; its own validator starts it again."""
    victim.signal(["gateway"], signal.SIGKILL)


def stop(roles: Sequence[str]) -> Action:
    """SIGSTOP to these processes, later SIGCONT."""

    async def act(_: Field, victim: Member, hold_s: float, __: random.Random) -> None:
        victim.signal(roles, signal.SIGSTOP)
        try:
            await asyncio.sleep(hold_s)
        finally:
            victim.signal(roles, signal.SIGCONT)

    return act


async def power_cut(field: Field, _: Member, hold_s: float, __: random.Random) -> None:
    """SIGKILL to every process of every member, as nearly at once as it goes."""
    await asyncio.gather(*(asyncio.to_thread(member.kill) for member in field.members))
    await asyncio.sleep(hold_s)
    await asyncio.gather(*(asyncio.to_thread(member.revive) for member in field.members))


async def stop_two(field: Field, victim: Member, hold_s: float, chance: random.Random) -> None:
    """SIGSTOP to two members: no quorum is left."""
    both = (victim, chance.choice([each for each in field.members if each is not victim]))
    for member in both:
        member.signal(ROLES, signal.SIGSTOP)
    try:
        await asyncio.sleep(hold_s)
    finally:
        for member in both:
            member.signal(ROLES, signal.SIGCONT)


async def kill_two(field: Field, victim: Member, hold_s: float, chance: random.Random) -> None:
    """SIGKILL to two members: no quorum is left until one of them is back."""
    both = (victim, chance.choice([each for each in field.members if each is not victim]))
    await asyncio.gather(*(asyncio.to_thread(member.kill) for member in both))
    await asyncio.sleep(hold_s)
    await asyncio.gather(*(asyncio.to_thread(member.revive) for member in both))


# ── wires ─────────────────────────────────────────────────────────────────────────────────────────


def cut(which: Callable[[Field, Member, random.Random], Sequence[Way]]) -> Action:
    """Cut these ways, later mend them."""

    async def act(field: Field, victim: Member, hold_s: float, chance: random.Random) -> None:
        ways = which(field, victim, chance)
        field.wires.cut(ways)
        try:
            await asyncio.sleep(hold_s)
        finally:
            field.wires.mend(ways)

    return act


def all_of(field: Field, victim: Member, _: random.Random) -> Sequence[Way]:
    """Every way to and from the victim: it is alone."""
    return field.wires.of(victim.index)


def what_it_says(field: Field, victim: Member, _: random.Random) -> Sequence[Way]:
    """It hears, and is not heard."""
    return [way for way in field.wires.of(victim.index) if way[0] == victim.index]


def what_it_hears(field: Field, victim: Member, _: random.Random) -> Sequence[Way]:
    """It is heard, and hears nothing."""
    return [way for way in field.wires.of(victim.index) if way[1] == victim.index]


def one_pair(field: Field, victim: Member, chance: random.Random) -> Sequence[Way]:
    """The victim and one other do not see each other; both see the rest."""
    other = chance.choice([each.index for each in field.members if each is not victim])
    return field.wires.between([victim.index], [other])


def one_way(field: Field, victim: Member, chance: random.Random) -> Sequence[Way]:
    """One other does not hear the victim."""
    other = chance.choice([each.index for each in field.members if each is not victim])
    return [(victim.index, other)]


def halves(field: Field, victim: Member, chance: random.Random) -> Sequence[Way]:
    """Two and two."""
    others = [each.index for each in field.members if each is not victim]
    friend = chance.choice(others)
    return field.wires.between([victim.index, friend], [each for each in others if each != friend])


def ring(field: Field, victim: Member, chance: random.Random) -> Sequence[Way]:
    """Each sees two of the three others."""
    others = [each.index for each in field.members if each is not victim]
    far = chance.choice(others)
    near = [each for each in others if each != far]
    return [*field.wires.between([victim.index], [far]), *field.wires.between(near[:1], near[1:])]


async def flap(field: Field, victim: Member, hold_s: float, chance: random.Random) -> None:
    """The victim's links go away and come back, again and again; some of them lose their connection as well."""
    ways, loop = field.wires.of(victim.index), asyncio.get_running_loop()
    until = loop.time() + hold_s
    try:
        while loop.time() < until:
            field.wires.cut(ways)
            if chance.random() < 0.5:
                field.wires.reset(chance.sample(ways, 2))
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            field.wires.mend(ways)
            await asyncio.sleep(chance.uniform(0.1, 0.8))
    finally:
        field.wires.mend(ways)


async def drop_links(field: Field, victim: Member, _: float, __: random.Random) -> None:
    """Every connection of the victim breaks, and may be made again at once."""
    field.wires.reset(field.wires.of(victim.index))


def weather(make: Callable[[random.Random], Weather], *, everywhere: bool) -> Action:
    """Delay, loss or a thin line for a while: on the victim's links, or on all."""

    async def act(field: Field, victim: Member, hold_s: float, chance: random.Random) -> None:
        ways = tuple(field.wires.ways) if everywhere else field.wires.of(victim.index)
        field.wires.set_weather(ways, make(chance))
        try:
            await asyncio.sleep(hold_s)
        finally:
            field.wires.set_weather(ways, Weather())

    return act


def far_away(chance: random.Random) -> Weather:
    """Another continent."""
    return Weather(delay_s=chance.uniform(0.02, 0.15), jitter_s=chance.uniform(0.0, 0.05))


def lossy(chance: random.Random) -> Weather:
    """Every fifth piece is late, as if it had been lost and sent again."""
    return Weather(delay_s=0.005, lost=chance.uniform(0.05, 0.3))


def thin(chance: random.Random) -> Weather:
    """A line of 64 to 256 KiB a second."""
    return Weather(bytes_per_s=chance.uniform(64 << 10, 256 << 10))


# ── clocks and disks ──────────────────────────────────────────────────────────────────────────────


def skew(shift_ms: int) -> Action:
    """The victim's clock jumps by `shift_ms`, and later jumps back."""

    async def act(_: Field, victim: Member, hold_s: float, __: random.Random) -> None:
        victim.shift_clock(shift_ms)
        try:
            await asyncio.sleep(hold_s)
        finally:
            victim.shift_clock(0)

    return act


async def fill_disk(field: Field, victim: Member, hold_s: float, _: random.Random) -> None:
    """The victim's disk is full for a while. It must say so, vote no more, and come back when there is room."""
    victim.fill_disk()
    try:
        await asyncio.sleep(hold_s)
        if hold_s > HALT_WAIT_S and not (victim.status and victim.status.halted):
            field.watch.note(f"{victim.name} did not say that its disk was full for {hold_s:.1f} s")
    finally:
        victim.free_disk()


# ── the catalogue ─────────────────────────────────────────────────────────────────────────────────

CATALOGUE: tuple[Kind, ...] = (
    Kind("kill the validator", kill_validator, (0.0, 4.0), weight=4),
    Kind("kill all processes", kill_member, (0.0, 4.0), weight=4),
    Kind("kill the executor", kill_executor, (0.0, 0.0), weight=3),
    Kind("kill the gateway", kill_gateway, (0.0, 0.0)),
    Kind("stop the validator", stop(["validator"]), (1.0, 20.0), weight=3),
    Kind("stop the executor", stop(["executor"]), (1.0, 20.0)),
    Kind("stop the gateway", stop(["gateway"]), (1.0, 10.0), weight=1),
    Kind("stop all processes", stop(ROLES), (1.0, 20.0)),
    Kind("cut off", cut(all_of), (1.0, 15.0), weight=4),
    Kind("not heard", cut(what_it_says), (1.0, 15.0)),
    Kind("hears nothing", cut(what_it_hears), (1.0, 15.0)),
    Kind("cut from one", cut(one_pair), (1.0, 15.0)),
    Kind("not heard by one", cut(one_way), (1.0, 15.0)),
    Kind("flapping links", flap, (2.0, 8.0)),
    Kind("links dropped", drop_links, (0.0, 0.0)),
    Kind("far away", weather(far_away, everywhere=False), (2.0, 10.0)),
    Kind("lossy links", weather(lossy, everywhere=False), (2.0, 10.0)),
    Kind("thin links", weather(thin, everywhere=False), (2.0, 10.0), weight=1),
    Kind("clock 40 s ahead", skew(SKEW_MS), (2.0, 12.0)),
    Kind("clock 40 s behind", skew(-SKEW_MS), (2.0, 12.0)),
    Kind("clock 5 s ahead", skew(SMALL_SKEW_MS), (2.0, 8.0), weight=1),
    Kind("disk full", fill_disk, (2.5, 8.0)),
    Kind("everybody far away", weather(far_away, everywhere=True), (2.0, 10.0), faults=4, weight=1),
    Kind("all links lossy", weather(lossy, everywhere=True), (2.0, 10.0), faults=4, weight=1),
    Kind("power cut", power_cut, (0.0, 3.0), faults=4),
    Kind("two killed", kill_two, (0.0, 3.0), faults=2),
    Kind("two stopped", stop_two, (1.0, 12.0), faults=2),
    Kind("split in halves", cut(halves), (1.0, 15.0), faults=2),
    Kind("split in a ring", cut(ring), (1.0, 15.0), faults=2, weight=1),
)


def draw(seed: int, members: int, catalogue: Sequence[Kind] = CATALOGUE) -> Iterator[Disturbance]:
    """The disturbances of a seed, without end."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible test, no secret
    number = 0
    while True:
        number += 1
        kind = chance.choices(catalogue, [each.weight for each in catalogue])[0]
        victim = None if chance.random() < PRIMARY_SHARE else chance.randrange(members)
        low, high = kind.hold_s
        hold_s = low + (high - low) * chance.random() ** 2  # short ones are more frequent
        yield Disturbance(number, kind, victim, round(hold_s, 2), chance.getrandbits(32))
