"""Compares what four stopped nodes hold on disk: one chain, every seal a seal, every acknowledged transfer there once.

It opens the block stores themselves, so no gateway, cache or API stands between it and what was kept. It runs after
the processes have ended and knows nothing of what was done to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ledger.blocks import check_follows, check_record
from ledger.errors import LedgerError
from ledger.hashing import transaction_id
from ledger.seals import verify_sealed_header
from ledger.store import BlockStore
from ledger.types import BlockRecord, Genesis, body_bytes
from network import present
from network.paths import NodePaths
from scripts.chaos_load import Acknowledged, receipt_digest

COMPLAINTS_MAX = 50


class Chain(msgspec.Struct, frozen=True):
    """What all nodes hold, as far as they agree."""

    height: int
    transactions: int
    state_root: str


class ChainAudit:
    """Goes through all heights once, on all nodes at the same time."""

    def __init__(self, genesis: Genesis, acknowledged: Mapping[bytes, Acknowledged]) -> None:
        self.complaints: list[str] = []
        self._genesis = genesis
        self._acknowledged = acknowledged
        self._places: dict[bytes, tuple[int, int]] = {}

    def run(self, directories: Mapping[str, Path]) -> Chain:
        """Audit these nodes. What is wrong is in `complaints` afterwards."""
        stores = {name: BlockStore(NodePaths(directory).blocks) for name, directory in directories.items()}
        try:
            return self._run(stores)
        finally:
            for store in stores.values():
                store.close()

    def _run(self, stores: Mapping[str, BlockStore]) -> Chain:
        heights = {name: store.sealed_height for name, store in stores.items()}
        if len(set(heights.values())) != 1:
            self._complain(f"the nodes end at different heights: {heights}")
        last = min(heights.values())
        before: BlockRecord | None = None
        root = ""
        for height in range(last + 1):
            records = {name: _read(store, height) for name, store in stores.items()}
            found = self._one_of(height, records)
            if found is None:
                return Chain(height - 1, len(self._places), root)
            self._check(found, before)
            before, root = found, found.block.header.state_root.hex()
        self._check_nothing_missing()
        return Chain(last, len(self._places), root)

    def _one_of(self, height: int, records: Mapping[str, BlockRecord | str]) -> BlockRecord | None:
        """The block that all nodes hold at a height, each with a seal that holds; None ends the audit."""
        (first, found), *others = records.items()
        for name, record in records.items():
            if isinstance(record, str):
                self._complain(f"{name} has no good block {height}: {record}")
                return None
            if height > 0:
                self._check_seal(name, record)
        assert isinstance(found, BlockRecord), "looked at above"
        for name, record in others:
            assert isinstance(record, BlockRecord), "looked at above"
            if msgspec.structs.replace(record, seal=None) != msgspec.structs.replace(found, seal=None):
                here, there = (each.block.header for each in (found, record))
                self._complain(
                    f"block {height} differs: {first} has header {here.hash.hex()[:16]}, state root "
                    f"{here.state_root.hex()[:16]}; {name} has {there.hash.hex()[:16]}, {there.state_root.hex()[:16]}"
                )
                return None
        return found

    def _check_seal(self, name: str, record: BlockRecord) -> None:
        try:
            if record.seal is None:
                self._complain(f"{name} has block {record.height} without a seal")
            else:
                verify_sealed_header(record.block.header, record.seal, self._genesis.validators)
        except LedgerError as error:
            self._complain(f"{name}, block {record.height}: {error}")

    def _check(self, record: BlockRecord, before: BlockRecord | None) -> None:
        height = record.height
        try:
            if before is not None:
                check_record(record)
                check_follows(before.block.header, record.block)
        except LedgerError as error:
            self._complain(f"block {height}: {error}")
        for index, (raw, receipt) in enumerate(zip(record.bodies, record.receipts, strict=True)):
            name = transaction_id(body_bytes(raw))
            earlier = self._places.setdefault(name, (height, index))
            if earlier != (height, index):
                self._complain(f"transaction {name.hex()} stands at {earlier} and again at {(height, index)}")
            promised = self._acknowledged.get(name)
            if promised is not None:
                self._check_promise(name, promised, record, index, receipt)

    def _check_promise(
        self, name: bytes, promised: Acknowledged, record: BlockRecord, index: int, receipt: bytes
    ) -> None:
        shown = present.receipt(receipt)
        found = Acknowledged(
            record.height,
            index,
            record.block.header.hash.hex(),
            receipt_digest(msgspec.json.encode(shown)),
            shown["code"],
        )
        if found != promised:
            self._complain(f"transaction {name.hex()} was acknowledged as {promised}, the chain says {found}")

    def _check_nothing_missing(self) -> None:
        missing = [name.hex() for name in self._acknowledged if name not in self._places]
        if missing:
            self._complain(f"{len(missing)} acknowledged transactions are in no block, such as {missing[0]}")

    def holds(self, name: bytes) -> bool:
        """Whether a transaction stands in the chain."""
        return name in self._places

    def _complain(self, text: str) -> None:
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(text)


def _read(store: BlockStore, height: int) -> BlockRecord | str:
    """The record, or what is wrong with it."""
    try:
        return store.record(height) or "it is not there"
    except LedgerError as error:
        return str(error)


def evidence_of(directories: Sequence[Path]) -> list[str]:
    """The files in which nodes wrote down that a member signed two different messages. There was no such member."""
    return [str(path) for directory in directories for path in sorted(NodePaths(directory).evidence.glob("*"))]
