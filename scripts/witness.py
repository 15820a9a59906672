"""Judges of one correct replica, from outside: what it was told, what it made durable, what it let out.

A `Witness` holds each vote against the rules' preconditions as far as they can be seen: a PREPARE needs the proposal
and its bodies, a COMMIT a quorum of PREPAREs, a delivery a quorum of COMMITs, and so on; never two votes in one
place, none for a view that was left, none before its record. It shares no code with the rules but the messages' form
and the arithmetic of signatures. What the witnesses of one run have in common is the `court`.
"""

from __future__ import annotations

from consensus.actions import Action, Broadcast, Deliver, Evidence, Halt, Persist, Sealed, Send
from consensus.committee import Committee
from consensus.events import BlockFetched, BodiesReady, Event, Executed
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    Body,
    NewView,
    ViewChange,
    Vote,
    open_body,
)
from consensus.recovery import BatchHeld, Certified, CheckpointSigned, Entered, Left, Voted, read_record
from consensus.simulation.checkers import Violation
from consensus.standing import Tip
from ledger.types import Batch, Checkpoint, Parameters, Seal
from scripts.court import Court, Place, Read

VIEWS_SKIPPED_MAX = 2  # who suspects wants the next view, or the one after where the next has the same primary


class Witness:
    """One member over all its lives. Raises `Violation` at the first breach.

    `faulty` None: the run keeps no fault bound, so halts, accusations and disagreement prove nothing; the
    preconditions of votes still bind.
    """

    def __init__(
        self,
        member: int,
        committee: Committee,
        parameters: Parameters,
        court: Court,
        faulty: frozenset[int] | None,
    ) -> None:
        self._member = member
        self._committee = committee
        self._window = parameters.window
        self._court = court
        self._faulty = faulty
        self._heard: dict[Place, set[int]] = {}
        self._said: dict[tuple[str, int, int], bytes] = {}  # (kind, view, height) -> body
        self._wishes: dict[int, int] = {}  # member -> the highest view it wants
        self._left_for = 0
        self._durable: set[bytes] = set()
        self._batches: dict[bytes, Batch] = {}
        self._ready: set[bytes] = set()
        self._fetched: set[tuple[int, bytes]] = set()
        self._executed: dict[int, bytes] = {}
        self._delivered_height = 0
        self._sealed_height = 0

    # ── what it is told ───────────────────────────────────────────────────────────────────────────

    def on_start(self, tip: Tip) -> None:
        """A new life from that tip."""
        self._delivered_height = self._sealed_height = tip.height

    def on_heard(self, data: bytes) -> None:
        """Bytes that the replica is about to get."""
        read = self._court.read(data)
        if read is not None:
            self._note(read)

    def _note(self, read: Read) -> None:
        for place, member in read.facts:
            self._heard.setdefault(place, set()).add(member)
            if place[0] in (SUSPECT, VIEW_CHANGE):
                wish = place[1] + (VIEWS_SKIPPED_MAX if place[0] == SUSPECT else 0)
                self._wishes[member] = max(wish, self._wishes.get(member, 0))

    def on_event(self, event: Event) -> None:
        """Any other event that the replica is about to get."""
        match event:
            case BodiesReady(digest):
                self._ready.add(digest)
            case Executed(height, header_hash):
                self._executed[height] = header_hash
            case BlockFetched(_, batch):
                self._fetched.add((batch.height, batch.digest))
                self._ready.add(batch.digest)

    # ── what it asks for ──────────────────────────────────────────────────────────────────────────

    def on_action(self, action: Action) -> None:
        """The next action, in order."""
        match action:
            case Persist(record):
                self._on_durable(record)
            case Send(_, data) | Broadcast(data):
                self._on_sent(data)
            case Deliver(height, batch, digest):
                self._on_delivered(height, batch, digest)
            case Sealed(height, header_hash, seal):
                self._on_sealed(height, header_hash, seal)
            case Evidence(kind, member, first, second):
                self._on_evidence(kind, member, first, second)
            case Halt(diagnosis):
                self._require(self._faulty is None, f"halted: {diagnosis}")

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(f"member {self._member}: {what}")

    def _on_durable(self, record: bytes) -> None:
        match read_record(record):
            case BatchHeld(digest, batch):
                self._require(batch.digest == digest, f"holds a batch under another digest at height {batch.height}")
                self._batches[digest] = batch
            case Voted(_, _, signature) | Certified(_, signature) | CheckpointSigned(_, signature):
                self._durable.add(signature)
            case Left(_, envelope) | Entered(_, envelope):
                self._durable.add(envelope.signature)

    def _on_sent(self, data: bytes) -> None:
        read = self._court.read(data)
        self._require(read is not None and read.valid, "sent what is no message, or is not signed by its sender")
        assert read is not None
        envelope, body = read.envelope, read.body
        if body.sender != self._member or envelope.kind == STATUS:
            return
        place = (envelope.kind, getattr(body, "view", -1), getattr(body, "height", -1))
        repeated = place in self._said
        said = self._said.setdefault(place, envelope.body)
        self._require(said == envelope.body, f"two of {place}: {open_body(envelope.kind, said)} and {body}")
        self._require(
            envelope.kind == SUSPECT or envelope.signature in self._durable, f"sent {place} before its record"
        )
        late = envelope.kind in (PRE_PREPARE, PREPARE, COMMIT) and place[1] < self._left_for
        self._require(not late, f"voted {place} after it left for view {self._left_for}")
        if not repeated:
            self._check(envelope.kind, body)
        self._note(read)

    # ── preconditions ─────────────────────────────────────────────────────────────────────────────

    def _check(self, kind: str, body: Body) -> None:
        """A vote that was never sent before: is what it needs there?"""
        match body:
            case Vote():
                self._check_window(kind, body.height)
                entered = body.view == 0 or self._heard_any((NEW_VIEW, body.view, -1, b""))
                self._require(entered, f"{kind} in view {body.view} that it did not enter")
                if kind == PREPARE:
                    self._check_prepare(body)
                elif kind == COMMIT:
                    self._require(self._quorum(PREPARE, body), f"COMMIT without a quorum of PREPAREs: {body}")
            case Checkpoint():
                self._check_window(kind, body.height)
                self._require(self._executed.get(body.height) == body.header_hash, f"CHECKPOINT not executed: {body}")
            case ViewChange():
                self._check_leave(body)
            case NewView():
                left = self._heard.get((VIEW_CHANGE, body.view, -1, b""), ())
                self._require(self._court.power(left) >= self._committee.quorum, f"NEW-VIEW alone: {body.view}")

    def _check_window(self, kind: str, height: int) -> None:
        inside = self._sealed_height < height <= self._sealed_height + self._window
        self._require(inside, f"{kind} at height {height} with the seal at {self._sealed_height}")

    def _check_prepare(self, body: Vote) -> None:
        batch = self._batches.get(body.digest)
        self._require(batch is not None, f"PREPARE without the batch: {body}")
        assert batch is not None
        again = self._heard_any(("again", body.view, body.height, body.digest))
        null = not batch.hashes and batch.view == body.view > 0
        proposed = self._heard_any((PRE_PREPARE, body.view, body.height, body.digest))
        self._require(proposed or again or null, f"PREPARE for what nobody proposed: {body}")
        self._require(not batch.hashes or body.digest in self._ready, f"PREPARE without bodies: {body}")

    def _check_leave(self, body: ViewChange) -> None:
        base = body.seal.height if body.seal else 0
        shown = {each.height: each.view for each in body.prepared}
        for kind, view, height in self._said:
            if kind == COMMIT and height > base:
                self._require(shown.get(height, -1) >= view, f"VIEW-CHANGE hides the COMMIT of {view}, {height}")
        wanting = [member for member, view in self._wishes.items() if view >= body.view]
        self._require(self._court.power(wanting) >= self._committee.weak_quorum, f"left for {body.view} alone")
        self._require(body.view > self._left_for, f"left for {body.view} after {self._left_for}")
        self._left_for = body.view

    def _heard_any(self, place: Place) -> bool:
        return bool(self._heard.get(place))

    def _quorum(self, kind: str, body: Vote) -> bool:
        members = self._heard.get((kind, body.view, body.height, body.digest), ())
        return self._court.power(members) >= self._committee.quorum

    def _on_delivered(self, height: int, batch: Batch, digest: bytes) -> None:
        self._require(height == self._delivered_height + 1, f"delivered {height} after {self._delivered_height}")
        self._require(batch.height == height and batch.digest == digest, f"delivered another batch at {height}")
        self._delivered_height = height
        voted = [
            members
            for (kind, _, where, what), members in self._heard.items()
            if kind == COMMIT and (where, what) == (height, digest)
        ]
        final = any(self._court.power(members) >= self._committee.quorum for members in voted)
        self._require(final or (height, digest) in self._fetched, f"delivered {height} without a quorum of COMMITs")
        if self._faulty is not None:
            self._court.on_delivered(self._member, height, digest)

    def _on_sealed(self, height: int, header_hash: bytes, seal: Seal) -> None:
        self._require(height == self._sealed_height + 1, f"sealed {height} after {self._sealed_height}")
        self._require(self._executed.get(height) == header_hash == seal.header_hash, f"sealed another header: {height}")
        signers = [
            each.member
            for each in seal.signatures
            if self._court.signed(
                CHECKPOINT,
                each.member,
                Checkpoint(seal.epoch, height, each.member, header_hash).encode(),
                each.signature,
            )
        ]
        proper = seal.height == height and signers == sorted({each.member for each in seal.signatures})
        enough = self._court.power(signers) >= self._committee.quorum
        self._require(proper and enough, f"the seal of {height} does not hold")
        self._sealed_height = height
        if self._faulty is not None:
            self._court.on_sealed(self._member, height, header_hash)

    def _on_evidence(self, kind: str, member: int, first: bytes, second: bytes) -> None:
        one, other = self._court.read(first), self._court.read(second)
        self._require(one is not None and other is not None and one.valid and other.valid, "accused without signatures")
        assert one is not None
        assert other is not None
        same = one.body.sender == other.body.sender == member and one.envelope.kind == other.envelope.kind == kind
        self._require(same and one.envelope.body != other.envelope.body, f"accused {member} with no contradiction")
        self._require(self._faulty is None or member in self._faulty, f"accused member {member}, who is correct")
