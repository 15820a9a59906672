# ruff: noqa: E501 -- tables read better in rows
"""Every expression of the language, its value or its failure; and beside it what is refused or fails."""

import pytest

from contracts import codes
from contracts.language import Failure, Meter, values

BIG = 2**256 - 1

VALUES = [
    ("None", None),
    ("1_000", 1000),
    ("0xff + 0b11 + 0o7", 255 + 3 + 7),
    ("-5 // 2, -5 % 2, 5 // -2", [-3, 1, -3]),
    ("2 ** 255", 2**255),
    (f"{BIG} - 1", BIG - 1),
    ("(-1) ** 10**30", 1),
    (f"-{BIG} | -2, {BIG} & {BIG - 1}, -{BIG} ^ {BIG - 1}", [-BIG | -2, BIG - 1, -BIG ^ (BIG - 1)]),
    ("b' a  b '.split(), b'a b c'.split(None, 1)", [[b"a", b"b"], [b"a", b"b c"]]),
    (f"list(enumerate('ab', {BIG - 1}))", [[BIG - 1, "a"], [BIG, "b"]]),
    ("0 ** 0", 1),
    ("1 << 255", 1 << 255),
    ("-9 >> 400", -1),
    ("0 << 10 ** 40", 0),
    ("6 & 3 | 8 ^ 1", 6 & 3 | 8 ^ 1),
    ("~7", -8),
    ("+3, -3", [3, -3]),
    ("True & False, True | False, True ^ True", [False, True, False]),
    ("'a' + 'b' * 3", "abbb"),
    ("3 * b'x'", b"xxx"),
    ("[1] + [2] * 2", [1, 2, 2]),
    ("(1,) + (2, 3)", [1, 2, 3]),
    ("'a' * -1", ""),
    ("{'a': 1} | {'b': 2}", {"a": 1, "b": 2}),
    ("1 < 2 < 3 <= 3", True),
    ("3 > 2 > 2", False),
    ("'a' < 'b', b'a' >= b'b'", [True, False]),
    ("[1, 'a'] < [1, 'b']", True),
    ("(1, 2) == (1, 2), [1] == (1,), 1 == True, 'a' == b'a'", [True, False, True, False]),
    ("{'a': [1]} == {'a': [1]}, {'a': 1} != {'a': 2}", [True, True]),
    ("None is None, 1 is not None", [True, True]),
    ("2 in [1, 2], 3 not in (1, 2), 'b' in 'abc', 'k' in {'k': 1}, b'b' in b'abc'", [True] * 5),
    ("[1] in [[1], [2]]", True),
    ("0 or 'x', 1 and '', not 0, not [1]", ["x", "", True, False]),
    ("1 if [] else 2", 2),
    ("[1, 2, 3][0], [1, 2, 3][-1], (1, 2)[1], 'abc'[1], b'abc'[1], {'a': 5}['a']", [1, 3, 2, "b", 98, 5]),
    ("'abcdef'[1:4], [1, 2, 3][::-1], b'abc'[-2:], (1, 2, 3)[:2]", ["bcd", [3, 2, 1], b"bc", [1, 2]]),
    ("'abc'[5:], 'abc'[-10 ** 30:10 ** 30]", ["", "abc"]),
    ("f'{1 + 1} of {\"x\"} {True} {None} {{}}'", "2 of x True None {}"),
    ("'tab\\t' 'joined' f'{1}'", "tab\tjoined1"),
    ("[i * i for i in range(6) if i % 2 == 0 if i]", [4, 16]),
    ("[(a, b) for a in range(2) for b in 'xy']", [[0, "x"], [0, "y"], [1, "x"], [1, "y"]]),
    ("{str(k): v for k, v in [(1, 2), (3, 4)]}", {"1": 2, "3": 4}),
    ("[k for k in {'b': 1, 'a': 2}]", ["b", "a"]),
    ("list({'b': 1}.items()), list({'b': 1}.keys()), sum({'b': 1}.values())", [[["b", 1]], ["b"], 1]),
    ("list(enumerate('ab', 5)), list(zip([1, 2], 'xyz')), list(reversed([1, 2]))", [[[5, "a"], [6, "b"]], [[1, "x"], [2, "y"]], [2, 1]]),
    ("list(range(3)), list(range(5, 1, -2)), list(reversed(range(3)))", [[0, 1, 2], [5, 3], [2, 1, 0]]),
    ("list(range(10 ** 30, 10 ** 30 + 1))", [10**30]),
    ("tuple([1]), list((1,)), tuple(), list(), list(b'ab')", [[1], [1], [], [], [97, 98]]),
    ("sum([1, 2]), min([3, 1, 2]), max('a', 'c', 'b'), any([0, 1]), all([])", [3, 1, "c", True, True]),
    ("sorted([3, 1, 2]), sorted('ba', reverse=True), sorted([(1, 'b'), (1, 'a')])", [[1, 2, 3], ["b", "a"], [[1, "a"], [1, "b"]]]),
    ("len('é'), len([1]), len({}), abs(-4), divmod(-7, 2), pow(2, 10), pow(3, 200, 13)", [1, 1, 0, 4, [-4, 1], 1024, pow(3, 200, 13)]),
    ("str(5), str(True), str(None), str('x'), str()", ["5", "True", "None", "x", ""]),
    ("int('-12'), int('+3'), int(True), int()", [-12, 3, 1, 0]),
    ("bool([]), bool('x'), bool()", [False, True, False]),
    ("bytes(2), bytes([1, 255]), bytes.fromhex('00ff'), bytes()", [b"\0\0", b"\x01\xff", b"\0\xff", b""]),
    ("int.from_bytes(b'\\x01\\x00'), int.from_bytes(b'\\x01\\x00', 'little')", [256, 1]),
    ("(258).to_bytes(2), (5).bit_length()", [b"\x01\x02", 3]),
    ("ord('a'), chr(233)", [97, "é"]),
    ("dict(), dict({'a': 1})", [{}, {"a": 1}]),
    ("isinstance('a', str), isinstance(True, int), isinstance(1, (str, bytes))", [True, True, False]),
    ("sha256(b'').hex()[:8]", "e3b0c442"),
    ("self.ctx.sender, self.ctx.height, self.ctx.time, self.ctx.transaction_id, self.ctx.contract", ["ada", 7, 1234, "ff00", "box"]),
    ("self.call('token', 'pay', [1, (2,)])", ["token", "pay"]),
    ("'a,b,c'.split(','), 'a b '.split(), 'a,b,c'.split(',', 1)", [["a", "b", "c"], ["a", "b"], ["a", "b,c"]]),
    ("'x'.join(['a', 'b']), 'aXb'.replace('X', 'yy'), 'aaa'.replace('a', 'b', 2), 'ab'.replace('', '-')", ["axb", "ayyb", "bba", "-a-b-"]),
    ("'Ab'.upper(), 'Ab'.lower(), ' a '.strip(), 'xax'.lstrip('x'), 'xax'.rstrip('x')", ["AB", "ab", "a", "ax", "xa"]),
    ("'ab'.startswith('a'), 'ab'.endswith('a'), 'abab'.find('b'), 'abab'.rfind('b'), 'abab'.count('ab')", [True, False, 1, 3, 2]),
    ("'12'.isdigit(), 'a1'.isalpha(), 'a1'.isalnum(), 'a'.islower(), 'a'.isupper(), 'é'.isascii()", [True, False, True, True, False, False]),
    ("'7'.zfill(3), '7'.rjust(3, '.'), '7'.ljust(3)", ["007", "..7", "7  "]),
    ("'é'.encode(), b'\\xc3\\xa9'.decode(), b'\\x01'.hex()", ["é".encode(), "é", "01"]),
    ("'a=b'.partition('='), 'prefix'.removeprefix('pre'), 'a.py'.removesuffix('.py')", [["a", "=", "b"], "fix", "a"]),
    ("[1, 2, 1].count(1), (1, 2).index(2), [1].copy()", [2, 1, [1]]),
    ("{'a': 1}.get('a'), {'a': 1}.get('b'), {'a': 1}.get('b', 0), {'a': 1}.copy()", [1, None, 0, {"a": 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text for text, _ in VALUES])
def test_value(value, text, expected):
    result = value(text)
    assert untupled(result) == expected


def untupled(result):
    """As the result is encoded: tuples are lists."""
    if isinstance(result, (list, tuple)):
        return [untupled(item) for item in result]
    return result


FAILURES = [
    ("1 // 0", "arithmetic"),
    ("1 % 0", "arithmetic"),
    ("divmod(1, 0)", "arithmetic"),
    (f"{BIG} + 1", "arithmetic"),
    (f"-{BIG} - 1", "arithmetic"),
    (f"-{BIG} & -2", "arithmetic"),  # one below the smallest
    (f"-{BIG} ^ 1", "arithmetic"),
    (f"list(enumerate('ab', {BIG}))", "arithmetic"),
    ("self.call(5, 'pay', [1 // 0])", "arithmetic"),  # arguments come first
    ("None.append(1 // 0)", "bad_type"),  # but for a method that is not there
    ("[].append(1 // 0)", "arithmetic"),
    ("[1].pop(0, 1 // 0)", "arithmetic"),
    ("[1].pop(0, 1)", "bad_type"),
    ("{'a': 1}.pop()", "bad_type"),
    ("2 ** 256", "arithmetic"),
    ("2 ** 128 * 2 ** 128", "arithmetic"),
    ("2 ** -1", "arithmetic"),
    ("3 ** 10 ** 50", "arithmetic"),
    ("1 << 256", "arithmetic"),
    ("1 << -1", "arithmetic"),
    ("1 >> -1", "arithmetic"),
    ("sum([2 ** 255, 2 ** 255])", "arithmetic"),
    ("pow(2, -1, 5)", "arithmetic"),
    ("pow(2, 1, 0)", "arithmetic"),
    ("int('9' * 81)", "arithmetic"),
    ("int('9' * 80)", "arithmetic"),
    ("(256).to_bytes(1)", "arithmetic"),
    ("(-1).to_bytes(1)", "arithmetic"),
    ("int.from_bytes(b'1' * 33)", "arithmetic"),
    ("True + 1", "bad_type"),
    ("-True", "bad_type"),
    ("'a' + 1", "bad_type"),
    ("'a' - 'b'", "bad_type"),
    ("'%d' % 1", "bad_type"),
    ("'a' * 'b'", "bad_type"),
    ("True * 'a'", "bad_type"),
    ("1 < 'a'", "bad_type"),
    ("None < None", "bad_type"),
    ("True < 2", "bad_type"),
    ("{} < {}", "bad_type"),
    ("1 in 5", "bad_type"),
    ("1 in 'abc'", "bad_type"),
    ("sorted([1, 'a'])", "bad_type"),
    ("sorted([None])", "bad_type"),
    ("sorted([(1, 'a'), (1, 2)])", "bad_type"),
    ("min([True])", "bad_type"),
    ("sum(['a'])", "bad_type"),
    ("sum([True])", "bad_type"),
    ("len(5)", "bad_type"),
    ("str([1])", "bad_type"),
    ("f'{[1]}'", "bad_type"),
    ("int(None)", "bad_type"),
    ("[1]['a']", "bad_type"),
    ("[1][True]", "bad_type"),
    ("5[0]", "bad_type"),
    ("'a'['b':]", "bad_type"),
    ("{True: 1}", "bad_type"),
    ("{(1, 2): 1}", "bad_type"),
    ("{None: 1}", "bad_type"),
    ("True in {1: 1}", "bad_type"),
    ("(5).append(1)", "bad_type"),
    ("'a'.hex()", "bad_type"),
    ("[].get(1)", "bad_type"),
    ("'a'.join([1])", "bad_type"),
    ("'a'.startswith(b'a')", "bad_type"),
    ("[x for x in 5]", "bad_type"),
    ("list(range('a'))", "bad_type"),
    ("list({}.items()) + [k for k in [].keys()]", "bad_type"),
    ("self.call(1, 'pay', [])", "bad_type"),
    ("self.call('token', 'pay', (1,))", "bad_type"),
    ("self.call('token', 'pay', [{1: 2}])", "bad_type"),
    ("{2 ** 61: 1}", "bad_value"),
    ("int('1_0')", "bad_value"),
    ("int(' 1')", "bad_value"),
    ("int('')", "bad_value"),
    ("int('١')", "bad_value"),
    ("min([])", "bad_value"),
    ("ord('ab')", "bad_value"),
    ("chr(55296)", "bad_value"),
    ("bytes([256])", "bad_value"),
    ("bytes.fromhex('0')", "bad_value"),
    ("b'\\xff'.decode()", "bad_value"),
    ("'é'.upper()", "bad_value"),
    ("'é'.isalpha()", "bad_value"),
    ("'a'.split('')", "bad_value"),
    ("'a'.partition('')", "bad_value"),
    ("'a'.rjust(3, 'xy')", "bad_value"),
    ("[1].index(2)", "bad_value"),
    ("list(range(0, 5, 0))", "bad_value"),
    ("'abc'[::0]", "bad_value"),
    ("(1).to_bytes(2, 'middle')", "bad_value"),
    ("{'a': 1}['b']", "key_error"),
    ("{}.pop('a')", "key_error"),
    ("[1][1]", "index_error"),
    ("[1][2 ** 200]", "index_error"),
    ("''[0]", "index_error"),
    ("[].pop()", "index_error"),
    ("'a' * 2 ** 200", "size_limit"),
    ("[0] * 65537", "size_limit"),
    ("list(range(65537))", "size_limit"),
    ("max(range(2 ** 200))", "size_limit"),
    ("bytes(2 ** 30)", "size_limit"),
    ("'a'.ljust(2 ** 60)", "size_limit"),
    ("'a'.zfill(2 ** 60)", "size_limit"),
    ("('a' * 1000).replace('a', 'b' * 1000)", "size_limit"),
    ("('a' * 2000).join([''] * 2000)", "size_limit"),
    ("(1).to_bytes(65)", "size_limit"),
]


@pytest.mark.parametrize(("text", "code"), FAILURES, ids=[text for text, _ in FAILURES])
def test_failure(failure, text, code):
    assert failure(text) == code


REFUSED = [
    "1 / 2",
    "1.5",
    "1e3",
    "2j",
    "...",
    "a @ b",
    "unknown",
    "lambda: 1",
    "(x := 1)",
    "{1, 2}",
    "{x for x in [1]}",
    "(x for x in [1])",
    "any(x for x in [1])",
    "[*[1]]",
    "{**{}}",
    "max(*[1, 2])",
    "dict(**{})",
    "'a'.__class__",
    "'a'.upper",
    "'a'.format(1)",
    "'a'.encode('utf-16')",
    "'a'.title()",
    "f'{1!r}'",
    "f'{1:>5}'",
    "f'{1=}'",
    "f'{f\"{1}\"}'",
    "'\\d'",
    "'\\N{BULLET}'",
    "'\\ud800'",
    "u'a'",
    "1 is 1",
    "'a' is not 'b'",
    "len",
    "range(3)",
    "{}.items()",
    "[].items()",
    "enumerate([1])",
    "len()",
    "len([], [])",
    "sorted([1], key=len)",
    "print(1)",
    "eval('1')",
    "type(1)",
    "float(1)",
    "set()",
    "getattr(1, 'a')",
    "hash(1)",
    "self",
    "self.ctx",
    "self.ctx.origin",
    "self.nothing",
    "self.nothing()",
    "self.run",
    "[1][0](2)",
    "isinstance(1, x)",
    "isinstance(1, float)",
    "[1:2]",
    "[1, 2][0:1, 1]",
    "require",
    "Box",
    f"{2**256}",
    "9" * 81,
    "await x",
    "(yield 1)",
    "[x async for x in y]",
    "_secret",
    "ｅval",
    "'x\u202ey'",
    "1if 1 else 2",
    "__import__('os')",
    "[a for b in [1] for a in [a]]",
    "[a for b in [1] if a for a in [2]]",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(refused, text):
    assert refused(f"return {text}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 2", "not_allowed: the operator Div: true division makes floats; use //, or a Decimal"),
        ("print(1)", "unknown_name: print() is not known here: a contract has no output; emit an event"),
        ("{1, 2}", "not_allowed: a set: sets have no order; use a dict or a list"),
        ("nope", "unknown_name: 'nope' is not known here"),
        ("{}.items()", "not_allowed: .items() of a dict is no value; it stands after `in`, or inside list(), tuple(), sorted() and the like"),
    ],
)  # fmt: skip
def test_a_refusal_says_where_what_and_why(text, reason):
    from contracts import check

    source = f"from contracts import Contract, Value, view\nclass Box(Contract):\n    @view\n    def run(self) -> Value:\n        return {text}\n"
    assert [str(problem) for problem in check(source)] == [f"5:16: {reason}"]


def test_an_integer_outside_the_range_has_no_bytes_whatever_made_it():
    """Every operation holds its result to 256 bits; this is the last door before the state."""
    assert values.encode(Meter(100), BIG) != b""
    with pytest.raises(Failure) as caught:
        values.encode(Meter(100), BIG + 1)
    assert caught.value.code == codes.ARITHMETIC
