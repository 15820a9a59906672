"""What a message of this member that comes back says about its journal. Sends nothing, changes nothing.

A record is durable before its message leaves (P6.1), so an intact journal shows every PRE-PREPARE, PREPARE, COMMIT
and CHECKPOINT above its base and the last VIEW-CHANGE and NEW-VIEW; of one height it keeps each kind's latest view.
A message that it should show and does not proves that the journal is not the one that this member wrote (P6.6).
"""

from __future__ import annotations

from consensus.messages import Body, Envelope, NewView, ViewChange, Vote, open_body
from consensus.recovery import Entered, Journal, Left
from ledger.errors import CodecError
from ledger.types import Checkpoint

KNOWN, LOST, FORGOTTEN, DIFFERENT = "known", "lost", "forgotten", "different"


def recognise(journal: Journal, resumed_height: int, envelope: Envelope, body: Body) -> str:
    """KNOWN proves nothing; LOST is missing from the journal; DIFFERENT contradicts what it shows in that place.

    A member that lost its journal once signed at and below `resumed_height` what it does not remember: that is no news,
    but a promise to leave a view that comes back is FORGOTTEN no longer. No signature is checked here.
    """
    match body:
        case Vote():
            return _vote(journal, resumed_height, envelope.kind, body)
        case Checkpoint(_, height, _, header_hash):
            if height <= journal.base:
                return KNOWN
            shown = journal.checkpoint_at(height)
            return LOST if shown is None else _same(shown, header_hash)
        case ViewChange():
            found = _promise(body.view, envelope.body, journal.left)
            return FORGOTTEN if found != KNOWN and _is_past(resumed_height, body) else found
        case NewView():
            own = _own_view_change(body)
            past = own is None or _is_past(resumed_height, own)
            return KNOWN if past else _promise(body.view, envelope.body, journal.entered)
    return KNOWN  # SUSPECT and STATUS leave no record


def _vote(journal: Journal, resumed_height: int, kind: str, vote: Vote) -> str:
    """A vote above the journal's base is there, or a later one of its kind and height; its view was entered."""
    if vote.height <= resumed_height:
        return KNOWN
    if vote.view > (journal.entered.view if journal.entered else 0):
        return LOST
    if vote.height <= journal.base:
        return KNOWN
    shown = journal.voted(kind, vote.height)
    if shown is None or shown[0] < vote.view:
        return LOST
    return _same(shown[1], vote.digest) if shown[0] == vote.view else KNOWN


def _promise(view: int, body: bytes, shown: Left | Entered | None) -> str:
    """Of these the journal keeps the one of the highest view only."""
    if shown is None or view > shown.view:
        return LOST
    return _same(shown.envelope.body, body) if view == shown.view else KNOWN


def _same(shown: bytes, found: bytes) -> str:
    return KNOWN if shown == found else DIFFERENT


def _is_past(resumed_height: int, body: ViewChange) -> bool:
    """Whether it was signed before the loss: since then every VIEW-CHANGE shows a seal at that height or above."""
    return (body.seal.height if body.seal else 0) < resumed_height


def _own_view_change(body: NewView) -> ViewChange | None:
    """The VIEW-CHANGE of the NEW-VIEW's own sender, which every NEW-VIEW of a correct member holds."""
    for signed in body.view_changes:
        try:
            opened = open_body("view-change", signed.body)
        except CodecError:
            return None
        if isinstance(opened, ViewChange) and opened.sender == body.sender:
            return opened
    return None
