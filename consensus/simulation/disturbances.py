"""What can go wrong with nodes and links for a while, by kind: how each begins, and how it ends.

A disturbance that is under way when the cluster heals ends there. Draws the short forms of a plan (`crashes`,
`partitions`) into disturbances as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from consensus.simulation.plan import Disturbance, Plan
from consensus.simulation.prng import stream

if TYPE_CHECKING:
    from consensus.simulation.cluster import Cluster

CRASH = "crash"  # the members' processes end; they start again afterwards
CRASH_AT = "crash-at"  # the same, right before the `amount`-th action that each performs from then on
DISK_FAILS = "disk-fails"  # the next flush fails, and the process with it
POWER_CUT = "power-cut"  # everybody's process ends
FREEZE = "freeze"  # SIGSTOP: messages pile up, timers run out unheard; then all at once
SLOW_NODE = "slow-node"  # every message takes `amount` milliseconds of thought
SLOW_DISK = "slow-disk"  # every flush takes `amount` milliseconds
CLOCK = "clock"  # the members' clocks are `amount` milliseconds off
PARTITION = "partition"  # the members see each other and nobody else
DEAF = "deaf"  # the members hear nobody, and are heard
DUMB = "dumb"  # the members hear everybody, and are not heard
RING = "ring"  # everybody sees only the `amount` next members in both directions
CUT = "cut"  # what the first member sends to the second is lost; the other way works
CLOG = "clog"  # the links of the members hold everything back until released

Begin = Callable[["Cluster", Disturbance, int], None]  # with the ticket of this disturbance
Links = set[tuple[int, int]]


def begin(cluster: Cluster, what: Disturbance) -> None:
    """It begins now; its end is set too."""
    ticket = cluster.ticket()
    until_ms = min(what.at_ms + what.for_ms, cluster.plan.heal_ms)
    cluster.tell(what)
    if what.kind in NODES:
        NODES[what.kind](cluster, what, until_ms)
    elif what.kind in LINKS:
        cluster.links.cut(ticket, _by_process(cluster, LINKS[what.kind](cluster.plan.members, what)))
        cluster.at(until_ms, cluster.links.mend, ticket)
    else:
        raise ValueError(f"no such disturbance: {what.kind}; there are {', '.join((*NODES, *LINKS))}")


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────────


def _crash(cluster: Cluster, what: Disturbance, until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        node.crash()
        cluster.at(until_ms, node.restart)


def _crash_at(cluster: Cluster, what: Disturbance, _until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        node.doom(what.amount, what.for_ms)


def _disk_fails(cluster: Cluster, what: Disturbance, _until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        node.doom_flush(what.for_ms)


def _power_cut(cluster: Cluster, _what: Disturbance, until_ms: int) -> None:
    for node in cluster.processes:
        node.crash()
        cluster.at(until_ms, node.restart)


def _freeze(cluster: Cluster, what: Disturbance, until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        node.freeze()
        cluster.at(until_ms, node.thaw)


def _slow_node(cluster: Cluster, what: Disturbance, until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        node.attention.thought_ms = what.amount
        cluster.at(until_ms, node.recover)


def _slow_disk(cluster: Cluster, what: Disturbance, until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        node.flush_ms = what.amount
        cluster.at(until_ms, node.recover)


def _clock(cluster: Cluster, what: Disturbance, until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        node.skew_ms = what.amount
        cluster.at(until_ms, node.set_clock)


def _clog(cluster: Cluster, what: Disturbance, until_ms: int) -> None:
    for node in cluster.processes_of(what.members):
        cluster.links.clog(node.number, until_ms)


NODES: dict[str, Begin] = {
    CRASH: _crash,
    CRASH_AT: _crash_at,
    DISK_FAILS: _disk_fails,
    POWER_CUT: _power_cut,
    FREEZE: _freeze,
    SLOW_NODE: _slow_node,
    SLOW_DISK: _slow_disk,
    CLOCK: _clock,
    CLOG: _clog,
}


# ── links ─────────────────────────────────────────────────────────────────────────────────────────


def _partition(members: int, what: Disturbance) -> Links:
    return {(a, b) for a in range(members) for b in range(members) if (a in what.members) != (b in what.members)}


def _deaf(members: int, what: Disturbance) -> Links:
    return {(a, b) for a in range(members) for b in what.members if a != b}


def _dumb(members: int, what: Disturbance) -> Links:
    return {(a, b) for a in what.members for b in range(members) if a != b}


def _ring(members: int, what: Disturbance) -> Links:
    reach = max(1, what.amount)
    return {
        (a, b)
        for a in range(members)
        for b in range(members)
        if a != b and min((a - b) % members, (b - a) % members) > reach
    }


def _cut(_members: int, what: Disturbance) -> Links:
    return {what.members[:2]} if len(what.members) > 1 else set()  # type: ignore[arg-type]  # its first two


LINKS: dict[str, Callable[[int, Disturbance], Links]] = {
    PARTITION: _partition,
    DEAF: _deaf,
    DUMB: _dumb,
    RING: _ring,
    CUT: _cut,
}
KINDS = (*NODES, *LINKS)


def _by_process(cluster: Cluster, links: Links) -> Links:
    """Members' links as those of their processes."""
    return {
        (one.number, other.number)
        for one in cluster.processes
        for other in cluster.processes
        if (one.member, other.member) in links
    }


# ── short forms ───────────────────────────────────────────────────────────────────────────────────


def drawn(plan: Plan) -> list[Disturbance]:
    """What `crashes` and `partitions` of a plan stand for."""
    found = []
    prng = stream(plan.seed, "crashes")
    for _ in range(plan.crashes):
        at_ms, member = prng.below(plan.heal_ms), prng.below(plan.members)
        found.append(Disturbance(at_ms, CRASH, (member,), prng.between(10, 3000)))
    prng = stream(plan.seed, "partitions")
    for _ in range(plan.partitions):
        at_ms = prng.below(plan.heal_ms)
        side = tuple(member for member in range(plan.members) if prng.chance(500))
        found.append(Disturbance(at_ms, PARTITION, side, prng.between(100, 3000)))
    return found
