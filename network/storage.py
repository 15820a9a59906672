"""What a validator finds on its disk when it starts: its blocks, its votes, and where the replica goes on from.

Damage is met here, before anything is built on it. What others can give again is set aside and fetched anew; what they
cannot, the votes, is the operator's to move away. It knows nothing of peers, and executes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from consensus import Tip, Turn, memory_heights
from ledger.errors import DataLost, GenesisError
from ledger.journal import Journal
from ledger.salvage import salvage
from ledger.store import BlockStore
from ledger.types import Batch, Genesis
from network.driver import batches_in, split_journal

log = logging.getLogger("quorate.validator")


@dataclass(frozen=True)
class Votes:
    """What the vote journal held when it was opened: bodies, the replica's records, and the batches these rest on."""

    bodies: list[bytes]
    records: list[bytes]
    batches: list[Batch]


def open_blocks(path: Path) -> BlockStore:
    """The block store; one that is damaged is kept aside, and filled again from what is whole and from peers."""
    salvaged = salvage(path)
    if salvaged is not None:
        log.error(
            "%s; whole up to block %d, the rest is fetched from peers; the damaged files are %s",
            *(salvaged.because, salvaged.height, salvaged.aside),
        )
    try:
        return BlockStore(path)
    except DataLost as error:
        aside = BlockStore.set_aside(path)
        log.error("%s; it is kept as %s, and the blocks are fetched from peers", error, aside)
        return BlockStore(path)


def check_chain(store: BlockStore, genesis: Genesis) -> None:
    """Raises `GenesisError` where the blocks are those of another chain than the genesis file makes."""
    stored = store.header(0)
    if stored is not None and stored.chain_id != genesis.chain_id:
        raise GenesisError(
            f"this data directory belongs to chain {stored.chain_id.hex()[:16]}..., "
            f"the genesis file makes chain {genesis.chain_id.hex()[:16]}...: "
            "use the genesis file that it was made with, or an empty data directory"
        )


def open_journal(path: Path) -> tuple[Journal, list[bytes]]:
    """The vote journal. What it promised no peer can give back, so a damaged one is the operator's to move away."""
    try:
        return Journal.open(path)
    except DataLost as error:
        raise DataLost(
            f"{error}. Move it away, never restore a copy, and start again: this validator stays silent until the "
            "others have told it what it signed"
        ) from None


def read_votes(records: list[bytes]) -> Votes:
    """A journal's records, told apart. Raises `DataLost` for what this program never writes."""
    bodies, votes = split_journal(records)
    return Votes(bodies, votes, batches_in(votes))


def tip_of(store: BlockStore, window: int) -> Tip:
    """The highest sealed block, with the turns of its window: what the replica begins at."""
    record = store.record(store.sealed_height)
    assert record is not None, "the sealed height is stored"
    header = record.block.header
    return Tip(header.height, header.hash, header.time_ms, record.seal, _turns(store, header.height, window))


def _turns(store: BlockStore, height: int, window: int) -> tuple[Turn, ...]:
    """In whose turns the last blocks were first proposed."""
    first = max(1, height + 1 - memory_heights(window))
    headers = [store.header(each) for each in range(first, height + 1)]
    return tuple(Turn(each.batch_view, each.batch_proposer, each.batch_since) for each in headers if each)
