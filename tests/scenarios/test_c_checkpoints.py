"""Checkpoints and watermarks: who may move the window, and what happens to a member whose execution went astray."""

import os
import subprocess
import sys

import msgspec
import pytest

from consensus.actions import Fetch, Sealed, Send
from consensus.errors import MessageRefused
from consensus.events import Executed
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    PRE_PREPARE,
    PREPARE,
    STATUS,
    Envelope,
    open_envelope,
)
from consensus.simulation.stubs import EPOCH_START_MS, GENESIS, execute
from ledger import codec
from ledger.types import HEIGHT_MAX, Seal, SealSignature

NOW = EPOCH_START_MS
VOTES = (PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT)


def of(actions, kind):
    return [action for action in actions if isinstance(action, kind)]


# ── 46 ────────────────────────────────────────────────────────────────────────────────────────────


def test_46_divergent_checkpoint_the_minority_stops_itself_and_the_others_go_on(make_stage):
    """A member whose execution gives another header signs it, learns of the seal of the others, and halts (P3.9).

    Source: the CorruptCheckpointMsgStrategy of concord-bft's Apollo tests.
    """
    stage = make_stage()
    stage.fill(2)
    stage.slow_execution.add(3)
    stage.submit("t3")
    stage.settle()
    assert stage.heights("sealed_height") == [3, 3, 3, 2]
    stage.may_halt.add(3)
    stage.step(3, Executed(3, b"\xee" * 32, stage.clock_ms(3)))
    assert stage.halted[3].startswith(f"diverged at height 3: this member executed {'ee' * 32}, the quorum sealed")
    assert stage.disk[3].blocks[2][3]
    assert stage.disk[3].sealed_height == 2
    stage.fill(3)
    assert stage.heights("sealed_height") == [6, 6, 6, 2]
    assert stage.views() == [0, 0, 0, 0]


def test_46_divergent_checkpoint_the_halt_outlives_a_restart(make_stage):
    stage = make_stage()
    stage.slow_execution.add(3)
    stage.fill(1)
    stage.may_halt.add(3)
    stage.step(3, Executed(1, b"\xee" * 32, stage.clock_ms(3)))
    first = stage.halted.pop(3)
    stage.restart(3)
    assert stage.halted[3] == first
    before = len([packet for packet in stage.sent if packet.sender == 3])
    stage.fill(2)
    stage.run(2000)
    assert len([packet for packet in stage.sent if packet.sender == 3]) == before


def test_46_divergent_checkpoint_sent_before_the_seal_never_outvotes_it(make_stage):
    """Here the wrong CHECKPOINT is the first of all."""
    stage = make_stage()
    stage.slow_execution.update(stage.members)
    stage.fill(1)
    stage.may_halt.add(3)
    stage.step(3, Executed(1, b"\xee" * 32, stage.clock_ms(3)))
    stage.settle()
    assert stage.heights("sealed_height") == [0, 0, 0, 0]
    stage.execute(0, 1)
    stage.settle()
    assert stage.heights("sealed_height") == [0, 0, 0, 0]  # two of four: no quorum yet, on either side
    stage.execute(2)
    stage.settle()
    assert stage.heights("sealed_height") == [1, 1, 1, 0]
    assert list(stage.halted) == [3]


def test_46_divergent_checkpoint_two_against_two_stops_all(make_stage):
    """No header can have a quorum any more: going on would only dig deeper."""
    stage = make_stage()
    stage.slow_execution.update((2, 3))
    stage.may_halt.update(stage.members)
    stage.submit("t1")
    stage.settle()
    for member in (2, 3):
        stage.step(member, Executed(1, b"\xee" * 32, stage.clock_ms(member)))
    stage.settle()
    assert set(stage.halted) == {0, 1, 2, 3}
    assert {text.split(" any more")[0] for text in stage.halted.values()} == {"no header can be sealed at height 1"}
    assert stage.heights("sealed_height") == [0, 0, 0, 0]


def test_46_divergent_checkpoint_of_nobody_but_a_wrong_vote_halts_nobody(make_stage):
    """The valid twin: a lie about the header, beside an execution that is right, is a vote that does not count."""
    stage = make_stage(byzantine=[3])
    stage.fill(1)
    stage.hear(range(3), stage.forge.checkpoint(3, 2, b"\xee" * 32))
    stage.fill(2)
    assert stage.heights("sealed_height") == [3, 3, 3]
    assert stage.halted == {}


# ── 47 ────────────────────────────────────────────────────────────────────────────────────────────

RUN = "from consensus.simulation import Plan, simulate; print(simulate(Plan(seed=47, transactions=8)).fingerprint)"


def test_47_non_determinism_hash_seed_locale_and_time_zone_change_no_action():
    """A whole run, to its last action, is the same in processes with other hash seeds, locales and time zones."""
    surroundings = (
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "4242", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
    )
    outcomes = [
        subprocess.run(
            [sys.executable, "-c", RUN], env={**os.environ, **each}, capture_output=True, text=True, check=True
        ).stdout
        for each in surroundings
    ]
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0].strip()) == 64


def test_47_non_determinism_is_found_at_the_very_next_seal(make_stage):
    """One member adds its transactions up in another order: it stops at that height, not some heights later."""
    stage = make_stage(block_transactions_max=4)
    stage.slow_execution.add(2)
    stage.may_halt.add(2)
    stage.submit("b", "a")
    stage.settle()
    (batch,) = stage.undone[2]
    astray = msgspec.structs.replace(batch, hashes=tuple(reversed(batch.hashes)))
    header, _ = execute(GENESIS.header_hash, GENESIS.time_ms, astray, set())
    stage.step(2, Executed(1, msgspec.structs.replace(header, batch_digest=batch.digest).hash, stage.clock_ms(2)))
    assert stage.halted[2].startswith("diverged at height 1")


# ── 48 ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("height", [9, 100, HEIGHT_MAX])
def test_48_watermark_exhaustion_heights_above_the_buffered_windows_are_refused(forge, make_solo, height):
    """W is 4: the primary cannot make a backup keep anything above 2W (P2.7)."""
    solo = make_solo()
    assert solo.hear(forge.pre_prepare(forge.batch(height))) == []
    assert solo.replica.refused == {"height_out_of_range": 1}
    assert not solo.replica._core.slots


def test_48_watermark_exhaustion_a_height_that_is_no_height_does_not_decode(forge, make_solo):
    """2^64 - 1, signed by the primary over exactly these bytes."""
    body = codec.encode([0, 0, (1 << 64) - 1, 0, bytes(32)])
    good = forge.pre_prepare(forge.batch(1))
    bad = Envelope(PRE_PREPARE, body, good.signature, good.batches)
    with pytest.raises(MessageRefused, match="malformed"):
        open_envelope(bad.encode())
    solo = make_solo()
    assert solo.hear(bad) == []
    assert solo.replica.refused == {"malformed": 1}


def test_48_watermark_exhaustion_the_highest_height_of_the_window_is_voted_for_and_the_next_one_waits(
    forge, make_solo, bodies
):
    solo = make_solo()
    edge, beyond = forge.batch(4, ("edge",)), forge.batch(5, ("beyond",))
    assert [vote.height for vote in bodies(solo.accept(edge), PREPARE)] == [4]
    assert bodies(solo.accept(beyond), *VOTES) == []
    assert sorted(solo.replica._core.slots) == [4, 5]


def test_48_watermark_exhaustion_a_primary_that_leaves_a_gap_is_left(make_stage, named):
    """It jumps to the top of the window at once. Nothing above the gap is delivered, and patience ends."""
    stage = make_stage(byzantine=[0])
    top = stage.forge.batch(4, ("t4",))
    stage.submit("t1", "t2", "t3", "t4")
    stage.hear(stage.correct, stage.forge.pre_prepare(top), stage.forge.prepare(0, top))
    stage.settle()
    stage.hear(stage.correct, stage.forge.commit(0, top))
    stage.settle()
    assert stage.heights() == [0, 0, 0]
    stage.run_until(lambda: stage.has("t1", "t2", "t3", "t4"), 20_000)
    assert min(stage.views()) == 1
    for member in stage.correct:
        assert stage.chain(member)[4] == top.digest  # it was final there, and stays there
        assert [stage.disk[member].blocks[height][1].hashes for height in (1, 2, 3)] == [(), (), ()]


# ── 49 ────────────────────────────────────────────────────────────────────────────────────────────


def withhold_checkpoints(stage, *members):
    stage.lose(lambda packet: packet.sender in members and packet.kind in (CHECKPOINT, STATUS))


def test_49_watermark_starvation_the_checkpoints_of_a_quorum_are_enough(make_stage):
    """One of four never says CHECKPOINT: twenty windows go by without a stall and without a view change."""
    stage = make_stage()
    withhold_checkpoints(stage, 3)
    stage.fill(80)
    assert stage.heights("sealed_height") == [80, 80, 80, 80]
    assert stage.views() == [0, 0, 0, 0]
    assert stage.now == 0


def test_49_watermark_starvation_by_more_than_may_be_faulty_stops_at_the_high_mark(make_stage):
    """The twin: with two of four withholding there is no quorum, and the window ends where it should."""
    stage = make_stage()
    withhold_checkpoints(stage, 2, 3)
    stage.fill(10)
    assert stage.heights() == [4, 4, 4, 4]
    assert stage.heights("sealed_height")[:2] == [0, 0]


# ── 50 ────────────────────────────────────────────────────────────────────────────────────────────


def test_50_stable_checkpoint_ahead_of_own_execution_is_a_target_and_no_excuse_to_vote(
    forge, make_solo, tip_at, bodies
):
    """The seal of height 12 arrives at a member that sealed 1: it fetches, keeps what it has, and signs nothing above
    its own window until the blocks are executed here.

    Source: indy-plenum, pull request 1359.
    """
    blocks = forge.chain(13)
    solo = make_solo(tip=tip_at(blocks[0]))
    solo.accept(blocks[1][1])
    out = solo.hear(forge.status(0, height=12, seal=blocks[11][2]))
    assert of(out, Fetch) == [Fetch(0, 2, 12)]
    assert list(solo.replica._core.slots) == [2]
    assert solo.replica.sealed_height == 1
    last = blocks[12][1]
    out = solo.hear(forge.pre_prepare(last), *[forge.prepare(each, last) for each in range(3)])
    assert bodies(out, *VOTES) == []
    out = solo.fetched(*blocks[1:12])
    assert [action.height for action in of(out, Sealed)] == list(range(2, 13))
    assert bodies(out, *VOTES) == []
    assert [vote.height for vote in bodies(solo.accept(last), PREPARE)] == [13]


# ── 51 ────────────────────────────────────────────────────────────────────────────────────────────

RIGHT, OTHER = b"\x11" * 32, b"\x22" * 32


def seal_12(forge, *signed):
    """What says it seals RIGHT at height 12: from (member, height, header) of what each really signed."""
    found = (SealSignature(member, forge.checkpoint(member, *what).signature) for member, *what in signed)
    return Seal(0, 12, RIGHT, tuple(found))


MIXED = {
    "two headers": [(0, 12, RIGHT), (1, 12, RIGHT), (2, 12, OTHER)],
    "two heights": [(0, 12, RIGHT), (1, 12, RIGHT), (2, 11, RIGHT)],
    "a signer twice": [(0, 12, RIGHT), (1, 12, RIGHT), (1, 12, RIGHT)],
    "in another order": [(0, 12, RIGHT), (2, 12, RIGHT), (1, 12, RIGHT)],
    "too few": [(0, 12, RIGHT), (1, 12, RIGHT)],
    "three right and one of another header": [(0, 12, RIGHT), (1, 12, RIGHT), (2, 12, RIGHT), (3, 12, OTHER)],
    "no member": [(0, 12, RIGHT), (1, 12, RIGHT), (2, 12, RIGHT)],
}


@pytest.mark.parametrize("lie", MIXED)
def test_51_checkpoint_certificate_with_mixed_parts_is_refused_wherever_it_stands(forge, make_solo, lie):
    """In a STATUS it is no target; in a VIEW-CHANGE it spoils that message, and no other (P2.4, P4.3)."""
    seal = seal_12(forge, *MIXED[lie])
    if lie == "no member":
        seal = msgspec.structs.replace(seal, signatures=(*seal.signatures[:2], SealSignature(9, bytes(64))))
    solo = make_solo()
    assert of(solo.hear(forge.status(0, height=12, seal=seal)), Fetch) == []
    assert solo.replica.refused == {"invalid_seal": 1}
    assert solo.replica._core.best_sealed_height == 0
    solo.hear(forge.view_change(2, 1, seal))
    assert solo.replica.refused == {"invalid_seal": 2}
    assert solo.replica._core.view_changes == {}


def test_51_checkpoint_certificate_of_one_header_and_height_is_taken(forge, make_solo):
    """The valid twin."""
    seal = seal_12(forge, (0, 12, RIGHT), (1, 12, RIGHT), (2, 12, RIGHT))
    solo = make_solo()
    assert of(solo.hear(forge.status(0, height=12, seal=seal)), Fetch) == [Fetch(0, 1, 12)]
    solo.hear(forge.view_change(2, 1, seal))
    assert list(solo.replica._core.view_changes) == [2]
    assert solo.replica.refused == {}


# ── 52 ────────────────────────────────────────────────────────────────────────────────────────────


def test_52_log_truncation_a_laggard_below_the_low_mark_gets_the_seal_and_the_blocks(forge, make_solo, tip_at, bodies):
    """What it would need to vote for is gone here; it is told where to go on instead of silence.

    Source: concord-bft, pull requests 912 and 927: laggards that never recovered.
    """
    blocks = forge.chain(20)
    solo = make_solo(member=0, tip=tip_at(blocks[19]))
    for _ in range(2):
        out = solo.hear(forge.status(3, height=2, seal=blocks[1][2]))
        assert [said.seal for said in bodies(out, STATUS)] == [blocks[19][2]]
        assert [action.member for action in of(out, Send)] == [3]
        solo.tick()
    out = solo.hear(forge.prepare(3, blocks[2][1]))
    assert out == []
    assert solo.replica.refused == {"height_out_of_range": 1}


def test_52_log_truncation_a_laggard_ten_windows_behind_comes_back(make_stage):
    stage = make_stage()
    stage.cut((0, 1, 2), (3,))
    stage.fill(40)
    assert stage.heights("sealed_height") == [40, 40, 40, 0]
    stage.heal()
    stage.run_until(lambda: stage.heights("sealed_height") == [40] * 4, 3000)
    stage.fill(1)
    assert stage.heights("sealed_height") == [41] * 4


# ── 53 ────────────────────────────────────────────────────────────────────────────────────────────


def test_53_old_checkpoint_replay_never_lowers_the_window_not_even_after_a_restart(make_stage):
    """Everything that was ever said is said again, to everybody, before and after all restart."""
    stage = make_stage()
    stage.fill(12)
    recorded = [packet for packet in stage.sent if packet.kind in (CHECKPOINT, STATUS, PREPARE, COMMIT)]
    before = {member: dict(stage.disk[member].blocks) for member in stage.members}

    def replay():
        for packet in recorded:
            stage.hear(packet.receiver, packet.data)
            assert stage.replicas[packet.receiver].sealed_height == 12
        stage.settle()

    replay()
    stage.restart(*stage.members)
    assert stage.heights("sealed_height") == [12] * 4
    replay()
    stage.run(500)
    assert {member: dict(stage.disk[member].blocks) for member in stage.members} == before
    stage.fill(1)
    assert stage.heights("sealed_height") == [13] * 4
