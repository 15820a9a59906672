"""The campaign of disk faults, in short: every class of fault on every kind of file, and nothing lost in silence."""

import random

import pytest

from ledger.journal import Journal
from ledger.state import State
from ledger.store import BlockStore, marker_path
from scripts.storage.faults import Fault, deleted_files, flipped_bits, truncations, zeroed_pages
from scripts.storage.kills import find_strace, kills
from scripts.storage.world import BLOCKS, HARMLESS, JOURNAL, LANDING, NAMED, SHORTER, SILENT, STATE, WRONG, World
from scripts.storage_faults import judge

SEED = 20261121
EVERY = 401  # of the truncations
FLIPS = 60
KILLS = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def faults(world):
    yield from deleted_files(world)
    yield from list(zeroed_pages(world))[::6]
    yield from list(truncations(world))[::EVERY]
    yield from flipped_bits(world, FLIPS, random.Random(SEED))


def test_untouched_files_are_right(world, tmp_path):
    for kind in (BLOCKS, STATE, JOURNAL):
        world.copy(kind, tmp_path / kind)
        assert world.judge(kind, tmp_path / kind).kind == HARMLESS


def test_no_fault_is_silent_and_what_is_repaired_is_right(world, tmp_path):
    seen = set()
    for fault in faults(world):
        verdict = judge(world, fault, tmp_path / "copy")
        allowed = {HARMLESS, NAMED} | ({SHORTER} if fault.kind == JOURNAL and fault.name != "flipped bit" else set())
        assert verdict.kind in allowed, f"{fault}: {verdict}"
        seen.add((fault.name, fault.kind, verdict.kind))
    assert {(name, kind) for name, kind, _ in seen} >= {
        (name, kind) for name in ("flipped bit", "truncation", "zeroed page") for kind in (BLOCKS, STATE, JOURNAL)
    }
    assert ("flipped bit", JOURNAL, NAMED) in seen
    assert ("deleted file", BLOCKS, NAMED) in seen


def test_the_judge_of_blocks_notices_what_is_missing_and_what_is_wrong(world, tmp_path):
    """Without the marker a shorter store looks whole: the fault that is two faults is one that must be seen here."""
    world.copy(BLOCKS, tmp_path / "copy")
    store = BlockStore(tmp_path / "copy" / BLOCKS)
    store.truncate_after(20)
    store.close()
    assert world.judge(BLOCKS, tmp_path / "copy").kind == SILENT
    world.copy(BLOCKS, tmp_path / "other")
    store = BlockStore(tmp_path / "other" / BLOCKS)
    store.truncate_after(world.heights - 2)
    record = world.records[world.heights - 1]
    store.put(record)  # without its seal's neighbour: the same record is right
    store.close()
    assert world.judge(BLOCKS, tmp_path / "other").kind == HARMLESS
    marker_path(tmp_path / "other" / BLOCKS).unlink()
    assert world.judge(BLOCKS, tmp_path / "other").kind == HARMLESS


def test_the_judges_of_state_and_journal_notice_what_is_wrong(world, tmp_path):
    world.copy(STATE, tmp_path / "copy")
    state = State.open(tmp_path / "copy" / STATE)
    key = next(iter(world.values[-1]))
    state._versions._database.put(b"rv" + key, b"another value")
    state.close()
    assert world.judge(STATE, tmp_path / "copy").kind == WRONG
    world.copy(JOURNAL, tmp_path / "journal")
    journal, records = Journal.open(tmp_path / "journal" / JOURNAL)
    journal.rewrite([*records[:5], b"never written", *records[5:]])
    journal.close()
    assert world.judge(JOURNAL, tmp_path / "journal").kind == WRONG


def test_a_fault_is_done_as_it_says(world, tmp_path):
    world.copy(JOURNAL, tmp_path / "copy")
    before = (tmp_path / "copy" / JOURNAL).read_bytes()
    Fault("flipped bit", JOURNAL, JOURNAL, 100, 3).do(tmp_path / "copy")
    after = (tmp_path / "copy" / JOURNAL).read_bytes()
    assert [(at, a ^ b) for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [(100, 8)]


@pytest.mark.skipif(find_strace() is None, reason="kills at system calls need strace")
def test_a_writer_that_is_killed_loses_nothing_that_had_returned(world, tmp_path):
    found = list(kills(world, tmp_path / "count", kinds=(JOURNAL,), calls=("fdatasync", "rename")))
    assert {each.call for each in found} == {"fdatasync", "rename"}
    for kill in found[:: max(1, len(found) // KILLS)]:
        verdict = judge(world, kill, tmp_path / "copy")
        assert verdict.kind == HARMLESS, f"{kill}: {verdict}"


@pytest.mark.skipif(find_strace() is None, reason="kills at system calls need strace")
def test_a_node_that_is_killed_while_a_snapshot_is_put_in_place_has_the_old_state_or_the_new(world, tmp_path):
    found = list(kills(world, tmp_path / "count", kinds=(LANDING,), calls=("rename",)))
    assert len(found) > 3  # each part's, and LevelDB's own
    for kill in (found[0], found[-2]):
        verdict = judge(world, kill, tmp_path / "copy")
        assert verdict.kind == HARMLESS, f"{kill}: {verdict}"


def test_the_judge_of_a_snapshot_put_in_place_notices_what_is_half(world, tmp_path):
    world.copy(LANDING, tmp_path / "copy")
    assert world.judge(LANDING, tmp_path / "copy").kind == HARMLESS
    state = State.open(tmp_path / "copy" / STATE)
    state._versions._database.delete(b"rv" + next(iter(world.values[-1])))
    state.close()
    assert world.judge(LANDING, tmp_path / "copy").kind == WRONG
    world.copy(LANDING, tmp_path / "other")
    store = BlockStore(tmp_path / "other" / BLOCKS)
    store.truncate_after(20)
    store.close()
    assert world.judge(LANDING, tmp_path / "other").kind == SILENT
