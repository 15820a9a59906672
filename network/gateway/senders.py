"""Which senders may submit, remembered for a moment: the executor is asked once a sender, not once a transaction.

Only "yes" is remembered, so an account created a moment ago can send at once; a "yes" lives for a few seconds, so a
removed account is soon refused here too (its transactions fail in execution in any case).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from network.api import ExecutorApi


class KnownSenders:
    """A bounded cache of sender -> time until which it counts as known."""

    def __init__(self, executor: ExecutorApi, size_max: int, ttl_s: float, clock: Callable[[], float]) -> None:
        self._executor = executor
        self._size_max = size_max
        self._ttl_s = ttl_s
        self._clock = clock
        self._until: dict[bytes, float] = {}

    async def unknown(self, senders: Iterable[bytes]) -> frozenset[bytes]:
        """Those of `senders` that may not send."""
        now = self._clock()
        until = self._until
        asked = list({sender: None for sender in senders if until.get(sender, 0.0) <= now})
        if not asked:
            return frozenset()
        verdicts = await self._executor.known_senders(asked)
        assert len(verdicts) == len(asked), f"{len(verdicts)} verdicts on {len(asked)} senders"
        self._remember((sender for sender, known in zip(asked, verdicts, strict=True) if known), now + self._ttl_s)
        return frozenset(sender for sender, known in zip(asked, verdicts, strict=True) if not known)

    def _remember(self, senders: Iterable[bytes], until: float) -> None:
        for sender in senders:
            self._until.pop(sender, None)  # so that the newest stay last
            self._until[sender] = until
        while len(self._until) > self._size_max:
            del self._until[next(iter(self._until))]
