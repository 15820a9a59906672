"""Certificates for an attack: put together from overheard signatures and the colluders' own, then often spoilt."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.messages import CHECKPOINT, PREPARE, Body, Vote
from ledger.types import HEIGHT_MAX, Batch, Checkpoint, Seal, SealSignature
from scripts.fuzz_lore import Lore

Certified = tuple[int, int, bytes, tuple[SealSignature, ...], Batch]  # (view, height, digest, signatures, its batch)


class Forger:
    """Signs for the colluders, and for nobody else."""

    def __init__(self, lore: Lore, colluders: Sequence[int]) -> None:
        self._lore = lore
        self._colluders = tuple(colluders)

    def signatures(self, kind: str, view: int, height: int, digest: bytes) -> tuple[SealSignature, ...]:
        """All that is known for a place and all that colluders add; then often spoilt in one way."""
        found = dict(self._lore.votes.get((kind, view, height, digest), {}))
        for member in self._colluders:
            if member not in found and self._lore.prng.chance(900):
                body: Body = Vote(0, view, height, member, digest)
                if kind == CHECKPOINT:
                    body = Checkpoint(0, height, member, digest)
                found[member] = self._lore.cast.sign(kind, member, body.encode())
        signatures = [SealSignature(member, found[member]) for member in sorted(found)]
        return tuple(self._spoil(signatures))

    def _spoil(self, signatures: list[SealSignature]) -> list[SealSignature]:
        """Repeat a signer, add garbage at the end, swap, take from elsewhere; or leave it whole."""
        luck = self._lore.prng.below(12)
        if not signatures or luck > 5:
            return signatures
        at = self._lore.prng.below(len(signatures))
        if luck == 0:
            return [*signatures[: at + 1], *signatures[at:]]
        if luck == 1:
            return [*signatures, SealSignature(self._lore.prng.below(1024), self._lore.some_bytes(64))]
        if luck == 2:
            return signatures[::-1]
        if luck == 3:
            return signatures[:at]
        elsewhere = [each for kept in self._lore.votes.values() for each in kept.items()]
        member, signature = self._lore.one(elsewhere) if elsewhere else (at, bytes(64))
        spoilt = SealSignature(signatures[at].member if luck == 4 else member, signature)
        return [*signatures[:at], spoilt, *signatures[at + 1 :]]

    def _place(self, kind: str) -> tuple[int, int, bytes]:
        """A place that signatures are known for, or else one near the target, of a known batch."""
        known = [place for place in self._lore.votes if place[0] == kind]
        if known and self._lore.prng.chance(800):
            _, view, height, digest = self._lore.one(known)
            if self._lore.prng.chance(150):
                view = self._lore.near_view()  # signatures of another slot
            return view, height, digest
        return self._lore.near_view(), self._lore.near_height(), self._lore.digest()

    def seal(self) -> Seal | None:
        """A seal, none, or something like one."""
        if self._lore.prng.chance(300):
            return None
        _, height, header_hash = self._place(CHECKPOINT)
        return Seal(self._lore.epoch(), height, header_hash, self.signatures(CHECKPOINT, 0, height, header_hash))

    def _by_digest(self, digest: bytes, height: int, view: int) -> Batch:
        for batch in self._lore.batches:
            if batch.digest == digest:
                return batch
        return self._lore.batch(height, max(0, view))

    def certified(self, kind: str) -> list[Certified]:
        """A few certificates with their batches, mostly at ascending heights."""
        found = {}
        for _ in range(self._lore.prng.below(4)):
            view, height, digest = self._place(kind)
            batch = self._by_digest(digest, height, view)
            if batch.digest != digest and self._lore.prng.chance(900):
                height, digest = batch.height, batch.digest
            found[height] = (view, height, digest, self.signatures(kind, view, height, digest), batch)
        ordered = [found[height] for height in sorted(found)]
        return ordered[::-1] if self._lore.prng.chance(30) else ordered

    def claims_above(self, seal: Seal | None, view: int) -> list[Certified]:
        """Certificates where a VIEW-CHANGE may have them, for batches that fit, with whatever signatures there are."""
        base = seal.height if seal else 0
        claims = []
        for height in range(base + 1, base + 1 + self._lore.prng.between(1, self._lore.cast.parameters.window)):
            here = [batch for batch in self._lore.batches if batch.height == height]
            batch = self._lore.one(here) if here and self._lore.prng.chance(500) else self._lore.batch(height, 0)
            its_view = self._lore.prng.below(view) if 0 < view < HEIGHT_MAX else 0
            signatures = self.signatures(PREPARE, its_view, height, batch.digest)
            claims.append((its_view, height, batch.digest, signatures, batch))
        return claims
