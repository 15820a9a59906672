"""A stage for scenarios: real replicas on a wire where the test decides what arrives, judged at every event.

`Stage` performs the actions of correct members at once and honestly: records are durable, bodies are there, execution
answers. Messages wait on `wire` until the test delivers, drops or settles them; time moves in `run` alone. Byzantine
members have no replica (the test writes their messages with `forge`), or one whose messages a puppeteer bends. The
simulator's own checkers judge agreement, order, one vote a slot, and durability before sending; the stage itself that
no evidence names a correct member, and that none halts.
"""

import hashlib
import tempfile
from collections import deque
from functools import cached_property
from pathlib import Path

import pytest

from consensus import Replica, Tip, Turn, first_journal
from consensus.actions import (
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
from consensus.committee import Committee
from consensus.events import (
    BatchReady,
    BlockFetched,
    BodiesReady,
    BodiesRefused,
    Executed,
    FetchFailed,
    Received,
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
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    CommitCertificate,
    Envelope,
    NewView,
    PreparedCertificate,
    SignedViewChange,
    Status,
    Suspect,
    ViewChange,
    Vote,
    open_envelope,
)
from consensus.recovery import Anchor
from consensus.simulation.checkers import AgreementChecker, OrderChecker, VoteChecker
from consensus.simulation.stubs import (
    CHAIN_ID,
    EPOCH_START_MS,
    GENESIS,
    execute,
    stub_signer,
    stub_validators,
    stub_verify,
)
from ledger.blocks import genesis_record, next_header
from ledger.crypto import SigningKey, signing_message
from ledger.merkle import root
from ledger.seals import assemble_seal, checkpoint_message
from ledger.transactions import identify, sign_transaction
from ledger.types import (
    Batch,
    Block,
    BlockRecord,
    Call,
    Checkpoint,
    Genesis,
    Parameters,
    Seal,
    SealSignature,
    Validator,
    ValidatorSet,
)

NOW = EPOCH_START_MS
STEPS_MAX = 200_000  # a scenario that goes on for longer never ends


def transaction(name):
    return hashlib.sha256(name.encode()).digest()


# ── messages of any member ────────────────────────────────────────────────────────────────────────


class Forge:
    """Writes and signs any message of any member. Tests use it for Byzantine members, and for what was recorded."""

    def __init__(self, powers):
        self.size = len(powers)
        self.validators = stub_validators(powers)
        self.committee = Committee(CHAIN_ID, 0, self.validators, stub_verify)
        self.signers = [stub_signer(member.public_key) for member in self.validators.members]

    def sign(self, kind, sender, body, batches=(), chain_id=CHAIN_ID, key=None):
        encoded = body.encode()
        signer = self.signers[sender if key is None else key]
        return Envelope(kind, encoded, signer(signing_message(kind, chain_id, encoded)), tuple(batches))

    def batch(self, height=1, names=("a",), view=0, since=1, time_ms=NOW, proposer=None, epoch=0):
        """`names` become transaction hashes; who proposes is the view's first member unless told."""
        proposer = view % self.size if proposer is None else proposer
        return Batch(epoch, height, view, proposer, time_ms, tuple(transaction(name) for name in names), since)

    def pre_prepare(self, batch, sender=None, **other):
        sender = batch.proposer if sender is None else sender
        return self.sign(PRE_PREPARE, sender, self._vote(batch, sender, **other), (batch,))

    def prepare(self, sender, batch, **other):
        return self.sign(PREPARE, sender, self._vote(batch, sender, **other))

    def commit(self, sender, batch, **other):
        return self.sign(COMMIT, sender, self._vote(batch, sender, **other))

    @staticmethod
    def _vote(batch, sender, view=None, height=None, digest=None, epoch=0):
        view = batch.view if view is None else view
        height = batch.height if height is None else height
        return Vote(epoch, view, height, sender, batch.digest if digest is None else digest)

    def checkpoint(self, sender, height, header_hash, epoch=0):
        return self.sign(CHECKPOINT, sender, Checkpoint(epoch, height, sender, header_hash))

    def suspect(self, sender, view=0, height=1):
        return self.sign(SUSPECT, sender, Suspect(0, view, height, sender))

    def prepared(self, batch, members=(0, 1, 2), view=None):
        """A prepared certificate."""
        view = batch.view if view is None else view
        return PreparedCertificate(view, batch.height, batch.digest, self._listed(self.prepare, batch, members, view))

    def committed(self, batch, members=(0, 1, 2), view=None):
        """A commit certificate."""
        view = batch.view if view is None else view
        return CommitCertificate(view, batch.height, batch.digest, self._listed(self.commit, batch, members, view))

    @staticmethod
    def _listed(kind, batch, members, view):
        return tuple(SealSignature(each, kind(each, batch, view=view).signature) for each in members)

    def seal(self, height, header_hash, members=(0, 1, 2)):
        signatures = (SealSignature(each, self.checkpoint(each, height, header_hash).signature) for each in members)
        return Seal(0, height, header_hash, tuple(signatures))

    def view_change(self, sender, view=1, seal=None, prepared=()):
        """`prepared`: (certificate, batch) pairs, ascending."""
        body = ViewChange(0, view, sender, seal, tuple(certificate for certificate, _ in prepared))
        return self.sign(VIEW_CHANGE, sender, body, [batch for _, batch in prepared])

    def new_view(self, view_changes, view=1, sender=None, batches=()):
        signed = tuple(SignedViewChange(each.body, each.signature) for each in view_changes)
        sender = view % self.size if sender is None else sender
        return self.sign(NEW_VIEW, sender, NewView(0, view, sender, signed), batches)

    def status(self, sender, view=0, height=0, seal=None, batches=(), **other):
        said = {"changing": False, "progress": (), "final": (), "forgetful": False} | other
        fields = {"epoch": 0, "view": view, "sender": sender, "height": height, "seal": seal} | said
        return self.sign(STATUS, sender, Status(**fields), batches)

    def chain(self, length):
        """Sealed blocks 1 to `length`, a transaction each: (header, batch, seal)."""
        blocks, parent, time_ms = [], GENESIS.header_hash, GENESIS.time_ms
        for height in range(1, length + 1):
            batch = self.batch(height, (f"t{height}",))
            header, _ = execute(parent, time_ms, batch, set())
            blocks.append((header, batch, self.seal(height, header.hash)))
            parent, time_ms = header.hash, header.time_ms
        return blocks


class Solo:
    """One started replica without a driver: every event is the test's. It trusts its journal unless one is given."""

    def __init__(self, forge, member=3, *, tip=GENESIS, journal=None, start=True, **parameters):
        chosen = {"window": 4, "block_transactions_max": 1, "request_timeout_ms": 1000, "timeout_max_ms": 8000}
        self.forge = forge
        self.member = member
        self.records = [Anchor(tip.height).encode()] if journal is None else list(journal)
        self.replica = Replica(
            member=member,
            chain_id=CHAIN_ID,
            validators=forge.validators,
            parameters=Parameters(**chosen | parameters),
            sign=forge.signers[member],
            verify=stub_verify,
            tip=tip,
            journal=self.records,
        )
        if start:
            self.step(Start(NOW))

    def step(self, event):
        """The actions; what they persist is kept in `records`."""
        out = self.replica.step(event)
        self.records += [action.record for action in out if isinstance(action, Persist)]
        return out

    def hear(self, *envelopes):
        """Messages arrive; everything that follows."""
        datas = [each if isinstance(each, bytes) else each.encode() for each in envelopes]
        return [action for data in datas for action in self.step(Received(data, NOW))]

    def accept(self, batch):
        """A proposal whose bodies are here."""
        return self.hear(self.forge.pre_prepare(batch)) + self.step(BodiesReady(batch.digest, NOW))

    def commit(self, batch):
        """A backup takes one height up to Deliver."""
        others = [each for each in range(self.forge.size) if each != self.member]
        out = self.accept(batch)
        out += self.hear(*[self.forge.prepare(each, batch) for each in others])
        return out + self.hear(*[self.forge.commit(each, batch) for each in others])

    def fetched(self, *blocks):
        """Sealed blocks arrive that a Fetch asked for, and are executed."""
        out = []
        for header, batch, seal in blocks:
            out += self.step(BlockFetched(header, batch, seal, NOW))
            out += self.step(Executed(header.height, header.hash, NOW))
        return out

    def tick(self, name="status"):
        """A timer runs out."""
        return self.step(TimerFired(name, NOW))


def tip_of(block):
    """A start above genesis: where a store ends with this (header, batch, seal)."""
    header, _, seal = block
    return Tip(header.height, header.hash, header.time_ms, seal)


def bodies_of(actions, *kinds):
    """The bodies of the messages of these kinds among some actions."""
    opened = (open_envelope(action.data) for action in actions if isinstance(action, Send | Broadcast))
    return [body for envelope, body in opened if not kinds or envelope.kind in kinds]


# ── blocks with real keys, for the files and for block sync ──────────────────────────────────────


class Consortium:
    """Four validators with Ed25519 keys, a genesis, and well-formed sealed blocks made from them."""

    def __init__(self):
        self.keys = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 5)]
        members = (Validator(f"v{n}", key.public_key, 1, b"cert") for n, key in enumerate(self.keys))
        self.parameters = Parameters(window=4, block_transactions_max=1, request_timeout_ms=1000, timeout_max_ms=8000)
        self.genesis = Genesis(1, "test", 1000, self.parameters, ValidatorSet(tuple(members)), ())

    def transaction(self, number, salt=b""):
        calls = [Call("c", "m", b"\x90")]
        salt = hashlib.sha256(salt + number.to_bytes(8, "big")).digest()[:16]
        return sign_transaction(self.keys[0], self.genesis.chain_id, calls, 1000, 50, salt)

    def record(self, parent, batch, raws, signers=(0, 1, 2)):
        """The block that follows `parent` with this batch and its bodies; sealed if there are signers."""
        hashes = batch.hashes
        members = self.genesis.validators
        header = next_header(
            parent,
            batch,
            executed=hashes,
            transactions_root=root(hashes),
            receipts_root=root([b"receipt"] * len(raws)),
            state_root=hashlib.sha256(parent.state_root + b"".join(hashes)).digest(),
            gas_used=0,
            validators_hash=members.hash,
            next_validators_hash=members.hash,
        )
        seal = self.seal(header, signers) if signers else None
        return BlockRecord(Block(header, batch, hashes), tuple(raws), (b"receipt",) * len(raws), seal)

    def seal(self, header, signers):
        votes = {}
        for member in signers:
            checkpoint = Checkpoint(header.epoch, header.height, member, header.hash)
            votes[member] = self.keys[member].sign(checkpoint_message(self.genesis.chain_id, checkpoint))
        return assemble_seal(header.epoch, header.height, header.hash, votes)

    def chain(self, length, signers=(0, 1, 2), salt=b""):
        """Genesis and blocks 1 to `length`, each with one transaction; another `salt`, another chain."""
        records = [genesis_record(self.genesis, bytes(32))]
        for height in range(1, length + 1):
            raw = self.transaction(height, salt)
            batch = Batch(0, height, 0, 0, 2000 + height, (identify(raw)[1],))
            records.append(self.record(records[-1].block.header, batch, [raw], signers))
        return records


# ── the wire ──────────────────────────────────────────────────────────────────────────────────────


class Packet:
    """A message on its way to one receiver."""

    def __init__(self, sender, receiver, data):
        self.sender, self.receiver, self.data = sender, receiver, data

    @cached_property
    def _opened(self):
        return open_envelope(self.data)

    envelope = property(lambda self: self._opened[0])
    body = property(lambda self: self._opened[1])
    kind = property(lambda self: self._opened[0].kind)

    def __repr__(self):
        return f"{self.sender}->{self.receiver} {self.body}"


class Disk:
    """What a member keeps over a crash."""

    def __init__(self):
        self.journal = first_journal()
        self.blocks = {}  # height -> (header, batch, fresh, seal or None)

    def executed(self):
        return {each for _, _, fresh, _ in self.blocks.values() for each in fresh}

    @property
    def sealed_height(self):
        return max((height for height, block in self.blocks.items() if block[3]), default=0)

    def tip(self):
        """The last sealed block; what was executed above it is executed again."""
        height = self.sealed_height
        self.blocks = {each: block for each, block in self.blocks.items() if each <= height}
        if not height:
            return GENESIS
        header, _, _, seal = self.blocks[height]
        batches = [self.blocks[each][1] for each in sorted(self.blocks)]
        turns = tuple(Turn(batch.view, batch.proposer, batch.since) for batch in batches)
        return Tip(height, header.hash, header.time_ms, seal, turns)


class Stage:
    """A cluster in the test's hand.

    By default a block holds one transaction (`block_transactions_max`), so every transaction submitted is a height.
    `byzantine`: members without a replica; what is sent to them lies in `heard`. `puppets`: Byzantine members with an
    honest replica whose every packet goes through `bend(packet) -> packets`.
    """

    def __init__(self, members=4, *, powers=None, byzantine=(), puppets=None, start=True, **parameters):
        self.powers = powers or (1,) * members
        self.members = range(len(self.powers))
        self.puppets = puppets or {}
        self.byzantine = frozenset(byzantine) | frozenset(self.puppets)
        self.correct = [each for each in self.members if each not in self.byzantine]
        acting = sorted([*self.correct, *self.puppets])
        chosen = {"window": 4, "block_transactions_max": 1, "request_timeout_ms": 1000, "timeout_max_ms": 8000}
        self.parameters = Parameters(**chosen | parameters)
        self.forge = Forge(self.powers)
        self.committee = self.forge.committee
        self.now = 0
        self.filled = 0
        self.skew_ms = dict.fromkeys(self.members, 0)
        self.wire = deque()
        self.heard = {each: [] for each in self.byzantine - set(self.puppets)}
        self.sent = []  # every packet that a correct member ever sent, also those that were lost
        self.evidence = []  # (who reports, kind, against whom)
        self.proofs = []  # the same with both messages: the whole action
        self.patience = []  # (member, milliseconds) of every progress timer that was set
        self.deliveries = []  # (member, height, digest), in the order in which they happened, over all lives
        self.fetches = []  # (who asked, whom, first height, last)
        self.halted = {}
        self.may_halt = set()
        self.lost = []  # rules: packet -> whether the network loses it
        self.refused_bodies = set()  # transactions that no honest node finds valid
        self.missing_bodies = set()  # transactions that nobody can get at present
        self.slow_execution = set()  # members whose executor rests; `execute` makes it go on
        self.servers = {}  # Byzantine servers of blocks: member -> callable(first, last) -> [(header, batch, seal)]
        self.fuse = {}  # member -> how many more actions it performs before its power fails
        self.agreement = AgreementChecker()
        self.votes = {each: VoteChecker(each) for each in self.correct}
        self.disk = {each: Disk() for each in acting}
        self.replicas, self.order, self.timers = {}, {}, {each: {} for each in acting}
        self.starts = 0
        self.by_votes = True  # what is delivered now is final by votes, and not by a fetched block's seal
        # Every start asks the others what they hold of its votes (P6.6), where enough are played to answer.
        self.asking = sum(self.powers[each] for each in acting) >= self.committee.quorum
        self.pool = {each: {} for each in acting}
        self.wanted = dict.fromkeys(acting)
        self.told = dict.fromkeys(acting, False)
        self.undone = {each: [] for each in acting}  # delivered, not executed
        if start:
            for member in acting:
                self.start(member)
            self.settle()

    # ── lives ─────────────────────────────────────────────────────────────────────────────────────

    def start(self, member):
        """A process begins with what the disk holds."""
        disk, tip = self.disk[member], self.disk[member].tip()
        self.order[member] = OrderChecker(tip.height)
        self.timers[member], self.wanted[member], self.told[member], self.undone[member] = {}, None, False, []
        self.fuse.pop(member, None)
        self.replicas[member] = Replica(
            member=member,
            chain_id=CHAIN_ID,
            validators=self.forge.validators,
            parameters=self.parameters,
            sign=self.forge.signers[member],
            verify=stub_verify,
            tip=tip,
            journal=list(disk.journal),
        )
        done = disk.executed()
        self.pool[member] = {each: None for each in self.pool[member] if each not in done}
        self.starts += 1
        self.step(member, Start(self.clock_ms(member), self.starts if self.asking else 0))
        self._tell_waiting(member)
        return self.replicas[member]

    def crash(self, *members):
        """The processes end. Their disks stay; what lay on the wire is still on its way."""
        for member in members:
            self.replicas.pop(member, None)
            self.timers[member] = {}

    def restart(self, *members):
        """Crash and start again."""
        self.crash(*members)
        for member in members:
            self.start(member)

    def clock_ms(self, member):
        return NOW + self.now + self.skew_ms[member]

    # ── one event ─────────────────────────────────────────────────────────────────────────────────

    def step(self, member, event):
        """Hand one event over and perform what follows, with the driver's own answers."""
        answers = deque([event])
        while answers and member in self.replicas:
            event = answers.popleft()
            self.by_votes = not isinstance(event, BlockFetched)
            for action in self.replicas[member].step(event):
                if self.fuse.get(member) == 0:
                    self.crash(member)
                    return
                if member in self.fuse:
                    self.fuse[member] -= 1
                answers.extend(self._perform(member, action) or ())
        self._tell_waiting(member)

    def _perform(self, member, action):
        match action:
            case Persist(record):
                self.disk[member].journal.append(record)
                if member in self.votes:
                    self.votes[member].on_durable(record)
            case Broadcast(data):
                for receiver in self.members:
                    if receiver != member:
                        self._send(member, receiver, data)
            case Send(receiver, data):
                self._send(member, receiver, data)
            case SetTimer(name, after_ms):
                self.timers[member].pop(name, None)
                self.timers[member][name] = self.now + after_ms
                if name == "progress":
                    self.patience.append((member, after_ms))
            case CancelTimer(name):
                self.timers[member].pop(name, None)
            case RequestBatch():
                self.wanted[member] = action
                return self._offer(member)
            case CancelBatch():
                self.wanted[member] = None
            case FetchBodies(batch):
                return self._bodies(member, batch)
            case Deliver(height, batch, digest):
                self.order[member].on_delivered(batch, height, digest)
                if member not in self.byzantine:
                    self.agreement.on_delivered(member, height, digest)
                if member in self.votes and self.by_votes:
                    self.votes[member].on_delivered(height)
                self.deliveries.append((member, height, digest))
                self.undone[member].append(batch)
                return () if member in self.slow_execution else self._execute(member)
            case Sealed(height, header_hash, seal):
                header, batch, fresh, _ = self.disk[member].blocks[height]
                self.order[member].on_sealed(height, header, header_hash)
                if member not in self.byzantine:
                    self.agreement.on_sealed(member, height, header_hash)
                self.disk[member].blocks[height] = (header, batch, fresh, seal)
            case Fetch(server, first, last):
                self.fetches.append((member, server, first, last))
                return self._fetch(member, server, first, last)
            case Evidence(kind, against):
                assert against in self.byzantine, f"{member} accuses {against}, which is correct, of two {kind}"
                self.evidence.append((member, kind, against))
                self.proofs.append(action)
            case Halt(diagnosis):
                self.halted[member] = diagnosis
                assert member in self.may_halt, f"{member} halted: {diagnosis}"
        return ()

    def _send(self, sender, receiver, data):
        packet = Packet(sender, receiver, data)
        if sender in self.votes:
            self.votes[sender].on_sent(data)
            self.sent.append(packet)
        for each in self.puppets[sender](packet) if sender in self.puppets else [packet]:
            if not any(rule(each) for rule in self.lost):
                self.wire.append(each)

    def _bodies(self, member, batch):
        if any(each in self.refused_bodies for each in batch.hashes):
            return [BodiesRefused(batch.digest, "not valid", self.clock_ms(member))]
        if any(each in self.missing_bodies for each in batch.hashes):
            return []
        return [BodiesReady(batch.digest, self.clock_ms(member))]

    def _execute(self, member):
        answers, disk = [], self.disk[member]
        for batch in self.undone[member]:
            parent = disk.blocks.get(batch.height - 1)
            before = (parent[0].hash, parent[0].time_ms) if parent else (GENESIS.header_hash, GENESIS.time_ms)
            header, fresh = execute(*before, batch, disk.executed())
            disk.blocks[batch.height] = (header, batch, fresh, None)
            for each in batch.hashes:
                self.pool[member].pop(each, None)
            answers.append(Executed(batch.height, header.hash, self.clock_ms(member)))
        self.undone[member] = []
        return answers

    def execute(self, *members):
        """Let the executors of `slow_execution` go on with what was delivered."""
        for member in members:
            for event in self._execute(member):
                self.step(member, event)

    def _fetch(self, member, server, first, last):
        blocks, disk = [], self.disk.get(server)
        if server in self.servers:
            blocks = self.servers[server](first, last)
        elif server in self.replicas and not any(rule(Packet(server, member, b"")) for rule in self._links()):
            found = (disk.blocks.get(height) for height in range(first, last + 1))
            blocks = [(header, batch, seal) for header, batch, _, seal in filter(None, found) if seal]
        now = self.clock_ms(member)
        return [BlockFetched(*block, now) for block in blocks] or [FetchFailed(server, now)]

    def _tell_waiting(self, member):
        if member in self.replicas and bool(self.pool[member]) != self.told[member]:
            self.told[member] = bool(self.pool[member])
            self.step(member, RequestsWaiting(self.told[member], self.clock_ms(member)))

    def _offer(self, member):
        if member not in self.replicas or not self.wanted[member] or not self.pool[member]:
            return ()
        wanted, self.wanted[member] = self.wanted[member], None
        now = self.clock_ms(member)
        return [BatchReady(wanted.height, wanted.view, tuple(self.pool[member]), now, now)]

    # ── what the test does ────────────────────────────────────────────────────────────────────────

    def submit(self, *names, to=None):
        """Clients hand transactions to all members that act, or to some."""
        for member in self.pool if to is None else to:
            done = self.disk[member].executed()
            self.pool[member].update({transaction(name): None for name in names if transaction(name) not in done})
            self._tell_waiting(member)
            for event in self._offer(member):
                self.step(member, event)

    def hear(self, receivers, *envelopes):
        """Messages that the test wrote or recorded reach these members (one index, or several) now."""
        for receiver in [receivers] if isinstance(receivers, int) else receivers:
            for envelope in envelopes:
                data = envelope if isinstance(envelope, bytes) else envelope.encode()
                self._arrive(Packet(None, receiver, data))

    def _arrive(self, packet):
        if packet.receiver in self.heard:
            self.heard[packet.receiver].append(packet)
        else:
            self.step(packet.receiver, Received(packet.data, self.clock_ms(packet.receiver)))

    def waiting(self, sender=None, receiver=None, kind=None, where=lambda _: True):
        """The packets on the wire that match. Each of the three may be one value or a collection."""
        return [
            packet
            for packet in self.wire
            if _matches(packet.sender, sender)
            and _matches(packet.receiver, receiver)
            and _matches(packet.kind, kind)
            and where(packet)
        ]

    def deliver(self, *args, **chosen):
        """Deliver what matches and is on the wire now, and nothing that follows from it. How many that were."""
        packets = self.drop(*args, **chosen)
        for packet in packets:
            self._arrive(packet)
        return len(packets)

    def drop(self, *args, **chosen):
        """The network loses what matches and is on the wire now; the packets."""
        packets = self.waiting(*args, **chosen)
        gone = {id(packet) for packet in packets}
        self.wire = deque(packet for packet in self.wire if id(packet) not in gone)
        return packets

    def settle(self):
        """Deliver everything, and what follows from it, until nothing is on the wire. No time passes."""
        for _ in range(STEPS_MAX):
            if not self.wire:
                return self
            self._arrive(self.wire.popleft())
        raise AssertionError("the members never stop talking")

    def run(self, ms):
        """Let time pass: timers fire in their order, messages arrive at once."""
        until = self.now + ms
        self.settle()
        while (due := self._next_timer()) and due[0] <= until:
            self._fire(due)
        self.now = until
        return self

    def run_until(self, reached, ms_max=120_000):
        """Let time pass, timer by timer, until `reached()`; how many milliseconds that took."""
        began = self.now
        self.settle()
        while not reached():
            due = self._next_timer()
            assert due, f"nothing goes on: {self.standing()}"
            assert due[0] - began <= ms_max, f"not reached in {ms_max} ms: {self.standing()}"
            self._fire(due)
        return self.now - began

    def _fire(self, due):
        self.now, member, name = due
        del self.timers[member][name]
        self.step(member, TimerFired(name, self.clock_ms(member)))
        self.settle()

    def _next_timer(self):
        due = [(at, member, name) for member in self.replicas for name, at in self.timers[member].items()]
        return min(due, default=None)

    def expire(self, *members):
        """These members' patience ends now, where their timer runs."""
        for member in members:
            if self.timers[member].pop("progress", None) is not None:
                self.step(member, TimerFired("progress", self.clock_ms(member)))

    def tick(self, *members):
        """These members say where they stand, now."""
        for member in members or list(self.replicas):
            self.step(member, TimerFired("status", self.clock_ms(member)))

    def fill(self, count):
        """So many transactions one after the other, a height each, everything delivered at once."""
        for _ in range(count):
            self.filled += 1
            self.submit(f"filler {self.filled}")
            self.settle()
        return self

    # ── links ─────────────────────────────────────────────────────────────────────────────────────

    def lose(self, rule):
        """From now on the network loses the packets for which `rule(packet)` holds."""
        self.lost.append(rule)
        return rule

    def cut(self, *groups):
        """A partition: members of different groups do not reach each other; what is on its way is lost too."""
        where = {member: number for number, group in enumerate(groups) for member in group}

        def divided(packet):
            return where.get(packet.sender) != where.get(packet.receiver)

        divided.link = True
        self.lose(divided)
        self.drop(where=divided)

    def heal(self):
        """Every link works again."""
        self.lost.clear()

    def _links(self):
        return [rule for rule in self.lost if getattr(rule, "link", False)]

    # ── what can be seen ──────────────────────────────────────────────────────────────────────────

    def chain(self, member):
        """The digests that this member has executed, by height."""
        return {height: block[1].digest for height, block in sorted(self.disk[member].blocks.items())}

    def transactions(self, member):
        """Everything this member has executed, in order."""
        return [each for _, block in sorted(self.disk[member].blocks.items()) for each in block[2]]

    def delivered(self, member):
        """(height, digest) of every Deliver of this member, over all its lives."""
        return [(height, digest) for who, height, digest in self.deliveries if who == member]

    def heights(self, what="delivered_height"):
        return [getattr(replica, what) for _, replica in sorted(self.replicas.items())]

    def views(self):
        return [replica.view for _, replica in sorted(self.replicas.items())]

    def said(self, member, kind):
        """The bodies of that kind that this correct member ever sent, each once, in order."""
        packets = (packet for packet in self.sent if packet.sender == member and packet.kind == kind)
        return list(dict.fromkeys(packet.body for packet in packets))

    def has(self, *names, members=None):
        """Whether these transactions are executed and sealed at these members (all that run, unless told)."""
        wanted = [transaction(name) for name in names]
        for member in self.replicas if members is None else members:
            blocks = [block for block in self.disk[member].blocks.values() if block[3]]
            if not all(any(each in fresh for _, _, fresh, _ in blocks) for each in wanted):
                return False
        return True

    def standing(self):
        return [
            f"{member}: view {replica.view} changing {replica.changing_view} "
            f"delivered {replica.delivered_height} sealed {replica.sealed_height} {replica.refused}"
            for member, replica in sorted(self.replicas.items())
        ]


def _matches(found, wanted):
    if wanted is None:
        return True
    return found in wanted if isinstance(wanted, set | frozenset | tuple | list | range) else found == wanted


@pytest.fixture
def make_stage():
    return Stage


@pytest.fixture
def make_solo(forge):
    """One of four members, alone with the test: `make_solo(member=3, tip=..., journal=..., window=4)`."""

    def make(*args, **chosen):
        return Solo(forge, *args, **chosen)

    return make


@pytest.fixture
def memory_path():
    """A directory without a disk behind it, where there is one: for tests that flush often and pull no plug."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture(scope="session")
def consortium():
    """Four members with real keys."""
    return Consortium()


@pytest.fixture
def tip_at():
    return tip_of


@pytest.fixture
def bodies():
    return bodies_of


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def forge():
    """For four members of power one."""
    return Forge((1, 1, 1, 1))


@pytest.fixture
def named():
    """The hash of a transaction by its name."""
    return transaction
