"""Handing on: every primary is told in its turn of what others may have kept from it, and answers for no more."""

import pytest

from network.hand_on import AFTER_S, AT_ONCE_MAX, EVERY_S, PENDING_MAX, HandOn
from network.wire import Transactions, read_peer_frame

FIRST, SECOND = (0, 1), (0, 2)  # turns


class Node:
    """A pool, and what its node hands on; in no proposal is what is not in `proposed`."""

    def __init__(self, monkeypatch, timeout_s=2.0):
        self.now = 100.0
        monkeypatch.setattr("network.hand_on.asyncio.get_running_loop", lambda: self)
        self.pool, self.proposed, self.sent, self.handed = {}, set(), [], []
        self.part = HandOn(
            send=self._send,
            get=self.pool.get,
            waits=lambda each: each in self.pool and each not in self.proposed,
            handed=lambda hashes, turn: self.handed.append((turn, *hashes)),
            timeout_s=timeout_s,
        )

    def time(self):
        return self.now

    def _send(self, member, frame):
        found = read_peer_frame(frame)
        assert isinstance(found, Transactions)
        self.sent.append((member, *found.raws))

    def hears(self, *hashes):
        self.pool.update({each: b"raw " + each for each in hashes})
        self.part.heard(hashes)

    def ticks(self, turn, after_s=0.0):
        self.now += after_s
        self.part.tick(turn)
        sent, self.sent = self.sent, []
        handed, self.handed = self.handed, []
        return sent, handed


@pytest.fixture
def node(monkeypatch):
    return Node(monkeypatch)


def test_what_waits_for_long_is_handed_to_the_primary_once_in_its_turn(node):
    node.hears(b"1", b"2")
    assert node.ticks(FIRST, AFTER_S - 0.1) == ([], [])
    assert node.ticks(FIRST, 0.1) == ([(1, b"raw 1", b"raw 2")], [(FIRST, b"1", b"2")])
    assert node.ticks(FIRST, 5) == ([], [])


def test_the_next_primary_is_told_as_well_and_in_the_old_order(node):
    node.hears(b"1")
    node.ticks(FIRST, AFTER_S)
    node.hears(b"2")
    node.ticks(None, 5)  # this node's own turn
    assert node.ticks(SECOND) == ([(2, b"raw 1", b"raw 2")], [(SECOND, b"1", b"2")])
    assert node.ticks((1, 2)) == ([(2, b"raw 1", b"raw 2")], [((1, 2), b"1", b"2")])


def test_what_is_proposed_or_done_is_not_handed_on(node):
    node.hears(b"1", b"2", b"3")
    node.proposed.add(b"1")
    del node.pool[b"2"]
    assert node.ticks(FIRST, AFTER_S) == ([(1, b"raw 3")], [(FIRST, b"3")])
    node.proposed.clear()  # the view changed, and its proposal came to nothing
    assert node.ticks(SECOND) == ([(2, b"raw 1", b"raw 3")], [(SECOND, b"1", b"3")])


def test_nothing_is_handed_on_while_the_pen_is_here_or_nobody_has_it(node):
    node.hears(b"1")
    assert node.ticks(None, 5) == ([], [])


def test_under_overload_the_oldest_come_first_and_nobody_answers_for_the_others_yet(node):
    hashes = [b"%d" % each for each in range(AT_ONCE_MAX + 1)]
    node.hears(*hashes)
    sent, handed = node.ticks(FIRST, AFTER_S)
    assert [raw for _, *raws in sent for raw in raws] == [b"raw " + each for each in hashes[:-1]]
    assert handed == [(FIRST, *hashes[:-1])]
    assert node.ticks(FIRST) == ([(1, b"raw " + hashes[-1])], [(FIRST, hashes[-1])])


def test_the_memory_is_bounded_and_loses_the_oldest(node):
    node.hears(b"old")
    node.ticks(FIRST, AFTER_S)
    node.hears(*[b"%d" % each for each in range(PENDING_MAX)])
    assert b"old" not in dict(node.part._told)
    assert len(node.part._told) + len(node.part._untold) == PENDING_MAX


@pytest.mark.parametrize(("timeout_s", "after_s", "every_s"), [(2.0, AFTER_S, EVERY_S), (0.1, 0.025, 0.0125)])
def test_a_primary_is_told_well_before_the_time_out(monkeypatch, timeout_s, after_s, every_s):
    node = Node(monkeypatch, timeout_s)
    assert node.part.every_s == every_s
    node.hears(b"1")
    assert node.ticks(FIRST, after_s * 0.9) == ([], [])
    assert node.ticks(FIRST, after_s * 0.2) == ([(1, b"raw 1")], [(FIRST, b"1")])
    assert after_s + every_s < timeout_s / 2
