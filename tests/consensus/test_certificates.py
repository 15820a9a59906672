"""One rule for all certificates: ascending distinct members, every signature valid, together a quorum."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificates import commit_holds, is_quorum, prepared_holds, seal_holds
from consensus.committee import Committee
from consensus.simulation.stubs import CHAIN_ID, stub_validators, stub_verify
from ledger.types import SealSignature


@pytest.mark.parametrize("members", list(itertools.combinations(range(4), 3)))
def test_any_three_of_four_certify(bench, members):
    assert prepared_holds(bench.committee, bench.certificate(bench.batch(), members=members))
    assert commit_holds(bench.committee, bench.commit_certificate(bench.batch(), members=members))
    assert seal_holds(bench.committee, bench.seal(1, members=members))


def test_more_than_a_quorum_certifies_too(bench):
    assert prepared_holds(bench.committee, bench.certificate(bench.batch(), members=range(4)))


@pytest.mark.parametrize("members", [(), (0, 1), (0, 0, 1), (0, 1, 1), (2, 1, 0), (0, 2, 1)])
def test_two_members_or_one_twice_or_in_disorder_do_not(bench, members):
    assert not prepared_holds(bench.committee, bench.certificate(bench.batch(), members=members))
    assert not seal_holds(bench.committee, bench.seal(1, members=members))


@pytest.mark.parametrize("place", range(4))
def test_one_bad_signature_spoils_it_wherever_it_stands(bench, place):
    good = bench.certificate(bench.batch(), members=range(4))
    signatures = list(good.signatures)
    signatures[place] = SealSignature(place, bytes(64))
    assert not prepared_holds(bench.committee, msgspec.structs.replace(good, signatures=tuple(signatures)))


def test_a_stranger_among_the_signers_spoils_it(bench):
    good = bench.certificate(bench.batch())
    extra = (*good.signatures, SealSignature(4, bytes(64)))
    assert not prepared_holds(bench.committee, msgspec.structs.replace(good, signatures=extra))


def test_signatures_for_other_slots_do_not_mix(bench):
    batch, other = bench.batch(), bench.batch(height=2)
    mixed = bench.certificate(batch).signatures[:2] + bench.certificate(other).signatures[2:]
    assert not prepared_holds(bench.committee, msgspec.structs.replace(bench.certificate(batch), signatures=mixed))
    earlier = bench.certificate(batch, view=1)
    assert not prepared_holds(bench.committee, msgspec.structs.replace(earlier, view=0))


def test_commits_do_not_pass_for_prepares(bench):
    commits = bench.commit_certificate(bench.batch()).signatures
    assert not prepared_holds(
        bench.committee, msgspec.structs.replace(bench.certificate(bench.batch()), signatures=commits)
    )


def test_a_seal_of_another_epoch_or_chain_is_none(bench):
    seal = bench.seal(1)
    assert not seal_holds(bench.committee, msgspec.structs.replace(seal, epoch=1))
    elsewhere = Committee(bytes(32), 0, bench.validators, stub_verify)
    assert not seal_holds(elsewhere, seal)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.lists(st.integers(0, 8), max_size=8))
def test_weighted_quorums_match_the_obvious_count(powers, members):
    committee = Committee(CHAIN_ID, 0, stub_validators(powers), stub_verify)
    power = sum(powers[each] for each in members if each < len(powers))
    proper = members == sorted(set(members)) and all(each < len(powers) for each in members)
    faulty = max(t for t in range(sum(powers)) if 3 * t < sum(powers))
    expected = proper and power >= sum(powers) - faulty
    assert is_quorum(committee, tuple(SealSignature(each, bytes(64)) for each in members)) == expected
