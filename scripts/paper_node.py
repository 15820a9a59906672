"""A node's data directory without a node: blocks that the engine executed, sealed by keys that we hold, and its files.

What lies in it afterwards is what a validator would have left that was stopped. For whoever checks or copies such
directories: tests, and benchmarks that need a long chain at once. No network, no clock: the same directory every time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from consensus import first_journal
from consensus.messages import PREPARE, Vote
from consensus.recovery import BatchHeld, CheckpointSigned, Voted
from contracts.engine import Engine
from ledger import codec
from ledger.blocks import genesis_record, next_header, next_time_ms
from ledger.crypto import SigningKey, signing_message
from ledger.journal import Journal
from ledger.seals import checkpoint_message
from ledger.state import State
from ledger.store import BlockStore
from ledger.transactions import identify, sign_transaction
from ledger.types import (
    Account,
    Batch,
    Block,
    BlockRecord,
    Call,
    Checkpoint,
    Genesis,
    Header,
    Parameters,
    Receipt,
    Seal,
    Validator,
    ValidatorSet,
)
from network.driver import BODY_RECORD, REPLICA_RECORD
from network.paths import NodePaths
from scripts.paper_keys import key_of, seal_by

TIME_MS = 1_700_000_000_000
BLOCK_MS = 250
GAS_LIMIT = 100_000_000  # of a transaction: enough for a deployment, and for as many transfers as fund accounts
SUPPLY, FUNDS_EACH = 10**15, 10**9
FUNDED_A_TRANSACTION = 60
SIGNERS = (0, 1, 2)


def transfer(to: SigningKey, amount: int) -> Call:
    """A call of the token."""
    return Call("token", "transfer", codec.encode([to.public_key.hex(), amount]))


def deployment(title: str, symbol: str) -> Call:
    """The call that deploys the token of the examples; the whole supply is its sender's."""
    source = files("contracts.examples").joinpath("token.py").read_text(encoding="utf-8")
    return Call("system", "deploy", codec.encode(["token", source, [title, symbol, SUPPLY]]))


@dataclass(frozen=True)
class Consortium:
    """Who takes part, with the keys of all. The first of the `people` may do everything, the others may send."""

    genesis: Genesis
    validators: tuple[SigningKey, ...]
    people: tuple[SigningKey, ...]


def consortium(accounts: int) -> Consortium:
    """Four validators, and so many people; the same ones every time."""
    validators = tuple(key_of(f"validator {number}") for number in range(4))
    people = tuple(key_of(f"person {number}") for number in range(accounts))
    return Consortium(make_genesis(people, validators), validators, people)


def make_genesis(people: Sequence[SigningKey], validators: Sequence[SigningKey]) -> Genesis:
    """A network in which all these people may write; the first of them may do everything."""
    accounts = [Account(f"account{number}", key.public_key, ("writer",)) for number, key in enumerate(people)]
    accounts[0] = Account("owner", people[0].public_key, ("admin", "deployer", "writer"))
    members = tuple(Validator(f"v{number}", key.public_key, 1, b"") for number, key in enumerate(validators))
    parameters = Parameters(block_gas_max=10**12)
    return Genesis(1, "paper", TIME_MS, parameters, ValidatorSet(members), tuple(accounts))


class PaperNode:
    """The first of four validators, and a token that everybody holds some of. `close` it before others read it.

    `votes` says whether it journals what it signs, with the bodies: what a long chain to be joined can do without.
    """

    def __init__(
        self, directory: Path, accounts: int = 4, *, members: Consortium | None = None, votes: bool = True
    ) -> None:
        members = members or consortium(accounts)
        self.directory = directory
        self.paths = NodePaths(directory)
        self.keys, self.people, self.genesis = members.validators, members.people, members.genesis
        self._votes = votes
        directory.mkdir(parents=True, exist_ok=True)
        self.state = State.open(self.paths.state)
        self.store = BlockStore(self.paths.blocks)
        self.engine = Engine(self.state, self.genesis)
        self.store.put(genesis_record(self.genesis, self.engine.initialise()))
        self.journal, _ = Journal.open(self.paths.journal)
        self.journal.append(REPLICA_RECORD + record for record in first_journal())
        self.random = random.Random(1)  # noqa: S311 - the same chain in every run
        self._set_up()

    def _set_up(self) -> None:
        owner, *others = self.people
        self._must_succeed(self.sign(owner, deployment("Paper", "P")))
        for first in range(0, len(others), FUNDED_A_TRANSACTION):
            some = others[first : first + FUNDED_A_TRANSACTION]
            self._must_succeed(self.sign(owner, *(transfer(key, FUNDS_EACH) for key in some)))

    def _must_succeed(self, raw: bytes) -> None:
        """A chain on which nobody holds anything would look like any other, and be none worth measuring."""
        height = self.block([raw]).height
        record = self.store.record(height)
        assert record is not None, "it was stored just now"
        receipt = codec.decode(record.receipts[0], Receipt)
        assert receipt.code == "ok", f"block {height}: {receipt.code}, {receipt.message}"

    # ── transactions ──────────────────────────────────────────────────────────────────────────────

    def sign(self, key: SigningKey, *calls: Call) -> bytes:
        """A signed transaction of one's own."""
        salt, until = self.random.randbytes(16), self.engine.height + 100
        return sign_transaction(key, self.genesis.chain_id, calls, GAS_LIMIT, until, salt)

    def transfer(self) -> bytes:
        """A transfer between two random accounts."""
        sender, to = self.random.sample(self.people, 2)
        return self.sign(sender, transfer(to, self.random.randint(1, 1000)))

    # ── blocks ────────────────────────────────────────────────────────────────────────────────────

    def block(self, raws: Sequence[bytes], *, sealed: bool = True) -> Header:
        """Execute, store, seal and journal one block."""
        parent = self.store.tip()
        assert parent is not None
        height = parent.height + 1
        hashes = tuple(identify(raw)[1] for raw in raws)
        batch = Batch(0, height, 0, height % 4, self.genesis.time_ms + BLOCK_MS * height, hashes)
        outcome = self.engine.execute(height, next_time_ms(parent, batch), raws)
        assert len(outcome.executed) == len(raws), outcome.returned
        validators = self.genesis.validators.hash
        header = next_header(
            parent,
            batch,
            executed=batch.hashes,
            transactions_root=outcome.transactions_root,
            receipts_root=outcome.receipts_root,
            state_root=outcome.state_root,
            gas_used=outcome.gas_used,
            validators_hash=validators,
            next_validators_hash=validators,
        )
        seal = self.seal(header) if sealed else None
        self.store.put(BlockRecord(Block(header, batch, batch.hashes), tuple(raws), outcome.receipts, seal))
        self.engine.mark_sealed(height)
        if self._votes:
            self._journal_votes(batch, raws, header)
        return header

    def seal(self, header: Header, members: Sequence[int] = SIGNERS) -> Seal:
        """A seal by these members."""
        return seal_by(header, {member: self.keys[member] for member in members})

    def _journal_votes(self, batch: Batch, raws: Sequence[bytes], header: Header) -> None:
        vote = Vote(0, 0, batch.height, 0, batch.digest)
        prepare = self.keys[0].sign(signing_message(PREPARE, self.genesis.chain_id, vote.encode()))
        checkpoint = Checkpoint(0, header.height, 0, header.hash)
        signature = self.keys[0].sign(checkpoint_message(self.genesis.chain_id, checkpoint))
        signed = CheckpointSigned(checkpoint, signature)
        records = (BatchHeld(batch.digest, batch), Voted(PREPARE, vote, prepare), signed)
        self.journal.append(BODY_RECORD + raw for raw in raws)
        self.journal.append(REPLICA_RECORD + each.encode() for each in records)

    def reopen(self) -> None:
        """Go on after `close`, as a node that starts again."""
        self.state = State.open(self.paths.state)
        self.store = BlockStore(self.paths.blocks)
        self.engine = Engine(self.state, self.genesis)
        self.journal, _ = Journal.open(self.paths.journal)
        self.engine.mark_sealed(self.store.sealed_height)

    def close(self) -> None:
        """Sync everything and let go of it, as a node that stops."""
        self.store.sync()
        self.journal.sync()
        for each in (self.store, self.state, self.journal):
            each.close()
