"""Reads every record that ever enters the members' vote journals, and finds two votes that may not both exist.

A journal is rewritten from time to time, and what was sealed is dropped from it: so each is followed while its member
runs, in the file that is written and in the one that takes its place, and no record is missed. The file's form is
read here by its own words (`ledger.journal` says them), not by the code that is under test.

Two votes are in conflict when one member signed both for one kind, view and height and they name different digests;
two certificates when they are for one view and height; two final batches when they are for one height.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from consensus.errors import JournalDamaged
from consensus.messages import COMMIT, NEW_VIEW, NewView, open_body
from consensus.recovery import (
    Certified,
    CheckpointSigned,
    CommitHeld,
    Entered,
    Left,
    Record,
    Voted,
    read_record,
)
from ledger.errors import CodecError
from network.driver import REPLICA_RECORD

HEADER_BYTES = 8 + 4 + 8 + 16  # magic, format, generation, check
RECORD_HEAD = struct.Struct("<I4s16s")  # length, check of the length, check of the record
CHECK_BYTES = 16
READ_BYTES_MAX = 96 << 20  # more than the longest record

EVERYBODY = -1  # whose certificates are


class JournalFollower:
    """Gives each record of a journal once, as it is written, across rewritings: `poll` it more often than they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._offset = 0
        self._check = b""
        self.generations = 0

    def poll(self) -> Iterator[bytes]:
        """What was written since the last call."""
        while True:
            if self._file < 0 and not self._open():
                return
            yield from self._new_records()
            if not self._replaced():
                return
            yield from self._new_records()  # the last ones, written before it was replaced
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> bool:
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._offset = 0
        self.generations += 1
        return True

    def _replaced(self) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(self._file).st_ino
        except FileNotFoundError:
            return False

    def _new_records(self) -> Iterator[bytes]:
        if self._offset == 0:
            head = os.pread(self._file, HEADER_BYTES, 0)
            if len(head) < HEADER_BYTES:
                return
            self._offset, self._check = HEADER_BYTES, head[-CHECK_BYTES:]
        while data := os.pread(self._file, READ_BYTES_MAX, self._offset):
            taken = 0
            for record, size in _whole_records(data, self._check):
                self._check = data[taken + RECORD_HEAD.size - CHECK_BYTES : taken + RECORD_HEAD.size]
                taken += size
                yield record
            self._offset += taken
            if not taken:
                return  # the rest of a record is still to come, or was torn off by a crash


def _whole_records(data: bytes, check: bytes) -> Iterator[tuple[bytes, int]]:
    """(record, its size in the file) for each record that is there whole, and whose checks hold."""
    at = 0
    while at + RECORD_HEAD.size <= len(data):
        length, length_check, record_check = RECORD_HEAD.unpack_from(data, at)
        prefix = check + length.to_bytes(4, "little")
        record = data[at + RECORD_HEAD.size : at + RECORD_HEAD.size + length]
        if hashlib.sha256(prefix).digest()[:4] != length_check or len(record) < length:
            return
        if hashlib.sha256(prefix + record).digest()[:CHECK_BYTES] != record_check:
            return
        yield record, RECORD_HEAD.size + length
        at += RECORD_HEAD.size + length
        check = record_check


class VoteAudit:
    """What each member has signed so far, and every conflict found."""

    def __init__(self) -> None:
        self.conflicts: list[str] = []
        self.votes = 0
        self._seen: dict[tuple[int, str, int, int], bytes] = {}

    def take(self, member: int, data: bytes) -> None:
        """One raw record of this member's journal."""
        if data[:1] != REPLICA_RECORD:
            return  # a transaction's body
        try:
            record = read_record(data[1:])
            for whose, kind, view, height, digest in _claims(member, record):
                self._note(whose, kind, view, height, digest)
        except (CodecError, JournalDamaged) as error:
            self.conflicts.append(f"member {member} wrote a record that cannot be read: {error}")

    def _note(self, whose: int, kind: str, view: int, height: int, digest: bytes) -> None:
        before = self._seen.setdefault((whose, kind, view, height), digest)
        self.votes += before is digest
        if before != digest:
            who = "there are two" if whose == EVERYBODY else f"member {whose} signed two"
            self.conflicts.append(
                f"{who} {kind} for view {view}, height {height}: {before.hex()[:16]} and {digest.hex()[:16]}"
            )


Claim = tuple[int, str, int, int, bytes]  # whose, kind, view, height, digest


def _claims(member: int, record: Record) -> Iterator[Claim]:
    """What a record says that may never be said otherwise."""
    match record:
        case Voted(kind, vote):
            if vote.sender != member:
                raise JournalDamaged(f"a {kind} that member {vote.sender} signed")
            yield member, kind, vote.view, vote.height, vote.digest
        case Certified(certificate):
            yield member, COMMIT, certificate.view, certificate.height, certificate.digest
            yield EVERYBODY, "prepared certificates", certificate.view, certificate.height, certificate.digest
        case CommitHeld(certificate):
            yield EVERYBODY, "final batches", 0, certificate.height, certificate.digest
        case CheckpointSigned(checkpoint):
            yield member, "checkpoint", 0, checkpoint.height, checkpoint.header_hash
        case Left(view, envelope):
            yield member, "view-change", view, 0, hashlib.sha256(envelope.body).digest()
        case Entered(view, envelope):
            body = open_body(NEW_VIEW, envelope.body)
            assert isinstance(body, NewView), "by its kind"
            yield EVERYBODY, "new-view", view, 0, hashlib.sha256(envelope.body).digest()
        case _:
            pass


class VoteWatch:
    """Follows the journals of all members."""

    def __init__(self, paths: dict[int, Path]) -> None:
        self.audit = VoteAudit()
        self._followers = {member: JournalFollower(path) for member, path in paths.items()}

    @property
    def rewritings(self) -> int:
        """How often a journal was replaced by a shorter one."""
        return sum(max(0, follower.generations - 1) for follower in self._followers.values())

    def poll(self) -> None:
        """Read on."""
        for member, follower in self._followers.items():
            for record in follower.poll():
                self.audit.take(member, record)

    def close(self) -> None:
        """Let go of the files."""
        for follower in self._followers.values():
            follower.close()
