"""What the runtime charges for, as `gas_table` measures it: state, events, calls, transactions, deployment.

Every row is executed by the engine over a state on disk and committed; that of a transaction has its signature checked
as well. So the time is all that one core of a node spends on it. It prints nothing.
"""

from __future__ import annotations

import itertools
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from contracts import examples
from contracts.engine import Engine
from contracts.testing import LocalChain
from ledger import codec
from ledger.state import State
from ledger.transactions import read_transaction, signature_holds
from ledger.types import Parameters, Receipt

GAS_LIMIT = 10**14
PREPARED = 100  # turns in one transaction
_SPOIL = "ab" * 500
_WIDE = "chr(128512) * 30_000"


@dataclass(frozen=True, slots=True)
class HostRow:
    """`body` is run for `turn` from `start` on, n times, after `setup`; `prepare` in a block before, untimed."""

    name: str
    body: str
    prepare: str = ""
    setup: str = ""
    turns: int = 300
    cold: bool = False  # with nothing of the state at hand


_SHEET = "Sheet(" + ", ".join([f"cell{place}={place}" for place in range(32)]) + ")"
_FULL = "for i in range(1_000):\n    self.full[i] = 1"
_ITEMS = "if len(self.items) < 300:\n    for i in range(300):\n        self.items.append(i)"
_PAIRS = "for i in range(300):\n    self.pairs['p', i] = 1"

HOST_ROWS = (
    HostRow("Map[new] = int", "self.numbers[turn] = 1"),
    HostRow("Map[new text] = int", "self.texts[str(turn)] = 1"),
    HostRow("Map[new pair] = int", "self.pairs['owner', turn] = 1"),
    HostRow("Map[old] = int", "self.numbers[turn] = 2", "self.numbers[turn] = 1"),
    HostRow("Map[the same] = int", "self.numbers[0] = turn"),
    HostRow("Map[old] += int", "self.numbers[turn] += 1", "self.numbers[turn] = 1"),
    HostRow("Map[new] = 1000 characters", "self.texts[str(turn)] = s", setup="s = 'a' * 1_000"),
    HostRow("Map[new] = 60000 characters", "self.texts[str(turn)] = s", setup="s = 'a' * 60_000", turns=60),
    HostRow("Map[the same] = 60000 characters", "self.texts['a'] = s", setup="s = 'a' * 60_000", turns=300),
    HostRow("Map[new] = 1000 items", "self.texts[str(turn)] = s", setup="s = [1] * 1_000", turns=50),
    HostRow(
        "Map[new] = 1000 entries", "self.texts[str(turn)] = s", setup="s = {str(i): i for i in range(1_000)}", turns=50
    ),
    HostRow("Map[key of 900] = int", "self.texts[s + str(turn)] = 1", setup="s = 'k' * 900"),
    HostRow("del Map[old]", "del self.numbers[turn]", "self.numbers[turn] = 1"),
    HostRow("Map.pop", "x = self.numbers.pop(turn)", "self.numbers[turn] = 1"),
    HostRow("Map[written just now]", "x = self.numbers[0]", setup="self.numbers[0] = 1"),
    HostRow("Map[read just now]", "x = self.numbers[start]", "self.numbers[turn] = 1"),
    HostRow("Map[cold]", "x = self.numbers[turn]", "self.numbers[turn] = 1", cold=True),
    HostRow(
        "Map[cold] of 1000 characters", "x = self.texts[str(turn)]", f"self.texts[str(turn)] = '{_SPOIL}'", cold=True
    ),
    HostRow(
        "Map[cold] of 60000",
        "x = self.texts[str(turn)]",
        f"self.texts[str(turn)] = '{_SPOIL}' * 60",
        turns=100,
        cold=True,
    ),
    HostRow("Map[warm] of 60000", "x = self.texts['w']", "self.texts['w'] = 'a' * 60_000"),
    HostRow("Map[warm] of 1000 items", "x = self.texts['w']", "self.texts['w'] = [1] * 1_000"),
    HostRow("Map[warm] of 1000 lists", "x = self.texts['w']", "self.texts['w'] = [[]] * 1_000"),
    HostRow("Map[warm] of 1000 entries", "x = self.texts['w']", "self.texts['w'] = {str(i): i for i in range(1_000)}"),
    HostRow("Map[warm] as a tuple", "x = self.fixed[0]", "self.fixed[0] = (1, 'a')"),
    HostRow("Map[new] = Decimal", "self.prices[turn] = s", setup="s = Decimal('12.5')"),
    HostRow("Map[warm] Decimal", "x = self.prices[0]", "self.prices[0] = Decimal('12.5')"),
    HostRow("Map[Address] = int", "self.owners[s] = 1", setup="s = 'ab' * 32"),
    HostRow("Map[Address]", "x = self.owners[s]", "self.owners['ab' * 32] = 1", "s = 'ab' * 32"),
    HostRow("Map.get of nothing", "x = self.numbers.get(turn)", cold=True),
    HostRow("in Map", "x = turn in self.numbers", "self.numbers[turn] = 1", cold=True),
    HostRow("Var.set", "self.var.set(turn)"),
    HostRow("Var.get", "x = self.var.get()", "self.var.set(1)"),
    HostRow("Var.exists", "x = self.var.exists()", "self.var.set(1)"),
    HostRow("Var.delete", "self.var.delete()", "self.var.set(1)"),
    HostRow("List.append", "self.items.append(turn)"),
    HostRow("List.append, pop", "self.items.append(turn)\nself.items.pop()"),
    HostRow("List[i]", "x = self.items[0]", "self.items.append(turn)"),
    HostRow("List[i] = value", "self.items[0] = 7", "self.items.append(turn)"),
    HostRow("len(List)", "x = len(self.items)", "self.items.append(turn)"),
    HostRow(
        "for in List",
        "for x in self.items:\n    pass",
        "if len(self.items) < 100:\n    self.items.append(turn)",
        turns=5,
    ),
    HostRow("Map.keys(1000)", "x = self.full.keys(1_000)", "for i in range(1_000):\n    self.full[i] = 1", turns=3),
    HostRow("Map.values(1000)", "x = self.full.values(1_000)", "for i in range(1_000):\n    self.full[i] = 1", turns=3),
    HostRow("Map.items(1000)", "x = self.full.items(1_000)", "for i in range(1_000):\n    self.full[i] = 1", turns=3),
    HostRow("Map.items(1)", "x = self.full.items(1)", "for i in range(1_000):\n    self.full[i] = 1"),
    HostRow("Map.keys over what was deleted", "x = self.gone.keys(1)", setup="self.forget()", turns=3),
    HostRow("Map.keys over what was written", "x = self.gone.keys(1_000)", setup="self.remember()", turns=3),
    HostRow("event of one int", "self.emit(Noted(number=turn))"),
    HostRow("event of 5000 characters", "self.emit(Told(text=s))", setup="s = 'a' * 5_000", turns=40),
    HostRow("event of 1000 items", "self.emit(Told(text=s))", setup="s = [1] * 1_000", turns=40),
    HostRow("event of 8 fields", "self.emit(Wide(a=1, b=2, c=3, d=4, e='a', f='b', g='c', h='d'))"),
    HostRow("call of another contract", "self.call('other', 'nothing', [])"),
    HostRow("call with a view", "x = self.call('other', 'look', [5])"),
    HostRow("call with 60000 characters", "x = self.call('other', 'back', [s])", setup="s = 'a' * 60_000", turns=50),
    HostRow("call with 1000 items", "x = self.call('other', 'back', [s])", setup="s = [1] * 1_000", turns=100),
    HostRow("call by an interface", "x = self.at(Other, 'other').look(5)"),
    HostRow("call with 30000 wide characters", "x = self.call('other', 'back', [s])", setup=f"s = {_WIDE}", turns=30),
    HostRow("call with 1000 lists", "x = self.call('other', 'back', [s])", setup="s = [[]] * 1_000", turns=50),
    HostRow(
        "call with 1000 of 256 bits", "x = self.call('other', 'back', [s])", setup="s = [2**255] * 1_000", turns=30
    ),
    HostRow("call with 1000 Decimals", "x = self.call('other', 'sums', [s])", setup="s = ['1.5'] * 1_000", turns=30),
    HostRow("call with 1000 Addresses", "x = self.call('other', 'names', [s])", setup="s = ['ab'] * 1_000", turns=30),
    HostRow("call with 1000 tuples", "x = self.call('other', 'twos', [s])", setup="s = [(1, 2)] * 1_000", turns=30),
    HostRow("call with 1000 last options", "x = self.call('other', 'unions', [s])", setup="s = [{}] * 1_000", turns=30),
    HostRow("Map[warm] of 30000 wide characters", "x = self.texts['w']", f"self.texts['w'] = {_WIDE}", turns=50),
    HostRow("Map[warm] of 1000 of 256 bits", "x = self.texts['w']", "self.texts['w'] = [2**255] * 1_000", turns=50),
    HostRow("Map[new] = Record", "self.sheets[turn] = s", setup=f"s = {_SHEET}", turns=50),
    HostRow("Map[warm] Record", "x = self.sheets[0]", f"self.sheets[0] = {_SHEET}"),
    HostRow("event of a Record", "self.emit(Filed(sheet=s))", setup=f"s = {_SHEET}", turns=40),
    HostRow("List[0:300]", "x = self.items[0:300]", _ITEMS, turns=20),
    HostRow("Map.items(1000, reverse)", "x = self.full.items(1_000, reverse=True)", _FULL, turns=3),
    HostRow("Map.keys(1) with bounds", "x = self.full.keys(1, after=500, before=700)", _FULL),
    HostRow("Map.keys(300) with a prefix", "x = self.pairs.keys(300, prefix='p')", _PAIRS, turns=3),
    HostRow("Map.keys(300) of bytes", "x = self.bytes_.keys(300)", "self.fill_bytes()", turns=3),
    HostRow("Map.keys(300) of four parts", "x = self.fours.keys(300)", "self.fill_fours()", turns=3),
)

_IMPORTS = (
    "from contracts import Address, Contract, Decimal, Event, Interface, List, Map, Record, Value, Var, call, view\n"
)
_KINDS = [f"Kind{place}" for place in range(7)]
_RECORDS = "".join(
    [f"class {name}(Record):\n" + "".join([f"    field_{cell}: int\n" for cell in range(32)]) + "\n" for name in _KINDS]
)
_OTHER = f"""{_IMPORTS}
{_RECORDS}
class Other(Contract):
    @call
    def lists(self) -> Value:
        return [[]] * 20_000

    @call
    def dicts(self) -> Value:
        return [{{}}] * 20_000

    @view
    def sums(self, given: list[Decimal]) -> int:
        return len(given)

    @view
    def names(self, given: list[Address]) -> int:
        return len(given)

    @view
    def twos(self, given: list[tuple[int, int]]) -> int:
        return len(given)

    @view
    def unions(self, given: list[{" | ".join(_KINDS)} | dict[str, int]]) -> int:
        return len(given)

    @call
    def nothing(self) -> None:
        pass

    @call
    def back(self, given: Value) -> Value:
        return given

    @view
    def look(self, given: int) -> int:
        return given
"""
_STORE = f"""{_IMPORTS}
class Noted(Event):
    number: int

class Told(Event):
    text: Value

class Wide(Event):
    a: int
    b: int
    c: int
    d: int
    e: str
    f: str
    g: str
    h: str

class Sheet(Record):
{"".join([f"    cell{place}: int{chr(10)}" for place in range(32)])}
class Filed(Event):
    sheet: Sheet

class Other(Interface):
    @view
    def look(self, given: int) -> int: ...

class Store(Contract):
    sheets: Map[int, Sheet]
    bytes_: Map[bytes, int]
    fours: Map[tuple[str, int, bytes, bool], int]
    numbers: Map[int, int]
    texts: Map[str, Value]
    pairs: Map[tuple[str, int], int]
    fixed: Map[int, tuple[int, str]]
    full: Map[int, int]
    prices: Map[int, Decimal]
    owners: Map[Address, int]
    gone: Map[int, int]
    items: List[int]
    var: Var[int]

    def forget(self):
        for key in range(300):
            self.gone[key] = 1
        for key in range(300):
            del self.gone[key]

    def fill_bytes(self):
        for key in range(300):
            self.bytes_[bytes(480) + key.to_bytes(2, "big")] = 1

    def fill_fours(self):
        for key in range(300):
            self.fours["owner", key, bytes(100), True] = 1

    def remember(self):
        for key in range(300):
            self.gone[key] = 1

"""


def store_source(rows: Sequence[HostRow] = HOST_ROWS) -> str:
    """The contract whose methods are the rows."""
    parts = [_STORE]
    for number, row in enumerate(rows):
        setup, body = textwrap.indent(row.setup or "pass", " " * 8), textwrap.indent(row.body, " " * 12)
        signature = "self, start: int, n: int) -> None:\n"
        parts.append(
            f"    @call\n    def row_{number}({signature}{setup}\n"
            f"        for turn in range(start, start + n):\n{body}\n"
        )
        before = textwrap.indent(row.prepare or "pass", " " * 12)
        parts.append(
            f"    @call\n    def prepare_{number}({signature}        for turn in range(start, start + n):\n{before}\n"
        )
    return "\n".join(parts)


class HostBench:
    """A chain of one over a state on disk, and the means to time its blocks."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.chain = LocalChain("payer", parameters=Parameters(block_gas_max=10**16), state=state)
        for name, source in (("other", _OTHER), ("store", store_source())):
            self.chain.deploy(source, name, sender="payer")
        self.chain.deploy(examples.source("token"), "token", "Bench", "B", 10**12, sender="payer")
        self._start = 1_000

    def timed_block(self, transactions: Sequence[bytes], cold: bool = False) -> tuple[float, int]:
        """Seconds of CPU, and gas, of a block whose transactions succeed."""
        chain = self.chain
        if cold:
            chain.engine = Engine(self._state, chain.engine._genesis)  # noqa: SLF001 -- the same, with nothing cached
            chain.engine.initialise()
        before = time.thread_time()
        outcome = chain.engine.execute(chain.height + 1, chain.time_ms, transactions)
        seconds = time.thread_time() - before
        chain.engine.mark_sealed(outcome.height)
        receipts = [codec.decode(raw, Receipt) for raw in outcome.receipts]
        failed = [receipt.message for receipt in receipts if receipt.code != "ok"]
        assert not failed, failed
        assert len(receipts) == len(transactions), outcome.returned
        return seconds, sum(receipt.gas_used for receipt in receipts)

    def sign(self, *calls: tuple[Any, ...]) -> bytes:
        """A transaction with calls of (contract, method, *args)."""
        return self.chain.sign("payer", *calls, gas_limit=GAS_LIMIT)

    def row(self, number: int, n: int) -> tuple[float, int]:
        """Seconds and gas of n turns of a row, over keys that no earlier turn has seen."""
        row, start = HOST_ROWS[number], self._start
        self._start += max(n, 1)
        if row.prepare:
            end = start + (max(n, 1) if "turn" in row.prepare else 1)
            for first in range(start, end, PREPARED):
                self.timed_block([self.sign(("store", f"prepare_{number}", first, min(PREPARED, end - first)))])
        return self.timed_block([self.sign(("store", f"row_{number}", start, n))], row.cold)


# ── transactions ──────────────────────────────────────────────────────────────────────────────────

Timed = Callable[[int], tuple[float, int]]


def transaction_rows(bench: HostBench) -> Iterator[tuple[str, int, Timed]]:
    """Name, how often, and what gives the seconds and the gas of so many."""

    def transactions(n: int) -> tuple[float, int]:
        batch = [bench.sign(("other", "nothing")) for _ in range(n)]
        seconds, used = bench.timed_block(batch) if batch else (0.0, 0)
        before = time.thread_time()
        for raw in batch:
            found = read_transaction(raw)
            assert not signature_holds(raw, found), "blank here, and as long to check as any"
        return seconds + time.thread_time() - before, used

    def calls(n: int) -> tuple[float, int]:
        many = 20  # one transaction is over too soon to be timed
        seconds, used = bench.timed_block([bench.sign(*[("other", "nothing")] * (1 + n)) for _ in range(many)])
        return seconds / many, used // many

    def large(size: int) -> Timed:
        def timed(n: int) -> tuple[float, int]:
            batch = [bench.sign(("other", "back", "a" * size + str(turn))) for turn in range(n)]
            seconds, used = bench.timed_block(batch) if batch else (0.0, 0)
            before = time.thread_time()
            for raw in batch:
                signature_holds(raw, read_transaction(raw))
            return seconds + time.thread_time() - before, used

        return timed

    def deployments(prefix: str, source: str) -> Timed:
        counter = itertools.count()

        def timed(n: int) -> tuple[float, int]:
            names = [f"{prefix}-{next(counter)}" for _ in range(n)]
            calls: list[tuple[Any, ...]] = [("system", "deploy", name, f"{source}# {name}\n", []) for name in names]
            return bench.timed_block([bench.sign(*calls)] if calls else [])

        return timed

    yield "transaction", 100, transactions
    yield "call of a transaction", 60, calls

    def with_argument(argument: list[Any]) -> Timed:
        def timed(n: int) -> tuple[float, int]:
            batch = [bench.sign(("other", "back", argument)) for _ in range(n)]
            return bench.timed_block(batch) if batch else (0.0, 0)

        return timed

    def results(method: str) -> Timed:
        def timed(n: int) -> tuple[float, int]:
            batch = [bench.sign(("other", method)) for _ in range(n)]
            return bench.timed_block(batch) if batch else (0.0, 0)

        return timed

    yield "result of 20000 lists", 5, results("lists")
    yield "result of 20000 dicts", 5, results("dicts")
    yield "argument of 10000 lists", 5, with_argument([[]] * 10_000)
    yield "argument of 10000 dicts", 5, with_argument([{}] * 10_000)
    yield "argument of 20000 integers", 5, with_argument([1] * 20_000)
    yield "argument of 3000 of 256 bits", 5, with_argument([2**255] * 3_000)
    yield "argument and result of 10000 characters", 20, large(10_000)
    yield "deployment of the registry", 5, deployments("registry", examples.source("registry"))
    yield "deployment of dense lines", 2, deployments("dense", dense_source())


def dense_source(lines: int = 450) -> str:
    """A contract that is little else than names and operators."""
    body = "\n".join([f"        x = (x+{line}*x-x//{line + 1})%x if x>x else [x,-x,+x][0]" for line in range(lines)])
    return f"{_IMPORTS}class Dense(Contract):\n    @call\n    def run(self, x: int) -> int:\n{body}\n        return x\n"
