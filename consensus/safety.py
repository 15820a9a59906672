"""May I sign this? The only place that answers, and the only one that holds the signing function.

Every yes is a `Permit`: the signed message *and* the records that must be durable before it is sent or counted.
What this file promises (docs/protocol.md, section 6): never two different messages for one (kind, epoch, view,
height); nothing for a view once it was left; votes only within the window above the sealed header that is held;
nothing at all while this member's own past is in doubt. Who should lead, and when to give up on it, is not known here.
"""

from __future__ import annotations

import msgspec

from consensus.committee import Committee, Sign
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    VIEW_MAX,
    Body,
    Envelope,
    Kind,
    NewView,
    PreparedCertificate,
    Status,
    Suspect,
    ViewChange,
    Vote,
)
from consensus.recovery import BatchHeld, Certified, CheckpointSigned, Entered, Left, Record, Voted
from ledger.crypto import signing_message
from ledger.types import Batch, Checkpoint


class Permit(msgspec.Struct, frozen=True):
    """A signed message, and what must be durable before it leaves or counts."""

    records: tuple[Record, ...]
    envelope: Envelope


class Safety:
    """What one member has signed above its seal, and what it may still sign."""

    def __init__(self, committee: Committee, member: int, sign: Sign, window: int) -> None:
        self.view = 0
        self.changing = False
        self.sealed_height = 0
        self.floor = 0  # the journal proves a past up to here: no vote at or below
        self.doubtful = False  # the journal may have lost something: see `amnesia`
        self.listening = False  # just started: what peers hold of this member was not heard yet
        self.view_floor = 0  # what was promised before a journal was lost lies at or below: no vote in a view below
        self.sealed_elsewhere = 0  # a peer showed a seal up to here when this member started: no vote at or below
        self._committee = committee
        self._member = member
        self._sign = sign
        self._window = window
        self._votes: dict[tuple[str, int], tuple[Vote, bytes]] = {}
        self._checkpoints: dict[int, tuple[Checkpoint, bytes]] = {}

    # ── the questions ─────────────────────────────────────────────────────────────────────────────

    @property
    def unsure(self) -> bool:
        """The past is in doubt, or was not compared with what peers hold yet: then nothing is signed at all."""
        return self.doubtful or self.listening

    @property
    def silent(self) -> bool:
        """No vote: unsure, or the store holds less than this member once sealed (P6.4)."""
        return self.unsure or self.sealed_height < self.floor

    def may_vote_at(self, height: int) -> bool:
        """Within the window above the sealed header that is held (P6.3), and above what others had sealed (P6.7)."""
        lowest = max(self.sealed_height, self.sealed_elsewhere)
        return not self.silent and self.view >= self.view_floor and lowest < height <= self.sealed_height + self._window

    def propose(self, batch: Batch, digest: bytes) -> Permit | None:
        """PRE-PREPARE in the current view."""
        signed = self._vote(PRE_PREPARE, batch.height, digest)
        if signed is None:
            return None
        vote, signature = signed
        envelope = Envelope(PRE_PREPARE, vote.encode(), signature, (batch,))
        return Permit((BatchHeld(digest, batch), Voted(PRE_PREPARE, vote, signature)), envelope)

    def prepare(self, batch: Batch, digest: bytes) -> Permit | None:
        """PREPARE in the current view. The batch's bodies must be durable already."""
        signed = self._vote(PREPARE, batch.height, digest)
        if signed is None:
            return None
        vote, signature = signed
        return Permit(
            (BatchHeld(digest, batch), Voted(PREPARE, vote, signature)), Envelope(PREPARE, vote.encode(), signature)
        )

    def commit(self, batch: Batch, certificate: PreparedCertificate) -> Permit | None:
        """COMMIT in the current view, resting on a prepared certificate of that view."""
        if certificate.view != self.view:
            return None
        signed = self._vote(COMMIT, certificate.height, certificate.digest)
        if signed is None:
            return None
        vote, signature = signed
        return Permit(
            (BatchHeld(certificate.digest, batch), Certified(certificate, signature)),
            Envelope(COMMIT, vote.encode(), signature),
        )

    def checkpoint(self, height: int, header_hash: bytes) -> Permit | None:
        """CHECKPOINT: it has no view, so one header a height, for ever.

        It follows from the chain alone: a store behind its journal signs what it signed before, and so gets its seals
        back, be it that everybody's stores lost them (P6.4).
        """
        if self.unsure or not self.sealed_height < height <= self.sealed_height + self._window:
            return None
        held = self._checkpoints.get(height)
        if held is None:
            body = Checkpoint(self._committee.epoch, height, self._member, header_hash)
            held = self._checkpoints[height] = (body, self._signature(CHECKPOINT, body.encode()))
        checkpoint, signature = held
        if checkpoint.header_hash != header_hash:
            return None
        return Permit((CheckpointSigned(checkpoint, signature),), Envelope(CHECKPOINT, checkpoint.encode(), signature))

    def suspect(self, height: int) -> Permit | None:
        """SUSPECT: its bytes follow from view and height, so a restart cannot make two of it."""
        if self.silent:
            return None
        return Permit((), self._envelope(SUSPECT, Suspect(self._committee.epoch, self.view, height, self._member)))

    def leave(self, body: ViewChange, batches: tuple[Batch, ...]) -> Permit | None:
        """VIEW-CHANGE: from here on nothing for any view below `body.view` (P4.2).

        It must show a certificate for every COMMIT above the seal: a store that lost its last blocks narrows the
        window, and what lies beyond would be hidden from the new view.
        """
        shown = {certificate.height for certificate in body.prepared}
        if self.silent or not self.view < body.view <= VIEW_MAX or not self._committed_heights() <= shown:
            return None
        envelope = self._envelope(VIEW_CHANGE, body, batches)
        self.view, self.changing = body.view, True
        return Permit((Left(body.view, envelope),), envelope)

    def lead(self, body: NewView, batches: tuple[Batch, ...]) -> Permit | None:
        """NEW-VIEW for the view that this member is changing to, and leads."""
        leads = self._committee.primary(body.view) == self._member
        if self.silent or not leads or not self.changing or body.view != self.view:
            return None
        envelope = self._envelope(NEW_VIEW, body, batches)
        return Permit((Entered(body.view, envelope),), envelope)

    def status(self, body: Status, batches: tuple[Batch, ...]) -> Envelope:
        """STATUS is no vote: always allowed."""
        return self._envelope(STATUS, body, batches)

    # ── what happened ─────────────────────────────────────────────────────────────────────────────

    def may_enter(self, view: int) -> bool:
        """A view is entered once, and never after a later one was promised."""
        return view > self.view or (view == self.view and self.changing)

    def enter(self, view: int) -> None:
        """The view's NEW-VIEW holds, and is durable."""
        self.view, self.changing = view, False

    def promise(self, view: int) -> None:
        """A VIEW-CHANGE that this member signed came back, and is durable again."""
        self.view, self.changing = view, True

    def seal(self, height: int) -> None:
        """The sealed height that is held moved up. Votes at and below it are history."""
        self.sealed_height = height
        self._votes = {place: vote for place, vote in self._votes.items() if place[1] > height}
        kept_from = height - self._window
        self._checkpoints = {each: held for each, held in self._checkpoints.items() if each > kept_from}

    def sent(self, kind: Kind, height: int) -> Envelope | None:
        """The vote of that kind which this member signed at a height in the current view, byte for byte."""
        held = self._votes.get((kind, height))
        if held is None or held[0].view != self.view or self.silent:
            return None
        return Envelope(kind, held[0].encode(), held[1])

    def sent_checkpoint(self, height: int) -> Envelope | None:
        """The CHECKPOINT that this member signed at a height, also for the last W sealed ones."""
        held = self._checkpoints.get(height)
        if held is None or self.unsure:
            return None
        return Envelope(CHECKPOINT, held[0].encode(), held[1])

    def restore_vote(self, kind: str, vote: Vote, signature: bytes) -> None:
        """Take back a vote from the journal; the one of the highest view counts."""
        held = self._votes.get((kind, vote.height))
        if held is None or held[0].view <= vote.view:
            self._votes[(kind, vote.height)] = (vote, signature)

    def restore_checkpoint(self, checkpoint: Checkpoint, signature: bytes) -> None:
        """Take back a CHECKPOINT from the journal."""
        self._checkpoints[checkpoint.height] = (checkpoint, signature)

    def checkpoint_at(self, height: int) -> bytes | None:
        """The header hash that this member signed at a height."""
        held = self._checkpoints.get(height)
        return held[0].header_hash if held else None

    def _committed_heights(self) -> set[int]:
        """Where this member signed COMMIT, above the seal."""
        return {height for kind, height in self._votes if kind == COMMIT}

    # ── signing ───────────────────────────────────────────────────────────────────────────────────

    def _vote(self, kind: Kind, height: int, digest: bytes) -> tuple[Vote, bytes] | None:
        """One digest per kind, view and height; the same bytes when asked again; None is no."""
        if self.changing or not self.may_vote_at(height):
            return None
        held = self._votes.get((kind, height))
        if held is not None and held[0].view >= self.view:
            return held if held[0].view == self.view and held[0].digest == digest else None
        vote = Vote(self._committee.epoch, self.view, height, self._member, digest)
        signed = self._votes[(kind, height)] = (vote, self._signature(kind, vote.encode()))
        return signed

    def _envelope(self, kind: Kind, body: Body, batches: tuple[Batch, ...] = ()) -> Envelope:
        encoded = body.encode()
        return Envelope(kind, encoded, self._signature(kind, encoded), batches)

    def _signature(self, kind: str, body: bytes) -> bytes:
        return self._sign(signing_message(kind, self._committee.chain_id, body))
