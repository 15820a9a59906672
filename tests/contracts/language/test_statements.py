# ruff: noqa: E501 -- tables read better in rows
"""Statements, names and functions: what they do, where a failure is said to be, and what is refused."""

import pytest

from contracts import check

RESULTS = [
    ("x = y = [1]\ny += [2]\nreturn x", [1, 2]),
    ("x = [1]\ny = x\ny = y + [2]\nreturn x", [1]),
    ("a, (b, c) = 1, (2, 3)\nreturn [a, b, c]", [1, 2, 3]),
    ("[a, b] = [1, 2]\na, b = b, a\nreturn [a, b]", [2, 1]),
    ("d = {}\nd['a'] = 1\nd['a'] += 2\ndel d['a']\nd['b'] = 3\nreturn d", {"b": 3}),
    ("x = [1, 2, 3]\nx[0] = 9\nx[-1] *= 2\ndel x[1]\nreturn x", [9, 6]),
    ("n: int = 3\nn **= 2\nn //= 2\nn <<= 1\nn |= 1\nreturn n", 9),
    ("d = {'a': 1}\ne = d\ne |= {'b': 2}\nreturn d", {"a": 1, "b": 2}),
    ("x = [1]\ny = x\ny *= 2\nreturn x", [1, 1]),
    ("if 0:\n    return 'a'\nelif 1:\n    return 'b'\nelse:\n    return 'c'", "b"),
    ("n = 0\nwhile n < 10:\n    n += 1\n    if n == 3:\n        continue\n    if n == 5:\n        break\nreturn n", 5),
    ("t = 0\nfor i in range(10):\n    if i % 2:\n        continue\n    if i > 6:\n        break\n    t += i\nreturn t", 12),
    ("for a, b in {'x': 1}.items():\n    return [a, b]", ["x", 1]),
    ("out = []\nfor i, (a, b) in enumerate([(1, 2)]):\n    out.append([i, a, b])\nreturn out", [[0, 1, 2]]),
    ("x = [1]\nfor i in x:\n    if i < 4:\n        x.append(i + 1)\nreturn x", [1, 2, 3, 4]),
    ("d = {'a': 1, 'b': 2}\nfor k in d:\n    d[k] += 10\nreturn d", {"a": 11, "b": 12}),
    ("d = {'a': 1, 'b': 2}\nfor k, v in d.items():\n    d['b'] += v\nreturn d['b']", 6),
    ("d = {'a': 1, 'b': 2}\nfor k in d:\n    del d['b']\n    break\nreturn d", {"a": 1}),
    ("d = {'a': 1}\ne = {'a': 1}\nfor k in d:\n    e['a'] = e.pop(k) + e.pop('z', 1)\nfor k in d:\n    pass\nreturn e", {"a": 2}),
    ("for _ in range(2):\n    pass\nreturn None", None),
    ("i = 5\nx = [i for i in range(2)]\nreturn [i, x]", [5, [0, 1]]),
    ("x = [3, 1, 2]\nx.sort()\nx.reverse()\nx.insert(0, 7)\nx.extend((8,))\nx.remove(1)\nreturn x + [x.pop(), x.pop(0)]", [3, 2, 8, 7]),
    ("x = [1, 2]\nx.sort(reverse=True)\ny = x.copy()\ny.clear()\nreturn [x, y]", [[2, 1], []]),
    ("d = {'a': 1}\nd.setdefault('b', 2)\nd.update({'c': 3})\nreturn [d.pop('a'), d.pop('z', 0), list(d)]", [1, 0, ["b", "c"]]),
    ("return", None),
    ("pass", None),
    ("return self.twice(2) + half(8, by=4)", 6),
    ("return half(8)", 4),
]  # fmt: skip
HELPERS = {
    "methods": "def twice(self, n: int) -> int:\n    return n * 2",
    "above": "def half(n, by=2):\n    return n // by",
}


@pytest.mark.parametrize(("text", "expected"), RESULTS, ids=[text for text, _ in RESULTS])
def test_result(body, text, expected):
    assert body(text, **HELPERS).run() == expected


FAILED = [
    ("raise Error('no')", "failed", "no", 1),
    ("raise ValueError(f'no {1}')", "failed", "no 1", 1),
    ("x = 1\nrequire(x > 1, 'too small')", "failed", "too small", 2),
    ("require(False, 'x' * 1000)", "failed", "x" * 256, 1),
    ("require(False, 5)", "bad_type", "the message must be str, not int", 1),
    ("if False:\n    y = 1\nreturn y", "unassigned", "y has no value yet", 3),
    ("for y in []:\n    pass\nreturn y", "unassigned", "y has no value yet", 3),
    ("a, b = 1, 2, 3", "bad_value", "cannot unpack 3 items into 2 names", 1),
    ("a, b = 5", "bad_type", "cannot unpack int into 2 names", 1),
    ("d = {'a': 1}\nfor k in d:\n    d.pop(k)", "bad_value", "a dict was changed while it was iterated over", 2),
    ("d = {'a': 1}\nfor k in d:\n    d['b'] = 1", "bad_value", "a dict was changed while it was iterated over", 2),
    ("d = {'a': 1}\nfor k in d:\n    d['a'] = d.pop('a')", "bad_value", "a dict was changed while it was iterated over", 2),
    ("d = {'a': 1, 'b': 2}\nfor k in d.values():\n    del d['b']\n    d['b'] = 1", "bad_value", "a dict was changed while it was iterated over", 2),
    ("d = {'a': 1}\nfor k in d:\n    for w in d:\n        d.clear()\n        d['a'] = 1\n        break", "bad_value", "a dict was changed while it was iterated over", 2),
    ("x = (1, 2)\nx[0] = 5", "bad_type", "items of tuple cannot be assigned", 2),
    ("x = [1]\nx[5] = 1", "index_error", "index 5 of a list of 1", 2),
    ("d = {}\ndel d['a']", "key_error", "no such key 'a'", 2),
    ("x = [1]\nx += 'a'", "bad_type", "no operator + for list and str", 2),
    ("if 1:\n    if 1:\n        for i in [1]:\n            x = 1 // 0", "arithmetic", "division by zero", 4),
    ("if 0:\n    pass\nelif 1 // 0:\n    pass", "arithmetic", "division by zero", 3),
    ("x = [\n    1,\n    2 // 0,\n]", "arithmetic", "division by zero", 1),
    ("return self.twice('a') + 1", "bad_type", "no operator + for str and int", 1),
    ("a = []\na.append(a)\nreturn a", "bad_type", "the result of run is nested deeper than 16", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "message", "line"), FAILED, ids=[case[0] for case in FAILED])
def test_failure_has_its_code_its_message_and_its_line(body, text, code, message, line):
    ran = body(text, **HELPERS)
    found = ran.fail()
    first = next(method.line for method in ran.program.methods)
    assert (found.code, found.message, found.line) == (code, message, first + line)


def test_a_failure_in_a_helper_names_the_line_in_the_helper(body):
    ran = body("return self.fails()", methods="def fails(self) -> int:\n    x = 1\n    return x // 0")
    assert ran.fail().line == ran.program.methods[0].line + 4


REFUSED = [
    ("x", "no_effect"),
    ("1 + 1", "no_effect"),
    ("try:\n    pass\nexcept Error:\n    pass", "not_allowed"),
    ("try:\n    pass\nfinally:\n    pass", "not_allowed"),
    ("with x:\n    pass", "not_allowed"),
    ("assert True", "not_allowed"),
    ("global x", "not_allowed"),
    ("nonlocal x", "not_allowed"),
    ("import os", "not_allowed"),
    ("from os import path", "not_allowed"),
    ("def f():\n    pass", "not_allowed"),
    ("class C:\n    pass", "not_allowed"),
    ("match 1:\n    case 1:\n        pass", "not_allowed"),
    ("raise", "not_allowed"),
    ("raise Error", "not_allowed"),
    ("raise Error()", "arity"),
    ("raise KeyError('x')", "not_allowed"),
    ("raise Error('x') from None", "not_allowed"),
    ("for i in [1]:\n    pass\nelse:\n    pass", "not_allowed"),
    ("while False:\n    pass\nelse:\n    pass", "not_allowed"),
    ("break", "syntax"),
    ("continue", "syntax"),
    ("del x", "not_allowed"),
    ("x = [1]\ndel x[0], x[0]", "not_allowed"),
    ("x = [1]\ndel x[:]", "not_allowed"),
    ("x = [1]\nx[:] = []", "not_allowed"),
    ("x = [1]\nx[0:1] += []", "not_allowed"),
    ("x: int", "not_allowed"),
    ("x: float = 1", "annotation"),
    ("a, *b = [1, 2]", "not_allowed"),
    ("x = 1\nx /= 2", "not_allowed"),
    ("x = 1\nx @= 2", "not_allowed"),
    ("self = 1", "name"),
    ("len = 1", "name"),
    ("require = 1", "name"),
    ("half = 1", "name"),
    ("Box = 1", "name"),
    ("__g = 1", "name"),
    ("for _x in [1]:\n    pass", "name"),
    ("y = [_x for _x in [1]]", "name"),
    ("self.x = 1", "not_allowed"),
    ("self.ctx.sender = 'me'", "not_allowed"),
    ("x = 1\nx.y = 2", "not_allowed"),
    ("twice(1)", "unknown_name"),
    ("self.twice()", "arity"),
    ("self.twice(1, 2)", "arity"),
    ("half(1, of=2)", "arity"),
    ("half(1, n=2)", "arity"),
    ("self.run()", "recursion"),
    ("x = 1; x.append", "no_effect"),
    ("x = 1 \\\n  + 1", "not_allowed"),
]


@pytest.mark.parametrize(("text", "code"), REFUSED, ids=[text for text, _ in REFUSED])
def test_refused(refused, text, code):
    assert code in refused(text, **HELPERS)


def test_all_problems_are_told_at_once_and_in_order(refused):
    found = refused("x = 1 / 2\nprint(x)\nassert x\ny = z\n")
    assert found == ["not_allowed", "unknown_name", "not_allowed", "unknown_name"]


def test_recursion_tells_the_way():
    above = "from contracts import Contract\nclass Box(Contract):\n    def a(self):\n        return self.{}()\n"
    direct, around = above.format("a"), above.format("b") + "    def b(self):\n        return self.a()\n"
    assert [str(problem) for problem in check(direct)] == ["4:16: recursion: a calls itself: there is no recursion"]
    assert [str(problem) for problem in check(around)] == [
        "6:16: recursion: a calls itself, by way of b: there is no recursion"
    ]


def test_recursion_by_way_of_another_is_refused(refused):
    methods = "def a(self):\n    return self.b()\ndef b(self):\n    return half(1) + self.a()"
    assert refused("return self.a()", methods=methods, above="def half(n):\n    return n") == ["recursion"]


def test_calls_nested_too_deep_are_refused_and_shallower_ones_run(body, refused):
    def chain(length):
        steps = [f"def f{place}(n):\n    return f{place + 1}(n)" for place in range(length)]
        return "\n".join([*steps, f"def f{length}(n):\n    return n"])

    assert body("return f0(5)", above=chain(40)).run() == 5
    assert set(refused("return f0(5)", above=chain(100))) == {"too_deep"}


def test_expressions_nested_too_deep_are_refused(body, refused):
    assert body("return " + "-" * 30 + "1").run() == 1
    assert refused("return " + "-" * 60 + "1") == ["too_deep"]
    assert refused("return " + "(" * 40 + "1" + ")" * 40) == ["too_deep"]
    assert set(refused("return " + " + ".join("1" * 99))) == {"too_deep"}


def test_the_message_of_require_is_computed_either_way_as_in_python(body):
    assert body("require(True, f'{1 // 0}')\nreturn 1").fail().code == "arithmetic"
    assert body("require(False, f'{1 // 0}')\nreturn 1").fail().code == "arithmetic"
    assert body("require(True, f'{1 // 1}')\nreturn 1").run() == 1
