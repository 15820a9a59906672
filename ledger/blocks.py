"""How a block follows from its parent and its batch, and whether a block's parts belong together.

Pure: hashes and comparisons. Every field of a header follows from the ordered batches, so validators that
executed the same batches build the same header here. Who sealed it is not judged here (`ledger.seals` does).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger import hashing, merkle
from ledger.errors import InvalidProof
from ledger.hashing import ZERO_HASH
from ledger.types import Batch, Block, BlockRecord, Genesis, Header

GENESIS_HEIGHT = 0


# ── making headers ────────────────────────────────────────────────────────────────────────────────


def transactions_root(hashes: Sequence[bytes]) -> bytes:
    """RFC 9162 root over the hashes of the executed transactions, in execution order."""
    return merkle.root(hashes)


def receipts_root(receipts: Sequence[bytes]) -> bytes:
    """RFC 9162 root over the encoded receipts, in execution order."""
    return merkle.root(receipts)


def genesis_header(genesis: Genesis, state_root: bytes) -> Header:
    """The header of height 0. `state_root` is that of the state after the genesis accounts are written."""
    return Header(
        chain_id=genesis.chain_id,
        epoch=0,
        height=GENESIS_HEIGHT,
        previous_hash=ZERO_HASH,
        batch_digest=ZERO_HASH,
        batch_view=0,
        batch_proposer=0,
        batch_since=1,
        time_ms=genesis.time_ms,
        transactions_root=transactions_root(()),
        receipts_root=receipts_root(()),
        state_root=state_root,
        validators_hash=genesis.validators.hash,
        next_validators_hash=genesis.validators.hash,
        transaction_count=0,
        gas_used=0,
    )


def genesis_record(genesis: Genesis, state_root: bytes) -> BlockRecord:
    """Height 0 as it is stored: no batch was ever ordered for it, so it has the null batch and needs no seal."""
    batch = null_batch(epoch=0, height=GENESIS_HEIGHT, view=0, proposer=0, time_ms=genesis.time_ms)
    return BlockRecord(Block(genesis_header(genesis, state_root), batch, ()), (), (), None)


def null_batch(*, epoch: int, height: int, view: int, proposer: int, time_ms: int) -> Batch:
    """What fills a gap that a view change leaves: an ordinary batch, empty."""
    return Batch(epoch, height, view, proposer, time_ms, ())


def next_header(
    parent: Header,
    batch: Batch,
    *,
    executed: Sequence[bytes],
    transactions_root: bytes,
    receipts_root: bytes,
    state_root: bytes,
    gas_used: int,
    validators_hash: bytes,
    next_validators_hash: bytes,
) -> Header:
    """The header that executing `batch` on `parent` gives. `executed` are the hashes that were not skipped."""
    if batch.height != parent.height + 1:
        raise ValueError(f"a batch of height {batch.height} cannot follow the block of height {parent.height}")
    return Header(
        chain_id=parent.chain_id,
        epoch=batch.epoch,
        height=batch.height,
        previous_hash=parent.hash,
        batch_digest=batch.digest,
        batch_view=batch.view,
        batch_proposer=batch.proposer,
        batch_since=batch.since,
        time_ms=next_time_ms(parent, batch),
        transactions_root=transactions_root,
        receipts_root=receipts_root,
        state_root=state_root,
        validators_hash=validators_hash,
        next_validators_hash=next_validators_hash,
        transaction_count=len(executed),
        gas_used=gas_used,
    )


def next_time_ms(parent: Header, batch: Batch) -> int:
    """A block's time: its batch's, unless that would not move the chain's clock forward."""
    return max(batch.time_ms, parent.time_ms + 1)


# ── judging what a peer or a disk gave ────────────────────────────────────────────────────────────


def check_block(block: Block) -> None:
    """That header, batch and executed hashes belong together. Raises `InvalidProof`."""
    header, batch = block.header, block.batch
    if header.height == GENESIS_HEIGHT:
        _expect("batch digest", header.batch_digest, ZERO_HASH)
    else:
        _expect("batch digest", header.batch_digest, batch.digest)
    _expect("height", batch.height, header.height)
    _expect("epoch", batch.epoch, header.epoch)
    _expect("view", batch.view, header.batch_view)
    _expect("proposer", batch.proposer, header.batch_proposer)
    _expect("first height of the view", batch.since, header.batch_since)
    _expect("number of transactions", len(block.transactions), header.transaction_count)
    if not is_subsequence(block.transactions, batch.hashes):
        raise InvalidProof("the executed transactions are not in the batch, in the batch's order")
    _expect("transactions root", transactions_root(block.transactions), header.transactions_root)


def check_record(record: BlockRecord) -> None:
    """That a whole record belongs together: its block, and the bodies and receipts that the block names.

    Raises `InvalidProof`. The seal is not looked at, nor are signatures: what a sealed header names was checked
    by a quorum.
    """
    block = record.block
    check_block(block)
    _expect("number of bodies", len(record.bodies), len(block.transactions))
    _expect("number of receipts", len(record.receipts), len(block.transactions))
    for index, (body, name) in enumerate(zip(record.bodies, block.transactions, strict=True)):
        _expect(f"hash of transaction {index}", hashing.transaction_hash(body), name)
    _expect("receipts root", receipts_root(record.receipts), block.header.receipts_root)


def check_follows(parent: Header, block: Block) -> None:
    """That a block is built on this parent. Raises `InvalidProof`."""
    header = block.header
    _expect("chain id", header.chain_id, parent.chain_id)
    _expect("height", header.height, parent.height + 1)
    _expect("previous hash", header.previous_hash, parent.hash)
    _expect("time", header.time_ms, next_time_ms(parent, block.batch))


def is_subsequence(part: Iterable[bytes], whole: Iterable[bytes]) -> bool:
    """Whether `part` is `whole` with some items left out."""
    rest = iter(whole)
    return all(item in rest for item in part)


def _expect(what: str, found: bytes | int, expected: bytes | int) -> None:
    if found != expected:
        raise InvalidProof(f"the {what} is {_shown(found)}, expected {_shown(expected)}")


def _shown(value: bytes | int) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
