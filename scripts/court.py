"""What the witnesses of one run have in common: messages read once, who signed what in them, and one truth a height.

It checks every signature by itself and takes no certificate's word for anything. It knows no replica and no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from consensus.committee import Committee
from consensus.errors import MessageRefused
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    Body,
    CommitCertificate,
    Envelope,
    NewView,
    PreparedCertificate,
    Status,
    Suspect,
    ViewChange,
    Vote,
    open_body,
    open_envelope,
)
from consensus.simulation.checkers import Violation
from ledger.errors import CodecError
from ledger.types import Checkpoint, Seal

READ_MAX = 50_000  # messages remembered
READ_BYTES_MAX = 1 << 20  # longer ones are not

Place = tuple[str, int, int, bytes]  # (kind, view, height, digest); a view or height of -1 where there is none
Fact = tuple[Place, int]  # what a member signed


class Read(msgspec.Struct, frozen=True):
    """A message that has a message's form: who signed what in it, each signature checked."""

    envelope: Envelope
    body: Body
    valid: bool
    facts: tuple[Fact, ...]


class Court:
    """What one run's witnesses share: the reading of messages, and one truth a height."""

    def __init__(self, committee: Committee) -> None:
        self._committee = committee
        self._read: dict[bytes, Read | None] = {}
        self._delivered: dict[int, bytes] = {}
        self._sealed: dict[int, bytes] = {}

    def adjourn(self) -> None:
        """Another run begins. Messages read stay read."""
        self._delivered, self._sealed = {}, {}

    def read(self, data: bytes) -> Read | None:
        """Open a message, once for all who get it. None for what is none."""
        if len(data) > READ_BYTES_MAX:
            return self._open(data)
        if data not in self._read:
            if len(self._read) >= READ_MAX:
                self._read.clear()
            self._read[data] = self._open(data)
        return self._read[data]

    def _open(self, data: bytes) -> Read | None:
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:
            return None
        valid = self.signed(envelope.kind, body.sender, envelope.body, envelope.signature)
        facts = tuple(self._facts(envelope.kind, body)) if valid else ()
        return Read(envelope, body, valid, facts)

    def signed(self, kind: str, member: int, body: bytes, signature: bytes) -> bool:
        """Whether a member of the committee signed that."""
        return member < self._committee.size and self._committee.signed_by(kind, member, body, signature)

    def _facts(self, kind: str, body: Body) -> Iterator[Fact]:
        match body:
            case Vote():
                yield (kind, body.view, body.height, body.digest), body.sender
            case Checkpoint():
                yield (CHECKPOINT, -1, body.height, body.header_hash), body.sender
            case Suspect():
                yield (SUSPECT, body.view, -1, b""), body.sender
            case ViewChange():
                yield (VIEW_CHANGE, body.view, -1, b""), body.sender
                yield from self._seal_facts(body.seal)
            case NewView():
                yield (NEW_VIEW, body.view, -1, b""), body.sender
                yield from self._new_view_facts(body)
            case Status():
                yield from self._seal_facts(body.seal)
                for certificate in body.final:
                    yield from self._commit_facts(certificate)

    def _new_view_facts(self, body: NewView) -> Iterator[Fact]:
        for each in body.view_changes:
            try:
                left = open_body(VIEW_CHANGE, each.body)
            except CodecError:
                continue
            if isinstance(left, ViewChange) and self.signed(VIEW_CHANGE, left.sender, each.body, each.signature):
                yield from self._seal_facts(left.seal)
                for shown in left.prepared:
                    if self._is_prepared(shown):  # so its digest may be proposed again
                        yield ("again", body.view, shown.height, shown.digest), left.sender

    def _is_prepared(self, shown: PreparedCertificate) -> bool:
        """A quorum of PREPAREs, each by its signer."""
        signers = {
            each.member
            for each in shown.signatures
            if self.signed(
                PREPARE,
                each.member,
                Vote(self._committee.epoch, shown.view, shown.height, each.member, shown.digest).encode(),
                each.signature,
            )
        }
        return self.power(signers) >= self._committee.quorum

    def _seal_facts(self, seal: Seal | None) -> Iterator[Fact]:
        for each in seal.signatures if seal else ():
            assert seal is not None
            claimed = Checkpoint(seal.epoch, seal.height, each.member, seal.header_hash)
            if self.signed(CHECKPOINT, each.member, claimed.encode(), each.signature):
                yield (CHECKPOINT, -1, seal.height, seal.header_hash), each.member

    def _commit_facts(self, final: CommitCertificate) -> Iterator[Fact]:
        for each in final.signatures:
            claimed = Vote(self._committee.epoch, final.view, final.height, each.member, final.digest)
            if self.signed(COMMIT, each.member, claimed.encode(), each.signature):
                yield (COMMIT, final.view, final.height, final.digest), each.member

    def power(self, members: Iterable[int]) -> int:
        """The power of distinct members."""
        return sum(self._committee.powers[each] for each in set(members))

    def on_delivered(self, member: int, height: int, digest: bytes) -> None:
        """A correct member delivered (I1)."""
        if self._delivered.setdefault(height, digest) != digest:
            raise Violation(f"member {member} delivered another batch at height {height} than a correct one before")

    def on_sealed(self, member: int, height: int, header_hash: bytes) -> None:
        """A correct member sealed (I6)."""
        if self._sealed.setdefault(height, header_hash) != header_hash:
            raise Violation(f"member {member} sealed another header at height {height} than a correct one before")
