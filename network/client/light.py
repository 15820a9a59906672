"""The light client: which sealed headers hold, judged from the genesis alone; and that they make one chain.

It needs no blocks below a header to judge it: one epoch has one validator set, so any of its sealed headers is checked
by that set, however far it lies from the last one. What it has judged it remembers, up to a bound: two sealed headers
of one height, or two neighbours that do not follow one another, prove that more members are faulty than may be.
"""

from __future__ import annotations

from ledger.types import BlockRecord, Genesis, Header
from network.client.checks import checked_light
from network.client.errors import Forked, ProofInvalid

REMEMBERED_MAX = 1024


class LightClient:
    """The verified headers of one chain. `height` is that of the highest one, `header` is it."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.header: Header | None = None
        self._seen: dict[int, BlockRecord] = {}

    @property
    def height(self) -> int:
        """The highest height whose sealed header was verified, -1 before the first."""
        return -1 if self.header is None else self.header.height

    def accept(self, data: bytes, height: int | None = None) -> Header:
        """The header in a block's bytes (GET /v1/blocks/H?format=light), if it is sealed and of this height.

        Raises `ProofInvalid` for one that does not hold, and `Forked`, with both, for two that cannot both be.
        """
        record = checked_light(data, self.genesis)
        header = record.block.header
        if height is not None and header.height != height:
            raise ProofInvalid(f"the node gave block {header.height}, asked was {height}")
        self._expect_one_chain(record)
        self._remember(record)
        if header.height > self.height:
            self.header = header
        return header

    def _expect_one_chain(self, record: BlockRecord) -> None:
        header = record.block.header
        same = self._seen.get(header.height)
        if same is not None and same.block.header != header:
            raise Forked(same, record)
        below, above = self._seen.get(header.height - 1), self._seen.get(header.height + 1)
        if below is not None and header.previous_hash != below.block.header.hash:
            raise Forked(below, record)
        if above is not None and above.block.header.previous_hash != header.hash:
            raise Forked(record, above)

    def _remember(self, record: BlockRecord) -> None:
        self._seen.pop(record.height, None)
        self._seen[record.height] = record
        if len(self._seen) > REMEMBERED_MAX:
            del self._seen[next(iter(self._seen))]
