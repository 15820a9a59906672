"""What the contract language and the runtime say to each other: problems, failures, the meter and the host.

The language hands a `Program` to the runtime; the runtime hands a `Host` and a `Meter` to `Program.run`, one host
per call frame. This module has the words only: it knows neither the interpreter nor the state behind the host.

LanguageError
├── SourceRefused            the source is not a contract; carries every `Problem`
└── Failure                  a call ended without a value; carries a stable code, a message, the source line
    └── OutOfGas             the meter ran out; the meter itself stays exhausted

Everything else that escapes `Program.run` (RecursionError, MemoryError, any other exception of the host) is a fault
of the node and never the outcome of a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from contracts import codes
from contracts.language.limits import MADE_BYTES_MAX

Value = Any
"""None, bool, int (|n| < 2**256), str, bytes, list, dict, tuple; nothing else, at any depth. Dict keys are str;
inside a call also bytes and int, but such a dict crosses no boundary (state, events, calls, results)."""

Key = tuple[str | int | bytes | bool, ...]
"""Where a value lies inside a state variable. `Var`: (). `Map[K, V]`: (k,). `Map[tuple[A, B], V]`: (a, b).
`List[V]`: its length as an int at (), element i at (i,)."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Why a source is refused: a place (1-based line, 1-based column), a stable code, and a sentence for a human.

    All of it is the same on every supported Python, but for the place of a "syntax" problem: what goes into a
    receipt is the text of `SourceRefused`.
    """

    line: int
    column: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.code}: {self.message}"


class LanguageError(Exception):
    """Root of what the language raises."""


class SourceRefused(LanguageError):
    """The source is not a contract. `problems` is never empty and is sorted by place.

    Its text is fit for a receipt: the same on every Python. Where the parser of the host stopped is not part of
    it, because parsers of different versions stop at different places.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        if first.code == "syntax":
            super().__init__("syntax: the source is not valid Python")
            return
        rest = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{first}{rest}")


class Failure(LanguageError):
    """A call that ended without a value. `code` is one of `contracts.codes`.

    `line` and `contract` say where; both are filled in by the innermost frame that has them, then kept.
    """

    def __init__(self, code: str, message: str = "", line: int = 0, contract: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.line = line
        self.contract = contract

    def __str__(self) -> str:
        return f"{self.code}: {self.message} ({self.contract or 'contract'}, line {self.line})"


class OutOfGas(Failure):
    """The meter ran out. Nothing in the language can catch it, and the meter keeps saying so."""

    def __init__(self) -> None:
        super().__init__(codes.OUT_OF_GAS, "the gas limit was reached")


class Meter:
    """Gas of one transaction, shared by every frame of it. Sticky: once exhausted, every further charge raises.

    The interpreter's hot paths lower `left` themselves and call `run_out` when it falls below zero. `room` is what is
    left of the bytes that may be made: gas is time, and time alone does not bound memory. `loops` has the dicts that
    loops run over just now, by `id`: how many loops, and how often something was deleted from it. `containers` are the
    lists and dicts met so far in the value that is held against a type.
    """

    __slots__ = ("containers", "left", "limit", "loops", "room")

    def __init__(self, limit: int, room: int = MADE_BYTES_MAX) -> None:
        if limit < 0:
            raise ValueError(f"a gas limit is not negative, got {limit}")
        self.limit = limit
        self.left = limit
        self.room = room
        self.loops: dict[int, list[int]] = {}
        self.containers = 0

    @property
    def used(self) -> int:
        """Gas used so far, never above the limit."""
        return self.limit - max(self.left, 0)

    @property
    def exhausted(self) -> bool:
        """Whether the limit was ever exceeded. The runtime judges by this and not by the exception it caught."""
        return self.left < 0

    def charge(self, amount: int) -> None:
        """Take `amount` (not negative) before the work it pays for. Raises `OutOfGas` when it is not there."""
        if amount < 0:
            raise ValueError(f"a charge is not negative, got {amount}")
        self.left -= amount
        if self.left < 0:
            self.run_out()

    def make(self, weight: int) -> None:
        """Take `weight` bytes about to be made from the room that a transaction has."""
        self.room -= weight
        if self.room < 0:
            raise Failure(codes.SIZE_LIMIT, f"more than {MADE_BYTES_MAX} bytes made in one transaction")

    def run_out(self) -> None:
        """Make the exhaustion final and raise `OutOfGas`."""
        self.left = min(self.left, -1)
        raise OutOfGas


class Context(msgspec.Struct, frozen=True, gc=False):
    """What `self.ctx` shows. `sender` is the hex public key of the transaction's signer, or the name of the calling
    contract, as the runtime decides; `time` is the block's, in milliseconds; `contract` is the contract's own name;
    `chain_id` is the hash of the genesis, in hex."""

    sender: str
    height: int
    time: int
    transaction_id: str
    contract: str
    chain_id: str = ""


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """Where a scan looks: full keys, None where there is no bound. `first` and `last` belong to it, `after` and
    `before` do not. `reverse`: from the highest key down."""

    after: Key | None = None
    before: Key | None = None
    first: Key | None = None
    last: Key | None = None
    reverse: bool = False


class Host(Protocol):
    """The world of one call frame, given by the runtime. Values cross as canonical bytes, so nothing is aliased.

    Whatever the runtime charges for state access it charges itself, to the same meter, beside what the
    interpreter charges for encoding and decoding. In a view `put` and `emit` raise `Failure`.
    """

    @property
    def context(self) -> Context:
        """Who, when, where."""
        ...

    def get(self, variable: str, key: Key) -> bytes | None:
        """The stored bytes, None where there are none."""
        ...

    def put(self, variable: str, key: Key, value: bytes | None) -> None:
        """Store bytes; None deletes."""
        ...

    def scan(self, variable: str, prefix: Key, bounds: Bounds, limit: int) -> list[tuple[Key, bytes]]:
        """At most `limit` entries of `variable` in the order of the bounds whose key starts with `prefix` and has more
        parts than it, and lies within `bounds`, with this frame's own writes."""
        ...

    def emit(self, event: str, fields: dict[str, Value]) -> None:
        """Record an event: declared name, every declared field in declared order, values already checked."""
        ...

    def call(self, contract: str, method: str, args: list[Value]) -> Value:
        """Call another contract. Arguments and result are detached copies. Raises the callee's `Failure`."""
        ...

    def ask(self, contract: str, method: str, args: list[Value]) -> Value:
        """As `call`, of a view only: what runs there can write nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """One entry point. `kind` is "init", "call" or "view"; types are given as source text."""

    name: str
    kind: str
    parameters: tuple[tuple[str, str], ...]
    returns: str
    doc: str
    line: int


class Program(Protocol):
    """A compiled contract. Immutable and free of state: one is shared by all calls, cached by code hash."""

    @property
    def code_hash(self) -> bytes:
        """`ledger.hashing.code_hash` of the UTF-8 source."""
        ...

    @property
    def name(self) -> str:
        """The class's name."""
        ...

    @property
    def doc(self) -> str:
        """The class's docstring, dedented, "" where there is none."""
        ...

    @property
    def methods(self) -> tuple[Method, ...]:
        """Entry points in source order."""
        ...

    @property
    def state(self) -> tuple[tuple[str, str], ...]:
        """State variables in source order: name and type text."""
        ...

    @property
    def events(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Declared events in source order: name and (field, type text) pairs."""
        ...

    def run(self, method: str, args: list[Value], host: Host, meter: Meter) -> Value:
        """Run one entry point. Raises `Failure` ("unknown_method", "bad_arguments", "out_of_gas", "failed", ...).

        The result may share nothing with state, but may contain tuples: encode it before it goes anywhere.
        """
        ...
