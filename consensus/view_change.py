"""What a new view must propose again: a pure function of its VIEW-CHANGEs, computed by everyone alike.

For every height above the highest seal among them, up to the highest prepared one: the certificate of the highest
view wins, a height without any gets the null batch (P4.5). Knows no replica, sends nothing, keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from consensus.certificates import prepared_holds, seal_holds
from consensus.committee import Committee
from consensus.errors import MessageRefused
from consensus.messages import NewView, PreparedCertificate, SignedViewChange, ViewChange, open_body
from ledger.errors import CodecError
from ledger.types import Batch, Seal


class Choice(msgspec.Struct, frozen=True):
    """Where a view starts: above `base`, with one entry a height, None for the null batch."""

    base: Seal | None
    certificates: tuple[PreparedCertificate | None, ...]

    @property
    def base_height(self) -> int:
        """The height that the view starts above."""
        return self.base.height if self.base else 0

    @property
    def fresh_from(self) -> int:
        """The first height that the view's start leaves open."""
        return self.base_height + len(self.certificates) + 1

    @property
    def digests(self) -> tuple[bytes, ...]:
        """The digests that a NEW-VIEW carries the batches of, by ascending height."""
        return tuple(certificate.digest for certificate in self.certificates if certificate)


def null_batch(committee: Committee, view: int, height: int, since: int) -> Batch:
    """The batch that fills a gap: empty, first proposed by the new view itself; the parent gives its time."""
    return Batch(committee.epoch, height, view, committee.primary(view), 0, (), since)


def require_view_change(committee: Committee, window: int, body: ViewChange) -> None:
    """Raise `MessageRefused` unless every certificate in it holds, each in its place (P4.3). The costly check."""
    base = body.seal.height if body.seal else 0
    if body.seal and (base == 0 or not seal_holds(committee, body.seal)):
        raise MessageRefused("invalid_seal")
    last = base
    for certificate in body.prepared:
        if not last < certificate.height <= base + window or certificate.view >= body.view:
            raise MessageRefused("misplaced_certificate")
        if not prepared_holds(committee, certificate):
            raise MessageRefused("invalid_certificate")
        last = certificate.height


def require_batches(digests: Sequence[bytes], heights: Sequence[int], batches: Sequence[Batch]) -> None:
    """Raise `MessageRefused` unless `batches` are exactly those of these digests, in order."""
    found = [(batch.height, batch.digest) for batch in batches]
    if found != list(zip(heights, digests, strict=True)):
        raise MessageRefused("wrong_batches")


def choose(view_changes: Sequence[ViewChange]) -> Choice:
    """Recompute the start of a view. Raises `MessageRefused` where two certificates of one view contradict."""
    seals = [body.seal for body in view_changes if body.seal]
    base = max(seals, key=lambda seal: seal.height, default=None)
    base_height = base.height if base else 0
    highest: dict[int, PreparedCertificate] = {}
    for body in view_changes:
        for certificate in body.prepared:
            rival = highest.get(certificate.height)
            if rival and rival.view == certificate.view and rival.digest != certificate.digest:
                raise MessageRefused("contradicting_certificates")
            if certificate.height > base_height and (rival is None or rival.view < certificate.view):
                highest[certificate.height] = certificate
    top = max(highest, default=base_height)
    return Choice(base, tuple(highest.get(height) for height in range(base_height + 1, top + 1)))


def contradictions(view_changes: Sequence[ViewChange]) -> Iterator[tuple[PreparedCertificate, PreparedCertificate]]:
    """Pairs of certificates of one view and height for different digests: their common members signed twice."""
    first: dict[tuple[int, int], PreparedCertificate] = {}
    for body in view_changes:
        for certificate in body.prepared:
            rival = first.setdefault((certificate.view, certificate.height), certificate)
            if rival.digest != certificate.digest:
                yield rival, certificate


def proposals(committee: Committee, view: int, choice: Choice, batches: Sequence[Batch]) -> tuple[Batch, ...]:
    """The batches of a view's start, by ascending height from `choice.base_height + 1`, nulls filled in."""
    by_height: Mapping[int, Batch] = {batch.height: batch for batch in batches}
    return tuple(
        by_height[height] if certificate else null_batch(committee, view, height, choice.fresh_from)
        for height, certificate in enumerate(choice.certificates, choice.base_height + 1)
    )


def open_view_changes(committee: Committee, body: NewView) -> tuple[ViewChange, ...]:
    """The VIEW-CHANGEs of a NEW-VIEW: for its view, by ascending distinct members, a quorum. Form only."""
    opened: list[ViewChange] = []
    power = 0
    for signed in body.view_changes:
        view_change = _open(signed)
        if view_change.view != body.view or view_change.epoch != body.epoch:
            raise MessageRefused("view_change_for_another_view")
        if not (opened[-1].sender if opened else -1) < view_change.sender < committee.size:
            raise MessageRefused("view_changes_out_of_order")
        opened.append(view_change)
        power += committee.powers[view_change.sender]
    if power < committee.quorum:
        raise MessageRefused("no_quorum")
    return tuple(opened)


def _open(signed: SignedViewChange) -> ViewChange:
    try:
        body = open_body("view-change", signed.body)
    except CodecError:
        raise MessageRefused("malformed") from None
    assert isinstance(body, ViewChange)
    return body
