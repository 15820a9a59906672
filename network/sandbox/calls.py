"""The third step: of the system's calls only those that an executor at work needs. The rest is refused, or deadly.

A filter of the kernel's (seccomp), put together by libseccomp, the library that container runtimes use. It is loaded
where the system has it (Debian: libseccomp2) and not a Python package: those that there are on the index are not kept
up. By the time of `seal` the state is open, the socket listens, and every module with machine code is loaded: from
then on no memory becomes executable any more.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Sequence
from functools import lru_cache

from network.sandbox.protection import NotHere, Protection, attempt

_LIBRARY = "libseccomp.so.2"
_KILL_PROCESS = 0x80000000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_CTL_TSYNC, _CTL_OPTIMIZE = 4, 8
_BINARY_TREE = 2
_EQUAL, _MASKED_EQUAL = 4, 7

# ── what is allowed, and how ──────────────────────────────────────────────────────────────────────

ALLOWED = """
    read readv pread64 preadv write writev pwrite64 pwritev lseek _llseek close dup dup3
    open openat stat lstat fstat newfstatat fstatat64 stat64 lstat64 fstat64 statx statfs fstatfs access faccessat
    faccessat2 getdents64 readlink readlinkat getcwd fsync fdatasync sync_file_range ftruncate ftruncate64 fallocate
    fadvise64 flock unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir chmod fchmod fchmodat umask
    brk munmap mremap madvise mincore msync membarrier
    futex futex_time64 set_robust_list get_robust_list set_tid_address rseq restart_syscall exit exit_group
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigsuspend sigaltstack sigreturn
    epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select _newselect pselect6 eventfd2 pipe2
    timerfd_create timerfd_settime timerfd_gettime
    accept accept4 recvfrom recvmsg sendto sendmsg sendmmsg recvmmsg recv send shutdown
    getsockopt setsockopt getsockname getpeername
    clock_gettime clock_gettime64 clock_getres clock_nanosleep nanosleep gettimeofday time times
    getpid getppid gettid getuid geteuid getgid getegid getpgrp getrandom getrusage getrlimit ugetrlimit
    sched_yield sched_getaffinity sched_getparam sched_getscheduler uname sysinfo
""".split()  # noqa: SIM905 - a list of words reads best as words
"""Whatever their arguments. Which files may be opened is `network.sandbox.files`'s matter."""

DEADLY = """
    execve execveat fork vfork ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp
    mount umount2 pivot_root chroot setns unshare init_module finit_module delete_module kexec_load bpf
    perf_event_open userfaultfd keyctl add_key request_key
    setuid setgid setreuid setregid setresuid setresgid setgroups capset
""".split()  # noqa: SIM905
"""No honest path leads to these: whoever asks has taken the process over, and it ends at once."""

RINGS = ("io_uring_setup", "io_uring_enter", "io_uring_register")
"""What is asked for through such a ring passes by every filter, so there must be none from the beginning."""

UNKNOWN_HERE = ("clone3", "openat2", "close_range", "futex_waitv", *RINGS)
"""Refused as a kernel would that lacks them: libraries then do without, or use an older call that can be judged."""

_PROT_EXEC = 0x4
_CLONE_THREAD = 0x10000
_FIONBIO, _FIOCLEX, _FIONREAD, _TCGETS = 0x5421, 0x5451, 0x541B, 0x5401
_PR_SET_NAME = 15
_AF_UNIX = 1
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 1030)  # copies, flags and record locks; 1030 copies with close-on-exec


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


def _is(argument: int, value: int) -> _Comparison:
    return _Comparison(argument, _EQUAL, value, 0)


def _has(argument: int, mask: int, value: int) -> _Comparison:
    return _Comparison(argument, _MASKED_EQUAL, mask, value)


def _conditional() -> list[tuple[str, list[_Comparison]]]:
    """Calls that are allowed with certain arguments alone; several rules for one call are alternatives."""
    return [
        *((name, [_has(2, _PROT_EXEC, 0)]) for name in ("mmap", "mmap2", "mprotect")),
        ("clone", [_has(0, _CLONE_THREAD, _CLONE_THREAD)]),  # a thread, never a process
        ("tgkill", [_is(0, os.getpid())]),  # `abort`: a signal to itself
        ("prlimit64", [_is(0, 0), _is(2, 0)]),  # its own limits, to look at
        ("prctl", [_is(0, _PR_SET_NAME)]),
        ("socketpair", [_is(0, _AF_UNIX)]),  # uvloop makes one whenever its loop is started, for signals
        *(("ioctl", [_is(1, request)]) for request in (_FIONBIO, _FIOCLEX, _FIONREAD, _TCGETS)),
        *((name, [_is(1, command)]) for name in ("fcntl", "fcntl64") for command in _FCNTL),
    ]


# ── putting it in force ───────────────────────────────────────────────────────────────────────────


def refuse_rings() -> None:
    """Have every io_uring refused: before the event loop is made, which would take one."""
    _load(_ALLOW, [(_ERRNO | errno.ENOSYS, name, ()) for name in RINGS])


def seal() -> tuple[Protection, ...]:
    """Refuse every other call from now on, in every thread."""
    return (attempt("system-calls-filtered", _seal),)


def _seal() -> None:
    rules: list[_Rule] = [(_ALLOW, name, ()) for name in ALLOWED]
    rules += [(_KILL_PROCESS, name, ()) for name in DEADLY]
    rules += [(_ERRNO | errno.ENOSYS, name, ()) for name in UNKNOWN_HERE]
    rules += [(_ALLOW, name, comparisons) for name, comparisons in _conditional()]
    _load(_ERRNO | errno.EPERM, rules)


_Rule = tuple[int, str, Sequence[_Comparison]]
"""What becomes of a call by this name whose arguments compare so."""


def _load(otherwise: int, rules: Sequence[_Rule]) -> None:
    """Put a filter in force, beside those that are. Raises `NotHere`."""
    library = _library()
    filter_ = library.seccomp_init(otherwise)
    if not filter_:
        raise NotHere("libseccomp knows no filter for this machine")
    try:
        library.seccomp_attr_set(filter_, _CTL_OPTIMIZE, _BINARY_TREE)  # older ones search a list: slower, no weaker
        _must(library.seccomp_attr_set(filter_, _CTL_TSYNC, 1), "every thread at once")
        for action, name, comparisons in rules:
            _add(library, filter_, action, name, comparisons)
        _must(library.seccomp_load(filter_), "load")
    finally:
        library.seccomp_release(filter_)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Loaded with the first filter, while its file can still be read."""
    if sys.platform != "linux":
        raise NotHere(f"{sys.platform} does not offer it")
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise NotHere(f"{_LIBRARY} is not on this machine (Debian, Ubuntu: apt install libseccomp2)") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    ]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    return library


def _add(library: ctypes.CDLL, filter_: int, action: int, name: str, comparisons: Sequence[_Comparison]) -> None:
    """One rule. A call that this machine or this libseccomp does not know is refused anyway."""
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number < 0:
        return
    array = (_Comparison * len(comparisons))(*comparisons)
    _must(library.seccomp_rule_add_array(filter_, action, number, len(comparisons), array), name)


def _must(code: int, what: str) -> None:
    if code:
        raise NotHere(f"libseccomp refuses ({what}): {os.strerror(-code)}")
