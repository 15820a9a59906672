"""A node's files whose whole content is known, and judges that hold what is read from a damaged copy against it.

A judge opens one kind of file as a node does, reads everything, and then repairs what it may, as a node with peers
does. Its verdict is one of these:

    harmless   every answer was the right one
    named      what is gone or bent was said, by an error or by the store's own account of itself, and nothing wrong
               was answered; reading again found it, too, and the repair gave everything back
    shorter    a journal that ends earlier, at the end of a record: no file can tell by itself whether that was all;
               a validator therefore asks the others before it votes
    SILENT     something was missing and nobody said so
    WRONG      another answer than the right one was given, or the repair left one behind
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import DatabaseInUse, DataLost, HeightNotKept, InvalidProof, StorageError
from ledger.journal import Journal, read_journal
from ledger.salvage import salvage
from ledger.scrub import check_height
from ledger.snapshot_file import SnapshotFile
from ledger.snapshot_maker import make_snapshot
from ledger.state import State, check_state_proof
from ledger.state_proof import path_of
from ledger.store import BlockStore, marker_path, sender_of
from ledger.transactions import identify
from ledger.types import BlockRecord, Genesis
from network.executor_process import SCRUB_LOOKS
from network.snapshots.landing import Landing
from network.snapshots.switching import JOINING, finish_switch
from scripts.paper_node import PaperNode

HARMLESS, NAMED, SHORTER, SILENT, WRONG = "harmless", "named", "shorter", "SILENT", "WRONG"
BAD = (SILENT, WRONG)

BLOCKS, STATE, JOURNAL = "blocks", "state", "votes.journal"
KINDS = (BLOCKS, STATE, JOURNAL)
LANDING = (
    "landing"  # blocks and state of a node that is behind, and the snapshot that it puts in place: for kills alone
)
SNAPSHOT = "snapshot"
PHASES, BLOCKS_A_PHASE, TRANSFERS = 6, 5, 3  # every reopening makes a table; four of these are merged into one
LATER_BLOCKS = 3  # which a writer that is to be killed adds
REWRITTEN = 20  # records that a journal keeps when it is written anew
ACKNOWLEDGED = "acknowledged"  # a file of one byte for each write that had returned when the writer was killed
STATE_ROWS_MAX = 10_000


@dataclass(frozen=True)
class Verdict:
    """What became of one fault. `text` is what was said, or what was not."""

    kind: str
    text: str = ""


class World:
    """The files, and the truth about them."""

    def __init__(self, folder: Path) -> None:
        """Make them in an empty folder."""
        node = PaperNode(folder / "read")
        for phase in range(PHASES):
            if phase:
                node.reopen()
            for _ in range(BLOCKS_A_PHASE):
                node.block([node.transfer() for _ in range(TRANSFERS)])
            node.close()
        self.genesis = node.genesis
        self.folder = folder / "kept"
        shutil.copytree(folder / "read", self.folder)  # before it is read: to open a database is to change its files
        self.heights, self.journal_length = node.store.height + 1, len(_journal(node))
        self.side = _side(node)
        node.reopen()
        for _ in range(LATER_BLOCKS):
            node.block([node.transfer() for _ in range(TRANSFERS)])
        node.close()
        self.records, self.journal = _records(node), _journal(node)
        self.roots, self.values, self.writes = _state(node)
        self.snapshot = folder / SNAPSHOT
        top, entries = self.records[-1], sorted(self.values[-1].items(), key=lambda entry: path_of(entry[0]))
        assert top.seal is not None, "all are sealed"
        make_snapshot(self.snapshot, self.genesis, top.block.header, top.seal, entries)

    def files(self, kind: str) -> list[Path]:
        """The files of a kind, relative to the folder; those that no node reads are left out."""
        if kind == JOURNAL:
            return [Path(JOURNAL)]
        found = [path.relative_to(self.folder) for path in sorted((self.folder / kind).iterdir())]
        found = [path for path in found if path.name not in ("LOCK", "LOG", "LOG.old")]
        return [*found, Path(marker_path(Path(BLOCKS)))] if kind == BLOCKS else found

    def copy(self, kind: str, target: Path) -> None:
        """A copy of the files of a kind, in a new folder `target`."""
        target.mkdir(parents=True)
        if kind == LANDING:
            self._copy_landing(target)
            return
        for path in self.files(kind):
            (target / path).parent.mkdir(exist_ok=True)
            shutil.copyfile(self.folder / path, target / path)

    def _copy_landing(self, target: Path) -> None:
        for kind in (BLOCKS, STATE):
            for path in self.files(kind):
                (target / path).parent.mkdir(exist_ok=True)
                shutil.copyfile(self.folder / path, target / path)
        shutil.copyfile(self.snapshot, target / SNAPSHOT)

    def judge(self, kind: str, folder: Path) -> Verdict:
        """The verdict on a copy that something was done to. Where a writer was killed, it may have come further."""
        if kind == LANDING:
            return judge_landing(folder, self)
        path = folder / kind
        acknowledged = (folder / ACKNOWLEDGED).stat().st_size if (folder / ACKNOWLEDGED).exists() else None
        heights = self.heights if acknowledged is None else len(self.records)
        if kind == BLOCKS:
            return judge_blocks(path, self, self.records[:heights], acknowledged)
        if kind == STATE:
            return judge_state(path, self, heights, acknowledged)
        if acknowledged is None:
            return judge_journal(path, self.journal[: self.journal_length])
        return judge_killed_journal(path, self.journal, self.journal_length + acknowledged)


def _records(node: PaperNode) -> list[BlockRecord]:
    store = BlockStore(node.paths.blocks)
    try:
        found = [store.record(height) for height in range(store.height + 1)]
        return [record for record in found if record is not None]
    finally:
        store.close()


def _journal(node: PaperNode) -> list[bytes]:
    return read_journal(node.paths.journal.read_bytes(), JOURNAL)


def _side(node: PaperNode) -> list[tuple[bytes, bytes]]:
    state = State.open(node.paths.state)
    try:
        return state.side_scan(b"", limit=STATE_ROWS_MAX)
    finally:
        state.close()


Writes = dict[bytes, bytes | None]


def _state(node: PaperNode) -> tuple[list[bytes], list[dict[bytes, bytes]], list[Writes]]:
    """By height: the root, every value, what the block wrote."""
    state = State.open(node.paths.state)
    try:
        heights = range(state.height + 1)
        assert state.oldest_height == 0, "every height is kept, so that each can be compared"
        roots = [state.root_at(height) for height in heights]
        values = [dict(state.scan(b"", limit=STATE_ROWS_MAX, height=height)) for height in heights]
    finally:
        state.close()
    writes: list[Writes] = []
    for before, after in zip([{}, *values], values, strict=False):
        gone: Writes = {key: None for key in before if key not in after}
        writes.append({**gone, **{key: value for key, value in after.items() if before.get(key) != value}})
    return roots, values, writes


# ── the block store ───────────────────────────────────────────────────────────────────────────────


def judge_blocks(path: Path, world: World, records: list[BlockRecord], acknowledged: int | None = None) -> Verdict:
    """Open, ask for everything by every name, put again what is said to be missing, ask once more."""
    said: list[str] = []
    try:
        store = BlockStore(path)
    except DatabaseInUse:
        raise
    except StorageError as error:
        said.append(str(error))
        if path.exists():
            BlockStore.set_aside(path)
        store = BlockStore(path)
    try:
        if acknowledged is not None:
            if store.lost_heights or store.height < len(records) - LATER_BLOCKS + acknowledged - 1:
                return Verdict(SILENT, f"{acknowledged} blocks were acknowledged, the highest is {store.height}")
            records = records[: store.height + 1]
        if store.lost_heights or store.height < len(records) - 1:
            said.append(f"lost {store.lost_heights}, the highest is {store.height}")
        scrubbed = _read_blocks_again(store, world)
        met: list[str] = []
        wrong = _ask_blocks(store, records, met)
        if wrong is None and any("sealed up to" not in each for each in met) and not scrubbed:
            wrong = Verdict(SILENT, f"reading again found nothing, and a read did: {met[0]}")
        said += met or scrubbed
    finally:
        store.close()
    if wrong is None and said:
        wrong = _mend_blocks(path, records)
    return wrong or Verdict(NAMED if said else HARMLESS, "; ".join(said[:2]))


def _read_blocks_again(store: BlockStore, world: World) -> list[str]:
    """What the scrubber of a running node finds."""
    heights = range(store.sealed_height + 1)
    return [found.text for height in heights if (found := check_height(store, world.genesis, height).fault)]


def _ask_blocks(store: BlockStore, records: list[BlockRecord], said: list[str]) -> Verdict | None:
    """What is wrong or silently missing; what is said goes to `said`."""
    known = records[: store.height + 1]
    for record in records:
        height, name = record.height, record.block.header.hash
        if height > store.height and height not in store.lost_heights and store.height >= 0:
            return Verdict(SILENT, f"block {height} is gone, the store ends at {store.height} and names no loss")
        for what in ("record", "by hash"):
            try:
                found = store.record(height) if what == "record" else store.by_hash(name)
            except DataLost as error:
                said.append(str(error))
                continue
            if found is None and height <= store.height:
                return Verdict(SILENT, f"block {height} has no {what}")
            if found is not None and found != record:
                if found.seal is None and found == BlockRecord(record.block, record.bodies, record.receipts, None):
                    if height > store.sealed_height:
                        said.append(f"sealed up to {store.sealed_height}")
                        continue
                    return Verdict(SILENT, f"block {height} has lost its seal, and {store.sealed_height} is sealed")
                return Verdict(WRONG, f"block {height}, {what}: another one")
    return _ask_indexes(store, known, said)


def _ask_indexes(store: BlockStore, known: list[BlockRecord], said: list[str]) -> Verdict | None:
    sent: dict[bytes, list[tuple[int, int, bytes]]] = {}
    for record in known:
        for index, raw in enumerate(record.bodies):
            name = identify(raw)[0]
            sent.setdefault(sender_of(raw), []).insert(0, (record.height, index, name))
            try:
                found = store.locate(name)
            except DataLost as error:
                said.append(str(error))
                continue
            if found != (record.height, index):
                kind = SILENT if found is None else WRONG
                return Verdict(kind, f"transaction {index} of block {record.height} is said to be at {found}")
    for sender, entries in sent.items():
        try:
            listed = store.account_entries(sender, limit=10_000)
        except DataLost as error:
            said.append(str(error))
            continue
        if listed != sorted(entries, reverse=True):
            return Verdict(SILENT, f"an account has {len(listed)} of {len(entries)} entries")
    return None


def _mend_blocks(path: Path, records: list[BlockRecord]) -> Verdict | None:
    """As the next start does: salvage what is whole, and take what is missing from peers."""
    salvage(path)
    store = BlockStore(path)
    try:
        for record in records[store.height + 1 :]:
            store.put(record)
        for record in records[store.sealed_height + 1 :]:
            if record.seal is not None:
                store.seal(record.height, record.seal)
        store.sync()
        said: list[str] = []
        wrong = _ask_blocks(store, records, said)
    except StorageError as error:
        return Verdict(WRONG, f"the repair failed: {error}")
    finally:
        store.close()
    if wrong is not None or said:
        return Verdict(WRONG, f"after the repair: {wrong.text if wrong else said[0]}")
    return None


# ── the state ─────────────────────────────────────────────────────────────────────────────────────


def judge_state(path: Path, world: World, heights: int, acknowledged: int | None = None) -> Verdict:
    """Open, read and prove everything at two heights; then begin anew or go on from there, as a replay does."""
    try:
        state = State.open(path)
    except DatabaseInUse:
        raise
    except StorageError as error:
        shutil.rmtree(path)
        return _replay(path, world, heights, str(error))
    said = ""
    try:
        if acknowledged is not None:
            if state.height < heights - LATER_BLOCKS + acknowledged - 1:
                return Verdict(SILENT, f"{acknowledged} commits were acknowledged, the highest is {state.height}")
            heights = state.height + 1
        if state.height < heights - 1:
            said = f"at height {state.height} of {heights - 1}"
        scrubbed = _read_state_again(state)
        try:
            wrong = next(_ask_state(state, world), None)
            if wrong is not None:
                return wrong
            if scrubbed:
                raise DataLost(scrubbed)
        except DataLost as error:
            if not scrubbed:
                return Verdict(SILENT, f"reading again found nothing, and a read did: {error}")
            state.close()
            shutil.rmtree(path)
            return _replay(path, world, heights, str(error))
    finally:
        state.close()
    return _replay(path, world, heights, said) if said else Verdict(HARMLESS)


def _read_state_again(state: State) -> str:
    """What the scrubber of a running node finds, empty where nothing."""
    after = b""
    while True:
        step = state.scrub(after, SCRUB_LOOKS)
        if step.fault or not step.after:
            return step.fault
        after = step.after


def _ask_state(state: State, world: World) -> Iterator[Verdict]:
    for height in {state.height, max(state.oldest_height, state.height - 5)} - {-1}:
        try:
            root = state.root_at(height)
        except HeightNotKept:
            yield Verdict(SILENT, f"height {height} is said to be kept and is not")
            continue
        values = world.values[height]
        if root != world.roots[height]:
            yield Verdict(WRONG, f"another root at height {height}")
        if dict(state.scan(b"", limit=STATE_ROWS_MAX, height=height)) != values:
            yield Verdict(WRONG, f"other values at height {height}")
        for key in [*values, b"nobody wrote this"]:
            found = state.get(key, height)
            if found != values.get(key):
                yield Verdict(WRONG, f"another value at height {height}")
            try:
                check_state_proof(root, key, found, state.prove(key, height))
            except InvalidProof as error:
                yield Verdict(WRONG, f"a proof at height {height} does not hold: {error}")
    if state.height == world.heights - 1 and state.side_scan(b"", limit=STATE_ROWS_MAX) != world.side:
        yield Verdict(WRONG, "another side table")


def _replay(path: Path, world: World, heights: int, said: str) -> Verdict:
    """Commit what is missing, and read everything once more. The side table is the engine's to write."""
    state = State.open(path)
    try:
        for height in range(state.height + 1, heights):
            if state.commit(height, world.writes[height]) != world.roots[height]:
                return Verdict(WRONG, f"after the repair: another root at height {height} ({said})")
        values = dict(state.scan(b"", limit=STATE_ROWS_MAX))
        return (
            Verdict(NAMED, said)
            if values == world.values[heights - 1]
            else Verdict(WRONG, f"after the repair ({said})")
        )
    except StorageError as error:
        return Verdict(NAMED, f"{said}; cannot be written any more: {error}")
    finally:
        state.close()


# ── a snapshot that is put in place ───────────────────────────────────────────────────────────────


def land(folder: Path, genesis: Genesis, records: list[BlockRecord]) -> None:
    """As a join does it that has fetched everything. `records` are those from genesis on."""
    landing = Landing(folder, JOINING, genesis)
    landing.directory.mkdir(exist_ok=True)
    with SnapshotFile(folder / SNAPSHOT) as file:
        landing.build(file.manifest.contents, file.piece, lambda first: records[first:])
    landing.switch()


def judge_landing(folder: Path, world: World) -> Verdict:
    """Start as a node does, and find the old state or the new one; then put the snapshot in place once more."""
    finish_switch(folder)
    wrong = _half_landed(folder, world, {world.heights - 1, len(world.records) - 1})
    if wrong is None:
        land(folder, world.genesis, world.records)
        wrong = _half_landed(folder, world, {len(world.records) - 1})
    return wrong or Verdict(HARMLESS)


def _half_landed(folder: Path, world: World, heights: set[int]) -> Verdict | None:
    """What is wrong with a state of one of these heights, and with the blocks up to it."""
    state = State.open(folder / STATE)
    try:
        height, values = state.height, dict(state.scan(b"", limit=STATE_ROWS_MAX))
    finally:
        state.close()
    if height not in heights or values != world.values[height]:
        return Verdict(WRONG, f"the state stands at height {height}, and is neither the old one nor the new one")
    store = BlockStore(folder / BLOCKS)
    try:
        if store.lost_heights or store.height < height:
            return Verdict(SILENT, f"the state stands at height {height}, the blocks end at {store.height}")
        if any(store.record(each) != world.records[each] for each in range(store.height + 1)):
            return Verdict(WRONG, "other blocks")
    finally:
        store.close()
    return None


# ── the journal ───────────────────────────────────────────────────────────────────────────────────


def judge_journal(path: Path, records: list[bytes]) -> Verdict:
    """Open, compare. Nothing repairs a journal: its owner is silent until the others have told it what it signed."""
    try:
        journal, found = Journal.open(path)
    except DatabaseInUse:
        raise
    except StorageError as error:
        return Verdict(NAMED, str(error))
    journal.close()
    if found == records:
        return Verdict(HARMLESS)
    if found == records[: len(found)]:
        return Verdict(SHORTER, f"{len(found)} of {len(records)} records")
    return Verdict(WRONG, "records that were never written")


def judge_killed_journal(path: Path, records: list[bytes], acknowledged: int) -> Verdict:
    """A journal whose writer was killed: all that was flushed, or, written anew as the last thing, the end of it."""
    try:
        journal, found = Journal.open(path)
    except StorageError as error:
        return Verdict(SILENT, f"a kill alone damaged it: {error}")
    journal.close()
    if found == records[-REWRITTEN:] or (len(found) >= acknowledged and found == records[: len(found)]):
        return Verdict(HARMLESS)
    return Verdict(SILENT, f"{acknowledged} records were flushed, {len(found)} are there")
