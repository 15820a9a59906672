"""Members that say two things: two proposals, two votes, two processes, two heights. Scenarios 1, 2, 3, 5, 10."""

import itertools

import pytest

from consensus import Replica, first_journal
from consensus.actions import Broadcast, FetchBodies
from consensus.events import BodiesReady, Received, Start
from consensus.messages import COMMIT, PRE_PREPARE, PREPARE, SUSPECT, open_envelope
from consensus.simulation.stubs import CHAIN_ID, GENESIS, stub_verify

BACKUPS = (1, 2, 3)


def equivocate(stage, others_digest):
    """Member 0 proposes one batch to some, another to the rest, and votes for each before those that got it."""
    forge = stage.forge
    one, other = forge.batch(1, ("a",)), forge.batch(1, ("b",))
    for member in BACKUPS:
        shown = other if member in others_digest else one
        stage.hear(member, forge.pre_prepare(shown), forge.prepare(0, shown), forge.commit(0, shown))
    return one, other


@pytest.mark.parametrize("told_other", [set(each) for n in range(1, 3) for each in itertools.combinations(BACKUPS, n)])
def test_01_an_equivocating_primary_forks_nothing_and_is_left(make_stage, told_other):
    """Every split of the backups. At most one of the two batches gathers a quorum; whoever holds both signed proposals
    keeps them as evidence and suspects the primary; the view is left, and the rest agree (P2.8, P3.2).

    PBFT 1999, section 4.2; CometBFT, TestByzantineConflictingProposalsWithPartition.
    """
    stage = make_stage(byzantine={0})
    one, other = equivocate(stage, told_other)
    stage.settle()
    assert len({digest for _, height, digest in stage.deliveries if height == 1}) <= 1

    stage.hear(BACKUPS, stage.forge.pre_prepare(one), stage.forge.pre_prepare(other))
    assert sorted(stage.evidence) == [(member, PRE_PREPARE, 0) for member in BACKUPS]
    for proof in stage.proofs:
        kept = [open_envelope(each) for each in (proof.first, proof.second)]
        assert {body.digest for _, body in kept} == {one.digest, other.digest}
        assert all(stage.committee.signed_by(PRE_PREPARE, 0, each.body, each.signature) for each, _ in kept)
    assert all(stage.said(member, SUSPECT) for member in BACKUPS)

    stage.submit("c")
    stage.run_until(lambda: stage.has("c"))
    assert min(stage.views()) >= 1
    assert stage.chain(1) == stage.chain(2) == stage.chain(3)


def test_01_the_valid_twin_one_proposal_is_no_evidence(make_stage):
    """The same exchange with one batch for all: final in view 0, nobody accused, nobody suspected."""
    stage = make_stage(byzantine={0})
    batch, _ = equivocate(stage, set())
    stage.settle()
    assert stage.deliveries == [
        (member, 1, batch.digest) for member in dict.fromkeys(m for m, _, _ in stage.deliveries)
    ]
    assert stage.heights() == [1, 1, 1]
    assert stage.views() == [0, 0, 0]
    assert not stage.evidence
    assert not any(stage.said(member, SUSPECT) for member in BACKUPS)


def test_02_equivocation_across_a_partition_then_heal(make_stage):
    """One side of a partition is told one batch, the other side another and commits it with the liar's votes. Once
    healed, the lone member takes over what is final, and never delivers what it was told (P3.6, P7.3).

    CometBFT, TestByzantineConflictingProposalsWithPartition.
    """
    stage = make_stage(byzantine={0})
    stage.cut({1}, {2, 3})
    told, final = equivocate(stage, {2, 3})
    stage.run(5000)
    assert stage.delivered(1) == []
    assert stage.delivered(2) == stage.delivered(3) == [(1, final.digest)]

    stage.heal()
    stage.run(3000)
    assert stage.delivered(1) == [(1, final.digest)]
    stage.submit("c")
    stage.run_until(lambda: stage.has("c"))
    assert stage.chain(1) == stage.chain(2) == stage.chain(3)
    assert told.digest not in stage.chain(1).values()


@pytest.mark.parametrize("first", ["the proposal's digest", "another digest"])
def test_03_a_backup_that_votes_twice_is_counted_once_and_stops_nothing(make_stage, first):
    """Member 3 signs PREPAREs and COMMITs for two digests. The first of each counts, for its digest alone; the pair is
    kept as evidence; the others commit without it (P2.7, P2.8).

    CometBFT, TestByzantinePrevoteEquivocation; tendermint pull request 210, where consensus could stop.
    """
    stage = make_stage(byzantine={3})
    forge = stage.forge
    stage.submit("a")
    stage.deliver(kind=PRE_PREPARE)
    batch = stage.said(0, PRE_PREPARE)[0]
    real, other = (forge.batch(1, (name,)) for name in ("a", "b"))
    assert batch.digest == real.digest
    pair = (real, other) if first == "the proposal's digest" else (other, real)
    for kind in (forge.prepare, forge.commit):
        stage.hear((0, 1, 2), kind(3, pair[0]), kind(3, pair[1]), kind(3, pair[1]))
    stage.settle()
    assert stage.heights() == [1, 1, 1]
    assert {digest for _, _, digest in stage.deliveries} == {real.digest}
    assert sorted(stage.evidence) == sorted((m, kind, 3) for m in (0, 1, 2) for kind in (PREPARE, COMMIT))
    stage.submit("c")
    stage.run_until(lambda: stage.has("a", "c"))
    assert stage.views() == [0, 0, 0]


def test_03_the_second_vote_adds_no_power_to_either_digest(make_stage):
    """A member with one PREPARE short of a quorum: the conflicting vote, and the first one again, change nothing; the
    missing third member's does."""
    stage = make_stage(byzantine={0, 2, 3})
    forge, real, other = stage.forge, stage.forge.batch(1, ("a",)), stage.forge.batch(1, ("b",))
    stage.hear(1, forge.pre_prepare(real), forge.prepare(3, other), forge.prepare(3, real), forge.prepare(0, real))
    assert stage.said(1, COMMIT) == []
    stage.hear(1, forge.prepare(2, real))
    assert [vote.digest for vote in stage.said(1, COMMIT)] == [real.digest]


class Twin:
    """A second process with a member's key, fed with everything that the first one hears."""

    def __init__(self, stage, member):
        self.stage = stage
        self.replica = Replica(
            member=member,
            chain_id=CHAIN_ID,
            validators=stage.forge.validators,
            parameters=stage.parameters,
            sign=stage.forge.signers[member],
            verify=stub_verify,
            tip=GENESIS,
            journal=first_journal(),
        )
        self.said = self.replica.step(Start(stage.clock_ms(member)))

    def step(self, event):
        said = self.replica.step(event)
        self.said += said
        for action in said:
            if isinstance(action, FetchBodies):
                self.step(BodiesReady(action.batch.digest, event.now_ms))

    def broadcasts(self):
        """Its messages so far; once each."""
        said, self.said = self.said, []
        return [action.data for action in said if isinstance(action, Broadcast)]


def test_05_two_processes_with_one_key_are_one_vote(make_stage):
    """Two processes share member 2's key, and both vote on one side of a two-two split: three processes, two members,
    no quorum. With a third member there is one (P2.4, P2.7). Diem, Twins."""
    stage = make_stage(byzantine={3})  # its link is cut; the stage has no say about it
    stage.cut({0, 2}, {1})
    twin = Twin(stage, 2)
    stage.submit("a")
    for _ in range(4):  # every round: the first process and its twin hear the same, and both speak to member 0
        packets = stage.drop(receiver=2)
        for packet in packets:
            stage.step(2, Received(packet.data, stage.clock_ms(2)))
            twin.step(Received(packet.data, stage.clock_ms(2)))
        stage.hear(0, *twin.broadcasts())
        stage.deliver(receiver=0)
        stage.hear(0, *twin.broadcasts())
    assert twin.replica.delivered_height == 0
    assert stage.replicas[0].refused["duplicate"] == 1  # member 2's PREPARE, from its second process
    stage.run(4000)
    assert stage.deliveries == []
    assert stage.said(0, COMMIT) == stage.said(2, COMMIT) == []

    stage.heal()
    stage.run_until(lambda: stage.has("a"))
    assert stage.chain(0) == stage.chain(1) == stage.chain(2)


def bent_height(forge, named_height):
    """Member 0's proposal of "a", as it should be, and with another height, both well-formed."""
    return forge.batch(1, ("a",)), forge.batch(named_height, ("a",))


def test_10_a_proposal_whose_height_was_bent_for_one_receiver(make_stage):
    """Member 0 tells member 3 height 2 where the others hear height 1, with votes to match. The request runs once, at
    one height, everywhere; member 3 catches up; work goes on without the liar.

    ByzzFuzz, a small-scope mutation of the sequence number that broke agreement in another implementation.
    """
    stage = make_stage(byzantine={0})
    forge = stage.forge
    real, bent = bent_height(forge, 2)
    stage.hear((1, 2), forge.pre_prepare(real), forge.prepare(0, real), forge.commit(0, real))
    stage.hear(3, forge.pre_prepare(bent), forge.prepare(0, bent), forge.commit(0, bent))
    stage.settle()
    assert [vote.height for vote in stage.said(3, PREPARE)][:1] == [2]
    stage.run(3000)
    assert (3, 1, real.digest) in stage.deliveries
    stage.submit("b")
    stage.run_until(lambda: stage.has("a", "b"))
    assert stage.transactions(1) == stage.transactions(2) == stage.transactions(3)
    assert len(set(stage.transactions(3))) == len(stage.transactions(3)) == 2
    assert min(stage.views()) >= 1


def test_10_a_height_that_is_bent_in_the_vote_alone_is_not_the_batchs(make_stage):
    """The signed body says height 2, the batch height 1: refused, nothing kept (P2.3). Then the right one is taken."""
    stage = make_stage(byzantine={0})
    forge, batch = stage.forge, stage.forge.batch(1, ("a",))
    stage.hear(3, forge.pre_prepare(batch, height=2))
    assert stage.replicas[3].refused == {"wrong_batches": 1}
    assert stage.said(3, PREPARE) == []
    stage.hear(3, forge.pre_prepare(batch))
    assert [vote.height for vote in stage.said(3, PREPARE)] == [1]
