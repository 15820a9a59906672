"""A meter that asks now and then whether it may go on: of views, whose time nobody agrees on and nobody pays for.

The gas is handed out in portions, and before each the host is asked. What a program uses, and where it runs out, is the
same as with any other meter. It reads no clock: whoever runs the view knows one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.language.interface import Meter

PORTION: Final = 500_000  # gas between two questions: some milliseconds

Late = Callable[[], bool]
"""Whether it has taken too long."""


class TookTooLong(Exception):
    """The host has ended a view. It says nothing about the contract: elsewhere, or later, it may well succeed."""


class WatchedMeter(Meter):
    """As `Meter`, but `late` is asked before each portion, and `TookTooLong` raised when it says so."""

    __slots__ = ("_late", "_rest")

    def __init__(self, limit: int, late: Late) -> None:
        super().__init__(limit)
        self._late = late
        self._rest = limit  # what is not handed out yet
        self.left = 0

    @property
    def used(self) -> int:
        """Gas used so far, never above the limit."""
        return self.limit - self._rest - max(self.left, 0)

    def run_out(self) -> None:
        """Hand out as much more as is needed, or make the exhaustion final and raise `OutOfGas`."""
        while self.left < 0 and self._rest:
            if self._late():
                raise TookTooLong
            portion = min(PORTION, self._rest)
            self._rest -= portion
            self.left += portion
        if self.left < 0:
            super().run_out()
