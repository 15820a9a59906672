"""Spreads the transactions that this node accepted from its own clients to every other validator, in batches.

Members form a full mesh, so whoever accepted a transaction sends it to all, and nobody else passes it on, but for
`hand_on`. What a lost connection swallowed is sent again when that peer returns, and while it waits after a while.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from network.wire import Transactions, peer_frame, split_gossip

LINGER_S = 0.02
AGAIN_AFTER_S = 1.0  # below the time-out of the consensus, so that a loss is mended before it is suspected
AGAIN_AFTER_MAX_S = 32.0  # doubled each time: what waits because all are overloaded must not load them more
OWN_PENDING_MAX = 50_000


class Gossip:
    """`broadcast(frame)` and `send(member, frame)` belong to the mesh, `get(hash)` gives what the pool holds."""

    def __init__(
        self,
        *,
        broadcast: Callable[[bytes], None],
        send: Callable[[int, bytes], object],
        get: Callable[[bytes], bytes | None],
    ) -> None:
        self._broadcast = broadcast
        self._send = send
        self._get = get
        self._fresh: list[bytes] = []
        self._own: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # hash -> (sent when, pause until again)
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")

    def spread(self, accepted: Sequence[tuple[bytes, bytes]]) -> None:
        """Send these (hash, raw) to everybody: at once when quiet, else with what else comes within `LINGER_S`."""
        now = asyncio.get_running_loop().time()
        for transaction_hash, raw in accepted:
            self._fresh.append(raw)
            self._own[transaction_hash] = (now, AGAIN_AFTER_S)
        while len(self._own) > OWN_PENDING_MAX:
            self._own.popitem(last=False)
        if self._timer is None and self._fresh:
            self._timer = asyncio.get_running_loop().call_at(max(now, self._last + LINGER_S), self._flush)

    def adopt(self, waiting: Sequence[tuple[bytes, bytes]]) -> None:
        """Spread these too, once: they came from a peer, and a client of this node has asked for them since."""
        self.spread([(each, raw) for each, raw in waiting if each not in self._own])

    def on_connected(self, member: int) -> None:
        """A peer is back: it gets what still waits here."""
        raws = [raw for raw in (self._get(each) for each in self._own) if raw is not None]
        for part in split_gossip(raws):
            self._send(member, peer_frame(Transactions(part)))

    def tick(self) -> None:
        """Called once a second: forget what is done, send again what waits long."""
        now = asyncio.get_running_loop().time()
        again: list[bytes] = []
        for transaction_hash, (since, pause_s) in list(self._own.items()):
            raw = self._get(transaction_hash)
            if raw is None:
                del self._own[transaction_hash]
            elif now - since > pause_s:
                self._own[transaction_hash] = (now, min(2 * pause_s, AGAIN_AFTER_MAX_S))
                again.append(raw)
        for part in split_gossip(again):
            self._broadcast(peer_frame(Transactions(part)))

    def close(self) -> None:
        """Send what lingers, and stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._flush()

    def _flush(self) -> None:
        self._timer = None
        self._last = asyncio.get_running_loop().time()
        fresh, self._fresh = self._fresh, []
        for part in split_gossip(fresh):
            self._broadcast(peer_frame(Transactions(part)))
