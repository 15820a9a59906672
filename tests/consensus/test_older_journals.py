"""Every older copy of a journal, restored under peers that hold everything: its member never contradicts itself.

A recorded life goes through blocks, a view change and votes that are still open. Each prefix of what was made durable
is given to a new process, with the block store of that day or of the last one. Two peers, in every choice, answer its
question honestly; the third is the adversary and sends whatever could make it sign again: other batches at every
height and view, certificates for them, other views. The simulator's judge knows all that this member ever let out.
"""

import copy
from itertools import combinations

import pytest

from consensus import first_journal
from consensus.actions import Broadcast, Persist, Send
from consensus.events import BatchReady, Executed, RequestsWaiting, Start, TimerFired
from consensus.messages import COMMIT, PREPARE, STATUS, open_envelope
from consensus.recovery import CheckpointSigned, read_record
from consensus.simulation.checkers import Violation, VoteChecker
from consensus.simulation.stubs import GENESIS

NOW = 1_700_000_000_000
ANCHOR = first_journal()
WINDOW = 2
DAY_MS = 86_400_000


class Life:
    """What one member made durable and let out, in order; and its peers as they stand at the end."""

    def __init__(self, bench, lock_step, member, story):
        self.bench, self.member = bench, member
        self.did = []
        self.cluster = lock_step(bench)
        perform = self.cluster.perform

        def recorded(who, action):
            if who == member:
                self.did.append(action)
            perform(who, action)

        self.cluster.perform = recorded
        story(self.cluster, bench)
        self.records = [action.record for action in self.did if isinstance(action, Persist)]
        self.judge = VoteChecker(member)
        let_out(self.judge, self.did)

    def sealed_by(self, count):
        """What the block store may hold after so many records: every height below one whose CHECKPOINT was signed."""
        opened = [read_record(record) for record in self.records[:count]]
        return max((each.checkpoint.height - 1 for each in opened if isinstance(each, CheckpointSigned)), default=0)

    def restored(self, count, tip_height, answering, day):
        """A process with an older journal that has heard `answering`; and all that it did since."""
        bench = self.bench
        tip = bench.tip(tip_height) if tip_height else GENESIS
        replica = bench.replica(self.member, journal=ANCHOR + self.records[:count], tip=tip, start=False)
        out = replica.step(Start(NOW + (day + 1) * DAY_MS, day + 1))
        for question in [action.data for action in out if isinstance(action, Broadcast)]:
            for peer in answering:
                self.cluster.replicas[peer].step(TimerFired("status", NOW))  # each day it answers anew
                replies = bench.hear(self.cluster.replicas[peer], question)
                sent = [each.data for each in replies if isinstance(each, Send) and each.member == self.member]
                out += bench.hear(replica, *sent)
        assert not answering or "just started" not in replica.silence
        return replica, out


def quiet(cluster, bench):
    """Four blocks, sealed everywhere, and nothing since: only seals tell of it."""
    for height in range(1, 5):
        propose(cluster, bench.batch(height, 0, (str(height),)))
    assert [replica.sealed_height for replica in cluster.replicas.values()] == [4] * 4


def busy(cluster, bench):
    """Two blocks; one more prepared when its view is left; two blocks in the next view; votes at an open height."""
    for height, names in ((1, ("a",)), (2, ("b",))):
        propose(cluster, bench.batch(height, 0, names))
    third = bench.batch(3, 0, ("c",))
    lose(cluster, lambda sender, receiver, kind: kind == COMMIT)
    propose(cluster, third)
    for member in range(4):
        cluster.tell(member, RequestsWaiting(True, NOW))
    cluster.run()
    lose(cluster, lambda *_: False)
    for member in range(4):
        cluster.expire(member)
    cluster.run()
    propose(cluster, bench.batch(4, 1, ("d",), since=4))
    lose(cluster, lambda sender, receiver, kind: kind == COMMIT and sender > 1)
    propose(cluster, bench.batch(5, 1, ("e",), since=4))
    assert {replica.view for replica in cluster.replicas.values()} == {1}
    assert [replica.sealed_height for replica in cluster.replicas.values()] == [4] * 4


def propose(cluster, batch):
    cluster.tell(batch.proposer, BatchReady(batch.height, batch.view, batch.hashes, NOW, NOW))
    cluster.run()


def lose(cluster, lost):
    """From now on messages for which `lost(sender, receiver, kind)` holds reach nobody."""
    tell = type(cluster).tell

    def told(receiver, event):
        if hasattr(event, "data"):
            envelope, body = open_envelope(event.data)
            if lost(body.sender, receiver, envelope.kind):
                return
        tell(cluster, receiver, event)

    cluster.tell = told


def attack(bench, replica, member):
    """Everything that could make it sign anew, in views that it has been in and in the next."""
    others = [each for each in range(4) if each != member]
    out = []
    for view in (0, 1, 2):
        if view:
            left = [bench.view_change(each, view) for each in others]
            out += bench.hear(replica, *left, bench.new_view(left, view))
        for height in range(1, 8):
            for since, proposer in {(1, 0), (1, view), (4, view), (replica._core.fresh_from, view)}:
                if proposer != member:
                    batch = bench.batch(height, view, ("other",), proposer=proposer, since=since)
                    out += bench.hear(replica, bench.pre_prepare(batch))
                    out += replica.step(bench.bodies(batch))
                    out += bench.hear(replica, *[bench.prepare(each, batch) for each in others])
                    out += bench.hear(replica, *[bench.commit(each, batch) for each in others])
            out += replica.step(BatchReady(height, view, bench.batch(names=("mine",)).hashes, NOW, NOW))
            out += replica.step(Executed(height, bench.seal(height).header_hash, NOW))
        out += bench.hear(replica, *[bench.suspect(each, view, 9) for each in others])
        out += replica.step(TimerFired("status", NOW)) + replica.step(TimerFired("progress", NOW))
    return out


def let_out(judge, actions):
    """Let the judge see, in order, what became durable and what left the node. Raises `Violation`."""
    for action in actions:
        if isinstance(action, Persist):
            judge.on_durable(action.record)
        elif isinstance(action, Send | Broadcast):
            judge.on_sent(action.data)


def votes_in(actions):
    kinds = [open_envelope(each.data)[0].kind for each in actions if isinstance(each, Send | Broadcast)]
    return [kind for kind in kinds if kind != STATUS]


@pytest.fixture(params=[0, 1, 2], ids=["first primary", "second primary", "backup"])
def member(request):
    return request.param


@pytest.fixture
def life(make_bench, lock_step, member):
    return Life(make_bench(window=WINDOW), lock_step, member, busy)


@pytest.fixture(params=[busy, quiet])
def any_life(request, make_bench, lock_step, member):
    return Life(make_bench(window=WINDOW), lock_step, member, request.param)


def answering(member):
    return list(combinations([each for each in range(4) if each != member], 2))


def test_no_older_copy_makes_it_contradict_itself(any_life):
    life, day = any_life, 0
    for count in range(len(life.records) + 1):
        for peers in answering(life.member):
            for tip_height in sorted({0, life.sealed_by(count), 4}):
                day += 1
                replica, out = life.restored(count, tip_height, peers, day)
                out += attack(life.bench, replica, life.member)
                try:
                    let_out(copy.deepcopy(life.judge), out)
                except Violation as violation:
                    raise AssertionError(
                        f"{count} of {len(life.records)} records, store at {tip_height}, {peers} answered: {violation}"
                    ) from violation


def test_the_whole_journal_is_trusted_and_votes_on(life):
    """The twin: silence would pass the test above."""
    for day, peers in enumerate(answering(life.member)):
        replica, _ = life.restored(len(life.records), 4, peers, day)
        assert replica.silence == ""
        batch = life.bench.batch(6, 1, ("f",), since=4)
        if life.member != 1:
            out = life.bench.hear(replica, life.bench.pre_prepare(batch)) + replica.step(life.bench.bodies(batch))
            assert votes_in(out) == [PREPARE]


def test_the_attack_would_be_seen(life, monkeypatch):
    """The other twin: with a start that believes whatever journal it finds, the judge has something to say."""
    monkeypatch.setattr("consensus.amnesia.recognise", lambda *_: "known")
    replica, out = life.restored(0, 0, (), 0)
    replica._core.safety.listening = False
    with pytest.raises(Violation, match="signed two of"):
        let_out(copy.deepcopy(life.judge), out + attack(life.bench, replica, life.member))
