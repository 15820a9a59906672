"""Every message that differs from a given one in a single field, signed again by its faulty sender.

A pure enumeration, in a fixed order: integers one up, one down, zero and largest; bytes with one bit turned, zeroed,
cut; lists with one entry dropped, repeated, swapped; None and a value exchanged; a truth value turned; structures and
the bodies within bodies likewise. Beside the single fields stand those pairs that only make sense together: a
proposal whose vote names the bent batch, and a certificate hidden with its batch. Knows no rule of the protocol.
(After Winter et al., "Randomized Testing of Byzantine Fault Tolerant Algorithms" (ByzzFuzz), OOPSLA 2023.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast, get_args

import msgspec

from consensus.messages import (
    PRE_PREPARE,
    STATUS,
    VIEW_CHANGE,
    Body,
    Envelope,
    Kind,
    SignedViewChange,
    Status,
    ViewChange,
    Vote,
    open_body,
    open_envelope,
)
from ledger.errors import LedgerError
from ledger.types import HEIGHT_MAX, Batch, Seal

KINDS: tuple[Kind, ...] = get_args(Kind)
UINT64_MAX = (1 << 64) - 1

Sign = Callable[[str, bytes], bytes]  # (kind, body) -> the faulty member's signature
Variant = tuple[str, Any]  # (what was done, the value)
Bent = tuple[str, bytes]  # (what was done, the message)


class Bender:
    """Bends the messages of one faulty member. `seal` is what stands in where a message has none."""

    def __init__(self, member: int, sign: Sign, seal: Seal | None = None) -> None:
        self._member = member
        self._sign = sign
        self._seal = seal

    def bend(self, data: bytes) -> Iterator[Bent]:
        """Every bent form of one message, each different from it."""
        envelope, body = open_envelope(data)
        seen = {data}
        for name, bent in self._all(envelope, body):
            if bent not in seen:
                seen.add(bent)
                yield f"{envelope.kind}: {name}", bent

    def _all(self, envelope: Envelope, body: Body) -> Iterator[Bent]:
        for name, changed in self._struct(body):
            yield name, self._signed(envelope.kind, changed, envelope.batches)
        for kind in KINDS:
            yield f"kind {kind}", self._signed(kind, body, envelope.batches)
        for name, signature in self._bytes(envelope.signature):
            yield f"signature {name}", msgspec.structs.replace(envelope, signature=signature).encode()
        for name, raw in self._bytes(envelope.body):
            yield f"body {name}", self._signed_raw(envelope.kind, raw, envelope.batches)
        for name, batches in self._tuple(envelope.batches):
            yield f"batches {name}", msgspec.structs.replace(envelope, batches=batches).encode()
        yield from self._pairs(envelope, body)

    # ── pairs that belong together ────────────────────────────────────────────────────────────────

    def _pairs(self, envelope: Envelope, body: Body) -> Iterator[Bent]:
        if isinstance(body, Vote) and envelope.kind == PRE_PREPARE:
            yield from self._proposals(body, envelope.batches[0])
        if isinstance(body, ViewChange):
            for at in range(len(body.prepared)):
                less = msgspec.structs.replace(body, prepared=_without(body.prepared, at))
                yield f"hides {at}", self._signed(VIEW_CHANGE, less, _without(envelope.batches, at))
        if isinstance(body, Status):
            for at in range(len(body.final)):
                less_said = msgspec.structs.replace(body, final=_without(body.final, at))
                yield f"hides {at}", self._signed(STATUS, less_said, _without(envelope.batches, at))

    def _proposals(self, vote: Vote, batch: Batch) -> Iterator[Bent]:
        for name, other in self._struct(batch):
            try:
                digest = other.digest
            except LedgerError:
                continue
            moved = msgspec.structs.replace(vote, view=other.view, height=other.height, digest=digest)
            yield f"proposes {name}", self._signed(PRE_PREPARE, moved, (other,))

    # ── one field ─────────────────────────────────────────────────────────────────────────────────

    def _struct(self, value: Any) -> Iterator[Variant]:
        for name in value.__struct_fields__:
            for what, changed in self._field(name, getattr(value, name), value):
                yield f"{name} {what}", msgspec.structs.replace(value, **{name: changed})

    def _field(self, name: str, value: Any, owner: Any) -> Iterator[Variant]:
        if isinstance(owner, SignedViewChange) and name == "body":
            yield from self._inner_body(value)
        if name == "seal":
            yield from self._optional(value)
        yield from self._value(value)

    def _value(self, value: Any) -> Iterator[Variant]:
        if isinstance(value, bool):
            yield "turned", not value
        elif isinstance(value, int):
            yield from self._int(value)
        elif isinstance(value, bytes):
            yield from self._bytes(value)
        elif isinstance(value, tuple):
            yield from self._tuple(value)
        elif isinstance(value, msgspec.Struct):
            yield from self._struct(value)

    @staticmethod
    def _int(value: int) -> Iterator[Variant]:
        for other in dict.fromkeys((value - 1, value + 1, 0, HEIGHT_MAX, UINT64_MAX)):
            if other != value:
                yield f"{value} -> {other}", other

    @staticmethod
    def _bytes(value: bytes) -> Iterator[Variant]:
        if value:
            yield "bit turned", bytes([value[0] ^ 1]) + value[1:]
            yield "zeroed", bytes(len(value))
            yield "cut", value[:-1]
        yield "longer", value + b"\x00"

    def _tuple(self, value: tuple[Any, ...]) -> Iterator[Variant]:
        if value:
            yield "emptied", ()
        for at, each in enumerate(value):
            yield f"[{at}] dropped", _without(value, at)
            yield f"[{at}] repeated", (*value[: at + 1], *value[at:])
            if at:
                yield f"[{at - 1}] swapped", (*value[: at - 1], each, value[at - 1], *value[at + 1 :])
            for what, changed in self._value(each) if not isinstance(each, SignedViewChange) else self._struct(each):
                yield f"[{at}] {what}", (*value[:at], changed, *value[at + 1 :])

    def _optional(self, value: Seal | None) -> Iterator[Variant]:
        if value is not None:
            yield "left out", None
        elif self._seal is not None:
            yield "claimed", self._seal

    def _inner_body(self, raw: bytes) -> Iterator[Variant]:
        """The body of a VIEW-CHANGE inside a NEW-VIEW. Its own signature no longer fits, whoever signed it."""
        inner = open_body(VIEW_CHANGE, raw)
        for what, changed in self._struct(inner):
            yield f"({what})", cast(Body, changed).encode()

    # ── signing ───────────────────────────────────────────────────────────────────────────────────

    def _signed(self, kind: Kind, body: Body, batches: Sequence[Batch]) -> bytes:
        return self._signed_raw(kind, body.encode(), batches)

    def _signed_raw(self, kind: Kind, body: bytes, batches: Sequence[Batch]) -> bytes:
        return Envelope(kind, body, self._sign(kind, body), tuple(batches)).encode()


def _without(entries: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    return entries[:at] + entries[at + 1 :]
