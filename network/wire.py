"""What validators send each other: one byte that names the kind, then the payload.

Consensus messages are opaque here: they are signed and judged by the replica. Everything else moves bodies and
sealed blocks; none of it is trusted, all of it is checked against hashes, signatures or seals by its receiver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from ledger.snapshot_tree import CHUNKS_MAX
from ledger.types import HEIGHT_MAX, BlockRecord, Hash, Header, Seal, Struct

CONSENSUS = 0x01

BODIES_PER_REQUEST_MAX = 4096
BLOCKS_PER_REQUEST_MAX = 64
BLOCKS_ANSWER_BYTES_MAX = 8 << 20
GOSSIP_BYTES_MAX = 1 << 20
GOSSIP_TRANSACTIONS_MAX = 4096
SNAPSHOTS_OFFERED_MAX = 16

_OTHER = 0x02


class Transactions(Struct, frozen=True, tag=1):
    """Gossip: canonical signed transactions that the sender accepted from its own clients."""

    raws: Annotated[tuple[bytes, ...], Meta(max_length=GOSSIP_TRANSACTIONS_MAX)]


class BodiesRequest(Struct, frozen=True, tag=2):
    """Asks for the transactions with these hashes. -> `Bodies` with those that the peer holds."""

    hashes: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=BODIES_PER_REQUEST_MAX)]


class Bodies(Struct, frozen=True, tag=3):
    """Answers `BodiesRequest`; what the peer does not hold is left out."""

    raws: Annotated[tuple[bytes, ...], Meta(max_length=BODIES_PER_REQUEST_MAX)]


class BlocksRequest(Struct, frozen=True, tag=4):
    """Asks for sealed blocks, ascending. -> `Blocks`"""

    first: Annotated[int, Meta(ge=1, le=HEIGHT_MAX)]
    last: Annotated[int, Meta(ge=1, le=HEIGHT_MAX)]


class Blocks(Struct, frozen=True, tag=5):
    """Answers `BlocksRequest` for the same `first` with at most `BLOCKS_PER_REQUEST_MAX` records; empty for "none"."""

    first: int
    records: Annotated[tuple[BlockRecord, ...], Meta(max_length=BLOCKS_PER_REQUEST_MAX)]


class SnapshotsRequest(Struct, frozen=True, tag=6):
    """Asks which snapshots a peer keeps. -> `Snapshots`"""


class SnapshotOffer(Struct, frozen=True):
    """A snapshot: the sealed header of its height, and the name of its contents (`ledger.snapshot.Contents.hash`)."""

    header: Header
    seal: Seal
    name: Hash


class Snapshots(Struct, frozen=True, tag=7):
    """Answers `SnapshotsRequest`, the newest first."""

    offers: Annotated[tuple[SnapshotOffer, ...], Meta(max_length=SNAPSHOTS_OFFERED_MAX)]


class ContentsRequest(Struct, frozen=True, tag=8):
    """Asks what is in a snapshot. -> `ContentsAnswer`"""

    name: Hash


class ContentsAnswer(Struct, frozen=True, tag=9):
    """Answers `ContentsRequest`: the encoded `ledger.snapshot.Contents`; empty for "not here"."""

    name: Hash
    data: bytes


class ChunkRequest(Struct, frozen=True, tag=10):
    """Asks for one chunk of a snapshot's state. -> `Chunk`"""

    name: Hash
    index: Annotated[int, Meta(ge=0, le=CHUNKS_MAX)]


class Chunk(Struct, frozen=True, tag=11):
    """Answers `ChunkRequest`; empty for "not here"."""

    name: Hash
    index: int
    data: bytes


PeerMessage = (
    Transactions
    | BodiesRequest
    | Bodies
    | BlocksRequest
    | Blocks
    | SnapshotsRequest
    | Snapshots
    | ContentsRequest
    | ContentsAnswer
    | ChunkRequest
    | Chunk
)

_decoder = msgspec.msgpack.Decoder(PeerMessage)
_encoder = msgspec.msgpack.Encoder()


def consensus_frame(data: bytes) -> bytes:
    """The frame that carries a consensus message."""
    return bytes((CONSENSUS,)) + data


def peer_frame(message: PeerMessage) -> bytes:
    """The frame that carries any other message."""
    return bytes((_OTHER,)) + _encoder.encode(message)


def read_peer_frame(frame: bytes) -> PeerMessage | None:
    """The message in a frame that is not a consensus message; None for what no correct peer sends."""
    if not frame or frame[0] != _OTHER:
        return None
    try:
        message: PeerMessage = _decoder.decode(memoryview(frame)[1:])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return message


def split_gossip(raws: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Cut a run of transactions into messages of at most `GOSSIP_BYTES_MAX` and `GOSSIP_TRANSACTIONS_MAX`."""
    parts: list[tuple[bytes, ...]] = []
    part: list[bytes] = []
    size = 0
    for raw in raws:
        if part and (size + len(raw) > GOSSIP_BYTES_MAX or len(part) == GOSSIP_TRANSACTIONS_MAX):
            parts.append(tuple(part))
            part, size = [], 0
        part.append(raw)
        size += len(raw)
    if part:
        parts.append(tuple(part))
    return parts
