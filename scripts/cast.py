"""Who takes part in a small world: a committee with stand-in keys, a pen for every member, and replicas for them."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.committee import Committee
from consensus.messages import Body, Envelope, Kind
from consensus.replica import Replica
from consensus.simulation.stubs import CHAIN_ID, GENESIS, stub_signer, stub_validators, stub_verify
from consensus.standing import Tip
from ledger.crypto import signing_message
from ledger.types import Batch, Parameters


class Cast:
    """The members. Whoever holds it can sign for everybody."""

    def __init__(self, powers: Sequence[int], parameters: Parameters) -> None:
        self.powers = tuple(powers)
        self.size = len(self.powers)
        self.parameters = parameters
        self.validators = stub_validators(self.powers)
        self.committee = Committee(CHAIN_ID, 0, self.validators, stub_verify)
        self.pens = [stub_signer(member.public_key) for member in self.validators.members]

    def sign(self, kind: str, member: int, body: bytes) -> bytes:
        """A member's signature over a message body."""
        return self.pens[member](signing_message(kind, CHAIN_ID, body))

    def envelope(self, kind: Kind, member: int, body: Body, batches: Sequence[Batch] = ()) -> Envelope:
        """A properly signed message."""
        encoded = body.encode()
        return Envelope(kind, encoded, self.sign(kind, member, encoded), tuple(batches))

    def replica(self, member: int, journal: Sequence[bytes], tip: Tip = GENESIS) -> Replica:
        """A replica that was not started yet."""
        return Replica(
            member=member,
            chain_id=CHAIN_ID,
            validators=self.validators,
            parameters=self.parameters,
            sign=self.pens[member],
            verify=stub_verify,
            tip=tip,
            journal=journal,
        )
