"""Contract values as short lines for a person: what a trace shows. Long ones are cut and say how long they are.

For eyes only: nothing reads this back, and none of it is part of a receipt.
"""

from __future__ import annotations

import json
from typing import Any, Final

from contracts.language.dict_keys import given

CHARACTERS_MAX: Final = 80  # of one text, or of the digits of one bytes value
ITEMS_MAX: Final = 12  # of one list, tuple or dict
DEPTH_MAX: Final = 4  # containers inside containers


def literal(value: Any, depth: int = 0) -> str:
    """One value, much as a contract would write it; bytes in hex."""
    kind = type(value)
    if kind is str:
        return _cut(value, json.dumps, "characters")
    if kind is bytes:
        return _cut(value.hex(), "0x{}".format, "digits")
    if kind in (list, tuple, dict):
        return _container(value, depth)
    return str(value)


def _cut(text: str, written: Any, unit: str) -> str:
    if len(text) <= CHARACTERS_MAX:
        return str(written(text))
    return f"{written(text[:CHARACTERS_MAX])}... ({len(text)} {unit})"


def _container(value: Any, depth: int) -> str:
    begin, end = "{}" if type(value) is dict else "()" if type(value) is tuple else "[]"
    if depth >= DEPTH_MAX and value:
        return f"{begin}... {len(value)} items{end}"
    kept = list(value)[:ITEMS_MAX]
    if type(value) is dict:
        parts = [f"{literal(given(key), depth + 1)}: {literal(value[key], depth + 1)}" for key in kept]
    else:
        parts = [literal(item, depth + 1) for item in kept]
    if len(value) > ITEMS_MAX:
        parts.append(f"... {len(value) - ITEMS_MAX} more")
    comma = "," if type(value) is tuple and len(value) == 1 else ""
    return f"{begin}{', '.join(parts)}{comma}{end}"
