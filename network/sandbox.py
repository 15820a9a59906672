"""What the executor gives up before it runs a line of a contract: the network, privileges, memory without bound.

Each protection is tried and named; the node's status shows which are in force, since platforms differ. The contract
language needs none of this to be safe: it is the second wall.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable

MEMORY_BYTES_MAX = 4 << 30
OPEN_FILES_MAX = 512
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def enter() -> tuple[str, ...]:
    """Drop what can be dropped. Returns the names of the protections that are now in force."""
    attempts: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("no-core-dump", lambda: _limit(resource.RLIMIT_CORE, 0)),
        ("memory-limit", lambda: _limit(resource.RLIMIT_AS, MEMORY_BYTES_MAX)),
        ("open-files-limit", lambda: _limit(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)),
        ("no-new-privileges", _no_new_privileges),
        ("no-network", _no_network),
    )
    return tuple(name for name, attempt in attempts if attempt())


def _limit(kind: int, value: int) -> bool:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):
        return False
    return True


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _no_new_privileges() -> bool:
    return sys.platform == "linux" and bool(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def _no_network() -> bool:
    """An empty network namespace: Unix sockets named by a path still work, nothing else does."""
    if sys.platform != "linux":
        return False
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(_libc().unshare(flags) == 0)
