"""What stands around the methods of a random program: imports, constants, events, records, state, the other contract.

A program declares what it uses; how its state begins is written here, and what may come as an argument.
"""

from __future__ import annotations

from typing import Any, Final

FUTURE: Final = "from __future__ import annotations\n\n"
IMPORTED: Final = ("Address", "Decimal", "Error", "Event", "Interface", "List", "Map", "Record", "Value", "Var")
IMPORTED_FUNCTIONS: Final = ("call", "init", "require", "sha256", "view")
SENDER: Final = "5e" * 32
EDGE: Final = "0x" + "f" * 64  # the largest integer

# Constants, by their names, with several ways to write some of them.
CONSTANTS: Final[dict[str, tuple[str, ...]]] = {
    "LIMIT": ("LIMIT = 7", "LIMIT = 0", "LIMIT = (3 + 4) * 5", "LIMIT = -1"),
    "BIG": ("BIG = 2**255 - 19", "BIG = -(2**200)", "BIG = 10**40 // 3", f"BIG = {EDGE}", f"BIG = -{EDGE}"),
    "DEPTH": ("DEPTH: int = 3", "DEPTH: int | None = 2**61 - 2", "DEPTH = 2**61 - 1"),
    "NAME": ("NAME = 'Ada'", "NAME = ''", "NAME = 'Ada' + ' ' * 3", "NAME: str = 'x' * 70"),
    "FLAG": ("FLAG = True", "FLAG = not True", "FLAG = True ^ False"),
    "OCTETS": ("OCTETS = b'oct'", "OCTETS = b'\\xff' * 3"),
    "PRICE": ("PRICE = Decimal('19.99')", "PRICE = Decimal('0.1') * 3", "PRICE = -Decimal(1) / 3"),
    "WHO": ("WHO = Address('anna')", f"WHO = Address('{'0f' * 32}')"),
}
CLASSES: Final[dict[str, str]] = {
    "Item": "class Item(Record):\n    name: str\n    count: int\n    price: Decimal\n    place: tuple[int, str]\n",
    "Order": "class Order(Record):\n    item: Item\n    to: Address\n    notes: list[str]\n    extra: int | None\n",
    "Noted": 'class Noted(Event):\n    """A note."""\n\n    number: int\n    text: str\n',
    "Listed": "class Listed(Event):\n    items: list[int]\n    thing: Value\n",
    "Traded": "class Traded(Event):\n    item: Item\n    to: Address\n    price: Decimal\n    route: tuple[int, ...]\n",
}
# Interfaces, by their methods; a program declares those that it calls.
INTERFACES: Final[dict[str, dict[str, str]]] = {
    "Peer": {
        "add": "@call\ndef add(self, a: int, b: int) -> int: ...\n",
        "keep": "@call\ndef keep(self, key: str, value: Value) -> None: ...\n",
        "pay": '@call\ndef pay(self, to: Address, amount: Decimal) -> Decimal:\n    """What is left."""\n',
        "swap": "@call\ndef swap(self, item: Item, a: int) -> Item: ...\n",
        "echo": "@view\ndef echo(self, value: Value) -> Value: ...\n",
        "echo_order": "@view\ndef echo_order(self, order: Order) -> Order:\n    ...\n",
        "ratio": "@view\ndef ratio(self, a: int, b: Decimal) -> Decimal: ...\n",
        "perhaps": "@view\ndef perhaps(self, value: int | None) -> int | None: ...\n",
        "who": "@view\ndef who(self) -> str: ...\n",
    },
    # It believes what is not so.
    "Sly": {
        "add": "@view\ndef add(self, a: int, b: int) -> int: ...\n",
        "keep": "@view\ndef keep(self, key: str, value: Value) -> None: ...\n",
        "missing": "@call\ndef missing(self, a: int) -> int: ...\n",
        "who": "@view\ndef who(self) -> int: ...\n",
    },
}
# State: how it is declared, and how it begins. A program has what it uses.
STATE: Final[dict[str, tuple[str, str]]] = {
    "total": ("Var[int]", "self.total.set(start)"),
    "title": ("Var[str]", "self.title.set('title')"),
    "record": ("Var[dict[str, int]]", "self.record.set({'a': start, 'b': 2})"),
    "spot": ("Var[tuple[int, str]]", "self.spot.set((start, 'spot'))"),
    "amount": ("Var[Decimal]", "self.amount.set(Decimal(start) / 7)"),
    "chief": ("Var[Address]", "self.chief.set(self.ctx.sender)"),
    "maybe": ("Var[int | None]", "self.maybe.set(None)"),
    "trail": ("Var[tuple[int, ...]]", "self.trail.set((start, start))"),
    "stock": (
        "Var[Item]",
        "self.stock.set(Item(name='st', count=start, price=Decimal('1.5'), place=(1, 'x')))",
    ),
    "seal": ("Var[bytes]", "self.seal.set(b'seal')"),
    "lamp": ("Var[bool]", "self.lamp.set(True)"),
    "balances": ("Map[str, int]", "self.balances['a'], self.balances['b'], self.balances[''] = start, -start, 7"),
    "cells": ("Map[tuple[str, int], int]", "self.cells['a', 0], self.cells['a', -1], self.cells['b', 1] = start, 3, 4"),
    "quads": (
        "Map[tuple[str, int, bytes, bool], int]",
        "self.quads['a', 0, b'', True], self.quads['a', 0, b'\\x00', False], self.quads['a', 1, b'o', True] = 1, 2, 3",
    ),
    "flags": ("Map[int, bool]", "self.flags[0], self.flags[-1], self.flags[2**70] = True, False, True"),
    "blobs": ("Map[bytes, bytes]", "self.blobs[b'abc'], self.blobs[b''] = b'blob', b''"),
    "sides": ("Map[bool, str]", "self.sides[True] = 'yes'"),
    "things": ("Map[str, Value]", "self.things['a'] = ['a', start, None]"),
    "groups": ("Map[str, list[int]]", "self.groups['a'] = [start, 1]"),
    "either": ("Map[int, int | str]", "self.either[0], self.either[1] = 'zero', start"),
    "prices": ("Map[str, Decimal]", "self.prices['a'] = Decimal('9.99')"),
    "owners": ("Map[Address, int]", "self.owners[self.ctx.sender] = 5"),
    "grants": ("Map[tuple[Address, str], Decimal]", "self.grants['bob', 'a'] = Decimal(start)"),
    "goods": (
        "Map[str, Item]",
        "self.goods['a'] = Item(name='go', count=2, price=Decimal(start), place=(start, 'g'))",
    ),
    "log": ("List[int]", "self.log.append(start)\n        self.log.append(7)"),
    "notes": ("List[str]", "self.notes.append('a')"),
    "shelf": ("List[Item]", "self.shelf.append(Item(name='sh', count=0, price=Decimal(0), place=(0, '')))"),
    "fees": ("List[Decimal]", "self.fees.append(Decimal('0.01'))"),
    "pairs": ("List[tuple[int, str]]", "self.pairs.append((start, 'pair'))"),
}

# What may come as an argument, by kind: plain values, as they cross a boundary.
_ITEM: Final = {"name": "in", "count": 4, "price": "2.5", "place": [3, "in"]}
ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    "int": (0, 1, 3, -5, 7, 12, 1000, -(2**70), 2**255),
    "str": ("", "a", "b,c", "12", "\u00e9t\u00e9", "k1", "Mixed Case", " \x1cpad\n"),
    "bytes": (b"", b"abc", b"\x00\xff\x80"),
    "bool": (True, False),
    "ints": ([], [3, 1, 2], [0, 7, 7, -5, 1000], [12], [2**255, -1, 1]),
    "strs": ([], ["b", "a"], ["", "12", "k1", "\u00e9"]),
    "table": ({}, {"a": 5}, {"b": 1, "a": 2, "k1": 40}, {"": 0, "\u00e9": -1}),
    "pair": ([4, "four"], [-1, ""]),
    "grid": ([], [[1], []], [[2, 3], [1, 9], [1]]),
    "dec": ("0", "0.05", "-12.5", "1000000", "0.000000000000000001", "-3"),
    "decs": ([], ["0.1", "2", "-0.5"]),
    "tup": ([], [1], [3, 1, 3]),
    "octets": ([], [b"b", b"", b"a\x00"]),
    "lists": ({}, {"a": [1, 2], "c": []}),
    "rows": ([], [["x", 2], ["a", 1], ["x", -2]]),
    "item": (_ITEM, _ITEM | {"count": -1, "price": "0"}),
    "order": ({"item": _ITEM, "to": "bob", "notes": ["n", ""], "extra": None},),
    "maybe": (None, 4, -1),
    "any": (None, 5, "a", [1, ["x", b""]], {"k": {"n": None}, "a": []}, b"v", True, "0.5"),
    "who": (SENDER, "bob", "ab" * 32),
}
# What no type of an entry point takes, or not every one.
MISFITS: Final[tuple[Any, ...]] = ("2.50", "Bob!", None, True, 5, [1, "1"], {"name": "half"}, [[1]], "1e5", b"\x01")

OTHER: Final = '''from contracts import Address, Contract, Decimal, Event, Interface, List, Map, Record, Value
from contracts import call, require, view


class Item(Record):
    name: str
    count: int
    price: Decimal
    place: tuple[int, str]


class Order(Record):
    item: Item
    to: Address
    notes: list[str]
    extra: int | None


class Random(Interface):
    @call
    def first(self, a: int) -> int: ...


class Paid(Event):
    """Somebody was paid."""

    to: Address
    amount: Decimal


class Other(Contract):
    sums: List[int]
    kept: Map[str, Value]
    paid: Map[Address, Decimal]

    @call
    def add(self, a: int, b: int) -> int:
        require(a != 7, "seven")
        self.sums.append(a)
        return a + b

    @call
    def keep(self, key: str, value: Value) -> None:
        self.kept[key[:20]] = value

    @call
    def pay(self, to: Address, amount: Decimal) -> Decimal:
        self.paid[to] = self.paid.get(to, Decimal(0)) + amount
        self.emit(Paid(to=to, amount=amount))
        return self.paid[to].floor(1)

    @call
    def swap(self, item: Item, a: int) -> Item:
        item["count"], count = a, item["count"]
        item["price"] *= count
        return item

    @call
    def back(self, a: int) -> int:
        return self.at(Random, self.ctx.sender).first(a)

    @view
    def echo(self, value: Value) -> Value:
        return value

    @view
    def echo_order(self, order: Order) -> Order:
        order["item"]["place"] = (len(order["notes"]), order["to"])
        return order

    @view
    def ratio(self, a: int, b: Decimal) -> Decimal:
        return a / b

    @view
    def perhaps(self, value: int | None) -> int | None:
        return None if value == 3 else value

    @view
    def who(self) -> str:
        return self.ctx.sender
'''
