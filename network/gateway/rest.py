"""Everything but the hot route, with FastAPI: the routes, and every error as a problem.

Apart from `app`, and imported with the first request that needs it: FastAPI takes as long to import as the rest of a
node does, and right after a power cut a validator has better use for the processor.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from network.api import NodeUnavailable
from network.gateway.faults import INTERNAL, problem_of
from network.gateway.openapi import describe
from network.gateway.problems import Problem
from network.gateway.routes_chain import chain_routes
from network.gateway.routes_contracts import contract_routes
from network.gateway.routes_node import node_routes
from network.gateway.routes_proofs import proof_routes
from network.gateway.services import Services
from network.ipc import RemoteError


def make_api(services: Services, metrics_page: Any) -> FastAPI:
    """FastAPI with every route but the hot one, and every error as a problem."""
    api = FastAPI(title="Quorate", docs_url=None, redoc_url=None, openapi_url="/openapi.json", redirect_slashes=False)
    api.include_router(chain_routes(services))
    api.include_router(contract_routes(services))
    api.include_router(proof_routes(services))
    api.include_router(node_routes(services, metrics_page))
    describe(api)

    @api.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        return problem_response(Problem("bad_parameter", validation_text(error)))

    @api.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        return problem_response(http_problem(request, error))

    @api.exception_handler(Problem)
    async def on_problem(_: Request, problem: Problem) -> Response:
        return problem_response(problem)

    @api.exception_handler(NodeUnavailable)
    @api.exception_handler(RemoteError)
    async def on_node(request: Request, error: Exception) -> Response:
        return problem_response(problem_of(error, request.url.path))

    @api.exception_handler(Exception)
    async def on_fault(_: Request, __: Exception) -> Response:
        return problem_response(INTERNAL)  # and it is raised again, for the log

    return api


def problem_response(problem: Problem) -> Response:
    """A problem as FastAPI sends it."""
    headers = {name.decode(): value.decode() for name, value in problem.headers()}
    return Response(problem.body(), problem.status, headers)


def validation_text(error: RequestValidationError) -> str:
    """What is wrong with which parameter, in one sentence each."""
    found = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0])
        found.append(f"{place} is {str(item.get('input'))[:80]!r}: {item['msg']}")
    return "; ".join(found)


def http_problem(request: Request, error: HTTPException) -> Problem:
    """What FastAPI's router refuses."""
    if error.status_code == 404:
        return Problem("not_found", f"{request.url.path[:200]} is no path of this API; /openapi.json lists them")
    if error.status_code == 405:
        return Problem("method_not_allowed", f"{request.method} is not available at {request.url.path[:200]}")
    return Problem("bad_request", str(error.detail))
