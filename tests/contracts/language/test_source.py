"""What is decided about a text before the parser sees it: no text may make the parser overflow, dawdle or guess."""

import time

import pytest

from contracts import check
from contracts.language import SourceRefused, compile_source, limits, source

GOOD = "from contracts import Contract\nclass A(Contract):\n    pass\n"


def codes_of(text):
    return [problem.code for problem in source.inspect(text)[0]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "x = 1\n",
        "x = (\n    1,\n\n    2)\n",
        "def f():\n    if a:\n        b\n    # comment\n\n    c\n",
        "x = 'a' \"b\" '''c\n\nd''' \"\"\"e 'f' \"\"\"\n",
        "x = r'\\d' + b'\\x00' + rb'\\d' + f'{x}' + 'é中' # é中\n",
        "x = '\\n\\t\\\\\\'\\x41\\u00e9\\101'\n",
        "x = f'{a[\"k\"]} {b(1, 2)} {{}} {c[1:2]}'\n",
        "x = 0xff + 0b1 + 0o7 + 1_000\n",
        "a = {'x': -1, 'y': [1, 2]}\n",
        "type = 1\nmatch = type\n",
    ],
)
def test_what_may_be_parsed(text):
    assert codes_of(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1.5", "not_allowed"),
        ("x = 1.", "not_allowed"),
        ("x = 1e5", "not_allowed"),
        ("x = 1j", "not_allowed"),
        ("x = 1if y else 2", "not_allowed"),
        ("x = 'a", "lexical"),
        ("x = 'a\n'", "lexical"),
        ("x = '''a", "lexical"),
        ("x = (1", "lexical"),
        ("x = 1)", "lexical"),
        ("x = (1]", "lexical"),
        ("x = $", "lexical"),
        ("x = é", "character"),
        ("x = '\u202e'", "character"),
        ("x = 1 # \u2066", "character"),
        ("x = '\u200b'", "character"),
        ("\ufeffx = 1", "character"),
        ("x\t= 1", "character"),
        ("x = 1\x00", "character"),
        ("x = 1\x0c", "character"),
        ("x = 1\r", "character"),
        ("x = '\\q'", "not_allowed"),
        ("x = '\\N{BULLET}'", "not_allowed"),
        ("x = '\\ud800'", "character"),
        ("x = '\\U00110000'", "character"),
        ("x = '\\400'", "not_allowed"),
        ("x = b'é'", "character"),
        ("x = b'\\u0041'", "not_allowed"),
        ("x = u'a'", "not_allowed"),
        ("x = t'a'", "not_allowed"),
        ("x = fr'a'", "not_allowed"),
        ("x = f'{'a'}'", "lexical"),
        ("x = f'{a!r}'", "not_allowed"),
        ("x = f'{a:5}'", "not_allowed"),
        ("x = f'{a = }'", "not_allowed"),
        ("x = f'{a\\n}'", "not_allowed"),
        ("x = f'''{a\n}'''", "not_allowed"),
        ("x = f'{ }'", "lexical"),
        ("x = f'{a'", "lexical"),
        ("x = f'a}'", "lexical"),
        ("x = f'{é}'", "character"),
        ("x = f'{t\"a\"}'", "not_allowed"),
        ("x = 1 + \\\n 2", "not_allowed"),
        ("# coding: utf-8\nx = 1", "encoding"),
        ("x = 1\n# -*- coding: latin-1 -*-", "encoding"),
        ("def f[T](x):\n    pass", "not_allowed"),
        ("type X = int", "not_allowed"),
        ("type X[T] = int", "not_allowed"),
        ("x = lambda: 1", "not_allowed"),
        ("x = " + "9" * 81, "too_large"),
        ("x = f'{" + "9" * 81 + "}'", "too_large"),
        ("x" * 64 + " = 1", "name"),
        ("x = " + "1," * 20_001, "too_large"),
        ("x = [" + "1,\n" * 9_000 + "]", "too_large"),
        ("x = " + "(" * 25 + ")" * 25, "too_deep"),
        ("x = " + "-" * 101 + "1", "too_deep"),
        ("x = " + "not " * 101 + "1", "too_deep"),
        ("x = " + "a." * 101 + "b", "too_deep"),
        ("x = a" + "()" * 101, "too_deep"),
        ("x = a" + "[0]" * 101, "too_deep"),
        ("x = 1" + " if 1 else 1" * 51, "too_deep"),
        ("x = " + "a(-" * 24 + "1" + "-1" * 80 + ")" * 24, "too_deep"),
        ("x = f'{" + "-" * 101 + "1}'", "too_deep"),
        ("".join([f"{' ' * level}if x:\n" for level in range(14)]) + " " * 14 + "y", "too_deep"),
        ("if x:\n    pass\n" + "elif x:\n    pass\n" * 65, "too_deep"),
    ],
)
def test_what_may_not(text, code):
    assert code in codes_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * (1 << 20),
        "[" * 60_000,
        "-" * 39_000 + "1",
        "x = " + "~" * 30_000 + "1",
        "'" * 60_001,
        "f'{" * 20_000,
        "if x:\n" * 10_000,
        "a" * 39_000,
        "\\" * 39_000,
        "'\\" * 19_000,
        "1" * 39_000,
        "\n" * 65_000,
        "#" * 39_000,
        "{" * 23 + "x" + ":" * 20_000,
        "x = " + "[" * 24 + "]" * 24,
        "a=" * 19_000 + "1",
        "a;" * 19_000,
        "@a\n" * 5_000,
        "x = " + "'a' " * 9_000,
        "x = " + "f'{a}' " * 5_000,
        "x = {" + "a:b," * 8_000 + "}",
        "class A(Contract):\n" + "    x: Var[int]\n" * 3_500,
        "print(1)\n" * 7_000,
        "\u202e" * 20_000,
    ],
)
def test_no_text_takes_long(text):
    started = time.process_time()
    assert check(text)
    assert time.process_time() - started < 1.0


def test_limits_of_size_and_encoding():
    filler = "#" * 100 + "\n"
    full = GOOD + filler * ((limits.SOURCE_BYTES_MAX - len(GOOD)) // len(filler))
    assert check(full) == []
    assert [problem.code for problem in check(full + filler)] == ["too_large"]
    assert [problem.code for problem in check(full[:-60].replace("#", "é"))] == ["too_large"]
    assert [problem.code for problem in check(b"\xff")] == ["encoding"]
    assert [problem.code for problem in check(b"x" * (1 << 20))] == ["too_large"]
    assert [problem.code for problem in check("x = '\ud800'")] == ["encoding"]
    assert check(GOOD.encode()) == []


def test_windows_line_ends_are_read_as_line_ends():
    assert check(GOOD.replace("\n", "\r\n")) == []


def test_where_the_parser_stopped_is_not_in_the_text_for_a_receipt():
    with pytest.raises(SourceRefused) as caught:
        compile_source(GOOD + "x = = 1\n")
    assert str(caught.value) == "syntax: the source is not valid Python"
    assert caught.value.problems[0].line == 4


def test_columns_count_characters():
    text = "from contracts import Contract\nX = 'é中' + y\nclass A(Contract):\n    pass\n"
    assert [(problem.line, problem.column) for problem in check(text)] == [(2, 12)]


def test_what_is_wrong_inside_an_f_string_is_told_at_its_beginning():
    text = (
        "from contracts import Contract\nX = 1\nclass A(Contract):\n    def f(self):\n        return f'abc {1 / 2}'\n"
    )
    assert [(problem.line, problem.column) for problem in check(text)] == [(5, 16)]


def test_problems_have_a_limit():
    assert len(check("from contracts import Contract\n" + "x.y\n" * 5_000)) == limits.PROBLEMS_MAX
