"""When a running node is too far behind to follow by blocks: it asks the others for their snapshots, and says so.

A height that somebody merely claims moves nobody: only a snapshot's sealed header does, which a quorum signed. How far
is too far is the operator's word (`join_behind`); and any distance is, once all linked peers lack the blocks needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from ledger.errors import InvalidProof
from ledger.seals import verify_sealed_header
from ledger.types import Genesis
from network.wire import SnapshotOffer

log = logging.getLogger("quorate.snapshots")

ASK_EVERY_TICKS = 5


class Behind:
    """`sealed_height()` is this node's, `reported()` the others', `lacking()` who lacks the blocks that it asked for.

    `ask()` puts the question to all; `leave(height)` ends this validator for a join, only while that is `allowed()`.
    """

    def __init__(
        self,
        *,
        genesis: Genesis,
        join_behind: int,
        allowed: Callable[[], bool],
        sealed_height: Callable[[], int],
        reported: Callable[[], Collection[int]],
        lacking: Callable[[], bool],
        ask: Callable[[], None],
        leave: Callable[[int], None],
    ) -> None:
        self._genesis = genesis
        self._join_behind = join_behind
        self._allowed = allowed
        self._left = False
        self._sealed_height = sealed_height
        self._reported = reported
        self._lacking = lacking
        self._ask = ask
        self._leave = leave
        self._ticks = 0

    def tick(self) -> None:
        """Once a second."""
        self._ticks += 1
        far = max(self._reported(), default=0) - self._sealed_height() >= self._needed()
        if self._allowed() and far and self._ticks % ASK_EVERY_TICKS == 1:
            self._ask()

    def on_offers(self, offers: Collection[SnapshotOffer]) -> None:
        """A peer answers."""
        for offer in offers:
            header = offer.header
            distance = header.height - self._sealed_height()
            if (
                self._left
                or not self._allowed()
                or distance < self._needed()
                or header.chain_id != self._genesis.chain_id
            ):
                continue
            try:
                verify_sealed_header(header, offer.seal, self._genesis.validators)
            except InvalidProof as error:
                log.warning("a snapshot that was offered does not hold: %s", error)
                continue
            self._left = True
            self._leave(header.height)
            return

    def _needed(self) -> int:
        return 1 if self._lacking() else self._join_behind
