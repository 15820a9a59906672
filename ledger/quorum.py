"""Quorum arithmetic: the one place that decides how much voting power is enough.

With total power T, let t be the largest power strictly below T/3: what may be faulty. A quorum is T - t,
a weak quorum t + 1. For n = 3f+1 members of power one these are 2f+1 and f+1. Two quorums overlap in at
least T - 2t > t, so in more than the faulty can be; a weak quorum holds at least one correct member.
(Castro and Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999, section 2; weights as in DLS.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def faulty_power_max(total: int) -> int:
    """t: the most power that may be faulty, the largest integer strictly below a third of `total`."""
    if total < 1:
        raise ValueError(f"total power must be positive, not {total}")
    return (total - 1) // 3


def quorum_power(total: int) -> int:
    """T - t: the power that certifies."""
    return total - faulty_power_max(total)


def weak_quorum_power(total: int) -> int:
    """t + 1: the power that holds at least one correct member."""
    return faulty_power_max(total) + 1


def power_of(members: Iterable[int], powers: Sequence[int]) -> int:
    """The power of *distinct* members (indexes into `powers`); an index outside the set weighs nothing."""
    return sum(powers[index] for index in set(members) if 0 <= index < len(powers))
