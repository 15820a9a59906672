"""Routes about the node itself: status, health, metrics, and the stream of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from network import present
from network.api import NodeUnavailable
from network.gateway import metrics, probes
from network.gateway.events import read_filter, start_after
from network.gateway.parameters import MinHeight
from network.gateway.problems import Problem
from network.gateway.services import HEIGHT_HEADER, Services


def node_routes(services: Services, metrics_page: Callable[[], str]) -> APIRouter:
    """The router. `metrics_page` gives the text of /metrics."""
    router = APIRouter()
    _add_status(router, services)
    _add_evidence(router, services)
    _add_health(router, services, metrics_page)
    _add_events(router, services)
    return router


def _add_status(router: APIRouter, services: Services) -> None:
    @router.get("/v1/status", tags=["node"], summary="How this node stands: heights, view, peers, mempool")
    async def get_status(min_height: MinHeight = None) -> Response:
        await services.reach(min_height)
        status = await services.validator.status()
        shown = present.status(status)
        shown["parameters"] = present.parameters((await services.genesis()).parameters)
        try:
            shown["executor"] = present.executor_status(await services.executor.status())
        except NodeUnavailable as error:
            shown["executor"] = {"unavailable": str(error)}
        return services.answer(shown)


def _add_evidence(router: APIRouter, services: Services) -> None:
    @router.get("/v1/evidence", tags=["node"], summary="Members that this node saw sign two different messages")
    async def get_evidence() -> Response:
        found = await services.validator.evidence()
        return services.answer({"evidence": [present.evidence(each) for each in found]})

    @router.get("/v1/evidence/{file}", tags=["node"], summary="One proof of it, as `quorate verify` checks it offline")
    async def get_evidence_file(file: str) -> Response:
        data = await services.validator.evidence_file(file)
        if data is None:
            raise Problem("not_found", f"no evidence is called {file[:200]!r} here; /v1/evidence lists what there is")
        headers = {"content-disposition": f'attachment; filename="{file}"'}
        return Response(data, headers=headers, media_type="application/json")


def _add_health(router: APIRouter, services: Services, metrics_page: Callable[[], str]) -> None:
    @router.get(probes.LIVES, tags=["node"], summary="Whether the gateway lives (says nothing about the validator)")
    async def healthz() -> Response:
        return services.answer(await probes.probe(services, probes.LIVES))

    @router.get(probes.SERVES, tags=["node"], summary="Whether this node can serve: 200, or 503 with the reason")
    async def readyz() -> Response:
        return services.answer(await probes.probe(services, probes.SERVES))

    @router.get("/metrics", tags=["node"], summary="Counters and gauges in Prometheus' text format")
    async def get_metrics() -> Response:
        return Response(metrics_page(), media_type=metrics.CONTENT_TYPE)


def _add_events(router: APIRouter, services: Services) -> None:
    @router.get("/v1/events", tags=["events"], summary="Sealed blocks and contract events, as server-sent events")
    async def get_events(
        start: Annotated[
            str, Query(alias="from", description="Begin at this height; without it, with the next block.")
        ] = "",
        types: Annotated[str, Query(description='"block", "contract", or both with a comma.')] = "",
        contract: Annotated[str, Query(description="Only events of this contract.")] = "",
        event: Annotated[str, Query(description="Only events of this name.")] = "",
        last_event_id: Annotated[str, Header(description="The id of the last event seen: resume after it.")] = "",
    ) -> Response:
        wanted = read_filter(types, contract, event)
        after = start_after(last_event_id, start, services.feed.height)
        services.streams.check_room()
        return StreamingResponse(
            services.streams.stream(wanted, after),
            media_type="text/event-stream",
            headers={HEIGHT_HEADER: str(services.feed.height), "x-accel-buffering": "no"},
        )
