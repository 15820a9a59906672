"""The votes of one height, in one small object: rounds by view, and what came of them. Counts; decides nothing.

Every sender has one vote per kind, view and height. A second, different one is never counted; the first stays.
"""

from __future__ import annotations

import msgspec

from consensus.messages import CommitCertificate, PreparedCertificate
from ledger.types import Batch, SealSignature


class Votes:
    """Signatures of distinct members, with the power behind each digest."""

    __slots__ = ("_by_member", "_power", "conflicting", "voted_power")

    def __init__(self) -> None:
        self._by_member: dict[int, tuple[bytes, bytes]] = {}
        self._power: dict[bytes, int] = {}
        self.voted_power = 0
        self.conflicting: dict[int, bytes] = {}  # members whose double vote was reported, once each

    def add(self, member: int, digest: bytes, signature: bytes, power: int) -> bool:
        """Count a member's vote, unless it has voted here before. Whether it counted."""
        if member in self._by_member:
            return False
        self._by_member[member] = (digest, signature)
        self._power[digest] = self._power.get(digest, 0) + power
        self.voted_power += power
        return True

    def of(self, member: int) -> tuple[bytes, bytes] | None:
        """That member's digest and signature."""
        return self._by_member.get(member)

    def power(self, digest: bytes) -> int:
        """The power behind one digest."""
        return self._power.get(digest, 0)

    def digest_with(self, power: int) -> bytes | None:
        """The digest that has at least `power`. With more than half of the total there is at most one."""
        for digest, behind in self._power.items():
            if behind >= power:
                return digest
        return None

    def highest_power(self) -> int:
        """The power behind the digest that has most."""
        return max(self._power.values(), default=0)

    def members_for(self, digest: bytes) -> tuple[int, ...]:
        """Who voted for a digest, ascending."""
        return tuple(sorted(member for member, vote in self._by_member.items() if vote[0] == digest))

    def signatures_for(self, digest: bytes) -> tuple[SealSignature, ...]:
        """The signatures behind a digest, as a certificate lists them."""
        return tuple(SealSignature(member, self._by_member[member][1]) for member in self.members_for(digest))


class Proposal(msgspec.Struct, frozen=True):
    """What a view's primary proposed at a height. `envelope` is the PRE-PREPARE, empty for a re-proposal.

    `timely`: the batch's time was near this node's clock at first receipt; True where the clock must not judge.
    """

    digest: bytes
    envelope: bytes
    timely: bool
    fresh: bool


class Round:
    """One view's votes at one height."""

    __slots__ = ("commits", "equivocated", "prepares", "proposal")

    def __init__(self) -> None:
        self.proposal: Proposal | None = None
        self.equivocated = False  # a second proposal was seen, and reported
        self.prepares = Votes()
        self.commits = Votes()


class Final(msgspec.Struct, frozen=True):
    """The final batch of a height, by a commit certificate; None where a seal stands for it."""

    digest: bytes
    certificate: CommitCertificate | None


ASKED, READY, REFUSED = "asked", "ready", "refused"


class Slot:
    """One height from its first message to its seal."""

    __slots__ = ("_bodies", "batches", "final", "height", "offered", "prepared", "rounds")

    def __init__(self, height: int) -> None:
        self.height = height
        self.rounds: dict[int, Round] = {}
        self.batches: dict[bytes, Batch] = {}
        self.prepared: PreparedCertificate | None = None
        self.offered: CommitCertificate | None = None  # checked, handed over by a peer; its bodies may be missing
        self.final: Final | None = None
        self._bodies: dict[bytes, str] = {}

    def round(self, view: int) -> Round:
        """The round of a view, made when first needed. The caller has range-checked the view."""
        found = self.rounds.get(view)
        if found is None:
            found = self.rounds[view] = Round()
        return found

    def proposal_in(self, view: int) -> Proposal | None:
        """What that view proposed here."""
        found = self.rounds.get(view)
        return found.proposal if found else None

    def bodies(self, digest: bytes) -> str | None:
        """ASKED, READY, REFUSED, or None before the driver was asked. An empty batch has no bodies to wait for."""
        batch = self.batches.get(digest)
        if batch is not None and not batch.hashes:
            return READY
        return self._bodies.get(digest)

    def mark_bodies(self, digest: bytes, state: str) -> None:
        """Note what the driver was asked, or what it answered."""
        self._bodies[digest] = state

    def enter_view(self, view: int) -> None:
        """Drop the rounds of older views, and every batch that nothing refers to any more."""
        self.rounds = {each: kept for each, kept in self.rounds.items() if each >= view}
        wanted = [kept.proposal.digest for kept in self.rounds.values() if kept.proposal]
        wanted += [self.prepared.digest] if self.prepared else []
        wanted += [self.offered.digest] if self.offered else []
        wanted += [self.final.digest] if self.final else []
        self.batches = {digest: batch for digest, batch in self.batches.items() if digest in wanted}
        self._bodies = {digest: state for digest, state in self._bodies.items() if digest in wanted}
