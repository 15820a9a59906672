"""The file of a Unix socket: bound so that only its owner can connect, cleared of what a dead process left there."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from network.ipc.channel import IpcError

SOCKET_PATH_BYTES_MAX = 107  # what the kernel keeps of a Unix socket's path


class SocketInUse(IpcError):
    """A living process already serves this path, or something that is no socket lies there."""


def bind_socket(path: Path) -> socket.socket:
    """A socket bound to `path`, readable by its owner alone from before anybody can connect. Raises `IpcError`."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise IpcError(
            f"the socket path {path} has {len(os.fsencode(path))} bytes, expected at most {SOCKET_PATH_BYTES_MAX}: "
            "use a data directory with a shorter path"
        )
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)  # nobody can connect before listen(), so there is no moment with a wider mode
    except OSError:
        sock.close()
        raise
    return sock


def _clear(path: Path) -> None:
    """Remove the socket that a dead process left behind."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketInUse(f"{path} exists and is no socket, expected none or the socket of a stopped process")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # a full backlog is a living process too
    raise SocketInUse(f"{path} is served by another process: is this node running already?")
