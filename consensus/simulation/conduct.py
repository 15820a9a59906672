"""A judge of what correct members ask for: every action of a step is compared with the rule that allows it.

It knows docs/protocol.md and what was said on the wire; certificates it leaves to `certifier`. Not judged here is what
only shows over many steps or many members: votes that contradict each other, agreement, memory, recovery.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.actions import Action, Broadcast, Deliver, Persist, Sealed, Send, SetTimer
from consensus.errors import MessageRefused
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
    Status,
    Suspect,
    ViewChange,
    Vote,
    open_body,
    open_envelope,
)
from consensus.recovery import (
    Anchor,
    BatchHeld,
    Certified,
    CheckpointSigned,
    CommitHeld,
    Entered,
    Left,
    Voted,
    read_record,
)
from consensus.simulation.certifier import Certifier
from consensus.simulation.checkers import Violation
from ledger.types import Batch, Parameters

TURN_WINDOWS = 4  # how many windows of heights the member that starts a view has the pen for (P3.10)
SKIPPED_VIEWS_MAX = 1  # a view is passed over if the very member that is blamed would start it (P5.4)
PROGRESS = "progress"
JUDGED_MESSAGES = tuple(bytes([0x94, 0xA0 + len(kind)]) + kind.encode() for kind in (VIEW_CHANGE, NEW_VIEW, STATUS))
VOTES = tuple(bytes([0x94, 0xA0 + len(kind)]) + kind.encode() for kind in (PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT))
WISHES = tuple(bytes([0x94, 0xA0 + len(kind)]) + kind.encode() for kind in (SUSPECT, VIEW_CHANGE))


class Wishes:
    """Who was heard to want which view: what moves members (P5.4, P5.5)."""

    def __init__(self, certifier: Certifier) -> None:
        self._certifier = certifier
        self._left: dict[int, int] = {}  # member -> the highest view it left for
        self._suspects: dict[int, dict[int, int]] = {}  # view -> member -> the highest height that it waits for there

    def on_wire(self, data: bytes) -> None:
        """Somebody sent this."""
        if not data.startswith(WISHES):
            return
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:
            return  # a liar's
        if not self._certifier.signed(envelope.kind, body.sender, envelope.body, envelope.signature):
            return
        if isinstance(body, ViewChange):
            self._left[body.sender] = max(body.view, self._left.get(body.sender, 0))
        elif isinstance(body, Suspect):
            held = self._suspects.setdefault(body.view, {})
            held[body.sender] = max(body.height, held.get(body.sender, 0))

    def behind(self, view: int, delivered_height: int) -> int:
        """The power that wants this view or a later one, as a member sees it that has delivered so far."""
        wanting = {each for each, left in self._left.items() if left >= view}
        for suspected in range(view - 1 - SKIPPED_VIEWS_MAX, view):
            waiting = self._suspects.get(suspected, {})
            wanting |= {each for each, height in waiting.items() if height > delivered_height}
        return self._certifier.power(sorted(wanting))


class Conduct:
    """What one correct process may ask for, in one life."""

    def __init__(
        self,
        member: int,
        parameters: Parameters,
        certifier: Certifier,
        wishes: Wishes,
        *,
        keeps_promises: bool,
        was_restored: bool,
    ) -> None:
        self._member = member
        self._parameters = parameters
        self._certifier = certifier
        self._wishes = wishes
        self._keeps_promises = keeps_promises  # False for one that loses its journal: what it takes back looks new
        self._was_restored = was_restored  # gets an older journal back now and then
        self._failed_views = 0
        self._batches: dict[bytes, Batch] = {}
        self._votes: dict[tuple[str, int, int], bytes] = {}
        self._shown: dict[tuple[str, int, int], bytes] = {}  # its own votes that came back in this life
        self._entered_view = 0
        self._anchor = 0
        self._sealed_height = 0
        self._delivered_height = 0
        self._clock_ms: int | None = None

    def begin(self, tip_height: int, journal: Sequence[bytes]) -> None:
        """A process starts with what its disk holds."""
        self._failed_views = 0
        self._shown = {}
        records = [read_record(data) for data in journal]
        self._anchor = max((record.height for record in records if isinstance(record, Anchor)), default=0)
        # what was asked for and did not reach the disk before the crash was never said, and never happened
        self._entered_view = max((record.view for record in records if isinstance(record, Entered)), default=0)
        self._sealed_height = self._delivered_height = tip_height

    def hear(self, data: bytes) -> None:
        """A vote of its own that comes back binds it, even if its journal is an older copy (P6.6)."""
        if not self._was_restored or not data.startswith(VOTES):
            return
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:
            return  # a liar's
        if body.sender == self._member and self._certifier.signed(
            envelope.kind, body.sender, envelope.body, envelope.signature
        ):
            self._shown.setdefault(_place(envelope.kind, body), envelope.body)

    def on_sent(self, data: bytes) -> None:
        """A message left. Never two different ones for one place (P6.2): not even if the journal was lost (P6.5)."""
        if self._was_restored or not data.startswith(VOTES):
            return  # who got an older journal back finds that out only if somebody holds what it forgot
        envelope, body = open_envelope(data)
        place = _place(envelope.kind, body)
        if body.sender == self._member and self._votes.setdefault(place, envelope.body) != envelope.body:
            raise Violation(f"member {self._member} signed two of {place}")

    def judge(
        self,
        actions: Sequence[Action],
        bodies: dict[bytes, None],
        sealed_height: int,
        clock_ms: int | None,
        *,
        waits: bool,
    ) -> None:
        """What a step asked for. `sealed_height` is where it left the seal; `clock_ms` None where the clock jumps;
        `waits` whether requests wait, a proposal is not delivered, or a view is being changed.
        """
        self._clock_ms = clock_ms
        for action in actions:
            match action:
                case Persist(record):
                    self._judge_record(record, bodies, sealed_height)
                case Broadcast(data) if data.startswith(WISHES):
                    self._wishes.on_wire(data)  # one's own wish counts from here on
                    self._judge_message(data)
                case Broadcast(data) | Send(_, data) if data.startswith(JUDGED_MESSAGES):
                    self._judge_message(data)
                case Broadcast(data) if self._was_restored and data.startswith(VOTES):
                    self._judge_shown(data)
                case Deliver(height, batch, _):
                    self._judge_batch(batch)
                    self._failed_views, self._delivered_height = 0, height
                case Sealed(height, _, seal):
                    self._require("sealed", self._certifier.sealed(seal))
                    self._sealed_height = height
                case SetTimer(name, after_ms) if name == PROGRESS:
                    self._judge_patience(after_ms, waits=waits)

    # ── what is written down, and so about to be said ─────────────────────────────────────────────

    def _judge_record(self, data: bytes, bodies: dict[bytes, None], sealed_height: int) -> None:
        match read_record(data):
            case BatchHeld(digest, batch):
                if batch.digest != digest:
                    raise Violation(
                        f"member {self._member} takes batch {batch.digest.hex()[:12]} for {digest.hex()[:12]}"
                    )
                self._batches[digest] = batch
            case Voted(kind, vote, _):
                self._judge_place(kind, vote.height, sealed_height)
                self._judge_view(kind, vote.view)
                if kind == PREPARE:
                    self._judge_prepare(vote, bodies)
            case Certified(certificate, _):
                self._judge_place(COMMIT, certificate.height, sealed_height)
                self._judge_view(COMMIT, certificate.view)
                self._require("committed to", self._certifier.prepared(certificate))
            case CheckpointSigned(checkpoint, _):
                self._judge_place(CHECKPOINT, checkpoint.height, sealed_height)
            case CommitHeld(certificate):
                self._require("took for final", self._certifier.committed(certificate))
            case Entered(view, envelope):
                body = open_body(envelope.kind, envelope.body)
                assert isinstance(body, NewView)
                self._require(f"entered view {view}", self._certifier.new_view(envelope, body))
                self._entered_view = max(view, self._entered_view)
            case Left(view, _) if self._keeps_promises:
                self._judge_leaving(view)

    def _judge_place(self, kind: str, height: int, sealed_height: int) -> None:
        """Within the window above the seal (P6.3), which may have moved meanwhile; not below one's past (P6.4)."""
        if kind != CHECKPOINT and self._sealed_height < self._anchor:  # that follows from the chain alone
            raise Violation(
                f"member {self._member} signs {kind} at height {height} with a store up to {self._sealed_height}, "
                f"its journal forgot what lies below {self._anchor}"
            )
        if not self._sealed_height < height <= sealed_height + self._parameters.window:
            raise Violation(
                f"member {self._member} signs {kind} at height {height}, its window is "
                f"{self._sealed_height + 1} to {sealed_height + self._parameters.window}"
            )

    def _judge_view(self, kind: str, view: int) -> None:
        """Votes only in the last view that was entered (P4.2, P4.6)."""
        if view != self._entered_view:
            raise Violation(
                f"member {self._member} signs {kind} in view {view}, the last view it entered is {self._entered_view}"
            )

    def _judge_prepare(self, vote: Vote, bodies: dict[bytes, None]) -> None:
        """PREPARE says that the batch is proper, in its place and time, and every body durable here (P3.2, P3.3)."""
        batch = self._batches.get(vote.digest)
        if batch is None:
            raise Violation(f"member {self._member} signs PREPARE for a batch that it did not write down")
        if (batch.epoch, batch.height) != (vote.epoch, vote.height) or batch.view > vote.view:
            raise Violation(
                f"member {self._member} signs PREPARE at height {vote.height} of view {vote.view} for a batch of "
                f"height {batch.height}, view {batch.view}"
            )
        self._judge_batch(batch)
        missing = [each for each in batch.hashes if each not in bodies]
        if missing:
            raise Violation(f"member {self._member} signs PREPARE without the body of {missing[0].hex()[:12]}")
        if batch.view == vote.view and self._clock_ms is not None and batch.hashes:
            ahead_ms = batch.time_ms - self._clock_ms
            if ahead_ms > self._parameters.clock_drift_max_ms:
                raise Violation(
                    f"member {self._member} signs PREPARE for a batch from {ahead_ms} ms ahead of its clock"
                )

    def _judge_leaving(self, view: int) -> None:
        """No member moves another, and none moves alone (P5.4, P5.5)."""
        self._failed_views += 1
        power, needed = self._wishes.behind(view, self._delivered_height), self._certifier.weak_quorum
        if power < needed:
            raise Violation(f"member {self._member} leaves for view {view}, which power {power} of {needed} wants")

    # ── what is said, handed out, waited for ──────────────────────────────────────────────────────

    def _judge_message(self, data: bytes) -> None:
        """Nobody shows a certificate that does not hold."""
        envelope, body = open_envelope(data)
        if body.sender != self._member and not isinstance(body, NewView):
            return  # handed on
        if isinstance(body, ViewChange):
            self._require("shows", self._certifier.view_change(body))
        elif isinstance(body, NewView):
            self._require("shows", self._certifier.new_view(envelope, body))
        elif isinstance(body, Status):
            self._require("shows", self._certifier.sealed(body.seal) if body.seal else "")
            for certificate in body.final:
                self._require("hands over", self._certifier.committed(certificate))

    def _judge_shown(self, data: bytes) -> None:
        """Never another vote for the place of one that it was shown."""
        envelope, body = open_envelope(data)
        place = _place(envelope.kind, body)
        if body.sender == self._member and self._shown.get(place, envelope.body) != envelope.body:
            raise Violation(f"member {self._member} signs {place} although it was shown another of its own")

    def _judge_batch(self, batch: Batch) -> None:
        """A batch is a proper one (P3.2), from its view's primary as far as that is plain (P3.10)."""
        count, starter = len(batch.hashes), batch.view % len(self._certifier.powers)
        null = not batch.hashes and batch.time_ms == 0
        if not null and not 0 < count <= self._parameters.block_transactions_max:
            raise Violation(f"member {self._member} takes a batch of {count} transactions")
        if len(set(batch.hashes)) != count:
            raise Violation(f"member {self._member} takes a batch that names a transaction twice")
        first_turn = batch.height - batch.since < TURN_WINDOWS * self._parameters.window
        if (null or first_turn) and batch.proposer != starter:
            raise Violation(
                f"member {self._member} takes a batch that member {batch.proposer} proposed in view {batch.view} "
                f"of member {starter}"
            )

    def _judge_patience(self, after_ms: int, *, waits: bool) -> None:
        """Only while there is work (P5.1); doubled for every view left after the first one in a row, capped (P5.3)."""
        if not waits:
            raise Violation(f"member {self._member} loses patience with nothing to wait for")
        wanted = min(
            self._parameters.request_timeout_ms * 2 ** min(max(0, self._failed_views - 1), 40),
            self._parameters.timeout_max_ms,
        )
        if self._keeps_promises and after_ms != wanted:
            raise Violation(
                f"member {self._member} waits {after_ms} ms after {self._failed_views} views that it left in vain, "
                f"expected {wanted}"
            )

    def _require(self, did: str, wrong: str) -> None:
        if wrong:
            raise Violation(f"member {self._member} {did} what does not hold: {wrong}")


def _place(kind: str, body: Body) -> tuple[str, int, int]:
    return (kind, getattr(body, "view", 0), getattr(body, "height", 0))
