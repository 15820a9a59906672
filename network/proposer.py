"""When this node is primary: what to propose, and when. Answers the replica's `RequestBatch` from the mempool.

It lingers adaptively: at once when quiet; otherwise the pause after a batch grows with what the batch carried, up to
`BLOCK_INTERVAL_MS`, because under load every block costs each validator the same votes and writes, whatever it carries.
A client that sends one transaction after the other hardly waits; a thousand a second share ten blocks. It judges
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ledger.types import Parameters
from network.mempool import Mempool

BLOCK_INTERVAL_MS = 100
PAUSE_PER_TRANSACTION_MS = 10


class Proposer:
    """At most one request is outstanding; `propose(height, view, hashes)` answers it."""

    def __init__(
        self, *, mempool: Mempool, parameters: Parameters, propose: Callable[[int, int, tuple[bytes, ...]], None]
    ) -> None:
        self._mempool = mempool
        self._parameters = parameters
        self._propose = propose
        self._wanted: tuple[int, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0

    def request(self, height: int, view: int) -> None:
        """The replica wants a batch for this slot."""
        self._wanted = (height, view)
        self.poke()

    def cancel(self, height: int, view: int) -> None:
        """The replica takes its request back."""
        if self._wanted == (height, view):
            self._wanted = None
            self.close()

    def poke(self) -> None:
        """Transactions wait, or a request came: propose now or soon."""
        if self._wanted is None or self._timer is not None or not self._mempool.waiting:
            return
        loop = asyncio.get_running_loop()
        delay_s = max(0.0, self._not_before - loop.time())
        if delay_s == 0.0:
            self._fire()
        else:
            self._timer = loop.call_later(delay_s, self._fire)

    def close(self) -> None:
        """Let a running delay go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._wanted is None:
            return
        height, view = self._wanted
        hashes = self._mempool.select(
            count_max=self._parameters.block_transactions_max,
            bytes_max=self._parameters.block_bytes_max,
            gas_max=self._parameters.block_gas_max,
            height=height,
        )
        if not hashes:
            return
        self._wanted = None
        pause_ms = min(BLOCK_INTERVAL_MS, PAUSE_PER_TRANSACTION_MS * len(hashes))
        self._not_before = asyncio.get_running_loop().time() + pause_ms / 1000
        self._propose(height, view, tuple(hashes))
