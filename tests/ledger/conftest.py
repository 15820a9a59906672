"""A consortium on paper: keys, a genesis, and sealed blocks made from them. No node runs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ledger import codec
from ledger.blocks import genesis_header, next_header, receipts_root, transactions_root
from ledger.crypto import SigningKey
from ledger.seals import assemble_seal, checkpoint_message
from ledger.transactions import identify, sign_transaction
from ledger.types import (
    Batch,
    Block,
    BlockRecord,
    Call,
    Checkpoint,
    Genesis,
    Header,
    LogEntry,
    Parameters,
    Receipt,
    Seal,
    Validator,
    ValidatorSet,
)


@dataclass(frozen=True)
class Consortium:
    """Validators whose keys we hold, and a client."""

    keys: tuple[SigningKey, ...]
    client: SigningKey
    genesis: Genesis

    def seal(self, header: Header, members: tuple[int, ...]) -> Seal:
        signatures = {}
        for member in members:
            checkpoint = Checkpoint(header.epoch, header.height, member, header.hash)
            signatures[member] = self.keys[member].sign(checkpoint_message(header.chain_id, checkpoint))
        return assemble_seal(header.epoch, header.height, header.hash, signatures)

    def transaction(self, number: int) -> bytes:
        args = codec.encode([f"file-{number}", bytes([number % 256]) * 32])
        calls = [Call("registry", "register", args)]
        return sign_transaction(self.client, self.genesis.chain_id, calls, 100_000, 50, number.to_bytes(16, "big"))

    def block(self, count: int, members: tuple[int, ...] = (0, 1, 2)) -> BlockRecord:
        """Block 1 with `count` transactions, sealed by `members`."""
        bodies = tuple(self.transaction(number) for number in range(count))
        hashes = tuple(identify(body)[1] for body in bodies)
        receipts = tuple(receipt(body, index).encode() for index, body in enumerate(bodies))
        batch = Batch(0, 1, 0, 0, self.genesis.time_ms + 1000, hashes)
        header = next_header(
            genesis_header(self.genesis, b"\x01" * 32),
            batch,
            executed=hashes,
            transactions_root=transactions_root(hashes),
            receipts_root=receipts_root(receipts),
            state_root=b"\x02" * 32,
            gas_used=count * 500,
            validators_hash=self.genesis.validators.hash,
            next_validators_hash=self.genesis.validators.hash,
        )
        return BlockRecord(Block(header, batch, hashes), bodies, receipts, self.seal(header, members))


def receipt(body: bytes, index: int) -> Receipt:
    events = (LogEntry("registry", "Registered", codec.encode({"index": index})),)
    return Receipt(1, index, *identify(body), "ok", "", "", 0, 500, (codec.encode(None),), events)


def make_consortium(*powers: int) -> Consortium:
    keys = tuple(SigningKey.from_seed(bytes([number + 1]) * 32) for number in range(len(powers)))
    members = tuple(
        Validator(f"validator-{number}", key.public_key, power, b"certificate")
        for number, (key, power) in enumerate(zip(keys, powers, strict=True))
    )
    genesis = Genesis(1, "paper", 1_700_000_000_000, Parameters(), ValidatorSet(members), ())
    return Consortium(keys, SigningKey.from_seed(b"\xcc" * 32), genesis)


@pytest.fixture(scope="session")
def consortium() -> Consortium:
    """Four validators of power one: three are a quorum."""
    return make_consortium(1, 1, 1, 1)


@pytest.fixture(scope="session")
def consortium_of():
    """`consortium_of(5, 3, 1)`: one with these voting powers."""
    return make_consortium
