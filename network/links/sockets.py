"""Sockets between members: one that calls an address, one that listens there, and why neither came about, in words.

What is said over them, and to whom, is for the mesh.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from network.links.tls import LinkError

LISTEN_BACKLOG = 128

Address = tuple[str, int]  # host, port


async def call_address(address: Address) -> socket.socket:
    """A socket that is connected to the first of the address's meanings that answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    last: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, where in await loop.getaddrinfo(*address, type=socket.SOCK_STREAM):
        calling = socket.socket(family, kind, protocol)
        calling.setblocking(False)
        try:
            await loop.sock_connect(calling, where)
            return calling
        except OSError as error:
            calling.close()
            last = error
        except BaseException:
            calling.close()
            raise
    raise last


async def listen_at(address: Address) -> socket.socket:
    """A listening socket, or a `LinkError` that says what to do."""
    host, port = address
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise LinkError(f"cannot listen on {host}:{port}: {why_not(error)}") from None
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(LISTEN_BACKLOG)
    except OSError as error:
        listening.close()
        raise LinkError(_listen_advice(host, port, error)) from None
    listening.setblocking(False)
    return listening


def _listen_advice(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by another process: stop it, or give this node another port for its peers"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {host}:{port}: this machine has no such address"
    if error.errno == errno.EACCES:
        return f"cannot listen on port {port}: not permitted (ports below 1024 are the administrator's)"
    return f"cannot listen on {host}:{port}: {why_not(error)}"


def why_not(error: BaseException) -> str:
    """An error as half a sentence."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
