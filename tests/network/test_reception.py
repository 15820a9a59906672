"""What peers say reaches the part that it is for, and what is no message of this protocol costs its sender the link."""

import pytest

from network.reception import Reception
from network.wire import (
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
    consensus_frame,
    peer_frame,
)

HASH = bytes(32)
MEMBER = 2


class Part:
    """Writes down which of its methods was called, and with what."""

    def __init__(self, name, heard, answer=None):
        self._name, self._heard, self._answer = name, heard, answer

    def __getattr__(self, method):
        def called(*arguments):
            self._heard.append((f"{self._name}.{method}", *arguments))
            return self._answer

        return called


def hear(frame, *, mending=False):
    heard = []
    parts = ("gossip", "body_desk", "bodies", "sync", "snapshot_desk", "behind")
    Reception(
        vote=lambda *arguments: heard.append(("vote", *arguments)),
        penalise=lambda *arguments: heard.append(("penalise", *arguments)),
        mender=Part("mender", heard, answer=mending),
        **{name: Part(name, heard) for name in parts},
    ).on_frame(MEMBER, frame)
    return heard


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (Transactions((b"raw",)), [("gossip.on_gossip", MEMBER, (b"raw",))]),
        (BodiesRequest((HASH,)), [("body_desk.serve", MEMBER, (HASH,))]),
        (Bodies((b"raw",)), [("bodies.on_bodies", (b"raw",))]),
        (BlocksRequest(1, 2), [("sync.serve", MEMBER, BlocksRequest(1, 2))]),
        (SnapshotsRequest(), [("snapshot_desk.serve", MEMBER, SnapshotsRequest())]),
        (ContentsRequest(HASH), [("snapshot_desk.serve", MEMBER, ContentsRequest(HASH))]),
        (ChunkRequest(HASH, 0), [("snapshot_desk.serve", MEMBER, ChunkRequest(HASH, 0))]),
        (Snapshots(()), [("behind.on_offers", ())]),
        (ContentsAnswer(HASH, b""), []),
        (Chunk(HASH, 0, b""), []),
    ],
)
def test_each_message_reaches_the_part_that_it_is_for(message, heard):
    assert hear(peer_frame(message)) == heard


def test_a_vote_is_handed_on_unread():
    assert hear(consensus_frame(b"no message at all")) == [("vote", MEMBER, b"no message at all")]


@pytest.mark.parametrize("mending", [True, False])
def test_a_block_that_was_asked_for_to_mend_one_is_not_followed_as_well(mending):
    blocks = Blocks(1, ())
    mended, followed = ("mender.take", MEMBER, blocks), ("sync.on_blocks", MEMBER, blocks)
    assert hear(peer_frame(blocks), mending=mending) == ([mended] if mending else [mended, followed])


@pytest.mark.parametrize("frame", [b"", b"\x02", b"\x07", b"\x02\xff", peer_frame(Bodies((b"raw",))) + b"\x00"])
def test_what_is_no_message_costs_its_sender_the_link(frame):
    assert hear(frame) == [("penalise", MEMBER, "a frame that is no message of this protocol")]
