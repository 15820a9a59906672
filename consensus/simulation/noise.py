"""What a Byzantine member says unasked: floods, replays, garbage. Drawn from chance, once a beat.

Replays are true messages, its own and others', of any age: what was once said may be heard again at any time.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.messages import (
    COMMIT,
    PRE_PREPARE,
    PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    Suspect,
    ViewChange,
    Vote,
)
from consensus.simulation.liar import Liar
from ledger.types import Batch

BEAT_MS = 200
MESSAGES_A_BEAT = 4

Noise = Callable[[Liar], list[bytes]]


def replay(liar: Liar) -> list[bytes]:
    """Says again what anybody said at any time."""
    if not liar.memory:
        return []
    return [liar.memory[liar.prng.below(len(liar.memory))] for _ in range(MESSAGES_A_BEAT)]


def garbage(liar: Liar) -> list[bytes]:
    """Bytes that are no message, or nearly one."""
    prng, found = liar.prng, []
    for _ in range(MESSAGES_A_BEAT):
        data = bytearray(liar.memory[prng.below(len(liar.memory))] if liar.memory else b"\x94\x00")
        for _ in range(1 + prng.below(3)):
            data[prng.below(len(data))] = prng.below(256)
        found.append(bytes(data[: prng.below(len(data) + 1)] if prng.chance(300) else data + b"\x00" * prng.below(2)))
    return found


def flood(liar: Liar) -> list[bytes]:
    """Valid messages for views and heights far ahead, one each (scenario 101)."""
    prng, found = liar.prng, []
    for _ in range(MESSAGES_A_BEAT):
        view, height = prng.below(64), prng.below(1 << prng.below(40))
        batch = Batch(0, height, view, liar.member, 0, (bytes(32),))
        vote = Vote(0, view, height, liar.member, batch.digest)
        found.append(
            (
                liar.signed(PRE_PREPARE, vote, (batch,)),
                liar.signed(PREPARE, vote),
                liar.signed(COMMIT, vote),
                liar.signed(SUSPECT, Suspect(0, view, height, liar.member)),
                liar.signed(VIEW_CHANGE, ViewChange(0, view, liar.member, None, ())),
            )[prng.below(5)].encode()
        )
    return found


def beg(liar: Liar) -> list[bytes]:
    """Asks again and again for everything, as one who has nothing (scenario 102)."""
    asked = [data for data in liar.memory if data[2:8] == b"status"][-1:]
    if not asked:
        return []
    return asked * MESSAGES_A_BEAT


NOISES: dict[str, Noise] = {each.__name__: each for each in (replay, garbage, flood, beg)}
