"""One replica's memory, and the outbox of the current step. Holds facts; the rules are in the modules that use it.

Events write facts here (`ordering`, `sealing`, `view_changing`, `status`, `catch_up`); then `replica` lets each of
those modules draw its conclusions until nothing is left to conclude. So no rule calls another rule's code: they meet
in these facts only. Everything is keyed by height or member and bounded: heights by the window, members by the set.
"""

from __future__ import annotations

import msgspec

from consensus.actions import Action, Broadcast, Evidence, Halt, Persist, Send
from consensus.committee import Committee, Sign
from consensus.errors import MessageRefused
from consensus.messages import Envelope, Status, Suspect, ViewChange
from consensus.pace import Pace
from consensus.recovery import Halted, Journal, Record
from consensus.safety import Permit, Safety
from consensus.slot import Slot, Votes
from consensus.standing import Tip
from consensus.turns import Turns
from ledger.types import Parameters, Seal

BUFFERED_WINDOWS = 2  # votes are kept this many windows above the seal, and cast within one
FUTURE_VIEWS_MAX = 2  # votes are kept this many views ahead


class HeldViewChange(msgspec.Struct, frozen=True):
    """A VIEW-CHANGE that was checked in full."""

    body: ViewChange
    envelope: Envelope


class Peer:
    """What one member last reported of itself, and what it was sent since this replica's last STATUS tick."""

    __slots__ = (
        "answered",
        "asked",
        "corrected",
        "costly",
        "envelope",
        "number",
        "questions",
        "sealed_height",
        "status",
        "view",
    )

    def __init__(self) -> None:
        self.view = 0
        self.sealed_height = 0
        self.number = 0  # of the latest STATUS: older ones, replayed, change nothing
        self.status: Status | None = None
        self.envelope: Envelope | None = None  # of that STATUS
        self.rest()

    def rest(self) -> None:
        """Another tick: one answer a tick, whoever asks how often."""
        self.answered = False
        self.asked = False  # what it holds of this member
        self.corrected = False  # it counts its STATUSes from a clock that was set back
        self.questions = 0  # how often it asked anew
        self.costly = 0  # how many of its VIEW-CHANGEs and bad NEW-VIEWs were checked, signature by signature


class Core:
    """The memory. Attributes are grouped by the module that writes them."""

    def __init__(
        self,
        member: int,
        committee: Committee,
        parameters: Parameters,
        sign: Sign,
        tip: Tip,
        records: list[Record],
    ) -> None:
        self.member = member
        self.committee = committee
        self.parameters = parameters
        self.window = parameters.window
        self.safety = Safety(committee, member, sign, parameters.window)
        self.journal = Journal(records)
        self.out: list[Action] = []
        self.now_ms = 0
        self.halted = ""
        self.refused: dict[str, int] = {}
        # ordering
        self.slots: dict[int, Slot] = {}
        self.delivered_height = tip.height
        self.awaiting: dict[bytes, int] = {}  # digest of a batch whose bodies were asked for -> its height
        self.touched: dict[int, None] = {}  # heights with something new to conclude from
        # proposing
        self.turns = Turns(committee, parameters.window, tip.height, tip.turns)
        self.waiting = False
        self.requested: tuple[int, int] | None = None  # (height, view) of the outstanding RequestBatch
        self.pen_rests = False  # nothing new to propose: ask again after a seal, a STATUS tick or a word of the pool
        # view changing
        self.entered_view = 0
        self.new_view: Envelope | None = None  # what proves `entered_view`; view 0 needs no proof
        self.fresh_from = 1  # the first height whose batch the NEW-VIEW of `entered_view` left open
        self.view_changes: dict[int, HeldViewChange] = {}
        self.sound_new_view = b""  # the last one whose signatures were checked, to the last
        self.suspects: dict[int, Suspect] = {}
        self.failed_views = 0  # left since the last height that came to a commit
        self.unrest = True
        self.reported: dict[tuple[str, int], int] = {}  # (kind, member) -> last view reported with two messages
        # sealing
        self.sealed_height = tip.height
        self.sealed_hash = tip.header_hash
        self.seal = tip.seal
        self.executed: dict[int, bytes] = {}
        self.checkpoints: dict[int, Votes] = {}
        self.seals: dict[int, Seal] = {}
        self.best_seal = tip.seal
        self.sealing_due = True
        # status and catching up
        self.peers = tuple(Peer() for _ in range(committee.size))
        self.status_number = 0  # of this member's last STATUS
        # this member's past, and that of others
        self.question = 0  # what the next STATUS asks everybody, 0 for nothing
        self.asking_due = False
        self.asking_pause_ms = 0
        self.resumed_height = 0  # what this member signed before its journal was lost lies at or below
        # liveness
        self.pace = Pace(member, parameters)
        self.timer: tuple[int, ...] | None = None  # what the running progress timer waits for

    # ── places ────────────────────────────────────────────────────────────────────────────────────

    @property
    def view(self) -> int:
        """The view this replica is in, or is changing to."""
        return self.safety.view

    @property
    def changing(self) -> bool:
        """Whether `view` was promised and not entered yet."""
        return self.safety.changing

    @property
    def leads(self) -> bool:
        """Whether this member starts `view`: it sends the NEW-VIEW, and has the first turn."""
        return self.committee.primary(self.view) == self.member

    def holder(self, height: int) -> int | None:
        """Who may propose a fresh batch at `height` in the view that was entered; None where it is not known yet."""
        return self.turns.holder(self.entered_view, self.fresh_from, height)

    @property
    def best_sealed_height(self) -> int:
        """The highest height that a checked seal is known for, executed here or not."""
        return self.best_seal.height if self.best_seal else 0

    def slot(self, height: int) -> Slot:
        """The slot of a height, made when first needed. The caller has range-checked the height."""
        found = self.slots.get(height)
        if found is None:
            found = self.slots[height] = Slot(height)
        return found

    def touch(self, height: int) -> None:
        """Something is new at that height."""
        self.touched[height] = None

    def touch_all(self) -> None:
        """The view or the window moved: every height may have something to conclude."""
        self.touched.update(dict.fromkeys(self.slots))

    # ── judging senders ───────────────────────────────────────────────────────────────────────────

    def require_member(self, epoch: int, sender: int) -> None:
        """Raise `MessageRefused` unless the sender is a member of this epoch."""
        if epoch != self.committee.epoch:
            raise MessageRefused("other_epoch")
        if sender >= self.committee.size:
            raise MessageRefused("no_member")

    def require_buffered(self, height: int) -> None:
        """Raise `MessageRefused` unless the height lies in the buffered windows above the seal."""
        if not self.sealed_height < height <= self.sealed_height + BUFFERED_WINDOWS * self.window:
            raise MessageRefused("height_out_of_range")

    def require_signature(self, envelope: Envelope, sender: int) -> None:
        """Raise `MessageRefused` unless the sender signed it. The costly check, so it comes after the cheap ones."""
        if not self.committee.signed_by(envelope.kind, sender, envelope.body, envelope.signature):
            raise MessageRefused("bad_signature")

    def require_no_batches(self, envelope: Envelope) -> None:
        """Raise `MessageRefused` where a body that names no batch brings one."""
        if envelope.batches:
            raise MessageRefused("wrong_batches")

    # ── the outbox ────────────────────────────────────────────────────────────────────────────────

    def persist(self, *records: Record) -> None:
        """Make records durable before anything that follows, unless the journal holds them already."""
        for record in records:
            if self.journal.note(record):
                self.out.append(Persist(record.encode()))

    def grant(self, permit: Permit) -> None:
        """Use a permit: make its records durable, then send its message to everybody."""
        self.persist(*permit.records)
        self.broadcast(permit.envelope)

    def broadcast(self, envelope: Envelope) -> None:
        """Send to every other member."""
        if self.committee.size > 1:
            self.out.append(Broadcast(envelope.encode()))

    def send(self, member: int, envelope: Envelope) -> None:
        """Send to one member."""
        self.out.append(Send(member, envelope.encode()))

    def evidence(self, member: int, first: Envelope, second: Envelope) -> None:
        """Report two messages of which a correct member signs at most one. Batches are left out: bodies tell."""
        bare = (msgspec.structs.replace(each, batches=()).encode() for each in (first, second))
        self.out.append(Evidence(first.kind, member, *bare))

    def halt(self, diagnosis: str) -> None:
        """Stop voting for good."""
        if not self.halted:
            self.halted = diagnosis
            self.persist(Halted(diagnosis))
            self.out.append(Halt(diagnosis))
