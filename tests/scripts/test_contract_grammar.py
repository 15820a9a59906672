"""The random programs reach the whole language: every construct, operator, function, method, type and failure of it."""

import ast
from functools import cache

import pytest

from contracts import codes
from contracts.language import calls, check, compile_source, expressions, iterables, methods, rules, scans, state, unit
from scripts.contract_expressions import EXPRESSIONS
from scripts.contract_grammar import LEAVES, LOCALS, LOOP_NAMES, NAMES, TYPES, Hole, Template
from scripts.contract_programs import Dice, random_program
from scripts.contract_scenery import ARGUMENTS, CLASSES, OTHER, STATE
from scripts.contract_steps import interpreted

PROGRAMS = 1_000


@cache
def sources():
    return [random_program(number).source for number in range(PROGRAMS)]


@cache
def nodes():
    return [node for source in sources() for node in ast.walk(ast.parse(source))]


def of(kind):
    return [node for node in nodes() if isinstance(node, kind)]


def test_the_dice_are_those_of_splitmix64():
    dice = Dice(0)
    assert [dice.below(1 << 64) for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_a_number_is_a_program_for_ever():
    assert random_program(5) == random_program(5)
    assert len(set(sources())) == PROGRAMS


def test_a_production_is_text_and_holes():
    template = Template.of("!{{{key}: {int+i,k}, {=str}}}")
    assert template.parts == (
        "{",
        Hole("key", False, ()),
        ": ",
        Hole("int", False, ("i", "k")),
        ", ",
        Hole("str", True, ()),
        "}",
    )
    assert template.risky
    assert not Template.of("{int}").risky


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        ("self.total.set({int})", True),
        ("self.total.get({int})", False),
        ("self.balances[{key}] = {int}", True),
        ("!self.balances[{key}] //= {int}", True),
        ("self.balances[{key}]", False),
        ("(self.either.get({small}) == {str})", False),
        ("!del self.balances[{key}]", True),
        ("self.at(Peer, {peer}).add({int}, {int})", True),
        ("self.at(Peer, {peer}).who()", False),
    ],
)
def test_what_writes_is_known(text, writes):
    assert Template.of(text).writes is writes


def test_every_kind_has_a_leaf_and_every_local_a_value():
    assert set(EXPRESSIONS) <= set(LEAVES)
    assert set(NAMES) <= set(LEAVES)
    locals_of_kinds = {name for names in NAMES.values() for name in names}
    assert locals_of_kinds <= set(LOCALS)
    assert not locals_of_kinds & set(LOOP_NAMES)
    assert set(ARGUMENTS) == set(TYPES) - {"none"}


def test_programs_are_contracts():
    """Nearly every draw means something: what is refused would test little."""
    refused = {number: check(source) for number, source in enumerate(sources()[:200])}
    assert {number: problems for number, problems in refused.items() if problems} == {}
    assert check(OTHER) == []


# ── as written ────────────────────────────────────────────────────────────────────────────────────


def test_every_construct():
    seen = {type(node) for node in nodes()}
    assert set(rules.EXPRESSIONS) - seen == set()
    assert set(rules.STATEMENTS) - seen == set()


def test_every_operator():
    assert set(expressions.BINARY) - {type(node.op) for node in of(ast.BinOp)} == set()
    assert set(expressions.IN_PLACE) - {type(node.op) for node in of(ast.AugAssign)} == set()
    assert {*expressions._UNARY, ast.Not} - {type(node.op) for node in of(ast.UnaryOp)} == set()
    assert {type(node.op) for node in of(ast.BoolOp)} == {ast.And, ast.Or}
    alone = {type(node.ops[0]) for node in of(ast.Compare) if len(node.ops) == 1}
    assert {*expressions._RELATIONS, ast.Is, ast.IsNot} - alone == set()
    assert {ast.Lt, ast.In, ast.NotIn, ast.Eq} <= {
        type(op) for node in of(ast.Compare) if node.ops[1:] for op in node.ops
    }


def test_every_function_with_few_arguments_and_with_many():
    seen = {(node.func.id, len(node.args)) for node in of(ast.Call) if isinstance(node.func, ast.Name)}
    wanted = {(name, count) for name, (least, most, _) in methods.FUNCTIONS.items() for count in (least, most)}
    wanted |= {(name, 1) for name in calls._CONSUMERS} | {("list", 0), ("tuple", 0), ("min", 2), ("max", 2)}
    wanted |= {("enumerate", 1), ("enumerate", 2), ("range", 1), ("range", 2), ("range", 3), ("zip", 2), ("zip", 3)}
    wanted |= {("reversed", 1), ("isinstance", 2), ("require", 2), ("Error", 1), ("ValueError", 1)}
    assert set(iterables.VIEWS) <= {name for name, _ in wanted}
    assert wanted - seen == set()
    of_classes = {
        (node.func.value.id, node.func.attr, len(node.args))
        for node in of(ast.Call)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    }
    counted = {
        (*names, count) for names, (least, most, _) in methods.CLASS_FUNCTIONS.items() for count in (least, most)
    }
    assert counted - of_classes == set()


def test_every_isinstance_type():
    named = [node.args[1] for node in of(ast.Call) if isinstance(node.func, ast.Name) and node.func.id == "isinstance"]
    seen = {name.id for second in named for name in ast.walk(second) if isinstance(name, ast.Name)}
    assert set(calls._KINDS) - seen == set()


def attributes_of_state():
    """(the name of the variable, the node around it that says what is done)."""
    for outer in nodes():
        for inner in ast.iter_child_nodes(outer):
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.attr in STATE:
                yield inner.attr, outer


def test_everything_that_is_done_to_state():
    kind_of = {name: declared.partition("[")[0] for name, (declared, _) in STATE.items()}
    called, held = set(), set()
    for name, outer in attributes_of_state():
        if isinstance(outer, ast.Attribute):
            called.add((kind_of[name], outer.attr))
        elif isinstance(outer, ast.Subscript):
            held.add((kind_of[name], type(outer.slice) is ast.Slice, type(outer.ctx)))
        else:
            held.add((kind_of[name], type(outer)))
    assert {(kind, name) for kind, names in state._METHODS.items() for name in names} - called == set()
    items = {("Map", False, ctx) for ctx in (ast.Load, ast.Store, ast.Del)}
    items |= {("List", False, ast.Load), ("List", False, ast.Store), ("List", True, ast.Load)}
    assert {
        *items,
        ("Map", ast.Compare),
        ("List", ast.For),
        ("List", ast.Call),
        ("List", ast.comprehension),
    } - held == set()


def test_every_bound_of_a_scan_with_each_kind_of_it():
    seen = {
        (node.func.attr, keyword.arg)
        for node in of(ast.Call)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "values", "items")
        for keyword in node.keywords
    }
    assert {option for _, option in seen} == scans._OPTIONS
    assert {name for name, _ in seen} == {"keys", "values", "items"}


def test_every_field_of_the_context_and_every_name_of_the_module():
    contexts = {
        node.attr for node in of(ast.Attribute) if isinstance(node.value, ast.Attribute) and node.value.attr == "ctx"
    }
    assert contexts == set(expressions.CONTEXT_FIELDS)
    imported = {alias.name for node in of(ast.ImportFrom) for alias in node.names}
    assert imported == unit.API_NAMES | {"annotations"}
    assert {base.id for node in of(ast.ClassDef) for base in node.bases} == {"Contract", "Event", "Interface", "Record"}


def test_every_method_of_the_interfaces():
    declared = {
        (node.name, item.name)
        for text in CLASSES.values()
        for node in ast.parse(text).body
        if node.bases[0].id == "Interface"
        for item in node.body
        if isinstance(item, ast.FunctionDef)
    }
    called = {
        (node.func.value.args[0].id, node.func.attr)
        for node in of(ast.Call)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call)
        if isinstance(node.func.value.func, ast.Attribute) and node.func.value.func.attr == "at"
    }
    assert declared - called == set()


def test_every_type_at_every_boundary():
    programs = [compile_source(source) for source in sources()[:200]]
    entries = [method for program in programs for method in program.methods]
    assert {method.kind for method in entries} == {"init", "call", "view"}
    given = {text.partition("{")[0] for method in entries for _, text in method.parameters}
    assert set(TYPES.values()) - {"Address", "None"} - given == set()
    assert set(TYPES.values()) - {"Address"} - {method.returns.partition("{")[0] for method in entries} == set()
    held = {name for program in programs for name, _ in program.state}
    assert set(STATE) - held == set()
    assert {name for program in programs for name, _ in program.events} == {"Noted", "Listed", "Traded"}


# ── as run ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def ran():
    """The methods of values that succeeded, with the count of arguments, and the codes of all calls."""
    succeeded, seen = set(), set()

    def recorded(receiver, name):
        method = methods.method_of(receiver, name)

        def apply(meter, value, *args):
            result = method(meter, value, *args)
            succeeded.add((type(value), name, len(args)))
            return result

        return apply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "method_of", recorded)
        for number in range(PROGRAMS):
            seen |= {step.code for step in interpreted(random_program(number))}
    return succeeded, seen


def test_every_method_of_every_type_succeeds_with_few_arguments_and_with_many(ran):
    succeeded, _ = ran
    wanted = {
        (kind, name, count)
        for kind, names in methods.METHODS.items()
        for name in names
        for count in (methods._POP[kind] if name == "pop" else methods.ARITY[name])
    }
    wanted.add((list, "sort", 1))  # by name
    assert wanted - succeeded == set()


def test_every_way_to_fail(ran):
    _, seen = ran
    wanted = {codes.FAILED, codes.ARITHMETIC, codes.BAD_TYPE, codes.BAD_VALUE, codes.KEY_ERROR, codes.INDEX_ERROR}
    wanted |= {codes.UNASSIGNED, codes.SIZE_LIMIT, codes.BAD_ARGUMENTS, codes.UNKNOWN_METHOD, codes.UNKNOWN_CONTRACT}
    wanted |= {codes.NOT_PERMITTED, codes.REENTRANCY, codes.OUT_OF_GAS, codes.OK}
    assert wanted - seen == set()


def test_programs_mostly_succeed_and_often_fail():
    tally = [step.code for number in range(60) for step in interpreted(random_program(number))]
    assert tally.count(codes.OK) > len(tally) // 3
    assert len(tally) - tally.count(codes.OK) > len(tally) // 10
