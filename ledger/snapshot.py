"""What a snapshot says of itself, and how that is held against a quorum's signatures. Knows no file and no peer.

A snapshot is the state after one sealed block, in chunks (`ledger.snapshot_tree`), and, in a backup, the last blocks up
to it. Its *contents* (header and chunks) are the same at every node, so they have a hash by which peers can be asked.
Nothing in it is believed for its own sake: the header is sealed by a quorum, the chunks' slots give the header's state
root, a chunk's entries give its slot; every block carries its seal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta

from ledger import codec, hashing
from ledger.blocks import GENESIS_HEIGHT, check_follows, check_record
from ledger.errors import CodecError, InvalidProof
from ledger.seals import verify_sealed_header
from ledger.snapshot_tree import StateChunk, join_root
from ledger.types import BlockRecord, Genesis, Header, Height, Seal, Struct

BLOCKS_CHUNK_BYTES = 1 << 20  # a chunk of blocks ends with the block that brings it there
BLOCKS_CHUNK_BYTES_MAX = 40 << 20  # with the largest block that a message between members can carry
RECORD_BYTES, NAME_BYTES, SIGNATURE_BYTES = 1024, 34, 72  # of a block, about, beside its transactions and receipts
CHECK_BYTES = 16

contents_hash = hashing.tagged("snapshot.contents")
_records_kind = tuple[BlockRecord, ...]


class Contents(Struct, frozen=True):
    """What is in a snapshot, by its proof: the same at every node that made one of this height."""

    header: Header
    chunks: tuple[StateChunk, ...]

    @property
    def hash(self) -> bytes:
        """What peers are asked for."""
        return contents_hash(self.encode())


class BlockChunk(Struct, frozen=True):
    """Blocks in a row, both ends included."""

    first: Height
    last: Height


class Piece(Struct, frozen=True):
    """How long a chunk is in this very file, and its check: SHA-256 cut to 128 bits. It tells damage from deceit."""

    size_bytes: Annotated[int, Meta(ge=1, le=1 << 31)]
    check: Annotated[bytes, Meta(min_length=CHECK_BYTES, max_length=CHECK_BYTES)]


class Manifest(Struct, frozen=True):
    """The whole description of a snapshot file: `pieces` are the chunks of state, then those of blocks, as they lie."""

    contents: Contents
    seal: Seal
    blocks: tuple[BlockChunk, ...]
    pieces: tuple[Piece, ...]

    @property
    def height(self) -> int:
        """The height of the state."""
        return self.contents.header.height

    @property
    def first_block(self) -> int | None:
        """The lowest block in it, None where it holds none."""
        return self.blocks[0].first if self.blocks else None


# ── what must hold ────────────────────────────────────────────────────────────────────────────────


def check_contents(contents: Contents, seal: Seal, genesis: Genesis) -> None:
    """That a quorum sealed this header and its state root covers these chunks. Raises `InvalidProof`."""
    header = contents.header
    if header.chain_id != genesis.chain_id:
        raise InvalidProof(f"it is of chain {header.chain_id.hex()}, the genesis makes {genesis.chain_id.hex()}")
    if header.height <= GENESIS_HEIGHT:
        raise InvalidProof("it is of height 0, which needs no snapshot")
    verify_sealed_header(header, seal, genesis.validators)
    root = join_root(contents.chunks)
    if root != header.state_root:
        raise InvalidProof(f"its chunks give state root {root.hex()}, the sealed header has {header.state_root.hex()}")


def check_manifest(manifest: Manifest, genesis: Genesis) -> None:
    """That all parts of a manifest belong together, and to this chain. Raises `InvalidProof`."""
    check_contents(manifest.contents, manifest.seal, genesis)
    expected = len(manifest.contents.chunks) + len(manifest.blocks)
    if len(manifest.pieces) != expected:
        raise InvalidProof(f"it lists {len(manifest.pieces)} pieces for {expected} chunks")
    next_height = manifest.first_block
    for chunk in manifest.blocks:
        if chunk.first != next_height or chunk.last < chunk.first:
            raise InvalidProof(f"its blocks {chunk.first} to {chunk.last} do not follow, expected {next_height} on")
        next_height = chunk.last + 1
    if manifest.blocks and manifest.blocks[-1].last != manifest.height:
        raise InvalidProof(f"its blocks end at {manifest.blocks[-1].last}, its state is of height {manifest.height}")


def pack_blocks(records: Iterable[BlockRecord]) -> Iterator[tuple[BlockChunk, bytes]]:
    """Records in a row as chunks of about `BLOCKS_CHUNK_BYTES`."""
    part: list[BlockRecord] = []
    size = 0
    for record in records:
        part.append(record)
        size += _bytes_of(record)
        if size >= BLOCKS_CHUNK_BYTES or len(part) == 1024:
            yield BlockChunk(part[0].height, part[-1].height), codec.encode(tuple(part))
            part, size = [], 0
    if part:
        yield BlockChunk(part[0].height, part[-1].height), codec.encode(tuple(part))


def _bytes_of(record: BlockRecord) -> int:
    names = len(record.block.transactions) + len(record.block.batch.hashes)
    signatures = 0 if record.seal is None else len(record.seal.signatures)
    around = RECORD_BYTES + NAME_BYTES * names + SIGNATURE_BYTES * signatures
    return around + sum(map(len, record.bodies)) + sum(map(len, record.receipts))


def read_blocks(chunk: BlockChunk, data: bytes, genesis: Genesis) -> tuple[BlockRecord, ...]:
    """The records in a chunk's bytes, each sealed by a quorum and whole. Raises `InvalidProof`."""
    try:
        records: tuple[BlockRecord, ...] = codec.decode(data, _records_kind)
    except CodecError as error:
        raise InvalidProof(f"blocks {chunk.first} to {chunk.last} are no blocks: {error}") from None
    if [record.height for record in records] != list(range(chunk.first, chunk.last + 1)):
        raise InvalidProof(f"other blocks than {chunk.first} to {chunk.last} stand in their place")
    previous: Header | None = None
    for record in records:
        check_sealed(record, genesis)
        if previous is not None:
            check_follows(previous, record.block)
        previous = record.block.header
    return records


def check_sealed(record: BlockRecord, genesis: Genesis) -> None:
    """That a record is whole, of this chain, and sealed by a quorum. Raises `InvalidProof`."""
    header = record.block.header
    if header.chain_id != genesis.chain_id:
        raise InvalidProof(f"block {header.height} belongs to another chain")
    if record.seal is None:
        raise InvalidProof(f"block {header.height} has no seal")
    try:
        check_record(record)
        verify_sealed_header(header, record.seal, genesis.validators)
    except InvalidProof as error:
        raise InvalidProof(f"block {header.height}: {error}") from None
