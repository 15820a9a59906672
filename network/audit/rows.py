"""The rows of a block store as they lie there, and where in them what begins. Its own reader, by its own words.

    h height -> hash, header                      s height -> seal
    b height -> check, [batch, transactions, bodies, receipts]
    n hash -> height    t transaction id -> height, index    a sender, inverted height -> (index, transaction id)...

`ledger.store` writes them. An audit that read through the store would find what the store looks for.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger import codec, hashing
from ledger.database import open_database, speaking_of
from ledger.errors import LedgerError, StorageError
from ledger.store import FORMAT_VERSION
from ledger.types import Batch, Hash, Header, Struct

CHECK_BYTES = 16
HASH_BYTES = 32
INVERTED_MAX = (1 << 64) - 1
NUMBER = struct.Struct(">Q")
PLACE = struct.Struct(">QI")
ENTRY = struct.Struct(">I32s")


class Rest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a row b holds behind its check."""

    batch: Batch
    transactions: tuple[Hash, ...]
    bodies: tuple[bytes, ...]
    receipts: tuple[bytes, ...]


class HeightRows(NamedTuple):
    """The three rows of one height; None where there is none."""

    height: int
    header: bytes | None
    rest: bytes | None
    seal: bytes | None


class BlockRows:
    """A block store's rows. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open a shadow. Raises `DataLost` when LevelDB cannot, `StorageError` for another format."""
        self.path = path
        self._database = open_database(path, bloom_filter_bits=10)
        version = self.get(b"v")
        if version not in (None, NUMBER.pack(FORMAT_VERSION)):
            self._database.close()
            found = int.from_bytes(version or b"", "big")
            raise StorageError(f"the block store has format {found}, this program reads format {FORMAT_VERSION}")
        self.height = self._highest(b"h")
        self.sealed_height = self._highest(b"s")

    def get(self, key: bytes) -> bytes | None:
        """One row. Raises `DataLost` where LevelDB's own checksum fails."""
        with speaking_of(self.path):
            found: bytes | None = self._database.get(key, verify_checksums=True)
        return found

    def at(self, height: int) -> HeightRows:
        """The rows of a height. Raises `DataLost`."""
        key = NUMBER.pack(height)
        return HeightRows(height, self.get(b"h" + key), self.get(b"b" + key), self.get(b"s" + key))

    def header_at(self, height: int) -> Header | None:
        """The header at a height, None where there is none that agrees with its own hash."""
        try:
            row = self.get(b"h" + NUMBER.pack(height)) if height >= 0 else None
            if row is not None and hashing.header_hash(row[HASH_BYTES:]) == row[:HASH_BYTES]:
                return read_header(row)
        except LedgerError:
            pass
        return None

    def keys(self, kind: bytes) -> list[bytes]:
        """All keys of a kind, in order. Raises `DataLost`."""
        with speaking_of(self.path):
            return list(self._database.iterator(prefix=kind, include_value=False, verify_checksums=True))

    def counts(self) -> dict[int, int]:
        """How many rows there are, by the first byte of their key. Raises `DataLost`."""
        found: dict[int, int] = {}
        with speaking_of(self.path):
            for key in self._database.iterator(include_value=False, verify_checksums=True, fill_cache=False):
                found[key[0]] = found.get(key[0], 0) + 1
        return found

    def close(self) -> None:
        """Release the files."""
        self._database.close()

    def _highest(self, kind: bytes) -> int:
        with speaking_of(self.path):
            stop = bytes([kind[0] + 1])
            for key in self._database.iterator(start=kind, stop=stop, reverse=True, include_value=False):
                if len(key) == 1 + NUMBER.size:
                    return int(NUMBER.unpack(key[1:])[0])
        return -1


def row_check(height: int, data: bytes) -> bytes:
    """The check that stands before a row b's data."""
    return hashlib.sha256(NUMBER.pack(height) + data).digest()[:CHECK_BYTES]


def read_rest(row: bytes) -> Rest:
    """What a row b holds; its check is not looked at. Raises `CodecError` unless canonical."""
    return codec.decode(row[CHECK_BYTES:], Rest)


def read_header(row: bytes) -> Header:
    """The header in a row h; the hash before it is not looked at. Raises `CodecError` unless canonical."""
    return codec.decode(row[HASH_BYTES:], Header)


def field_at(value: Struct, offset: int) -> str:
    """The name of the field of an encoded struct in which an offset lies; empty for the frame around them."""
    fields = value.__struct_fields__
    end = len(value.encode()) - sum(len(codec.encode(getattr(value, name))) for name in fields)
    if offset < end:
        return ""
    for name in fields:
        end += len(codec.encode(getattr(value, name)))
        if offset < end:
            return name
    return ""


class Positions:
    """Where the parts of a canonical row b begin, counted from the start of the row."""

    def __init__(self, rest: Rest) -> None:
        self.batch = CHECK_BYTES + 1
        self.transactions = self.batch + len(codec.encode(rest.batch))
        self._bodies = self.transactions + len(codec.encode(rest.transactions))
        self._receipts = self._bodies + len(codec.encode(rest.bodies))
        self._rest = rest

    def transaction(self, index: int) -> int:
        """Where the hash of an executed transaction begins."""
        return self.transactions + _array_head(len(self._rest.transactions)) + index * (2 + HASH_BYTES) + 2

    def body(self, index: int) -> int:
        """Where a transaction's own bytes begin."""
        return _item(self._bodies, self._rest.bodies, index)

    def receipt(self, index: int) -> int:
        """Where a receipt's own bytes begin."""
        return _item(self._receipts, self._rest.receipts, index)


def _item(start: int, items: tuple[bytes, ...], index: int) -> int:
    before = sum(_bin_head(len(item)) + len(item) for item in items[:index])
    return start + _array_head(len(items)) + before + _bin_head(len(items[index]))


def _array_head(count: int) -> int:
    return 1 if count < 16 else 3 if count < 1 << 16 else 5


def _bin_head(size: int) -> int:
    return 2 if size < 1 << 8 else 3 if size < 1 << 16 else 5
