"""The contract language: a closed subset of Python, checked by allow-list, compiled to closures, metered.

`check` tells what is wrong with a source, `compile_source` gives the program that the runtime runs against a
`Host` and a `Meter`. Source text never becomes CPython bytecode.
"""

from __future__ import annotations

from contracts.language.interface import (
    Bounds,
    Context,
    Failure,
    Host,
    Key,
    LanguageError,
    Meter,
    Method,
    OutOfGas,
    Problem,
    Program,
    SourceRefused,
    Value,
)
from contracts.language.program import check, compile_source

__all__ = [
    "Bounds",
    "Context",
    "Failure",
    "Host",
    "Key",
    "LanguageError",
    "Meter",
    "Method",
    "OutOfGas",
    "Problem",
    "Program",
    "SourceRefused",
    "Value",
    "check",
    "compile_source",
]
