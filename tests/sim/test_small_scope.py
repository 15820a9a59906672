"""Four members, one height, nothing left to chance: every order of delivery, and every lie in one field of one message.

What takes minutes is `python -m scripts.small_scope`; here is the part that takes seconds, and its teeth.
"""

from functools import cache

import pytest

from consensus import committee, ordering
from consensus.messages import BODIES, PRE_PREPARE, open_envelope
from consensus.simulation import Violation
from scripts.delivery_orders import (
    MEMBERS,
    PRIMARY,
    Search,
    batch_of,
    compatible,
    one_height,
    require_agreement,
    search_one_height,
    two_proposals,
)
from scripts.mutations import cases, play, sent_by

BACKUP = 3


# ── every order of one height ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("member", [PRIMARY, BACKUP])
def test_votes_and_proposal_in_every_order_lead_to_one_state(member):
    """Scenario 8: the proposal, three PREPAREs, three COMMITs and the bodies. The proposal comes before the bodies."""
    found = search_one_height(member, checkpoints=False)
    assert found.orders == 20160  # 8! / 2
    assert len(found.ends) == 1


@pytest.mark.parametrize("member", [PRIMARY, BACKUP])
def test_patience_may_run_out_at_any_moment_of_it(member):
    found = search_one_height(member, checkpoints=False, impatient=True, repeats=False)
    assert found.orders == 181440  # nine letters, two of them in a fixed order


def test_a_seal_may_come_before_any_vote_and_two_others_are_enough():
    """CHECKPOINTs and the execution as well; member 1 is never heard."""
    letters = [each for each in one_height(BACKUP, checkpoints=True, impatient=False) if "of 1" not in each.name]
    found = Search(BACKUP, letters).run()
    assert len(letters) == 9
    assert {(end.delivered_height, end.sealed_height, end.halted) for end in found.ends.values()} == {(1, 1, "")}


def proposals_and_commits(member):
    """Without PREPAREs, which takes a tenth of the time: COMMITs alone may make either proposal final."""
    return [each for each in two_proposals(member) if not each.name.startswith("prepare")]


def renamed(delivery, old, new):
    """The same for another backup: backups of view 0 are alike but for their numbers."""
    used, said, digest = delivery
    swap = str.maketrans({str(old): str(new), str(new): str(old)})
    return frozenset(f"{head} of {who.translate(swap)}" for head, _, who in map(of_parts, used)), said, digest


def of_parts(name):
    return name.partition(" of ")


def test_an_equivocating_primary_divides_nobody():
    found = Search(BACKUP, proposals_and_commits(BACKUP), faulty=frozenset({PRIMARY}), prompt=True).run().delivered
    assert {digest for _, _, digest in found} == {batch_of("a").digest, batch_of("b").digest}
    deliveries = {member: [renamed(each, BACKUP, member) for each in found] for member in (1, 2, 3)}
    assert require_agreement(deliveries) == 12  # three pairs of members, either batch at each


def test_two_deliveries_that_one_run_can_have_are_a_violation():
    one, other = batch_of("a").digest, batch_of("b").digest
    with pytest.raises(Violation, match="deliver different batches"):
        require_agreement(
            {1: [(frozenset({"commit a of 2"}), frozenset(), one)], 3: [(frozenset(), frozenset(), other)]}
        )
    contrary = (frozenset({"commit b of 2"}), frozenset(), other)
    assert require_agreement({1: [(frozenset({"commit a of 2"}), frozenset(), one)], 3: [contrary]}) == 1


def test_votes_that_differ_are_of_two_runs():
    assert compatible({"prepare 1": "a"}, {"prepare 1": "a", "commit 2": "b"})
    assert not compatible({"prepare 1": "a"}, {"prepare 1": "b"})


def test_a_quorum_of_two_is_found_by_the_search(monkeypatch):
    """Teeth: the preconditions of votes are judged with the true quorum."""
    monkeypatch.setattr(ordering.Votes, "power", lambda votes, digest: 1 + votes._power.get(digest, 0))
    with pytest.raises(Violation, match="COMMIT without a quorum"):
        search_one_height(BACKUP, checkpoints=False, repeats=False)


def test_a_vote_that_counts_twice_is_found_by_the_search(monkeypatch):
    def add_again(votes, member, digest, signature, power):
        votes._by_member.setdefault(member, (digest, signature))
        votes._power[digest] = votes._power.get(digest, 0) + power
        votes.voted_power += power
        return True

    monkeypatch.setattr(ordering.Votes, "add", add_again)
    monkeypatch.setattr(ordering, "report_double_vote", lambda *_: None)
    with pytest.raises(Violation):
        search_one_height(BACKUP, checkpoints=False)


# ── every lie in one field ────────────────────────────────────────────────────────────────────────


def test_the_course_has_every_kind_of_message():
    kinds = {open_envelope(data)[0].kind for member in range(MEMBERS) for _, data in sent_by(member)}
    assert kinds == set(BODIES)


@cache
def lies_about_the_first_proposal():
    first = next(at for at, (_, data) in enumerate(sent_by(PRIMARY)) if open_envelope(data)[0].kind == PRE_PREPARE)
    return [case for case in cases(PRIMARY) if case.message == first]


def test_the_cases_bend_every_field_for_every_subset():
    bent = {case.what for case in lies_about_the_first_proposal()}
    for field in ("epoch", "view", "height", "sender", "digest"):
        assert any(what.startswith(f"pre-prepare: {field} ") for what in bent)
    assert {"omitted", "pre-prepare: proposes time_ms 1700000000010 -> 0", "pre-prepare: batches emptied"} <= bent
    subsets = {case.receivers for case in lies_about_the_first_proposal()}
    assert subsets == {(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)}


@pytest.mark.parametrize("faulty", range(MEMBERS))
def test_a_sample_of_all_lies_divides_and_stops_nobody(faulty):
    for number, case in enumerate(cases(faulty)):
        if number % 401 == faulty:
            play(case)


def test_the_same_case_comes_under_the_same_number_every_time():
    assert list(cases(2)) == list(cases(2))


def first_violation(lies):
    for case in lies:
        try:
            play(case)
        except Violation as violation:
            return str(violation)
    return None


def test_a_smaller_quorum_is_found_by_the_lies(monkeypatch):
    lies = [case for case in lies_about_the_first_proposal() if "proposes height 1 -> 2" in case.what]
    monkeypatch.setattr(committee, "quorum_power", lambda total: (total - 1) // 3 + 1)
    assert "delivered another batch at height 1 than a correct one before" in first_violation(lies)


def test_a_batch_that_is_not_held_against_its_digest_is_found_by_the_lies(monkeypatch):
    lies = [case for case in lies_about_the_first_proposal() if case.what.startswith("pre-prepare: height 1 -> 2")]
    monkeypatch.setattr(ordering, "_require_own_batch", lambda envelope, vote: envelope.batches[0])
    assert "PREPARE for what nobody proposed" in first_violation(lies)
