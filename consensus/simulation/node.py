"""One process of a simulated member: the driver that steps its replica and performs its actions, strictly in order.

As the node's own driver does: what is written between two flushes becomes durable with one flush, and whatever follows
a Persist waits for it. A crash loses all that was not performed; what it hears, and when, is in
`attention`; what an action means for the rest of a node in `chores`; what survives a crash in `disk`.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from consensus.actions import Action, Broadcast, CancelTimer, Evidence, Halt, Persist, Send, SetTimer
from consensus.core import Core
from consensus.errors import ConsensusError
from consensus.events import Event, Received, Start, TimerFired
from consensus.replica import Replica
from consensus.simulation.accuser import Accuser
from consensus.simulation.attention import Attention
from consensus.simulation.bounds import deep_excess, excess
from consensus.simulation.byzantine import Tamper
from consensus.simulation.checkers import OrderChecker, Violation, VoteChecker
from consensus.simulation.chores import Chores
from consensus.simulation.conduct import Conduct
from consensus.simulation.disk import Disk
from consensus.simulation.noise import BEAT_MS
from consensus.simulation.prng import stream
from consensus.simulation.stubs import CHAIN_ID, EPOCH_START_MS, GENESIS, stub_signer, stub_verify
from consensus.standing import Tip, Turn
from ledger.errors import LedgerError
from ledger.types import HEIGHT_MAX

if TYPE_CHECKING:
    from consensus.simulation.cluster import Cluster

DEEP_LOOK_EVENTS = 64  # buffers are walked once in so many steps
BACKUP_PERMILLE = 150  # how often a backup is taken, a rewriting of the journal


class Node:
    """A process. `number` tells twins of one member apart; `disk` outlives the process."""

    def __init__(self, number: int, member: int, cluster: Cluster) -> None:
        self.number = number
        self.member = member
        self.cluster = cluster
        self.disk = Disk()
        self.chance = stream(cluster.plan.seed, "node", number)
        self.sign = stub_signer(cluster.validators.members[member].public_key)
        self.tamper: Tamper | None = None
        self.honest = True  # follows the protocol with one process; may forget, and have a wrong clock
        self.votes = VoteChecker(member)
        keeps_promises = member not in (*cluster.plan.forgetful, *cluster.plan.restored)
        self.conduct = Conduct(
            member,
            cluster.parameters,
            cluster.certifier,
            cluster.wishes,
            keeps_promises=keeps_promises,
            was_restored=member in cluster.plan.restored,
        )
        self.accuser = Accuser(member, cluster.parameters.window, cluster.certifier)
        self.chores = Chores(self)
        self.base_skew_ms = dict(cluster.plan.skewed).get(member, 0)
        plan = cluster.plan
        self._hears_liars = bool(plan.byzantine or plan.twins or plan.forgetful or plan.restored)
        self._clock_stays = all(each.kind != "clock" for each in cluster.plan.disturbances)
        self.diverges_from = dict(cluster.plan.diverges).get(member, HEIGHT_MAX)
        self.stopped = False  # it halted once: for good, whatever happens to its process
        # faults
        self.skew_ms = self.base_skew_ms
        self.flush_ms: int | None = None  # None: a healthy disk
        self._doomed: tuple[int, int] | None = None  # (actions left to perform, how long it is down afterwards)
        self._doomed_flush: int | None = None
        # process
        self.life = 0
        self.replica: Replica | None = None
        self.halted = ""
        self.order = OrderChecker(0)
        self.timers: dict[str, int] = {}
        self._pending: deque[Action] = deque()
        self._flushing = 0  # how many of the pending actions wait for the flush under way
        self._performing = False
        self._wants_rewrite = False
        self.attention = Attention(self.later, self._hear)
        self._steps = 0

    # ── where it stands ───────────────────────────────────────────────────────────────────────────

    @property
    def clock_ms(self) -> int:
        """What this process's clock shows. Timers do not go by it."""
        return EPOCH_START_MS + self.cluster.now + self.skew_ms

    @property
    def judged(self) -> bool:
        """Whether its key must never contradict itself: honest, and on a disk that keeps its promises."""
        plan = self.cluster.plan
        return self.honest and self.member not in plan.forgetful and self.member not in plan.restored

    # ── life and death ────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """A process begins with what the disk holds."""
        self._end_process()
        self.disk.open()
        tip = self._tip()
        self.order = OrderChecker(tip.height)
        self.conduct.begin(tip.height, self.disk.journal)
        self.accuser.begin()
        self.chores.start()
        self.cluster.note(self, "starts")
        try:
            self.replica = Replica(
                member=self.member,
                chain_id=CHAIN_ID,
                validators=self.cluster.validators,
                parameters=self.cluster.parameters,
                sign=self.sign,
                verify=stub_verify,
                tip=tip,
                journal=list(self.disk.journal),
            )
        except (ConsensusError, LedgerError) as error:
            raise Violation(f"member {self.member} does not start with its own journal: {error}") from error
        self.step(Start(self.clock_ms, stream(self.cluster.plan.seed, "start", self.number, self.life).token()))
        if self.stopped and self.judged and not self.halted:
            raise Violation(f"member {self.member} halted, and forgot it at its restart")
        self.chores.tell_waiting()
        if self.tamper and self.tamper.noises:
            self.later(BEAT_MS, self._make_noise)

    def _tip(self) -> Tip:
        block = self.disk.blocks.get(self.disk.sealed_height)
        if block is None:
            return GENESIS
        batches = [self.disk.blocks[height].batch for height in range(1, block.header.height + 1)]
        turns = tuple(Turn(batch.view, batch.proposer, batch.since) for batch in batches)
        return Tip(block.header.height, block.header.hash, block.header.time_ms, block.seal, turns)

    def crash(self) -> None:
        """The process ends: queued actions, timers and memory are gone; the disk keeps what was flushed, and luck."""
        if self.replica is None:
            return
        self.cluster.note(self, "crashes")
        self._end_process()
        plan = self.cluster.plan
        for record in self.disk.tear(self.chance):
            self.votes.on_durable(record)
        self.disk.lose_blocks(self.chance.below(plan.window + 1))
        if self.member in plan.forgetful:
            self.disk.lose_journal(blocks_too=self.chance.chance(300))
            self.cluster.note(self, "lost its journal")
        if self.member in plan.restored and (which := self.disk.restore(self.chance)):
            self.cluster.note(self, f"gets an older {which} back")

    def restart(self) -> None:
        """Start again, unless it runs."""
        if self.replica is None:
            self.start()

    def _end_process(self) -> None:
        self.life += 1
        self.replica, self.halted = None, ""
        self.timers, self._pending = {}, deque()
        self._flushing, self._performing, self._wants_rewrite = 0, False, False
        self._doomed = self._doomed_flush = None
        self.attention.begin()

    def doom(self, actions: int, down_ms: int) -> None:
        """Crash right before the so many-th action from now on."""
        self._doomed = (actions, down_ms)

    def doom_flush(self, down_ms: int) -> None:
        """The next flush fails: a flush is never retried, so the process ends."""
        self._doomed_flush = down_ms

    def _die_for(self, down_ms: int) -> None:
        self.crash()
        if not self.cluster.links.healed:
            self.cluster.at(min(self.cluster.now + down_ms, self.cluster.plan.heal_ms), self.restart)
        else:
            self.cluster.at(self.cluster.now + 1, self.restart)

    # ── slowness ──────────────────────────────────────────────────────────────────────────────────

    def later(self, delay_ms: int, act: Callable[..., None], *arguments: Any) -> None:
        """Act after a while, if this process still lives; if it is frozen then, when it goes on."""
        self.cluster.at(self.cluster.now + delay_ms, self._when_due, self.life, act, arguments)

    def _when_due(self, life: int, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if life == self.life:
            self.attention.attend(act, arguments)

    @property
    def frozen(self) -> bool:
        """Whether it is stopped, as by SIGSTOP."""
        return self.attention.frozen

    def freeze(self) -> None:
        """Stop it."""
        if self.replica is not None and not self.frozen:
            self.attention.frozen = True
            self.cluster.note(self, "is frozen")

    def thaw(self) -> None:
        """Let it go on."""
        if self.frozen:
            self.cluster.note(self, "goes on")
            self.attention.go_on()

    def recover(self) -> None:
        """Quick again, processor and disk."""
        self.attention.thought_ms, self.flush_ms = 0, None

    def heal(self) -> None:
        """Nothing is wrong with it any more but what is wrong to the end."""
        self._doomed = self._doomed_flush = None
        self.recover()
        self.set_clock()
        self.thaw()
        self.restart()

    def set_clock(self) -> None:
        """The clock is set right, as far as this member's clock ever is."""
        self.skew_ms = self.base_skew_ms

    def receive(self, sender: int, data: bytes) -> None:
        """A message comes over a link."""
        if self.replica is not None:
            self.attention.receive(sender, data)

    def _hear(self, data: bytes) -> None:
        if self.tamper:
            self.tamper.hear(data)
        if self.honest and self.replica is not None:
            self.conduct.hear(data)
            if self._hears_liars:
                self.accuser.hear(data, self.replica)
        self.step(Received(data, self.clock_ms))

    # ── the driver ────────────────────────────────────────────────────────────────────────────────

    def step(self, event: Event) -> None:
        """Hand an event to the replica, queue what it asks for, and perform what need not wait."""
        replica = self.replica
        if replica is None:
            return
        if self.cluster.watch:
            self.cluster.watch.on_event(self.cluster.now, self.member, event)
        try:
            actions = replica.step(event)
        except Exception as error:
            told = traceback.format_exc(limit=-4)
            raise Violation(f"member {self.member}: {type(error).__name__} left step: {error}\n{told}") from error
        self._judge_memory(replica._core)  # noqa: SLF001 - a judge may look
        if self.honest:
            self.accuser.judge(actions)
        if not actions:
            return
        if self.honest:
            clock_ms = self.clock_ms if self._clock_stays else None
            waits = bool(self.chores.told_waiting or replica.changing_view or replica.in_flight)
            self.conduct.judge(actions, self.disk.bodies, replica.sealed_height, clock_ms, waits=waits)
        for action in actions:
            self.cluster.trace(self.number, action)
            if isinstance(action, SetTimer | CancelTimer):
                self.timers.pop(action.name, None)  # as the node's driver does: what fired meanwhile is stale
        self._pending.extend(actions)
        self._pump()

    def _judge_memory(self, core: Core) -> None:
        self._steps += 1
        look = excess if self._steps % DEEP_LOOK_EVENTS else deep_excess
        if found := look(core, self.cluster.plan.members, self.cluster.plan.window):
            raise Violation(f"member {self.member} remembers too much: {found}")

    def _pump(self) -> None:
        """Perform what is due, up to the next Persist; then flush everything that is written by now."""
        if self._performing or self._flushing:
            return
        self._performing, life = True, self.life
        while self._pending and not self._flushing:
            if isinstance(self._pending[0], Persist):
                self._begin_flush()
            else:
                self._perform(self._pending.popleft())
            if life != self.life:
                return
        self._performing = False
        if self._wants_rewrite and self.replica and not self._pending:
            self._wants_rewrite = False
            self.disk.rewrite(self.replica.journal_snapshot())
            if self.chance.chance(BACKUP_PERMILLE):
                self.disk.back_up()

    def _begin_flush(self) -> None:
        self.disk.written += [action.record for action in self._pending if isinstance(action, Persist)]
        if self._doomed_flush is not None:
            self._die_for(self._doomed_flush)
            return
        self._flushing = len(self._pending)
        flush_ms = self.flush_ms if self.flush_ms is not None else max(0, self.chance.below(8) - 4)
        if flush_ms:
            self.later(flush_ms, self._flushed)
        else:
            self._performing = False
            self._flushed()

    def _flushed(self) -> None:
        """Everything written is durable: what waited for it may happen."""
        for record in self.disk.flush():
            self.votes.on_durable(record)
        due, self._flushing, life = self._flushing, 0, self.life
        self._performing = True
        for _ in range(due):
            self._perform(self._pending.popleft())
            if life != self.life:
                return
        self._performing = False
        self._pump()

    def _perform(self, action: Action) -> None:
        """Do one thing that the replica asked for."""
        if self._doomed:
            left, down_ms = self._doomed
            self._doomed = (left - 1, down_ms)
            if left <= 1:
                self._die_for(down_ms)
                return
        if self.cluster.watch:
            self.cluster.watch.on_action(self.cluster.now, self.member, action)
        match action:
            case Persist():
                pass
            case Send(receiver, data):
                self._send([receiver], data)
            case Broadcast(data):
                self._send(self.cluster.others[self.member], data)
            case SetTimer(name, after_ms):
                self._set_timer(name, after_ms)
            case CancelTimer(name):
                self.timers.pop(name, None)
            case Halt(diagnosis):
                self.halted, self.stopped = diagnosis, True
            case Evidence(kind, member):
                self.cluster.on_evidence(self.member, kind, member)
            case _:
                self.chores.perform(action)

    def rewrite_soon(self) -> None:
        """Rewrite the journal as soon as nothing is on its way to it."""
        self._wants_rewrite = True

    def _send(self, receivers: list[int], data: bytes) -> None:
        """Into the network, bent first if this member is Byzantine."""
        if self.judged:
            self.votes.on_sent(data)
        elif self.honest:
            self.conduct.on_sent(data)
        if self.tamper is None:
            self.cluster.transmit(self, receivers, data)
            return
        for receiver, message, late_ms in self.tamper.bend(receivers, data):
            self.cluster.transmit(self, [receiver], message, late_ms)

    def _make_noise(self) -> None:
        assert self.tamper
        for data in self.tamper.noise():
            self.cluster.transmit(self, self.cluster.others[self.member], data)
        self.later(BEAT_MS, self._make_noise)

    def _set_timer(self, name: str, after_ms: int) -> None:
        token = self.timers[name] = self.cluster.ticket()
        self.later(after_ms, self._fire, name, token)

    def _fire(self, name: str, token: int) -> None:
        if self.timers.get(name) == token:
            del self.timers[name]
            self.step(TimerFired(name, self.clock_ms))
