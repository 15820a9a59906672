"""One transaction under observation: its lines, values, state accesses and calls, as a list of steps.

A `Tracer` goes around the programs of an engine of its own (`Engine(watch=...)`); no node has one. Every transaction
but the one that is named runs as ever; that one runs code that tells of every statement, with the same results and
the same gas. Values become text at once, since a later line may change what a list holds.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from contracts.catalogue import Loaded
from contracts.keys import Key
from contracts.language.interface import Bounds, Context, Failure, Host, Meter, Program, Value
from contracts.language.program import compile_watched
from contracts.language.unit import Env
from contracts.language.watching import LineWatch, Values
from contracts.notation import literal
from contracts.system import SystemHost
from ledger import codec

STEPS_MAX: Final = 100_000  # of one trace; what comes after is counted and not kept

Shown = dict[str, str]
"""Names and their values as text."""


class Step(msgspec.Struct, frozen=True, tag_field="step"):
    """Something that happened. `depth` counts the calls it lies in, `gas` is what the transaction had used by then."""

    depth: int
    gas: int


class CallStep(Step, frozen=True, tag="call"):
    """A contract is called: by the transaction, or by another contract, whose name is then the sender."""

    contract: str
    method: str
    args: list[str]
    sender: str


class ReturnStep(Step, frozen=True, tag="return"):
    """The called contract has returned."""

    contract: str
    method: str
    value: str


class FunctionStep(Step, frozen=True, tag="function"):
    """A method or function of the same contract begins."""

    contract: str
    function: str
    args: Shown


class LineStep(Step, frozen=True, tag="line"):
    """A line begins; its fixed price is in `gas`. `values` are the names that a turn of a loop begins with."""

    contract: str
    line: int
    source: str
    values: Shown


class ValuesStep(Step, frozen=True, tag="values"):
    """What the names of the line at hand hold, now that it is done. `return` is what it returns."""

    values: Shown


class ReadStep(Step, frozen=True, tag="read"):
    """A state value was read; None where there is none."""

    place: str
    value: str | None


class WriteStep(Step, frozen=True, tag="write"):
    """A state value was written; None where it was deleted."""

    place: str
    value: str | None


class ScanStep(Step, frozen=True, tag="scan"):
    """Entries were looked for in key order."""

    place: str
    limit: int
    found: int


class EventStep(Step, frozen=True, tag="event"):
    """An event was emitted; a transaction that fails forgets it."""

    name: str
    fields: Shown


class FailStep(Step, frozen=True, tag="fail"):
    """The transaction fails here."""

    contract: str
    line: int
    source: str
    code: str
    message: str


AnyStep = (
    CallStep
    | ReturnStep
    | FunctionStep
    | LineStep
    | ValuesStep
    | ReadStep
    | WriteStep
    | ScanStep
    | EventStep
    | FailStep
)


class Tracer:
    """The steps of one transaction, named by its id in hex. Hand `watch` to an `Engine`."""

    def __init__(self, transaction_id: str) -> None:
        self.transaction_id = transaction_id
        self.steps: list[AnyStep] = []
        self.left_out = 0
        self._open: list[tuple[Env | None, int]] = []  # the statements and calls that have begun, and their depth
        self._contracts: list[tuple[str, list[str]]] = []  # those being run: name, source lines
        self._failure: Failure | None = None

    def watch(self, program: Program, source: str) -> Program:
        """The same program, which tells this tracer when the named transaction runs it."""
        return WatchedProgram(program, source, self)

    def add(self, step: AnyStep) -> None:
        """Keep one step."""
        if len(self.steps) < STEPS_MAX:
            self.steps.append(step)
        else:
            self.left_out += 1

    @property
    def depth(self) -> int:
        """Of what happens now."""
        return self._open[-1][1] if self._open else 0

    # ── calls of contracts ────────────────────────────────────────────────────────────────────────

    def run(self, program: Program, source: str, method: str, args: list[Value], host: Host, meter: Meter) -> Value:
        """Run one call and tell of it."""
        context = host.context
        depth = self._depth_for(None)
        self.add(CallStep(depth, meter.used, context.contract, method, [literal(one) for one in args], context.sender))
        self._open.append((None, depth))
        self._contracts.append((context.contract, source.split("\n")))
        try:
            result = program.run(method, args, cast(Host, WatchedHost(host, self, meter)), meter)
            self.add(ReturnStep(depth, meter.used, context.contract, method, literal(result)))
        except Failure as failure:
            self._failed(failure, failure.line, meter, depth + 1)
            raise
        finally:
            self._contracts.pop()
            self._open.pop()
        return result

    # ── a program's statements (`watching.Listener`) ──────────────────────────────────────────────

    def enter(self, env: Env, function: str, values: Values, meter: Meter) -> None:
        """A function begins. The one that a call names is told of by the call."""
        if self._open and self._open[-1][0] is not None:
            self.add(FunctionStep(self._depth_for(env), meter.used, self._contract, function, _shown(values)))

    def line(self, env: Env, line: int, values: Values, meter: Meter) -> None:
        """A line begins."""
        depth = self._depth_for(env)
        self.add(LineStep(depth, meter.used, self._contract, line, self._source(line), _shown(values)))
        self._open.append((env, depth))

    def done(self, values: Values, meter: Meter) -> None:
        """A line is done."""
        if values:
            self.add(ValuesStep(self.depth, meter.used, _shown(values)))

    def failed(self, failure: Failure, line: int, meter: Meter) -> None:
        """A failure comes by; the first to see it is the nearest."""
        self._failed(failure, line, meter, self.depth)

    def left(self) -> None:
        """A line is over."""
        self._open.pop()

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _failed(self, failure: Failure, line: int, meter: Meter, depth: int) -> None:
        if failure is self._failure:
            return
        self._failure = failure
        at = failure.line or line
        source = self._source(at)
        self.add(FailStep(depth, meter.used, self._contract, at, source, failure.code, failure.message))

    @property
    def _contract(self) -> str:
        return self._contracts[-1][0]

    def _source(self, line: int) -> str:
        lines = self._contracts[-1][1]
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def _depth_for(self, env: Env | None) -> int:
        """One deeper than what is open, unless it is the same run of the same function."""
        if not self._open:
            return 0
        above, depth = self._open[-1]
        return depth if env is not None and above is env else depth + 1


class WatchedProgram:
    """A program that a tracer looks at. Implements `Program`; only the tracer's transaction is told of."""

    def __init__(self, program: Program, source: str, tracer: Tracer) -> None:
        self._program = program
        self._source = source
        self._tracer = tracer
        self._telling: Program | None = None if source else program
        self.code_hash = program.code_hash
        self.name = program.name
        self.doc = program.doc
        self.methods = program.methods
        self.state = program.state
        self.events = program.events

    def run(self, method: str, args: list[Value], host: Host, meter: Meter) -> Value:
        """Run one entry point: see `interface.Program.run`."""
        if host.context.transaction_id != self._tracer.transaction_id:
            return self._program.run(method, args, host, meter)
        if self._telling is None:
            self._telling = compile_watched(self._source, LineWatch(self._tracer))
        return self._tracer.run(self._telling, self._source, method, args, host, meter)


class WatchedHost:
    """A frame of the traced transaction. What it does is the frame's own doing; it only tells of it."""

    def __init__(self, host: Host, tracer: Tracer, meter: Meter) -> None:
        self._host = host
        self._tracer = tracer
        self._meter = meter

    @property
    def context(self) -> Context:
        """Who, when, where."""
        return self._host.context

    def get(self, variable: str, key: Key) -> bytes | None:
        """Read a state value."""
        data = self._host.get(variable, key)
        self._tracer.add(ReadStep(self._tracer.depth, self._meter.used, _place(variable, key), _stored(data)))
        return data

    def put(self, variable: str, key: Key, value: bytes | None) -> None:
        """Write a state value."""
        self._host.put(variable, key, value)
        self._tracer.add(WriteStep(self._tracer.depth, self._meter.used, _place(variable, key), _stored(value)))

    def scan(self, variable: str, prefix: Key, bounds: Bounds, limit: int) -> list[tuple[Key, bytes]]:
        """Look for entries."""
        found = self._host.scan(variable, prefix, bounds, limit)
        place = _place(variable, prefix) + _between(bounds)
        self._tracer.add(ScanStep(self._tracer.depth, self._meter.used, place, limit, len(found)))
        return found

    def emit(self, event: str, fields: dict[str, Value]) -> None:
        """Record an event."""
        self._host.emit(event, fields)
        self._tracer.add(EventStep(self._tracer.depth, self._meter.used, event, _shown(tuple(fields.items()))))

    def call(self, contract: str, method: str, args: list[Value]) -> Value:
        """Call another contract, whose program tells of itself."""
        return self._host.call(contract, method, args)

    def ask(self, contract: str, method: str, args: list[Value]) -> Value:
        """Ask a view of another contract, whose program tells of itself."""
        return self._host.ask(contract, method, args)

    def compile(self, source: str) -> Loaded:
        """For the system contract."""
        return cast(SystemHost, self._host).compile(source)

    def start(self, name: str, loaded: Loaded, args: list[Any]) -> None:
        """For the system contract."""
        cast(SystemHost, self._host).start(name, loaded, args)


def _shown(values: Values) -> Shown:
    return {name: literal(value) for name, value in values}


def _place(variable: str, key: Key) -> str:
    return variable + (f"[{', '.join([literal(part) for part in key])}]" if key else "")


def _between(bounds: Bounds) -> str:
    """The bounds of a scan as they were written."""
    named = [("after", bounds.after), ("before", bounds.before), ("first", bounds.first), ("last", bounds.last)]
    written = [f" {name} {_place('', key)}" for name, key in named if key is not None]
    return "".join(written) + (" reverse" if bounds.reverse else "")


def _stored(data: bytes | None) -> str | None:
    return None if data is None else literal(codec.decode(data))
