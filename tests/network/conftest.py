"""A node in memory: the two interfaces that a gateway is written against, with real signatures, receipts and seals.

It judges and seals like a node, executes a toy `registry`, and can be told to be slow, busy, or away.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter

import httpx
import msgspec
import pytest

from contracts.keys import state_key
from ledger import blocks, codec, hashing, seals, transactions
from ledger.crypto import SigningKey
from ledger.types import (
    Account,
    Batch,
    Block,
    BlockRecord,
    Call,
    Checkpoint,
    Genesis,
    LogEntry,
    Parameters,
    Receipt,
    Validator,
    ValidatorSet,
)
from network.api import (
    AccountEntry,
    Admission,
    ContractInfo,
    EvidenceEntry,
    ExecutorStatus,
    MethodInterface,
    NodeStatus,
    NodeUnavailable,
    PeerStatus,
    StateAnswer,
    TransactionRecord,
    ViewOutcome,
)
from network.gateway import GatewaySettings, create_app, serve

NAMES = ("alpha", "bravo", "charlie", "delta")
START_MS = 1_760_000_000_000
SOURCE = '''class Registry(Contract):
    """Who registered which document, and when."""

    entries: Map[str, str]

    @call
    def register(self, digest: str) -> int:
        require(digest not in self.entries, "registered already")
        self.entries[digest] = self.ctx.sender
        self.emit("Registered", digest=digest)
        return len(digest)

    @view
    def owner_of(self, digest: str) -> str:
        return self.entries[digest]
'''
REGISTRY = ContractInfo(
    name="registry",
    code_hash=hashing.code_hash(SOURCE.encode()),
    owner=bytes(32),
    height=0,
    version=1,
    source=SOURCE,
    doc="Who registered which document, and when.",
    methods=(
        MethodInterface("register", "call", (("digest", "str"),), "int", "Register a digest, once."),
        MethodInterface("owner_of", "view", (("digest", "str"),), "str", "Who registered a digest."),
    ),
    state=(("entries", "Map[str, str]"), ("pairs", "Map[tuple[str, int], bytes]"), ("total", "int")),
    events=(("Registered", (("digest", "str"),)),),
)


SYSTEM = ContractInfo(
    name="system",
    code_hash=bytes(32),
    owner=b"",
    height=0,
    version=1,
    source="",
    doc="Who may send, and which code each contract has.",
    methods=(),
    state=(
        ("registered", "Map[Address, Account{name: str, roles: list[str]}]"),
        ("contracts", "Map[str, dict]"),
        ("sources", "Map[tuple[str, int], dict]"),
    ),
    events=(),
)


def key(number: int) -> SigningKey:
    return SigningKey.from_seed(hashing.tagged("test.key")(bytes([number])))


class FakeNode:
    """The chain, and both interfaces to it."""

    def __init__(self) -> None:
        self.validator_keys = [key(100 + index) for index in range(4)]
        self.alice, self.bob, self.stranger = key(1), key(2), key(3)
        members = tuple(
            Validator(name, each.public_key, 1, b"certificate")
            for name, each in zip(NAMES, self.validator_keys, strict=True)
        )
        accounts = (
            Account("alice", self.alice.public_key, ("admin",)),
            Account("bob", self.bob.public_key, ("writer",)),
        )
        self.genesis = Genesis(1, "testnet", START_MS, Parameters(), ValidatorSet(members), accounts)
        self.records = [blocks.genesis_record(self.genesis, bytes(32))]
        self.later_sets: tuple[ValidatorSet, ...] = ()  # of epochs after the first, where a test has some
        self.pending: dict[bytes, bytes] = {}
        self.evidence: dict[str, bytes] = {}
        self.sealed: dict[bytes, tuple[int, int]] = {}
        self.known = {account.public_key for account in accounts}
        self.entries: dict[str, str] = {}
        self.auto_seal = True
        self.down = self.executor_down = self.mute = False
        self.busy = False
        self.halted = ""
        self.gate: asyncio.Event | None = None
        self.calls: Counter[str] = Counter()
        self.batches: list[int] = []
        self.view_code = ""
        self.state = None
        self._queues: list[asyncio.Queue[BlockRecord | None]] = []
        self._salts = itertools.count(1)
        self.validator = FakeValidator(self)
        self.executor = FakeExecutor(self)

    # ── making transactions ──────────────────────────────────────────────────────────────────────

    @property
    def height(self) -> int:
        return self.records[-1].height

    def sign(self, *args, signer=None, contract="registry", method="register", **changes) -> bytes:
        options = {
            "chain_id": self.genesis.chain_id,
            "calls": [Call(contract, method, codec.encode(list(args)))],
            "gas_limit": 1_000_000,
            "valid_until": self.height + 100,
            "salt": next(self._salts).to_bytes(16, "big"),
        } | changes
        return transactions.sign_transaction(signer or self.alice, **options)

    # ── sealing ──────────────────────────────────────────────────────────────────────────────────

    def seal(self, *, announce: bool = True) -> BlockRecord:
        """Execute and seal whatever is pending, as one block."""
        bodies = tuple(self.pending.values())
        hashes = tuple(hashing.transaction_hash(raw) for raw in bodies)
        parent = self.records[-1].block.header
        batch = Batch(0, parent.height + 1, 0, 0, parent.time_ms + 250, hashes)
        receipts = tuple(self._execute(raw, batch.height, index) for index, raw in enumerate(bodies))
        state_root = hashing.tagged("test.state")(bytes((receipts and receipts[-1]) or b""))
        if self.state is not None:
            entries = {state_key("registry", "entries", (k,)): codec.encode(v) for k, v in self.entries.items()}
            state_root = self.state.commit(batch.height, entries)
        header = blocks.next_header(
            parent,
            batch,
            executed=hashes,
            transactions_root=blocks.transactions_root(hashes),
            receipts_root=blocks.receipts_root(receipts),
            state_root=state_root,
            gas_used=1000 * len(bodies),
            validators_hash=self.genesis.validators.hash,
            next_validators_hash=self.genesis.validators.hash,
        )
        record = BlockRecord(Block(header, batch, hashes), bodies, receipts, self._seal(header))
        for index, raw in enumerate(bodies):
            self.sealed[transactions.identify(raw)[0]] = (batch.height, index)
        self.pending.clear()
        self.records.append(record)
        if announce and not self.mute:
            for queue in self._queues:
                queue.put_nowait(record)
        return record

    def _seal(self, header):
        signatures = {}
        for member in (0, 1, 3):
            vote = Checkpoint(0, header.height, member, header.hash)
            signatures[member] = self.validator_keys[member].sign(seals.checkpoint_message(self.genesis.chain_id, vote))
        return seals.assemble_seal(0, header.height, header.hash, signatures)

    def _execute(self, raw: bytes, height: int, index: int) -> bytes:
        call = transactions.read_transaction(raw).body.calls[0]
        sender = transactions.read_transaction(raw).body.sender.hex()
        args = codec.decode(call.args)
        code, message, line, results, events = "ok", "", 0, (codec.encode(None),), ()
        if call.contract == "system":
            pass
        elif call.contract != "registry":
            code, message, results = "unknown_contract", f"there is no contract {call.contract}", ()
        elif call.method != "register":
            code, message, results = "unknown_method", f"registry has no {call.method}", ()
        elif [type(arg) for arg in args] != [str]:
            code, message, results = "bad_arguments", "register takes (digest: str)", ()
        elif args[0] in self.entries:
            code, message, line, results = "failed", "registered already", 8, ()
        else:
            self.entries[args[0]] = sender
            results = (codec.encode(len(args[0])),)
            events = (LogEntry("registry", "Registered", codec.encode({"digest": args[0]})),)
        return Receipt(
            height, index, *transactions.identify(raw), code, message, call.contract, line, 1000, results, events
        ).encode()

    # ── the stream ───────────────────────────────────────────────────────────────────────────────

    def break_stream(self) -> None:
        for queue in self._queues:
            queue.put_nowait(None)

    async def stream(self):
        queue: asyncio.Queue[BlockRecord | None] = asyncio.Queue()
        self._queues.append(queue)
        try:
            while True:
                record = await queue.get()
                if record is None or self.down:
                    raise NodeUnavailable("the validator went away")
                yield record
        finally:
            self._queues.remove(queue)


class FakeValidator:
    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def _check(self, name: str) -> None:
        self._node.calls[name] += 1
        if self._node.down:
            raise NodeUnavailable("the validator does not answer")

    async def submit(self, raw):
        self._check("submit")
        self._node.batches.append(len(raw))
        if self._node.gate is not None:
            await self._node.gate.wait()
        admissions = [self._admit(each) for each in raw]
        if self._node.auto_seal and self._node.pending:
            asyncio.get_running_loop().call_soon(lambda: self._node.pending and self._node.seal())
        return admissions

    def _admit(self, raw: bytes) -> Admission:
        node = self._node
        transaction = transactions.read_transaction(raw)
        name, _ = transactions.identify(raw)
        if node.busy:
            return Admission("busy", name, "the mempool is full")
        if name in node.sealed or name in node.pending:
            return Admission("known", name)
        fault = transactions.find_fault(
            raw, chain_id=node.genesis.chain_id, parameters=node.genesis.parameters, height=node.height + 1
        )
        if fault is not None:
            return Admission(fault.code, name, fault.message)
        if not transactions.signature_holds(raw, transaction):
            return Admission("bad_signature", name, "the signature does not hold over this body")
        node.pending[name] = raw
        return Admission("accepted", name)

    async def status(self):
        self._check("status")
        node = self._node
        tip = node.records[-1].block.header
        peers = tuple(PeerStatus(index, NAMES[index], True, 0, tip.height, 1.5) for index in (1, 2, 3))
        return NodeStatus(
            "0.1.0",
            "testnet",
            node.genesis.chain_id,
            0,
            "alpha",
            0,
            0,
            False,
            tip.height,
            tip.height,
            tip.hash,
            tip.state_root,
            tip.time_ms,
            len(node.pending),
            sum(map(len, node.pending.values())),
            node.halted,
            peers,
            START_MS,
            {"frames": 7},
        )

    async def genesis(self):
        self._check("genesis")
        return self._node.genesis

    async def validators(self):
        self._check("validators")
        return self._node.genesis.validators

    async def validator_set(self, name):
        self._check("validator_set")
        sets = (self._node.genesis.validators, *self._node.later_sets)
        return next((each for each in sets if each.hash == name), None)

    async def blocks(self, first, last, light=False):
        self._check("blocks")
        assert last - first < 64, "at most 64 blocks at once"
        found = [record for record in self._node.records if first <= record.height <= last]
        return [BlockRecord(record.block, (), (), record.seal) for record in found] if light else found

    async def evidence(self):
        self._check("evidence")
        return [EvidenceEntry(file, 2, "charlie", "prepare", 0, 1, 7) for file in self._node.evidence]

    async def evidence_file(self, file):
        self._check("evidence_file")
        return self._node.evidence.get(file)

    async def block_by_hash(self, block_hash):
        self._check("block_by_hash")
        return next((record for record in self._node.records if record.block.header.hash == block_hash), None)

    async def transaction(self, transaction_id):
        self._check("transaction")
        node = self._node
        if transaction_id in node.pending:
            return TransactionRecord("pending", node.pending[transaction_id], b"", 0, 0)
        if transaction_id not in node.sealed:
            return None
        height, index = node.sealed[transaction_id]
        record = node.records[height]
        return TransactionRecord("sealed", record.bodies[index], record.receipts[index], height, index)

    async def account(self, public_key, before_height, before_index, limit):
        self._check("account")
        entries = [
            AccountEntry(record.height, index, transactions.identify(raw)[0])
            for record in reversed(self._node.records)
            for index, raw in reversed(list(enumerate(record.bodies)))
            if transactions.read_transaction(raw).body.sender == public_key
            and (record.height, index) < (before_height, before_index)
        ]
        return entries[:limit]

    def sealed_blocks(self):
        return self._node.stream()


class FakeExecutor:
    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def _check(self, name: str) -> None:
        self._node.calls[name] += 1
        if self._node.executor_down:
            raise NodeUnavailable("the executor does not answer")

    async def status(self):
        self._check("executor_status")
        return ExecutorStatus(self._node.height, bytes(32), 1, ("seccomp",))

    async def view(self, contract, method, args, sender, height=None):
        self._check("view")
        if self._node.gate is not None:
            await self._node.gate.wait()
        at = self._node.height if height is None else height
        code, message, line, value = self._run(contract, method, codec.decode(args))
        return ViewOutcome(code, message, line, codec.encode(value), 500, at)

    def _run(self, contract, method, args):
        node = self._node
        if node.view_code:
            return node.view_code, "", 0, None
        if (contract, method) == ("system", "accounts"):
            found = sorted((each.public_key.hex(), each.name, list(each.roles)) for each in node.genesis.accounts)
            page = [{"public_key": k, "name": n, "roles": r} for k, n, r in found if k > args[0]]
            return "ok", "", 0, page[: args[1]]
        if (contract, method) == ("system", "account"):
            found = [each for each in node.genesis.accounts if each.public_key.hex() == args[0]]
            return "ok", "", 0, {"name": found[0].name, "roles": list(found[0].roles)} if found else None
        if contract != "registry":
            return "unknown_contract", f"there is no contract {contract}", 0, None
        if method == "echo":
            return "ok", "", 0, args
        if method != "owner_of":
            return "unknown_method", f"registry has no view {method}", 0, None
        if [type(arg) for arg in args] != [str]:
            return "bad_arguments", "owner_of takes (digest: str)", 0, None
        if args[0] not in node.entries:
            return "key_error", "no such key", 14, None
        return "ok", "", 0, node.entries[args[0]]

    async def contracts(self):
        self._check("contracts")
        return [msgspec.structs.replace(REGISTRY, source="")]

    async def contract(self, name):
        self._check("contract")
        return {"registry": REGISTRY, "system": SYSTEM}.get(name)

    async def state(self, contract, path, height=None):
        self._check("state")
        self._node.calls[f"path {codec.decode(path)!r}"] += 1
        variable, *keys = codec.decode(path)
        if self._node.state is not None:
            return self._proven(state_key(contract, variable, tuple(keys)), height)
        value = self._node.entries.get(keys[0]) if variable == "entries" else None
        at = self._node.height if height is None else height
        encoded = b"" if value is None else codec.encode(value)
        return StateAnswer(path, value is not None, encoded, b"proof", at, bytes(32))

    def _proven(self, place, height):
        """From a real state, with a real proof."""
        state = self._node.state
        at = state.height if height is None else height
        value = state.get(place, at)
        return StateAnswer(place, value is not None, value or b"", state.prove(place, at), at, state.root_at(at))

    async def known_senders(self, public_keys):
        self._check("known_senders")
        return [each in self._node.known for each in public_keys]


class Running:
    """A gateway over a fake node, reachable in memory."""

    def __init__(self, node: FakeNode, app) -> None:
        self.node = node
        self.app = app
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def post(self, raw, query="", **options):
        headers = {"content-type": "application/octet-stream"} | options.pop("headers", {})
        return await self.http.post(f"/v1/transactions{query}", content=raw, headers=headers, **options)

    async def get(self, path, **options):
        return await self.http.get(path, **options)


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def settings() -> GatewaySettings:
    return GatewaySettings(status_poll_s=0.02, min_height_wait_s=0.1, linger_ms=1.0)


@pytest.fixture
async def gateway(node, settings):
    """The gateway in memory, following its node."""
    app = create_app(node.validator, node.executor, settings)
    await app.start()
    await poll(lambda: app.services.feed.height >= 0)
    running = Running(node, app)
    yield running
    await running.http.aclose()
    await app.stop()


@pytest.fixture
def serving():
    """A gateway on a real socket: `async with serving(node, settings) as port`."""

    @contextlib.asynccontextmanager
    async def run(node, settings):
        app = create_app(node.validator, node.executor, settings)
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(app, on_ready=ready.set_result, handle_signals=False))
        port = await ready
        await poll(lambda: app.services.feed.height >= 0)
        try:
            yield port
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return run


async def poll(condition, timeout_s: float = 5.0) -> None:
    """Wait until a condition holds; fail after the time."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.002)


@pytest.fixture(name="poll")
def poll_fixture():
    return poll
