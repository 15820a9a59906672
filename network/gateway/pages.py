"""The explorer's files, served from memory: read once at start, never from a path that a request names.

Every page is the same small document; the script reads the address and shows what it names, so deep links work.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import NamedTuple

from network.gateway.http import Headers, Scope, Send, header

PAGE_CSP = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".mjs": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
INDEX = "index.html"
API = ("v1", "openapi.json", "metrics", "healthz", "readyz")  # what is below these is answered to programs alone
VIEWS = (
    "blocks",
    "block",
    "tx",
    "transactions",
    "contracts",
    "contract",
    "accounts",
    "account",
    "validators",
    "verify",
    "api",
)


class Page(NamedTuple):
    """One file, ready to send."""

    body: bytes
    headers: Headers
    etag: bytes
    status: int = 200


class Pages:
    """All files of the explorer by path."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}
        for item in files("network.explorer").iterdir():
            suffix = item.name[item.name.rfind(".") :]
            if suffix in TYPES:
                self._pages[f"/static/{item.name}"] = make_page(item.read_bytes(), TYPES[suffix])
        self._index = self._pages.pop(f"/static/{INDEX}")
        self._missing = without_copy(self._index)

    def find(self, path: str) -> Page | None:
        """The page at a path, None where the explorer has none."""
        if path == "/" or path[1:].partition("/")[0] in VIEWS:
            return self._index
        return self._pages.get(path)

    def missing(self, scope: Scope) -> Page | None:
        """For a person whose address leads nowhere: the explorer, which says so and leads back. None for a program."""
        if scope["path"][1:].partition("/")[0] in API or b"text/html" not in (header(scope, b"accept") or b""):
            return None
        return self._missing


def make_page(body: bytes, media_type: bytes) -> Page:
    """A file with its headers."""
    etag = b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
    headers: Headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", PAGE_CSP),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        (b"cache-control", b"no-cache"),
        (b"etag", etag),
    ]
    return Page(body, headers, etag)


def without_copy(page: Page) -> Page:
    """The same where nothing is: nobody keeps it, since there may be something tomorrow, or for another reader."""
    kept = [item for item in page.headers if item[0] not in (b"cache-control", b"etag")]
    return Page(page.body, [*kept, (b"cache-control", b"no-store"), (b"vary", b"accept")], b"", 404)


async def send_page(scope: Scope, send: Send, page: Page) -> None:
    """Answer GET or HEAD; a reader that has it already gets 304."""
    if page.etag and header(scope, b"if-none-match") == page.etag:
        headers = [item for item in page.headers if item[0] != b"content-length"]  # the reader keeps these of ours
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": page.status, "headers": page.headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page.body})
