"""The simulator is worth something only if it finds a protocol that is broken: each rule is broken once, and found."""

import pytest

from consensus import committee, ordering, safety, view_changing
from consensus.messages import BODIES, Envelope, ViewChange, Vote
from consensus.recovery import Left, Voted
from consensus.simulation import NetworkFaults, Plan, Violation, simulate
from consensus.simulation.checkers import AgreementChecker, VoteChecker


def find(plans):
    """The first violation among some plans."""
    for plan in plans:
        try:
            simulate(plan)
        except Violation as violation:
            return str(violation)
    return None


def test_a_vote_sent_before_its_record_is_durable_is_found(monkeypatch):
    monkeypatch.setattr(ordering.Core, "grant", lambda core, permit: core.broadcast(permit.envelope))
    assert "before its record was durable" in find([Plan(seed=1)])


def test_a_quorum_that_is_too_small_is_found(monkeypatch):
    monkeypatch.setattr(committee, "quorum_power", lambda total: (total - 1) // 3 + 1)
    plans = [Plan(seed=seed, byzantine=((0, "equivocate"),), window=1) for seed in range(20)]
    assert find(plans)


def test_a_view_change_that_hides_what_was_prepared_is_found(monkeypatch):
    honest = view_changing.ViewChange

    def forgetful(epoch, view, sender, seal, prepared):
        return honest(epoch, view, sender, seal, ())

    monkeypatch.setattr(view_changing, "ViewChange", forgetful)
    faults = NetworkFaults(loss_permille=150, delay_max_ms=400)
    plans = [Plan(seed=seed, partitions=6, network=faults, transactions=40) for seed in range(60)]
    assert find(plans)


def test_a_new_view_that_listens_to_one_member_only_is_found(monkeypatch):
    honest = view_changing.choose
    monkeypatch.setattr(view_changing, "choose", lambda view_changes: honest(view_changes[-1:]))
    faults = NetworkFaults(loss_permille=150, delay_max_ms=400)
    plans = [Plan(seed=seed, partitions=6, network=faults, transactions=40) for seed in range(60)]
    assert find(plans)


def test_a_journal_that_forgets_votes_is_found(monkeypatch):
    def forgetful(self, kind, vote, signature):
        """Nothing is taken back from the journal."""

    monkeypatch.setattr(safety.Safety, "restore_vote", forgetful)
    monkeypatch.setattr("consensus.restart._restore_vote", lambda *_: None)
    faults = NetworkFaults(loss_permille=100, delay_max_ms=200)
    assert "signed two of" in find([Plan(seed=seed, crashes=60, network=faults) for seed in range(30)])


def test_the_checker_finds_a_vote_for_a_view_that_was_left():
    checker = VoteChecker(0)
    left = envelope("view-change", ViewChange(0, 3, 0, None, ()))
    vote = envelope("prepare", Vote(0, 2, 1, 0, bytes(32)))
    checker.on_durable(Left(3, left).encode())
    checker.on_durable(Voted("prepare", Vote(0, 2, 1, 0, bytes(32)), vote.signature).encode())
    checker.on_sent(left.encode())
    with pytest.raises(Violation, match="after it left"):
        checker.on_sent(vote.encode())


def test_the_checker_finds_two_digests_at_one_height():
    agreement = AgreementChecker()
    agreement.on_delivered(0, 1, b"a")
    agreement.on_delivered(1, 1, b"a")
    with pytest.raises(Violation, match="height 1"):
        agreement.on_delivered(2, 1, b"b")


def envelope(kind, body):
    return Envelope(kind, body.encode(), bytes([BODIES[kind] is Vote]) * 64)
