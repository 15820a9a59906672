"""Whether a plan is one that can be played, and says something: members that exist, faults that exist, a fault bound.

For plans that a person wrote or changed. A network with more faulty power than it bears breaks every rule, and that
says nothing about the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.simulation.byzantine import BEHAVIOURS
from consensus.simulation.disturbances import KINDS
from consensus.simulation.plan import Disturbance, NetworkFaults, Plan

MEMBERS_MAX = 40
WINDOW_MAX = 256
TRANSACTIONS_MAX = 100_000
DISTURBANCES_MAX = 10_000
TIME_MS_MAX = 86_400_000
POWER_MAX = 1 << 32


def check(plan: Plan) -> None:
    """Raises `ValueError` naming the field, what was found and what is allowed."""
    _within("members", plan.members, 1, MEMBERS_MAX)
    if len(plan.powers) not in (0, plan.members):
        raise ValueError(f"powers: {len(plan.powers)} of them, expected none or {plan.members}, one a member")
    for power in plan.powers:
        _within("powers", power, 1, POWER_MAX)
    _within("window", plan.window, 1, WINDOW_MAX)
    _within("transactions", plan.transactions, 0, TRANSACTIONS_MAX)
    for name in ("heal_ms", "finish_ms", "request_timeout_ms", "timeout_max_ms"):
        _within(name, getattr(plan, name), 1, TIME_MS_MAX)
    for name in ("crashes", "partitions"):
        _within(name, getattr(plan, name), 0, DISTURBANCES_MAX)
    _within("snapshot_permille", plan.snapshot_permille, 0, 1000)
    _check_network(plan.network)
    _check_faulty(plan)
    _within("disturbances", len(plan.disturbances), 0, DISTURBANCES_MAX)
    for what in plan.disturbances:
        _check_disturbance(plan, what)


def faulty(plan: Plan) -> list[int]:
    """The members that do not follow the protocol, ascending."""
    found = {member for member, _ in _listed(plan)}
    return sorted(found)


def bears(plan: Plan, members: list[int]) -> bool:
    """Whether those have less than a third of the power."""
    powers = plan.powers or (1,) * plan.members
    return 3 * sum(powers[member] for member in members) < sum(powers)


def _listed(plan: Plan) -> Iterator[tuple[int, str]]:
    """(member, the field that says that it is faulty)"""
    yield from ((member, "byzantine") for member, _ in plan.byzantine)
    yield from ((member, "skewed") for member, _ in plan.skewed)
    yield from ((member, "diverges") for member, _ in plan.diverges)
    for name in ("twins", "forgetful", "restored"):
        yield from ((member, name) for member in getattr(plan, name))


def _check_network(network: NetworkFaults) -> None:
    for name in ("loss_permille", "duplicate_permille", "slow_permille"):
        _within(f"network.{name}", getattr(network, name), 0, 1000)
    _within("network.delay_min_ms", network.delay_min_ms, 0, TIME_MS_MAX)
    _within("network.delay_max_ms", network.delay_max_ms, network.delay_min_ms, TIME_MS_MAX)


def _check_faulty(plan: Plan) -> None:
    for member, name in _listed(plan):
        _within(name, member, 0, plan.members - 1)
    for _, how in plan.byzantine:
        _known("byzantine", how.split("+"), BEHAVIOURS)
    for _, off_ms in plan.skewed:
        _within("skewed", abs(off_ms), 0, TIME_MS_MAX)
    if not bears(plan, faulty(plan)):
        shown = ", ".join(map(str, faulty(plan)))
        raise ValueError(f"members {shown} are faulty: that is a third of the power or more, which no protocol bears")


def _check_disturbance(plan: Plan, what: Disturbance) -> None:
    _known("disturbances", [what.kind], KINDS)
    for member in what.members:
        _within(f"disturbances, {what.kind}", member, 0, plan.members - 1)
    for name in ("at_ms", "for_ms"):
        _within(f"disturbances, {what.kind}.{name}", getattr(what, name), 0, TIME_MS_MAX)
    _within(f"disturbances, {what.kind}.amount", abs(what.amount), 0, TIME_MS_MAX)


def _within(name: str, found: int, low: int, high: int) -> None:
    if not low <= found <= high:
        raise ValueError(f"{name}: {found}, expected {low} to {high}")


def _known(name: str, found: list[str], known: tuple[str, ...]) -> None:
    for each in found:
        if each not in known:
            raise ValueError(f"{name}: no {each!r}; there are {', '.join(known)}")
