"""Which votes count: once, by a member, under its own key, for its own place. Scenarios 4, 6, 7, 8, 9, 13, 19."""

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
    Vote,
)
from consensus.simulation.stubs import CHAIN_ID, GENESIS, execute, stub_signer
from ledger.crypto import signing_message
from ledger.types import Checkpoint

OTHERS = (0, 2, 3)
OUTSIDER = stub_signer(b"\x77" * 32)


@pytest.fixture
def lone(make_stage):
    """Member 1 is real; what the three others say is the test's."""
    return make_stage(byzantine=OTHERS)


def header_of(batch):
    return execute(GENESIS.header_hash, GENESIS.time_ms, batch, set())[0].hash


def exchange(forge, batch):
    """Everything that members 0, 2 and 3 say to have a height committed."""
    votes = [vote(member, batch) for vote in (forge.prepare, forge.commit) for member in OTHERS]
    return [forge.pre_prepare(batch), *votes]


def outcome(stage):
    """What came of it at member 1: deliveries, and every vote that it signed."""
    votes = [stage.said(1, kind) for kind in (PREPARE, COMMIT, CHECKPOINT, SUSPECT, VIEW_CHANGE)]
    return stage.delivered(1), votes, stage.replicas[1].view


# ── 4: once ───────────────────────────────────────────────────────────────────────────────────────


def test_04_one_commit_delivered_a_thousand_times_counts_once(lone):
    """The same signed COMMIT, whoever hands it over and however often, is one vote (P2.7).

    Diem, twins_vote_dedup_test.
    """
    forge, batch = lone.forge, lone.forge.batch()
    lone.hear(1, forge.pre_prepare(batch), forge.prepare(0, batch), forge.prepare(2, batch))
    lone.hear(1, *[forge.commit(0, batch)] * 1000)
    assert lone.delivered(1) == []
    assert lone.replicas[1].refused == {"duplicate": 999}
    lone.hear(1, forge.commit(2, batch))
    assert lone.delivered(1) == [(1, batch.digest)]


def test_04_so_it_is_in_a_cluster_that_repeats_every_message(stage):
    """Each packet arrives thirty times, out of order: everything still happens once (I3)."""
    stage.submit("a", "b")
    for _ in range(200):
        packets = stage.drop()
        if not packets:
            break
        for packet in [each for _ in range(30) for each in reversed(packets)]:
            stage.hear(packet.receiver, packet.data)
    assert stage.heights("sealed_height") == [2, 2, 2, 2]
    assert sorted(stage.deliveries) == [(m, h, stage.chain(0)[h]) for m in range(4) for h in (1, 2)]


# ── 6: by a member ────────────────────────────────────────────────────────────────────────────────


def votes_of(forge, batch, sender, key=None):
    """One message of every kind from `sender`, signed by its key or by `key(message)`."""
    header = header_of(batch)
    good = [
        forge.pre_prepare(batch, sender=sender % forge.size),
        forge.prepare(sender % forge.size, batch),
        forge.commit(sender % forge.size, batch),
        forge.checkpoint(sender % forge.size, 1, header),
        forge.suspect(sender % forge.size, 0, 1),
        forge.view_change(sender % forge.size, 1),
        forge.new_view([forge.view_change(each, 4) for each in OTHERS], 4, sender=sender % forge.size),
        forge.status(sender % forge.size, height=1),
    ]
    out = []
    for envelope in good:
        body = msgspec.structs.replace(forge_body(envelope), sender=sender).encode()
        signed = key(signing_message(envelope.kind, CHAIN_ID, body)) if key else envelope.signature
        out.append(msgspec.structs.replace(envelope, body=body, signature=signed))
    return out


def forge_body(envelope):
    from consensus.messages import open_body

    return open_body(envelope.kind, envelope.body)


def test_06_a_vote_of_a_non_member_is_not_even_stored(lone):
    """A valid signature by a key outside of the set, of every kind of message, under an index that no member has
    (P2.6). Besu, prepareSignedByANonValidatorFails; BFT-SMaRt pull request 121."""
    batch = lone.forge.batch()
    for stranger in (4, 1023):
        lone.hear(1, *votes_of(lone.forge, batch, stranger, OUTSIDER))
    assert sum(lone.replicas[1].refused.values()) == 16
    assert set(lone.replicas[1].refused) <= {"no_member", "not_the_primary"}
    lone.hear(1, *exchange(lone.forge, batch))  # and nothing of it stands in the way of the members' votes
    assert lone.delivered(1) == [(1, batch.digest)]


@pytest.mark.parametrize("sender", OTHERS)
def test_06_nor_is_one_under_a_members_index(lone, sender):
    """A client's key, or any other, in a member's name: the signature is not that member's, so that its real vote,
    which comes later, is no duplicate."""
    batch = lone.forge.batch()
    lone.hear(1, *votes_of(lone.forge, batch, sender, OUTSIDER))
    assert sum(lone.replicas[1].refused.values()) == 8
    assert set(lone.replicas[1].refused) <= {"bad_signature", "not_the_primary"}
    lone.hear(1, *exchange(lone.forge, batch))
    assert lone.delivered(1) == [(1, batch.digest)]
    assert (lone.replicas[1].view, "duplicate" in lone.replicas[1].refused) == (0, False)


def test_06_nor_is_one_of_a_removed_member(lone):
    """A member of another epoch signs for that epoch: no vote of this one (P2.1)."""
    forge, batch = lone.forge, lone.forge.batch()
    lone.hear(1, forge.pre_prepare(batch), forge.prepare(0, batch))
    lone.hear(1, forge.prepare(2, batch, epoch=1), forge.commit(2, batch, epoch=1))
    lone.hear(1, forge.checkpoint(2, 1, header_of(batch), epoch=1))
    assert lone.replicas[1].refused == {"other_epoch": 3}
    assert lone.said(1, COMMIT) == []


# ── 7: under its own key ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("sender", "key"), [(2, 3), (3, 2), (2, 0)])
def test_07_a_sender_that_is_not_the_signer_is_refused(lone, sender, key):
    """Member `key` writes votes in the name of `sender`, two members short of a quorum: none counts (PBFT 1999,
    section 4: every message is authenticated by its sender)."""
    forge, batch = lone.forge, lone.forge.batch()
    lone.hear(1, forge.pre_prepare(batch))
    for kind in (PREPARE, COMMIT):
        lone.hear(1, forge.sign(kind, sender, Vote(0, 0, 1, sender, batch.digest), key=key))
    lone.hear(1, forge.sign(CHECKPOINT, sender, Checkpoint(0, 1, sender, header_of(batch)), key=key))
    assert lone.replicas[1].refused == {"bad_signature": 3}
    lone.hear(1, forge.prepare(key, batch))
    assert lone.said(1, COMMIT) == []  # its own and member `key`'s: two of three


def test_07_who_hands_a_message_over_does_not_matter(stage):
    """Member 3 relays what others signed: it counts as theirs and never as member 3's. So the link's identity stands in
    for no signature, and a cluster whose every message to member 2 takes the detour works."""
    stage.submit("a")
    for _ in range(200):
        if not stage.wire:
            break
        for packet in stage.drop(receiver=2):
            stage.hear(2, packet.data)  # `Received` does not even say over which link
        stage.deliver()
    assert stage.has("a")
    assert set(stage.replicas[2].refused) <= {"height_out_of_range"}  # a vote that came after the seal


# ── 8: whatever came first ────────────────────────────────────────────────────────────────────────


def test_08_votes_before_their_proposal_in_every_order(make_stage):
    """A proposal, two members' PREPAREs and three members' COMMITs in each of their 720 orders: the same votes signed,
    the same batch delivered once, the same header signed. PBFT 1999, section 4.2: messages may come out of order."""
    forge, batch, outcomes = make_stage(byzantine=OTHERS).forge, make_stage().forge.batch(), []
    messages = [each.encode() for each in exchange(forge, batch)]
    del messages[3]  # member 3's PREPARE: two others' and its own are a quorum
    for order in itertools.permutations(messages):
        stage = make_stage(byzantine=OTHERS)
        stage.hear(1, *order)
        outcomes.append(outcome(stage))
    assert len(outcomes) == 720
    assert all(each == outcomes[0] for each in outcomes)
    delivered, votes, view = outcomes[0]
    assert delivered == [(1, batch.digest)]
    assert [len(each) for each in votes] == [1, 1, 1, 0, 0]
    assert view == 0


def test_08_every_order_of_three_prepares_and_three_commits_before_the_proposal(make_stage):
    """The same with all six votes ahead of the proposal."""
    forge, batch = make_stage().forge, make_stage().forge.batch()
    proposal, *votes = (each.encode() for each in exchange(forge, batch))
    for order in itertools.permutations(votes):
        stage = make_stage(byzantine=OTHERS)
        stage.hear(1, *order)
        assert stage.delivered(1) == []
        stage.hear(1, proposal)
        assert stage.delivered(1) == [(1, batch.digest)]
        assert len(stage.said(1, PREPARE)) == len(stage.said(1, COMMIT)) == 1


# ── 9: for the batch that it names ────────────────────────────────────────────────────────────────


def test_09_a_proposal_whose_digest_is_not_its_batchs(lone):
    """It is refused and not kept under the digest it claims: the votes of a quorum for that digest deliver nothing,
    until the batch that hashes to it comes (P2.3). ByzzFuzz on pbft-java, which used empty digests."""
    forge, real, other = lone.forge, lone.forge.batch(1, ("a",)), lone.forge.batch(1, ("b",))
    lone.hear(1, forge.pre_prepare(other, digest=real.digest), forge.pre_prepare(real, digest=bytes(32)))
    lone.hear(1, *[vote(m, real) for vote in (forge.prepare, forge.commit) for m in OTHERS])
    assert lone.replicas[1].refused == {"wrong_batches": 2}
    assert lone.delivered(1) == []
    assert lone.said(1, PREPARE) == []
    lone.hear(1, forge.pre_prepare(real))
    assert lone.delivered(1) == [(1, real.digest)]


def test_09_every_other_message_that_brings_batches_is_held_to_its_digests(lone):
    """VIEW-CHANGE, NEW-VIEW and STATUS with another batch, none, or one too many; the twins with the right one pass."""
    forge, real, other = lone.forge, lone.forge.batch(1, ("a",)), lone.forge.batch(1, ("b",))
    pair = (forge.prepared(real, members=OTHERS), real)
    final = forge.committed(real, members=OTHERS)
    leaving = [forge.view_change(0, 2, prepared=[pair]), forge.view_change(2, 2), forge.view_change(3, 2)]
    for right in (
        forge.status(3, height=1, batches=[real], final=(final,)),
        forge.view_change(0, 2, prepared=[pair]),
        forge.new_view(leaving, 2, batches=[real]),
    ):
        before = dict(lone.replicas[1].refused)
        for wrong in ((), (other,), (real, other), (real, real)):
            lone.hear(1, msgspec.structs.replace(right, batches=wrong))
        wrong_batches = before.get("wrong_batches", 0) + 4
        assert lone.replicas[1].refused == before | {"wrong_batches": wrong_batches}
        lone.hear(1, right)
        assert lone.replicas[1].refused == before | {"wrong_batches": wrong_batches}
    assert lone.delivered(1) == [(1, real.digest)]
    assert lone.replicas[1].view == 2


# ── 13: for this chain, this epoch, this kind, this place ─────────────────────────────────────────


def test_13_a_vote_from_another_chain_or_epoch_does_not_pass(lone):
    """The same body, signed for another chain, or for another epoch of this one: no vote here (P2.1)."""
    forge, batch = lone.forge, lone.forge.batch()
    lone.hear(1, forge.pre_prepare(batch), forge.prepare(0, batch))
    for kind in (PREPARE, COMMIT):
        lone.hear(1, forge.sign(kind, 2, Vote(0, 0, 1, 2, batch.digest), chain_id=b"\x01" * 32))
        lone.hear(1, forge.sign(kind, 2, Vote(1, 0, 1, 2, batch.digest)))
    assert lone.replicas[1].refused == {"bad_signature": 2, "other_epoch": 2}
    assert lone.said(1, COMMIT) == []
    lone.hear(1, forge.prepare(2, batch))
    assert len(lone.said(1, COMMIT)) == 1


BODIES = [PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT, SUSPECT, VIEW_CHANGE, NEW_VIEW, STATUS]


@pytest.mark.parametrize(("signed_as", "sent_as"), list(itertools.permutations(BODIES, 2)))
def test_13_a_message_does_not_pass_for_one_of_another_kind(lone, signed_as, sent_as):
    """Every kind in the envelope of every other: malformed where the form differs, else a bad signature, for the kind
    is signed along (P2.1)."""
    forge, batch = lone.forge, lone.forge.batch()
    kinds = dict(zip(BODIES, votes_of(forge, batch, 0), strict=True))
    lone.hear(1, msgspec.structs.replace(kinds[signed_as], kind=sent_as))
    assert sum(lone.replicas[1].refused.values()) == 1
    assert set(lone.replicas[1].refused) <= {"malformed", "bad_signature", "wrong_batches"}
    assert outcome(lone) == ([], [[], [], [], [], []], 0)


@pytest.mark.parametrize("moved", [{"view": 1}, {"height": 2}, {"sender": 3}, {"epoch": 1}, {"digest": bytes(32)}])
def test_13_a_signature_does_not_move_to_another_place(lone, moved):
    """A recorded signature under a body that names another view, height, sender, epoch or digest."""
    forge, batch = lone.forge, lone.forge.batch()
    for kind in (forge.prepare, forge.commit):
        envelope = kind(2, batch)
        body = msgspec.structs.replace(Vote(0, 0, 1, 2, batch.digest), **moved)
        lone.hear(1, msgspec.structs.replace(envelope, body=body.encode()))
    assert sum(lone.replicas[1].refused.values()) == 2
    assert set(lone.replicas[1].refused) <= {"bad_signature", "other_epoch"}


# ── 19: the wrong hat ─────────────────────────────────────────────────────────────────────────────


def test_19_a_proposal_from_a_backup_is_refused(lone):
    """Whether its batch names the backup or the primary as proposer (P3.2). Nobody is suspected for it: anybody can
    send such a thing. minbft, the errors of its message handlers."""
    forge = lone.forge
    for sender in (2, 3):
        lone.hear(1, forge.pre_prepare(forge.batch(proposer=sender)), forge.pre_prepare(forge.batch(), sender=sender))
    assert lone.replicas[1].refused == {"not_the_primary": 4}
    assert outcome(lone) == ([], [[], [], [], [], []], 0)


@pytest.mark.parametrize("height", [0, 1, 8, 9, (1 << 53) - 1])
def test_19_a_commit_for_nobodys_place_does_nothing(lone, height):
    """Votes at heights that were never proposed, within the bound and beyond it: nothing is sent, nothing raised."""
    forge, batch = lone.forge, lone.forge.batch(height)
    sent = len(lone.sent)
    lone.hear(1, *[vote(member, batch) for vote in (forge.commit, forge.prepare) for member in OTHERS])
    assert len(lone.sent) == sent
    assert lone.replicas[1].refused == ({} if 1 <= height <= 8 else {"height_out_of_range": 6})


def test_19_the_primarys_own_prepare_counts_once(lone):
    """The primary signs a PREPARE like everybody; its PRE-PREPARE is none (P3.5)."""
    forge, batch = lone.forge, lone.forge.batch()
    lone.hear(1, forge.pre_prepare(batch), forge.prepare(2, batch))
    assert lone.said(1, COMMIT) == []  # the proposal, one PREPARE, its own: two of three
    lone.hear(1, forge.prepare(0, batch), forge.prepare(0, batch))
    assert len(lone.said(1, COMMIT)) == 1
