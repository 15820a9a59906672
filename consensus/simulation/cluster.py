"""A whole cluster in one thread and in virtual time: the clock, the network, and a run from its plan to its end.

The network delays, loses, repeats and partitions; chance comes from the plan's seed alone. Checkers look at every
event (`checkers`, `bounds`); once the faults are healed every submitted transaction must be sealed everywhere, the
first one soon.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from consensus.actions import Action
from consensus.events import Event
from consensus.liveness import timeout_ms
from consensus.simulation import disturbances
from consensus.simulation.byzantine import Tamper
from consensus.simulation.certifier import Certifier
from consensus.simulation.checkers import AgreementChecker, DurabilityChecker, Violation
from consensus.simulation.conduct import Wishes
from consensus.simulation.liar import Liar
from consensus.simulation.links import Links
from consensus.simulation.node import Node
from consensus.simulation.plan import Disturbance, Plan
from consensus.simulation.prng import stream
from consensus.simulation.stubs import CHAIN_ID, EPOCH_START_MS, stub_validators
from ledger.types import Batch, Parameters

EVENTS_MAX = 2_000_000
RECOVERY_TIMEOUTS_MAX = 10  # the first commit after healing comes within so many time-outs, or a rule is broken
LOOK_MS = 50  # how often a healed cluster is asked whether it is done
IDLE_TIMEOUTS = 2  # so long a cluster that has done everything is watched doing nothing
GOSSIP_RETRY_MS = 1000
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
        self.submitted: list[bytes] = []
        self.recovery_ms: int | None = None  # from healing to the first commit after it
        self.patience_ms = plan.request_timeout_ms  # the longest time-out that a correct member has at healing
        self.others = [[each for each in range(plan.members) if each != member] for member in range(plan.members)]
        self._trace = hashlib.sha256()
        self._encode = msgspec.msgpack.Encoder().encode
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._tickets = 0
        self._height_at_healing = 0
        self._finished = False
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

    def on_evidence(self, reporter: int, kind: str, member: int) -> None:
        """A member has found two messages of which a correct one signs at most one."""
        self.evidence.append((reporter, kind, member))
        if self.nodes[reporter].honest and self.nodes[member].judged:
            raise Violation(f"member {reporter} holds evidence of {kind} against {member}, which is correct")

    def on_delivered(self, node: Node, height: int, batch: Batch, digest: bytes) -> None:
        """A correct node delivered. The first new batch with something in it after healing ends the recovery."""
        self.agreement.on_delivered(node.member, height, digest)
        self.agreement.on_batch(node.member, batch)
        if self.links.healed and self.recovery_ms is None and height > self._height_at_healing and batch.hashes:
            self.recovery_ms = self.now - self.plan.heal_ms

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
        self._plan_transactions()
        for what in sorted([*self.plan.disturbances, *disturbances.drawn(self.plan)], key=lambda each: each.at_ms):
            if what.at_ms < self.plan.heal_ms:
                self.at(what.at_ms, disturbances.begin, self, what)
        if self.plan.twins:
            self.at(0, self._part_twins)
        self.at(self.plan.heal_ms, self._heal)
        try:
            self._play()
            self._judge()
        except Violation as violation:
            if self.watch:
                self.watch.on_violation(self.now, str(violation))
            raise

    def _plan_transactions(self) -> None:
        """Load until the end of the faults, one transaction after the other, now and then some at once."""
        chance = stream(self.plan.seed, "transactions")
        pause_ms = self.plan.heal_ms // max(1, self.plan.transactions)
        for index in range(self.plan.transactions):
            at_ms = index * pause_ms + (chance.below(pause_ms + 1) if chance.chance(700) else 0)
            self.at(at_ms, self._submit, self._transaction(index), chance)

    def _transaction(self, index: int) -> bytes:
        transaction = hashlib.sha256(b"%d transaction %d" % (self.plan.seed, index)).digest()
        self.submitted.append(transaction)
        self.agreement.on_submitted(transaction)
        return transaction

    def _submit(self, transaction: bytes, chance: Any) -> None:
        """A client hands a transaction to one living member; gossip brings it to the others, in the end."""
        living = [node for node in self.nodes if node.replica is not None and not node.frozen]
        if not living:
            self.at(self.now + 100, self._submit, transaction, chance)
            return
        first = living[chance.below(len(living))]
        first.chores.learn([transaction])
        for node in self.processes:
            if node is not first:
                self.at(self.now + 1 + chance.below(30), self._gossip, first, node, transaction, chance)

    def _gossip(self, source: Node, node: Node, transaction: bytes, chance: Any) -> None:
        reached = node.replica is not None and not node.frozen and self.linked(source.number, node.number)
        if reached and not chance.chance(self.plan.network.loss_permille):
            node.chores.learn([transaction])
        elif not self.links.healed:
            self.at(self.now + GOSSIP_RETRY_MS, self._gossip, source, node, transaction, chance)

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

    def _heal(self) -> None:
        """Everything works again; and every node learns of every transaction, as anti-entropy would see to.

        One more transaction is handed to everybody, so that work waits from here on: the time to the first commit
        counts from now. The time-out it is measured by is the longest that a correct member has run up.
        """
        cores = [node.replica._core for node in self.correct if node.replica]  # noqa: SLF001 - a judge may look
        self.patience_ms = max([self.plan.request_timeout_ms, *(timeout_ms(core) for core in cores)])
        self._height_at_healing = self.agreement.height
        self.links.heal()
        if self.watch:
            self.watch.on_world(self.now, None, "everything works again")
        self._transaction(self.plan.transactions)
        for node in self.processes:
            node.recover()
            node.set_clock()
            node.thaw()
            node.restart()
            node.chores.learn(self.submitted)
        self.at(self.now + LOOK_MS, self._look)

    def _play(self) -> None:
        events, queue, last_ms = 0, self._queue, self.plan.heal_ms + self.plan.finish_ms
        while queue and not self._finished:
            self.now, _, act, arguments = heapq.heappop(queue)
            if self.now > last_ms:
                raise Violation(f"no progress after healing: {self._standing()}")
            act(*arguments)
            events += 1
            if events > EVENTS_MAX:
                raise Violation(f"more than {EVENTS_MAX} events: {self._standing()}")

    def _look(self) -> None:
        """Whether every transaction is sealed at every correct node."""
        within_ms = RECOVERY_TIMEOUTS_MAX * self.patience_ms
        if self.recovery_ms is None and self.now > self.plan.heal_ms + within_ms:
            raise Violation(f"no commit within {within_ms} ms after healing: {self._standing()}")
        if self._everything_sealed():
            self.at(self.now + IDLE_TIMEOUTS * self.plan.request_timeout_ms, self._end, self._views())
        else:
            self.at(self.now + LOOK_MS, self._look)

    def _everything_sealed(self) -> bool:
        """Every transaction, at every correct node, with nothing under way."""
        correct, submitted = self.correct, set(self.submitted)
        heights = {height for node in correct for height in (node.disk.sealed_height, max(node.disk.blocks, default=0))}
        if len(heights) != 1 or any(node.chores.pool or not node.replica for node in correct):
            return False
        return all(submitted <= node.disk.done for node in correct)

    def _views(self) -> int:
        return max(node.replica.view for node in self.correct if node.replica)

    def _end(self, view: int) -> None:
        """A healed cluster without work was left alone for a while: it leaves no view, but for one that was doubted."""
        if self._views() > view + 1:
            raise Violation(f"an idle cluster went from view {view} on to view {self._views()}: {self._standing()}")
        self._finished = True

    def _standing(self) -> list[str]:
        lines = []
        for node in self.processes:
            replica, where = node.replica, "down"
            if replica:
                where = f"view {replica.view}, changing {replica.changing_view}, silent {replica.silent}, "
                where += f"delivered {replica.delivered_height}, sealed {replica.sealed_height}"
            lines.append(f"{node.member}: {where}, pool {len(node.chores.pool)} {node.halted}")
        return lines

    def _judge(self) -> None:
        """No correct node stopped, none ran a transaction twice, none lost what clients were told."""
        for node in self.correct:
            if node.halted:
                raise Violation(f"member {node.member} halted: {node.halted}")
            runs = [each for block in node.disk.blocks.values() for each in block.fresh]
            if len(runs) != len(set(runs)):
                raise Violation(f"member {node.member} ran a transaction twice")
            sealed = {height: block.header.hash for height, block in node.disk.blocks.items() if block.seal}
            self.durability.judge(node.member, sealed)


def simulate(plan: Plan, watch: Watcher | None = None) -> Cluster:
    """Run a plan; the finished cluster, to look at. Raises `Violation`."""
    cluster = Cluster(plan, watch)
    cluster.run()
    return cluster
