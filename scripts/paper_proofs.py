"""A chain on paper whose validators change, and proof files about it: what a network of three epochs would hand out.

The keys are ours, so every header is sealed as it should be. It knows what is true on it (`Chain.is_true`), which is
how a campaign tells a forged proof from another true one. No node, no network, no clock: the same chain every time.

Epochs are not made by nodes yet. Here an epoch's last header names the next set, as `ledger.verifier` expects it.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from contracts.keys import state_key
from ledger import codec, proofs
from ledger.blocks import genesis_header, next_header, receipts_root, transactions_root
from ledger.crypto import SigningKey
from ledger.proofs import Closing, Way
from ledger.state import State
from ledger.transactions import identify, sign_transaction
from ledger.types import (
    Account,
    Batch,
    Block,
    BlockRecord,
    Call,
    Genesis,
    Header,
    LogEntry,
    Parameters,
    Receipt,
    Seal,
    Validator,
    ValidatorSet,
)
from scripts.paper_keys import key_of, seal_by

TIME_MS = 1_700_000_000_000
POWERS = ((1, 1, 1, 1), (1, 1, 1, 1, 2), (3, 2, 1, 1))  # of the members of each epoch
EPOCH_HEIGHTS = 2
STATE_KEYS = 400

Maker = tuple[str, bytes | None, Callable[[], str]]  # a file's kind, where it begins, and how it is made


@dataclass
class Chain:
    """Blocks 1 to 6, two in each of three epochs. `states[height]` is what the state then held, `proven` its proofs."""

    name: str
    keys: list[list[SigningKey]] = field(default_factory=list)
    sets: list[ValidatorSet] = field(default_factory=list)
    records: list[BlockRecord] = field(default_factory=list)
    states: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    proven: dict[tuple[int, bytes], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for epoch, powers in enumerate(POWERS):
            self.keys.append([key_of(f"{self.name} member {epoch} {number}") for number in range(len(powers))])
            members = zip(self.keys[-1], powers, strict=True)
            self.sets.append(
                ValidatorSet(
                    tuple(
                        Validator(f"v{epoch}-{number}", key.public_key, power, b"certificate")
                        for number, (key, power) in enumerate(members)
                    )
                )
            )
        self.client = key_of(f"{self.name} client")
        owner = Account("owner", self.client.public_key, ("admin",))
        self.genesis = Genesis(1, self.name, TIME_MS, Parameters(), self.sets[0], (owner,))
        with tempfile.TemporaryDirectory() as directory:
            state = State.open(Path(directory))
            self._run(state)
            state.close()

    @property
    def headers(self) -> list[Header]:
        """Those of the blocks, from height 1 on."""
        return [record.block.header for record in self.records]

    def way(self, record: BlockRecord, anchor: int | None = None) -> Way:
        """From the genesis to the set that sealed a block; or from the header of height `anchor`."""
        first = 0 if anchor is None else self.headers[anchor - 1].epoch
        closings = []
        for epoch in range(first, record.block.header.epoch):
            closing = self.records[(epoch + 1) * EPOCH_HEIGHTS - 1]
            assert closing.seal is not None
            closings.append(Closing(closing.block.header, closing.seal, self.sets[epoch + 1]))
        return Way(None if anchor is None else (self.headers[anchor - 1], self.sets[first]), tuple(closings))

    def seal(self, header: Header, members: list[int] | None = None) -> Seal:
        """By a quorum, or by these members."""
        keys = self.keys[header.epoch]
        chosen = range(len(keys)) if members is None else members
        return seal_by(header, {member: keys[member] for member in chosen})

    # ── its blocks ────────────────────────────────────────────────────────────────────────────────

    def _run(self, state: State) -> None:
        content: dict[bytes, bytes] = {}
        writes = {
            state_key("token", "balances", (f"account {number}",)): codec.encode(number) for number in range(STATE_KEYS)
        }
        parent = genesis_header(self.genesis, state.commit(0, {}))
        for height in range(1, EPOCH_HEIGHTS * len(POWERS) + 1):
            content |= writes
            parent = self._block(parent, state.commit(height, writes))
            self.states[height] = dict(content)
            for key in self._looked_up(height):
                self.proven[height, key] = state.prove(key)
            writes = {state_key("token", "pairs", (height, True, b"\x00\xff")): codec.encode(["pair", height])}

    def _looked_up(self, height: int) -> list[bytes]:
        """Keys that are there and keys that are not, with elements of every type."""
        keys = [state_key("token", "balances", (f"account {number}",)) for number in (height, 399, 400, 1000 + height)]
        pair = state_key("token", "pairs", (height - 1, True, b"\x00\xff"))
        others = [state_key("token", "supply", ()), state_key("token", "numbers", (-(1 << 255) + height, "über\x00"))]
        return [*keys, pair, *others]

    def _block(self, parent: Header, state_root: bytes) -> Header:
        height = parent.height + 1
        epoch = (height - 1) // EPOCH_HEIGHTS
        bodies = tuple(self._transaction(height, number) for number in range(1 + 2 * height))
        hashes = tuple(identify(body)[1] for body in bodies)
        receipts = tuple(self._receipt(body, height, index).encode() for index, body in enumerate(bodies))
        batch = Batch(epoch, height, 0, 0, TIME_MS + 250 * height, hashes)
        closes = height % EPOCH_HEIGHTS == 0 and epoch + 1 < len(self.sets)
        header = next_header(
            parent,
            batch,
            executed=hashes,
            transactions_root=transactions_root(hashes),
            receipts_root=receipts_root(receipts),
            state_root=state_root,
            gas_used=500 * len(bodies),
            validators_hash=self.sets[epoch].hash,
            next_validators_hash=self.sets[epoch + closes].hash,
        )
        self.records.append(BlockRecord(Block(header, batch, hashes), bodies, receipts, self.seal(header)))
        return header

    def _transaction(self, height: int, number: int) -> bytes:
        calls = [Call("token", "pay", codec.encode([f"account {number}", number])) for _ in range(1 + number % 3)]
        salt = sha256(f"{height} {number}".encode()).digest()[:16]
        return sign_transaction(self.client, self.genesis.chain_id, calls, 100_000, height + 50, salt)

    def _receipt(self, body: bytes, height: int, index: int) -> Receipt:
        if index % 5 == 4:
            return Receipt(height, index, *identify(body), "failed", "too little, übrigens", "token", 12, 500, (), ())
        events = tuple(LogEntry("token", f"Paid{each}", codec.encode({"amount": each})) for each in range(index % 4))
        results = tuple(codec.encode(each) for each in (None, index, "done")[: 1 + index % 3])
        return Receipt(height, index, *identify(body), "ok", "", "", 0, 500, results, events)

    # ── what can be proven of it ──────────────────────────────────────────────────────────────────

    def files(self) -> Iterator[tuple[str, bytes | None]]:
        """Proof files of every kind about every block, and where each begins: at a header, or None for the genesis."""
        return ((make(), begin) for _, begin, make in self.makers())

    def makers(self) -> Iterator[Maker]:
        """How each of the files is made."""
        for record in self.records:
            for anchor in (None, record.height, 1 + (record.height - 1) // 2):
                way = self.way(record, anchor)
                begin = None if anchor is None else self.headers[anchor - 1].hash
                for kind, make in self._makers(record, way):
                    yield kind, begin, make

    def _makers(self, record: BlockRecord, way: Way) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "header", partial(proofs.prove_header, record, way)
        for index, receipt in enumerate(record.receipts):
            yield "transaction", partial(proofs.prove_transaction, record, index, way)
            yield "receipt", partial(proofs.prove_receipt, record, index, way)
            for event in range(len(codec.decode(receipt, Receipt).events)):
                yield "event", partial(proofs.prove_event, record, index, event, way)
        for (height, key), proof in self.proven.items():
            if height == record.height:
                value = self.states[height].get(key)
                yield "state", partial(proofs.prove_state, record, key, value, proof, way)

    def is_true(self, document: dict[str, Any]) -> bool:
        """Whether what a file says is so on this chain, however it says it. The file itself is not judged."""
        headers = {header.encode().hex(): record for header, record in zip(self.headers, self.records, strict=True)}
        record = headers.get(document["header"])
        if record is None:
            return False
        if document["kind"] == "state":
            values = {key.hex(): value.hex() for key, value in self.states[record.height].items()}
            return bool(values.get(document["key"]) == document["value"])
        if document["kind"] == "header":
            return True
        receipts = [receipt.hex() for receipt in record.receipts]
        if document["receipt"] not in receipts:
            return False
        body = record.bodies[receipts.index(document["receipt"])].hex()
        return bool(document.get("transaction", body) == body)


def sample(chain: Chain, count: int, seed: int) -> list[tuple[str, bytes | None]]:
    """Some of a chain's files, every kind among them."""
    makers = list(chain.makers())
    random.Random(seed).shuffle(makers)  # noqa: S311 - a sample, not a secret
    first: dict[str, Maker] = {}
    for maker in makers:
        first.setdefault(maker[0], maker)
    return [(make(), begin) for _, begin, make in [*first.values(), *makers][:count]]
