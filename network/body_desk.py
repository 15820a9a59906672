"""Answers to peers that ask for bodies. A member may ask for much at once, but not for all of this node's time.

Each member has a budget of bytes that fills again with time. Who has used it up is not answered: a correct asker asks
the next member, and this one again a little later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from network.wire import Bodies, peer_frame

ANSWER_BYTES_MAX = 8 << 20
BUDGET_BYTES = 32 << 20  # a second's worth, and the most that is saved up
HASH_COST_BYTES = 256  # of looking for one body, found or not


class BodyDesk:
    """`get(hash)` finds a body; `send(member, frame)` belongs to the mesh."""

    def __init__(self, *, get: Callable[[bytes], bytes | None], send: Callable[[int, bytes], object]) -> None:
        self._get = get
        self._send = send
        self._budgets: dict[int, tuple[float, float]] = {}  # member -> (bytes left, when that was)
        self.refused = 0

    def serve(self, member: int, hashes: Sequence[bytes]) -> None:
        """Send this member those of the bodies that are here, in order, as many as fit one answer."""
        now = asyncio.get_running_loop().time()
        left, since = self._budgets.get(member, (BUDGET_BYTES, now))
        left = min(BUDGET_BYTES, left + (now - since) * BUDGET_BYTES)
        if left <= 0:
            self.refused += 1
            return
        raws = self._find(hashes)
        self._budgets[member] = (left - sum(map(len, raws)) - HASH_COST_BYTES * len(hashes), now)
        self._send(member, peer_frame(Bodies(tuple(raws))))

    def _find(self, hashes: Sequence[bytes]) -> list[bytes]:
        raws: list[bytes] = []
        size = 0
        for each in hashes:
            raw = self._get(each)
            if raw is not None:
                size += len(raw)
                if size > ANSWER_BYTES_MAX:
                    break
                raws.append(raw)
        return raws
