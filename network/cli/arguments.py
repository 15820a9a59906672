"""Words of the command line as contract values: each is read as the type that the method declares for it.

So an account of digits only stays text, and an amount is a number, without quotes that a shell would eat. It asks no
contract for its types; whoever calls hands them in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from network.cli.console import UserError
from network.json_values import NotAValue, from_json


def read_arguments(method: str, parameters: Sequence[tuple[str, str]], words: Sequence[str]) -> list[Any]:
    """The values of `words` for (name, type) parameters. Raises `UserError` naming the argument and its type."""
    signature = f"{method}({', '.join(f'{name}: {kind}' for name, kind in parameters)})"
    if len(words) != len(parameters):
        raise UserError(f"{signature}: number of arguments expected: {len(parameters)}, found: {len(words)}")
    return [
        _read(word, kind, f"argument {name!r} of {signature}")
        for word, (name, kind) in zip(words, parameters, strict=True)
    ]


def _read(word: str, kind: str, place: str) -> Any:
    """One word as its declared type: text as it is, numbers in decimal, bytes in hex, everything else as JSON."""
    options = _options(kind)
    if "None" in options and word in ("None", "null"):
        return None
    if "str" in options or "Address" in options:
        return word
    readers = {"int": _integer, "bool": _boolean, "bytes": _bytes, "Decimal": _decimal}
    for option in options:
        if option in readers:
            return readers[option](word, place)
    return _json(word, place, kind)


def _options(kind: str) -> list[str]:
    """The options of a union; a | inside brackets, or inside the fields of a record, belongs to one of them."""
    options, depth = [""], 0
    for character in kind:
        depth += (character in "[{") - (character in "]}")
        if character == "|" and not depth:
            options.append("")
        else:
            options[-1] += character
    return [option.strip() for option in options]


def _integer(word: str, place: str) -> int:
    try:
        return int(word, 10)
    except ValueError:
        raise UserError(f"{place}: {word!r} is no whole number") from None


def _decimal(word: str, place: str) -> str:
    """A Decimal travels as its text, in the one way that it is written."""
    from contracts import Decimal

    try:
        return str(Decimal(word))
    except (ValueError, ArithmeticError) as error:
        raise UserError(f"{place}: {word[:40]!r} is no Decimal: {error}") from None


def _boolean(word: str, place: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise UserError(f"{place}: {word!r} is neither true nor false")
    return word.lower() == "true"


def _bytes(word: str, place: str) -> bytes:
    try:
        return bytes.fromhex(word.removeprefix("0x"))
    except ValueError:
        raise UserError(f"{place}: {word[:40]!r} is not hexadecimal") from None


def _json(word: str, place: str, kind: str) -> Any:
    try:
        return from_json(json.loads(word))
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: write a {kind} as JSON ({error.msg} at character {error.pos + 1})") from None
    except NotAValue as error:
        raise UserError(f"{place}: {error}") from None
