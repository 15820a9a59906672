"""Contracts: the language they are written in, the runtime that runs them, and what an author imports.

A contract file begins with `from contracts import Contract, Map, call, view` and runs as it stands in three places:
as plain Python under pytest (these classes), on a chain on a laptop (`contracts.testing`), and on every validator
(the interpreter in `contracts.language`). `check` tells what a validator would say to a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.address import Address
from contracts.decimal import Decimal
from contracts.language import Problem, SourceRefused, check, compile_source
from contracts.native import Contract, Error, Event, List, Map, Value, Var, call, init, require, sha256, view

if TYPE_CHECKING:
    from typing import Protocol as Interface  # to a type checker the methods of an interface need no code
    from typing import TypedDict as Record  # and a record is a dict whose fields it knows
else:
    from contracts.native import Interface, Record

__all__ = [
    "Address",
    "Contract",
    "Decimal",
    "Error",
    "Event",
    "Interface",
    "List",
    "Map",
    "Problem",
    "Record",
    "SourceRefused",
    "Value",
    "Var",
    "call",
    "check",
    "compile_source",
    "init",
    "require",
    "sha256",
    "view",
]
