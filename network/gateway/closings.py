"""The changes of the validators that a proof file carries: each epoch's closing header, its seal, and the set it names.

A closing never changes, so each is looked for once: epochs only rise with the height, and the last header of one is
found by halving. It judges nothing: who reads the file does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ledger.proofs import FROM_GENESIS, Closing, Way
from ledger.types import BlockRecord, ValidatorSet
from network.api import ValidatorApi
from network.gateway.problems import Problem

NOT_KEPT = "this node keeps too little of the chain's past to prove it from there; ask another node"


class Closings:
    """Those of one node's chain, as far as they were asked for."""

    def __init__(self, validator: ValidatorApi) -> None:
        self._validator = validator
        self._found: dict[int, Closing] = {}

    async def way_to(self, record: BlockRecord, trusted: BlockRecord | None = None) -> Way:
        """From the genesis, or from a header that the reader trusts, to who sealed a block. Raises `Problem`."""
        epoch = record.block.header.epoch
        if trusted is None:
            return FROM_GENESIS if epoch == 0 else Way(None, await self._between(0, epoch, record.height))
        begin = trusted.block.header
        if begin.epoch > epoch:
            raise Problem(
                "bad_parameter",
                f"block {record.height} is of epoch {epoch}, the trusted block {begin.height} of epoch {begin.epoch}: "
                "a proof cannot begin in a later epoch",
            )
        anchor = begin, await self._set(begin.validators_hash)
        return Way(anchor, await self._between(begin.epoch, epoch, record.height))

    async def _between(self, first: int, last: int, height: int) -> tuple[Closing, ...]:
        """Those of the epochs from `first` on and below `last`; `height` is a sealed one of epoch `last`."""
        for epoch in range(first, last):
            if epoch not in self._found:
                self._found[epoch] = await self._find(epoch, height)
        return tuple(self._found[epoch] for epoch in range(first, last))

    async def _find(self, epoch: int, above: int) -> Closing:
        last = await last_of(epoch, above, self._block)
        header = last.block.header
        if header.epoch != epoch or last.seal is None:
            raise Problem("no_proof", NOT_KEPT)
        return Closing(header, last.seal, await self._set(header.next_validators_hash))

    async def _block(self, height: int) -> BlockRecord:
        records = await self._validator.blocks(height, height, True)
        if not records:
            raise Problem("no_proof", NOT_KEPT)
        return records[0]

    async def _set(self, name: bytes) -> ValidatorSet:
        found = await self._validator.validator_set(name)
        if found is None:
            raise Problem("no_proof", NOT_KEPT)
        return found


async def last_of(epoch: int, above: int, block: Callable[[int], Awaitable[BlockRecord]]) -> BlockRecord:
    """The highest block of an epoch, or of the one before where it has none; `above` is a height of a later one."""
    low, high = 0, above
    found = await block(low)
    while high - low > 1:
        middle = (low + high) // 2
        record = await block(middle)
        if record.block.header.epoch <= epoch:
            low, found = middle, record
        else:
            high = middle
    return found
