"""A judge of what must be reported: whoever was shown two votes of one member for one place holds evidence (P2.8).

It listens at one correct process and keeps, for one life, the first vote that was heard of each member for each place
that was open just then: above the seal and within the window, in the view that was entered. It knows docs/protocol.md,
and of the replica only where it says that it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.actions import Action, Evidence, FetchBodies
from consensus.errors import MessageRefused
from consensus.messages import PRE_PREPARE, Envelope, Vote, open_envelope
from consensus.replica import Replica
from consensus.simulation.certifier import Certifier
from consensus.simulation.checkers import Violation
from consensus.simulation.conduct import VOTES
from ledger.types import Checkpoint

Place = tuple[str, int, int, int]  # kind, sender, view (0 for a CHECKPOINT), height


class Accuser:
    """What one correct process must report, in one life."""

    def __init__(self, member: int, window: int, certifier: Certifier) -> None:
        self._member = member
        self._window = window
        self._certifier = certifier
        self.begin()

    def begin(self) -> None:
        """A process starts: what was heard before is forgotten."""
        self._first: dict[Place, Vote | Checkpoint] = {}
        self._reported: set[Place] = set()
        self._now: Place | None = None  # where the message belongs that is being heard
        self._body: Vote | Checkpoint | None = None  # and what it says
        self._due = False  # and whether it has to be reported

    def hear(self, data: bytes, replica: Replica) -> None:
        """The replica is about to hear this, and stands like that."""
        self._now, self._due = None, False
        if not data.startswith(VOTES):
            return
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:
            return  # a liar's
        if not isinstance(body, Vote | Checkpoint):
            return
        self._now = place = (envelope.kind, body.sender, getattr(body, "view", 0), body.height)
        self._body = body
        if self._counts(envelope, body, replica):
            if envelope.kind != PRE_PREPARE:
                self._first.setdefault(place, body)
            self._due = self._first.get(place, body) != body and place not in self._reported

    def judge(self, actions: Sequence[Action]) -> None:
        """What the replica did then."""
        place, body, due = self._now, self._body, self._due
        self._now, self._body, self._due = None, None, False
        if place is None or body is None:
            return
        if any(isinstance(action, Evidence) for action in actions):
            self._reported.add(place)
        elif due:
            kind, sender, view, height = place
            raise Violation(
                f"member {self._member} was shown two of {kind} by member {sender} at height {height}, view {view}, "
                "and holds no evidence"
            )
        elif place[0] == PRE_PREPARE and any(isinstance(action, FetchBodies) for action in actions):
            self._first.setdefault(place, body)  # taken for a proposal: many are refused for their form

    def _counts(self, envelope: Envelope, body: Vote | Checkpoint, replica: Replica) -> bool:
        """Whether it is a vote of somebody else for a place that is open here."""
        open_here = replica.sealed_height < body.height <= replica.sealed_height + self._window
        if isinstance(body, Vote):
            open_here = open_here and body.view == replica.view and not replica.changing_view
        bare = not envelope.batches or envelope.kind == PRE_PREPARE
        return (
            open_here
            and bare
            and not replica.halted
            and body.epoch == 0
            and body.sender != self._member
            and self._certifier.signed(envelope.kind, body.sender, envelope.body, envelope.signature)
        )
