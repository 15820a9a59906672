"""What a replica asks for: the outputs of `Replica.step`, frozen. Nothing here decides anything.

The performer carries them out strictly in order. What follows a `Persist` in the list, or comes from a later
step, waits until that record is on the disk (fsync).
"""

from __future__ import annotations

import msgspec

from ledger.types import Batch, Seal


class Persist(msgspec.Struct, frozen=True):
    """Append this record to the vote journal and fsync it before doing anything that comes after."""

    record: bytes


class Send(msgspec.Struct, frozen=True):
    """Send a consensus message to one member. It may be lost."""

    member: int
    data: bytes


class Broadcast(msgspec.Struct, frozen=True):
    """Send a consensus message to every other member. It may be lost."""

    data: bytes


class SetTimer(msgspec.Struct, frozen=True):
    """Start the timer of that name, replacing one that runs."""

    name: str
    after_ms: int


class CancelTimer(msgspec.Struct, frozen=True):
    """Stop the timer of that name; none running is no error."""

    name: str


class RequestBatch(msgspec.Struct, frozen=True):
    """Answer with `BatchReady` as soon as transactions wait, at once if they do. At most one is outstanding."""

    height: int
    view: int


class CancelBatch(msgspec.Struct, frozen=True):
    """Take that `RequestBatch` back; an answer already under way is ignored."""

    height: int
    view: int


class FetchBodies(msgspec.Struct, frozen=True):
    """Hold every body of this batch: fetch what is missing from any of `sources` (members, asked in order and over
    again), check each transaction, write all durably, answer `BodiesReady` or `BodiesRefused`.
    """

    batch: Batch
    sources: tuple[int, ...]


class Deliver(msgspec.Struct, frozen=True):
    """This batch is final. In height order, each height once in a process's life: store, execute, answer `Executed`."""

    height: int
    batch: Batch
    digest: bytes


class Sealed(msgspec.Struct, frozen=True):
    """The executed header of that height has a quorum of signatures. In height order, each height once."""

    height: int
    header_hash: bytes
    seal: Seal


class Fetch(msgspec.Struct, frozen=True):
    """Ask that member for its sealed blocks `first` to `last`: each comes as `BlockFetched`, or else `FetchFailed`."""

    member: int
    first: int
    last: int


class Evidence(msgspec.Struct, frozen=True):
    """Two messages signed by one member of which a correct one signs at most one."""

    kind: str
    member: int
    first: bytes
    second: bytes


class Halt(msgspec.Struct, frozen=True):
    """The replica will never vote again: keep the node up for reads, show the diagnosis."""

    diagnosis: str


class ViewChanged(msgspec.Struct, frozen=True):
    """A view was entered. For the log and the metrics."""

    view: int
    primary: int


Action = (
    Persist
    | Send
    | Broadcast
    | SetTimer
    | CancelTimer
    | RequestBatch
    | CancelBatch
    | FetchBodies
    | Deliver
    | Sealed
    | Fetch
    | Evidence
    | Halt
    | ViewChanged
)
