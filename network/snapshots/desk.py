"""Serves this node's snapshots to the other members: what there is, what each holds, and chunk after chunk.

Bounded in what an answer holds (a chunk) and in rate: for every member one answer at a time, with a rest after it, so
that nobody who joins can take more than a part of a node that votes. A file that was deleted meanwhile stays readable
while somebody still asks for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ledger.errors import LedgerError
from ledger.snapshot_file import SnapshotFile
from network.snapshots.keeper import kept_snapshots
from network.wire import (
    SNAPSHOTS_OFFERED_MAX,
    Chunk,
    ChunkRequest,
    ContentsAnswer,
    ContentsRequest,
    PeerMessage,
    SnapshotOffer,
    Snapshots,
    SnapshotsRequest,
    peer_frame,
)

log = logging.getLogger("quorate.snapshots")

SERVE_INTERVAL_S = 0.02
SERVE_RESTS = 3  # a member takes at most a quarter of this node's time
WAITING_MAX = 8  # requests of one member that wait; more are dropped
LOOK_EVERY_S = 2.0
LET_GO_AFTER_S = 120.0  # of a deleted file that nobody asks for any more

Request = SnapshotsRequest | ContentsRequest | ChunkRequest


class _Served:
    """One open file."""

    def __init__(self, file: SnapshotFile) -> None:
        self.file = file
        self.contents = file.manifest.contents.encode()
        self.name = file.manifest.contents.hash
        self.asked = time.monotonic()


class SnapshotDesk:
    """`send(member, frame)` may fail; who asked asks again."""

    def __init__(self, directory: Path, send: Callable[[int, bytes], object]) -> None:
        self._directory = directory
        self._send = send
        self._served: dict[Path, _Served] = {}
        self._refused: set[Path] = set()
        self._looked = -LOOK_EVERY_S
        self._waiting: dict[int, deque[Request]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def serve(self, member: int, request: Request) -> None:
        """A member asks."""
        waiting = self._waiting.setdefault(member, deque())
        if len(waiting) >= WAITING_MAX:
            return
        waiting.append(request)
        if member not in self._timers:
            self._timers[member] = asyncio.get_running_loop().call_later(0, self._answer, member)

    def close(self) -> None:
        """Answer nobody any more."""
        for timer in self._timers.values():
            timer.cancel()
        for served in self._served.values():
            served.file.close()
        self._served.clear()

    def _answer(self, member: int) -> None:
        waiting = self._waiting[member]
        if not waiting:
            del self._timers[member], self._waiting[member]
            return
        began = time.perf_counter()
        try:
            self._send(member, peer_frame(self._answer_to(waiting.popleft())))
        finally:
            rest_s = max(SERVE_INTERVAL_S, SERVE_RESTS * (time.perf_counter() - began))
            self._timers[member] = asyncio.get_running_loop().call_later(rest_s, self._answer, member)

    def _answer_to(self, request: Request) -> PeerMessage:
        self._look()
        match request:
            case SnapshotsRequest():
                return Snapshots(self._offers())
            case ContentsRequest(name):
                found = self._find(name)
                return ContentsAnswer(name, b"" if found is None else found.contents)
            case ChunkRequest(name, index):
                return Chunk(name, index, self._chunk(name, index))

    def _offers(self) -> tuple[SnapshotOffer, ...]:
        newest = sorted(self._served.values(), key=lambda each: -each.file.manifest.height)
        kept = [each for each in newest if each.file.path.exists()][:SNAPSHOTS_OFFERED_MAX]
        return tuple(
            SnapshotOffer(each.file.manifest.contents.header, each.file.manifest.seal, each.name) for each in kept
        )

    def _chunk(self, name: bytes, index: int) -> bytes:
        found = self._find(name)
        if found is None or index >= len(found.file.manifest.contents.chunks):
            return b""
        try:
            return found.file.piece(index)
        except LedgerError as error:
            log.error("a chunk of a snapshot cannot be served: %s", error)
            self._refused.add(found.file.path)
            self._drop(found.file.path)
            return b""

    def _find(self, name: bytes) -> _Served | None:
        for served in self._served.values():
            if served.name == name:
                served.asked = time.monotonic()
                return served
        return None

    def _look(self) -> None:
        """Open what is new, and let go of what is gone and not asked for."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        for path in kept_snapshots(self._directory)[:SNAPSHOTS_OFFERED_MAX]:
            if path not in self._served and path not in self._refused:
                self._open(path)
        for path, served in list(self._served.items()):
            if now - served.asked > LET_GO_AFTER_S and not path.exists():
                self._drop(path)

    def _open(self, path: Path) -> None:
        try:
            self._served[path] = _Served(SnapshotFile(path))
        except LedgerError as error:
            self._refused.add(path)
            log.error("%s", error)

    def _drop(self, path: Path) -> None:
        self._served.pop(path).file.close()
