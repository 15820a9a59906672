"""The validator process, assembled: links, requests, blocks, snapshots, consensus. It decides nothing.

Each part is handed what it needs and knows no other part; this file makes them in their order, and takes an action of
the replica, a sealed block or a new transaction from one to the next. Read `_assemble*` for who is given what, and
`perform` for what the replica says. Beside it stand `reception` (what peers say), `in_flight` and `requests` (what each
step of a block frees, what waits for one), `peers` (where the others stand), `storage` and `ending` (how it begins and
ends).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from consensus import Replica, actions, events
from consensus.errors import JournalDamaged
from ledger.blocks import genesis_record
from ledger.crypto import SigningKey, verify
from ledger.errors import DataLost
from ledger.journal import read_again
from ledger.types import Genesis, Seal
from network.api import ScrubStatus
from network.bodies import BodyKeeper
from network.body_desk import BodyDesk
from network.config import NodeConfig
from network.driver import Driver
from network.ending import BEHIND, STATE_MISSING, Ending
from network.evidence import EvidenceBook
from network.executor_link import ExecutorLink, hung_after_s
from network.gossip import Gossip
from network.gossip_desk import GossipDesk
from network.in_flight import InFlight
from network.intake import Intake
from network.ipc import Server
from network.links import configured_mesh
from network.mempool import Limits, Mempool
from network.paths import NodePaths
from network.peers import Peers
from network.pipeline import Pipeline, StateMissing
from network.proposer import Proposer
from network.reception import Reception
from network.requests import Requests
from network.scrub.mender import BlockMender
from network.scrub.scrubber import Parts, Scrubber
from network.service import ValidatorService
from network.snapshots.behind import Behind
from network.snapshots.desk import SnapshotDesk
from network.snapshots.keeper import SnapshotKeeper, clear_rubbish, environment
from network.status_desk import StatusDesk
from network.storage import Votes, check_chain, open_blocks, open_journal, read_votes, tip_of
from network.supervisor import Child
from network.sync import BlockSync
from network.verification import Verifier
from network.wire import BodiesRequest, PeerMessage, SnapshotsRequest, consensus_frame, peer_frame

log = logging.getLogger("quorate.validator")

TICK_S = 1.0


def now_ms() -> int:
    """The wall clock: proposals are stamped and judged by it, timers are not."""
    return time.time_ns() // 1_000_000


class ValidatorNode:
    """Everything of one validator. `start`, then `ending.wait` until something ends it, then `stop`."""

    def __init__(
        self,
        config: NodeConfig,
        genesis: Genesis,
        key: SigningKey,
        member: int,
        executor_child: Child | None,
        *,
        join_not_before: float = 0.0,
        remake_not_before: float = 0.0,
    ) -> None:
        self.config = config
        self.genesis = genesis
        self.member = member
        self.ending = Ending(
            config.data_directory,
            halt_votes=lambda: self._driver.halt(),  # noqa: PLW0108 - made later
            damage=lambda: self._store.damage,
            remake_not_before=remake_not_before,
        )
        self._join_not_before = join_not_before
        self._key = key
        self._executor_child = executor_child
        self._paths = NodePaths(config.data_directory)
        self._opened = contextlib.AsyncExitStack()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Open storage, bring the executor level with it, take up the votes, and join the others.

        Blocks that turn out to be damaged on the way are no end: this validator is then to begin again.
        """
        self._open_blocks()
        try:
            await self._begin(self._open_votes())
        except DataLost:
            if not self.ending.remake_store_at_start():
                raise

    async def _begin(self, votes: Votes) -> None:
        if self._store.height <= 0 and self._store.first_height > 1:
            self.ending.leave_for_snapshot(STATE_MISSING, "all blocks since a snapshot were lost")
            return
        self._assemble()
        self._bodies.restore(votes.bodies, votes.batches, self._store.sealed_height)
        try:
            await self._level_executor()
        except StateMissing as error:
            self.ending.leave_for_snapshot(STATE_MISSING, str(error))
            return
        self._driver = self._make_driver(votes)
        await self._open_doors()
        self._set_to_work()
        validators = self.genesis.validators.members
        log.info(
            "validator %s (member %d of %d) on chain %s at height %d",
            *(validators[self.member].name, self.member, len(validators)),
            *(self.genesis.chain_id.hex()[:16], self._store.sealed_height),
        )

    async def _level_executor(self) -> None:
        """Have it where the blocks are. Block 0 is made with it when the store is new. Raises `StateMissing`."""
        self._opened.push_async_callback(self._verifier.close)
        self._opened.push_async_callback(self._executor.close)
        await self._executor.connect()
        if self._store.height < 0:
            self._store.put(genesis_record(self.genesis, await self._executor.genesis_root()))
        await self._pipeline.catch_up(self._store.height)
        await self._executor.mark_sealed(self._store.sealed_height)

    async def _open_doors(self) -> None:
        """To this node's own processes first, then to the others. What is opened here is closed the other way round."""
        for part in (self._sync, self._bodies, self._proposer):
            self._opened.callback(part.close)
        self._opened.push_async_callback(self._server.close)
        await self._server.start()
        self._opened.push_async_callback(self._mesh.close)
        self._opened.callback(self._snapshot_desk.close)
        self._opened.push_async_callback(self._snapshot_keeper.close)
        self._opened.push_async_callback(self._gossip_desk.close)
        self._opened.callback(self._gossip.close)  # what lingers goes while there are links
        await self._mesh.start()

    def _set_to_work(self) -> None:
        """The parts that work by themselves."""
        if self._scrubber is not None:
            self._opened.callback(self._scrubber.close)
        self._opened.push_async_callback(self.ending.stop_parts)
        if self._scrubber is not None:
            self.ending.spawn(self._scrubber.run(), "scrub")
        self.ending.spawn(self._driver.run(), "driver")
        self.ending.spawn(self._pipeline.run(), "pipeline")
        self.ending.spawn(self._requests.run(), "hand-on")
        self.ending.spawn(self._tick(), "tick")

    async def stop(self) -> None:
        """Leave the others and close storage: whatever was opened, the last first."""
        await self._opened.aclose()

    def _close_store(self) -> None:
        if not self.ending.halted:
            self._store.sync()
        self._store.close()

    def _open_blocks(self) -> None:
        for name in clear_rubbish(self._paths.snapshots):
            log.warning("the snapshot %s was half-written when this node ended: it is deleted", name)
        self._store = open_blocks(self._paths.blocks)
        self._opened.callback(self._close_store)

    def _open_votes(self) -> Votes:
        check_chain(self._store, self.genesis)
        self._journal, records = open_journal(self._paths.journal)
        self._opened.callback(self._journal.close)
        votes = read_votes(records)
        lost = self._store.lost_heights
        if lost:
            log.error("the block store lost blocks %s: they are fetched from peers again", lost)
        return votes

    # ── assembly ──────────────────────────────────────────────────────────────────────────────────

    def _assemble(self) -> None:
        """Make the parts, each of those it needs. The driver comes last, when the executor is level: `_make_driver`."""
        self._mempool = Mempool(Limits(self.config.mempool.transactions_max, self.config.mempool.bytes_max))
        self._verifier = Verifier(
            chain_id=self.genesis.chain_id,
            parameters=self.genesis.parameters,
            next_height=lambda: self._store.height + 1,
        )
        hung_s = hung_after_s(self.genesis.parameters.block_gas_max)
        self._executor = ExecutorLink(self._paths.executor_socket, self._executor_child, hung_s)
        self._evidence = EvidenceBook(self._paths.evidence, self.genesis)
        self._assemble_links()
        self._assemble_requests()
        self._assemble_blocks()
        self._assemble_snapshots()
        self._scrubber = self._make_scrubber()
        self._reception = self._make_reception()
        self._status_desk = StatusDesk(
            genesis=self.genesis,
            member=self.member,
            store=self._store,
            mempool=self._mempool,
            peers=self._peers,
            ending=self.ending,
            replica=lambda: self._driver.replica,
            scrub=lambda: self._scrubber.report.status() if self._scrubber else ScrubStatus(),
            counters=self._counters,
        )
        self._service = ValidatorService(
            genesis=self.genesis,
            store=self._store,
            mempool=self._mempool,
            intake=self._intake,
            status=self._status_desk.status,
            halted=lambda: self.ending.halted,
            evidence=self._evidence,
        )
        self._server = Server(self._paths.validator_socket, self._service.handle)

    def _assemble_links(self) -> None:
        self._mesh = configured_mesh(
            self.config,
            self.genesis,
            self.member,
            on_frame=lambda member, frame: self._reception.on_frame(member, frame),  # noqa: PLW0108 - made later
            on_state=self._on_link,
        )
        self._peers = Peers(
            genesis=self.genesis,
            member=self.member,
            links=self._mesh,
            replica=lambda: self._driver.replica,
            sealed_height=lambda: self._store.sealed_height,
        )

    def _assemble_requests(self) -> None:
        """Transactions on their way into a batch: from clients, from peers, to the primary."""
        self._gossip = Gossip(broadcast=self._mesh.broadcast_bulk, send=self._mesh.send_bulk, get=self._mempool.get)
        self._requests = Requests(
            member=self.member,
            parameters=self.genesis.parameters,
            mempool=self._mempool,
            gossip=self._gossip,
            send=self._mesh.send_bulk,
            post=self._post,
            replica=lambda: self._driver.replica,
            now_ms=now_ms,
        )
        self._intake = Intake(
            mempool=self._mempool,
            check=self._verifier.check,
            in_block=lambda transaction_id: self._store.locate(transaction_id) is not None,
            added=self._on_added,
            asked_again=self._gossip.adopt,
        )
        self._gossip_desk = GossipDesk(
            members=len(self.genesis.validators.members),
            take=self._intake.take_gossip,
            penalise=self._mesh.penalise,
        )
        self._proposer = Proposer(mempool=self._mempool, parameters=self.genesis.parameters, propose=self._propose)

    def _assemble_blocks(self) -> None:
        """Batches on their way to a sealed block: their bodies, their execution, and what peers have of them."""
        self._bodies = BodyKeeper(
            mempool=self._mempool,
            parameters=self.genesis.parameters,
            keep=lambda raws: self._driver.keep_bodies(raws),  # noqa: PLW0108 - made later
            request=lambda member, hashes: self._send(member, BodiesRequest(hashes)),
            check=self._verifier.check_bodies,
            ready=lambda digest: self._post(events.BodiesReady(digest, now_ms())),
            refused=lambda digest, reason: self._post(events.BodiesRefused(digest, reason, now_ms())),
        )
        self._in_flight = InFlight(
            store=self._store,
            mempool=self._mempool,
            bodies=self._bodies,
            requests=self._requests,
            post=self._post,
            now_ms=now_ms,
        )
        self._pipeline = Pipeline(
            store=self._store,
            executor=self._executor,
            validators_hash=self.genesis.validators.hash,
            ahead_max=self.genesis.parameters.window,
            bodies=self._bodies.of,
            fetched=self._in_flight.fetched,
            missing=lambda batch: self._bodies.hold(batch, self._peers.members),
            executed=self._in_flight.on_executed,
            levelled=lambda: self._executor.mark_sealed_soon(self._store.sealed_height),
        )
        self._sync = BlockSync(
            chain_id=self.genesis.chain_id,
            validators=self.genesis.validators,
            store=self._store,
            send=self._mesh.send_bulk,
            silent_s=self._mesh.silent_s,
            fetched=self._in_flight.on_fetched,
            failed=lambda member: self._post(events.FetchFailed(member, now_ms())),
        )

    def _assemble_snapshots(self) -> None:
        settings = self.config.snapshots
        self._snapshot_desk = SnapshotDesk(self._paths.snapshots, self._mesh.send_bulk)
        self._snapshot_keeper = SnapshotKeeper(
            self.config.path.absolute(), settings.every, environment(), state_differs=self._on_state_differs
        )
        self._behind = Behind(
            genesis=self.genesis,
            join_behind=settings.join_behind,
            allowed=lambda: time.monotonic() >= self._join_not_before,
            sealed_height=lambda: self._store.sealed_height,
            reported=self._peers.heights,
            lacking=lambda: self._peers.all_lack(self._sync.lacking),
            ask=lambda: self._mesh.broadcast_bulk(peer_frame(SnapshotsRequest())),
            leave=self._leave_behind,
        )

    def _make_scrubber(self) -> Scrubber | None:
        """What reads everything again, with what mends it, unless the operator has turned it off."""
        self._mender = BlockMender(genesis=self.genesis, send=self._send, linked=self._peers.linked)
        if not self.config.scrub.bytes_per_second:
            return None
        parts = Parts(
            genesis=self.genesis,
            store=self._store,
            snapshots=self._paths.snapshots,
            mender=self._mender,
            scrub_state=self._executor.scrub,
            remake_state=self._remake_state,
            journal=lambda: read_again(self._journal),
            rewrite_journal=lambda: self._driver.rewrite_journal(),  # noqa: PLW0108 - made later
            spared=self._peers.suffice_now,
            sparable=self._peers.suffice(),
            remake_store=self.ending.remake_store,
            halt=self.ending.halt,
            busy=self._is_busy,
            state=self._paths.state,
        )
        return Scrubber(parts, self.config.scrub.bytes_per_second)

    def _make_reception(self) -> Reception:
        return Reception(
            vote=lambda member, message: self._driver.receive(member, message),  # noqa: PLW0108 - made later
            penalise=self._mesh.penalise,
            gossip=self._gossip_desk,
            body_desk=BodyDesk(get=self._bodies.get, send=self._mesh.send_bulk),
            bodies=self._bodies,
            sync=self._sync,
            mender=self._mender,
            snapshot_desk=self._snapshot_desk,
            behind=self._behind,
        )

    def _make_driver(self, votes: Votes) -> Driver:
        """The replica as its journal left it, at the highest sealed block, and what performs it."""
        try:
            replica = Replica(
                member=self.member,
                chain_id=self.genesis.chain_id,
                validators=self.genesis.validators,
                parameters=self.genesis.parameters,
                sign=self._key.sign,
                verify=verify,
                tip=tip_of(self._store, self.genesis.parameters.window),
                journal=votes.records,
            )
        except JournalDamaged as error:
            raise DataLost(f"the vote journal {self._paths.journal} is damaged: {error}") from None
        return Driver(replica, self._journal, self, now_ms, halted=self._on_journal_failed)

    # ── what a part finds out about this node ─────────────────────────────────────────────────────

    def _on_journal_failed(self, diagnosis: str) -> None:
        self.ending.on_storage_failed(diagnosis, disk_full=self._driver.disk_full)

    def _on_state_differs(self, height: int) -> None:
        """A process that read the whole state says that it does not give the sealed root."""
        if self._scrubber is not None:
            self._scrubber.suspect_state(f"the state, read for a snapshot of height {height}, gives another root")

    async def _remake_state(self) -> None:
        """Have the executor throw its state away, and execute the blocks again."""
        await self._executor.forget()
        self._pipeline.level_executor()

    def _leave_behind(self, height: int) -> None:
        self._driver.halt()
        stands = self._store.sealed_height
        told = f"this node is at height {stands}, the others keep a snapshot of {height}"
        self.ending.leave_for_snapshot(BEHIND, told)

    def _is_busy(self) -> bool:
        """Whether it starts, is in doubt, changes its view or catches up: then its time is for that."""
        replica = self._driver.replica
        return bool(replica.silence) or replica.changing_view or self._peers.are_ahead()

    def _counters(self) -> dict[str, int]:
        return {
            **self._intake.counters,
            **self._mesh.counters,
            "events_dropped": self._driver.events_dropped,
            "gossip_dropped": self._gossip_desk.dropped,
            "evidence": len(self._evidence),
        }

    # ── what the replica says (Performer) ─────────────────────────────────────────────────────────

    def send(self, member: int, data: bytes) -> None:
        """A consensus message to one member."""
        self._mesh.send(member, consensus_frame(data))

    def broadcast(self, data: bytes) -> None:
        """A consensus message to every other member."""
        self._mesh.broadcast(consensus_frame(data))

    def perform(self, action: actions.Action) -> None:
        """Every other action."""
        match action:
            case actions.RequestBatch(height, view):
                self._proposer.request(height, view)
            case actions.CancelBatch(height, view):
                self._proposer.cancel(height, view)
            case actions.FetchBodies(batch, sources):
                self._in_flight.on_proposed(batch, sources)
            case actions.Deliver(_, batch, _):
                self._in_flight.on_delivered(batch)
                self._pipeline.deliver(batch)
            case actions.Sealed(height, _, seal):
                self._on_sealed(height, seal)
            case actions.Fetch(member, first, last):
                self._sync.fetch(member, first, last)
            case actions.Evidence(_, member, first, second):
                self._evidence.take(member, first, second)
            case actions.Halt(diagnosis):
                self.ending.halt(diagnosis)
            case actions.ViewChanged(view, primary):
                self._mempool.follow(self._driver.replica.in_flight)
                log.info("view %d, primary %s", view, self.genesis.validators.members[primary].name)
            case _:
                raise AssertionError(f"no performer for {type(action).__name__}")

    def pinned_bodies(self) -> Sequence[bytes]:
        """The bodies of what is not sealed; everything else is synced to the block store first."""
        self._store.sync()
        return self._bodies.pinned()

    def _propose(self, height: int, view: int, hashes: tuple[bytes, ...]) -> None:
        self._driver.keep_bodies([raw for raw in map(self._mempool.get, hashes) if raw is not None])
        self._post(events.BatchReady(height, view, hashes, now_ms(), now_ms()))

    def _on_sealed(self, height: int, seal: Seal) -> None:
        sealed = self._in_flight.on_sealed(height, seal)
        self._proposer.poke()  # what did not fit there may be all that waits
        self._executor.mark_sealed_soon(height)
        self._snapshot_keeper.on_sealed(height)
        self._service.publish(sealed)

    # ── what links and clients bring ──────────────────────────────────────────────────────────────

    def _on_link(self, member: int, connected: bool) -> None:
        name = self.genesis.validators.members[member].name
        log.info("%s %s", "connected to" if connected else "lost", name)
        if connected:
            self._gossip.on_connected(member)
        else:
            self._sync.on_lost(member)

    def _on_added(self, news: Sequence[tuple[bytes, bytes]], own: bool) -> None:
        self._requests.arrived(news, own)
        self._bodies.on_added([transaction_hash for transaction_hash, _ in news])
        self._requests.tell_waiting()
        self._proposer.poke()

    def _post(self, event: events.Event) -> None:
        self._driver.post(event)

    def _send(self, member: int, message: PeerMessage) -> bool:
        return self._mesh.send_bulk(member, peer_frame(message))

    # ── now and then ─────────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._mempool.drop_expired(self._store.height + 1)
            self._gossip.tick()
            self._requests.tell_again()
            self._proposer.poke()
            self._status_desk.tell_silence()
            self._behind.tick()
