"""How a validator ends: a diagnosis ends its votes and leaves its reads; what can be mended makes it begin again."""

import asyncio
import time

import pytest

from ledger.errors import DataLost, DiskFull, StorageError
from network.ending import STATE_MISSING, Ending
from network.pipeline import Diverged, StateMissing

REFUSED = "the block store: nothing more is written until the node is restarted"


class Validator:
    """The votes that an ending may halt, and a store that may be damaged."""

    def __init__(self, directory, damage="", **options):
        self.halts = 0
        self.ending = Ending(directory, halt_votes=self.halt, damage=lambda: damage, **options)

    def halt(self):
        self.halts += 1

    async def fails(self, error):
        """Whether it has ended after one of its parts failed with this."""

        async def part():
            raise error

        await self.ending.guard(part())
        return await self.has_ended()

    async def has_ended(self):
        try:
            async with asyncio.timeout(0):
                await self.ending.wait()
        except TimeoutError:
            return False
        return True


@pytest.mark.parametrize(
    "error", [Diverged("another state root"), DataLost("a block is gone"), StorageError("the disk is gone")]
)
async def test_a_part_that_finds_that_going_on_would_be_wrong_stops_the_votes_and_leaves_the_reads(tmp_path, error):
    validator = Validator(tmp_path)
    assert not await validator.fails(error)
    assert (validator.ending.halted, validator.halts, validator.ending.begin_again) == (str(error), 1, False)


async def test_a_defect_in_a_part_stops_the_votes_and_the_node(tmp_path, caplog):
    validator = Validator(tmp_path)
    assert await validator.fails(KeyError("a defect"))
    assert (validator.ending.halted, validator.halts) == ("an internal error: see the log", 1)
    assert not validator.ending.begin_again
    assert "a part of this validator failed" in caplog.text


async def test_a_part_that_is_stopped_has_not_failed(tmp_path):
    validator = Validator(tmp_path)
    validator.ending.spawn(asyncio.sleep(60), "a part")
    await asyncio.sleep(0)
    await validator.ending.stop_parts()
    assert (validator.ending.halted, validator.halts, await validator.has_ended()) == ("", 0, False)


async def test_the_first_diagnosis_stands(tmp_path):
    validator = Validator(tmp_path)
    validator.ending.halt("diverged at height 7")
    validator.ending.halt("the disk failed as well")
    assert (validator.ending.halted, validator.halts) == ("diverged at height 7", 2)


async def test_a_state_that_blocks_cannot_make_again_ends_the_votes_for_a_snapshot_and_diagnoses_nothing(tmp_path):
    validator = Validator(tmp_path)
    assert await validator.fails(StateMissing("the blocks here begin at 10"))
    ending = validator.ending
    assert (ending.join, ending.begin_again, ending.remade, ending.halted) == (STATE_MISSING, True, False, "")
    assert validator.halts == 1


async def test_a_full_disk_halts_it_until_there_is_room(tmp_path, monkeypatch):
    room = asyncio.Event()
    monkeypatch.setattr("network.ending.wait_for_room", lambda _: room.wait())
    validator = Validator(tmp_path, "a table is torn")
    assert not await validator.fails(DiskFull("no space left on device"))
    assert (validator.ending.halted, validator.ending.begin_again) == ("no space left on device", False)
    room.set()
    await asyncio.wait_for(validator.ending.wait(), 10)
    assert (validator.ending.begin_again, validator.ending.remade, validator.ending.join) == (True, False, "")


async def test_a_validator_that_halts_over_a_torn_table_begins_again_by_itself(tmp_path):
    """It votes no more: nothing is lost by making its store anew at once."""
    validator = Validator(tmp_path, "a table is torn")
    assert await validator.fails(StorageError(REFUSED))
    assert (validator.ending.begin_again, validator.ending.remade, validator.ending.join) == (True, True, "")


async def test_one_whose_store_was_made_anew_just_now_stays_halted_and_says_why(tmp_path):
    validator = Validator(tmp_path, "a table is torn", remake_not_before=time.monotonic() + 60)
    assert not await validator.fails(StorageError(REFUSED))
    assert (validator.ending.begin_again, validator.ending.remade) == (False, False)
    assert validator.ending.halted.startswith(f"{REFUSED}. The block store was made anew less than an hour ago")
    assert validator.ending.halted.endswith("Stop the node, replace what fails, and start again")
