"""The primitives of the language, each as a few lines of a contract that do nothing else: what `gas_table` measures.

Every row gives the primitive an input that makes it do all the work that it is charged for: a search that finds
nothing, a comparison of equal texts, a sort of what is in no order. It knows no clock; a test holds it complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

TEXT_SIZES = (16, 60_000)
ITEM_SIZES = (4, 10_000)


@dataclass(frozen=True, slots=True)
class Row:
    """One primitive. `body` is run in turns, `copies` times a turn, after `setup`; n counts the turns."""

    name: str
    body: str
    setup: str = ""
    copies: int = 8
    turns_max: int = 1 << 40  # where every turn makes something larger


def rows() -> list[Row]:
    """Every row, names being unique."""
    return [
        *_names_and_displays(),
        *_integers(),
        *_decimals(),
        *_comparisons(),
        *_subscripts(),
        *_flow(),
        *_comprehensions(),
        *_functions(),
        *_text_methods(),
        *_list_methods(),
        *_dict_methods(),
        *_calls(),
    ]


# ── names, literals, displays ─────────────────────────────────────────────────────────────────────


def _names_and_displays() -> Iterator[Row]:
    yield Row("pass", "pass")
    yield Row("name = constant", "x = 1")
    yield Row("name = name", "x = y", "y = 5")
    yield Row("name = module constant", "x = LIMIT")
    yield Row("name that may be unset", "x = y", "if n >= 0:\n    y = 5")
    yield Row("a, b = b, a", "a, b = b, a", "a = 1\nb = 2")
    yield Row("(a, (b, c)) = value", "a, (b, c) = y", "y = (1, (2, 3))")
    yield Row("self.ctx.sender", "x = self.ctx.sender")
    yield Row("self.ctx.height", "x = self.ctx.height")
    for count in (0, 1, 8):
        items = ", ".join(["1"] * count)
        yield Row(f"list display of {count}", f"x = [{items}]")
        yield Row(f"tuple display of {count}", f"x = ({items}{',' * (count == 1)})")
        entries = ", ".join([f"'{key}': 1" for key in range(count)])
        yield Row(f"dict display of {count}", f"x = {{{entries}}}")
    yield Row("nested displays", "x = [[], {}, [[]], (1, [])]")
    yield Row("f-string of names", "x = f'{a} and {b}'", "a = 17\nb = 'text'")
    yield Row("f-string of 256 bits", "x = f'{a}'", "a = 2**255 - 19")
    for size in TEXT_SIZES:
        yield Row(f"f-string of {size}", "x = f'{s}{s}'", f"s = 'a' * {size}")
    yield Row("f-string of 60000 wide", "x = f'{s}'", "s = chr(233) * 60_000")


# ── integers ──────────────────────────────────────────────────────────────────────────────────────

_BITS = {
    "small": "a = 1234\nb = 77",
    "64 bits": "a = 2**62 + 12345\nb = 2**60 + 77",
    "256 bits": "a = 2**254 - 19\nb = 2**253 - 977",
    "256 by 130 bits": "a = 2**254 - 19\nb = 2**130 - 977",
}
_SYMBOLS = ("+", "-", "//", "%", "&", "|", "^", "<", "<=", ">", ">=", "==", "!=")


def _integers() -> Iterator[Row]:
    for bits, setup in _BITS.items():
        for symbol in _SYMBOLS:
            yield Row(f"int {symbol} int, {bits}", f"x = a {symbol} b", setup)
        yield Row(f"int += int, {bits}", "x = a\nx += b", setup)
    for symbol in ("+", "-", "^", "and", "or"):
        chain = f" {symbol} ".join(["a"] * 30)
        yield Row(f"30 times {symbol}", f"x = {chain}", f"a = {0 if symbol == 'or' else 12}", copies=1)
    yield Row("int * int, small", "x = a * b", _BITS["small"])
    yield Row("int * int, 128 bits", "x = a * b", "a = 2**127 - 1\nb = 2**126 - 3")
    yield Row("int ** int, small", "x = a ** 2", "a = 1234")
    yield Row("3 ** 160", "x = a ** b", "a = 3\nb = 160")
    yield Row("(2**85 - 1) ** 3", "x = a ** 3", "a = 2**85 - 1")
    yield Row("-1 ** int of 256 bits", "x = a ** b", "a = -1\nb = 2**255 + 1")
    yield Row("int << int", "x = a << b", "a = 12345\nb = 200")
    yield Row("int >> int", "x = a >> b", "a = 2**255 - 19\nb = 100")
    for symbol in ("-", "+", "~", "not "):
        yield Row(f"{symbol.strip()} int, small", f"x = {symbol}a", "a = 1234")
        yield Row(f"{symbol.strip()} int, 256 bits", f"x = {symbol}a", "a = 2**255 - 19")
    for symbol in ("&", "|", "^"):
        yield Row(f"bool {symbol} bool", f"x = a {symbol} b", "a = True\nb = False")
    yield Row("bit_length", "x = a.bit_length()", "a = 2**255 - 19")
    yield Row("to_bytes", "x = a.to_bytes(32, 'big')", "a = 2**255 - 19")
    yield Row("abs", "x = abs(a)", "a = -(2**255)")
    yield Row("divmod", "x = divmod(a, b)", _BITS["256 by 130 bits"])
    yield Row("pow of two", "x = pow(a, b)", "a = 3\nb = 160")
    yield Row(
        "pow modulo 256 bits", "x = pow(a, b, m)", "a = 2**255 - 19\nb = 2**255 - 21\nm = 2**254 + 2**255 - 1", copies=1
    )
    yield Row("pow modulo 64 bits", "x = pow(a, b, m)", "a = 2**63 - 19\nb = 2**63 - 21\nm = 2**64 - 59", copies=1)
    yield Row("pow modulo, long exponent", "x = pow(a, b, 3)", "a = 2**255 - 19\nb = 2**255 - 1", copies=1)
    yield Row("int(text), short", "x = int(s)", "s = '-17'")
    yield Row("int(text), 77 digits", "x = int(s)", "s = str(2**255)")
    yield Row("int(int)", "x = int(a)", "a = 5")
    yield Row("str(int), short", "x = str(a)", "a = 17")
    yield Row("str(int), 77 digits", "x = str(a)", "a = 2**255")
    yield Row("str(text)", "x = str(a)", "a = 'text'")
    yield Row("bool", "x = bool(a)", "a = 5")
    yield Row("int.from_bytes", "x = int.from_bytes(s, 'big')", "s = (2**255).to_bytes(32, 'big')")
    yield Row("isinstance", "x = isinstance(a, (int, str, bytes))", "a = b'x'")
    yield Row("ord", "x = ord(a)", "a = 'x'")
    yield Row("chr", "x = chr(a)", "a = 128_512")
    yield Row("len", "x = len(a)", "a = 'x'")


_DECIMALS = {
    "short": "a = Decimal('12.5')\nb = Decimal('0.75')",
    "long": "a = Decimal('123456789012345678901234.123456789012345678')\n"
    "b = Decimal('98765432109876543.000000000000000001')",
}


def _decimals() -> Iterator[Row]:
    for length, setup in _DECIMALS.items():
        for symbol in ("+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">="):
            yield Row(f"Decimal {symbol} Decimal, {length}", f"x = a {symbol} b", setup)
        yield Row(f"Decimal * int, {length}", "x = a * 7", setup)
        for name in ("round", "floor", "ceil"):
            yield Row(f"Decimal.{name}, {length}", f"x = a.{name}(2)", setup)
        yield Row(f"- Decimal, {length}", "x = -a", setup)
        yield Row(f"abs of a Decimal, {length}", "x = abs(a)", setup)
        yield Row(f"int of a Decimal, {length}", "x = int(a)", setup)
        yield Row(f"bool of a Decimal, {length}", "x = bool(a)", setup)
        yield Row(f"str of a Decimal, {length}", "x = str(a)", setup)
        yield Row(f"f-string of a Decimal, {length}", "x = f'{a}'", setup)
        yield Row(f"Decimal(text), {length}", "x = Decimal(s)", f"{setup}\ns = str(a)")
    yield Row("Decimal(int)", "x = Decimal(a)", "a = 1234")
    yield Row("sum of 300 Decimals", "x = sum(s)", "s = [Decimal('1.5')] * 300", copies=1)
    yield Row("max of 300 Decimals", "x = max(s)", "s = [Decimal('1.5')] * 300", copies=1)
    yield Row("Decimal in list of 300", "x = a in s", "a = 5\ns = [Decimal('1.5')] * 300", copies=1)
    mixed = "s = [Decimal(i * 7919 % 65_537) for i in range(20_000)]"
    yield Row("sorted() of 20000 Decimals", "x = sorted(s)", mixed, copies=1)
    yield Row("Address(hex)", "x = Address(s)", "s = 'ab' * 32")
    yield Row("Address(name)", "x = Address(s)", "s = 'token'")


# ── comparison ────────────────────────────────────────────────────────────────────────────────────


def _comparisons() -> Iterator[Row]:
    for symbol in ("==", "!=", "<", "<=", ">", ">="):
        for size in TEXT_SIZES:
            setup = f"s = 'a' * {size}\nt = 'a' * {size}"
            yield Row(f"str {symbol} str of {size}", f"x = s {symbol} t", setup)
    yield Row("str == str of 60000 wide", "x = s == t", "s = chr(233) * 60_000\nt = chr(233) * 60_000")
    yield Row("str == str of 60000 wider", "x = s == t", "s = chr(128512) * 60_000\nt = chr(128512) * 60_000")
    yield Row("bytes == bytes of 60000", "x = s == t", "s = bytes(60_000)\nt = bytes(60_000)")
    for size in ITEM_SIZES:
        yield Row(f"list == list of {size}", "x = s == t", f"s = [1] * {size}\nt = [1] * {size}")
        yield Row(f"list < list of {size}", "x = s < t", f"s = [1] * {size}\nt = [1] * {size}")
        yield Row(f"tuple == tuple of {size}", "x = s == t", f"s = (1,) * {size}\nt = (1,) * {size}")
        entries = f"{{str(i): i for i in range({size})}}"
        yield Row(f"dict == dict of {size}", "x = s == t", f"s = {entries}\nt = {entries}")
    yield Row("list of lists == the same", "x = s == t", "s = [[1]] * 300\nt = [[1]] * 300")
    yield Row("list of texts == the same", "x = s == t", "s = ['abc'] * 300\nt = ['ab' + 'c'] * 300")
    nest = "[[[[[[[[[[[[1]]]]]]]]]]]]"
    yield Row("lists twelve deep == the same", "x = s == t", f"s = {nest}\nt = {nest}")
    yield Row("max of 300 lists twelve deep", "x = max(s)", f"s = [{nest}] * 300", copies=1)
    yield Row(
        "max of 300 rows of long texts", "x = max(s)", "s = [('a' * 1_000 + str(i),) for i in range(300)]", copies=1
    )
    yield Row("a < b < c", "x = a < b < c", "a = 1\nb = 2\nc = 3")
    yield Row("is None", "x = a is None", "a = 5")
    yield Row("mixed types ==", "x = a == b", "a = 5\nb = 'x'")
    for size in ITEM_SIZES:
        yield Row(f"int in list of {size}", "x = 7 in s", f"s = [1] * {size}")
        yield Row(f"256 bits in list of {size}", "x = a in s", f"a = 2**255\ns = [2**255 + 1] * {size}")
        yield Row(f"str in tuple of {size}", "x = 'abd' in s", f"s = ('abc',) * {size}")
        yield Row(f"list in list of {size}", "x = [1] in s", f"s = [[2]] * {size}")
        yield Row(f"not in list of {size}", "x = 7 not in s", f"s = [1] * {size}")
    yield Row("long str in list of same length", "x = t in s", "t = 'a' * 5_000 + 'b'\ns = ['a' * 5_001] * 100")
    yield Row("str in dict", "x = 'abc' in d", "d = {'abd': 1}")
    yield Row("int in dict", "x = 5 in d", "d = {7: 1}")
    yield Row("long str, just made, in dict", "x = (s + 'b') in d", "d = {'abd': 1}\ns = 'a' * 60_000")
    for size in TEXT_SIZES:
        yield Row(f"str in str of {size}", "x = 'ab' in s", f"s = 'a' * {size}")
        yield Row(f"bytes in bytes of {size}", "x = b'ab' in s", f"s = b'a' * {size}")
    for length, size in ((20, 2_000), (90, 2_400), (90, 29_000), (400, 60_000), (20_000, 60_000)):
        # The last character is met everywhere, and only the last but one does not fit.
        setup = f"s = 'a' * {size}\nt = 'a' * {length - 2} + 'ba'"
        yield Row(f"hard pattern of {length} in str of {size}", "x = t in s", setup, copies=2)


# ── subscripts ────────────────────────────────────────────────────────────────────────────────────


def _subscripts() -> Iterator[Row]:
    yield Row("list[i]", "x = s[2]", "s = [1, 2, 3]")
    yield Row("tuple[i]", "x = s[-1]", "s = (1, 2, 3)")
    yield Row("str[i]", "x = s[2]", "s = 'abc'")
    yield Row("bytes[i]", "x = s[2]", "s = b'abc'")
    yield Row("dict[str]", "x = d['abc']", "d = {'abc': 1}")
    yield Row("dict[int]", "x = d[7]", "d = {7: 1}")
    yield Row("list[i] = value", "s[1] = 5", "s = [1, 2, 3]")
    yield Row("list[i] += value", "s[1] += 1", "s = [1, 2, 3]")
    yield Row("dict[str] = value", "d['abc'] = 5", "d = {'abc': 1}")
    yield Row("dict[str] += value", "d['abc'] += 1", "d = {'abc': 1}")
    yield Row("dict[new] = value", "d[turn] = turn", "d = {}", copies=1, turns_max=60_000)
    yield Row("dict[new text] = value", "d[str(turn)] = turn", "d = {}", copies=1, turns_max=60_000)
    yield Row("dict[new] = value, del", "d['b'] = 1\ndel d['b']", "d = {'a': 1}")
    yield Row("del list[0], append", "del s[0]\ns.append(1)", "s = [1] * 4")
    yield Row("del list[0] of 60000, append", "del s[0]\ns.append(1)", "s = [1] * 60_000")
    for size in TEXT_SIZES:
        yield Row(f"str[1:] of {size}", "x = s[1:]", f"s = 'a' * {size}")
        yield Row(f"str[::-1] of {size}", "x = s[::-1]", f"s = 'a' * {size}")
        yield Row(f"bytes[1:] of {size}", "x = s[1:]", f"s = bytes({size})")
        yield Row(f"bytes[::2] of {size}", "x = s[::2]", f"s = bytes({size})")
    yield Row("str[1:] narrow out of wide", "x = s[1:]", "s = chr(128512) + 'a' * 60_000")
    yield Row("dict[int] anywhere in 10000", "x = d[turn % 10_000]", "d = {i: i for i in range(10_000)}")
    yield Row("str[1:] of 60000 wide", "x = s[1:]", "s = chr(233) * 60_000")
    yield Row("str[1:] of 60000 wider", "x = s[1:]", "s = chr(128512) * 60_000")
    yield Row("str[1:] of 260000 wider", "x = s[1:]", "s = chr(128512) * 260_000")
    yield Row("bytes[1:] of 500000", "x = s[1:]", "s = bytes(500_000)")
    for size in ITEM_SIZES:
        yield Row(f"list[1:] of {size}", "x = s[1:]", f"s = [1] * {size}")
        yield Row(f"list[::-1] of {size}", "x = s[::-1]", f"s = [1] * {size}")
        yield Row(f"tuple[1:] of {size}", "x = s[1:]", f"s = (1,) * {size}")


# ── flow ──────────────────────────────────────────────────────────────────────────────────────────


def _flow() -> Iterator[Row]:
    yield Row("if", "if a:\n    pass", "a = 1")
    yield Row("if, else", "if a:\n    pass\nelse:\n    pass", "a = 0")
    ladder = "if a == 0:\n    pass\n" + "".join([f"elif a == {step}:\n    pass\n" for step in range(1, 16)])
    yield Row("elif 16 times", ladder.rstrip(), "a = 99", copies=1)
    yield Row("x if t else y", "x = 1 if a else 2", "a = 0")
    yield Row("while", "i = 0\nwhile i < 100:\n    i += 1", copies=1)
    yield Row("while, break", "while True:\n    break")
    sources = {
        "list": "s = [1] * 1_000",
        "tuple": "s = (1,) * 1_000",
        "str": "s = 'a' * 1_000",
        "wide str": "s = chr(128512) * 1_000",
        "bytes": "s = bytes(1_000)",
        "dict": "s = {i: i for i in range(1_000)}",
        "text dict": "s = {str(i): i for i in range(1_000)}",
    }
    for name, setup in sources.items():
        yield Row(f"for in {name}", "for x in s:\n    pass", setup, copies=1)
        yield Row(f"list() of {name}", "x = list(s)", setup, copies=1)
    views = {
        "range": "range(1_000)",
        "range of 256 bits": "range(2**255, 2**255 + 1_000)",
        "enumerate": "enumerate(s)",
        "zip": "zip(s, s)",
        "zip of 8": "zip(s, s, s, s, s, s, s, s)",
        "reversed": "reversed(s)",
        "reversed range": "reversed(range(1_000))",
        "keys": "d.keys()",
        "values": "d.values()",
        "items": "d.items()",
    }
    setup = "s = [1] * 1_000\nd = {str(i): i for i in range(1_000)}"
    for name, view in views.items():
        yield Row(f"for in {name}", f"for x in {view}:\n    pass", setup, copies=1)
        yield Row(f"list() of {name}", f"x = list({view})", setup, copies=1)
    yield Row("for with continue", "for x in s:\n    continue", "s = [1] * 1_000", copies=1)
    yield Row("for over nothing", "for x in s:\n    pass", "s = []")
    yield Row("for x, y in pairs", "for x, y in s:\n    pass", "s = [(1, 2)] * 1_000", copies=1)
    yield Row("require", "require(a, 'no')", "a = 1")


def _comprehensions() -> Iterator[Row]:
    for size in ITEM_SIZES:
        setup = f"s = [1] * {size}"
        yield Row(f"[x for] of {size}", "x = [i for i in s]", setup, copies=1)
        yield Row(f"[x + 1 for if] of {size}", "x = [i + 1 for i in s if i]", setup, copies=1)
        yield Row(f"{{k: v for}} of {size}", "x = {i: i for i in range(k)}", f"k = {size}", copies=1)
    yield Row("[for for]", "x = [i for i in s for j in s]", "s = [1] * 30", copies=1)
    yield Row("[[] for]", "x = [[] for i in s]", "s = [1] * 1_000", copies=1)
    yield Row("[{} for]", "x = [{} for i in s]", "s = [1] * 1_000", copies=1)


# ── functions ─────────────────────────────────────────────────────────────────────────────────────


def _functions() -> Iterator[Row]:
    for size in ITEM_SIZES:
        setup = f"s = [1] * {size}"
        for name in ("list", "tuple", "sum", "all", "max", "min"):
            yield Row(f"{name}() of {size}", f"x = {name}(s)", setup, copies=2)
        yield Row(f"any() of {size}", "x = any(s)", f"s = [0] * {size}", copies=2)
        mixed = f"s = [i * 7919 % 65_537 for i in range({size})]"
        yield Row(f"sorted() of {size}", "x = sorted(s)", mixed, copies=1)
        yield Row(f"sorted(reverse) of {size}", "x = sorted(s, reverse=True)", mixed, copies=1)
        texts = f"s = [str(i * 7919 % 65_537) for i in range({size})]"
        yield Row(f"sorted() of {size} texts", "x = sorted(s)", texts, copies=1)
        alike = f"s = ['a' * 60 + str(i * 7919 % 65_537) for i in range({size})]"
        yield Row(f"sorted() of {size} long texts", "x = sorted(s)", alike, copies=1)
        pairs = f"s = [(1, str(i * 7919 % 65_537)) for i in range({size})]"
        yield Row(f"sorted() of {size} pairs", "x = sorted(s)", pairs, copies=1)
        ordered = f"s = [i for i in range({size})]"
        yield Row(f"sorted() of {size} in order", "x = sorted(s)", ordered, copies=1)
        yield Row(f"bytes() of {size} items", "x = bytes(s)", setup, copies=2)
        yield Row(f"dict() of {size}", "x = dict(d)", f"d = {{i: i for i in range({size})}}", copies=2)
    yield Row("max of two", "x = max(a, 7)", "a = 1")
    yield Row("min of two texts", "x = min(a, 'b')", "a = 'a'")
    yield Row("max of 300 texts", "x = max(s)", "s = ['abc'] * 300", copies=1)
    for size in (0, 32, *TEXT_SIZES):
        yield Row(f"sha256 of {size}", "x = sha256(s)", f"s = bytes({size})")
        yield Row(f"bytes({size})", f"x = bytes({size})")
        yield Row(f"bytes.fromhex of {2 * size}", "x = bytes.fromhex(s)", f"s = 'ab' * {size}")
    yield Row("bytes(400000)", "x = bytes(400_000)")


# ── methods of values ─────────────────────────────────────────────────────────────────────────────


def _text_methods() -> Iterator[Row]:
    for size in TEXT_SIZES:
        for kind, quote in (("str", "'"), ("bytes", "b'")):
            yield from _methods_of_both(kind, quote, size)
        yield from _methods_of_str(size)
        setup = f"s = b'a' * {size}"
        yield Row(f"bytes.hex of {size}", "x = s.hex()", setup)
        yield Row(f"bytes.decode of {size}", "x = s.decode()", setup)
    yield Row("bytes.decode of 60000 wide", "x = s.decode()", "s = (chr(233) * 30_000).encode()")
    yield Row("bytes.decode of 60000 wider", "x = s.decode()", "s = (chr(128512) * 15_000).encode()")
    yield Row("str.encode of 60000 wide", "x = s.encode()", "s = chr(233) * 60_000")
    yield Row("str.encode of 60000 wider", "x = s.encode()", "s = chr(128512) * 60_000")
    yield Row("str * int of 60000 wide", "x = s * 60_000", "s = chr(233)")
    yield Row("str * int of 60000 wider", "x = s * 60_000", "s = chr(128512)")
    yield Row("str + str of 60000 wider", "x = s + s", "s = chr(128512) * 30_000")
    yield Row("strip of 64 characters", "x = s.strip(t)", "s = 'b' * 60_000\nt = 'a' * 63 + 'b'")
    yield Row("strip of 64 wide characters", "x = s.strip(t)", "s = chr(233) * 60_000\nt = chr(234) * 63 + chr(233)")
    for length, size in ((20, 2_000), (90, 29_000), (20_000, 60_000)):
        setup = f"s = 'a' * {size}\nt = 'a' * {length - 2} + 'ba'"
        mirrored = f"s = 'a' * {size}\nt = 'ab' + 'a' * {length - 2}"
        yield Row(f"find of hard {length} in {size}", "x = s.find(t)", setup, copies=1)
        yield Row(f"count of hard {length} in {size}", "x = s.count(t)", setup, copies=1)
        yield Row(f"split of hard {length} in {size}", "x = s.split(t)", setup, copies=1)
        yield Row(f"replace of hard {length} in {size}", "x = s.replace(t, '')", setup, copies=1)
        yield Row(f"partition of hard {length} in {size}", "x = s.partition(t)", setup, copies=1)
        yield Row(f"rfind of hard {length} in {size}", "x = s.rfind(t)", mirrored, copies=1)
    setup = "s = chr(20_000) * 29_000\nt = chr(20_000) * 88 + 'b' + chr(20_000)"
    yield Row("split of hard 90 in 29000 wide", "x = s.split(t)", setup, copies=1)
    wide = "s = (chr(19_969) + chr(256)) * 30_000\nt = chr(20_225)"  # every other character has the byte looked for
    yield Row("find of one in wide", "x = s.find(t)", wide, copies=1)
    yield Row("rfind of one in wide", "x = s.rfind(t)", wide, copies=1)
    yield Row("one in wide", "x = t in s", wide, copies=1)


def _methods_of_both(kind: str, quote: str, size: int) -> Iterator[Row]:
    def text(inner: str) -> str:
        return f"{quote}{inner}'"

    setup = f"s = {text('a')} * {size}\nt = {text('a')} * {size}"
    name = f"{kind} of {size}"
    yield Row(f"{name}: +", "x = s + t", setup)
    yield Row(f"{name}: *", f"x = {text('a')} * {size}")
    yield Row(f"{name}: startswith", "x = s.startswith(t)", setup)
    yield Row(f"{name}: endswith", "x = s.endswith(t)", setup)
    yield Row(f"{name}: removeprefix", f"x = s.removeprefix({text('b')})", setup)
    yield Row(f"{name}: removesuffix", f"x = s.removesuffix({text('a')})", setup)
    yield Row(f"{name}: find", f"x = s.find({text('ab')})", setup)
    yield Row(f"{name}: find one", f"x = s.find({text('b')})", setup)
    yield Row(f"{name}: rfind", f"x = s.rfind({text('ba')})", setup)
    yield Row(f"{name}: count", f"x = s.count({text('a')})", setup)
    yield Row(f"{name}: count of two", f"x = s.count({text('ab')})", setup)
    yield Row(f"{name}: count of nothing", f"x = s.count({text('')})", setup)
    yield Row(f"{name}: replace one by one", f"x = s.replace({text('a')}, {text('b')})", setup, copies=2)
    yield Row(f"{name}: replace one by two", f"x = s.replace({text('a')}, {text('bc')})", setup, copies=2)
    yield Row(f"{name}: replace two by three", f"x = s.replace({text('aa')}, {text('bcd')})", setup, copies=2)
    yield Row(f"{name}: replace nothing there", f"x = s.replace({text('b')}, {text('c')})", setup)
    yield Row(f"{name}: partition", f"x = s.partition({text('b')})", setup)
    yield Row(f"{name}: split into one", f"x = s.split({text('b')})", setup)
    yield Row(f"{name}: split into all", f"x = s.split({text('a')})", setup, copies=1)
    blanks = f"s = {text('a ')} * {size // 2}"
    if kind == "str":
        yield Row(f"{name}: split at blanks", "x = s.split()", blanks, copies=1)
    yield Row(f"{name}: split at most one", f"x = s.split({text('a')}, 1)", setup)
    parts = f"s = [{text('a')}] * {size}"
    yield Row(f"{name}: join", f"x = {text('')}.join(s)", parts, copies=1)
    long = f"s = [{text('a')} * {size}] * 2"
    yield Row(f"{name}: join of two", f"x = {text('')}.join(s)", long)


def _methods_of_str(size: int) -> Iterator[Row]:
    setup = f"s = 'a' * {size}"
    for name in ("upper", "lower", "isalpha", "isalnum", "islower", "isascii", "encode"):
        yield Row(f"str.{name} of {size}", f"x = s.{name}()", setup)
    yield Row(f"str.isupper of {size}", "x = s.isupper()", f"s = 'A' * {size}")
    yield Row(f"str.isdigit of {size}", "x = s.isdigit()", f"s = '7' * {size}")
    for name in ("strip", "lstrip", "rstrip"):
        yield Row(f"str.{name} of {size}", f"x = s.{name}()", f"s = ' ' * {size}")
    for name in ("ljust", "rjust"):
        yield Row(f"str.{name} to {size}", f"x = 'a'.{name}({size})")
    yield Row(f"str.zfill to {size}", f"x = '-1'.zfill({size})")


def _list_methods() -> Iterator[Row]:
    yield Row("list.append", "s.append(1)", "s = []", copies=1, turns_max=60_000)
    yield Row("list.append, pop", "s.append(1)\ns.pop()", "s = []")
    yield Row("list.clear of one", "s.append(1)\ns.clear()", "s = []")
    for size in ITEM_SIZES:
        setup = f"s = [1] * {size}\nt = [1] * {size}"
        yield Row(f"list + list of {size}", "x = s + t", setup)
        yield Row(f"tuple + tuple of {size}", "x = s + s", f"s = (1,) * {size}")
        yield Row(f"list * int of {size}", f"x = [1] * {size}")
        yield Row(f"tuple * int of {size}", f"x = (1,) * {size}")
        yield Row(f"list of three * int of {size}", f"x = [1, 2, 3] * {size}")
        yield Row(f"list.copy of {size}", "x = s.copy()", setup)
        yield Row(f"list.extend, clear of {size}", "s.extend(t)\ns.clear()", f"{setup}\ns.clear()")
        yield Row(f"list += list, clear of {size}", "s += t\ns.clear()", f"{setup}\ns.clear()")
        yield Row(f"list *= int, clear of {size}", f"s = [1]\ns *= {size}")
        yield Row(f"list.insert, pop of {size}", "s.insert(0, 1)\ns.pop()", setup)
        yield Row(f"list.pop(0), append of {size}", "s.pop(0)\ns.append(1)", setup)
        yield Row(f"list.remove, append of {size}", "s.remove(2)\ns.append(2)", f"{setup}\ns.append(2)")
        yield Row(f"list.index of {size}", "x = s.index(2)", f"{setup}\ns.append(2)")
        yield Row(f"tuple.index of {size}", "x = s.index(2)", f"s = (1,) * {size} + (2,)")
        yield Row(f"list.count of {size}", "x = s.count(1)", setup, copies=1)
        yield Row(f"tuple.count of {size}", "x = s.count(1)", f"s = (1,) * {size}", copies=1)
        yield Row(f"list.reverse of {size}", "s.reverse()", setup)
        mixed = f"s = [i * 7919 % 65_537 for i in range({size})]"
        yield Row(f"list.sort of {size}", "x = s.copy()\nx.sort()", mixed, copies=1)


def _dict_methods() -> Iterator[Row]:
    yield Row("dict.get", "x = d.get('b', 0)", "d = {'a': 1}")
    yield Row("dict.setdefault", "x = d.setdefault('a', 0)", "d = {'a': 1}")
    yield Row("dict.setdefault, pop", "d.setdefault('b', 1)\nd.pop('b')", "d = {'a': 1}")
    yield Row("dict.pop with default", "x = d.pop('b', 1)", "d = {'a': 1}")
    yield Row("dict.clear of one", "d['a'] = 1\nd.clear()", "d = {}")
    for size in ITEM_SIZES:
        setup = f"d = {{i: i for i in range({size})}}\ne = {{str(i): i for i in range({size})}}"
        yield Row(f"dict.copy of {size}", "x = d.copy()", setup, copies=2)
        yield Row(f"dict.copy of {size} texts", "x = e.copy()", setup, copies=2)
        yield Row(f"dict.update of {size}", "x = {}\nx.update(d)", setup, copies=2)
        yield Row(f"dict | dict of {size}", "x = d | d", setup, copies=2)
        yield Row(f"dict | dict of {size} others", "x = d | e", setup, copies=2)
        yield Row(f"dict |= dict of {size}", "d |= e", setup, copies=2)


def _calls() -> Iterator[Row]:
    yield Row("own method", "self.nothing()")
    yield Row("own method with arguments", "x = self.same(1, 2, 3)")
    yield Row("function", "x = plain(5)")
    yield Row("function with locals", "x = roomy(5)")
