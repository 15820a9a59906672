"""How a validator ends: with a diagnosis, to begin again on what its disk holds, or together with its process.

It runs the parts that work by themselves, and judges what the failure of one means. A diagnosis ends the votes for
good and leaves the reads. A full disk, a damaged block store and a state that blocks cannot make again are no
diagnosis: the process is told to make this validator anew. Nothing here knows what a part does, or how it is mended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from ledger.errors import DataLost, DiskFull, StorageError
from network.pipeline import Diverged, StateMissing
from network.room import wait_for_room

log = logging.getLogger("quorate.validator")

BEHIND, STATE_MISSING = "behind", "state"  # why a snapshot must come before this validator is made anew

Work = Coroutine[None, None, None]


class Ending:
    """One validator's. `halt_votes()` ends its driver; `damage()` is what the block store says is wrong with its files.

    `remake_not_before` is a time of the monotonic clock: a store that was made anew just now is not made again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        halt_votes: Callable[[], None],
        damage: Callable[[], str],
        remake_not_before: float = 0.0,
    ) -> None:
        self.halted = ""
        """The diagnosis that ended the votes, or empty."""
        self.begin_again = False
        """Why `wait` returned: not to end the process, but to make the validator anew on the same directory."""
        self.join = ""
        """Why a snapshot must come first, where that is what `begin_again` is for: `BEHIND` or `STATE_MISSING`."""
        self.remade = False
        """Whether `begin_again` is for a block store that is damaged: it is made anew when it is opened."""
        self._directory = directory
        self._halt_votes = halt_votes
        self._damage = damage
        self._remake_not_before = remake_not_before
        self._parts: list[asyncio.Task[None]] = []
        self._room: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> None:
        """Until the validator must end by itself, or begin again."""
        await self._ended.wait()

    # ── the parts ─────────────────────────────────────────────────────────────────────────────────

    def spawn(self, work: Work, name: str) -> None:
        """Have a part work until `stop_parts`."""
        self._parts.append(asyncio.create_task(self.guard(work), name=name))

    async def stop_parts(self) -> None:
        """Cancel all of them, and wait until they have left."""
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)

    async def guard(self, work: Work) -> None:
        """A part that fails halts the validator with a diagnosis; the node stays up for reads."""
        try:
            await work
        except (Diverged, DataLost, StorageError) as error:
            self.on_storage_failed(str(error), disk_full=isinstance(error, DiskFull))
        except StateMissing as error:
            self._halt_votes()
            self.leave_for_snapshot(STATE_MISSING, str(error))
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.exception("a part of this validator failed: this is a defect, please report it")
            self.halt("an internal error: see the log")
            self._ended.set()

    # ── to stay, and vote no more ─────────────────────────────────────────────────────────────────

    def halt(self, diagnosis: str) -> None:
        """End the votes. The first diagnosis stands."""
        if not self.halted:
            self.halted = diagnosis
            log.critical("HALTED, this validator votes no more: %s", diagnosis)
        self._halt_votes()

    def on_storage_failed(self, diagnosis: str, *, disk_full: bool) -> None:
        """What is stored cannot be read, or no more be written: nothing is signed that could not be kept."""
        self.halt(diagnosis)
        if disk_full:
            self._begin_again_later()
        else:
            self._begin_again_if_damaged()

    # ── to begin again ────────────────────────────────────────────────────────────────────────────

    def leave_for_snapshot(self, why: str, told: str) -> None:
        """Begin again at a snapshot of the others. Whoever votes still has its votes halted first."""
        log.warning("%s: it takes a snapshot from the others, and votes no more until then", told)
        self.join = why
        self._begin_again()

    def remake_store(self, why: str) -> bool:
        """Begin again: the next validator finds the note of the damage, and makes the store anew. False: too soon."""
        if not self._remake(why):
            return False
        self._halt_votes()
        return True

    def remake_store_at_start(self) -> bool:
        """A start that met damage begins again as well: nobody votes yet. False: too soon, or the blocks have none."""
        damage = self._damage()
        return bool(damage) and self._remake(damage)

    def _remake(self, why: str) -> bool:
        if time.monotonic() < self._remake_not_before:
            return False
        log.warning("%s: this validator begins again, with a new block store", why)
        self.remade = True
        self._begin_again()
        return True

    async def await_room(self) -> None:
        """Begin again as soon as the disk has room."""
        await wait_for_room(self._directory)
        log.warning("there is room on the disk again: this validator begins anew on what it holds")
        self._begin_again()

    def _begin_again_if_damaged(self) -> None:
        """It votes no more, so nothing is lost by making the store anew now; but not again and again."""
        damage = self._damage()
        if damage and not self.remake_store(damage):
            self.halted += (
                ". The block store was made anew less than an hour ago and is damaged again: the disk or the memory of "
                "this machine cannot be trusted. Stop the node, replace what fails, and start again"
            )

    def _begin_again_later(self) -> None:
        """A full disk is no damage: once there is room, this node is made anew on what its disk holds (scenario 75)."""
        if self._room is None:
            self._room = asyncio.create_task(self.await_room(), name="room")
            self._parts.append(self._room)

    def _begin_again(self) -> None:
        self.begin_again = True
        self._ended.set()
