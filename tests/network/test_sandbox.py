"""The executor's sandbox, each protection proven by a process of its own that tries what it forbids, and by its twin.

What a kernel does not offer is skipped here as it is on a node: by name, with the reason.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from network.api import GetExecutorStatus
from network.executor_process import ExecutorService, empty
from network.sandbox import Protection, calls, confine, dropping, files
from network.sandbox.protection import NotHere, attempt

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the protections are Linux's")

STEPS = ("drop", "confine", "seal")

CHILD = r"""
import ctypes, errno, json, mmap, os, resource, signal, socket, subprocess, sys, threading, time
from pathlib import Path
import plyvel
from network import sandbox

steps, state, secret, descriptor, names = json.loads(sys.argv[1])
state, secret = Path(state), Path(secret)
libc = ctypes.CDLL(None, use_errno=True)
status = Path("/proc/self/status").read_text

def system_call(*words):
    if libc.syscall(*words) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def thread():
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()

def rename():
    (state / "a").write_text("x")
    (state / "a").rename(state / "b")
    (state / "b").unlink()

def connect():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(5)
        one.connect(("127.0.0.1", 9))

def open_database():
    database = plyvel.DB(str(state / "db"), create_if_missing=True, write_buffer_size=1 << 16)
    for number in range(300):
        database.put(b"%d" % number, os.urandom(1000))  # enough for its thread to write tables
    database.compact_range()
    database.close()

ATTEMPTS = {
    "read a key": lambda: secret.read_text(),
    "write beside the state": lambda: secret.with_name("new").write_text("x"),
    "look into a directory": lambda: os.listdir(secret.parent),
    "write the state": rename,
    "open the database": open_database,
    "read a library": lambda: Path(os.__file__).read_bytes(),
    "start a thread": thread,
    "internet socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
    "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close(),
    "connect": connect,
    "signal another": lambda: os.kill(os.getppid(), 0),
    "executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    "io_uring": lambda: system_call(425, 8, ctypes.create_string_buffer(256)),
    "more memory": lambda: bytearray(5 << 30) and None,
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    "inherited descriptor": lambda: os.fstat(descriptor) and None,
    "environment": lambda: [][0] if not os.environ else None,
    "time zone": lambda: None if time.strftime("%H", time.localtime(0)) == "09" else [][0],
    "new privileges": lambda: [][0] if libc.prctl(39, 0, 0, 0, 0) == 1 else None,
    "core dump": lambda: [][0] if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 else None,
    "fork": lambda: os.waitpid(pid, 0) and None if (pid := os.fork()) else os._exit(0),
    "run a program": lambda: os.execv("/bin/true", ["true"]),
    "trace": lambda: system_call(101, 0, 0, 0, 0),  # PTRACE_TRACEME
    "new namespace": lambda: system_call(272, 0x40000000),
}

protections = []
if "drop" in steps:
    protections += sandbox.drop()
if "confine" in steps:
    protections += sandbox.confine([state])
if "seal" in steps:
    protections += sandbox.seal()
found = {}
for name in names:
    try:
        ATTEMPTS[name]()
        found[name] = "done"
    except OSError as error:
        found[name] = errno.errorcode[error.errno]
    except (MemoryError, IndexError, ValueError) as error:
        found[name] = type(error).__name__
print(json.dumps([protections, found]), flush=True)
"""


class Room:
    """A directory with a state to write and a key to keep away from, and children that try things there."""

    def __init__(self, path):
        self.state, self.secret = path / "state", path / "keys" / "validator.pem"
        self.state.mkdir()
        self.secret.parent.mkdir()
        self.secret.write_text("secret")

    def run(self, names, steps=STEPS):
        with self.secret.open() as opened:
            argument = json.dumps([steps, str(self.state), str(self.secret), opened.fileno(), names])
            return subprocess.run(
                [sys.executable, "-c", CHILD, argument],
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
                pass_fds=(opened.fileno(),),
                env={"PYTHONPATH": str(Path(__file__).parents[2]), "QUORATE_PASSPHRASE": "secret", "TZ": "JST-9"},
            )

    def attempts(self, *names, steps=STEPS):
        """What became of each. A protection that is missing here skips the test, with its reason."""
        ended = self.run(names, steps)
        assert ended.returncode == 0, ended.stderr
        protections, found = json.loads(ended.stdout)
        for name, missing in protections:
            if missing:
                pytest.skip(f"{name} is not in force here: {missing}")
        return [found[name] for name in names]


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path)


WITHIN = ["write the state", "open the database", "read a library", "start a thread", "time zone"]
FILES = ["read a key", "write beside the state", "look into a directory"]


def test_the_executor_s_own_work_is_possible(room):
    assert room.attempts(*WITHIN) == ["done"] * len(WITHIN)


def test_files_beside_the_state_are_out_of_reach(room):
    assert room.attempts(*FILES) == ["EACCES"] * 3
    assert room.secret.read_text() == "secret"
    assert sorted(path.name for path in room.secret.parent.iterdir()) == ["validator.pem"]


def test_without_confinement_they_are_not(room):
    assert room.attempts(*FILES, steps=["drop"]) == ["done"] * 3


def test_there_is_no_network_even_before_the_calls_are_filtered(room):
    assert room.attempts("internet socket", "connect", steps=["drop"]) == ["done", "ENETUNREACH"]
    assert room.attempts("internet socket", "connect", steps=[]) == ["done", "ECONNREFUSED"]


FILTERED = ["internet socket", "unix socket", "signal another", "executable memory", "fork"]


def test_calls_that_an_executor_does_not_need_are_refused(room):
    assert room.attempts(*FILTERED, "raise a limit") == [*["EPERM"] * 5, "ValueError"]


def test_without_the_filter_they_are_not(room):
    assert room.attempts(*FILTERED, steps=["drop"]) == ["done"] * len(FILTERED)


@pytest.mark.parametrize("name", ["run a program", "trace", "new namespace"])
def test_who_tries_to_become_another_process_is_killed_at_once(room, name):
    room.attempts()  # skips where there is no filter
    ended = room.run([name])
    assert (ended.returncode, ended.stdout) == (-signal.SIGSYS, "")
    assert room.run([name], steps=[]).returncode == 0, "without the filter it lives"


DROPPED = ["io_uring", "inherited descriptor", "environment", "new privileges", "core dump", "more memory"]


def test_nothing_is_inherited_and_no_limit_can_be_passed(room):
    outcome = room.attempts(*DROPPED, steps=["drop"])
    assert outcome == ["ENOSYS", "EBADF", "IndexError", "IndexError", "IndexError", "MemoryError"]


def test_without_these_they_are(room):
    names = DROPPED[1:-1]  # a machine may have no io_uring, and not enough memory, anyhow
    assert room.attempts(*names, steps=[]) == ["done"] * len(names)


# ── what is missing, and why ──────────────────────────────────────────────────────────────────────


def test_a_machine_without_the_library_says_so(monkeypatch):
    monkeypatch.setattr(calls, "_LIBRARY", "libno-such.so.9")
    calls._library.cache_clear()
    try:
        (found,) = calls.seal()
    finally:
        calls._library.cache_clear()
    assert found.name == "system-calls-filtered"
    assert found.missing == "libno-such.so.9 is not on this machine (Debian, Ubuntu: apt install libseccomp2)"
    assert not found.in_force


@pytest.mark.parametrize("module", [calls, files, dropping])
def test_another_system_than_linux_says_so(monkeypatch, module):
    calls._library.cache_clear()
    monkeypatch.setattr(module.sys, "platform", "darwin")
    step = {calls: calls._seal, files: lambda: files._confine([]), dropping: dropping._no_new_privileges}[module]
    try:
        assert attempt("it", step) == Protection("it", "darwin does not offer it")
    finally:
        calls._library.cache_clear()


def test_a_kernel_without_landlock_says_so(monkeypatch):
    class Old:
        @staticmethod
        def syscall(*_words):
            import ctypes

            ctypes.set_errno(errno.ENOSYS)
            return -1

    monkeypatch.setattr(files, "libc", Old)
    monkeypatch.setattr(files.os, "listdir", lambda _: ["1"])
    (found,) = confine([])
    assert found.missing == f"the kernel has no Landlock, or it is switched off: {os.strerror(errno.ENOSYS)}"


def test_a_process_with_threads_is_not_confined_in_part(tmp_path):
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        assert confine([tmp_path]) == (Protection("files-confined", "other threads run already"),)
    finally:
        done.set()
        other.join()
    (tmp_path.parent / "still free").write_text("x")


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (NotHere("no such thing"), "no such thing"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "refused: Operation not permitted"),
        (ValueError("current limit exceeds maximum limit"), "refused: current limit exceeds maximum limit"),
    ],
)
def test_what_goes_wrong_is_a_reason_and_no_end(raised, reason):
    def fail():
        raise raised

    assert attempt("it", fail) == Protection("it", reason)


async def test_the_executor_tells_what_is_in_force_and_what_is_not():
    class Engine:
        height, root = 3, bytes(32)

        @staticmethod
        def contract_names():
            return ["system", "token"]

    protections = (Protection("memory-limit"), Protection("files-confined", "the kernel has no Landlock"))
    service = ExecutorService(Engine(), protections, None, None)
    found = service._answer(GetExecutorStatus())
    assert (found.height, found.contracts) == (3, 2)
    assert found.sandbox == ("memory-limit",)
    assert found.unprotected == (("files-confined", "the kernel has no Landlock"),)


def test_this_process_is_none_of_it():
    """The tests above ran in children: nothing has been given up here."""
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert os.environ


# ── a state is emptied, not removed ───────────────────────────────────────────────────────────────


def test_a_state_is_deleted_without_a_right_to_the_directory_above(tmp_path):
    inside = tmp_path / "state"
    (inside / "lost").mkdir(parents=True)
    (inside / "lost" / "000001.log").write_text("x")
    (inside / "CURRENT").write_text("x")
    (inside / "link").symlink_to(tmp_path)
    empty(inside)
    assert list(inside.iterdir()) == []
    assert tmp_path.is_dir()
