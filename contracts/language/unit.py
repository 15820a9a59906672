"""What is known about one contract while it is compiled: declarations, problems, and the body at hand.

A `Unit` is the whole source, a `Function` one method or module function, a `Body` the working state while its
statements become closures. Names are bound by one rule, `Unit.name_problem`, wherever a name can hide.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from contracts import codes
from contracts.language import gas, limits
from contracts.language.interface import Problem
from contracts.language.value_types import RecordOf, Type
from contracts.language.values import fail

Env = list[Any]
"""Of one running function: [meter, host, result, locals...]."""
Code = Callable[[Env], Any]
METER, HOST, RESULT, FIRST_LOCAL = 0, 1, 2, 3
Watch = Callable[["Body", ast.stmt, Code], Code]
"""What a trace puts around a statement's code. It charges nothing and changes nothing; no node ever has one."""


_PROBLEMS_KEPT_MAX: Final = 20 * limits.PROBLEMS_MAX


class Unset:
    """What a local holds before it is assigned."""


UNSET: Final = Unset()

API_NAMES: Final = frozenset(
    {
        "Address",
        "Contract",
        "Decimal",
        "Error",
        "Event",
        "Interface",
        "List",
        "Record",
        "Map",
        "Value",
        "Var",
        "call",
        "init",
        "require",
        "sha256",
        "view",
    }
)
FUNCTION_NAMES: Final = frozenset(
    {
        "abs",
        "all",
        "any",
        "bool",
        "bytes",
        "chr",
        "dict",
        "divmod",
        "enumerate",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
    }
    | {"ord", "pow", "range", "reversed", "sorted", "str", "sum", "tuple", "zip"}
)
_CONSTANT_NAMES: Final = frozenset({"True", "False", "None", "self", "ValueError"})
_CLASS_NAMES: Final = frozenset({"call", "emit", "ctx", "view"})
_REFUSED_CALLS: Final = {
    "print": "a contract has no output; emit an event",
    "open": "a contract has no files",
    "input": "a contract takes arguments",
    "eval": "text never becomes code",
    "exec": "text never becomes code",
    "compile": "text never becomes code",
    "getattr": "attributes cannot be computed",
    "setattr": "attributes cannot be computed",
    "hasattr": "attributes cannot be computed",
    "delattr": "attributes cannot be computed",
    "vars": "there is no reflection",
    "dir": "there is no reflection",
    "globals": "there is no reflection",
    "locals": "there is no reflection",
    "type": "there is no reflection",
    "id": "addresses differ between machines",
    "hash": "hashes differ between machines; use sha256",
    "float": "floats differ between machines; use integers of the smallest unit, or Decimal",
    "complex": "floats differ between machines; use integers of the smallest unit, or Decimal",
    "set": "sets have no order; use a dict or a list",
    "frozenset": "sets have no order; use a dict or a list",
    "map": "use a list comprehension",
    "filter": "use a list comprehension",
    "iter": "use a for loop",
    "next": "use a for loop",
    "format": "use a plain f-string",
    "repr": "use a plain f-string",
    "round": "there are no floats",
    "slice": "write the slice in brackets",
    "super": "a contract inherits from Contract alone",
    "Exception": "raise Error",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `kind` is None where an internal function leaves the annotation out."""

    name: str
    kind: Type | None
    required: bool
    default: Any


@dataclass(slots=True)
class Function:
    """A method of the contract or a function of the module. `body` is filled in when it is compiled."""

    name: str
    kind: str  # init, call, view; method and function are internal
    node: Any  # ast.FunctionDef, or a constant's expression
    parameters: tuple[Parameter, ...] = ()
    returns: Type | None = None
    doc: str = ""
    slots: int = FIRST_LOCAL
    body: Code = field(default=lambda _env: None)
    frames: int = 0  # host frames that its own nesting needs
    calls: dict[str, tuple[int, ast.AST]] = field(default_factory=dict)  # callee: frames at the deepest call, where

    @property
    def is_entry(self) -> bool:
        """Whether a transaction or a view may name it."""
        return self.kind in ("init", "call", "view")


@dataclass(frozen=True, slots=True)
class StateVariable:
    """A declared Var, Map or List. `keys` are the parts of a Map's key; `nested` says that it is written as a tuple."""

    name: str
    kind: str
    keys: tuple[Type, ...]
    nested: bool
    value: Type
    text: str


@dataclass(frozen=True, slots=True)
class EventType:
    """A declared event."""

    name: str
    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class InterfaceType:
    """What the contract knows of another: methods with their types, without code."""

    name: str
    methods: dict[str, Function]


@dataclass(slots=True)
class Unit:
    """One contract source. `watch` goes around every statement; None, as on every node, leaves the code as it is."""

    lines: list[str]
    watch: Watch | None = None
    problems: dict[Problem, None] = field(default_factory=dict)
    anchor: ast.AST | None = None
    imported: set[str] = field(default_factory=set)
    constants: dict[str, Any] = field(default_factory=dict)
    constants_room: int = limits.CONSTANTS_BYTES_MAX  # bytes that constants to come may make
    events: dict[str, EventType] = field(default_factory=dict)
    interfaces: dict[str, InterfaceType] = field(default_factory=dict)
    records: dict[str, RecordOf] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)  # of the module
    methods: dict[str, Function] = field(default_factory=dict)
    state: dict[str, StateVariable] = field(default_factory=dict)
    name: str = ""
    doc: str = ""

    def problem(self, node: ast.AST, code: str, message: str) -> None:
        """Note one problem at a node. Inside an f-string it is the f-string's place that every version agrees on."""
        place = self.anchor or node
        line = getattr(place, "lineno", 1)
        column = self._column(line, getattr(place, "col_offset", 0))
        if len(self.problems) < _PROBLEMS_KEPT_MAX:
            self.problems[Problem(line, column, code, message)] = None

    def _column(self, line: int, byte_offset: int) -> int:
        if not 1 <= line <= len(self.lines):
            return 1
        return len(self.lines[line - 1].encode()[:byte_offset].decode("utf-8", "ignore")) + 1

    @contextmanager
    def anchored(self, node: ast.AST) -> Iterator[None]:
        """Report every problem inside at `node`."""
        before = self.anchor
        self.anchor = before or node
        yield
        self.anchor = before

    def name_problem(self, name: str) -> str | None:
        """Why `name` may not be given to anything, None when it may: the one rule for every place that binds."""
        if not name.isascii():
            return f"the name {name!r} is not ASCII"
        if name.startswith("_") and name != "_":
            return f"the name {name!r} begins with an underscore; such names are the host's"
        if len(name) > limits.NAME_CHARACTERS_MAX:
            return f"a name of {len(name)} characters, at most {limits.NAME_CHARACTERS_MAX} are allowed"
        if name in API_NAMES or name in FUNCTION_NAMES or name in _CONSTANT_NAMES:
            return f"the name {name!r} is taken by the language"
        return None

    def bind(self, node: ast.AST, name: str) -> bool:
        """Whether a local may have this name; notes the problem if not."""
        reason = self.name_problem(name)
        taken = (self.constants, self.events, self.interfaces, self.records, self.functions)
        if reason is None and any(name in names for names in taken):
            reason = f"the name {name!r} is taken by the module"
        if reason is None and name == self.name:
            reason = f"the name {name!r} is taken by the contract"
        if reason is not None:
            self.problem(node, "name", reason)
        return reason is None

    def declare(self, node: ast.AST, name: str) -> bool:
        """Whether the module or the class may declare this name now; notes the problem if not."""
        reason = self.name_problem(name)
        if reason is None and (name in _CLASS_NAMES or (name == "at" and "Interface" in self.imported)):
            reason = f"the name {name!r} is taken by the language"
        module = (self.constants, self.events, self.interfaces, self.records, self.functions)
        taken = (*module, self.methods, self.state)
        if reason is None and (name == self.name or any(name in names for names in taken)):
            reason = f"the name {name!r} is declared twice"
        if reason is not None:
            self.problem(node, "name", reason)
        return reason is None

    def needs_import(self, node: ast.AST, name: str) -> None:
        """`name` of the API is used here."""
        if name not in self.imported:
            self.problem(node, "not_imported", f"{name} is used but not imported: from contracts import {name}")
            self.imported.add(name)


class Body:
    """The state of compiling one function: slots of locals, what is surely assigned, gas and nesting so far."""

    def __init__(self, unit: Unit, function: Function, in_class: bool) -> None:
        self.unit = unit
        self.function = function
        self.in_class = in_class
        self.locals: dict[str, int] = {}
        self.scopes: list[dict[str, int]] = []  # of comprehensions
        self.assigned: set[str] = set()
        self.cost = 0
        self.depth = 0
        self.expression_depth = 0
        self.loops = 0

    def problem(self, node: ast.AST, code: str, message: str) -> None:
        """Note one problem."""
        self.unit.problem(node, code, message)

    def pay(self, units: int) -> None:
        """Add to the fixed cost of the statement at hand."""
        self.cost += units

    def costed(self, build: Callable[[], Any]) -> tuple[Any, int]:
        """What `build` returns, and its fixed cost apart from the statement's."""
        before, self.cost = self.cost, 0
        built = build()
        cost, self.cost = self.cost, before
        return built, cost

    @contextmanager
    def deeper(self, frames: int = 1) -> Iterator[None]:
        """Count host frames that are on the stack while what is built inside runs."""
        self.depth += frames
        self.function.frames = max(self.function.frames, self.depth)
        yield
        self.depth -= frames

    def slot(self) -> int:
        """A new slot for a local."""
        index = self.function.slots
        self.function.slots += 1
        if index - FIRST_LOCAL == limits.LOCALS_MAX:
            self.problem(self.function.node, "too_large", f"more than {limits.LOCALS_MAX} names in one function")
        return index

    def local(self, name: str) -> int:
        """The slot of a local of the function, made when it is new."""
        if name not in self.locals:
            self.locals[name] = self.slot()
        return self.locals[name]

    def read(self, node: ast.AST, name: str) -> Code:
        """The code that loads a name."""
        self.pay(gas.LOAD)
        for scope in reversed(self.scopes):
            if name in scope:
                return load(scope[name])
        if name in self.locals:
            slot = self.locals[name]
            return load(slot) if name in self.assigned else checked_load(slot, name)
        if name in self.unit.constants:
            return constant(self.unit.constants[name])
        self.problem(node, "unknown_name", self._unknown(name))
        return constant(None)

    def _unknown(self, name: str) -> str:
        if name == "self" or name in API_NAMES or name in FUNCTION_NAMES:
            return f"{name!r} is not a value that can be passed around"
        unit = self.unit
        classes = (unit.events, unit.interfaces, unit.records)
        if name in unit.functions or any(name in names for names in classes) or name == unit.name:
            return f"{name!r} is not a value that can be passed around"
        if name in _REFUSED_CALLS:
            return f"{name!r} is not known here: {_REFUSED_CALLS[name]}"
        return f"{name!r} is not known here"

    def called(self, node: ast.AST, callee: str) -> None:
        """Note a call of one of the contract's own functions."""
        frames = max(self.depth, self.function.calls.get(callee, (0, node))[0])
        self.function.calls[callee] = (frames, node)


def refused_call(name: str) -> str:
    """Why a function of Python's is not there."""
    reason = _REFUSED_CALLS.get(name)
    return f"{name}() is not known here: {reason}" if reason else f"{name}() is not known here"


def constant(value: Any) -> Code:
    """Code that gives `value`, which must be immutable."""
    return lambda _env: value


def load(slot: int) -> Code:
    """Code that reads a local that is surely assigned."""
    return lambda env: env[slot]


def checked_load(slot: int, name: str) -> Code:
    """Code that reads a local that may not be assigned yet."""

    def read(env: Env) -> Any:
        value = env[slot]
        if value is UNSET:
            fail(codes.UNASSIGNED, f"{name} has no value yet")
        return value

    return read
