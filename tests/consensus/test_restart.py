"""kill -9 at every point: after a restart the same bytes or silence, never a second message for one slot."""

import pytest

from consensus import first_journal
from consensus.actions import Broadcast, Deliver, Halt, Persist, RequestBatch, Send
from consensus.errors import JournalDamaged
from consensus.events import BatchReady, BodiesReady, Executed, Start
from consensus.messages import (
    COMMIT,
    PRE_PREPARE,
    PREPARE,
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    open_envelope,
)

NOW = 1_700_000_000_000
ANCHOR = first_journal()


def votes_in(actions):
    """Every signed vote that leaves, by its slot."""
    found = {}
    for action in actions:
        if isinstance(action, Send | Broadcast):
            envelope, body = open_envelope(action.data)
            if envelope.kind not in (STATUS, SUSPECT):
                slot = (envelope.kind, body.sender, getattr(body, "view", None), getattr(body, "height", None))
                found.setdefault(slot, set()).add(envelope.body)
    return found


def backup_story(bench):
    """What a backup hears: a block, a view change, another block. Written as steps, so that it can be cut anywhere."""
    first, second = bench.batch(1), bench.batch(2, view=1, names=("b",), since=2)
    left = [bench.view_change(each, 1, seal=bench.seal(1)) for each in (0, 1, 3)]
    return [
        bench.pre_prepare(first),
        BodiesReady(first.digest, NOW),
        bench.prepare(0, first),
        bench.prepare(3, first),
        bench.commit(0, first),
        bench.commit(3, first),
        Executed(1, bench.seal(1).header_hash, NOW),
        bench.checkpoint(0, 1),
        bench.checkpoint(3, 1),
        bench.suspect(0, 0, 2),
        bench.suspect(3, 0, 2),
        bench.new_view(left),
        bench.pre_prepare(second),
        BodiesReady(second.digest, NOW),
        bench.prepare(1, second),
        bench.prepare(3, second),
        bench.commit(1, second),
        bench.commit(3, second),
    ]


def play(bench, replica, steps):
    out = []
    for step in steps:
        out += bench.hear(replica, step) if hasattr(step, "kind") else replica.step(step)
    return out


def cut(actions, records):
    """What was performed before a crash that let so many records reach the disk: (journal, what left the node)."""
    journal, left = list(ANCHOR), []
    for action in actions:
        if isinstance(action, Persist):
            if len(journal) > records:
                break
            journal.append(action.record)
        else:
            left.append(action)
    return journal, left


def contradicting_story(bench):
    """The same slots with other batches, from a primary that uses the restart to change its mind."""
    first, second = bench.batch(1, names=("x",)), bench.batch(2, view=1, names=("y",))
    left = [bench.view_change(each, 1) for each in (0, 1, 3)]
    return [
        bench.pre_prepare(first),
        BodiesReady(first.digest, NOW),
        *[bench.prepare(each, first) for each in (0, 1, 3)],
        *[bench.commit(each, first) for each in (0, 1, 3)],
        bench.suspect(0, 0, 2),
        bench.suspect(3, 0, 2),
        bench.new_view(left),
        bench.pre_prepare(second),
        BodiesReady(second.digest, NOW),
        *[bench.prepare(each, second) for each in (0, 1, 3)],
    ]


@pytest.mark.parametrize("records", range(11))
@pytest.mark.parametrize("story", [backup_story, contradicting_story])
def test_killed_at_every_persist_it_never_contradicts_itself(bench, records, story):
    actions = play(bench, bench.replica(2), backup_story(bench))
    assert sum(isinstance(action, Persist) for action in actions) == 11
    journal, before = cut(actions, records)
    again = bench.replica(2, journal=journal, start=False)
    after = again.step(Start(NOW)) + play(bench, again, story(bench))
    for slot, bodies in votes_in(before + after).items():
        assert len(bodies) == 1, f"two messages for {slot}"


def test_a_persisted_vote_that_was_never_sent_is_sent_in_the_very_same_bytes(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    out = bench.accept(replica, batch)
    journal = ANCHOR + [action.record for action in said(out).of(Persist)]
    again = bench.replica(2, journal=journal)
    answer = bench.hear(again, bench.status(0))  # a peer that lacks everything
    assert bench.prepare(2, batch).encode() in [action.data for action in said(answer).of(Send)]


def test_a_committed_height_is_delivered_again_from_the_journal(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    out = bench.commit_block(replica, batch)
    journal = ANCHOR + [action.record for action in said(out).of(Persist)]
    again = bench.replica(2, journal=journal, start=False)
    assert said(again.step(Start(NOW))).of(Deliver) == [Deliver(1, batch, batch.digest)]


def test_other_execution_than_it_had_signed_stops_it(bench, said):
    replica = bench.replica(2)
    out = bench.commit_block(replica, bench.batch())
    out += replica.step(Executed(1, b"a" * 32, NOW))
    again = bench.replica(2, journal=ANCHOR + [action.record for action in said(out).of(Persist)])
    assert said(again.step(Executed(1, b"b" * 32, NOW))).of(Halt)


def test_restarted_while_changing_view_it_still_is_and_votes_for_nothing_older(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    out = bench.accept(replica, batch)
    out += bench.hear(replica, bench.suspect(0), bench.suspect(3))
    again = bench.replica(2, journal=ANCHOR + [action.record for action in said(out).of(Persist)])
    assert (again.view, again.changing_view) == (1, True)
    assert bench.hear(again, bench.prepare(0, batch), bench.prepare(3, batch)) == []
    answer = bench.hear(again, bench.status(1))
    assert said(answer).messages(VIEW_CHANGE) == said(out).messages(VIEW_CHANGE)


def test_restarted_in_a_later_view_it_proves_the_view_to_others(bench, said):
    replica = bench.replica(2)
    new_view = bench.new_view([bench.view_change(each, 1) for each in (0, 1, 3)])
    out = bench.hear(replica, new_view)
    again = bench.replica(2, journal=ANCHOR + [action.record for action in said(out).of(Persist)])
    assert (again.view, again.changing_view) == (1, False)
    assert new_view.encode() in [action.data for action in said(bench.hear(again, bench.status(0))).of(Send)]


def test_a_restarted_primary_sends_its_proposal_again_and_goes_on_above_it(bench, said):
    replica, batch = bench.replica(0), bench.batch()
    out = replica.step(BatchReady(1, 0, batch.hashes, NOW, NOW))
    again = bench.replica(0, journal=ANCHOR + [action.record for action in said(out).of(Persist)], start=False)
    assert said(again.step(Start(NOW))).of(RequestBatch) == [RequestBatch(2, 0)]
    assert said(bench.hear(again, bench.status(1))).kinds() == [STATUS, PRE_PREPARE, PREPARE][:2]


def test_a_prepared_certificate_is_carried_over_a_restart_into_the_view_change(bench, said):
    replica, batch = bench.replica(2), bench.batch()
    out = bench.accept(replica, batch)
    out += bench.hear(replica, bench.prepare(0, batch), bench.prepare(3, batch))
    assert COMMIT in said(out).kinds()
    again = bench.replica(2, journal=ANCHOR + [action.record for action in said(out).of(Persist)])
    out = bench.hear(again, bench.suspect(0), bench.suspect(3))
    (body,) = said(out).messages(VIEW_CHANGE)
    assert body.prepared == (bench.certificate(batch, members=(0, 2, 3)),)


def test_what_its_clock_kept_it_from_preparing_it_does_not_prepare_after_a_restart(bench, said):
    replica, batch = bench.replica(2), bench.batch(time_ms=NOW + 60_000)
    out = bench.accept(replica, batch)
    out += bench.hear(replica, *[bench.prepare(each, batch) for each in (0, 1, 3)])
    assert said(out).kinds() == []
    out += replica.step(bench.bodies(batch))
    assert said(out).kinds() == [COMMIT]
    again = bench.replica(2, journal=ANCHOR + [action.record for action in said(out).of(Persist)])
    out = bench.hear(again, bench.commit(0, batch), bench.status(1))
    assert said(out).messages(PREPARE) == []
    assert said(out).messages(COMMIT)


def test_a_snapshot_holds_all_that_the_journal_held(bench, said):
    replica = bench.replica(2)
    play(bench, replica, backup_story(bench))
    whole = bench.replica(2, journal=replica.journal_snapshot())
    assert (whole.view, whole.changing_view) == (replica.view, replica.changing_view)
    assert whole.journal_snapshot() == replica.journal_snapshot()
    assert whole._core.safety._votes.keys() >= replica._core.safety._votes.keys()


def test_a_snapshot_forgets_what_lies_two_windows_below_the_seal(make_bench):
    bench = make_bench(window=1)
    replica = bench.replica(2)
    sizes = []
    for height in range(1, 9):
        bench.commit_block(replica, bench.batch(height, names=(str(height),), proposer=(height - 1) // 4))
        bench.seal_block(replica, height)
        sizes.append(len(replica.journal_snapshot()))
    assert sizes[3:] == [sizes[3]] * 5
    assert replica.sealed_height == 8


def test_a_store_that_lost_more_than_the_journal_keeps_makes_it_silent_until_it_caught_up(make_bench, said):
    bench = make_bench(window=1)
    replica = bench.replica(2)
    for height in range(1, 6):
        bench.commit_block(replica, bench.batch(height, names=(str(height),), proposer=(height - 1) // 4))
        bench.seal_block(replica, height)
    behind = bench.replica(2, journal=replica.journal_snapshot(), tip=bench.tip(1))
    assert behind.silent
    assert said(bench.accept(behind, bench.batch(2, names=("other",)))).kinds() == []
    level = bench.replica(2, journal=replica.journal_snapshot(), tip=bench.tip(3))
    assert not level.silent


def test_with_its_last_blocks_lost_it_hides_no_certificate_from_a_new_view(make_bench, said):
    bench = make_bench(window=2)
    replica, records = bench.replica(2), []
    for height in range(1, 4):
        out = bench.commit_block(replica, bench.batch(height, names=(str(height),)))
        out += bench.seal_block(replica, height) if height < 3 else []
        records += [action.record for action in said(out).of(Persist)]
    lost = bench.replica(2, journal=ANCHOR + records)  # sealed up to 2, holds nothing; its COMMIT at 3 is beyond 0 + W
    bench.hear(lost, bench.suspect(0, height=9), bench.suspect(3, height=9))
    assert not lost.changing_view
    out = bench.seal_block(lost, 1)  # executed again from the journal; the others sent their CHECKPOINTs again
    (body,) = said(out).messages(VIEW_CHANGE)
    assert [each.height for each in body.prepared] == [2, 3]


@pytest.mark.parametrize("record", [b"", b"\x00", b"\x92\xa5other\x00"])
def test_a_record_that_this_program_never_writes_is_refused(bench, record):
    with pytest.raises(JournalDamaged):
        bench.replica(2, journal=[*ANCHOR, record])


def test_so_is_a_vote_whose_batch_is_missing(bench, said):
    out = bench.accept(bench.replica(2), bench.batch())
    records = [action.record for action in said(out).of(Persist)]
    with pytest.raises(JournalDamaged, match="does not hold"):
        bench.replica(2, journal=ANCHOR + records[1:])


def test_before_start_nothing_happens_and_start_happens_once(bench):
    replica = bench.replica(2, start=False)
    assert bench.hear(replica, bench.pre_prepare(bench.batch())) == []
    assert replica.step(Start(NOW)) != []
    assert replica.step(Start(NOW)) == []
