"""The language of contracts as a grammar that random programs are drawn from: kinds of things, and how a production is
read.

Each kind of thing has its productions; a hole `{int}` is filled with another thing of that kind, `{int+i}` with one in
which the name `i` may stand, `{=int}` with the name of a local that holds one. Names have fixed kinds, so that programs
mostly make sense: see NAMES. A production that mentions `self` has no place in a function of the module, one that
begins with `!` often fails and is drawn less often. The productions themselves are in `contract_expressions` and
`contract_statements`; no seed is known here: `contract_programs` draws.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# Locals, by their kind; every function begins by giving them values. i, j, k, w are set by loops.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "int": ("a", "b", "c"),
    "str": ("s", "t"),
    "bytes": ("o",),
    "bool": ("f",),
    "ints": ("xs", "ys"),
    "strs": ("ss",),
    "table": ("d", "e"),
    "names": ("m",),
    "codes": ("bd",),
    "pair": ("p",),
    "grid": ("gg",),
    "dec": ("q", "r"),
    "decs": ("qs",),
    "tup": ("ts",),
    "octets": ("bs",),
    "lists": ("g",),
    "rows": ("rs",),
    "item": ("v",),
    "order": ("h",),
    "maybe": ("y",),
    "any": ("x",),
}
LOOP_NAMES: Final = {"i": "int", "j": "int", "k": "str", "w": "str", "z": "any"}

# How the locals of a function begin, where it uses them; parameters come first.
LOCALS: Final = {
    "a": "3",
    "b": "2",
    "c": "a + 1",
    "n": "0",
    "s": "'seed'",
    "t": "'te,xt'",
    "o": "b'bytes'",
    "f": "a > 2",
    "xs": "[a, 2]",
    "ys": "[4, 5, 6, 7]",
    "ss": "['x', 'yy', '3']",
    "d": "{'a': a}",
    "e": "{'a': 3, 'b': 4}",
    "m": "{0: 'zero', 1: 'one'}",
    "bd": "{b'a': 1, b'': a}",
    "p": "(a, 'p')",
    "gg": "[[1, 9], [2, 3]]",
    "q": "Decimal('1.25')",
    "r": "Decimal(a)",
    "qs": "[Decimal(2), Decimal('0.1'), Decimal('-7.125')]",
    "ts": "(a, 5, a)",
    "bs": "[b'b', b'a', b'\\x00']",
    "g": "{'a': [1], 'b': []}",
    "rs": "[('b', 2), ('a', 1)]",
    "v": "Item(name='nut', count=a, price=Decimal('0.25'), place=(a, 'v'))",
    "h": "Order(item=Item(name='bolt', count=1, price=PRICE, place=(0, '')), to='bob', notes=['n'], extra=None)",
    "y": "None",
    "x": "[a, None]",
}
# Dicts with numbers or bytes for keys cannot leave a call.
STAYING: Final = frozenset({"m", "bd"})

# The types that cross a boundary, by kind.
TYPES: Final = {
    "int": "int",
    "str": "str",
    "bytes": "bytes",
    "bool": "bool",
    "ints": "list[int]",
    "strs": "list[str]",
    "table": "dict[str, int]",
    "pair": "tuple[int, str]",
    "grid": "list[list[int]]",
    "dec": "Decimal",
    "decs": "list[Decimal]",
    "tup": "tuple[int, ...]",
    "octets": "list[bytes]",
    "lists": "dict[str, list[int]]",
    "rows": "list[tuple[str, int]]",
    "item": "Item",
    "order": "Order",
    "maybe": "int | None",
    "any": "Value",
    "who": "Address",
    "none": "None",
}

# What stands where the depth is used up.
LEAVES: Final[dict[str, tuple[str, ...]]] = {
    "int": (
        *("0", "1", "7", "-3", "100", "0xff", "0b101", "0o17", "1_000", "2**64", "LIMIT", "BIG", "BIG", "DEPTH"),
        *("{name}", "{name}", "{name}", "{name}", "{name}", "{name}"),
    ),
    "str": (
        *("''", "'a'", "'bob'", "'x,y,z'", "'12'", "'7'", r"'\u00e9\n'", "NAME", '"it\'s"', r"r'raw\n'", "'''three'''"),
        *(r"'\x41\t\'\"\\\a\b\f\v\r\101'", r"'\U0001F600'", "'in ' 'two'", "{name}", "{name}", "{name}", "{name}"),
    ),
    "bytes": ("b''", r"b'\x00\xff'", "b'abc'", r"rb'\d'", "b'a' b'b'", "OCTETS", "{name}", "{name}", "{name}"),
    "bool": ("True", "False", "FLAG", "{name}", "{name}"),
    "ints": ("[]", "[3, 1, 2]", "[5, 5, -1, 12]", "{name}", "{name}", "{name}"),
    "strs": ("['b', 'a']", "[]", "{name}", "{name}"),
    "table": ("{{}}", "{{'a': 1, 'b': 2}}", "{name}", "{name}"),
    "names": ("{{1: 'one', -2: 'two'}}", "{name}", "{name}"),
    "codes": ("{{b'a': 1, b'': 2}}", "{name}", "{name}"),
    "pair": ("(1, 'a')", "{name}", "{name}"),
    "grid": ("[[1], [2, 3]]", "{name}"),
    "dec": ("Decimal('0.05')", "Decimal('-12.5')", "Decimal(3)", "PRICE", "{name}", "{name}", "{name}"),
    "decs": ("[Decimal(1), Decimal('0.5')]", "{name}", "{name}"),
    "tup": ("()", "(1,)", "(1, 2, 1)", "{name}", "{name}"),
    "octets": ("[b'z', b'']", "{name}", "{name}"),
    "lists": ("{{'a': [1, 2]}}", "{name}", "{name}"),
    "rows": ("[]", "[('x', 1), ('x', 0)]", "{name}", "{name}"),
    "item": ("{name}", "{name}"),
    "order": ("{name}", "{name}"),
    "maybe": ("None", "5", "{name}"),
    "who": ("self.ctx.sender", "'bob'", "'" + "ab" * 32 + "'", "WHO", "s"),
    "peer": ("'other'", "'other'", "'other'", "'other'", "'other'", "!'nobody'", "'random'", "!s", "!{str}"),
    "small": ("0", "0", "0", "1", "1", "-1", "2", "3", "-2"),
    "bound": ("0", "1", "2", "-1", "-2", "None", "a", "len(xs)"),
    "key": ("'a'", "'a'", "'a'", "'b'", "'c'", "s", "'k' + str(a % 3)", r"'a\x00'"),
    "plain": ("a", "b + 1", "len(xs)", "s", "f", "xs[0]", "None", "q", "a ** 2", "sum([i for i in xs])", "y"),
    "odd": ("'odd'", "[1]", "None", "{{'o': 1}}", "b'odd'", "Decimal('1.5')", "(1, 'o')", "(7)"),
    "any": ("{name}", "{int}", "{str}", "None", "{bool}", "{ints}", "{table}", "{pair}", "{bytes}", "{dec}"),
}

# What of a production's text says where it has a place.
OWN: Final = re.compile(r"\b(?:helper|picked|self\.inner|self\.outer|self\.note)\(")
WRITING: Final = re.compile(
    r"self\.(\w+\.(set|delete|append|pop)\(|\w+\[[^=]*\] \S{0,3}= |emit|inner|outer|note\(|call\()|del self"
    r"|\{peer\}\)\.(add|pay|keep|swap)"
)
ASKED: Final = re.compile(r"self\.at\((\w+), [^)]*\)\.(\w+)\(")
_HOLE: Final = re.compile(r"\{\{|\}\}|\{([=a-z]+)(?:\+([a-z,]+))?\}")


@dataclass(frozen=True, slots=True)
class Hole:
    """Where another thing goes: its kind, or `name`, `block`, `return`; names that may stand in it besides."""

    what: str
    is_target: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """One production: text and holes in turn, and what it takes to stand somewhere."""

    text: str
    parts: tuple[str | Hole, ...]
    risky: bool
    in_class: bool
    writes: bool
    loops: bool
    own: frozenset[str]  # the functions of the file that it calls
    asked: tuple[tuple[str, str], ...]  # the methods of interfaces that it calls

    @classmethod
    def of(cls, written: str) -> Template:
        """The production as it is written in a table."""
        text = written.removeprefix("!")
        loops = text.startswith(("for", "while"))
        own = frozenset(OWN.findall(text))
        writes = WRITING.search(text) is not None
        asked = tuple(ASKED.findall(text))
        return cls(text, tuple(_parts(text)), written != text, "self." in text, writes, loops, own, asked)


def _parts(text: str) -> Iterable[str | Hole]:
    at, plain = 0, ""
    for match in _HOLE.finditer(text):
        plain += text[at : match.start()]
        at = match.end()
        if match[1] is None:
            plain += match[0][0]
            continue
        if plain:
            yield plain
        plain = ""
        names = tuple(match[2].split(",")) if match[2] else ()
        yield Hole(match[1].removeprefix("="), match[1].startswith("="), names)
    if plain := plain + text[at:]:
        yield plain


def read(written: Iterable[str]) -> tuple[Template, ...]:
    """The productions of a table."""
    return tuple([Template.of(one) for one in written])
