"""From source to a program that runs: `check`, `compile_source`, and the compiled contract itself.

One pass reads, checks and compiles; a source with a problem gives its problems and no program. Programs are
immutable and kept in a bounded cache by the hash of their code.
"""

from __future__ import annotations

import ast
import sys
from collections import OrderedDict
from typing import Any

from contracts import codes
from contracts.decimal import plain
from contracts.language import gas, limits, source, statements
from contracts.language.annotations import is_annotation
from contracts.language.calls import run as run_function
from contracts.language.interface import Failure, Host, Meter, Method, Problem, Program, SourceRefused, Value
from contracts.language.module import is_docstring, read_module
from contracts.language.rules import expression, fields_hold
from contracts.language.unit import Body, Function, Unit, Watch
from contracts.language.value_types import Misfit, Type, may_hold_decimal
from contracts.language.values import fail, shown
from ledger import hashing

CACHED_BYTES_MAX = 32 << 20  # of memory, of the programs kept
_CONSTANT_GAS = 10_000  # for one constant's expression
_CONSTANT_NODES = (ast.Constant, ast.Name, ast.UnaryOp, ast.BinOp, ast.Tuple, ast.operator, ast.unaryop, ast.Load)
_CONSTANT_MAKERS = ("Address", "Decimal")

_cache: OrderedDict[bytes, CompiledContract] = OrderedDict()


def check(text: str | bytes) -> list[Problem]:
    """Every problem of a source, by place; an empty list means that it deploys."""
    return _build(text, everything=True)[1]


def compile_source(text: str) -> Program:
    """The program of a source. Raises `SourceRefused`. The same source gives the same object while it is cached."""
    try:
        key = hashing.code_hash(text.encode())
    except UnicodeEncodeError:
        raise SourceRefused(check(text)) from None
    found = _cache.get(key)
    if found is None:
        unit, problems = _build(text)
        if problems:
            raise SourceRefused(problems)
        assert unit is not None
        found = _cache[key] = CompiledContract(unit, key)
        found.memory = source.memory_of(text)
        _shrink_cache()
    _cache.move_to_end(key)
    return found


def _shrink_cache() -> None:
    """Let go of what was used least lately; the newest stays."""
    memory = sum([program.memory for program in _cache.values()])
    while memory > CACHED_BYTES_MAX and len(_cache) > 1:
        memory -= _cache.popitem(last=False)[1].memory


def compile_watched(text: str, watch: Watch) -> Program:
    """The program of a source with `watch` around every statement: the same results and gas, slower. Never cached."""
    unit, problems = _build(text, watch)
    if problems:
        raise SourceRefused(problems)
    assert unit is not None
    return CompiledContract(unit, hashing.code_hash(text.encode()))


def _build(
    text: str | bytes, watch: Watch | None = None, everything: bool = False
) -> tuple[Unit | None, list[Problem]]:
    """A unit and its problems. `everything` reads on after a problem if it can, for a person; a node need not."""
    _make_room_on_the_stack()
    decoded = source.text_of(text)
    if isinstance(decoded, list):
        return None, decoded
    problems, is_safe = source.inspect(decoded)
    if problems and not (everything and is_safe):
        return None, sorted(problems)
    try:
        tree = ast.parse(decoded)
    except SyntaxError as error:
        # What exactly is wrong, each Python says in its own words: for an author, and for no receipt.
        why = f": {error.msg}" if everything else ""
        here = Problem(error.lineno or 1, max(error.offset or 1, 1), "syntax", f"this is not valid Python{why}")
        return None, sorted(problems) or [here]
    unit = Unit(decoded.split("\n"), watch)
    # Programs are kept by what their source lets expect: a short one may not hide a megabyte behind an operator.
    unit.constants_room = min(limits.CONSTANTS_BYTES_MAX, source.memory_of(decoded))
    _compile(unit, tree)
    told = {(problem.line, problem.column) for problem in problems}
    further = [problem for problem in unit.problems if (problem.line, problem.column) not in told]
    return unit, sorted([*problems, *further])[: limits.PROBLEMS_MAX]


def _make_room_on_the_stack() -> None:
    """Let nothing in the language depend on how deep the host's stack is, or how low its limit was set."""
    if sys.getrecursionlimit() < limits.HOST_RECURSION_LIMIT:
        sys.setrecursionlimit(limits.HOST_RECURSION_LIMIT)


_make_room_on_the_stack()


# ── one pass over the tree ────────────────────────────────────────────────────────────────────────


def _compile(unit: Unit, tree: ast.Module) -> None:
    read_module(unit, tree)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            _compile_constant(unit, node)
    for function in unit.functions.values():
        _compile_function(unit, function, in_class=False)
    for function in unit.methods.values():
        _compile_function(unit, function, in_class=True)
    _check_calls(unit)


def _compile_constant(unit: Unit, node: ast.Assign | ast.AnnAssign) -> None:
    fields = ("targets", "value", "type_comment") if isinstance(node, ast.Assign) else None
    if not fields_hold(unit, node, fields or ("target", "annotation", "value", "simple")):
        return
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if len(targets) != 1 or not isinstance(targets[0], ast.Name) or node.value is None:
        unit.problem(node, "structure", "a constant is one name and its value: LIMIT = 100")
        return
    if isinstance(node, ast.AnnAssign):
        is_annotation(unit, node.annotation)
    value = _constant_value(unit, node.value)
    if unit.declare(targets[0], targets[0].id):
        unit.constants[targets[0].id] = value


def _constant_value(unit: Unit, node: ast.expr) -> Value:
    for inner in ast.walk(node):
        if not isinstance(inner, _CONSTANT_NODES) and not _makes_a_constant(inner):
            message = "a constant is made of literals, operators, tuples, Decimal(...), Address(...) and constants"
            unit.problem(node, "not_allowed", message)
            return None
    before = len(unit.problems)
    code = expression(Body(unit, Function("constant", "function", node), in_class=False), node)
    if len(unit.problems) > before:
        return None
    meter = Meter(_CONSTANT_GAS, unit.constants_room)
    try:
        value: Value = code([meter, None, None])
    except Failure as failure:
        why = f"the constant has no value: {failure.message}"
        if meter.room < 0:
            most, left = limits.CONSTANTS_BYTES_MAX, unit.constants_room
            why = f"the constants of a file make at most {most:,} bytes, a short one less: {left:,} were left"
        unit.problem(node, "constant", why)
        return None
    unit.constants_room = meter.room
    return value


def _makes_a_constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CONSTANT_MAKERS


def _compile_function(unit: Unit, function: Function, in_class: bool) -> None:
    body = Body(unit, function, in_class)
    for parameter, node in zip(function.parameters, _parameter_nodes(function, in_class), strict=True):
        if parameter.name in body.locals:
            unit.problem(node, "name", f"the parameter {parameter.name!r} is given twice")
        unit.bind(node, parameter.name)
        body.local(parameter.name)
        body.assigned.add(parameter.name)
    written = function.node.body
    nodes = written[1:] if is_docstring(written[0]) else written
    for name in _bound_names(nodes):
        body.local(name)
    function.body, _ = statements.block(body, nodes)


def _parameter_nodes(function: Function, in_class: bool) -> list[ast.arg]:
    written = function.node.args.args
    return list(written[1:] if in_class else written)[: len(function.parameters)]


def _bound_names(nodes: list[ast.stmt]) -> list[str]:
    """The names that assignments and loops in a function bind, in the order of the text, comprehensions apart."""
    names: dict[str, None] = {}
    waiting: list[ast.AST] = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = None
        children = [child for child in ast.iter_child_nodes(node) if not isinstance(node, ast.comprehension)]
        waiting.extend(reversed(children))
    return list(names)


def _check_calls(unit: Unit) -> None:
    """The call graph has no cycle, and no chain of calls needs more host frames than there are."""
    frames: dict[str, int] = {}
    everything = unit.functions | unit.methods

    def visit(name: str, path: tuple[str, ...]) -> int:
        if name in frames:
            return frames[name]
        function = everything[name]
        deepest = function.frames + 2
        for callee, (at, node) in function.calls.items():
            if callee in (*path, name):
                way = "" if callee == name else f", by way of {name}"
                unit.problem(node, "recursion", f"{callee} calls itself{way}: there is no recursion")
                continue
            if len(path) < limits.FUNCTIONS_MAX:
                deepest = max(deepest, at + 2 + visit(callee, (*path, name)))
        frames[name] = deepest
        if deepest > limits.FRAMES_PER_CALL_MAX >= max([frames.get(callee, 0) for callee in function.calls], default=0):
            unit.problem(function.node, "too_deep", f"calls nested too deep below {name}: {deepest} frames")
        return deepest

    for name in everything:
        visit(name, ())


# ── the program ───────────────────────────────────────────────────────────────────────────────────


class CompiledContract:
    """A contract ready to run. Implements `interface.Program`."""

    def __init__(self, unit: Unit, code_hash: bytes) -> None:
        self.code_hash = code_hash
        self.memory = 0  # bytes, about
        self.name = unit.name
        self.doc = unit.doc
        self._entries = {name: function for name, function in unit.methods.items() if function.is_entry}
        self.methods = tuple([_method(function) for function in self._entries.values()])
        self.state = tuple([(variable.name, variable.text) for variable in unit.state.values()])
        self.events = tuple(
            [(event.name, tuple([(name, kind.text) for name, kind in event.fields])) for event in unit.events.values()]
        )

    def run(self, method: str, args: list[Value], host: Host, meter: Meter) -> Value:
        """Run one entry point: see `interface.Program.run`."""
        _make_room_on_the_stack()
        try:
            function = self._entries.get(method)
            if function is None:
                fail(codes.UNKNOWN_METHOD, f"{self.name} has no such method{shown(method)}")
            meter.charge(gas.ENTRY)
            return _enter(function, args, host, meter)
        except Failure as failure:
            if not failure.contract:
                failure.contract = host.context.contract
            raise


def _enter(function: Function, args: list[Value], host: Host, meter: Meter) -> Value:
    parameters = function.parameters
    if len(args) != len(parameters):
        wanted = ", ".join([parameter.name for parameter in parameters]) or "nothing"
        fail(codes.BAD_ARGUMENTS, f"{function.name} takes {len(parameters)} arguments ({wanted}), not {len(args)}")
    env: list[Any] = [meter, host, None]
    for parameter, value in zip(parameters, args, strict=True):
        assert parameter.kind is not None
        try:
            env.append(parameter.kind.fit(meter, value, outside=True))
        except Misfit as error:
            fail(codes.BAD_ARGUMENTS, f"the argument {parameter.name!r} of {function.name} {error}")
    result = run_function(function, env)
    assert function.returns is not None
    try:
        return _leaving(function.returns, function.returns.fit(meter, result))
    except Misfit as error:
        raise Failure(codes.BAD_TYPE, f"the result of {function.name} {error}", function.node.lineno) from None


def _leaving(kind: Type, value: Value) -> Value:
    """A result as it leaves the contract: Decimals as their texts."""
    return plain(value) if may_hold_decimal(kind) else value


def _method(function: Function) -> Method:
    parameters = tuple(
        [(parameter.name, parameter.kind.text if parameter.kind else "") for parameter in function.parameters]
    )
    returns = function.returns.text if function.returns else ""
    return Method(function.name, function.kind, parameters, returns, function.doc, function.node.lineno)
