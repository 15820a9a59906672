"""What peers gossip: a fair share each, and who spreads rubbish is cut off."""

import asyncio

import pytest

from network.gossip_desk import CHECKED_AT_ONCE, HELD_TRANSACTIONS_MAX, NEVER_CORRECT, GossipDesk


class Node:
    """Takes in what it is told to; `says` what is wrong with everything."""

    def __init__(self, members=4):
        self.taken, self.penalties, self.says = [], [], set()
        self.free = asyncio.Event()
        self.free.set()
        self.desk = GossipDesk(members=members, take=self._take, penalise=lambda *how: self.penalties.append(how))

    async def _take(self, raws):
        self.taken.append(list(raws))
        await self.free.wait()
        return self.says

    async def rests(self):
        deadline = asyncio.get_running_loop().time() + 5
        while any(queue.worker for queue in self.desk._queues):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0)


@pytest.fixture
async def node():
    made = Node()
    yield made
    await made.desk.close()


async def test_what_comes_is_taken_once(node):
    node.desk.on_gossip(1, (b"a", b"b", b"a"))
    await node.rests()
    assert node.taken == [[b"a", b"b"]]
    assert node.penalties == []


async def test_a_flood_delays_its_own_sender_only(node):
    node.free.clear()
    each = CHECKED_AT_ONCE // 3
    node.desk.on_gossip(3, tuple(b"%d" % number for number in range(5000)))
    node.desk.on_gossip(1, (b"honest",))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [len(raws) for raws in node.taken] == [each, 1]  # its first share; the other member's comes next
    node.free.set()
    await node.rests()
    assert sum(map(len, node.taken)) == 5001


async def test_what_does_not_fit_the_senders_queue_is_dropped_and_counted(node):
    node.free.clear()
    node.desk.on_gossip(2, tuple(b"%d" % number for number in range(HELD_TRANSACTIONS_MAX)))
    node.desk.on_gossip(2, (b"more",))
    node.desk.on_gossip(1, (b"other",))
    assert node.desk.dropped == 1
    node.free.set()
    await node.rests()
    assert [b"other"] in node.taken
    assert [b"more"] not in node.taken


async def test_one_frame_is_taken_whatever_its_size(node):
    node.desk.on_gossip(2, (bytes(5 << 20),))
    await node.rests()
    assert node.taken == [[bytes(5 << 20)]]


@pytest.mark.parametrize("fault", sorted(NEVER_CORRECT))
async def test_who_spreads_what_no_correct_member_does_is_cut_off(node, fault):
    node.says = {"known", fault}
    node.desk.on_gossip(2, tuple(b"%d" % number for number in range(2000)))
    await node.rests()
    assert node.penalties == [(2, f"it spreads what is no valid transaction ({fault})")]
    assert len(node.taken) == 1  # what else it sent is not looked at


@pytest.mark.parametrize("code", ["known", "busy", "expired", "too_far"])
async def test_what_may_happen_to_a_correct_member_is_no_fault(node, code):
    node.says = {code}
    node.desk.on_gossip(2, (b"a",))
    await node.rests()
    assert node.penalties == []


async def test_after_all_that_the_member_is_heard_again(node):
    node.says = {"malformed"}
    node.desk.on_gossip(2, (b"a",))
    await node.rests()
    node.says = set()
    node.desk.on_gossip(2, (b"b",))
    await node.rests()
    assert node.taken == [[b"a"], [b"b"]]
