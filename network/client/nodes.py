"""Which node to ask next: round and round, past those that failed a moment ago. It knows addresses, not HTTP."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

REST_S = 2.0  # how long a node that failed is passed over


class Nodes:
    """The nodes of one client."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float]) -> None:
        if not urls:
            raise ValueError("a client needs the URL of at least one node")
        if isinstance(urls, str):
            raise TypeError("urls is a list of URLs, not one string")
        self._urls = [url.rstrip("/") for url in urls]
        self._clock = clock
        self._rests_until = dict.fromkeys(self._urls, float("-inf"))
        self._next = random.randrange(len(self._urls))  # noqa: S311 - spreads clients over nodes, guards nothing

    @property
    def urls(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys(self._urls))

    def __len__(self) -> int:
        return len(self._urls)

    def pick(self) -> str:
        """The next node; when all rest, the one that has rested longest."""
        now = self._clock()
        for _ in self._urls:
            url = self._urls[self._next]
            self._next = (self._next + 1) % len(self._urls)
            if self._rests_until[url] <= now:
                return url
        return min(self._urls, key=lambda url: self._rests_until[url])

    def failed(self, url: str) -> None:
        """Pass over this node for a while."""
        self._rests_until[url] = self._clock() + REST_S

    def answered(self, url: str) -> None:
        """This node is well."""
        self._rests_until[url] = float("-inf")
