"""What peers say, frame by frame: which part of the node each message is for.

Votes go to the driver unread. Everything else is decoded here, and what is no message of this protocol proves that
the member whose link brought it is faulty: its link is reset for a while. No message is judged beyond that.
"""

from __future__ import annotations

from collections.abc import Callable

from network.bodies import BodyKeeper
from network.body_desk import BodyDesk
from network.gossip_desk import GossipDesk
from network.scrub.mender import BlockMender
from network.snapshots.behind import Behind
from network.snapshots.desk import SnapshotDesk
from network.sync import BlockSync
from network.wire import (
    CONSENSUS,
    Blocks,
    BlocksRequest,
    Bodies,
    BodiesRequest,
    Chunk,
    ChunkRequest,
    ContentsAnswer,
    ContentsRequest,
    Snapshots,
    SnapshotsRequest,
    Transactions,
    read_peer_frame,
)

_CONSENSUS = bytes((CONSENSUS,))


class Reception:
    """`vote(member, message)` takes a consensus message, `penalise(member, reason)` cuts off; the others are parts."""

    def __init__(
        self,
        *,
        vote: Callable[[int, bytes], None],
        penalise: Callable[[int, str], None],
        gossip: GossipDesk,
        body_desk: BodyDesk,
        bodies: BodyKeeper,
        sync: BlockSync,
        mender: BlockMender,
        snapshot_desk: SnapshotDesk,
        behind: Behind,
    ) -> None:
        self._vote = vote
        self._penalise = penalise
        self._gossip = gossip
        self._body_desk = body_desk
        self._bodies = bodies
        self._sync = sync
        self._mender = mender
        self._snapshot_desk = snapshot_desk
        self._behind = behind

    def on_frame(self, member: int, frame: bytes) -> None:
        """A member says this."""
        if frame[:1] == _CONSENSUS:
            self._vote(member, frame[1:])
            return
        match read_peer_frame(frame):
            case Transactions(raws):
                self._gossip.on_gossip(member, raws)
            case BodiesRequest(hashes):
                self._body_desk.serve(member, hashes)
            case Bodies(raws):
                self._bodies.on_bodies(raws)
            case BlocksRequest() as request:
                self._sync.serve(member, request)
            case Blocks() as blocks:
                if not self._mender.take(member, blocks):
                    self._sync.on_blocks(member, blocks)
            case (SnapshotsRequest() | ContentsRequest() | ChunkRequest()) as asked:
                self._snapshot_desk.serve(member, asked)
            case Snapshots(offers):
                self._behind.on_offers(offers)
            case ContentsAnswer() | Chunk():
                pass  # the rest of a join that ended
            case None:
                self._penalise(member, "a frame that is no message of this protocol")
