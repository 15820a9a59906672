"""The replay itself: the state below the block, the transactions before it in the block, then the one asked for.

The state is a version that the node still keeps, or it is made again from genesis, every header on the way compared
with the stored one. What comes out is held against the stored receipt, byte for byte.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.tracing import Tracer
from ledger import codec
from ledger.errors import InvalidProof, LedgerError
from ledger.state import State
from ledger.types import Receipt, Transaction
from network.audit.replay import Expected, Replay
from network.replay.chain import Chain, StoredBlock

Show = Callable[[int, int], None]


class Broken(Exception):
    """Executing a stored block gives another one, below the transaction that was asked for."""


@dataclass(frozen=True)
class Replayed:
    """A transaction as it was stored and as it came out again. `from_height`: whose state the execution began on."""

    height: int
    index: int
    transaction: Transaction
    stored: bytes
    again: bytes | None
    block_equal: bool
    from_height: int
    trace: Tracer | None

    @property
    def equal(self) -> bool:
        """Whether the receipt is the stored one, byte for byte, and the block's header too."""
        return self.again == self.stored and self.block_equal

    @property
    def receipt(self) -> Receipt:
        """The outcome, as it came out again where it did."""
        return codec.decode(self.stored if self.again is None else self.again, Receipt)


def replay(
    chain: Chain,
    transaction_id: bytes,
    *,
    trace: bool = False,
    from_genesis: bool = False,
    show: Show = lambda _height, _last: None,
) -> Replayed:
    """Execute a past transaction again. `show` is told the height reached, and the one to reach.

    Raises `Unknown`, `Broken`, or a `LedgerError`.
    """
    height, index = chain.locate(transaction_id)
    block = chain.block(height)
    _expect(block, index, transaction_id, height)
    found = None if from_genesis else _from_kept(chain, block, transaction_id, trace=trace)
    from_height = height - 1
    if found is None:
        from_height = 0
        found = _from_genesis(chain, block, transaction_id, trace=trace, show=show)
    expected, tracer = found
    again = expected.receipts[index] if index < len(expected.receipts) else None
    body = codec.decode(block.rest.bodies[index], Transaction)
    stored = block.rest.receipts[index]
    return Replayed(height, index, body, stored, again, expected.header == block.header, from_height, tracer)


def _expect(block: StoredBlock, index: int, transaction_id: bytes, height: int) -> None:
    receipts = block.rest.receipts
    if index < len(receipts) and codec.decode(receipts[index], Receipt).transaction_id == transaction_id:
        return
    raise LedgerError(
        f"block {height} has no transaction {transaction_id.hex()} at index {index}: its index is damaged"
    )


_Found = tuple[Expected, Tracer | None]


def _tracer(transaction_id: bytes, trace: bool) -> Tracer | None:
    return Tracer(transaction_id.hex()) if trace else None


def _from_kept(chain: Chain, block: StoredBlock, transaction_id: bytes, *, trace: bool) -> _Found | None:
    """From the node's own state, None where it holds that version no more, or not yet."""
    below = block.header.height - 1
    state = chain.kept_state()
    if state is None or not state.oldest_height <= below <= state.height:
        return None
    tracer = _tracer(transaction_id, trace)
    try:
        parent = chain.block(below).header
        if state.root_at(below) != parent.state_root:
            return None
        return Replay(state, chain.genesis, tracer.watch if tracer else None).run(parent, block.rest), tracer
    except InvalidProof:
        return None  # the engine lets fewer heights be executed again than the state keeps


def _from_genesis(chain: Chain, block: StoredBlock, transaction_id: bytes, *, trace: bool, show: Show) -> _Found:
    """From the first block on, in a state of its own."""
    last = block.header.height
    tracer = _tracer(transaction_id, trace)
    with tempfile.TemporaryDirectory(prefix="quorate-replay-state-") as scratch:
        state = State.open(Path(scratch) / "state", time.perf_counter_ns)
        try:
            run = Replay(state, chain.genesis, tracer.watch if tracer else None)
            parent = run.run(None, chain.block(0).rest).header
            for height in range(1, last):
                stored = chain.block(height)
                if run.run(parent, stored.rest).header != stored.header:
                    raise Broken(
                        f"block {height} gives another header when it is executed: what was stored there, or the "
                        "program that executes it, is not what the validators had"
                    )
                parent = stored.header
                show(height, last)
            return run.run(parent, block.rest), tracer
        finally:
            state.close()
