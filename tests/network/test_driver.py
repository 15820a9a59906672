"""The driver: records are durable before what depends on them is seen, timers fire by name, a dead disk ends voting."""

import asyncio

import pytest

from consensus import actions, events
from consensus.recovery import Anchor, BatchHeld
from ledger.errors import DataLost, StorageError
from ledger.journal import Journal
from ledger.types import Batch
from network.driver import Driver, batches_in, split_journal


class ScriptedReplica:
    """Answers each event with the actions that the test wrote for its type."""

    def __init__(self, script):
        self.script = script
        self.seen = []

    def step(self, event):
        self.seen.append(event)
        return self.script.get(type(event), [])

    def journal_snapshot(self):
        return [b"snapshot"]


class Recorder:
    """A performer that notes what it was told, and what the journal held at that moment."""

    def __init__(self, path):
        self.path = path
        self.done = []

    def durable(self):
        return self.path.read_bytes()

    def send(self, member, data):
        self.done.append(("send", member, data, b"the vote" in self.durable()))

    def broadcast(self, data):
        self.done.append(("broadcast", data, b"the vote" in self.durable()))

    def perform(self, action):
        self.done.append(("perform", action))

    def pinned_bodies(self):
        self.done.append(("pinned",))
        return [b"pinned"]


async def drive(tmp_path, script, *posted, until, keep=()):
    path = tmp_path / "votes.journal"
    journal, _ = Journal.open(path)
    replica, performer, halts = ScriptedReplica(script), Recorder(path), []
    driver = Driver(replica, journal, performer, lambda: 7, halted=halts.append)
    driver.keep_bodies(list(keep))
    task = asyncio.create_task(driver.run())
    for event in posted:
        driver.post(event)
    deadline = asyncio.get_running_loop().time() + 10
    while not until(replica, performer, halts):
        assert asyncio.get_running_loop().time() < deadline, "the expected outcome did not come"
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    journal.close()
    return replica, performer, halts, path


async def test_a_vote_is_durable_before_anybody_sees_it(tmp_path):
    script = {events.Received: [actions.Persist(b"the vote"), actions.Broadcast(b"vote"), actions.Send(2, b"vote")]}
    _, performer, _, path = await drive(
        tmp_path, script, events.Received(b"", 7), until=lambda _r, p, _h: len(p.done) == 2
    )
    assert performer.done == [("broadcast", b"vote", True), ("send", 2, b"vote", True)]
    _, records = Journal.open(path)
    assert split_journal(records) == ([], [b"the vote"])


async def test_bodies_are_durable_with_the_first_vote_after_them(tmp_path):
    script = {events.Received: [actions.Persist(b"the vote"), actions.Broadcast(b"vote")]}
    *_, path = await drive(
        tmp_path, script, events.Received(b"", 7), until=lambda _r, p, _h: p.done, keep=[b"body one", b"body two"]
    )
    _, records = Journal.open(path)
    assert split_journal(records) == ([b"body one", b"body two"], [b"the vote"])


async def test_start_is_the_first_event_and_the_order_of_events_is_kept(tmp_path):
    posted = [events.Received(bytes([n]), 7) for n in range(5)]
    replica, *_ = await drive(tmp_path, {}, *posted, until=lambda r, _p, _h: len(r.seen) == 6)
    assert replica.seen[0] == events.Start(7, replica.seen[0].token)
    assert replica.seen[1:] == posted


async def test_every_start_draws_a_token_of_its_own(tmp_path):
    starts = []
    for _ in range(3):
        replica, *_ = await drive(tmp_path, {}, until=lambda r, _p, _h: r.seen)
        starts.append(replica.seen[0].token)
    assert len(set(starts)) == 3
    assert all(0 < token <= 1 << 62 for token in starts)


async def test_a_timer_fires_by_name_and_a_cancelled_one_does_not(tmp_path):
    script = {
        events.Start: [actions.SetTimer("gone", 1), actions.SetTimer("view", 2), actions.CancelTimer("gone")],
        events.TimerFired: [actions.Broadcast(b"suspect")],
    }
    replica, *_ = await drive(tmp_path, script, until=lambda _r, p, _h: p.done)
    assert [event.name for event in replica.seen if isinstance(event, events.TimerFired)] == ["view"]


async def test_a_journal_that_cannot_be_written_ends_voting_and_nothing_is_sent(tmp_path, monkeypatch):
    def broken(_self):
        raise StorageError("fsync: input/output error")

    monkeypatch.setattr(Journal, "sync", broken)
    script = {events.Received: [actions.Persist(b"the vote"), actions.Broadcast(b"vote")]}
    _, performer, halts, _ = await drive(tmp_path, script, events.Received(b"", 7), until=lambda _r, _p, h: h)
    assert performer.done == []
    assert "votes no more" in halts[0]
    assert "input/output error" in halts[0]


async def test_a_long_journal_is_rewritten_when_all_is_performed(tmp_path, monkeypatch):
    """A seal that the snapshot counts on is in the block store by then, and that is synced before."""
    monkeypatch.setattr("network.driver.JOURNAL_REWRITE_BYTES", 1000)
    script = {events.Received: [actions.Persist(b"x" * 2000), actions.Broadcast(b"vote"), actions.Halt("any action")]}
    _, performer, _, path = await drive(
        tmp_path, script, events.Received(b"", 7), until=lambda _r, p, _h: ("pinned",) in p.done
    )
    assert [each[0] for each in performer.done] == ["broadcast", "perform", "pinned"]
    _, records = Journal.open(path)
    assert split_journal(records) == ([b"pinned"], [b"snapshot"])


async def test_a_member_that_floods_is_dropped_at_its_limit_and_delays_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setattr("network.inbox.MESSAGES_PER_MEMBER_MAX", 3)
    journal, _ = Journal.open(tmp_path / "votes.journal")
    replica = ScriptedReplica({})
    driver = Driver(replica, journal, Recorder(tmp_path), lambda: 7, halted=print)
    for number in range(5):
        driver.receive(3, b"flood %d" % number)
    driver.receive(1, b"vote")
    driver.post(events.Executed(1, bytes(32), 7))
    assert driver.events_dropped == 2
    await driver._turn()
    assert replica.seen[1] == events.Executed(1, bytes(32), 7)
    assert [event.data for event in replica.seen[2:]] == [b"flood 0", b"vote", b"flood 1", b"flood 2"]
    journal.close()


async def test_messages_that_wait_are_bounded_in_bytes_but_the_largest_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("network.inbox.BYTES_PER_MEMBER_MAX", 10)
    journal, _ = Journal.open(tmp_path / "votes.journal")
    replica = ScriptedReplica({})
    driver = Driver(replica, journal, Recorder(tmp_path), lambda: 7, halted=print)
    driver.receive(3, b"x" * 100)
    driver.receive(3, b"y")
    assert driver.events_dropped == 1
    await driver._turn()
    driver.receive(3, b"z")
    await driver._turn()
    assert [event.data for event in replica.seen[1:]] == [b"x" * 100, b"z"]
    journal.close()


async def test_a_firing_that_waits_its_turn_is_void_once_its_timer_was_set_anew(tmp_path):
    script = {
        events.Start: [actions.SetTimer("progress", 0)],
        events.Executed: [actions.SetTimer("progress", 60_000)],
    }
    replica, *_ = await drive_a_late_firing(tmp_path, script)
    assert not [event for event in replica.seen if isinstance(event, events.TimerFired)]


async def test_a_firing_that_waits_its_turn_counts_while_nothing_replaced_its_timer(tmp_path):
    replica, *_ = await drive_a_late_firing(tmp_path, {events.Start: [actions.SetTimer("progress", 0)]})
    assert [event.name for event in replica.seen if isinstance(event, events.TimerFired)] == ["progress"]


async def drive_a_late_firing(tmp_path, script):
    """The timer runs out while `Executed` waits for its step, as behind a slow flush."""
    journal, _ = Journal.open(tmp_path / "votes.journal")
    replica = ScriptedReplica(script)
    driver = Driver(replica, journal, Recorder(tmp_path), lambda: 7, halted=print)
    await driver._turn()
    driver.post(events.Executed(1, bytes(32), 7))
    while len(driver._events) < 2:
        await asyncio.sleep(0.001)
    await driver._turn()
    driver.halt()
    await driver.run()  # lets the timers go
    journal.close()
    return replica, driver


async def test_a_halted_driver_steps_nothing_sends_nothing_and_keeps_nothing(tmp_path):
    journal, _ = Journal.open(tmp_path / "votes.journal")
    script = {events.Received: [actions.Persist(b"the vote"), actions.Broadcast(b"vote")]}
    replica, performer = ScriptedReplica(script), Recorder(tmp_path / "votes.journal")
    driver = Driver(replica, journal, performer, lambda: 7, halted=print)
    driver.receive(1, b"")
    driver.halt()
    driver.receive(1, b"")
    driver.post(events.Executed(1, bytes(32), 7))
    driver.keep_bodies([b"body"])
    await driver.run()
    assert (replica.seen, performer.done) == ([], [])
    assert not driver._events
    assert not driver._inbox
    assert not driver._bodies_to_append
    journal.close()


async def test_a_vote_that_was_being_written_when_the_node_halted_does_not_leave(tmp_path, monkeypatch):
    journal, _ = Journal.open(tmp_path / "votes.journal")
    script = {events.Start: [actions.Persist(b"the vote"), actions.Broadcast(b"vote")]}
    performer = Recorder(tmp_path / "votes.journal")
    driver = Driver(ScriptedReplica(script), journal, performer, lambda: 7, halted=print)
    sync, loop = Journal.sync, asyncio.get_running_loop()

    def sync_while_the_node_halts(self):
        loop.call_soon_threadsafe(driver.halt)
        sync(self)

    monkeypatch.setattr(Journal, "sync", sync_while_the_node_halts)
    await driver.run()
    assert performer.done == []
    journal.close()


async def test_bodies_without_a_vote_are_written_before_they_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr("network.driver.BODIES_PENDING_BYTES_MAX", 5)
    *_, path = await drive(tmp_path, {}, until=lambda r, _p, _h: len(r.seen) == 1, keep=[b"body"])
    assert split_journal(Journal.open(path)[1]) == ([], [])
    path.unlink()
    *_, path = await drive(tmp_path, {}, until=lambda _r, _p, _h: b"body two" in path.read_bytes(), keep=[b"body two"])
    assert split_journal(Journal.open(path)[1]) == ([b"body two"], [])


async def test_bodies_that_wait_for_their_vote_outlive_a_rewriting(tmp_path, monkeypatch):
    monkeypatch.setattr("network.driver.JOURNAL_REWRITE_BYTES", 10)
    journal, _ = Journal.open(tmp_path / "votes.journal")
    performer = Recorder(tmp_path / "votes.journal")
    driver = Driver(ScriptedReplica({}), journal, performer, lambda: 7, halted=print)
    driver.keep_bodies([b"own proposal", b"pinned"])
    await driver._rewrite()
    journal.close()
    _, records = Journal.open(tmp_path / "votes.journal")
    assert split_journal(records) == ([b"pinned", b"own proposal"], [b"snapshot"])


async def test_a_journal_that_must_be_large_is_not_rewritten_with_every_vote(tmp_path, monkeypatch):
    monkeypatch.setattr("network.driver.JOURNAL_REWRITE_BYTES", 100)
    journal, _ = Journal.open(tmp_path / "votes.journal")
    driver = Driver(
        ScriptedReplica({events.Received: [actions.Persist(b"v")]}),
        journal,
        Recorder(tmp_path),
        lambda: 7,
        halted=print,
    )
    for _ in range(5):
        driver.receive(1, b"")
        await driver._turn()
    assert journal.generation == 2
    journal.close()


def test_the_batches_of_a_journal_are_those_that_its_votes_rest_on():
    batch = Batch(0, 7, 0, 0, 1000, (bytes(32),))
    assert batches_in([Anchor(3).encode(), BatchHeld(batch.digest, batch).encode()]) == [batch]


def test_a_journal_with_what_is_no_record_is_a_damaged_one():
    with pytest.raises(DataLost, match="never writes"):
        batches_in([b"no record"])
