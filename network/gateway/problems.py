"""Every refusal of the gateway as problem details (RFC 9457): the catalogue of codes, and the exception for one.

A problem says what was found, what was expected and what to do next. It never carries a host's error text or a
traceback, and it knows no route.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

MEDIA_TYPE = b"application/problem+json"
TYPE_PREFIX = "urn:quorate:problem:"
DETAIL_CHARS_MAX = 1000


class Kind(NamedTuple):
    """The part of a problem that does not depend on the request."""

    status: int
    title: str


KINDS: dict[str, Kind] = {
    # what is wrong with a transaction
    "malformed": Kind(400, "These bytes are no transaction"),
    "too_large": Kind(413, "Too large"),
    "wrong_chain": Kind(422, "The transaction is for another chain"),
    "bad_signature": Kind(422, "The signature does not hold"),
    "unknown_sender": Kind(403, "The sender is no account of this network"),
    "expired": Kind(422, "The transaction has expired"),
    "too_far": Kind(422, "valid_until lies too far ahead"),
    "gas_limit": Kind(422, "The gas limit is out of range"),
    # what is wrong with a request
    "bad_json": Kind(400, "The body is not the JSON that this route takes"),
    "bad_msgpack": Kind(400, "The body is not the msgpack that this route takes"),
    "bad_value": Kind(400, "Not a contract value"),
    "bad_parameter": Kind(400, "A parameter is wrong"),
    "bad_request": Kind(400, "Not an HTTP request that can be answered"),
    "unsupported_media_type": Kind(415, "This content type is not taken here"),
    "too_many_transactions": Kind(413, "Too many transactions in one request"),
    "headers_too_large": Kind(431, "Too many or too large headers"),
    "request_timeout": Kind(408, "The request took too long to arrive"),
    "host_not_allowed": Kind(421, "This node does not answer to that host name"),
    "method_not_allowed": Kind(405, "This method is not available here"),
    # what does not exist
    "not_found": Kind(404, "No such page"),
    "unknown_block": Kind(404, "No such block here"),
    "unknown_transaction": Kind(404, "This node does not know the transaction"),
    "unknown_contract": Kind(404, "No such contract"),
    "unknown_method": Kind(404, "No such view"),
    "unknown_variable": Kind(404, "No such state variable"),
    "unknown_account": Kind(404, "No such account"),
    "not_sealed": Kind(409, "The transaction is not sealed yet"),
    "no_proof": Kind(404, "There is nothing to prove"),
    # what a contract answered
    "bad_arguments": Kind(422, "The arguments do not fit"),
    "view_failed": Kind(422, "The view failed"),
    "height_not_reached": Kind(409, "This node has not reached that height"),
    "height_unavailable": Kind(410, "State at that height is not kept"),
    "height_too_costly": Kind(422, "Too much to look up at that height"),
    "view_too_long": Kind(422, "The view took too long"),
    # not now
    "too_many_requests": Kind(429, "Too much at once"),
    "busy": Kind(503, "The node is busy"),
    "node_unavailable": Kind(503, "A part of the node does not answer"),
    "stopping": Kind(503, "The node is stopping"),
    "internal": Kind(500, "The gateway made a mistake"),
}

RETRY_AFTER_S: dict[str, int] = {
    "too_many_requests": 1,
    "busy": 1,
    "node_unavailable": 2,
    "stopping": 5,
    "height_not_reached": 1,
    "not_sealed": 1,
}


class Problem(Exception):
    """One refusal. `code` is a key of `KINDS`; `members` are further fields of the answer."""

    def __init__(self, code: str, detail: str, **members: Any) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail[:DETAIL_CHARS_MAX]
        self.members = members

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.code].status

    @property
    def retry_after_s(self) -> int | None:
        """When to try again, where trying again can help."""
        return RETRY_AFTER_S.get(self.code)

    def as_json(self) -> dict[str, Any]:
        """The members of the problem object."""
        kind = KINDS[self.code]
        return {
            "type": TYPE_PREFIX + self.code,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            "code": self.code,
            **self.members,
        }

    def body(self) -> bytes:
        """The answer's body."""
        return msgspec.json.encode(self.as_json())

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The answer's own headers."""
        headers = [(b"content-type", MEDIA_TYPE)]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        return headers
