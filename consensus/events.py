"""What a replica may be told: the inputs of `Replica.step`, frozen. Nothing here decides anything.

Every event carries `now_ms`, the node's clock when it happened: a replica owns no clock. Two time-scales never
mix: proposals are judged by it and timers are not (a timer is set by a delay and fires by name).
"""

from __future__ import annotations

import msgspec

from ledger.types import Batch, Header, Seal


class Start(msgspec.Struct, frozen=True):
    """The first event of a replica's life, exactly once: it takes up what its journal holds.

    `token`, from 1 to 2**62, is drawn at random for each start: what peers answer counts only if it echoes the token,
    and nothing is signed before a quorum did (P6.6). 0 asks nobody, for a replica that is played without its peers.
    """

    now_ms: int
    token: int = 0


class Received(msgspec.Struct, frozen=True):
    """A raw consensus message, from any link: its sender is whoever signed it, never who handed it over."""

    data: bytes
    now_ms: int


class TimerFired(msgspec.Struct, frozen=True):
    """The timer of that name has run out. One that was cancelled or replaced is ignored."""

    name: str
    now_ms: int


class RequestsWaiting(msgspec.Struct, frozen=True):
    """The pool of requests went from empty to not empty, or back."""

    waiting: bool
    now_ms: int


class RequestPassedOver(msgspec.Struct, frozen=True):
    """A request waits that the present primary passed over, batch after batch with room (see `overlooked`)."""

    now_ms: int


class BatchReady(msgspec.Struct, frozen=True):
    """The answer to `RequestBatch`: hashes (at least one) of transactions whose bodies the node holds durably."""

    height: int
    view: int
    hashes: tuple[bytes, ...]
    time_ms: int
    now_ms: int


class BodiesReady(msgspec.Struct, frozen=True):
    """Every body of the batch of that digest is durable here, and valid at its height."""

    digest: bytes
    now_ms: int


class BodiesRefused(msgspec.Struct, frozen=True):
    """A body of the batch of that digest is invalid at its height: no PREPARE for it, ever."""

    digest: bytes
    reason: str
    now_ms: int


class Executed(msgspec.Struct, frozen=True):
    """A delivered batch was executed, and its header stored: this is the header's hash."""

    height: int
    header_hash: bytes
    now_ms: int


class BlockFetched(msgspec.Struct, frozen=True):
    """A sealed block that `Fetch` asked for. The driver holds its bodies durably; the replica judges the rest."""

    header: Header
    batch: Batch
    seal: Seal
    now_ms: int


class FetchFailed(msgspec.Struct, frozen=True):
    """That member did not deliver what `Fetch` asked for, or something else."""

    member: int
    now_ms: int


Event = (
    Start
    | Received
    | TimerFired
    | RequestsWaiting
    | RequestPassedOver
    | BatchReady
    | BodiesReady
    | BodiesRefused
    | Executed
    | BlockFetched
    | FetchFailed
)
