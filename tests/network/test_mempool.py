"""The pool of waiting transactions: story by story, then against a twin too simple to be wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger import hashing
from ledger.types import Call, Transaction, TransactionBody
from network.mempool import Limits, Mempool

CHAIN = bytes(32)
ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32


def make(
    salt: int, sender: bytes = ALICE, *, valid_until: int = 100, gas: int = 1000, signature: int = 0, padding: int = 0
) -> tuple[bytes, Transaction, bytes, bytes]:
    """The arguments of `add`. The pool checks nothing, so the signatures are made up."""
    calls = (Call("token", "transfer", b"\x90" + bytes(padding)),)
    body = TransactionBody(CHAIN, sender, calls, gas, valid_until, salt.to_bytes(16, "big"))
    transaction = Transaction(body, bytes([signature]) * 64)
    raw = transaction.encode()
    return raw, transaction, hashing.transaction_id(body.encode()), hashing.transaction_hash(raw)


def fill(pool: Mempool, items: Sequence[tuple[bytes, Transaction, bytes, bytes]]) -> list[bytes]:
    for item in items:
        assert pool.add(*item) == "accepted"
    return [item[3] for item in items]


def take(pool: Mempool, count: int = 1000, **more: object) -> list[bytes]:
    return pool.select(count, 1 << 20, 1 << 40, **more)


def test_first_come_first_proposed() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(1), make(2, BOB), make(3), make(4, CAROL)])
    assert take(pool) == hashes
    assert take(pool, 2) == hashes[:2]
    assert (len(pool), pool.waiting) == (4, 4), "selecting takes nothing out"


def test_the_same_transaction_twice_is_known() -> None:
    pool = Mempool()
    assert pool.add(*make(1)) == "accepted"
    assert pool.add(*make(1)) == "known"
    assert len(pool) == 1


def test_of_two_signatures_over_one_body_the_first_stays() -> None:
    pool = Mempool()
    first, second = make(1, signature=1), make(1, signature=2)
    assert first[2] == second[2]
    assert first[3] != second[3]
    assert pool.add(*first) == "accepted"
    assert pool.add(*second) == "known"
    assert pool.by_id(first[2]) == first[0]
    assert pool.get(second[3]) is None


def test_what_is_asked_for_and_not_here_is_none() -> None:
    pool = Mempool()
    raw, transaction, transaction_id, transaction_hash = make(1, gas=77, valid_until=9)
    assert pool.get(transaction_hash) is None
    assert pool.by_id(transaction_id) is None
    assert pool.entry(transaction_hash) is None
    pool.add(raw, transaction, transaction_id, transaction_hash)
    assert pool.get(transaction_hash) == raw
    entry = pool.entry(transaction_hash)
    assert (entry.raw, entry.gas_limit, entry.valid_until, entry.sender) == (raw, 77, 9, ALICE)
    assert pool.bytes == len(raw)


# ── batches ───────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_ends_where_the_next_does_not_fit() -> None:
    pool = Mempool()
    items = [make(1), make(2, padding=500), make(3)]
    hashes = fill(pool, items)
    room = len(items[0][0]) + len(items[1][0])
    assert pool.select(10, room, 10**9) == hashes[:2]
    assert pool.select(10, room - 1, 10**9) == hashes[:1], "the small third does not overtake the second"
    assert pool.select(10, 1 << 20, 2000) == hashes[:2]
    assert pool.select(10, 1 << 20, 1999) == hashes[:1]
    assert pool.select(0, 1 << 20, 10**9) == []


def test_a_transaction_too_large_for_any_batch_blocks_nobody() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(1), make(2, padding=5000), make(3, gas=10**7), make(4)])
    assert pool.select(10, 1000, 10**6) == [hashes[0], hashes[3]]


def test_a_batch_holds_only_what_is_valid_at_its_height() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(1, valid_until=7), make(2, valid_until=8)])
    assert take(pool, height=7) == hashes
    assert take(pool, height=8) == hashes[1:]
    assert take(pool, height=9) == []


def test_excluded_hashes_are_passed_over() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(1), make(2), make(3)])
    assert take(pool, exclude={hashes[1]}) == [hashes[0], hashes[2]]


# ── in flight ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_proposed_is_not_proposed_again_until_it_comes_back_to_its_old_place() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(n) for n in range(6)])
    pool.mark_in_flight(1, hashes[1:3])
    pool.mark_in_flight(2, [hashes[4]])
    assert take(pool) == [hashes[0], hashes[3], hashes[5]]
    assert (len(pool), pool.waiting) == (6, 3)
    assert pool.get(hashes[1]) is not None, "backups still fetch it"
    pool.release(2)
    pool.release(1)
    assert take(pool) == hashes


def test_a_sealed_height_takes_its_transactions_along_and_returns_the_rest() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(n) for n in range(4)])
    pool.mark_in_flight(1, hashes[:3])
    assert pool.remove(hashes[:2]) == 2
    pool.release(1)
    assert take(pool) == hashes[2:]
    assert pool.get(hashes[0]) is None


def test_a_proposal_known_before_its_transactions() -> None:
    pool = Mempool()
    late = make(1)
    pool.mark_in_flight(5, [late[3]])
    assert pool.add(*late) == "accepted"
    assert (take(pool), pool.waiting) == ([], 0)
    pool.release(5)
    assert take(pool) == [late[3]]


def test_another_proposal_for_the_same_height_replaces_the_first() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(n) for n in range(4)])
    pool.mark_in_flight(3, hashes[:2])
    pool.mark_in_flight(3, hashes[1:3])
    assert take(pool) == [hashes[0], hashes[3]]
    pool.mark_in_flight(4, hashes[2:])
    pool.release(3)
    assert take(pool) == hashes[:2], "named by two heights, it stays in flight until both are done"
    pool.release(4)
    pool.release(4)
    assert take(pool) == hashes


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────


def test_a_body_sealed_under_another_signature_leaves_by_its_id() -> None:
    pool = Mempool()
    mine, theirs = make(1, signature=1), make(1, signature=2)
    pool.add(*mine)
    assert pool.remove([theirs[3]]) == 0
    assert pool.remove_ids([theirs[2]]) == 1
    assert (len(pool), pool.bytes, pool.waiting) == (0, 0, 0)


def test_expired_transactions_leave_and_valid_ones_stay() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(n, valid_until=5 + n) for n in range(4)])
    assert pool.drop_expired(5) == 0
    assert pool.drop_expired(7) == 2
    assert take(pool) == hashes[2:]
    assert pool.add(*make(0, valid_until=5)) == "accepted", "admission is not the pool's business"
    assert pool.drop_expired(7) == 1


def test_what_is_valid_no_longer_where_the_next_proposals_are_does_not_wait_for_them() -> None:
    pool = Mempool()
    (hash_5,) = fill(pool, [make(1, valid_until=5)])
    assert pool.waits(hash_5)
    assert [pool.waits(hash_5, beyond=height) for height in (4, 5)] == [True, False]
    pool.mark_in_flight(1, [hash_5])
    assert not pool.waits(hash_5)
    pool.release(1)
    assert [pool.waits(hash_5, beyond=height) for height in (4, 5)] == [True, False]


def test_an_expired_transaction_in_flight_leaves_after_it_has_landed() -> None:
    pool = Mempool()
    hashes = fill(pool, [make(1, valid_until=5)])
    pool.mark_in_flight(5, hashes)
    assert pool.drop_expired(9) == 0
    assert pool.get(hashes[0]) is not None
    pool.release(5)
    assert take(pool, height=9) == []
    assert pool.drop_expired(9) == 1
    assert len(pool) == 0


# ── limits ────────────────────────────────────────────────────────────────────────────────────────


def test_one_sender_fills_half_and_leaves_room_for_others() -> None:
    pool = Mempool(Limits(transactions_max=10))
    assert [pool.add(*make(n)) for n in range(7)] == ["accepted"] * 5 + ["busy"] * 2
    assert [pool.add(*make(n, BOB)) for n in range(3)] == ["accepted"] * 3 + []
    assert pool.add(*make(0, CAROL)) == "accepted"
    assert [pool.add(*make(9, sender)) for sender in (ALICE, BOB, CAROL)] == ["busy"] * 3
    assert pool.add(*make(0, b"d" * 32)) == "accepted", "who holds nothing always finds room"
    assert pool.add(*make(0, b"e" * 32)) == "busy", "but the pool has an end"
    assert len(pool) == 10


def test_a_sender_gets_its_share_back_when_its_transactions_are_sealed() -> None:
    pool = Mempool(Limits(transactions_max=4))
    hashes = fill(pool, [make(1), make(2)])
    assert pool.add(*make(3)) == "busy"
    pool.remove(hashes[:1])
    assert pool.add(*make(3)) == "accepted"


@pytest.mark.parametrize(("spare", "answer"), [(0, "accepted"), (-1, "busy")])
def test_bytes_are_bounded_to_the_byte(spare: int, answer: str) -> None:
    first, second = make(1), make(2, BOB, padding=100)
    pool = Mempool(Limits(bytes_max=2 * len(first[0]) + len(second[0]) + spare))
    assert pool.add(*first) == "accepted"
    assert pool.add(*second) == "accepted"
    assert pool.add(*make(3, CAROL)) == answer


# ── the naive twin ────────────────────────────────────────────────────────────────────────────────

SENDERS = (ALICE, BOB, CAROL)
UNIVERSE = [
    make(n, SENDERS[n % 3], valid_until=n % 7, gas=100 + n, signature=n % 2, padding=n % 5 * 40) for n in range(12)
]
UNIVERSE += [make(n, SENDERS[n % 3], valid_until=n % 7, gas=100 + n, signature=2, padding=n % 5 * 40) for n in range(4)]
which = st.integers(0, len(UNIVERSE) - 1)
some = st.lists(which, max_size=5)  # numbers, so that a failing sequence reads well


def hashes_of(numbers: list[int]) -> list[bytes]:
    return [UNIVERSE[n][3] for n in numbers]


TIGHT = Limits(transactions_max=8, bytes_max=2200)


class TwinMachine(RuleBasedStateMachine):
    """Any sequence of calls gives what a list, searched from the front each time, would give."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Mempool(TIGHT)
        self.list: list[tuple[bytes, Transaction, bytes, bytes]] = []
        self.flights: dict[int, list[bytes]] = {}

    def flying(self) -> set[bytes]:
        return {each for hashes in self.flights.values() for each in hashes}

    @rule(n=which)
    def add(self, n: int) -> None:
        item = UNIVERSE[n]
        mine = [each for each in self.list if each[1].body.sender == item[1].body.sender]
        free = TIGHT.transactions_max - len(self.list)
        free_bytes = TIGHT.bytes_max - sum(len(each[0]) for each in self.list)
        if any(each[2] == item[2] for each in self.list):
            expected = "known"
        elif len(mine) >= free or sum(len(each[0]) for each in mine) + len(item[0]) > free_bytes:
            expected = "busy"
        else:
            expected = "accepted"
            self.list.append(item)
        assert self.pool.add(*item) == expected

    @rule(numbers=some)
    def remove(self, numbers: list[int]) -> None:
        hashes = hashes_of(numbers)
        before = len(self.list)
        self.list = [each for each in self.list if each[3] not in hashes]
        assert self.pool.remove(hashes) == before - len(self.list)

    @rule(numbers=some)
    def remove_ids(self, numbers: list[int]) -> None:
        ids = [UNIVERSE[n][2] for n in numbers]
        self.list = [each for each in self.list if each[2] not in ids]
        self.pool.remove_ids(ids)

    @rule(height=st.integers(1, 3), numbers=some)
    def mark_in_flight(self, height: int, numbers: list[int]) -> None:
        hashes = self.flights[height] = hashes_of(numbers)
        self.pool.mark_in_flight(height, hashes)

    @rule(height=st.integers(1, 3))
    def release(self, height: int) -> None:
        self.flights.pop(height, None)
        self.pool.release(height)

    @rule(height=st.integers(0, 8))
    def drop_expired(self, height: int) -> None:
        self.pool.drop_expired(height)
        flying = self.flying()
        self.list = [each for each in self.list if each[1].body.valid_until >= height or each[3] in flying]

    @rule(
        count=st.integers(0, 6),
        size=st.integers(0, 2500),
        gas=st.integers(0, 700),
        height=st.integers(0, 7),
        numbers=some,
    )
    def select(self, count: int, size: int, gas: int, height: int, numbers: list[int]) -> None:
        exclude = hashes_of(numbers)
        expected: list[bytes] = []
        size_left, gas_left = size, gas
        for raw, transaction, _, transaction_hash in self.list:
            body = transaction.body
            if transaction_hash in self.flying() or transaction_hash in exclude or body.valid_until < height:
                continue
            if len(raw) > size or body.gas_limit > gas:
                continue
            if len(raw) > size_left or body.gas_limit > gas_left or len(expected) == count:
                break
            size_left, gas_left = size_left - len(raw), gas_left - body.gas_limit
            expected.append(transaction_hash)
        assert self.pool.select(count, size, gas, height=height, exclude=set(exclude)) == expected

    @invariant()
    def the_counts_agree(self) -> None:
        assert len(self.pool) == len(self.list)
        assert self.pool.bytes == sum(len(each[0]) for each in self.list)
        assert self.pool.waiting == sum(each[3] not in self.flying() for each in self.list)
        for raw, _, transaction_id, transaction_hash in self.list:
            assert self.pool.get(transaction_hash) == self.pool.by_id(transaction_id) == raw


TestTwin = TwinMachine.TestCase
TestTwin.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
