"""Following the others' sealed blocks when votes alone do not bring this replica there. Casts no vote.

A target is only ever a checked seal, so nobody can send a laggard after heights that do not exist. One range at a
time, from members that proved a seal that high, the next member after each failure (docs/protocol.md, section 7).
"""

from __future__ import annotations

from consensus.actions import Fetch
from consensus.certificates import seal_holds
from consensus.core import Core
from consensus.events import BlockFetched
from consensus.ordering import deliver
from consensus.sealing import note_seal
from consensus.slot import READY, Final

FETCH_BLOCKS_MAX = 64
IDLE_TICKS_MAX = 8  # a fetch that brought nothing for so many STATUS ticks is given up


class CatchUp:
    """The one fetch under way, if any, and whose turn is next."""

    def __init__(self) -> None:
        self.member: int | None = None  # who was asked
        self.last = 0  # the highest height that was asked for
        self._turn = 0
        self._idle_ticks = 0
        self._resting = False  # after a failure, until the next tick: no hot loop between two members that fail
        self._seen = (-1, -1)

    def tick(self, core: Core) -> None:
        """Once a STATUS period: start when votes bring no progress, give up on a member that sends nothing."""
        self._resting = False
        now = (core.sealed_height, core.delivered_height)
        stalled, self._seen = now == self._seen, now
        self._idle_ticks = self._idle_ticks + 1 if stalled else 0
        if self.member is not None and self._idle_ticks >= IDLE_TICKS_MAX:
            self.give_up()
            self._resting = False
        if self.member is None and stalled and core.best_sealed_height > core.sealed_height:
            self._start(core)

    def advance(self, core: Core) -> None:
        """Ask on when a range is complete; start at once when a whole window behind."""
        done = self.member is not None and core.sealed_height >= self.last
        if done and self.member is not None:
            self._turn = self.member + 1  # each in turn: one that drips holds up its own range only
            self.member = None
        behind = core.best_sealed_height - core.delivered_height
        if self.member is None and not self._resting and (behind >= core.window or (done and behind > 0)):
            self._start(core)

    def give_up(self) -> None:
        """That member did not help: the next one's turn."""
        if self.member is not None:
            self._turn = self.member + 1
            self.member = None
            self._resting = True

    def _start(self, core: Core) -> None:
        member = self._next_source(core)
        if member is None:
            return
        self.member, self._idle_ticks = member, 0
        self.last = min(core.best_sealed_height, core.sealed_height + FETCH_BLOCKS_MAX)
        core.out.append(Fetch(member, core.sealed_height + 1, self.last))

    def _next_source(self, core: Core) -> int | None:
        """The next member, in turn, that has proved to hold more than this one, or else signed the best seal."""
        size = core.committee.size
        signers = {each.member for each in core.best_seal.signatures} if core.best_seal else set()
        ring = [(self._turn + step) % size for step in range(size)]
        others = [member for member in ring if member != core.member]
        holders = [member for member in others if core.peers[member].sealed_height > core.sealed_height]
        return next(iter(holders or [member for member in others if member in signers]), None)


def on_block_fetched(core: Core, catch_up: CatchUp, event: BlockFetched) -> None:
    """A sealed block: its seal stands for the commit certificate. A wrong one ends that member's turn (P7.4)."""
    height = event.header.height
    if not core.sealed_height < height <= core.delivered_height + 1:
        return
    if not _holds(core, event):
        catch_up.give_up()
        return
    note_seal(core, event.seal)
    if height == core.delivered_height + 1:
        digest = event.header.batch_digest
        slot = core.slot(height)
        slot.batches[digest] = event.batch
        slot.mark_bodies(digest, READY)
        slot.final = Final(digest, None)
        core.seals[height] = event.seal
        deliver(core, slot, slot.final)
        core.touch(height)


def _holds(core: Core, event: BlockFetched) -> bool:
    """Whether seal, header and batch belong together and the seal is a quorum's."""
    header, batch, seal = event.header, event.batch, event.seal
    together = (
        header.chain_id == core.committee.chain_id
        and header.hash == seal.header_hash
        and header.height == seal.height == batch.height
        and header.batch_digest == batch.digest
    )
    return together and seal_holds(core.committee, seal)
