"""What a new view must propose again, as a pure function: each rule with its invalid twin."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.errors import MessageRefused
from consensus.messages import NewView, PreparedCertificate, SignedViewChange, ViewChange
from consensus.view_change import choose, null_batch, open_view_changes, proposals, require_batches, require_view_change

WINDOW = 4


def left(sender, *prepared, seal=None, view=9):
    return ViewChange(0, view, sender, seal, tuple(prepared))


def prepared(height, view, name=b"a"):
    return PreparedCertificate(view, height, name * 32, ())


def test_nothing_prepared_nothing_proposed_again():
    choice = choose([left(0), left(1), left(2)])
    assert (choice.base, choice.certificates) == (None, ())


def test_the_certificate_of_the_highest_view_wins():
    choice = choose([left(0, prepared(1, 1, b"a")), left(1, prepared(1, 3, b"b")), left(2, prepared(1, 2, b"c"))])
    assert choice.digests == (b"b" * 32,)


def test_one_member_alone_binds_the_view_with_its_certificate():
    assert choose([left(0), left(1), left(2, prepared(1, 0))]).digests == (b"a" * 32,)


def test_a_gap_becomes_the_null_batch(bench):
    choice = choose([left(0, prepared(1, 0)), left(1, prepared(3, 0, b"c")), left(2)])
    assert [certificate and certificate.height for certificate in choice.certificates] == [1, None, 3]
    first, third = bench.batch(height=1), bench.batch(height=3)
    batches = proposals(bench.committee, 9, choice, [first, third])
    assert batches == (first, null_batch(bench.committee, 9, 2, since=4), third)
    assert batches[1].hashes == ()
    assert (batches[1].view, batches[1].proposer, batches[1].height) == (9, 1, 2)


def test_the_view_starts_above_the_highest_seal(bench):
    choice = choose([left(0, prepared(5, 0), seal=bench.seal(2)), left(1, prepared(4, 0), seal=bench.seal(4)), left(2)])
    assert choice.base_height == 4
    assert [certificate.height for certificate in choice.certificates] == [5]


def test_a_start_can_be_computed_however_far_the_seals_are_apart(bench):
    choice = choose([left(0, seal=bench.seal(10)), left(1, prepared(1, 0)), left(2)])
    assert (choice.base_height, choice.certificates) == (10, ())


def test_two_certificates_of_one_view_for_different_batches_are_impossible_and_refused():
    with pytest.raises(MessageRefused, match="contradicting"):
        choose([left(0, prepared(1, 2, b"a")), left(1, prepared(1, 2, b"b")), left(2)])


certificates = st.builds(
    prepared, st.integers(1, 6), st.integers(0, 5), st.sampled_from([b"a"])
)  # one digest a (height, view), as a quorum allows no more


@given(st.lists(st.lists(certificates, max_size=6), min_size=3, max_size=5), st.integers(0, 4))
def test_the_choice_matches_its_obvious_twin(lists, sealed):
    seal = msgspec.convert((0, sealed, bytes(32), ()), _seal_type()) if sealed else None
    distinct = [
        [PreparedCertificate(each.view, each.height, bytes([each.view]) * 32, ()) for each in certificates]
        for certificates in lists
    ]
    bodies = [left(sender, *each, seal=seal if sender == 0 else None) for sender, each in enumerate(distinct)]
    choice = choose(bodies)
    everything = [each for certificates in distinct for each in certificates if each.height > sealed]
    top = max((each.height for each in everything), default=sealed)
    for height in range(sealed + 1, top + 1):
        views = [each.view for each in everything if each.height == height]
        chosen = choice.certificates[height - sealed - 1]
        assert (chosen.view if chosen else None) == max(views, default=None)
    assert len(choice.certificates) == top - sealed


def _seal_type():
    from ledger.types import Seal

    return Seal


# ── one VIEW-CHANGE ───────────────────────────────────────────────────────────────────────────────


def check(bench, body):
    require_view_change(bench.committee, WINDOW, body)


def test_a_view_change_with_its_certificates_holds(bench):
    batches = [bench.batch(height=height) for height in (11, 14)]
    check(bench, left(2, *[bench.certificate(batch) for batch in batches], seal=bench.seal(10)))


def test_a_claim_without_a_quorum_behind_it_does_not(bench):
    with pytest.raises(MessageRefused, match="invalid_certificate"):
        check(bench, left(2, bench.certificate(bench.batch(), members=(0, 1))))


def test_nor_one_with_a_forged_seal(bench):
    with pytest.raises(MessageRefused, match="invalid_seal"):
        check(bench, left(2, seal=bench.seal(10, members=(0, 1))))


@pytest.mark.parametrize("height", [10, 15])
def test_nor_one_outside_of_its_window(bench, height):
    with pytest.raises(MessageRefused, match="misplaced"):
        check(bench, left(2, bench.certificate(bench.batch(height=height)), seal=bench.seal(10)))


def test_nor_one_with_a_certificate_of_the_view_it_asks_for(bench):
    with pytest.raises(MessageRefused, match="misplaced"):
        check(bench, left(2, bench.certificate(bench.batch(view=1)), view=1))


def test_nor_one_with_a_height_twice(bench):
    certificate = bench.certificate(bench.batch())
    with pytest.raises(MessageRefused, match="misplaced"):
        check(bench, left(2, certificate, certificate))


def test_batches_are_exactly_those_that_are_named(bench):
    one, two = bench.batch(height=1), bench.batch(height=2)
    require_batches([one.digest, two.digest], [1, 2], [one, two])
    for wrong in ([], [one], [two, one], [one, two, two], [one, bench.batch(height=2, names=("b",))]):
        with pytest.raises(MessageRefused, match="wrong_batches"):
            require_batches([one.digest, two.digest], [1, 2], wrong)


# ── the quorum of a NEW-VIEW ──────────────────────────────────────────────────────────────────────


def new_view(bench, *bodies, view=9):
    return NewView(0, view, 1, tuple(SignedViewChange(body.encode(), bytes(64)) for body in bodies))


def test_a_quorum_for_this_view_opens(bench):
    assert len(open_view_changes(bench.committee, new_view(bench, left(0), left(1), left(3)))) == 3


@pytest.mark.parametrize(
    ("senders", "reason"),
    [((0, 1), "no_quorum"), ((0, 1, 1), "out_of_order"), ((0, 2, 1), "out_of_order"), ((0, 1, 4), "out_of_order")],
)
def test_fewer_or_repeated_or_strange_members_do_not(bench, senders, reason):
    with pytest.raises(MessageRefused, match=reason):
        open_view_changes(bench.committee, new_view(bench, *[left(sender) for sender in senders]))


def test_nor_does_a_view_change_for_another_view(bench):
    with pytest.raises(MessageRefused, match="another_view"):
        open_view_changes(bench.committee, new_view(bench, left(0), left(1), left(2, view=8)))


def test_nor_what_is_no_view_change(bench):
    body = NewView(0, 9, 1, (SignedViewChange(b"\x00", bytes(64)),))
    with pytest.raises(MessageRefused, match="malformed"):
        open_view_changes(bench.committee, body)
