"""From a checked snapshot to a node's directory, in one step as far as any crash can tell.

Everything is built beside the node's own files, under one name in its directory; nothing of the node is touched until
all of it was checked. Then it is switched to (`network.snapshots.switching`). What is not ready is rubbish: it is made
again.

A node that has blocks keeps them: those that follow are appended to its store, which is safe at any moment, as each is
sealed. A node that has none gets a store that begins with the first block brought. The vote journal is never touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from contracts.block import ExecutedId
from contracts.engine import adopted_ids, adopted_side, genesis_root
from ledger.blocks import check_follows, genesis_record
from ledger.errors import InvalidProof
from ledger.marker import Mark, Marker
from ledger.snapshot import Contents
from ledger.snapshot_tree import join, read_chunk
from ledger.state import StateLoader
from ledger.store import BlockStore, marker_path
from ledger.transactions import identify, read_transaction
from ledger.types import BlockRecord, Genesis, Header
from network.paths import NodePaths
from network.snapshots.switching import switch

IDS_AT_ONCE = 10_000

Show = Callable[[str], None]


class Landing:
    """One snapshot on its way into one data directory. `build`, then `switch`."""

    def __init__(self, data: Path, name: str, genesis: Genesis, show: Show = lambda _: None) -> None:
        self._paths = NodePaths(data)
        self._genesis = genesis
        self._show = show
        self.directory = data / name
        self._new = self.directory / "new"

    def build(
        self, contents: Contents, chunk_data: Callable[[int], bytes], records: Callable[[int], Iterable[BlockRecord]]
    ) -> None:
        """Make the new parts. `contents` was checked (`check_contents`), what `chunk_data(i)` gives is checked here.

        `records(first)` are the blocks from a height up to the snapshot's, ascending, checked one by one
        (`read_blocks`); that they follow each other is checked here. Raises `InvalidProof` or `StorageError`.
        """
        shutil.rmtree(self._new, ignore_errors=True)
        self._new.mkdir(parents=True)
        own = _has_blocks(self._paths)
        store = BlockStore(self._paths.blocks if own else self._new / "blocks")
        try:
            if not own:
                store.put(genesis_record(self._genesis, genesis_root(self._genesis)))
            self._store_blocks(store, contents.header, records)
            self._build_state(contents, chunk_data, store)
        finally:
            store.close()
        self._remember_what_was_lost()

    def switch(self) -> None:
        """Make the new parts the node's."""
        switch(self._paths.root, self.directory)

    # ── blocks ────────────────────────────────────────────────────────────────────────────────────

    def _store_blocks(self, store: BlockStore, top: Header, records: Callable[[int], Iterable[BlockRecord]]) -> None:
        first = first_needed(store.sealed_height, top.height, self._genesis)
        previous = store.header(first - 1) if first > 1 else store.header(0)
        for record in records(first) if first <= top.height else ():
            if store.height == 0 and record.height == first > 1:
                store.skip_to(first)
            elif previous is not None:
                check_follows(previous, record.block)
            store.put(record)
            previous = record.block.header
            if record.height % 64 == 0:
                self._show(f"stored blocks up to {record.height} of {top.height}")
        found = store.header(top.height)
        if found is None or found.hash != top.hash:
            raise InvalidProof(f"the blocks do not lead to the header of height {top.height} that the snapshot names")
        store.sync()

    def _remember_what_was_lost(self) -> None:
        """A marker that outlived its blocks knows of higher ones than are here now: it stays known that they were."""
        marker, made = marker_path(self._paths.blocks), marker_path(self._new / "blocks")
        if not (marker.exists() and made.exists()):
            return
        old, new = Marker(marker), Marker(made)
        try:
            if old.mark and new.mark and old.mark.stored_height > new.mark.stored_height:
                new.write(Mark(old.mark.stored_height, old.mark.stored_hash, new.mark.synced_height))
                new.sync()
        finally:
            old.close()
            new.close()

    def _ids(self, store: BlockStore, top: Header) -> Iterator[tuple[int, ExecutedId]]:
        first = max(1, top.height + 1 - self._genesis.parameters.validity_window)
        for height in range(first, top.height + 1):
            record = store.record(height)
            if record is None:
                raise InvalidProof(f"block {height} is missing: without it, what ran in it could run again")
            for raw in record.bodies:
                yield height, ExecutedId(identify(raw)[0], read_transaction(raw).body.valid_until)

    # ── state ─────────────────────────────────────────────────────────────────────────────────────

    def _build_state(self, contents: Contents, chunk_data: Callable[[int], bytes], store: BlockStore) -> None:
        header, chunks = contents.header, contents.chunks
        loader = StateLoader(self._new / "state")
        try:
            for index, chunk in enumerate(chunks):
                pages: dict[str, bytes] = {}
                loader.add(read_chunk(chunk, chunk_data(index), pages), pages)
                self._show(f"checked and stored chunk {index + 1} of {len(chunks)} of the state")
            pages = {}
            root = join(chunks, pages)
            loader.add((), pages)
            ids = adopted_ids(header.height, self._ids(store, header))
            while part := list(islice(ids, IDS_AT_ONCE)):
                loader.add_side(part)
            loader.add_side(adopted_side(self._genesis, header.height, header.time_ms).items())
            loader.finish(header.height, root)
        finally:
            loader.close()


def first_needed(sealed_height: int, height: int, genesis: Genesis) -> int:
    """The first block that a node must get which has them up to `sealed_height`, to stand at `height`."""
    return sealed_height + 1 if sealed_height > 0 else first_block(height, genesis)


def first_block(height: int, genesis: Genesis) -> int:
    """The first block that a node without any needs, to stand at a height.

    What ran in a validity window may come again; and whose turn it is to propose follows from the last blocks.
    """
    from consensus import memory_heights

    parameters = genesis.parameters
    return max(1, height + 1 - max(parameters.validity_window, memory_heights(parameters.window)))


def _has_blocks(paths: NodePaths) -> bool:
    """Whether the node has blocks of its own above genesis."""
    if not paths.blocks.is_dir():
        return False
    store = BlockStore(paths.blocks)
    try:
        return store.height > 0
    finally:
        store.close()
