"""Plans drawn from seeds: every run has its own mix of size, faults and attackers (swarm testing, Groce et al. 2012).

The same seed stands for the same plan as long as `VERSION` is the same; plans that once failed are kept whole.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.simulation import disturbances as kinds
from consensus.simulation.byzantine import BEHAVIOURS
from consensus.simulation.plan import Disturbance, NetworkFaults, Plan
from consensus.simulation.prng import Prng, stream
from ledger.quorum import faulty_power_max

VERSION = 2
HEAL_MS = 30_000
SIZES = (4, 4, 4, 7, 10)
LOAD = ((15, 40), (12, 28), (8, 20))  # transactions in 30 s: below 5 members, below 10, from there on
TIMEOUTS_MS = ((1000, 2000), (2000, 4000), (4000, 4000))  # a STATUS is sent every quarter, by everybody to everybody
DAY_MS = 86_400_000
SKEWS_MS = (40_000, -40_000, DAY_MS, -DAY_MS, 5_000, -5_000, 29_000)

Draw = Callable[[Prng, int], list[Disturbance]]


def swarm(seed: int, members: int | None = None) -> Plan:
    """The plan of a seed; with `members`, one of that size."""
    prng = stream(seed, "swarm", VERSION)
    size = SIZES[prng.below(len(SIZES))]
    members = members or size
    powers = tuple(prng.between(1, 5) for _ in range(members)) if prng.chance(150) else ()
    faulty = _faulty(stream(seed, "faulty", VERSION), powers or (1,) * members)
    return Plan(
        seed=seed,
        members=members,
        powers=powers,
        byzantine=tuple((member, how) for member, how in faulty if how not in _OTHERWISE_FAULTY),
        collude=prng.chance(500),
        twins=tuple(member for member, how in faulty if how == "twins"),
        forgetful=tuple(member for member, how in faulty if how == "forgetful"),
        restored=tuple(member for member, how in faulty if how == "restored"),
        skewed=tuple((member, SKEWS_MS[prng.below(4)]) for member, how in faulty if how == "skewed"),
        diverges=tuple((member, prng.between(1, 12)) for member, how in faulty if how == "diverges"),
        network=_network(stream(seed, "network", VERSION)),
        disturbances=_disturbances(stream(seed, "disturbances", VERSION), members, faulty),
        transactions=prng.between(*LOAD[min(members, 10) // 5]),
        window=(1, 2, 4, 8)[prng.below(4)],
        request_timeout_ms=TIMEOUTS_MS[min(members, 10) // 5][prng.below(2)],
        heal_ms=HEAL_MS,
    )


# ── who is faulty ─────────────────────────────────────────────────────────────────────────────────

_OTHERWISE_FAULTY = ("twins", "forgetful", "restored", "skewed", "diverges")


def _faulty(prng: Prng, powers: tuple[int, ...]) -> list[tuple[int, str]]:
    """Some members with less than a third of the power, each with what is wrong with it."""
    budget = faulty_power_max(sum(powers))
    if prng.chance(200):
        return []
    found: list[tuple[int, str]] = []
    for step in range(len(powers)):
        member = (step * 3 + prng.below(2)) % len(powers)
        if powers[member] <= budget and member not in dict(found) and prng.chance(600):
            budget -= powers[member]
            found.append((member, _behaviour(prng)))
    return sorted(found)


def _behaviour(prng: Prng) -> str:
    if prng.chance(250):
        return _OTHERWISE_FAULTY[prng.below(len(_OTHERWISE_FAULTY))]
    first = BEHAVIOURS[prng.below(len(BEHAVIOURS))]
    if prng.chance(700):
        return first
    second = BEHAVIOURS[prng.below(len(BEHAVIOURS))]
    return first if first == second else f"{first}+{second}"


# ── the network ───────────────────────────────────────────────────────────────────────────────────


def _network(prng: Prng) -> NetworkFaults:
    return NetworkFaults(
        loss_permille=(0, 0, 20, 100, 300)[prng.below(5)],
        duplicate_permille=(0, 50, 500)[prng.below(3)],
        delay_max_ms=(5, 20, 100, 400)[prng.below(4)],
        slow_permille=(0, 0, 50)[prng.below(3)],
    )


# ── what goes wrong for a while ───────────────────────────────────────────────────────────────────


def _disturbances(prng: Prng, members: int, faulty: list[tuple[int, str]]) -> tuple[Disturbance, ...]:
    """Each kind in one run of three; who loses or gets back a journal crashes anyway."""
    found = [each for draw in _DRAWS if prng.chance(300) for each in draw(prng, members)]
    for member, how in faulty:
        if how in ("forgetful", "restored"):
            found += [Disturbance(_when(prng), kinds.CRASH, (member,), prng.between(10, 5000)) for _ in range(3)]
    return tuple(sorted(found, key=lambda each: each.at_ms))


def _when(prng: Prng) -> int:
    return prng.below(HEAL_MS)


def _crashes(prng: Prng, members: int) -> list[Disturbance]:
    count = prng.between(1, 8)
    return [Disturbance(_when(prng), kinds.CRASH, (prng.below(members),), prng.between(10, 5000)) for _ in range(count)]


def _crashes_at(prng: Prng, members: int) -> list[Disturbance]:
    """Between any two actions, also in the middle of a step."""
    return [
        Disturbance(_when(prng), kinds.CRASH_AT, (prng.below(members),), prng.between(10, 3000), prng.between(1, 60))
        for _ in range(prng.between(1, 8))
    ]


def _power_cuts(prng: Prng, _members: int) -> list[Disturbance]:
    return [Disturbance(_when(prng), kinds.POWER_CUT, (), prng.between(10, 2000)) for _ in range(prng.between(1, 3))]


def _disk_failures(prng: Prng, members: int) -> list[Disturbance]:
    return [
        Disturbance(_when(prng), kinds.DISK_FAILS, (prng.below(members),), prng.between(500, 8000))
        for _ in range(prng.between(1, 3))
    ]


def _slow_disks(prng: Prng, members: int) -> list[Disturbance]:
    return [
        Disturbance(_when(prng), kinds.SLOW_DISK, (prng.below(members),), prng.between(2000, 15_000), slow_ms)
        for slow_ms in (50, 500, 2000)[: prng.between(1, 3)]
    ]


def _freezes(prng: Prng, members: int) -> list[Disturbance]:
    return [
        Disturbance(_when(prng), kinds.FREEZE, (prng.below(members),), prng.between(100, 15_000))
        for _ in range(prng.between(1, 4))
    ]


def _slow_nodes(prng: Prng, members: int) -> list[Disturbance]:
    return [
        Disturbance(_when(prng), kinds.SLOW_NODE, (prng.below(members),), prng.between(500, 10_000), thought_ms)
        for thought_ms in (2, 20, 100)[: prng.between(1, 3)]
    ]


def _clocks(prng: Prng, members: int) -> list[Disturbance]:
    return [
        Disturbance(
            _when(prng),
            kinds.CLOCK,
            (prng.below(members),),
            prng.between(100, 20_000),
            SKEWS_MS[prng.below(len(SKEWS_MS))],
        )
        for _ in range(prng.between(1, 5))
    ]


def _partitions(prng: Prng, members: int) -> list[Disturbance]:
    found = []
    for _ in range(prng.between(1, 5)):
        side = tuple(member for member in range(members) if prng.chance(500))
        kind = (kinds.PARTITION, kinds.PARTITION, kinds.DEAF, kinds.DUMB)[prng.below(4)]
        side = side if kind == kinds.PARTITION else side[:1]
        found.append(Disturbance(_when(prng), kind, side, prng.between(100, 8000)))
    return found


def _rings(prng: Prng, members: int) -> list[Disturbance]:
    """Non-transitive: everybody sees its neighbours, or a majority that is another for each."""
    return [
        Disturbance(_when(prng), kinds.RING, (), prng.between(500, 8000), prng.between(1, max(1, members // 2 - 1)))
        for _ in range(prng.between(1, 3))
    ]


def _flaps(prng: Prng, members: int) -> list[Disturbance]:
    """One-way links that fail again and again."""
    start, pair = _when(prng), (prng.below(members), prng.below(members))
    period = prng.between(100, 1500)
    found = [Disturbance(start + turn * period, kinds.CUT, pair, period // 2) for turn in range(prng.between(3, 12))]
    return [each for each in found if each.at_ms < HEAL_MS]


def _swizzle(prng: Prng, members: int) -> list[Disturbance]:
    """Members' links clogged one by one, released in another order."""
    start, found = _when(prng), []
    for member in range(members):
        if prng.chance(700):
            at_ms = min(HEAL_MS - 1, start + prng.below(2000))
            found.append(Disturbance(at_ms, kinds.CLOG, (member,), prng.between(500, 6000)))
    return found


_DRAWS: tuple[Draw, ...] = (
    _crashes,
    _crashes_at,
    _power_cuts,
    _disk_failures,
    _slow_disks,
    _freezes,
    _slow_nodes,
    _clocks,
    _partitions,
    _rings,
    _flaps,
    _swizzle,
)
