"""Statements as closures. A statement returns None to go on, or a signal: break, continue or return.

A block charges each statement's fixed price before it runs, and puts the source line on a failure that passes.
While blocks are built, the set of names that surely have a value is followed, so that a name which may not have one
is checked when it is read.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from contracts import codes
from contracts.language import gas, state, values
from contracts.language.annotations import is_annotation
from contracts.language.calls import failure_text
from contracts.language.expressions import IN_PLACE, operator_of
from contracts.language.interface import Failure
from contracts.language.iterables import iterable
from contracts.language.rules import expression, statement, statement_rule
from contracts.language.targets import target
from contracts.language.unit import METER, RESULT, Body, Code, Env, constant
from contracts.language.values import fail

BREAK: Final = 1
CONTINUE: Final = 2
RETURN: Final = 3
_ENDINGS: Final = (ast.Return, ast.Raise, ast.Break, ast.Continue)


def block(body: Body, nodes: list[ast.stmt]) -> tuple[Code, bool]:
    """The code of statements in a row, and whether their end is never reached."""
    steps = []
    with body.deeper():
        for node in nodes:
            code, cost = statement(body, node)
            steps.append((cost + gas.STATEMENT, code, node.lineno))
    return _run_steps(tuple(steps)), bool(nodes) and _ends(nodes[-1])


def _ends(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return bool(node.orelse) and _ends(node.body[-1]) and _ends(node.orelse[-1])
    return isinstance(node, _ENDINGS)


def place_failure(failure: Failure, line: int) -> None:
    """Put a line on a failure that has no place yet."""
    if not failure.line and not failure.contract:
        failure.line = line


def _run_steps(steps: tuple[tuple[int, Code, int], ...]) -> Code:
    def run(env: Env) -> Any:
        meter = env[METER]
        line = 0
        try:
            for cost, step, line in steps:  # noqa: B007 -- `line` is read where a failure passes
                meter.left -= cost
                if meter.left < 0:
                    meter.run_out()
                signal = step(env)
                if signal is not None:
                    return signal
        except Failure as failure:
            place_failure(failure, line)
            raise
        return None

    return run


# ── assignments ───────────────────────────────────────────────────────────────────────────────────


@statement_rule(ast.Assign, "targets", "value", "type_comment")
def _assign(body: Body, node: ast.Assign) -> Code:
    value = expression(body, node.value)
    if len(node.targets) == 1 and type(node.targets[0]) is ast.Name:
        return _assign_name(body, node.targets[0], value)
    stores = [target(body, one) for one in node.targets]

    def assign(env: Env) -> None:
        result = value(env)
        for store in stores:
            store(env, result)

    return assign


def _assign_name(body: Body, node: ast.Name, value: Code) -> Code:
    body.pay(gas.LOAD)
    body.unit.bind(node, node.id)
    slot = body.local(node.id)
    body.assigned.add(node.id)

    def assign(env: Env) -> None:
        env[slot] = value(env)

    return assign


@statement_rule(ast.AnnAssign, "target", "annotation", "value", "simple")
def _annotated(body: Body, node: ast.AnnAssign) -> Code:
    if not is_annotation(body.unit, node.annotation):
        return constant(None)
    if node.value is None or not isinstance(node.target, ast.Name):
        body.problem(node, "not_allowed", "an annotation stands with a name and its value: count: int = 0")
        return constant(None)
    return _assign_name(body, node.target, expression(body, node.value))


@statement_rule(ast.AugAssign, "target", "op", "value")
def _augmented(body: Body, node: ast.AugAssign) -> Code:
    body.pay(gas.OPERATION)
    change = operator_of(body, node, IN_PLACE, node.op)
    if change is None:
        return constant(None)
    if isinstance(node.target, ast.Name):
        return _augment_name(body, node.target, change, node.value)
    if isinstance(node.target, ast.Subscript):
        return _augment_item(body, node.target, change, node.value)
    target(body, node.target)
    return constant(None)


def _augment_name(body: Body, node: ast.Name, change: values.BinaryOperation, value_node: ast.expr) -> Code:
    body.unit.bind(node, node.id)
    before = body.read(node, node.id)
    value = expression(body, value_node)
    slot = body.local(node.id)
    body.assigned.add(node.id)

    def augment(env: Env) -> None:
        env[slot] = change(env[METER], before(env), value(env))

    return augment


def _augment_item(body: Body, node: ast.Subscript, change: values.BinaryOperation, value_node: ast.expr) -> Code:
    stored = state.variable_of(body, node.value)
    if stored is not None:
        return state.update_item(body, node, stored, change, expression(body, value_node))
    if isinstance(node.slice, ast.Slice):
        body.problem(node, "not_allowed", "an assignment to a slice: build a new list")
        return constant(None)
    body.pay(2 * gas.SUBSCRIPT)
    container_of, key_of = expression(body, node.value), expression(body, node.slice)
    value = expression(body, value_node)

    def augment(env: Env) -> None:
        meter, container, key = env[METER], container_of(env), key_of(env)
        before = values.get_item(meter, container, key)
        values.set_item(meter, container, key, change(meter, before, value(env)))

    return augment


@statement_rule(ast.Delete, "targets")
def _delete(body: Body, node: ast.Delete) -> Code:
    if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Subscript):
        body.problem(node, "not_allowed", "`del` takes one item: del entries[key]")
        return constant(None)
    item = node.targets[0]
    body.pay(gas.SUBSCRIPT)
    stored = state.variable_of(body, item.value)
    if stored is not None:
        return state.delete_item(body, item, stored)
    if isinstance(item.slice, ast.Slice):
        body.problem(node, "not_allowed", "a deletion of a slice: build a new list")
        return constant(None)
    container, key = expression(body, item.value), expression(body, item.slice)
    return lambda env: values.delete_item(env[METER], container(env), key(env))


# ── flow ──────────────────────────────────────────────────────────────────────────────────────────


@statement_rule(ast.Expr, "value")
def _expression(body: Body, node: ast.Expr) -> Code:
    if not isinstance(node.value, ast.Call):
        expression(body, node.value)
        body.problem(node, "no_effect", "an expression without effect; only calls stand alone")
        return constant(None)
    code = expression(body, node.value)

    def evaluate(env: Env) -> None:
        code(env)

    return evaluate


@statement_rule(ast.Pass)
def _pass(_body: Body, _node: ast.Pass) -> Code:
    return constant(None)


@statement_rule(ast.Return, "value")
def _return(body: Body, node: ast.Return) -> Code:
    if node.value is None:
        return constant(RETURN)
    value = expression(body, node.value)

    def leave(env: Env) -> int:
        env[RESULT] = value(env)
        return RETURN

    return leave


@statement_rule(ast.Break)
def _break(body: Body, node: ast.Break) -> Code:
    if not body.loops:
        body.problem(node, "syntax", "break outside a loop")
    return constant(BREAK)


@statement_rule(ast.Continue)
def _continue(body: Body, node: ast.Continue) -> Code:
    if not body.loops:
        body.problem(node, "syntax", "continue outside a loop")
    return constant(CONTINUE)


@statement_rule(ast.Raise, "exc", "cause")
def _raise(body: Body, node: ast.Raise) -> Code:
    made = node.exc
    name = made.func.id if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) else ""
    if not isinstance(made, ast.Call) or name not in ("Error", "ValueError") or node.cause is not None:
        body.problem(node, "not_allowed", "only `raise Error(message)` is known, with a message and without `from`")
        return constant(None)
    if len(made.args) != 1 or made.keywords:
        body.problem(made, "arity", f"{name} takes one message")
        return constant(None)
    if name == "Error":
        body.unit.needs_import(made, name)
    message = expression(body, made.args[0])
    return lambda env: fail(codes.FAILED, failure_text(message(env)))


def _costed_test(body: Body, node: ast.expr) -> tuple[Code, int]:
    return body.costed(lambda: expression(body, node))


@statement_rule(ast.If, "test", "body", "orelse")
def _if(body: Body, node: ast.If) -> Code:
    branches: list[tuple[int, Code, Code, int]] = []
    exits: list[set[str]] = []
    before = set(body.assigned)
    while True:
        test, cost = _costed_test(body, node.test)
        body.assigned = set(before)
        then, ends = block(body, node.body)
        branches.append((cost, test, then, node.test.lineno))
        if not ends:
            exits.append(body.assigned)
        body.assigned = set(before)
        if len(node.orelse) != 1 or type(node.orelse[0]) is not ast.If:
            break
        node = node.orelse[0]
    otherwise, ends = block(body, node.orelse) if node.orelse else (None, False)
    if not ends:
        exits.append(body.assigned)
    body.assigned = set.intersection(*exits) if exits else body.assigned
    body.pay(branches[0][0])
    return _choose(branches, otherwise)


def _choose(branches: list[tuple[int, Code, Code, int]], otherwise: Code | None) -> Code:
    if len(branches) > 1:
        return _choose_of_many(branches, otherwise)
    _, test, then, _ = branches[0]
    if otherwise is None:
        return lambda env: then(env) if test(env) else None
    return lambda env: then(env) if test(env) else otherwise(env)


def _choose_of_many(branches: list[tuple[int, Code, Code, int]], otherwise: Code | None) -> Code:
    ladder = tuple(
        [(0 if place == 0 else cost, test, then, line) for place, (cost, test, then, line) in enumerate(branches)]
    )

    def choose(env: Env) -> Any:
        for cost, test, then, line in ladder:
            try:
                env[METER].charge(cost)
                holds = test(env)
            except Failure as failure:
                place_failure(failure, line)
                raise
            if holds:
                return then(env)
        return otherwise(env) if otherwise is not None else None

    return choose


def _no_else(body: Body, node: ast.For | ast.While) -> None:
    if node.orelse:
        body.problem(node.orelse[0], "not_allowed", "`else` after a loop is not part of the language; use a name")


def _loop_body(body: Body, nodes: list[ast.stmt]) -> Code:
    body.loops += 1
    code, _ = block(body, nodes)
    body.loops -= 1
    return code


@statement_rule(ast.While, "test", "body", "orelse")
def _while(body: Body, node: ast.While) -> Code:
    _no_else(body, node)
    test, cost = _costed_test(body, node.test)
    before = set(body.assigned)
    turn = _loop_body(body, node.body)
    body.assigned = before
    cost += gas.ITERATION

    def loop(env: Env) -> Any:
        meter = env[METER]
        while True:
            meter.left -= cost
            if meter.left < 0:
                meter.run_out()
            if not test(env):
                return None
            signal = turn(env)
            if signal is not None and signal != CONTINUE:
                return RETURN if signal == RETURN else None

    return loop


@statement_rule(ast.For, "target", "iter", "body", "orelse", "type_comment")
def _for(body: Body, node: ast.For) -> Code:
    _no_else(body, node)
    source = iterable(body, node.iter)
    before = set(body.assigned)
    store, cost = body.costed(lambda: target(body, node.target))
    turn = _loop_body(body, node.body)
    body.assigned = before
    cost += gas.ITERATION

    def loop(env: Env) -> Any:
        meter = env[METER]
        items, _, _ = source(env)
        for item in items:
            meter.left -= cost
            if meter.left < 0:
                meter.run_out()
            store(env, item)
            signal = turn(env)
            if signal is not None and signal != CONTINUE:
                return RETURN if signal == RETURN else None
        return None

    return loop
