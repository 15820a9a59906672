"""Attacks on the language that are a few lines each, grouped by where they aim: beside those of `test_cases`, which are
files. What is refused is refused at its place, what fails fails with its code, what is fine gives its value."""

import pytest

from contracts import check
from contracts.testing import LocalChain

IMPORTS = "from contracts import Contract, Decimal, Value, call, require\n"
BELOW = "\nclass Box(Contract):\n    @call\n    def run(self) -> Value:\n        return attack()\n"
GAS = 50_000_000


def source(text):
    return IMPORTS + text + BELOW


def run(text):
    chain = LocalChain("mallory")
    chain.deploy(source(text), "box", sender="mallory")
    return chain.call("mallory", "box", "run", gas_limit=GAS, check=False)


def attack(body):
    return "def attack():\n" + "".join([f"    {line}\n" for line in body.split("\n")])


# (what stands in the module or in the function, line:column below the import, code)
REFUSED = [
    # names that would hide the host's, or the language's
    ("@(x := (lambda f: f))\ndef g():\n    return 1\ndef attack():\n    return g()", "2:3", "not_allowed"),
    ("def attack():\n    return [y for x in [1] if (y := x)]", "3:32", "not_allowed"),
    ("def run_it(len):\n    return len\ndef attack():\n    return run_it(1)", "2:12", "name"),
    ("def range(n):\n    return [n]\ndef attack():\n    return range(1)", "2:1", "name"),
    ("len = 3\ndef attack():\n    return len", "2:1", "name"),
    ("from contracts import Map as __g\ndef attack():\n    return 1", "2:23", "not_allowed"),
    ("from contracts import *\ndef attack():\n    return 1", "2:23", "unknown_name"),
    ("from contracts.engine import Engine\ndef attack():\n    return 1", "2:1", "not_allowed"),
    ("def attack():\n    return [__g for __g in [1]]", "3:21", "name"),
    ("def attack():\n    __g: int = 1\n    return 1", "3:5", "name"),
    ("def attack():\n    a, *b = [1, 2]\n    return a", "3:8", "not_allowed"),
    ("def f(a, /):\n    return a\ndef attack():\n    return f(1)", "2:7", "not_allowed"),
    ("def f[T](x: T):\n    return x\ndef attack():\n    return f(1)", "2:6", "not_allowed"),
    # what calls or reads without a call in the text
    (
        "class X:\n    def __class_getitem__(cls, item):\n        return 42\ndef attack():\n    return X[1]",
        "2:1",
        "structure",
    ),
    ("class X(list):\n    pass\ndef attack():\n    return X()", "2:1", "structure"),
    ("class M(type):\n    pass\nclass X(metaclass=M):\n    pass\ndef attack():\n    return 1", "2:1", "structure"),
    ("def attack():\n    return '{0.__class__}'.format(1)", "3:12", "unknown_name"),
    ("def attack():\n    return str.format('{0.__class__}', 1)", "3:12", "unknown_name"),
    ("def attack():\n    return f'{1!r}'", "3:13", "not_allowed"),
    ("def attack():\n    return attack.__globals__['x']", "3:12", "not_allowed"),
    # state outside the state
    ("LOG = []\ndef attack():\n    LOG.append(1)\n    return 1", "2:7", "not_allowed"),
    ("T = ([1],)\ndef attack():\n    return 1", "2:5", "not_allowed"),
    ("def bump(d={}):\n    return d\ndef attack():\n    return bump()", "2:12", "not_allowed"),
    ("N = 0\ndef attack():\n    global N\n    return N", "4:5", "not_allowed"),
    # what would depend on the machine
    ("def attack():\n    return hash('a')", "3:12", "unknown_name"),
    ("def attack():\n    return () is ()", "3:12", "not_allowed"),
    ("def attack():\n    return {'a': 1}.keys() - {'a': 1}.keys()", "3:12", "not_allowed"),
    ("def attack():\n    return {'a': 1}.popitem()", "3:12", "unknown_name"),
    ("def attack():\n    return 1e400", "3:12", "not_allowed"),
    ("def attack():\n    return '\\d'", "3:13", "not_allowed"),
    ("def attack():\n    return '\\777'", "3:13", "not_allowed"),
    ("def attack():\n    return '\\ud800'", "3:13", "character"),
    ("def attack():\n    return t'{1}'", "3:12", "not_allowed"),
    ("def attack():\n    return 1if 1else 2", "3:12", "not_allowed"),
    # what would swallow a failure
    ("def attack():\n    try:\n        return 1\n    finally:\n        return 2", "3:5", "not_allowed"),
    ("def attack():\n    while True:\n        pass\n    else:\n        return 1", "6:9", "not_allowed"),
    ("def attack():\n    raise ValueError('a') from KeyError('b')", "3:5", "not_allowed"),
    ("def attack():\n    raise SystemExit(0)", "3:5", "not_allowed"),
    # hidden characters: invisible, empty, or a format control
    ("def attack():\n    return 'a\u2800b'", "3:14", "character"),
    ("def attack():\n    return 1  # \U0001d173", "3:17", "character"),
    ("def attack():\n    return 'a\u00adb'", "3:14", "character"),
    ("def attack():\n    return '\U000e0041'", "3:13", "character"),
]


@pytest.mark.parametrize(("text", "place", "code"), REFUSED, ids=range(len(REFUSED)))
def test_it_is_refused_at_its_place(text, place, code):
    problems = check(source(text))
    assert (place, code) in [(f"{problem.line}:{problem.column}", problem.code) for problem in problems]
    assert all(problem.message for problem in problems)


FAILS = [
    ("return (10 ** 10 ** 8) % 7", "arithmetic"),
    ("return pow(3, 10**100000, 7)", "arithmetic"),
    ("x = 1\nx <<= 10**10\nreturn x", "arithmetic"),
    ("return pow(3, -1, 7)", "arithmetic"),
    ("return 2 ** -1", "arithmetic"),
    ("return int.from_bytes(b'\\xff' * 100000, 'big') % 7", "arithmetic"),
    ("return len(10**10 * 'a')", "size_limit"),
    ("return len([['x' * 1000] * 1000] * 10**6)", "size_limit"),
    ("return sum(range(10**11))", "size_limit"),
    ("return len(tuple(range(10**10)))", "size_limit"),
    ("a = [1]\nwhile True:\n    a.extend(a)", "size_limit"),
    ("d = {}\ni = 0\nwhile True:\n    d[i] = d\n    i += 1", "size_limit"),
    ("s = 'aa'\nwhile True:\n    s = s.replace('a', 'aa')", "size_limit"),
    ("return len('1'.zfill(2**255))", "size_limit"),
    # one text many times over: written out it would be twelve gigabytes, and no call of the host survives that
    ("return ['x' * 200_000] * 60_000", "size_limit"),
    ("return {'a': [[b'x' * 200_000] * 60_000]}", "size_limit"),
    ("return {('k' * 200_000) + str(i): 0 for i in range(50)}", "size_limit"),
    ("return [[i] * 60_000 for i in range(5)]", "size_limit"),
    ("a = ()\nb = ()\nfor i in range(9999):\n    a = (a,)\n    b = (b,)\nreturn a < b", "size_limit"),
    ("d = {}\nd['d'] = d\nreturn d == d", "size_limit"),
    ("n = 0\nwhile True:\n    for i in reversed(range(2**255)):\n        n = i", "out_of_gas"),
    ("while 'x':\n    continue", "out_of_gas"),
    ("a = [1]\nfor x in a:\n    a.insert(0, x)", "out_of_gas"),
    ("a = (1,)\nfor i in range(14):\n    a = (a, a)\nwhile a == a:\n    pass", "out_of_gas"),
    ("a = []\nfor i in range(100):\n    a = [a]\nreturn a", "bad_type"),
    ("a = []\na.append(a)\nreturn str(a)", "bad_type"),
    ("return {(1, 2): 3}", "bad_type"),
    ("return sorted([1, 'a', None])", "bad_type"),
    ("return {i * (2**61 - 1): 0 for i in range(30000)}", "bad_value"),
    ("d = {0: 0}\nfor k in d:\n    d[k + 1] = 0", "bad_value"),
    ("return int(' 1_000 ')", "bad_value"),
    ("return chr(0xD800)", "bad_value"),
    ("return b'\\xff'.decode()", "bad_value"),
    ("return chr(0x1C89).lower()", "bad_value"),
    ("return '\\u180ea'.strip()", "bad_value"),
    ("if False:\n    x = 1\nreturn x", "unassigned"),
    ("return {'a': 1}['b']", "key_error"),
    ("return [1, 2][2]", "index_error"),
    ("raise ValueError('no funds')", "failed"),
]


@pytest.mark.parametrize(("body", "code"), FAILS, ids=range(len(FAILS)))
def test_it_fails_with_its_code(body, code):
    outcome = run(attack(body))
    assert outcome.code == code
    assert " at 0x" not in outcome.message
    assert code != "out_of_gas" or outcome.gas == GAS


FINE = [
    ("n = 0\nfor i in range(10):\n    if i == 5:\n        continue\n    n += i\nreturn n", 40),
    ("d = {'a': 1, 'b': 2}\nd.pop('a')\nd['a'] = 4\nreturn list(d.keys())", ["b", "a"]),
    ("a = [1, 2, 3, 4]\nfor x in a:\n    a.remove(x)\nreturn a", [2, 4]),
    ("d = {'a': 1, 'b': 2}\nfor k in d:\n    d[k] = d[k] + 1\nreturn d", {"a": 2, "b": 3}),
    ("return [[i, x, y] for i, (x, y) in enumerate(zip(['a', 'b'], reversed([1, 2])))]", [[0, "a", 2], [1, "b", 1]]),
    ("return 1 >> 2**255", 0),
    ("return len('a' * -(10**10)) + len('' * 10**10)", 0),
    ("return [7 // 2, -7 // 2, -7 % 3, ~7, -(-3), 0xff, 1_000]", [3, -4, 2, -8, 3, 255, 1000]),
    ("return 'h\u00e9llo \u65e5\u672c'", "h\u00e9llo \u65e5\u672c"),
    ("a, (b, c) = 1, (2, 3)\na, b = b, a\n[d, e] = [4, 5]\nreturn [a, b, c, d, e]", [2, 1, 3, 4, 5]),
    ("gas = meter = self_ = type_ = match = case = _ = 1\nreturn gas + meter + self_ + type_ + match + case + _", 7),
    ("return [1 < 2 < 3, 1 < 2 > 1, 1 == 1 != 2]", [True, True, True]),
]


@pytest.mark.parametrize(("body", "value"), FINE, ids=range(len(FINE)))
def test_what_is_fine_gives_its_value(body, value):
    outcome = run(attack(body))
    assert (outcome.code, outcome.result) == ("ok", value)
