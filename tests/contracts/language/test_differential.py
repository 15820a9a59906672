# ruff: noqa: E501 -- one program, one row
"""The interpreter against plain Python: the same text gives the same value, or a failure that the language promises.

Where both give a value the values are equal and of the same type. Where Python raises, the interpreter fails. Where
only the interpreter fails, it is for a reason of its own: a limit, or a mixture of types that it refuses.
"""

import builtins
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.language import Context, Failure, Meter, compile_source

LIMITS = {"arithmetic", "size_limit", "out_of_gas"}  # plain Python has none, and would run on for ever
STRICTER = {"bad_type", "bad_value"}
NAMES = "abs all any bool bytes chr dict divmod enumerate int isinstance len list max min ord pow range reversed sorted"
NATIVE = {name: getattr(builtins, name) for name in [*NAMES.split(), "str", "sum", "tuple", "zip"]}


class NoHost:
    context = Context("", 0, 0, "", "box")


def interpreted(function):
    """The value of the function `f` in the text, or the code of its failure."""
    source = f"from contracts import Contract, Value, call\n{function}\nclass Box(Contract):\n    @call\n    def run(self) -> Value:\n        return f()\n"
    meter = Meter(2_000_000)
    try:
        return "value", compile_source(source).run("run", [], NoHost(), meter)
    except Failure as failure:
        return "failure", failure.code


def native(function):
    """What plain Python makes of it."""
    names = dict(NATIVE)
    try:
        exec(function, {"__builtins__": names}, names)
        return "value", names["f"]()
    except Exception as error:  # noqa: BLE001 -- whatever Python raises is a failure
        return "failure", type(error).__name__


def agree(function):
    kind, got = interpreted(function)
    if kind == "failure" and got in LIMITS:
        return kind
    native_kind, wanted = native(function)
    if kind == "value":
        assert (native_kind, repr(wanted)) == ("value", repr(got)), function
    elif native_kind == "value":
        assert got in STRICTER, (function, got, wanted)
    return kind


# ── expressions ───────────────────────────────────────────────────────────────────────────────────

integers = st.one_of(st.integers(-20, 20), st.integers(-(2**255), 2**255)).map(lambda n: f"({n})")
texts = st.text(alphabet="abc é,", max_size=6).map(repr)
octets = st.binary(max_size=5).map(repr)
booleans = st.sampled_from(["True", "False"])


def joined(*parts):
    return st.tuples(*[st.just(part) if isinstance(part, str) else part for part in parts]).map("".join)


def deeper(inner):
    lists = st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
    operators = st.sampled_from([" + ", " - ", " * ", " // ", " % ", " & ", " | ", " ^ ", " and ", " or "])
    relations = st.sampled_from([" < ", " <= ", " == ", " != ", " > ", " >= ", " in ", " not in "])
    functions = st.sampled_from(
        ["len", "str", "int", "bool", "abs", "sum", "sorted", "list", "tuple", "min", "max", "any"]
    )
    methods = st.sampled_from([".count(", ".find(", ".split(", ".startswith(", ".index(", ".get("])
    return st.one_of(
        lists,
        joined("(", inner, operators, inner, ")"),
        joined("(", inner, relations, inner, ")"),
        joined("(", inner, relations, inner, relations, inner, ")"),
        joined(functions, "(", inner, ")"),
        joined(inner, methods, inner, ")"),
        joined(inner, "[", inner, "]"),
        joined(inner, "[", inner, ":", inner, "]"),
        joined("(", inner, " if ", inner, " else ", inner, ")"),
        joined("[x for x in ", inner, " if x]"),
        joined("{", inner, ": ", inner, "}"),
        joined("(", inner, ", ", inner, ")"),
        joined("(not ", inner, ")"),
        joined("(-", inner, ")"),
        joined("(", inner, " ** 3)"),
        joined("(", inner, " << 4)"),
        joined("(", inner, " >> 3)"),
    )


expressions = st.recursive(st.one_of(integers, texts, booleans, octets, st.just("None")), deeper, max_leaves=8)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(expressions)
def test_expressions(text):
    agree(f"def f():\n    return {text}")


# ── programs ──────────────────────────────────────────────────────────────────────────────────────


class Programs:
    """Random functions over a few names: integers a and b, text s, list xs, dict d."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def function(self):
        lines = ["def f():", "    a = 3", "    b = -7", "    s = 'seed'", "    xs = [5, 1, 4]", "    d = {'k': 1}"]
        lines += self.block(4, 1, loops=0)
        return "\n".join([*lines, "    return [a, b, s, xs, d]"])

    def pick(self, *choices):
        return self.random.choice(choices)

    def integer(self, depth=0):
        if depth > 2 or self.random.random() < 0.3:
            return self.pick("a", "b", "len(xs)", "len(s)", "d.get('k', 0)", str(self.random.randint(-9, 99)))
        left, right = self.integer(depth + 1), self.integer(depth + 1)
        return self.pick(
            f"({left} {self.pick('+', '-', '*', '//', '%', '&', '|', '^')} {right})",
            f"abs({left})",
            f"max({left}, {right})",
            f"sum([{left}, {right}])",
            f"({left} if {self.test()} else {right})",
            f"xs[{left}]",
            f"(-{left})",
        )

    def test(self):
        left, right = self.pick("a", "b", "len(xs)"), self.pick("b", "0", "a", "3")
        return self.pick(
            f"{left} < {right}", f"{left} == {right} or a > 5", f"not {left}", "'e' in s", f"{right} in xs"
        )

    def block(self, size, depth, loops):
        pad = "    " * depth
        lines = []
        for _ in range(self.random.randint(1, size)):
            lines += [pad + line for line in self.statement(depth, loops)]
        return lines

    def statement(self, depth, loops):
        simple = [
            lambda: [f"{self.pick('a', 'b')} = {self.integer()}"],
            lambda: [f"{self.pick('a', 'b')} {self.pick('+', '-', '*', '//', '%')}= {self.integer()}"],
            lambda: ["a, b = b, a"],
            lambda: [f"s = s[{self.integer()}:] + f'{{a}}' + s[:5]"],
            lambda: [f"s = s.replace('e', '{self.pick('', 'xy', 'é')}')"],
            lambda: [f"xs.append({self.integer()})"],
            lambda: [f"xs = [x + 1 for x in xs if x != {self.integer()}]"],
            lambda: [
                f"xs{self.pick('.reverse()', '.sort()', '.pop()', '.insert(1, a)', '[0] = b', ' += [a]', ' *= 2')}"
            ],
            lambda: [f"d[{self.pick('s[:2]', 'str(a)', repr('k'))}] = {self.integer()}"],
            lambda: ["d = {k: v + 1 for k, v in d.items()}"],
            lambda: [f"del d[{self.pick('s[:2]', repr('k'))}]"],
            lambda: [f"a = sum(d.values()) + {self.integer()}"],
            lambda: ["xs = sorted(xs)[:8] + list(range(b % 4))"],
            lambda: ["s, d['n'] = s[::-1], len(d)"],
        ]
        nested = [
            lambda: [f"if {self.test()}:", *self.inner(depth, loops), "else:", *self.inner(depth, loops)],
            lambda: [
                f"if {self.test()}:",
                *self.inner(depth, loops),
                f"elif {self.test()}:",
                *self.inner(depth, loops),
            ],
            lambda: [
                f"for {self.pick('a', 'i')} in range({self.random.randint(0, 5)}):",
                *self.inner(depth, loops + 1),
            ],
            lambda: ["for i, x in enumerate(xs[:4]):", *self.inner(depth, loops + 1)],
            lambda: ["for x, y in zip(xs[:3], s):", *self.inner(depth, loops + 1)],
            lambda: ["for k in d:", *self.inner(depth, loops + 1)],
            lambda: ["n = 0", "while n < 3:", "    n += 1", *self.inner(depth, loops + 1)],
        ]
        leaving = [lambda: ["break"], lambda: ["continue"], lambda: [f"if {self.test()}:", "    return [a, s]"]]
        kinds = simple + (nested if depth < 4 else []) + (leaving if loops else [])
        return self.random.choice(kinds)()

    def inner(self, depth, loops):
        return ["    " + line[4 * (depth + 1) :] for line in self.block(2, depth + 1, loops)]


def test_programs():
    kinds = [agree(Programs(seed).function()) for seed in range(1_500)]
    assert kinds.count("value") > 500
    assert kinds.count("failure") > 100
