"""Who votes, how much each weighs, who leads a view, and whether a signature is a member's. Counts nothing itself.

One committee is one epoch's: chain, epoch and kind are part of every signed byte, so no vote passes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.crypto import signing_message
from ledger.quorum import quorum_power, weak_quorum_power
from ledger.types import ValidatorSet

Verify = Callable[[bytes, bytes, bytes], bool]
Sign = Callable[[bytes], bytes]


class Committee:
    """The validators of one epoch with their quorum arithmetic. Immutable."""

    def __init__(self, chain_id: bytes, epoch: int, validators: ValidatorSet, verify: Verify) -> None:
        self.chain_id = chain_id
        self.epoch = epoch
        self.size = len(validators.members)
        self.powers = validators.powers
        self.total = validators.total_power
        self.quorum = quorum_power(self.total)
        self.weak_quorum = weak_quorum_power(self.total)
        self._keys = tuple(member.public_key for member in validators.members)
        self._verify = verify

    def primary(self, view: int) -> int:
        """The member that leads `view`. No certificate depends on it (P2.5)."""
        return view % self.size

    def signed_by(self, kind: str, member: int, body: bytes, signature: bytes) -> bool:
        """Whether `signature` is that member's over a message of `kind` with this body."""
        return self._verify(self._keys[member], signing_message(kind, self.chain_id, body), signature)
