"""Where a replica, or a peer as it reports itself, stands. Plain data; knows no message and no rule."""

from __future__ import annotations

import msgspec

from ledger.types import Seal


class Tip(msgspec.Struct, frozen=True):
    """The highest sealed block that this node holds and has executed. Only genesis, at height 0, has no seal."""

    height: int
    header_hash: bytes
    time_ms: int
    seal: Seal | None


class PeerView(msgspec.Struct, frozen=True):
    """What one other member last reported of itself: zeroes before its first STATUS."""

    view: int
    sealed_height: int
