"""Fetches one snapshot and its blocks from several peers at once. Believes nobody: each answer is checked as it comes.

First all are asked what they keep; the newest snapshot that holds is chosen, among equals the one that most peers have.
Then each peer is asked for a few chunks at a time, and for blocks. A peer that gives what does not hold is named and
asked no more; one that is slow loses what it was asked for to the others. Knows frames, not sockets; no clock but the
one that is handed in, so a test can be a whole network.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ledger import codec
from ledger.errors import CodecError, InvalidProof
from ledger.seals import verify_sealed_header
from ledger.snapshot import Contents, check_contents, check_sealed, contents_hash
from ledger.snapshot_tree import read_chunk
from ledger.types import BlockRecord, Genesis
from network.snapshots.fetched import Chosen, Fetched
from network.wire import (
    BLOCKS_PER_REQUEST_MAX,
    Blocks,
    BlocksRequest,
    Chunk,
    ChunkRequest,
    ContentsAnswer,
    ContentsRequest,
    PeerMessage,
    SnapshotOffer,
    Snapshots,
    SnapshotsRequest,
)

log = logging.getLogger("quorate.snapshots")

IN_FLIGHT = {"chunk": 3, "blocks": 1}  # of one peer; it answers one request for blocks at a time
ANSWER_S = 10.0
ASK_OFFERS_EVERY_S = 1.0
GATHER_S = 2.0  # after the first offer, for others to come
HELD_GATHER_S = 15.0  # before what an earlier process began is given up for another snapshot
DENIED_MAX = 5  # offers that a peer did not keep, before it is asked no more: files are deleted, but not so often
SLOW_MAX = 3  # answers that did not come in time, in a row, before a peer is asked no more

Task = tuple[str, int, int]
"""("contents", 0, 0), ("chunk", index, index) or ("blocks", first, last)."""


@dataclass
class Peer:
    """One other member."""

    offers: tuple[SnapshotOffer, ...] = ()
    asked: dict[Task, float] = field(default_factory=dict)  # -> when the answer is overdue
    slow: int = 0
    denied: set[bytes] = field(default_factory=set)  # names that it offered, and did not have when it was asked
    without: bool = False  # it lacks blocks that were asked for
    refused: str = ""


class Fetcher:
    """One join. `tick(now)` often, `on_message` for what comes, until it is `done`; `progress` is when it last got on.

    `first_block(height)` is the first block needed to stand at a height; `lowest` is the lowest snapshot of any use;
    `linked()` are the members there is a link to.
    """

    def __init__(
        self,
        *,
        genesis: Genesis,
        fetched: Fetched,
        member: int,
        lowest: int,
        first_block: Callable[[int], int],
        send: Callable[[int, PeerMessage], bool],
        linked: Callable[[], Collection[int]],
    ) -> None:
        self._genesis = genesis
        self.fetched = fetched
        self._lowest = lowest
        self._first_block = first_block
        self._send = send
        self._linked = linked
        members = range(len(genesis.validators.members))
        self.peers = {each: Peer() for each in members if each != member}
        self._waiting: dict[str, list[Task]] = {"chunk": [], "blocks": []}  # last first
        self._name = fetched.chosen.contents.hash if fetched.chosen else b""
        self._wanted: SnapshotOffer | None = None
        self._laid_out = False
        self._first_offer = -1.0
        self._asked_offers = -ASK_OFFERS_EVERY_S
        self.progress = self._now = -1.0

    @property
    def done(self) -> bool:
        """Whether all is here."""
        return (
            self._laid_out and not any(self._waiting.values()) and not any(peer.asked for peer in self.peers.values())
        )

    @property
    def refused(self) -> dict[str, str]:
        """Who lied, by name, and how it showed."""
        members = self._genesis.validators.members
        return {members[index].name: peer.refused for index, peer in self.peers.items() if peer.refused}

    def tick(self, now: float) -> None:
        """Ask for what is due."""
        self._now = now
        if self.progress < 0:
            self.progress = now
        for member, peer in self.peers.items():
            self._give_up_overdue(member, peer, now)
        if now - self._asked_offers >= ASK_OFFERS_EVERY_S:
            self._asked_offers = now
            for member in self._usable():
                if not self.peers[member].offers or not self._laid_out:
                    self._send(member, SnapshotsRequest())
        if not self._usable():
            for peer in self.peers.values():
                peer.slow = 0  # better a slow one than none
        if self._laid_out and not self.done and now - self.progress >= HELD_GATHER_S and not self._holders(self._name):
            log.warning("nobody keeps this snapshot any more: looking for another")
            self._laid_out = False
        if not self._laid_out:
            self._choose(now)
        self._hand_out(now)

    def on_message(self, member: int, message: PeerMessage, now: float) -> None:
        """What a peer says. What nobody asked for is dropped."""
        peer = self.peers.get(member)
        if peer is None or peer.refused:
            return
        match message:
            case Snapshots(offers):
                self._on_offers(member, peer, offers, now)
            case ContentsAnswer(name, data) if self._took(peer, ("contents", 0, 0)) and self._wanted is not None:
                self._on_contents(member, peer, name, data, now)
            case Chunk(name, index, data) if name == self._name and self._took(peer, ("chunk", index, index)):
                self._on_chunk(member, peer, index, data, now)
            case Blocks(first, records):
                self._on_blocks(member, peer, first, records, now)

    def on_lost(self, member: int) -> None:
        """The link to a member is gone, and its answers with it."""
        peer = self.peers.get(member)
        if peer is not None:
            self._take_back(peer)
            peer.offers = ()

    # ── choosing ──────────────────────────────────────────────────────────────────────────────────

    def _on_offers(self, member: int, peer: Peer, offers: tuple[SnapshotOffer, ...], now: float) -> None:
        for offer in offers:
            try:
                if offer.header.chain_id != self._genesis.chain_id:
                    raise InvalidProof("it is of another chain")
                verify_sealed_header(offer.header, offer.seal, self._genesis.validators)
            except InvalidProof as error:
                self._refuse(member, f"it offers a snapshot whose header does not hold: {error}")
                return
        peer.offers = tuple(offer for offer in offers if offer.name not in peer.denied)
        if self._first_offer < 0 and any(offer.header.height >= self._lowest for offer in offers):
            self._first_offer = now

    def _choose(self, now: float) -> None:
        if self.fetched.chosen is not None:
            if self._holders(self._name):
                self._lay_out()
                return
            if now - self.progress < HELD_GATHER_S:
                return
        usable = self._usable()
        everybody = len(usable) == len(self.peers) and all(self.peers[each].offers for each in usable)
        if self._first_offer < 0 or (now - self._first_offer < GATHER_S and not everybody):
            return
        self._wanted = self._best()
        if self._wanted is not None and not self._is_asked("contents"):
            self._ask_contents(now)

    def _best(self) -> SnapshotOffer | None:
        """The newest that is offered, and among those of its height the one that most peers have."""
        offers = [
            (offer.header.height, len(self._holders(offer.name)), offer.name, offer)
            for member in self._usable()
            for offer in self.peers[member].offers
            if offer.header.height >= self._lowest
        ]
        return max(offers, key=lambda each: each[:3])[3] if offers else None

    def _ask_contents(self, now: float) -> None:
        assert self._wanted is not None
        for member in self._holders(self._wanted.name):
            if self._send(member, ContentsRequest(self._wanted.name)):
                self.peers[member].asked["contents", 0, 0] = now + ANSWER_S
                return

    def _on_contents(self, member: int, peer: Peer, name: bytes, data: bytes, now: float) -> None:
        wanted = self._wanted
        assert wanted is not None
        if name != wanted.name or not data:
            self._deny(member, peer, wanted.name)
            return
        try:
            if contents_hash(data) != name:
                raise InvalidProof("they have another name")
            contents = codec.decode(data, Contents)
            if contents.header != wanted.header:
                raise InvalidProof("they belong to another header")
            check_contents(contents, wanted.seal, self._genesis)
        except (InvalidProof, CodecError) as error:
            self._refuse(member, f"the contents of its snapshot of height {wanted.header.height} do not hold: {error}")
            return
        self.fetched.choose(Chosen(contents, wanted.seal))
        self._name = name
        self.progress = now
        self._lay_out()

    def _lay_out(self) -> None:
        """Write down all that has to be fetched still."""
        chosen = self.fetched.chosen
        assert chosen is not None
        height = chosen.contents.header.height
        chunks = range(len(chosen.contents.chunks))
        lacking: list[Task] = [("chunk", index, index) for index in chunks if not self.fetched.has(index)]
        ranges: list[Task] = []
        for first, last in self.fetched.missing_blocks(self._first_block(height), height):
            begins = range(first, last + 1, BLOCKS_PER_REQUEST_MAX)
            ranges += [("blocks", begin, min(last, begin + BLOCKS_PER_REQUEST_MAX - 1)) for begin in begins]
        self._waiting = {"chunk": lacking[::-1], "blocks": ranges[::-1]}
        self._laid_out = True
        holders = [self._genesis.validators.members[each].name for each in self._holders(self._name)]
        here = f", {self.fetched.found} are here already" if self.fetched.found else ""
        pieces = len(lacking) + len(ranges)
        log.info("snapshot of height %d from %s: %d pieces to fetch%s", height, ", ".join(holders), pieces, here)

    # ── fetching ──────────────────────────────────────────────────────────────────────────────────

    def _hand_out(self, now: float) -> None:
        """Give every peer that has room the next thing that it can give."""
        if not self._laid_out:
            return
        for member in self._usable():
            peer = self.peers[member]
            for kind in self._kinds_for(peer):
                waiting = self._waiting[kind]
                while waiting and self._has_room(peer, kind) and self._send(member, self._request(waiting[-1])):
                    peer.asked[waiting.pop()] = now + ANSWER_S

    def _kinds_for(self, peer: Peer) -> list[str]:
        """What this peer has, as far as is known."""
        chunks = any(offer.name == self._name for offer in peer.offers)
        return [kind for kind, has in (("chunk", chunks), ("blocks", not peer.without)) if has]

    @staticmethod
    def _has_room(peer: Peer, kind: str) -> bool:
        return sum(task[0] == kind for task in peer.asked) < IN_FLIGHT[kind]

    def _request(self, task: Task) -> PeerMessage:
        kind, first, last = task
        return ChunkRequest(self._name, first) if kind == "chunk" else BlocksRequest(first, last)

    def _on_chunk(self, member: int, peer: Peer, index: int, data: bytes, now: float) -> None:
        chosen = self.fetched.chosen
        assert chosen is not None
        task = ("chunk", index, index)
        if not data:
            self._put_back(task)
            self._deny(member, peer, self._name)
            return
        try:
            read_chunk(chosen.contents.chunks[index], data, {})
        except InvalidProof as error:
            self._put_back(task)
            self._refuse(member, f"it sent what does not hold: {error}")
            return
        self.fetched.keep(index, data)
        self.progress = now

    def _on_blocks(self, member: int, peer: Peer, first: int, records: tuple[BlockRecord, ...], now: float) -> None:
        task = next((each for each in peer.asked if each[0] == "blocks" and each[1] == first), None)
        if task is None:
            return
        self._took(peer, task)
        records = records[: task[2] - first + 1]
        if not records:
            peer.without = True
            self._put_back(task)
            return
        try:
            for height, record in enumerate(records, first):
                if record.height != height:
                    raise InvalidProof(f"block {record.height} stands in the place of {height}")
                check_sealed(record, self._genesis)
        except InvalidProof as error:
            self._put_back(task)
            self._refuse(member, f"it sent blocks that do not hold: {error}")
            return
        self.fetched.keep_blocks(records)
        if records[-1].height < task[2]:
            self._put_back(("blocks", records[-1].height + 1, task[2]))
        self.progress = now

    # ── peers ─────────────────────────────────────────────────────────────────────────────────────

    def _usable(self) -> list[int]:
        linked = self._linked()
        return [
            each for each, peer in self.peers.items() if each in linked and not peer.refused and peer.slow < SLOW_MAX
        ]

    def _holders(self, name: bytes) -> list[int]:
        return [each for each in self._usable() if any(offer.name == name for offer in self.peers[each].offers)]

    def _is_asked(self, kind: str) -> bool:
        return any(task[0] == kind for peer in self.peers.values() for task in peer.asked)

    def _took(self, peer: Peer, task: Task) -> bool:
        """Whether this was asked for; it is not outstanding any more."""
        if peer.asked.pop(task, None) is None:
            return False
        peer.slow = 0
        return True

    def _give_up_overdue(self, member: int, peer: Peer, now: float) -> None:
        overdue = [task for task, until in peer.asked.items() if now >= until]
        if overdue:
            peer.slow += 1
            if peer.slow == SLOW_MAX:
                self.progress = now  # without it the others get on
            log.warning("%s did not answer in time", self._genesis.validators.members[member].name)
            self._take_back(peer)

    def _take_back(self, peer: Peer) -> None:
        for task in peer.asked:
            self._put_back(task)
        peer.asked.clear()

    def _put_back(self, task: Task) -> None:
        if task[0] in self._waiting:
            self._waiting[task[0]].append(task)

    def _deny(self, member: int, peer: Peer, name: bytes) -> None:
        peer.denied.add(name)
        peer.offers = tuple(offer for offer in peer.offers if offer.name != name)
        if len(peer.denied) >= DENIED_MAX:
            self._refuse(member, f"it offered {len(peer.denied)} snapshots that it did not have")

    def _refuse(self, member: int, why: str) -> None:
        peer = self.peers[member]
        peer.refused = why
        self.progress = max(self.progress, self._now)  # without it the others get on
        self._take_back(peer)
        log.error("REFUSED: %s is asked for nothing more: %s", self._genesis.validators.members[member].name, why)
