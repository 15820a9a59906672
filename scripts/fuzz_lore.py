"""What an attacker knows of one run, and its chance: overheard messages, where its target stands, values near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from consensus.errors import MessageRefused
from consensus.messages import CHECKPOINT, Envelope, Status, ViewChange, Vote, open_envelope
from consensus.simulation.prng import Prng
from consensus.simulation.stubs import EPOCH_START_MS
from ledger.types import HEIGHT_MAX, Batch, Checkpoint, Seal
from scripts.cast import Cast

T = TypeVar("T")

POOL_MAX = 256  # messages remembered of one run
KEPT_MAX = 64  # batches, and VIEW-CHANGEs
HUGE = (-1, -(1 << 63), 1 << 31, HEIGHT_MAX, HEIGHT_MAX + 1, (1 << 63) - 1, (1 << 64) - 1)


class Lore:
    """Grows with every message that passes by; old ones give way by chance."""

    def __init__(self, cast: Cast, prng: Prng) -> None:
        self.cast = cast
        self.prng = prng
        self.pool: list[bytes] = []
        self.batches: list[Batch] = []
        self.view_changes: list[Envelope] = []
        self.votes: dict[tuple[str, int, int, bytes], dict[int, bytes]] = {}  # place -> signatures by member
        self.best_seal: Seal | None = None
        self.view = self.sealed = 0  # the target's

    # ── what it knows ─────────────────────────────────────────────────────────────────────────────

    def overhear(self, data: bytes) -> None:
        """A message of the run passes by. A colluder's may have no form: its replica met its own key elsewhere."""
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:
            return
        if len(self.pool) < POOL_MAX:
            self.pool.append(data)
        else:
            self.pool[self.prng.below(POOL_MAX)] = data
        for batch in envelope.batches:
            self.keep(self.batches, batch)
        if isinstance(body, Vote):
            self.votes.setdefault((envelope.kind, body.view, body.height, body.digest), {})[body.sender] = (
                envelope.signature
            )
        elif isinstance(body, Checkpoint):
            place = (CHECKPOINT, 0, body.height, body.header_hash)
            self.votes.setdefault(place, {})[body.sender] = envelope.signature
        elif isinstance(body, Status) and body.seal:
            if self.best_seal is None or body.seal.height > self.best_seal.height:
                self.best_seal = body.seal
        elif isinstance(body, ViewChange):
            self.keep(self.view_changes, envelope)

    def keep(self, kept: list[T], one: T) -> None:
        """Keep one more, in the place of another when there are too many."""
        if len(kept) < KEPT_MAX:
            kept.append(one)
        else:
            kept[self.prng.below(KEPT_MAX)] = one

    # ── chance ────────────────────────────────────────────────────────────────────────────────────

    def one(self, choices: Sequence[T]) -> T:
        """Any of these."""
        return choices[self.prng.below(len(choices))]

    def some_bytes(self, count: int) -> bytes:
        """So many bytes of chance."""
        words = b"".join(self.prng.next().to_bytes(8, "big") for _ in range(count // 8 + 1))
        return words[:count]

    def message(self) -> bytes:
        """Any message that passed by."""
        return self.one(self.pool) if self.pool else b""

    def near_view(self) -> int:
        """A view about where the target is; rarely one that is far off."""
        if self.prng.chance(30):
            return self.one(HUGE)
        return max(0, self.view + self.one((-1, 0, 0, 0, 1, 1, 2, 3)))

    def near_height(self) -> int:
        """A height about where the target is; rarely one that is far off."""
        if self.prng.chance(30):
            return self.one(HUGE)
        return self.sealed + self.prng.between(0, 2 * self.cast.parameters.window + 1)

    def digest(self) -> bytes:
        """A known batch's digest, or none's."""
        if self.batches and self.prng.chance(800):
            return self.one(self.batches).digest
        return self.some_bytes(32)

    def batch(self, height: int, view: int, proposer: int | None = None) -> Batch:
        """A batch for a place: known transactions mostly; sometimes empty, repeated, unknown or far too many."""
        known = [each for batch in self.batches for each in batch.hashes]
        luck = self.prng.below(12)
        hashes = tuple(self.one(known) for _ in range(self.prng.between(1, 2))) if known else (bytes(32),)
        if luck == 0:
            hashes = ()
        elif luck == 1:
            hashes *= 2
        elif luck == 2:
            hashes = (self.some_bytes(32),)
        elif luck == 3:
            hashes = tuple(self.some_bytes(32) for _ in range(self.cast.parameters.block_transactions_max + 1))
        time_ms = EPOCH_START_MS + self.one((0, 1_000, 10_000, 3_600_000, -1_000))
        since = self.one([batch.since for batch in self.batches] or [1])
        by = self.prng.below(self.cast.size) if proposer is None else proposer
        return Batch(0, height, view, by, time_ms, hashes, since)

    def epoch(self) -> int:
        """The epoch, or rarely another."""
        return 0 if self.prng.chance(980) else self.one((1, HEIGHT_MAX))
