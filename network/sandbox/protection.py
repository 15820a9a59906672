"""A protection and whether it is in force. Knows the word and how one is tried; what it does is its module's matter."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import NamedTuple


class Protection(NamedTuple):
    """One protection by its stable name. `missing` says why it is not in force; empty: it is."""

    name: str
    missing: str = ""

    @property
    def in_force(self) -> bool:
        """Whether it protects."""
        return not self.missing


class NotHere(Exception):
    """The platform does not offer a protection, or refuses it now. The text is the reason that is shown."""


def attempt(name: str, put_in_force: Callable[[], None]) -> Protection:
    """Try one. What goes wrong is the reason why it is missing, and never the end of the process."""
    try:
        put_in_force()
    except NotHere as reason:
        return Protection(name, str(reason))
    except (OSError, ValueError) as error:
        return Protection(name, f"refused: {getattr(error, 'strerror', None) or error}")
    return Protection(name)


def libc() -> ctypes.CDLL:
    """The C library of this process, with `errno` kept for `system_error`."""
    return ctypes.CDLL(None, use_errno=True)


def system_error(what: str) -> NotHere:
    """The reason that the last failed call left in `errno`."""
    return NotHere(f"{what}: {os.strerror(ctypes.get_errno())}")
