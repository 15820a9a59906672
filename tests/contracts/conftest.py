"""A chain of one engine over a state in memory, with programs that are plain functions: no language needed."""

import contextlib
import itertools
from dataclasses import dataclass, field

import pytest

from contracts.engine import Engine
from contracts.language.interface import Bounds, Failure, Method, Problem, SourceRefused
from contracts.memory import MemoryState
from ledger import codec, hashing
from ledger.crypto import SigningKey
from ledger.types import (
    Account,
    Call,
    Genesis,
    Parameters,
    Receipt,
    Transaction,
    TransactionBody,
    Validator,
    ValidatorSet,
)

SEEDS = {name: bytes([number]) * 32 for number, name in enumerate(["ada", "ben", "cleo", "dora", "eve"], start=1)}


@dataclass(frozen=True)
class Function:
    """A program of plain functions: `entries` maps a method's name to its kind and its function(host, meter, *args)."""

    text: str
    entries: dict
    state: tuple = ()
    name: str = "Function"
    doc: str = "A program for tests."
    events: tuple = ()

    @property
    def code_hash(self):
        return hashing.code_hash(self.text.encode())

    @property
    def methods(self):
        return tuple(Method(name, kind, (), "Any", "", 0) for name, (kind, _) in self.entries.items())

    def run(self, method, args, host, meter):
        return self.entries[method][1](host, meter, *args)


@dataclass
class Chain:
    """Sends blocks to an engine and keeps the receipts."""

    programs: dict = field(default_factory=dict)
    parameters: Parameters = field(default_factory=Parameters)
    state: object = None
    salts: object = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self):
        self.keys = {name: SigningKey.from_seed(seed) for name, seed in SEEDS.items()}
        self.genesis = Genesis(
            format=1,
            network="test",
            time_ms=1_000,
            parameters=self.parameters,
            validators=ValidatorSet((Validator("v0", self.keys["ada"].public_key, 1, b""),)),
            accounts=(
                Account("ada", self.keys["ada"].public_key, ("admin",)),
                Account("ben", self.keys["ben"].public_key, ("deployer", "writer")),
                Account("cleo", self.keys["cleo"].public_key, ("writer",)),
                Account("dora", self.keys["dora"].public_key, ("auditor",)),
            ),
        )
        self.state = self.state if self.state is not None else MemoryState()
        self.engine = Engine(self.state, self.genesis, self.compile)
        self.engine.initialise()

    def compile(self, source):
        if source not in self.programs:
            raise SourceRefused([Problem(3, 1, "unknown", "no such program")])
        return self.programs[source]

    def add_program(self, source, state=(), **entries):
        """A program of functions whose kind is the first word of their docstring, else call."""
        kinds = {name: (entry.__doc__ or "call", entry) for name, entry in entries.items()}
        self.programs[source] = Function(source, kinds, tuple(state))

    def address(self, name):
        return self.keys[name].public_key.hex()

    def transaction(self, sender, *calls, gas=10_000_000, valid_until=50, salt=None, signature=bytes(64)):
        """Raw bytes; each call is (contract, method, *args)."""
        salt = next(self.salts) if salt is None else salt
        encoded = tuple(Call(contract, method, codec.encode(list(args))) for contract, method, *args in calls)
        body = TransactionBody(
            self.genesis.chain_id, self.keys[sender].public_key, encoded, gas, valid_until, salt.to_bytes(16, "big")
        )
        return Transaction(body, signature).encode()

    def block(self, *transactions, seal=True):
        height = self.engine.height + 1
        outcome = self.engine.execute(height, 1_000 + 100 * height, transactions)
        if seal:
            self.engine.mark_sealed(height)
        return outcome

    def receipts(self, *transactions):
        return [codec.decode(raw, Receipt) for raw in self.block(*transactions).receipts]

    def send(self, sender, *calls, **options):
        (receipt,) = self.receipts(self.transaction(sender, *calls, **options))
        return receipt

    def deploy(self, name, *args, source=None, sender="ben"):
        receipt = self.send(sender, ("system", "deploy", name, source or name, list(args)))
        assert receipt.code == "ok", receipt
        return receipt

    def view(self, contract, method, *args, sender="dora", height=None):
        key = self.keys[sender].public_key
        return self.engine.view(contract, method, codec.encode(list(args)), key, height)

    def value(self, contract, variable, *key):
        data = self.engine.state_value(contract, codec.encode([variable, *key])).value
        return codec.decode(data) if data else None


def put(host, variable, value, *key):
    host.put(variable, key, codec.encode(value))


def get(host, variable, *key, default=None):
    data = host.get(variable, key)
    return default if data is None else codec.decode(data)


@pytest.fixture
def make_chain():
    return Chain


@pytest.fixture
def chain():
    """A chain with a counter (its own calls), and `pair`, which calls others."""
    chain = Chain()

    def add(host, _meter, amount):
        put(host, "count", get(host, "count", default=0) + amount)
        host.emit("Added", {"amount": amount})
        return get(host, "count")

    def add_then_fail(host, _meter, amount):
        add(host, _meter, amount)
        raise Failure("failed", "no more", line=7)

    def count(host, _meter):
        """view"""
        return get(host, "count", default=0)

    def sneaky(host, _meter):
        """view"""
        put(host, "count", 99)

    def chatty(host, _meter):
        """view"""
        host.emit("Added", {"amount": 1})

    def spin(_host, meter):
        while True:
            meter.charge(1000)

    def call(host, _meter, contract, method, args):
        return host.call(contract, method, args)

    def write_and_call(host, _meter, contract, method, args):
        put(host, "mine", "written")
        return host.call(contract, method, args)

    def view_call(host, _meter, contract, method, args):
        """view"""
        return host.call(contract, method, args)

    def who(host, _meter):
        """view"""
        context = host.context
        return [context.sender, context.height, context.time, context.transaction_id, context.contract]

    def boom(_host, _meter, kind):
        raise {"memory": MemoryError, "stack": RecursionError, "bug": ValueError}[kind]("secret of the host")

    def set_at(host, _meter, key, value):
        if value is None:
            host.put("m", tuple(key), None)
        else:
            put(host, "m", value, *key)

    def scan(host, _meter, prefix, after, limit):
        """view"""
        found = host.scan("m", tuple(prefix), Bounds(after=None if after is None else tuple(after)), limit)
        return [[list(key), codec.decode(value)] for key, value in found]

    def swallow(host, meter):
        with contextlib.suppress(Failure):
            meter.charge(10**12)
        return "as if nothing had happened"

    def give(_host, _meter, value):
        """view"""
        return value

    def double(host, _meter, contract):
        host.call(contract, "add", [1])
        return host.call(contract, "add", [1])

    chain.add_program("counter", add=add, add_then_fail=add_then_fail, count=count, sneaky=sneaky, chatty=chatty,
                      spin=spin, boom=boom, who=who, swallow=swallow, give=give)  # fmt: skip
    chain.add_program("pair", call=call, write_and_call=write_and_call, view_call=view_call, who=who, double=double)
    chain.add_program("map", set_at=set_at, scan=scan)
    return chain
