"""The primary's pen: when to ask the node for a batch, and what to do with it. Knows no vote but its own PRE-PREPARE.

Whose turn it is, `turns` says. A member that has the pen proposes a height only when it has seen proposals for all
lower ones, so it knows what is in flight.
"""

from __future__ import annotations

from consensus.actions import CancelBatch, RequestBatch
from consensus.core import Core
from consensus.events import BatchReady
from consensus.messages import Vote
from consensus.ordering import accept, in_flight_below
from ledger.types import Batch


def advance(core: Core) -> None:
    """Ask for the next height's batch while the window has room, one at a time (P3.1); take back what is void."""
    height = next_height(core)
    may_propose = (
        not core.changing
        and not core.pen_rests
        and core.safety.may_vote_at(height)
        and core.holder(height) == core.member
    )
    wanted = (height, core.view) if may_propose else None
    if core.requested and core.requested != wanted:
        core.out.append(CancelBatch(*core.requested))
        core.requested = None
    if wanted and not core.requested:
        core.requested = wanted
        core.out.append(RequestBatch(*wanted))


def next_height(core: Core) -> int:
    """The lowest height that this view has no proposal for."""
    height = max(core.fresh_from, core.delivered_height + 1)
    while (slot := core.slots.get(height)) and (found := slot.rounds.get(core.view)) and found.proposal:
        height += 1
    return height


def on_batch_ready(core: Core, event: BatchReady) -> None:
    """Propose it, unless the request it answers was taken back."""
    if core.requested != (event.height, event.view):
        return
    core.requested = None
    hashes = _propose_once(core, event)
    if not hashes:
        core.pen_rests = True
        return
    batch = Batch(core.committee.epoch, event.height, event.view, core.member, event.time_ms, hashes, core.fresh_from)
    permit = core.safety.propose(batch, batch.digest)
    if permit is None:  # this place was signed for before a restart: nothing more to say there
        core.pen_rests = True
        return
    core.grant(permit)
    accept(core, batch, Vote(batch.epoch, batch.view, batch.height, core.member, batch.digest), permit.envelope)


def _propose_once(core: Core, event: BatchReady) -> tuple[bytes, ...]:
    """The hashes, each once, without those in flight below, at most a block's worth."""
    taken = {each for batch in in_flight_below(core, event.height) for each in batch.hashes}
    fresh = [each for each in dict.fromkeys(event.hashes) if each not in taken]
    return tuple(fresh[: core.parameters.block_transactions_max])
