"""The messages of the protocol: their shapes and their one encoding. Knows no rule but form.

A message travels as an `Envelope`: what kind it is, the signed body, the signature, and the batches that the body
names by digest. Batches ride outside of the signature, so that a vote, a certificate and a piece of evidence stay
small; a body binds every one of them by its digest. Rules: docs/protocol.md, section 2.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from consensus.errors import MessageRefused
from ledger import codec
from ledger.errors import CodecError
from ledger.types import HEIGHT_MAX, Batch, Checkpoint, Count, Hash, Height, MemberIndex, Seal, SealSignature, Struct
from ledger.types import Signature as SignatureBytes

MESSAGE_BYTES_MAX = 32 << 20
WINDOW_MAX = 256
MEMBERS_MAX = 1024
VIEW_MAX = HEIGHT_MAX
TOKEN_MAX = (1 << 63) - 1

View = Annotated[int, Meta(ge=0, le=VIEW_MAX)]
Token = Annotated[int, Meta(ge=0, le=TOKEN_MAX)]
Signatures = Annotated[tuple[SealSignature, ...], Meta(max_length=MEMBERS_MAX)]

PRE_PREPARE: Final = "pre-prepare"
PREPARE: Final = "prepare"
COMMIT: Final = "commit"
CHECKPOINT: Final = "checkpoint"
SUSPECT: Final = "suspect"
VIEW_CHANGE: Final = "view-change"
NEW_VIEW: Final = "new-view"
STATUS: Final = "status"
Kind = Literal["pre-prepare", "prepare", "commit", "checkpoint", "suspect", "view-change", "new-view", "status"]


class Envelope(Struct, frozen=True):
    """What travels. `batches` are those that the body names by digest, in its order, and no others."""

    kind: Kind
    body: bytes
    signature: SignatureBytes
    batches: Annotated[tuple[Batch, ...], Meta(max_length=WINDOW_MAX)] = ()


class Vote(Struct, frozen=True):
    """The body of PRE-PREPARE, PREPARE and COMMIT: this digest, at this height, in this view."""

    epoch: Count
    view: View
    height: Height
    sender: MemberIndex
    digest: Hash


class Suspect(Struct, frozen=True):
    """The body of SUSPECT: in this view, this height does not come to a commit in time."""

    epoch: Count
    view: View
    height: Height
    sender: MemberIndex


class PreparedCertificate(Struct, frozen=True):
    """A quorum of PREPAREs for one (view, height, digest), by ascending distinct member."""

    view: View
    height: Height
    digest: Hash
    signatures: Signatures


class CommitCertificate(Struct, frozen=True):
    """A quorum of COMMITs for one (view, height, digest), by ascending distinct member: that batch is final."""

    view: View
    height: Height
    digest: Hash
    signatures: Signatures


class ViewChange(Struct, frozen=True):
    """The body of VIEW-CHANGE: I left every view below `view`; my highest seal, and what I prepared above it."""

    epoch: Count
    view: View
    sender: MemberIndex
    seal: Seal | None
    prepared: Annotated[tuple[PreparedCertificate, ...], Meta(max_length=WINDOW_MAX)]


class SignedViewChange(Struct, frozen=True):
    """A VIEW-CHANGE as a NEW-VIEW carries it: without its batches."""

    body: bytes
    signature: SignatureBytes


class NewView(Struct, frozen=True):
    """The body of NEW-VIEW: a quorum of VIEW-CHANGEs. What is proposed again follows from them (`view_change`)."""

    epoch: Count
    view: View
    sender: MemberIndex
    view_changes: Annotated[tuple[SignedViewChange, ...], Meta(max_length=MEMBERS_MAX)]


class Status(Struct, frozen=True):
    """The body of STATUS: where I stand, so that peers send what I lack. Not a vote: it may say something new any time.

    `height` is the last one delivered, `seal` that of the last sealed one (None at genesis). `progress` says of each
    height after `height` how far it came in `view`: 0 nothing, 1 proposal, 2 prepared, 3 final here in whatever view.
    `final` hands a laggard what is final above its height. `forgetful`: my journal lost something.

    `number` rises with every STATUS of this member: a lower one is old (0: not counted). `token` asks what the others
    hold of mine; `echo` is the token of the member `answers`, which this one answers (0: none). `reach` is the highest
    height that I sealed or signed a CHECKPOINT at.
    """

    epoch: Count
    view: View
    sender: MemberIndex
    changing: bool
    height: Height
    seal: Seal | None
    progress: Annotated[tuple[Annotated[int, Meta(ge=0, le=3)], ...], Meta(max_length=2 * WINDOW_MAX)]
    final: Annotated[tuple[CommitCertificate, ...], Meta(max_length=WINDOW_MAX)]
    forgetful: bool
    number: Count = 0
    token: Token = 0
    echo: Token = 0
    answers: MemberIndex = 0
    reach: Height = 0


Body = Vote | Checkpoint | Suspect | ViewChange | NewView | Status

BODIES: dict[str, type[Body]] = {
    PRE_PREPARE: Vote,
    PREPARE: Vote,
    COMMIT: Vote,
    CHECKPOINT: Checkpoint,
    SUSPECT: Suspect,
    VIEW_CHANGE: ViewChange,
    NEW_VIEW: NewView,
    STATUS: Status,
}


def open_envelope(data: bytes) -> tuple[Envelope, Body]:
    """Decode a message and its body. Form only: no signature is checked. Raises `MessageRefused("malformed")`."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise MessageRefused("too_large")
    try:
        envelope = codec.decode(data, Envelope)
        return envelope, open_body(envelope.kind, envelope.body)
    except CodecError:
        raise MessageRefused("malformed") from None


def open_body(kind: str, body: bytes) -> Body:
    """Decode the body of a message of `kind`. Raises `CodecError`."""
    opened: Body = codec.decode(body, BODIES[kind])
    return opened
