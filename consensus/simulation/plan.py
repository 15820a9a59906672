"""What goes wrong in a simulated run: sizes, faults and attackers, frozen; and the swarm that draws them from a seed.

Knows no replica: `cluster` plays a plan, `byzantine` bends messages.
"""

from __future__ import annotations

import msgspec

from consensus.simulation.byzantine import BEHAVIOURS
from consensus.simulation.prng import Prng


class NetworkFaults(msgspec.Struct, frozen=True):
    """How badly messages travel, in thousandths and milliseconds."""

    loss_permille: int = 0
    duplicate_permille: int = 0
    delay_min_ms: int = 1
    delay_max_ms: int = 10
    slow_permille: int = 0  # of messages that take up to ten times as long


class Plan(msgspec.Struct, frozen=True):
    """One run: who, what goes wrong until `heal_ms`, and how long it may take to finish after that."""

    seed: int
    members: int = 4
    powers: tuple[int, ...] = ()
    byzantine: tuple[tuple[int, str], ...] = ()  # (member, the name of its behaviour)
    forgetful: tuple[int, ...] = ()  # members whose crashes take the journal along; they count as faulty as well
    network: NetworkFaults = NetworkFaults()
    crashes: int = 0
    partitions: int = 0
    transactions: int = 20
    window: int = 4
    heal_ms: int = 10_000
    finish_ms: int = 90_000
    snapshot_permille: int = 200  # how often a node rewrites its journal, a sealed block


def swarm(seed: int) -> Plan:
    """A plan drawn from a seed: every run has its own mix of size, faults and attackers."""
    prng = Prng(seed ^ 0x5EED)
    members = (4, 4, 4, 7, 10)[prng.below(5)]
    powers = tuple(prng.between(1, 5) for _ in range(members)) if prng.chance(200) else (1,) * members
    budget, byzantine = (sum(powers) - 1) // 3, []
    if prng.chance(600):
        for member in range(members):
            if powers[member] <= budget and prng.chance(500):
                budget -= powers[member]
                byzantine.append((member, BEHAVIOURS[prng.below(len(BEHAVIOURS))]))
    luck = Prng(seed ^ 0x1057)  # apart, so that older seeds keep their plans
    forgetful = tuple(member for member, _ in byzantine if luck.chance(150))
    network = NetworkFaults(
        loss_permille=(0, 0, 20, 100, 300)[prng.below(5)],
        duplicate_permille=(0, 50, 500)[prng.below(3)],
        delay_max_ms=(5, 20, 100, 400)[prng.below(4)],
        slow_permille=(0, 0, 50)[prng.below(3)],
    )
    return Plan(
        seed=seed,
        members=members,
        powers=powers,
        byzantine=tuple(each for each in byzantine if each[0] not in forgetful),
        forgetful=forgetful,
        network=network,
        crashes=(0, 0, 3, 10)[prng.below(4)],
        partitions=(0, 0, 2, 6)[prng.below(4)],
        transactions=prng.between(5, 30),
        window=(1, 2, 4, 8)[prng.below(4)],
    )
