"""Independent judges of a simulated run: they see what nodes let out and what they made durable, never their minds.

Each raises `Violation` at the first event that breaks a rule. They share no code with the rules they check.
"""

from __future__ import annotations

import msgspec

from consensus.messages import (
    CHECKPOINT,
    NEW_VIEW,
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    Envelope,
    ViewChange,
    open_body,
    open_envelope,
)
from consensus.recovery import Certified, CheckpointSigned, CommitHeld, Entered, Left, Record, Voted
from ledger.types import Batch, Header

_record_of = msgspec.msgpack.Decoder(Record)


class Violation(AssertionError):
    """A rule of the protocol was broken by a correct node."""


class AgreementChecker:
    """No two correct nodes deliver different batches, or seal different headers, at one height (I1, I6); what they
    deliver was submitted (I2).
    """

    def __init__(self) -> None:
        self.height = 0  # the highest that was delivered anywhere
        self._digests: dict[int, tuple[bytes, int]] = {}
        self._headers: dict[int, tuple[bytes, int]] = {}
        self._submitted: set[bytes] = set()

    def on_submitted(self, transaction: bytes) -> None:
        """A client handed over a transaction."""
        self._submitted.add(transaction)

    def on_delivered(self, member: int, height: int, digest: bytes) -> None:
        """A correct node delivered."""
        self._agree("delivered", self._digests, member, height, digest)
        self.height = max(self.height, height)

    def on_batch(self, member: int, batch: Batch) -> None:
        """A correct node delivered this batch: nobody makes transactions up."""
        made_up = [each for each in batch.hashes if each not in self._submitted]
        if made_up:
            raise Violation(
                f"height {batch.height}: member {member} delivered what nobody submitted: {made_up[0].hex()}"
            )

    def on_executed(self, member: int, height: int, header_hash: bytes) -> None:
        """A correct node executed."""
        self._agree("executed", self._headers, member, height, header_hash)

    def on_sealed(self, member: int, height: int, header_hash: bytes) -> None:
        """A correct node sealed."""
        self._agree("sealed", self._headers, member, height, header_hash)

    @staticmethod
    def _agree(what: str, seen: dict[int, tuple[bytes, int]], member: int, height: int, found: bytes) -> None:
        first, by = seen.setdefault(height, (found, member))
        if first != found:
            raise Violation(
                f"height {height}: member {by} {what} {first.hex()[:12]}, member {member} {found.hex()[:12]}"
            )


class OrderChecker:
    """One process life delivers and seals heights in order, each once, none left out (I3)."""

    def __init__(self, tip: int) -> None:
        self._delivered = tip
        self._sealed = tip

    def on_delivered(self, batch: Batch, height: int, digest: bytes) -> None:
        """The next Deliver of this life."""
        if height != self._delivered + 1 or batch.height != height or batch.digest != digest:
            raise Violation(f"delivered height {height} after {self._delivered}")
        self._delivered = height

    def on_sealed(self, height: int, header: Header | None, header_hash: bytes) -> None:
        """The next Sealed of this life."""
        if height != self._sealed + 1 or header is None or header.hash != header_hash:
            raise Violation(f"sealed height {height} after {self._sealed}, or another header than was executed")
        self._sealed = height


class DurabilityChecker:
    """What a client was told by a weak quorum of equal replies is there for good (I5)."""

    def __init__(self, powers: tuple[int, ...]) -> None:
        self._powers = powers
        # Reckoned here and not with the product's own arithmetic: more than any power that may be faulty.
        self._needed = max(power for power in range(sum(powers)) if 3 * power < sum(powers)) + 1
        self._replies: dict[tuple[int, bytes], set[int]] = {}
        self.acknowledged: dict[int, bytes] = {}  # height -> header hash

    def on_sealed(self, member: int, height: int, header_hash: bytes) -> None:
        """A member tells its clients that this height is sealed, with this header."""
        replied = self._replies.setdefault((height, header_hash), set())
        replied.add(member)
        if sum(self._powers[each] for each in sorted(replied)) >= self._needed:
            first = self.acknowledged.setdefault(height, header_hash)
            if first != header_hash:
                raise Violation(f"height {height}: clients were told of two sealed headers")

    def judge(self, member: int, sealed: dict[int, bytes]) -> None:
        """What a correct member holds at the end."""
        for height, header_hash in self.acknowledged.items():
            if sealed.get(height) != header_hash:
                raise Violation(
                    f"height {height}: clients were told that it is sealed, member {member} does not hold it"
                )


class VoteChecker:
    """What one member's key lets out, over all its lives: never two messages for one slot (I4), nothing for a view
    that it left, and nothing whose record is not durable.
    """

    def __init__(self, member: int) -> None:
        self._member = member
        self._slots: dict[tuple[str, int, int], bytes] = {}
        self._durable: set[bytes] = set()
        self._certified: dict[int, int] = {}  # height -> the highest view of a durable prepared certificate
        self._final: set[int] = set()
        self._promised_view = 0

    def on_durable(self, record: bytes) -> None:
        """A record reached the disk."""
        match _record_of.decode(record):
            case Certified(certificate, signature):
                self._durable.add(signature)
                self._certified[certificate.height] = max(certificate.view, self._certified.get(certificate.height, 0))
            case Voted(_, _, signature) | CheckpointSigned(_, signature):
                self._durable.add(signature)
            case CommitHeld(certificate):
                self._final.add(certificate.height)
            case Left(_, envelope) | Entered(_, envelope):
                self._durable.add(envelope.signature)

    def on_delivered(self, height: int) -> None:
        """It hands a height out for execution by votes: the commit certificate is durable (P6.1)."""
        if height not in self._final:
            raise Violation(
                f"member {self._member} delivered height {height} before its commit certificate was durable"
            )

    def on_sent(self, data: bytes) -> None:
        """A message left the node."""
        envelope, body = open_envelope(data)
        if body.sender != self._member or envelope.kind == STATUS:
            return  # forwarded, or no vote
        view = getattr(body, "view", 0)
        place = (envelope.kind, view, getattr(body, "height", 0))
        if self._slots.setdefault(place, envelope.body) != envelope.body:
            first = open_body(envelope.kind, self._slots[place])
            raise Violation(f"member {self._member} signed two of {place}: {first} and {body}")
        if envelope.kind != SUSPECT and envelope.signature not in self._durable:
            raise Violation(f"member {self._member} sent {place} before its record was durable")
        if isinstance(body, ViewChange):
            self._on_left(envelope, body)
        elif envelope.kind not in (CHECKPOINT, NEW_VIEW, SUSPECT) and view < self._promised_view:
            raise Violation(f"member {self._member} voted {place} after it left for view {self._promised_view}")

    def _on_left(self, envelope: Envelope, body: ViewChange) -> None:
        """It shows every certificate that it holds durably, in its latest view, above the seal that it shows (P4.2)."""
        assert envelope.kind == VIEW_CHANGE
        self._promised_view = max(self._promised_view, body.view)
        base = body.seal.height if body.seal else 0
        shown = {certificate.height: certificate.view for certificate in body.prepared}
        for height, view in self._certified.items():
            if height > base and view < body.view and shown.get(height, -1) < view:
                raise Violation(
                    f"member {self._member} left for view {body.view} and hid what it prepared at height {height} "
                    f"in view {view}"
                )
