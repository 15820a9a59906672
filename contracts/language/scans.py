"""Looking through state in order: `.keys`, `.values`, `.items` of a Map between bounds, and slices of a List.

Both give a list and never more than a limit, so that what they cost is known before. Bounds are whole keys: `first` and
`last` are themselves within, `after` and `before` are not.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from contracts import codes
from contracts.language import gas, limits
from contracts.language.interface import Bounds, Host, Key, Meter
from contracts.language.places import key_maker, loader, part_of
from contracts.language.rules import expression
from contracts.language.unit import HOST, METER, Body, Code, Env, StateVariable, constant
from contracts.language.value_types import ADDRESS
from contracts.language.values import fail, type_name, want

BOUNDS: Final = ("after", "before", "first", "last")
_OPTIONS: Final = frozenset({*BOUNDS, "prefix", "reverse"})


def scan_map(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    """keys, values, items (limit, and by name where to look): a list in key order."""
    body.pay(gas.SCAN)
    options = {str(keyword.arg): expression(body, keyword.value) for keyword in node.keywords}
    args = [expression(body, argument) for argument in node.args]
    if len(args) != 1 or not set(options) <= _OPTIONS or len(options) != len(node.keywords):
        known = ", ".join(sorted(_OPTIONS))
        body.problem(node, "arity", f"{name}(limit) takes the limit, and by name, each once: {known}")
        return constant(None)
    if "prefix" in options and not variable.nested:
        body.problem(node, "arity", f"{variable.name} has plain keys: prefix= is for keys that are tuples")
    reads = _reader(name, loader(variable), plain=not variable.nested)
    where, limit, bounds_of = variable.name, args[0], _bounds(body, variable, options)

    def scan(env: Env) -> list[Any]:
        meter, count = env[METER], limit(env)
        given = {option: code(env) for option, code in options.items()}
        hold_limit(count)
        meter.charge(count * gas.ITEM_MADE)
        found = env[HOST].scan(where, prefix_of(variable, given.get("prefix")), bounds_of(given), count)
        meter.charge(len(found) * gas.SCAN_ENTRY)
        return reads(meter, found)

    return scan


def _reader(
    name: str, value_of: Callable[[Meter, bytes], Any], plain: bool
) -> Callable[[Meter, list[tuple[Key, bytes]]], list[Any]]:
    if name == "keys":
        return lambda _meter, found: [key[0] if plain else key for key, _ in found]
    if name == "values":
        return lambda meter, found: [value_of(meter, data) for _, data in found]
    return lambda meter, found: [(key[0] if plain else key, value_of(meter, data)) for key, data in found]


def _bounds(body: Body, variable: StateVariable, options: dict[str, Code]) -> Callable[[dict[str, Any]], Bounds]:
    key_of = key_maker(body, variable)
    written = [name for name in BOUNDS if name in options]
    body.pay(gas.ADDRESS * variable.keys.count(ADDRESS) * max(len(written) - 1, 0))  # `key_maker` has paid for one

    def bounds(given: dict[str, Any]) -> Bounds:
        keys = {name: key_of(given[name]) for name in written if given[name] is not None}
        return Bounds(reverse=want(bool, given.get("reverse", False), "reverse"), **keys)

    return bounds


def hold_limit(count: Any) -> None:
    """Refuse what is no limit of a scan."""
    if not 0 <= want(int, count, "the limit") <= limits.SCAN_LIMIT_MAX:
        fail(codes.BAD_VALUE, f"a limit of {count}, it must lie from 0 to {limits.SCAN_LIMIT_MAX}")


def prefix_of(variable: StateVariable, first: Any) -> Key:
    """The first parts of keys as the host takes them; () for None."""
    if first is None:
        return ()
    parts = first if type(first) is tuple else (first,)
    if len(parts) >= len(variable.keys):
        fail(codes.BAD_VALUE, f"a prefix of {variable.name} has fewer than {len(variable.keys)} parts")
    what = f"a prefix of {variable.name}"
    return tuple([part_of(kind, part, what) for kind, part in zip(variable.keys, parts, strict=False)])


# ── pages of a List ───────────────────────────────────────────────────────────────────────────────

ReadItem = Callable[[Meter, Host, int], Any]


def slice_list(
    body: Body, node: ast.Slice, variable: StateVariable, length: Callable[[Meter, Host], int], read: ReadItem
) -> Code:
    """self.l[start:stop]: the items in between, as a list; positions as in Python."""
    if node.step is not None:
        body.problem(node.step, "not_allowed", "a step in a slice of stored state: read the page, then slice it")
        return constant(None)
    nothing = constant(None)
    start = expression(body, node.lower) if node.lower is not None else nothing
    stop = expression(body, node.upper) if node.upper is not None else nothing

    def page(env: Env) -> list[Any]:
        meter, host = env[METER], env[HOST]
        places = page_of(variable, start(env), stop(env), lambda: length(meter, host))
        meter.charge(len(places) * (gas.STATE_READ + gas.ITEM_MADE))
        return [read(meter, host, place) for place in places]

    return page


def page_of(variable: StateVariable, start: Any, stop: Any, length: Callable[[], int]) -> range:
    """The positions of a slice of a List. Refuses more than one page has."""
    for bound in (start, stop):
        if bound is not None and type(bound) is not int:
            fail(codes.BAD_TYPE, f"a slice bound must be int or None, not {type_name(bound)}")
    places = range(*slice(start, stop).indices(length()))
    if len(places) > limits.SCAN_LIMIT_MAX:
        message = f"a slice of {len(places)} items of {variable.name}, at most {limits.SCAN_LIMIT_MAX} are read at once"
        fail(codes.SIZE_LIMIT, message)
    return places
