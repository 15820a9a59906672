"""The simulator's only source of chance: small, seeded, the same on every machine.

Every cause of chance has a stream of its own (`stream`), so that one fault less leaves the others as they were: that
is what makes a failing run small.
"""

from __future__ import annotations

import hashlib

_MASK = (1 << 64) - 1


class Prng:
    """SplitMix64 (Steele, Lea and Flood, 2014)."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def next(self) -> int:
        """The next 64 bits."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, limit: int) -> int:
        """0 to limit - 1."""
        return self.next() % limit

    def between(self, low: int, high: int) -> int:
        """low to high, both included."""
        return low + self.next() % (high - low + 1)

    def token(self) -> int:
        """1 to 2**62."""
        return 1 + (self.next() >> 2)

    def chance(self, permille: int) -> bool:
        """True in so many of a thousand cases."""
        return self.next() % 1000 < permille


def stream(seed: int, *names: object) -> Prng:
    """The stream of chance of that name."""
    text = " ".join(str(each) for each in (seed, *names))
    return Prng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
