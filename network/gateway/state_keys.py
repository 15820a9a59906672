"""Paths like /v1/state/token/balances/ab12: path segments read as the key types that a contract declares.

`Var`-like variables take no segment, `Map[K, V]` one or none, `Map[tuple[A, B], V]` two, `List[V]` none (its length)
or one (an element). Text in, values out; what is stored under them is the executor's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger import codec
from network.gateway.problems import Problem


def encode_path(variable: str, declared: str, segments: Sequence[str]) -> bytes:
    """The encoded path of a state read. Raises `Problem` when the segments do not fit the declared type."""
    kinds = key_kinds(declared)
    is_length = declared.startswith("List") and not segments
    if len(segments) != len(kinds) and not is_length:
        raise Problem(
            "bad_arguments",
            f"{variable} is declared as {declared}: {_wanted(kinds)}, and the path has {len(segments)}",
        )
    values = [read_segment(kind, text) for kind, text in zip(kinds, segments, strict=False)]
    return codec.encode([variable, *values])


def key_kinds(declared: str) -> list[str]:
    """The types of a variable's key: "Map[tuple[str, int], bytes]" -> ["str", "int"]."""
    name, _, rest = declared.partition("[")
    if name.strip() == "List":
        return ["int"]
    if name.strip() != "Map" or not rest.endswith("]"):
        return []
    key = _split(rest[:-1])[0]
    if key.startswith("tuple[") and key.endswith("]"):
        return _split(key[len("tuple[") : -1])
    return [key]


def _split(text: str) -> list[str]:
    """Parts between commas that are not inside brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    parts.append(text[start:].strip())
    return parts


def read_segment(kind: str, text: str) -> str | int | bytes | bool:
    """One path segment as a value of its type. Raises `Problem`."""
    if kind == "int":
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 78 and abs(int(text)).bit_length() <= 256:
            return int(text)
        raise Problem("bad_arguments", f"the key {text[:80]!r} is not a decimal integer within 256 bits")
    if kind == "bool":
        if text in ("true", "false"):
            return text == "true"
        raise Problem("bad_arguments", f"the key {text[:80]!r} is neither true nor false")
    if kind == "bytes":
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise Problem("bad_arguments", f"the key {text[:80]!r} is not hexadecimal, as bytes are written") from None
    return text


def _wanted(kinds: Sequence[str]) -> str:
    if not kinds:
        return "it takes no key"
    return f"it takes {len(kinds)} key{'s' if len(kinds) > 1 else ''} ({', '.join(kinds)})"
