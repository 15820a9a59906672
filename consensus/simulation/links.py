"""Who can reach whom, and how long it takes. Knows processes by number, and no message.

Links are one-way: what is cut from A to B may still travel from B to A. A clogged link loses nothing: it holds
everything up until it is released.
"""

from __future__ import annotations

from consensus.simulation.plan import NetworkFaults
from consensus.simulation.prng import stream

HEALED_DELAY_MS_MAX = 20
SLOW_FACTOR = 10
_MASK = (1 << 64) - 1
_ONE = 1 << 16  # chances are drawn in 65536ths: four from one number


class Links:
    """The network between `count` processes."""

    def __init__(self, seed: int, count: int, faults: NetworkFaults) -> None:
        self.healed = False
        self._count = count
        self._faults = faults
        self._loss = faults.loss_permille * _ONE // 1000
        self._duplicate = faults.duplicate_permille * _ONE // 1000
        self._slow = faults.slow_permille * _ONE // 1000
        self._span = max(0, faults.delay_max_ms - faults.delay_min_ms) + 1
        self._cuts: dict[int, set[tuple[int, int]]] = {}  # ticket of a disturbance -> the links that it cuts
        self._blocked: frozenset[tuple[int, int]] = frozenset()
        self._clogged: dict[int, int] = {}  # process -> when its links are released
        # Each link has a stream of its own: one message less leaves the other links as they were.
        self._states = [stream(seed, "link", index).next() for index in range(count * count)]

    def linked(self, sender: int, receiver: int) -> bool:
        """Whether what one sends now can reach the other."""
        return (sender, receiver) not in self._blocked

    def cut(self, ticket: int, links: set[tuple[int, int]]) -> None:
        """Cut these links until `mend(ticket)`."""
        self._cuts[ticket] = links
        self._merge()

    def mend(self, ticket: int) -> None:
        """Those links work again, as far as no other disturbance cuts them."""
        self._cuts.pop(ticket, None)
        self._merge()

    def clog(self, process: int, until_ms: int) -> None:
        """What this process sends and is sent arrives after that time."""
        self._clogged[process] = max(until_ms, self._clogged.get(process, 0))

    def heal(self) -> None:
        """Everything works from now on. What is under way stays late."""
        self.healed = True
        self._cuts, self._blocked, self._clogged = {}, frozenset(), {}

    def delays(self, now_ms: int, sender: int, receiver: int) -> tuple[int, ...]:
        """How long each copy of one message takes: () where it is lost."""
        drawn = self._draw(sender * self._count + receiver)
        if self.healed:
            return (1 + ((drawn >> 32 & 0xFFFF) * HEALED_DELAY_MS_MAX >> 16),)
        if (drawn & 0xFFFF) < self._loss or (sender, receiver) in self._blocked:
            return ()
        first = self._delay(drawn)
        if self._clogged:
            held_until = max(self._clogged.get(sender, 0), self._clogged.get(receiver, 0))
            first += max(0, held_until - now_ms)
        if (drawn >> 16 & 0xFFFF) < self._duplicate:
            return (first, self._delay(self._draw(sender * self._count + receiver)))
        return (first,)

    def _delay(self, drawn: int) -> int:
        delay = self._faults.delay_min_ms + ((drawn >> 32 & 0xFFFF) * self._span >> 16)
        return delay * SLOW_FACTOR if drawn >> 48 < self._slow else delay

    def _draw(self, index: int) -> int:
        """The link's next 64 bits: `Prng.next` by hand, as this is asked for every message."""
        state = self._states[index] = (self._states[index] + 0x9E3779B97F4A7C15) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def _merge(self) -> None:
        self._blocked = frozenset(link for links in self._cuts.values() for link in links)
