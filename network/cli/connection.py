"""How commands reach a node: the SDK's client, made from the options that all of them share."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from network.cli.console import UserError

if TYPE_CHECKING:
    from ledger.crypto import SigningKey
    from network.client import Client

CONNECT_TIMEOUT_S = 3.0
FIRST_WORD_TIMEOUT_S = 1.0
HTTP = b"HTTP/"
DEFAULT_URL = "http://127.0.0.1:8101"
Url = Annotated[str, typer.Option("--url", envvar="QUORATE_URL", help="A node's gateway; several with commas.")]
GenesisFile = Annotated[
    Path | None,
    typer.Option(
        "--genesis",
        envvar="QUORATE_GENESIS",
        help="Genesis file that answers are checked against; without it the node's own is believed.",
        show_default=False,
    ),
]


def connect(url: str, genesis: Path | None = None, key: SigningKey | None = None) -> Client:
    """A client for these gateways. Use it as a context manager."""
    from ledger.genesis import load_genesis
    from network.client import Client

    urls = [each.strip().rstrip("/") for each in url.split(",") if each.strip()]
    if not urls or not all(each.startswith(("http://", "https://")) for each in urls):
        raise UserError(f"--url {url!r} is no address of a gateway: write http://HOST:PORT")
    _require_a_gateway(urls)
    return Client(urls, key=key, genesis=None if genesis is None else load_genesis(genesis))


def _require_a_gateway(urls: list[str]) -> None:
    """One quick try: the client would patiently wait for a node to come back, a person at a terminal would not."""
    deaf = []
    for url in urls:
        found = _speaks_http(url)
        if found:
            return
        if found is not None:
            deaf.append(url)
    if deaf:
        from network.client.web import GATEWAY_PORT

        raise UserError(f"what listens at {', '.join(deaf)} does not speak HTTP, it is no gateway: {GATEWAY_PORT}")
    raise UserError(f"nothing answers at {', '.join(urls)}: start a node (quorate start), or give --url")


def _speaks_http(url: str) -> bool | None:
    """Whether what listens there does, as far as it shows at once: None where nobody listens."""
    try:
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        with socket.create_connection(address, timeout=CONNECT_TIMEOUT_S) as peer:
            return parts.scheme == "https" or _answers_in_http(peer)
    except (OSError, ValueError):
        return None


def _answers_in_http(peer: socket.socket) -> bool:
    """Silence is not held against it: a gateway may be slow, and the client says what it waited for."""
    peer.settimeout(FIRST_WORD_TIMEOUT_S)
    try:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return peer.recv(len(HTTP), socket.MSG_WAITALL) == HTTP
    except TimeoutError:
        return True
    except OSError:
        return False
