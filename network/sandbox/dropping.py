"""The first step: limits on what this process may use, nothing inherited, no way to more rights, no network.

It comes before anything is opened or any thread is started, since descriptors are closed and namespaces left behind.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable

from network.sandbox.calls import refuse_rings
from network.sandbox.protection import NotHere, Protection, attempt, libc, system_error

MEMORY_BYTES_MAX = 4 << 30
OPEN_FILES_MAX = 512
STANDARD_STREAMS = 3  # descriptors 0 to 2: the tie to the parent, and the log
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def drop() -> tuple[Protection, ...]:
    """Give up what can be given up now, and say of each protection whether it is in force."""
    attempts: tuple[tuple[str, Callable[[], None]], ...] = (
        ("empty-environment", _empty_environment),
        ("closed-descriptors", _close_descriptors),
        ("no-core-dump", lambda: _limit(resource.RLIMIT_CORE, 0)),
        ("memory-limit", lambda: _limit(resource.RLIMIT_AS, MEMORY_BYTES_MAX)),
        ("open-files-limit", lambda: _limit(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)),
        ("no-new-privileges", _no_new_privileges),
        ("no-network", _no_network),
        ("no-io-uring", refuse_rings),
    )
    return tuple(attempt(name, put_in_force) for name, put_in_force in attempts)


def _empty_environment() -> None:
    """Forget everything, but the time zone of the log: the C library keeps what it has read."""
    time.tzset()
    os.environ.clear()


def _close_descriptors() -> None:
    """Nothing that the parent may have left open: not its block store, its journal, its key."""
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(STANDARD_STREAMS, min(highest, 1 << 20) if highest != resource.RLIM_INFINITY else 1 << 20)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _no_new_privileges() -> None:
    _need_linux()
    if libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise system_error("prctl(PR_SET_NO_NEW_PRIVS)")


def _no_network() -> None:
    """An empty network namespace: Unix sockets named by a path still work, nothing else does."""
    _need_linux()
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    if libc().unshare(flags):
        raise system_error("the system allows no new network namespace")


def _need_linux() -> None:
    if sys.platform != "linux":
        raise NotHere(f"{sys.platform} does not offer it")
