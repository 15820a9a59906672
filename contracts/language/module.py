"""The module around the methods: imports, constants, events, the contract class, and the annotations in them.

It reads declarations into a `Unit` and notes what is wrong; it compiles no statement.
"""

from __future__ import annotations

import ast
import inspect
from typing import Any, Final

from contracts.language import limits
from contracts.language import value_types as types
from contracts.language.annotations import STATE_KINDS, annotation
from contracts.language.rules import fields_hold, refusal
from contracts.language.unit import API_NAMES, EventType, Function, InterfaceType, Parameter, StateVariable, Unit

_ENTRY_KINDS: Final = ("init", "call", "view")


def read_module(unit: Unit, tree: ast.Module) -> None:
    """Read every declaration of the module into `unit`."""
    contracts: list[ast.ClassDef] = []
    for place, node in enumerate(tree.body):
        if is_docstring(node) and place == 0:
            continue
        if isinstance(node, ast.ImportFrom):
            _read_import(unit, node)
        elif isinstance(node, ast.ClassDef):
            _read_class(unit, node, contracts)
        elif isinstance(node, ast.FunctionDef):
            _read_function(unit, node, in_class=False)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            continue  # constants: compiled afterwards, in order, by `program`
        else:
            unit.problem(
                node,
                "not_allowed",
                f"{refusal(node)}; a module has imports, constants, events, functions and a contract",
            )
    if len(unit.events) > limits.EVENTS_MAX:
        unit.problem(tree, "too_large", f"more than {limits.EVENTS_MAX} events")
    if not contracts:
        unit.problem(tree, "structure", "there is no contract: class Name(Contract)")


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is a plain string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and type(node.value.value) is str


def _read_import(unit: Unit, node: ast.ImportFrom) -> None:
    if not fields_hold(unit, node, ("module", "names", "level")):
        return
    if node.module == "__future__" and [(alias.name, alias.asname) for alias in node.names] == [("annotations", None)]:
        return
    if node.module != "contracts" or node.level:
        unit.problem(node, "not_allowed", "an import: only `from contracts import ...` is known")
        return
    for alias in node.names:
        if alias.asname is not None:
            unit.problem(alias, "not_allowed", f"an import under another name: {alias.name} keeps its name")
        elif alias.name not in API_NAMES:
            unit.problem(alias, "unknown_name", f"contracts has {', '.join(sorted(API_NAMES))}; no {alias.name!r}")
        unit.imported.add(alias.name)


# ── classes ───────────────────────────────────────────────────────────────────────────────────────


def _read_class(unit: Unit, node: ast.ClassDef, contracts: list[ast.ClassDef]) -> None:
    if not fields_hold(unit, node, ("name", "bases", "keywords", "body", "decorator_list")):
        return
    for decorator in node.decorator_list:
        unit.problem(decorator, "not_allowed", "a class has no decorators")
    base = node.bases[0].id if len(node.bases) == 1 and isinstance(node.bases[0], ast.Name) else ""
    if base not in ("Contract", "Event", "Interface", "Record") or node.keywords:
        message = f"class {node.name}: a class inherits from Contract, Event, Interface or Record, and no other"
        unit.problem(node, "structure", message)
        return
    unit.needs_import(node, base)
    if not unit.declare(node, node.name):
        return
    if base == "Event":
        _read_event(unit, node)
    elif base == "Interface":
        _read_interface(unit, node)
    elif base == "Record":
        _read_record(unit, node)
    elif contracts:
        unit.problem(node, "structure", f"a second contract, {node.name}: one file holds one contract")
    else:
        contracts.append(node)
        _read_contract(unit, node)


def _read_event(unit: Unit, node: ast.ClassDef) -> None:
    unit.events[node.name] = EventType(node.name, _read_fields(unit, node, "an event"))


def _read_record(unit: Unit, node: ast.ClassDef) -> None:
    record = types.RecordOf.of(node.name, _read_fields(unit, node, "a record"))
    if not record.fields:
        unit.problem(node, "structure", "a record has fields: name: type")
    if len(record.text) > limits.RECORD_CHARACTERS_MAX:
        message = f"a record of {len(record.text)} characters, at most {limits.RECORD_CHARACTERS_MAX} are allowed"
        unit.problem(node, "too_large", message)
        record = types.RecordOf.of(node.name, ())
    unit.records[node.name] = record
    if len(unit.records) == limits.RECORDS_MAX + 1:
        unit.problem(node, "too_large", f"more than {limits.RECORDS_MAX} records")


def _read_fields(unit: Unit, node: ast.ClassDef, what: str) -> tuple[tuple[str, types.Type], ...]:
    fields: list[tuple[str, types.Type]] = []
    for place, item in enumerate(node.body):
        if (is_docstring(item) and place == 0) or isinstance(item, ast.Pass):
            continue
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name) or item.value is not None:
            unit.problem(item, "structure", f"{what} has fields only: name: type")
            continue
        reason = unit.name_problem(item.target.id)
        if reason is None and item.target.id in [name for name, _ in fields]:
            reason = f"the field {item.target.id!r} is declared twice"
        if reason is not None:
            unit.problem(item, "name", reason)
        fields.append((item.target.id, annotation(unit, item.annotation)))
    if len(fields) > limits.PARAMETERS_MAX:
        unit.problem(node, "too_large", f"more than {limits.PARAMETERS_MAX} fields in {what}")
    return tuple(fields)


def _read_interface(unit: Unit, node: ast.ClassDef) -> None:
    found = unit.interfaces[node.name] = InterfaceType(node.name, {})
    for place, item in enumerate(node.body):
        if is_docstring(item) and place == 0:
            continue
        if not isinstance(item, ast.FunctionDef):
            message = "an interface has methods only, without their code: def name(self, ...) -> type: ..."
            unit.problem(item, "structure", message)
            continue
        reason = unit.name_problem(item.name)
        if reason is None and item.name in found.methods:
            reason = f"the method {item.name!r} is declared twice"
        if reason is not None:
            unit.problem(item, "name", reason)
        function = _interface_method(unit, item)
        if function is not None:
            found.methods[item.name] = function
    if len(unit.interfaces) == limits.INTERFACES_MAX + 1:
        unit.problem(node, "too_large", f"more than {limits.INTERFACES_MAX} interfaces")


def _interface_method(unit: Unit, node: ast.FunctionDef) -> Function | None:
    if not fields_hold(unit, node, _FUNCTION_FIELDS) or not fields_hold(unit, node.args, _ARGUMENTS_FIELDS):
        return None
    kind = _kind_of(unit, node, in_class=True)
    if kind not in ("call", "view"):
        unit.problem(node, "structure", f"{node.name} of an interface is marked @call, or @view to be asked read-only")
        kind = "call"
    for item in node.body[1:] if is_docstring(node.body[0]) else node.body:
        if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and item.value.value is ...):
            unit.problem(item, "structure", f"{node.name} of an interface has no code: write ... in its place")
            break
    return _signature(unit, node, kind, in_class=True)


def _read_contract(unit: Unit, node: ast.ClassDef) -> None:
    unit.name = node.name
    unit.doc = _docstring(node)
    for place, item in enumerate(node.body):
        if (is_docstring(item) and place == 0) or isinstance(item, ast.Pass):
            continue
        if isinstance(item, ast.FunctionDef):
            _read_function(unit, item, in_class=True)
        elif isinstance(item, ast.AnnAssign):
            _read_state(unit, item)
        elif isinstance(item, ast.Assign):
            unit.problem(item, "structure", "a value in the class: constants stand at the top of the module")
        else:
            unit.problem(item, "not_allowed", f"{refusal(item)}; a contract has state and methods")
    if len(unit.state) > limits.STATE_VARIABLES_MAX:
        unit.problem(node, "too_large", f"more than {limits.STATE_VARIABLES_MAX} state variables")
    inits = [function for function in unit.methods.values() if function.kind == "init"]
    for extra in inits[1:]:
        unit.problem(extra.node, "structure", "a second @init: a contract is set up once")


def _docstring(node: ast.ClassDef | ast.FunctionDef) -> str:
    if node.body and is_docstring(node.body[0]):
        return inspect.cleandoc(node.body[0].value.value)  # type: ignore[attr-defined]  # a docstring is one
    return ""


def _read_state(unit: Unit, node: ast.AnnAssign) -> None:
    if not isinstance(node.target, ast.Name) or node.value is not None:
        unit.problem(node, "structure", "state is declared without a value: name: Var[...]; set it in @init")
        return
    if not unit.declare(node, node.target.id):
        return
    name, written = node.target.id, node.annotation
    kind = written.value.id if isinstance(written, ast.Subscript) and isinstance(written.value, ast.Name) else ""
    if kind not in STATE_KINDS:
        unit.problem(written, "annotation", "state is a Var[T], a Map[K, V] or a List[T]")
        return
    unit.needs_import(written, kind)
    assert isinstance(written, ast.Subscript)
    unit.state[name] = _state_variable(unit, name, kind, written)


def _state_variable(unit: Unit, name: str, kind: str, written: ast.Subscript) -> StateVariable:
    if kind != "Map":
        value_type = annotation(unit, written.slice)
        return StateVariable(name, kind, (), False, value_type, f"{kind}[{value_type.text}]")
    if not isinstance(written.slice, ast.Tuple) or len(written.slice.elts) != 2:
        unit.problem(written, "annotation", "a Map has a key type and a value type: Map[str, int]")
        return StateVariable(name, kind, (types.STR,), False, types.ANY, kind)
    key, value = written.slice.elts
    keys, nested = _key_types(unit, key)
    value_type = annotation(unit, value)
    parts = ", ".join([part.text for part in keys])
    text = f"Map[{f'tuple[{parts}]' if nested else parts}, {value_type.text}]"
    return StateVariable(name, kind, keys, nested, value_type, text)


def _key_types(unit: Unit, node: ast.expr) -> tuple[tuple[types.Type, ...], bool]:
    kind = annotation(unit, node)
    parts = kind.items if isinstance(kind, types.TupleOf) and kind.rest is None else (kind,)
    nested = isinstance(kind, types.TupleOf)
    if any(part not in types.KEY_TYPES for part in parts) or not 1 <= len(parts) <= 4 or (nested and len(parts) < 2):
        unit.problem(node, "annotation", "a key is str, Address, int, bytes or bool, or a tuple of two to four of them")
        return (types.STR,), False
    return parts, nested


# ── functions ─────────────────────────────────────────────────────────────────────────────────────

_FUNCTION_FIELDS: Final = ("name", "args", "body", "decorator_list", "returns", "type_comment")
_ARGUMENTS_FIELDS: Final = ("posonlyargs", "args", "vararg", "kwonlyargs", "kw_defaults", "kwarg", "defaults")


def _read_function(unit: Unit, node: ast.FunctionDef, in_class: bool) -> None:
    if not fields_hold(unit, node, _FUNCTION_FIELDS) or not fields_hold(unit, node.args, _ARGUMENTS_FIELDS):
        return
    kind = _kind_of(unit, node, in_class)
    names = unit.methods if in_class else unit.functions
    if kind != "init" or node.name != "init":
        if not unit.declare(node, node.name):
            return
    elif "init" in names:
        unit.problem(node, "structure", "a second @init: a contract is set up once")
        return
    names[node.name] = _signature(unit, node, kind, in_class)
    if len(unit.methods) + len(unit.functions) == limits.FUNCTIONS_MAX + 1:
        unit.problem(node, "too_large", f"more than {limits.FUNCTIONS_MAX} functions")


def _signature(unit: Unit, node: ast.FunctionDef, kind: str, in_class: bool) -> Function:
    function = Function(node.name, kind, node, doc=_docstring(node))
    function.parameters = _read_parameters(unit, node, function, in_class)
    function.returns = _read_returns(unit, node, function)
    return function


def _kind_of(unit: Unit, node: ast.FunctionDef, in_class: bool) -> str:
    if not in_class:
        for decorator in node.decorator_list:
            unit.problem(decorator, "not_allowed", "a function of the module has no decorators")
        return "function"
    kinds = []
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Name) and decorator.id in _ENTRY_KINDS:
            unit.needs_import(decorator, decorator.id)
            kinds.append(decorator.id)
        else:
            unit.problem(decorator, "not_allowed", "a method is marked @init, @call or @view, and by nothing else")
    if len(kinds) > 1:
        unit.problem(node, "structure", f"{node.name} is marked twice: choose one of @init, @call, @view")
    return kinds[0] if kinds else "method"


def _read_parameters(unit: Unit, node: ast.FunctionDef, function: Function, in_class: bool) -> tuple[Parameter, ...]:
    given = node.args
    for star in (given.vararg, given.kwarg, *given.kwonlyargs, *given.posonlyargs):
        if star is not None:
            message = f"the parameter {star.arg!r}: no stars, no keyword-only or positional-only parameters"
            unit.problem(star, "not_allowed", message)
    written = list(given.args)
    if in_class:
        if not written or written[0].arg != "self" or written[0].annotation is not None:
            unit.problem(node, "structure", f"the first parameter of {node.name} is self")
        written = written[1:]
    if len(written) > limits.PARAMETERS_MAX:
        unit.problem(node, "too_large", f"more than {limits.PARAMETERS_MAX} parameters")
    defaults: list[ast.expr | None] = [None] * max(len(written) - len(given.defaults), 0) + list(given.defaults)
    return tuple(
        [_read_parameter(unit, function, one, default) for one, default in zip(written, defaults, strict=False)]
    )


def _read_parameter(unit: Unit, function: Function, node: ast.arg, default: ast.expr | None) -> Parameter:
    kind = None
    if node.annotation is not None:
        kind = annotation(unit, node.annotation)
    elif function.is_entry:
        unit.problem(node, "annotation", f"the parameter {node.arg!r} of {function.name} needs a type")
    if default is None:
        return Parameter(node.arg, kind, True, None)
    if function.is_entry:
        message = f"a default for {node.arg!r}: whoever calls a contract gives every argument"
        unit.problem(default, "not_allowed", message)
    return Parameter(node.arg, kind, False, _literal(unit, default))


def _literal(unit: Unit, node: ast.expr) -> Any:
    value = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    if isinstance(value, ast.Constant) and type(value.value) in (int, str, bytes, bool, type(None)):
        if value is node:
            return value.value
        if type(value.value) is int:
            return -value.value
    unit.problem(node, "not_allowed", "a default that is no plain literal: it would be shared between calls")
    return None


def _read_returns(unit: Unit, node: ast.FunctionDef, function: Function) -> types.Type | None:
    if node.returns is not None:
        return annotation(unit, node.returns)
    if function.is_entry:
        unit.problem(node, "annotation", f"{function.name} needs a return type: -> None, or what it returns")
    return None
