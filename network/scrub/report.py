"""How far the reading again has come, what it found, and what is left for the operator. Numbers and sentences only."""

from __future__ import annotations

import logging
import time

from network.api import ScrubStatus

log = logging.getLogger("quorate.scrub")

OFF, WAITING, BLOCKS, FILES, STATE, SNAPSHOTS = "off", "waiting", "blocks", "files", "state", "snapshots"
READING = "reading"  # the problem that a pass could not be finished; one that could be is the end of it
PROBLEMS_SHOWN_MAX = 8


class Report:
    """One node's. What is found is logged here, once."""

    def __init__(self) -> None:
        self.part = WAITING
        self.done, self.of = 0, 0
        self.bytes_read = self.passes = self.last_pass_ms = 0
        self.found = self.mended = 0
        self.latest = ""
        self.problems: dict[str, str] = {}  # what is not mended, by what it is about

    def at(self, part: str, done: int = 0, of: int = 0) -> None:
        """This much of this part was read."""
        self.part, self.done, self.of = part, done, of

    def on_found(self, about: str, text: str) -> None:
        """Something does not hold. Until `on_mended` it is a problem; the same one counts once."""
        if about not in self.problems:
            self.found += 1
            self.latest = text
            log.error("DAMAGED: %s", text)
        self.problems[about] = text

    def on_mended(self, about: str, text: str) -> None:
        """It holds again."""
        self.problems.pop(about, None)
        self.mended += 1
        self.latest = text
        log.warning("MENDED: %s", text)

    def on_left(self, about: str, text: str) -> None:
        """It cannot be mended at present; the text says why, and what to do."""
        if self.problems.get(about) != text:
            log.error("NOT MENDED: %s", text)
        self.problems[about] = text

    def on_pass(self) -> None:
        """All was read once more."""
        self.problems.pop(READING, None)
        self.passes += 1
        self.last_pass_ms = time.time_ns() // 1_000_000
        self.at(WAITING)

    def status(self) -> ScrubStatus:
        """For whoever asks."""
        return ScrubStatus(
            part=self.part,
            done=self.done,
            of=self.of,
            passes=self.passes,
            last_pass_ms=self.last_pass_ms,
            bytes_read=self.bytes_read,
            found=self.found,
            mended=self.mended,
            latest=self.latest,
            problems=tuple(self.problems.values())[:PROBLEMS_SHOWN_MAX],
        )
