"""How the arguments of a call meet the parameters of a function that is declared: by place, then by name, in order."""

from __future__ import annotations

import ast

from contracts.language.rules import expression
from contracts.language.unit import Body, Code, Function, constant


def bound(body: Body, node: ast.Call, own: Function, name_shown: str) -> list[Code] | None:
    """The code of each parameter's argument, None (and a problem) where they do not match."""
    names = [parameter.name for parameter in own.parameters]
    if len(node.args) > len(names):
        body.problem(node, "arity", f"{name_shown}() takes {len(names)} arguments, not {len(node.args)}")
        return None
    given = dict(zip(names, [expression(body, argument) for argument in node.args], strict=False))
    for keyword in node.keywords:
        name = str(keyword.arg)
        if name not in names or name in given:
            what = "twice" if name in given else "which it does not have"
            body.problem(keyword, "arity", f"{name_shown}() is given {name!r} {what}")
            return None
        given[name] = expression(body, keyword.value)
    if list(given) != [name for name in names if name in given]:
        body.problem(node, "arity", f"the keywords of {name_shown}() stand in the order of its parameters")
    for parameter in own.parameters:
        if parameter.name not in given:
            if parameter.required:
                body.problem(node, "arity", f"{name_shown}() needs the argument {parameter.name!r}")
                return None
            given[parameter.name] = constant(parameter.default)
    return [given[name] for name in names]
