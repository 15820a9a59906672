"""Byzantine members: a replica of the honest kind whose messages are bent before the network gets them.

`Tamper` sees each message and returns what each receiver gets, and when. A behaviour is a name, or several joined by
"+"; with several, chance picks one for every message. What each does is told in `lies_votes`, `lies_views`,
`mutation` and `noise`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from consensus.errors import MessageRefused
from consensus.messages import CHECKPOINT, PRE_PREPARE, Body, Envelope, open_envelope
from consensus.simulation import lies_views, lies_votes, mutation
from consensus.simulation.disk import StoredBlock
from consensus.simulation.liar import Liar
from consensus.simulation.noise import NOISES
from ledger.types import Checkpoint, Seal, SealSignature

SLOW = "slow"  # delays every proposal to nine tenths of the time-out (scenario 91)
CENSOR = "censor"  # leaves a quarter of the clients out while it leads (scenario 92)
HONEST = "honest"  # says nothing wrong: in a combination, or as a source that lies only when it is asked for blocks

Bend = Callable[[Liar, int, Envelope, Body], list[Envelope]]
Outgoing = list[tuple[int, bytes, int]]  # (receiver, message, how much later in milliseconds)

BENDS: dict[str, Bend] = {
    each.__name__: each for each in (*lies_votes.BEHAVIOURS, *lies_views.BEHAVIOURS, mutation.mutate)
}
BEHAVIOURS = (*BENDS, *NOISES, SLOW, CENSOR)


class Tamper:
    """Bends one member's messages."""

    def __init__(self, behaviour: str, liar: Liar, timeout_ms: int) -> None:
        names = behaviour.split("+")
        unknown = [name for name in names if name not in (*BEHAVIOURS, HONEST)]
        if unknown:
            raise ValueError(f"no such behaviour: {', '.join(unknown)}; there are {', '.join(BEHAVIOURS)}")
        self.liar = liar
        self.censors = CENSOR in names
        self.withholds_bodies = "mute" in names or "withhold" in names
        self.noises = [NOISES[name] for name in names if name in NOISES]
        self._bends = [BENDS[name] for name in names if name in BENDS]
        self._late_ms = timeout_ms * 9 // 10 if SLOW in names else 0

    def bend(self, receivers: list[int], data: bytes) -> Outgoing:
        """What each receiver gets instead of `data`."""
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:  # poisoned by its own lies, as peers handed them back
            return [(receiver, data, 0) for receiver in receivers]
        self.liar.note(envelope, body, data)
        late_ms = self._late_ms if envelope.kind == PRE_PREPARE else 0
        if not self._bends:
            return [(receiver, data, late_ms) for receiver in receivers]
        outgoing: Outgoing = []
        for receiver in receivers:
            bend = self._bends[self.liar.prng.below(len(self._bends))] if len(self._bends) > 1 else self._bends[0]
            for bent in bend(self.liar, receiver, envelope, body):
                outgoing.append((receiver, data if bent is envelope else bent.encode(), late_ms))
        return outgoing

    def hear(self, data: bytes) -> None:
        """What it was sent: it may be of use."""
        try:
            envelope, body = open_envelope(data)
        except MessageRefused:
            return
        self.liar.note(envelope, body, data)

    def noise(self) -> list[bytes]:
        """What it says unasked in this beat, to everybody."""
        return [data for make in self.noises for data in make(self.liar)]

    def source(self, block: StoredBlock) -> StoredBlock | None:
        """A block that it is asked for: true, wrong in one part, or none."""
        liar, seal = self.liar, block.seal
        assert seal is not None
        other = msgspec.structs.replace(block.header, state_root=bytes(32))
        forged = msgspec.structs.replace(seal, header_hash=other.hash, signatures=self._forged(seal, other.hash))
        batch = liar.other_batch(block.batch)
        ways = (
            None,
            block,
            msgspec.structs.replace(block, batch=batch),
            msgspec.structs.replace(
                block, header=msgspec.structs.replace(block.header, batch_digest=batch.digest), batch=batch
            ),
            msgspec.structs.replace(block, header=other),
            msgspec.structs.replace(block, header=other, seal=forged),
            msgspec.structs.replace(block, seal=msgspec.structs.replace(seal, signatures=seal.signatures[1:])),
            msgspec.structs.replace(block, seal=msgspec.structs.replace(seal, height=seal.height + 1)),
        )
        return ways[liar.prng.below(len(ways))]

    def _forged(self, seal: Seal, header_hash: bytes) -> tuple[SealSignature, ...]:
        def body_of(member: int) -> Checkpoint:
            return Checkpoint(seal.epoch, seal.height, member, header_hash)

        return self.liar.forged_signatures(CHECKPOINT, body_of)
