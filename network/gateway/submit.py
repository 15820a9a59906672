"""`POST /v1/transactions`: the one hot route, plain ASGI in front of FastAPI (measured: a third of the time).

A request becomes offers, the offers go through the intake, and each admission becomes an answer: taken and pending,
sealed (when the client waits for that), or a problem. It decides nothing about a transaction: the validator does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs

import msgspec

from network import present
from network.api import Admission
from network.gateway.feed import SealedFeed
from network.gateway.http import (
    JSON,
    Answer,
    BodyBudget,
    Disconnected,
    Receive,
    Scope,
    Send,
    answer,
    header,
    problem_answer,
    read_body,
)
from network.gateway.intake import Intake, Offer
from network.gateway.problems import KINDS, Problem
from network.gateway.settings import GatewaySettings
from network.gateway.submissions import read_raw, read_submission
from network.gateway.waiters import Outcome, Place, Waiters

PATH = "/v1/transactions"
PENDING = "accepted; it is sealed in a coming block. Ask GET /v1/transactions/{id} for the outcome"
STILL_PENDING = (
    "accepted, but not sealed within the time. It is not lost: ask GET /v1/transactions/{id}?wait=sealed for the "
    "outcome, or send the same bytes again, which can never execute twice"
)
PENDING_ELSEWHERE = "known already and not sealed yet: the first submission stands. Ask GET /v1/transactions/{id}"

Json = dict[str, Any]
encode_json = msgspec.json.Encoder().encode


class Wait(msgspec.Struct, frozen=True):
    """Whether the client waits for the seal, and for how long."""

    sealed: bool
    timeout_s: float


class SubmitRoute:
    """The route, with what it counts."""

    def __init__(self, intake: Intake, feed: SealedFeed, waiters: Waiters, settings: GatewaySettings) -> None:
        self._intake = intake
        self._feed = feed
        self._waiters = waiters
        self._settings = settings
        self._budget = BodyBudget(max(settings.bodies_bytes_max, settings.body_bytes_max))
        self.outcomes: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises `Problem` where the request as a whole is refused."""
        wait = self.read_wait(scope["query_string"])
        try:
            body = await read_body(scope, receive, self._settings.body_bytes_max, self._budget)
        except Disconnected:
            return
        try:
            offers, many = read_submission(header(scope, b"content-type"), body, self._settings)
            if many:
                found = self._answer_many(await self._submit_many(offers, wait))
            else:
                found = answer_one(await self._submit(offers[0], wait))
        finally:
            self._budget.give_back(len(body))
        await answer(send, found.status, found.body, found.headers)

    def read_wait(self, query: bytes) -> Wait:
        """How long the client waits, by its query string. Raises `Problem`."""
        return read_wait(query, self._settings)

    async def submit_one(self, raw: bytes, wait: Wait) -> Answer:
        """The answer for one transaction as raw bytes. Raises as a call of the route does."""
        return answer_one(await self._submit(read_raw(raw), wait))

    # ── one transaction ───────────────────────────────────────────────────────────────────────────

    async def _submit(self, offer: Offer | Problem, wait: Wait) -> Json | Problem:
        result = offer if isinstance(offer, Problem) else await self._result_of(offer, wait)
        self._count(result)
        return result

    async def _result_of(self, offer: Offer, wait: Wait) -> Json | Problem:
        if not wait.sealed:
            (admission,) = await self._intake.offer((offer,))
            return self._result(admission, await self._known_outcome(admission), waited=False)
        with self._waiters.place(offer.transaction_id) as place:  # before the submission: no seal passes unseen
            (admission,) = await self._intake.offer((offer,))
            outcome = await self._known_outcome(admission)
            if outcome is None and admission.accepted:
                outcome = await place.outcome(wait.timeout_s)
        return self._result(admission, outcome, waited=True)

    async def _known_outcome(self, admission: Admission) -> Outcome | None:
        return await self._feed.outcome(admission.transaction_id) if admission.code == "known" else None

    # ── many ──────────────────────────────────────────────────────────────────────────────────────

    async def _submit_many(self, offers: Sequence[Offer | Problem], wait: Wait) -> list[Json | Problem]:
        """One result per offer, in order. Raises `NodeUnavailable`, and `Problem` when nothing was taken."""
        good = [offer for offer in offers if isinstance(offer, Offer)]
        with ExitStack() as room:
            places: list[Place | None] = [None] * len(good)
            if wait.sealed:
                places = [room.enter_context(self._waiters.place(offer.transaction_id)) for offer in good]
            admissions = await self._intake.offer(good) if good else []
            results = await self._results(admissions, places, wait)
        remaining = iter(results)
        merged = [offer if isinstance(offer, Problem) else next(remaining) for offer in offers]
        for result in merged:
            self._count(result)
        return merged

    async def _results(
        self, admissions: Sequence[Admission], places: Sequence[Place | None], wait: Wait
    ) -> list[Json | Problem]:
        early = [await self._known_outcome(admission) for admission in admissions]
        await self._wait(
            [
                place
                for admission, place, outcome in zip(admissions, places, early, strict=True)
                if place is not None and admission.accepted and outcome is None
            ],
            wait.timeout_s,
        )
        return [
            self._result(admission, outcome or (place.found if place else None), waited=wait.sealed)
            for admission, place, outcome in zip(admissions, places, early, strict=True)
        ]

    async def _wait(self, pending: list[Place], timeout_s: float) -> None:
        """One wake-up per block, not per transaction: the feed wakes after it told everybody."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not all(place.over for place in pending) and not self._feed.stopping:
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return
            await self._feed.sleep(remaining)

    # ── the answers ───────────────────────────────────────────────────────────────────────────────

    def _count(self, result: Json | Problem) -> None:
        self.outcomes[result.code if isinstance(result, Problem) else result["state"]] += 1

    def _result(self, admission: Admission, outcome: Outcome | None, *, waited: bool) -> Json | Problem:
        if not admission.accepted:
            code = admission.code if admission.code in KINDS else "malformed"
            return Problem(code, admission.message or KINDS[code].title, id=admission.transaction_id.hex())
        if outcome is not None:
            return sealed_result(admission.transaction_id, outcome, self._feed.height)
        if admission.code == "known":
            detail = STILL_PENDING if waited else PENDING_ELSEWHERE
        else:
            detail = STILL_PENDING if waited else PENDING
        return pending_result(admission.transaction_id, detail, self._feed.height)

    def _answer_many(self, results: list[Json | Problem]) -> Answer:
        shown = [
            result.as_json() if isinstance(result, Problem) else {"status": result_status(result), **result}
            for result in results
        ]
        status = 202 if any(item["status"] == 202 for item in shown) else 200
        return Answer(status, [JSON], encode_json({"sealed_height": self._feed.height, "results": shown}))


def answer_one(result: Json | Problem) -> Answer:
    """The answer for one transaction."""
    if isinstance(result, Problem):
        return problem_answer(result)
    location = (b"location", b"%s/%s" % (PATH.encode(), result["id"].encode()))
    return Answer(result_status(result), [JSON, location], encode_json(result))


def sealed_result(transaction_id: bytes, outcome: Outcome, sealed_height: int) -> Json:
    """The answer for a sealed transaction."""
    return {
        "id": transaction_id.hex(),
        "state": "sealed",
        "height": outcome.height,
        "index": outcome.index,
        "block_hash": outcome.block_hash.hex(),
        "receipt": present.receipt(outcome.receipt),
        "sealed_height": sealed_height,
    }


def pending_result(transaction_id: bytes, detail: str, sealed_height: int) -> Json:
    """The answer for a transaction that is on its way."""
    name = transaction_id.hex()
    return {"id": name, "state": "pending", "detail": detail.replace("{id}", name), "sealed_height": sealed_height}


def result_status(result: Json) -> int:
    """200 once the outcome is known, 202 before."""
    return 200 if result["state"] == "sealed" else 202


def read_wait(query: bytes, settings: GatewaySettings) -> Wait:
    """`wait` and `timeout_s` of a query string. Raises `Problem` for values that mean nothing."""
    if not query:
        return Wait(sealed=False, timeout_s=0.0)
    try:
        values = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=16)
    except ValueError:
        raise Problem("bad_parameter", "the query string cannot be read") from None
    unknown = set(values) - {"wait", "timeout_s"}
    if unknown:
        raise Problem("bad_parameter", f"unknown parameter {min(unknown)[:40]!r}; there are wait and timeout_s")
    return parse_wait(values.get("wait", [""])[-1], values.get("timeout_s", [""])[-1], settings)


def parse_wait(wait: str, timeout_s: str, settings: GatewaySettings) -> Wait:
    """The two parameters as text; an empty one means its default."""
    if wait not in ("", "sealed"):
        raise Problem("bad_parameter", f"wait is {wait[:40]!r}; leave it out, or write wait=sealed")
    limit = settings.wait_timeout_max_s
    try:
        seconds = float(timeout_s) if timeout_s else settings.wait_timeout_s
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= limit:
        raise Problem("bad_parameter", f"timeout_s is {timeout_s[:40]!r}; it is a number of seconds, 0 to {limit:g}")
    return Wait(sealed=wait == "sealed", timeout_s=seconds)
