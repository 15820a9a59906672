"""What a Byzantine member has to work with: keys, chance, and what it heard and said. It survives its own restarts.

It holds its own key, and those of its accomplices where the faulty collude; a correct member's signature it can only
repeat or make up badly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from consensus.messages import PREPARE, VIEW_CHANGE, Body, Envelope, ViewChange, Vote
from consensus.simulation.prng import Prng
from ledger.crypto import signing_message
from ledger.quorum import quorum_power
from ledger.types import Batch, SealSignature

MEMORY_MAX = 256  # messages that are kept to be said again
VIEWS_MAX = 16  # of which the VIEW-CHANGEs are kept

Sign = Callable[[bytes], bytes]


class Liar:
    """One Byzantine member's means."""

    def __init__(
        self, member: int, powers: tuple[int, ...], chain_id: bytes, keys: Mapping[int, Sign], prng: Prng
    ) -> None:
        self.member = member
        self.members = len(powers)
        self.powers = powers
        self.quorum = quorum_power(sum(powers))
        self.chain_id = chain_id
        self.keys = keys
        self.prng = prng
        self.memory: deque[bytes] = deque(maxlen=MEMORY_MAX)
        self.prepares: dict[tuple[int, int, bytes], dict[int, bytes]] = {}  # (view, height, digest) -> signatures
        self.batches: dict[bytes, Batch] = {}
        self.view_changes: dict[int, dict[int, tuple[ViewChange, Envelope]]] = {}  # view -> sender
        self.made_up: set[bytes] = set()  # hashes of transactions that nobody submitted

    @property
    def accomplices(self) -> list[int]:
        """Whose keys it holds, its own among them."""
        return sorted(self.keys)

    def signed(self, kind: str, body: Body, batches: tuple[Batch, ...] = ()) -> Envelope:
        """A message with the signature of the sender that the body names, or its own where it lacks that key."""
        encoded = body.encode()
        sign = self.keys.get(body.sender) or self.keys[self.member]
        return msgspec.convert((kind, encoded, sign(signing_message(kind, self.chain_id, encoded)), batches), Envelope)

    def note(self, envelope: Envelope, body: Body, data: bytes) -> None:
        """Remember what might be of use."""
        self.memory.append(data)
        if body.sender >= self.members:
            return
        for batch in envelope.batches:
            if len(self.batches) < MEMORY_MAX:
                self.batches[batch.digest] = batch
        if isinstance(body, Vote) and envelope.kind == PREPARE and len(self.prepares) < MEMORY_MAX:
            held = self.prepares.setdefault((body.view, body.height, body.digest), {})
            held[body.sender] = envelope.signature
        elif isinstance(body, ViewChange) and envelope.kind == VIEW_CHANGE:
            self.view_changes.setdefault(body.view, {})[body.sender] = (body, envelope)
            while len(self.view_changes) > VIEWS_MAX:
                del self.view_changes[min(self.view_changes)]

    def other_batch(self, batch: Batch) -> Batch:
        """Another proper batch for the same place: as many as half of its transactions, or a moment later."""
        if len(batch.hashes) > 1:
            return msgspec.structs.replace(batch, hashes=batch.hashes[: len(batch.hashes) // 2])
        return msgspec.structs.replace(batch, time_ms=batch.time_ms + 1)

    def made_up_batch(self, batch: Batch) -> Batch:
        """One with a transaction that nobody submitted."""
        invented = bytes([self.member]) * 2 + b"made up" + batch.digest[9:]
        self.made_up.add(invented)
        return msgspec.structs.replace(batch, hashes=(*batch.hashes[:1], invented))

    def forged_signatures(self, kind: str, body_of: Callable[[int], Body]) -> tuple[SealSignature, ...]:
        """What looks like a quorum's signatures, and is not: one of the ways to get it wrong."""
        own = {each: self.signed(kind, body_of(each)).signature for each in self.accomplices}
        mine = own[self.member]
        ways = (
            [(self.member, mine)] * self.members,  # one voter many times
            sorted(own.items()),  # too few
            [(each, own.get(each, mine)) for each in range(self.members)],  # own signature in others' names
            sorted({**own, **self._heard_prepare()}.items()),  # theirs, from another slot
            [*sorted(own.items()), *((self.members + each, mine) for each in range(self.members))],  # by nobody
        )
        return tuple(SealSignature(*each) for each in ways[self.prng.below(len(ways))])

    def _heard_prepare(self) -> dict[int, bytes]:
        return max(self.prepares.values(), key=len, default={})

    def subset(self, items: list[int], needed_power: int) -> list[int]:
        """Some of these members, with at least that power, in order."""
        chosen: list[int] = []
        left = list(items)
        while left and sum(self.powers[each] for each in chosen) < needed_power:
            chosen.append(left.pop(self.prng.below(len(left))))
        return sorted(chosen)
