"""Runs the nodes of a test network as real processes: starts, awaits, kills and restarts them, and ends them all.

Every node leads a process group of its own, and holds a pipe to this process: however this process ends, the nodes
end too. It knows processes, log files and `/readyz`; what is in a node's directory is `network.testnet_layout`'s.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from urllib.parse import urlsplit

from network.config import NodeConfig, read_config
from network.testnet_layout import NODE_PREFIX, TestnetError, is_free, make_testnet

__all__ = ["Node", "Testnet", "TestnetError", "make_testnet"]

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.05
WATCH_S = 0.5
LOG_TAIL_LINES = 30
LOG_TAIL_BYTES = 64 << 10
ROLES = ("validator", "executor", "gateway")


def _to_standard_error(line: str) -> None:
    sys.stderr.write(f"{line}\n")


class Node:
    """One node of a test network: its directory, its address, and its processes while it runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config: NodeConfig = read_config(directory)
        self.log_path = directory / "logs" / "node.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The member's name."""
        return self.config.node.name

    @property
    def url(self) -> str:
        """Where its gateway answers."""
        return f"http://{self.config.gateway.host}:{self.config.gateway.port}"

    @property
    def pid(self) -> int | None:
        """The validator's process id, which is its process group's too; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the node of this directory; the log gets what it prints."""
        assert self.pid is None, f"{self.name} runs already"
        self.log_path.parent.mkdir(exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self.command(), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def command(self) -> list[str]:
        """What `start` runs."""
        return [sys.executable, "-m", "network.node_process", str(self.directory), "--follow-parent"]

    def kill(self) -> None:
        """SIGKILL to every process of the node at once, as a power cut would. Returns when none is left."""
        if self._process is None:
            return
        _signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_S)
        _wait_for(lambda: not self.processes(), STOP_TIMEOUT_S)
        self._forget()

    def ask_to_stop(self) -> None:
        """SIGTERM to the validator, which ends its children; does not wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End the node in good order, by force after `timeout_s`. Returns the validator's exit code."""
        if self._process is None:
            return 0
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        code = self._process.poll()
        self.kill()
        return -signal.SIGKILL if code is None else code

    def exit_code(self) -> int | None:
        """The exit code of a validator that ended by itself, None while it runs."""
        return self._process.poll() if self._process is not None else None

    def processes(self) -> dict[str, int]:
        """Process ids by role ("validator", "executor", "gateway"), those alive. Needs /proc."""
        return {} if self._process is None else dict(_group_members(self._process.pid))

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines that the node logged."""
        try:
            with self.log_path.open("rb") as log:
                return _tail(log, lines)
        except FileNotFoundError:
            return "(no log)"

    def is_ready(self) -> bool:
        """Whether the gateway says that the node is ready to serve."""
        return _get_status(f"{self.url}/readyz") == 200

    def _forget(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


class Testnet:
    """The nodes under one directory. As a context manager it ends every process it started, on every path."""

    __test__ = False  # no test class, whatever its name says to pytest

    def __init__(self, directory: Path, node_type: Callable[[Path], Node] = Node) -> None:
        self.directory = directory
        folders = sorted(directory.glob(f"{NODE_PREFIX}*"), key=lambda path: int(path.name.removeprefix(NODE_PREFIX)))
        if not folders:
            raise TestnetError(f"{directory} holds no {NODE_PREFIX}1: make one with `quorate testnet {directory}`")
        self.nodes: Sequence[Node] = tuple(node_type(folder) for folder in folders)

    @property
    def genesis_path(self) -> Path:
        """The genesis file that all nodes share."""
        return self.directory / "genesis.json"

    @property
    def urls(self) -> list[str]:
        """Where the gateways answer, in member order."""
        return [node.url for node in self.nodes]

    def account_key_path(self, name: str) -> Path:
        """The PEM file of an account's key."""
        return self.directory / "accounts" / f"{name}.pem"

    def start(self) -> None:
        """Start every node, all at once; `wait_ready` waits for them. Raises `TestnetError` where one runs already."""
        for node in self.nodes:
            if node.config.gateway.enabled and not is_free(node.config.gateway.port):
                raise TestnetError(
                    f"port {node.config.gateway.port} of {node.name} is taken: does {self.directory} run already? "
                    "Stop what uses the port first"
                )
        for node in self.nodes:
            node.start()

    def wait_ready(self, nodes: Sequence[Node] | None = None, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until these nodes (or all) are ready. Raises `TestnetError`, with the log's end, if one never is."""
        for node in self.nodes if nodes is None else nodes:
            if not _wait_for(partial(_is_ready_or_over, node), timeout_s):
                raise TestnetError(
                    f"{node.name} is not ready after {timeout_s:.0f} s; its log ends:\n{node.log_tail()}"
                )
            if node.exit_code() is not None:
                raise TestnetError(f"{node.name} ended with code {node.exit_code()}; its log ends:\n{node.log_tail()}")

    def watch(self, tell: Callable[[str], None] = _to_standard_error) -> None:
        """Stay while a node runs, and tell of each that ends: the others go on without it, as a network must.

        Raises `TestnetError` when none is left.
        """
        ended: set[str] = set()
        while len(ended) < len(self.nodes):
            for node in self.nodes:
                if node.name not in ended and (code := node.exit_code()) is not None:
                    ended.add(node.name)
                    tell(_obituary(node, code, len(self.nodes) - len(ended), len(self.nodes)))
            time.sleep(WATCH_S)
        raise TestnetError("no validator is left running")

    def stop(self) -> None:
        """End every process that this object started, in good order where they allow it."""
        for node in self.nodes:
            node.ask_to_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for node in self.nodes:
            node.stop(max(0.1, deadline - time.monotonic()))

    def __enter__(self) -> Testnet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


def _obituary(node: Node, code: int, left: int, total: int) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    last = "" if code <= 0 else f" Its log ends:\n{node.log_tail(5)}\n"
    return (
        f"{node.name} {how}; {left} of {total} validators go on.{last}"
        f" Start it again, in another terminal: quorate start {node.directory}"
    )


def _is_ready_or_over(node: Node) -> bool:
    return node.is_ready() or node.exit_code() is not None


def _wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _get_status(url: str) -> int:
    """The status of a GET, 0 when nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _group_members(group: int) -> list[tuple[str, int]]:
    """(role, pid) of the living processes of a group; a zombie, which only waits to be reaped, is not alive."""
    found: list[tuple[str, int]] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) != group or fields[0] in "ZX":
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (OSError, IndexError, ValueError):
            continue  # it ended while we looked
        found.append((_role(words), int(entry.name)))
    return found


def _role(words: list[str]) -> str:
    for role in ROLES:
        if any(word.startswith(f"network.{role}") for word in words):
            return role
    return "validator"


def _tail(log: BinaryIO, lines: int) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - LOG_TAIL_BYTES))
    return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
