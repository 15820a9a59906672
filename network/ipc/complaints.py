"""Failures of requests as lines of the log: each kind with its traceback, but not as often as it is asked for.

Who gets no answer may ask on and on, dozens of times a second; thousands of equal tracebacks bury what came before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

AGAIN_S: Final = 10.0  # after which the same failure is told once more
KINDS_MAX: Final = 64  # of failures remembered; one more, and all are forgotten


class Complaints:
    """Tells a log of failures. `clock` gives seconds, from anywhere on."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._told: dict[str, tuple[float, int]] = {}  # by its text: until when it is kept back, how often it was

    def tell(self, what: str, error: BaseException) -> None:
        """Log that `what` failed, with the traceback, unless the same was told a moment ago."""
        kind, now = f"{what}: {type(error).__name__}: {error}", self._clock()
        until, kept_back = self._told.get(kind, (now, 0))
        if now < until:
            self._told[kind] = until, kept_back + 1
            return
        if len(self._told) >= KINDS_MAX:
            self._told.clear()
        self._told[kind] = now + AGAIN_S, 0
        again = f" (and {kept_back} times more since it was told last)" if kept_back else ""
        self._log.error("%s failed%s", what, again, exc_info=error)
