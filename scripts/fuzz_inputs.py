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
from ledger.crypto import signing_message
from ledger.types import HEIGHT_MAX, Batch, Checkpoint, SealSignature
from scripts.bend import Bender
from scripts.cast import Cast
from scripts.fuzz_forger import Forger
from scripts.fuzz_lore import HUGE, Lore

BENT_MAX = 64  # messages whose bent forms are kept
KINDS: tuple[Kind, ...] = get_args(Kind)
TOO_LARGE = bytes(MESSAGE_BYTES_MAX + 1)
WEIRD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, "", "commit", b"", bytes(31), bytes(32), bytes(33), bytes(64), [], {}, {"a": 1},
    [[[[[]]]]], msgspec.msgpack.Ext(1, b"\x01"), msgspec.msgpack.Ext(5, b""), *HUGE[1:],
)  # fmt: skip


class Attacker:
    """Makes one input after the other for a chosen target."""

    def __init__(self, cast: Cast, colluders: Sequence[int], prng: Prng) -> None:
        self._lore = Lore(cast, prng)
        self._forger = Forger(self._lore, colluders)
        self._colluders = tuple(colluders)
        self._bent: dict[bytes, list[bytes]] = {}
        unsigned = [self._garbage, self._bytes_bent, self._bytes_bent, self._tree_bent, self._batches_wrong]
        unsigned += [self._replay, self._replay, self._misdirected]
        signed = [self._field_bent, self._vote, self._vote, self._proposal, self._checkpoint, self._suspect]
        signed += [self._view_change, self._new_view, self._status, self._tree_signed]
        if sum(cast.powers[member] for member in self._colluders) >= cast.committee.quorum:
            signed.append(self._contradiction)
        self._makers: list[Callable[[], bytes]] = unsigned + (2 * signed if self._colluders else [])

    def overhear(self, data: bytes) -> None:
        """A message of the run passes by."""
        self._lore.overhear(data)

    def next(self, target: Replica) -> bytes:
        """The next input for that replica."""
        self._lore.view, self._lore.sealed = target.view, target.sealed_height
        return self._lore.one(self._makers)()

    def _sender(self) -> int:
        return self._lore.one(self._colluders)

    def _signed(self, kind: Kind, body: Body, sender: int, batches: Sequence[Batch] = ()) -> bytes:
        """Signed as it should be, mostly; now and then for another chain, kind or by another colluder."""
        encoded = body.encode()
        luck = self._lore.prng.below(100)
        if luck == 0:
            other = signing_message(kind, bytes(32), encoded)  # another chain
            signature = self._lore.cast.pens[sender](other)
        elif luck == 1:
            signature = self._lore.cast.sign(self._lore.one(KINDS), sender, encoded)
        elif luck == 2:
            signature = self._lore.some_bytes(64)
        else:
            signature = self._lore.cast.sign(kind, sender, encoded)
        return Envelope(kind, encoded, signature, tuple(batches)).encode()

    # ── without a key ─────────────────────────────────────────────────────────────────────────────

    def _garbage(self) -> bytes:
        return self._lore.some_bytes(self._lore.prng.below(300))

    def _bytes_bent(self) -> bytes:
        raw = bytearray(self._lore.message())
        luck = self._lore.prng.below(10)
        if luck == 0:
            return bytes(raw[: self._lore.prng.below(len(raw) + 1)])
        if luck == 1:
            other, at = self._lore.message(), self._lore.prng.below(len(raw) + 1)
            return bytes(raw[:at]) + other[min(at, len(other)) :]
        if luck == 2:
            return bytes(raw) + self._lore.some_bytes(self._lore.prng.between(1, 9))
        for _ in range(self._lore.prng.between(1, 4) if raw else 0):
            raw[self._lore.prng.below(len(raw))] = self._lore.prng.below(256)
        return bytes(raw)

    def _tree_bent(self) -> bytes:
        """A real message with one node of its msgpack tree replaced: any type, any depth."""
        try:
            tree = msgspec.msgpack.decode(self._lore.message())
        except msgspec.DecodeError:
            return b"\xc1"
        return msgspec.msgpack.encode(self._bend_tree(tree))

    def _bend_tree(self, tree: Any) -> Any:
        if not isinstance(tree, list) or not tree or self._lore.prng.chance(150):
            if self._lore.prng.chance(20):
                return msgspec.Raw(b"\x91" * self._lore.prng.between(60, 5_000) + b"\xc0")  # nested so deep
            return self._lore.one(WEIRD)
        at = self._lore.prng.below(len(tree))
        luck = self._lore.prng.below(8)
        if luck == 0:
            return [*tree[:at], *tree[at + 1 :]]
        if luck == 1:
            return [*tree[:at], tree[at], *tree[at:]]
        return [*tree[:at], self._bend_tree(tree[at]), *tree[at + 1 :]]

    def _batches_wrong(self) -> bytes:
        """Batches ride outside of the signature: anybody on the way can change them."""
        try:
            envelope, _ = open_envelope(self._lore.message())
        except MessageRefused:
            return b""
        batches = list(envelope.batches)
        luck = self._lore.prng.below(5)
        if luck == 0 or not batches:
            batches.append(self._lore.batch(self._lore.near_height(), self._lore.near_view()))
        elif luck == 1:
            batches.pop(self._lore.prng.below(len(batches)))
        elif luck == 2:
            batches.reverse()
        elif luck == 3:
            batches *= 2
        else:
            at = self._lore.prng.below(len(batches))
            batches[at] = msgspec.structs.replace(batches[at], time_ms=self._lore.prng.below(HEIGHT_MAX))
        return msgspec.structs.replace(envelope, batches=tuple(batches)).encode()

    def _replay(self) -> bytes:
        return self._lore.message()

    def _misdirected(self) -> bytes:
        """A signed body under another kind, or with another message's signature."""
        try:
            one, _ = open_envelope(self._lore.message())
            other, _ = open_envelope(self._lore.message())
        except MessageRefused:
            return b""
        if self._lore.prng.chance(500):
            return msgspec.structs.replace(one, kind=self._lore.one(KINDS)).encode()
        return msgspec.structs.replace(one, signature=other.signature).encode()

    # ── with the colluders' keys ──────────────────────────────────────────────────────────────────

    def _field_bent(self) -> bytes:
        """A true message of a colluder with one field bent (`bend`)."""
        data, sender = self._lore.message(), self._sender()
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
            bender = Bender(sender, lambda kind, raw: self._lore.cast.sign(kind, sender, raw), self._forger.seal())
            self._bent[data] = [bent for _, bent in bender.bend(data)]
        return self._lore.one(self._bent[data])

    def _tree_signed(self) -> bytes:
        """Any tree as a body, well signed."""
        try:
            envelope, _ = open_envelope(self._lore.message())
        except MessageRefused:
            return b""
        raw = msgspec.msgpack.encode(self._bend_tree(msgspec.msgpack.decode(envelope.body)))
        signature = self._lore.cast.sign(envelope.kind, self._sender(), raw)
        return Envelope(envelope.kind, raw, signature, envelope.batches).encode()

    def _vote(self) -> bytes:
        kind: Kind = self._lore.one((PREPARE, COMMIT))
        sender = self._sender()
        body = Vote(
            self._lore.epoch(),
            self._lore.near_view(),
            self._lore.near_height(),
            self._claimed(sender),
            self._lore.digest(),
        )
        return self._signed(kind, body, sender)

    def _claimed(self, sender: int) -> int:
        """Who a message says that it is from: its signer, mostly."""
        return sender if self._lore.prng.chance(960) else self._lore.prng.below(self._lore.cast.size + 2)

    def _proposal(self) -> bytes:
        height, view = self._lore.near_height(), self._lore.near_view()
        starts = view % self._lore.cast.size
        sender = starts if starts in self._colluders and self._lore.prng.chance(700) else self._sender()
        batch = self._lore.batch(height, view, sender)
        digest = batch.digest if view >= -(1 << 63) and self._lore.prng.chance(950) else self._lore.digest()
        return self._signed(PRE_PREPARE, Vote(self._lore.epoch(), view, height, sender, digest), sender, (batch,))

    def _checkpoint(self) -> bytes:
        sender = self._sender()
        known = [place[3] for place in self._lore.votes if place[0] == CHECKPOINT]
        found = self._lore.one(known) if known and self._lore.prng.chance(500) else self._lore.some_bytes(32)
        return self._signed(CHECKPOINT, Checkpoint(self._lore.epoch(), self._lore.near_height(), sender, found), sender)

    def _suspect(self) -> bytes:
        sender = self._sender()
        return self._signed(
            SUSPECT, Suspect(self._lore.epoch(), self._lore.near_view(), self._lore.near_height(), sender), sender
        )

    def _left(self, view: int) -> Envelope:
        """A VIEW-CHANGE of a colluder."""
        sender, seal, certified = self._sender(), self._forger.seal(), self._forger.certified(PREPARE)
        if self._lore.prng.chance(500):
            seal, certified = self._lore.best_seal, self._forger.claims_above(self._lore.best_seal, view)
        prepared = tuple(PreparedCertificate(*each[:4]) for each in certified)
        body = ViewChange(self._lore.epoch(), view, self._claimed(sender), seal, prepared)
        return msgspec.msgpack.decode(
            self._signed(VIEW_CHANGE, body, sender, [each[4] for each in certified]), type=Envelope
        )

    def _view_change(self) -> bytes:
        try:
            left = self._left(self._lore.near_view())
        except msgspec.ValidationError:
            return b""
        if self._lore.prng.chance(300):
            self._lore.keep(self._lore.view_changes, left)
        return left.encode()

    def _new_view(self) -> bytes:
        """Whatever VIEW-CHANGEs there are, in order or not; with the batches that they name, or not."""
        sender = self._sender()
        views = [msgspec.msgpack.decode(each.body)[1] for each in self._lore.view_changes]
        view = self._lore.one(views) if views and self._lore.prng.chance(800) else max(0, self._lore.near_view())
        chosen: dict[int, Envelope] = {}
        for each, its_view in zip(self._lore.view_changes, views, strict=True):
            if its_view == view or self._lore.prng.chance(20):
                chosen[msgspec.msgpack.decode(each.body)[2]] = each
        for member in self._colluders:
            if member not in chosen and self._lore.prng.chance(700):
                body = ViewChange(0, view, member, None, ())
                encoded = body.encode()
                chosen[member] = Envelope(VIEW_CHANGE, encoded, self._lore.cast.sign(VIEW_CHANGE, member, encoded))
        ordered = [chosen[member] for member in sorted(chosen)]
        if self._lore.prng.chance(50):
            ordered.reverse()
        signed = tuple(SignedViewChange(each.body, each.signature) for each in ordered)
        if self._lore.prng.chance(20):
            signed = (*signed, SignedViewChange(self._lore.some_bytes(20), bytes(64)))
        batches = {batch.height: batch for each in ordered for batch in each.batches}
        carried = [batches[height] for height in sorted(batches)]
        if self._lore.prng.chance(100) and carried:
            carried.pop()
        led = view % self._lore.cast.size
        leader = led if led in self._colluders and self._lore.prng.chance(900) else sender
        return self._signed(NEW_VIEW, NewView(self._lore.epoch(), view, leader, signed), leader, carried)

    def _contradiction(self) -> bytes:
        """What more than the fault bound can do: two certificates of one view and height, in one NEW-VIEW."""
        view, height = self._lore.view + 1, self._lore.sealed + 1
        leader = view % self._lore.cast.size
        if leader not in self._colluders:
            return self._new_view()
        rivals = [self._lore.batch(height, self._lore.view, leader), self._lore.batch(height, self._lore.view, leader)]
        left = []
        for at, member in enumerate(self._colluders):
            batch = rivals[at % 2]
            signatures = tuple(
                SealSignature(each, self._lore.cast.sign(PREPARE, each, self._said(each, batch)))
                for each in self._colluders
            )
            prepared = PreparedCertificate(self._lore.view, height, batch.digest, signatures)
            body = ViewChange(0, view, member, None, (prepared,)).encode()
            left.append(SignedViewChange(body, self._lore.cast.sign(VIEW_CHANGE, member, body)))
        return self._signed(NEW_VIEW, NewView(0, view, leader, tuple(left)), leader, rivals[:1])

    def _said(self, member: int, batch: Batch) -> bytes:
        return Vote(0, self._lore.view, batch.height, member, batch.digest).encode()

    def _status(self) -> bytes:
        sender, certified = self._sender(), self._forger.certified(COMMIT)
        final = tuple(CommitCertificate(*each[:4]) for each in certified)
        progress = tuple(self._lore.prng.below(4) for _ in range(self._lore.prng.below(6)))
        body = self._status_body(sender, progress, final)
        return self._signed(STATUS, body, sender, [each[4] for each in certified])

    def _status_body(self, sender: int, progress: tuple[int, ...], final: tuple[CommitCertificate, ...]) -> Status:
        """Field by field: STATUS may have more of them than this file was told of, and those start as zeroes."""
        drawn: dict[str, Any] = {
            "epoch": self._lore.epoch(),
            "view": self._lore.near_view(),
            "sender": self._claimed(sender),
            "changing": self._lore.prng.chance(300),
            "height": self._lore.near_height(),
            "seal": self._forger.seal(),
            "progress": progress,
            "final": final,
            "forgetful": self._lore.prng.chance(300),
        }
        template = next(
            (body for body in map(self._opened, reversed(self._lore.pool)) if isinstance(body, Status)), None
        )
        others = {name: self._later(getattr(template, name)) for name in Status.__struct_fields__} if template else {}
        return Status(**(others | drawn))

    def _later(self, value: Any) -> Any:
        """A counter moves on; anything else stays."""
        return value + self._lore.one((0, 1, 10, 1_000_000)) if type(value) is int else value

    @staticmethod
    def _opened(data: bytes) -> Body | None:
        try:
            return open_envelope(data)[1]
        except MessageRefused:
            return None
