"""The driver: records are durable before what depends on them is seen, timers fire by name, a dead disk ends voting."""

import asyncio

from consensus import actions, events
from ledger.errors import StorageError
from ledger.journal import Journal
from network.driver import Driver, split_journal


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
    assert replica.seen[0] == events.Start(7)
    assert replica.seen[1:] == posted


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


async def test_a_long_journal_is_rewritten_with_what_is_still_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("network.driver.JOURNAL_REWRITE_BYTES", 1000)
    script = {events.Received: [actions.Persist(b"x" * 2000), actions.Broadcast(b"vote")]}
    *_, path = await drive(tmp_path, script, events.Received(b"", 7), until=lambda _r, p, _h: p.done)
    _, records = Journal.open(path)
    assert split_journal(records) == ([b"pinned"], [b"snapshot"])


async def test_a_flood_of_votes_is_dropped_at_the_limit_and_what_the_node_itself_says_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("network.driver.EVENTS_QUEUED_MAX", 3)
    journal, _ = Journal.open(tmp_path / "votes.journal")
    driver = Driver(ScriptedReplica({}), journal, Recorder(tmp_path), lambda: 7, halted=print)
    for _ in range(5):
        driver.post(events.Received(b"", 7))
    driver.post(events.Executed(1, bytes(32), 7))
    assert driver.events_dropped == 3
    assert len(driver._events) == 4  # Start among them
    journal.close()
