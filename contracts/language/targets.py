"""What can be assigned to: a name, an item, an entry of stored state, or a tuple of such.

Every name that a target binds passes `Unit.bind`; there is no other way for a name to come into being in a function.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from contracts import codes
from contracts.language import gas, state, values
from contracts.language.rules import expression, refusal
from contracts.language.unit import METER, Body, Env
from contracts.language.values import fail, type_name

Store = Callable[[Env, Any], None]


def target(body: Body, node: ast.expr, scope: dict[str, int] | None = None) -> Store:
    """What stores a value. `scope` receives the names of a comprehension; None means locals of the function."""
    if type(node) is ast.Name:
        return _name(body, node, scope)
    if type(node) is ast.Tuple or type(node) is ast.List:
        return _unpack(body, node, scope)
    if type(node) is ast.Subscript and scope is None:
        return _item(body, node)
    if type(node) is ast.Attribute:
        body.problem(node, "not_allowed", _attribute_reason(body, node))
    else:
        body.problem(node, "not_allowed", refusal(node))
    return lambda _env, _value: None


def _attribute_reason(body: Body, node: ast.Attribute) -> str:
    stored = state.variable_of(body, node)
    if stored is None:
        return f"an assignment to the attribute .{node.attr}: state is declared in the class"
    use = {"Var": ".set(value)", "Map": "[key] = value", "List": ".append(value)"}[stored.kind]
    return f"self.{node.attr} is a {stored.kind}: use self.{node.attr}{use}"


def _name(body: Body, node: ast.Name, scope: dict[str, int] | None) -> Store:
    body.pay(gas.LOAD)
    body.unit.bind(node, node.id)
    if scope is None:
        slot = body.local(node.id)
        body.assigned.add(node.id)
    else:
        slot = scope.setdefault(node.id, -1)
        if slot < 0:
            slot = scope[node.id] = body.slot()

    def store(env: Env, value: Any) -> None:
        env[slot] = value

    return store


def _unpack(body: Body, node: ast.Tuple | ast.List, scope: dict[str, int] | None) -> Store:
    body.pay(gas.BUILD + gas.ITEM_MADE * len(node.elts))
    with body.deeper():
        stores = [target(body, item, scope) for item in node.elts]
    wanted = len(stores)

    def unpack(env: Env, value: Any) -> None:
        if type(value) is not tuple and type(value) is not list:
            fail(codes.BAD_TYPE, f"cannot unpack {type_name(value)} into {wanted} names")
        if len(value) != wanted:
            fail(codes.BAD_VALUE, f"cannot unpack {len(value)} items into {wanted} names")
        for store, item in zip(stores, list(value), strict=True):
            store(env, item)

    return unpack


def _item(body: Body, node: ast.Subscript) -> Store:
    body.pay(gas.SUBSCRIPT)
    stored = state.variable_of(body, node.value)
    if stored is not None:
        return state.set_item(body, node, stored)
    if isinstance(node.slice, ast.Slice):
        body.problem(node, "not_allowed", "an assignment to a slice: build a new list")
        return lambda _env, _value: None
    container, key = expression(body, node.value), expression(body, node.slice)

    def store(env: Env, value: Any) -> None:
        values.set_item(env[METER], container(env), key(env), value)

    return store
