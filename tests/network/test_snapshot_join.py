"""Joining by snapshot: several peers at once, none of them believed; a liar is named and left, a crash costs little."""

import asyncio

import msgspec
import pytest

from ledger import codec, snapshot_maker, snapshot_tree
from ledger.seals import assemble_seal
from ledger.snapshot import Contents
from ledger.snapshot_file import SnapshotFile
from ledger.snapshot_maker import make_snapshot
from ledger.state import State
from ledger.store import BlockStore
from network.api import Frozen
from network.ipc import RemoteError
from network.paths import NodePaths
from network.pipeline import Pipeline, StateMissing
from network.snapshots import fetcher
from network.snapshots import keeper as keeper_module
from network.snapshots.behind import Behind
from network.snapshots.desk import SnapshotDesk
from network.snapshots.fetched import Chosen, Fetched
from network.snapshots.fetcher import ANSWER_S, GATHER_S, HELD_GATHER_S, Fetcher
from network.snapshots.frozen import FrozenStates
from network.snapshots.joining import JOINING
from network.snapshots.keeper import (
    EXIT_STATE_DIFFERS,
    SnapshotKeeper,
    clear_rubbish,
    delete_old,
    is_wanted,
    kept_snapshots,
    snapshot_path,
)
from network.snapshots.landing import Landing, first_needed
from network.snapshots.switching import finish_switch
from network.wire import (
    Blocks,
    BlocksRequest,
    Chunk,
    ChunkRequest,
    ContentsAnswer,
    ContentsRequest,
    SnapshotOffer,
    Snapshots,
    SnapshotsRequest,
    peer_frame,
    read_peer_frame,
)
from scripts.paper_node import PaperNode

BLOCKS = 24
ME, HONEST, LIAR, OTHER = 0, 1, 2, 3


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    """So small that the state of a paper node has several, and its chain several ranges."""
    before, at_once = snapshot_tree.CHUNK_BYTES, fetcher.BLOCKS_PER_REQUEST_MAX
    snapshot_tree.CHUNK_BYTES = snapshot_maker.CHUNK_BYTES = 6000
    fetcher.BLOCKS_PER_REQUEST_MAX = 5
    yield
    snapshot_tree.CHUNK_BYTES = snapshot_maker.CHUNK_BYTES = before
    fetcher.BLOCKS_PER_REQUEST_MAX = at_once


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A node's chain, its state, and the snapshot that it keeps of its last height."""
    node = PaperNode(tmp_path_factory.mktemp("join") / "node", accounts=200)
    while node.store.height < BLOCKS - 1:
        node.block([node.transfer() for _ in range(3)])
    node.block([])
    node.close()
    store = BlockStore(node.paths.blocks)
    node.records = [store.record(height) for height in range(BLOCKS + 1)]
    store.close()
    state = State.open(node.paths.state)
    node.entries = list(state.walk(BLOCKS))
    state.close()
    node.kept = node.directory / "snapshots"
    node.kept.mkdir()
    top = node.records[-1]
    make_snapshot(snapshot_path(node.kept, BLOCKS), node.genesis, top.block.header, top.seal, node.entries)
    node.file = SnapshotFile(snapshot_path(node.kept, BLOCKS))
    node.contents = node.file.manifest.contents
    assert len(node.contents.chunks) > 5
    yield node
    node.file.close()


class Honest:
    """What a correct peer answers."""

    def __init__(self, source):
        self.source = source
        self.asked = []

    def answer(self, message):
        self.asked.append(message)
        contents, header = self.source.contents, self.source.contents.header
        match message:
            case SnapshotsRequest():
                return Snapshots((SnapshotOffer(header, self.source.records[-1].seal, contents.hash),))
            case ContentsRequest(name):
                return ContentsAnswer(name, contents.encode())
            case ChunkRequest(name, index):
                return Chunk(name, index, self.source.file.piece(index))
            case BlocksRequest(first, last):
                return Blocks(first, tuple(self.source.records[first : min(last, first + 3) + 1]))
        raise AssertionError(message)


class Keeping(Honest):
    """Keeps one snapshot, which may be replaced by a newer one; the older is then gone."""

    def __init__(self, source, file):
        super().__init__(source)
        self.file = file

    def answer(self, message):
        self.asked.append(message)
        contents = self.file.manifest.contents
        match message:
            case SnapshotsRequest():
                seal = self.source.records[contents.header.height].seal
                return Snapshots((SnapshotOffer(contents.header, seal, contents.hash),))
            case ContentsRequest(name):
                return ContentsAnswer(name, contents.encode() if name == contents.hash else b"")
            case ChunkRequest(name, index):
                return Chunk(name, index, self.file.piece(index) if name == contents.hash else b"")
        self.asked.pop()
        return super().answer(message)


class Lying(Honest):
    """Changes its answers of one kind by a function."""

    def __init__(self, source, kind, lie):
        super().__init__(source)
        self.kind, self.lie = kind, lie

    def answer(self, message):
        truth = super().answer(message)
        return self.lie(truth) if isinstance(truth, self.kind) else truth


class Network:
    """One joining member, and peers that answer at once, in order; the clock goes on by hand."""

    def __init__(self, source, directory, peers, sealed_height=0, lowest=1):
        self.peers = peers
        self.linked = set(peers)
        self.now = 0.0
        self.queue = []
        self.fetched = Fetched(directory, source.genesis)
        self.fetcher = Fetcher(
            genesis=source.genesis,
            fetched=self.fetched,
            member=ME,
            lowest=lowest,
            first_block=lambda height: first_needed(sealed_height, height, source.genesis),
            send=self.send,
            linked=lambda: self.linked,
        )

    def send(self, member, message):
        assert member in self.linked
        self.queue.append((member, message))
        return True

    def step(self, seconds=0.1):
        self.fetcher.tick(self.now)
        queue, self.queue = self.queue, []
        for member, message in queue:
            answer = self.peers[member].answer(message)
            if answer is not None and member in self.linked:
                read = read_peer_frame(peer_frame(answer))
                assert read == answer, "it survives the wire"
                self.fetcher.on_message(member, read, self.now)
        self.now += seconds

    def run(self, steps=400):
        for _ in range(steps):
            if self.fetcher.done:
                return True
            self.step()
        return False


def asked(peer, kind):
    return [message for message in peer.asked if isinstance(message, kind)]


def landed(source, network, data):
    landing = Landing(data, JOINING, source.genesis)
    chosen = network.fetched.chosen
    landing.build(chosen.contents, network.fetched.chunk, network.fetched.records)
    landing.switch()
    state, store = State.open(NodePaths(data).state), BlockStore(NodePaths(data).blocks)
    try:
        return list(state.walk(state.height)), [store.record(height) for height in range(store.height + 1)]
    finally:
        state.close()
        store.close()


# ── fetching ──────────────────────────────────────────────────────────────────────────────────────


def test_chunks_and_blocks_come_from_several_peers_and_give_the_node(source, tmp_path):
    peers = {member: Honest(source) for member in (1, 2, 3)}
    network = Network(source, tmp_path / JOINING, peers)
    assert network.run()
    assert all(asked(peer, ChunkRequest) and asked(peer, BlocksRequest) for peer in peers.values())
    every = [message.index for peer in peers.values() for message in asked(peer, ChunkRequest)]
    assert sorted(every) == list(range(len(source.contents.chunks)))  # none twice
    entries, records = landed(source, network, tmp_path)
    assert entries == source.entries
    assert records == source.records
    assert network.fetcher.refused == {}


def test_one_peer_is_enough(source, tmp_path):
    network = Network(source, tmp_path / JOINING, {OTHER: Honest(source)})
    assert network.run()


def test_without_a_snapshot_there_is_nothing_to_do(source, tmp_path):
    peer = Lying(source, Snapshots, lambda _: Snapshots(()))
    network = Network(source, tmp_path / JOINING, {HONEST: peer})
    assert not network.run(60)
    assert network.fetcher.progress == 0.0
    assert not asked(peer, ContentsRequest)


def test_a_snapshot_below_ones_own_height_is_of_no_use(source, tmp_path):
    network = Network(source, tmp_path / JOINING, {HONEST: Honest(source)}, BLOCKS, lowest=BLOCKS + 1)
    assert not network.run(60)


def flipped(data, at=-3):
    bent = bytearray(data)
    bent[at] ^= 1
    return bytes(bent)


def unsealed(message):
    return Blocks(message.first, tuple(msgspec.structs.replace(each, seal=None) for each in message.records))


def other_receipts(message):
    return Blocks(message.first, tuple(msgspec.structs.replace(each, receipts=()) for each in message.records))


def later(message):
    return Blocks(message.first, message.records[1:])


def weak_offer(message):
    (offer,) = message.offers
    seal = offer.seal
    one = assemble_seal(seal.epoch, seal.height, seal.header_hash, {1: seal.signatures[1].signature})
    return Snapshots((msgspec.structs.replace(offer, seal=one),))


def higher_offer(message):
    (offer,) = message.offers
    return Snapshots((msgspec.structs.replace(offer, header=msgspec.structs.replace(offer.header, height=9999)),))


@pytest.mark.parametrize(
    ("kind", "lie", "told"),
    [
        (Chunk, lambda truth: Chunk(truth.name, truth.index, flipped(truth.data)), "it sent what does not hold"),
        (Chunk, lambda truth: Chunk(truth.name, truth.index, truth.data[:-1]), "is no list of entries"),
        (Chunk, lambda truth: Chunk(truth.name, truth.index, codec.encode(())), "has 0 entries"),
        (Blocks, unsealed, "has no seal"),
        (Blocks, other_receipts, "the number of receipts is 0"),
        (Blocks, later, "stands in the place of"),
        (Snapshots, weak_offer, "voting power 1 of 4"),
        (Snapshots, higher_offer, "whose header does not hold"),
    ],
    ids=["bent chunk", "short chunk", "empty list", "no seal", "other receipts", "other heights", "weak", "height"],
)
def test_scenario_54_a_liar_is_named_and_left_and_the_others_give_the_rest(source, tmp_path, kind, lie, told):
    liar = Lying(source, kind, lie)
    network = Network(source, tmp_path / JOINING, {HONEST: Honest(source), LIAR: liar, OTHER: Honest(source)})
    assert network.run()
    assert list(network.fetcher.refused) == ["v2"]
    assert told in network.fetcher.refused["v2"]
    before = len(liar.asked)
    network.step()
    assert len(liar.asked) == before
    assert landed(source, network, tmp_path)[0] == source.entries


def test_scenario_54_contents_that_do_not_give_the_root_are_a_lie(source, tmp_path):
    """A liar alone offers a name of its own for a header that is sealed: it cannot fill it with what holds."""
    bent = Contents(source.contents.header, source.contents.chunks[1:])

    class Inventor(Honest):
        def answer(self, message):
            match message:
                case SnapshotsRequest():
                    return Snapshots((SnapshotOffer(bent.header, source.records[-1].seal, bent.hash),))
                case ContentsRequest(name):
                    return ContentsAnswer(name, bent.encode())
            return super().answer(message)

    network = Network(source, tmp_path / JOINING, {LIAR: Inventor(source), OTHER: Honest(source)})
    # Whichever of the two names is tried first, the join ends with the one that holds.
    assert network.run()
    assert network.fetched.chosen.contents == source.contents
    assert "v3" not in network.fetcher.refused
    alone = Network(source, tmp_path / "alone", {LIAR: Inventor(source)})
    assert not alone.run(100)
    assert "its chunks give state root" in alone.fetcher.refused["v2"]


def test_a_peer_that_offers_what_it_does_not_have_cannot_hold_up_the_others(source, tmp_path):
    """It has a new name for the last header whenever it is asked, and nothing behind any of them."""

    class Boaster(Honest):
        count = 0

        def answer(self, message):
            match message:
                case SnapshotsRequest():
                    self.count += 1
                    header, seal = source.contents.header, source.records[-1].seal
                    return Snapshots((SnapshotOffer(header, seal, b"\xff" * 31 + bytes([self.count])),))
                case ContentsRequest(name):
                    return ContentsAnswer(name, b"")
            return super().answer(message)

    network = Network(source, tmp_path / JOINING, {HONEST: Honest(source), LIAR: Boaster(source)})
    assert network.run()
    assert network.now < 20
    assert network.fetcher.refused.get("v2", "it offered 5 snapshots").startswith("it offered 5 snapshots")


def test_what_nobody_asked_for_is_dropped(source, tmp_path):
    network = Network(source, tmp_path / JOINING, {HONEST: Honest(source), OTHER: Honest(source)})
    name = source.contents.hash
    for message in (Chunk(name, 0, b"x"), ContentsAnswer(name, b"x"), Blocks(1, (source.records[2],))):
        network.fetcher.on_message(OTHER, message, 0.0)
    assert network.run()
    network.fetcher.on_message(OTHER, Chunk(name, 0, b"x"), network.now)
    assert network.fetcher.refused == {}


def test_scenario_55_a_silent_peer_loses_what_it_was_asked_for(source, tmp_path):
    class Silent(Honest):
        def answer(self, message):
            answer = super().answer(message)
            return answer if isinstance(message, SnapshotsRequest) else None

    network = Network(source, tmp_path / JOINING, {HONEST: Honest(source), LIAR: Silent(source)})
    assert not network.run(int(ANSWER_S / 0.1) - 5)
    assert network.run()
    assert network.fetcher.refused == {}


def test_a_lost_link_gives_its_questions_to_the_others(source, tmp_path):
    network = Network(source, tmp_path / JOINING, {HONEST: Honest(source), OTHER: Honest(source)})
    network.run(int(GATHER_S / 0.1) + 1)
    network.fetcher.tick(network.now)
    network.linked.discard(HONEST)
    network.queue = [each for each in network.queue if each[0] != HONEST]
    network.fetcher.on_lost(HONEST)
    assert network.run()


def test_blocks_that_one_lacks_come_from_another(source, tmp_path):
    lacking = Lying(source, Blocks, lambda truth: Blocks(truth.first, ()))
    network = Network(source, tmp_path / JOINING, {HONEST: Honest(source), LIAR: lacking})
    assert network.run()
    assert len(asked(lacking, BlocksRequest)) == 1
    assert network.fetcher.refused == {}


# ── after a crash ─────────────────────────────────────────────────────────────────────────────────


def test_a_join_goes_on_with_what_was_fetched(source, tmp_path):
    """Cut off after every number of answers: what is there holds and is not asked for again."""
    first = Network(source, tmp_path / JOINING, {OTHER: Honest(source)})
    while not first.fetched.found:
        first.step()
    first.step()
    have = [index for index in range(len(source.contents.chunks)) if first.fetched.has(index)]
    assert 0 < len(have) < len(source.contents.chunks)
    torn = tmp_path / JOINING / f"chunk-{have[0]}"
    torn.write_bytes(torn.read_bytes()[:-7])  # a power cut may leave half a file
    peer = Honest(source)
    again = Network(source, tmp_path / JOINING, {OTHER: peer})
    assert again.run()
    indexes = [message.index for message in asked(peer, ChunkRequest)]
    assert have[0] in indexes
    assert not set(have[1:]) & set(indexes)
    assert not asked(peer, ContentsRequest)
    assert landed(source, again, tmp_path)[1] == source.records


def test_scenario_58_what_nobody_keeps_any_more_is_given_up_for_another(source, tmp_path):
    """The others make newer snapshots and let the older go, twice while it fetches: it ends with one, whole.

    Source: concord-bft, pull request 2863.
    """
    files, state = {}, State.open(source.paths.state)
    for height in (BLOCKS - 4, BLOCKS - 2):
        top, path = source.records[height], snapshot_path(tmp_path, height)
        make_snapshot(path, source.genesis, top.block.header, top.seal, list(state.walk(height)))
        files[height] = SnapshotFile(path)
    state.close()
    peers = {member: Keeping(source, files[BLOCKS - 4]) for member in (HONEST, LIAR, OTHER)}
    network = Network(source, tmp_path / JOINING, peers)
    names = []
    for newer in (files[BLOCKS - 2], source.file):
        while len(list((tmp_path / JOINING).glob("chunk-*"))) < 2:
            network.step()
        names.append(network.fetched.chosen.contents.hash)
        for peer in peers.values():
            peer.file = newer
        while network.fetched.chosen.contents.hash == names[-1]:
            network.step()
        assert list((tmp_path / JOINING).glob("chunk-*")) == []  # nothing of the older one is left to be mixed in
    assert network.run()
    assert names == [files[height].manifest.contents.hash for height in sorted(files)]
    assert network.fetched.chosen.contents == source.contents
    assert network.fetcher.refused == {}
    blocks = [each for peer in peers.values() for message in asked(peer, BlocksRequest) for each in [message.first]]
    assert len(blocks) == len(set(blocks))  # blocks are good for any snapshot: none is fetched twice
    assert landed(source, network, tmp_path) == (source.entries, source.records)
    for file in files.values():
        file.close()


def test_a_snapshot_that_nobody_has_for_a_while_is_waited_for(source, tmp_path):
    """It has chosen, and whoever had it is gone: nothing that is here is thrown away."""
    directory = tmp_path / JOINING
    held = Fetched(directory, source.genesis)
    held.keep_blocks(tuple(source.records[1:6]))
    held.choose(Chosen(source.contents, source.records[-1].seal))
    none = Lying(source, Snapshots, lambda _: Snapshots(()))
    network = Network(source, directory, {HONEST: none})
    assert not network.run(int(HELD_GATHER_S / 0.1) + 10)
    network.peers[HONEST] = Honest(source)
    assert network.run()
    assert min(message.first for message in asked(network.peers[HONEST], BlocksRequest)) == 6


def test_a_node_with_blocks_keeps_them_and_gets_only_the_rest(source, tmp_path):
    paths = NodePaths(tmp_path)
    store = BlockStore(paths.blocks)
    for record in source.records[:9]:
        store.put(record)
    store.sync()
    store.close()
    peer = Honest(source)
    network = Network(source, tmp_path / JOINING, {OTHER: peer}, sealed_height=8)
    assert network.run()
    assert min(message.first for message in asked(peer, BlocksRequest)) == 9
    entries, records = landed(source, network, tmp_path)
    assert (entries, records) == (source.entries, source.records)
    assert not finish_switch(tmp_path)


# ── the other side ────────────────────────────────────────────────────────────────────────────────


def desk_answers(directory, *requests):
    """What a desk sends to one member that asks for all this at once."""
    sent = []

    async def ask():
        desk = SnapshotDesk(directory, lambda member, frame: sent.append((member, read_peer_frame(frame))))
        for request in requests:
            desk.serve(OTHER, request)
        await asyncio.sleep(0.05 * len(requests) + 0.2)
        desk.close()

    asyncio.run(ask())
    assert all(member == OTHER for member, _ in sent)
    return [message for _, message in sent]


def test_the_desk_answers_from_the_files_that_are_kept(source):
    name, header = source.contents.hash, source.contents.header
    answers = desk_answers(
        source.kept,
        SnapshotsRequest(),
        ContentsRequest(name),
        ChunkRequest(name, 3),
        ChunkRequest(name, 9999),
        ChunkRequest(bytes(32), 0),
        ContentsRequest(bytes(32)),
    )
    assert answers == [
        Snapshots((SnapshotOffer(header, source.records[-1].seal, name),)),
        ContentsAnswer(name, source.contents.encode()),
        Chunk(name, 3, source.file.piece(3)),
        Chunk(name, 9999, b""),
        Chunk(bytes(32), 0, b""),
        ContentsAnswer(bytes(32), b""),
    ]


def test_a_desk_serves_no_damaged_file(source, tmp_path):
    path = snapshot_path(tmp_path, BLOCKS)
    content = bytearray(snapshot_path(source.kept, BLOCKS).read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    name = source.contents.hash
    offers = SnapshotsRequest()
    answers = desk_answers(tmp_path, offers, ChunkRequest(name, 0), ChunkRequest(name, 1), offers)
    assert [len(answers[0].offers), answers[1].data, answers[2].data, len(answers[3].offers)] == [1, b"", b"", 0]
    content[-1] ^= 1
    path.write_bytes(content)
    assert desk_answers(tmp_path, SnapshotsRequest()) == [Snapshots(())]


def test_only_the_newest_are_kept_and_rubbish_goes(tmp_path):
    for height in (100, 1000, 200):
        snapshot_path(tmp_path, height).write_bytes(b"")
    for rubbish in ("0000000000000300.snapshot.part", "0000000000000300.snapshot.spool"):
        (tmp_path / rubbish).write_bytes(b"")
    (tmp_path / "last-join.json").write_bytes(b"")
    names = ["0000000000000300.snapshot.part", "0000000000000300.snapshot.spool"]
    assert sorted(clear_rubbish(tmp_path)) == names  # and it can be said which
    assert clear_rubbish(tmp_path) == []
    assert clear_rubbish(tmp_path / "nothing") == []
    wanted = [height for height in (50, 100, 150, 200, 1000, 1100) if is_wanted(tmp_path, height, 2)]
    assert wanted == [1100]  # older ones come up when a state is made again: they would be deleted at once
    assert is_wanted(tmp_path, 50, 4)
    assert not is_wanted(tmp_path, 100, 4)
    delete_old(tmp_path, 2)
    assert kept_snapshots(tmp_path) == [snapshot_path(tmp_path, 1000), snapshot_path(tmp_path, 200)]
    assert (tmp_path / "last-join.json").exists()
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(("code", "told"), [(EXIT_STATE_DIFFERS, [20]), (1, []), (0, [])])
async def test_a_snapshot_that_shows_a_damaged_state_is_told_to_who_can_mend_it(tmp_path, monkeypatch, code, told):
    """The process has read every value; its exit code says that they do not give the sealed root."""
    (tmp_path / "ends_so.py").write_text(f"raise SystemExit({code})")
    monkeypatch.setattr(keeper_module, "MODULE", "ends_so")
    heights = []
    keeper = SnapshotKeeper(tmp_path / "node.toml", 20, {"PYTHONPATH": str(tmp_path)}, heights.append)
    keeper.on_sealed(19)
    assert keeper._task is None
    keeper.on_sealed(20)
    await keeper._task
    assert heights == told
    await keeper.close()


def test_the_executor_keeps_the_state_of_the_interval_still(tmp_path):
    state = State.open(tmp_path / "state")
    frozen = FrozenStates(state, every=2)
    for height in range(4):
        state.commit(height, {b"height": b"%d" % height})
        frozen.on_executed(height)
    assert frozen.freeze(1) == frozen.freeze(2) == Frozen("interval", 2, state.root_at(2))
    assert frozen.read("interval", 2, b"") == [(b"height", b"2")]
    assert frozen.read("interval", 2, b"height\x00") == []
    with pytest.raises(RemoteError, match="height 3 is not frozen here"):
        frozen.freeze(3)
    assert frozen.freeze(0) == Frozen("asked", 3, state.root)
    state.commit(4, {b"height": None})
    frozen.on_executed(4)
    assert frozen.read("interval", 2, b"") == [(b"height", b"2")]  # who reads it is not disturbed,
    frozen.thaw("interval", 2)
    state.commit(5, {})
    state.commit(6, {})
    frozen.on_executed(6)
    assert frozen.freeze(6).height == 6  # and the next one is kept when that is done
    frozen._read_until = 0.0  # as if the reader had died a minute ago
    state.commit(7, {})
    state.commit(8, {})
    frozen.on_executed(8)
    with pytest.raises(RemoteError, match="is not frozen here any more"):
        frozen.read("interval", 6, b"")
    assert frozen.read("asked", 3, b"") == [(b"height", b"3")]
    frozen.thaw("asked", 3)
    with pytest.raises(RemoteError, match="is not frozen here any more"):
        frozen.read("asked", 3, b"")
    frozen.close()
    state.close()


# ── when ──────────────────────────────────────────────────────────────────────────────────────────


class Node:
    def __init__(self, source, *, sealed, reported, allowed=True, lacking=False):
        self.asked, self.left = 0, []
        self.lacking = lacking
        self.behind = Behind(
            genesis=source.genesis,
            join_behind=20,
            allowed=lambda: allowed,
            sealed_height=lambda: sealed,
            reported=lambda: reported,
            lacking=lambda: self.lacking,
            ask=self.ask,
            leave=self.left.append,
        )

    def ask(self):
        self.asked += 1


def test_a_node_leaves_for_a_snapshot_only_when_it_is_far_behind_a_sealed_one(source):
    header, seal = source.contents.header, source.records[-1].seal
    offer = SnapshotOffer(header, seal, source.contents.hash)
    far = Node(source, sealed=4, reported=[0, 24, 30])
    far.behind.tick()
    assert far.asked == 1
    far.behind.on_offers([msgspec.structs.replace(offer, header=msgspec.structs.replace(header, height=9000))])
    assert far.left == []
    far.behind.on_offers([offer, offer])
    assert far.left == [BLOCKS]
    for node in (
        Node(source, sealed=5, reported=[24]),  # near
        Node(source, sealed=4, reported=[24], allowed=False),  # it tried just now
    ):
        node.behind.tick()
        node.behind.on_offers([offer])
        assert (node.asked, node.left) == (0, [])
    lacking = Node(source, sealed=23, reported=[24], lacking=True)
    lacking.behind.tick()
    lacking.behind.on_offers([offer])
    assert (lacking.asked, lacking.left) == (1, [BLOCKS])


def test_a_state_that_is_gone_and_cannot_be_made_again_must_be_fetched(source, tmp_path):
    """A store that begins above genesis has no blocks to replay from; with them, the same loss costs a replay."""

    class Empty:
        async def status(self):
            from network.api import ExecutorStatus

            return ExecutorStatus(0, source.records[0].block.header.state_root, 0, ())

    store = BlockStore(tmp_path / "blocks")
    store.put(source.records[0])
    store.skip_to(10)
    for record in source.records[10:]:
        store.put(record)
    nothing = {"bodies": None, "fetched": None, "missing": None, "executed": None}
    pipeline = Pipeline(store=store, executor=Empty(), validators_hash=b"", ahead_max=8, **nothing)
    with pytest.raises(StateMissing, match="the blocks here begin at 10"):
        asyncio.run(pipeline.catch_up(BLOCKS))
    store.close()
