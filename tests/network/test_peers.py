"""Where the others stand: who is linked and level, and whether they could do without this node."""

from types import SimpleNamespace

import pytest

from consensus.standing import PeerView
from ledger.crypto import SigningKey
from ledger.types import Genesis, Parameters, Validator, ValidatorSet
from network.peers import Peers

WINDOW, SEALED = 8, 16
NAMES = ("ann", "bea", "cid", "dan")
MEMBERS = ValidatorSet(
    tuple(Validator(name, SigningKey.from_seed(bytes([at]) * 32).public_key, 1, b"") for at, name in enumerate(NAMES))
)
GENESIS = Genesis(1, "test", 1000, Parameters(window=WINDOW), MEMBERS, ())


def peers(heights, member=0):
    """The others of four members as member 0 sees them; None is one without a link."""
    views = tuple(PeerView(3, height or 0) for height in heights)
    return Peers(
        genesis=GENESIS,
        member=member,
        links=SimpleNamespace(
            connected=lambda each: each != member and heights[each] is not None, round_trip_ms=lambda each: each / 2
        ),
        replica=lambda: SimpleNamespace(peers=views),
        sealed_height=lambda: SEALED,
    )


@pytest.mark.parametrize(("heights", "spared"), [((9, 20, 24), True), ((9, 7, 9), False), ((9, None, 9), False)])
def test_a_node_can_be_spared_when_the_others_are_level_and_a_quorum(heights, spared):
    """The window is 8: at height 16 whoever sealed 8 is level. One of four may be away, and that is this one."""
    assert peers((SEALED, *heights)).suffice_now() is spared


def test_three_of_four_suffice_and_one_of_two_does_not():
    assert peers((SEALED, None, None, None)).suffice()
    two = Genesis(1, "test", 1000, Parameters(), ValidatorSet(MEMBERS.members[:2]), ())
    alone = Peers(genesis=two, member=1, links=None, replica=None, sealed_height=lambda: 0)
    assert (alone.members, alone.suffice()) == ((0,), False)


@pytest.mark.parametrize(("highest", "ahead"), [(SEALED + WINDOW, False), (SEALED + WINDOW + 1, True)])
def test_a_node_follows_inside_its_window_and_catches_up_beyond(highest, ahead):
    assert peers((SEALED, 9, highest, 9)).are_ahead() is ahead


@pytest.mark.parametrize(
    ("lacking", "all_lack"), [({1, 3}, True), ({1, 2, 3}, True), ({1}, False), ({2}, False), (set(), False)]
)
def test_all_lack_a_block_when_everybody_who_is_linked_has_said_so(lacking, all_lack):
    assert peers((SEALED, 9, None, 9)).all_lack(lacking) is all_lack


def test_an_operator_sees_each_of_the_others_and_not_this_one():
    first, second, third = peers((SEALED, 9, None, 24), member=3).statuses()
    assert (first.name, first.connected, first.sealed_height, first.round_trip_ms) == ("ann", True, SEALED, 0.0)
    assert (second.name, second.connected, second.sealed_height, second.view) == ("bea", True, 9, 3)
    assert (third.member, third.name, third.connected, third.sealed_height) == (2, "cid", False, 0)
