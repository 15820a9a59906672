"""The judges of a correct member's actions: each is silent about what the rules allow, and names what they do not."""

import hashlib

import pytest

from consensus.actions import Broadcast, Deliver, Persist, Sealed, SetTimer
from consensus.messages import (
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    CommitCertificate,
    Envelope,
    NewView,
    PreparedCertificate,
    SignedViewChange,
    Suspect,
    ViewChange,
    Vote,
)
from consensus.recovery import Anchor, BatchHeld, Certified, CommitHeld, Entered, Left, Voted
from consensus.simulation import Violation
from consensus.simulation.certifier import Certifier
from consensus.simulation.conduct import Conduct, Wishes
from consensus.simulation.stubs import CHAIN_ID, stub_signer, stub_validators
from ledger.crypto import signing_message
from ledger.types import Batch, Checkpoint, Parameters, Seal, SealSignature

WINDOW = 4
VALIDATORS = stub_validators((1, 1, 1, 1))
CERTIFIER = Certifier(VALIDATORS, WINDOW)
SIGN = [stub_signer(member.public_key) for member in VALIDATORS.members]
BODY = hashlib.sha256(b"a transaction").digest()
NOW_MS = 1_700_000_000_000


def signature(kind, body):
    return SIGN[body.sender](signing_message(kind, CHAIN_ID, body.encode()))


def envelope(kind, body, batches=()):
    return Envelope(kind, body.encode(), signature(kind, body), batches)


def batch_at(height, view=0, hashes=(BODY,), proposer=None):
    return Batch(0, height, view, view % 4 if proposer is None else proposer, NOW_MS, hashes, 1)


def certificate(shape, kind, height=1, view=0, members=(0, 1, 2), digest=b"d" * 32):
    votes = [Vote(0, view, height, member, digest) for member in members]
    return shape(view, height, digest, tuple(SealSignature(vote.sender, signature(kind, vote)) for vote in votes))


def prepared(**which):
    return certificate(PreparedCertificate, PREPARE, **which)


def committed(**which):
    return certificate(CommitCertificate, COMMIT, **which)


def seal_at(height, members=(0, 1, 2)):
    votes = [Checkpoint(0, height, member, b"h" * 32) for member in members]
    signatures = tuple(SealSignature(vote.sender, signature("checkpoint", vote)) for vote in votes)
    return Seal(0, height, b"h" * 32, signatures)


def view_change(sender, view=1, shown=(), seal=None):
    return ViewChange(0, view, sender, seal, tuple(shown))


def new_view(changes, view=1, batches=(), sender=None):
    signed = tuple(SignedViewChange(each.encode(), signature(VIEW_CHANGE, each)) for each in changes)
    return envelope(NEW_VIEW, NewView(0, view, view % 4 if sender is None else sender, signed), batches)


class Member:
    """Member 3, before its judge."""

    def __init__(self):
        parameters = Parameters(window=WINDOW, block_transactions_max=4, request_timeout_ms=1000, timeout_max_ms=8000)
        self.wishes = Wishes(CERTIFIER)
        self.judge = Conduct(3, parameters, CERTIFIER, self.wishes, keeps_promises=True, was_restored=False)
        self.judge.begin(0, [])

    def asks(self, *actions, bodies=(BODY,), sealed_height=0, waits=True):
        self.judge.judge(actions, dict.fromkeys(bodies), sealed_height, NOW_MS, waits=waits)

    def writes(self, *records, **how):
        self.asks(*(Persist(record.encode()) for record in records), **how)

    def prepares(self, batch, view=None, **how):
        vote = Vote(0, batch.view if view is None else view, batch.height, 3, batch.digest)
        self.writes(BatchHeld(batch.digest, batch), Voted(PREPARE, vote, bytes(64)), **how)


@pytest.fixture
def member():
    return Member()


# ── certificates ──────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_of_a_quorum_holds():
    assert CERTIFIER.prepared(prepared()) == ""
    assert CERTIFIER.committed(committed(members=(0, 1, 2, 3))) == ""
    assert CERTIFIER.sealed(seal_at(7)) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (prepared(members=(0, 1)), "power 2 of 3"),
        (prepared(members=(0, 1, 1)), "names a member twice"),
        (certificate(PreparedCertificate, COMMIT), "not member 0's"),
    ],
    ids=["too few", "one twice", "signatures of another kind"],
)
def test_a_certificate_that_does_not_hold_is_named(found, said):
    assert said in CERTIFIER.prepared(found)


def test_a_new_view_proposes_the_certificate_of_the_highest_view_again():
    old, new = batch_at(2), batch_at(2, view=1)
    shown = [prepared(height=2, digest=old.digest)], [prepared(height=2, view=1, digest=new.digest)]
    changes = [view_change(0, 2, shown[0]), view_change(1, 2, shown[1]), view_change(2, 2)]
    body = NewView(0, 2, 2, ())
    for batches, right in [((new,), True), ((old,), False), ((), False), ((new, new), False)]:
        said = new_view(changes, 2, batches)
        opened = NewView(
            0, 2, 2, tuple(SignedViewChange(each.encode(), signature(VIEW_CHANGE, each)) for each in changes)
        )
        assert (CERTIFIER.new_view(said, opened) == "") is right
    assert "power 0 of 3" in CERTIFIER.new_view(new_view([], 2), body)


@pytest.mark.parametrize(
    ("changes", "sender", "said"),
    [
        ([view_change(0), view_change(1)], None, "power 2 of 3"),
        ([view_change(0), view_change(0), view_change(1)], None, "power 2 of 3"),
        ([view_change(0), view_change(1), view_change(2, view=2)], None, "for another view"),
        ([view_change(0), view_change(1), view_change(2)], 2, "member 2 starts view 1"),
        ([view_change(0), view_change(1), view_change(2, shown=[prepared(members=(0, 1))])], None, "power 2 of 3"),
        ([view_change(0), view_change(1), view_change(2, shown=[prepared(height=5)])], None, "above a seal at 0"),
        ([view_change(0), view_change(1), view_change(2, seal=seal_at(3, (0, 1)))], None, "power 2 of 3"),
    ],
    ids=["too few", "one twice", "another view", "not its turn", "a certificate", "out of the window", "a seal"],
)
def test_a_new_view_with_something_wrong_in_it_is_not_entered(member, changes, sender, said):
    with pytest.raises(Violation, match=said):
        member.writes(Entered(1, new_view(changes, sender=sender)))


# ── votes ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_proper_batch_is_prepared(member):
    member.prepares(batch_at(1))
    member.prepares(batch_at(WINDOW))


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (batch_at(WINDOW + 1), "its window is 1 to 4"),
        (batch_at(0), "its window is 1 to 4"),
        (batch_at(1, hashes=(BODY, BODY)), "names a transaction twice"),
        (batch_at(1, hashes=()), "a batch of 0 transactions"),
        (batch_at(1, hashes=tuple(bytes([each]) * 32 for each in range(5))), "a batch of 5 transactions"),
        (batch_at(1, hashes=(b"x" * 32,)), "without the body"),
        (batch_at(1, proposer=2), "that member 2 proposed in view 0 of member 0"),
        (Batch(0, 1, 0, 0, NOW_MS + 86_400_000, (BODY,), 1), "ahead of its clock"),
        (batch_at(1, view=1), "in view 1, the last view it entered is 0"),
    ],
    ids=["high", "low", "twice", "empty", "large", "no body", "another's turn", "from tomorrow", "view not entered"],
)
def test_an_improper_batch_is_not_prepared(member, batch, said):
    with pytest.raises(Violation, match=said):
        member.prepares(batch)


def test_a_vote_is_for_a_batch_that_is_written_down_under_its_own_digest(member):
    batch = batch_at(1)
    vote = Voted(PREPARE, Vote(0, 0, 1, 3, batch.digest), bytes(64))
    with pytest.raises(Violation, match="did not write down"):
        member.writes(vote)
    with pytest.raises(Violation, match="takes batch"):
        member.writes(BatchHeld(b"e" * 32, batch))


def test_commit_rests_on_a_certificate_that_holds(member):
    member.writes(Certified(prepared(), bytes(64)))
    with pytest.raises(Violation, match="power 2 of 3"):
        member.writes(Certified(prepared(members=(0, 1)), bytes(64)))


def test_final_is_what_a_quorum_committed_to(member):
    member.writes(CommitHeld(committed()))
    with pytest.raises(Violation, match="power 2 of 3"):
        member.writes(CommitHeld(committed(members=(0, 1))))


def test_a_seal_is_a_quorums(member):
    member.asks(Sealed(1, b"h" * 32, seal_at(1)), sealed_height=1)
    with pytest.raises(Violation, match="power 2 of 3"):
        member.asks(Sealed(2, b"h" * 32, seal_at(2, (0, 1))), sealed_height=2)


def test_a_store_below_the_anchor_means_silence(member):
    member.judge.begin(2, [Anchor(2).encode()])
    member.prepares(batch_at(3), sealed_height=2)
    member.judge.begin(1, [Anchor(2).encode()])
    with pytest.raises(Violation, match="forgot what lies below 2"):
        member.prepares(batch_at(3), sealed_height=1)


def test_who_lost_its_journal_does_not_contradict_what_it_said_before(member):
    first, second = batch_at(1), batch_at(1, hashes=(b"x" * 32,))
    proposals = [envelope(PRE_PREPARE, Vote(0, 0, 1, 3, each.digest), (each,)) for each in (first, second)]
    member.judge.on_sent(proposals[0].encode())
    member.judge.on_sent(proposals[0].encode())
    with pytest.raises(Violation, match="signed two of"):
        member.judge.on_sent(proposals[1].encode())


# ── views and patience ────────────────────────────────────────────────────────────────────────────


def left(view):
    return Left(view, envelope(VIEW_CHANGE, view_change(3, view)))


def test_a_view_is_left_with_a_weak_quorum(member):
    member.wishes.on_wire(envelope(SUSPECT, Suspect(0, 0, 1, 1)).encode())
    member.asks(Broadcast(envelope(SUSPECT, Suspect(0, 0, 1, 3)).encode()))
    member.writes(left(1))
    for other in (0, 2):
        member.wishes.on_wire(envelope(VIEW_CHANGE, view_change(other, 7)).encode())
    member.writes(left(7))


@pytest.mark.parametrize(
    "wish",
    [
        envelope(SUSPECT, Suspect(0, 0, 1, 3)),
        envelope(SUSPECT, Suspect(0, 0, 0, 1)),
        envelope(SUSPECT, Suspect(0, 1, 1, 1)),
        Envelope(SUSPECT, Suspect(0, 0, 1, 1).encode(), bytes(64)),
        envelope(PREPARE, Vote(0, 0, 1, 1, bytes(32))),
    ],
    ids=["its own", "of a delivered height", "of a later view", "not signed", "no wish"],
)
def test_no_view_is_left_alone(member, wish):
    member.asks(Broadcast(envelope(SUSPECT, Suspect(0, 0, 1, 3)).encode()))
    member.wishes.on_wire(wish.encode())
    with pytest.raises(Violation, match="which power 1 of 2 wants"):
        member.writes(left(1))


def test_a_message_shows_only_what_holds(member):
    good, bad = prepared(), prepared(members=(0, 1))
    member.asks(Broadcast(envelope(VIEW_CHANGE, view_change(3, 1, [good])).encode()))
    with pytest.raises(Violation, match="member 3 shows what does not hold"):
        member.asks(Broadcast(envelope(VIEW_CHANGE, view_change(3, 1, [bad])).encode()))


def test_patience_is_doubled_with_every_view_after_the_first_capped_and_restored(member):
    for other in (1, 2):
        member.wishes.on_wire(envelope(VIEW_CHANGE, view_change(other, 9)).encode())
    for view, patience_ms in enumerate((1000, 2000, 4000, 8000, 8000), 1):
        member.writes(left(view))
        member.asks(SetTimer("progress", patience_ms))
    with pytest.raises(Violation, match="expected 8000"):
        member.asks(SetTimer("progress", 16_000))
    member.asks(Deliver(1, batch_at(1), batch_at(1).digest), SetTimer("progress", 1000))


def test_nobody_loses_patience_with_nothing_to_wait_for(member):
    with pytest.raises(Violation, match="nothing to wait for"):
        member.asks(SetTimer("progress", 1000), waits=False)
