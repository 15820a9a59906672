"""Keys that are the same in every run, and what the members of a network on paper seal with them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from ledger.crypto import SigningKey
from ledger.seals import assemble_seal, checkpoint_message
from ledger.types import Checkpoint, Header, Seal


def key_of(name: str) -> SigningKey:
    """The key of whoever has this name."""
    return SigningKey.from_seed(sha256(name.encode()).digest())


def seal_by(header: Header, keys: Mapping[int, SigningKey]) -> Seal:
    """The CHECKPOINTs of these members, by index, over a header; whether they are a quorum is not asked."""
    signatures = {}
    for member, key in keys.items():
        checkpoint = Checkpoint(header.epoch, header.height, member, header.hash)
        signatures[member] = key.sign(checkpoint_message(header.chain_id, checkpoint))
    return assemble_seal(header.epoch, header.height, header.hash, signatures)
