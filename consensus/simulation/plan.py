"""One run, as data: who takes part, who is faulty, what goes wrong and when. Frozen, and written as JSON.

A plan says everything that a run depends on but the protocol itself, so a failing one is kept as it is, whatever
becomes of the generator that drew it (`swarm`). Knows no replica: `cluster` plays it.
"""

from __future__ import annotations

import msgspec


class NetworkFaults(msgspec.Struct, frozen=True):
    """How badly messages travel, in thousandths and milliseconds."""

    loss_permille: int = 0
    duplicate_permille: int = 0
    delay_min_ms: int = 1
    delay_max_ms: int = 10
    slow_permille: int = 0  # of messages that take up to ten times as long


class Disturbance(msgspec.Struct, frozen=True):
    """One thing that goes wrong for a while; what, and what `amount` means, is told in `disturbances`."""

    at_ms: int
    kind: str
    members: tuple[int, ...] = ()
    for_ms: int = 0
    amount: int = 0


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run. Faults end at `heal_ms`, members that are faulty stay so; then it has `finish_ms` to commit everything.

    Faulty members, together at most t of power: `byzantine` lie (member, the name of the behaviour), `twins` run as two
    processes with one key, `forgetful` lose their journal at every crash, `restored` get an older copy of journal or
    store back, `skewed` (member, milliseconds) have a wrong clock to the end, `diverges` (member, height) execute
    otherwise than the others from that height on.
    """

    seed: int
    members: int = 4
    powers: tuple[int, ...] = ()
    byzantine: tuple[tuple[int, str], ...] = ()
    collude: bool = False  # Byzantine members sign with each other's keys
    twins: tuple[int, ...] = ()
    forgetful: tuple[int, ...] = ()
    restored: tuple[int, ...] = ()
    skewed: tuple[tuple[int, int], ...] = ()
    diverges: tuple[tuple[int, int], ...] = ()
    network: NetworkFaults = NetworkFaults()
    disturbances: tuple[Disturbance, ...] = ()
    crashes: int = 0  # short for so many crashes at times drawn from the seed
    partitions: int = 0  # short for so many symmetric partitions
    transactions: int = 20  # submitted all the time until `heal_ms`
    window: int = 4
    request_timeout_ms: int = 1000
    timeout_max_ms: int = 8000
    heal_ms: int = 10_000
    finish_ms: int = 90_000
    snapshot_permille: int = 200  # how often a node rewrites its journal, a sealed block

    def encode(self) -> str:
        """As a line of JSON; what stands at its default is left out."""
        shown = {
            field.encode_name: getattr(self, field.name)
            for field in msgspec.structs.fields(self)
            if getattr(self, field.name) != field.default
        }
        return msgspec.json.encode(shown).decode()

    @staticmethod
    def decode(line: str) -> Plan:
        """From a line of JSON. Raises `msgspec.ValidationError`."""
        return msgspec.json.decode(line, type=Plan)
