"""Nothing is lost for good: what a peer lacks is sent again, and a laggard follows sealed blocks."""

import msgspec
import pytest

from consensus.actions import Broadcast, Deliver, Fetch, FetchBodies, Sealed, Send, SetTimer
from consensus.events import BlockFetched, BodiesReady, Executed, FetchFailed, TimerFired
from consensus.messages import CHECKPOINT, COMMIT, PRE_PREPARE, PREPARE, STATUS, SUSPECT
from consensus.simulation.stubs import GENESIS, execute

NOW = 1_700_000_000_000


def tick(replica):
    return replica.step(TimerFired("status", NOW))


def answers(bench, replica, said, *statuses):
    """What the replica sends in reply, STATUS left out."""
    return [kind for kind in said(bench.hear(replica, *statuses)).kinds() if kind != STATUS]


def test_it_says_where_it_stands_and_when_it_will_again(bench, said):
    out = tick(bench.replica(1))
    assert [type(action) for action in out] == [Broadcast, SetTimer]
    assert out[1] == SetTimer("status", 250)
    (body,) = said(out).messages(STATUS)
    assert (body.view, body.height, body.seal, body.progress) == (0, 0, None, ())


def test_progress_is_told_by_height(bench, said):
    replica = bench.replica(1)
    bench.commit_block(replica, bench.batch(2, names=("b",)))
    bench.accept(replica, bench.batch(3, names=("c",)))
    (body,) = said(tick(replica)).messages(STATUS)
    assert body.progress == (0, 3, 1)


def test_peers_are_known_by_their_last_word(bench):
    replica = bench.replica(1)
    bench.hear(replica, bench.status(3, view=2, height=7, seal=bench.seal(6)))
    assert replica.peers[3] == msgspec.convert({"view": 2, "sealed_height": 6}, type(replica.peers[3]))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        ((0,), [PRE_PREPARE, PREPARE, COMMIT]),
        ((1,), [PREPARE, COMMIT]),
        ((2,), [COMMIT]),
        ((3,), []),
        ((), [PRE_PREPARE, PREPARE, COMMIT]),
    ],
)
def test_a_peer_is_sent_what_it_lacks_of_a_height(bench, said, progress, expected):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    bench.hear(replica, bench.prepare(0, batch), bench.prepare(2, batch))
    assert answers(bench, replica, said, bench.status(3, progress=progress)) == expected


def test_but_only_when_it_did_not_move_since_its_last_word(bench, said):
    replica, batch = bench.replica(1), bench.batch(2)
    bench.accept(replica, batch)
    bench.hear(replica, bench.status(3))
    tick(replica)
    assert answers(bench, replica, said, bench.status(3, height=1)) == []
    tick(replica)
    assert PREPARE in answers(bench, replica, said, bench.status(3, height=1))


def test_and_once_a_tick_however_often_it_asks(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.accept(replica, batch)
    assert answers(bench, replica, said, *[bench.status(3)] * 50) == [PRE_PREPARE, PREPARE]


def test_a_proposal_that_nobody_waits_for_is_left_to_its_primary(bench, said):
    replica = bench.replica(1)
    bench.accept(replica, bench.batch(2))
    assert answers(bench, replica, said, bench.status(3)) == [PREPARE]


def test_a_doubt_is_repeated_to_those_in_the_same_view(bench, said):
    replica = bench.replica(1)
    bench.hear(replica, bench.pre_prepare(bench.batch()))
    replica.step(TimerFired("progress", NOW))
    assert SUSPECT in answers(bench, replica, said, bench.status(3))


def test_checkpoints_are_repeated_to_one_that_lacks_the_seal(bench, said):
    replica = bench.replica(1)
    bench.commit_block(replica, bench.batch())
    bench.seal_block(replica, 1)
    assert answers(bench, replica, said, bench.status(3, height=1)) == [CHECKPOINT]
    tick(replica)
    assert answers(bench, replica, said, bench.status(3, height=1, seal=bench.seal(1))) == []


def test_a_laggard_in_any_view_is_handed_what_is_final(bench, said):
    replica, batch = bench.replica(1), bench.batch()
    bench.commit_block(replica, batch)
    (body,) = said(bench.hear(replica, bench.status(3, view=7, changing=True))).messages(STATUS)
    assert [(each.height, each.digest) for each in body.final] == [(1, batch.digest)]


def test_what_a_peer_proves_to_be_final_is_delivered(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    bench.hear(replica, bench.view_change(0, 5), bench.view_change(1, 5))
    proof = bench.status(1, height=1, final=(bench.commit_certificate(batch, view=3),), batches=(batch,))
    assert said(bench.hear(replica, proof)).of(FetchBodies)
    assert said(replica.step(BodiesReady(batch.digest, NOW))).of(Deliver) == [Deliver(1, batch, batch.digest)]


@pytest.mark.parametrize("members", [(0, 1), (0, 1, 1)])
def test_what_it_does_not_prove_is_not(bench, said, members):
    replica, batch = bench.replica(2), bench.batch()
    claim = bench.status(1, height=1, final=(bench.commit_certificate(batch, members=members),), batches=(batch,))
    assert said(bench.hear(replica, claim)).of(FetchBodies) == []
    assert replica.refused == {"invalid_certificate": 1}


# ── catching up ───────────────────────────────────────────────────────────────────────────────────


def chain(bench, heights):
    """Blocks as the others sealed them."""
    found, parent = [], GENESIS.header_hash
    for height in range(1, heights + 1):
        batch = bench.batch(height, names=(str(height),))
        header, _ = execute(parent, NOW, batch, set())
        parent = header.hash
        found.append(BlockFetched(header, batch, bench.seal(height, parent, members=(0, 1, 3)), NOW))
    return found


def status_of(bench, sender, block):
    return bench.status(sender, height=block.seal.height, seal=block.seal)


def test_a_window_behind_it_fetches_at_once_and_follows(bench, said):
    replica, blocks = bench.replica(2), chain(bench, 6)
    out = bench.hear(replica, status_of(bench, 3, blocks[-1]))
    assert said(out).of(Fetch) == [Fetch(3, 1, 6)]
    for block in blocks:
        assert said(replica.step(block)).of(Deliver) == [Deliver(block.header.height, block.batch, block.batch.digest)]
        out = replica.step(Executed(block.header.height, block.header.hash, NOW))
        assert said(out).of(Sealed) == [Sealed(block.header.height, block.header.hash, block.seal)]
        assert said(out).kinds() == []  # no vote for what is sealed
    assert replica.sealed_height == 6


def test_less_behind_it_waits_for_votes_first(bench, said):
    replica, blocks = bench.replica(2), chain(bench, 2)
    assert said(bench.hear(replica, status_of(bench, 3, blocks[-1]))).of(Fetch) == []
    tick(replica)
    assert said(tick(replica)).of(Fetch) == [Fetch(3, 1, 2)]


def test_a_failure_is_the_next_members_turn_at_the_next_tick(bench, said):
    replica, blocks = bench.replica(2), chain(bench, 6)
    bench.hear(replica, status_of(bench, 0, blocks[-1]))
    bench.hear(replica, status_of(bench, 3, blocks[-1]))
    assert said(replica.step(FetchFailed(0, NOW))).of(Fetch) == []
    assert said(tick(replica)).of(Fetch) == [Fetch(3, 1, 6)]


def test_a_member_that_sends_nothing_is_given_up(bench, said):
    replica, blocks = bench.replica(2), chain(bench, 6)
    bench.hear(replica, status_of(bench, 0, blocks[-1]), status_of(bench, 3, blocks[-1]))
    asked = [fetch.member for _ in range(20) for fetch in said(tick(replica)).of(Fetch)]
    assert asked[0] == 3


def test_a_long_way_is_fetched_in_ranges(bench, said):
    replica, blocks = bench.replica(2), chain(bench, 70)
    out = bench.hear(replica, status_of(bench, 3, blocks[-1]))
    assert said(out).of(Fetch) == [Fetch(3, 1, 64)]
    out = []
    for block in blocks[:64]:
        out += replica.step(block) + replica.step(Executed(block.header.height, block.header.hash, NOW))
    assert said(out).of(Fetch) == [Fetch(3, 65, 70)]


def test_a_claim_without_a_seal_leads_nowhere(bench, said):
    replica = bench.replica(2)
    out = bench.hear(replica, bench.status(3, height=10**12, seal=bench.seal(10**12, members=(0, 3))))
    assert said(out).of(Fetch) == []
    assert replica.refused == {"invalid_seal": 1}


@pytest.mark.parametrize(
    "bend",
    [
        lambda bench, block: {"seal": bench.seal(1, block.header.hash, members=(0, 1))},
        lambda bench, block: {"seal": bench.seal(1)},
        lambda bench, block: {"seal": bench.seal(2, block.header.hash)},
        lambda bench, block: {"batch": bench.batch(names=("other",))},
        lambda bench, block: {"header": msgspec.structs.replace(block.header, gas_used=1)},
        lambda bench, block: {"header": msgspec.structs.replace(block.header, chain_id=bytes(32))},
    ],
)
def test_a_wrong_block_is_refused(bench, said, bend):
    replica, blocks = bench.replica(2), chain(bench, 6)
    bench.hear(replica, status_of(bench, 3, blocks[-1]))
    wrong = msgspec.structs.replace(blocks[0], **bend(bench, blocks[0]))
    assert said(replica.step(wrong)).of(Deliver) == []
    assert said(replica.step(blocks[0])).of(Deliver)


def test_a_fetched_block_that_executes_otherwise_here_stops_it(bench):
    replica, blocks = bench.replica(2), chain(bench, 6)
    bench.hear(replica, status_of(bench, 3, blocks[-1]))
    replica.step(blocks[0])
    replica.step(Executed(1, b"\xee" * 32, NOW))
    assert "diverged at height 1" in replica.halted


def test_delivered_by_votes_and_fetched_again_it_is_delivered_once(bench, said):
    replica, blocks = bench.replica(2), chain(bench, 1)
    bench.commit_block(replica, blocks[0].batch)
    assert said(replica.step(blocks[0])).of(Deliver) == []
    out = replica.step(Executed(1, blocks[0].header.hash, NOW))
    assert said(out).of(Sealed)


def test_a_restarted_laggard_learns_the_view_and_votes_again(bench, said):
    replica, blocks = bench.replica(2), chain(bench, 5)
    peer = bench.replica(1)
    left = [bench.view_change(each, 1, seal=blocks[-1].seal) for each in (0, 2, 3)]
    bench.hear(peer, bench.new_view(left))
    sent = [action.data for action in said(bench.hear(peer, bench.status(2))).of(Send)]
    out = bench.hear(replica, *sent)
    assert replica.view == 1
    assert said(out).of(Fetch) == [Fetch(0, 1, 5)]
    for block in blocks:
        replica.step(block)
        replica.step(Executed(block.header.height, block.header.hash, NOW))
    batch = bench.batch(6, view=1, names=("new",), since=6)
    assert said(bench.accept(replica, batch)).kinds() == [PREPARE]
