"""How long work is getting on: one line on standard error, redrawn on a terminal, now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_REDRAW_SECONDS = 0.2
_SAY_SECONDS = 10.0


class Progress:
    """Shows the latest line, and takes it back when the work is done."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._redraws = self._stream.isatty()
        self._period = _REDRAW_SECONDS if self._redraws else _SAY_SECONDS
        self._last = time.monotonic() if not self._redraws else 0.0
        self._width = 0

    def show(self, line: str) -> None:
        """Show this, unless something was shown just now."""
        now = time.monotonic()
        if now - self._last < self._period:
            return
        self._last = now
        if self._redraws:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Leave the terminal as it was."""
        if self._redraws and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0
