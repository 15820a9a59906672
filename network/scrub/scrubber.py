"""Reads everything again that this node has stored, slowly and for ever, and has what does not hold mended.

A pass goes over the sealed blocks with their indexes, the files beside them, the state, and the snapshots that are
kept. It takes so many bytes a second at most, and a hundredth of the time at most, whatever the bytes; it waits while
the validator is in doubt, changes its view or catches up. What it finds:

- a block is put again from another member's copy, which a quorum sealed; an index from the block itself;
- a table that LevelDB cannot read any more: its blocks are put again, above it, and the store is made anew
  (`ledger.salvage`) as soon as the others are a quorum without this node, or at the next start;
- the state is deleted, and made again from the blocks;
- the marker and the vote journal are written anew from memory; a snapshot is deleted, the next one takes its place.

Where that is not safe, it says so and what to do; where two sealed blocks contradict each other, or the disk spoils
what was just made anew, the validator stops. It decides nothing about votes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from ledger.blocks import GENESIS_HEIGHT, genesis_record
from ledger.database import read_tables
from ledger.errors import DataLost, OtherFormat, StorageError
from ledger.scrub import Checked, Fault, check_height
from ledger.snapshot_file import SnapshotFile
from ledger.store import BlockStore
from ledger.types import Genesis
from network.api import NodeUnavailable, ScrubbedState
from network.scrub import report
from network.scrub.mender import BlockMender, Given
from network.scrub.report import Report
from network.snapshots.keeper import kept_snapshots

log = logging.getLogger("quorate.scrub")

PASS_EVERY_S = 3600.0  # from the beginning of one pass to that of the next, at least
LOOK_EVERY_S = 5.0  # between two passes: for damage that a read met, and for what could not be mended before
RESTS = 99  # after each step, in the processor's time that it took
BUSY_LOOK_S = 0.5  # while the validator has better things to do,
BUSY_MAX_S = 30.0  # and for how long a step waits for that: one that is stuck is read again all the same
STATE_AGAIN_S = 3600.0  # a state that is damaged again within this time is the machine's fault
SILENCES_MAX = 20  # of the executor, in a row, before the rest of the state is left to the next pass
SILENCE_S = 0.25

T = TypeVar("T")


@dataclass(frozen=True)
class Parts:
    """What a scrubber is given of its node.

    `scrub_state(after)` is a step of the executor's (may raise `NodeUnavailable`), `remake_state()` has it deleted and
    made again; `journal()` reads the vote journal again, `rewrite_journal()` writes it anew and is False where nothing
    is written any more; `spared()` says whether the others are a quorum without this node, `sparable` whether they can
    be; `remake_store(why)` ends this validator to begin again on a new store; `halt(diagnosis)` ends its votes;
    `busy()` says whether it has better things to do; `state` is the directory of the executor's database, where it
    lies beside.
    """

    genesis: Genesis
    store: BlockStore
    snapshots: Path
    mender: BlockMender
    scrub_state: Callable[[bytes], Awaitable[ScrubbedState]]
    remake_state: Callable[[], Awaitable[None]]
    journal: Callable[[], Iterator[int]]
    rewrite_journal: Callable[[], bool]
    spared: Callable[[], bool]
    sparable: bool
    remake_store: Callable[[str], object]
    halt: Callable[[str], None]
    busy: Callable[[], bool] = lambda: False
    state: Path | None = None


class Scrubber:
    """One node's. `run` until cancelled, then `close`, before the store is closed."""

    def __init__(self, parts: Parts, bytes_per_second: int, *, rests: int = RESTS) -> None:
        self._parts = parts
        self._store = parts.store
        self._bytes_per_second = bytes_per_second
        self._rests = rests
        self._thread = ThreadPoolExecutor(1, "scrub")
        self._open: dict[int, Fault] = {}  # what could not be mended yet, by height
        self._suspicion = ""  # what somebody else says about the state
        self._state_fault = ""  # what is wrong with it, while the others need this node as it is
        self._state_made_at = -STATE_AGAIN_S
        self._damage_known = ""
        self._contradiction = ""
        self._blocks_readable = True
        self.report = Report()

    async def run(self) -> None:
        """Pass after pass. A disk that cannot even be read leaves a problem for the operator, and the next pass."""
        while not self._contradiction:
            await self._rest(0, 0.0)
            begun = time.monotonic()
            await self._as_far_as_it_goes(self.run_pass)
            while time.monotonic() - begun < PASS_EVERY_S and self._store.damage == self._damage_known:
                await asyncio.sleep(LOOK_EVERY_S)
                await self._as_far_as_it_goes(self.look)

    async def _as_far_as_it_goes(self, part: Callable[[], Awaitable[None]]) -> None:
        """What cannot even be read, or deleted, ends this part, and nothing else: a validator that votes goes on."""
        try:
            await part()
        except (StorageError, OSError) as error:
            self.report.on_left(report.READING, f"what is stored cannot be read again: {error}")
            self._damage_known = self._store.damage  # or the next pass would begin at once, and end like this one

    def close(self) -> None:
        """Wait for the step that is under way."""
        self._thread.shutdown(wait=True)

    def suspect_state(self, text: str) -> None:
        """Somebody read the whole state, and it does not give the sealed root."""
        self._suspicion = text

    async def run_pass(self) -> None:
        """Everything once."""
        self._blocks_readable = await self._is_readable(self._store.path)
        if self._blocks_readable:
            await self._scrub_blocks()
        await self._scrub_files()
        if self._blocks_readable:
            await self._mend_left()
            self._settle()
        self._damage_known = self._store.damage
        if self._parts.state is None or await self._is_readable(self._parts.state):
            await self._scrub_state()
        await self._scrub_snapshots()
        self.report.on_pass()
        await self.look()

    async def look(self) -> None:
        """What waits for a better moment: is it now?"""
        if self._blocks_readable:
            await self._mend_left()
        if self._suspicion:
            text, self._suspicion = self._suspicion, ""
            await self._on_state(text)
        if self._state_fault and self._parts.spared():
            await self._mend_state(self._state_fault)
        if self._store.torn and self._blocks_readable and not self._open and self._parts.spared():
            self._parts.remake_store(f"{self._store.damage}; every block is whole again")

    async def _is_readable(self, database: Path) -> bool:
        """Whether the disk gives every table: LevelDB, which maps them, would end its process where it does not."""
        self.report.at(report.FILES)
        about, tables = f"tables of {database.name}", read_tables(database)
        try:
            while await self._paced(partial(next, tables, 0), int):
                pass
        except StorageError as error:
            text = (
                f"{error}. To read it through LevelDB would end the process, so {database.name}/ is not read again. "
                "Stop the node, replace the disk, and start from a snapshot"
            )
            self.report.on_left(about, text)
            return False
        if about in self.report.problems:
            self.report.on_mended(about, f"every table of {database.name}/ can be read again")
        return True

    # ── blocks ────────────────────────────────────────────────────────────────────────────────────

    async def _scrub_blocks(self) -> None:
        last = self._store.sealed_height
        for height in chain((GENESIS_HEIGHT,), range(self._store.first_height, last + 1)):
            self.report.at(report.BLOCKS, height, last)
            fault = await self._find_fault(height)
            if fault is not None:
                self.report.on_found(_about(height), fault.text)
                await self._mend(fault)

    async def _find_fault(self, height: int) -> Fault | None:
        """Read one height. A fault counts when it is there at a second look: the chain grows while we read."""
        check = partial(check_height, self._store, self._parts.genesis, height)
        if (await self._paced(check, _size_of)).fault is None:
            return None
        return (await self._paced(check, _size_of)).fault

    async def _mend(self, fault: Fault) -> None:
        """Put a block again, and read it once more."""
        height = fault.height
        self._open[height] = fault
        if fault.mend == "nobody":
            self._contradicted(fault.text)
        if self._contradiction:
            return
        given = await self._right_one(fault)
        if given is None:
            self._left(height, f"{fault.text}; no member that is linked has it: they are asked again")
            return
        if await self._is_contradicted(given):
            self._contradicted(f"block {height + 1} follows another block than {given.by} has, and both are sealed")
            return
        try:
            self._store.put(given.record)
        except StorageError as error:
            self._left(height, f"{fault.text}; it cannot be put again: {error}")
            return
        again = await self._find_fault(height)
        if again is not None:
            self._left(height, f"{again.text}, though it was put again from {given.by}")
            return
        del self._open[height]
        self.report.on_mended(_about(height), f"block {height} is whole again, from {given.by}")

    async def _right_one(self, fault: Fault) -> Given | None:
        """The record as it has to be, and where from."""
        if fault.height == GENESIS_HEIGHT:
            from contracts.engine import genesis_root  # not before it is needed: a validator starts without contracts

            genesis = self._parts.genesis
            return Given(genesis_record(genesis, genesis_root(genesis)), "the genesis file")
        if fault.mend == "peers":
            return await self._parts.mender.fetch(fault.height)
        record = self._store.record(fault.height)
        return None if record is None else Given(record, "its own record")

    async def _is_contradicted(self, given: Given) -> bool:
        """Whether a whole block above names another one below it."""
        above = given.record.height + 1
        if above > self._store.sealed_height or above <= self._store.first_height:
            return False
        if await self._find_fault(above) is not None:
            return False
        header = self._store.header(above)
        return header is not None and header.previous_hash != given.record.block.header.hash

    def _contradicted(self, text: str) -> None:
        """Nothing here may be mended any more: it would be by one of two truths."""
        self._contradiction = text
        self.report.on_left("the chain", text)
        self._parts.halt(
            f"{text}. More members than may fail have signed two chains, or this disk holds another one: keep the "
            "directory, compare with the other members, and begin with a new directory once you know which is right"
        )

    def _left(self, height: int, text: str) -> None:
        self.report.on_left(_about(height), text)

    async def _mend_left(self) -> None:
        """Try again what could not be mended, from the top: a header is vouched for by the one above."""
        for height in [] if self._contradiction else sorted(self._open, reverse=True):
            fault = await self._find_fault(height)
            if fault is not None:
                await self._mend(fault)
            else:
                del self._open[height]
                self.report.on_mended(_about(height), f"block {height} is whole again")

    def _settle(self) -> None:
        """After all blocks were read: what was noted for the next start is mended, or it is about torn tables."""
        if not self._open:
            self._store.settle()
        if self._store.torn:
            text = (
                f"{self._store.damage}. Its blocks are put again above it; the store is made anew when the others are "
                "a quorum without this node, or at the next start"
            )
            self.report.on_found("tables", text)

    # ── files beside ──────────────────────────────────────────────────────────────────────────────

    async def _scrub_files(self) -> None:
        self.report.at(report.FILES)
        wrong = self._store.mend_marker()
        if wrong:
            self.report.on_found("marker", wrong)
            self.report.on_mended("marker", f"{wrong}: it is written anew from memory")
        self._store.note_missing_files()
        if await self._find_journal_fault() and (fault := await self._find_journal_fault()):
            self.report.on_found("journal", fault)
            if self._parts.rewrite_journal():
                self.report.on_mended("journal", f"{fault}: it is written anew from memory")
            else:
                self.report.on_left("journal", f"{fault}; this validator has stopped voting and writes nothing anew")

    async def _find_journal_fault(self) -> str:
        """What is wrong with it. A read may fail once: so a fault is looked for twice."""
        steps = self._parts.journal()
        try:
            while await self._paced(partial(next, steps, 0), int):
                pass
        except DataLost as error:
            return str(error)
        return ""

    # ── the state ─────────────────────────────────────────────────────────────────────────────────

    async def _scrub_state(self) -> None:
        after, read, silences = b"", 0, 0
        while silences < SILENCES_MAX:
            try:
                step = await self._parts.scrub_state(after)
            except NodeUnavailable:
                silences += 1
                await asyncio.sleep(SILENCE_S)
                continue
            silences, after, read = 0, step.after, read + step.bytes_read
            self.report.at(report.STATE, min(read, step.size_bytes), step.size_bytes)
            fault = step.fault or self._other_root(step)
            if fault:
                await self._on_state(fault)
                return
            await self._rest(step.bytes_read, step.took_s)
            if not after:
                self._on_state_whole()
                return

    def _other_root(self, step: ScrubbedState) -> str:
        """Whether the executor stands at another state than the sealed header names."""
        if not self._store.first_height <= step.height <= self._store.sealed_height:
            return ""
        try:
            header = self._store.header(step.height)
        except DataLost:
            return ""
        if header is None or header.state_root == step.state_root:
            return ""
        return f"the state at height {step.height} has root {step.state_root.hex()}, the sealed header has another"

    async def _on_state(self, fault: str) -> None:
        """Derived, so it can be made again whenever the blocks are whole; but not for ever."""
        self.report.on_found("state", fault)
        await self._mend_state(fault)

    async def _mend_state(self, fault: str) -> None:
        """While all blocks are executed again this node signs nothing: not at a time when that stops the network."""
        if self._open or self._store.torn:
            self.report.on_left("state", f"{fault}; it is made again once the blocks are whole")
        elif time.monotonic() - self._state_made_at < STATE_AGAIN_S:
            self.report.on_left("state", fault)
            self._parts.halt(
                f"{fault}, and it was made again less than an hour ago: the disk or the memory of this machine cannot "
                "be trusted. Stop the node, replace what fails, delete state/ and start again"
            )
        elif self._parts.sparable and not self._parts.spared():
            self._state_fault = fault
            self.report.on_left("state", f"{fault}; it is made again once the others are a quorum without this node")
        else:
            await self._make_state_again(fault)

    async def _make_state_again(self, fault: str) -> None:
        try:
            await self._parts.remake_state()
        except NodeUnavailable as error:
            self.report.on_left("state", f"{fault}; it could not be deleted: {error}")
            return
        self._state_made_at = time.monotonic()
        self._suspicion = self._state_fault = ""  # they were about the state that is gone
        self.report.on_mended("state", f"{fault}: it is deleted, and made again from the blocks")

    def _on_state_whole(self) -> None:
        self._state_fault = ""
        if "state" in self.report.problems:
            self.report.on_mended("state", "the state holds again")

    # ── snapshots ─────────────────────────────────────────────────────────────────────────────────

    async def _scrub_snapshots(self) -> None:
        paths = kept_snapshots(self._parts.snapshots)
        for done, path in enumerate(paths):
            self.report.at(report.SNAPSHOTS, done, len(paths))
            try:
                await self._read_snapshot(path)
            except (DataLost, OtherFormat) as error:
                self.report.on_found(path.name, str(error))
                path.unlink(missing_ok=True)
                self.report.on_mended(path.name, f"{path.name} was damaged and is deleted; the next takes its place")
            except StorageError as error:
                log.debug("a snapshot was deleted while it was read: %s", error)

    async def _read_snapshot(self, path: Path) -> None:
        file = await self._paced(partial(SnapshotFile, path), lambda _: 0)
        try:
            for index in range(len(file.manifest.pieces)):
                await self._paced(partial(file.piece, index), len)
        finally:
            file.close()

    # ── pace ──────────────────────────────────────────────────────────────────────────────────────

    async def _paced(self, step: Callable[[], T], size: Callable[[T], int]) -> T:
        """Do a step in the scrubber's own thread, and rest."""
        done, took_s = await asyncio.get_running_loop().run_in_executor(self._thread, _timed, step)
        await self._rest(size(done), took_s)
        return done

    async def _rest(self, bytes_read: int, took_s: float) -> None:
        """`took_s` is the processor's time: a busy machine makes the step longer, not dearer."""
        self.report.bytes_read += bytes_read
        await asyncio.sleep(max(bytes_read / self._bytes_per_second, self._rests * took_s))
        waited_s = 0.0
        while self._parts.busy() and waited_s < BUSY_MAX_S:
            await asyncio.sleep(BUSY_LOOK_S)
            waited_s += BUSY_LOOK_S


def _timed(step: Callable[[], T]) -> tuple[T, float]:
    begun = time.thread_time()
    done = step()
    return done, time.thread_time() - begun


def _size_of(checked: Checked) -> int:
    return checked.bytes_read


def _about(height: int) -> str:
    return f"block {height}"
