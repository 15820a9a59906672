"""The proposer: at once when quiet, spaced under load, silent without work, and taken back when the view is left."""

import asyncio

from ledger.crypto import SigningKey
from ledger.transactions import identify, read_transaction, sign_transaction
from ledger.types import Call, Parameters
from network.mempool import Mempool
from network.proposer import Proposer

KEY = SigningKey.from_seed(bytes(32))


def fill(mempool, *numbers, valid_until=10):
    hashes = []
    for number in numbers:
        raw = sign_transaction(KEY, bytes(32), [Call("c", "m", b"\x90")], 1000, valid_until, number.to_bytes(16, "big"))
        mempool.add(raw, read_transaction(raw), *identify(raw))
        hashes.append(identify(raw)[1])
    return tuple(hashes)


def proposer():
    mempool, proposed = Mempool(), []
    made = Proposer(mempool=mempool, parameters=Parameters(), propose=lambda *args: proposed.append(args))
    return mempool, made, proposed


async def test_the_first_transaction_is_proposed_at_once():
    mempool, made, proposed = proposer()
    made.request(1, 0)
    assert proposed == []
    hashes = fill(mempool, 1)
    made.poke()
    assert proposed == [(1, 0, hashes)]


async def test_the_next_block_waits_for_the_interval_and_takes_all_that_came():
    mempool, made, proposed = proposer()
    first = fill(mempool, 1)
    made.request(1, 0)
    mempool.mark_in_flight(1, first)
    second = fill(mempool, 2)
    made.request(2, 0)
    assert len(proposed) == 1
    third = fill(mempool, 3)
    made.poke()
    while len(proposed) < 2:
        await asyncio.sleep(0.001)
    assert proposed[1] == (2, 0, second + third)


async def test_a_block_on_its_way_holds_the_next_one_back_until_it_is_sealed(monkeypatch):
    monkeypatch.setattr("network.proposer.BLOCK_INTERVAL_MS", 60_000)
    monkeypatch.setattr("network.proposer.PAUSE_PER_TRANSACTION_MS", 0)
    mempool, made, proposed = proposer()
    first = fill(mempool, 1)
    made.request(1, 0)
    mempool.mark_in_flight(1, first)
    second = fill(mempool, 2, 3)
    made.request(2, 0)
    made.poke()
    assert len(proposed) == 1
    mempool.remove(first)
    mempool.release(1)
    made.poke()
    assert proposed[1] == (2, 0, second)


async def test_a_request_taken_back_is_never_answered():
    mempool, made, proposed = proposer()
    made.request(1, 0)
    made.cancel(1, 0)
    fill(mempool, 1)
    made.poke()
    assert proposed == []


async def test_what_has_expired_is_not_proposed():
    mempool, made, proposed = proposer()
    fill(mempool, 1, valid_until=4)
    made.request(5, 0)
    assert proposed == []
