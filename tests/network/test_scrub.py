"""A running node reads again what it has stored, and has it mended: by peers, from itself, or it stops and says why."""

import asyncio
from dataclasses import replace

import msgspec
import plyvel
import pytest

from contracts.engine import Engine
from ledger.errors import DataLost, StorageError
from ledger.genesis import load_genesis
from ledger.snapshot_file import SnapshotFile
from ledger.snapshot_maker import make_snapshot
from ledger.state import State
from ledger.store import BlockStore, damage_path, marker_path
from network import present, supervisor
from network.api import (
    NodeStatus,
    NodeUnavailable,
    ScrubbedState,
    ScrubStatus,
)
from network.cli.reading import _scrub
from network.executor_link import ExecutorLink
from network.executor_process import damage_in
from network.gateway.metrics import Page, add_node
from network.scrub import scrubber as module
from network.scrub.mender import BlockMender
from network.scrub.scrubber import Parts, Scrubber
from network.snapshots.keeper import snapshot_path
from network.supervisor import Child, ChildSpec
from network.testnet import make_testnet
from network.wire import Blocks, BlocksRequest
from scripts.paper_node import PaperNode

BLOCKS = 8
WRONG = 5
FAST = 1 << 30


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    node = PaperNode(tmp_path_factory.mktemp("paper") / "node")
    for _ in range(BLOCKS - 2):
        node.block([node.transfer() for _ in range(2)])
    node.close()
    store = BlockStore(node.paths.blocks)
    node.records = [store.record(height) for height in range(BLOCKS + 1)]
    store.close()
    state = State.open(node.paths.state)
    node.entries = list(state.walk(BLOCKS))
    state.close()
    return node


class Peer:
    """Another member: gives what it has, bent as it likes."""

    def __init__(self, records, bend=lambda records: records, silent=False):
        self.records, self.bend, self.silent = records, bend, silent
        self.asked = []


class Node:
    """What a scrubber is given, over a store whose rows were damaged before it was opened."""

    def __init__(self, paper, directory, *, peers=None, sparable=False):
        self.paper = paper
        self.path = directory / "blocks"
        self.snapshots = directory / "snapshots"
        self.snapshots.mkdir(exist_ok=True)
        self.store = BlockStore(self.path)
        self.peers = peers if peers is not None else {1: Peer(paper.records)}
        self.linked = set(self.peers)
        self.halted, self.remade, self.state_made, self.journal_written = [], [], 0, 0
        self.spared = self.ended = False
        self.state_faults, self.journal_faults = [], []
        self.root = paper.records[BLOCKS].block.header.state_root
        self.mender = BlockMender(genesis=paper.genesis, send=self.send, linked=lambda: self.linked, answer_s=0.05)
        self.scrubber = Scrubber(
            Parts(
                genesis=paper.genesis,
                store=self.store,
                snapshots=self.snapshots,
                mender=self.mender,
                scrub_state=self.scrub_state,
                remake_state=self.remake_state,
                journal=self.journal,
                rewrite_journal=self.rewrite_journal,
                spared=lambda: self.spared,
                sparable=sparable,
                remake_store=self.remade.append,
                halt=self.halted.append,
            ),
            FAST,
            rests=0,
        )

    def send(self, member, message):
        assert isinstance(message, BlocksRequest)
        peer = self.peers[member]
        peer.asked.append((message.first, message.last))
        if not peer.silent:
            answer = Blocks(message.first, tuple(peer.bend(peer.records[message.first : message.last + 1])))
            asyncio.get_running_loop().call_soon(self.mender.take, member, answer)
        return True

    async def scrub_state(self, after):
        fault = self.state_faults.pop(0) if self.state_faults else ""
        if isinstance(fault, Exception):
            raise fault
        return ScrubbedState(b"" if after else b"x", 100, 0.0, 200, BLOCKS, self.root, fault)

    async def remake_state(self):
        self.state_made += 1

    def journal(self):
        yield 10
        if self.journal_faults:
            raise self.journal_faults.pop(0)

    def rewrite_journal(self):
        self.journal_written += not self.ended
        return not self.ended

    async def scrub(self):
        await self.scrubber.run_pass()
        return self.scrubber.report.status()

    def close(self):
        self.scrubber.close()
        self.store.close()


@pytest.fixture
def node_of(paper, tmp_path):
    """`node_of(damage...)`: a node whose rows were changed like this, (key, to), before it was started."""
    store = BlockStore(tmp_path / "blocks")
    for record in paper.records:
        store.put(record)
    store.sync()
    store.close()
    made = []

    def make(*damage, **options):
        database = plyvel.DB(str(tmp_path / "blocks"))
        for key, to in damage:
            value = database.get(key)
            database.delete(key) if to is None else database.put(key, to(value))
        database.close()
        made.append(Node(paper, tmp_path, **options))
        return made[-1]

    yield make
    for node in made:
        node.close()


def row(kind, height=WRONG):
    return kind + height.to_bytes(8, "big")


def flip(at):
    def to(value):
        changed = bytearray(value)
        changed[at] ^= 4
        return bytes(changed)

    return to


def stored(node):
    return [node.store.record(height) for height in range(BLOCKS + 1)]


# ── nothing is wrong ──────────────────────────────────────────────────────────────────────────────


async def test_a_whole_node_is_read_in_full_and_nobody_is_asked(node_of):
    node = node_of()
    status = await node.scrub()
    assert (status.part, status.passes, status.found, status.mended, status.problems) == ("waiting", 1, 0, 0, ())
    assert status.bytes_read > sum(len(raw) for record in node.paper.records for raw in record.bodies)
    assert status.last_pass_ms > 0
    assert node.peers[1].asked == []
    assert (await node.scrub()).passes == 2


async def test_it_rests_after_every_step(node_of, monkeypatch):
    """So many bytes a second at most, and most of the time at rest whatever a step costs."""
    node = node_of()
    rests = []

    async def rest(seconds):
        rests.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", rest)
    node.scrubber._bytes_per_second, node.scrubber._rests = 1000, 49
    await node.scrubber._rest(5000, 0.01)
    await node.scrubber._rest(10, 0.01)
    assert rests == [5.0, 0.49]


async def test_it_waits_while_the_validator_has_better_things_to_do_but_not_for_ever(node_of, monkeypatch):
    node = node_of()
    rests, busy = [], [True, True, True, False]

    async def rest(seconds):
        rests.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", rest)
    node.scrubber._parts = replace(node.scrubber._parts, busy=lambda: busy.pop(0))
    await node.scrubber._rest(0, 0.0)
    assert rests == [0.0, *[module.BUSY_LOOK_S] * 3]
    node.scrubber._parts = replace(node.scrubber._parts, busy=lambda: True)
    rests.clear()
    await node.scrubber._rest(0, 0.0)
    assert sum(rests) == module.BUSY_MAX_S


# ── blocks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "to"), [(b"h", flip(-1)), (b"b", None), (b"b", flip(-1)), (b"s", None), (b"s", flip(-1))]
)
async def test_a_damaged_block_comes_from_a_peer_and_nothing_is_left_for_the_next_start(node_of, kind, to, caplog):
    node = node_of((row(kind), to))
    status = await node.scrub()
    assert (status.found, status.mended, status.problems) == (1, 1, ())
    assert f"block {WRONG} is whole again, from v1" in status.latest
    assert "DAMAGED: block 5" in caplog.text
    assert "MENDED: block 5 is whole again, from v1" in caplog.text
    assert node.peers[1].asked == [(WRONG, WRONG)]
    assert stored(node) == node.paper.records
    assert not damage_path(node.path).exists()
    assert node.remade == node.halted == []


async def test_damaged_blocks_side_by_side_are_mended_from_the_top(node_of):
    node = node_of((row(b"h", 4), flip(50)), (row(b"h", 5), flip(50)), (row(b"b", 6), None))
    status = await node.scrub()
    assert (status.found, status.mended, status.problems) == (3, 3, ())
    assert stored(node) == node.paper.records


async def test_an_index_and_genesis_need_no_peer(node_of, paper):
    hashes = b"n" + paper.records[3].block.header.hash
    node = node_of((hashes, None), (row(b"b", 0), flip(20)), peers={})
    status = await node.scrub()
    assert (status.found, status.mended, status.problems) == (2, 2, ())
    assert node.store.by_hash(paper.records[3].block.header.hash) == paper.records[3]
    assert stored(node) == paper.records


def without_seal(records):
    return [msgspec.structs.replace(record, seal=None) for record in records]


def other_bodies(records):
    return [msgspec.structs.replace(record, bodies=(b"x",) * len(record.bodies)) for record in records]


@pytest.mark.parametrize("bend", [without_seal, other_bodies], ids=["no seal", "other bodies"])
async def test_a_liar_is_named_and_the_next_is_asked(node_of, paper, bend, caplog):
    peers = {1: Peer(paper.records, bend), 2: Peer(paper.records, silent=True), 3: Peer(paper.records)}
    node = node_of((row(b"b"), None), peers=peers)
    status = await node.scrub()
    assert f"block {WRONG} is whole again, from v3" in status.latest
    assert "REFUSED: block 5 that v1 gave does not hold" in caplog.text
    assert stored(node) == paper.records


async def test_another_height_than_was_asked_for_is_refused(node_of, paper, caplog):
    node = node_of((row(b"b"), None), peers={1: Peer(paper.records, lambda _: [paper.records[WRONG + 1]])})
    status = await node.scrub()
    assert len(status.problems) == 1
    assert "it is block 6" in caplog.text


async def test_what_nobody_has_is_told_and_asked_for_again(node_of, paper):
    """The store stays as it is: to make it anew now would cut it off below the block."""
    node = node_of((row(b"b"), flip(100)), peers={1: Peer([])})
    status = await node.scrub()
    assert (status.found, status.mended) == (1, 0)
    (problem,) = status.problems
    assert "the transactions of block 5" in problem
    assert "no member that is linked has it" in problem
    assert damage_path(node.path).exists()
    node.state_faults = ["a value is wrong"]
    status = await node.scrub()
    assert status.found == 2
    assert any("it is made again once the blocks are whole" in each for each in status.problems)
    assert node.state_made == 0
    node.peers[1].records = paper.records
    await node.scrubber.look()
    assert stored(node) == paper.records
    status = await node.scrub()
    assert status.problems == ()
    assert not damage_path(node.path).exists()


async def test_an_answer_that_nobody_asked_for_is_not_taken(node_of, paper):
    node = node_of()
    assert not node.mender.take(1, Blocks(WRONG, (paper.records[WRONG],)))


async def test_a_chain_that_contradicts_what_a_quorum_sealed_stops_the_node(node_of, paper):
    """The peers' block 5 is sealed, and so is block 6 here, which follows another one."""
    record = paper.records[WRONG]
    header = msgspec.structs.replace(record.block.header, state_root=b"\x07" * 32)
    other = msgspec.structs.replace(
        record, block=msgspec.structs.replace(record.block, header=header), seal=paper.seal(header)
    )
    node = node_of((row(b"b"), None), peers={1: Peer([*paper.records[:WRONG], other])})
    status = await node.scrub()
    (halt,) = node.halted
    assert "block 6 follows another block than v1 has, and both are sealed" in halt
    assert "begin with a new directory once you know which is right" in halt
    assert any("block 6 follows another block" in each for each in status.problems)


# ── tables ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def torn(node_of, paper, tmp_path):
    database = plyvel.DB(str(tmp_path / "blocks"))
    database.compact_range()
    database.close()
    (table,) = (tmp_path / "blocks").glob("*.ldb")
    data = bytearray(table.read_bytes())
    data[data.find(paper.records[WRONG].bodies[0][-40:])] ^= 1
    table.write_bytes(data)
    return node_of()


async def test_a_torn_table_is_mended_above_and_made_anew_when_the_node_is_spared(torn, paper):
    status = await torn.scrub()
    assert stored(torn) == paper.records
    (problem,) = status.problems
    assert "the store is made anew when the others are a quorum without this node, or at the next start" in problem
    assert torn.remade == []
    torn.spared = True
    await torn.scrubber.look()
    (why,) = torn.remade
    assert why.endswith("every block is whole again")
    assert damage_path(torn.path).exists()  # so the next start makes the store anew, and cuts nothing off:
    torn.close()
    from ledger.salvage import salvage

    assert salvage(torn.path).height == BLOCKS
    torn.store = BlockStore(torn.path)
    assert (stored(torn), torn.store.lost_heights) == (paper.records, range(BLOCKS + 1, BLOCKS + 1))


async def test_a_torn_table_is_not_made_anew_while_a_block_is_missing(torn, paper):
    torn.spared = True
    torn.peers[1].records = []
    await torn.scrub()
    assert torn.remade == []
    torn.peers[1].records = paper.records
    await torn.scrubber.look()
    assert len(torn.remade) == 1


async def test_damage_that_a_read_meets_starts_the_next_pass_at_once(node_of, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    node = node_of()
    running = asyncio.create_task(node.scrubber.run())
    while not node.scrubber.report.passes:
        await asyncio.sleep(0.01)
    node.store._database.delete(row(b"b"))
    await asyncio.sleep(0.1)
    assert node.scrubber.report.found == 0
    with pytest.raises(DataLost):
        node.store.record(WRONG)
    while node.scrubber.report.passes < 2:
        await asyncio.sleep(0.01)
    assert stored(node) == node.paper.records
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("error", [StorageError("Input/output error"), OSError(30, "Read-only file system")])
async def test_a_disk_that_cannot_be_read_is_told_and_the_next_pass_waits(node_of, monkeypatch, error):
    """Neither a pass nor a look between two ends the validator; one that fails at once is not begun at once again."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    node = node_of()
    tries = []

    async def refuse(_=None):
        tries.append(error)
        raise error

    node.store.damage = "met by a read, long ago"
    monkeypatch.setattr(node.scrubber, "_scrub_blocks", refuse)
    monkeypatch.setattr(node.scrubber, "_mend_left", refuse)
    running = asyncio.create_task(node.scrubber.run())
    await asyncio.sleep(0.2)
    assert not running.done()
    assert 2 < len(tries) < 40
    assert node.scrubber.report.status().problems == (f"what is stored cannot be read again: {error}",)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    monkeypatch.undo()
    assert (await node.scrub()).problems == ()


async def test_tables_that_the_disk_does_not_give_are_left_to_the_operator_and_never_mapped(node_of, monkeypatch):
    """LevelDB would not raise over them: it maps its tables, and the process would end, again after every start."""
    node = node_of((row(b"b"), None))
    node.spared = True
    bad = node.path / "000099.ldb"
    bad.mkdir()
    node.store.torn = True
    status = await node.scrub()
    assert (status.passes, status.found, node.remade) == (1, 0, [])
    text = (
        f"the table {bad} cannot be read: it is no regular file. To read it through LevelDB would end the process, so "
        "blocks/ is not read again. Stop the node, replace the disk, and start from a snapshot"
    )
    assert status.problems == (text,)
    bad.rmdir()
    node.store.torn = False
    status = await node.scrub()
    assert (status.found, status.mended, status.problems) == (1, 2, ())
    assert stored(node) == node.paper.records


async def test_a_state_whose_tables_the_disk_does_not_give_is_not_read_by_the_executor(node_of, tmp_path):
    node = node_of()
    bad = tmp_path / "state" / "000007.ldb"
    bad.mkdir(parents=True)
    node.scrubber._parts = replace(node.scrubber._parts, state=bad.parent)
    node.state_faults = ["the value at key 00 is not the one that the tree names"]
    status = await node.scrub()
    assert (node.state_made, len(status.problems), len(node.state_faults)) == (0, 1, 1)
    assert "so state/ is not read again" in status.problems[0]
    bad.rmdir()
    await node.scrub()
    assert node.state_made == 1


# ── files beside ──────────────────────────────────────────────────────────────────────────────────


async def test_the_marker_and_the_journal_are_written_anew(node_of):
    node = node_of()
    marker_path(node.path).unlink()
    node.journal_faults = [DataLost("damaged while it was written anew")]
    status = await node.scrub()
    assert (status.found, status.mended, node.journal_written) == (1, 1, 0)
    assert marker_path(node.path).exists()
    node.journal_faults = [DataLost("damaged at offset 7")] * 2
    status = await node.scrub()
    assert (status.found, status.mended, node.journal_written) == (2, 2, 1)
    assert "damaged at offset 7: it is written anew from memory" in status.latest
    node.ended = True
    node.journal_faults = [DataLost("damaged at offset 9")] * 2
    status = await node.scrub()
    assert (status.found, status.mended, node.journal_written) == (3, 2, 1)
    (problem,) = status.problems
    assert problem == "damaged at offset 9; this validator has stopped voting and writes nothing anew"


async def test_a_damaged_snapshot_is_deleted_and_a_whole_one_is_kept(node_of, paper):
    node = node_of()
    top = paper.records[-1]
    for height in (BLOCKS, 7):
        path = snapshot_path(node.snapshots, height)
        make_snapshot(path, paper.genesis, top.block.header, top.seal, paper.entries)
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    half = node.snapshots / "0000000000000009.snapshot.part"
    half.write_bytes(b"half")
    status = await node.scrub()
    assert (status.found, status.mended) == (1, 1)
    assert not path.exists()
    SnapshotFile(snapshot_path(node.snapshots, BLOCKS)).close()
    assert half.exists()  # it may be at work; the next start, or the next snapshot, clears it


# ── the state ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_damaged_state_is_made_again_once_and_then_the_machine_is_to_blame(node_of):
    node = node_of()
    node.state_faults = ["the value of the state at key 6b is wrong"]
    status = await node.scrub()
    assert (node.state_made, node.halted) == (1, [])
    assert "it is deleted, and made again from the blocks" in status.latest
    assert (await node.scrub()).problems == ()
    node.state_faults = ["", "the value of the state at key 6c is wrong"]
    await node.scrub()
    assert node.state_made == 1
    (halt,) = node.halted
    assert "made again less than an hour ago" in halt
    assert "delete state/ and start again" in halt


async def test_a_damaged_state_stays_while_the_others_need_this_node(node_of):
    """While it is made again the node signs nothing: with another member down, the network would stop for all of it."""
    node = node_of(sparable=True)
    node.state_faults = ["the value of the state at key 6b is wrong"]
    status = await node.scrub()
    assert (node.state_made, node.halted) == (0, [])
    assert "once the others are a quorum without this node" in status.problems[0]
    await node.scrubber.look()
    assert node.state_made == 0
    node.spared = True
    await node.scrubber.look()
    await node.scrubber.look()
    assert (node.state_made, node.halted, node.scrubber.report.status().problems) == (1, [], ())


async def test_a_state_with_another_root_than_the_sealed_header_is_damaged(node_of):
    node = node_of()
    node.root = b"\x01" * 32
    status = await node.scrub()
    assert node.state_made == 1
    assert f"the state at height {BLOCKS} has root {node.root.hex()}" in status.latest


async def test_what_a_snapshot_says_about_the_state_counts(node_of):
    node = node_of()
    node.scrubber.suspect_state("the state that was read gives another root")
    await node.scrubber.look()
    assert node.state_made == 1


async def test_what_a_snapshot_said_about_a_state_that_was_made_again_since_halts_nobody(node_of):
    """Both read the same damage. Told of it once more after it was mended, the node would distrust its machine."""
    node = node_of()
    node.scrubber.suspect_state("the state, read for a snapshot of height 4, gives another root")
    node.state_faults = ["the value at key 00 is not the one that the tree names"]
    status = await node.scrub()
    assert (node.state_made, node.halted, status.problems) == (1, [], ())
    node.scrubber.suspect_state("the state, read for a snapshot of height 8, gives another root")
    await node.scrubber.look()
    assert (node.state_made, len(node.halted)) == (1, 1)


async def test_an_executor_that_does_not_answer_is_no_damage(node_of, monkeypatch):
    monkeypatch.setattr(module, "SILENCE_S", 0.001)
    node = node_of()
    node.state_faults = [NodeUnavailable("it starts"), NodeUnavailable("it starts")]
    assert (await node.scrub()).found == 0
    node.state_faults = [NodeUnavailable("it is gone")] * 100
    status = await node.scrub()
    assert (status.found, status.passes) == (0, 2)


def test_damage_is_found_behind_whatever_wrapped_it():
    wrapped = RuntimeError("the host failed")
    wrapped.__cause__ = StorageError("nothing more is written")
    wrapped.__cause__.__cause__ = DataLost("a table is torn")
    assert str(damage_in(wrapped)) == "a table is torn"
    assert damage_in(RuntimeError("something else")) is None


@pytest.fixture
async def executor(tmp_path, monkeypatch):
    """A real executor process that began on a state whose table of values is torn: (link, child)."""
    monkeypatch.setattr(supervisor, "RESTART_DELAY_MIN_S", 0.01)
    make_testnet(tmp_path / "net", time_ms=1_700_000_000_000, validators=1, base_port=None)
    genesis = load_genesis(tmp_path / "net" / "genesis.json")
    state = State.open(tmp_path / "state")
    engine = Engine(state, genesis)
    engine.initialise()
    engine.execute(1, genesis.time_ms + 1, ())
    around = {
        bytes([first]) + b" so that what is torn lies in a block of its own %d" % n: bytes(64)
        for first in (0, 255)
        for n in range(50)
    }
    state.commit(2, around)
    engine.mark_sealed(2)
    state.close()
    database = plyvel.DB(str(tmp_path / "state"), compression=None)
    database.compact_range()
    value = next(value for key, value in database.iterator(prefix=b"rv") if b"registered" in key)
    database.close()
    table = next(path for path in (tmp_path / "state").glob("*.ldb") if value in path.read_bytes())
    table.write_bytes(table.read_bytes().replace(value, bytes(len(value))))
    state = State.open(tmp_path / "state")
    assert state.height == 2
    assert "is damaged" in state.scrub(b"", 1 << 20).fault
    state.close()
    arguments = ("--socket", tmp_path / "x.sock", "--state", tmp_path / "state")
    words = [str(each) for each in (*arguments, "--genesis", tmp_path / "net" / "genesis.json")]
    child = Child(ChildSpec("executor", "network.executor_process", words))
    await child.start()
    link = ExecutorLink(tmp_path / "x.sock", child)
    await link.connect()
    yield link, child
    await link.close()
    await child.stop()


async def test_an_executor_that_meets_damage_deletes_its_state_and_begins_with_an_empty_one(executor):
    """Whatever asks first meets it; the process ends in good order, and the next one holds."""
    link, child = executor
    async with asyncio.timeout(30):
        while (await link.status()).height:
            await asyncio.sleep(0.02)
    assert child.restarts == 1
    step = await link.scrub(b"")
    while step.after and not step.fault:
        step = await link.scrub(step.after)
    assert (step.fault, step.height) == ("", 0)


# ── who is told ───────────────────────────────────────────────────────────────────────────────────

FOUND = ScrubStatus("blocks", 1200, 4000, 2, 1_760_000_000_000, 5_000_000, 3, 2, "block 7 is whole again", ("no 9",))


def test_metrics_and_status_have_every_figure():
    tip = (7, 7, bytes(32), bytes(32), 1000)
    status = NodeStatus("0.1", "net", bytes(32), 0, "a", 0, 0, False, *tip, 0, 0, "", (), 1, {}, "", FOUND)
    page = Page()
    add_node(page, status, reachable=True)
    lines = page.text().splitlines()
    for line in (
        "quorate_scrub_problems 1",
        "quorate_scrub_passes_total 2",
        "quorate_scrub_bytes_total 5000000",
        "quorate_scrub_found_total 3",
        "quorate_scrub_mended_total 2",
    ):
        assert line in lines
    shown = present.status(status)["scrub"]
    assert shown["problems"] == ["no 9"]
    assert {name: value for name, value in shown.items() if name not in ("problems", "latest")} == {
        "part": "blocks",
        "done": 1200,
        "of": 4000,
        "passes": 2,
        "last_pass_ms": 1_760_000_000_000,
        "bytes_read": 5_000_000,
        "found": 3,
        "mended": 2,
    }


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (FOUND, "at block 1200 of 4000; 3 found, 2 mended"),
        (ScrubStatus("state", 30, 120), "at 25% of the state; 0 found, 0 mended"),
        (ScrubStatus("waiting"), "begins soon; 0 found, 0 mended"),
        (ScrubStatus("waiting", passes=1, last_pass_ms=1_760_000_000_000), "all was read at 2025-10-09"),
        (ScrubStatus("snapshots"), "at the snapshots; 0 found, 0 mended"),
        (ScrubStatus(), "off; 0 found, 0 mended"),
    ],
)
def test_the_command_line_says_how_far_it_is_and_what_is_left(status, told):
    rows = _scrub(present.scrub(status))
    assert rows[0][0] == "disk check"
    assert rows[0][1].startswith(told)
    if status is FOUND:
        assert rows[1:] == [("latest", "block 7 is whole again"), ("DAMAGED", "no 9")]
    else:
        assert rows[1:] == []
    assert _scrub({}) == []  # an older node says nothing about it
