"""The vote journal's records, and which of them are still needed. Knows no file; the driver appends and syncs.

A record is persisted before whatever depends on it is sent or counted (P6.1), so replaying them after a crash gives
a replica that remembers everything it ever let out. A later record replaces an earlier one of the same place; a seal
makes all records at and below its height obsolete, once the block store has it for certain.
"""

from __future__ import annotations

from typing import Any

from consensus.errors import JournalDamaged
from consensus.messages import COMMIT, CommitCertificate, Envelope, Kind, PreparedCertificate, View, Vote
from ledger import codec
from ledger.errors import CodecError
from ledger.types import Batch, Checkpoint, Hash, Height, Signature, Struct


class Anchor(Struct, frozen=True, tag="anchor"):
    """This member has a past: it may have voted up to this sealed height, and never votes there again."""

    height: Height


class BatchHeld(Struct, frozen=True, tag="batch"):
    """A batch that a vote or a certificate in this journal names; its bodies are durable at the driver."""

    digest: Hash
    batch: Batch


class Voted(Struct, frozen=True, tag="vote"):
    """A PRE-PREPARE or PREPARE that this member signed."""

    kind: Kind
    vote: Vote
    signature: Signature


class Certified(Struct, frozen=True, tag="prepared"):
    """A prepared certificate, with the signature of the COMMIT that rests on it."""

    certificate: PreparedCertificate
    commit_signature: Signature


class CommitHeld(Struct, frozen=True, tag="committed"):
    """A commit certificate: this batch is final."""

    certificate: CommitCertificate


class CheckpointSigned(Struct, frozen=True, tag="checkpoint"):
    """A CHECKPOINT that this member signed: the header that its execution gave."""

    checkpoint: Checkpoint
    signature: Signature


class Left(Struct, frozen=True, tag="left"):
    """The VIEW-CHANGE that this member signed when it left for `view`, whole."""

    view: View
    envelope: Envelope


class Entered(Struct, frozen=True, tag="entered"):
    """The NEW-VIEW by which this member entered `view`, whole: it proves the view to others."""

    view: View
    envelope: Envelope


class Halted(Struct, frozen=True, tag="halted"):
    """This member has stopped voting until its operator repairs it."""

    diagnosis: str


class Doubted(Struct, frozen=True, tag="doubted"):
    """A message of this member came back that its journal should hold and does not: from here on it counts as lost."""

    kind: Kind
    body: bytes


class Resumed(Struct, frozen=True, tag="resumed"):
    """The end of a doubt: this member votes again, above this height and in no view below `view` (P6.5)."""

    view: View
    height: Height


Record = (
    Anchor | BatchHeld | Voted | Certified | CommitHeld | CheckpointSigned | Left | Entered | Halted | Doubted | Resumed
)
Place = tuple[str, int, bytes]
_DOUBTED: Place = ("doubted", -1, b"")
_ANY_RECORD: Any = Record


def read_record(data: bytes) -> Record:
    """Decode one record. Raises `JournalDamaged`."""
    try:
        record: Record = codec.decode(data, _ANY_RECORD)
    except CodecError as error:
        raise JournalDamaged(f"not a record of the vote journal: {error}") from None
    return record


def _place(record: Record) -> Place:
    """Where a record belongs: kind, height (-1 where it has none), digest."""
    match record:
        case BatchHeld(digest, batch):
            return ("batch", batch.height, digest)
        case Voted(kind, vote):
            return (kind, vote.height, b"")
        case Certified(certificate):
            return ("prepared", certificate.height, b"")
        case CommitHeld(certificate):
            return ("committed", certificate.height, b"")
        case CheckpointSigned(checkpoint):
            return ("checkpoint", checkpoint.height, b"")
        case Left():
            return ("left", -1, b"")
        case Entered():
            return ("entered", -1, b"")
        case Halted():
            return ("halted", -1, b"")
        case Doubted():
            return _DOUBTED
        case Resumed():
            return ("resumed", -1, b"")
    return ("anchor", -1, b"")


class Journal:
    """The records that are still needed, in the order in which they were first written."""

    def __init__(self, records: list[Record]) -> None:
        self._held: dict[Place, Record] = {}
        self._base = 0  # nothing at or below is held any more
        self._reach = 0  # the highest height that a CHECKPOINT was signed at
        for record in records:
            self.note(record)

    def note(self, record: Record) -> bool:
        """Take in a record. False when the very same one is held already, so that nothing need be written."""
        if isinstance(record, Anchor):
            self._base = max(self._base, record.height)
        elif isinstance(record, CheckpointSigned):
            self._reach = max(self._reach, record.checkpoint.height)
        elif isinstance(record, Resumed):
            self._held.pop(_DOUBTED, None)  # over; a later one stands behind this, which it does not undo (P6.6)
        place = _place(record)
        if self._held.get(place) == record:
            return False
        self._held[place] = record
        return True

    @property
    def base(self) -> int:
        """At and below this height the journal may have forgotten."""
        return self._base

    @property
    def reach(self) -> int:
        """The highest height that this member may have signed a CHECKPOINT at."""
        return max(self._base, self._reach)

    @property
    def left(self) -> Left | None:
        """The last VIEW-CHANGE that was signed."""
        record = self._held.get(("left", -1, b""))
        return record if isinstance(record, Left) else None

    @property
    def entered(self) -> Entered | None:
        """The last NEW-VIEW that was entered."""
        record = self._held.get(("entered", -1, b""))
        return record if isinstance(record, Entered) else None

    def voted(self, kind: str, height: int) -> tuple[int, bytes] | None:
        """The view and digest of the last PRE-PREPARE, PREPARE or COMMIT signed at a height."""
        match self._held.get(("prepared" if kind == COMMIT else kind, height, b"")):
            case Voted(_, vote):
                return vote.view, vote.digest
            case Certified(certificate):
                return certificate.view, certificate.digest
        return None

    def checkpoint_at(self, height: int) -> bytes | None:
        """The header hash that a CHECKPOINT was signed over at a height."""
        record = self._held.get(("checkpoint", height, b""))
        return record.checkpoint.header_hash if isinstance(record, CheckpointSigned) else None

    def forget_through(self, height: int) -> None:
        """Drop what a seal at `height`, durable by now, makes obsolete."""
        self._base = max(self._base, height)
        self._held = {place: record for place, record in self._held.items() if not 0 <= place[1] <= height}

    def forget_unnamed_batches(self) -> None:
        """Drop batches that no vote and no certificate names any more."""
        named = {_named(record) for record in self._held.values()}
        self._held = {
            place: record
            for place, record in self._held.items()
            if not isinstance(record, BatchHeld) or place[1:] in named
        }

    def snapshot(self, *, doubtful: bool) -> list[bytes]:
        """Everything needed to start again from a tip at or above what was forgotten: the anchor says how high that is.

        While this member's past is in doubt there is no anchor, so that the doubt survives a restart.
        """
        if not doubtful:
            self.note(Anchor(self._base))
        self.forget_unnamed_batches()
        return [record.encode() for record in self._held.values()]


def _named(record: Record) -> tuple[int, bytes]:
    match record:
        case Voted(_, vote):
            return (vote.height, vote.digest)
        case Certified(certificate) | CommitHeld(certificate):
            return (certificate.height, certificate.digest)
    return (-1, b"")


def first_journal() -> list[bytes]:
    """What the journal of a new member holds before its first start: it says "nothing was ever signed", so that an
    empty journal means a lost one. To be written once, where the member's keys are made.
    """
    return [Anchor(0).encode()]
