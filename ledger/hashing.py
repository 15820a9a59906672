"""SHA-256 with a domain tag for every kind of thing, so that no hash of one kind can pass for another's.

A tag is hashed first, with its length before it; the state after the tag is kept and copied, so a tagged
hash costs no more than a plain one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)


def tagged(tag: str) -> Callable[[bytes], bytes]:
    """The hash function of one kind: `tagged("header")(data)` is 32 bytes."""
    name = f"quorate.{tag}.v1".encode()
    start = hashlib.sha256(bytes([len(name)]) + name)

    def digest(data: bytes) -> bytes:
        state = start.copy()
        state.update(data)
        return state.digest()

    return digest


transaction_id = tagged("transaction.id")
transaction_hash = tagged("transaction.hash")
batch_digest = tagged("batch")
header_hash = tagged("header")
genesis_hash = tagged("genesis")
validators_hash = tagged("validators")
code_hash = tagged("code")
