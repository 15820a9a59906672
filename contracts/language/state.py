"""State in the language: `Var`, `Map` and `List`, which are places in the state and never values.

Everything that is put is checked against the declared type and encoded; everything that is got is decoded anew, so
nothing in a contract's hands is ever the stored thing itself. Keys are tuples: see `interface.Key`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, Final

from contracts import codes
from contracts.language import gas
from contracts.language.interface import Host, Meter
from contracts.language.places import LENGTH, key_maker, loader, storer
from contracts.language.rules import expression
from contracts.language.scans import scan_map, slice_list
from contracts.language.unit import HOST, METER, Body, Code, Env, StateVariable, constant
from contracts.language.values import decode, encode, fail, index, shown


def variable_of(body: Body, node: ast.expr) -> StateVariable | None:
    """The state variable that `self.name` names, None for any other expression."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return body.unit.state.get(node.attr) if body.in_class else None
    return None


def _no_such(variable: StateVariable, key: Any) -> str:
    return f"{variable.name} has no entry{shown(key)}"


# ── Map[key] ──────────────────────────────────────────────────────────────────────────────────────


def get_item(body: Body, node: ast.Subscript, variable: StateVariable) -> Code:
    """self.m[key] and self.l[i]."""
    if isinstance(node.slice, ast.Slice) and variable.kind == "List":
        return _slice(body, node.slice, variable)
    if not _subscriptable(body, node, variable):
        return constant(None)
    body.pay(gas.STATE_READ)
    written = expression(body, node.slice)
    read = _reader(body, variable)
    return lambda env: read(env[METER], env[HOST], written(env))


def _slice(body: Body, node: ast.Slice, variable: StateVariable) -> Code:
    body.pay(gas.STATE_READ)
    value_of = loader(variable)
    return slice_list(
        body,
        node,
        variable,
        lambda meter, host: list_length(meter, host, variable),
        lambda meter, host, place: _stored_item(meter, host, variable, value_of, place),
    )


def _subscriptable(body: Body, node: ast.Subscript, variable: StateVariable) -> bool:
    if variable.kind == "Var":
        body.problem(node, "type", f"{variable.name} is a Var: use self.{variable.name}.get() and .set(value)")
        return False
    if isinstance(node.slice, ast.Slice):
        use = "use .items(limit, ...)" if variable.kind == "Map" else "assign and delete the items one by one"
        body.problem(node, "not_allowed", f"a slice of stored state: {use}")
        return False
    return True


def _reader(body: Body, variable: StateVariable) -> Callable[[Meter, Host, Any], Any]:
    name, value_of = variable.name, loader(variable)
    if variable.kind == "List":
        return lambda meter, host, place: _list_item(meter, host, variable, value_of, place)
    key_of = key_maker(body, variable)

    def read(meter: Meter, host: Host, written: Any) -> Any:
        data = host.get(name, key_of(written))
        if data is None:
            fail(codes.KEY_ERROR, _no_such(variable, written))
        return value_of(meter, data)

    return read


def _writer(body: Body, variable: StateVariable) -> Callable[[Meter, Host, Any, Any], None]:
    name, bytes_of = variable.name, storer(variable)
    if variable.kind == "List":
        return lambda meter, host, place, value: host.put(
            name, (_place(meter, host, variable, place),), bytes_of(meter, value)
        )
    key_of = key_maker(body, variable)
    return lambda meter, host, written, value: host.put(name, key_of(written), bytes_of(meter, value))


def set_item(body: Body, node: ast.Subscript, variable: StateVariable) -> Callable[[Env, Any], None]:
    """What assigns to self.m[key] or self.l[i]."""
    if not _subscriptable(body, node, variable):
        return lambda _env, _value: None
    body.pay(gas.STATE_WRITE)
    written = expression(body, node.slice)
    write = _writer(body, variable)
    return lambda env, value: write(env[METER], env[HOST], written(env), value)


def update_item(
    body: Body, node: ast.Subscript, variable: StateVariable, change: Callable[[Meter, Any, Any], Any], value: Code
) -> Code:
    """self.m[key] += value, with the key evaluated once."""
    if not _subscriptable(body, node, variable):
        return constant(None)
    body.pay(gas.STATE_READ + gas.STATE_WRITE)
    written = expression(body, node.slice)
    read, write = _reader(body, variable), _writer(body, variable)

    def update(env: Env) -> None:
        meter, host, key = env[METER], env[HOST], written(env)
        before = read(meter, host, key)
        write(meter, host, key, change(meter, before, value(env)))

    return update


def delete_item(body: Body, node: ast.Subscript, variable: StateVariable) -> Code:
    """del self.m[key]."""
    if variable.kind != "Map":
        body.problem(node, "type", f"entries of a {variable.kind} cannot be deleted")
        return constant(None)
    if not _subscriptable(body, node, variable):
        return constant(None)
    body.pay(gas.STATE_READ + gas.STATE_WRITE)
    written = expression(body, node.slice)
    name, key_of = variable.name, key_maker(body, variable)

    def delete(env: Env) -> None:
        key = written(env)
        place = key_of(key)
        if env[HOST].get(name, place) is None:
            fail(codes.KEY_ERROR, _no_such(variable, key))
        env[HOST].put(name, place, None)

    return delete


def contains(body: Body, node: ast.expr, variable: StateVariable, item: Code) -> Code:
    """key in self.m."""
    if variable.kind != "Map":
        body.problem(node, "type", f"`in` asks a Map, and {variable.name} is a {variable.kind}")
        return constant(None)
    body.pay(gas.STATE_READ)
    name, key_of = variable.name, key_maker(body, variable)
    return lambda env: env[HOST].get(name, key_of(item(env))) is not None


# ── List ──────────────────────────────────────────────────────────────────────────────────────────


def list_length(meter: Meter, host: Host, variable: StateVariable) -> int:
    """How many items a List has."""
    data = host.get(variable.name, LENGTH)
    return 0 if data is None else int(decode(meter, data))


def _place(meter: Meter, host: Host, variable: StateVariable, place: Any) -> int:
    length = list_length(meter, host, variable)
    real = index(place) + length if index(place) < 0 else place
    if not 0 <= real < length:
        fail(codes.INDEX_ERROR, f"index {place} of {variable.name}, which has {length} items")
    return int(real)


def _list_item(
    meter: Meter, host: Host, variable: StateVariable, value_of: Callable[[Meter, bytes], Any], place: Any
) -> Any:
    return _stored_item(meter, host, variable, value_of, _place(meter, host, variable, place))


def _stored_item(
    meter: Meter, host: Host, variable: StateVariable, value_of: Callable[[Meter, bytes], Any], place: int
) -> Any:
    data = host.get(variable.name, (place,))
    if data is None:
        raise RuntimeError(f"the state has no item {place} of {variable.name}, though its length says so")
    return value_of(meter, data)


def iterate_list(body: Body, node: ast.expr, variable: StateVariable) -> Code:
    """for item in self.l: each item is read when its turn comes."""
    if variable.kind != "List":
        hint = "iterate over self.{0}.items(limit)" if variable.kind == "Map" else "iterate over self.{0}.get()"
        body.problem(node, "type", f"{variable.name} is a {variable.kind}: {hint.format(variable.name)}")
        return constant((iter(()), 0, 0))
    body.pay(gas.STATE_READ)
    value_of = loader(variable)

    def items(meter: Meter, host: Host, length: int) -> Iterator[Any]:
        for place in range(length):
            meter.charge(gas.STATE_READ)
            if place >= list_length(meter, host, variable):
                return
            yield _stored_item(meter, host, variable, value_of, place)

    def view(env: Env) -> tuple[Iterator[Any], int, int]:
        length = list_length(env[METER], env[HOST], variable)
        return items(env[METER], env[HOST], length), length, 0

    return view


def length(body: Body, node: ast.expr, variable: StateVariable) -> Code:
    """len(self.l)."""
    if variable.kind != "List":
        body.problem(node, "type", f"len() asks a List, and {variable.name} is a {variable.kind}")
        return constant(0)
    body.pay(gas.STATE_READ)
    return lambda env: list_length(env[METER], env[HOST], variable)


# ── methods ───────────────────────────────────────────────────────────────────────────────────────


def _arguments(body: Body, node: ast.Call, name: str, least: int, most: int) -> list[Code] | None:
    if node.keywords:
        body.problem(node, "arity", f"{name}() takes no keywords")
        return None
    if not least <= len(node.args) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        body.problem(node, "arity", f"{name}() takes {wanted} arguments, not {len(node.args)}")
        return None
    return [expression(body, argument) for argument in node.args]


def call(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    """self.variable.name(...)."""
    build = _METHODS[variable.kind].get(name)
    if build is None:
        known = ", ".join(sorted(_METHODS[variable.kind]))
        body.problem(node, "unknown_name", f"a {variable.kind} has no method {name}; it has {known}")
        return constant(None)
    return build(body, node, variable, name)


def _var_get(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_READ)
    args = _arguments(body, node, name, 0, 1)
    if args is None:
        return constant(None)
    value_of, default, where = loader(variable), args[0] if args else None, variable.name

    def get(env: Env) -> Any:
        other = default(env) if default is not None else None
        data = env[HOST].get(where, ())
        if data is not None:
            return value_of(env[METER], data)
        if default is None:
            fail(codes.KEY_ERROR, f"{where} was never set")
        return other

    return get


def _var_set(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_WRITE)
    args = _arguments(body, node, name, 1, 1)
    if args is None:
        return constant(None)
    value, bytes_of, where = args[0], storer(variable), variable.name

    def put(env: Env) -> None:
        env[HOST].put(where, (), bytes_of(env[METER], value(env)))

    return put


def _var_delete(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_WRITE)
    _arguments(body, node, name, 0, 0)
    where = variable.name
    return lambda env: env[HOST].put(where, (), None)


def _var_exists(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_READ)
    _arguments(body, node, name, 0, 0)
    where = variable.name
    return lambda env: env[HOST].get(where, ()) is not None


def _map_get(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_READ)
    args = _arguments(body, node, name, 1, 2)
    if args is None:
        return constant(None)
    value_of, key_of, where = loader(variable), key_maker(body, variable), variable.name
    written, default = args[0], args[1] if len(args) == 2 else constant(None)

    def get(env: Env) -> Any:
        key, other = written(env), default(env)  # both of them first, as in Python
        data = env[HOST].get(where, key_of(key))
        return other if data is None else value_of(env[METER], data)

    return get


def _map_pop(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_READ + gas.STATE_WRITE)
    args = _arguments(body, node, name, 1, 2)
    if args is None:
        return constant(None)
    value_of, key_of, where = loader(variable), key_maker(body, variable), variable.name
    written, default = args[0], args[1] if len(args) == 2 else None

    def pop(env: Env) -> Any:
        key = written(env)
        other = default(env) if default is not None else None
        place = key_of(key)
        data = env[HOST].get(where, place)
        if data is None:
            if default is None:
                fail(codes.KEY_ERROR, _no_such(variable, key))
            return other
        env[HOST].put(where, place, None)
        return value_of(env[METER], data)

    return pop


def _list_append(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_READ + 2 * gas.STATE_WRITE)
    args = _arguments(body, node, name, 1, 1)
    if args is None:
        return constant(None)
    value, bytes_of, where = args[0], storer(variable), variable.name

    def append(env: Env) -> None:
        meter, host = env[METER], env[HOST]
        data = bytes_of(meter, value(env))
        place = list_length(meter, host, variable)
        host.put(where, (place,), data)
        host.put(where, LENGTH, encode(meter, place + 1))

    return append


def _list_pop(body: Body, node: ast.Call, variable: StateVariable, name: str) -> Code:
    body.pay(gas.STATE_READ + 2 * gas.STATE_WRITE)
    _arguments(body, node, name, 0, 0)
    value_of, where = loader(variable), variable.name

    def pop(env: Env) -> Any:
        meter, host = env[METER], env[HOST]
        place = _place(meter, host, variable, -1)
        value = _stored_item(meter, host, variable, value_of, place)
        host.put(where, (place,), None)
        host.put(where, LENGTH, encode(meter, place) if place else None)
        return value

    return pop


_METHODS: Final[dict[str, dict[str, Callable[[Body, ast.Call, StateVariable, str], Code]]]] = {
    "Var": {"get": _var_get, "set": _var_set, "delete": _var_delete, "exists": _var_exists},
    "Map": {"get": _map_get, "pop": _map_pop, "keys": scan_map, "values": scan_map, "items": scan_map},
    "List": {"append": _list_append, "pop": _list_pop},
}
