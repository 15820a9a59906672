"""The validator process, assembled: links, mempool, consensus driver, pipeline, block store. It decides nothing.

Each part is handed what it needs and knows no other part; this file is where a message, an action or a sealed block
goes from one to the next. Read `_on_frame` for what peers say, `perform` for what the replica says.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import msgspec

from consensus import Replica, Tip, Turn, actions, events, memory_heights
from consensus.errors import JournalDamaged
from consensus.overlooked import Overlooked
from ledger.blocks import genesis_record
from ledger.crypto import SigningKey, verify
from ledger.errors import DataLost, DiskFull, GenesisError, InvalidProof, StorageError
from ledger.journal import Journal, read_again
from ledger.quorum import power_of, quorum_power
from ledger.salvage import salvage
from ledger.store import BlockStore
from ledger.transactions import identify
from ledger.types import Batch, BlockRecord, Genesis, Seal
from network.api import NodeStatus, PeerStatus, ScrubStatus
from network.bodies import BodyKeeper
from network.body_desk import BodyDesk
from network.config import NodeConfig, split_address
from network.driver import Driver, batches_in, split_journal
from network.evidence import EvidenceBook
from network.executor_link import ExecutorLink, hung_after_s
from network.gossip import Gossip
from network.gossip_desk import GossipDesk
from network.hand_on import HandOn
from network.intake import Intake
from network.ipc import Server
from network.links import PeerMesh
from network.mempool import Limits, Mempool
from network.paths import NodePaths
from network.pipeline import Diverged, Pipeline, StateMissing
from network.proposer import Proposer
from network.room import wait_for_room
from network.scrub.mender import BlockMender
from network.scrub.scrubber import Parts, Scrubber
from network.service import ValidatorService
from network.snapshots.behind import Behind
from network.snapshots.desk import SnapshotDesk
from network.snapshots.keeper import SnapshotKeeper, clear_rubbish, environment
from network.supervisor import Child
from network.sync import BlockSync
from network.verification import Verifier
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
    consensus_frame,
    peer_frame,
    read_peer_frame,
)

log = logging.getLogger("quorate.validator")

TICK_S = 1.0
FETCHED_BLOCKS_MAX = 1024


def now_ms() -> int:
    """The wall clock: proposals are stamped and judged by it, timers are not."""
    return time.time_ns() // 1_000_000


class ValidatorNode:
    """Everything of one validator. `start`, then `wait` until something ends it, then `stop`."""

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
        self.halted = ""
        self.begin_again = False
        """Why `wait` returned: not to end the process, but to make this object anew on the same directory."""
        self.join = ""
        """Why a snapshot must come first, where that is what `begin_again` is for: "behind", or the "state" is gone."""
        self.remade = False
        """Whether `begin_again` is for a block store that is damaged: it is made anew when it is opened."""
        self._join_not_before = join_not_before
        self._remake_not_before = remake_not_before
        self._damage_of_store: Callable[[], str] = lambda: ""
        self._key = key
        self._executor_child = executor_child
        self._paths = NodePaths(config.data_directory)
        self._started_ms = now_ms()
        self._tasks: list[asyncio.Task[None]] = []
        self._room: asyncio.Task[None] | None = None
        self._fetched: dict[int, BlockRecord] = {}
        self._told_waiting = False
        self._told_silence = ""
        self._unsealed: dict[int, BlockRecord] = {}  # executed, and not sealed yet: the window at most
        self._stopped = asyncio.Event()
        self._opened = contextlib.AsyncExitStack()
        self._version = importlib.metadata.version("quorate")

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Open storage, bring the executor level with it, take up the votes, and join the others."""
        self._open_storage()
        if self._store.height <= 0 and self._store.first_height > 1:
            self._leave_for_snapshot("state", "all blocks since a snapshot were lost")
            return
        self._assemble()
        self._opened.push_async_callback(self._verifier.close)
        self._opened.push_async_callback(self._executor.close)
        await self._executor.connect()
        await self._ensure_genesis()
        try:
            await self._pipeline.catch_up(self._store.height)
        except StateMissing as error:
            self._leave_for_snapshot("state", str(error))
            return
        await self._mark_sealed()
        self._make_replica()
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
        if self._scrubber is not None:
            self._opened.callback(self._scrubber.close)
        self._opened.push_async_callback(self._stop_tasks)
        if self._scrubber is not None:
            self._spawn(self._scrubber.run(), "scrub")
        self._spawn(self._driver.run(), "driver")
        self._spawn(self._pipeline.run(), "pipeline")
        self._spawn(self._tick(), "tick")
        self._spawn(self._hand_on_late(), "hand-on")
        log.info(
            "validator %s (member %d of %d) on chain %s at height %d",
            self.genesis.validators.members[self.member].name,
            self.member,
            len(self.genesis.validators.members),
            self.genesis.chain_id.hex()[:16],
            self._store.sealed_height,
        )

    async def wait(self) -> None:
        """Until the node must end by itself, or begin again."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Leave the others and close storage: whatever was opened, the last first."""
        await self._opened.aclose()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _close_store(self) -> None:
        if not self.halted:
            self._store.sync()
        self._store.close()

    def _open_storage(self) -> None:
        for name in clear_rubbish(self._paths.snapshots):
            log.warning("the snapshot %s was half-written when this node ended: it is deleted", name)
        self._store = self._open_store()
        self._damage_of_store = lambda: self._store.damage
        self._opened.callback(self._close_store)
        self._check_genesis()
        self._journal, records = self._open_journal()
        self._opened.callback(self._journal.close)
        self._journal_bodies, self._journal_votes = split_journal(records)
        self._journal_batches = batches_in(self._journal_votes)
        lost = self._store.lost_heights
        if lost:
            log.error("the block store lost blocks %s: they are fetched from peers again", lost)

    def _open_journal(self) -> tuple[Journal, list[bytes]]:
        """The vote journal. What it promised no peer can give back, so a damaged one is the operator's to move away."""
        try:
            return Journal.open(self._paths.journal)
        except DataLost as error:
            raise DataLost(
                f"{error}. Move it away, never restore a copy, and start again: this validator stays silent until the "
                "others have told it what it signed"
            ) from None

    def _open_store(self) -> BlockStore:
        """The block store; one that is damaged is kept aside, and filled again from what is whole and from peers."""
        salvaged = salvage(self._paths.blocks)
        if salvaged is not None:
            log.error(
                "%s; whole up to block %d, the rest is fetched from peers; the damaged files are %s",
                *(salvaged.because, salvaged.height, salvaged.aside),
            )
        try:
            return BlockStore(self._paths.blocks)
        except DataLost as error:
            aside = BlockStore.set_aside(self._paths.blocks)
            log.error("%s; it is kept as %s, and the blocks are fetched from peers", error, aside)
            return BlockStore(self._paths.blocks)

    def _check_genesis(self) -> None:
        stored = self._store.header(0)
        if stored is not None and stored.chain_id != self.genesis.chain_id:
            raise GenesisError(
                f"this data directory belongs to chain {stored.chain_id.hex()[:16]}..., "
                f"the genesis file makes chain {self.genesis.chain_id.hex()[:16]}...: "
                "use the genesis file that it was made with, or an empty data directory"
            )

    def _assemble(self) -> None:
        genesis, parameters = self.genesis, self.genesis.parameters
        self._overlooked = Overlooked(parameters.window)
        self._mempool = Mempool(Limits(self.config.mempool.transactions_max, self.config.mempool.bytes_max))
        self._verifier = Verifier(
            chain_id=genesis.chain_id, parameters=parameters, next_height=lambda: self._store.height + 1
        )
        self._mesh = PeerMesh(
            member=self.member,
            validators=genesis.validators,
            addresses=self._addresses(),
            listen=split_address(self.config.peer.listen),
            tls_key_path=self.config.tls_key_path,
            tls_certificate_path=self.config.tls_certificate_path,
            tls_passphrase=self.config.passphrase(os.environ),
            chain_id=genesis.chain_id,
            on_frame=self._on_frame,
            on_state=self._on_link,
        )
        self._gossip = Gossip(
            broadcast=self._mesh.broadcast_bulk,
            send=self._mesh.send_bulk,
            get=self._mempool.get,
        )
        self._hand_on = HandOn(
            send=self._mesh.send_bulk,
            get=self._mempool.get,
            waits=self._mempool.waits,
            handed=self._overlooked.handed,
            timeout_s=parameters.request_timeout_ms / 1000,
        )
        self._bodies = BodyKeeper(
            mempool=self._mempool,
            parameters=parameters,
            keep=self._keep,
            request=self._request_bodies,
            check=self._verifier.check_bodies,
            ready=lambda digest: self._driver.post(events.BodiesReady(digest, now_ms())),
            refused=lambda digest, reason: self._driver.post(events.BodiesRefused(digest, reason, now_ms())),
        )
        self._bodies.restore(self._journal_bodies, self._journal_batches, self._store.sealed_height)
        self._desk = BodyDesk(get=self._bodies.get, send=self._mesh.send_bulk)
        self._proposer = Proposer(mempool=self._mempool, parameters=parameters, propose=self._propose)
        self._intake = Intake(
            mempool=self._mempool,
            check=self._verifier.check,
            in_block=lambda transaction_id: self._store.locate(transaction_id) is not None,
            added=self._on_added,
            asked_again=self._gossip.adopt,
        )
        self._gossip_desk = GossipDesk(
            members=len(genesis.validators.members), take=self._intake.take_gossip, penalise=self._mesh.penalise
        )
        self._executor = ExecutorLink(
            self._paths.executor_socket, self._executor_child, hung_after_s(parameters.block_gas_max)
        )
        self._pipeline = Pipeline(
            store=self._store,
            executor=self._executor,
            validators_hash=genesis.validators.hash,
            ahead_max=parameters.window,
            bodies=self._bodies.of,
            fetched=self._fetched.get,
            missing=self._find_bodies,
            executed=self._on_executed,
            levelled=lambda: self._executor.mark_sealed_soon(self._store.sealed_height),
        )
        self._sync = BlockSync(
            chain_id=genesis.chain_id,
            validators=genesis.validators,
            store=self._store,
            send=self._mesh.send_bulk,
            silent_s=self._mesh.silent_s,
            fetched=self._on_fetched,
            failed=lambda member: self._driver.post(events.FetchFailed(member, now_ms())),
        )
        snapshots = self.config.snapshots
        self._snapshot_desk = SnapshotDesk(self._paths.snapshots, self._mesh.send_bulk)
        self._snapshot_keeper = SnapshotKeeper(
            self.config.path.absolute(), snapshots.every, environment(), state_differs=self._on_state_differs
        )
        self._behind = Behind(
            genesis=genesis,
            join_behind=snapshots.join_behind,
            allowed=lambda: time.monotonic() >= self._join_not_before,
            sealed_height=lambda: self._store.sealed_height,
            reported=lambda: [peer.sealed_height for peer in self._driver.replica.peers],
            lacking=self._all_lack_blocks,
            ask=lambda: self._mesh.broadcast_bulk(peer_frame(SnapshotsRequest())),
            leave=self._leave_behind,
        )
        self._evidence = EvidenceBook(self._paths.evidence, genesis)
        self._mender = BlockMender(
            genesis=genesis,
            send=lambda member, message: self._mesh.send_bulk(member, peer_frame(message)),
            linked=lambda: [each for each in self._others() if self._mesh.connected(each)],
        )
        self._scrubber = self._make_scrubber()
        self._service = ValidatorService(
            genesis=genesis,
            store=self._store,
            mempool=self._mempool,
            intake=self._intake,
            status=self.status,
            halted=lambda: self.halted,
            evidence=self._evidence,
        )
        self._server = Server(self._paths.validator_socket, self._service.handle)

    def _make_scrubber(self) -> Scrubber | None:
        rate, validators = self.config.scrub.bytes_per_second, self.genesis.validators
        if not rate:
            return None
        parts = Parts(
            genesis=self.genesis,
            store=self._store,
            snapshots=self._paths.snapshots,
            mender=self._mender,
            scrub_state=self._executor.scrub,
            remake_state=self._remake_state,
            journal=lambda: read_again(self._journal),
            rewrite_journal=lambda: self._driver.rewrite_journal(),  # noqa: PLW0108 - there is no driver yet
            spared=self._is_spared,
            sparable=power_of(self._others(), validators.powers) >= quorum_power(validators.total_power),
            remake_store=self._remake_store,
            halt=self._halt,
            busy=self._is_busy,
            state=self._paths.state,
        )
        return Scrubber(parts, rate)

    def _others(self) -> list[int]:
        return [each for each in range(len(self.genesis.validators.members)) if each != self.member]

    def _addresses(self) -> dict[int, tuple[str, int]]:
        by_name = {member.name: index for index, member in enumerate(self.genesis.validators.members)}
        return {by_name[peer.name]: split_address(peer.address) for peer in self.config.peers}

    def _make_replica(self) -> None:
        try:
            replica = Replica(
                member=self.member,
                chain_id=self.genesis.chain_id,
                validators=self.genesis.validators,
                parameters=self.genesis.parameters,
                sign=self._key.sign,
                verify=verify,
                tip=self._tip(),
                journal=self._journal_votes,
            )
        except JournalDamaged as error:
            raise DataLost(f"the vote journal {self._paths.journal} is damaged: {error}") from None
        self._driver = Driver(replica, self._journal, self, now_ms, halted=self._on_storage_failed)
        self._journal_bodies, self._journal_votes, self._journal_batches = [], [], []

    def _tip(self) -> Tip:
        record = self._store.record(self._store.sealed_height)
        assert record is not None, "the sealed height is stored"
        header = record.block.header
        return Tip(header.height, header.hash, header.time_ms, record.seal, self._turns(header.height))

    def _turns(self, height: int) -> tuple[Turn, ...]:
        """In whose turns the last blocks were first proposed."""
        first = max(1, height + 1 - memory_heights(self.genesis.parameters.window))
        headers = [self._store.header(each) for each in range(first, height + 1)]
        return tuple(Turn(each.batch_view, each.batch_proposer, each.batch_since) for each in headers if each)

    async def _ensure_genesis(self) -> None:
        """Store block 0 when the store is new."""
        if self._store.height < 0:
            root = await self._executor.genesis_root()
            self._store.put(genesis_record(self.genesis, root))

    async def _mark_sealed(self) -> None:
        await self._executor.mark_sealed(self._store.sealed_height)

    def _spawn(self, coroutine: object, name: str) -> None:
        assert asyncio.iscoroutine(coroutine)
        task = asyncio.create_task(self._guard(coroutine), name=name)
        self._tasks.append(task)

    async def _guard(self, coroutine: object) -> None:
        """A part that fails halts the validator with a diagnosis; the node stays up for reads."""
        try:
            assert asyncio.iscoroutine(coroutine)
            await coroutine
        except (Diverged, DataLost, StorageError) as error:
            self._halt(str(error))
            if isinstance(error, DiskFull):
                self._begin_again_later()
            else:
                self._begin_again_if_damaged()
        except StateMissing as error:
            self._driver.halt()
            self._leave_for_snapshot("state", str(error))
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.exception("a part of this validator failed: this is a defect, please report it")
            self._halt("an internal error: see the log")
            self._stopped.set()

    def _halt(self, diagnosis: str) -> None:
        if not self.halted:
            self.halted = diagnosis
            log.critical("HALTED, this validator votes no more: %s", diagnosis)
        self._driver.halt()

    def _on_storage_failed(self, diagnosis: str) -> None:
        self._halt(diagnosis)
        if self._driver.disk_full:
            self._begin_again_later()
        else:
            self._begin_again_if_damaged()

    # ── damage to what is stored ──────────────────────────────────────────────────────────────────

    def _begin_again_if_damaged(self) -> None:
        """It votes no more, so nothing is lost by making the store anew now; but not again and again."""
        damage = self._damage_of_store()
        if damage and not self._remake_store(damage):
            self.halted += (
                ". The block store was made anew less than an hour ago and is damaged again: the disk or the memory of "
                "this machine cannot be trusted. Stop the node, replace what fails, and start again"
            )

    def _remake_store(self, why: str) -> bool:
        """End this validator; the next one finds the note of the damage, and makes the store anew."""
        if time.monotonic() < self._remake_not_before:
            return False
        log.warning("%s: this validator begins again, with a new block store", why)
        self._driver.halt()
        self.remade = self.begin_again = True
        self._stopped.set()
        return True

    def _is_busy(self) -> bool:
        """Whether it starts, is in doubt, changes its view or catches up: then its time is for that."""
        replica, window = self._driver.replica, self.genesis.parameters.window
        highest = max((peer.sealed_height for peer in replica.peers), default=0)
        return bool(replica.silence) or replica.changing_view or highest > self._store.sealed_height + window

    def _is_spared(self) -> bool:
        """Whether the others that are linked and level are a quorum without this node."""
        views, validators = self._driver.replica.peers, self.genesis.validators
        lowest = self._store.sealed_height - self.genesis.parameters.window
        level = [each for each in self._others() if self._mesh.connected(each) and views[each].sealed_height >= lowest]
        return power_of(level, validators.powers) >= quorum_power(validators.total_power)

    def _on_state_differs(self, height: int) -> None:
        """A process that read the whole state says that it does not give the sealed root."""
        if self._scrubber is not None:
            self._scrubber.suspect_state(f"the state, read for a snapshot of height {height}, gives another root")

    async def _remake_state(self) -> None:
        """Have the executor throw its state away, and execute the blocks again."""
        await self._executor.forget()
        self._pipeline.level_executor()

    # ── what makes it begin again ─────────────────────────────────────────────────────────────────

    def _begin_again_later(self) -> None:
        """A full disk is no damage: once there is room, this node is made anew on what its disk holds (scenario 75)."""
        if self._room is None:
            self._room = asyncio.create_task(self.await_room(), name="room")
            self._tasks.append(self._room)

    def _all_lack_blocks(self) -> bool:
        """Whether nobody who is linked has the blocks that this node needs next."""
        others = [each for each in range(len(self.genesis.validators.members)) if self._mesh.connected(each)]
        return bool(self._sync.lacking) and self._sync.lacking >= set(others)

    def _leave_behind(self, height: int) -> None:
        self._driver.halt()
        stands = self._store.sealed_height
        self._leave_for_snapshot("behind", f"this node is at height {stands}, the others keep a snapshot of {height}")

    def _leave_for_snapshot(self, why: str, told: str) -> None:
        log.warning("%s: it takes a snapshot from the others, and votes no more until then", told)
        self.join, self.begin_again = why, True
        self._stopped.set()

    async def await_room(self) -> None:
        """Wait until the disk has room, and say that this object is to be made anew."""
        await wait_for_room(self.config.data_directory)
        log.warning("there is room on the disk again: this validator begins anew on what it holds")
        self.begin_again = True
        self._stopped.set()

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
                self._mempool.mark_in_flight(batch.height, batch.hashes)
                self._bodies.hold(batch, sources)
            case actions.Deliver(_, batch, _):
                self._deliver(batch)
            case actions.Sealed(height, _, seal):
                self._on_sealed(height, seal)
            case actions.Fetch(member, first, last):
                self._sync.fetch(member, first, last)
            case actions.Evidence():
                self._keep_evidence(action)
            case actions.Halt(diagnosis):
                self._halt(diagnosis)
            case actions.ViewChanged(view, primary):
                self._follow_proposals()
                log.info("view %d, primary %s", view, self.genesis.validators.members[primary].name)
            case _:
                raise AssertionError(f"no performer for {type(action).__name__}")

    def pinned_bodies(self) -> Sequence[bytes]:
        """The bodies of what is not sealed; everything else is synced to the block store first."""
        self._store.sync()
        return self._bodies.pinned()

    def _propose(self, height: int, view: int, hashes: tuple[bytes, ...]) -> None:
        self._driver.keep_bodies([raw for raw in map(self._mempool.get, hashes) if raw is not None])
        self._driver.post(events.BatchReady(height, view, hashes, now_ms(), now_ms()))

    def _follow_proposals(self) -> None:
        """What the last view proposed and the new one did not take over waits in the pool again."""
        proposed = self._driver.replica.in_flight
        for height in self._mempool.heights_in_flight():
            if height not in proposed:
                self._mempool.release(height)
        for height, hashes in proposed.items():
            self._mempool.mark_in_flight(height, hashes)

    def _deliver(self, batch: Batch) -> None:
        self._mempool.mark_in_flight(batch.height, batch.hashes)
        self._pipeline.deliver(batch)
        last = batch.height + self.genesis.parameters.window  # whoever proposes next may be there already
        waits = partial(self._mempool.waits, beyond=last)
        if self._overlooked.delivered(batch, had_room=self._had_room(batch), waits=waits):
            self._driver.post(events.RequestPassedOver(now_ms()))

    def _had_room(self, batch: Batch) -> bool:
        """Whether one more transaction would have fitted, whatever its size and gas."""
        parameters = self.genesis.parameters
        entries = [entry for each in batch.hashes if (entry := self._mempool.entry(each))]
        size, gas = sum(len(entry.raw) for entry in entries), sum(entry.gas_limit for entry in entries)
        return (
            len(entries) == len(batch.hashes) < parameters.block_transactions_max
            and size + parameters.transaction_bytes_max <= parameters.block_bytes_max
            and gas + parameters.transaction_gas_max <= parameters.block_gas_max
        )

    def _on_executed(self, record: BlockRecord, left: Collection[bytes]) -> None:
        header = record.block.header
        self._unsealed[header.height] = record
        done = [each for each in record.block.batch.hashes if each not in left]
        if self._mempool.remove(done) < len(done):  # one body may wait here under another of its signatures
            self._mempool.remove_ids(identify(raw)[0] for raw in record.bodies)
        self._overlooked.arrived(left)
        self._driver.post(events.Executed(header.height, header.hash, now_ms()))
        self._tell_waiting()

    def _on_sealed(self, height: int, seal: Seal) -> None:
        self._store.seal(height, seal)
        self._mempool.release(height)
        self._mempool.drop_expired(height + 1)
        self._proposer.poke()  # what did not fit there may be all that waits
        self._bodies.unpin(height)
        self._fetched.pop(height, None)
        record = self._unsealed.pop(height)
        self._executor.mark_sealed_soon(height)
        self._snapshot_keeper.on_sealed(height)
        self._service.publish(msgspec.structs.replace(record, seal=seal))

    def _find_bodies(self, batch: Batch) -> None:
        others = [member for member in range(len(self.genesis.validators.members)) if member != self.member]
        self._bodies.hold(batch, tuple(others))

    def _keep(self, raws: Sequence[bytes]) -> None:
        self._driver.keep_bodies(raws)

    def _request_bodies(self, member: int, hashes: tuple[bytes, ...]) -> None:
        self._mesh.send_bulk(member, peer_frame(BodiesRequest(hashes)))

    # ── what peers say ────────────────────────────────────────────────────────────────────────────

    def _on_frame(self, member: int, frame: bytes) -> None:
        if frame[:1] == bytes((CONSENSUS,)):
            self._driver.receive(member, frame[1:])
            return
        match read_peer_frame(frame):
            case Transactions(raws):
                self._gossip_desk.on_gossip(member, raws)
            case BodiesRequest(hashes):
                self._desk.serve(member, hashes)
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
                self._mesh.penalise(member, "a frame that is no message of this protocol")

    def _on_link(self, member: int, connected: bool) -> None:
        name = self.genesis.validators.members[member].name
        log.info("%s %s", "connected to" if connected else "lost", name)
        if connected:
            self._gossip.on_connected(member)
        else:
            self._sync.on_lost(member)

    def _on_fetched(self, record: BlockRecord) -> None:
        if record.height <= self._store.sealed_height or len(self._fetched) >= FETCHED_BLOCKS_MAX:
            return
        assert record.seal is not None, "only sealed blocks are fetched"
        self._fetched[record.height] = record
        self._bodies.pin_fetched(record.height, record.bodies)
        block = record.block
        self._driver.post(events.BlockFetched(block.header, block.batch, record.seal, now_ms()))

    # ── what clients say ──────────────────────────────────────────────────────────────────────────

    def _on_added(self, news: Sequence[tuple[bytes, bytes]], own: bool) -> None:
        hashes = [transaction_hash for transaction_hash, _ in news]
        if own:
            self._gossip.spread(news)
            self._overlooked.arrived(hashes)
        else:
            self._hand_on.heard(hashes)
        self._bodies.on_added(hashes)
        self._tell_waiting()
        self._proposer.poke()

    def _tell_waiting(self) -> None:
        """The replica's timer runs while anything waits for its block, proposed or not."""
        waiting = len(self._mempool) > 0
        if waiting != self._told_waiting:
            self._told_waiting = waiting
            self._driver.post(events.RequestsWaiting(waiting, now_ms()))

    # ── now and then ─────────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._mempool.drop_expired(self._store.height + 1)
            self._gossip.tick()
            self._driver.post(events.RequestsWaiting(len(self._mempool) > 0, now_ms()))
            self._proposer.poke()
            self._tell_silence()
            self._behind.tick()

    async def _hand_on_late(self) -> None:
        while True:
            await asyncio.sleep(self._hand_on.every_s)
            replica = self._driver.replica
            known = not replica.changing_view and replica.primary != self.member
            self._hand_on.tick((replica.view, replica.primary) if known else None)

    def _tell_silence(self) -> None:
        """Why this validator does not vote, for its operator, whenever that changed."""
        silence = self._driver.replica.silence
        if silence and silence != self._told_silence:
            log.warning("this validator does not vote: %s", silence)
        elif self._told_silence and not silence:
            log.info("this validator votes again")
        self._told_silence = silence

    # ── what others ask ───────────────────────────────────────────────────────────────────────────

    def status(self) -> NodeStatus:
        """How this node stands."""
        replica = self._driver.replica
        sealed = self._store.header(self._store.sealed_height)
        assert sealed is not None, "the sealed height is stored"
        return NodeStatus(
            version=self._version,
            network=self.genesis.network,
            chain_id=self.genesis.chain_id,
            member=self.member,
            name=self.genesis.validators.members[self.member].name,
            view=replica.view,
            primary=replica.primary,
            changing_view=replica.changing_view,
            sealed_height=sealed.height,
            executed_height=self._store.height,
            sealed_hash=sealed.hash,
            state_root=sealed.state_root,
            sealed_time_ms=sealed.time_ms,
            mempool_transactions=len(self._mempool),
            mempool_bytes=self._mempool.bytes,
            halted=self.halted,
            peers=self._peer_statuses(),
            started_ms=self._started_ms,
            counters={
                **self._intake.counters,
                **self._mesh.counters,
                "events_dropped": self._driver.events_dropped,
                "gossip_dropped": self._gossip_desk.dropped,
                "evidence": len(self._evidence),
            },
            silence="" if self.halted else replica.silence,
            scrub=self._scrubber.report.status() if self._scrubber is not None else ScrubStatus(),
        )

    def _peer_statuses(self) -> tuple[PeerStatus, ...]:
        views = self._driver.replica.peers
        return tuple(
            PeerStatus(
                member=index,
                name=member.name,
                connected=self._mesh.connected(index),
                view=views[index].view,
                sealed_height=views[index].sealed_height,
                round_trip_ms=self._mesh.round_trip_ms(index),
            )
            for index, member in enumerate(self.genesis.validators.members)
            if index != self.member
        )

    def _keep_evidence(self, evidence: actions.Evidence) -> None:
        """Write both signed messages down: they prove the fault to anybody, for ever."""
        try:
            found = self._evidence.keep(evidence.first, evidence.second)
        except InvalidProof:
            log.exception(
                "evidence against member %d does not hold: this is a defect, please report it", evidence.member
            )
            return
        log.error(
            "EVIDENCE: %s signed two different messages (%s, view %s, height %s)",
            found.name,
            found.kind,
            found.view,
            found.height,
        )
