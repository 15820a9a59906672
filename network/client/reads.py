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

from ledger.blocks import GENESIS_HEIGHT
from ledger.quorum import faulty_power_max
from ledger.types import BlockRecord, Header, ValidatorSet
from network.client.answers import expect_success, may_retry, read_json, reason_of
from network.client.checks import read_light
from network.client.errors import (
    ClientError,
    NoQuorum,
    NotConfigured,
    ProofInvalid,
    Rejected,
    Unavailable,
    UnknownEpoch,
)
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


def faulty_max(validators: ValidatorSet) -> int:
    """How many members may be faulty at most: f of 3f+1, and where powers differ, the many that are weakest."""
    allowed, count = faulty_power_max(validators.total_power), 0
    for power in sorted(validators.powers):
        allowed -= power
        if allowed < 0:
            break
        count += 1
    return count


# ── proven ────────────────────────────────────────────────────────────────────────────────────────


def first_that_holds(core: Core, ask: Callable[[], Flow[T]]) -> Flow[T]:
    """What the first node gives whose answer holds: `ask` asks one, and raises `ProofInvalid` for one that lies.

    Such a one is passed over. So is one that cannot prove what it says; the last of them is what is raised.
    """
    last: ClientError | None = None
    for _ in range(len(core.nodes)):
        core.answered_by = ""
        try:
            return (yield from ask())
        except (ProofInvalid, Unproven) as error:
            if core.answered_by:
                core.nodes.failed(core.answered_by)  # or it might be asked for the same again, and no other
            last = error.__cause__ if isinstance(error.__cause__, ClientError) else error
    assert last is not None
    raise last


class Unproven(ClientError):
    """The node that answered has not what would prove it; the cause says why."""


def sealed(core: Core, at: int) -> Flow[Header]:
    """The header that proves what a node has just answered for a height, from that node; before any answer, from any.

    Raises `ProofInvalid`, and for `first_that_holds` that the node cannot prove what it said.
    """
    known = core.need_light("verify a header").known(at)
    if known is not None:
        return known
    node = core.answered_by
    try:
        block = yield from core.exchange(
            f"/v1/blocks/{at}", params={"format": "light", "min_height": str(at)}, only=node
        )
    except (Rejected, Unavailable) as error:
        if not node:
            raise
        core.answered_by = node
        raise Unproven from error
    record = read_light(block.body)
    if record.height != at:
        raise ProofInvalid(f"the node gave block {record.height}, asked was {at}")
    yield from judge(core, record)
    return record.block.header


def judge(core: Core, record: BlockRecord) -> Flow[None]:
    """That a block is sealed by the validators of its epoch, whom the light client learns of where it must."""
    light, node = core.need_light("verify a block"), core.answered_by
    try:
        if record.height == GENESIS_HEIGHT and light.known(GENESIS_HEIGHT + 1) is None:
            yield from _first_block(core, node)
        light.judge(record)
    except UnknownEpoch:
        yield from _learn(core, record.height)
        light.judge(record)
    finally:
        core.answered_by = node


def _first_block(core: Core, node: str) -> Flow[None]:
    """Block 1 vouches for block 0. There may be none yet, or none any more."""
    try:
        block = yield from core.exchange(f"/v1/blocks/{GENESIS_HEIGHT + 1}", params={"format": "light"}, only=node)
    except (Rejected, Unavailable):
        return
    record = read_light(block.body)
    if record.height != GENESIS_HEIGHT + 1:
        raise ProofInvalid(f"the node gave block {record.height}, asked was {GENESIS_HEIGHT + 1}")
    yield from judge(core, record)


def _learn(core: Core, height: int) -> Flow[None]:
    """How the validators changed up to a block, from the node that gave it, or from any that still has all of it."""
    light, first = core.need_light("follow the validators"), core.answered_by
    params = {"min_height": str(height)} | ({} if light.begin is None else {"header": light.begin.hex()})
    faults = []
    for node in dict.fromkeys((first, *core.nodes.urls)):
        try:
            file = yield from core.exchange(f"/v1/proofs/header/{height}", params=params, only=node)
            light.learn(file.body, light.begin)
        except (Rejected, Unavailable, ProofInvalid) as error:
            faults.append(f"{node}: {error}")
        else:
            core.keep_trust()
            return
    raise ProofInvalid(f"no node shows how the validators changed up to block {height}: {'; '.join(faults[-4:])}")


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
    enough = faulty_max(core.need_light("know how many nodes may be faulty").validators()) + 1
    if len(core.nodes.urls) < enough:
        raise NotConfigured(f"a quorum read needs {enough} nodes to ask, this client has {len(core.nodes.urls)}")
    asked = dict(params, min_height=str(floor))
    if height is not None:
        asked["height"] = str(height)
    said = yield from _ask_all(core, path, asked, content, floor)
    found = _most(said, enough)
    heights = sorted((each.answer["height"] for each in said if each.answer is not None), reverse=True)
    newest = heights[enough - 1] if height is None and len(heights) >= enough else -1
    if found is None or (found.answer is not None and found.answer["height"] < newest):
        again = dict(params, height=str(newest), min_height=str(newest))
        later = [] if newest < 0 else (yield from _ask_all(core, path, again, content, newest))
        better = _most(later, enough)
        if found is None or (better is not None and better.answer is not None):
            found, said = better, later or said
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
    core.need_light("verify a header")

    def ask() -> Flow[Header]:
        if height is not None:
            return (yield from sealed(core, height))
        status = yield from core.get("/v1/status", min_height=floor or None)
        at = status.get("sealed_height")
        if type(at) is not int or at < 0:
            raise ProofInvalid(f"a node's status has the sealed height {at!r}")
        return (yield from sealed(core, at))

    return (yield from first_that_holds(core, ask))


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
