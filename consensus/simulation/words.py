"""Messages, records, events and actions in the protocol's words, one line each: "PREPARE v0 h3 d=ab12cd34 by 2".

Knows every shape that a replica takes in or lets out, and what a reader calls it. Judges nothing; what is no message
is said to be none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from consensus.actions import Action, Broadcast, Deliver, Evidence, Fetch, FetchBodies, Halt, Persist, Sealed, Send
from consensus.errors import MessageRefused
from consensus.events import BatchReady, BlockFetched, BodiesReady, BodiesRefused, Event, Executed, Received
from consensus.messages import (
    CommitCertificate,
    Envelope,
    NewView,
    PreparedCertificate,
    Status,
    Suspect,
    ViewChange,
    Vote,
    open_envelope,
)
from consensus.recovery import (
    BatchHeld,
    Certified,
    CheckpointSigned,
    CommitHeld,
    Entered,
    Left,
    Voted,
    read_record,
)
from ledger.types import Batch, Checkpoint, Seal


class Phrase(NamedTuple):
    """A line of a transcript without its time and place.

    `heights` are those that it is about, () for none in particular. `chatter` is what a reader can mostly do without.
    `once` is the same for a message that is heard or sent again, to whomever.
    """

    text: str
    heights: tuple[int, ...] = ()
    chatter: bool = False
    once: str = ""


def short(digest: bytes) -> str:
    """As much of a digest as a person compares."""
    return digest.hex()[:8]


# ── messages ──────────────────────────────────────────────────────────────────────────────────────


def message(data: bytes) -> Phrase:
    """An envelope, opened."""
    try:
        envelope, _ = open_envelope(data)
    except MessageRefused as refused:
        return Phrase(f"{len(data)} bytes that are no message ({refused})")
    return opened(envelope, data)


def opened(envelope: Envelope, data: bytes = b"") -> Phrase:
    """A well-formed envelope."""
    _, body = open_envelope(data or envelope.encode())
    kind = envelope.kind.upper()
    match body:
        case Vote(_, view, height, sender, digest):
            beside = "".join(f" {batch(each)}" for each in envelope.batches)
            return Phrase(f"{kind} v{view} h{height} d={short(digest)} by {sender}{beside}", (height,))
        case Checkpoint():
            return Phrase(f"{kind} h{body.height} header={short(body.header_hash)} by {body.sender}", (body.height,))
        case Suspect(_, view, height, sender):
            return Phrase(f"{kind} v{view} h{height} by {sender}", (height,))
        case ViewChange(_, view, sender, seal, prepared):
            shown = ", ".join(certificate(each) for each in prepared) or "nothing"
            heights = tuple(each.height for each in prepared)
            return Phrase(f"{kind} to v{view} by {sender}: {sealed(seal)}, prepared {shown}", heights)
        case NewView(_, view, sender, view_changes):
            again = ", ".join(f"h{each.height} {batch(each)}" for each in envelope.batches) or "nothing"
            heights = tuple(each.height for each in envelope.batches)
            return Phrase(
                f"{kind} v{view} by {sender} from {len(view_changes)} VIEW-CHANGEs: proposes again {again}", heights
            )
        case Status():
            return _status(kind, body)


def _status(kind: str, body: Status) -> Phrase:
    where = f"changing to v{body.view}" if body.changing else f"v{body.view}"
    final = ", ".join(certificate(each) for each in body.final)
    text = f"{kind} {where} by {body.sender}: delivered h{body.height}, {sealed(body.seal)}"
    text += f", further {''.join(str(each) for each in body.progress)}" if body.progress else ""
    text += f", hands over {final}" if final else ""
    text += ", forgetful" if body.forgetful else ""
    return Phrase(text, tuple(each.height for each in body.final), chatter=not body.final)


def certificate(held: PreparedCertificate | CommitCertificate) -> str:
    """A certificate by what it certifies."""
    return f"v{held.view} h{held.height} d={short(held.digest)}"


def sealed(seal: Seal | None) -> str:
    """A seal by its height."""
    return f"seal h{seal.height}" if seal else "no seal"


def batch(held: Batch) -> str:
    """A batch by its size and its first proposal."""
    if not held.hashes:
        return "[null batch]"
    return f"[{len(held.hashes)} transactions, first proposed in v{held.view} by {held.proposer}]"


# ── what a node writes down ───────────────────────────────────────────────────────────────────────


def record(data: bytes) -> Phrase:
    """A record of the vote journal."""
    found = read_record(data)
    match found:
        case BatchHeld(digest, held):
            return Phrase(f"batch h{held.height} d={short(digest)} {batch(held)}", (held.height,))
        case Voted(kind, vote):
            text = f"{kind.upper()} v{vote.view} h{vote.height} d={short(vote.digest)}"
            return Phrase(text, (vote.height,))
        case Certified(held):
            return Phrase(f"prepared certificate {certificate(held)}, and COMMIT", (held.height,))
        case CommitHeld(held):
            return Phrase(f"commit certificate {certificate(held)}", (held.height,))
        case CheckpointSigned(checkpoint):
            text = f"CHECKPOINT h{checkpoint.height} header={short(checkpoint.header_hash)}"
            return Phrase(text, (checkpoint.height,))
        case Left(_, envelope) | Entered(_, envelope):
            return opened(envelope)
    return Phrase(plain(found))


def plain(thing: object) -> str:
    """Any other frozen value, by its name and its fields, bytes shortened."""
    fields: Iterable[str] = getattr(thing, "__struct_fields__", ())
    shown = ", ".join(f"{name} {_value(getattr(thing, name))}" for name in fields if name != "now_ms")
    return f"{type(thing).__name__} {shown}".rstrip()


def _value(value: object) -> str:
    match value:
        case bytes():
            return short(value)
        case Batch():
            return batch(value)
        case tuple() if len(value) > 8:
            return f"{len(value)} of them"
        case tuple():
            return "(" + ", ".join(_value(each) for each in value) + ")"
    return str(value)


# ── what a replica hears and asks for ─────────────────────────────────────────────────────────────

# An arrow shows where a line goes: into the replica, out of it, or to the disk.


def event(heard: Event) -> Phrase:
    """What a replica is told."""
    match heard:
        case Received(data):
            return _arrow("<-", message(data), "<-")
        case BatchReady(height, view, hashes):
            return Phrase(f"its node offers {len(hashes)} transactions for v{view} h{height}", (height,))
        case BodiesReady(digest) | BodiesRefused(digest):
            return Phrase(f"{type(heard).__name__} d={short(digest)}", chatter=True)
        case Executed(height, header_hash):
            return Phrase(f"executed h{height}: header={short(header_hash)}", (height,))
        case BlockFetched(header):
            return Phrase(f"<- sealed block h{header.height} header={short(header.hash)}", (header.height,))
    return Phrase(plain(heard), chatter=True)


def action(asked: Action) -> Phrase:
    """What a replica asks for."""
    match asked:
        case Persist(data):
            return _arrow("persists", record(data), "")
        case Send(member, data):
            return _arrow(f"-> {member}", message(data), "->")
        case Broadcast(data):
            return _arrow("-> all", message(data), "->")
        case Deliver(height, held, digest):
            return Phrase(f"== delivers h{height} d={short(digest)} {batch(held)}", (height,))
        case Sealed(height, header_hash):
            return Phrase(f"== sealed h{height} header={short(header_hash)}", (height,))
        case FetchBodies(held):
            return Phrase(f"needs the bodies of h{held.height} d={short(held.digest)}", (held.height,), chatter=True)
        case Fetch(member, first, last):
            return Phrase(f"asks {member} for the sealed blocks h{first} to h{last}", tuple(range(first, last + 1)))
        case Evidence(kind, member, one, other):
            return Phrase(f"!! evidence of {kind} against {member}: {message(one).text} / {message(other).text}")
        case Halt(diagnosis):
            return Phrase(f"!! halts: {diagnosis}")
    return Phrase(plain(asked), chatter=type(asked).__name__ != "ViewChanged")


def _arrow(arrow: str, phrase: Phrase, way: str) -> Phrase:
    return phrase._replace(text=f"{arrow} {phrase.text}", once=f"{way} {phrase.text}" if way else "")
