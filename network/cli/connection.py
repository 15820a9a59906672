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
    faults = []
    for url in urls:
        fault = _fault_of(url)
        if not fault:
            return
        faults.append(fault)
    raise UserError("; ".join(faults))


def _fault_of(url: str) -> str:
    """Why there is no gateway, as far as it shows at once; "" where there may be one."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        return f"{url} is no address of a gateway ({error}): write http://HOST:PORT"
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S) as peer:
            return _fault_of_tls(peer, url, host) if parts.scheme == "https" else _fault_of_http(peer, url)
    except (socket.gaierror, UnicodeError):
        return f"there is no host {host!r}: is {url} spelled right?"
    except OSError:
        return f"nothing answers at {url}: start a node (quorate start), or give --url"


def _fault_of_tls(peer: socket.socket, url: str, host: str) -> str:
    """Gateways speak plain HTTP; whatever speaks TLS before one has a certificate that this machine knows."""
    import ssl

    try:
        ssl.create_default_context().wrap_socket(peer, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return f"{url} shows a certificate that this machine does not trust: {error.verify_message}"
    except ssl.SSLError:
        return f"what listens at {url} does not speak TLS: a gateway by itself is at http://, not https://"
    return ""


def _fault_of_http(peer: socket.socket, url: str) -> str:
    if _answers_in_http(peer):
        return ""
    from network.client.web import GATEWAY_PORT

    return f"what listens at {url} does not speak HTTP, it is no gateway: {GATEWAY_PORT}"


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
