"""What transactions and views leave behind in cycles, and when it is given back.

A contract may put a list into itself, and a failure holds the frames it came through; neither is freed by counting
references, only by Python's collector of cycles, and that one comes by how many objects there are, not by how large
they are. So what was made is added up here, and the collector called in time. It belongs to the process, and so
does this count. No result depends on it.

To look at everything that is kept, compiled programs above all, would take seconds. So what a collection leaves is set
aside, and looked at again only now and then.
"""

from __future__ import annotations

import gc
from typing import Final

from contracts.language.interface import Meter
from contracts.language.limits import MADE_BYTES_MAX

LEFT_BYTES_MAX: Final = 64 << 20  # made since the last collection, before the next transaction or view begins
LOOK_AT_ALL_EVERY: Final = 100  # collections


class Leftovers:
    """How many bytes may lie in cycles that nobody holds any more."""

    def __init__(self) -> None:
        self.bytes = 0
        self._collections = 0

    def note(self, meter: Meter) -> None:
        """A transaction or a view has ended with this meter, made with all the room there is."""
        self.bytes += MADE_BYTES_MAX - meter.room

    def note_compiled(self, memory: int) -> None:
        """A source was compiled; its tree, and the program once nobody keeps it, are full of cycles."""
        self.bytes += memory

    def collect(self) -> None:
        """Before the next one begins: free them, where there may be too much."""
        if self.bytes >= LEFT_BYTES_MAX:
            if self._collections % LOOK_AT_ALL_EVERY == 0:
                gc.unfreeze()
            gc.collect()
            gc.freeze()
            self._collections += 1
            self.bytes = 0


LEFTOVERS: Final = Leftovers()
