"""A whole cluster in one thread and in virtual time: the clock, the network, and a run from its plan to its end.

The network delays, loses, repeats and partitions (`links`); clients submit (`load`); what goes wrong is in
`disturbances`, and how it must end in `healing`. Chance comes from the plan's seed alone.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from consensus.actions import Action
from consensus.events import Event
from consensus.simulation import disturbances
from consensus.simulation.byzantine import Tamper
from consensus.simulation.certifier import Certifier
from consensus.simulation.checkers import AgreementChecker, DurabilityChecker, Violation
from consensus.simulation.conduct import Wishes
from consensus.simulation.healing import Healing
from consensus.simulation.liar import Liar
from consensus.simulation.links import Links
from consensus.simulation.load import Load
from consensus.simulation.node import Node
from consensus.simulation.plan import Disturbance, Plan
from consensus.simulation.prng import stream
from consensus.simulation.stubs import CHAIN_ID, EPOCH_START_MS, stub_validators
from ledger.types import Batch, Parameters

EVENTS_MAX = 2_000_000
BLOCK_TRANSACTIONS_MAX = 4
TWINS_SWAP_MS = 5000  # how often twins see other halves of the cluster


class Watcher(Protocol):
    """Who wants to see a run. Changes nothing in it."""

    def on_event(self, now_ms: int, member: int, event: Event) -> None:
        """A replica is about to take a step."""

    def on_action(self, now_ms: int, member: int, action: Action) -> None:
        """A node does what its replica asked for."""

    def on_world(self, now_ms: int, member: int | None, what: str) -> None:
        """Something happened to a member, or to all."""

    def on_violation(self, now_ms: int, what: str) -> None:
        """The run ended here."""


class Cluster:
    """The processes, the network between them, and the clock."""

    def __init__(self, plan: Plan, watch: Watcher | None = None) -> None:
        self.plan = plan
        self.watch = watch
        self.now = 0
        self.parameters = Parameters(
            window=plan.window,
            block_transactions_max=BLOCK_TRANSACTIONS_MAX,
            request_timeout_ms=plan.request_timeout_ms,
            timeout_max_ms=plan.timeout_max_ms,
        )
        self.validators = stub_validators(plan.powers or (1,) * plan.members)
        self.certifier = Certifier(self.validators, plan.window)
        self.wishes = Wishes(self.certifier)
        self.agreement = AgreementChecker()
        self.durability = DurabilityChecker(self.validators.powers)
        self.evidence: list[tuple[int, str, int]] = []
        self.load = Load(self)
        self.healing = Healing(self)
        self.others = [[each for each in range(plan.members) if each != member] for member in range(plan.members)]
        self._trace = hashlib.sha256()
        self._encode = msgspec.msgpack.Encoder().encode
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._tickets = 0
        self.nodes = [Node(member, member, self) for member in range(plan.members)]
        self.processes = [*self.nodes]
        for member in plan.twins:
            self.processes.append(Node(len(self.processes), member, self))
        self._by_member = [[each for each in self.processes if each.member == member] for member in range(plan.members)]
        self.links = Links(plan.seed, len(self.processes), plan.network)
        self._corrupt()

    def _corrupt(self) -> None:
        """Give the faulty members their ways."""
        signs = {member: self.nodes[member].sign for member, _ in self.plan.byzantine}
        for member, behaviour in self.plan.byzantine:
            keys = signs if self.plan.collude else {member: signs[member]}
            chance = stream(self.plan.seed, "liar", member)
            liar = Liar(member, self.validators.powers, CHAIN_ID, keys, chance)
            self.nodes[member].tamper = Tamper(behaviour, liar, self.plan.request_timeout_ms)
            self.nodes[member].honest = False
        for node in self.processes:
            node.honest = node.honest and node.member not in self.plan.twins

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def clock_ms(self) -> int:
        """What a right clock shows."""
        return EPOCH_START_MS + self.now

    def ticket(self) -> int:
        """A number never given before."""
        self._tickets += 1
        return self._tickets

    def at(self, when_ms: int, act: Callable[..., None], *arguments: Any) -> None:
        """Act then; equal times in the order in which they were asked for."""
        self._tickets += 1
        heapq.heappush(self._queue, (when_ms, self._tickets, act, arguments))

    def trace(self, number: int, action: Action) -> None:
        """Every action goes into the run's fingerprint."""
        self._trace.update(b"%d %d %s " % (self.now, number, type(action).__name__.encode()) + self._encode(action))

    @property
    def submitted(self) -> list[bytes]:
        """Every transaction that clients have."""
        return self.load.submitted

    @property
    def recovery_ms(self) -> int | None:
        """From healing to the first commit; None where there was none (`healing`)."""
        return self.healing.recovery_ms

    @property
    def patience_ms(self) -> int:
        """The longest time-out that a correct member had at healing."""
        return self.healing.patience_ms

    @property
    def fingerprint(self) -> str:
        """Equal for equal plans: the run is deterministic."""
        return self._trace.hexdigest()

    # ── what the outside sees ─────────────────────────────────────────────────────────────────────

    def note(self, node: Node, what: str) -> None:
        """Something happened to a process."""
        if self.watch:
            self.watch.on_world(self.now, node.member, what)

    def tell(self, what: Disturbance) -> None:
        """A disturbance begins."""
        if self.watch:
            members = f" of {', '.join(map(str, what.members))}" if what.members else ""
            amount = f", {what.amount}" if what.amount else ""
            self.watch.on_world(self.now, None, f"{what.kind}{members} for {what.for_ms} ms{amount}")

    def tell_all(self, what: str) -> None:
        """Something happened to all."""
        if self.watch:
            self.watch.on_world(self.now, None, what)

    def on_evidence(self, reporter: int, kind: str, member: int) -> None:
        """A member has found two messages of which a correct one signs at most one."""
        self.evidence.append((reporter, kind, member))
        if self.nodes[reporter].honest and self.nodes[member].judged:
            raise Violation(f"member {reporter} holds evidence of {kind} against {member}, which is correct")

    def on_delivered(self, node: Node, height: int, batch: Batch, digest: bytes) -> None:
        """A correct node delivered."""
        self.agreement.on_delivered(node.member, height, digest)
        self.agreement.on_batch(node.member, batch)
        self.healing.on_delivered(height, batch)

    # ── the network ───────────────────────────────────────────────────────────────────────────────

    def processes_of(self, members: Sequence[int]) -> list[Node]:
        """Every process of these members."""
        return [node for member in members for node in self._by_member[member]]

    def linked(self, one: int, other: int) -> bool:
        """Whether two processes hear each other now."""
        return self.links.linked(one, other) and self.links.linked(other, one)

    def reachable(self, node: Node, members: Sequence[int]) -> Iterator[Node]:
        """The processes of these members that answer this one now."""
        for other in self.processes_of(members):
            if other.replica is not None and not other.frozen and self.linked(node.number, other.number):
                yield other

    def transmit(self, sender: Node, receivers: Sequence[int], data: bytes, late_ms: int = 0) -> None:
        """One message to some members: lost, late, or twice, as the plan has it."""
        self.wishes.on_wire(data)
        number = sender.number
        for member in receivers:
            for node in self._by_member[member]:
                for delay in self.links.delays(self.now, number, node.number):
                    self.at(self.now + delay + late_ms, node.receive, sender.member, data)

    # ── a run ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def correct(self) -> list[Node]:
        """The members that follow the protocol. One that lost its journal, or diverged, may find that out, and stop."""
        excused = (*self.plan.forgetful, *self.plan.restored, *(member for member, _ in self.plan.diverges))
        return [node for node in self.nodes if node.honest and not (node.member in excused and node.halted)]

    def run(self) -> None:
        """Play the plan to its end. Raises `Violation`."""
        chance = stream(self.plan.seed, "starts")
        for node in self.processes:
            self.at(chance.below(50), node.start)
        self.load.plan()
        for what in sorted([*self.plan.disturbances, *disturbances.drawn(self.plan)], key=lambda each: each.at_ms):
            if what.at_ms < self.plan.heal_ms:
                self.at(what.at_ms, disturbances.begin, self, what)
        if self.plan.twins:
            self.at(0, self._part_twins)
        self.at(self.plan.heal_ms, self.healing.begin)
        try:
            self._play()
            self.healing.judge()
        except Violation as violation:
            if self.watch:
                self.watch.on_violation(self.now, str(violation))
            raise

    def _part_twins(self) -> None:
        """Each of two twins sees one half of the others, another half every few seconds."""
        chance = stream(self.plan.seed, "twins", self.now)
        cut = set()
        for member in self.plan.twins:
            for other in self.processes:
                hidden = self._by_member[member][chance.below(2)]
                if other.member != member:
                    cut |= {(hidden.number, other.number), (other.number, hidden.number)}
        if not self.links.healed:
            self.links.cut(-1, cut)
            self.at(self.now + TWINS_SWAP_MS, self._part_twins)

    def _play(self) -> None:
        events, queue, last_ms = 0, self._queue, self.plan.heal_ms + self.plan.finish_ms
        while queue and not self.healing.over:
            self.now, _, act, arguments = heapq.heappop(queue)
            if self.now > last_ms:
                raise Violation(f"no progress after healing: {self.standing()}")
            act(*arguments)
            events += 1
            if events > EVENTS_MAX:
                raise Violation(f"more than {EVENTS_MAX} events: {self.standing()}")

    def standing(self) -> list[str]:
        """Where every process is, for people."""
        lines = []
        for node in self.processes:
            replica, where = node.replica, "down"
            if replica:
                where = f"view {replica.view}, changing {replica.changing_view}, silent {replica.silent}, "
                where += f"delivered {replica.delivered_height}, sealed {replica.sealed_height}"
            lines.append(f"{node.member}: {where}, pool {len(node.chores.pool)} {node.halted}")
        return lines


def simulate(plan: Plan, watch: Watcher | None = None) -> Cluster:
    """Run a plan; the finished cluster, to look at. Raises `Violation`."""
    cluster = Cluster(plan, watch)
    cluster.run()
    return cluster
