"""Contract values as JSON, both ways and without loss: what the gateway shows and what the SDK and the explorer read.

JSON has no bytes, and its readers round integers beyond 53 bits, so these two travel under a tag; so do maps whose
keys are not all text. This module knows values only: no transaction, no contract, no HTTP.

    bytes                      {"$bytes": "00ff"}
    int beyond +-(2**53 - 1)   {"$int": "9007199254740993"}
    dict with other keys       {"$map": [[key, value], ...]}
    {"$x": v} meant literally  {"$$x": v}
"""

from __future__ import annotations

from typing import Any

INTEGER_SAFE_MAX = (1 << 53) - 1  # the largest integer that every JSON reader keeps exact
INTEGER_BITS_MAX = 256
_INTEGER_DIGITS_MAX = 79  # of -(2**256 - 1)
DEPTH_MAX = 64


class NotAValue(ValueError):
    """This JSON stands for no contract value. The message says where and why."""


def to_json(value: Any) -> Any:
    """The JSON form of a contract value (None, bool, int, str, bytes, list or tuple, dict)."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -INTEGER_SAFE_MAX <= value <= INTEGER_SAFE_MAX else {"$int": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return _map_to_json(value)
    raise NotAValue(f"{type(value).__name__} is no contract value")


def _map_to_json(value: dict[Any, Any]) -> Any:
    if not all(isinstance(key, str) for key in value):
        return {"$map": [[to_json(key), to_json(item)] for key, item in value.items()]}
    if len(value) == 1:
        ((key, item),) = value.items()
        if key.startswith("$"):
            return {"$" + key: to_json(item)}
    return {key: to_json(item) for key, item in value.items()}


def from_json(value: Any, *, depth: int = 0) -> Any:
    """The contract value that this decoded JSON stands for.

    Raises `NotAValue` for floats, integers beyond 256 bits, unknown tags, and nesting deeper than `DEPTH_MAX`.
    """
    if depth > DEPTH_MAX:
        raise NotAValue(f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, float):
        raise NotAValue(f"{value!r} is a float; contract values have integers, text and bytes only")
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return _bounded(value)
    if isinstance(value, list):
        return [from_json(item, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        return _map_from_json(value, depth + 1)
    raise NotAValue(f"{type(value).__name__} is no JSON value")


def _map_from_json(value: dict[str, Any], depth: int) -> Any:
    if len(value) == 1:
        ((key, item),) = value.items()
        if key.startswith("$$"):
            return {key[1:]: from_json(item, depth=depth)}
        if key.startswith("$"):
            return _untag(key, item, depth)
    return {key: from_json(item, depth=depth) for key, item in value.items()}


def _untag(tag: str, item: Any, depth: int) -> Any:
    if tag == "$bytes" and isinstance(item, str):
        return _hex(item)
    if tag == "$int" and isinstance(item, str):
        return _decimal(item)
    if tag == "$map" and isinstance(item, list):
        return dict(_pair(pair, depth) for pair in item)
    raise NotAValue(
        f"{tag!r} is no tag with such content; there are $bytes (hex text), $int (decimal text) and $map (pairs), "
        f'and a literal key is written with one more "$"'
    )


def _hex(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise NotAValue(f"$bytes holds {text[:40]!r}, which is not hexadecimal") from None
    if value.hex() != text.lower():
        raise NotAValue(f"$bytes holds {text[:40]!r}: write it without spaces")
    return value


def _decimal(text: str) -> int:
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit()) or len(text) > _INTEGER_DIGITS_MAX:
        raise NotAValue(f"$int holds {text[:40]!r}, which is not a decimal integer within {INTEGER_BITS_MAX} bits")
    return _bounded(int(text))


def _bounded(value: int) -> int:
    if value.bit_length() > INTEGER_BITS_MAX:
        raise NotAValue(f"an integer of {value.bit_length()} bits is outside {INTEGER_BITS_MAX} bits")
    return value


def _pair(pair: Any, depth: int) -> tuple[Any, Any]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise NotAValue("$map holds a list of [key, value] pairs")
    key = from_json(pair[0], depth=depth)
    if isinstance(key, list):
        key = _frozen(key)
    if isinstance(key, dict):
        raise NotAValue("a map is no map key")
    return key, from_json(pair[1], depth=depth)


def _frozen(items: list[Any]) -> tuple[Any, ...]:
    """A list as a map key: contract code has tuples there, which encode alike."""
    if any(isinstance(item, dict) for item in items):
        raise NotAValue("a map is no part of a map key")
    return tuple(_frozen(item) if isinstance(item, list) else item for item in items)
