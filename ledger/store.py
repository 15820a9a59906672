"""The block store: every block with its transactions, receipts and seal, found by height, hash, transaction and sender.

Knows heights and how to find things; not what a transaction does, nor whether a seal is one (`ledger.seals`).
A block is one atomic write batch. All reads verify LevelDB's checksums, each one of them (what one read put into the
cache unverified, the next would take from there), and a hash of our own that names the height, so a record that is
damaged, or is another's, is `DataLost` and never returned.

What is promised:
- after `put` and `seal` return, the block survives the death of the process, not a power cut: until `sync` returns,
  the vote journal has to be able to give it back (commit certificate, batch and bodies);
- after `sync` everything put before it survives a power cut, and `synced_height` says so in a second place
  (`ledger.marker`). Call it before a journal is rewritten;
- what is gone all the same is noticed when the store is opened, or when it is read: `lost_heights` are those that
  were stored once and are not there, or do not hold. The store is then usable up to `height`; the missing ones
  are put again, from the journal (above `synced_height`) or from peers;
- damage that a read meets is noted beside the store, so that the next start makes it anew (`ledger.salvage`).

A store that was begun from a snapshot has a gap: genesis, and then the blocks from `first_height` on. What lies in the
gap was never here, and is None like what lies above the tip.

Keys: h height -> hash, header · b height -> check, the rest · s height -> seal · n hash -> height ·
t transaction id -> height, index · a sender, inverted height -> (index, transaction id)... · f -> first height
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import plyvel

from ledger import hashing
from ledger.database import missing_files, open_database, speaking_of, sync_logs, translated
from ledger.errors import DataLost, DiskFull, StorageError
from ledger.files import NO_ROOM, replace
from ledger.marker import NOTHING, Mark, Marker
from ledger.types import Batch, Block, BlockRecord, Hash, Header, Seal, body_bytes

FORMAT_VERSION = 2
DELETES_PER_BATCH = 10_000
HOLE_LOOK_HEIGHTS = 100_000  # more than fit into the tables that LevelDB can lose without noticing it

_FORMAT_KEY: Final = b"v"
_FIRST_KEY: Final = b"f"
_HEIGHT = struct.Struct(">Q")
_PLACE = struct.Struct(">QI")  # height, index
_ENTRY = struct.Struct(">I32s")  # index, transaction id
_INVERTED_MAX: Final = (1 << 64) - 1
_CHECK_BYTES: Final = 16
_HASH_BYTES: Final = 32
# Where the sender stands in a canonical signed transaction: array of two, array of six, chain id, sender.
_SENDER_MARK: Final = slice(36, 38)
_SENDER: Final = slice(38, 70)
_BIN_32: Final = b"\xc4\x20"
_ROW_NAMES: Final = {
    b"h": "header",
    b"b": "list of transactions and receipts",
    b"n": "place in the index of hashes",
    b"s": "seal",
    b"t": "place in the index of transactions",
    b"a": "place in the index of senders",
}


class _Rest(msgspec.Struct, frozen=True, array_like=True):
    """A record without its header and seal, as stored."""

    batch: Batch
    transactions: tuple[Hash, ...]
    bodies: tuple[bytes, ...]
    receipts: tuple[bytes, ...]


_encoder = msgspec.msgpack.Encoder()
_rest_decoder = msgspec.msgpack.Decoder(_Rest)
_header_decoder = msgspec.msgpack.Decoder(Header)
_seal_decoder = msgspec.msgpack.Decoder(Seal)


class BlockStore:
    """An open block store. One writer; reads may come from any thread. After a failed write it refuses all others."""

    def __init__(self, path: Path | str) -> None:
        """Open or create `path/` (LevelDB) and `path.mark` beside it.

        Raises `DatabaseInUse`, `StorageError`, or `DataLost` when LevelDB itself cannot open it: then
        `BlockStore.set_aside(path)` makes room for a new one, to be filled from peers.
        """
        self.path = Path(path)
        self.height = -1  # the tip's, -1 while empty
        self.sealed_height = -1
        self.first_height = 1  # the lowest block above genesis that is, or will be, here
        self.lost_heights = range(0)
        self._tip: Header | None = None
        self._tip_hash = b""
        self.damage = ""  # the first damage that was met, also in `path.damage`: then `ledger.salvage` is due
        self.torn = False  # LevelDB itself met damage: rows put again lie above it, only a new store is rid of it
        self._whole = False  # opened, and what was lost at the end is known
        self._fault = ""
        self._marking = threading.Lock()
        try:
            self._database = open_database(self.path, bloom_filter_bits=10)
        except DataLost as error:
            raise DataLost(
                f"{error}. Move {self.path} away and leave {marker_path(self.path)}: the blocks are fetched from peers"
            ) from None
        try:
            with speaking_of(self.path):
                self._check_format()
                self.first_height = _HEIGHT.unpack(self._get(_FIRST_KEY) or _HEIGHT.pack(1))[0]
                self._marker = Marker(marker_path(self.path))
                self._find_tip(self._marker.mark or NOTHING)
            self._whole = True
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def set_aside(cls, path: Path | str) -> Path:
        """Rename a database that cannot be opened, keeping its marker, so that what was lost is still known.

        Returns the new name. The damaged files are evidence; they are nobody's to delete but the operator's.
        """
        path = Path(path)
        for number in range(1, 1000):
            target = path.with_name(f"{path.name}.damaged-{number}")
            if not target.exists():
                return path.rename(target)
        raise StorageError(f"there are already 999 damaged copies of {path}")

    # ── writing ───────────────────────────────────────────────────────────────────────────────────

    def put(self, record: BlockRecord) -> None:
        """Store a block, in one step: the next one, or a stored height again (which mends it) with the same header.

        The caller has checked the record (`ledger.blocks.check_record`). Raises `StorageError`.
        """
        header = record.block.header
        header_bytes = header.encode()
        header_hash = hashing.header_hash(header_bytes)
        self._expect_place(header, header_hash)
        if record.seal is not None:
            self._expect_seal(record.seal, header.height, header_hash)
        with self._writing() as batch:
            for key, value in _rows(record, header_bytes, header_hash):
                batch.put(key, value)
        if header.height > self.height:
            self._advance(header, header_hash)
        if record.seal is not None or header.height == 0:  # the genesis needs no seal
            self.sealed_height = max(self.sealed_height, header.height)

    def skip_to(self, height: int) -> None:
        """Let the next block be this one: those between it and genesis come never. Only above genesis alone."""
        if self.height != 0 or height < 1:
            raise StorageError(f"{self.path} has blocks up to {self.height}: it cannot begin at {height} any more")
        with self._writing() as batch:
            batch.put(_FIRST_KEY, _HEIGHT.pack(height))
        self.first_height = height

    def seal(self, height: int, seal: Seal) -> None:
        """Store the seal of a stored block. Raises `StorageError` when it names another block."""
        header = self.header(height)
        if header is None:
            raise StorageError(f"there is no block {height} to seal, the highest is {self.height}")
        self._expect_seal(seal, height, self._tip_hash if height == self.height else header.hash)
        with self._writing() as batch:
            batch.put(b"s" + _HEIGHT.pack(height), seal.encode())
        self.sealed_height = max(self.sealed_height, height)

    def sync(self) -> None:
        """Make every block and seal stored so far survive a power cut. Raises `StorageError`, and then for ever."""
        self._refuse_after_fault()
        try:
            height, header_hash = self.height, self._tip_hash
            sync_logs(self.path)
            with self._marking:
                mark = self._marker.mark or NOTHING
                stored = (
                    (mark.stored_height, mark.stored_hash) if mark.stored_height > height else (height, header_hash)
                )
                self._marker.write(Mark(*stored, synced_height=height))
            self._marker.sync()
        except OSError as error:
            raise self._failed(f"could not flush: {error.strerror or error}") from error

    def truncate_after(self, height: int) -> None:
        """Forget every block above `height`, durably. For repair only: it reads both big indexes from end to end."""
        if not 0 <= height <= self.height or 0 < height < self.first_height:
            raise StorageError(f"cannot keep the blocks up to {height}, the highest is {self.height}")
        self._delete_indexes_above(height)
        with self._writing() as batch:
            for kind in (b"h", b"b", b"s"):
                for key in self._keys(kind, start=kind + _HEIGHT.pack(height + 1)):
                    batch.delete(key)
        tip = self.header(height)
        assert tip is not None
        self.height, self._tip, self._tip_hash = height, tip, tip.hash
        self.sealed_height = min(self.sealed_height, height)
        with self._marking:
            self._marker.write(Mark(height, self._tip_hash, height))
        self.sync()

    def settle(self) -> None:
        """All that was noted is mended where it stands: unless LevelDB's own tables are torn, no salvage is due."""
        if not self.torn:
            self.damage = ""
            damage_path(self.path).unlink(missing_ok=True)

    def mend_marker(self) -> str:
        """Write the marker anew where its file is gone or damaged; says what was wrong. Raises `StorageError`."""
        self._refuse_after_fault()
        try:
            with self._marking:
                return self._marker.mend(marker_path(self.path))
        except OSError as error:
            raise self._failed(f"could not write its marker: {error.strerror or error}") from error

    def note_missing_files(self) -> str:
        """What is said of the first table that is gone, where one is: then `ledger.salvage` is due."""
        missing = missing_files(self._database, self.path)
        if not missing:
            return ""
        return str(self._noted(DataLost(f"the database {self.path} lacks {missing[0]}"), torn=True))

    def close(self) -> None:
        """Release the files; flushes nothing. A second call does nothing."""
        self._fault = self._fault or f"the block store {self.path} is closed"
        self._database.close()
        self._marker.close()

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    @property
    def synced_height(self) -> int:
        """The highest height that `sync` has promised, -1 for none."""
        return (self._marker.mark or NOTHING).synced_height

    def tip(self) -> Header | None:
        """The highest stored block's header."""
        return self._tip

    def sealed_tip(self) -> Header | None:
        """The highest sealed block's header."""
        return self.header(self.sealed_height)

    def header(self, height: int) -> Header | None:
        """The header at a height, None outside 0..tip. Raises `DataLost`."""
        if not 0 <= height <= self.height or 0 < height < self.first_height:
            return None
        return self._tip if height == self.height else self._read_header(height)

    def record(self, height: int) -> BlockRecord | None:
        """The whole block at a height, None outside 0..tip. Raises `DataLost`."""
        header = self.header(height)
        return None if header is None else self._read_record(header)

    def find_wrong_row(self, record: BlockRecord) -> str:
        """What is wrong with the rows by which a stored record is found, empty where nothing is. Raises `DataLost`."""
        header_bytes = record.block.header.encode()
        for key, value in _rows(record, header_bytes, hashing.header_hash(header_bytes)):
            found = self._get(key)
            if found != value:
                kind = _ROW_NAMES[key[:1]]
                return f"its {kind} is {'missing' if found is None else 'another than it should be'}"
        return ""

    def by_hash(self, header_hash: bytes) -> BlockRecord | None:
        """The block with this header hash, None where there is none. Raises `DataLost`."""
        found = self._get(b"n" + header_hash)
        return None if found is None else self.record(_HEIGHT.unpack(found)[0])

    def locate(self, transaction_id: bytes) -> tuple[int, int] | None:
        """(height, index in the block) of an executed transaction, None where it is unknown here."""
        found = self._get(b"t" + transaction_id)
        if found is None:
            return None
        height, index = _PLACE.unpack(found)
        return (height, index) if height <= self.height else None

    def account_entries(
        self, public_key: bytes, before: tuple[int, int] | None = None, limit: int = 100
    ) -> list[tuple[int, int, bytes]]:
        """(height, index, transaction id) of what a key sent, newest first, at most `limit`.

        `before` is the (height, index) that a page ended with: only older ones follow.
        """
        prefix = b"a" + public_key
        top_height, top_index = before if before is not None else (self.height, 1 << 32)
        top_height, top_index = (top_height, top_index) if top_height <= self.height else (self.height, 1 << 32)
        entries: list[tuple[int, int, bytes]] = []
        if top_height < 0:
            return entries
        with self._reading():
            start = prefix + _HEIGHT.pack(_INVERTED_MAX - top_height)
            for key, packed in self._database.iterator(
                start=start, stop=prefix + b"\xff" * 9, verify_checksums=True, fill_cache=False
            ):
                height = _INVERTED_MAX - _HEIGHT.unpack(key[-_HEIGHT.size :])[0]
                for index, transaction_id in reversed(list(_ENTRY.iter_unpack(packed))):
                    if len(entries) >= limit:
                        return entries
                    if height < top_height or index < top_index:
                        entries.append((height, index, transaction_id))
        return entries

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with speaking_of(self.path):
                yield
        except DataLost as error:
            raise self._noted(error, torn=True) from None

    def _noted(self, error: StorageError, *, torn: bool = False) -> StorageError:
        """The error; where the disk gave something else than was put, it is noted for the next start."""
        if not isinstance(error, DataLost) or not self._whole:
            return error
        self.torn = self.torn or torn
        if not self.damage:
            self.damage = str(error)
            with contextlib.suppress(OSError):  # the error itself says it, too
                replace(damage_path(self.path), self.damage.encode())
        return error

    def _check_format(self) -> None:
        found = self._get(_FORMAT_KEY)
        if found is None:
            self._database.put(_FORMAT_KEY, _HEIGHT.pack(FORMAT_VERSION))
        elif _HEIGHT.unpack(found)[0] != FORMAT_VERSION:
            raise StorageError(
                f"the block store {self.path} has format {_HEIGHT.unpack(found)[0]}, "
                f"this program reads format {FORMAT_VERSION}"
            )

    def _find_tip(self, mark: Mark) -> None:
        """Follow the chain up from the last synced block; whatever does not follow is lost."""
        self.height = highest = self._highest(b"h")
        start = max(0, min(mark.synced_height, self._below_a_hole(highest)))
        while start > 0 and self._intact(start, whole=start == highest) is None:
            start -= 1
        tip, tip_hash = None, b""
        for height in range(start, highest + 1):
            header = self._intact(height, whole=height == highest)
            if header is None or (tip is not None and header.previous_hash != tip_hash):
                break
            if height == mark.stored_height and header.hash != mark.stored_hash:
                break
            tip, tip_hash = header, header.hash
        self._tip, self._tip_hash = tip, tip_hash
        self.height = -1 if tip is None else tip.height
        self.sealed_height = min(self._highest(b"s", 0), self.height)
        self.lost_heights = range(self.height + 1, max(mark.stored_height, highest) + 1)

    def _below_a_hole(self, highest: int) -> int:
        """The height below the first that is missing among the last ones; the highest where none is.

        LevelDB's list of tables may lose its own tail, and with it the table before the log: a hole below the top.
        """
        lowest = self.first_height if 1 < self.first_height <= highest else 0  # what lies below never was here
        expected = first = max(lowest, highest - HOLE_LOOK_HEIGHTS)
        for key in self._keys(b"h", start=b"h" + _HEIGHT.pack(first)):
            if _HEIGHT.unpack(key[1:])[0] != expected:
                break
            expected += 1
        return expected - 1

    def _intact(self, height: int, *, whole: bool = False) -> Header | None:
        try:
            header = self._read_header(height)
            if whole:
                self._read_record(header)
        except DataLost:
            return None
        return header

    def _highest(self, kind: bytes, default: int = -1) -> int:
        for key in self._keys(kind, reverse=True):
            return max(int(_HEIGHT.unpack(key[1:])[0]), default)
        return default

    def _keys(self, kind: bytes, *, start: bytes = b"", reverse: bool = False) -> Iterator[bytes]:
        with self._reading():
            yield from self._database.iterator(
                start=start or kind,
                stop=bytes([kind[0] + 1]),
                reverse=reverse,
                include_value=False,
                verify_checksums=True,
                fill_cache=False,
            )

    def _get(self, key: bytes) -> bytes | None:
        try:  # not `speaking_of`: every transaction is looked up here, and a context manager costs more than the look
            found: bytes | None = self._database.get(key, verify_checksums=True)
        except (plyvel.Error, OSError) as error:
            raise self._noted(translated(error, self.path), torn=True) from None
        return found

    def _read_header(self, height: int) -> Header:
        stored = self._get(b"h" + _HEIGHT.pack(height))
        if stored is None:
            raise self._noted(DataLost(f"block {height} is missing from {self.path}, whose highest is {self.height}"))
        header_hash, header_bytes = stored[:_HASH_BYTES], stored[_HASH_BYTES:]
        if hashing.header_hash(header_bytes) != header_hash:
            raise self._noted(DataLost(f"the header of block {height} in {self.path} is damaged"))
        header = _header_decoder.decode(header_bytes)
        if header.height != height:
            raise self._noted(DataLost(f"at height {height} in {self.path} lies the header of block {header.height}"))
        return header

    def _read_record(self, header: Header) -> BlockRecord:
        stored = self._get(b"b" + _HEIGHT.pack(header.height))
        if stored is None:
            raise self._noted(DataLost(f"the transactions of block {header.height} are missing from {self.path}"))
        if _check(header.height, stored[_CHECK_BYTES:]) != stored[:_CHECK_BYTES]:
            raise self._noted(DataLost(f"the transactions of block {header.height} in {self.path} are damaged"))
        rest = _rest_decoder.decode(stored[_CHECK_BYTES:])
        block = Block(header, rest.batch, rest.transactions)
        return BlockRecord(block, rest.bodies, rest.receipts, self._read_seal(header))

    def _read_seal(self, header: Header) -> Seal | None:
        stored = self._get(b"s" + _HEIGHT.pack(header.height))
        if stored is None:
            return None
        with contextlib.suppress(msgspec.MsgspecError):
            seal = _seal_decoder.decode(stored)
            if (seal.height, seal.header_hash) == (header.height, header.hash):
                return seal
        raise self._noted(DataLost(f"the seal of block {header.height} in {self.path} is damaged"))

    def _expect_place(self, header: Header, header_hash: bytes) -> None:
        if header.height == self._next_height():
            follows = header.height == self.height + 1  # else the seals alone vouch for what is above the gap
            if follows and self._tip is not None and header.previous_hash != self._tip_hash:
                raise StorageError(
                    f"block {header.height} follows {header.previous_hash.hex()}, the tip is {self._tip_hash.hex()}"
                )
            return
        if header.height > self.height:
            raise StorageError(f"block {header.height} cannot be stored, the next height is {self._next_height()}")
        stored = self._hash_at(header.height)
        if header_hash != stored:
            raise StorageError(
                f"another block {header.height} is stored: {stored.hex()}; not storing {header_hash.hex()} over it"
            )

    def _next_height(self) -> int:
        return self.first_height if self.height == 0 else self.height + 1

    def _hash_at(self, height: int) -> bytes:
        """The hash that the chain above vouches for, so that a damaged header can be mended too."""
        if height == self.height:
            return self._tip_hash
        above = self._intact(height + 1)
        return above.previous_hash if above is not None else self._read_header(height).hash

    @staticmethod
    def _expect_seal(seal: Seal, height: int, header_hash: bytes) -> None:
        if (seal.height, seal.header_hash) != (height, header_hash):
            raise StorageError(
                f"a seal of {seal.header_hash.hex()} at height {seal.height} is not for "
                f"block {height}, {header_hash.hex()}"
            )

    def _advance(self, header: Header, header_hash: bytes) -> None:
        try:
            with self._marking:
                self._marker.write(Mark(header.height, header_hash, self.synced_height))
        except OSError as error:
            kind = DiskFull if error.errno in NO_ROOM else StorageError
            raise self._failed(f"could not write its marker: {error.strerror or error}", kind) from error
        self.height, self._tip, self._tip_hash = header.height, header, header_hash

    def _delete_indexes_above(self, height: int) -> None:
        """Before the blocks go, so that a crash in between leaves blocks to find and truncate again."""
        stale: list[bytes] = []
        with speaking_of(self.path):
            for key, value in self._database.iterator(prefix=b"t", verify_checksums=True, fill_cache=False):
                if _PLACE.unpack(value)[0] > height:
                    stale.append(key)
            for key, value in self._database.iterator(prefix=b"n", verify_checksums=True, fill_cache=False):
                if _HEIGHT.unpack(value)[0] > height:
                    stale.append(key)
            for key in self._keys(b"a"):
                if _INVERTED_MAX - _HEIGHT.unpack(key[-_HEIGHT.size :])[0] > height:
                    stale.append(key)  # noqa: PERF401 -- like its two siblings above
        for first in range(0, len(stale), DELETES_PER_BATCH):
            with self._writing() as batch:
                for key in stale[first : first + DELETES_PER_BATCH]:
                    batch.delete(key)

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """One atomic write batch, dropped when the body raises; a failed write is the last."""
        self._refuse_after_fault()
        batch = self._database.write_batch()
        yield batch
        try:
            with speaking_of(self.path):
                batch.write()
        except StorageError as error:
            self._noted(error, torn=True)  # a merge of tables met it: without a new store every start would end here
            raise self._failed(str(error), DiskFull if isinstance(error, DiskFull) else StorageError) from error

    def _refuse_after_fault(self) -> None:
        if self._fault:
            raise StorageError(self._fault)

    def _failed(self, reason: str, kind: type[StorageError] = StorageError) -> StorageError:
        self._fault = f"the block store {self.path}: {reason}; nothing more is written until the node is restarted"
        return kind(self._fault)


def marker_path(path: Path) -> Path:
    """The marker of the store at `path`: beside it, so that losing the directory is noticed too."""
    return path.with_name(path.name + ".mark")


def damage_path(path: Path) -> Path:
    """Where a store notes that it met damage: beside it."""
    return path.with_name(path.name + ".damage")


def _rows(record: BlockRecord, header_bytes: bytes, header_hash: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All that the store holds of one block."""
    block, height = record.block, record.height
    height_bytes = _HEIGHT.pack(height)
    rest = _encoder.encode(_Rest(block.batch, block.transactions, record.bodies, record.receipts))
    yield b"h" + height_bytes, header_hash + header_bytes
    yield b"b" + height_bytes, _check(height, rest) + rest
    yield b"n" + header_hash, height_bytes
    if record.seal is not None:
        yield b"s" + height_bytes, record.seal.encode()
    sent: dict[bytes, list[bytes]] = {}
    for index, raw in enumerate(record.bodies):
        transaction_id = hashing.transaction_id(body_bytes(raw))
        yield b"t" + transaction_id, _PLACE.pack(height, index)
        sent.setdefault(sender_of(raw), []).append(_ENTRY.pack(index, transaction_id))
    inverted = _HEIGHT.pack(_INVERTED_MAX - height)
    for sender, entries in sent.items():
        yield b"a" + sender + inverted, b"".join(entries)


def sender_of(raw: bytes) -> bytes:
    """The sender of a *canonical* signed transaction, cut out without decoding it."""
    assert raw[_SENDER_MARK] == _BIN_32, "the sender stands elsewhere: not a canonical signed transaction"
    return raw[_SENDER]


def _check(height: int, data: bytes) -> bytes:
    state = hashlib.sha256(_HEIGHT.pack(height))
    state.update(data)
    return state.digest()[:_CHECK_BYTES]
