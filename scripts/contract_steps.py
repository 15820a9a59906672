"""A random program in the interpreter: every call by the runtime of a validator, and all that it did.

The state is a dict, the catalogue two programs; frames, write-sets, gas and events are the runtime's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from contracts import codes
from contracts.catalogue import Loaded
from contracts.frame import Frame
from contracts.invocation import Invocation, Setting
from contracts.language import Failure, Meter, compile_source
from contracts.language.interface import Context
from ledger import codec
from scripts.contract_programs import RandomProgram
from scripts.contract_scenery import OTHER, SENDER

T = TypeVar("T")

GAS: Final = 1_500_000  # of one call; a program that wants more is stopped, and is not run as plain Python
STACK_DEPTH: Final = 1_500  # frames of the host below the second run
HEIGHT, TIME_MS, CHAIN_ID = 7, 1_700_000_000_000, "c4" * 32

Writes = tuple[tuple[bytes, bytes | None], ...]
Events = list[tuple[str, str, bytes]]


@dataclass(frozen=True, slots=True)
class Step:
    """What one call did: its code, message and place, the encoded result, the gas, its writes by key, its events."""

    code: str
    message: str
    contract: str
    line: int
    result: bytes
    gas: int
    writes: Writes
    events: Events

    @property
    def place(self) -> str:
        """Where it failed."""
        return f"{self.contract}:{self.line}" if self.contract else ""

    @property
    def facts(self) -> tuple[Any, ...]:
        """All of it, as what a hash is taken over."""
        return (self.code, self.message, self.place, self.result, self.gas, self.writes, self.events)


class Store:
    """The state of all contracts, as the runtime reads it."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def read(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""
        return self.values.get(key)

    def scan(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries in key order."""
        found = sorted([key for key in self.values if key.startswith(prefix) and key >= start])
        return [(key, self.values[key]) for key in found[:limit]]

    def scan_back(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries in the reverse of key order, from the last below `end` down to `start`."""
        found = sorted([key for key in self.values if start <= key < end], reverse=True)
        return [(key, self.values[key]) for key in found[:limit]]


def apply(values: dict[bytes, bytes], writes: Writes) -> None:
    """Make writes the state."""
    for key, value in writes:
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


class Programs:
    """The two contracts by name, in place of a catalogue."""

    def __init__(self, source: str) -> None:
        texts = {"random": source, "other": OTHER}
        self.loaded = {name: Loaded.of(compile_source(text), text) for name, text in texts.items()}

    def find(self, name: str, _read: object) -> Loaded | None:
        """The contract of this name."""
        return self.loaded.get(name)


def interpreted(program: RandomProgram) -> list[Step]:
    """Every call of a program; the first sets it up, as a deployment does."""
    programs, store = Programs(program.source), Store()
    steps = []
    for number, (method, args) in enumerate(program.calls):
        step = _run(programs, store, number, method, codec.decode(codec.encode(args)))
        apply(store.values, step.writes)
        steps.append(step)
    return steps


def _run(programs: Programs, store: Store, number: int, method: str, args: list[Any]) -> Step:
    meter = Meter(GAS)
    setting = Setting(HEIGHT, TIME_MS, f"{number:064x}", CHAIN_ID)
    invocation = Invocation(
        catalogue=programs,  # type: ignore[arg-type]  # it has what an invocation asks for
        reader=store,
        below=(),
        setting=setting,
        meter=meter,
    )
    try:
        if number:
            result = invocation.call(SENDER, "random", method, args)
        else:
            result = _set_up(invocation, programs, setting, args)
    except Failure as failure:
        code = codes.OUT_OF_GAS if meter.exhausted else failure.code
        return Step(code, failure.message, failure.contract, failure.line, b"", meter.used, (), [])
    writes = tuple(sorted(invocation.writes.values.items()))
    events = [(entry.contract, entry.name, entry.fields) for entry in invocation.events]
    return Step(codes.OK, "", "", 0, result, meter.used, writes, events)


def _set_up(invocation: Invocation, programs: Programs, setting: Setting, args: list[Any]) -> bytes:
    """The init, which nothing but a deployment calls: in a frame of whoever deploys."""
    context = Context(SENDER, HEIGHT, TIME_MS, setting.transaction_id, "deployer", CHAIN_ID)
    frame = Frame(invocation, context, (invocation.writes,), 1, False)
    invocation.start(frame, "random", programs.loaded["random"], args)
    invocation.writes.merge(frame.writes)
    return codec.encode(None)


def deep(run: Callable[[], T], levels: int = STACK_DEPTH) -> T:
    """What `run` gives, that many frames further up the stack of the host."""
    return run() if levels == 0 else deep(run, levels - 1)
