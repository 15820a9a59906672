"""One validator's part in the protocol: `step(event) -> actions`. Reads as a table of what is heard and who handles it.

An event's handler counts facts; then every rule draws its conclusions, in turn, until none is left. Whatever a peer
sends can at most be refused and counted: nothing raises out of `step`. Rules: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from consensus import amnesia, catch_up, liveness, ordering, proposing, reminding, sealing, status, view_changing
from consensus.actions import Action, Halt
from consensus.amnesia import Past
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
    NewView,
    Status,
    open_body,
    open_envelope,
)
from consensus.recovery import read_record
from consensus.restart import restore
from consensus.standing import PeerView, Tip
from ledger.types import Parameters, ValidatorSet

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
        self._past = Past()
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
            BlockFetched: self._on_block_fetched,
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
            if not (core.out or core.touched or core.sealing_due or core.unrest or core.asking_due):
                return core.out  # it changed nothing, so there is nothing to conclude
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
    def silence(self) -> str:
        """Why it may not vote at present, and what ends that, in words; empty where it may."""
        return self._past.silence(self._core)

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

    def _on_start(self, event: Start) -> None:
        if not self._started:
            self._started = True
            self._core.touch_all()
            self._core.status_number = event.now_ms
            self._past.begin(self._core, event.token)
            status.begin(self._core)

    def _on_received(self, event: Received) -> None:
        envelope, body = open_envelope(event.data)
        if body.sender == self._core.member:
            self._on_own(envelope, body)
        elif isinstance(body, Status):
            status.on_status(self._core, envelope, body, self._past)
        else:
            MESSAGES[envelope.kind](self._core, envelope, body)

    def _on_own(self, envelope: Envelope, body: Body) -> None:
        """Mostly an echo. It may tell of a lost past or of a second signer; and a NEW-VIEW proves itself."""
        self._core.require_member(body.epoch, body.sender)
        if isinstance(body, Status):
            status.on_own_status(self._core, envelope, body)
        else:
            amnesia.on_own(self._core, self._past, envelope, body)
        if not isinstance(body, NewView) or self._core.halted:
            raise MessageRefused("own")
        view_changing.on_new_view(self._core, envelope, body)

    def _on_block_fetched(self, event: BlockFetched) -> None:
        catch_up.on_block_fetched(self._core, self._catch_up, event)
        for words in reminding.words_in(self._core, self._core.member, event.seal):
            amnesia.on_own(self._core, self._past, words, open_body(words.kind, words.body))

    def _on_timer(self, event: TimerFired) -> None:
        if event.name == status.STATUS_TIMER:
            status.tick(self._core)
            self._catch_up.tick(self._core)
        elif event.name == status.ASK_TIMER:
            status.ask_again(self._core)
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
        self._past.advance(core)
        while not core.halted and (core.touched or core.sealing_due or core.unrest):
            ordering.advance(core)
            sealing.advance(core)
            view_changing.advance(core)
            self._past.advance(core)
        if not core.halted:
            self._catch_up.advance(core)
            proposing.advance(core)
            liveness.advance(core)
            self._ask()

    def _ask(self) -> None:
        core = self._core
        due, core.asking_due = core.asking_due, False
        if due and core.question:
            status.ask(core)
