"""A whole cluster in one thread and in virtual time: the clock, the network, and a run from its plan to its end.

The network delays, loses, repeats and partitions; chance comes from the plan's seed alone. Checkers look at every
event (`checkers`), and once the faults are healed every submitted transaction must be sealed everywhere in bounded
time.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable

from consensus.actions import Action
from consensus.events import Received
from consensus.simulation.byzantine import Tamper
from consensus.simulation.checkers import AgreementChecker, Violation
from consensus.simulation.node import Node
from consensus.simulation.plan import Plan
from consensus.simulation.prng import Prng
from consensus.simulation.stubs import CHAIN_ID, EPOCH_START_MS, stub_validators
from ledger.types import Parameters

EVENTS_MAX = 2_000_000


class Cluster:
    """The nodes, the network between them, and the clock."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.prng = Prng(plan.seed)
        self.parameters = Parameters(
            window=plan.window, block_transactions_max=4, request_timeout_ms=1000, timeout_max_ms=8000
        )
        self.validators = stub_validators(plan.powers or (1,) * plan.members)
        self.now = 0
        self.agreement = AgreementChecker()
        self.evidence: list[tuple[int, str, int]] = []
        self._trace = hashlib.sha256()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._tickets = 0
        self._cut: tuple[int, ...] = ()  # the group of each member while partitioned
        self._healed = False
        self.submitted: list[bytes] = []
        self.nodes = [Node(member, self) for member in range(plan.members)]
        for member, behaviour in plan.byzantine:
            node = self.nodes[member]
            node.tamper = Tamper(behaviour, plan.members, CHAIN_ID, node.sign, Prng(plan.seed + member))

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def clock_ms(self) -> int:
        """What every node's clock shows."""
        return EPOCH_START_MS + self.now

    def ticket(self) -> int:
        """A number never given before."""
        self._tickets += 1
        return self._tickets

    def at(self, when_ms: int, act: Callable[[], None]) -> None:
        """Act then; equal times in the order in which they were asked for."""
        heapq.heappush(self._queue, (when_ms, self.ticket(), act))

    def trace(self, member: int, action: Action) -> None:
        """Every action goes into the run's fingerprint."""
        self._trace.update(b"%d %d " % (self.now, member) + repr(action).encode())

    @property
    def fingerprint(self) -> str:
        """Equal for equal seeds: the run is deterministic."""
        return self._trace.hexdigest()

    # ── the network ───────────────────────────────────────────────────────────────────────────────

    def linked(self, one: int, other: int) -> bool:
        """Whether the two can talk now."""
        return not self._cut or self._cut[one] == self._cut[other]

    def transmit(self, sender: int, receiver: int, data: bytes) -> None:
        """One message: lost, late, or twice, as the plan has it."""
        faults = self.plan.network
        copies = 1
        if not self._healed:
            if self.prng.chance(faults.loss_permille) or not self.linked(sender, receiver):
                return
            copies += self.prng.chance(faults.duplicate_permille)
        for _ in range(copies):
            delay = self.prng.between(faults.delay_min_ms, faults.delay_max_ms if not self._healed else 20)
            if not self._healed and self.prng.chance(faults.slow_permille):
                delay *= 10
            self.at(self.now + delay, lambda: self.nodes[receiver].step(Received(data, self.clock_ms)))

    # ── a run ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def correct(self) -> list[Node]:
        """The members that follow the protocol. One that lost its journal may find that out, and stop."""
        given_up = {member for member in self.plan.forgetful if self.nodes[member].halted}
        return [node for node in self.nodes if node.tamper is None and node.member not in given_up]

    def run(self) -> None:
        """Play the plan to its end. Raises `Violation`."""
        for node in self.nodes:
            self.at(self.prng.below(50), node.start)
        self._plan_transactions()
        self._plan_crashes()
        self._plan_partitions()
        self.at(self.plan.heal_ms, self._heal)
        self._play()
        self._judge()

    def _plan_transactions(self) -> None:
        for index in range(self.plan.transactions):
            transaction = hashlib.sha256(b"%d transaction %d" % (self.plan.seed, index)).digest()
            self.submitted.append(transaction)
            self.at(self.prng.below(self.plan.heal_ms), lambda each=transaction: self._submit(each))  # type: ignore[misc]

    def _submit(self, transaction: bytes) -> None:
        """A client hands a transaction to one living member; gossip brings it to the others, mostly."""
        living = [node for node in self.nodes if node.replica is not None]
        if not living:
            self.at(self.now + 100, lambda: self._submit(transaction))
            return
        first = living[self.prng.below(len(living))]
        first.learn([transaction])
        for node in self.nodes:
            if node is not first and not self.prng.chance(self.plan.network.loss_permille):
                self.at(self.now + self.prng.between(1, 30), lambda node=node: self._gossip(node, transaction))  # type: ignore[misc]

    def _gossip(self, node: Node, transaction: bytes) -> None:
        if node.replica is not None:
            node.learn([transaction])

    def _plan_crashes(self) -> None:
        for _ in range(self.plan.crashes):
            node = self.nodes[self.prng.below(self.plan.members)]
            when = self.prng.below(self.plan.heal_ms)
            self.at(when, node.crash)
            self.at(when + self.prng.between(10, 3000), lambda node=node: self._restart(node))  # type: ignore[misc]

    @staticmethod
    def _restart(node: Node) -> None:
        if node.replica is None:
            node.start()

    def _plan_partitions(self) -> None:
        for _ in range(self.plan.partitions):
            when = self.prng.below(self.plan.heal_ms)
            groups = tuple(self.prng.below(2) for _ in range(self.plan.members))
            self.at(when, lambda groups=groups: self._divide(groups))  # type: ignore[misc]
            self.at(when + self.prng.between(100, 3000), lambda: self._divide(()))

    def _divide(self, groups: tuple[int, ...]) -> None:
        self._cut = groups if not self._healed else ()

    def _heal(self) -> None:
        """Everything works again; and every correct node learns of every transaction, as anti-entropy would see to."""
        self._healed, self._cut = True, ()
        for node in self.nodes:
            self._restart(node)
        for node in self.nodes:
            self.at(self.now + 100, lambda node=node: node.learn(self.submitted))  # type: ignore[misc]

    def _play(self) -> None:
        events = 0
        while self._queue and not (self._healed and self._done()):
            self.now, _, act = heapq.heappop(self._queue)
            if self.now > self.plan.heal_ms + self.plan.finish_ms:
                raise Violation(f"no progress after healing: {self._standing()}")
            act()
            events += 1
            if events > EVENTS_MAX:
                raise Violation(f"more than {EVENTS_MAX} events: {self._standing()}")

    def _done(self) -> bool:
        """Whether every transaction is sealed at every correct node."""
        heights = {node.replica.sealed_height if node.replica else -1 for node in self.correct}
        if len(heights) != 1 or self.now < self.plan.heal_ms + 200:
            return False
        return all(set(self.submitted) <= node.executed() and not node.pool for node in self.correct)

    def _standing(self) -> list[str]:
        lines = []
        for node in self.nodes:
            replica, where = node.replica, "down"
            if replica:
                where = f"view {replica.view}, changing {replica.changing_view}, silent {replica.silent}, "
                where += f"delivered {replica.delivered_height}, sealed {replica.sealed_height}"
            lines.append(f"{node.member}: {where}, pool {len(node.pool)} {node.halted}")
        return lines

    def _judge(self) -> None:
        """No correct node stopped, none ran a transaction twice."""
        for node in self.correct:
            if node.halted:
                raise Violation(f"member {node.member} halted: {node.halted}")
            runs = [each for block in node.blocks.values() for each in block.fresh]
            if len(runs) != len(set(runs)):
                raise Violation(f"member {node.member} ran a transaction twice")


def simulate(plan: Plan) -> Cluster:
    """Run a plan; the finished cluster, to look at. Raises `Violation`."""
    cluster = Cluster(plan)
    cluster.run()
    return cluster
