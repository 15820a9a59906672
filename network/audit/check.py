"""Whether what is stored at one height holds, as far as no execution is needed: the quick question, a plain yes or no.

Hashes, links, roots, encodings, the seal, every transaction's form and signature, and the indexes. Heights are
independent of each other here but for the header below, so any process may ask about any of them. Where the answer is
no, `network.audit.naming` finds out why.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger import codec, hashing
from ledger.blocks import check_block, check_follows, check_record
from ledger.errors import InvalidProof, LedgerError
from ledger.seals import verify_sealed_header
from ledger.store import sender_of
from ledger.transactions import find_fault, identify, read_transaction, signature_holds
from ledger.types import Block, BlockRecord, Genesis, Header, Seal
from network.audit.rows import (
    CHECK_BYTES,
    ENTRY,
    HASH_BYTES,
    INVERTED_MAX,
    NUMBER,
    PLACE,
    BlockRows,
    read_header,
    read_rest,
    row_check,
)


class Checked(NamedTuple):
    """What was found in a range of heights; `suspect` is the first that does not hold.

    `entries` are the rows that the index of senders has for them."""

    transactions: int
    entries: int
    suspect: int | None


class Checker:
    """Judges heights of one store."""

    def __init__(self, rows: BlockRows, genesis: Genesis, sealed_height: int) -> None:
        self._rows = rows
        self._genesis = genesis
        self.height = rows.height
        self.sealed_height = sealed_height

    def check_range(self, first: int, last: int) -> Checked:
        """The heights from `first` to `last`."""
        transactions, entries, parent = 0, 0, None
        for height in range(first, last + 1):
            try:
                if parent is None and height > 0:
                    parent = self._header_below(height)
                record = self.check(height, parent)
            except LedgerError:
                return Checked(transactions, entries, height)
            transactions += len(record.bodies)
            entries += len({sender_of(raw) for raw in record.bodies})
            parent = record.block.header
        return Checked(transactions, entries, None)

    def check(self, height: int, parent: Header | None) -> BlockRecord:
        """The record at a height. Raises `LedgerError` for whatever does not hold."""
        rows = self._rows.at(height)
        if rows.header is None or rows.rest is None:
            raise InvalidProof("a row is missing")
        header_hash = rows.header[:HASH_BYTES]
        header, rest = read_header(rows.header), read_rest(rows.rest)
        _require(hashing.header_hash(rows.header[HASH_BYTES:]) == header_hash, "the header's hash")
        _require(header.height == height, "the header's height")
        _require(row_check(height, rows.rest[CHECK_BYTES:]) == rows.rest[:CHECK_BYTES], "the row's check")
        _require(self._rows.get(b"n" + header_hash) == NUMBER.pack(height), "the index of hashes")
        block = Block(header, rest.batch, rest.transactions)
        seal = None if rows.seal is None else codec.decode(rows.seal, Seal)
        record = BlockRecord(block, rest.bodies, rest.receipts, seal)
        if parent is None:
            check_block(block)
        else:
            check_record(record)
            check_follows(parent, block)
        self._check_constants(header)
        self._check_batch(record)
        self._check_transactions(record)
        self._check_seal(record)
        return record

    def _header_below(self, height: int) -> Header:
        row = self._rows.get(b"h" + NUMBER.pack(height - 1))
        if row is None:
            raise InvalidProof("the header below is missing")
        return read_header(row)

    def _check_constants(self, header: Header) -> None:
        validators = self._genesis.validators.hash
        _require(header.chain_id == self._genesis.chain_id, "the chain id")
        _require(header.epoch == 0, "the epoch")
        _require(header.validators_hash == header.next_validators_hash == validators, "the validators")

    def _check_batch(self, record: BlockRecord) -> None:
        batch, parameters = record.block.batch, self._genesis.parameters
        _require(len(batch.hashes) <= parameters.block_transactions_max, "the size of the batch")
        _require(len(set(batch.hashes)) == len(batch.hashes), "the batch names a transaction twice")
        _require(batch.proposer < len(self._genesis.validators.members), "the proposer")
        _require(sum(map(len, record.bodies)) <= parameters.block_bytes_max, "the bytes of the block")

    def _check_transactions(self, record: BlockRecord) -> None:
        chain_id, parameters, height = self._genesis.chain_id, self._genesis.parameters, record.height
        sent: dict[bytes, list[bytes]] = {}
        for index, raw in enumerate(record.bodies):
            transaction = read_transaction(raw)
            fault = find_fault(raw, chain_id=chain_id, parameters=parameters, height=height, transaction=transaction)
            _require(fault is None, "a transaction's form")
            _require(signature_holds(raw, transaction), "a transaction's signature")
            name = identify(raw)[0]
            _require(self._rows.get(b"t" + name) == PLACE.pack(height, index), "the index of transactions")
            sent.setdefault(sender_of(raw), []).append(ENTRY.pack(index, name))
        inverted = NUMBER.pack(INVERTED_MAX - height)
        for sender, entries in sent.items():
            _require(self._rows.get(b"a" + sender + inverted) == b"".join(entries), "the index of senders")

    def _check_seal(self, record: BlockRecord) -> None:
        if record.height == 0:
            _require(record.seal is None, "the genesis has a seal")
        elif record.seal is not None:
            verify_sealed_header(record.block.header, record.seal, self._genesis.validators)
        else:
            _require(record.height > self.sealed_height, "the seal is missing")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InvalidProof(what)
