"""The allow-list itself: for each exact node type of the syntax tree its exact fields, and what compiles it.

A node type that is not listed, or one that has other fields than listed (as a future Python may add), is refused.
Nothing is accepted by falling through.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from contracts.language import limits
from contracts.language.unit import Body, Code, Unit, constant

Build = Callable[[Body, Any], Any]
B = TypeVar("B", bound=Build)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one node type is compiled, and the fields that it must have."""

    fields: tuple[str, ...]
    build: Build


EXPRESSIONS: Final[dict[type[ast.AST], Rule]] = {}
STATEMENTS: Final[dict[type[ast.AST], Rule]] = {}

# Fields that newer Pythons add; each must be empty.
ADDED_FIELDS: Final = {ast.FunctionDef: "type_params", ast.ClassDef: "type_params"}

_REASONS: Final = {
    "Try": "`try`: a failure ends the whole transaction and cannot be caught",
    "TryStar": "`try`: a failure ends the whole transaction and cannot be caught",
    "With": "`with`: there is nothing to open or close",
    "AsyncWith": "`async`: a contract runs to its end in one go",
    "AsyncFor": "`async`: a contract runs to its end in one go",
    "AsyncFunctionDef": "`async`: a contract runs to its end in one go",
    "Await": "`await`: a contract runs to its end in one go",
    "Lambda": "`lambda`: write a method",
    "Yield": "`yield`: build a list",
    "YieldFrom": "`yield`: build a list",
    "GeneratorExp": "a generator: put brackets around it to make it a list",
    "Set": "a set: sets have no order; use a dict or a list",
    "SetComp": "a set: sets have no order; use a dict or a list",
    "NamedExpr": "`:=`: write the assignment as a statement of its own",
    "Starred": "a star: write the items out",
    "Global": "`global`: keep state in a Var, Map or List",
    "Nonlocal": "`nonlocal`: there are no nested functions",
    "Import": "an import: only `from contracts import ...` is known",
    "ImportFrom": "an import: `from contracts import ...` stands at the top of the module",
    "ClassDef": "a class here: a contract has one Contract class, Event, Interface and Record classes, at the top",
    "FunctionDef": "a function inside a function: write a method",
    "Match": "`match`: use if and elif",
    "Assert": "`assert`: use require(condition, message)",
    "TypeAlias": "a type alias: write the type out",
    "TemplateStr": "a template string: use a plain f-string",
    "Slice": "a slice among other keys: one slice stands alone in the brackets",
}


def expression_rule(node_type: type[ast.AST], *fields: str) -> Callable[[B], B]:
    """Register what compiles an expression."""

    def register(build: B) -> B:
        EXPRESSIONS[node_type] = Rule(fields, build)
        return build

    return register


def statement_rule(node_type: type[ast.AST], *fields: str) -> Callable[[B], B]:
    """Register what compiles a statement."""

    def register(build: B) -> B:
        STATEMENTS[node_type] = Rule(fields, build)
        return build

    return register


def refusal(node: ast.AST) -> str:
    """Why this node has no place."""
    name = type(node).__name__
    if isinstance(node, ast.stmt):
        return _REASONS.get(name, "a statement that has no place here")
    return _REASONS.get(name, f"the construct {name} is not part of the language")


def fields_hold(unit: Unit, node: ast.AST, fields: tuple[str, ...]) -> bool:
    """Whether a node has exactly these fields; those that newer Pythons add must be empty."""
    if node._fields == fields:
        return True
    added = ADDED_FIELDS.get(type(node))
    if added is not None and node._fields == (*fields, added):
        if not getattr(node, added):
            return True
        unit.problem(node, "not_allowed", "type parameters: generic code has no place in a contract")
        return False
    unit.problem(node, "not_allowed", f"this Python writes {type(node).__name__} in a way that is not known")
    return False


def expression(body: Body, node: ast.expr) -> Code:
    """The code of one expression; what is refused is noted, and gives code that does nothing."""
    rule = EXPRESSIONS.get(type(node))
    if rule is None:
        body.problem(node, "not_allowed", refusal(node))
        return constant(None)
    if not fields_hold(body.unit, node, rule.fields):
        return constant(None)
    if body.expression_depth >= limits.EXPRESSION_DEPTH_MAX:
        message = f"an expression nested deeper than {limits.EXPRESSION_DEPTH_MAX}; split it"
        body.problem(node, "too_deep", message)
        return constant(None)
    body.expression_depth += 1
    with body.deeper():
        code: Code = rule.build(body, node)
    body.expression_depth -= 1
    return code


def statement(body: Body, node: ast.stmt) -> tuple[Code, int]:
    """The code of one statement, and its fixed cost."""
    rule = STATEMENTS.get(type(node))
    if rule is None:
        body.problem(node, "not_allowed", refusal(node))
        return constant(None), 0
    if not fields_hold(body.unit, node, rule.fields):
        return constant(None), 0
    build = rule.build
    with body.deeper():
        code, cost = body.costed(lambda: build(body, node))
    watch = body.unit.watch
    return (code if watch is None else watch(body, node, code)), cost
