"""A node that joins by snapshot: before its validator starts, or instead of it when it has fallen too far behind.

It holds links to the others as a validator does, and says nothing over them but what fetching takes; it signs nothing.
What it fetched becomes the node's in one step (`network.snapshots.landing`), and the validator is then started on it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from pathlib import Path

from ledger.files import replace
from ledger.store import BlockStore
from ledger.types import Genesis
from network.config import NodeConfig
from network.links import PeerMesh, configured_mesh
from network.paths import NodePaths
from network.snapshots.fetched import Fetched
from network.snapshots.fetcher import Fetcher
from network.snapshots.landing import Landing, first_needed
from network.snapshots.switching import JOINING
from network.wire import CONSENSUS, PeerMessage, peer_frame, read_peer_frame

log = logging.getLogger("quorate.snapshots")

TICK_S = 0.02
TELL_EVERY_S = 5.0
PATIENCE_S = 60.0  # without any progress, before a node goes on without a snapshot
RECORD = "last-join.json"


class Stopped(Exception):
    """The node is to end: what was fetched stays for the next start."""


class Join:
    """One attempt. `needed` says that the node cannot go on without: then it is patient for ever."""

    def __init__(self, config: NodeConfig, genesis: Genesis, member: int, *, needed: bool) -> None:
        self._config = config
        self._genesis = genesis
        self._member = member
        self._needed = needed
        self._paths = NodePaths(config.data_directory)
        self._linked: set[int] = set()
        self._stopping = False
        self._began = time.monotonic()
        self._told = self._began

    async def run(self) -> bool:
        """True when the node stands at a snapshot now; False when none was to be had, and it goes on by blocks."""
        directory = self._paths.root / JOINING
        sealed_height, lowest = self._where_it_stands()
        fetched = await asyncio.to_thread(Fetched, directory, self._genesis)
        fetcher = Fetcher(
            genesis=self._genesis,
            fetched=fetched,
            member=self._member,
            lowest=lowest,
            first_block=lambda height: first_needed(sealed_height, height, self._genesis),
            send=self._send,
            linked=lambda: self._linked,
        )
        self._mesh = self._make_mesh(fetcher)
        await self._mesh.start()
        try:
            if not await self._fetch(fetcher):
                await asyncio.to_thread(shutil.rmtree, directory)  # or the next start would wait for it again
                return False
            await asyncio.to_thread(self._land, fetched)
        except asyncio.CancelledError:
            self._stopping = True
            raise
        finally:
            await self._mesh.close()
        self._write_down(fetcher, fetched)
        return True

    def _where_it_stands(self) -> tuple[int, int]:
        """(the height up to which it has sealed blocks, the lowest snapshot that is of use)."""
        if not self._paths.blocks.is_dir():
            return 0, 1
        store = BlockStore(self._paths.blocks)
        try:
            sealed = max(0, store.sealed_height)
            return sealed, max(1, store.first_height - 1) if self._needed else sealed + 1
        finally:
            store.close()

    async def _fetch(self, fetcher: Fetcher) -> bool:
        while not fetcher.done:
            now = time.monotonic()
            fetcher.tick(now)
            self._tell(fetcher, now)
            if now - fetcher.progress > PATIENCE_S and not self._needed:
                log.warning("no snapshot was to be had for %.0f s: going on by blocks", PATIENCE_S)
                return False
            await asyncio.sleep(TICK_S)
        return True

    def _land(self, fetched: Fetched) -> None:
        chosen = fetched.chosen
        assert chosen is not None, "a join that is done has chosen"
        began = time.monotonic()
        landing = Landing(self._paths.root, JOINING, self._genesis, self._on_step)
        landing.build(chosen.contents, fetched.chunk, fetched.records)
        landing.switch()
        now = time.monotonic()
        log.info("snapshot in place: built in %.1f s, joined in %.1f s", now - began, now - self._began)

    def _on_step(self, line: str) -> None:
        if self._stopping:
            raise Stopped
        log.debug("%s", line)

    def _tell(self, fetcher: Fetcher, now: float) -> None:
        if now - self._told < TELL_EVERY_S:
            return
        self._told = now
        chosen = fetcher.fetched.chosen
        if chosen is None:
            names = [self._genesis.validators.members[each].name for each in sorted(self._linked)]
            log.info("looking for a snapshot; linked to: %s", ", ".join(names) or "nobody yet")
        else:
            log.info("snapshot of height %d: %d pieces are here", chosen.contents.header.height, fetcher.fetched.found)

    def _write_down(self, fetcher: Fetcher, fetched: Fetched) -> None:
        """For the operator: when, to which height, and who lied."""
        assert fetched.chosen is not None
        took_s = round(time.monotonic() - self._began, 1)
        height = fetched.chosen.contents.header.height
        document = {"height": height, "seconds": took_s, "refused": fetcher.refused}
        self._paths.snapshots.mkdir(exist_ok=True)
        replace(self._paths.snapshots / RECORD, (json.dumps(document, indent=2) + "\n").encode(), durable=False)

    # ── links ─────────────────────────────────────────────────────────────────────────────────────

    def _make_mesh(self, fetcher: Fetcher) -> PeerMesh:
        def on_frame(member: int, frame: bytes) -> None:
            message = None if frame[:1] == bytes((CONSENSUS,)) else read_peer_frame(frame)
            if message is not None:
                fetcher.on_message(member, message, time.monotonic())

        def on_state(member: int, connected: bool) -> None:
            if connected:
                self._linked.add(member)
            else:
                self._linked.discard(member)
                fetcher.on_lost(member)

        return configured_mesh(self._config, self._genesis, self._member, on_frame=on_frame, on_state=on_state)

    def _send(self, member: int, message: PeerMessage) -> bool:
        return self._mesh.send_bulk(member, peer_frame(message)) is not False


def last_join(data: Path) -> dict[str, object] | None:
    """What the last join wrote down, None where there was none."""
    path = NodePaths(data).snapshots / RECORD
    try:
        found: dict[str, object] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found
