"""Where a replica, or a peer as it reports itself, stands. Plain data; knows no message and no rule."""

from __future__ import annotations

import msgspec

from ledger.types import Seal


class Turn(msgspec.Struct, frozen=True):
    """In whose turn a sealed batch was first proposed: all three as the batch itself says."""

    view: int
    proposer: int
    since: int


class Tip(msgspec.Struct, frozen=True):
    """The highest sealed block that this node holds and has executed. Only genesis, at height 0, has no seal.

    `turns` are those of the last sealed batches up to `height`, ascending: `consensus.memory_heights(window)` of them,
    or all since genesis. With fewer the replica may misjudge whose turn it is: that costs time, never agreement.
    """

    height: int
    header_hash: bytes
    time_ms: int
    seal: Seal | None
    turns: tuple[Turn, ...] = ()


class PeerView(msgspec.Struct, frozen=True):
    """What one other member last reported of itself: zeroes before its first STATUS."""

    view: int
    sealed_height: int
