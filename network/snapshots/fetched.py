"""What a join has fetched so far, one file a chunk: the journal by which it goes on after a crash at any point.

A file is written beside its place and renamed, and not flushed: every one of them proves itself, so whoever goes on
reads each again and fetches anew what does not hold. Knows no peer.

    contents            the sealed contents that were chosen
    chunk-INDEX         a chunk of the state
    blocks-FIRST-LAST   blocks in a row
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ledger import codec
from ledger.errors import CodecError, InvalidProof, StorageError
from ledger.files import replace
from ledger.snapshot import BlockChunk, Contents, check_contents, read_blocks
from ledger.snapshot_tree import read_chunk
from ledger.types import BlockRecord, Genesis, Seal, Struct

_CONTENTS = "contents"
_BLOCKS = re.compile(r"^blocks-([0-9]{1,16})-([0-9]{1,16})$")


class Chosen(Struct, frozen=True):
    """Which snapshot is being fetched, and its seal."""

    contents: Contents
    seal: Seal


class Fetched:
    """The directory of one join. Raises `StorageError` when the disk does."""

    def __init__(self, directory: Path, genesis: Genesis) -> None:
        self.directory = directory
        self._genesis = genesis
        self.chosen: Chosen | None = None
        self._have: set[int] = set()
        self._blocks: dict[int, int] = {}  # first -> last
        directory.mkdir(exist_ok=True)
        self._read()

    @property
    def found(self) -> int:
        """How many chunks, of both kinds, are here."""
        return len(self._have) + len(self._blocks)

    def choose(self, chosen: Chosen) -> None:
        """From now on this is fetched: of another one only the blocks stay. `chosen` was checked."""
        for path in self.directory.glob("chunk-*"):
            path.unlink()
        self._write(_CONTENTS, chosen.encode())
        self.chosen, self._have = chosen, set()

    def has(self, index: int) -> bool:
        """Whether this chunk of the state is here."""
        return index in self._have

    def keep(self, index: int, data: bytes) -> None:
        """A chunk of the state that was checked."""
        self._write(f"chunk-{index}", data)
        self._have.add(index)

    def keep_blocks(self, records: tuple[BlockRecord, ...]) -> None:
        """Blocks in a row that were checked."""
        first, last = records[0].height, records[-1].height
        self._write(f"blocks-{first}-{last}", codec.encode(records))
        self._blocks[first] = last

    def missing_blocks(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The ranges of heights from `first` to `last` that are not here, ascending."""
        for begin in sorted(self._blocks):
            if first < begin <= last:
                yield first, begin - 1
            first = max(first, self._blocks[begin] + 1)
        if first <= last:
            yield first, last

    def chunk(self, index: int) -> bytes:
        """The bytes of a chunk of the state."""
        try:
            return (self.directory / f"chunk-{index}").read_bytes()
        except OSError as error:
            raise StorageError(f"a fetched chunk cannot be read: {error}") from None

    def records(self, first: int) -> Iterator[BlockRecord]:
        """The blocks from a height on, ascending, each checked once more: they were on a disk."""
        for begin, last in sorted(self._blocks.items()):
            if last < first:
                continue
            data = (self.directory / f"blocks-{begin}-{last}").read_bytes()
            for record in read_blocks(BlockChunk(begin, last), data, self._genesis):
                if record.height >= first:
                    yield record
                    first = record.height + 1

    def _read(self) -> None:
        """Take up what an earlier process fetched, as far as it holds."""
        try:
            chosen = codec.decode((self.directory / _CONTENTS).read_bytes(), Chosen)
            check_contents(chosen.contents, chosen.seal, self._genesis)
        except (OSError, CodecError, InvalidProof):
            return
        self.chosen = chosen
        for index, chunk in enumerate(chosen.contents.chunks):
            path = self.directory / f"chunk-{index}"
            if path.exists() and self._holds(path, lambda data, chunk=chunk: read_chunk(chunk, data, {})):
                self._have.add(index)
        for path in self.directory.iterdir():
            found = _BLOCKS.match(path.name)
            if found:
                span = BlockChunk(int(found[1]), int(found[2]))
                if self._holds(path, lambda data, span=span: read_blocks(span, data, self._genesis)):
                    self._blocks[span.first] = span.last

    @staticmethod
    def _holds(path: Path, read: object) -> bool:
        assert callable(read)
        try:
            read(path.read_bytes())
        except (OSError, InvalidProof):
            path.unlink(missing_ok=True)
            return False
        return True

    def _write(self, name: str, data: bytes) -> None:
        try:
            replace(self.directory / name, data, durable=False)
        except OSError as error:
            raise StorageError(f"cannot write {self.directory / name}: {error.strerror or error}") from None
