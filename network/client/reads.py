"""How a read is believed: because it is proven, because enough nodes say the same, or because one node says so.

    proven   a value, or its absence, with its proof up to a sealed header that the genesis vouches for
    quorum   the same answer, for the same height, from more nodes than can be faulty: at least one of them is correct
    local    one node's word

Flows, as in `network.client.core`, that hands itself in. Here nothing is decided about transactions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from ledger.quorum import faulty_power_max
from ledger.types import Genesis, Header
from network.client.answers import expect_success, may_retry, read_json, reason_of
from network.client.errors import NoQuorum, NotConfigured, ProofInvalid, Rejected, Unavailable
from network.client.messages import Answer, Ask, Pause, Reply, Step

if TYPE_CHECKING:
    from network.client.core import Core

T = TypeVar("T")
Flow = Generator[Step, Reply, T]
Json = dict[str, Any]

ReadMode = Literal["proven", "quorum", "local"]
PROVEN, QUORUM, LOCAL = MODES = get_args(ReadMode)
HEADER_PAUSE_S = 0.25


def mode_of(asked: str | None, default: str) -> str:
    """The mode of one read. Raises `ValueError` for what is none."""
    mode = asked or default
    if mode not in MODES:
        raise ValueError(f"{mode!r} is no read mode; there are {', '.join(MODES)}")
    return mode


def faulty_max(genesis: Genesis) -> int:
    """How many members may be faulty at most: f of 3f+1, and where powers differ, the many that are weakest."""
    allowed, count = faulty_power_max(genesis.validators.total_power), 0
    for power in sorted(genesis.validators.powers):
        allowed -= power
        if allowed < 0:
            break
        count += 1
    return count


# ── proven ────────────────────────────────────────────────────────────────────────────────────────


def proven(core: Core, ask: Callable[[], Flow[Json]], judge: Callable[[Json, Header], T], floor: int) -> Flow[T]:
    """What `judge` makes of an answer and the sealed header of its height; a node that lies is passed over.

    `judge` raises `ProofInvalid`. So does this, when every node's answer does not hold.
    """
    light = core.need_light("prove a read")
    last: ProofInvalid | None = None
    for _ in range(len(core.nodes)):
        answer = yield from ask()
        told_by = core.answered_by
        try:
            at = height_of(answer, floor)
            params = {"format": "light", "min_height": str(at)}
            block = yield from core.exchange(f"/v1/blocks/{at}", params=params)
            value_by, told_by = told_by, core.answered_by
            sealed = light.accept(block.body, at)
            told_by = value_by
            return judge(answer, sealed)
        except ProofInvalid as error:
            core.nodes.failed(told_by)  # or it might be asked for the same again, and no other
            last = error
    assert last is not None
    raise last


def height_of(answer: Json, floor: int) -> int:
    """The height that an answer is about. Raises `ProofInvalid` where it is below what was asked for."""
    at = answer.get("height")
    if type(at) is not int or at < floor:
        raise ProofInvalid(f"the node answered for height {at}, asked was {floor} at least")
    return at


# ── quorum ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Said:
    """What one node said: an answer, or a refusal that may be an answer like any (there is no such contract)."""

    url: str
    answer: Json | None
    refusal: Rejected | None
    content: str


def agreed(
    core: Core, path: str, params: dict[str, str], content: Callable[[Json], Any], *, height: int | None, floor: int
) -> Flow[Json]:
    """The answer that enough nodes give alike for one height; `content` is what must be the same of it.

    Without a height it is the highest that enough nodes have. Raises `NoQuorum`, `Rejected` when so many refuse alike.
    """
    enough = faulty_max(core.need_genesis("know how many nodes may be faulty")) + 1
    if len(core.nodes.urls) < enough:
        raise NotConfigured(f"a quorum read needs {enough} nodes to ask, this client has {len(core.nodes.urls)}")
    asked = dict(params, min_height=str(floor))
    if height is not None:
        asked["height"] = str(height)
    said = yield from _ask_all(core, path, asked, content, floor)
    found = _most(said, enough)
    if found is None and height is None:
        heights = sorted((each.answer["height"] for each in said if each.answer is not None), reverse=True)
        if len(heights) >= enough:
            at = heights[enough - 1]
            said = yield from _ask_all(core, path, {**params, "height": str(at), "min_height": str(at)}, content, at)
            found = _most(said, enough)
    if found is None:
        raise NoQuorum(enough, {each.url: each.content for each in said})
    if found.refusal is not None:
        raise found.refusal
    assert found.answer is not None
    return found.answer


def _ask_all(
    core: Core, path: str, params: dict[str, str], content: Callable[[Json], Any], floor: int
) -> Flow[list[_Said]]:
    said: list[_Said] = []
    for url in core.nodes.urls:
        reply = yield Ask(url, path, params=params, timeout_s=core.read_timeout_s)
        said.append(_said(url, reply, content, floor))
    return said


def _said(url: str, reply: Reply, content: Callable[[Json], Any], floor: int) -> _Said:
    if not isinstance(reply, Answer) or may_retry(reply):
        return _Said(url, None, None, reason_of(reply))
    try:
        answer = read_json(expect_success(reply))
        at = height_of(answer, floor)
        return _Said(url, answer, None, json.dumps([at, content(answer)], sort_keys=True))
    except Rejected as refusal:
        return _Said(url, None, refusal, refusal.code)
    except (ProofInvalid, KeyError, TypeError) as error:
        return _Said(url, None, None, f"no answer: {error}")


def _most(said: Sequence[_Said], enough: int) -> _Said | None:
    """What enough of them said alike."""
    counts = Counter(each.content for each in said if each.answer is not None or each.refusal is not None)
    return next((each for each in said if counts[each.content] >= enough), None)


# ── headers ───────────────────────────────────────────────────────────────────────────────────────


def header_at(core: Core, height: int | None, floor: int) -> Flow[Header]:
    """A sealed header, verified: of a height, or of the highest that some node has. A lying node is passed over."""
    light = core.need_light("verify a header")
    last: ProofInvalid | None = None
    for _ in range(len(core.nodes)):
        try:
            at = height
            if at is None:
                status = yield from core.get("/v1/status", min_height=floor or None)
                at = status.get("sealed_height")
                if type(at) is not int or at < 0:
                    raise ProofInvalid(f"a node's status has the sealed height {at!r}")
            block = yield from core.exchange(f"/v1/blocks/{at}", params={"format": "light", "min_height": str(at)})
            return light.accept(block.body, at)
        except ProofInvalid as error:
            last = error
    assert last is not None
    raise last


def next_header(core: Core, after: int) -> Flow[Header]:
    """The highest sealed header as soon as one above `after` can be had; those between are skipped."""
    while True:
        try:
            found = yield from header_at(core, None, 0)
            if found.height > after:
                return found
        except (Unavailable, Rejected):
            pass  # a follower waits for a network that is down
        yield Pause(HEADER_PAUSE_S)
