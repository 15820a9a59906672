"""Tells the primary of requests that it may never have heard of: those that came from a peer, and wait here for long.

Members form a full mesh, and whoever accepted a request sends it to all. A faulty one could tell all but the primary,
and have a correct one suspected of passing it over (PBFT, OSDI 1999, section 4.2: backups relay). So what came from a
peer is handed to every primary in its turn, as long as it waits, and counts against that primary from then on only
(P5.6). It decides nothing else, and what this node's own clients sent is not its business: `gossip` sends that to all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from network.wire import Transactions, peer_frame, split_gossip

AFTER_S = 0.5  # waiting for so long is not usual
AFTER_TIMEOUTS = 0.25  # and it must be told well before the time-out that it would be suspected by
EVERY_S = 0.25
EVERY_TIMEOUTS = 0.125
AT_ONCE_MAX = 256  # the oldest; under overload everything waits, and all members hold all of it
PENDING_MAX = 50_000

Turn = tuple[int, int]  # view and holder of the pen


class HandOn:
    """`send(member, frame)` belongs to the mesh; `get(hash)` gives the bytes of what the pool holds, `waits(hash)` says
    whether it is in no proposal; `handed(hashes, turn)` hears what the holder of that turn knows from now on.
    """

    def __init__(
        self,
        *,
        send: Callable[[int, bytes], object],
        get: Callable[[bytes], bytes | None],
        waits: Callable[[bytes], bool],
        handed: Callable[[Sequence[bytes], Turn], None],
        timeout_s: float,
    ) -> None:
        self._send = send
        self._get = get
        self._waits = waits
        self._handed = handed
        self._after_s = min(AFTER_S, AFTER_TIMEOUTS * timeout_s)
        self.every_s = min(EVERY_S, EVERY_TIMEOUTS * timeout_s)
        self._turn: Turn | None = None
        self._untold: OrderedDict[bytes, float] = OrderedDict()  # hash -> since when; the present holder was not told
        self._told: OrderedDict[bytes, float] = OrderedDict()  # it was; in the same order, and older

    def heard(self, hashes: Sequence[bytes]) -> None:
        """These came from a peer, and are in the pool."""
        now = asyncio.get_running_loop().time()
        for each in hashes:
            if each not in self._told:
                self._untold.setdefault(each, now)
        while len(self._told) + len(self._untold) > PENDING_MAX:
            (self._told or self._untold).popitem(last=False)

    def tick(self, turn: Turn | None) -> None:
        """Called every `every_s`. `turn`: whose it is now, None while it is this node's or not known."""
        if turn != self._turn:
            self._turn, self._told, self._untold = turn, OrderedDict(), self._told | self._untold
        if turn is None:
            return
        late = self._take_late(asyncio.get_running_loop().time() - self._after_s)
        if late:
            for part in split_gossip([raw for _, raw in late]):
                self._send(turn[1], peer_frame(Transactions(part)))
            self._handed([each for each, _ in late], turn)

    def _take_late(self, before: float) -> list[tuple[bytes, bytes]]:
        """The oldest that wait and were not told of. What is proposed stays, in case its proposal comes to nothing."""
        late: list[tuple[bytes, bytes]] = []
        while self._untold and len(late) < AT_ONCE_MAX:
            transaction_hash, since = next(iter(self._untold.items()))
            if since > before:
                break
            del self._untold[transaction_hash]
            raw = self._get(transaction_hash)
            if raw is None:
                continue
            self._told[transaction_hash] = since
            if self._waits(transaction_hash):
                late.append((transaction_hash, raw))
        return late
