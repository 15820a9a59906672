"""What the flows of `network.client.core` and their performers say to each other, and what users get. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from network.json_values import from_json

# ── between flows and performers ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Ask:
    """Perform one HTTP request. `url` is the node's base URL, `path` begins with a slash."""

    url: str
    path: str
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = ""
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Let this time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A request without an answer. `sent` is False where the node certainly got nothing of it."""

    reason: str
    sent: bool


Step = Ask | Pause
Reply = Answer | NoAnswer | None

# ── for users ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. `kind` is "block" or "contract"; `cursor` resumes after it.

    `proven` says that this client checked it against the genesis; otherwise one node said so.
    """

    kind: str
    cursor: str
    data: dict[str, Any]
    proven: bool = False


@dataclass(frozen=True, slots=True)
class StateValue:
    """A contract's state value at a sealed height. `present` tells an absent value from a stored None.

    `mode` says why it is to be believed: "proven", "quorum" (so many nodes say the same), or "local" (one node does).
    """

    value: Any
    present: bool
    height: int
    proven: bool
    mode: str = "local"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transaction as far as it got. Pending: only `transaction_id` and `state` mean something.

    `proven` says that this client checked the receipt against the genesis; otherwise one node said so.
    """

    transaction_id: bytes
    state: str
    height: int = 0
    index: int = 0
    block_hash: bytes = b""
    code: str = ""
    message: str = ""
    contract: str = ""
    line: int = 0
    gas_used: int = 0
    results: tuple[Any, ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    proven: bool = False

    @property
    def sealed(self) -> bool:
        """Whether the outcome stands for ever."""
        return self.state == "sealed"

    @property
    def ok(self) -> bool:
        """Whether it is sealed and succeeded."""
        return self.code == "ok"

    @property
    def value(self) -> Any:
        """What the (first) call returned."""
        return self.results[0] if self.results else None


def read_outcome(answer: Mapping[str, Any]) -> Outcome:
    """A submission's answer as an `Outcome`. Raises `ValueError` or `KeyError` where it is none."""
    name = bytes.fromhex(answer["id"])
    if answer["state"] != "sealed":
        return Outcome(name, "pending")
    receipt = answer["receipt"]
    return Outcome(
        name,
        "sealed",
        int(answer["height"]),
        int(answer["index"]),
        bytes.fromhex(answer["block_hash"]),
        str(receipt["code"]),
        str(receipt["message"]),
        str(receipt["contract"]),
        int(receipt["line"]),
        int(receipt["gas_used"]),
        tuple(from_json(item) for item in receipt["results"]),
        tuple({**event, "fields": from_json(event["fields"])} for event in receipt["events"]),
    )
