"""A whole cluster in one thread and in virtual time: seeded, so that every run can be had again.

Each node is a replica and a small honest driver that performs its actions in order: a Persist takes its time on the
disk and everything after it waits; a crash loses whatever was not performed. The network delays, loses, repeats and
partitions; chance comes from the plan's seed alone. Checkers look at every event (`checkers`), and once the faults
are healed every submitted transaction must be sealed everywhere in bounded time.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Sequence

import msgspec

from consensus.actions import (
    Action,
    Broadcast,
    CancelBatch,
    CancelTimer,
    Deliver,
    Evidence,
    Fetch,
    FetchBodies,
    Halt,
    Persist,
    RequestBatch,
    Sealed,
    Send,
    SetTimer,
)
from consensus.checkers import AgreementChecker, OrderChecker, Violation, VoteChecker
from consensus.events import (
    BatchReady,
    BlockFetched,
    BodiesReady,
    Event,
    Executed,
    FetchFailed,
    Received,
    RequestsWaiting,
    Start,
    TimerFired,
)
from consensus.faults import Plan, Prng, Tamper
from consensus.recovery import first_journal
from consensus.replica import Replica
from consensus.standing import Tip
from ledger.hashing import ZERO_HASH
from ledger.types import Batch, Header, Parameters, Seal, Validator, ValidatorSet

EPOCH_START_MS = 1_700_000_000_000  # the virtual clock's zero
EVENTS_MAX = 2_000_000
BODIES_RETRY_MS = 50
CHAIN_ID = hashlib.sha256(b"simulation").digest()


def stub_signer(public_key: bytes) -> Callable[[bytes], bytes]:
    """A stand-in for Ed25519, fast and deterministic. Secure against nobody; nobody forges in a simulation."""
    return lambda message: hashlib.blake2b(message, key=public_key, digest_size=64).digest()


def stub_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """The verdict on a stand-in signature."""
    return hashlib.blake2b(message, key=public_key, digest_size=64).digest() == signature


def stub_validators(powers: Sequence[int]) -> ValidatorSet:
    """A validator set with stand-in keys."""
    keys = [hashlib.sha256(b"member %d" % index).digest() for index in range(len(powers))]
    return ValidatorSet(
        tuple(Validator(f"v{i}", key, power, b"") for i, (key, power) in enumerate(zip(keys, powers, strict=True)))
    )


GENESIS = Tip(0, hashlib.sha256(b"genesis header").digest(), EPOCH_START_MS, None)


def execute(parent: bytes, parent_time_ms: int, batch: Batch, done: set[bytes]) -> tuple[Header, tuple[bytes, ...]]:
    """A header that follows from the batch and its parent alone; transactions that ran before are skipped."""
    fresh = tuple(each for each in batch.hashes if each not in done)
    root = hashlib.sha256(parent + b"".join(fresh)).digest()
    header = Header(
        CHAIN_ID,
        batch.epoch,
        batch.height,
        parent,
        batch.digest,
        batch.view,
        batch.proposer,
        max(batch.time_ms, parent_time_ms + 1),
        root,
        root,
        root,
        ZERO_HASH,
        ZERO_HASH,
        len(fresh),
        0,
    )
    return header, fresh


class StoredBlock(msgspec.Struct, frozen=True):
    """An executed block; sealed once it has a seal."""

    header: Header
    batch: Batch
    fresh: tuple[bytes, ...]
    seal: Seal | None


class Node:
    """One member: its disk, which survives a crash, and its process, which does not."""

    def __init__(self, member: int, cluster: Cluster) -> None:
        self.member = member
        self.cluster = cluster
        key = cluster.validators.members[member].public_key
        self.sign = stub_signer(key)
        self.tamper: Tamper | None = None
        # disk
        self.journal = first_journal()
        self.blocks: dict[int, StoredBlock] = {}
        self.bodies: set[bytes] = set()
        # process
        self.life = 0
        self.replica: Replica | None = None
        self.pool: dict[bytes, None] = {}
        self.timers: dict[str, int] = {}
        self.wanted: RequestBatch | None = None
        self.free_at = 0
        self.executing_free_at = 0
        self.told_waiting = False
        self.halted = ""
        self.order = OrderChecker(0)
        self.votes = VoteChecker(member)

    # ── life and death ────────────────────────────────────────────────────────────────────────────

    @property
    def sealed_height(self) -> int:
        """The height of the disk's last sealed block."""
        return max((height for height, block in self.blocks.items() if block.seal), default=0)

    def start(self) -> None:
        """A process begins with what the disk holds."""
        self.life += 1
        tip_height = self.sealed_height
        self.blocks = {height: block for height, block in self.blocks.items() if block.seal}
        block = self.blocks.get(tip_height)
        tip = Tip(tip_height, block.header.hash, block.header.time_ms, block.seal) if block else GENESIS
        self.order = OrderChecker(tip_height)
        self.timers, self.wanted, self.told_waiting = {}, None, False
        self.pool = dict.fromkeys(sorted(self.bodies - self.executed()))
        self.free_at = self.executing_free_at = self.cluster.now
        self.replica = Replica(
            member=self.member,
            chain_id=CHAIN_ID,
            validators=self.cluster.validators,
            parameters=self.cluster.parameters,
            sign=self.sign,
            verify=stub_verify,
            tip=tip,
            journal=list(self.journal),
        )
        self.step(Start(self.cluster.clock_ms))
        self.tell_waiting()

    def crash(self) -> None:
        """The process ends: queued actions, timers and memory are gone; the disk stays, but for blocks not synced."""
        self.life += 1
        self.replica = None
        for _ in range(self.cluster.prng.below(self.cluster.plan.window + 1)):
            self.blocks.pop(max(self.blocks, default=0), None)  # not synced yet: the journal must make up for it
        if self.member in self.cluster.plan.forgetful:
            self.journal = []
            if self.cluster.prng.chance(300):
                self.blocks = {}

    def executed(self) -> set[bytes]:
        """Every transaction that the blocks on disk have run."""
        return {each for block in self.blocks.values() for each in block.fresh}

    # ── the driver ────────────────────────────────────────────────────────────────────────────────

    def later(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Act after a while, if this process still lives."""
        life = self.life
        self.cluster.at(self.cluster.now + delay_ms, lambda: act() if life == self.life else None)

    def step(self, event: Event) -> None:
        """Hand an event to the replica and queue what it asks for; the disk holds up what comes after a Persist."""
        if self.replica is None:
            return
        for action in self.replica.step(event):
            self.cluster.trace(self.member, action)
            if isinstance(action, Persist):
                self.free_at = max(self.free_at, self.cluster.now) + self.cluster.prng.between(0, 4)
            self.later(max(0, self.free_at - self.cluster.now), lambda action=action: self.perform(action))  # type: ignore[misc]

    def perform(self, action: Action) -> None:
        """Do one thing that the replica asked for."""
        match action:
            case Persist(record):
                self.journal.append(record)
                self.votes.on_durable(record)
            case Send(receiver, data):
                self.send([receiver], data)
            case Broadcast(data):
                self.send([each for each in range(self.cluster.plan.members) if each != self.member], data)
            case SetTimer(name, after_ms):
                self.set_timer(name, after_ms)
            case CancelTimer(name):
                self.timers.pop(name, None)
            case RequestBatch():
                self.wanted = action
                self.offer_batch()
            case CancelBatch():
                self.wanted = None
            case FetchBodies(batch, sources):
                self.later(1, lambda: self.fetch_bodies(batch, sources))
            case Deliver(height, batch, digest):
                self.deliver(height, batch, digest)
            case Sealed(height, header_hash, seal):
                self.seal(height, header_hash, seal)
            case Fetch(member, first, last):
                self.fetch(member, first, last)
            case Halt(diagnosis):
                self.halted = diagnosis
            case Evidence(kind, member):
                self.cluster.evidence.append((self.member, kind, member))

    def send(self, receivers: list[int], data: bytes) -> None:
        """Into the network, bent first if this member is Byzantine."""
        if self.tamper is None:
            if self.member not in self.cluster.plan.forgetful:
                self.votes.on_sent(data)
            outgoing = [(receiver, data) for receiver in receivers]
        else:
            outgoing = self.tamper.bend(receivers, data)
        for receiver, message in outgoing:
            self.cluster.transmit(self.member, receiver, message)

    def set_timer(self, name: str, after_ms: int) -> None:
        """Run a timer; a later one of that name replaces it."""
        token = self.timers[name] = self.cluster.ticket()

        def fire() -> None:
            if self.timers.get(name) == token:
                del self.timers[name]
                self.step(TimerFired(name, self.cluster.clock_ms))

        self.later(after_ms, fire)

    def learn(self, hashes: Sequence[bytes]) -> None:
        """Transactions arrive: from a client, by gossip, or fetched."""
        done = self.executed()
        for each in hashes:
            self.bodies.add(each)
            if each not in done:
                self.pool[each] = None
        self.tell_waiting()

    def tell_waiting(self) -> None:
        """The pool became empty, or not."""
        if self.replica is not None and bool(self.pool) != self.told_waiting:
            self.told_waiting = bool(self.pool)
            self.step(RequestsWaiting(self.told_waiting, self.cluster.clock_ms))
        self.offer_batch()

    def offer_batch(self) -> None:
        """Answer a RequestBatch when there is something to propose."""
        if self.wanted and self.pool:
            wanted, self.wanted = self.wanted, None
            clock = self.cluster.clock_ms
            hashes = tuple(self.pool)[: 3 * self.cluster.parameters.block_transactions_max]
            self.later(
                1, lambda: self.step(BatchReady(wanted.height, wanted.view, hashes, clock, self.cluster.clock_ms))
            )

    def fetch_bodies(self, batch: Batch, sources: tuple[int, ...]) -> None:
        """Have every body here, or ask again a little later."""
        for source in sources:
            node = self.cluster.nodes[source]
            if self.cluster.linked(self.member, source) and node.replica is not None:
                self.bodies.update(each for each in batch.hashes if each in node.bodies)
        if all(each in self.bodies for each in batch.hashes):
            self.step(BodiesReady(batch.digest, self.cluster.clock_ms))
        else:
            self.later(BODIES_RETRY_MS, lambda: self.fetch_bodies(batch, sources))

    def deliver(self, height: int, batch: Batch, digest: bytes) -> None:
        """Store, execute in order, answer with the header."""
        self.order.on_delivered(batch, height, digest)
        if self.tamper is None:
            self.cluster.agreement.on_delivered(self.member, height, digest)
        self.executing_free_at = max(self.executing_free_at, self.cluster.now) + self.cluster.prng.between(0, 10)
        self.later(self.executing_free_at - self.cluster.now, lambda: self.execute(height, batch))

    def execute(self, height: int, batch: Batch) -> None:
        """Run a batch on top of its parent."""
        parent = self.blocks.get(height - 1)
        parent_hash, parent_time = (
            (parent.header.hash, parent.header.time_ms) if parent else (GENESIS.header_hash, GENESIS.time_ms)
        )
        header, fresh = execute(parent_hash, parent_time, batch, self.executed())
        self.blocks[height] = StoredBlock(header, batch, fresh, None)
        for each in batch.hashes:
            self.pool.pop(each, None)
        self.step(Executed(height, header.hash, self.cluster.clock_ms))
        self.tell_waiting()

    def seal(self, height: int, header_hash: bytes, seal: Seal) -> None:
        """The block is final for the world; now and then the journal is rewritten."""
        block = self.blocks.get(height)
        self.order.on_sealed(height, block.header if block else None, header_hash)
        if self.tamper is None:
            self.cluster.agreement.on_sealed(self.member, height, header_hash)
        assert block is not None
        self.blocks[height] = msgspec.structs.replace(block, seal=seal)
        if (
            self.replica
            and self.replica.sealed_height == height
            and self.idle
            and self.cluster.prng.chance(self.cluster.plan.snapshot_permille)
        ):
            self.journal = self.replica.journal_snapshot()

    @property
    def idle(self) -> bool:
        """Whether every record that the replica asked to persist is on the disk."""
        return self.free_at <= self.cluster.now

    def fetch(self, member: int, first: int, last: int) -> None:
        """Ask a member for its sealed blocks."""
        node = self.cluster.nodes[member]
        blocks = [block for height in range(first, last + 1) if (block := node.blocks.get(height)) and block.seal]
        delay = self.cluster.prng.between(2, 40)
        if not blocks or node.replica is None or not self.cluster.linked(self.member, member):
            self.later(delay, lambda: self.step(FetchFailed(member, self.cluster.clock_ms)))
            return
        for block in blocks:
            self.later(delay, lambda block=block: self.take(block))  # type: ignore[misc]

    def take(self, block: StoredBlock) -> None:
        """A fetched block, with its bodies."""
        self.bodies.update(block.batch.hashes)
        assert block.seal is not None
        self.step(BlockFetched(block.header, block.batch, block.seal, self.cluster.clock_ms))


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
