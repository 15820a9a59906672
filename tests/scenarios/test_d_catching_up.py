"""Catching up: whom a laggard believes, how long it puts up with a bad source, and what it may say meanwhile."""

import asyncio

import msgspec
import pytest

from consensus.actions import Deliver, Fetch, Sealed
from consensus.catch_up import FETCH_BLOCKS_MAX, IDLE_TICKS_MAX
from consensus.core import BUFFERED_WINDOWS
from consensus.events import BlockFetched, Executed, FetchFailed, Received
from consensus.messages import CHECKPOINT, COMMIT, NEW_VIEW, PRE_PREPARE, PREPARE, VIEW_CHANGE
from consensus.recovery import Anchor
from consensus.simulation.stubs import EPOCH_START_MS
from ledger.store import BlockStore
from ledger.types import HEIGHT_MAX, Seal, SealSignature
from network import inbox
from network.sync import BlockSync
from network.wire import Blocks, read_peer_frame

NOW = EPOCH_START_MS
RECORDS_A_HEIGHT_MAX = 6  # batch, PRE-PREPARE, PREPARE, prepared, final, CHECKPOINT
VOTES = (PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT)


def of(actions, kind):
    return [action for action in actions if isinstance(action, kind)]


class Asking:
    """Block sync over a store that holds some of a chain: what it asked, got, and whom it gave up."""

    def __init__(self, path, records, genesis):
        self.store = BlockStore(path)
        for record in records:
            self.store.put(record)
        self.sent, self.fetched, self.failed = [], [], []
        self.sync = BlockSync(
            chain_id=genesis.chain_id,
            validators=genesis.validators,
            store=self.store,
            send=lambda member, frame: self.sent.append((member, read_peer_frame(frame))),
            fetched=self.fetched.append,
            failed=self.failed.append,
        )

    def close(self):
        self.sync.close()
        self.store.close()


@pytest.fixture
def asking(tmp_path, consortium):
    """Holds genesis only."""
    made = Asking(tmp_path / "blocks", consortium.chain(0), consortium.genesis)
    yield made
    made.close()


# ── 54 ────────────────────────────────────────────────────────────────────────────────────────────


def test_54_single_lying_source_cannot_name_a_height(forge, make_solo):
    """A claim of height 10^12 is no target: only a checked seal is one (P7.4).

    Source: CometBFT, CVE-2025-24371: a peer's claimed height that nobody had made block sync run for ever.
    """
    solo = make_solo()
    mine = SealSignature(0, forge.checkpoint(0, 10**12, bytes(32)).signature)
    forged = Seal(0, 10**12, bytes(32), (mine, SealSignature(1, bytes(64)), SealSignature(2, bytes(64))))
    out = solo.hear(forge.status(0, height=10**12), forge.status(0, height=10**12, seal=forged))
    for _ in range(3):
        out += solo.tick()
    assert of(out, Fetch) == []
    assert solo.replica.refused == {"invalid_seal": 1}
    assert solo.replica.peers[0].sealed_height == 0


def test_54_single_lying_source_beside_an_honest_one_is_not_followed(forge, make_solo):
    """The target is the highest seal that holds, whatever else is claimed beside it."""
    blocks = forge.chain(12)
    solo = make_solo()
    solo.hear(forge.status(0, height=HEIGHT_MAX))
    assert of(solo.hear(forge.status(1, height=12, seal=blocks[11][2])), Fetch) == [Fetch(1, 1, 12)]


async def test_54_single_lying_source_of_another_state_is_found_at_its_first_block(asking, consortium):
    """A whole chain of its own, each block well formed and sealed by two of four: not one block is taken."""
    fork = consortium.chain(3, signers=(2, 3), salt=b"fork")
    asking.sync.fetch(2, 1, 3)
    asking.sync.on_blocks(2, Blocks(1, tuple(fork[1:])))
    assert asking.fetched == []
    assert asking.failed == [2]


# ── 55 ────────────────────────────────────────────────────────────────────────────────────────────


def test_55_bad_source_that_falls_silent_is_left_for_the_next_within_a_bound(forge, make_solo):
    """Member 0 takes the question and never answers, member 1 stops half way, member 2 is honest."""
    blocks = forge.chain(12)
    solo = make_solo()
    asked = []
    for member in (0, 1, 2):
        asked += of(solo.hear(forge.status(member, height=12, seal=blocks[11][2])), Fetch)
    assert asked == [Fetch(0, 1, 12)]
    ticks = 0
    while len(asked) < 2:
        asked += of(solo.tick(), Fetch)
        ticks += 1
    assert asked[1] == Fetch(1, 1, 12)
    assert ticks <= IDLE_TICKS_MAX + 1
    out = solo.fetched(*blocks[:5])
    while len(asked) < 3:
        asked += of(out, Fetch)
        out = solo.tick()
        ticks += 1
    assert asked[2] == Fetch(2, 6, 12)
    assert ticks <= 2 * IDLE_TICKS_MAX + 3
    assert [action.height for action in of(solo.fetched(*blocks[5:]), Sealed)] == list(range(6, 13))


def test_55_bad_source_that_takes_its_claim_back_changes_no_target(forge, make_solo):
    """What was proven once stays proven: lowering the claim neither ends the transfer nor moves it."""
    blocks = forge.chain(12)
    solo = make_solo()
    solo.hear(forge.status(0, height=12, seal=blocks[11][2]))
    solo.hear(forge.status(1, height=12, seal=blocks[11][2]))
    solo.hear(forge.status(0, height=2, seal=blocks[1][2]), forge.status(0, height=0))
    assert solo.replica.peers[0].sealed_height == 12
    assert of(solo.step(FetchFailed(0, NOW)) + solo.tick() + solo.tick(), Fetch) == [Fetch(1, 1, 12)]


async def test_55_bad_source_that_drips_has_one_deadline_for_everything(asking, consortium, monkeypatch):
    """A block now and then keeps no turn alive: the time for the whole range is bounded too."""
    monkeypatch.setattr("network.sync.FETCH_DEADLINE_S", 0.05)
    chain = consortium.chain(40)
    asking.sync.fetch(2, 1, 40)
    for height in range(1, 41):
        asking.sync.on_blocks(2, Blocks(height, (chain[height],)))
        await asyncio.sleep(0.005)
        if asking.failed:
            break
    assert asking.failed == [2]
    assert 0 < len(asking.fetched) < 40


# ── 56 ────────────────────────────────────────────────────────────────────────────────────────────


def test_56_claims_that_differ_are_not_added_up_for_a_view(forge, make_solo, bodies):
    """Three members name three views: that is a quorum of opinions and no quorum for any view.

    Source: BFT-SMaRt, issue 62: replies were counted, not compared.
    """
    solo = make_solo(member=3)
    for member, view in ((0, 5), (1, 6), (2, 7)):
        solo.hear(forge.status(member, view=view, height=0))
    assert (solo.replica.view, solo.replica.changing_view) == (0, False)
    out = solo.hear(*[forge.view_change(member, view) for member, view in ((0, 5), (1, 6), (2, 7))])
    assert solo.replica.changing_view
    assert bodies(out, NEW_VIEW) == []
    assert [each.view for each in bodies(out, VIEW_CHANGE)] == [5, 6]  # each time what a weak quorum has reached


def test_56_claims_that_differ_are_not_added_up_for_a_header(make_stage):
    """Three members name three headers: no seal, and since no header can win any more, everybody says so."""
    stage = make_stage()
    stage.slow_execution.update(stage.members)
    stage.may_halt.update(stage.members)
    stage.fill(1)
    for member in (0, 1, 2):
        stage.step(member, Executed(1, bytes([member]) * 32, stage.clock_ms(member)))
    stage.settle()
    assert stage.heights("sealed_height") == [0, 0, 0, 0]
    assert set(stage.halted) == {0, 1, 2, 3}


def test_56_claims_that_differ_count_one_a_member_for_one_that_lost_its_journal(forge, make_solo):
    """The same member with three answers is one answer, not a quorum of them."""
    blocks = forge.chain(3)
    solo = make_solo(journal=[])
    for height in (1, 2, 3):
        solo.hear(forge.status(0, height=height, seal=blocks[height - 1][2], echo=1, answers=3, reach=height))
    assert solo.replica.silent
    assert "members with power 2 of 3 have answered" in solo.replica.silence
    solo.hear(forge.status(1, height=3, seal=blocks[2][2], echo=1, answers=3, reach=3))
    assert "votes again when height 7 is sealed" in solo.replica.silence


# ── 57 ────────────────────────────────────────────────────────────────────────────────────────────


async def test_57_wrong_block_in_the_middle_is_refused_at_its_height_and_its_sender_named(asking, consortium):
    """Right before it and right after it: only what was before is taken.

    Source: CometBFT block sync.
    """
    chain = consortium.chain(3)
    other = msgspec.structs.replace(chain[2].block.header, state_root=b"\x01" * 32)
    wrong = msgspec.structs.replace(chain[2], block=msgspec.structs.replace(chain[2].block, header=other))
    asking.sync.fetch(2, 1, 3)
    asking.sync.on_blocks(2, Blocks(1, (chain[1], wrong, chain[3])))
    assert [record.height for record in asking.fetched] == [1]
    assert asking.failed == [2]
    asking.sync.fetch(3, 2, 3)
    asking.sync.on_blocks(3, Blocks(2, tuple(chain[2:])))
    assert [record.height for record in asking.fetched] == [1, 2, 3]


def test_57_wrong_block_is_refused_by_the_replica_too(forge, make_solo):
    """The replica checks again that header, batch and seal belong together, and asks the next member."""
    blocks = forge.chain(12)
    solo = make_solo()
    for member in (0, 1):
        solo.hear(forge.status(member, height=12, seal=blocks[11][2]))
    solo.fetched(blocks[0])
    header, _, seal = blocks[1]
    wrong = (header, forge.batch(2, ("another",)), seal)
    out = solo.fetched(wrong, *blocks[2:])
    assert of(out, Deliver) == []
    assert (solo.replica.delivered_height, solo.replica.sealed_height) == (1, 1)
    assert of(solo.tick() + solo.tick(), Fetch) == [Fetch(1, 2, 12)]
    assert len(of(solo.fetched(*blocks[1:]), Sealed)) == 11


# ── 58 ────────────────────────────────────────────────────────────────────────────────────────────


def serving_while_others_go_on(stage, heights, servers, rounds_max):
    """Honest servers; while each answer is under way the others seal so many heights more."""
    rounds = []

    def serve(server, first, last):
        if len(rounds) < rounds_max:
            rounds.append((first, last))
            stage.fill(heights)
        blocks = (stage.disk[server].blocks[height] for height in range(first, last + 1))
        return [(header, batch, seal) for header, batch, _, seal in blocks]

    for each in servers:
        stage.servers[each] = lambda first, last, each=each: serve(each, first, last)
    return rounds


def test_58_transfer_while_consensus_runs_on_aims_anew_and_ends(make_stage):
    """New seals appear during the transfer, again and again: every height is taken once, in order, and it ends.

    Source: concord-bft, pull request 2863; indy-plenum's perpetual catch-up.
    """
    stage = make_stage()
    stage.cut((0, 1, 2), (3,))
    stage.fill(20)
    stage.heal()
    rounds = serving_while_others_go_on(stage, 6, (0, 1, 2), 4)
    stage.run_until(lambda: len(set(stage.heights("sealed_height"))) == 1, 10_000)
    assert len(rounds) == 4
    assert [height for height, _ in stage.delivered(3)] == list(range(1, stage.replicas[0].sealed_height + 1))
    assert stage.replicas[0].sealed_height == 20 + 4 * 6
    assert stage.views() == [0, 0, 0, 0]


# ── 59 ────────────────────────────────────────────────────────────────────────────────────────────


def test_59_catch_up_under_full_load_closes_a_gap_of_ten_thousand(make_stage):
    """The others go on all the while; the laggard comes level, in ranges of 64, without a vote and a view change.

    Source: TigerBeetle, June 2025: laggards fell into state sync for ever before there was back-pressure.
    """
    stage = make_stage(start=False)
    gap = 10_000
    for header, batch, seal in stage.forge.chain(gap):
        for member in (0, 1, 2):
            stage.disk[member].blocks[header.height] = (header, batch, batch.hashes, seal)
    remember_executed(stage)
    for member in (0, 1, 2):
        stage.disk[member].journal = [Anchor(gap).encode()]
        stage.start(member)
    stage.settle()
    rounds = serving_while_others_go_on(stage, 1, (0, 1, 2), 50)
    stage.start(3)
    stage.run_until(lambda: len(set(stage.heights("sealed_height"))) == 1, 60_000)
    assert stage.replicas[3].sealed_height == gap + 50
    assert [height for height, _ in stage.delivered(3)] == list(range(1, gap + 50 + 1))
    assert len(rounds) == 50
    assert len(stage.fetches) <= gap // FETCH_BLOCKS_MAX + 4
    assert max(stage.views()) <= 1  # at most its own turn to propose is passed, while it cannot take it


def remember_executed(stage):
    """The disk's answer without counting ten thousand blocks for each of ten thousand."""
    for disk in stage.disk.values():
        known = [0, set()]

        def executed(disk=disk, known=known):
            while known[0] + 1 in disk.blocks:
                known[0] += 1
                known[1].update(disk.blocks[known[0]][2])
            return known[1]

        disk.executed = executed


# ── 61 ────────────────────────────────────────────────────────────────────────────────────────────


def test_61_votes_while_still_syncing_stay_within_the_window_above_the_own_seal(make_stage):
    """A laggard hears the present votes and proposals all the time, and joins in only where it stands (P6.3)."""
    stage = make_stage()
    stage.cut((0, 1, 2), (3,))
    stage.fill(30)
    stage.heal()
    cast = []

    def note(packet):
        if packet.sender == 3 and packet.kind in VOTES:
            sealed_height = stage.replicas[3].sealed_height
            cast.append(packet.body.height)
            assert sealed_height < packet.body.height <= sealed_height + stage.parameters.window
        return False

    stage.lose(note)
    withheld = stage.lose(lambda packet: packet.receiver == 3 and packet.kind == "status")
    stage.fill(5)
    assert cast == []  # thirty behind: it hears the votes and has no part in them
    stage.lost.remove(withheld)
    stage.run_until(lambda: len(set(stage.heights("sealed_height"))) == 1, 5000)
    stage.fill(3)
    assert cast
    assert min(cast) > 30


# ── 62 ────────────────────────────────────────────────────────────────────────────────────────────


def standing(replica):
    core = replica._core
    return {
        "view": (replica.view, replica.changing_view, core.entered_view, core.fresh_from, core.failed_views),
        "heights": (replica.delivered_height, replica.sealed_height, sorted(core.slots)),
        "timer": core.timer,
        "doubts": (sorted(core.suspects), sorted(core.view_changes)),
        "journal": replica.journal_snapshot(),
    }


def test_62_same_height_sync_resets_nothing(make_stage):
    """The answer "you have that already" arrives in the middle of a view, with votes counted and a timer running.

    Source: SmartBFT, pull request 663: such an answer set counters back, and orderers fell behind in a loop.
    """
    stage = make_stage()
    stage.fill(3)
    stage.expire(0, 1, 2, 3)
    stage.submit("in flight")
    stage.deliver(kind=PRE_PREPARE)
    stage.deliver(kind=PREPARE, receiver=3, sender=1)
    replica = stage.replicas[3]
    before = standing(replica)
    assert before["timer"]
    for height in (1, 2, 3):
        header, batch, _, seal = stage.disk[0].blocks[height]
        assert replica.step(BlockFetched(header, batch, seal, stage.clock_ms(3))) == []
    assert replica.step(FetchFailed(0, stage.clock_ms(3))) == []
    assert standing(replica) == before
    stage.settle()
    assert stage.has("in flight")


# ── 63 ────────────────────────────────────────────────────────────────────────────────────────────


def test_63_long_freeze_fills_no_queue_and_ends_in_catching_up(make_stage, monkeypatch):
    """One member sleeps for ten minutes under load and wakes up with a full mailbox and every timer overdue.

    Source: BFT-SMaRt, issue 27.
    """
    monkeypatch.setattr(inbox, "MESSAGES_PER_MEMBER_MAX", 50)
    stage = make_stage(request_timeout_ms=20_000, timeout_max_ms=60_000)
    mailbox = inbox.Inbox()

    def asleep(packet):
        return packet.receiver == 3 and (mailbox.add(packet.sender, Received(packet.data, stage.clock_ms(3))), True)[1]

    stage.lose(asleep)
    sleeper, timers = stage.replicas.pop(3), stage.timers[3]
    for _ in range(120):
        stage.fill(2)
        stage.run(5000)
        for replica in stage.replicas.values():
            assert len(replica._core.slots) <= BUFFERED_WINDOWS * stage.parameters.window
            assert len(replica.journal_snapshot()) <= RECORDS_A_HEIGHT_MAX * 4 * stage.parameters.window
    assert stage.heights("sealed_height") == [240, 240, 240]
    assert mailbox.dropped > 0
    stage.heal()
    stage.replicas[3], stage.timers[3] = sleeper, timers
    while (event := mailbox.take()) is not None:
        stage.step(3, event)
    took_ms = stage.run_until(lambda: len(set(stage.heights("sealed_height"))) == 1, 60_000)
    assert took_ms <= 3 * stage.parameters.request_timeout_ms // 4
    stage.fill(2)
    assert stage.heights("sealed_height") == [242] * 4
    assert stage.views() == [1] * 4  # its turn to propose came while it slept, and once only: then it was passed over


# ── 64 ────────────────────────────────────────────────────────────────────────────────────────────


def test_64_fresh_disks_of_more_than_may_fail_stop_the_cluster_instead_of_starting_anew(make_stage):
    """Two of four lose everything. They follow the others' blocks and sign nothing; nothing new is ordered, for as long
    as no operator repairs it; and what was sealed stays what it was.

    Source: Besu, issue 8307.
    """
    stage = make_stage()
    stage.fill(6)
    before = stage.chain(0)
    for member in (2, 3):
        stage.crash(member)
        stage.disk[member].journal, stage.disk[member].blocks = [], {}
        stage.start(member)
    votes_before = {member: len(stage.said(member, PREPARE) + stage.said(member, COMMIT)) for member in (2, 3)}
    stage.submit("after the loss")
    stage.run(60_000)
    assert stage.heights() == [6, 6, 6, 6]
    assert [stage.chain(member) for member in stage.members] == [before] * 4
    assert [replica.silent for replica in stage.replicas.values()] == [False, False, True, True]
    for member in (2, 3):
        assert len(stage.said(member, PREPARE) + stage.said(member, COMMIT)) == votes_before[member]
        assert stage.said(member, VIEW_CHANGE) == []


def test_64_fresh_disks_of_all_form_no_quorum_of_the_empty(make_stage):
    """The worst case: four empty disks agree about nothing, not even about genesis."""
    stage = make_stage()
    stage.fill(3)
    for member in stage.members:
        stage.crash(member)
        stage.disk[member].journal, stage.disk[member].blocks = [], {}
    for member in stage.members:
        stage.start(member)
    stage.submit("again from nothing")
    stage.run(60_000)
    assert stage.heights() == [0, 0, 0, 0]
    assert all(replica.silent for replica in stage.replicas.values())


def test_64_fresh_disk_of_one_heals_by_itself(make_stage):
    """The twin within the bound: it asks, follows, and votes again a window later (P6.5)."""
    stage = make_stage()
    stage.fill(3)
    stage.crash(3)
    stage.disk[3].journal, stage.disk[3].blocks = [], {}
    stage.start(3)
    stage.run(2000)
    assert "votes again when height 7 is sealed, now 3" in stage.replicas[3].silence
    stage.fill(stage.parameters.window - 1)
    assert stage.replicas[3].silent
    stage.fill(1)
    stage.run(2000)
    assert not stage.replicas[3].silent
    stage.fill(2)
    assert stage.heights("sealed_height") == [9] * 4
