"""One validator's part in the protocol: `step(event) -> actions`. Reads as a table of what is heard and who handles it.

An event's handler counts facts; then every rule draws its conclusions, in turn, until none is left. Whatever a peer
sends can at most be refused and counted: nothing raises out of `step`. Rules: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from consensus import catch_up, liveness, ordering, proposing, sealing, status, view_changing
from consensus.actions import Action, Halt
from consensus.amnesia import Doubt
from consensus.catch_up import CatchUp
from consensus.committee import Committee, Sign, Verify
from consensus.core import Core
from consensus.errors import MessageRefused
from consensus.events import (
    BatchReady,
    BlockFetched,
    BodiesReady,
    BodiesRefused,
    Event,
    Executed,
    FetchFailed,
    Received,
    RequestPassedOver,
    RequestsWaiting,
    Start,
    TimerFired,
)
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    Body,
    Envelope,
    Status,
    Vote,
    open_envelope,
)
from consensus.recovery import read_record
from consensus.restart import restore
from consensus.standing import PeerView, Tip
from ledger.types import Checkpoint, Parameters, ValidatorSet

EPOCH = 0  # membership changes come with epochs; every message is bound to this one already

MESSAGES: dict[str, Callable[[Core, Envelope, Any], None]] = {
    PRE_PREPARE: ordering.on_pre_prepare,
    PREPARE: ordering.on_vote,
    COMMIT: ordering.on_vote,
    CHECKPOINT: sealing.on_checkpoint,
    SUSPECT: view_changing.on_suspect,
    VIEW_CHANGE: view_changing.on_view_change,
    NEW_VIEW: view_changing.on_new_view,
}


class Replica:
    """A validator's protocol state. Not thread-safe; performs nothing itself.

    `member` indexes `validators`; `sign(message)` and `verify(public_key, message, signature)` are the raw signature
    functions; `tip` is the highest sealed and executed block; `journal` every record persisted so far, in order.
    Raises `JournalDamaged` for a journal that this program cannot have written.
    """

    def __init__(
        self,
        *,
        member: int,
        chain_id: bytes,
        validators: ValidatorSet,
        parameters: Parameters,
        sign: Sign,
        verify: Verify,
        tip: Tip,
        journal: Sequence[bytes],
    ) -> None:
        records = [read_record(data) for data in journal]
        committee = Committee(chain_id, EPOCH, validators, verify)
        self._core = Core(member, committee, parameters, sign, tip, records)
        restore(self._core, records)
        self._doubt = Doubt(self._core) if self._core.safety.doubtful else None
        self._catch_up = CatchUp()
        self._started = False
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Start: self._on_start,
            Received: self._on_received,
            TimerFired: self._on_timer,
            RequestsWaiting: self._on_requests_waiting,
            RequestPassedOver: lambda _: view_changing.suspect_turn(self._core),
            BatchReady: lambda event: proposing.on_batch_ready(self._core, event),
            BodiesReady: lambda event: ordering.on_bodies(self._core, event.digest, valid=True),
            BodiesRefused: lambda event: ordering.on_bodies(self._core, event.digest, valid=False),
            Executed: lambda event: sealing.on_executed(self._core, event.height, event.header_hash),
            BlockFetched: lambda event: catch_up.on_block_fetched(self._core, self._catch_up, event),
            FetchFailed: self._on_fetch_failed,
        }

    def step(self, event: Event) -> list[Action]:
        """Take in one event; what follows from it, to be performed in order. `Start` comes first, once."""
        core = self._core
        core.out = []
        starting = isinstance(event, Start) and not self._started
        if starting and core.halted:
            self._started = True
            return [Halt(core.halted)]
        if core.halted or not (self._started or starting):
            return []
        core.now_ms = event.now_ms
        try:
            self._handlers[type(event)](event)
        except MessageRefused as refused:
            core.refused[refused.reason] = core.refused.get(refused.reason, 0) + 1
        self._settle()
        return core.out

    def journal_snapshot(self) -> list[bytes]:
        """The records still needed, to rewrite the journal with now and then. They reach two windows below
        `sealed_height`, because the block store may not have the last seals yet, or lose them in a crash.
        """
        return self._core.journal.snapshot(doubtful=self._core.safety.doubtful)

    # ── where it stands ───────────────────────────────────────────────────────────────────────────

    @property
    def view(self) -> int:
        """The view this replica is in, or is changing to."""
        return self._core.view

    @property
    def primary(self) -> int:
        """The member whose turn it is to propose next; while the view changes, the one that starts the next."""
        core = self._core
        holder = None if core.changing else core.holder(proposing.next_height(core))
        return core.committee.primary(core.view) if holder is None else holder

    @property
    def changing_view(self) -> bool:
        """Whether it left its last view and did not enter `view` yet."""
        return self._core.changing

    @property
    def delivered_height(self) -> int:
        """The highest height handed out for execution."""
        return self._core.delivered_height

    @property
    def sealed_height(self) -> int:
        """The highest height executed here and sealed by a quorum."""
        return self._core.sealed_height

    @property
    def in_flight(self) -> dict[int, tuple[bytes, ...]]:
        """The hashes proposed or final at each height that is not sealed, by height: not to be proposed again."""
        return {batch.height: batch.hashes for batch in ordering.in_flight(self._core)}

    @property
    def silent(self) -> bool:
        """Whether it may not vote at present: its journal is in doubt, or its store behind its journal."""
        return self._core.safety.silent

    @property
    def halted(self) -> str:
        """Why it stopped for good, else empty."""
        return self._core.halted

    @property
    def refused(self) -> dict[str, int]:
        """How many messages were refused, by reason. For metrics."""
        return dict(self._core.refused)

    @property
    def peers(self) -> tuple[PeerView, ...]:
        """Every member by index as it last reported itself; this one as it is."""
        own = PeerView(self._core.view, self._core.sealed_height)
        others = [PeerView(peer.view, peer.sealed_height) for peer in self._core.peers]
        return tuple(own if member == self._core.member else each for member, each in enumerate(others))

    # ── events ────────────────────────────────────────────────────────────────────────────────────

    def _on_start(self, _: Start) -> None:
        if not self._started:
            self._started = True
            self._core.touch_all()
            status.tick(self._core)

    def _on_received(self, event: Received) -> None:
        envelope, body = open_envelope(event.data)
        if body.sender == self._core.member and (envelope.kind != NEW_VIEW or self._doubt):
            self._on_own(envelope, body)
        elif isinstance(body, Status):
            status.on_status(self._core, envelope, body, self._doubt)
        else:
            MESSAGES[envelope.kind](self._core, envelope, body)

    def _on_own(self, envelope: Envelope, body: Body) -> None:
        """An echo is nothing. A vote that this member cannot have signed here means a second signer, or a lost past."""
        safety = self._core.safety
        differs = False
        if isinstance(body, Vote):
            differs = safety.signed_otherwise(envelope.kind, body)
        elif isinstance(body, Checkpoint):
            differs = safety.checkpoint_at(body.height) not in (None, body.header_hash)
        if (differs or self._doubt) and not isinstance(body, Status):
            self._core.require_member(body.epoch, body.sender)
            self._core.require_signature(envelope, body.sender)
            if self._doubt:
                self._doubt.signed_before(0 if isinstance(body, Checkpoint) else body.view)
            elif differs:
                self._core.halt(f"another process signs with this member's key: a {envelope.kind} differs from ours")
        raise MessageRefused("own")

    def _on_timer(self, event: TimerFired) -> None:
        if event.name == status.STATUS_TIMER:
            status.tick(self._core)
            self._catch_up.tick(self._core)
        elif event.name == liveness.PROGRESS:
            liveness.on_timer(self._core)

    def _on_requests_waiting(self, event: RequestsWaiting) -> None:
        self._core.waiting = event.waiting
        self._core.pen_rests = False

    def _on_fetch_failed(self, event: FetchFailed) -> None:
        if event.member == self._catch_up.member:
            self._catch_up.give_up()

    # ── conclusions ───────────────────────────────────────────────────────────────────────────────

    def _settle(self) -> None:
        """Let every rule conclude, until nothing is left: facts only ever grow, so this ends."""
        core = self._core
        while not core.halted and (core.touched or core.sealing_due or core.unrest or self._doubt):
            if self._doubt and self._doubt.advance(core):
                self._doubt = None
            ordering.advance(core)
            sealing.advance(core)
            view_changing.advance(core)
            if self._doubt and not (core.touched or core.sealing_due or core.unrest):
                break
        if not core.halted:
            self._catch_up.advance(core)
            proposing.advance(core)
            liveness.advance(core)
