"""One Byzantine member whose messages are bent in one field, left out, or replaced by old ones. Scenario 11.

After ByzzFuzz: small-scope mutations of one member's messages, told to some receivers and not to others, over the
first rounds. Every kind of message, every field that places it, and every round comes with some set of receivers here.
"""

import itertools

import msgspec
import pytest

from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    open_envelope,
)
from consensus.simulation import Prng

ROUNDS = 8
PUPPET = 0  # the primary of views 0, 4 and 8
SUBSETS = [set(each) for size in (1, 2, 3) for each in itertools.combinations((1, 2, 3), size)]
STEPS = [("view", 1), ("view", -1), ("height", 1), ("height", -1)]
VOTE_BENDS = [*STEPS, "omit", "old"]
BENDS = {
    PRE_PREPARE: [*VOTE_BENDS, *((*step, "batch") for step in STEPS)],
    PREPARE: VOTE_BENDS,
    COMMIT: VOTE_BENDS,
    CHECKPOINT: [("height", 1), ("height", -1), "omit", "old"],
    SUSPECT: VOTE_BENDS,
    VIEW_CHANGE: [("view", 1), ("view", -1), "omit", "old"],
    NEW_VIEW: [("view", 1), ("view", -1), "omit", "old"],
    STATUS: VOTE_BENDS,
}
CASES = [(kind, bend) for kind, bends in BENDS.items() for bend in bends]


class Puppeteer:
    """Bends the round-th message of a kind on its way to some receivers."""

    def __init__(self, *bent):
        self.bent = bent  # (kind, bend, round, receivers)
        self.seen = {}  # kind -> different bodies so far
        self.hits = 0
        self.stage = None

    def __call__(self, packet):
        bodies = self.seen.setdefault(packet.kind, [])
        if packet.data not in bodies:
            bodies.append(packet.data)
        for kind, bend, number, receivers in self.bent:
            now = bodies.index(packet.data)
            if kind == packet.kind and packet.receiver in receivers and now % ROUNDS == number:
                self.hits += 1
                return [type(packet)(packet.sender, packet.receiver, each) for each in self.bend(bend, packet, now)]
        return [packet]

    def bend(self, bend, packet, now):
        if bend == "omit":
            return []
        if bend == "old":
            return [self.seen[packet.kind][max(0, now - 1)]]
        field, step, *with_batch = bend
        envelope, body = open_envelope(packet.data)
        moved = {field: max(0, getattr(body, field) + step)}
        batches = envelope.batches
        if with_batch:
            batches = tuple(msgspec.structs.replace(each, **moved) for each in batches)
            moved["digest"] = batches[0].digest
        body = msgspec.structs.replace(body, **moved)
        return [self.stage.forge.sign(packet.kind, packet.sender, body, batches).encode()]


def play(make_stage, puppeteer):
    """Eight rounds of one request each; before every second one its proposal is lost and the view is left."""
    stage = make_stage(puppets={PUPPET: puppeteer}, start=False)
    puppeteer.stage = stage
    for member in stage.members:
        stage.start(member)
    for number in range(ROUNDS):
        if number % 2:
            stage.lose(lambda packet: packet.kind == PRE_PREPARE)
        stage.submit(f"request {number}")
        stage.settle()
        if number % 2:
            stage.expire(*stage.members)
            stage.settle()
            stage.heal()
        stage.run(500)
    everything = [f"request {number}" for number in range(ROUNDS)]
    took = stage.run_until(lambda: stage.has(*everything, members=stage.correct))
    assert took < 10 * stage.parameters.request_timeout_ms
    for member in stage.correct:
        ran = stage.transactions(member)
        assert len(ran) == len(set(ran)) == ROUNDS
    return stage


@pytest.mark.parametrize(
    ("kind", "bend"), CASES, ids=lambda each: each if isinstance(each, str) else "".join(map(str, each))
)
def test_11_one_bent_field_of_any_message_breaks_nothing(make_stage, kind, bend):
    """Every round of this case, each told to another set of receivers: all standing invariants, and every request runs
    once. ByzzFuzz, small-scope mutations."""
    hits = 0
    for number in range(ROUNDS):
        puppeteer = Puppeteer((kind, bend, number, SUBSETS[(CASES.index((kind, bend)) + number) % len(SUBSETS)]))
        play(make_stage, puppeteer)
        hits += puppeteer.hits
    assert hits


@pytest.mark.parametrize("seed", range(8))
def test_11_two_bent_messages_break_nothing_either(make_stage, seed):
    """Two cases at once, drawn from a seed."""
    prng = Prng(seed)
    for _ in range(4):
        bent = [
            (*CASES[prng.below(len(CASES))], prng.below(ROUNDS), SUBSETS[prng.below(len(SUBSETS))]) for _ in range(2)
        ]
        play(make_stage, Puppeteer(*bent))


def test_11_the_valid_twin_an_unbent_puppet_disturbs_nobody(make_stage):
    """The same eight rounds without a mutation: nothing but late messages is refused, nobody is accused."""
    stage = play(make_stage, Puppeteer())
    assert not stage.evidence
    late = {"height_out_of_range", "stale", "duplicate", "view_out_of_range"}
    assert all(set(replica.refused) <= late for replica in stage.replicas.values())
