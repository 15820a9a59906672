"""The gateway put together: the guard at the door, the hot route, the probes, the explorer, FastAPI for all the rest.

Every request passes the guard (host name, counting, problems as answers, security headers), then goes to one of the
four. It assembles and decides nothing else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from network.api import ExecutorApi, ValidatorApi
from network.gateway import metrics, probes, submit
from network.gateway.events import EventStreams
from network.gateway.express import Express
from network.gateway.faults import problem_of
from network.gateway.feed import SealedFeed
from network.gateway.http import COMMON_HEADERS, Disconnected, Message, Receive, Scope, Send, answer_problem, check_host
from network.gateway.intake import Intake
from network.gateway.pages import Pages, send_page
from network.gateway.problems import Problem
from network.gateway.services import Room, Services
from network.gateway.settings import GatewaySettings
from network.gateway.waiters import Waiters

if TYPE_CHECKING:
    from fastapi import FastAPI


class Gateway:
    """The ASGI application. Its lifespan follows the validator's sealed blocks."""

    def __init__(self, validator: ValidatorApi, executor: ExecutorApi, settings: GatewaySettings) -> None:
        waiters = Waiters(settings.waiters_max)
        feed = SealedFeed(validator, settings, waiters)
        self.settings = settings
        self.services = Services(
            validator,
            executor,
            settings,
            waiters,
            feed,
            EventStreams(feed, validator, settings),
            Room(settings.views_at_once_max, settings.views_waiting_max),
        )
        self._intake = Intake(validator, executor, settings)
        self._submit = submit.SubmitRoute(self._intake, feed, waiters, settings)
        self.express = Express(self._submit, settings, lambda status: self._count("POST", status))
        self._pages = Pages() if settings.explorer else None
        self._requests: Counter[tuple[str, int]] = Counter()
        self._api: FastAPI | None = None
        self._api_is_made = asyncio.Lock()

    async def api(self) -> FastAPI:
        """All the other routes, imported and made with the first request for any of them.

        In a thread: that takes a quarter of a second, or one on a busy machine, and what is not FastAPI's goes on.
        """
        async with self._api_is_made:
            if self._api is None:
                self._api = await asyncio.to_thread(self._make_api)
        return self._api

    def _make_api(self) -> FastAPI:
        from network.gateway.rest import make_api

        return make_api(self.services, self.metrics_page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Begin to follow the validator."""
        await self.services.feed.start()

    async def stop(self) -> None:
        """End everything that runs."""
        await self.services.feed.stop()

    def begin_stop(self) -> None:
        """Let streams end and waits be answered; called before the server closes its connections."""
        self.services.feed.begin_stop()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    # ── requests ──────────────────────────────────────────────────────────────────────────────────

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = _Guard(send)
        try:
            check_host(scope, self.settings)
            await self._dispatch(scope, receive, guarded)
        except Disconnected:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must be answered
            await guarded.refuse(problem_of(error, f"{scope['method']} {scope['path']}"))
        self._count(scope["method"], guarded.status)

    def _count(self, method: str, status: int) -> None:
        self._requests[method if method in METHODS else "other", status] += 1

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == submit.PATH:
            if method != "POST":
                raise Problem("method_not_allowed", f"{method} is not available at {submit.PATH}, POST is")
            await self._submit(scope, receive, send)
            return
        if path in probes.PATHS and method == "GET":
            await probes.send_probe(self.services, path, send)
            return
        if self._pages is not None and method in ("GET", "HEAD"):
            page = self._pages.find(path) or self._pages.missing(scope)
            if page is not None:
                await send_page(scope, send, page)
                return
        api = self._api or await self.api()
        await api(scope, receive, send)

    def metrics_page(self) -> str:
        """The text of /metrics."""
        page = metrics.Page()
        feed = self.services.feed
        metrics.add_node(page, feed.status, reachable=feed.reachable)
        metrics.add_requests(page, self._requests, self._submit.outcomes)
        page.gauge("gateway_sealed_height", "Highest sealed block that the gateway has seen.", max(feed.height, 0))
        page.gauge("gateway_waiters", "Requests that wait for a seal.", self.services.waiters.count)
        page.gauge("gateway_streams", "Open event streams.", self.services.streams.open)
        page.gauge("gateway_intake_transactions", "Transactions without an admission yet.", self._intake.held)
        page.gauge("gateway_views", "Views that run or wait.", self.services.views.inside)
        page.add(
            "gateway_handovers_total", "counter", "Hand-overs to the validator.", [({}, self._intake.submit_calls)]
        )
        page.add("gateway_handed_over_total", "counter", "Transactions handed over.", [({}, self._intake.submitted)])
        return page.text()


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Guard:
    """`send`, with the common headers added, the status noted, and a way to refuse while nothing was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            names = {name for name, _ in message["headers"]}
            missing = [item for item in COMMON_HEADERS if item[0] not in names]
            if missing:
                message["headers"] = [*message["headers"], *missing]
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer is under way already."""
        if not self.status:
            await answer_problem(self, problem)


def create_app(validator: ValidatorApi, executor: ExecutorApi, settings: GatewaySettings | None = None) -> Gateway:
    """The gateway as an ASGI application, for `network.gateway.serve` or any other ASGI server."""
    return Gateway(validator, executor, settings or GatewaySettings())
