"""What is wrong with a row of transactions whose header is right: batch, names, bodies, or the check before them.

The parts vouch for each other: the header for the batch and for the names, a name for its body. Receipts are for
execution to judge. So the row's own check is looked at last: when it alone is wrong, its own bytes are.
"""

from __future__ import annotations

import re

import msgspec

from ledger import codec, crypto, hashing
from ledger.blocks import is_subsequence, receipts_root, transactions_root
from ledger.errors import CodecError
from ledger.hashing import ZERO_HASH
from ledger.transactions import find_fault, read_transaction, signature_item
from ledger.types import Batch, Genesis, Header
from network.audit.findings import Finding, Wrong, first_difference, mending_byte, shown
from network.audit.rows import CHECK_BYTES, HeightRows, Positions, Rest, field_at, read_rest, row_check

_BYTE = re.compile(r"\(byte (\d+)\)")


def find_wrong_rest(genesis: Genesis, found: HeightRows, header: Header) -> Rest:
    """The row's content. Raises `Wrong` unless it is what the header names, receipts excepted."""
    assert found.rest is not None
    row = found.rest
    rest = _read(row, found.height)
    _find_wrong_batch(genesis, header, rest)
    _find_wrong_name(header, rest)
    for index, raw in enumerate(rest.bodies):
        _find_wrong_body(genesis, header, rest, index, raw)
    # What the receipts should be, execution knows; a row that is else whole has a wrong check, or wrong receipts.
    offset = first_difference(row[:CHECK_BYTES], row_check(found.height, row[CHECK_BYTES:]))
    if offset is not None and receipts_root(rest.receipts) == header.receipts_root:
        because = "the check before the row is not that of the row, which holds"
        raise Wrong(Finding(f"row b {header.height}", "the row's check", because, header.height, offset, exact=True))
    return rest


def _read(row: bytes, height: int) -> Rest:
    record = f"row b {height}"
    try:
        return read_rest(row)
    except CodecError as error:
        data, check = row[CHECK_BYTES:], row[:CHECK_BYTES]
        mended = mending_byte(data, lambda changed: row_check(height, changed) == check)
        if mended is not None:
            part = _part_at(codec.decode(mended[1], Rest), CHECK_BYTES + mended[0])
            raise Wrong(Finding(record, part, str(error), height, CHECK_BYTES + mended[0], exact=True)) from None
        named = _BYTE.search(str(error))
        offset = CHECK_BYTES + (int(named[1]) if named else 0)
        raise Wrong(Finding(record, "the row's encoding", str(error), height, offset)) from None


def _part_at(rest: Rest, offset: int) -> str:
    """What lies at an offset of a row, for its encoding alone is wrong there."""
    at = Positions(rest)
    begins = [(at.batch, "the batch"), (at.transactions, "the names of the transactions")]
    begins += [(at.body(index), f"transaction {index}") for index in range(len(rest.bodies))]
    begins += [(at.receipt(index), f"receipt {index}") for index in range(len(rest.receipts))]
    before = [name for begin, name in begins if begin <= offset]
    return f"{before[-1]}, its encoding" if before else "the row's encoding"


def _find_wrong_batch(genesis: Genesis, header: Header, rest: Rest) -> None:
    batch, height, record = rest.batch, header.height, f"row b {header.height}"
    begins = Positions(rest).batch
    encoded = codec.encode(batch)
    if height and batch.digest != header.batch_digest:
        for right in _likely_batches(header, rest):
            if right.digest == header.batch_digest:
                offset = first_difference(encoded, codec.encode(right))
                assert offset is not None
                part = f"the batch's {_field(right, offset)}"
                because = "with the header's words the batch has the digest that the header names"
                raise Wrong(Finding(record, part, because, height, begins + offset, exact=True))
        mended = mending_byte(encoded, lambda changed: hashing.batch_digest(changed) == header.batch_digest)
        because = f"its digest is {batch.digest.hex()}, the header names {header.batch_digest.hex()}"
        part = "the batch" if mended is None else f"the batch's {_field(codec.decode(mended[1], Batch), mended[0])}"
        raise Wrong(
            Finding(record, part, because, height, begins + (mended[0] if mended else 0), exact=mended is not None)
        )
    words = {"height": height, "epoch": header.epoch, "view": header.batch_view, "proposer": header.batch_proposer}
    words["since"] = header.batch_since
    if not height:
        words["time_ms"] = header.time_ms
    for name, right_word in words.items():
        if getattr(batch, name) != right_word:
            because = f"{shown(getattr(batch, name))}, the header says {right_word}"
            offset = first_difference(encoded, codec.encode(msgspec.structs.replace(batch, **{name: right_word})))
            assert offset is not None
            raise Wrong(Finding(record, f"the batch's {name}", because, height, begins + offset, exact=True))
    parameters = genesis.parameters
    if len(batch.hashes) > parameters.block_transactions_max or len(set(batch.hashes)) != len(batch.hashes):
        because = f"it names {len(batch.hashes)} transactions, {len(set(batch.hashes))} of them different"
        raise Wrong(Finding(record, "the batch's hashes", because, height, begins))
    if not height and header.batch_digest != ZERO_HASH:
        raise Wrong(Finding("row h 0", "the header's batch_digest", "genesis has no batch", 0))


def _likely_batches(header: Header, rest: Rest) -> list[Batch]:
    """What the batch may have been: its words as the header has them, its names as the bodies give them."""
    batch = msgspec.structs.replace(
        rest.batch,
        epoch=header.epoch,
        height=header.height,
        view=header.batch_view,
        proposer=header.batch_proposer,
        since=header.batch_since,
    )
    named = tuple(hashing.transaction_hash(raw) for raw in rest.bodies)
    return [
        msgspec.structs.replace(batch, hashes=hashes, time_ms=time_ms)
        for hashes in (batch.hashes, rest.transactions, named)
        for time_ms in (batch.time_ms, header.time_ms)
    ]


def _field(batch: Batch, offset: int) -> str:
    return field_at(batch, offset) or "encoding"


def _find_wrong_name(header: Header, rest: Rest) -> None:
    height, record, at = header.height, f"row b {header.height}", Positions(rest)
    count = header.transaction_count
    for what, found in (("names", rest.transactions), ("transactions", rest.bodies), ("receipts", rest.receipts)):
        if len(found) != count:
            because = f"there are {len(found)}, the header says {count}"
            raise Wrong(Finding(record, f"the number of {what}", because, height, CHECK_BYTES))
    if transactions_root(rest.transactions) != header.transactions_root:
        right = tuple(hashing.transaction_hash(raw) for raw in rest.bodies)
        if transactions_root(right) == header.transactions_root:
            index = next(i for i, name in enumerate(rest.transactions) if name != right[i])
            offset = first_difference(rest.transactions[index], right[index])
            assert offset is not None
            because = f"found {rest.transactions[index].hex()}, its bytes have {right[index].hex()}"
            place = at.transaction(index) + offset
            raise Wrong(Finding(record, f"the name of transaction {index}", because, height, place, exact=True))
        strange = [i for i, name in enumerate(rest.transactions) if name not in rest.batch.hashes]
        because = "the names do not have the root that the header names"
        part = f"the name of transaction {strange[0]}" if strange else "the names of the transactions"
        place = at.transaction(strange[0]) if strange else at.transactions
        raise Wrong(Finding(record, part, because, height, place))
    if not is_subsequence(rest.transactions, rest.batch.hashes):
        because = "they are not in the batch, in its order"
        raise Wrong(Finding(record, "the names of the transactions", because, height, at.transactions))


def _find_wrong_body(genesis: Genesis, header: Header, rest: Rest, index: int, raw: bytes) -> None:
    height, record, begins = header.height, f"row b {header.height}", Positions(rest).body(index)
    name = rest.transactions[index]
    if hashing.transaction_hash(raw) != name:
        mended = mending_byte(raw, lambda changed: hashing.transaction_hash(changed) == name)
        because = f"its hash is {hashing.transaction_hash(raw).hex()}, the block names {name.hex()}"
        part = f"transaction {index}"
        raise Wrong(
            Finding(record, part, because, height, begins + (mended[0] if mended else 0), exact=mended is not None)
        )
    try:
        transaction = read_transaction(raw)
    except CodecError as error:
        raise Wrong(Finding(record, f"transaction {index}", str(error), height, begins)) from None
    fault = find_fault(
        raw, chain_id=genesis.chain_id, parameters=genesis.parameters, height=height, transaction=transaction
    )
    if fault is not None:
        raise Wrong(Finding(record, f"transaction {index}", f"{fault.code}: {fault.message}", height, begins))
    key, message, signature = signature_item(raw, transaction)
    if not crypto.verify(key, message, signature):
        mended = mending_byte(signature, lambda changed: crypto.verify(key, message, changed))
        begins += len(raw) - len(signature) + (mended[0] if mended else 0)
        because = "it is not the sender's over this body on this chain"
        part = f"the signature of transaction {index}"
        raise Wrong(Finding(record, part, because, height, begins, exact=mended is not None))
