"""The OpenAPI page, with what FastAPI cannot know: the hot route in front of it, and the shape of problems."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from network.gateway.problems import KINDS

DESCRIPTION = (
    "A permissioned ledger: signed transactions in, sealed blocks, receipts and proofs out. "
    'Bytes are hexadecimal; contract values are JSON with {"$bytes": hex} and {"$int": decimal}. '
    "Every answer names the sealed height it was given at. Errors are problem details (RFC 9457)."
)

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(KINDS)},
    },
}
_HEX = {"type": "string", "pattern": "^[0-9a-f]*$"}
_TRANSACTION = {
    "type": "object",
    "description": "Either raw, or all the other fields.",
    "properties": {
        "raw": _HEX,
        "chain_id": _HEX,
        "sender": _HEX,
        "calls": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["contract", "method"],
                "properties": {
                    "contract": {"type": "string"},
                    "method": {"type": "string"},
                    "args": {"type": "array", "items": {}},
                },
            },
        },
        "gas_limit": {"type": "integer"},
        "valid_until": {"type": "integer"},
        "salt": _HEX,
        "signature": _HEX,
    },
}
_SUBMIT: dict[str, Any] = {
    "tags": ["transactions"],
    "summary": "Submit one signed transaction, or many",
    "parameters": [
        {
            "name": "wait",
            "in": "query",
            "schema": {"type": "string", "enum": ["sealed"]},
            "description": "Answer once the outcome is sealed.",
        },
        {
            "name": "timeout_s",
            "in": "query",
            "schema": {"type": "number", "minimum": 0, "maximum": 60, "default": 10},
            "description": "How long to wait; then the answer is 202 and the transaction goes on.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/vnd.quorate.transaction": {"schema": {"type": "string", "format": "binary"}},
            "application/msgpack": {
                "schema": {"type": "string", "format": "binary", "description": "A list of signed transactions."}
            },
            "application/json": {
                "schema": {"oneOf": [_TRANSACTION, {"type": "array", "items": _TRANSACTION}]},
                "example": {"raw": "9296..."},
            },
        },
    },
    "responses": {
        "200": {"description": "Sealed, with its receipt; for a list, one result each."},
        "202": {"description": "Accepted and not sealed yet."},
    },
}


def describe(api: FastAPI) -> None:
    """Make `api.openapi()` tell all of it."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _page(api)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents for extending it


def _page(api: FastAPI) -> dict[str, Any]:
    page = get_openapi(title=api.title, version="1", description=DESCRIPTION, routes=api.routes)
    page["paths"].setdefault("/v1/transactions", {})["post"] = _SUBMIT
    page.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    problem = {
        "description": "A problem: what was found, what was expected, what to do.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in page["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        page["components"]["schemas"].pop(name, None)
    return page
