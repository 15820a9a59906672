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
    if not any(_somebody_listens(each) for each in urls):
        raise UserError(f"nothing answers at {', '.join(urls)}: start a node (quorate start), or give --url")
    return Client(urls, key=key, genesis=None if genesis is None else load_genesis(genesis))


def _somebody_listens(url: str) -> bool:
    """One quick try: the client would patiently wait for a node to come back, a person at a terminal would not."""
    try:
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        socket.create_connection(address, timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True
