"""Rows that belong to no block: what nobody would ever read, or an index would wrongly show.

Every row that has to be there was looked up with its block. So it is enough to count; only where the count is too high
is each row asked where it belongs.
"""

from __future__ import annotations

from ledger import hashing
from ledger.store import sender_of
from ledger.types import body_bytes
from network.audit.findings import Finding, Wrong
from network.audit.rows import INVERTED_MAX, NUMBER, PLACE, BlockRows, read_rest

_KEY_BYTES = {b"h": 9, b"b": 9, b"s": 9, b"n": 33, b"t": 33, b"a": 41, b"v": 1}


def check_tail(rows: BlockRows, window: int) -> None:
    """No more blocks than a window are stored above the last seal. Raises `Wrong`."""
    sealed = max(0, rows.sealed_height)
    if rows.height > sealed + window:
        because = f"the store ends at {rows.height}, a window of {window} may be unsealed"
        raise Wrong(Finding(f"row s {sealed + 1}", "the seal", because, sealed + 1))


def find_strays(rows: BlockRows, transactions: int, entries: int) -> None:
    """`transactions` and `entries` are how many rows the indexes should have. Raises `Wrong`."""
    blocks = rows.height + 1
    right = {b"h": blocks, b"b": blocks, b"n": blocks, b"s": max(0, rows.sealed_height), b"t": transactions}
    right |= {b"a": entries, b"v": 1}
    counts = rows.counts()
    for kind in sorted(counts):
        letter = bytes([kind])
        if counts[kind] != right.get(letter, 0) and (letter not in right or counts[kind] > right[letter]):
            raise Wrong(_stray(rows, letter))


def _stray(rows: BlockRows, letter: bytes) -> Finding:
    for key in rows.keys(letter):
        if len(key) != _KEY_BYTES.get(letter) or not _belongs(rows, key):
            return Finding(f"row {letter.decode(errors='replace')} {key[1:].hex()}", "the row", "no block has it")
    return Finding(f"rows {letter.decode(errors='replace')}", "their number", "there are more than blocks have")


def _belongs(rows: BlockRows, key: bytes) -> bool:
    letter, rest = key[:1], key[1:]
    value = rows.get(key) or b""
    if letter in (b"h", b"b", b"s"):
        height = int(NUMBER.unpack(rest)[0])
        return (1 if letter == b"s" else 0) <= height <= rows.height
    if letter == b"n":
        header = rows.get(b"h" + value)
        return header is not None and header.startswith(rest)
    if letter == b"t":
        height, index = PLACE.unpack(value) if len(value) == PLACE.size else (rows.height + 1, 0)
        bodies = _bodies(rows, height)
        return bool(index < len(bodies) and hashing.transaction_id(body_bytes(bodies[index])) == rest)
    if letter == b"a":
        height = INVERTED_MAX - NUMBER.unpack(rest[-NUMBER.size :])[0]
        return rest[: -NUMBER.size] in {sender_of(raw) for raw in _bodies(rows, height)}
    return letter == b"v"


def _bodies(rows: BlockRows, height: int) -> tuple[bytes, ...]:
    row = rows.get(b"b" + NUMBER.pack(height)) if height <= rows.height else None
    return () if row is None else read_rest(row).bodies
