"""Calls of other contracts by a typed interface: `self.at(Oracle, address).price("GOLD")`.

The interface says what the other contract is believed to have. Names and counts of arguments are held to it when the
contract is checked, values when it runs; whether the other has such a method shows when it is called. What the
interface marks @view is asked read-only: the other cannot write, whatever it is.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from contracts import codes
from contracts.decimal import plain
from contracts.language import gas, limits
from contracts.language.arguments import bound
from contracts.language.interface import Meter
from contracts.language.rules import expression
from contracts.language.unit import HOST, METER, Body, Code, Env, Function, constant
from contracts.language.value_types import Misfit, Type
from contracts.language.values import fail, measure, settle, want

USAGE: Final = "a call by interface is written self.at(Interface, address).method(...)"


def is_peer(body: Body, node: ast.expr) -> bool:
    """Whether an expression is `self.at(...)`, and that is not a method of the contract's own."""
    function = node.func if isinstance(node, ast.Call) else None
    if not isinstance(function, ast.Attribute) or function.attr != "at" or "Interface" not in body.unit.imported:
        return False
    return body.in_class and isinstance(function.value, ast.Name) and function.value.id == "self"


def call(body: Body, node: ast.Call, at: ast.expr, name: str) -> Code:
    """The code of `self.at(interface, address).name(...)`."""
    assert isinstance(at, ast.Call)
    method = _method(body, at, name)
    if method is None:
        return constant(None)
    body.pay(gas.CONTRACT_CALL + gas.ITEM_MADE * len(method.parameters))
    address = expression(body, at.args[1])
    shown = f"{at.args[0].id}.{name}"  # type: ignore[attr-defined]  # `_method` has seen that it is a name
    args = bound(body, node, method, shown)
    return constant(None) if args is None else _call(method, shown, address, args)


def _method(body: Body, at: ast.Call, name: str) -> Function | None:
    first = at.args[0] if len(at.args) == 2 and not at.keywords else None
    interface = body.unit.interfaces.get(first.id) if isinstance(first, ast.Name) else None
    if interface is None:
        body.problem(at, "arity", f"{USAGE}, with an Interface that this module declares")
        return None
    method = interface.methods.get(name)
    if method is None:
        known = ", ".join(interface.methods) or "no method"
        body.problem(at, "unknown_name", f"{interface.name} has no method {name!r}; it has {known}")
    return method


def _call(method: Function, shown: str, address: Code, args: list[Code]) -> Code:
    kinds = [(f"the argument {parameter.name!r} of {shown}", parameter.kind) for parameter in method.parameters]
    reading, entry, returns, what = method.kind == "view", method.name, method.returns, f"the result of {shown}"

    def call_peer(env: Env) -> Any:
        meter, host = env[METER], env[HOST]
        name = hold_name(want(str, address(env), "the address"))
        given = [arg(env) for arg in args]
        fitted = [_fit(kind, meter, value, told, False) for (told, kind), value in zip(kinds, given, strict=True)]
        if measure(meter, fitted):
            fitted = plain(fitted)
        result = host.ask(name, entry, fitted) if reading else host.call(name, entry, fitted)
        settle(meter, result)
        return _fit(returns, meter, result, what, True)

    return call_peer


def _fit(kind: Type | None, meter: Meter, value: Any, what: str, outside: bool) -> Any:
    assert kind is not None
    try:
        return kind.fit(meter, value, outside=outside)
    except Misfit as error:
        fail(codes.BAD_TYPE, f"{what} {error}")


def hold_name(text: str) -> str:
    """`text` if it can be the name of a contract or a method."""
    if len(text) > limits.NAME_CHARACTERS_MAX:
        fail(codes.BAD_VALUE, f"a name of {len(text)} characters")
    return text
