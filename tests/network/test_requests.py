"""Requests that wait: who is told of them, and when the primary that leaves them out is suspected."""

import asyncio
from types import SimpleNamespace

import pytest

from consensus import events
from consensus.overlooked import BATCHES_MIN
from ledger.crypto import SigningKey
from ledger.transactions import identify, read_transaction, sign_transaction
from ledger.types import Batch, Call, Parameters
from network import hand_on
from network.gossip import Gossip
from network.mempool import Mempool
from network.requests import Requests
from network.wire import Transactions, read_peer_frame

KEY = SigningKey.from_seed(b"c" * 32)
PARAMETERS = Parameters(window=1, block_transactions_max=2)
NOW_MS = 2000


class Node:
    """Member 0 of a network, its pool, and what its replica and its peers are told."""

    def __init__(self):
        self.told, self.spread, self.sent = [], [], []
        self.mempool = Mempool()
        self.replica = SimpleNamespace(view=0, primary=1, changing_view=False)
        self.gossip = Gossip(broadcast=self.spread.append, send=None, get=None)
        self.part = Requests(
            member=0,
            parameters=PARAMETERS,
            mempool=self.mempool,
            gossip=self.gossip,
            send=lambda member, frame: self.sent.append((member, read_peer_frame(frame))),
            post=self.told.append,
            replica=lambda: self.replica,
            now_ms=lambda: NOW_MS,
        )

    def arrives(self, gas_limit=1, *, own=True):
        raw = sign_transaction(KEY, bytes(32), [Call("token", "mint", b"\x90")], gas_limit, 100, bytes(16))
        transaction_id, transaction_hash = identify(raw)
        assert self.mempool.add(raw, read_transaction(raw), transaction_id, transaction_hash) == "accepted"
        self.part.arrived([(transaction_hash, raw)], own)
        return transaction_hash, raw

    def delivers(self, batches, *hashes):
        for height in range(1, batches + 1):
            self.part.delivered(Batch(0, height, 0, 1, NOW_MS, hashes, 1))

    def is_suspected(self):
        return events.RequestPassedOver(NOW_MS) in self.told


@pytest.fixture
async def node():
    return Node()


async def test_what_an_own_client_sent_goes_to_everybody_and_what_a_peer_sent_to_nobody(node):
    _, raw = node.arrives(1)
    node.arrives(2, own=False)
    node.gossip.close()  # what lingers goes
    assert [read_peer_frame(frame) for frame in node.spread] == [Transactions((raw,))]
    assert node.sent == []


async def test_the_replica_is_told_that_something_waits_once_and_again_every_tick(node):
    node.part.tell_waiting()
    assert node.told == []
    node.arrives()
    node.part.tell_waiting()
    node.part.tell_waiting()
    assert node.told == [events.RequestsWaiting(True, NOW_MS)]
    node.part.tell_again()
    assert node.told == [events.RequestsWaiting(True, NOW_MS)] * 2
    node.mempool.remove([node.mempool.select(1, 1 << 20, 1 << 20)[0]])
    node.part.tell_waiting()
    assert node.told[2:] == [events.RequestsWaiting(False, NOW_MS)]


async def test_a_primary_that_passes_over_what_it_knows_is_suspected(node):
    node.arrives()
    node.delivers(BATCHES_MIN - 1)
    assert not node.is_suspected()
    node.delivers(1)
    assert node.is_suspected()


async def test_one_whose_batches_were_full_is_not(node):
    node.arrives(1)
    full = [node.arrives(gas_limit)[0] for gas_limit in (2, 3)]
    node.delivers(2 * BATCHES_MIN, *full)
    assert not node.is_suspected()


async def test_one_that_never_heard_of_it_is_not_until_it_was_handed_over(node, monkeypatch):
    monkeypatch.setattr(hand_on, "AFTER_S", 0.0)
    node = Node()
    _, raw = node.arrives(own=False)
    node.delivers(BATCHES_MIN)
    assert not node.is_suspected()
    await handing_on(node)
    assert node.sent == [(1, Transactions((raw,)))]
    node.delivers(BATCHES_MIN)
    assert node.is_suspected()


@pytest.mark.parametrize("turn", [{"primary": 0}, {"changing_view": True}])
async def test_nothing_is_handed_to_this_node_itself_or_while_nobody_is_primary(node, monkeypatch, turn):
    monkeypatch.setattr(hand_on, "AFTER_S", 0.0)
    node = Node()
    vars(node.replica).update(turn)
    node.arrives(own=False)
    await handing_on(node)
    assert node.sent == []


async def handing_on(node):
    """A few rounds of it, faster than the clock's."""
    node.part._hand_on.every_s = 0.001
    work = asyncio.create_task(node.part.run())
    await asyncio.sleep(0.02)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
