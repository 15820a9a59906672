"""The vote journal: every record whole, every signature right, no two words for one place, none against the chain.

The frames are read by their own words (`ledger.journal` says them), so that damage has an offset. A torn tail, which a
process leaves that dies while it appends, is no damage: nothing that rested on it was sent.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from consensus.certificates import commit_holds, prepared_holds
from consensus.committee import Committee
from consensus.errors import JournalDamaged, MessageRefused
from consensus.messages import COMMIT, VIEW_CHANGE, CommitCertificate, NewView, ViewChange, Vote, open_body
from consensus.recovery import (
    BatchHeld,
    Certified,
    CheckpointSigned,
    CommitHeld,
    Entered,
    Left,
    Record,
    Voted,
    read_record,
)
from consensus.view_change import open_view_changes, require_view_change
from ledger import crypto
from ledger.errors import CodecError
from ledger.transactions import read_transaction, signature_holds
from ledger.types import Genesis, Header
from network.audit.findings import Finding, Wrong, first_difference, mending_byte, shown
from network.driver import BODY_RECORD, REPLICA_RECORD

_HEADER = struct.Struct("<8sIQ")
_FRAME = struct.Struct("<I4s16s")  # length, check of the length, check of the record
_CHECK_BYTES = 16
_MAGIC = b"QUORATEJ"


def frames(data: bytes, name: str) -> Iterator[tuple[int, int, bytes]]:
    """(number, offset of the record's own bytes, record). Raises `Wrong` at the first byte that does not hold."""
    begin = _HEADER.size + _CHECK_BYTES
    head, check = data[: _HEADER.size], data[_HEADER.size : begin]
    if _digest(head) != check or not head.startswith(_MAGIC):
        mended = mending_byte(head + check, lambda changed: _digest(changed[: len(head)]) == changed[len(head) :])
        place = mended[0] if mended else 0
        raise Wrong(Finding(name, "the file's header", "its check does not hold", None, place, mended is not None))
    number, offset = 0, begin
    while offset + _FRAME.size <= len(data):
        frame = data[offset : offset + _FRAME.size]
        length, length_check, record_check = _FRAME.unpack(frame)
        if _digest(check + frame[:4])[:4] != length_check:
            if not any(data[offset:]):
                return
            raise Wrong(_damaged_length(name, number, offset, check, frame))
        record = data[offset + _FRAME.size : offset + _FRAME.size + length]
        if len(record) < length:
            return
        right = _digest(check + frame[:4] + record)
        if right != record_check:
            raise Wrong(_damaged_record(name, number, offset, check, frame, record))
        yield number, offset + _FRAME.size, record
        check, number, offset = right, number + 1, offset + _FRAME.size + length


def _damaged_length(name: str, number: int, offset: int, check: bytes, frame: bytes) -> Finding:
    mended = mending_byte(frame[:8], lambda changed: _digest(check + changed[:4])[:4] == changed[4:])
    place = offset + (mended[0] if mended else 0)
    part = f"the length of record {number}"
    return Finding(name, part, "its check does not hold", None, place, exact=mended is not None)


def _damaged_record(name: str, number: int, offset: int, check: bytes, frame: bytes, record: bytes) -> Finding:
    """The record, or the check before it: of two explanations the one that a reader of the file comes to first."""
    stored, begins = frame[8:], offset + _FRAME.size
    right = _digest(check + frame[:4] + record)
    differing = sum(mine != yours for mine, yours in zip(stored, right, strict=True))
    if differing == 1:
        place = first_difference(stored, right)
        assert place is not None
        part = f"the check of record {number}"
        return Finding(name, part, "it is not that of the record", None, offset + 8 + place, exact=True)
    mended = mending_byte(record, lambda changed: _digest(check + frame[:4] + changed) == stored)
    place = begins + (mended[0] if mended else 0)
    return Finding(name, f"record {number}", "its check does not hold", None, place, exact=mended is not None)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_CHECK_BYTES]


class JournalAudit:
    """Goes through one journal. `header_at` gives the stored headers."""

    def __init__(self, path: Path, genesis: Genesis, header_at: Callable[[int], Header | None]) -> None:
        self._path = path
        self._genesis = genesis
        self._header_at = header_at
        self._committee = Committee(genesis.chain_id, 0, genesis.validators, crypto.verify)
        self._signer: int | None = None
        self._signed: dict[tuple[str, int, int], bytes] = {}
        self._final: dict[int, CommitCertificate] = {}
        self._prepared: list[tuple[int, Certified]] = []
        self._at = (0, 0)

    def run(self) -> int:
        """How many records there are. Raises `Wrong`."""
        if not self._path.exists():
            raise Wrong(Finding(self._path.name, "the file", "it is missing: what this member signed is forgotten"))
        count = 0
        for number, offset, record in frames(self._path.read_bytes(), self._path.name):
            self._at = (number, offset)
            self._check(record)
            count += 1
        self._check_final()
        return count

    def _wrong(self, because: str, height: int | None = None, at: tuple[int, int] | None = None) -> Wrong:
        number, offset = at or self._at
        return Wrong(Finding(self._path.name, f"record {number}", because, height, offset))

    def _check(self, data: bytes) -> None:
        if data[:1] == BODY_RECORD:
            self._check_body(data[1:])
        elif data[:1] == REPLICA_RECORD:
            try:
                self._check_record(read_record(data[1:]))
            except JournalDamaged as error:
                raise self._wrong(str(error)) from None
        else:
            raise self._wrong(f"it begins with {data[:1]!r}, which is no kind of record")

    def _check_body(self, raw: bytes) -> None:
        try:
            transaction = read_transaction(raw)
        except CodecError as error:
            raise self._wrong(f"it is no transaction: {error}") from None
        if transaction.body.chain_id != self._genesis.chain_id or not signature_holds(raw, transaction):
            raise self._wrong("it is a transaction whose signature does not hold on this chain")

    def _check_record(self, record: Record) -> None:
        match record:
            case BatchHeld(digest, batch):
                if batch.digest != digest:
                    raise self._wrong("the batch does not have the digest under which it is held", batch.height)
            case Voted(kind, vote, signature):
                self._own(kind, vote.sender, vote.encode(), signature, vote.view, vote.height, vote.digest)
            case Certified(certificate, signature):
                self._check_prepared(record)
                for member in range(self._committee.size) if self._signer is None else (self._signer,):
                    vote = Vote(0, certificate.view, certificate.height, member, certificate.digest)
                    if self._signer is not None or self._committee.signed_by(COMMIT, member, vote.encode(), signature):
                        self._own(COMMIT, member, vote.encode(), signature, vote.view, vote.height, vote.digest)
                        break
                else:
                    raise self._wrong("its COMMIT is signed by no member", certificate.height)
            case CommitHeld(certificate):
                self._check_commit(certificate)
            case CheckpointSigned(body, signature):
                self._own("checkpoint", body.sender, body.encode(), signature, 0, body.height, body.header_hash)
                header = self._header_at(body.height)
                if header is not None and header.hash != body.header_hash:
                    because = f"it signed header {body.header_hash.hex()}, the chain has {header.hash.hex()}"
                    raise self._wrong(because, body.height)
            case Left(view, envelope):
                self._check_left(view, envelope.body, envelope.signature)
            case Entered(view, envelope):
                self._check_entered(view, envelope.kind, envelope.body, envelope.signature)
            case _:
                pass  # words about oneself, that bind nobody else

    def _check_left(self, view: int, data: bytes, signature: bytes) -> None:
        body = self._opened(VIEW_CHANGE, data)
        if not isinstance(body, ViewChange) or body.view != view:
            raise self._wrong(f"it is no VIEW-CHANGE for view {view}")
        self._own(VIEW_CHANGE, body.sender, data, signature, view, 0, data)
        self._check_view_changes((body,))

    def _check_entered(self, view: int, kind: str, data: bytes, signature: bytes) -> None:
        body = self._opened(kind, data)
        if not isinstance(body, NewView) or body.view != view or body.sender >= self._committee.size:
            raise self._wrong(f"it is no NEW-VIEW for view {view}")
        if not self._committee.signed_by(kind, body.sender, data, signature):
            raise self._wrong(f"its NEW-VIEW is not signed by member {body.sender}")
        try:
            opened = open_view_changes(self._committee, body)
        except MessageRefused as refused:
            raise self._wrong(f"its NEW-VIEW does not hold: {refused.reason}") from None
        for each, signed in zip(opened, body.view_changes, strict=True):
            if not self._committee.signed_by(VIEW_CHANGE, each.sender, signed.body, signed.signature):
                raise self._wrong(f"a VIEW-CHANGE in its NEW-VIEW is not signed by member {each.sender}")
        self._check_view_changes(opened)

    def _check_view_changes(self, bodies: tuple[ViewChange, ...]) -> None:
        """Every certificate holds, and every seal is that of the chain."""
        for body in bodies:
            try:
                require_view_change(self._committee, self._genesis.parameters.window, body)
            except MessageRefused as refused:
                raise self._wrong(f"a VIEW-CHANGE of member {body.sender} does not hold: {refused.reason}") from None
            header = self._header_at(body.seal.height) if body.seal else None
            if header is not None and body.seal and header.hash != body.seal.header_hash:
                because = f"a seal of {body.seal.header_hash.hex()}, the chain has {header.hash.hex()}"
                raise self._wrong(because, header.height)

    def _opened(self, kind: str, data: bytes) -> object:
        try:
            return open_body(kind, data)
        except CodecError as error:
            raise self._wrong(f"its message does not decode: {error}") from None

    def _own(self, kind: str, member: int, body: bytes, signature: bytes, view: int, height: int, says: bytes) -> None:
        """A message that the journal's member signed: the one member, its signature, one word for one place."""
        at_height = height or None
        if self._signer is None:
            self._signer = member
        if member != self._signer:
            raise self._wrong(f"it is a {kind} of member {member}, the journal is that of {self._signer}", at_height)
        if member >= self._committee.size or not self._committee.signed_by(kind, member, body, signature):
            raise self._wrong(f"its {kind} is not signed by member {member}", at_height)
        held = self._signed.setdefault((kind, view, height), says)
        if held != says:
            because = f"a second {kind} for view {view}, height {height}: {shown(says)}, before it {shown(held)}"
            raise self._wrong(because, at_height)

    def _check_prepared(self, record: Certified) -> None:
        if not prepared_holds(self._committee, record.certificate):
            raise self._wrong("its prepared certificate does not hold", record.certificate.height)
        self._prepared.append((self._at[0], record))

    def _check_commit(self, certificate: CommitCertificate) -> None:
        height, header = certificate.height, self._header_at(certificate.height)
        if not commit_holds(self._committee, certificate):
            raise self._wrong("its commit certificate does not hold", height)
        if header is not None and header.batch_digest != certificate.digest:
            because = f"batch {certificate.digest.hex()} is final there, the chain has {header.batch_digest.hex()}"
            raise self._wrong(because, height)
        held = self._final.setdefault(height, certificate)
        if held.digest != certificate.digest:
            raise self._wrong(f"a second batch is final there: {certificate.digest.hex()}", height)

    def _check_final(self) -> None:
        """What was prepared in the view of a commit, or above it, is what was committed."""
        for number, record in self._prepared:
            mine, final = record.certificate, self._final.get(record.certificate.height)
            if final is not None and mine.view >= final.view and mine.digest != final.digest:
                because = f"prepared {mine.digest.hex()} in view {mine.view}, final since {final.view} is another"
                raise self._wrong(because, mine.height, (number, 0))
