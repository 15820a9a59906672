"""Routes that read contracts: what is deployed, views, and single state values with their proofs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from ledger.types import HEIGHT_MAX
from network import present
from network.api import ContractInfo, StateAnswer, ViewOutcome
from network.gateway.http import BodyBudget, read_body
from network.gateway.parameters import MinHeight
from network.gateway.problems import Problem
from network.gateway.services import Services, hex_32
from network.gateway.state_keys import encode_path
from network.gateway.submissions import read_arguments

VIEW_BODY_BYTES_MAX = 1 << 20
ANYBODY = bytes(32)  # the sender of a view that names none
POLL_S = 0.02

ContractName = Annotated[str, Path(description="A contract's name.")]
AtHeight = Annotated[int | None, Query(ge=0, le=HEIGHT_MAX, description="A sealed height; without it, the last.")]

_MISSING = {"unknown_contract": "unknown_contract", "unknown_method": "unknown_method"}
_VIEW_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["contract", "method"],
                    "properties": {
                        "contract": {"type": "string"},
                        "method": {"type": "string"},
                        "args": {"type": "array", "items": {}},
                        "sender": {"type": "string", "description": "A public key; what the view sees as its caller."},
                        "height": {"type": "integer", "description": "A sealed height; without it, the last."},
                    },
                },
                "example": {"contract": "token", "method": "balance_of", "args": ["aa11"]},
            }
        },
    }
}


class ViewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/view."""

    contract: str
    method: str
    args: msgspec.Raw = msgspec.Raw(b"[]")
    sender: str | None = None
    height: Annotated[int, msgspec.Meta(ge=0, le=HEIGHT_MAX)] | None = None


_view_decoder = msgspec.json.Decoder(ViewRequest)


def contract_routes(services: Services) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1")
    _add_contracts(router, services)
    _add_views(router, services)
    _add_state(router, services)
    return router


# ── contracts ─────────────────────────────────────────────────────────────────────────────────────


def _add_contracts(router: APIRouter, services: Services) -> None:
    @router.get("/contracts", tags=["contracts"], summary="All contracts with their interfaces")
    async def list_contracts(min_height: MinHeight = None) -> Response:
        await services.reach(min_height)
        found = await services.executor.contracts()
        return services.answer({"contracts": [present.contract(item, whole=False) for item in found]})

    @router.get("/contracts/{name}", tags=["contracts"], summary="One contract: source and interface")
    async def get_contract(name: ContractName, min_height: MinHeight = None) -> Response:
        await services.reach(min_height)
        return services.answer(present.contract(await find_contract(services, name), whole=True))


async def find_contract(services: Services, name: str) -> ContractInfo:
    """A deployed contract. Raises `Problem`."""
    found = await services.executor.contract(name)
    if found is None:
        raise Problem(
            "unknown_contract", f"no contract is named {name[:80]!r}; GET /v1/contracts lists those there are"
        )
    return found


# ── views ─────────────────────────────────────────────────────────────────────────────────────────


def _add_views(router: APIRouter, services: Services) -> None:
    budget = BodyBudget(8 * VIEW_BODY_BYTES_MAX)

    @router.post("/view", tags=["contracts"], summary="Run a view on sealed state", openapi_extra=_VIEW_BODY)
    async def post_view(request: Request, min_height: MinHeight = None) -> Response:
        body = await read_body(request.scope, request.receive, VIEW_BODY_BYTES_MAX, budget)
        try:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise Problem("unsupported_media_type", f"the content type is {kind[:80]!r}; send application/json")
            wanted = _read_view(body)
            args = read_arguments(wanted.args, services.settings)
        finally:
            budget.give_back(len(body))
        return await _view(services, wanted.contract, wanted.method, args, wanted.sender, wanted.height, min_height)

    @router.get("/view", tags=["contracts"], summary="Run a view on sealed state, as a link")
    async def get_view(
        contract: Annotated[str, Query()],
        method: Annotated[str, Query()],
        args: Annotated[str, Query(description="The arguments as a JSON list.")] = "[]",
        sender: Annotated[str | None, Query(description="A public key; what the view sees as its caller.")] = None,
        height: AtHeight = None,
        min_height: MinHeight = None,
    ) -> Response:
        encoded = read_arguments(msgspec.Raw(args.encode()), services.settings)
        return await _view(services, contract, method, encoded, sender, height, min_height)


def _read_view(body: bytes) -> ViewRequest:
    try:
        return _view_decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Problem("bad_json", f"{error}. Expected an object with contract, method and args") from None


async def _view(
    services: Services,
    contract: str,
    method: str,
    args: bytes,
    sender: str | None,
    height: int | None,
    min_height: int | None,
) -> Response:
    await services.reach(min_height)
    who = ANYBODY if sender is None else hex_32("sender", sender)
    _check_height(services, height)
    async with services.views.place():
        outcome = await _fresh_view(services, contract, method, args, who, height, min_height)
    if outcome.code != "ok":
        raise view_problem(contract, method, outcome)
    return services.answer(
        {"value": present.value(outcome.value), "height": outcome.height, "gas_used": outcome.gas_used}
    )


async def _fresh_view(
    services: Services,
    contract: str,
    method: str,
    args: bytes,
    sender: bytes,
    height: int | None,
    min_height: int | None,
) -> ViewOutcome:
    """The executor learns of a seal a moment after the validator: it is asked again until it has `min_height`."""
    deadline = asyncio.get_running_loop().time() + services.settings.min_height_wait_s
    while True:
        outcome = await services.executor.view(contract, method, args, sender, height)
        if height is not None or min_height is None or outcome.height >= min_height:
            return outcome
        if asyncio.get_running_loop().time() >= deadline:
            raise Problem(
                "height_not_reached",
                f"min_height is {min_height}, the executor serves height {outcome.height}; try again",
                height=outcome.height,
            )
        await asyncio.sleep(POLL_S)


def view_problem(contract: str, method: str, outcome: ViewOutcome) -> Problem:
    """Why a view has no value."""
    if outcome.code in _MISSING:
        return Problem(_MISSING[outcome.code], outcome.message or f"{contract}.{method} does not exist")
    code = "bad_arguments" if outcome.code == "bad_arguments" else "view_failed"
    return Problem(
        code,
        outcome.message or f"{contract}.{method} ended with {outcome.code}",
        contract_code=outcome.code,
        line=outcome.line,
        gas_used=outcome.gas_used,
        height=outcome.height,
    )


def _check_height(services: Services, height: int | None) -> None:
    if height is not None and height > services.feed.height:
        raise Problem(
            "height_not_reached",
            f"height {height} is not sealed here yet, the highest is {services.feed.height}",
            sealed_height=services.feed.height,
        )


# ── state ─────────────────────────────────────────────────────────────────────────────────────────


def _add_state(router: APIRouter, services: Services) -> None:
    @router.get("/state/{contract}", tags=["contracts"], summary="The state variables that a contract declares")
    async def list_variables(contract: ContractName) -> Response:
        found = await find_contract(services, contract)
        return services.answer({"contract": found.name, "variables": present.fields(found.state)})

    @router.get(
        "/state/{contract}/{path:path}",
        tags=["contracts"],
        summary="One state value, or its absence, with its proof",
    )
    async def get_state(
        request: Request,
        contract: ContractName,
        path: Annotated[str, Path(description="The variable, then one segment for each part of the key.")],  # noqa: ARG001 - documents the route; the raw path tells an escaped slash from a separator
        height: AtHeight = None,
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        declared, variable, answer = await look_up(services, contract, path_segments(request, "/v1/state"), height)
        return services.answer(
            {
                "contract": contract,
                "variable": variable,
                "type": declared,
                "key": answer.key.hex(),
                "present": answer.present,
                "value": present.value(answer.value) if answer.present else None,
                "encoded": answer.value.hex(),
                "proof": answer.proof.hex(),
                "state_root": answer.state_root.hex(),
                "height": answer.height,
            }
        )


async def look_up(
    services: Services, contract: str, path: list[str], height: int | None
) -> tuple[str, str, StateAnswer]:
    """The declared type of a variable, its name, and what stands at a path below it. Raises `Problem`."""
    _check_height(services, height)
    variable, *segments = path
    found = await find_contract(services, contract)
    declared = dict(found.state).get(variable)
    if declared is None:
        raise Problem(
            "unknown_variable",
            f"{contract} declares no {variable[:80]!r}; it has {', '.join(dict(found.state)) or 'none'}",
        )
    return (
        declared,
        variable,
        await services.executor.state(contract, encode_path(variable, declared, segments), height),
    )


def path_segments(request: Request, prefix: str) -> list[str]:
    """The segments after prefix and contract, each unquoted by itself: a key may hold an escaped slash."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    parts = raw.partition(b"?")[0].decode("ascii", "replace").split("/")
    return [unquote(part) for part in parts[prefix.count("/") + 2 :]]
