"""The second step: of all files only the state's can be written, and of the others only Python's own can be read.

Landlock (Linux 5.13) lets a process bind itself so, whoever owns the files: the keys of the node lie beside the state,
and are out of reach. It has no library: three system calls, by number, the same on every architecture.
It binds this thread and those that it starts, so it comes before any other thread.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from network.sandbox.protection import NotHere, Protection, attempt, libc, system_error

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PATH_BENEATH = struct.Struct("<Qi")  # allowed access, descriptor

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR = 1 << 7
_MAKE_REG = 1 << 8
_TRUNCATE = 1 << 14
# What a version of Landlock can forbid: bits of file access, of TCP access, of scopes (abstract sockets, signals).
_FILES_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_SINCE, _TCP = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11

_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_SYSTEM_FILES = ("/etc/localtime", "/usr/share/zoneinfo", "/dev/null")  # the log's times; what reads nothing


def confine(writable: Iterable[Path]) -> tuple[Protection, ...]:
    """Let this process write beneath these directories alone, which are there."""
    return (attempt("files-confined", lambda: _confine(list(writable))),)


def _confine(writable: list[Path]) -> None:
    if sys.platform != "linux":
        raise NotHere(f"{sys.platform} does not offer it")
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - names are all it takes
        raise NotHere("other threads run already")
    version = libc().syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    if version < 1:
        raise system_error("the kernel has no Landlock, or it is switched off")
    handled = _FILES_BY_VERSION[max(known for known in _FILES_BY_VERSION if known <= version)]
    ruleset = _create_ruleset(version, handled)
    try:
        for path in writable:
            _allow(ruleset, path, _WRITE & handled)
        for path in _readable():
            _allow(ruleset, path, _READ)
        if libc().syscall(_RESTRICT_SELF, ruleset, 0):
            raise system_error("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _create_ruleset(version: int, handled: int) -> int:
    fields = [handled]
    if version >= _TCP_SINCE:
        fields.append(_TCP)
    if version >= _SCOPES_SINCE:
        fields.append(_SCOPES)
    attributes = struct.pack(f"<{len(fields)}Q", *fields)
    descriptor: int = libc().syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if descriptor < 0:
        raise system_error("landlock_create_ruleset")
    return descriptor


def _allow(ruleset: int, path: Path, access: int) -> None:
    """A rule for what lies beneath a path that is there."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        kept = access if path.is_dir() else access & ~_READ_DIR
        if libc().syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, _PATH_BENEATH.pack(kept, descriptor), 0):
            raise system_error(f"landlock_add_rule for {path}")
    finally:
        os.close(descriptor)


def _readable() -> list[Path]:
    """Python's libraries and this program's packages, for a late import: never the directory that they stand in."""
    import contracts
    import ledger
    import network

    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    packages = {path for package in (contracts, ledger, network) for path in package.__path__}
    return [Path(path) for path in (*sorted(libraries | packages), *_SYSTEM_FILES)]
