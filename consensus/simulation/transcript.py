"""The transcript of a run: what each member heard, wrote down, sent and delivered, and what the world did to it.

Knows when and where something happened; the words are those of `words`. It watches a run and changes nothing in it:
the trace hash is the same with and without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from consensus.actions import Action
from consensus.events import Event
from consensus.simulation import words
from consensus.simulation.words import Phrase

LINES_SHOWN = 160  # by default: what came last before the end
_HEIGHT = re.compile(r"height (\d+)|\('[a-z-]+', \d+, (\d+)\)")  # in words, or a vote's place (kind, view, height)
_MEMBER = re.compile(r"member (\d+)")


class Line(NamedTuple):
    """One thing that happened; `member` is None where it happened to all."""

    now_ms: int
    member: int | None
    phrase: Phrase

    def __str__(self) -> str:
        where = "all" if self.member is None else f"m{self.member}"
        return f"{self.now_ms // 1000:>4}.{self.now_ms % 1000:03} {where:>4}  {self.phrase.text}"


class Transcript:
    """A `Watcher` that keeps a line for everything."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def on_event(self, now_ms: int, member: int, event: Event) -> None:
        """A replica is about to take a step."""
        self.lines.append(Line(now_ms, member, words.event(event)))

    def on_action(self, now_ms: int, member: int, action: Action) -> None:
        """A node does what its replica asked for."""
        self.lines.append(Line(now_ms, member, words.action(action)))

    def on_world(self, now_ms: int, member: int | None, what: str) -> None:
        """Something happened to a member, or to all: a crash, a partition, a healing."""
        self.lines.append(Line(now_ms, member, Phrase(f"## {what}")))

    def on_violation(self, now_ms: int, what: str) -> None:
        """The run ended here."""
        self.lines.append(Line(now_ms, None, Phrase(f"!! VIOLATION {what}")))


def whole(lines: Sequence[Line]) -> list[str]:
    """Everything, a line each."""
    return [str(line) for line in lines]


def excerpt(lines: Sequence[Line], violation: str, lines_max: int = LINES_SHOWN) -> list[str]:
    """What a reader needs first: no chatter, nothing again, the heights (or else the members) that the violation
    speaks of, the last lines of it.
    """
    heights, members = heights_of(violation), members_of(violation)
    kept = [line for line in _told_once(lines) if _concerns(line, heights, members)]
    shown = [str(line) for line in kept[-lines_max:]]
    left_out = len(lines) - len(shown)
    return [f"({left_out} other lines: see them with --trace)", *shown] if left_out else shown


def _told_once(lines: Sequence[Line]) -> Iterator[Line]:
    told = set()
    for line in lines:
        place = (line.member, line.phrase.once)
        if not line.phrase.chatter and not (line.phrase.once and place in told):
            told.add(place)
            yield line


def _concerns(line: Line, heights: frozenset[int], members: frozenset[int]) -> bool:
    if heights:
        return not line.phrase.heights or not heights.isdisjoint(line.phrase.heights)
    return not members or line.member is None or line.member in members


def heights_of(violation: str) -> frozenset[int]:
    """The heights that a violation speaks of, none where it is about time or everything."""
    return frozenset(int(found) for pair in _HEIGHT.findall(violation) for found in pair if found)


def members_of(violation: str) -> frozenset[int]:
    """The members that it speaks of."""
    return frozenset(int(found) for found in _MEMBER.findall(violation))
