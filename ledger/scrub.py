"""Reads a stored block again, as if it had come from a stranger, and says what is wrong with it and who can mend it.

A disk may keep a row as it was put and give another back years later, and what nobody reads nobody misses. So each
height is held against its own hashes, its quorum's signatures, the block below, and every row that finds it. Knows no
pace and no peer; reads only, from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from ledger.blocks import GENESIS_HEIGHT, check_record
from ledger.errors import DataLost, InvalidProof
from ledger.seals import verify_sealed_header
from ledger.store import BlockStore
from ledger.types import BlockRecord, Genesis, Header

ROW_BYTES = 512  # about what a block takes beside its transactions and receipts

Mend = Literal["itself", "peers", "nobody"]
"""Who has what is right: the block's own record (the rows that find it follow from that), the others, or nobody."""


@dataclass(frozen=True)
class Fault:
    """One thing that does not hold. `text` is a sentence about the block."""

    height: int
    text: str
    mend: Mend


@dataclass(frozen=True)
class Checked:
    """One height, read again."""

    bytes_read: int
    fault: Fault | None


def check_height(store: BlockStore, genesis: Genesis, height: int) -> Checked:
    """Read one height that is sealed (or genesis). Never raises for what a disk may have done."""
    try:
        record = store.record(height)
        if record is None:
            raise DataLost(f"block {height} is missing from {store.path}")
        _check_whole(record, height, genesis)
    except (DataLost, InvalidProof, msgspec.MsgspecError) as error:
        return Checked(ROW_BYTES, Fault(height, f"block {height}: {error}", "peers"))
    bytes_read = ROW_BYTES + sum(map(len, record.bodies)) + sum(map(len, record.receipts))
    return Checked(bytes_read, _find_fault(store, genesis, record))


def _check_whole(record: BlockRecord, height: int, genesis: Genesis) -> None:
    """That the record is of this height and chain, belongs together, and a quorum sealed it. Raises `InvalidProof`."""
    header = record.block.header
    if header.height != height:
        raise InvalidProof(f"block {header.height} stands in its place")
    if header.chain_id != genesis.chain_id:
        raise InvalidProof("it belongs to another chain")
    check_record(record)
    if height == GENESIS_HEIGHT:
        return
    if record.seal is None:
        raise InvalidProof("it was sealed, and its seal is missing")
    verify_sealed_header(header, record.seal, genesis.validators)


def _find_fault(store: BlockStore, genesis: Genesis, record: BlockRecord) -> Fault | None:
    """What is wrong around a record that is whole."""
    height = record.height
    try:
        wrong = store.find_wrong_row(record)
    except DataLost as error:
        wrong = str(error)
    if wrong:
        return Fault(height, f"block {height}: {wrong}", "itself")
    if _contradicts(store, genesis, record.block.header):
        text = (
            f"block {height} names {record.block.header.previous_hash.hex()} as the one below, and another one is "
            f"stored there; a quorum sealed both"
        )
        return Fault(height, text, "nobody")
    return None


def _contradicts(store: BlockStore, genesis: Genesis, header: Header) -> bool:
    """Whether the block below is another than this one follows, and as good. A damaged one is a fault of its own."""
    below = header.height - 1
    if below < GENESIS_HEIGHT or (below > GENESIS_HEIGHT and below < store.first_height):
        return False
    try:
        record = store.record(below)
        if record is None or record.block.header.hash == header.previous_hash:
            return False
        _check_whole(record, below, genesis)
    except (DataLost, InvalidProof, msgspec.MsgspecError):
        return False
    return True
