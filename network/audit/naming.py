"""Why a height does not hold: the slow question, asked once, of the first height that does not.

It goes through the rows in the order in which they vouch for each other and stops at the first part that is wrong:
the header, the seal, the batch, the transactions, the indexes, and at last what execution says.
"""

from __future__ import annotations

import msgspec

from ledger import codec, hashing
from ledger.blocks import genesis_record
from ledger.errors import CodecError, DataLost, InvalidProof, LedgerError
from ledger.seals import verify_sealed_header
from ledger.store import sender_of
from ledger.transactions import identify
from ledger.types import Genesis, Header, Receipt, Seal
from network.audit.findings import Finding, Wrong, first_difference, mending_byte, shown
from network.audit.naming_rest import find_wrong_rest
from network.audit.naming_seal import find_wrong_seal
from network.audit.replay import Expected, Replay
from network.audit.rows import (
    ENTRY,
    HASH_BYTES,
    INVERTED_MAX,
    NUMBER,
    PLACE,
    BlockRows,
    HeightRows,
    Positions,
    Rest,
    field_at,
    read_header,
    read_rest,
)


def name_the_fault(
    rows: BlockRows, genesis: Genesis, sealed_height: int, replay: Replay, height: int, parent: Header | None
) -> Finding:
    """The first thing that does not hold at a height, below which everything does."""
    try:
        found = _read(rows, height)
        header = _find_wrong_header(rows, genesis, found)
        _find_wrong_link(genesis, header, parent)
        find_wrong_seal(genesis, found, header, sealed_height)
        rest = find_wrong_rest(genesis, found, header)
        _find_wrong_index(rows, header, rest)
        compare(found, header, rest, replay.run(parent, rest))
    except Wrong as wrong:
        return wrong.finding
    except LedgerError as error:
        return Finding(f"block {height}", "the block", str(error), height)
    return Finding(f"block {height}", "the block", "it does not hold, and which part of it could not be told", height)


def compare(found: HeightRows, header: Header, rest: Rest, expected: Expected) -> None:
    """Hold a block against what execution gave. Raises `Wrong`."""
    height, at = found.height, Positions(rest)
    left_out = sorted(set(range(len(rest.bodies))) - set(expected.executed))
    if left_out and height:
        because = "execution passes it over: it ran in an earlier block, or did not fit this one"
        raise Wrong(Finding(f"row b {height}", f"transaction {left_out[0]}", because, height, at.body(left_out[0])))
    for index, (mine, right) in enumerate(zip(rest.receipts, expected.receipts, strict=True)):
        offset = first_difference(mine, right)
        if offset is not None:
            part = f"receipt {index}{_field_of_receipt(right, offset)}"
            because = "execution gives another receipt"
            raise Wrong(Finding(f"row b {height}", part, because, height, at.receipt(index) + offset, exact=True))
    offset = first_difference(header.encode(), expected.header.encode())
    if offset is not None:
        name = field_at(expected.header, offset)
        part = f"the state root after height {height}" if name == "state_root" else f"the header's {name}"
        because = f"{shown(getattr(header, name))}, execution gives {shown(getattr(expected.header, name))}"
        raise Wrong(Finding(f"row h {height}", part, because, height, HASH_BYTES + offset, exact=True))


def check_genesis(found: HeightRows, genesis: Genesis, expected: Expected) -> None:
    """Hold height 0 against the genesis file. Raises `Wrong`."""
    assert found.header is not None
    assert found.rest is not None
    header, rest = read_header(found.header), read_rest(found.rest)
    compare(found, header, rest, expected)
    right = genesis_record(genesis, expected.header.state_root).block.batch
    offset = first_difference(codec.encode(rest.batch), codec.encode(right))
    if offset is not None:
        begins = Positions(rest).batch
        raise Wrong(Finding("row b 0", "the batch", "genesis has another one", 0, begins + offset, exact=True))


# ── the header ────────────────────────────────────────────────────────────────────────────────────


def _read(rows: BlockRows, height: int) -> HeightRows:
    key, values = NUMBER.pack(height), []
    for kind, part in ((b"h", "the header"), (b"b", "the transactions"), (b"s", "the seal")):
        try:
            values.append(rows.get(kind + key))
        except DataLost as error:
            raise Wrong(Finding(f"row {kind.decode()} {height}", part, str(error), height)) from None
        if values[-1] is None and kind != b"s":
            raise Wrong(Finding(f"row {kind.decode()} {height}", part, "the row is missing", height))
    return HeightRows(height, *values)


def _find_wrong_header(rows: BlockRows, genesis: Genesis, found: HeightRows) -> Header:
    height, row = found.height, found.header
    assert row is not None
    name, data = row[:HASH_BYTES], row[HASH_BYTES:]
    actual, right = hashing.header_hash(data), _true_hash(rows, genesis, found)
    record = f"row h {height}"
    if actual != right:
        mended = mending_byte(data, lambda changed: hashing.header_hash(changed) == right)
        if mended is None:
            because = f"its hash is {actual.hex()}, and {right.hex()} is vouched for"
            raise Wrong(Finding(record, "the header", because, height, HASH_BYTES))
        offset, original = mended
        part = f"the header's {field_at(codec.decode(original, Header), offset) or 'encoding'}"
        because = f"found byte {data[offset]:02x}, with {original[offset]:02x} the header has the hash vouched for"
        raise Wrong(Finding(record, part, because, height, HASH_BYTES + offset, exact=True))
    place = first_difference(name, actual)
    if place is not None:
        because = f"found {name.hex()}, the header has {actual.hex()}"
        raise Wrong(Finding(record, "the header's hash", because, height, place, exact=True))
    try:
        header = read_header(row)
    except CodecError as error:
        raise Wrong(Finding(record, "the header's encoding", str(error), height, HASH_BYTES)) from None
    if header.height != height:
        because = f"it is the header of height {header.height}"
        raise Wrong(Finding(record, "the header's height", because, height, HASH_BYTES))
    return header


def _true_hash(rows: BlockRows, genesis: Genesis, found: HeightRows) -> bytes:
    """The hash that others vouch for: a whole seal, else the header above, else the row itself."""
    assert found.header is not None
    try:
        seal = codec.decode(found.seal or b"", Seal)
        seeming = _SeemingHeader(genesis, found.height, seal.header_hash)
        verify_sealed_header(seeming, seal, genesis.validators)  # type: ignore[arg-type]  # its five fields will do
    except LedgerError:
        pass
    else:
        return seal.header_hash
    try:
        above = rows.get(b"h" + NUMBER.pack(found.height + 1))
        if above is not None and hashing.header_hash(above[HASH_BYTES:]) == above[:HASH_BYTES]:
            return read_header(above).previous_hash
    except LedgerError:
        pass
    return found.header[:HASH_BYTES]


class _SeemingHeader:
    """As much of a header as a seal names: for a header whose own bytes are in doubt."""

    def __init__(self, genesis: Genesis, height: int, header_hash: bytes) -> None:
        self.validators_hash = genesis.validators.hash
        self.chain_id = genesis.chain_id
        self.epoch = 0
        self.height = height
        self.hash = header_hash


def _find_wrong_link(genesis: Genesis, header: Header, parent: Header | None) -> None:
    """What the header says of others, by itself."""
    validators = genesis.validators.hash
    right: dict[str, object] = {"chain_id": genesis.chain_id, "epoch": 0}
    right |= {"validators_hash": validators, "next_validators_hash": validators}
    if parent is not None:
        right["previous_hash"] = parent.hash
    for name in header.__struct_fields__:
        if name in right and getattr(header, name) != right[name]:
            offset = first_difference(header.encode(), msgspec.structs.replace(header, **{name: right[name]}).encode())
            assert offset is not None
            because = f"{shown(getattr(header, name))}, expected {shown(right[name])}"
            place = HASH_BYTES + offset
            raise Wrong(Finding(f"row h {header.height}", f"the header's {name}", because, header.height, place, True))


# ── the indexes, and receipts ─────────────────────────────────────────────────────────────────────


def _find_wrong_index(rows: BlockRows, header: Header, rest: Rest) -> None:
    height = header.height
    right = {b"n" + header.hash: NUMBER.pack(height)}
    sent: dict[bytes, list[bytes]] = {}
    for index, raw in enumerate(rest.bodies):
        name = identify(raw)[0]
        right[b"t" + name] = PLACE.pack(height, index)
        sent.setdefault(sender_of(raw), []).append(ENTRY.pack(index, name))
    right |= {b"a" + key + NUMBER.pack(INVERTED_MAX - height): b"".join(each) for key, each in sent.items()}
    names = {b"n": "the index of hashes", b"t": "the index of transactions", b"a": "the index of senders"}
    for key, value in right.items():
        found, record = rows.get(key), f"row {key[:1].decode()} {key[1:].hex()}"
        if found is None:
            raise Wrong(Finding(record, names[key[:1]], "the row is missing", height))
        offset = first_difference(found, value)
        if offset is not None:
            because = f"found {shown(found)}, expected {shown(value)}"
            raise Wrong(Finding(record, names[key[:1]], because, height, offset, exact=True))


def _field_of_receipt(right: bytes, offset: int) -> str:
    try:
        name = field_at(codec.decode(right, Receipt), offset)
    except InvalidProof:
        return ""
    return f", its {name}" if name else ""
