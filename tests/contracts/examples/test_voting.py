"""The voting example: K of N decide, a vote may change until then, and what was decided is done once."""

import pytest

from contracts.examples.token import Token
from contracts.examples.voting import Voting
from contracts.testing import BLOCK_TIME_MS

DAY_MS = 86_400_000


@pytest.fixture
def council(world):
    """Three of ann, ben, cleo and dora decide, and own a token; eve is no member."""
    world.deploy(Voting, "council", [world.address(name) for name in ("ann", "ben", "cleo", "dora")], 3)
    world.deploy(Token, "token", "Acme", "ACM", 100, sender="ann")
    world.call("ann", "token", "set_owner", "council")
    return world


def propose(world, title="a question", contract="", method="", arguments=(), ms=DAY_MS, sender="ann"):
    return world.call(sender, "council", "propose", title, contract, method, list(arguments), world.time_ms + ms)


def mint(world, amount=5):
    return propose(world, "mint", "token", "mint", [world.address("eve"), amount])


def vote(world, *votes, proposal=1):
    for name, agree in votes:
        status = world.call(name, "council", "vote", proposal, agree)
    return status


def state(world, proposal=1):
    found = world.view("council", "proposal", proposal)
    return found["status"], found["yes"], found["no"]


def test_the_rules_are_fixed_at_the_start(council):
    members = sorted(council.address(name) for name in ("ann", "ben", "cleo", "dora"))
    assert council.view("council", "rules") == {"members": members, "threshold": 3}


@pytest.mark.parametrize(
    ("members", "threshold", "why"),
    [
        ([], 1, "1 to 100 members"),
        ([f"m{number}" for number in range(101)], 1, "1 to 100 members"),
        (["a", "b"], 0, "a threshold of 0 for 2 members"),
        (["a", "b"], 3, "a threshold of 3 for 2 members"),
        (["a", ""], 1, "a member has an address"),
        (["a", "a"], 1, "a member is named once"),
        (["a", 1], 1, "bad_arguments"),
    ],
)
def test_rules_out_of_shape_are_refused(world, members, threshold, why):
    assert world.refuses_deploy(Voting, members, threshold) == why


@pytest.mark.parametrize(("size", "threshold"), [(1, 1), (100, 100)])
def test_the_smallest_and_the_largest_council(world, size, threshold):
    world.deploy(Voting, "council", [f"m{number:03}" for number in range(size)], threshold)
    assert len(world.view("council", "rules")["members"]) == size


def test_a_proposal_is_open_until_k_agree(council):
    assert propose(council) == 1
    assert state(council) == ("open", 0, 0)
    assert vote(council, ("ann", True), ("ben", True)) == "open"
    assert vote(council, ("dora", True)) == "accepted"
    assert state(council) == ("accepted", 3, 0)
    assert council.events("council")[-1] == ("Closed", {"proposal": 1, "outcome": "accepted"})
    expected = {council.address(name): True for name in ("ann", "ben", "dora")}
    assert council.view("council", "votes_of", 1) == expected


def test_a_proposal_fails_once_k_cannot_be_reached(council):
    propose(council)
    assert vote(council, ("ann", False)) == "open"
    assert vote(council, ("ben", False)) == "rejected"
    assert state(council) == ("rejected", 0, 2)
    assert council.refused("cleo", "council", "vote", 1, True) == "the proposal is rejected"


def test_a_vote_counts_once_and_may_change(council):
    propose(council)
    vote(council, ("ann", True), ("ben", True))
    assert council.refused("ann", "council", "vote", 1, True) == "voted so already"
    assert vote(council, ("ben", False)) == "open"
    assert state(council) == ("open", 1, 1)
    assert council.refused("ben", "council", "vote", 1, False) == "voted so already"
    assert vote(council, ("ben", True), ("cleo", True)) == "accepted"
    assert state(council) == ("accepted", 3, 0)
    said = [fields["agree"] for name, fields in council.events("council") if name == "Voted"]
    assert said == [True, True, False, True, True]


def test_what_is_decided_stays_decided(council):
    propose(council)
    vote(council, ("ann", True), ("ben", True), ("cleo", True))
    assert council.refused("ann", "council", "vote", 1, False) == "the proposal is accepted"
    assert council.refused("dora", "council", "vote", 1, True) == "the proposal is accepted"
    assert council.refused("ann", "council", "withdraw", 1) == "the proposal is accepted"


def test_the_deadline_is_the_last_moment(council):
    propose(council, ms=5_000)
    vote(council, ("ann", True), ("ben", True))
    council.advance(heights=2)
    assert state(council) == ("open", 2, 0)
    council.advance(heights=1)
    council.advance(heights=1)
    assert state(council) == ("lapsed", 2, 0)
    assert council.refused("cleo", "council", "vote", 1, True) == "the deadline has passed"
    assert council.refused("ann", "council", "withdraw", 1) == "the deadline has passed"
    assert council.refused("ann", "council", "execute", 1) == "only what was accepted, and only once"


def test_a_vote_at_the_deadline_itself_counts(council):
    propose(council, ms=2_000)
    vote(council, ("ann", True))
    assert council.view("council", "proposal", 1)["deadline"] == council.time_ms
    assert state(council) == ("open", 1, 0)


def test_what_was_decided_in_time_is_not_undone_by_the_deadline(council):
    mint(council)
    vote(council, ("ann", True), ("ben", True), ("cleo", True))
    council.advance(ms=2 * DAY_MS)
    assert state(council)[0] == "accepted"
    council.call("dora", "council", "execute", 1)


def test_only_members_take_part(council):
    propose(council)
    assert council.refused("eve", "council", "propose", "x", "", "", [], council.time_ms + DAY_MS) == "only for members"
    assert council.refused("eve", "council", "vote", 1, True) == "only for members"
    assert council.refused("eve", "council", "execute", 1) == "only for members"


def test_who_proposed_it_withdraws_it_and_nobody_else(council):
    propose(council)
    for name in ("ben", "eve", "admin"):
        assert council.refused(name, "council", "withdraw", 1) == "only who proposed it withdraws it"
    council.call("ann", "council", "withdraw", 1)
    assert state(council) == ("withdrawn", 0, 0)
    assert council.refused("ben", "council", "vote", 1, True) == "the proposal is withdrawn"
    assert council.refused("ann", "council", "withdraw", 1) == "the proposal is withdrawn"


def test_what_was_accepted_is_done_in_the_name_of_the_vote(council):
    mint(council)
    vote(council, ("ann", True), ("ben", True), ("cleo", True))
    assert council.view("token", "balance_of", council.address("eve")) == 0
    assert council.call("dora", "council", "execute", 1) is None
    assert council.view("token", "balance_of", council.address("eve")) == 5
    assert state(council)[0] == "executed"
    assert council.events("council")[-1] == ("Executed", {"proposal": 1, "by": council.address("dora")})
    assert council.refused("ann", "council", "execute", 1) == "only what was accepted, and only once"
    assert council.view("token", "total_supply") == 105


def test_no_member_alone_does_what_the_vote_may(council):
    for name in ("ann", "eve", "admin"):
        assert council.refused(name, "token", "mint", council.address("eve"), 5) == "only the owner mints"
    mint(council)
    vote(council, ("ann", True), ("ben", True))
    assert council.refused("ann", "council", "execute", 1) == "only what was accepted, and only once"
    assert council.view("token", "total_supply") == 100


def test_an_execution_that_fails_may_be_tried_again(council):
    propose(council, "give", "token", "transfer", [council.address("eve"), 7])
    vote(council, ("ann", True), ("ben", True), ("cleo", True))
    assert council.refused("ann", "council", "execute", 1) == "insufficient balance"
    assert state(council)[0] == "accepted"
    council.call("ann", "token", "transfer", "council", 7)
    council.call("ann", "council", "execute", 1)
    assert council.view("token", "balance_of", council.address("eve")) == 7


def test_what_the_call_answers_is_answered(council):
    propose(council, "ask", "token", "total_supply")
    vote(council, ("ann", True), ("ben", True), ("cleo", True))
    assert council.call("ann", "council", "execute", 1) == 100


def test_a_decision_without_a_call_has_nothing_to_do(council):
    propose(council)
    vote(council, ("ann", True), ("ben", True), ("cleo", True))
    assert council.refused("ann", "council", "execute", 1) == "there is nothing to do"


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"title": ""}, "a title has 1 to 200 characters"),
        ({"title": "x" * 201}, "a title has 1 to 200 characters"),
        ({"ms": 0}, "the deadline lies in the future"),
        ({"ms": BLOCK_TIME_MS}, "the deadline lies in the future"),
        ({"contract": "council", "method": "execute"}, "a vote cannot call itself"),
        ({"contract": "token"}, "a contract and its method, or neither"),
        ({"method": "mint"}, "a contract and its method, or neither"),
        ({"arguments": [1]}, "arguments for nothing"),
    ],
)
def test_proposals_out_of_shape_are_refused(council, terms, why):
    filled = {"title": "x", "contract": "", "method": "", "arguments": [], "ms": DAY_MS, **terms}
    deadline = council.time_ms + filled.pop("ms")
    assert council.refused("ann", "council", "propose", *filled.values(), deadline) == why
    assert council.view("council", "proposal", 1) is None


def test_the_longest_title_and_the_next_moment_will_do(council):
    assert propose(council, title="x" * 200, ms=BLOCK_TIME_MS + 1) == 1
    terms = {"title": "x" * 200, "by": council.address("ann"), "deadline": council.time_ms + 1}
    assert council.events("council")[-1] == ("Proposed", {"proposal": 1, **terms})


def test_there_is_no_proposal_but_those_that_were_made(council):
    for method, args in [("vote", [1, True]), ("withdraw", [1]), ("execute", [1])]:
        assert council.refused("ann", "council", method, *args) == "there is no such proposal"
    assert council.view("council", "votes_of", 1) == {}


def test_proposals_are_listed_page_by_page(council):
    for number in range(5):
        propose(council, title=f"question {number + 1}")
    first = council.view("council", "listing", 0, 3)
    rest = council.view("council", "listing", first[-1][0], 3)
    assert [(number, terms["title"]) for number, terms in first + rest] == [
        (number, f"question {number}") for number in range(1, 6)
    ]
    assert council.view("council", "listing", 0, 100) == first + rest
    for limit in (0, 101):
        assert "1 to 100 proposals at once" in council.refuses_view("council", "listing", 0, limit)


def test_votes_of_one_proposal_are_not_those_of_another(council):
    propose(council)
    propose(council)
    vote(council, ("ann", True), proposal=1)
    vote(council, ("ben", False), proposal=2)
    assert (state(council, 1), state(council, 2)) == (("open", 1, 0), ("open", 0, 1))
    assert council.view("council", "votes_of", 2) == {council.address("ben"): False}
