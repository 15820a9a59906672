"""The marker beside the block store: what it says was stored has to be there. Read by its own words, never written.

Two slots, 4096 bytes apart, written in turn: magic, sequence, stored height, synced height, hash of the stored header,
check. A file that was never written has two empty slots.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import NamedTuple

from network.audit.findings import Finding, Wrong, mending_byte

_SLOT = struct.Struct("<8sQqq32s")
_CHECK_BYTES = 16
_DISTANCE = 4096
_MAGIC = b"QUORATEM"


class Marked(NamedTuple):
    """What the newest slot says, and where in the file it lies."""

    offset: int
    sequence: int
    stored_height: int
    synced_height: int
    stored_hash: bytes


def read_marker(path: Path) -> Marked | None:
    """The newest mark, None where none was ever written. Raises `Wrong` for a slot that does not hold."""
    data = path.read_bytes() if path.exists() else b""
    found = [each for each in (_read(data, path.name, offset) for offset in (0, _DISTANCE)) if each]
    return max(found, key=lambda each: each.sequence, default=None)


def _read(data: bytes, name: str, offset: int) -> Marked | None:
    slot = data[offset : offset + _SLOT.size + _CHECK_BYTES]
    if not any(slot):
        return None
    if not _holds(slot):
        mended = mending_byte(slot, _holds)
        place = offset + (mended[0] if mended else 0)
        because = "its check does not hold"
        raise Wrong(Finding(name, f"slot {offset // _DISTANCE}", because, None, place, exact=mended is not None))
    _, sequence, stored, synced, stored_hash = _SLOT.unpack(slot[: _SLOT.size])
    return Marked(offset, sequence, stored, synced, stored_hash)


def _holds(slot: bytes) -> bool:
    body, check = slot[: _SLOT.size], slot[_SLOT.size :]
    return body.startswith(_MAGIC) and hashlib.sha256(body).digest()[:_CHECK_BYTES] == check


def check_marker(marked: Marked | None, name: str, height: int, hash_at: dict[int, bytes]) -> None:
    """Hold the mark against a store that ends at `height`; `hash_at` has the hash of the marked block, if it is there.

    Raises `Wrong`.
    """
    if marked is None:
        if height >= 0:
            raise Wrong(Finding(name, "the marker", f"there is none, and the store has blocks up to {height}"))
        return
    reached = max(marked.stored_height, marked.synced_height)
    if reached > height:
        because = f"the store ends at {height}, and blocks up to {reached} were stored"
        raise Wrong(Finding("blocks/", f"block {height + 1}", because, height + 1))
    right = hash_at.get(marked.stored_height, marked.stored_hash)
    if right != marked.stored_hash:
        because = f"it names {marked.stored_hash.hex()}, the block there is {right.hex()}"
        begins = marked.offset + _SLOT.size - len(right)
        raise Wrong(Finding(name, "the hash of the stored block", because, marked.stored_height, begins))
