"""When this node is primary: what to propose, and when. Answers the replica's `RequestBatch` from the mempool.

It lingers adaptively, because every block costs each validator the same votes and writes, whatever it carries. When
nothing is in flight, a batch leaves as soon as the pause after the last one is over, and that pause grows with what
the last one carried; while a block is on its way the next waits for its seal (Nagle's rule, RFC 896). Neither makes
anybody wait longer than `BLOCK_INTERVAL_MS`. So a client that sends one transaction after the other hardly waits,
under load there are ten blocks a second, and a busy machine makes fewer and fuller blocks by itself. It judges nothing.
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
        self._earliest = 0.0
        self._latest = 0.0
        self._due = 0.0  # what the running timer waits for

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
        """Transactions wait, a request came, or a block was sealed: propose now or soon."""
        if self._wanted is None or not self._mempool.waiting:
            return
        loop = asyncio.get_running_loop()
        due = self._latest if self._mempool.heights_in_flight() else self._earliest
        if self._timer is not None and due == self._due:
            return
        self.close()
        self._due = due
        if due <= loop.time():
            self._fire()
        else:
            self._timer = loop.call_at(due, self._fire)

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
        now = asyncio.get_running_loop().time()
        self._earliest = now + min(BLOCK_INTERVAL_MS, PAUSE_PER_TRANSACTION_MS * len(hashes)) / 1000
        self._latest = now + BLOCK_INTERVAL_MS / 1000
        self._propose(height, view, tuple(hashes))
