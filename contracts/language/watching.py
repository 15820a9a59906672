"""What a trace puts around the statements of one contract: who begins, who ends, and what the names hold then.

A `LineWatch` is handed to `compile_watched`. It reads the syntax tree to know which statement opens a function, a turn
of a loop or an `elif`, and which names a statement can have changed. It charges no gas and touches no value. Whom it
tells, and what becomes of that, it does not know.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from contracts.language.interface import Failure, Meter
from contracts.language.module import is_docstring
from contracts.language.unit import METER, RESULT, UNSET, Body, Code, Env

_COMPOUND: Final = (ast.If, ast.For, ast.While)
Values = tuple[tuple[str, Any], ...]
"""Names and what they hold, in the order of the source."""


class Listener(Protocol):
    """Who is told. `env` is the running function's, and differs for two runs of one function."""

    def enter(self, env: Env, function: str, values: Values, meter: Meter) -> None:
        """A function of the contract begins, with these arguments."""
        ...

    def line(self, env: Env, line: int, values: Values, meter: Meter) -> None:
        """A line begins (or a turn of the loop in it): its fixed price is paid. `values`: the turn's own names."""
        ...

    def done(self, values: Values, meter: Meter) -> None:
        """The statement begun last has ended; `values` are the names it can have changed, and "return"."""
        ...

    def failed(self, failure: Failure, line: int, meter: Meter) -> None:
        """A failure passes a statement; `line` is the statement's, the failure itself may know better."""
        ...

    def left(self) -> None:
        """The statement begun last is over, whatever became of it."""
        ...


@dataclass(frozen=True, slots=True)
class _Opening:
    """What comes before the first statement of a block: the function's entry, or the line of a loop or an `elif`."""

    line: int  # 0 for the function's entry
    names: tuple[str, ...]


class LineWatch:
    """Wraps the statements of one source. Implements `unit.Watch`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._openings: dict[ast.stmt, _Opening] = {}
        self._surveyed: set[ast.AST] = set()

    def __call__(self, body: Body, node: ast.stmt, code: Code) -> Code:
        """The statement's code, told before and after."""
        self._survey(body)
        opening = self._openings.get(node)
        before = () if opening is None else _slots(body, opening.names)
        after = () if isinstance(node, _COMPOUND) else _slots(body, _changed(node))
        return _watched(self._listener, body.function.name, node, code, opening, before, after)

    def _survey(self, body: Body) -> None:
        function = body.function.node
        if function in self._surveyed:
            return
        self._surveyed.add(function)
        written = function.body[1:] if is_docstring(function.body[0]) else function.body
        if written:
            self._openings[written[0]] = _Opening(0, tuple(parameter.name for parameter in body.function.parameters))
        for node in ast.walk(function):
            if isinstance(node, ast.For):
                self._openings[node.body[0]] = _Opening(node.lineno, tuple(_stored(node.target)))
            elif isinstance(node, ast.While):
                self._openings[node.body[0]] = _Opening(node.lineno, ())
            elif isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
                branch = node.orelse[0]
                self._openings[branch.body[0]] = _Opening(branch.test.lineno, ())


def _watched(
    listener: Listener,
    function: str,
    node: ast.stmt,
    code: Code,
    opening: _Opening | None,
    before: Sequence[tuple[str, int]],
    after: Sequence[tuple[str, int]],
) -> Code:
    returns = isinstance(node, ast.Return)

    def run(env: Env) -> Any:
        meter = env[METER]
        if opening is not None and opening.line:
            listener.line(env, opening.line, _values(env, before), meter)
            listener.left()
        elif opening is not None:
            listener.enter(env, function, _values(env, before), meter)
        listener.line(env, node.lineno, (), meter)
        try:
            signal = code(env)
            found = _values(env, after)
            listener.done((*found, ("return", env[RESULT])) if returns else found, meter)
        except Failure as failure:
            listener.failed(failure, node.lineno, meter)
            raise
        finally:
            listener.left()
        return signal

    return run


def _values(env: Env, slots: Sequence[tuple[str, int]]) -> Values:
    return tuple([(name, env[slot]) for name, slot in slots if env[slot] is not UNSET])


def _slots(body: Body, names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple([(name, body.locals[name]) for name in names if name in body.locals])


def _stored(node: ast.AST) -> Iterator[str]:
    """The names that a target binds, and those whose items it sets."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
        elif isinstance(inner, ast.Subscript) and isinstance(inner.ctx, ast.Store | ast.Del):
            yield from _owner(inner.value)


def _changed(node: ast.stmt) -> tuple[str, ...]:
    """The names that a simple statement can have changed, each once: assigned, or holding what was changed in place."""
    names = list(_stored(node))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and isinstance(node, ast.Expr):
            names.extend(_owner(inner.func.value))
    return tuple(dict.fromkeys(names))


def _owner(node: ast.expr) -> Iterator[str]:
    """The local at the root of x, x[i], x[i][j]: none for `self`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
