"""Every order in which one height's messages can reach a replica, by search over its states; and what follows for all.

**One replica.** Letters are the messages that may arrive and the answers that its driver owes (bodies, execution, a
batch, patience that runs out). From every state reached, every letter that is left is tried. Two paths that used the
same letters and led to the same memory (`replica_state.digest_of`) are one: `step` is a pure function of memory and
event, so whatever follows one follows the other. Hence the walk over states covers every order, and the number of
orders is the number of paths. Every prefix is a state as well: so any loss is covered, too.

**The whole cluster.** A delivery changes its receiver and adds messages to the network; it touches no other replica.
So deliveries to different replicas commute, and a run of the cluster is, for each replica, one order of what it gets.
Let A be the set of messages that correct members may send for the height. Each replica is searched with *all* of A
available at any time, sooner than a real run could have it: more orders than the cluster has, never fewer. If in
every state it sends nothing outside of A, then by induction over the run nobody ever gets anything else, and what
holds in every state of every such search holds in every interleaving of the cluster. (Assume and guarantee.) A is the
height's votes: SUSPECTs stay out of it, so this is the cluster as long as its first view lasts; one member alone may
run out of patience at any moment (`impatient`). What comes when a view is left is for `mutations` and the simulator.

**An equivocating primary.** Now a correct member may vote for one of two digests, but for one only: that is checked in
every state. So from each correct peer a replica hears at most one PREPARE and one COMMIT, of either digest, and from
the faulty one everything. Two states of two replicas can be of one run only if what one heard of the other, and both of
the third, does not differ (`compatible`). Agreement: no two compatible states delivered different digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec

from consensus.actions import Action, Broadcast, Deliver, FetchBodies, RequestBatch, Send
from consensus.events import BatchReady, BodiesReady, Event, Executed, Received, RequestsWaiting, Start, TimerFired
from consensus.liveness import PROGRESS
from consensus.messages import CHECKPOINT, COMMIT, PRE_PREPARE, PREPARE, SUSPECT, Suspect, Vote, open_envelope
from consensus.recovery import first_journal
from consensus.replica import Replica
from consensus.simulation.checkers import Violation
from consensus.simulation.stubs import EPOCH_START_MS, GENESIS, execute
from ledger.types import Batch, Checkpoint, Parameters
from scripts.cast import Cast
from scripts.court import Court
from scripts.replica_state import core_of, digest_of, require_bounded
from scripts.witness import Witness

NOW = EPOCH_START_MS
PARAMETERS = Parameters(window=4, block_transactions_max=4)
PRIMARY, MEMBERS, HEIGHT = 0, 4, 1

Votes = frozenset[tuple[str, bytes]]  # (kind, digest or header hash)
Key = tuple[int, int, Votes, bytes]  # letters used, answers owed, what was said, memory
Delivery = tuple[frozenset[str], Votes, bytes]  # letters used, what was said, the digest


class Letter(msgspec.Struct, frozen=True):
    """One thing that may happen to the replica, once. `owed_by`: the kind of action that it answers, if any.

    Of the letters of one `choice`, a member says at most one.
    """

    name: str
    event: Event
    owed_by: str = ""
    choice: str = ""


class State(msgspec.Struct):
    """A state of the search: how to get there, and what was seen on the way."""

    path: tuple[int, ...]
    owed: int  # letters that the driver owes by now
    said: Votes  # what was sent
    delivered: bytes
    orders: int  # in how many orders it is reached


class Outcome(msgspec.Struct):
    """What a search found. `ends` are the states where no letter was left, without the names of signers."""

    states: int = 0
    transitions: int = 0
    orders: int = 0
    said: Votes = frozenset()  # in any state
    ends: dict[bytes, Replica] = {}
    delivered: list[Delivery] = []


class Search:
    """All orders of some letters, for one replica of a cluster of four."""

    def __init__(
        self,
        member: int,
        letters: Sequence[Letter],
        *,
        faulty: frozenset[int] = frozenset(),
        repeats: bool = False,
        prompt: bool = False,
    ) -> None:
        self.member = member
        self.letters = tuple(letters)
        self._cast = Cast((1,) * MEMBERS, PARAMETERS)
        self._court = Court(self._cast.committee)
        self._faulty = faulty
        self._repeats = repeats  # whether every message is also handed over again in every state
        self._prompt = prompt  # whether the driver answers at once, instead of at any time
        self._rivals = [self._rivals_of(each) for each in self.letters]

    def _rivals_of(self, letter: Letter) -> int:
        """The letters that exclude this one."""
        rivals = [each for each in self.letters if letter.choice and each.choice == letter.choice and each != letter]
        return sum(1 << self.letters.index(each) for each in rivals)

    def run(self) -> Outcome:
        """Search. Raises `Violation`."""
        outcome = Outcome(ends={}, delivered=[])
        start, _ = self._replay(())
        layer = {self._key((), start): start}
        while layer:
            following: dict[Key, State] = {}
            for key, state in layer.items():
                outcome.states += 1
                if state.delivered:
                    used = frozenset(each.name for at, each in enumerate(self.letters) if key[0] >> at & 1)
                    outcome.delivered.append((used, state.said, state.delivered))
                self._expand(key, state, following, outcome)
            layer = following
        return outcome

    def _expand(self, key: Key, state: State, following: dict[Key, State], outcome: Outcome) -> None:
        ended = True
        for at, letter in enumerate(self.letters):
            if key[0] >> at & 1 or key[0] & self._rivals[at] or not self._is_due(letter, state, at):
                continue
            ended = False
            outcome.transitions += 1
            successor, replica = self._replay((*state.path, at))
            outcome.said |= successor.said
            where = self._key(successor.path, successor, replica)
            if where in following:
                following[where].orders += state.orders
            else:
                successor.orders = state.orders
                following[where] = successor
                require_bounded(replica)
                if self._repeats:
                    self._require_deaf_to_repeats(replica, successor)
        if ended:
            _, replica = self._replay(state.path)
            outcome.orders += state.orders
            outcome.ends[digest_of(replica, signers=False)] = replica

    def _is_due(self, letter: Letter, state: State, at: int) -> bool:
        return not letter.owed_by or (bool(state.owed >> at & 1) and not self._prompt)

    def _key(self, path: Sequence[int], state: State, replica: Replica | None = None) -> Key:
        if replica is None:
            _, replica = self._replay(path)
        return sum(1 << at for at in path), state.owed, state.said, digest_of(replica)

    def _require_deaf_to_repeats(self, replica: Replica, state: State) -> None:
        """What was heard before changes nothing when it comes again."""
        before = digest_of(replica)
        for at in state.path:
            event = self.letters[at].event
            if isinstance(event, Received) and (replica.step(event) or digest_of(replica) != before):
                raise Violation(f"{self.letters[at].name} counted twice after {self._names(state.path)}")

    def _replay(self, path: Sequence[int]) -> tuple[State, Replica]:
        """The replica at the end of a path, judged all along: a replica *is* the list of its events."""
        self._court.adjourn()
        replica = self._cast.replica(self.member, first_journal())
        witness = Witness(self.member, self._cast.committee, PARAMETERS, self._court, self._faulty)
        witness.on_start(GENESIS)
        state = State(tuple(path), 0, frozenset(), b"", 1)
        opening: list[Event] = [Start(NOW), RequestsWaiting(waiting=True, now_ms=NOW)]
        try:
            for event in [*opening, *(self.letters[at].event for at in path)]:
                self._happen(event, state, replica, witness)
        except Exception as error:
            raise Violation(f"{error!r} after {self._names(path)}") from error
        return state, replica

    def _happen(self, event: Event, state: State, replica: Replica, witness: Witness) -> None:
        witness.on_heard(event.data) if isinstance(event, Received) else witness.on_event(event)
        before = state.owed
        self._note(state, witness, replica.step(event))
        for at, letter in enumerate(self.letters):
            if self._prompt and state.owed & ~before & 1 << at:
                self._happen(letter.event, state, replica, witness)

    def _note(self, state: State, witness: Witness, actions: list[Action]) -> None:
        for action in actions:
            witness.on_action(action)
            for at, letter in enumerate(self.letters):
                if letter.owed_by == _owes(action):
                    state.owed |= 1 << at
            if isinstance(action, Deliver):
                state.delivered = action.digest
            if isinstance(action, Broadcast | Send):
                state.said |= _votes_in(action.data, self.member)

    def _names(self, path: Sequence[int]) -> str:
        return ", ".join(self.letters[at].name for at in path)


def _owes(action: Action) -> str:
    """The answer that a driver owes for an action, in a letter's words."""
    match action:
        case FetchBodies(batch):
            return "bodies " + batch.digest.hex()
        case Deliver(_, _, digest):
            return "execution " + digest.hex()
        case RequestBatch():
            return "batch"
    return "nothing"


def _votes_in(data: bytes, member: int) -> Votes:
    envelope, body = open_envelope(data)
    if body.sender == member and isinstance(body, Vote):
        return frozenset([(envelope.kind, body.digest)])
    if body.sender == member and isinstance(body, Checkpoint):
        return frozenset([(CHECKPOINT, body.header_hash)])
    return frozenset()


# ── letters ───────────────────────────────────────────────────────────────────────────────────────


def batch_of(name: str) -> Batch:
    """A batch of one transaction for height 1."""
    return Batch(0, HEIGHT, 0, PRIMARY, NOW, (hashlib.sha256(name.encode()).digest(),))


def _heard(cast: Cast, kind: str, sender: int, batch: Batch, name: str = "", choice: str = "") -> Letter:
    """A vote, or the proposal, that arrives."""
    header, _ = execute(GENESIS.header_hash, GENESIS.time_ms, batch, set())
    if kind == CHECKPOINT:
        envelope = cast.envelope(CHECKPOINT, sender, Checkpoint(0, HEIGHT, sender, header.hash))
    elif kind == SUSPECT:
        envelope = cast.envelope(SUSPECT, sender, Suspect(0, 0, HEIGHT, sender))
    elif kind == PRE_PREPARE:
        envelope = cast.envelope(PRE_PREPARE, sender, Vote(0, 0, HEIGHT, sender, batch.digest), (batch,))
    elif kind == PREPARE:
        envelope = cast.envelope(PREPARE, sender, Vote(0, 0, HEIGHT, sender, batch.digest))
    else:
        envelope = cast.envelope(COMMIT, sender, Vote(0, 0, HEIGHT, sender, batch.digest))
    return Letter(f"{kind}{name} of {sender}", Received(envelope.encode(), NOW), choice=choice)


def _answers(batch: Batch) -> Iterator[Letter]:
    """What the driver owes for a batch."""
    header, _ = execute(GENESIS.header_hash, GENESIS.time_ms, batch, set())
    name = batch.digest.hex()
    yield Letter("bodies " + name[:4], BodiesReady(batch.digest, NOW), owed_by="bodies " + name)
    yield Letter("executed " + name[:4], Executed(HEIGHT, header.hash, NOW), owed_by="execution " + name)


def one_height(member: int, *, checkpoints: bool, impatient: bool) -> list[Letter]:
    """All that one height without faults can bring to a member."""
    cast = Cast((1,) * MEMBERS, PARAMETERS)
    batch = batch_of("a")
    others = [each for each in range(MEMBERS) if each != member]
    letters = [_heard(cast, kind, each, batch) for kind in (PREPARE, COMMIT) for each in others]
    if member == PRIMARY:
        letters.append(Letter("batch", BatchReady(HEIGHT, 0, batch.hashes, NOW, NOW), owed_by="batch"))
    else:
        letters.append(_heard(cast, PRE_PREPARE, PRIMARY, batch))
    bodies, executed = _answers(batch)
    letters.append(bodies)
    if checkpoints:
        letters += [executed, *(_heard(cast, CHECKPOINT, each, batch) for each in others)]
    if impatient:
        letters.append(Letter("patience ends", TimerFired(PROGRESS, NOW)))
    return letters


def two_proposals(member: int) -> list[Letter]:
    """All that one height with an equivocating primary can bring to another member, up to the delivery.

    Of a correct peer it hears one PREPARE and one COMMIT at most, of the faulty one all four.
    """
    cast = Cast((1,) * MEMBERS, PARAMETERS)
    letters = []
    for name in ("a", "b"):
        batch = batch_of(name)
        letters.append(_heard(cast, PRE_PREPARE, PRIMARY, batch, " " + name))
        for kind in (PREPARE, COMMIT):
            for sender in range(MEMBERS):
                choice = f"{kind} {sender}" if sender != PRIMARY else ""
                if sender != member:
                    letters.append(_heard(cast, kind, sender, batch, " " + name, choice))
        letters.append(next(_answers(batch)))
    return letters


# ── what is concluded ─────────────────────────────────────────────────────────────────────────────


def search_one_height(member: int, *, checkpoints: bool, impatient: bool = False, repeats: bool = True) -> Outcome:
    """Search all orders of a height without faults, and hold the guarantee. Raises `Violation`."""
    letters = one_height(member, checkpoints=checkpoints, impatient=impatient)
    outcome = Search(member, letters, repeats=repeats).run()
    digest = batch_of("a").digest
    header, _ = execute(GENESIS.header_hash, GENESIS.time_ms, batch_of("a"), set())
    allowed = {(PRE_PREPARE, digest), (PREPARE, digest), (COMMIT, digest), (CHECKPOINT, header.hash)}
    if not outcome.said <= allowed:
        raise Violation(f"member {member} said {outcome.said - allowed}, which nobody reckons with")
    if any(delivered != digest for _, _, delivered in outcome.delivered):
        raise Violation(f"member {member} delivered something else than was proposed")
    for replica in outcome.ends.values():
        core = core_of(replica)
        stands = (replica.view, replica.changing_view, replica.delivered_height, replica.sealed_height, replica.halted)
        if stands != (0, False, HEIGHT, HEIGHT if checkpoints else 0, "") or (checkpoints and core.slots):
            raise Violation(f"member {member} ends at {stands}")
    if not checkpoints and not impatient and len(outcome.ends) != 1:
        raise Violation(f"member {member} ends in {len(outcome.ends)} states, expected one whatever the order")
    return outcome


def search_two_proposals(member: int) -> Outcome:
    """Search all orders of a height whose primary equivocates. Raises `Violation`."""
    return Search(member, two_proposals(member), faulty=frozenset({PRIMARY})).run()


def require_agreement(deliveries: dict[int, list[Delivery]]) -> int:
    """Raise `Violation` when two members can deliver different digests in one run. How many pairs were compared."""
    pairs = 0
    for one, other in combinations(sorted(deliveries), 2):
        mine = {(_choices(each, one), each[2]) for each in deliveries[one]}
        theirs = {(_choices(each, other), each[2]) for each in deliveries[other]}
        for choices, digest in mine:
            for their_choices, their_digest in theirs:
                pairs += 1
                if digest != their_digest and compatible(dict(choices), dict(their_choices)):
                    raise Violation(f"members {one} and {other} deliver different batches: {choices}, {their_choices}")
    return pairs


def compatible(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether both can be true of one run: no correct member's vote differs."""
    return all(other.get(choice, vote) == vote for choice, vote in one.items())


def _choices(delivery: Delivery, member: int) -> frozenset[tuple[str, str]]:
    """Which vote each correct member cast, as far as this state shows: ("PREPARE 1", digest's name)."""
    used, said, _ = delivery
    names = {batch_of(name).digest: name for name in ("a", "b")}
    heard = [each.split() for each in used if "PREPARE" in each.upper() or COMMIT in each]
    found = {f"{kind} {sender}": name for kind, name, _, sender in heard if sender != str(PRIMARY)}
    found |= {f"{kind} {member}": names[digest] for kind, digest in said if kind in (PREPARE, COMMIT)}
    return frozenset(found.items())
