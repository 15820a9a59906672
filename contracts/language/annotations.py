"""The types that annotations name: of parameters, results, fields, state and locals.

It reads a syntax tree and gives a `Type`; what is none is noted with its place. It knows no value and no statement.
"""

from __future__ import annotations

import ast
import itertools
from typing import Final

from contracts.language import limits
from contracts.language import value_types as types
from contracts.language.unit import Unit

STATE_KINDS: Final = ("Var", "Map", "List")


def is_annotation(unit: Unit, node: ast.expr) -> bool:
    """Whether an annotation inside a function is a type; notes the problem if not."""
    before = len(unit.problems)
    annotation(unit, node)
    return len(unit.problems) == before


def annotation(unit: Unit, node: ast.expr, depth: int = 0) -> types.Type:
    """The type that an annotation names."""
    if depth > 8:
        return _no_type(unit, node, "a type nested deeper than 8")
    if isinstance(node, ast.Constant) and node.value is None:
        return types.NONE
    if isinstance(node, ast.Name):
        return _named_type(unit, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(unit, node, depth)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return _generic(unit, node, node.value.id, depth)
    return _no_type(unit, node, "not a type")


def _no_type(unit: Unit, node: ast.expr, what: str) -> types.Type:
    known = f"{', '.join(types.SCALARS)}, list[T], dict[str, T], tuple[A, B], tuple[T, ...], A | B"
    unit.problem(node, "annotation", f"{what}; types are {known}")
    return types.ANY


def _named_type(unit: Unit, node: ast.Name) -> types.Type:
    if node.id in ("Value", "Decimal", "Address"):
        unit.needs_import(node, node.id)
    found = unit.records.get(node.id) or types.SCALARS.get(node.id)
    if found is not None:
        return found
    if node.id in ("list", "dict", "tuple"):
        return _no_type(unit, node, f"{node.id} says what it holds: {node.id}[...]")
    if node.id in STATE_KINDS:
        return _no_type(unit, node, f"{node.id} is a place in the state and no value")
    if node.id == "float":
        return _no_type(unit, node, "there are no floats")
    return _no_type(unit, node, f"the type {node.id!r} is not known; a Record stands above where it is named")


def _union(unit: Unit, node: ast.BinOp, depth: int) -> types.Type:
    left, right = annotation(unit, node.left, depth + 1), annotation(unit, node.right, depth + 1)
    found: dict[str, types.Type] = {}  # as in Python, what is named twice counts once
    for side in (left, right):
        found |= {option.text: option for option in (side.options if isinstance(side, types.AnyOf) else [side])}
    options = list(found.values())
    if len(options) > limits.UNION_OPTIONS_MAX:
        most = limits.UNION_OPTIONS_MAX
        return _no_type(unit, node, f"a union of {len(options)} types, at most {most} are allowed; a Record has fields")
    if any(types.has_decimal(one) and types.has_text(other) for one, other in itertools.permutations(options, 2)):
        what = "a Decimal and a str in one union: both travel as text, and could not be told apart"
        return _no_type(unit, node, what)
    return types.AnyOf(tuple(options), " | ".join(found)) if len(options) > 1 else options[0]


def _generic(unit: Unit, node: ast.Subscript, name: str, depth: int) -> types.Type:
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "tuple":
        return _tuple(unit, inside, depth)
    if name == "list" and len(inside) == 1:
        item = annotation(unit, inside[0], depth + 1)
        return types.ListOf(item, f"list[{item.text}]")
    if name == "dict" and len(inside) == 2:
        key, value = annotation(unit, inside[0], depth + 1), annotation(unit, inside[1], depth + 1)
        if key is not types.STR and key is not types.ADDRESS:
            return _no_type(unit, node, "a dict that crosses a boundary has str keys")
        return types.DictOf(key, value, f"dict[{key.text}, {value.text}]")
    if name in STATE_KINDS:
        return _no_type(unit, node, f"{name} is a place in the state and no value")
    return _no_type(unit, node, f"{name}[...] is not a type")


def _tuple(unit: Unit, inside: list[ast.expr], depth: int) -> types.Type:
    last = inside[-1] if inside else None
    if len(inside) == 2 and isinstance(last, ast.Constant) and last.value is ...:
        rest = annotation(unit, inside[0], depth + 1)
        return types.TupleOf((), rest, f"tuple[{rest.text}, ...]")
    items = tuple([annotation(unit, item, depth + 1) for item in inside])
    return types.TupleOf(items, None, f"tuple[{', '.join([item.text for item in items])}]")
