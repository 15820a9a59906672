"""Expressions as closures. Each rule names the exact fields of its node, adds its fixed price, and builds its code.

The operators look at exact types first: two integers take the short way inline, everything else goes through
`values`, which charges by size.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from contracts import codes
from contracts.language import calls, gas, limits, state, values
from contracts.language.iterables import DICT_VIEWS, iterable
from contracts.language.methods import text_of
from contracts.language.rules import expression, expression_rule
from contracts.language.targets import Store, target
from contracts.language.unit import HOST, METER, Body, Code, Env, constant
from contracts.language.values import (
    INTEGER_MAX,
    BinaryOperation,
    dict_key,
    equal,
    fail,
    get_item,
    get_slice,
    overflow,
    room_for_text,
)

INTEGER_MIN: Final = -INTEGER_MAX
CONTEXT_FIELDS: Final = ("sender", "height", "time", "transaction_id", "contract", "chain_id")

# ── names and literals ────────────────────────────────────────────────────────────────────────────


@expression_rule(ast.Constant, "value", "kind")
def _constant(body: Body, node: ast.Constant) -> Code:
    value = node.value
    body.pay(gas.LOAD)
    if type(value) is int and not INTEGER_MIN <= value <= INTEGER_MAX:
        body.problem(node, "too_large", f"an integer outside {limits.INTEGER_BITS_MAX} bits")
    elif type(value) not in (int, str, bytes, bool, type(None)):
        reason = "use integers of the smallest unit, or Decimal" if type(value) in (float, complex) else "not a value"
        what = "..." if value is ... else type(value).__name__
        body.problem(node, "not_allowed", f"the literal {what}: {reason}")
    return constant(value)


@expression_rule(ast.Name, "id", "ctx")
def _name(body: Body, node: ast.Name) -> Code:
    return body.read(node, node.id)


@expression_rule(ast.List, "elts", "ctx")
def _list(body: Body, node: ast.List) -> Code:
    body.pay(gas.BUILD + gas.ITEM_MADE * len(node.elts))
    items = [expression(body, item) for item in node.elts]
    return lambda env: [item(env) for item in items]


@expression_rule(ast.Tuple, "elts", "ctx")
def _tuple(body: Body, node: ast.Tuple) -> Code:
    body.pay(gas.BUILD + gas.ITEM_MADE * len(node.elts))
    items = [expression(body, item) for item in node.elts]
    if len(items) == 2:
        first, second = items
        return lambda env: (first(env), second(env))
    return lambda env: tuple([item(env) for item in items])


@expression_rule(ast.Dict, "keys", "values")
def _dict(body: Body, node: ast.Dict) -> Code:
    body.pay(gas.BUILD + gas.ENTRY_MADE * len(node.keys))
    entries = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            body.problem(value, "not_allowed", "a star: use update() or |")
            continue
        entries.append((expression(body, key), expression(body, value)))

    def build(env: Env) -> dict[Any, Any]:
        meter = env[METER]
        return {dict_key(meter, key(env)): value(env) for key, value in entries}

    return build


@expression_rule(ast.JoinedStr, "values")
def _joined(body: Body, node: ast.JoinedStr) -> Code:
    body.pay(gas.BUILD)
    with body.unit.anchored(node):
        parts = [_joined_part(body, part) for part in node.values]

    def join(env: Env) -> str:
        texts = [part(env) for part in parts]
        length = sum([len(text) for text in texts])
        wide = not all(text.isascii() for text in texts)
        room_for_text(env[METER], length, 4 * length if wide else length, str)
        return "".join(texts)

    return join


def _joined_part(body: Body, node: ast.expr) -> Code:
    body.pay(gas.OPERATION)
    if isinstance(node, ast.Constant) and type(node.value) is str:
        return constant(node.value)
    if type(node) is not ast.FormattedValue:
        body.problem(node, "not_allowed", "this part of an f-string")
        return constant("")
    if node.conversion != -1 or node.format_spec is not None:
        body.problem(node, "not_allowed", "a format or conversion in an f-string; only {expression} is known")
        return constant("")
    value = expression(body, node.value)
    return lambda env: text_of(env[METER], value(env))


# ── operators ─────────────────────────────────────────────────────────────────────────────────────


def _add(left: Code, right: Code) -> Code:
    general = values.add

    def add(env: Env) -> Any:
        a = left(env)
        b = right(env)
        if type(a) is int and type(b) is int:
            total = a + b
            if INTEGER_MIN <= total <= INTEGER_MAX:
                return total
            overflow()
        return general(env[METER], a, b)

    return add


def _subtract(left: Code, right: Code) -> Code:
    general = values.subtract

    def subtract(env: Env) -> Any:
        a = left(env)
        b = right(env)
        if type(a) is int and type(b) is int:
            difference = a - b
            if INTEGER_MIN <= difference <= INTEGER_MAX:
                return difference
            overflow()
        return general(env[METER], a, b)

    return subtract


BINARY: Final[dict[type[ast.operator], BinaryOperation]] = {
    ast.Add: values.add,
    ast.Sub: values.subtract,
    ast.Mult: values.multiply,
    ast.Div: values.divide,
    ast.FloorDiv: values.floor_divide,
    ast.Mod: values.modulo,
    ast.Pow: values.power,
    ast.LShift: values.shift_left,
    ast.RShift: values.shift_right,
    ast.BitAnd: values.bit_and,
    ast.BitOr: values.bit_or,
    ast.BitXor: values.bit_xor,
}
_INLINE: Final[dict[type[ast.operator], Callable[[Code, Code], Code]]] = {ast.Add: _add, ast.Sub: _subtract}
IN_PLACE: Final[dict[type[ast.operator], BinaryOperation]] = BINARY | {
    ast.Add: values.add_in_place,
    ast.Mult: values.multiply_in_place,
    ast.BitOr: values.bit_or_in_place,
}


def operator_of(body: Body, node: ast.AST, table: dict[type[ast.operator], Any], operator: ast.operator) -> Any:
    """The entry of an operator, None (and a problem) where there is none."""
    found = table.get(type(operator))
    if found is None:
        body.problem(node, "not_allowed", f"the operator {type(operator).__name__}: no type has it")
    elif isinstance(operator, ast.Div) and "Decimal" not in body.unit.imported:
        body.problem(node, "not_allowed", "the operator Div: true division makes floats; use //, or a Decimal")
        return None
    return found


@expression_rule(ast.BinOp, "left", "op", "right")
def _binary(body: Body, node: ast.BinOp) -> Code:
    body.pay(gas.OPERATION)
    left, right = expression(body, node.left), expression(body, node.right)
    inline = _INLINE.get(type(node.op))
    if inline is not None:
        return inline(left, right)
    operation = operator_of(body, node, BINARY, node.op)
    if operation is None:
        return constant(None)
    if isinstance(node.op, ast.Div) and _is_integer(node.left) and _is_integer(node.right):
        body.problem(node, "type", "no operator / for int and int: use //, or make one of them a Decimal")
    return lambda env: operation(env[METER], left(env), right(env))


def _is_integer(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


_UNARY: Final[dict[type[ast.unaryop], Callable[[Any, Any], Any]]] = {
    ast.USub: values.negative,
    ast.UAdd: values.positive,
    ast.Invert: values.invert,
}


@expression_rule(ast.UnaryOp, "op", "operand")
def _unary(body: Body, node: ast.UnaryOp) -> Code:
    body.pay(gas.OPERATION)
    operand = expression(body, node.operand)
    if isinstance(node.op, ast.Not):
        return lambda env: not operand(env)
    operation = _UNARY[type(node.op)]
    return lambda env: operation(env[METER], operand(env))


@expression_rule(ast.BoolOp, "op", "values")
def _bool(body: Body, node: ast.BoolOp) -> Code:
    body.pay(gas.OPERATION * (len(node.values) - 1))
    parts = [expression(body, part) for part in node.values]
    *first, last = parts

    def all_of(env: Env) -> Any:
        for part in first:
            value = part(env)
            if not value:
                return value
        return last(env)

    def any_of(env: Env) -> Any:
        for part in first:
            value = part(env)
            if value:
                return value
        return last(env)

    return all_of if isinstance(node.op, ast.And) else any_of


@expression_rule(ast.IfExp, "test", "body", "orelse")
def _conditional(body: Body, node: ast.IfExp) -> Code:
    body.pay(gas.OPERATION)
    test = expression(body, node.test)
    then, otherwise = expression(body, node.body), expression(body, node.orelse)
    return lambda env: then(env) if test(env) else otherwise(env)


# ── comparison ────────────────────────────────────────────────────────────────────────────────────

Relation = Callable[[Any, Any, Any], bool]
_RELATIONS: Final[dict[type[ast.cmpop], Relation]] = {
    ast.Eq: equal,
    ast.NotEq: lambda meter, left, right: not equal(meter, left, right),
    ast.Lt: values.less,
    ast.LtE: values.less_or_equal,
    ast.Gt: lambda meter, left, right: values.less(meter, right, left),
    ast.GtE: lambda meter, left, right: values.less_or_equal(meter, right, left),
    ast.In: values.contains,
    ast.NotIn: lambda meter, left, right: not values.contains(meter, left, right),
}


@expression_rule(ast.Compare, "left", "ops", "comparators")
def _compare(body: Body, node: ast.Compare) -> Code:
    body.pay(gas.OPERATION * len(node.ops))
    if len(node.ops) == 1:
        return _compare_two(body, node, node.ops[0], node.comparators[0])
    body.pay(gas.CHAIN)
    operands = [expression(body, operand) for operand in (node.left, *node.comparators)]
    relations: list[Relation] = []
    for operator in node.ops:
        if isinstance(operator, ast.Is | ast.IsNot):
            body.problem(node, "not_allowed", "`is` in a chain; compare in two steps")
        relations.append(_RELATIONS.get(type(operator), values.contains))

    def chain(env: Env) -> bool:
        meter, left = env[METER], operands[0](env)
        for relation, operand in zip(relations, operands[1:], strict=True):
            right = operand(env)
            if not relation(meter, left, right):
                return False
            left = right
        return True

    return chain


def _compare_two(body: Body, node: ast.Compare, operator: ast.cmpop, right_node: ast.expr) -> Code:
    if isinstance(operator, ast.Is | ast.IsNot):
        return _is_none(body, node, isinstance(operator, ast.Is), right_node)
    stored = state.variable_of(body, right_node)
    if stored is not None and isinstance(operator, ast.In | ast.NotIn):
        item = expression(body, node.left)
        inside = state.contains(body, right_node, stored, item)
        return inside if isinstance(operator, ast.In) else lambda env: not inside(env)
    left, right = expression(body, node.left), expression(body, right_node)
    short = _SHORT.get(type(operator))
    if short is not None:
        return short(left, right)
    relation = _RELATIONS[type(operator)]
    return lambda env: relation(env[METER], left(env), right(env))


def _is_none(body: Body, node: ast.Compare, positive: bool, right_node: ast.expr) -> Code:
    if not (isinstance(right_node, ast.Constant) and right_node.value is None):
        body.problem(node, "not_allowed", "`is` compares with None only; use ==")
    left = expression(body, node.left)
    if positive:
        return lambda env: left(env) is None
    return lambda env: left(env) is not None


def _less(left: Code, right: Code) -> Code:
    def less(env: Env) -> bool:
        a = left(env)
        b = right(env)
        if type(a) is int and type(b) is int:
            return a < b
        return values.less(env[METER], a, b)

    return less


def _less_or_equal(left: Code, right: Code) -> Code:
    def less_or_equal(env: Env) -> bool:
        a = left(env)
        b = right(env)
        if type(a) is int and type(b) is int:
            return a <= b
        return not values.less(env[METER], b, a)

    return less_or_equal


def _greater(left: Code, right: Code) -> Code:
    def greater(env: Env) -> bool:
        a = left(env)
        b = right(env)
        if type(a) is int and type(b) is int:
            return a > b
        return values.less(env[METER], b, a)

    return greater


def _greater_or_equal(left: Code, right: Code) -> Code:
    def greater_or_equal(env: Env) -> bool:
        a = left(env)
        b = right(env)
        if type(a) is int and type(b) is int:
            return a >= b
        return not values.less(env[METER], a, b)

    return greater_or_equal


def _equal(left: Code, right: Code) -> Code:
    def same(env: Env) -> bool:
        a = left(env)
        b = right(env)
        if type(a) is int and type(b) is int:
            return a == b
        return equal(env[METER], a, b)

    return same


_SHORT: Final[dict[type[ast.cmpop], Callable[[Code, Code], Code]]] = {
    ast.Lt: _less,
    ast.LtE: _less_or_equal,
    ast.Gt: _greater,
    ast.GtE: _greater_or_equal,
    ast.Eq: _equal,
}

# ── subscripts and attributes ─────────────────────────────────────────────────────────────────────


@expression_rule(ast.Subscript, "value", "slice", "ctx")
def _subscript(body: Body, node: ast.Subscript) -> Code:
    body.pay(gas.SUBSCRIPT)
    stored = state.variable_of(body, node.value)
    if stored is not None:
        return state.get_item(body, node, stored)
    container = expression(body, node.value)
    if type(node.slice) is ast.Slice:
        return _slice(body, node.slice, container)
    key = expression(body, node.slice)
    return lambda env: get_item(env[METER], container(env), key(env))


def _slice(body: Body, node: ast.Slice, container: Code) -> Code:
    nothing = constant(None)
    start = expression(body, node.lower) if node.lower is not None else nothing
    stop = expression(body, node.upper) if node.upper is not None else nothing
    step = expression(body, node.step) if node.step is not None else nothing
    return lambda env: get_slice(env[METER], container(env), start(env), stop(env), step(env))


@expression_rule(ast.Attribute, "value", "attr", "ctx")
def _attribute(body: Body, node: ast.Attribute) -> Code:
    owner = node.value
    if body.in_class and isinstance(owner, ast.Attribute) and owner.attr == "ctx" and _is_self(owner.value):
        return _context(body, node)
    body.problem(node, "not_allowed", _attribute_reason(body, node))
    return constant(None)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _attribute_reason(body: Body, node: ast.Attribute) -> str:
    if not body.in_class or not _is_self(node.value):
        return f"the attribute .{node.attr}: values have methods, which are called where they are named"
    if node.attr == "ctx":
        return f"self.ctx is no value; it has {', '.join(CONTEXT_FIELDS)}"
    stored = body.unit.state.get(node.attr)
    if stored is not None:
        use = {"Var": ".get()", "Map": "[key]", "List": "[index]"}[stored.kind]
        return f"self.{node.attr} is a {stored.kind}, a place and no value; use self.{node.attr}{use}"
    if node.attr in body.unit.methods:
        return f"self.{node.attr} is a method: call it where it is named"
    return f"self.{node.attr} is not declared"


def _context(body: Body, node: ast.Attribute) -> Code:
    body.pay(gas.CONTEXT)
    if node.attr not in CONTEXT_FIELDS:
        body.problem(node, "unknown_name", f"self.ctx has {', '.join(CONTEXT_FIELDS)}; there is no {node.attr!r}")
        return constant(None)
    readers: dict[str, Code] = {
        "sender": lambda env: env[HOST].context.sender,
        "height": lambda env: env[HOST].context.height,
        "time": lambda env: env[HOST].context.time,
        "transaction_id": lambda env: env[HOST].context.transaction_id,
        "contract": lambda env: env[HOST].context.contract,
        "chain_id": lambda env: env[HOST].context.chain_id,
    }
    return readers[node.attr]


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────


@expression_rule(ast.Call, "func", "args", "keywords")
def _call(body: Body, node: ast.Call) -> Code:
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            body.problem(argument, "not_allowed", "a star: write the arguments out")
            return constant(None)
    for keyword in node.keywords:
        if keyword.arg is None:
            body.problem(keyword, "not_allowed", "a star: write the arguments out")
            return constant(None)
    return calls.call(body, node)


# ── comprehensions ────────────────────────────────────────────────────────────────────────────────


@expression_rule(ast.ListComp, "elt", "generators")
def _list_comprehension(body: Body, node: ast.ListComp) -> Code:
    body.pay(gas.BUILD)

    def inner() -> Callable[[Env, Any], None]:
        item, cost = body.costed(lambda: expression(body, node.elt))
        cost += gas.ITEM_MADE

        def append(env: Env, out: list[Any]) -> None:
            env[METER].charge(cost)
            if len(out) >= limits.ITEMS_MAX:
                fail(codes.SIZE_LIMIT, f"more than {limits.ITEMS_MAX} items")
            out.append(item(env))

        return append

    _no_name_of_a_later_loop(body, node.generators)
    fill = _loops(body, node.generators, inner)

    def build(env: Env) -> list[Any]:
        out: list[Any] = []
        fill(env, out)
        return out

    return build


@expression_rule(ast.DictComp, "key", "value", "generators")
def _dict_comprehension(body: Body, node: ast.DictComp) -> Code:
    body.pay(gas.BUILD)

    def inner() -> Callable[[Env, Any], None]:
        (key, value), cost = body.costed(lambda: (expression(body, node.key), expression(body, node.value)))

        def insert(env: Env, out: dict[Any, Any]) -> None:
            env[METER].charge(cost)
            values.set_item(env[METER], out, key(env), value(env))

        return insert

    _no_name_of_a_later_loop(body, node.generators)
    fill = _loops(body, node.generators, inner)

    def build(env: Env) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        fill(env, out)
        return out

    return build


def _loops(
    body: Body, generators: list[ast.comprehension], inner: Callable[[], Callable[[Env, Any], None]]
) -> Callable[[Env, Any], None]:
    """The loops of a comprehension, outermost first, each with its conditions; its names have a scope of their own."""
    if not generators:
        with body.deeper(2):
            return inner()
    generator = generators[0]
    if generator.is_async:
        body.problem(generator.iter, "not_allowed", "`async`: a contract runs to its end in one go")
    source = iterable(body, generator.iter)
    scope: dict[str, int] = {}
    store = target(body, generator.target, scope)
    body.scopes.append(scope)
    (tests, rest), cost = body.costed(lambda: _turn(body, generators, inner))
    body.scopes.pop()
    return _loop(source, store, tests, rest, cost + gas.ITERATION)


def _names(nodes: list[ast.expr]) -> set[str]:
    return {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}


def _no_name_of_a_later_loop(body: Body, generators: list[ast.comprehension]) -> None:
    """In Python the names of a comprehension hide those outside, even before they are set: that is an error there."""
    for number, generator in enumerate(generators):
        earlier = _names([one.target for one in generators[:number]])
        here = _names([one.target for one in generators[number:]]) - earlier
        later = _names([one.target for one in generators[number + 1 :]]) - earlier - _names([generator.target])
        early = (_names([generator.iter]) & here if number else set()) | (_names(generator.ifs) & later)
        for name in sorted(early):
            message = f"{name!r} is not set yet: a later loop of the comprehension sets it"
            body.problem(generator.iter, "unknown_name", message)


def _turn(
    body: Body, generators: list[ast.comprehension], inner: Callable[[], Callable[[Env, Any], None]]
) -> tuple[list[Code], Callable[[Env, Any], None]]:
    with body.deeper(2):
        tests = [expression(body, test) for test in generators[0].ifs]
        return tests, _loops(body, generators[1:], inner)


def _loop(
    source: Code, store: Store, tests: list[Code], rest: Callable[[Env, Any], None], cost: int
) -> Callable[[Env, Any], None]:
    def loop(env: Env, out: Any) -> None:
        charge = env[METER].charge
        items, _, _ = source(env)
        for item in items:
            charge(cost)
            store(env, item)
            for test in tests:
                if not test(env):
                    break
            else:
                rest(env, out)

    return loop


# Views of a dict exist only where something iterates; `calls` says so to whoever calls them elsewhere.
assert len(DICT_VIEWS) == 3
