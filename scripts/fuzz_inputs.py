"""Bytes for an attack on replicas: garbage, bent and spliced messages, forged certificates, and well-signed lies.

An `Attacker` listens to the traffic of one run, knows where its target stands, and signs for the members that it
controls, and for no other. What it makes follows from its chance alone. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec

from consensus.errors import MessageRefused
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    MESSAGE_BYTES_MAX,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    Body,
    CommitCertificate,
    Envelope,
    Kind,
    NewView,
    PreparedCertificate,
    SignedViewChange,
    Status,
    Suspect,
    ViewChange,
    Vote,
    open_envelope,
)
from consensus.replica import Replica
from consensus.simulation.prng import Prng
from consensus.simulation.stubs import EPOCH_START_MS
from ledger.crypto import signing_message
from ledger.types import HEIGHT_MAX, Batch, Checkpoint, Seal, SealSignature
from scripts.bend import Bender
from scripts.cast import Cast

POOL_MAX = 256  # messages remembered of one run
BENT_MAX = 64  # messages whose bent forms are kept
KINDS: tuple[Kind, ...] = get_args(Kind)
HUGE = (-1, -(1 << 63), 1 << 31, HEIGHT_MAX, HEIGHT_MAX + 1, (1 << 63) - 1, (1 << 64) - 1)
TOO_LARGE = bytes(MESSAGE_BYTES_MAX + 1)
WEIRD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, "", "commit", b"", bytes(31), bytes(32), bytes(33), bytes(64), [], {}, {"a": 1},
    [[[[[]]]]], msgspec.msgpack.Ext(1, b"\x01"), msgspec.msgpack.Ext(5, b""), *HUGE[1:],
)  # fmt: skip

Certified = tuple[int, int, bytes, tuple[SealSignature, ...], Batch]  # (view, height, digest, signatures, its batch)


class Attacker:
    """Makes one input after the other for a chosen target."""

    def __init__(self, cast: Cast, colluders: Sequence[int], prng: Prng) -> None:
        self._cast = cast
        self._colluders = tuple(colluders)
        self._prng = prng
        self._pool: list[bytes] = []
        self._batches: list[Batch] = []
        self._view_changes: list[Envelope] = []
        self._votes: dict[tuple[str, int, int, bytes], dict[int, bytes]] = {}  # place -> signatures by member
        self._bent: dict[bytes, list[bytes]] = {}
        self._best_seal: Seal | None = None
        self._view = self._sealed = self._delivered = 0
        unsigned = [self._garbage, self._bytes_bent, self._bytes_bent, self._tree_bent, self._batches_wrong]
        unsigned += [self._replay, self._replay, self._misdirected]
        signed = [self._field_bent, self._vote, self._vote, self._proposal, self._checkpoint, self._suspect]
        signed += [self._view_change, self._new_view, self._status, self._tree_signed]
        if sum(cast.powers[member] for member in self._colluders) >= cast.committee.quorum:
            signed.append(self._contradiction)
        self._makers: list[Callable[[], bytes]] = unsigned + (2 * signed if self._colluders else [])

    # ── what it knows ─────────────────────────────────────────────────────────────────────────────

    def overhear(self, data: bytes) -> None:
        """A message of the run passes by. A colluder's may have no form: its replica met its own key elsewhere."""
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:
            return
        if len(self._pool) < POOL_MAX:
            self._pool.append(data)
        else:
            self._pool[self._prng.below(POOL_MAX)] = data
        for batch in envelope.batches:
            self._keep(self._batches, batch)
        if isinstance(body, Vote):
            self._votes.setdefault((envelope.kind, body.view, body.height, body.digest), {})[body.sender] = (
                envelope.signature
            )
        elif isinstance(body, Checkpoint):
            place = (CHECKPOINT, 0, body.height, body.header_hash)
            self._votes.setdefault(place, {})[body.sender] = envelope.signature
        elif isinstance(body, Status) and body.seal:
            if self._best_seal is None or body.seal.height > self._best_seal.height:
                self._best_seal = body.seal
        elif isinstance(body, ViewChange):
            self._keep(self._view_changes, envelope)

    def _keep(self, kept: list[Any], one: Any) -> None:
        if len(kept) < BENT_MAX:
            kept.append(one)
        else:
            kept[self._prng.below(BENT_MAX)] = one

    def next(self, target: Replica) -> bytes:
        """The next input for that replica."""
        self._view, self._sealed = target.view, target.sealed_height
        self._delivered = target.delivered_height
        maker: Callable[[], bytes] = self._one(self._makers)
        return maker()

    # ── chance ────────────────────────────────────────────────────────────────────────────────────

    def _one(self, choices: Sequence[Any]) -> Any:
        return choices[self._prng.below(len(choices))]

    def _some_bytes(self, count: int) -> bytes:
        words = b"".join(self._prng.next().to_bytes(8, "big") for _ in range(count // 8 + 1))
        return words[:count]

    def _message(self) -> bytes:
        return self._one(self._pool) if self._pool else b""

    def _near_view(self) -> int:
        if self._prng.chance(30):
            return self._one(HUGE)  # type: ignore[no-any-return]
        return max(0, self._view + self._one((-1, 0, 0, 0, 1, 1, 2, 3)))  # type: ignore[no-any-return]

    def _near_height(self) -> int:
        if self._prng.chance(30):
            return self._one(HUGE)  # type: ignore[no-any-return]
        return self._sealed + self._prng.between(0, 2 * self._cast.parameters.window + 1)

    def _sender(self) -> int:
        return self._one(self._colluders)  # type: ignore[no-any-return]

    def _digest(self) -> bytes:
        if self._batches and self._prng.chance(800):
            return self._one(self._batches).digest  # type: ignore[no-any-return]
        return self._some_bytes(32)

    def _signed(self, kind: Kind, body: Body, sender: int, batches: Sequence[Batch] = ()) -> bytes:
        """Signed as it should be, mostly; now and then for another chain, kind or by another colluder."""
        encoded = body.encode()
        luck = self._prng.below(100)
        if luck == 0:
            other = signing_message(kind, bytes(32), encoded)  # another chain
            signature = self._cast.pens[sender](other)
        elif luck == 1:
            signature = self._cast.sign(self._one(KINDS), sender, encoded)
        elif luck == 2:
            signature = self._some_bytes(64)
        else:
            signature = self._cast.sign(kind, sender, encoded)
        return Envelope(kind, encoded, signature, tuple(batches)).encode()

    # ── without a key ─────────────────────────────────────────────────────────────────────────────

    def _garbage(self) -> bytes:
        return self._some_bytes(self._prng.below(300))

    def _bytes_bent(self) -> bytes:
        raw = bytearray(self._message())
        luck = self._prng.below(10)
        if luck == 0:
            return bytes(raw[: self._prng.below(len(raw) + 1)])
        if luck == 1:
            other, at = self._message(), self._prng.below(len(raw) + 1)
            return bytes(raw[:at]) + other[min(at, len(other)) :]
        if luck == 2:
            return bytes(raw) + self._some_bytes(self._prng.between(1, 9))
        for _ in range(self._prng.between(1, 4) if raw else 0):
            raw[self._prng.below(len(raw))] = self._prng.below(256)
        return bytes(raw)

    def _tree_bent(self) -> bytes:
        """A real message with one node of its msgpack tree replaced: any type, any depth."""
        try:
            tree = msgspec.msgpack.decode(self._message())
        except msgspec.DecodeError:
            return b"\xc1"
        return msgspec.msgpack.encode(self._bend_tree(tree))

    def _bend_tree(self, tree: Any) -> Any:
        if not isinstance(tree, list) or not tree or self._prng.chance(150):
            if self._prng.chance(20):
                return msgspec.Raw(b"\x91" * self._prng.between(60, 5_000) + b"\xc0")  # nested so deep
            return self._one(WEIRD)
        at = self._prng.below(len(tree))
        luck = self._prng.below(8)
        if luck == 0:
            return [*tree[:at], *tree[at + 1 :]]
        if luck == 1:
            return [*tree[:at], tree[at], *tree[at:]]
        return [*tree[:at], self._bend_tree(tree[at]), *tree[at + 1 :]]

    def _batches_wrong(self) -> bytes:
        """Batches ride outside of the signature: anybody on the way can change them."""
        try:
            envelope, _ = open_envelope(self._message())
        except MessageRefused:
            return b""
        batches = list(envelope.batches)
        luck = self._prng.below(5)
        if luck == 0 or not batches:
            batches.append(self._batch(self._near_height(), self._near_view()))
        elif luck == 1:
            batches.pop(self._prng.below(len(batches)))
        elif luck == 2:
            batches.reverse()
        elif luck == 3:
            batches *= 2
        else:
            at = self._prng.below(len(batches))
            batches[at] = msgspec.structs.replace(batches[at], time_ms=self._prng.below(HEIGHT_MAX))
        return msgspec.structs.replace(envelope, batches=tuple(batches)).encode()

    def _replay(self) -> bytes:
        return self._message()

    def _misdirected(self) -> bytes:
        """A signed body under another kind, or with another message's signature."""
        try:
            one, _ = open_envelope(self._message())
            other, _ = open_envelope(self._message())
        except MessageRefused:
            return b""
        if self._prng.chance(500):
            return msgspec.structs.replace(one, kind=self._one(KINDS)).encode()
        return msgspec.structs.replace(one, signature=other.signature).encode()

    # ── with the colluders' keys ──────────────────────────────────────────────────────────────────

    def _field_bent(self) -> bytes:
        """A true message of a colluder with one field bent (`bend`)."""
        data, sender = self._message(), self._sender()
        try:
            body = open_envelope(data)[1]
        except MessageRefused:
            return data
        if body.sender not in self._colluders:
            return self._vote()
        if data not in self._bent:
            if len(self._bent) >= BENT_MAX:
                return self._vote()
            sender = body.sender
            bender = Bender(sender, lambda kind, raw: self._cast.sign(kind, sender, raw), self._seal())
            self._bent[data] = [bent for _, bent in bender.bend(data)]
        return self._one(self._bent[data])  # type: ignore[no-any-return]

    def _tree_signed(self) -> bytes:
        """Any tree as a body, well signed."""
        try:
            envelope, _ = open_envelope(self._message())
        except MessageRefused:
            return b""
        raw = msgspec.msgpack.encode(self._bend_tree(msgspec.msgpack.decode(envelope.body)))
        signature = self._cast.sign(envelope.kind, self._sender(), raw)
        return Envelope(envelope.kind, raw, signature, envelope.batches).encode()

    def _batch(self, height: int, view: int, proposer: int | None = None) -> Batch:
        """A batch for a place: known transactions mostly; sometimes empty, repeated, unknown or far too many."""
        known = [each for batch in self._batches for each in batch.hashes]
        luck = self._prng.below(12)
        hashes = tuple(self._one(known) for _ in range(self._prng.between(1, 2))) if known else (bytes(32),)
        if luck == 0:
            hashes = ()
        elif luck == 1:
            hashes *= 2
        elif luck == 2:
            hashes = (self._some_bytes(32),)
        elif luck == 3:
            hashes = tuple(self._some_bytes(32) for _ in range(self._cast.parameters.block_transactions_max + 1))
        time_ms = EPOCH_START_MS + self._one((0, 1_000, 10_000, 3_600_000, -1_000))
        since = self._one([batch.since for batch in self._batches] or [1])
        by = self._prng.below(self._cast.size) if proposer is None else proposer
        return Batch(0, height, view, by, time_ms, hashes, since)

    def _epoch(self) -> int:
        return 0 if self._prng.chance(980) else self._one((1, HEIGHT_MAX))

    def _vote(self) -> bytes:
        kind: Kind = self._one((PREPARE, COMMIT))
        sender = self._sender()
        body = Vote(self._epoch(), self._near_view(), self._near_height(), self._claimed(sender), self._digest())
        return self._signed(kind, body, sender)

    def _claimed(self, sender: int) -> int:
        """Who a message says that it is from: its signer, mostly."""
        return sender if self._prng.chance(960) else self._prng.below(self._cast.size + 2)

    def _proposal(self) -> bytes:
        height, view = self._near_height(), self._near_view()
        starts = view % self._cast.size
        sender = starts if starts in self._colluders and self._prng.chance(700) else self._sender()
        batch = self._batch(height, view, sender)
        digest = batch.digest if view >= -(1 << 63) and self._prng.chance(950) else self._digest()
        return self._signed(PRE_PREPARE, Vote(self._epoch(), view, height, sender, digest), sender, (batch,))

    def _checkpoint(self) -> bytes:
        sender = self._sender()
        known = [place[3] for place in self._votes if place[0] == CHECKPOINT]
        found = self._one(known) if known and self._prng.chance(500) else self._some_bytes(32)
        return self._signed(CHECKPOINT, Checkpoint(self._epoch(), self._near_height(), sender, found), sender)

    def _suspect(self) -> bytes:
        sender = self._sender()
        return self._signed(SUSPECT, Suspect(self._epoch(), self._near_view(), self._near_height(), sender), sender)

    # ── certificates ──────────────────────────────────────────────────────────────────────────────

    def _signatures(self, kind: str, view: int, height: int, digest: bytes) -> tuple[SealSignature, ...]:
        """All that is known for a place and all that colluders add; then often spoilt in one way."""
        found = dict(self._votes.get((kind, view, height, digest), {}))
        for member in self._colluders:
            if member not in found and self._prng.chance(900):
                body: Body = Vote(0, view, height, member, digest)
                if kind == CHECKPOINT:
                    body = Checkpoint(0, height, member, digest)
                found[member] = self._cast.sign(kind, member, body.encode())
        signatures = [SealSignature(member, found[member]) for member in sorted(found)]
        return tuple(self._spoil(signatures))

    def _spoil(self, signatures: list[SealSignature]) -> list[SealSignature]:
        """Repeat a signer, add garbage at the end, swap, take from elsewhere; or leave it whole."""
        luck = self._prng.below(12)
        if not signatures or luck > 5:
            return signatures
        at = self._prng.below(len(signatures))
        if luck == 0:
            return [*signatures[: at + 1], *signatures[at:]]
        if luck == 1:
            return [*signatures, SealSignature(self._prng.below(1024), self._some_bytes(64))]
        if luck == 2:
            return signatures[::-1]
        if luck == 3:
            return signatures[:at]
        elsewhere = [each for kept in self._votes.values() for each in kept.items()]
        member, signature = self._one(elsewhere) if elsewhere else (at, bytes(64))
        spoilt = SealSignature(signatures[at].member if luck == 4 else member, signature)
        return [*signatures[:at], spoilt, *signatures[at + 1 :]]

    def _place(self, kind: str) -> tuple[int, int, bytes]:
        """A place that signatures are known for, or else one near the target, of a known batch."""
        known = [place for place in self._votes if place[0] == kind]
        if known and self._prng.chance(800):
            _, view, height, digest = self._one(known)
            if self._prng.chance(150):
                view = self._near_view()  # signatures of another slot
            return view, height, digest
        return self._near_view(), self._near_height(), self._digest()

    def _seal(self) -> Seal | None:
        if self._prng.chance(300):
            return None
        _, height, header_hash = self._place(CHECKPOINT)
        return Seal(self._epoch(), height, header_hash, self._signatures(CHECKPOINT, 0, height, header_hash))

    def _by_digest(self, digest: bytes, height: int, view: int) -> Batch:
        for batch in self._batches:
            if batch.digest == digest:
                return batch
        return self._batch(height, max(0, view))

    def _certified(self, kind: str) -> list[Certified]:
        """A few certificates with their batches, mostly at ascending heights."""
        found = {}
        for _ in range(self._prng.below(4)):
            view, height, digest = self._place(kind)
            batch = self._by_digest(digest, height, view)
            if batch.digest != digest and self._prng.chance(900):
                height, digest = batch.height, batch.digest
            found[height] = (view, height, digest, self._signatures(kind, view, height, digest), batch)
        ordered = [found[height] for height in sorted(found)]
        return ordered[::-1] if self._prng.chance(30) else ordered

    def _left(self, view: int) -> Envelope:
        """A VIEW-CHANGE of a colluder."""
        sender, seal, certified = self._sender(), self._seal(), self._certified(PREPARE)
        if self._prng.chance(500):
            seal, certified = self._best_seal, self._claims_above(self._best_seal, view)
        prepared = tuple(PreparedCertificate(*each[:4]) for each in certified)
        body = ViewChange(self._epoch(), view, self._claimed(sender), seal, prepared)
        return msgspec.msgpack.decode(
            self._signed(VIEW_CHANGE, body, sender, [each[4] for each in certified]), type=Envelope
        )

    def _claims_above(self, seal: Seal | None, view: int) -> list[Certified]:
        """Certificates where a VIEW-CHANGE may have them, for batches that fit, with whatever signatures there are."""
        base = seal.height if seal else 0
        claims = []
        for height in range(base + 1, base + 1 + self._prng.between(1, self._cast.parameters.window)):
            here = [batch for batch in self._batches if batch.height == height]
            batch = self._one(here) if here and self._prng.chance(500) else self._batch(height, 0)
            its_view = self._prng.below(view) if 0 < view < HEIGHT_MAX else 0
            signatures = self._signatures(PREPARE, its_view, height, batch.digest)
            claims.append((its_view, height, batch.digest, signatures, batch))
        return claims

    def _view_change(self) -> bytes:
        try:
            left = self._left(self._near_view())
        except msgspec.ValidationError:
            return b""
        if self._prng.chance(300):
            self._keep(self._view_changes, left)
        return left.encode()

    def _new_view(self) -> bytes:
        """Whatever VIEW-CHANGEs there are, in order or not; with the batches that they name, or not."""
        sender = self._sender()
        views = [msgspec.msgpack.decode(each.body)[1] for each in self._view_changes]
        view = self._one(views) if views and self._prng.chance(800) else max(0, self._near_view())
        chosen: dict[int, Envelope] = {}
        for each, its_view in zip(self._view_changes, views, strict=True):
            if its_view == view or self._prng.chance(20):
                chosen[msgspec.msgpack.decode(each.body)[2]] = each
        for member in self._colluders:
            if member not in chosen and self._prng.chance(700):
                body = ViewChange(0, view, member, None, ())
                encoded = body.encode()
                chosen[member] = Envelope(VIEW_CHANGE, encoded, self._cast.sign(VIEW_CHANGE, member, encoded))
        ordered = [chosen[member] for member in sorted(chosen)]
        if self._prng.chance(50):
            ordered.reverse()
        signed = tuple(SignedViewChange(each.body, each.signature) for each in ordered)
        if self._prng.chance(20):
            signed = (*signed, SignedViewChange(self._some_bytes(20), bytes(64)))
        batches = {batch.height: batch for each in ordered for batch in each.batches}
        carried = [batches[height] for height in sorted(batches)]
        if self._prng.chance(100) and carried:
            carried.pop()
        led = view % self._cast.size
        leader = led if led in self._colluders and self._prng.chance(900) else sender
        return self._signed(NEW_VIEW, NewView(self._epoch(), view, leader, signed), leader, carried)

    def _contradiction(self) -> bytes:
        """What more than the fault bound can do: two certificates of one view and height, in one NEW-VIEW."""
        view, height = self._view + 1, self._sealed + 1
        leader = view % self._cast.size
        if leader not in self._colluders:
            return self._new_view()
        rivals = [self._batch(height, self._view, leader), self._batch(height, self._view, leader)]
        left = []
        for at, member in enumerate(self._colluders):
            batch = rivals[at % 2]
            signatures = tuple(
                SealSignature(each, self._cast.sign(PREPARE, each, self._said(each, batch))) for each in self._colluders
            )
            prepared = PreparedCertificate(self._view, height, batch.digest, signatures)
            body = ViewChange(0, view, member, None, (prepared,)).encode()
            left.append(SignedViewChange(body, self._cast.sign(VIEW_CHANGE, member, body)))
        return self._signed(NEW_VIEW, NewView(0, view, leader, tuple(left)), leader, rivals[:1])

    def _said(self, member: int, batch: Batch) -> bytes:
        return Vote(0, self._view, batch.height, member, batch.digest).encode()

    def _status(self) -> bytes:
        sender, certified = self._sender(), self._certified(COMMIT)
        final = tuple(CommitCertificate(*each[:4]) for each in certified)
        progress = tuple(self._prng.below(4) for _ in range(self._prng.below(6)))
        body = self._status_body(sender, progress, final)
        return self._signed(STATUS, body, sender, [each[4] for each in certified])

    def _status_body(self, sender: int, progress: tuple[int, ...], final: tuple[CommitCertificate, ...]) -> Status:
        """Field by field: STATUS may have more of them than this file was told of, and those start as zeroes."""
        drawn: dict[str, Any] = {
            "epoch": self._epoch(),
            "view": self._near_view(),
            "sender": self._claimed(sender),
            "changing": self._prng.chance(300),
            "height": self._near_height(),
            "seal": self._seal(),
            "progress": progress,
            "final": final,
            "forgetful": self._prng.chance(300),
        }
        template = next((body for body in map(self._opened, reversed(self._pool)) if isinstance(body, Status)), None)
        others = {name: self._later(getattr(template, name)) for name in Status.__struct_fields__} if template else {}
        return Status(**(others | drawn))

    def _later(self, value: Any) -> Any:
        """A counter moves on; anything else stays."""
        return value + self._one((0, 1, 10, 1_000_000)) if type(value) is int else value

    @staticmethod
    def _opened(data: bytes) -> Body | None:
        try:
            return open_envelope(data)[1]
        except MessageRefused:
            return None
