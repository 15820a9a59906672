"""Random contracts and calls of them, each from its number alone: the same text on every machine and every Python.

A program is a whole file: constants, events, functions, state of every kind, calls and a view, and a second
contract that it calls. What may stand where is in `contract_grammar`; here is the dice and the shape of a file.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from scripts.contract_grammar import COMPOUND, ENDING, EXPRESSIONS, LEAVES, LEAVING, LOOP_NAMES, NAMES, SIMPLE

T = TypeVar("T")

RISKY: Final = 12  # a production that often fails is taken one time in so many
DEPTH_MAX: Final = 3  # of an expression
BLOCK_DEPTH_MAX: Final = 3

_HOLE = re.compile(r"\{\{|\}\}|\{([=a-z]+)(?:\+([a-z,]+))?\}")
_MASK: Final = (1 << 64) - 1

OTHER: Final = """from contracts import Contract, List, Map, Value, Var, call, require, view


class Other(Contract):
    sums: List[int]
    kept: Map[str, Value]

    @call
    def add(self, a: int, b: int) -> int:
        require(a != 7, "seven")
        self.sums.append(a)
        return a + b

    @call
    def keep(self, key: str, value: Value) -> None:
        self.kept[key[:20]] = value

    @view
    def echo(self, value: Value) -> Value:
        return value

    @view
    def who(self) -> str:
        return self.ctx.sender
"""

_IMPORTS = (
    "from contracts import Address, Contract, Decimal, Error, Event, List, Map, Value, Var\n"
    "from contracts import call, require, sha256, view\n"
)
_EVENTS: Final = {
    "Noted(": "\n\nclass Noted(Event):\n    number: int\n    text: str\n",
    "Listed(": "\n\nclass Listed(Event):\n    items: list[int]\n    thing: Value\n",
}
# State: how it is declared, and how it begins in `create`. A program has what it uses.
_STATE: Final = {
    "total": ("Var[int]", "self.total.set(start)"),
    "title": ("Var[str]", "self.title.set('title')"),
    "record": ("Var[dict[str, int]]", "self.record.set({'a': start, 'b': 2})"),
    "spot": ("Var[tuple[int, str]]", "self.spot.set((start, 'spot'))"),
    "balances": ("Map[str, int]", "self.balances['a'] = start\n        self.balances['b'] = -start"),
    "cells": ("Map[tuple[str, int], int]", "self.cells['a', 0] = start\n        self.cells['a', 1] = 3"),
    "flags": ("Map[int, bool]", "self.flags[0] = True"),
    "blobs": ("Map[bytes, bytes]", "self.blobs[b'abc'] = b'blob'"),
    "things": ("Map[str, Value]", "self.things['a'] = ['a', start, None]"),
    "log": ("List[int]", "self.log.append(start)\n        self.log.append(7)"),
    "prices": ("Map[str, Decimal]", "self.prices['a'] = Decimal('9.99')"),
    "owners": ("Map[Address, int]", "self.owners[self.ctx.sender] = 5"),
    "notes": ("List[str]", "self.notes.append('a')"),
}
# How the locals of a function begin, where it uses them; parameters come first.
_LOCALS: Final = {
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
    "p": "(a, 'p')",
    "gg": "[[1, 9], [2, 3]]",
    "q": "Decimal('1.25')",
    "r": "Decimal(a)",
    "qs": "[Decimal(2), Decimal('0.1'), Decimal('-7.125')]",
}
_WRITING: Final = re.compile(r"self\.(\w+\.(set|delete|append|pop)\(|\w+\[.*\] .?= |emit|inner|outer|call)|del self")
_WORD: Final = re.compile(r"[a-z]+")


class Dice:
    """Numbers from a seed (SplitMix64), which no version of Python changes."""

    def __init__(self, seed: int) -> None:
        self._state = seed * 0x9E3779B97F4A7C15 & _MASK

    def below(self, bound: int) -> int:
        """From 0 to bound - 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = (self._state ^ (self._state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
        return (mixed ^ (mixed >> 31)) % bound

    def pick(self, choices: Sequence[T]) -> T:
        """One of them."""
        return choices[self.below(len(choices))]


@dataclass(frozen=True, slots=True)
class RandomProgram:
    """A contract, and calls of it: (method, arguments)."""

    number: int
    source: str
    calls: tuple[tuple[str, list[Any]], ...]


def random_program(number: int) -> RandomProgram:
    """The program of a number."""
    dice = Dice(number)
    source = _Writer(dice).module()
    start = [("create", [dice.below(9)])]
    return RandomProgram(number, source, tuple(start + [_random_call(dice) for _ in range(4)]))


def _random_call(dice: Dice) -> tuple[str, list[Any]]:
    numbers = (0, 1, 3, -5, 7, 12, 1000, -(2**70), 2**255)
    texts = ("", "a", "b,c", "12", "\u00e9t\u00e9", "k1")
    items = [dice.pick(numbers) for _ in range(dice.below(6))]
    entries = {dice.pick(texts): dice.below(50) for _ in range(dice.below(4))}
    method = dice.pick(("first", "first", "second", "second", "look"))
    return method, [dice.pick(numbers), dice.pick(texts), items, entries]


class _Writer:
    """Writes one file."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.in_class = False
        self.own: set[str] = set()  # own functions that may be called from here
        self.returns = "int"
        self.extra: list[str] = []  # loop names that have a value here
        self.loops = 0
        self.reading = False  # in a view, where what writes fails

    def module(self) -> str:
        """The text."""
        big, name = self.dice.pick(("2**255 - 19", "-(2**200)", "10**40 // 3")), self.dice.pick(("'Ada'", "''"))
        head = f"{_IMPORTS}\nLIMIT = {self.dice.below(50)}\nBIG = {big}\nNAME = {name}\nPRICE = Decimal('19.99')\n"
        functions = self.function("helper(", "def helper(a: int, b=5):", "int", indent=0, likely=3)
        functions += self.function("picked(", "def picked(ss, a=1, second=2):", "int", indent=0, likely=2)
        self.in_class = True
        methods = self.function("self.inner(", "def inner(self, a):", "int", likely=3)
        methods += self.function("self.outer(", "def outer(self, a: int, s: str) -> int:", "int", likely=2)
        given = "(self, a: int, s: str, xs: list[int], d: dict[str, int])"
        methods += self.function("", f"@call\ndef first{given} -> int:", "int")
        methods += self.function("", f"@call\ndef second{given} -> Value:", "any")
        self.reading = True
        methods += self.function("", f"@view\ndef look{given} -> list[int]:", "ints")
        events = "".join([text for name, text in _EVENTS.items() if name in methods])
        return f"{head}{events}\n\n{functions}\n{self.contract(methods)}"

    def contract(self, methods: str) -> str:
        """The class around its methods, with the state that they use."""
        used = [name for name in _STATE if f"self.{name}" in methods]
        state = "".join([f"    {name}: {_STATE[name][0]}\n" for name in used])
        setup = "".join([f"        {_STATE[name][1]}\n" for name in used]) or "        pass\n"
        create = f"    @call\n    def create(self, start: int) -> None:\n{setup}\n"
        return f"class Random(Contract):\n{state}\n{create}{methods}"

    def function(self, name: str, head: str, returns: str, indent: int = 4, likely: int = 4) -> str:
        """One function or method with the locals that it uses, `likely` of four times."""
        if self.dice.below(4) >= likely:
            return ""
        self.returns = returns
        body = f"{self.block(0)}\n{{kept}}    return {self.expression(returns, 1)}\n"
        words, given = set(_WORD.findall(body)), set(_WORD.findall(head))
        chosen = [local for local in _LOCALS if local in words and local not in given]
        values = ", ".join([_LOCALS[local] for local in chosen])
        # What the locals have become is part of what is compared. A dict with numbers for keys cannot leave a call.
        ends = [local for local in (*given & set(_LOCALS), *chosen) if local != "m"]
        keeps = self.in_class and not self.reading and ends
        body = body.replace("{kept}", f"    self.things['end'] = [{', '.join(sorted(ends))}]\n" if keeps else "", 1)
        begin = f"    {', '.join(chosen)} = {values}\n" if chosen else ""
        self.own.add(name)
        return textwrap.indent(f"{head}\n{begin}{body}\n", " " * indent)

    # ── statements ──

    def block(self, depth: int) -> str:
        """One to four statements, indented by one step."""
        count = 1 + self.dice.below(6 if depth == 0 else 2)
        text = "\n".join([self.statement(depth) for _ in range(count)])
        return textwrap.indent(text, "    ")

    def statement(self, depth: int) -> str:
        """One statement."""
        roll = self.dice.below(20)
        if roll < 5 and depth < BLOCK_DEPTH_MAX:
            template = self.fitting(COMPOUND)
            loop = template.startswith(("for", "while"))
            self.loops += loop
            text = self.fill(template, 1, depth + 1)
            self.loops -= loop
            return text
        if roll == 5 and self.loops:
            return self.fill(self.dice.pick(LEAVING), 1, depth)
        if roll == 6 and depth:
            return self.fill(self.dice.pick(ENDING), 1, depth)
        return self.fill(self.fitting(SIMPLE), 1, depth)

    # ── expressions ──

    def expression(self, kind: str, depth: int) -> str:
        """An expression of a kind."""
        if depth > DEPTH_MAX or self.dice.below(4) == 0:
            return self.fill(self.dice.pick(LEAVES[kind]), depth + 1, 0, kind)
        return self.fill(self.fitting(EXPRESSIONS[kind]), depth + 1, 0, kind)

    def fitting(self, templates: Sequence[str]) -> str:
        """One that may stand here."""
        while True:
            template = self.dice.pick(templates)
            if template.startswith("!"):
                if self.dice.below(RISKY):
                    continue
                template = template[1:]
            if "self." in template and not self.in_class:
                continue
            if self.reading and _WRITING.search(template) and self.dice.below(RISKY):
                continue
            own = re.findall(r"\b(?:helper|picked|self\.inner|self\.outer)\(", template)
            if all(name in self.own for name in own):
                return template

    def name(self, kind: str) -> str:
        """A name that holds such a value."""
        loop = [name for name in self.extra if LOOP_NAMES[name] == kind]
        return self.dice.pick([*NAMES[kind], *loop])

    def fill(self, template: str, depth: int, block_depth: int, kind: str = "") -> str:
        """The template with every hole filled, from left to right."""

        def filled(match: re.Match[str]) -> str:
            hole, names = match[1], match[2]
            if hole is None:
                return match[0][0]
            before = len(self.extra)
            self.extra += names.split(",") if names else []
            text = self.hole(hole, depth, block_depth, kind)
            del self.extra[before:]
            return text

        return _HOLE.sub(filled, template)

    def hole(self, hole: str, depth: int, block_depth: int, kind: str) -> str:
        """What goes into one hole."""
        if hole == "block":
            return self.block(block_depth)
        if hole == "return":
            return f"return {self.expression(self.returns, depth)}"
        if hole == "name":
            return self.name(kind)
        if hole.startswith("="):
            return self.dice.pick(NAMES[hole[1:]])
        return self.expression(hole, depth)
