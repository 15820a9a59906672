"""Requests, answers and pushes over a Unix socket: how the processes of one node speak to each other.

This package moves opaque payloads. It knows frames, request ids, time-outs and the limits of each queue; what a
request says is in `network.api`, who asks and who answers is in `network.proxies` and the node.

Both sides are processes of one node under one user (the socket file has mode 0600), so a peer that breaks the
protocol is a fault, not an attacker: the connection ends with a log line. Slowness is a different matter. A side
that does not read is never waited for: its answers hold back its own requests, and the first push that finds its
buffer full cuts it off.
"""

from network.ipc.asking import Client
from network.ipc.channel import IpcError, Limits, ProtocolBroken, RemoteError
from network.ipc.reconnecting import Backoff, ReconnectingClient
from network.ipc.serving import Connection, Server
from network.ipc.socket_file import SOCKET_PATH_BYTES_MAX, SocketInUse

__all__ = [
    "SOCKET_PATH_BYTES_MAX",
    "Backoff",
    "Client",
    "Connection",
    "IpcError",
    "Limits",
    "ProtocolBroken",
    "ReconnectingClient",
    "RemoteError",
    "Server",
    "SocketInUse",
]
