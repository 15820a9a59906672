"""The judge of what must be reported: it demands evidence of whoever was shown both votes, and of nobody else."""

import hashlib
from types import SimpleNamespace

import pytest

from consensus.actions import Broadcast, Evidence, FetchBodies
from consensus.messages import CHECKPOINT, COMMIT, PRE_PREPARE, PREPARE, Envelope, Vote
from consensus.simulation import Violation
from consensus.simulation.accuser import Accuser
from consensus.simulation.certifier import Certifier
from consensus.simulation.conduct import Conduct, Wishes
from consensus.simulation.stubs import CHAIN_ID, stub_signer, stub_validators
from ledger.crypto import signing_message
from ledger.types import Batch, Checkpoint, Parameters

WINDOW = 4
VALIDATORS = stub_validators((1, 1, 1, 1))
CERTIFIER = Certifier(VALIDATORS, WINDOW)
SIGN = [stub_signer(member.public_key) for member in VALIDATORS.members]
ONE, OTHER = hashlib.sha256(b"one").digest(), hashlib.sha256(b"other").digest()


def signed(kind, body, batches=()):
    return Envelope(kind, body.encode(), SIGN[body.sender](signing_message(kind, CHAIN_ID, body.encode())), batches)


def vote(kind, digest, height=1, view=0, sender=1):
    return signed(kind, Vote(0, view, height, sender, digest)).encode()


def checkpoint(header_hash, height=1, sender=1):
    return signed(CHECKPOINT, Checkpoint(0, height, sender, header_hash)).encode()


def proposal(hashes):
    batch = Batch(0, 1, 0, 0, 7, hashes, 1)
    return batch, signed(PRE_PREPARE, Vote(0, 0, 1, 0, batch.digest), (batch,)).encode()


class Member:
    """Member 3 of four, which hears, and does what a test says."""

    def __init__(self):
        self.accuser = Accuser(3, WINDOW, CERTIFIER)
        self.stands = SimpleNamespace(view=0, changing_view=False, sealed_height=0, halted="")

    def hears(self, data, *actions):
        self.accuser.hear(data, self.stands)
        self.accuser.judge(actions)


@pytest.fixture
def member():
    return Member()


EVIDENCE = Evidence(PREPARE, 1, b"", b"")
PAIRS = [
    (vote(PREPARE, ONE), vote(PREPARE, OTHER)),
    (vote(COMMIT, ONE), vote(COMMIT, OTHER)),
    (checkpoint(ONE), checkpoint(OTHER)),
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=["prepare", "commit", "checkpoint"])
def test_two_votes_for_one_place_must_be_reported_once(member, first, second):
    member.hears(first)
    with pytest.raises(Violation, match="holds no evidence"):
        member.hears(second)
    member.hears(second, EVIDENCE)
    member.hears(second)  # the second time it is old news
    member.hears(first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (vote(PREPARE, ONE), vote(PREPARE, ONE)),
        (vote(PREPARE, ONE), vote(COMMIT, OTHER)),
        (vote(PREPARE, ONE), vote(PREPARE, OTHER, height=2)),
        (vote(PREPARE, ONE), vote(PREPARE, OTHER, sender=2)),
        (vote(PREPARE, ONE, height=5), vote(PREPARE, OTHER, height=5)),
        (vote(PREPARE, ONE, view=1), vote(PREPARE, OTHER, view=1)),
        (vote(PREPARE, ONE, sender=3), vote(PREPARE, OTHER, sender=3)),
        (vote(PREPARE, ONE)[:-1] + b"?", vote(PREPARE, OTHER)),
        (b"\x94\xa7prepare nonsense", vote(PREPARE, OTHER)),
    ],
    ids=["again", "kind", "height", "sender", "beyond the window", "another view", "its own", "forged", "garbage"],
)
def test_what_is_no_second_vote_or_not_for_an_open_place_needs_no_evidence(member, first, second):
    member.hears(first)
    member.hears(second)


def test_a_sealed_place_and_another_life_are_closed(member):
    member.hears(vote(PREPARE, ONE))
    member.stands.sealed_height = 1
    member.hears(vote(PREPARE, OTHER))
    member.stands.sealed_height = 0
    member.accuser.begin()
    member.hears(vote(PREPARE, OTHER))
    member.stands.changing_view = True
    member.hears(vote(PREPARE, ONE))


def test_a_second_proposal_must_be_reported_if_the_first_was_taken_for_one(member):
    first, second = proposal((ONE,)), proposal((OTHER,))
    member.hears(first[1])  # refused: nothing was asked for
    member.hears(second[1])
    member.hears(first[1], FetchBodies(first[0], ()))
    with pytest.raises(Violation, match="two of pre-prepare by member 0 at height 1"):
        member.hears(second[1])


def test_who_got_an_older_journal_back_is_bound_by_its_own_vote_once_it_was_shown_it():
    judge = Conduct(1, Parameters(window=WINDOW), CERTIFIER, Wishes(CERTIFIER), keeps_promises=False, was_restored=True)
    judge.begin(0, [])

    def signs(data):
        judge.judge([Broadcast(data)], {}, 0, 0, waits=True)

    signs(vote(PREPARE, ONE))
    signs(vote(PREPARE, OTHER))  # the first may have been forgotten
    judge.hear(vote(PREPARE, ONE, sender=2))
    judge.hear(vote(PREPARE, ONE)[:-1] + b"?")
    signs(vote(PREPARE, OTHER))
    judge.hear(vote(PREPARE, ONE))
    signs(vote(PREPARE, ONE))
    signs(vote(PREPARE, OTHER, height=2))
    with pytest.raises(Violation, match="although it was shown another of its own"):
        signs(vote(PREPARE, OTHER))
