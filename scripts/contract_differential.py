"""Random contracts, each as plain Python and in the interpreter: the same results, state and events, or failures alike.

    python -m scripts.contract_differential --programs 1000 [--first 0] [--digest FILE] [--against FILE]
    python -m scripts.contract_differential --show NUMBER

Every program is run by the runtime of a validator twice: compiled anew on a shallow stack of the host, then from the
cache on a deep one. Results, gas, state and events must be equal to the byte. `--digest` writes a line for every
thousand programs, with a hash over all of it; `--against` compares with what another Python or another hash seed wrote.
What differs is shown with its number, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import contracts
from contracts import codes
from contracts.catalogue import Loaded
from contracts.decimal import plain
from contracts.invocation import Invocation, Setting
from contracts.keys import state_key
from contracts.language import Failure, Meter, SourceRefused, compile_source
from ledger import codec
from scripts.contract_programs import OTHER, RandomProgram, random_program

GAS: Final = 1_500_000  # of one call; a program that wants more is stopped, and is not run as plain Python
STACK_DEPTH: Final = 1_500  # frames of the host below the second run
RANGE: Final = 1_000  # programs in a line of the digest
SENDER: Final = "5e" * 32
HEIGHT, TIME_MS = 7, 1_700_000_000_000

# Plain Python has no such limits, and would run on for ever.
LIMITS: Final = frozenset({codes.ARITHMETIC, codes.SIZE_LIMIT, codes.OUT_OF_GAS})
# What the interpreter refuses and plain Python does not; the page of the language gives the reason of each.
STRICTER: Final = ("is for ASCII text", "must be within 61 bits", "a dict was changed while", "which may write")
KINDS: Final[tuple[tuple[type[BaseException], frozenset[str]], ...]] = (
    (contracts.Error, frozenset({codes.FAILED, codes.NOT_PERMITTED})),
    (KeyError, frozenset({codes.KEY_ERROR})),
    (IndexError, frozenset({codes.INDEX_ERROR})),
    (ArithmeticError, frozenset({codes.ARITHMETIC, codes.BAD_VALUE})),
    (UnboundLocalError, frozenset({codes.UNASSIGNED})),
    (TypeError, frozenset({codes.BAD_TYPE, codes.BAD_VALUE, codes.BAD_ARGUMENTS})),
    (RuntimeError, frozenset({codes.BAD_VALUE})),
    (ValueError, frozenset({codes.BAD_VALUE, codes.FAILED})),
)

Entries = dict[bytes, bytes]
Events = list[tuple[str, str, bytes]]


class Differs(AssertionError):
    """Two runs of one program do not agree."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one call did: its code, message and place, the encoded result, the gas, the state after it, its events."""

    code: str
    message: str
    place: str
    result: bytes
    gas: int
    state: Entries
    events: Events


# ── by the runtime ────────────────────────────────────────────────────────────────────────────────


class Store:
    """The state of all contracts, as the runtime reads it."""

    def __init__(self) -> None:
        self.values: Entries = {}

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


class Programs:
    """The two contracts by name, in place of a catalogue."""

    def __init__(self, source: str) -> None:
        texts = {"random": source, "other": OTHER}
        self._loaded = {name: Loaded.of(compile_source(text), text) for name, text in texts.items()}

    def find(self, name: str, _read: object) -> Loaded | None:
        """The contract of this name."""
        return self._loaded.get(name)


def interpreted(program: RandomProgram) -> list[Step]:
    """Every call of a program."""
    programs, store = Programs(program.source), Store()
    return [_run(programs, store, number, *one) for number, one in enumerate(program.calls)]


def _run(programs: Programs, store: Store, number: int, method: str, args: list[Any]) -> Step:
    meter = Meter(GAS)
    invocation = Invocation(
        catalogue=programs,  # type: ignore[arg-type]  # it has what an invocation asks for
        reader=store,
        below=(),
        setting=Setting(HEIGHT, TIME_MS, f"{number:064x}"),
        meter=meter,
    )
    try:
        result = invocation.call(SENDER, "random", method, codec.decode(codec.encode(args)))
    except Failure as failure:
        place = f"{failure.contract}:{failure.line}"
        code = codes.OUT_OF_GAS if meter.exhausted else failure.code
        return Step(code, failure.message, place, b"", meter.used, dict(store.values), [])
    for key, value in invocation.writes.values.items():
        if value is None:
            store.values.pop(key, None)
        else:
            store.values[key] = value
    events = [(entry.contract, entry.name, entry.fields) for entry in invocation.events]
    return Step(codes.OK, "", "", result, meter.used, dict(store.values), events)


def deep(levels: int, run: Callable[[], list[Step]]) -> list[Step]:
    """What `run` gives, that many frames further up the stack of the host."""
    return run() if levels == 0 else deep(levels - 1, run)


# ── as plain Python ───────────────────────────────────────────────────────────────────────────────


class Native:
    """The same two contracts as objects of Python."""

    def __init__(self, source: str) -> None:
        self.main, self.other = _class_of(source, "Random")(), _other()()
        self.main.ctx.connect("other", self.other)
        for contract, name in ((self.main, "random"), (self.other, "other")):
            context = contract.ctx
            context.contract, context.sender, context.height, context.time = name, SENDER, HEIGHT, TIME_MS

    def run(self, number: int, method: str, args: list[Any]) -> tuple[bytes, Events]:
        """The encoded result and the events of one call; raises whatever Python raises."""
        context, before = self.main.ctx, len(self.main.ctx.events)
        context.transaction_id = self.other.ctx.transaction_id = f"{number:064x}"
        result = codec.encode(plain(getattr(self.main, method)(*codec.decode(codec.encode(args)))))
        made = context.events[before:]
        return result, [("random", type(event).__name__, codec.encode(plain(vars(event)))) for event in made]

    def state(self) -> Entries:
        """All entries, by their keys in the state of a validator."""
        return {
            state_key(name, *place): data
            for name, contract in (("random", self.main), ("other", self.other))
            for place, data in contract.ctx.entries.items()
        }


def _class_of(source: str, name: str) -> Any:
    module = ModuleType(f"generated_{name.lower()}")
    sys.modules[module.__name__] = module  # dataclasses look there
    exec(compile(source, name, "exec"), vars(module))  # noqa: S102 -- our own text; that it is run is the point
    return vars(module)[name]


@cache
def _other() -> Any:
    return _class_of(OTHER, "Other")


def compare(program: RandomProgram, steps: list[Step]) -> None:
    """Run the calls as plain Python beside what the interpreter made of them. Raises `Differs`."""
    native = Native(program.source)
    for number, ((method, args), step) in enumerate(zip(program.calls, steps, strict=True)):
        if step.code in LIMITS or any(reason in step.message for reason in STRICTER):
            return  # where Python goes on, perhaps for ever
        try:
            result, events = native.run(number, method, args)
        except Exception as error:  # whatever Python raises is a failure of the call
            if not _alike(error, step):
                raise Differs(f"call {number} of {method}: {error!r}, and {step.code}: {step.message}") from error
            continue
        if step.code != codes.OK:
            raise Differs(f"call {number} of {method} succeeds, and {step.code}: {step.message} at {step.place}")
        found = (result, events, native.state())
        if found != (step.result, step.events, step.state):
            raise Differs(
                f"call {number} of {method}: {_shown(*found)}, and {_shown(step.result, step.events, step.state)}"
            )


def _shown(result: bytes, events: Events, state: Entries) -> str:
    readable = {key: codec.decode(data) for key, data in state.items()}
    return f"{codec.decode(result)!r}, {[(name, codec.decode(data)) for _, name, data in events]}, {readable}"


def _alike(error: Exception, step: Step) -> bool:
    """Whether what Python raised is what the failure says."""
    kinds = next((kinds for kind, kinds in KINDS if isinstance(error, kind)), frozenset())
    if isinstance(error, contracts.Error) and step.code == codes.FAILED:
        return str(error)[: len(step.message)] == step.message
    return step.code in kinds


# ── many of them ──────────────────────────────────────────────────────────────────────────────────


def digest_of(program: RandomProgram, steps: list[Step]) -> bytes:
    """A hash over the text of a program and everything that its calls did."""
    parts: list[Any] = [program.source]
    for step in steps:
        parts.append([step.code, step.message, step.place, step.result, step.gas, [*map(list, step.events)]])
        parts.append([[key, step.state[key]] for key in sorted(step.state)])
    return hashlib.sha256(codec.encode(parts)).digest()


def examine(number: int) -> tuple[bytes, list[Step]]:
    """One program in every way. Raises `Differs`."""
    program = random_program(number)
    try:
        steps = interpreted(program)
        if deep(STACK_DEPTH, lambda: interpreted(program)) != steps:
            raise Differs("a deep stack and a warm cache change something")
        compare(program, steps)
    except SourceRefused as error:  # a draw that means nothing; every Python must say so alike
        return hashlib.sha256(f"{program.source}{error}".encode()).digest(), []
    except Differs as error:
        raise Differs(f"program {number}: {error}") from error
    return digest_of(program, steps), steps


def digest_line(first: int, count: int, tally: Counter[str]) -> str:
    """Examine a range, and give what a Python must agree on as a line."""
    total, used = hashlib.sha256(), 0
    for number in range(first, first + count):
        digest, steps = examine(number)
        total.update(digest)
        used += sum(step.gas for step in steps)
        tally.update([step.code for step in steps] or ["refused"])
    return json.dumps({"first": first, "programs": count, "gas": used, "digest": total.hexdigest()})


def show(number: int) -> None:
    """Print one program, its calls, and what they did."""
    program = random_program(number)
    print(program.source)
    for (method, args), step in zip(program.calls, interpreted(program), strict=True):
        result = codec.decode(step.result) if step.result else None
        print(f"# {method}{args}: {step.code} {step.message} {step.place} {result!r}, gas {step.gas}")


def main() -> None:
    """Examine, write, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=RANGE)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--digest", type=Path, help="write the digests here, a line for every thousand programs")
    parser.add_argument("--against", type=Path, help="digests that these must be equal to")
    parser.add_argument("--show", type=int, help="print this program instead")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show)
        return
    sys.exit(_campaign(options.first, options.programs, options.digest, options.against))


def _campaign(first: int, programs: int, digest: Path | None, against: Path | None) -> int:
    tally: Counter[str] = Counter()
    expected = against.read_text().splitlines() if against else None
    begin, end = time.monotonic(), first + programs
    if digest:
        digest.write_text("")
    for place, start in enumerate(range(first, end, RANGE)):
        try:
            line = digest_line(start, min(RANGE, end - start), tally)
        except Differs as error:
            print(error)
            return 1
        if digest:
            with digest.open("a") as out:
                out.write(line + "\n")
        if expected is not None and (place >= len(expected) or expected[place] != line):
            print(f"programs from {start} on: {line}, and {expected[place : place + 1]} in {against}")
            return 1
    seconds = time.monotonic() - begin
    print(f"{programs} programs, {sum(tally.values())} calls in {seconds:.0f} s agree: {dict(tally.most_common())}")
    return 0


if __name__ == "__main__":
    main()
