"""An obvious twin of every check of a certificate, written from docs/protocol.md and sharing no code with the protocol.

Says whether signatures make a quorum (P1.1, P2.4), whether a VIEW-CHANGE holds (P4.3), and what a new view starts
from (P4.5). Each question is answered with what is wrong, or nothing. Keeps only verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    PREPARE,
    VIEW_CHANGE,
    CommitCertificate,
    Envelope,
    NewView,
    PreparedCertificate,
    ViewChange,
    Vote,
    open_body,
)
from consensus.simulation.stubs import CHAIN_ID, stub_verify
from ledger.crypto import signing_message
from ledger.types import Batch, Checkpoint, Seal, SealSignature, ValidatorSet

EPOCH = 0


class Certifier:
    """Judges for one cluster. Verdicts are remembered: the same certificate travels often."""

    def __init__(self, validators: ValidatorSet, window: int) -> None:
        self.powers = validators.powers
        self._keys = [member.public_key for member in validators.members]
        self._window = window
        total = sum(self.powers)
        faulty = max(power for power in range(total) if 3 * power < total)
        self.quorum = total - faulty
        self.weak_quorum = faulty + 1
        self._verdicts: dict[object, str] = {}

    def power(self, members: Sequence[int]) -> int:
        """The power of distinct members."""
        return sum(self.powers[member] for member in set(members))

    def signed(self, kind: str, member: int, body: bytes, signature: bytes) -> bool:
        """Whether that member exists and signed this."""
        return member < len(self._keys) and stub_verify(
            self._keys[member], signing_message(kind, CHAIN_ID, body), signature
        )

    # ── certificates ──────────────────────────────────────────────────────────────────────────────

    def prepared(self, found: PreparedCertificate) -> str:
        """What is wrong with a prepared certificate."""
        return self._votes(PREPARE, found)

    def committed(self, found: CommitCertificate) -> str:
        """What is wrong with a commit certificate."""
        return self._votes(COMMIT, found)

    def _votes(self, kind: str, found: PreparedCertificate | CommitCertificate) -> str:
        def body_of(member: int) -> bytes:
            return Vote(EPOCH, found.view, found.height, member, found.digest).encode()

        return self._known((kind, found), lambda: self._quorum(kind, found.signatures, body_of))

    def sealed(self, seal: Seal) -> str:
        """What is wrong with a seal."""

        def body_of(member: int) -> bytes:
            return Checkpoint(EPOCH, seal.height, member, seal.header_hash).encode()

        return self._known((CHECKPOINT, seal), lambda: self._quorum(CHECKPOINT, seal.signatures, body_of))

    def _quorum(self, kind: str, signatures: Sequence[SealSignature], body_of: Callable[[int], bytes]) -> str:
        members = [each.member for each in signatures]
        if len(set(members)) != len(members):
            return f"a {kind} certificate names a member twice: {members}"
        for each in signatures:
            if not self.signed(kind, each.member, body_of(each.member), each.signature):
                return f"a {kind} certificate holds a signature that is not member {each.member}'s"
        if self.power(members) < self.quorum:
            return f"a {kind} certificate has power {self.power(members)} of {self.quorum}"
        return ""

    def _known(self, question: object, answer: Callable[[], str]) -> str:
        if question not in self._verdicts:
            self._verdicts[question] = answer()
        return self._verdicts[question]

    # ── view changes ──────────────────────────────────────────────────────────────────────────────

    def view_change(self, body: ViewChange) -> str:
        """What is wrong with a VIEW-CHANGE."""
        return self._known((VIEW_CHANGE, body), lambda: self._view_change(body))

    def _view_change(self, body: ViewChange) -> str:
        base = body.seal.height if body.seal else 0
        heights = [each.height for each in body.prepared]
        if body.seal and (wrong := self.sealed(body.seal)):
            return wrong
        if heights != sorted(set(heights)) or not all(base < each <= base + self._window for each in heights):
            return f"a VIEW-CHANGE shows certificates at {heights} above a seal at {base}"
        for each in body.prepared:
            if each.view >= body.view:
                return f"a VIEW-CHANGE for view {body.view} shows a certificate of view {each.view}"
            if wrong := self.prepared(each):
                return wrong
        return ""

    def new_view(self, envelope: Envelope, body: NewView) -> str:
        """What is wrong with a NEW-VIEW, its batches included."""
        return self._known((envelope.body, envelope.batches), lambda: self._new_view(envelope, body))

    def _new_view(self, envelope: Envelope, body: NewView) -> str:
        if body.sender != body.view % len(self.powers):
            return f"member {body.sender} starts view {body.view}"
        shown: list[ViewChange] = []
        for each in body.view_changes:
            found = open_body(VIEW_CHANGE, each.body)
            if not isinstance(found, ViewChange) or found.view != body.view:
                return f"the NEW-VIEW of {body.view} holds a message for another view"
            if not self.signed(VIEW_CHANGE, found.sender, each.body, each.signature):
                return f"the NEW-VIEW of {body.view} holds a VIEW-CHANGE that member {found.sender} did not sign"
            if wrong := self.view_change(found):
                return f"the NEW-VIEW of {body.view}: {wrong}"
            shown.append(found)
        members = [each.sender for each in shown]
        if len(set(members)) != len(members) or self.power(members) < self.quorum:
            return f"the NEW-VIEW of {body.view} is of members {members}, power {self.power(members)} of {self.quorum}"
        return _wrong_start(body.view, shown, envelope.batches)


def _wrong_start(view: int, shown: list[ViewChange], batches: tuple[Batch, ...]) -> str:
    """Whether the batches are those of the highest view at each height above the highest seal, and no others."""
    base = max((each.seal.height for each in shown if each.seal), default=0)
    certificates = [found for each in shown for found in each.prepared if found.height > base]
    wanted = [
        max((found.view, found.digest) for found in certificates if found.height == height)[1]
        for height in sorted({found.height for found in certificates})
    ]
    if [batch.digest for batch in batches] != wanted:
        return f"the NEW-VIEW of {view} proposes other batches again than its VIEW-CHANGEs demand"
    return ""
