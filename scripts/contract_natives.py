"""A random program as plain Python, held against what the interpreter made of it: results, state, events, failures.

Where Python has no such limit, and where the page of the language says that the interpreter is stricter, Python is not
asked: it might go on for ever. Everything else must be alike, the line of a failure included.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from functools import cache
from types import ModuleType, TracebackType
from typing import Any, Final

import contracts
from contracts import codes
from contracts.decimal import plain
from contracts.language import Failure
from contracts.native import contract as native_contract
from contracts.native import kinds as native_kinds
from contracts.native import state as native_state
from ledger import codec
from scripts.contract_programs import RandomProgram
from scripts.contract_scenery import OTHER, SENDER
from scripts.contract_steps import CHAIN_ID, HEIGHT, TIME_MS, Events, Step, apply

# Plain Python has no such limits, and would run on for ever.
LIMITS: Final = frozenset({codes.SIZE_LIMIT, codes.OUT_OF_GAS})
# Where arithmetic ends in Python as well; an integer outside 256 bits is nothing to it.
ARITHMETIC_ALIKE: Final = (
    "division by zero",
    "a negative shift",
    "a Decimal outside",
    "the integer does not fit",
    "a count or",
)
# What the interpreter refuses and plain Python does not; the page of the language gives the reason of each.
STRICTER: Final = (
    "is for ASCII text",
    "must be within 61 bits",
    "a dict key must be str",
    "a dict was changed while",
    "has no text",
    "int() takes ASCII digits",
    "cannot unpack str",
    "cannot unpack bytes",
    "cannot unpack dict",
    "takes a list or a tuple",
    "no operator + for list and",
    "for bool and",
    "and bool",
    ", not bool",
    "cannot order bool",
    "cannot order int and Decimal",  # when they are sorted; to compare two of them is allowed
    "cannot order Decimal and int",
    "inside items",
    "no operator / for int and int",
    "no operator % for str",
    "no operator % for bytes",
)
KINDS: Final[tuple[tuple[type[BaseException], frozenset[str]], ...]] = (
    (KeyError, frozenset({codes.KEY_ERROR})),
    (IndexError, frozenset({codes.INDEX_ERROR})),
    (OverflowError, frozenset({codes.ARITHMETIC, codes.BAD_VALUE, codes.INDEX_ERROR})),
    (ArithmeticError, frozenset({codes.ARITHMETIC})),
    (UnboundLocalError, frozenset({codes.UNASSIGNED})),
    (TypeError, frozenset({codes.BAD_TYPE, codes.BAD_VALUE})),
    (AttributeError, frozenset({codes.BAD_TYPE})),
    (RuntimeError, frozenset({codes.BAD_VALUE})),
    (ValueError, frozenset({codes.BAD_VALUE, codes.FAILED, codes.ARITHMETIC})),
)
FILES: Final = {"<random>": "random", "<other>": "other"}


class Differs(AssertionError):
    """Two runs of one program do not agree."""


class Native:
    """The same two contracts as objects of Python."""

    def __init__(self, source: str) -> None:
        self.main, self.other = _class_of(source, "Random")(), _other()()
        self.main.ctx.connect("other", self.other)
        self.binding = self.main.ctx.binding
        self.world = self.binding.home
        for contract, name in ((self.main, "random"), (self.other, "other")):
            contract.ctx.binding.show(contract=name, sender=SENDER, height=HEIGHT, time=TIME_MS, chain_id=CHAIN_ID)

    def run(self, number: int, method: str, args: list[Any]) -> tuple[bytes, Events]:
        """The encoded result and the events of one call; raises whatever Python raises."""
        before = len(self.world.events)
        self.binding.show(transaction_id=f"{number:064x}")
        result = self.world.enter(self.binding, method, codec.decode(codec.encode(args)))
        made = self.world.events[before:]
        fields = [(each.name, type(event).__name__, codec.encode(plain(vars(event)))) for each, event in made]
        return result, fields


def _class_of(source: str, name: str) -> Any:
    module = ModuleType(f"generated_{name.lower()}")
    sys.modules[module.__name__] = module  # dataclasses look there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # that None has no items, and their like: programs try it
        code = compile(source, f"<{name.lower()}>", "exec")
    exec(code, vars(module))  # noqa: S102 -- our own text; that it is run is the point
    return vars(module)[name]


@cache
def _other() -> Any:
    return _class_of(OTHER, "Other")


def forget() -> None:
    """Let go of the classes of programs that were run: what Python worked out for each is kept as long as it runs."""
    for memory in (native_contract._fields, native_state._declared):  # noqa: SLF001 -- nobody else ever has so many classes
        memory.clear()
    native_kinds._record_of.cache_clear()  # noqa: SLF001 -- as above


def compare(program: RandomProgram, steps: Sequence[Step]) -> None:
    """Run the calls as plain Python beside what the interpreter made of them. Raises `Differs`."""
    native, state = Native(program.source), dict[bytes, bytes]()
    for number, ((method, args), step) in enumerate(zip(program.calls, steps, strict=True)):
        if _is_stricter(step):
            continue  # where Python goes on, perhaps for ever
        apply(state, step.writes)
        try:
            result, events = native.run(number, method, args)
        except Exception as error:  # whatever Python raises is a failure of the call
            if difference := _difference(error, step):
                raise Differs(f"call {number} of {method}: {difference}") from error
            continue
        if step.code != codes.OK:
            raise Differs(f"call {number} of {method} succeeds, and {step.code}: {step.message} at {step.place}")
        if (result, events) != (step.result, step.events):
            raise Differs(
                f"call {number} of {method}: {_shown(result, events)}, and {_shown(step.result, step.events)}"
            )
        if native.world.values != state:
            raise Differs(f"the state after call {number} of {method}: {_apart(native.world.values, state)}")


def _is_stricter(step: Step) -> bool:
    """Whether the interpreter ends a call that Python may go on with."""
    if step.code == codes.ARITHMETIC:
        return not step.message.startswith(ARITHMETIC_ALIKE)
    return step.code in LIMITS or any(reason in step.message for reason in STRICTER)


def _shown(result: bytes, events: Events) -> str:
    return f"{codec.decode(result)!r}, {[(name, codec.decode(data)) for _, name, data in events]}"


def _apart(python: dict[bytes, bytes], interpreter: dict[bytes, bytes]) -> str:
    keys = sorted(key for key in python.keys() | interpreter.keys() if python.get(key) != interpreter.get(key))
    return ", ".join([f"{key!r}: {python.get(key)!r}, and {interpreter.get(key)!r}" for key in keys])


# ── failures ──────────────────────────────────────────────────────────────────────────────────────


def _difference(error: Exception, step: Step) -> str:
    """How what Python raised is not what the failure says; "" where it is."""
    said = f"{error!r}, and {step.code}: {step.message} at {step.place}"
    if not _is_alike(error, step):
        return said
    contract, line = _place_of(error.__traceback__)
    if step.line and line and (contract, line) != (step.contract, step.line) and "result of" not in step.message:
        return f"{said}, and in Python at {contract}:{line}"
    return ""


def _is_alike(error: Exception, step: Step) -> bool:
    """Whether an exception is the failure: exactly where it is the runtime's own, else by its kind."""
    if isinstance(error, Failure):
        return (error.code, error.message) == (step.code, step.message)
    if isinstance(error, contracts.Error):
        return step.code == codes.FAILED and str(error)[: len(step.message)] == step.message
    return any(isinstance(error, kind) and step.code in kinds for kind, kinds in KINDS)


def _place_of(traceback: TracebackType | None) -> tuple[str, int]:
    """The contract and line that a traceback ends in."""
    contract, line = "", 0
    while traceback is not None:
        found = FILES.get(traceback.tb_frame.f_code.co_filename)
        if found is not None:
            contract, line = found, traceback.tb_lineno
        traceback = traceback.tb_next
    return contract, line
