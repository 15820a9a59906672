"""Requests that wait for a block, and the primary that owes them one: it is told of them, given time, and suspected.

A request of this node's own clients goes to every member at once; one that came from a peer is handed to each primary
in its turn (`network.hand_on`). What a primary knows and passes over all the same is counted (`consensus.overlooked`).
The replica hears two things of all this: that something waits, and that something was passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial

from consensus import Replica, events
from consensus.overlooked import Overlooked
from ledger.types import Batch, Parameters
from network.gossip import Gossip
from network.hand_on import HandOn
from network.mempool import Mempool


class Requests:
    """`send(member, frame)` belongs to the mesh; `post(event)` and `replica()` to the driver, on member `member`."""

    def __init__(
        self,
        *,
        member: int,
        parameters: Parameters,
        mempool: Mempool,
        gossip: Gossip,
        send: Callable[[int, bytes], object],
        post: Callable[[events.Event], None],
        replica: Callable[[], Replica],
        now_ms: Callable[[], int],
    ) -> None:
        self._member = member
        self._parameters = parameters
        self._mempool = mempool
        self._gossip = gossip
        self._post = post
        self._replica = replica
        self._now_ms = now_ms
        self._overlooked = Overlooked(parameters.window)
        self._hand_on = HandOn(
            send=send,
            get=mempool.get,
            waits=mempool.waits,
            handed=self._overlooked.handed,
            timeout_s=parameters.request_timeout_ms / 1000,
        )
        self._told_waiting = False

    # ── coming and going ──────────────────────────────────────────────────────────────────────────

    def arrived(self, news: Sequence[tuple[bytes, bytes]], own: bool) -> None:
        """(hash, signed bytes) that are in the pool from now on; `own`: this node's clients sent them."""
        hashes = [transaction_hash for transaction_hash, _ in news]
        if own:
            self._gossip.spread(news)
            self._overlooked.arrived(hashes)
        else:
            self._hand_on.heard(hashes)

    def returned(self, hashes: Collection[bytes]) -> None:
        """These stood in a batch that was executed without them: every member has them, and they wait again."""
        self._overlooked.arrived(hashes)

    def delivered(self, batch: Batch) -> None:
        """A batch is final: did its proposer pass over what it knows?"""
        last = batch.height + self._parameters.window  # whoever proposes next may be there already
        waits = partial(self._mempool.waits, beyond=last)
        if self._overlooked.delivered(batch, had_room=self._had_room(batch), waits=waits):
            self._post(events.RequestPassedOver(self._now_ms()))

    def _had_room(self, batch: Batch) -> bool:
        """Whether one more transaction would have fitted, whatever its size and gas."""
        parameters = self._parameters
        entries = [entry for each in batch.hashes if (entry := self._mempool.entry(each))]
        size, gas = sum(len(entry.raw) for entry in entries), sum(entry.gas_limit for entry in entries)
        return (
            len(entries) == len(batch.hashes) < parameters.block_transactions_max
            and size + parameters.transaction_bytes_max <= parameters.block_bytes_max
            and gas + parameters.transaction_gas_max <= parameters.block_gas_max
        )

    # ── what the replica and the primary are told ─────────────────────────────────────────────────

    def tell_waiting(self) -> None:
        """The replica's timer runs while anything waits for its block, proposed or not."""
        if (len(self._mempool) > 0) != self._told_waiting:
            self.tell_again()

    def tell_again(self) -> None:
        """Whether anything waits, known to the replica or not."""
        self._told_waiting = len(self._mempool) > 0
        self._post(events.RequestsWaiting(self._told_waiting, self._now_ms()))

    async def run(self) -> None:
        """Hand on what waits for long, to whoever is primary, until cancelled."""
        while True:
            await asyncio.sleep(self._hand_on.every_s)
            replica = self._replica()
            known = not replica.changing_view and replica.primary != self._member
            self._hand_on.tick((replica.view, replica.primary) if known else None)
