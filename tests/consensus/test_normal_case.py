"""The normal case, seen from one replica: one thing in, exact actions out."""

import itertools

import msgspec
import pytest

from consensus.actions import (
    Broadcast,
    CancelBatch,
    Deliver,
    Evidence,
    FetchBodies,
    Halt,
    Persist,
    RequestBatch,
    Sealed,
    SetTimer,
)
from consensus.events import BatchReady, BodiesReady, BodiesRefused, Received, RequestsWaiting
from consensus.messages import COMMIT, PRE_PREPARE, PREPARE, SUSPECT

NOW = 1_700_000_000_000


def refused(replica, reason):
    return replica.refused.get(reason, 0)


# ── a backup ──────────────────────────────────────────────────────────────────────────────────────


def test_a_proposal_makes_a_backup_fetch_its_bodies_from_the_primary_first(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    out = bench.hear(replica, bench.pre_prepare(batch))
    assert said(out).of(FetchBodies) == [FetchBodies(batch, (0, 2, 3))]
    assert said(out).of(Broadcast) == []


def test_it_prepares_once_the_bodies_are_durable_and_the_vote_is(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.hear(replica, bench.pre_prepare(batch))
    out = replica.step(BodiesReady(batch.digest, NOW))
    assert [type(action) for action in out] == [Persist, Persist, Broadcast]
    assert out[-1].data == bench.prepare(1, batch).encode()


def test_a_quorum_of_prepares_makes_it_commit_after_the_certificate_is_durable(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    assert said(bench.hear(replica, bench.prepare(0, batch))).kinds() == []
    out = bench.hear(replica, bench.prepare(2, batch))
    assert [type(action) for action in out] == [Persist, Broadcast]
    assert out[-1].data == bench.commit(1, batch).encode()


def test_a_quorum_of_commits_delivers_after_its_certificate_is_durable(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    bench.hear(replica, bench.prepare(0, batch), bench.prepare(2, batch), bench.commit(0, batch))
    out = bench.hear(replica, bench.commit(2, batch))
    assert [type(action) for action in out[:2]] == [Persist, Deliver]
    assert out[1] == Deliver(1, batch, batch.digest)
    assert replica.delivered_height == 1


MESSAGES = ["pre_prepare", "prepare 0", "prepare 2", "commit 0", "commit 2", "commit 3"]


@pytest.mark.parametrize("order", list(itertools.permutations(MESSAGES, 6))[::7])
def test_the_order_of_arrival_changes_nothing(bench, said, order):
    replica, batch = bench.replica(1), bench.batch()
    out = []
    for name in order:
        kind, _, sender = name.partition(" ")
        envelope = bench.pre_prepare(batch) if not sender else getattr(bench, kind)(int(sender), batch)
        heard = bench.hear(replica, envelope)
        out += heard
        for _ in said(heard).of(FetchBodies):
            out += replica.step(BodiesReady(batch.digest, NOW))
    assert said(out).of(Deliver) == [Deliver(1, batch, batch.digest)]
    assert [each for each in said(out).kinds() if each in (PREPARE, COMMIT)] == [PREPARE, COMMIT]


def test_heights_are_delivered_in_order_though_the_later_commits_first(bench, said):
    replica, first, second = bench.replica(1), bench.batch(1), bench.batch(2, names=("b",))
    assert said(bench.commit_block(replica, second)).of(Deliver) == []
    out = bench.commit_block(replica, first)
    assert [action.height for action in said(out).of(Deliver)] == [1, 2]


def test_weights_count_not_heads(make_bench, said):
    bench = make_bench(powers=(1, 1, 1, 4, 3))  # total 10, quorum 7
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    out = bench.hear(replica, bench.prepare(0, batch), bench.prepare(2, batch), bench.prepare(4, batch))
    assert said(out).kinds() == []  # four members of five weigh 6
    assert said(bench.hear(replica, bench.prepare(3, batch))).kinds() == [COMMIT]


def test_a_lone_validator_agrees_with_itself(make_bench, said):
    bench = make_bench(powers=(1,))
    replica = bench.replica(0)
    batch = bench.batch()
    replica.step(BatchReady(1, 0, batch.hashes, NOW, NOW))
    out = replica.step(BodiesReady(batch.digest, NOW))
    assert [type(action) for action in out if isinstance(action, Deliver | Persist)] == [Persist] * 3 + [Deliver]


# ── what a backup does not count ──────────────────────────────────────────────────────────────────


def test_one_vote_delivered_a_thousand_times_counts_once(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    out = bench.hear(replica, *[bench.prepare(0, batch)] * 1000)
    assert out == []
    assert refused(replica, "duplicate") == 999


def test_a_vote_under_another_members_name_does_not_count(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    forged = msgspec.structs.replace(bench.prepare(2, batch), signature=bench.prepare(0, batch).signature)
    assert bench.hear(replica, bench.prepare(0, batch), forged) == []
    assert refused(replica, "bad_signature") == 1


def test_a_stranger_does_not_count(bench, make_bench):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    wider = make_bench(powers=(1,) * 6)
    assert bench.hear(replica, bench.prepare(0, batch), wider.prepare(5, batch)) == []
    assert refused(replica, "no_member") == 1


@pytest.mark.parametrize(("other", "reason"), [({"epoch": 1}, "other_epoch"), ({"view": 3}, "view_out_of_range")])
def test_another_epochs_or_a_far_views_vote_does_not_count(bench, other, reason):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    assert bench.hear(replica, bench.prepare(0, batch), bench.prepare(2, batch, **other)) == []
    assert refused(replica, reason) == 1


def test_another_chains_vote_does_not_count(bench):
    from consensus.messages import Vote

    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    elsewhere = bench.sign(PREPARE, 2, Vote(0, 0, 1, 2, batch.digest), chain_id=bytes(32))
    assert bench.hear(replica, bench.prepare(0, batch), elsewhere) == []
    assert refused(replica, "bad_signature") == 1


def test_a_commit_does_not_pass_for_a_prepare(bench):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    bent = msgspec.structs.replace(bench.commit(2, batch), kind=PREPARE)
    assert bench.hear(replica, bench.prepare(0, batch), bent) == []


@pytest.mark.parametrize("height", [0, 9, (1 << 53) - 1])
def test_votes_outside_of_two_windows_are_not_even_stored(bench, height):
    replica = bench.replica(1)
    bench.hear(replica, bench.prepare(0, bench.batch(height=height)))
    assert refused(replica, "height_out_of_range") == 1
    assert replica._core.slots == {}


def test_a_flood_of_future_votes_stays_within_two_windows_and_two_views(bench):
    replica = bench.replica(1)
    for height in range(1, 50):
        for view in range(10):
            bench.hear(replica, bench.prepare(0, bench.batch(height=height), view=view))
    slots = replica._core.slots
    assert sorted(slots) == list(range(1, 9))
    assert {tuple(slot.rounds) for slot in slots.values()} == {(0, 1, 2)}


def test_a_member_that_votes_twice_is_counted_once_and_reported_once(bench, said):
    replica, batch, other = bench.replica(1), bench.batch(), bench.batch(names=("b",))
    bench.accept(replica, batch)
    first, second = bench.prepare(2, batch), bench.prepare(2, other)
    bench.hear(replica, first)
    out = bench.hear(replica, second, second, bench.prepare(2, bench.batch(names=("c",))))
    assert out == [Evidence(PREPARE, 2, first.encode(), second.encode())]


def test_its_own_echo_is_nothing(bench):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    assert bench.hear(replica, bench.prepare(1, batch)) == []
    assert refused(replica, "own") == 1


def test_a_second_process_with_its_key_stops_it(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    out = bench.hear(replica, bench.prepare(1, bench.batch(names=("b",))))
    assert "another process signs" in said(out).of(Halt)[0].diagnosis
    assert bench.hear(replica, bench.prepare(0, batch), bench.prepare(2, batch)) == []


# ── what a backup does not prepare ────────────────────────────────────────────────────────────────


def offer(bench, replica, envelope, said):
    out = bench.hear(replica, envelope)
    return said(out).of(FetchBodies), said(out).kinds()


def test_a_proposal_from_a_backup(bench, said):
    replica, batch = bench.replica(1), bench.batch(proposer=2)
    assert offer(bench, replica, bench.pre_prepare(batch), said) == ([], [])
    assert refused(replica, "not_the_primary") == 1


@pytest.mark.parametrize(
    "bend",
    [
        {"digest": bytes(32)},
        {"height": 2},
        {"view": 4, "sender": 0},
    ],
)
def test_a_proposal_that_is_not_the_batch_it_names(bench, said, bend):
    replica = bench.replica(1)
    assert offer(bench, replica, bench.pre_prepare(bench.batch(), **bend), said) == ([], [])
    assert replica._core.slots == {}


def test_a_proposal_without_its_batch_or_with_two(bench, said):
    replica, envelope = bench.replica(1), bench.pre_prepare(bench.batch())
    for batches in ((), (bench.batch(), bench.batch())):
        assert offer(bench, replica, msgspec.structs.replace(envelope, batches=batches), said) == ([], [])
    assert refused(replica, "wrong_batches") == 2


def test_a_batch_that_was_first_proposed_elsewhere(bench, said):
    replica, batch = bench.replica(1), bench.batch(view=4)
    assert offer(bench, replica, bench.pre_prepare(batch, view=0), said) == ([], [])


@pytest.mark.parametrize("names", [(), ("a", "a"), ("a", "b", "c", "d", "e")])
def test_an_empty_repeating_or_oversized_batch_is_the_primarys_fault(bench, said, names):
    replica, batch = bench.replica(1), bench.batch(names=names)
    assert offer(bench, replica, bench.pre_prepare(batch), said) == ([], [SUSPECT])


def test_invalid_bodies_are_the_primarys_fault_too(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.hear(replica, bench.pre_prepare(batch))
    out = replica.step(BodiesRefused(batch.digest, "bad signature", NOW))
    assert said(out).kinds() == [SUSPECT]


@pytest.mark.parametrize("skew_ms", [-30_001, 30_001])
def test_a_time_far_from_its_own_clock_is_not_prepared_even_later(bench, said, skew_ms):
    replica, batch = bench.replica(1), bench.batch(time_ms=NOW + skew_ms)
    assert offer(bench, replica, bench.pre_prepare(batch), said) == ([], [])
    assert bench.hear(replica, bench.pre_prepare(batch), now=NOW + skew_ms) == []


@pytest.mark.parametrize("skew_ms", [-30_000, 30_000])
def test_a_time_within_the_bound_is(bench, said, skew_ms):
    replica, batch = bench.replica(1), bench.batch(time_ms=NOW + skew_ms)
    assert offer(bench, replica, bench.pre_prepare(batch), said)[0] != []


def test_its_clock_does_not_keep_it_from_what_a_quorum_prepared(bench, said):
    replica, batch = bench.replica(1), bench.batch(time_ms=NOW + 99_000)
    bench.hear(replica, bench.pre_prepare(batch), bench.prepare(0, batch), bench.prepare(2, batch))
    out = bench.hear(replica, bench.prepare(3, batch))
    assert said(out).of(FetchBodies)
    assert said(replica.step(BodiesReady(batch.digest, NOW))).kinds() == [COMMIT]


def test_two_proposals_for_one_place_are_evidence_and_reason_to_leave(bench, said):
    replica, batch, other = bench.replica(1), bench.batch(), bench.batch(names=("b",))
    bench.accept(replica, batch)
    out = bench.hear(replica, bench.pre_prepare(other))
    assert [(each.kind, each.member) for each in said(out).of(Evidence)] == [(PRE_PREPARE, 0)]
    assert said(out).kinds() == [SUSPECT]
    assert bench.hear(replica, bench.pre_prepare(bench.batch(names=("c",)))) == []  # once is enough


def test_a_transaction_in_flight_waits_for_the_lower_height_to_be_sealed(bench, said):
    replica, first, second = bench.replica(1), bench.batch(1), bench.batch(2)
    bench.commit_block(replica, first)
    assert offer(bench, replica, bench.pre_prepare(second), said) == ([], [])
    assert said(bench.seal_block(replica, 1)).of(FetchBodies) == [FetchBodies(second, (0, 2, 3))]


# ── the window ────────────────────────────────────────────────────────────────────────────────────


def test_beyond_the_window_it_keeps_but_does_not_vote_until_a_seal_moves_it(bench, said):
    replica = bench.replica(1)
    ahead = bench.batch(5, names=("z",))
    assert said(bench.accept(replica, ahead)).kinds() == []
    bench.commit_block(replica, bench.batch(1))
    out = bench.seal_block(replica, 1)
    assert said(out).of(Sealed)[0].height == 1
    assert said(out).of(FetchBodies) == [FetchBodies(ahead, (0, 2, 3))]
    assert said(replica.step(BodiesReady(ahead.digest, NOW))).kinds() == [PREPARE]


# ── the primary ───────────────────────────────────────────────────────────────────────────────────


def test_the_primary_asks_for_one_batch_at_a_time_until_its_window_is_full(bench, said):
    replica = bench.replica(0, start=False)
    from consensus.events import Start

    asked = said(replica.step(Start(NOW))).of(RequestBatch)
    for height in range(1, 5):
        assert asked == [RequestBatch(height, 0)]
        out = replica.step(BatchReady(height, 0, bench.batch(height, names=(str(height),)).hashes, NOW, NOW))
        assert PRE_PREPARE in said(out).kinds()
        asked = said(out).of(RequestBatch)
    assert asked == []


def test_its_proposal_is_durable_before_it_is_sent(bench, said):
    replica, batch = bench.replica(0), bench.batch()
    out = replica.step(BatchReady(1, 0, batch.hashes, NOW, NOW))
    assert [type(action) for action in out[:4]] == [Persist, Persist, Broadcast, FetchBodies]
    assert out[2].data == bench.pre_prepare(batch).encode()
    assert said(replica.step(BodiesReady(batch.digest, NOW))).kinds() == [PREPARE]


def test_a_backup_asks_for_nothing(bench, said):
    assert said(bench.replica(1).step(RequestsWaiting(True, NOW))).of(RequestBatch) == []


def test_what_is_in_flight_is_not_proposed_again(bench, said):
    replica = bench.replica(0)
    replica.step(BatchReady(1, 0, bench.batch(names=("a", "b")).hashes, NOW, NOW))
    out = replica.step(BatchReady(2, 0, bench.batch(names=("a", "c", "c", "b")).hashes, NOW, NOW))
    assert [action.batch for action in said(out).of(FetchBodies)] == [bench.batch(2, names=("c",))]


def test_with_nothing_new_to_propose_it_rests_until_the_pool_speaks(bench, said):
    replica = bench.replica(0)
    replica.step(BatchReady(1, 0, bench.batch().hashes, NOW, NOW))
    assert said(replica.step(BatchReady(2, 0, bench.batch().hashes, NOW, NOW))).of(RequestBatch) == []
    assert said(replica.step(RequestsWaiting(True, NOW))).of(RequestBatch) == [RequestBatch(2, 0)]


def test_a_late_answer_to_a_request_that_was_taken_back_is_ignored(bench, said):
    replica = bench.replica(0)
    out = bench.hear(replica, bench.suspect(1), bench.suspect(2))
    assert said(out).of(CancelBatch) == [CancelBatch(1, 0)]
    assert replica.step(BatchReady(1, 0, bench.batch().hashes, NOW, NOW)) == []


def test_a_timer_runs_for_what_is_proposed(bench, said):
    out = bench.hear(bench.replica(1), bench.pre_prepare(bench.batch()))
    assert said(out).of(SetTimer) == [SetTimer("progress", 1000)]


def test_rubbish_is_counted_and_nothing_happens(bench):
    replica = bench.replica(1)
    assert replica.step(Received(b"\xff" * 100, NOW)) == []
    assert refused(replica, "malformed") == 1
