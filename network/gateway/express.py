"""The express lane: a POST of one signed transaction with nothing unusual about it, answered without ASGI in between.

ASGI costs a scope, an event, a body in messages and an answer in messages, and FastAPI is not even in it: more than
the transaction itself (measured: half of the time of a request). The lane takes a request by its head, and only the
plainest: what has to be refused, negotiated, or read in parts goes the usual way, which alone knows those rules.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from network.gateway.faults import problem_of
from network.gateway.http import Answer, Headers, host_is_allowed, problem_answer
from network.gateway.problems import Problem
from network.gateway.settings import GatewaySettings
from network.gateway.submissions import RAW_TYPES
from network.gateway.submit import PATH, SubmitRoute, Wait

BODY_BYTES_MAX = 8 << 10  # one a connection at most: so little that the budget of bodies need not count it
URLS_REMEMBERED_MAX = 64
USUAL_WAY = frozenset({b"expect", b"transfer-encoding", b"upgrade"})


class Express:
    """Judges heads, and answers bodies. `count` is told the status of each answer."""

    def __init__(self, route: SubmitRoute, settings: GatewaySettings, count: Callable[[int], None]) -> None:
        self._route = route
        self._settings = settings
        self._count = count
        self._wait_of = lru_cache(URLS_REMEMBERED_MAX)(self._read_url)

    def admit(self, url: bytes, headers: Headers) -> Wait | None:
        """How the client of this POST waits, None for whatever goes the usual way. Header names are lower case."""
        hosts = types = lengths = 0
        for name, value in headers:
            if name == b"host":
                hosts += 1 if host_is_allowed(value, self._settings) else 2
            elif name == b"content-type":
                types += 1 if value in RAW_TYPES else 2
            elif name == b"content-length":
                lengths += 1 if value.isdigit() and len(value) < 6 and 0 < int(value) <= BODY_BYTES_MAX else 2
            elif name in USUAL_WAY:
                return None
        return self._wait_of(url) if hosts == types == lengths == 1 else None

    def _read_url(self, url: bytes) -> Wait | None:
        path, _, query = url.partition(b"?")
        if path != PATH_BYTES or b"#" in query:
            return None
        try:
            return self._route.read_wait(query)
        except Problem:
            return None

    async def answer(self, raw: bytes, wait: Wait) -> Answer:
        """The whole answer, whatever happens."""
        try:
            answer = await self._route.submit_one(raw, wait)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must be answered
            answer = problem_answer(problem_of(error, f"POST {PATH}"))
        self._count(answer.status)
        return answer


PATH_BYTES = PATH.encode()
