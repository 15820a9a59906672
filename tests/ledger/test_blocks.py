"""Headers follow from batches; a record whose parts do not belong together is named and refused."""

import msgspec
import pytest

from ledger import blocks, hashing
from ledger.errors import InvalidProof
from ledger.hashing import ZERO_HASH
from ledger.types import Batch, Block, BlockRecord, Genesis, Parameters, Validator, ValidatorSet

VALIDATORS = ValidatorSet((Validator("alpha", b"\x07" * 32, 1, b""),))
GENESIS = Genesis(1, "test", 1_000, Parameters(), VALIDATORS, ())
ROOT = b"\x05" * 32


def record_after(parent, bodies, *, time_ms=2_000, skipped=()):
    hashes = tuple(hashing.transaction_hash(body) for body in bodies)
    batch = Batch(0, parent.height + 1, 3, 0, time_ms, hashes)
    executed = tuple(name for index, name in enumerate(hashes) if index not in skipped)
    kept = tuple(body for index, body in enumerate(bodies) if index not in skipped)
    receipts = tuple(b"receipt of " + body for body in kept)
    header = blocks.next_header(
        parent,
        batch,
        executed=executed,
        transactions_root=blocks.transactions_root(executed),
        receipts_root=blocks.receipts_root(receipts),
        state_root=ROOT,
        gas_used=7,
        validators_hash=VALIDATORS.hash,
        next_validators_hash=VALIDATORS.hash,
    )
    return BlockRecord(Block(header, batch, executed), kept, receipts, None)


GENESIS_RECORD = blocks.genesis_record(GENESIS, ROOT)
PARENT = GENESIS_RECORD.block.header
RECORD = record_after(PARENT, [b"one", b"two", b"three", b"four"], skipped={2})


def test_the_genesis_header_names_its_genesis_and_holds():
    header = blocks.genesis_header(GENESIS, ROOT)
    assert header.chain_id == GENESIS.chain_id
    assert (header.height, header.time_ms, header.batch_digest, header.previous_hash) == (
        0,
        1_000,
        ZERO_HASH,
        ZERO_HASH,
    )
    assert header.validators_hash == header.next_validators_hash == VALIDATORS.hash
    blocks.check_record(GENESIS_RECORD)


def test_a_header_follows_from_parent_and_batch():
    header = RECORD.block.header
    assert header.chain_id == GENESIS.chain_id
    assert (header.height, header.batch_view, header.batch_proposer) == (1, 3, 0)
    assert header.previous_hash == PARENT.hash
    assert header.batch_digest == RECORD.block.batch.digest
    assert header.transaction_count == 3
    blocks.check_record(RECORD)
    blocks.check_follows(PARENT, RECORD.block)


@pytest.mark.parametrize(("batch_time_ms", "time_ms"), [(0, 1_001), (1_000, 1_001), (1_001, 1_001), (5_000, 5_000)])
def test_time_is_the_batchs_unless_that_would_not_move_forward(batch_time_ms, time_ms):
    assert record_after(PARENT, [b"one"], time_ms=batch_time_ms).block.header.time_ms == time_ms


def test_a_batch_of_another_height_cannot_follow():
    with pytest.raises(ValueError, match="height 1 cannot follow the block of height 1"):
        blocks.next_header(
            RECORD.block.header,
            RECORD.block.batch,
            executed=(),
            transactions_root=ROOT,
            receipts_root=ROOT,
            state_root=ROOT,
            gas_used=0,
            validators_hash=ROOT,
            next_validators_hash=ROOT,
        )


def test_the_null_batch_is_an_ordinary_empty_one():
    batch = blocks.null_batch(epoch=0, height=5, view=2, proposer=1, time_ms=9)
    assert batch == Batch(0, 5, 2, 1, 9, ())


def changed(record, **changes):
    """A copy of a record with parts replaced, found by name in header, batch, block or record."""
    header, batch, block = record.block.header, record.block.batch, record.block
    for name, value in changes.items():
        if name.startswith("header_"):
            header = msgspec.structs.replace(header, **{name.removeprefix("header_"): value})
        elif name.startswith("batch_"):
            batch = msgspec.structs.replace(batch, **{name.removeprefix("batch_"): value})
    transactions = changes.get("transactions", block.transactions)
    bodies, receipts = changes.get("bodies", record.bodies), changes.get("receipts", record.receipts)
    return BlockRecord(Block(header, batch, transactions), bodies, receipts, None)


HASHES, BODIES, RECEIPTS = RECORD.block.transactions, RECORD.bodies, RECORD.receipts
REDIGESTED = msgspec.structs.replace(RECORD.block.batch, hashes=HASHES[::-1]).digest


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"header_batch_digest": ROOT}, "batch digest"),
        ({"batch_time_ms": 1}, "batch digest"),
        ({"header_height": 2}, "the height is 1, expected 2"),
        ({"header_epoch": 1}, "epoch"),
        ({"header_batch_view": 1}, "view"),
        ({"header_batch_proposer": 1}, "proposer"),
        ({"header_batch_since": 2}, "first height of the view"),
        ({"header_transaction_count": 4}, "number of transactions"),
        ({"header_transactions_root": ROOT}, "transactions root"),
        ({"header_receipts_root": ROOT}, "receipts root"),
        ({"transactions": HASHES[:2]}, "number of transactions is 2, expected 3"),
        ({"transactions": (*HASHES[:2], ROOT)}, "not in the batch"),
        ({"transactions": (HASHES[1], HASHES[0], HASHES[2])}, "not in the batch, in the batch's order"),
        ({"transactions": (HASHES[0], HASHES[0], HASHES[2])}, "not in the batch"),
        ({"batch_hashes": HASHES[::-1], "header_batch_digest": REDIGESTED}, "not in the batch"),
        ({"bodies": BODIES[:2]}, "number of bodies"),
        ({"bodies": (*BODIES[:2], b"forged")}, "hash of transaction 2"),
        ({"receipts": RECEIPTS[:2]}, "number of receipts"),
        ({"receipts": (*RECEIPTS[:2], b"forged")}, "receipts root"),
    ],
)
def test_every_part_that_does_not_belong_is_named(changes, reason):
    with pytest.raises(InvalidProof, match=reason):
        blocks.check_record(changed(RECORD, **changes))


def test_a_genesis_with_a_batch_digest_is_refused():
    with pytest.raises(InvalidProof, match="batch digest"):
        blocks.check_record(changed(GENESIS_RECORD, header_batch_digest=GENESIS_RECORD.block.batch.digest))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"header_chain_id": ROOT}, "chain id"),
        ({"header_height": 2}, "height"),
        ({"header_previous_hash": ROOT}, "previous hash"),
        ({"header_time_ms": 2_001}, "the time is 2001, expected 2000"),
    ],
)
def test_a_block_that_does_not_follow_its_parent_is_refused(changes, reason):
    with pytest.raises(InvalidProof, match=reason):
        blocks.check_follows(PARENT, changed(RECORD, **changes).block)
