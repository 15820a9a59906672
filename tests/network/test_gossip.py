"""Gossip: one message for many transactions, and nothing is lost with a connection."""

import asyncio

from network.gossip import Gossip
from network.wire import (
    GOSSIP_BYTES_MAX,
    GOSSIP_TRANSACTIONS_MAX,
    Transactions,
    peer_frame,
    read_peer_frame,
    split_gossip,
)


def gossip():
    pool, frames, sent = {}, [], []
    made = Gossip(broadcast=frames.append, send=lambda member, frame: sent.append((member, frame)), get=pool.get)
    return pool, made, frames, sent


async def until(condition):
    deadline = asyncio.get_running_loop().time() + 5
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


async def test_transactions_that_come_together_travel_together():
    _, made, frames, _ = gossip()
    made.spread([(b"1", b"one"), (b"2", b"two")])
    made.spread([(b"3", b"three")])
    await until(lambda: frames)
    assert [read_peer_frame(frame) for frame in frames] == [Transactions((b"one", b"two", b"three"))]


async def test_a_peer_that_returns_gets_what_still_waits():
    pool, made, _, sent = gossip()
    pool[b"1"] = b"one"
    made.spread([(b"1", b"one"), (b"2", b"two")])  # the second is in a block by now
    made.on_connected(3)
    assert [(member, read_peer_frame(frame)) for member, frame in sent] == [(3, Transactions((b"one",)))]
    made.close()


async def test_what_waits_for_long_is_sent_again_and_what_is_done_is_forgotten(monkeypatch):
    monkeypatch.setattr("network.gossip.AGAIN_AFTER_S", 0.0)
    pool, made, frames, _ = gossip()
    pool[b"1"] = b"one"
    made.spread([(b"1", b"one"), (b"2", b"two")])
    await until(lambda: frames)
    made.tick()
    assert read_peer_frame(frames[-1]) == Transactions((b"one",))
    del pool[b"1"]
    made.tick()
    assert len(frames) == 2
    assert not made._own


def test_no_message_is_larger_than_the_limit():
    raws = [bytes(300_000)] * 7
    parts = split_gossip(raws)
    assert [raw for part in parts for raw in part] == raws
    assert all(sum(map(len, part)) <= GOSSIP_BYTES_MAX for part in parts)


async def test_what_waits_on_is_sent_again_ever_more_rarely():
    pool, made, frames, _ = gossip()
    pool[b"1"] = b"one"
    made.spread([(b"1", b"one")])
    await until(lambda: frames)
    pauses = []
    for _ in range(8):
        pauses.append(made._own[b"1"][1])
        made._own[b"1"] = (-100.0, pauses[-1])
        made.tick()
    assert len(frames) == 1 + 8
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0]
    made.tick()
    assert len(frames) == 1 + 8


def test_no_message_holds_more_transactions_than_the_limit():
    parts = split_gossip([b"x"] * (GOSSIP_TRANSACTIONS_MAX + 1))
    assert [len(part) for part in parts] == [GOSSIP_TRANSACTIONS_MAX, 1]
    assert read_peer_frame(peer_frame(Transactions(parts[0]))) is not None
    assert read_peer_frame(peer_frame(Transactions((*parts[0], b"x")))) is None


def test_bytes_that_are_no_message_are_none():
    for frame in (b"", b"\x02", b"\x02\xc1", b"\x07abc", b"\x02" + b"\x91" * 100_000, b"\x02\x92\x09\x90"):
        assert read_peer_frame(frame) is None


async def test_a_peers_transaction_that_a_client_asks_for_here_is_spread_once():
    _, made, frames, _ = gossip()
    made.adopt([(b"1", b"one")])
    made.adopt([(b"1", b"one")])
    await until(lambda: frames)
    assert [read_peer_frame(frame) for frame in frames] == [Transactions((b"one",))]
