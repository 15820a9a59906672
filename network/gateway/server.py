"""Serving the gateway: uvicorn with httptools and our limits, a socket bound before anything starts, a calm end.

It prints nothing and logs nothing of its own: the gateway's log says what went wrong, `/metrics` counts the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial

import uvicorn

from network.gateway.app import Gateway
from network.gateway.protocol import limited

BACKLOG = 1024
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would kill the process once more after a calm end."""

    on_ready: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.on_ready is not None:
            self.on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening address; port 0 takes a free one. Raises `OSError` that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


async def serve(
    app: Gateway,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    listener: socket.socket | None = None,
    on_ready: Callable[[int], None] | None = None,
    handle_signals: bool = True,
) -> None:
    """Serve until SIGTERM, SIGINT or cancellation, then end calmly: streams end, waits are answered, all is closed.

    `on_ready` is called with the port once connections are taken. Raises `OSError` when the address is taken.
    """
    listener = listener or bind(host, port)
    server = _Server(_config(app))
    if on_ready is not None:
        server.on_ready = partial(on_ready, listener.getsockname()[1])
    _silence_uvicorn()
    serving = asyncio.create_task(server.serve(sockets=[listener]))

    def stop() -> None:
        app.begin_stop()
        server.should_exit = True

    with _signals(stop) if handle_signals else contextlib.nullcontext():
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            stop()
            await serving
            raise


def _config(app: Gateway) -> uvicorn.Config:
    settings = app.settings
    return uvicorn.Config(
        app,
        http=limited(settings, app.express),
        ws="none",
        lifespan="on",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on the usual signals, where this thread may say so."""
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    for number in SIGNALS:
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stop)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


def _silence_uvicorn() -> None:
    """What uvicorn logs, a client can cause at will; faults of the application are logged by the gateway itself."""
    for name in ("uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
