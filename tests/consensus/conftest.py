"""A bench for one replica: stand-in keys, messages from any member, and a driver that answers at once."""

import hashlib

import pytest

from consensus import Replica, Tip, first_journal
from consensus.actions import (
    Broadcast,
    CancelTimer,
    Deliver,
    Evidence,
    FetchBodies,
    Halt,
    Persist,
    RequestBatch,
    Sealed,
    Send,
    SetTimer,
    ViewChanged,
)
from consensus.committee import Committee
from consensus.events import BodiesReady, Executed, Received, Start, TimerFired
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
from consensus.recovery import Anchor, read_record
from consensus.simulation.stubs import CHAIN_ID, GENESIS, stub_signer, stub_validators, stub_verify
from ledger.crypto import signing_message
from ledger.types import Batch, Checkpoint, Parameters, Seal, SealSignature

NOW = 1_700_000_000_000
TIMEOUT_MS = 1000


def transactions(*names):
    return tuple(hashlib.sha256(name.encode()).digest() for name in names)


def header_hash(height):
    return hashlib.sha256(b"header %d" % height).digest()


class Bench:
    """Signs for every member, and makes replicas."""

    chain_id = CHAIN_ID
    now = NOW

    def __init__(self, powers=(1, 1, 1, 1), window=4, **parameters):
        self.validators = stub_validators(powers)
        self.powers = powers
        self.parameters = Parameters(
            window=window, block_transactions_max=4, request_timeout_ms=TIMEOUT_MS, timeout_max_ms=8000, **parameters
        )
        self.committee = Committee(CHAIN_ID, 0, self.validators, stub_verify)
        self.signers = [stub_signer(member.public_key) for member in self.validators.members]
        self.numbers = NOW  # of the last STATUS

    # ── replicas ──────────────────────────────────────────────────────────────────────────────────

    def replica(self, member=1, journal=None, tip=GENESIS, start=True, verify=stub_verify, token=0):
        """A started replica that trusts its journal (empty but for the anchor, unless given) and asks nobody."""
        records = [Anchor(tip.height).encode()] if journal is None else journal
        made = Replica(
            member=member,
            chain_id=CHAIN_ID,
            validators=self.validators,
            parameters=self.parameters,
            sign=self.signers[member],
            verify=verify,
            tip=tip,
            journal=records,
        )
        if start:
            made.step(Start(NOW, token))
        return made

    def started(self, member=2, journal=None, token=1 << 61, **other):
        """A replica that has just put its question; and what it said."""
        replica = self.replica(member, journal=first_journal() if journal is None else journal, start=False, **other)
        return replica, replica.step(Start(NOW, token))

    # ── messages ──────────────────────────────────────────────────────────────────────────────────

    def sign(self, kind, sender, body, batches=(), chain_id=CHAIN_ID):
        encoded = body.encode()
        return Envelope(kind, encoded, self.signers[sender](signing_message(kind, chain_id, encoded)), tuple(batches))

    def batch(self, height=1, view=0, names=("a",), time_ms=NOW, proposer=None, since=1):
        proposer = view % len(self.powers) if proposer is None else proposer
        return Batch(0, height, view, proposer, time_ms, transactions(*names), since)

    def pre_prepare(self, batch, sender=None, digest=None, view=None, height=None):
        sender = batch.proposer if sender is None else sender
        view = batch.view if view is None else view
        height = batch.height if height is None else height
        vote = Vote(0, view, height, sender, batch.digest if digest is None else digest)
        return self.sign(PRE_PREPARE, sender, vote, (batch,))

    def vote(self, kind, sender, batch, view=None, digest=None, epoch=0):
        view = batch.view if view is None else view
        return self.sign(kind, sender, Vote(epoch, view, batch.height, sender, digest or batch.digest))

    def prepare(self, sender, batch, **other):
        return self.vote(PREPARE, sender, batch, **other)

    def commit(self, sender, batch, **other):
        return self.vote(COMMIT, sender, batch, **other)

    def checkpoint(self, sender, height, found=None):
        return self.sign(CHECKPOINT, sender, Checkpoint(0, height, sender, found or header_hash(height)))

    def suspect(self, sender, view=0, height=1):
        return self.sign(SUSPECT, sender, Suspect(0, view, height, sender))

    def certificate(self, batch, view=None, members=(0, 1, 2)):
        view = batch.view if view is None else view
        signatures = tuple(SealSignature(each, self.prepare(each, batch, view=view).signature) for each in members)
        return PreparedCertificate(view, batch.height, batch.digest, signatures)

    def seal(self, height, found=None, members=(0, 1, 2)):
        found = found or header_hash(height)
        signatures = tuple(SealSignature(each, self.checkpoint(each, height, found).signature) for each in members)
        return Seal(0, height, found, signatures)

    def tip(self, height):
        return Tip(height, header_hash(height), NOW, self.seal(height))

    def view_change(self, sender, view=1, seal=None, prepared=()):
        """`prepared`: (certificate, batch) pairs."""
        certificates = tuple(certificate for certificate, _ in prepared)
        body = ViewChange(0, view, sender, seal, certificates)
        return self.sign(VIEW_CHANGE, sender, body, [batch for _, batch in prepared])

    def new_view(self, view_changes, view=1, sender=None, batches=()):
        signed = tuple(SignedViewChange(each.body, each.signature) for each in view_changes)
        sender = view % len(self.powers) if sender is None else sender
        return self.sign(NEW_VIEW, sender, NewView(0, view, sender, signed), batches)

    def commit_certificate(self, batch, view=None, members=(0, 1, 2)):
        view = batch.view if view is None else view
        signatures = tuple(SealSignature(each, self.commit(each, batch, view=view).signature) for each in members)
        return CommitCertificate(view, batch.height, batch.digest, signatures)

    def status(self, sender, view=0, height=0, seal=None, batches=(), **other):
        """Each is later than the one before. `reach` follows the seal unless told."""
        self.numbers += 1
        said = {"changing": False, "progress": (), "final": (), "forgetful": False, "number": self.numbers}
        said |= {"reach": seal.height if seal else 0} | other
        body = Status(epoch=0, view=view, sender=sender, height=height, seal=seal, **said)
        return self.sign(STATUS, sender, body, batches)

    def bodies(self, batch, now=NOW):
        return BodiesReady(batch.digest, now)

    # ── whole exchanges ───────────────────────────────────────────────────────────────────────────

    def hear(self, replica, *envelopes, now=NOW):
        """Hand messages over; everything the replica asked for."""
        return [
            action
            for each in envelopes
            for action in replica.step(Received(each if isinstance(each, bytes) else each.encode(), now))
        ]

    def accept(self, replica, batch):
        """A backup takes in a proposal and has its bodies."""
        out = self.hear(replica, self.pre_prepare(batch))
        return out + replica.step(BodiesReady(batch.digest, NOW))

    def commit_block(self, replica, batch):
        """A backup goes through one height up to Deliver."""
        others = [each for each in range(len(self.powers)) if each != replica_member(replica)]
        out = self.accept(replica, batch)
        out += self.hear(replica, *[self.prepare(each, batch, view=replica.view) for each in others])
        out += self.hear(replica, *[self.commit(each, batch, view=replica.view) for each in others])
        return out + replica.step(BodiesReady(batch.digest, NOW))  # a silent one asks only now

    def seal_block(self, replica, height):
        """Execution answers, the others' CHECKPOINTs arrive."""
        others = [each for each in range(len(self.powers)) if each != replica_member(replica)]
        out = replica.step(Executed(height, header_hash(height), NOW))
        return out + self.hear(replica, *[self.checkpoint(each, height) for each in others])

    def follow(self, replica, heights, **batch):
        """A backup goes through whole heights, to their seals."""
        out = []
        for height in heights:
            out += self.commit_block(replica, self.batch(height, names=(str(height),), **batch))
            out += self.seal_block(replica, height)
        return out

    def answer(self, replica, token, senders=(0, 1), height=0, **other):
        """STATUSes that echo a question."""
        seal = self.seal(height, members=(0, 1, 3)) if height else None
        said = {"height": height, "seal": seal, "echo": token, "answers": replica_member(replica)} | other
        return self.hear(replica, *[self.status(each, **said) for each in senders])

    # ── what came of it ───────────────────────────────────────────────────────────────────────────

    @staticmethod
    def persisted(actions):
        return [action.record for action in actions if isinstance(action, Persist)]

    def durable(self, actions, *kinds):
        """The records of these kinds that were made durable."""
        return [record for record in map(read_record, self.persisted(actions)) if isinstance(record, kinds)]

    @staticmethod
    def asked(actions):
        """The token in the last STATUS to everybody."""
        opened = [open_envelope(action.data) for action in actions if isinstance(action, Broadcast)]
        return [body.token for envelope, body in opened if envelope.kind == STATUS][-1]


def replica_member(replica):
    return replica._core.member


class Said:
    """What a list of actions says, for assertions."""

    def __init__(self, actions):
        self.actions = list(actions)

    def of(self, kind):
        return [action for action in self.actions if isinstance(action, kind)]

    def messages(self, kind=None):
        opened = [open_envelope(each.data) for each in self.actions if isinstance(each, Send | Broadcast)]
        return [body for envelope, body in opened if kind in (None, envelope.kind)]

    def kinds(self):
        return [open_envelope(each.data)[0].kind for each in self.actions if isinstance(each, Send | Broadcast)]


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def make_bench():
    return Bench


@pytest.fixture
def said():
    return Said


# ── a cluster in lock-step, for transcripts ───────────────────────────────────────────────────────


class LockStep:
    """Replicas joined by a queue: every message arrives, in order, at once; drivers answer at once."""

    def __init__(self, bench, members=None):
        self.bench = bench
        self.lines = []
        self.queue = []
        self.down = set()
        self.replicas = {each: bench.replica(each, start=False) for each in range(len(bench.powers))}
        for member in members or self.replicas:
            self.tell(member, Start(NOW))
        self.run()
        self.lines.clear()

    def tell(self, member, event):
        self.queue.append((member, event))

    def run(self):
        while self.queue:
            member, event = self.queue.pop(0)
            if member in self.down:
                continue
            actions = self.replicas[member].step(event)
            if actions:
                self.lines.append(f"{member} <- {describe(event)}")
            for action in actions:
                self.lines.append(f"    {describe(action)}")
                self.perform(member, action)
        return self

    def perform(self, member, action):
        match action:
            case Broadcast(data):
                for other in self.replicas:
                    if other != member:
                        self.tell(other, Received(data, NOW))
            case Send(other, data):
                self.tell(other, Received(data, NOW))
            case FetchBodies(batch):
                self.tell(member, BodiesReady(batch.digest, NOW))
            case Deliver(height):
                self.tell(member, Executed(height, header_hash(height), NOW))

    def expire(self, member, name="progress"):
        self.tell(member, TimerFired(name, NOW))


def describe(thing):
    """One line a person can read and compare."""
    match thing:
        case Received(data) | Broadcast(data):
            return f"{type(thing).__name__} {_message(data)}"
        case Send(member, data):
            return f"Send to {member} {_message(data)}"
        case Persist(record):
            return f"Persist {_record(record)}"
        case FetchBodies(batch, sources):
            return f"FetchBodies height {batch.height} from {list(sources)}"
        case Deliver(height, _, digest):
            return f"Deliver {height} {digest.hex()[:8]}"
        case Sealed(height, found, seal):
            return f"Sealed {height} {found.hex()[:8]} by {[each.member for each in seal.signatures]}"
        case SetTimer(name, after_ms):
            return f"SetTimer {name} {after_ms} ms"
        case CancelTimer(name):
            return f"CancelTimer {name}"
        case RequestBatch(height, view):
            return f"RequestBatch height {height} view {view}"
        case ViewChanged(view, primary):
            return f"ViewChanged view {view} primary {primary}"
        case Evidence(kind, member):
            return f"Evidence {kind} against {member}"
        case Halt(diagnosis):
            return f"Halt {diagnosis}"
    fields = {name: getattr(thing, name) for name in thing.__struct_fields__ if name != "now_ms"}
    shown = ", ".join(f"{name} {_short(value)}" for name, value in fields.items())
    return f"{type(thing).__name__} {shown}".rstrip()


def _short(value):
    if isinstance(value, bytes):
        return value.hex()[:8]
    return f"{len(value)} hashes" if isinstance(value, tuple) else value


def _message(data):
    envelope, body = open_envelope(data)
    parts = [envelope.kind]
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if name in ("epoch", "forgetful", "number", "token", "echo", "answers", "reach"):
            continue
        if isinstance(value, bytes):
            value = value.hex()[:8]
        elif name == "seal":
            value = value.height if value else None
        elif name == "prepared":
            value = [(each.view, each.height, each.digest.hex()[:8]) for each in value]
        elif name == "view_changes":
            value = len(value)
        parts.append(f"{name} {value}")
    return ", ".join(parts)


def _record(data):
    record = read_record(data)
    kind = type(record).__struct_config__.tag
    height = getattr(record, "height", None)
    for inner in ("vote", "certificate", "batch", "checkpoint"):
        height = getattr(getattr(record, inner, None), "height", height)
    view = f" view {record.view}" if kind in ("left", "entered") else ""
    named = f" {record.kind}" if kind == "vote" else ""
    return f"{kind}{named}{view}" + (f" height {height}" if height is not None else "")


@pytest.fixture
def lock_step():
    return LockStep
