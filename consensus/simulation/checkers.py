"""Independent judges of a simulated run: they see what nodes let out and what they made durable, never their minds.

Each raises `Violation` at the first event that breaks a rule. They share no code with the rules they check.
"""

from __future__ import annotations

from consensus.messages import CHECKPOINT, NEW_VIEW, STATUS, SUSPECT, VIEW_CHANGE, open_body, open_envelope
from consensus.recovery import Certified, CheckpointSigned, Entered, Left, Voted, read_record
from ledger.types import Batch, Header


class Violation(AssertionError):
    """A rule of the protocol was broken by a correct node."""


class AgreementChecker:
    """No two correct nodes deliver different batches, or seal different headers, at one height (I1, I6)."""

    def __init__(self) -> None:
        self._digests: dict[int, tuple[bytes, int]] = {}
        self._headers: dict[int, tuple[bytes, int]] = {}

    def on_delivered(self, member: int, height: int, digest: bytes) -> None:
        """A correct node delivered."""
        self._agree("delivered", self._digests, member, height, digest)

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
    """One process life delivers and seals heights in order, each once; the chain runs no transaction twice (I3)."""

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


class VoteChecker:
    """What one member's key lets out, over all its lives: never two messages for one slot (I4), nothing for a view
    that it left, and nothing whose record is not durable.
    """

    def __init__(self, member: int) -> None:
        self._member = member
        self._slots: dict[tuple[str, int, int], bytes] = {}
        self._durable: set[bytes] = set()
        self._promised_view = 0

    def on_durable(self, record: bytes) -> None:
        """A record reached the disk."""
        match read_record(record):
            case Voted(_, _, signature) | Certified(_, signature) | CheckpointSigned(_, signature):
                self._durable.add(signature)
            case Left(_, envelope) | Entered(_, envelope):
                self._durable.add(envelope.signature)

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
        if envelope.kind == VIEW_CHANGE:
            self._promised_view = max(self._promised_view, view)
        elif envelope.kind not in (CHECKPOINT, NEW_VIEW, SUSPECT) and view < self._promised_view:
            raise Violation(f"member {self._member} voted {place} after it left for view {self._promised_view}")
