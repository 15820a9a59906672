"""What goes wrong in a simulated run: a seeded schedule of network and crash faults, and Byzantine members.

A Byzantine member runs the honest replica and bends what it lets out: `Tamper` sees each message before the network
and returns what each receiver gets. It holds that member's key and no other.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from consensus.committee import Sign
from consensus.messages import (
    CHECKPOINT,
    PRE_PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    Body,
    Envelope,
    Suspect,
    ViewChange,
    Vote,
    open_envelope,
)
from ledger.crypto import signing_message
from ledger.types import Batch, Checkpoint

_MASK = (1 << 64) - 1


class Prng:
    """SplitMix64: small, seeded, the same on every machine. The simulator's only source of chance."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def next(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, limit: int) -> int:
        """0 to limit - 1."""
        return self.next() % limit

    def between(self, low: int, high: int) -> int:
        """low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, permille: int) -> bool:
        """True in so many of a thousand cases."""
        return self.below(1000) < permille


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


# ── Byzantine members ─────────────────────────────────────────────────────────────────────────────

Outgoing = list[tuple[int, bytes]]  # (receiver, message)


class Tamper:
    """Bends one member's messages. Stateless but for its chance."""

    def __init__(self, behaviour: str, members: int, chain_id: bytes, sign: Sign, prng: Prng) -> None:
        self._bend: Callable[[int, Envelope, Body], list[Envelope]] = getattr(self, "_" + behaviour)
        self._members = members
        self._chain_id = chain_id
        self._sign = sign
        self._prng = prng

    def bend(self, receivers: list[int], data: bytes) -> Outgoing:
        """What each receiver gets instead of `data`."""
        envelope, body = open_envelope(data)
        return [(receiver, bent.encode()) for receiver in receivers for bent in self._bend(receiver, envelope, body)]

    def _signed(self, kind: str, body: Body, batches: tuple[Batch, ...] = ()) -> Envelope:
        encoded = body.encode()
        signature = self._sign(signing_message(kind, self._chain_id, encoded))
        return msgspec.convert((kind, encoded, signature, batches), Envelope)

    def _mute(self, _receiver: int, _envelope: Envelope, _body: Body) -> list[Envelope]:
        return []

    def _choosy(self, receiver: int, envelope: Envelope, _body: Body) -> list[Envelope]:
        """Talks to half of the members only."""
        return [envelope] if receiver % 2 else []

    def _equivocate(self, receiver: int, envelope: Envelope, body: Body) -> list[Envelope]:
        """Two proposals, and votes for both: one half of the members sees the one, the rest the other."""
        if not isinstance(body, Vote) or receiver % 2 == 0:
            return [envelope]
        if envelope.kind == PRE_PREPARE:
            other = _other_batch(envelope.batches[0])
            return [self._signed(PRE_PREPARE, msgspec.structs.replace(body, digest=other.digest), (other,))]
        return [envelope]

    def _double_vote(self, receiver: int, envelope: Envelope, body: Body) -> list[Envelope]:
        """Another digest for every other receiver, both for some."""
        if not isinstance(body, Vote) or envelope.kind == PRE_PREPARE or receiver % 2 == 0:
            return [envelope]
        bent = self._signed(envelope.kind, msgspec.structs.replace(body, digest=bytes([self._prng.below(3)]) * 32))
        return [bent, envelope] if self._prng.chance(500) else [bent]

    def _wrong_header(self, _receiver: int, envelope: Envelope, body: Body) -> list[Envelope]:
        """Claims another execution."""
        if not isinstance(body, Checkpoint):
            return [envelope]
        return [self._signed(CHECKPOINT, msgspec.structs.replace(body, header_hash=b"\xee" * 32))]

    def _hide_prepared(self, _receiver: int, envelope: Envelope, body: Body) -> list[Envelope]:
        """Leaves views without saying what it prepared, and claims no seal."""
        if not isinstance(body, ViewChange):
            return [envelope]
        return [self._signed(VIEW_CHANGE, msgspec.structs.replace(body, seal=None, prepared=()))]

    def _impatient(self, _receiver: int, envelope: Envelope, body: Body) -> list[Envelope]:
        """Suspects everybody all the time, and asks for views far ahead."""
        if not isinstance(body, Vote):
            return [envelope]
        doubt = Suspect(body.epoch, body.view, body.height + 1, body.sender)
        away = ViewChange(body.epoch, body.view + 1 + self._prng.below(1000), body.sender, None, ())
        return [envelope, self._signed(SUSPECT, doubt), self._signed(VIEW_CHANGE, away)]

    def _mutate(self, _receiver: int, envelope: Envelope, body: Body) -> list[Envelope]:
        """View, height or digest off by one, validly signed (ByzzFuzz)."""
        if not isinstance(body, Vote) or self._prng.chance(600):
            return [envelope]
        places = (
            {"view": max(0, body.view + self._prng.between(-1, 1))},
            {"height": max(0, body.height + self._prng.between(-1, 1))},
            {"digest": bytes(reversed(body.digest))},
        )
        bent = msgspec.structs.replace(body, **places[self._prng.below(3)])
        return [self._signed(envelope.kind, bent, envelope.batches)]

    def _repeat(self, _receiver: int, envelope: Envelope, _body: Body) -> list[Envelope]:
        """Says everything four times."""
        return [envelope] * 4


def _other_batch(batch: Batch) -> Batch:
    """Another proper batch for the same place: as many as half of its transactions, or a moment later."""
    if len(batch.hashes) > 1:
        return msgspec.structs.replace(batch, hashes=batch.hashes[: len(batch.hashes) // 2])
    return msgspec.structs.replace(batch, time_ms=batch.time_ms + 1)


BEHAVIOURS = (
    "equivocate",
    "mute",
    "choosy",
    "double_vote",
    "wrong_header",
    "hide_prepared",
    "impatient",
    "mutate",
    "repeat",
)
