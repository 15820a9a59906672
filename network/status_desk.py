"""What an operator is told of a validator: how it stands, when asked; in the log, whenever it stops or begins to vote.

It changes nothing, and judges nothing: each figure is that of the part which has it.
"""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Callable

from consensus import Replica
from ledger.store import BlockStore
from ledger.types import Genesis
from network.api import NodeStatus, ScrubStatus
from network.ending import Ending
from network.mempool import Mempool
from network.peers import Peers

log = logging.getLogger("quorate.validator")


class StatusDesk:
    """Of one member. `replica()` is the driver's, `scrub()` how far it has read again, `counters()` all there are."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        member: int,
        store: BlockStore,
        mempool: Mempool,
        peers: Peers,
        ending: Ending,
        replica: Callable[[], Replica],
        scrub: Callable[[], ScrubStatus],
        counters: Callable[[], dict[str, int]],
    ) -> None:
        self._genesis = genesis
        self._member = member
        self._store = store
        self._mempool = mempool
        self._peers = peers
        self._ending = ending
        self._replica = replica
        self._scrub = scrub
        self._counters = counters
        self._version = importlib.metadata.version("quorate")
        self._started_ms = time.time_ns() // 1_000_000
        self._told_silence = ""

    def status(self) -> NodeStatus:
        """How this node stands."""
        replica = self._replica()
        sealed = self._store.header(self._store.sealed_height)
        assert sealed is not None, "the sealed height is stored"
        return NodeStatus(
            version=self._version,
            network=self._genesis.network,
            chain_id=self._genesis.chain_id,
            member=self._member,
            name=self._genesis.validators.members[self._member].name,
            view=replica.view,
            primary=replica.primary,
            changing_view=replica.changing_view,
            sealed_height=sealed.height,
            executed_height=self._store.height,
            sealed_hash=sealed.hash,
            state_root=sealed.state_root,
            sealed_time_ms=sealed.time_ms,
            mempool_transactions=len(self._mempool),
            mempool_bytes=self._mempool.bytes,
            halted=self._ending.halted,
            peers=self._peers.statuses(),
            started_ms=self._started_ms,
            counters=self._counters(),
            silence="" if self._ending.halted else replica.silence,
            scrub=self._scrub(),
        )

    def tell_silence(self) -> None:
        """Why this validator does not vote, whenever that changed since the last call."""
        silence = self._replica().silence
        if silence and silence != self._told_silence:
            log.warning("this validator does not vote: %s", silence)
        elif self._told_silence and not silence:
            log.info("this validator votes again")
        self._told_silence = silence
