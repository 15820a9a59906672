"""What nodes answer, read with suspicion: statuses, problems, outcomes. What has the wrong shape is `ProofInvalid`."""

from __future__ import annotations

import json
from typing import Any

from network.client.errors import ProofInvalid, Rejected, Unavailable
from network.client.messages import Answer, NoAnswer, Outcome, Reply, read_outcome

Json = dict[str, Any]

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


def may_retry(answer: Answer) -> bool:
    """Whether another node, or this one a moment later, may well answer otherwise."""
    return answer.status in RETRY_STATUSES or (answer.status == 409 and b"height_not_reached" in answer.body)


def is_gateway_error(reply: Reply) -> bool:
    """Answers after which the transaction may have been taken all the same."""
    return isinstance(reply, Answer) and reply.status in (500, 502, 504)


def reason_of(reply: Reply) -> str:
    """Why a request did not succeed, in a few words."""
    if isinstance(reply, NoAnswer):
        return reply.reason
    if isinstance(reply, Answer):
        return str(rejection(reply))
    return "no reply"


def rejection(answer: Answer) -> Rejected:
    """A problem as an exception."""
    try:
        problem = json.loads(answer.body)
        return Rejected(str(problem["code"]), str(problem["detail"]), answer.status, problem)
    except (ValueError, KeyError, TypeError, RecursionError):
        why = (
            f"HTTP status {answer.status}, and no problem that says why: this is no gateway of Quorate, or not it alone"
        )
        return Rejected("not_quorate", why, answer.status)


def refused_or_unavailable(reply: Reply, attempts: list[str]) -> Rejected | Unavailable:
    """When the time is over: a node that said "busy" refused, one that said nothing was not there."""
    if isinstance(reply, Answer) and reply.status in (429, 503):
        return rejection(reply)
    return Unavailable(attempts)


def expect_success(answer: Answer) -> Answer:
    """The answer, if it is one of success. Raises `Rejected`."""
    if answer.status in (200, 202):
        return answer
    raise rejection(answer)


def read_json(answer: Answer) -> Json:
    """The answer's JSON object. Raises `ProofInvalid` where it is none: this is no node of ours."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProofInvalid("a node's answer is not a JSON object")
    return found


def outcome_of(answer: Answer) -> Outcome:
    """The outcome in a submission's answer."""
    return outcome_in(read_json(answer))


def outcome_in(found: Json) -> Outcome:
    """The outcome in one result. Raises `ProofInvalid` where it has not the shape of one."""
    try:
        return read_outcome(found)
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ProofInvalid("a node's answer is not the outcome of a transaction") from None


def note_results(results: list[Outcome | Rejected], open_: list[int], answer: Json, *, wait: bool) -> list[int]:
    """Write one request's results to their places; the places that must be sent again."""
    found = answer.get("results")
    if not isinstance(found, list) or len(found) != len(open_):
        raise ProofInvalid("a node's answer has another number of results than transactions were sent")
    again = []
    for place, item in zip(open_, found, strict=True):
        if not isinstance(item, dict):
            raise ProofInvalid("a node's answer is not the outcome of a transaction")
        if "code" in item:
            results[place] = Rejected(str(item["code"]), str(item.get("detail", "")), item.get("status", 0), item)
            if item["code"] in ("busy", "too_many_requests", "node_unavailable"):
                again.append(place)
            continue
        results[place] = outcome = outcome_in(item)
        if wait and not outcome.sealed:
            again.append(place)
    return again
