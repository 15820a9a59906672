"""States that stand still in the executor while it goes on: what a snapshot is read from, page by page.

LevelDB keeps what is frozen beside what is new, so there are at most two: one at the set interval, taken in the same
moment as its block is executed, and one for whoever asks. A newer one takes the place of an older of its kind, but for
one of the interval that is read: then the newer is passed over. A page is small, so that a block never waits long.
"""

from __future__ import annotations

import time

from ledger.state import FrozenState, State
from network.api import Frozen
from network.ipc import RemoteError

PAGE_BYTES = 256 << 10
GONE = "frozen_gone"
READ_WITHIN_S = 60.0  # since the last page, before a reader counts as gone


class FrozenStates:
    """The frozen states of one executor. `every` is the interval in heights, 0 for none."""

    def __init__(self, state: State, every: int) -> None:
        self._state = state
        self._every = every
        self._held: dict[str, FrozenState] = {}
        self._read_until = 0.0  # the state of the interval is being read

    def on_executed(self, height: int) -> None:
        """A block was executed: is it time?"""
        due = self._every and height % self._every == 0 and self._state.height == height
        if due and time.monotonic() >= self._read_until:
            self._hold("interval")

    def freeze(self, height: int) -> Frozen:
        """The last state of the interval, of this height or above, or the present one for 0."""
        if height == 0:
            return _told("asked", self._hold("asked"))
        found = self._held.get("interval")
        if found is None or found.height < height:
            raise RemoteError(GONE, f"the state of height {height} is not frozen here")
        self._read_until = time.monotonic() + READ_WITHIN_S
        return _told("interval", found)

    def read(self, name: str, height: int, start: bytes) -> list[tuple[bytes, bytes]]:
        """The next page. Raises `RemoteError` when another state took its place."""
        found = self._held.get(name)
        if found is None or found.height != height:
            raise RemoteError(GONE, f"the state of height {height} is not frozen here any more")
        if name == "interval":
            self._read_until = time.monotonic() + READ_WITHIN_S
        return found.scan(start, PAGE_BYTES)

    def thaw(self, name: str, height: int) -> None:
        """Let go of it."""
        found = self._held.get(name)
        if found is not None and found.height == height:
            self._held.pop(name).close()
            if name == "interval":
                self._read_until = 0.0

    def close(self) -> None:
        """Let go of all, before the state is closed."""
        for found in self._held.values():
            found.close()
        self._held.clear()

    def _hold(self, name: str) -> FrozenState:
        old = self._held.pop(name, None)
        if old is not None:
            old.close()
        self._held[name] = self._state.freeze()
        return self._held[name]


def _told(name: str, state: FrozenState) -> Frozen:
    return Frozen(name, state.height, state.root)
