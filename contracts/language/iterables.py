"""What a `for` can run over: sequences, dicts, and the views `range`, `enumerate`, `zip`, `reversed`, `.items()`.

The views exist only where something iterates, never as values. Compiled, each is code that gives an iterator, how
many items it has at that moment, and what each costs besides, so that whoever keeps them all can charge first. Lists
are iterated live, as in Python; a dict that is changed meanwhile is a failure.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, Final

from contracts import codes
from contracts.language import gas, limits, state
from contracts.language.dict_keys import given
from contracts.language.interface import Meter
from contracts.language.rules import expression
from contracts.language.unit import METER, Body, Code, Env, constant
from contracts.language.values import bounded, fail, type_name, want

Items = tuple[Iterator[Any], int, int]
"""The iterator, how many items it has now, and the gas of each besides its place, were it kept."""
VIEWS: Final = ("range", "enumerate", "zip", "reversed")
DICT_VIEWS: Final = ("keys", "values", "items")


def iterate(meter: Meter, value: Any) -> Items:
    """The `Items` of a value."""
    kind = type(value)
    if kind is dict:
        return map(given, _dict_keys(meter, value)), len(value), 0
    if kind is not list and kind is not tuple and kind is not str and kind is not bytes:
        fail(codes.BAD_TYPE, f"cannot iterate over {type_name(value)}")
    return iter(value), len(value), gas.TEXT_MADE if kind is str and not value.isascii() else 0


def _dict_keys(meter: Meter, entries: dict[Any, Any]) -> Iterator[Any]:
    gas.charge_items(meter, len(entries))
    meter.charge(len(entries) * 2 * gas.ITEM_CHECKED)
    return _unchanged(meter, entries, list(entries))


def _unchanged(meter: Meter, entries: dict[Any, Any], keys: list[Any]) -> Iterator[Any]:
    """The keys as they are kept, while the dict has them: where Python may notice a change, this always does."""
    size, here = len(keys), id(entries)
    marks = meter.loops.setdefault(here, [0, 0])
    marks[0] += 1
    deleted = marks[1]
    try:
        for key in keys:
            if len(entries) != size or marks[1] != deleted:
                fail(codes.BAD_VALUE, "a dict was changed while it was iterated over")
            yield key
        if len(entries) != size or marks[1] != deleted:
            fail(codes.BAD_VALUE, "a dict was changed while it was iterated over")
    finally:
        marks[0] -= 1
        if not marks[0]:
            del meter.loops[here]


def _dict_view(meter: Meter, entries: Any, name: str) -> Items:
    if type(entries) is not dict:
        fail(codes.BAD_TYPE, f"{type_name(entries)} has no method {name}")
    keys = _dict_keys(meter, entries)
    if name == "keys":
        return map(given, keys), len(entries), 0
    meter.charge(len(entries) * gas.ITEM_CHECKED)
    if name == "values":
        return (entries[key] for key in keys), len(entries), 0
    return ((given(key), entries[key]) for key in keys), len(entries), gas.PAIR_MADE


def _numbers(bounds: list[Any]) -> tuple[range, int]:
    for bound in bounds:
        want(int, bound, "an argument of range")
    if len(bounds) == 3 and bounds[2] == 0:
        fail(codes.BAD_VALUE, "range() with a step of zero")
    numbers = range(*bounds)
    step = numbers.step
    length = (numbers.stop - numbers.start + step - (1 if step > 0 else -1)) // step
    return numbers, max(length, 0)


def iterable(body: Body, node: ast.expr) -> Code:
    """Code that gives the `Items` of an expression in a place that iterates."""
    if (count := _sources(node)) > limits.SOURCES_OF_LOOP_MAX:
        most = limits.SOURCES_OF_LOOP_MAX
        body.problem(node, "too_deep", f"{count} views and what they run over in one loop, at most {most} are allowed")
        return constant(None)
    if isinstance(node, ast.Call) and not node.keywords:
        if isinstance(node.func, ast.Name) and node.func.id in VIEWS:
            return _view(body, node, node.func.id)
        if isinstance(node.func, ast.Attribute) and node.func.attr in DICT_VIEWS and not node.args:
            return _view_of_dict(body, node.func)
    return _plain(body, node)


def _sources(node: ast.expr) -> int:
    """What takes a step at each turn: views, one in another, and what they run over."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("enumerate", "zip"):
        return 1 + sum([_sources(argument) for argument in node.args])
    return 1


def _plain(body: Body, node: ast.expr) -> Code:
    stored = state.variable_of(body, node)
    if stored is not None:
        return state.iterate_list(body, node, stored)
    body.pay(gas.OPERATION)
    value = expression(body, node)

    def plain(env: Env) -> Items:
        return iterate(env[METER], value(env))

    return plain


def _view_of_dict(body: Body, function: ast.Attribute) -> Code:
    body.pay(gas.METHOD_CALL)
    value = expression(body, function.value)
    name = function.attr
    return lambda env: _dict_view(env[METER], value(env), name)


def _view(body: Body, node: ast.Call, name: str) -> Code:
    body.pay(gas.METHOD_CALL)
    build = {"range": _view_range, "enumerate": _view_enumerate, "zip": _view_zip, "reversed": _view_reversed}[name]
    with body.deeper():
        return build(body, node)


def _arguments(body: Body, node: ast.Call, least: int, most: int, name: str) -> bool:
    if least <= len(node.args) <= most:
        return True
    wanted = str(least) if least == most else f"{least} to {most}"
    body.problem(node, "arity", f"{name}() takes {wanted} arguments, not {len(node.args)}")
    return False


def _bounds(body: Body, node: ast.Call) -> Code:
    _arguments(body, node, 1, 3, "range")
    bounds = [expression(body, argument) for argument in node.args]
    return lambda env: _numbers([bound(env) for bound in bounds])


def _view_range(body: Body, node: ast.Call) -> Code:
    bounds = _bounds(body, node)

    def view(env: Env) -> Items:
        numbers, length = bounds(env)
        return iter(numbers), length, gas.INTEGER_MADE

    return view


def _view_enumerate(body: Body, node: ast.Call) -> Code:
    if not _arguments(body, node, 1, 2, "enumerate"):
        return lambda _env: (iter(()), 0, 0)
    source = iterable(body, node.args[0])
    start = expression(body, node.args[1]) if len(node.args) == 2 else (lambda _env: 0)

    def view(env: Env) -> Items:
        items, length, besides = source(env)
        pairs = _numbered(items, want(int, start(env), "the start of enumerate"))
        return pairs, length, besides + gas.PAIR_MADE + gas.INTEGER_MADE

    return view


def _numbered(items: Iterator[Any], start: int) -> Iterator[tuple[int, Any]]:
    """enumerate(items, start), whose numbers are integers of the language."""
    if start.bit_length() < limits.INTEGER_BITS_MAX:
        return enumerate(items, start)
    return ((bounded(number), item) for number, item in enumerate(items, start))


def _view_zip(body: Body, node: ast.Call) -> Code:
    _arguments(body, node, 1, 8, "zip")
    sources = [iterable(body, argument) for argument in node.args]

    def view(env: Env) -> Items:
        parts = [source(env) for source in sources]
        besides = sum([one for _, _, one in parts]) + gas.PAIR_MADE + len(parts)
        return zip(*[items for items, _, _ in parts], strict=False), min([length for _, length, _ in parts]), besides

    return view


def _view_reversed(body: Body, node: ast.Call) -> Code:
    if not _arguments(body, node, 1, 1, "reversed"):
        return lambda _env: (iter(()), 0, 0)
    argument = node.args[0]
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name) and argument.func.id == "range":
        bounds = _bounds(body, argument)

        def backwards(env: Env) -> Items:
            numbers, length = bounds(env)
            return reversed(numbers), length, gas.INTEGER_MADE

        return backwards
    value = expression(body, argument)

    def view(env: Env) -> Items:
        items = value(env)
        if type(items) not in (list, tuple, str, bytes):
            fail(codes.BAD_TYPE, f"{type_name(items)} cannot be reversed")
        return reversed(items), len(items), gas.TEXT_MADE if type(items) is str and not items.isascii() else 0

    return view
