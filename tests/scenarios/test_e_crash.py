"""Death at any moment: what was sent is on the disk, what is on the disk is said again, and nothing else ever is.

`Power` fails at a chosen point of real file work: a write, a flush, a rename, a message that leaves, a block that is
stored. `World` is what survives it: the directory, and what the others saw.
"""

import contextlib
import os
import shutil
import time
from pathlib import Path

import pytest

from consensus import Replica, Tip, Turn, actions, events, first_journal
from consensus.events import BodiesReady, Executed
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    STATUS,
    SUSPECT,
    VIEW_CHANGE,
    open_envelope,
)
from consensus.recovery import Certified, CheckpointSigned, Voted, read_record
from consensus.simulation.prng import Prng
from consensus.simulation.stubs import CHAIN_ID, EPOCH_START_MS, stub_verify
from ledger.errors import DatabaseInUse
from ledger.journal import Journal
from ledger.lock import DirectoryLock
from ledger.store import BlockStore, marker_path
from ledger.types import Batch
from network.driver import REPLICA_RECORD, Driver, split_journal

NOW = EPOCH_START_MS
MEMBER = 1  # the one whose power fails: a backup of view 0, the first to propose in view 1
PEERS = (0, 2, 3)
ROUNDS_MAX = 12


class Killed(BaseException):
    """The process ends here, whatever it was about to do."""


class Power:
    """Counts the points at which a process can die, and ends it at one: before, half way, or after."""

    def __init__(self, fails_at=0, how="after"):
        self.fails_at, self.how = fails_at, how
        self.points = 0
        self.dead = False

    def point(self, act, half=lambda: None):
        """Do it, unless the power is gone or fails now."""
        if self.dead:
            raise Killed
        self.points += 1
        if self.points != self.fails_at:
            return act()
        self.dead = True
        if self.how != "before":
            half() if self.how == "half" else act()
        raise Killed


class Disk:
    """The system calls of one directory, each a point of failure, and what of the files is flushed."""

    def __init__(self, directory, flushed, power, monkeypatch):
        self.directory, self.power = directory, power
        self.flushed = flushed  # path -> bytes that survive a power cut, over all lives
        self.renamed = {}  # path -> its old content, until the directory is flushed
        self._real = {name: getattr(os, name) for name in ("write", "pwrite", "fsync", "fdatasync", "rename")}
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, name))

    def _here(self, descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        return path if path == self.directory or self.directory in path.parents else None

    def write(self, descriptor, data):
        real = self._real["write"]
        if not self._here(descriptor):
            return real(descriptor, data)
        return self.power.point(lambda: real(descriptor, data), lambda: real(descriptor, data[: len(data) // 2]))

    def pwrite(self, descriptor, data, offset):
        real = self._real["pwrite"]
        if not self._here(descriptor):
            return real(descriptor, data, offset)
        return self.power.point(
            lambda: real(descriptor, data, offset), lambda: real(descriptor, data[: len(data) // 2], offset)
        )

    def fsync(self, descriptor):
        self._flush("fsync", descriptor)

    def fdatasync(self, descriptor):
        self._flush("fdatasync", descriptor)

    def _flush(self, name, descriptor):
        path = self._here(descriptor)
        if not path:
            return self._real[name](descriptor)

        def flush():  # nobody pulls the plug here, so the real call would cost time and tell nothing
            if path == self.directory:
                self.renamed.clear()
            else:
                self.flushed[path] = os.fstat(descriptor).st_size

        return self.power.point(flush)

    def rename(self, source, target, **other):
        source, target = Path(source), Path(target)
        if self.directory not in target.parents:
            return self._real["rename"](source, target, **other)

        def rename():
            self.renamed[target] = target.read_bytes() if target.exists() else None
            self._real["rename"](source, target)
            self.flushed[target] = self.flushed.pop(source, 0)

        return self.power.point(rename)


class World:
    """One member's directory over all its lives, and everything that ever left it."""

    def __init__(self, directory, forge, consortium):
        self.directory, self.forge, self.consortium = directory, forge, consortium
        self.journal_path, self.blocks_path = directory / "votes.journal", directory / "blocks"
        self.synced = []  # the blocks of the last sync
        self.question = 0  # what this member last asked of its past
        self.slots = {}  # (kind, view, height) -> body
        self.sent = []
        self.proposed = None  # the batch of height 3, once anybody saw the proposal
        self.raws = {height: consortium.transaction(height) for height in (1, 2, 3)}
        genesis = consortium.chain(0)[0]
        self.records = [genesis]
        for height in (1, 2):
            self._extend(Batch(0, height, 0, 0, NOW + height, (self._hash(height),)))
        directory.mkdir()
        journal, _ = Journal.open(self.journal_path)
        journal.append(REPLICA_RECORD + record for record in first_journal())
        journal.sync()
        journal.close()
        self.flushed = {self.journal_path: self.journal_path.stat().st_size}

    def _hash(self, height):
        return self.consortium.chain(3)[height].block.batch.hashes[0]

    def _extend(self, batch):
        parent = self.records[-1].block.header
        self.records.append(self.consortium.record(parent, batch, [self.raws[batch.height]], signers=()))

    # ── what left ─────────────────────────────────────────────────────────────────────────────────

    def seen(self, data):
        """A message left: nothing of its kind, view and height ever said anything else, and its record is durable."""
        envelope, body = open_envelope(data)
        if envelope.kind == STATUS:
            self.question = body.token or self.question
            return
        place = (envelope.kind, getattr(body, "view", 0), getattr(body, "height", 0))
        assert self.slots.setdefault(place, envelope.body) == envelope.body, f"two messages at {place}"
        if envelope.kind != SUSPECT:
            size = self.flushed[self.journal_path]
            assert envelope.signature in self.journal_path.read_bytes()[:size], f"{place} was sent before its record"
        self.sent.append((envelope, body))
        if envelope.kind == PRE_PREPARE and self.proposed is None:
            (self.proposed,) = envelope.batches
            self._extend(self.proposed)

    # ── what the others say ───────────────────────────────────────────────────────────────────────

    def say(self):
        """Everything that correct peers say, again and again, whatever of it arrived before."""
        forge = self.forge
        if self.question:
            yield from (forge.status(each, echo=self.question, answers=MEMBER, reach=3) for each in PEERS)
        for record in self.records[1:3]:
            batch = record.block.batch
            yield forge.pre_prepare(batch)
            yield from self._votes(batch, record)
        seal = forge.seal(2, self.records[2].block.header.hash, PEERS)
        yield from (forge.suspect(each, 0, 3) for each in PEERS)
        yield from (forge.view_change(each, 1, seal) for each in PEERS)
        for _ in range(2):
            yield forge.status(2, view=1, height=2, seal=seal, changing=True)
            yield None
            yield forge.status(3, view=1, height=2, seal=seal)
            yield None
        if self.proposed:
            yield from self._votes(self.proposed, self.records[3])

    def _votes(self, batch, record):
        forge = self.forge
        yield from (forge.prepare(each, batch) for each in PEERS)
        yield from (forge.commit(each, batch) for each in PEERS)
        yield from (forge.checkpoint(each, batch.height, record.block.header.hash) for each in PEERS)

    # ── what survives ─────────────────────────────────────────────────────────────────────────────

    def power_cut(self):
        """The page cache is gone: files are as they were last flushed, the block store as it was last synced."""
        for path, content in self.disk.renamed.items():
            if content is not None:
                path.write_bytes(content)
                self.flushed[path] = len(content)
        os.truncate(self.journal_path, self.flushed[self.journal_path])
        shutil.rmtree(self.blocks_path)
        marker_path(self.blocks_path).unlink(missing_ok=True)
        store = BlockStore(self.blocks_path)
        for record in self.synced:
            store.put(record)
        store.close()


class Life:
    """One process: real journal, block store and driver. Bodies, execution and peers are the test's."""

    def __init__(self, world, power, proposes):
        self.world, self.power, self.proposes = world, power, proposes
        self.halts, self.store, self.journal, self.driver = [], None, None, None

    def open(self):
        """The order of a real start: the block store, then the journal, then the replica."""
        world = self.world
        self.store = BlockStore(world.blocks_path)
        if self.store.height < 0:
            self.store.put(world.records[0])
        self.journal, records = Journal.open(world.journal_path)
        self.replica = Replica(
            member=MEMBER,
            chain_id=CHAIN_ID,
            validators=world.forge.validators,
            parameters=world.consortium.parameters,
            sign=world.forge.signers[MEMBER],
            verify=stub_verify,
            tip=self._tip(),
            journal=split_journal(records)[1],
        )
        self.driver = Driver(self.replica, self.journal, self, lambda: NOW, halted=self.halts.append)

    def _tip(self):
        record = self.store.record(self.store.sealed_height)
        batches = [self.store.record(each).block.batch for each in range(1, record.height + 1)]
        turns = tuple(Turn(batch.view, batch.proposer, batch.since) for batch in batches)
        return Tip(record.height, record.block.header.hash, record.block.header.time_ms, record.seal, turns)

    async def play(self):
        """Hear the others until height 3 is sealed here."""
        await self._turns()
        for _ in range(ROUNDS_MAX):
            for envelope in self.world.say():
                if envelope is None:
                    self.driver._fire("status")
                else:
                    self.driver.receive(0, envelope.encode())
                await self._turns()
            if self.store.sealed_height == 3:
                return
        raise AssertionError(f"stuck at {self.store.sealed_height}, {self.replica.refused}, view {self.replica.view}")

    async def _turns(self):
        await self.driver._turn()
        while self.driver._events or self.driver._inbox:
            await self.driver._turn()

    # ── performer ─────────────────────────────────────────────────────────────────────────────────

    def send(self, member, data):
        self.broadcast(data)

    def broadcast(self, data):
        self.power.point(lambda: self.world.seen(data))

    def perform(self, action):
        match action:
            case actions.RequestBatch(3, view):
                self.driver.keep_bodies([self.world.raws[3]])
                self.driver.post(events.BatchReady(3, view, (self.world._hash(3),), self.proposes, NOW))
            case actions.FetchBodies(batch, _):
                self.driver.keep_bodies([self.world.raws[batch.height]])
                self.driver.post(BodiesReady(batch.digest, NOW))
            case actions.Deliver(height, batch, _):
                parent = self.store.header(height - 1)
                record = self.world.consortium.record(parent, batch, [self.world.raws[height]], signers=())
                self.power.point(lambda: self.store.put(record))
                self.driver.post(Executed(height, record.block.header.hash, NOW))
            case actions.Sealed(height, header_hash, seal):
                assert header_hash == self.world.records[height].block.header.hash
                self.power.point(lambda: self.store.seal(height, seal))
            case actions.Halt(diagnosis):
                self.halts.append(diagnosis)

    def pinned_bodies(self):
        self.store.sync()
        self.world.synced = [self.store.record(height) for height in range(self.store.height + 1)]
        return list(self.world.raws.values())

    def end(self):
        """What the kernel does for a dead process: files are closed, nothing is flushed."""
        if self.driver:
            for timer in self.driver._timers.values():
                timer.cancel()
            self.driver._disk.shutdown(wait=True)
        for part in (self.journal, self.store):
            if part:
                part.close()
        for each in list(Path("/proc/self/fd").iterdir()):
            with contextlib.suppress(OSError):
                if self.world.directory in each.readlink().parents:
                    os.close(int(each.name))


async def live(world, power, monkeypatch, proposes=NOW + 3):
    """One life, to its end or its death; whether it died."""
    with monkeypatch.context() as patch:
        world.disk = Disk(world.directory, world.flushed, power, patch)
        life = Life(world, power, proposes)
        try:
            life.open()
            await life.play()
        except Killed:
            return True
        finally:
            life.end()
        assert life.halts == []
        return False


async def die_and_live_again(make_world, monkeypatch, point, how, cut):
    """Die at that point, then live on: never a second word in one place, and height 3 sealed in the end."""
    world = make_world()
    died = await live(world, Power(point, how), monkeypatch)
    if cut and died:
        world.power_cut()
    began = time.monotonic()
    assert not await live(world, Power(), monkeypatch, proposes=NOW + 4)
    assert time.monotonic() - began < 5
    return died


@pytest.fixture
def make_world(memory_path, forge, consortium, monkeypatch):
    monkeypatch.setattr("network.driver.JOURNAL_REWRITE_BYTES", 2000)
    made = []

    def make():
        for old in memory_path.iterdir():
            shutil.rmtree(old)
        made.append(World(memory_path / f"node{len(made)}", forge, consortium))
        return made[-1]

    return make


async def test_65_kill_the_story_itself_says_everything_that_can_be_said(make_world, monkeypatch):
    """What the next two tests cut short: without a death, every kind of message leaves and the journal is rewritten."""
    world, power = make_world(), Power()
    assert not await live(world, power, monkeypatch)
    kinds = {envelope.kind for envelope, _ in world.sent}
    assert kinds >= {PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT, SUSPECT, VIEW_CHANGE, NEW_VIEW} - {SUSPECT}
    journal, _ = Journal.open(world.journal_path)
    assert journal.generation > 1
    journal.close()
    assert 50 < power.points < POINTS


# The test above holds that the story has no more points than that; beyond its end nobody dies.
POINTS = 90


@pytest.mark.parametrize("first", range(1, POINTS, 15))
@pytest.mark.parametrize("how", ["half", "after"])
async def test_65_kill_at_every_point_of_the_commit_path(make_world, monkeypatch, how, first):
    """The process dies half way into, or right after, each write, flush, rename, message and stored block.

    Source: CometBFT's `fail.Fail` points and TestWALCrash.
    """
    for point in range(first, first + 15):
        await die_and_live_again(make_world, monkeypatch, point, how, cut=False)


@pytest.mark.parametrize("first", range(1, POINTS, 15))
async def test_65_power_cut_at_every_point_of_the_commit_path(make_world, monkeypatch, first):
    """As above, and what was not flushed is gone: the journal's tail, a rename, the block store since its last sync."""
    for point in range(first, first + 15):
        await die_and_live_again(make_world, monkeypatch, point, "after", cut=True)


@pytest.mark.parametrize("seed", range(4))
async def test_65_kill_again_and_again_while_it_comes_back(make_world, monkeypatch, seed):
    """A run of deaths, each in the recovery from the one before, some by a power cut: it comes back from the last."""
    chance = Prng(seed)
    world = make_world()
    for _ in range(12):
        power = Power(1 + chance.below(40), ("before", "half", "after")[chance.below(3)])
        if await live(world, power, monkeypatch, proposes=NOW + 3 + chance.below(3)) and chance.chance(300):
            world.power_cut()
    assert not await live(world, Power(), monkeypatch, proposes=NOW + 9)


# ── 66 ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [PREPARE, COMMIT, CHECKPOINT])
def test_66_sign_crash_sign_again_gives_the_same_bytes_or_nothing(make_solo, forge, kind):
    """A vote is signed, its record durable, the process dead: whatever is offered in its place now, no second vote.

    Source: CometBFT FilePV's CheckHRS; Diem's SafetyRules.
    """
    first, second = forge.batch(1, ("one",)), forge.batch(1, ("another",))
    solo = make_solo()
    solo.commit(first)
    solo.step(Executed(1, b"\x11" * 32, NOW))
    signed = [record for record in map(read_record, solo.records) if _kind_of(record) == kind]
    assert len(signed) == 1
    cut = next(index for index, record in enumerate(solo.records) if _kind_of(read_record(record)) == kind)
    again = make_solo(journal=solo.records[: cut + 1])
    out = again.accept(second) + again.hear(*[forge.prepare(each, second) for each in range(3)])
    for _ in range(2):
        out += again.hear(forge.status(0)) + again.tick()
    out += again.step(Executed(1, b"\x22" * 32, NOW))
    said = [open_envelope(action.data)[0] for action in out if isinstance(action, actions.Send | actions.Broadcast)]
    said = [envelope for envelope in said if envelope.kind == kind]
    assert {envelope.signature for envelope in said} == {_signature_of(signed[0])}
    assert bool(again.replica.halted) == (kind == CHECKPOINT)  # another execution than the one it signed: it stops


def _kind_of(record):
    match record:
        case Voted(kind):
            return kind
        case Certified():
            return COMMIT
        case CheckpointSigned():
            return CHECKPOINT
    return ""


def _signature_of(record):
    return record.commit_signature if isinstance(record, Certified) else record.signature


@pytest.mark.parametrize("actions_done", range(1, 40))
def test_66_sign_crash_sign_again_before_a_primary_that_says_two_things(make_stage, actions_done):
    """The power fails after so many actions; the primary then proposes something else to the member that came back.

    The stage's judges hold that no slot is ever signed twice and nothing is sent before its record.
    """
    stage = make_stage(byzantine=[0])
    first, second = stage.forge.batch(1, ("one",)), stage.forge.batch(1, ("another",))
    stage.submit("one", "another")
    stage.fuse[1] = actions_done
    _offer(stage, first, (1, 2, 3))
    if 1 not in stage.replicas:
        stage.start(1)
    stage.fuse.pop(1, None)
    _offer(stage, second, (1,))
    stage.run_until(lambda: stage.has("one", "another"), 30_000)
    assert len({stage.chain(member)[1] for member in stage.correct}) == 1


def _offer(stage, batch, receivers):
    stage.hear(receivers, stage.forge.pre_prepare(batch), stage.forge.prepare(0, batch), stage.forge.commit(0, batch))
    stage.settle()


def test_66_sign_crash_sign_again_leaves_a_view_only_once(make_solo, forge, bodies):
    """A VIEW-CHANGE that was durable and never left is the one that is said after the restart, and no other."""
    solo = make_solo()
    solo.commit(forge.batch(1))
    out = solo.hear(forge.suspect(0, 0, 2), forge.suspect(1, 0, 2))
    (left,) = bodies(out, VIEW_CHANGE)
    again = make_solo(journal=solo.records)
    assert (again.replica.view, again.replica.changing_view) == (1, True)
    out = again.hear(*[forge.suspect(each, 0, 2) for each in range(3)], forge.status(0), forge.status(1))
    assert bodies(out, VIEW_CHANGE) == [left, left]
    assert bodies(out + again.accept(forge.batch(2)), PREPARE, COMMIT) == []


# ── 67 ────────────────────────────────────────────────────────────────────────────────────────────


def test_67_own_vote_is_repeated_by_all_after_all_restarted(make_stage):
    """Everybody's PREPARE is durable and reached nobody; everybody restarts at once. The same signatures are sent
    again, and the height commits in the view it was proposed in.

    Source: Diem, issue 4390 and pull request 4843; Radix, babylon pull request 243, where several such nodes at once
    halted the network.
    """
    stage = make_stage()
    stage.submit("one")
    stage.deliver(kind=PRE_PREPARE)
    assert {packet.sender for packet in stage.drop()} == set(stage.members)
    stage.restart(*stage.members)
    stage.run_until(lambda: stage.has("one"), 900)
    assert stage.views() == [0, 0, 0, 0]
    for member in stage.members:
        assert (
            len({packet.envelope for packet in stage.sent if packet.sender == member and packet.kind == PREPARE}) == 1
        )


@pytest.mark.parametrize("kind", [PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT])
def test_67_own_vote_of_each_kind_is_repeated(make_stage, kind):
    """The network loses every message of one kind until all have restarted."""
    stage = make_stage()
    rule = stage.lose(lambda packet: packet.kind == kind)
    stage.submit("one")
    stage.settle()
    assert not stage.has("one")
    stage.restart(*stage.members)
    stage.lost.remove(rule)
    stage.run_until(lambda: stage.has("one"), 900)
    assert stage.views() == [0, 0, 0, 0]


# ── 68 ────────────────────────────────────────────────────────────────────────────────────────────


def set_back(stage, member, heights, what):
    """A copy of a member's directory is taken, the cluster goes on, and the copy comes back in place of it."""
    disk = stage.disk[member]
    journal, blocks = list(disk.journal), dict(disk.blocks)
    stage.fill(heights)
    stage.crash(member)
    disk.journal = journal
    if what == "everything":
        disk.blocks = blocks
    stage.now += 1
    stage.start(member)
    stage.settle()
    stage.run(2000)


@pytest.mark.parametrize("what", ["everything", "the journal"])
@pytest.mark.parametrize("heights", [1, 5, 250])
def test_68_restored_backup_is_silent_about_every_height_that_it_voted_at(make_stage, heights, what):
    """Nobody disagrees with what it forgot: it follows the others' seals and speaks above them, at no height twice.

    Source: CometBFT's double_sign_check_height, and its off-by-one.
    """
    stage = make_stage()
    stage.fill(6)
    set_back(stage, 3, heights, what)
    before = _votes_of(stage, 3)
    stage.fill(stage.parameters.window + 1)
    stage.run(2000)
    stage.fill(2)
    assert stage.heights("sealed_height") == [6 + heights + stage.parameters.window + 3] * 4
    assert not stage.replicas[3].silent
    new = [body.height for body in _votes_of(stage, 3) if body not in before]
    assert new
    assert min(new) > 6 + heights


@pytest.mark.parametrize("kind", [PREPARE, COMMIT, CHECKPOINT])
def test_68_restored_backup_is_found_out_by_what_the_others_hold_of_it(make_stage, kind):
    """A vote of its own that its journal should show comes back: it counts as one that lost its journal (P6.6), and
    votes again a window above anything that it can have signed.
    """
    stage = make_stage()
    stage.fill(6)
    held_up = stage.lose(lambda packet: packet.kind == kind and packet.sender in (0, 1))
    set_back(stage, 3, 1, "the journal")
    stage.lost.remove(held_up)
    assert "lost or set back" in stage.replicas[3].silence
    before = _votes_of(stage, 3)
    stage.run(3000)
    stage.fill(stage.parameters.window - 1)
    assert _votes_of(stage, 3) == before
    stage.fill(3)
    stage.run(2000)
    stage.fill(1)
    assert not stage.replicas[3].silent
    assert len(set(stage.heights("sealed_height"))) == 1
    new = [body.height for body in _votes_of(stage, 3) if body not in before]
    assert min(new) > 6 + stage.parameters.window


def test_68_restored_backup_that_is_not_old_speaks_at_once(make_stage):
    """The twin: nothing was signed since the copy was made."""
    stage = make_stage()
    stage.fill(6)
    set_back(stage, 3, 0, "everything")
    assert not stage.replicas[3].silent
    stage.fill(1)
    assert stage.heights("sealed_height") == [7] * 4
    assert 7 in [body.height for body in _votes_of(stage, 3)]


def _votes_of(stage, member):
    return [body for kind in (PREPARE, COMMIT, CHECKPOINT) for body in stage.said(member, kind)]


# ── 69 ────────────────────────────────────────────────────────────────────────────────────────────


def test_69_two_processes_one_directory_the_second_is_refused(tmp_path):
    """The whole directory is locked, and so is each file that must not have two writers."""
    first = DirectoryLock(tmp_path)
    with pytest.raises(DatabaseInUse, match=f"pid {os.getpid()}.*stop it first"):
        DirectoryLock(tmp_path)
    journal, _ = Journal.open(tmp_path / "votes.journal")
    with pytest.raises(DatabaseInUse, match=r"another process has .*votes\.journal open"):
        Journal.open(tmp_path / "votes.journal")
    journal.close()
    first.release()
    DirectoryLock(tmp_path).release()


def test_69_two_processes_one_key_in_two_directories_stop_when_they_hear_of_each_other(make_solo, forge):
    """No lock reaches across machines: the one that hears a vote of its own that it did not cast halts (P6.6)."""
    solo = make_solo(member=2)
    solo.accept(forge.batch(1, ("one",)))
    out = solo.hear(forge.prepare(2, forge.batch(1, ("another",))))
    assert [action.diagnosis for action in out if isinstance(action, actions.Halt)] == [
        "another process signs with this member's key: a prepare differs from ours"
    ]
    assert solo.hear(forge.pre_prepare(forge.batch(2, ("two",)))) == []


def test_69_two_processes_one_key_are_reported_by_everybody_who_heard_both(make_stage):
    """Each of the twins votes for another proposal. It counts once, the pair is evidence, the others go on."""
    stage = make_stage(byzantine=[2])
    stage.submit("one")
    one, another = stage.replicas[0].in_flight and stage.said(0, PRE_PREPARE), stage.forge.batch(1, ("another",))
    assert one
    batch = stage.waiting(kind=PRE_PREPARE)[0].envelope.batches[0]
    stage.hear(stage.correct, stage.forge.prepare(2, batch), stage.forge.prepare(2, another))
    stage.settle()
    stage.run(1000)
    assert stage.has("one")
    assert set(stage.evidence) == {(member, PREPARE, 2) for member in stage.correct}


# ── 78 ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
def test_78_all_off_at_once_again_and_again_under_load_loses_nothing_that_was_acknowledged(make_stage, seed):
    """Twenty-five power cuts a run, each at another moment of every member; what lay on the wire is gone, and so are
    the last blocks that no store had flushed. What a client was told is sealed is there at the end, once.

    Source: Jepsen's power failures of whole clusters.
    """
    chance = Prng(seed)
    stage = make_stage()
    acknowledged, number = set(), 0
    for _ in range(25):
        for member in stage.members:
            stage.fuse[member] = chance.between(1, 400)
        for _ in range(chance.between(1, 4)):
            number += 1
            stage.submit(f"t{number}", to=list(stage.replicas))
            stage.settle()
        stage.run(chance.below(600))
        for member in stage.members:
            acknowledged |= {each for *_, fresh, seal in stage.disk[member].blocks.values() if seal for each in fresh}
        _power_off(stage, chance)
    stage.fuse.clear()
    stage.submit(*[f"t{each}" for each in range(1, number + 1)])
    stage.run_until(lambda: stage.has(*[f"t{each}" for each in range(1, number + 1)]), 60_000)
    done = [stage.transactions(member) for member in stage.members]
    assert all(each == done[0] for each in done)
    assert len(set(done[0])) == len(done[0]) == number
    assert acknowledged <= set(done[0])
    assert len(acknowledged) > number // 5


def _power_off(stage, chance):
    """Everybody at once. A store may lose its last blocks; the journal is what was flushed."""
    stage.crash(*stage.members)
    stage.drop()
    for member in stage.members:
        blocks = stage.disk[member].blocks
        for _ in range(chance.below(stage.parameters.window + 1)):
            blocks.pop(max(blocks, default=0), None)
    for member in stage.members:
        stage.start(member)
    stage.settle()
