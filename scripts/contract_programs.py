"""Random contracts and calls of them, each from its number alone: the same text on every machine and every Python.

A program is a whole file: constants, records, events, interfaces, functions, state of every kind, an init, calls and
views, and a second contract that it calls. What may stand where is in `contract_grammar`, what stands around it in
`contract_scenery`; here is the dice and the shape of a file.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from scripts.contract_expressions import EXPRESSIONS
from scripts.contract_grammar import LEAVES, LOCALS, LOOP_NAMES, NAMES, STAYING, TYPES, Hole, Template, read
from scripts.contract_scenery import (
    ARGUMENTS,
    CLASSES,
    CONSTANTS,
    FUTURE,
    IMPORTED,
    IMPORTED_FUNCTIONS,
    INTERFACES,
    MISFITS,
    STATE,
)
from scripts.contract_statements import COMPOUND, ENDING, LEAVING, SIMPLE

T = TypeVar("T")

RISKY: Final = 8  # a production that often fails is taken one time in so many
DEPTHS: Final = (1, 2, 2, 2, 3)  # of the expressions of a program
BLOCK_DEPTH_MAX: Final = 3
STATEMENTS: Final = (1, 2, 2, 3, 4)  # in a row, outermost, at most; further in there are one or two
CALLS: Final = 4  # besides that of the init

_MASK: Final = (1 << 64) - 1
_WORD: Final = re.compile(r"[a-z]+")
_NAME: Final = re.compile(r"\b[A-Z]\w+\b")
_ANY_NAME: Final = re.compile(r"\w+")
_DEFINED: Final = re.compile(r"def (\w+)\(")
_STATE_NAME: Final = re.compile(r"self\.(\w+)")

_EXPRESSIONS: Final = {kind: read(written) for kind, written in EXPRESSIONS.items()}
_LEAVES: Final = {kind: read(written) for kind, written in LEAVES.items()}
_SIMPLE, _COMPOUND, _LEAVING, _ENDING = read(SIMPLE), read(COMPOUND), read(LEAVING), read(ENDING)
_LOCAL_NAMES: Final = frozenset(LOCALS)
_NEEDED: Final = {local: set(_WORD.findall(re.sub(r"'[^']*'", "", value))) for local, value in LOCALS.items()}
_RESULTS: Final = tuple(kind for kind in TYPES if kind != "who")
_PARAMETERS: Final = tuple(kind for kind in TYPES if kind in NAMES)


class Dice:
    """Numbers from a seed (SplitMix64), which no version of Python changes."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

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
    """A contract, and calls of it: (method, arguments). The first is that of its init."""

    number: int
    source: str
    calls: tuple[tuple[str, list[Any]], ...]


def random_program(number: int) -> RandomProgram:
    """The program of a number."""
    dice = Dice(int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:8]))  # neighbours have nothing in common
    writer = _Writer(dice)
    source = writer.module()
    start = [(writer.init, [dice.below(9)])]
    return RandomProgram(number, source, tuple(start + [_random_call(dice, writer.entries) for _ in range(CALLS)]))


def _random_call(dice: Dice, entries: dict[str, tuple[str, ...]]) -> tuple[str, list[Any]]:
    """A call of an entry point; now and then one that it does not take."""
    method = dice.pick(tuple(entries))
    args = [dice.pick(ARGUMENTS[kind]) for kind in entries[method]]
    roll = dice.below(30)
    if roll == 0:
        return dice.pick((("absent", args), ("inner", args), (method, [*args, 1])))
    if roll < 3 and args:
        args[dice.below(len(args))] = dice.pick(MISFITS)
    return method, args


def _called(functions: list[str], rest: str) -> list[str]:
    """The functions that something calls: the rest, or a later one that is called."""
    kept: list[str] = []
    for text in reversed(functions):
        name = _DEFINED.search(text)
        if name and f"{name[1]}(" in rest:
            kept.insert(0, text)
            rest += text
    return kept


class _Writer:
    """Writes one file."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.init = dice.pick(("create", "create", "init"))
        self.entries: dict[str, tuple[str, ...]] = {}  # the kinds of their parameters
        self.in_class = False
        self.own: set[str] = set()  # own functions that may be called from here
        self.returns = "int"
        self.extra: list[str] = []  # loop names that have a value here
        self.loops = 0
        self.reading = False  # in a view, where what writes fails
        self.asked: set[tuple[str, str]] = set()  # interfaces and their methods that are called
        self.depth_max, self.statements_max = dice.pick(DEPTHS), dice.pick(STATEMENTS)

    def module(self) -> str:
        """The text."""
        functions = [
            self.function("helper(", "def helper(a: int, b=5):", "int", indent=0, likely=2),
            self.function("picked(", "def picked(ss, a=1, second=2) -> int:", "int", indent=0, likely=1),
        ]
        self.in_class = True
        methods = [
            self.function("self.note(", "def note(self, a, s='note') -> None:", "none", likely=1),
            self.function("self.inner(", "def inner(self, a):", "int", likely=2),
            self.function("self.outer(", "def outer(self, a: int, s: str) -> int:", "int", likely=1),
        ]
        entries = self.entry("first", "call", likely=4) + self.entry("second", "call", likely=2)
        self.reading = True
        entries += self.entry("look", "view", likely=2)
        methods = _called(methods, entries)
        functions = _called(functions, "".join(methods) + entries)
        body = f"{''.join(functions)}\n{self.contract(''.join(methods) + entries)}"
        return self.head(body) + body

    def head(self, body: str) -> str:
        """Imports, constants and classes, as the rest needs them."""
        declared = "".join([f"\n\n{self.interface(name)}" for name in INTERFACES if f"({name}, " in body])
        for name in reversed(CLASSES):
            if f"{name}" in _NAME.findall(declared + body):
                declared = f"\n\n{CLASSES[name]}{declared}"
        mentioned = set(_NAME.findall(body))
        constants = "".join([f"{self.dice.pick(CONSTANTS[name])}\n" for name in CONSTANTS if name in mentioned])
        words = set(_ANY_NAME.findall(f"{declared}\n{body}\n{constants}"))
        names = ["Contract", *[name for name in (*IMPORTED, *IMPORTED_FUNCTIONS) if name in words]]
        future = "" if self.dice.below(4) else FUTURE
        docstring = "" if self.dice.below(4) else '"""A random contract."""\n\n'
        return f"{docstring}{future}from contracts import {', '.join(names)}\n\n{constants}{declared}\n\n"

    def interface(self, name: str) -> str:
        """What is believed of the other contract, as far as it is called."""
        methods = [text for method, text in INTERFACES[name].items() if (name, method) in self.asked]
        return f"class {name}(Interface):\n{textwrap.indent(chr(10).join(methods), '    ')}"

    def contract(self, methods: str) -> str:
        """The class around its methods, with the state that they use."""
        mentioned = set(_STATE_NAME.findall(methods))
        used = [name for name in STATE if name in mentioned]
        state = "".join([f"    {name}: {STATE[name][0]}\n" for name in used])
        setup = "".join([f"        {STATE[name][1]}\n" for name in used]) or "        pass\n"
        create = f"    @init\n    def {self.init}(self, start: int) -> None:\n{setup}\n"
        docstring = "" if self.dice.below(4) else '    """What it is."""\n\n'
        return f"class Random(Contract):\n{docstring}{state}\n{create}{methods}"

    def entry(self, name: str, mark: str, likely: int) -> str:
        """An entry point with parameters and a result of any types, `likely` of four times."""
        if self.dice.below(4) >= likely:
            return ""
        kinds = tuple(dict.fromkeys([self.dice.pick(_PARAMETERS) for _ in range(self.dice.below(5))]))
        given = "".join([f", {NAMES[kind][0]}: {TYPES[kind]}" for kind in kinds])
        result = self.dice.pick(_RESULTS)
        self.entries[name] = kinds
        return self.function("", f"@{mark}\ndef {name}(self{given}) -> {TYPES[result]}:", result)

    def function(self, name: str, head: str, returns: str, indent: int = 4, likely: int = 4) -> str:
        """One function or method with the locals that it uses, `likely` of four times."""
        if self.dice.below(4) >= likely:
            return ""
        self.returns = returns
        body = f"{self.block(0)}\n{{kept}}"
        if returns != "none":
            body += f"    return {self.expression(returns, 1)}\n"
        given = set(_WORD.findall(head[head.index("(") :])) & _LOCAL_NAMES
        chosen = self.chosen(body, given)
        # What the locals have become is part of what is compared.
        ends = sorted({*given, *chosen} - STAYING)
        keeps = self.in_class and not self.reading and ends and self.dice.below(2)
        body = body.replace("{kept}", f"    self.things['end'] = [{', '.join(ends)}]\n" if keeps else "", 1)
        begin = "".join([f"    {local} = {LOCALS[local]}\n" for local in chosen])
        self.own.add(name)
        return textwrap.indent(f"{head}\n{begin}{body}\n", " " * indent)

    def chosen(self, body: str, given: set[str]) -> list[str]:
        """The locals that a body uses, and those that their values need, in order."""
        words = set(_WORD.findall(body))
        for local in reversed(LOCALS):
            if local in words and local not in given:
                words |= _NEEDED[local]
        return [local for local in LOCALS if local in words and local not in given]

    # ── statements ──

    def block(self, depth: int) -> str:
        """One to four statements, indented by one step."""
        count = 1 + self.dice.below(self.statements_max if depth == 0 else 2)
        text = "\n".join([self.statement(depth) for _ in range(count)])
        return textwrap.indent(text, "    ")

    def statement(self, depth: int) -> str:
        """One statement."""
        roll = self.dice.below(20)
        if roll < 5 and depth < BLOCK_DEPTH_MAX:
            template = self.fitting(_COMPOUND)
            self.loops += template.loops
            text = self.fill(template, 1, depth + 1)
            self.loops -= template.loops
            return text
        if roll == 5 and self.loops:
            return self.fill(self.dice.pick(_LEAVING), 1, depth)
        if roll == 6 and depth:
            return self.fill(self.dice.pick(_ENDING), 1, depth)
        return self.fill(self.fitting(_SIMPLE), 1, depth)

    # ── expressions ──

    def expression(self, kind: str, depth: int) -> str:
        """An expression of a kind."""
        table = _LEAVES if depth > self.depth_max or self.dice.below(4) == 0 else _EXPRESSIONS
        return self.fill(self.fitting(table[kind]), depth + 1, 0, kind)

    def fitting(self, templates: Sequence[Template]) -> Template:
        """One that may stand here."""
        while True:
            template = self.dice.pick(templates)
            if template.risky and self.dice.below(RISKY):
                continue
            if template.in_class and not self.in_class:
                continue
            if self.reading and template.writes and self.dice.below(RISKY):
                continue
            if template.own <= self.own:
                return template

    def name(self, kind: str) -> str:
        """A name that holds such a value."""
        loop = [name for name in self.extra if LOOP_NAMES[name] == kind]
        return self.dice.pick([*NAMES[kind], *loop])

    def fill(self, template: Template, depth: int, block_depth: int, kind: str = "") -> str:
        """The template with every hole filled, from left to right."""
        texts = []
        self.asked.update(template.asked)
        for part in template.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            before = len(self.extra)
            self.extra += part.names
            texts.append(self.hole(part, depth, block_depth, kind))
            del self.extra[before:]
        return "".join(texts)

    def hole(self, hole: Hole, depth: int, block_depth: int, kind: str) -> str:
        """What goes into one hole."""
        if hole.what == "block":
            return self.block(block_depth)
        if hole.what == "return":
            return f"return {self.expression(self.returns, depth)}" if self.returns != "none" else "return"
        if hole.is_target:
            return self.dice.pick(NAMES[hole.what])
        if hole.what == "name":
            return self.name(kind or self.dice.pick(_PARAMETERS))
        return self.expression(hole.what, depth)
