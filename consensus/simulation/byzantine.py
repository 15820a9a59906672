"""Byzantine members: a replica of the honest kind whose messages are bent before the network gets them.

`Tamper` sees each message and returns what each receiver gets. It holds that member's key and no other.
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
from consensus.simulation.prng import Prng
from ledger.crypto import signing_message
from ledger.types import Batch, Checkpoint

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
