"""May I sign this? Every yes names what must be durable first; asked again it gives the same bytes, or no."""

import pytest

from consensus.messages import NewView, ViewChange
from consensus.recovery import BatchHeld, Certified, CheckpointSigned, Entered, Left, Voted
from consensus.safety import Safety


@pytest.fixture
def safety(bench):
    return Safety(bench.committee, 1, bench.signers[1], bench.parameters.window)


def kinds(permit):
    return [type(record) for record in permit.records]


def test_a_prepare_waits_for_its_batch_and_its_vote_to_be_durable(bench, safety):
    batch = bench.batch()
    assert kinds(safety.prepare(batch, batch.digest)) == [BatchHeld, Voted]


def test_a_commit_waits_for_its_prepared_certificate(bench, safety):
    batch = bench.batch()
    assert kinds(safety.commit(batch, bench.certificate(batch))) == [BatchHeld, Certified]


def test_a_commit_for_a_certificate_of_another_view_is_refused(bench, safety):
    batch = bench.batch()
    assert safety.commit(batch, bench.certificate(batch, view=1)) is None


def test_the_same_vote_again_is_the_same_bytes(bench, safety):
    batch = bench.batch()
    first = safety.prepare(batch, batch.digest)
    assert safety.prepare(batch, batch.digest) == first


@pytest.mark.parametrize("vote", ["propose", "prepare"])
def test_another_digest_in_the_same_place_is_refused(bench, safety, vote):
    batch, other = bench.batch(), bench.batch(names=("b",))
    assert getattr(safety, vote)(batch, batch.digest)
    assert getattr(safety, vote)(other, other.digest) is None


def test_another_digest_in_a_later_view_is_a_new_vote(bench, safety):
    batch, other = bench.batch(), bench.batch(view=1)
    assert safety.prepare(batch, batch.digest)
    safety.enter(1)
    assert safety.prepare(other, other.digest)


@pytest.mark.parametrize(("height", "allowed"), [(0, False), (1, True), (4, True), (5, False)])
def test_votes_stay_within_the_window_above_the_seal(bench, safety, height, allowed):
    batch = bench.batch(height=height)
    assert (safety.prepare(batch, batch.digest) is not None) == allowed
    assert (safety.checkpoint(height, bytes(32)) is not None) == allowed


def test_one_header_a_height_whatever_the_view(safety):
    first = safety.checkpoint(1, b"a" * 32)
    assert kinds(first) == [CheckpointSigned]
    safety.enter(1)
    assert safety.checkpoint(1, b"a" * 32) == first
    assert safety.checkpoint(1, b"b" * 32) is None


def test_nothing_for_a_view_that_was_left(bench, safety):
    batch = bench.batch()
    permit = safety.leave(ViewChange(0, 1, 1, None, ()), ())
    assert kinds(permit) == [Left]
    assert safety.prepare(batch, batch.digest) is None
    assert safety.commit(batch, bench.certificate(batch)) is None
    assert safety.checkpoint(1, bytes(32))  # a CHECKPOINT has no view


@pytest.mark.parametrize("view", [0, 1])
def test_a_view_is_left_for_a_higher_one_only_and_once(safety, view):
    assert safety.leave(ViewChange(0, 1, 1, None, ()), ())
    assert safety.leave(ViewChange(0, view, 1, None, ()), ()) is None


def test_only_the_primary_of_the_view_being_changed_to_leads(safety):
    assert safety.lead(NewView(0, 1, 1, ()), ()) is None  # did not leave yet
    safety.leave(ViewChange(0, 1, 1, None, ()), ())
    assert kinds(safety.lead(NewView(0, 1, 1, ()), ())) == [Entered]
    safety.leave(ViewChange(0, 2, 1, None, ()), ())
    assert safety.lead(NewView(0, 2, 1, ()), ()) is None  # member 2 leads view 2


def test_a_member_whose_past_is_in_doubt_signs_nothing(bench, safety):
    safety.doubtful = True
    batch = bench.batch()
    assert safety.propose(batch, batch.digest) is None
    assert safety.prepare(batch, batch.digest) is None
    assert safety.commit(batch, bench.certificate(batch)) is None
    assert safety.checkpoint(1, bytes(32)) is None
    assert safety.suspect(1) is None
    assert safety.leave(ViewChange(0, 1, 1, None, ()), ()) is None


def test_one_whose_store_holds_less_than_it_once_sealed_signs_checkpoints_only(bench, safety):
    safety.floor = 7
    safety.seal(6)
    batch = bench.batch(7)
    assert safety.suspect(7) is None
    assert safety.prepare(batch, batch.digest) is None
    assert safety.leave(ViewChange(0, 1, 1, bench.seal(6), ()), ()) is None
    assert safety.checkpoint(7, bytes(32))  # it follows from the chain alone
    safety.seal(7)
    assert safety.suspect(8)
    assert safety.leave(ViewChange(0, 1, 1, bench.seal(7), ()), ())


def test_while_it_listens_it_signs_nothing_and_repeats_nothing(bench, safety):
    batch = bench.batch()
    permit = safety.prepare(batch, batch.digest)
    safety.listening = True
    assert safety.silent
    assert safety.prepare(batch, batch.digest) is None
    assert safety.sent("prepare", 1) is None
    assert safety.checkpoint(1, bytes(32)) is None
    safety.listening = False
    assert safety.sent("prepare", 1) == permit.envelope


def test_what_others_had_sealed_when_it_started_needs_no_vote_of_it(bench, safety):
    safety.sealed_elsewhere = 2
    refused, granted = bench.batch(2), bench.batch(3)
    assert safety.prepare(refused, refused.digest) is None
    assert safety.checkpoint(2, bytes(32))
    assert safety.prepare(granted, granted.digest)


def test_no_vote_in_a_view_below_the_floor_of_a_lost_past(bench, safety):
    safety.view_floor = 2
    early, late = bench.batch(), bench.batch(view=2)
    assert safety.prepare(early, early.digest) is None
    safety.enter(2)
    assert safety.prepare(late, late.digest)


def test_a_view_change_shows_a_certificate_for_every_commit_above_the_seal(bench, safety):
    batch = bench.batch()
    certificate = bench.certificate(batch)
    assert safety.commit(batch, certificate)
    assert safety.leave(ViewChange(0, 1, 1, None, ()), ()) is None
    assert safety.leave(ViewChange(0, 1, 1, None, (certificate,)), (batch,))
