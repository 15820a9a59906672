"""What of a member survives a crash: the vote journal, the block store, the bodies. Knows no replica and no time.

The journal's framing is the product's own (`ledger.journal`): a crash cuts the file anywhere behind the last flush,
within a record too, and what is read back is what that file gives.
"""

from __future__ import annotations

import msgspec

from consensus.recovery import first_journal
from consensus.simulation.prng import Prng
from ledger.journal import journal_bytes, read_journal
from ledger.types import Batch, Header, Seal

BACKUPS_MAX = 4
WHOLE_PERMILLE = 300  # how often everything survives that was written and not flushed
ZEROS_MAX = 64  # a file that grew before its power cut ends in zeros


class StoredBlock(msgspec.Struct, frozen=True):
    """An executed block; sealed once it has a seal."""

    header: Header
    batch: Batch
    fresh: tuple[bytes, ...]
    seal: Seal | None


class Disk:
    """One process's files."""

    def __init__(self) -> None:
        self.journal = first_journal()  # flushed
        self.written: list[bytes] = []  # in the file, not flushed yet
        self.blocks: dict[int, StoredBlock] = {}
        self.done: set[bytes] = set()  # every transaction that the stored blocks have run
        self.bodies: dict[bytes, None] = {}
        self._backups: list[tuple[list[bytes], dict[int, StoredBlock]]] = []

    def flush(self) -> list[bytes]:
        """Everything written is durable now; what that was."""
        flushed, self.written = self.written, []
        self.journal += flushed
        return flushed

    def rewrite(self, records: list[bytes]) -> None:
        """Another journal takes the place of this one, in one step."""
        self.journal = records

    def store(self, height: int, block: StoredBlock) -> None:
        """Keep an executed block."""
        self.blocks[height] = block
        self.done.update(block.fresh)

    @property
    def sealed_height(self) -> int:
        """The height of the last sealed block."""
        return max((height for height, block in self.blocks.items() if block.seal), default=0)

    # ── what a crash does ─────────────────────────────────────────────────────────────────────────

    def tear(self, prng: Prng) -> list[bytes]:
        """The process or the power is gone: a part of what was not flushed is lost, the last record may be torn.

        What of it survived: opening the journal flushes it.
        """
        if not self.written:
            return []
        whole = journal_bytes(self.journal + self.written)
        flushed = len(journal_bytes(self.journal))
        cut = len(whole) if prng.chance(WHOLE_PERMILLE) else flushed + prng.below(len(whole) - flushed)
        survived = read_journal(whole[:cut], "journal")
        if prng.chance(100):
            zeros = bytes(prng.below(ZEROS_MAX))
            survived = read_journal(journal_bytes(survived) + zeros, "journal")
        found = survived[len(self.journal) :]
        self.journal, self.written = survived, []
        return found

    def lose_blocks(self, count: int) -> None:
        """The last blocks were not on the disk yet: the journal must make up for them."""
        for _ in range(count):
            self.blocks.pop(max(self.blocks, default=0), None)

    def lose_journal(self, *, blocks_too: bool) -> None:
        """Amnesia."""
        self.journal, self.written = [], []
        if blocks_too:
            self.blocks = {}

    def open(self) -> None:
        """A process begins: blocks without a seal are executed anew."""
        self.blocks = {height: block for height, block in sorted(self.blocks.items()) if block.seal}
        self.done = {each for block in self.blocks.values() for each in block.fresh}

    # ── backups ───────────────────────────────────────────────────────────────────────────────────

    def back_up(self) -> None:
        """Put a copy aside. The oldest ones are kept: they forget most."""
        if len(self._backups) < BACKUPS_MAX:
            sealed = {height: block for height, block in self.blocks.items() if block.seal}
            self._backups.append((list(self.journal), sealed))

    def restore(self, prng: Prng) -> str:
        """An operator puts an older copy back: of the journal, of the store, or of both. Which."""
        if not self._backups:
            return ""
        journal, blocks = self._backups[prng.below(len(self._backups))]
        which = ("journal and store", "journal", "store")[prng.below(3)]
        if "journal" in which:
            self.journal, self.written = list(journal), []
        if "store" in which:
            self.blocks = dict(blocks)
        return which
