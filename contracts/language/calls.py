"""Calls: of functions of the language, of methods of values, of state, of the contract's own, of other contracts.

What is called is always written out by name, so that it is known when the contract is checked: no value is callable.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from contracts import codes
from contracts.address import Address
from contracts.decimal import Decimal, plain
from contracts.language import decimals, gas, limits, peers, state, values
from contracts.language.arguments import bound
from contracts.language.iterables import DICT_VIEWS, VIEWS, iterable
from contracts.language.methods import ARITY, CLASS_FUNCTIONS, FUNCTIONS, hold_pop, largest, method_of, smallest
from contracts.language.rules import expression
from contracts.language.unit import (
    API_NAMES,
    HOST,
    METER,
    RESULT,
    UNSET,
    Body,
    Code,
    Env,
    EventType,
    Function,
    constant,
    refused_call,
)
from contracts.language.value_types import Misfit, RecordOf, Type
from contracts.language.values import fail, measure, room_for_items, settle, sort, want

_FRAMES_OF_CALL: Final = 3  # the call, the block, the statement


def call(body: Body, node: ast.Call) -> Code:
    """The code of any call."""
    function = node.func
    if isinstance(function, ast.Name):
        return _call_name(body, node, function.id)
    if isinstance(function, ast.Attribute):
        return _call_attribute(body, node, function)
    body.problem(node, "not_allowed", "only what is named can be called: values are not callable")
    return constant(None)


# ── by name ───────────────────────────────────────────────────────────────────────────────────────


def _call_name(body: Body, node: ast.Call, name: str) -> Code:
    own = body.unit.functions.get(name)
    if own is not None:
        return _call_own(body, node, own)
    if name in body.locals or any(name in scope for scope in body.scopes):
        body.problem(node, "not_allowed", f"{name!r} is a value, and values are not callable")
        return constant(None)
    if name in body.unit.records:
        return _make_record(body, node, body.unit.records[name])
    if name == "require":
        return _require(body, node)
    if name == "isinstance":
        return _is_instance(body, node)
    if name in _CONSUMERS:
        return _consume(body, node, name)
    if name in FUNCTIONS:
        return _plain_function(body, node, name)
    body.problem(node, *_not_callable(body, name))
    return constant(None)


def _not_callable(body: Body, name: str) -> tuple[str, str]:
    if name in VIEWS:
        return (
            "not_allowed",
            f"{name}() is no value; it stands after `in`, or inside list(), tuple(), sum() and the like",
        )
    if name in body.unit.events:
        return "not_allowed", f"an event exists only inside self.emit({name}(...))"
    if name in ("Error", "ValueError"):
        return "not_allowed", f"{name} exists only in `raise {name}(message)`"
    return "unknown_name", refused_call(name)


def _positional(body: Body, node: ast.Call, name: str, least: int, most: int) -> list[Code] | None:
    if node.keywords:
        body.problem(node.keywords[0], "arity", f"{name}() takes no keywords here")
        return None
    if not least <= len(node.args) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        body.problem(node, "arity", f"{name}() takes {wanted} arguments, not {len(node.args)}")
        return None
    return [expression(body, argument) for argument in node.args]


def _plain_function(body: Body, node: ast.Call, name: str) -> Code:
    body.pay(gas.SHA256 if name == "sha256" else gas.BUILTIN if len(node.args) <= 1 else gas.METHOD_CALL)
    if name in API_NAMES:
        body.unit.needs_import(node, name)
    made = _LITERALS.get(name)
    if made is not None and len(node.args) == 1 and isinstance(node.args[0], ast.Constant) and not node.keywords:
        return _literal(body, node.args[0], name, *made)
    if name == "len" and len(node.args) == 1:
        stored = state.variable_of(body, node.args[0])
        if stored is not None:
            return state.length(body, node, stored)
    least, most, function = FUNCTIONS[name]
    return _apply(function, _positional(body, node, name, least, most))


_LITERALS: Final[dict[str, tuple[Callable[[Any], Any], int]]] = {
    "Address": (Address, gas.ADDRESS),
    "Decimal": (Decimal, gas.DECIMAL_TEXT),
}


def _literal(body: Body, node: ast.Constant, name: str, make: Callable[[Any], Any], price: int) -> Code:
    """A Decimal or an Address that is written out is made when the contract is checked."""
    body.pay(gas.LOAD + price)
    try:
        return constant(make(node.value))
    except (TypeError, ValueError, ArithmeticError) as error:
        body.problem(node, "constant", f"this is no {name}: {error}")
        return constant(None)


def _apply(function: Callable[..., Any], args: list[Code] | None) -> Code:
    if args is None:
        return constant(None)
    if len(args) == 1:
        only = args[0]
        return lambda env: function(env[METER], only(env))
    return lambda env: function(env[METER], *[arg(env) for arg in args])


_KINDS: Final = {kind.__name__: kind for kind in (bool, int, str, bytes, list, dict, tuple, Decimal)}


def _is_instance(body: Body, node: ast.Call) -> Code:
    body.pay(gas.BUILTIN)
    second = node.args[1] if len(node.args) == 2 and not node.keywords else None
    named = second.elts if isinstance(second, ast.Tuple) else [second]
    names = [item.id for item in named if isinstance(item, ast.Name) and item.id in _KINDS]
    if len(names) != len(named):
        body.problem(node, "arity", f"isinstance() takes a value and types by name: {', '.join(_KINDS)}")
        return constant(False)
    if "Decimal" in names:
        body.unit.needs_import(node, "Decimal")
    value, kinds = expression(body, node.args[0]), tuple([_KINDS[name] for name in dict.fromkeys(names)])
    return lambda env: isinstance(value(env), kinds)


def _require(body: Body, node: ast.Call) -> Code:
    body.pay(gas.OPERATION)
    body.unit.needs_import(node, "require")
    args = _positional(body, node, "require", 2, 2)
    if args is None:
        return constant(None)
    condition, message = args

    def require(env: Env) -> None:
        holds, text = condition(env), message(env)  # as in Python, where arguments come before the call
        if not holds:
            fail(codes.FAILED, failure_text(text))

    return require


def failure_text(message: Any) -> str:
    """The text of a failure as it goes into a receipt."""
    return str(want(str, message, "the message"))[: limits.MESSAGE_CHARACTERS_MAX]


# ── functions that take everything an iterable has ────────────────────────────────────────────────


def _list_of(meter: Any, items: Any) -> list[Any]:
    iterator, length, besides = items
    _room_for_all(meter, length, besides)
    made = list(iterator)
    if len(made) > length:  # what stood beside it has made it longer: sorted(xs, reverse=self.more(xs))
        _room_for_all(meter, len(made) - length, besides)
    return made


def _room_for_all(meter: Any, count: int, besides: int) -> None:
    room_for_items(meter, count)
    meter.charge(count * besides)
    meter.make(count * besides * gas.BYTES_BESIDES)


def _sorted(meter: Any, items: Any, reverse: Any) -> list[Any]:
    return sort(meter, _list_of(meter, items), reverse)


def _sum(meter: Any, items: list[Any]) -> Any:
    meter.charge(len(items) * gas.ITEM_CHECKED)
    for item in items:
        if type(item) is Decimal:
            return _total(meter, items)
        if type(item) is not int:
            want(int, item, "what sum() adds")
    return values.bounded(sum(items))


def _total(meter: Any, items: list[Any]) -> Any:
    for item in items:
        if type(item) is not int and type(item) is not Decimal:
            want(Decimal, item, "what sum() adds")
    return decimals.total(meter, items)


def _best_of(choose: Callable[[Any, list[Any]], Any], name: str) -> Callable[[Any, list[Any]], Any]:
    def best(meter: Any, items: list[Any]) -> Any:
        if not items:
            fail(codes.BAD_VALUE, f"{name}() of nothing")
        return choose(meter, items)

    return best


def _truths(meter: Any, items: list[Any]) -> None:
    meter.charge(len(items) * gas.ITEM_SCANNED)


def _all(meter: Any, items: list[Any]) -> bool:
    _truths(meter, items)
    return all(items)


def _any(meter: Any, items: list[Any]) -> bool:
    _truths(meter, items)
    return any(items)


def _tuple(meter: Any, items: list[Any]) -> tuple[Any, ...]:
    room_for_items(meter, len(items))
    return tuple(items)


_CONSUMERS: Final[dict[str, Callable[[Any, list[Any]], Any]]] = {
    "list": lambda _meter, items: items,
    "tuple": _tuple,
    "sum": _sum,
    "all": _all,
    "any": _any,
    "min": _best_of(smallest, "min"),
    "max": _best_of(largest, "max"),
    "sorted": lambda meter, items: sort(meter, items, reverse=False),
}


def _consume(body: Body, node: ast.Call, name: str) -> Code:
    body.pay(gas.METHOD_CALL)
    finish = _CONSUMERS[name]
    if name in ("min", "max") and len(node.args) >= 2 and not node.keywords:
        body.pay(gas.BUILD)
        args = [expression(body, argument) for argument in node.args]
        return lambda env: finish(env[METER], [arg(env) for arg in args])
    reverse = constant(False)
    if name == "sorted" and len(node.keywords) == 1 and node.keywords[0].arg == "reverse":
        reverse = expression(body, node.keywords[0].value)
    elif node.keywords:
        body.problem(node.keywords[0], "arity", f"{name}() has no keyword {node.keywords[0].arg!r} here")
        return constant(None)
    if len(node.args) != 1:
        return _consume_nothing(body, node, name)
    source = iterable(body, node.args[0])
    if name == "sorted":
        return lambda env: _sorted(env[METER], source(env), reverse(env))
    return lambda env: finish(env[METER], _list_of(env[METER], source(env)))


def _consume_nothing(body: Body, node: ast.Call, name: str) -> Code:
    if name == "list" and not node.args:
        return lambda _env: []
    if name == "tuple" and not node.args:
        return constant(())
    body.problem(node, "arity", f"{name}() takes one argument, not {len(node.args)}")
    return constant(None)


# ── by attribute ──────────────────────────────────────────────────────────────────────────────────


def _call_attribute(body: Body, node: ast.Call, function: ast.Attribute) -> Code:
    owner, name = function.value, function.attr
    if isinstance(owner, ast.Name) and owner.id == "self" and body.in_class:
        return _call_self(body, node, name)
    stored = state.variable_of(body, owner)
    if stored is not None:
        return state.call(body, node, stored, name)
    if peers.is_peer(body, owner):
        return peers.call(body, node, owner, name)
    if isinstance(owner, ast.Name) and (owner.id, name) in CLASS_FUNCTIONS:
        body.pay(gas.METHOD_CALL)
        least, most, apply = CLASS_FUNCTIONS[owner.id, name]
        return _apply(apply, _positional(body, node, f"{owner.id}.{name}", least, most))
    return _call_value(body, node, owner, name)


def _call_value(body: Body, node: ast.Call, owner: ast.expr, name: str) -> Code:
    if name in DICT_VIEWS:
        hint = "it stands after `in`, or inside list(), tuple(), sorted() and the like"
        body.problem(node, "not_allowed", f".{name}() of a dict is no value; {hint}")
        return constant(None)
    if name not in ARITY:
        body.problem(node, "unknown_name", f"no value has a method {name!r}")
        return constant(None)
    body.pay(gas.METHOD_CALL)
    receiver = expression(body, owner)
    least, most = ARITY[name]
    if name == "sort" and len(node.keywords) == 1 and node.keywords[0].arg == "reverse" and not node.args:
        args: list[Code] | None = [expression(body, node.keywords[0].value)]
    else:
        args = _positional(body, node, name, least, most)
    if args is None:
        return constant(None)
    return _apply_method(receiver, name, args)


def _apply_method(receiver: Code, name: str, args: list[Code]) -> Code:
    """As in Python, a value that has no such method says so before the arguments are computed."""

    def apply(env: Env) -> Any:
        value = receiver(env)
        return method_of(value, name)(env[METER], value, *[arg(env) for arg in args])

    def pop(env: Env) -> Any:
        value = receiver(env)
        method, given = method_of(value, name), [arg(env) for arg in args]
        hold_pop(value, len(given))
        return method(env[METER], value, *given)

    return pop if name == "pop" else apply


def _call_self(body: Body, node: ast.Call, name: str) -> Code:
    if name == "emit":
        return _emit(body, node)
    if name == "call":
        return _call_contract(body, node)
    if name == "at" and "Interface" in body.unit.imported:
        body.problem(node, "not_allowed", f"{peers.USAGE}; what self.at() gives is no value")
        return constant(None)
    own = body.unit.methods.get(name)
    if own is None:
        body.problem(node, "unknown_name", f"the contract has no method {name!r}")
        return constant(None)
    if own.kind == "init":
        body.problem(node, "not_allowed", "the method marked @init runs once, when the contract is deployed")
        return constant(None)
    return _call_own(body, node, own)


def _call_contract(body: Body, node: ast.Call) -> Code:
    body.pay(gas.CONTRACT_CALL)
    args = _positional(body, node, "self.call", 3, 3)
    if args is None:
        return constant(None)
    contract, method, arguments = args

    def call_contract(env: Env) -> Any:
        given = contract(env), method(env), arguments(env)  # all of them first, as in Python
        name, entry = want(str, given[0], "the contract"), want(str, given[1], "the method")
        values_given = want(list, given[2], "the arguments")
        for text in (name, entry):
            peers.hold_name(text)
        if measure(env[METER], values_given):
            values_given = plain(values_given)
        result = env[HOST].call(name, entry, values_given)
        settle(env[METER], result)
        return result

    return call_contract


# ── events ────────────────────────────────────────────────────────────────────────────────────────


def _emit(body: Body, node: ast.Call) -> Code:
    body.pay(gas.EMIT)
    if len(node.args) != 1 or node.keywords or not isinstance(node.args[0], ast.Call):
        body.problem(node, "arity", "self.emit() takes one event: self.emit(Name(field=value, ...))")
        return constant(None)
    made = node.args[0]
    event = body.unit.events.get(made.func.id) if isinstance(made.func, ast.Name) else None
    if event is None:
        body.problem(made, "unknown_name", "self.emit() takes an Event that this module declares")
        return constant(None)
    body.pay((gas.ENTRY_MADE + 2 * gas.ITEM_CODED) * len(event.fields))
    fields = _fields_by_name(body, made, event.name, event.fields)
    return _emitter(event, fields) if fields is not None else constant(None)


def _make_record(body: Body, node: ast.Call, record: RecordOf) -> Code:
    """Name(field=value, ...): a dict. It is held to its types where it crosses a boundary."""
    body.pay(gas.BUILD + gas.ENTRY_MADE * len(record.fields))
    fields = _fields_by_name(body, node, record.name, record.fields)
    if fields is None:
        return constant(None)
    written = tuple(fields.items())
    return lambda env: {name: code(env) for name, code in written}


def _fields_by_name(
    body: Body, made: ast.Call, shown: str, fields: tuple[tuple[str, Type], ...]
) -> dict[str, Code] | None:
    names = [name for name, _ in fields]
    given = [keyword.arg for keyword in made.keywords]
    if made.args or None in given or sorted([name or "" for name in given]) != sorted(names):
        wanted = ", ".join([f"{name}=..." for name in names])
        body.problem(made, "arity", f"{shown} takes its fields by name, each once: {shown}({wanted})")
        return None
    return {str(keyword.arg): expression(body, keyword.value) for keyword in made.keywords}


def _emitter(event: EventType, codes_of_fields: dict[str, Code]) -> Code:
    fields = tuple([(name, kind) for name, kind in event.fields])
    written = tuple(codes_of_fields.items())

    def emit(env: Env) -> None:
        meter = env[METER]
        given = {name: code(env) for name, code in written}
        checked = {}
        for name, kind in fields:
            try:
                value = checked[name] = kind.fit(meter, given[name])
            except Misfit as error:
                fail(codes.BAD_TYPE, f"{event.name}.{name} {error}")
            if type(value) is not int and measure(meter, value):
                checked[name] = plain(value)
        env[HOST].emit(event.name, checked)

    return emit


# ── the contract's own ────────────────────────────────────────────────────────────────────────────


def _call_own(body: Body, node: ast.Call, own: Function) -> Code:
    body.pay(gas.FUNCTION_CALL + gas.ITEM_MADE * len(own.parameters))
    body.called(node, own.name)
    with body.deeper(_FRAMES_OF_CALL):
        args = bound(body, node, own, own.name)
    if args is None:
        return constant(None)
    arguments = args

    def call_own(env: Env) -> Any:
        return run(own, [env[METER], env[HOST], None, *[arg(env) for arg in arguments]])

    return call_own


def run(function: Function, env: Env) -> Any:
    """Run a function in a new environment that has its arguments."""
    missing = function.slots - len(env)
    if missing:
        env.extend([UNSET] * missing)
    function.body(env)
    return env[RESULT]
