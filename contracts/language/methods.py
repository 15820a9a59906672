"""The methods of values, in one table by exact type, and the functions of the language that take plain values.

Only what means the same on every Python is here. What follows Unicode tables (upper, isdigit, strip without
arguments) takes ASCII text only. Each entry charges before it works. What is not in a table does not exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from contracts import codes
from contracts.address import is_address, why_not
from contracts.decimal import Decimal
from contracts.language import decimals, gas, limits
from contracts.language.interface import Failure, Meter
from contracts.language.values import (
    counted,
    dict_key,
    equal,
    fail,
    floor_divide,
    get_item,
    grow,
    index,
    less,
    modulo,
    note_deletion,
    occurrences,
    overflow,
    position,
    power,
    room_for_entries,
    room_for_items,
    room_for_text,
    shown,
    sort,
    type_name,
    want,
)

Method = Callable[..., Any]


def _same(meter: Meter, receiver: Any, other: Any, what: str) -> Any:
    """`other` if it has the receiver's type; both are about to be scanned."""
    want(type(receiver), other, what)
    gas.charge_scanned(meter, gas.text_effort(other))
    return other


def _ascii(text: str, method: str) -> str:
    if not text.isascii():
        fail(codes.BAD_VALUE, f"str.{method} is for ASCII text: the tables of other letters differ between machines")
    return text


# ── str and bytes ─────────────────────────────────────────────────────────────────────────────────


def _starts_with(meter: Meter, text: Any, prefix: Any) -> bool:
    return bool(text.startswith(_same(meter, text, prefix, "the prefix")))


def _ends_with(meter: Meter, text: Any, suffix: Any) -> bool:
    return bool(text.endswith(_same(meter, text, suffix, "the suffix")))


def _remove_prefix(meter: Meter, text: Any, prefix: Any) -> Any:
    _same(meter, text, prefix, "the prefix")
    room_for_text(meter, len(text), gas.text_weight(text), type(text))
    return text.removeprefix(prefix)


def _remove_suffix(meter: Meter, text: Any, suffix: Any) -> Any:
    _same(meter, text, suffix, "the suffix")
    room_for_text(meter, len(text), gas.text_weight(text), type(text))
    return text.removesuffix(suffix)


def _searched(meter: Meter, text: Any, pattern: Any) -> Any:
    want(type(text), pattern, "what is looked for")
    meter.charge(gas.search_cost(len(text), len(pattern)) + gas.wide_search_cost(text, pattern))
    return pattern


def _counted(meter: Meter, text: Any, pattern: Any) -> Any:
    """As `_searched`, where every place in the text is looked at, however often the pattern is found."""
    _searched(meter, text, pattern)
    meter.charge(gas.SEARCH + (len(text) // gas.CHARACTERS_COUNTED_PER_UNIT if pattern else 0))
    return pattern


def _find(meter: Meter, text: Any, pattern: Any) -> int:
    return int(text.find(_searched(meter, text, pattern)))


def _rfind(meter: Meter, text: Any, pattern: Any) -> int:
    want(type(text), pattern, "what is looked for")
    meter.charge(gas.reverse_search_cost(len(text), len(pattern)) + gas.wide_search_cost(text, pattern))
    return int(text.rfind(pattern))


def _count_text(meter: Meter, text: Any, pattern: Any) -> int:
    return int(text.count(_counted(meter, text, pattern)))


def _replace(meter: Meter, text: Any, old: Any, new: Any, count: Any = -1) -> Any:
    _counted(meter, text, old)
    want(type(text), new, "the replacement")
    counted(want(int, count, "count"))
    found = text.count(old)
    _counted(meter, text, old)
    meter.charge(found * gas.TEXT_REPLACED // (2 if len(new) == len(old) else 1))
    if 0 <= count < found:
        found = count
    length = len(text) + found * (len(new) - len(old))
    wide = type(text) is str and not (text.isascii() and new.isascii())
    room_for_text(meter, length, 4 * length if wide else length, type(text))
    return text.replace(old, new, found)


def _split(meter: Meter, text: Any, separator: Any = None, limit: Any = -1) -> list[Any]:
    counted(want(int, limit, "maxsplit"))
    meter.charge(gas.SEARCH)
    if separator is None:
        if type(text) is str:
            _ascii(text, "split")
        parts = len(text) // 2 + 1
    else:
        _counted(meter, text, separator)
        if not separator:
            fail(codes.BAD_VALUE, "an empty separator")
        parts = text.count(separator) + 1
        _searched(meter, text, separator)
    limit = min(max(limit, -1), limits.ITEMS_MAX)
    parts = min(parts, limit + 1) if limit >= 0 else parts
    room_for_items(meter, parts)
    gas.charge_made(meter, gas.text_effort(text), gas.text_weight(text) + parts * gas.VALUE_BYTES)
    meter.charge(parts * gas.TEXT_MADE)
    return list(text.split(separator, limit))


def _partition(meter: Meter, text: Any, separator: Any) -> tuple[Any, ...]:
    _searched(meter, text, separator)
    if not separator:
        fail(codes.BAD_VALUE, "an empty separator")
    room_for_text(meter, len(text), gas.text_weight(text), type(text))
    return tuple(text.partition(separator))


def _join(meter: Meter, separator: Any, parts: Any) -> Any:
    kind = type(separator)
    if type(parts) is not list and type(parts) is not tuple:
        fail(codes.BAD_TYPE, f"join takes a list or a tuple, not {type_name(parts)}")
    meter.charge(len(parts) * gas.ITEM_CHECKED)
    length = len(separator) * max(len(parts) - 1, 0)
    wide = kind is str and not separator.isascii()
    for part in parts:
        if type(part) is not kind:
            fail(codes.BAD_TYPE, f"join takes items of {kind.__name__}, not {type_name(part)}")
        length += len(part)
        wide = wide or (kind is str and not part.isascii())
    room_for_text(meter, length, 4 * length if wide else length, kind)
    return separator.join(parts)


def _made(meter: Meter, text: str, method: str) -> str:
    _ascii(text, method)
    room_for_text(meter, len(text), len(text), str)
    meter.charge(len(text) // gas.CHARACTERS_CODED_PER_UNIT)
    return text


def _upper(meter: Meter, text: str) -> str:
    return _made(meter, text, "upper").upper()


def _lower(meter: Meter, text: str) -> str:
    return _made(meter, text, "lower").lower()


def _asked(meter: Meter, text: str, method: str) -> str:
    _ascii(text, method)
    meter.charge(len(text) // gas.CHARACTERS_ASKED_PER_UNIT)
    return text


def _is_digit(meter: Meter, text: str) -> bool:
    return _asked(meter, text, "isdigit").isdigit()


def _is_alpha(meter: Meter, text: str) -> bool:
    return _asked(meter, text, "isalpha").isalpha()


def _is_alnum(meter: Meter, text: str) -> bool:
    return _asked(meter, text, "isalnum").isalnum()


def _is_lower(meter: Meter, text: str) -> bool:
    return _asked(meter, text, "islower").islower()


def _is_upper(meter: Meter, text: str) -> bool:
    return _asked(meter, text, "isupper").isupper()


def _is_ascii(_meter: Meter, text: str) -> bool:
    return text.isascii()


def _strip_with(name: str) -> Method:
    def strip(meter: Meter, text: str, characters: Any = None) -> str:
        if characters is None:
            characters = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
            _ascii(text, name)
        want(str, characters, "the characters")
        if len(characters) > 64:
            fail(codes.SIZE_LIMIT, "at most 64 characters to strip")
        meter.charge(len(text) // gas.CHARACTERS_ASKED_PER_UNIT)
        room_for_text(meter, len(text), gas.text_weight(text), str)
        return str(getattr(str, name)(text, characters))

    return strip


def _pad_with(name: str) -> Method:
    def pad(meter: Meter, text: str, width: Any, fill: Any = " ") -> str:
        want(int, width, "the width")
        if len(want(str, fill, "the fill character")) != 1:
            fail(codes.BAD_VALUE, "the fill character must be one character")
        length = max(width, len(text))
        counted(min(width, 0))  # one that is too large is above the limit of a str
        wide = not (text.isascii() and fill.isascii())
        room_for_text(meter, length, 4 * length if wide else length, str)
        return str(getattr(str, name)(text, length, fill))

    return pad


def _zfill(meter: Meter, text: str, width: Any) -> str:
    length = max(want(int, width, "the width"), len(text))
    counted(min(width, 0))
    room_for_text(meter, length, length if text.isascii() else 4 * length, str)
    return text.zfill(length)


def _encode(meter: Meter, text: str) -> bytes:
    weight = gas.text_weight(text)
    room_for_text(meter, len(text), weight, bytes)
    if weight > len(text):
        meter.charge(2 * len(text) // gas.CHARACTERS_CODED_PER_UNIT)
    return text.encode()


def _decode(meter: Meter, data: bytes) -> str:
    gas.charge_scanned(meter, len(data))
    if data.isascii():
        room_for_text(meter, len(data), len(data), str)
    else:
        room_for_text(meter, len(data), 4 * len(data), str)
        meter.charge(len(data) // gas.CHARACTERS_CODED_PER_UNIT)
    try:
        return data.decode()
    except UnicodeDecodeError:
        fail(codes.BAD_VALUE, "the bytes are not UTF-8")


def _hex(meter: Meter, data: bytes) -> str:
    room_for_text(meter, 2 * len(data), 2 * len(data), str)
    meter.charge(len(data) // gas.CHARACTERS_CODED_PER_UNIT)
    return data.hex()


# ── int ───────────────────────────────────────────────────────────────────────────────────────────


def _bit_length(_meter: Meter, number: int) -> int:
    return number.bit_length()


def _to_bytes(_meter: Meter, number: int, length: Any, order: Any = "big") -> bytes:
    want(int, length, "the length")
    if not 0 <= length <= 64:
        fail(codes.SIZE_LIMIT, "an integer becomes 0 to 64 bytes")
    if number < 0 or number.bit_length() > 8 * length:
        fail(codes.ARITHMETIC, f"the integer does not fit into {length} bytes without a sign")
    return number.to_bytes(length, _byte_order(order))


def _byte_order(order: Any) -> Any:
    if type(order) is not str or order not in ("big", "little"):
        fail(codes.BAD_VALUE, 'the byte order is "big" or "little"')
    return order


# ── list and tuple ────────────────────────────────────────────────────────────────────────────────


def _append(meter: Meter, items: list[Any], item: Any) -> None:
    if len(items) >= limits.ITEMS_MAX:
        grow(meter, items, 1)
    items.append(item)


def _extend(meter: Meter, items: list[Any], more: Any) -> None:
    if type(more) is not list and type(more) is not tuple:
        fail(codes.BAD_TYPE, f"extend takes a list or a tuple, not {type_name(more)}")
    grow(meter, items, len(more))
    items.extend(more)


def _insert(meter: Meter, items: list[Any], place: Any, item: Any) -> None:
    grow(meter, items, 1)
    gas.charge_moved(meter, len(items))
    items.insert(max(min(counted(index(place)), len(items)), -len(items)), item)


def _pop_item(meter: Meter, items: list[Any], place: Any = -1) -> Any:
    index(place)
    gas.charge_moved(meter, 0 if place == -1 else len(items))
    try:
        return items.pop(place)
    except (IndexError, OverflowError):
        fail(codes.INDEX_ERROR, f"pop from index {place} of a list of {len(items)}")


def _index_of(meter: Meter, items: Any, item: Any) -> int:
    place = position(meter, item, items)
    if place < 0:
        fail(codes.BAD_VALUE, "no such item")
    return place


def _remove(meter: Meter, items: list[Any], item: Any) -> None:
    gas.charge_moved(meter, len(items))
    del items[_index_of(meter, items, item)]


def _reverse(meter: Meter, items: list[Any]) -> None:
    gas.charge_moved(meter, len(items))
    items.reverse()


def _sort(meter: Meter, items: list[Any], reverse: Any = False) -> None:
    sort(meter, items, reverse)


def _clear(meter: Meter, container: Any) -> None:
    container.clear()
    if type(container) is dict:
        note_deletion(meter, container)


def _copy_list(meter: Meter, items: list[Any]) -> list[Any]:
    room_for_items(meter, len(items))
    return items.copy()


# ── dict ──────────────────────────────────────────────────────────────────────────────────────────


def _get(meter: Meter, entries: dict[Any, Any], key: Any, default: Any = None) -> Any:
    return entries.get(dict_key(meter, key), default)


def _pop_entry(meter: Meter, entries: dict[Any, Any], key: Any, *default: Any) -> Any:
    place = dict_key(meter, key)
    if place not in entries:
        if not default:
            fail(codes.KEY_ERROR, f"no such key{shown(key)}")
        return default[0]
    value = entries.pop(place)
    note_deletion(meter, entries)
    return value


def _set_default(meter: Meter, entries: dict[Any, Any], key: Any, default: Any = None) -> Any:
    key = dict_key(meter, key)
    if key not in entries:
        _room_for_entry(meter, entries)
    return entries.setdefault(key, default)


def _room_for_entry(meter: Meter, entries: dict[Any, Any]) -> None:
    if len(entries) >= limits.ITEMS_MAX:
        fail(codes.SIZE_LIMIT, f"more than {limits.ITEMS_MAX} entries")
    meter.charge(gas.ENTRY_MADE)


def _update(meter: Meter, entries: dict[Any, Any], other: Any) -> None:
    want(dict, other, "the argument of update")
    room_for_entries(meter, len(entries), len(other))
    entries.update(other)


def _copy_dict(meter: Meter, entries: dict[Any, Any]) -> dict[Any, Any]:
    room_for_entries(meter, len(entries))
    return entries.copy()


_TEXT: Final[dict[str, Method]] = {
    "startswith": _starts_with,
    "endswith": _ends_with,
    "removeprefix": _remove_prefix,
    "removesuffix": _remove_suffix,
    "find": _find,
    "rfind": _rfind,
    "count": _count_text,
    "replace": _replace,
    "split": _split,
    "partition": _partition,
    "join": _join,
}

METHODS: Final[dict[type, dict[str, Method]]] = {
    str: _TEXT
    | {
        "upper": _upper,
        "lower": _lower,
        "isdigit": _is_digit,
        "isalpha": _is_alpha,
        "isalnum": _is_alnum,
        "islower": _is_lower,
        "isupper": _is_upper,
        "isascii": _is_ascii,
        "strip": _strip_with("strip"),
        "lstrip": _strip_with("lstrip"),
        "rstrip": _strip_with("rstrip"),
        "ljust": _pad_with("ljust"),
        "rjust": _pad_with("rjust"),
        "zfill": _zfill,
        "encode": _encode,
    },
    bytes: _TEXT | {"hex": _hex, "decode": _decode},
    int: {"bit_length": _bit_length, "to_bytes": _to_bytes},
    list: {
        "append": _append,
        "extend": _extend,
        "insert": _insert,
        "pop": _pop_item,
        "index": _index_of,
        "count": lambda meter, items, item: occurrences(meter, item, items),
        "remove": _remove,
        "reverse": _reverse,
        "sort": _sort,
        "clear": _clear,
        "copy": _copy_list,
    },
    tuple: {"index": _index_of, "count": lambda meter, items, item: occurrences(meter, item, items)},
    Decimal: decimals.METHODS,
    dict: {
        "get": _get,
        "pop": _pop_entry,
        "setdefault": _set_default,
        "update": _update,
        "clear": _clear,
        "copy": _copy_dict,
    },
}

# How many arguments each takes: the least and the most.
ARITY: Final[dict[str, tuple[int, int]]] = {
    "startswith": (1, 1),
    "endswith": (1, 1),
    "removeprefix": (1, 1),
    "removesuffix": (1, 1),
    "find": (1, 1),
    "rfind": (1, 1),
    "count": (1, 1),
    "replace": (2, 3),
    "split": (0, 2),
    "partition": (1, 1),
    "join": (1, 1),
    "upper": (0, 0),
    "lower": (0, 0),
    "isdigit": (0, 0),
    "isalpha": (0, 0),
    "isalnum": (0, 0),
    "islower": (0, 0),
    "isupper": (0, 0),
    "isascii": (0, 0),
    "strip": (0, 1),
    "lstrip": (0, 1),
    "rstrip": (0, 1),
    "ljust": (1, 2),
    "rjust": (1, 2),
    "zfill": (1, 1),
    "encode": (0, 0),
    "hex": (0, 0),
    "decode": (0, 0),
    "bit_length": (0, 0),
    "to_bytes": (1, 2),
    "append": (1, 1),
    "extend": (1, 1),
    "insert": (2, 2),
    "pop": (0, 2),
    "index": (1, 1),
    "remove": (1, 1),
    "reverse": (0, 0),
    "sort": (0, 0),
    "clear": (0, 0),
    "copy": (0, 0),
    "get": (1, 2),
    "setdefault": (1, 2),
    "update": (1, 1),
    "round": (0, 1),
    "floor": (0, 1),
    "ceil": (0, 1),
}
_POP: Final[dict[Any, tuple[int, int]]] = {list: (0, 1), dict: (1, 2)}


def method_of(receiver: Any, name: str) -> Method:
    """The method that the exact type of a value has under this name."""
    table = METHODS.get(type(receiver))
    method = table.get(name) if table is not None else None
    if method is None:
        fail(codes.BAD_TYPE, f"{type_name(receiver)} has no method {name}")
    return method


def hold_pop(receiver: Any, given: int) -> None:
    """Refuse a count of arguments that `pop` of this type does not take: it is the one method that has two."""
    least, most = _POP[type(receiver)]
    if not least <= given <= most:
        fail(codes.BAD_TYPE, f"pop of a {type_name(receiver)} takes {least} to {most} arguments")


# ── functions ─────────────────────────────────────────────────────────────────────────────────────


def _len(_meter: Meter, value: Any) -> int:
    if type(value) not in (str, bytes, list, tuple, dict):
        fail(codes.BAD_TYPE, f"{type_name(value)} has no length")
    return len(value)


def _abs(meter: Meter, value: Any) -> Any:
    if type(value) is Decimal:
        return decimals.absolute(meter, value)
    return abs(int(want(int, value, "the argument of abs")))


def _str(meter: Meter, value: Any = "") -> str:
    return text_of(meter, value)


def text_of(meter: Meter, value: Any) -> str:
    """str(value) for the types whose text is the same everywhere."""
    if type(value) is Decimal:
        return decimals.text_of(meter, value)
    if value is not None and type(value) not in (str, int, bool):
        fail(codes.BAD_TYPE, f"a {type_name(value)} has no text; there is text of str, int, bool, Decimal and None")
    meter.charge(gas.TEXT if type(value) is int else 0)
    return str(value)


def _int(meter: Meter, value: Any = 0) -> int:
    kind = type(value)
    if kind is int or kind is bool:
        return int(value)
    if kind is Decimal:
        return decimals.whole(meter, value)
    if kind is not str:
        fail(codes.BAD_TYPE, f"int() takes a str, an int, a bool or a Decimal, not {type_name(value)}")
    meter.charge(len(value) // gas.CHARACTERS_ASKED_PER_UNIT)
    digits = value[1:] if value[:1] in ("+", "-") else value
    if not digits or not digits.isascii() or not digits.isdigit():
        fail(codes.BAD_VALUE, "int() takes ASCII digits, with a sign or without")
    if len(digits) > limits.INTEGER_DIGITS_MAX:
        fail(codes.ARITHMETIC, f"a number of {len(digits)} digits; values lie within 256 bits")
    number = int(value)
    if not -limits.INTEGER_MAX <= number <= limits.INTEGER_MAX:
        overflow()
    return number


def _bool(_meter: Meter, value: Any = False) -> bool:
    return bool(value)


def _bytes(meter: Meter, value: Any = b"") -> bytes:
    kind = type(value)
    if kind is bytes:
        return bytes(value)
    if kind is int:
        if value < 0:
            fail(codes.BAD_VALUE, "a negative length")
        room_for_text(meter, value, value, bytes, zeros=True)
        return bytes(value)
    if kind is not list and kind is not tuple:
        fail(codes.BAD_TYPE, f"bytes() takes a length or a list of integers, not {type_name(value)}")
    meter.charge(len(value) * gas.ITEM_CHECKED)
    for item in value:
        if type(item) is not int or not 0 <= item <= 255:
            fail(codes.BAD_VALUE, "the items of bytes are integers from 0 to 255")
    room_for_text(meter, len(value), len(value), bytes)
    return bytes(value)


def _dict(meter: Meter, value: Any = None) -> dict[Any, Any]:
    if value is None:
        return {}
    return _copy_dict(meter, want(dict, value, "the argument of dict"))


def _divmod(meter: Meter, left: Any, right: Any) -> tuple[int, int]:
    return floor_divide(meter, left, right), modulo(meter, left, right)


def _pow(meter: Meter, base: Any, exponent: Any, modulus: Any = None) -> int:
    if modulus is None:
        return int(power(meter, base, exponent))
    want(int, base, "the base")
    want(int, exponent, "the exponent")
    want(int, modulus, "the modulus")
    if exponent < 0 or modulus == 0:
        fail(codes.ARITHMETIC, "pow with a modulus takes an exponent of 0 or more and a modulus that is not 0")
    bits = gas.POW_MODULO + modulus.bit_length() // gas.POW_MODULO_BITS_PER_UNIT
    meter.charge(exponent.bit_length() * bits)
    return int(pow(base, exponent, modulus))


def _ord(_meter: Meter, text: Any) -> int:
    if len(want(str, text, "the argument of ord")) != 1:
        fail(codes.BAD_VALUE, "ord() takes one character")
    return ord(text)


def _chr(_meter: Meter, number: Any) -> str:
    want(int, number, "the argument of chr")
    if not 0 <= number <= 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        fail(codes.BAD_VALUE, "chr() takes a code point that is a character")
    return chr(number)


def _sha256(meter: Meter, data: Any) -> bytes:
    meter.charge(len(want(bytes, data, "the argument of sha256")) // gas.SHA256_BYTES_PER_UNIT)
    return hashlib.sha256(data).digest()


def _address(meter: Meter, text: Any) -> str:
    want(str, text, "the argument of Address")
    meter.charge(gas.ADDRESS)
    if not is_address(text):
        fail(codes.BAD_VALUE, why_not(text))
    return str(text)


def from_hex(meter: Meter, text: Any) -> bytes:
    """bytes.fromhex(text)."""
    room_for_text(meter, len(want(str, text, "the argument of fromhex")) // 2, len(text) // 2, bytes)
    meter.charge(len(text) // gas.CHARACTERS_CODED_PER_UNIT)
    try:
        return bytes.fromhex(text)
    except ValueError:
        fail(codes.BAD_VALUE, "the text is not hexadecimal")


def from_bytes(_meter: Meter, data: Any, order: Any = "big") -> int:
    """int.from_bytes(data, order), without a sign."""
    if len(want(bytes, data, "the argument of from_bytes")) > 64:
        overflow()
    number = int.from_bytes(data, _byte_order(order))
    if number > limits.INTEGER_MAX:
        overflow()
    return number


def smallest(meter: Meter, values: list[Any]) -> Any:
    """The first of the smallest."""
    best = values[0]
    less(meter, best, best)  # even one value must be of a type that has an order
    for value in values[1:]:
        meter.charge(gas.ITEM_COMPARED)
        if less(meter, value, best):
            best = value
    return best


def largest(meter: Meter, values: list[Any]) -> Any:
    """The first of the largest."""
    best = values[0]
    less(meter, best, best)
    for value in values[1:]:
        meter.charge(gas.ITEM_COMPARED)
        if less(meter, best, value):
            best = value
    return best


# Name: least and most arguments, and the function.
FUNCTIONS: Final[dict[str, tuple[int, int, Method]]] = {
    "len": (1, 1, _len),
    "abs": (1, 1, _abs),
    "str": (0, 1, _str),
    "int": (0, 1, _int),
    "bool": (0, 1, _bool),
    "bytes": (0, 1, _bytes),
    "dict": (0, 1, _dict),
    "divmod": (2, 2, _divmod),
    "pow": (2, 3, _pow),
    "ord": (1, 1, _ord),
    "chr": (1, 1, _chr),
    "sha256": (1, 1, _sha256),
    "Address": (1, 1, _address),
    "Decimal": (1, 1, decimals.read),
}
CLASS_FUNCTIONS: Final[dict[tuple[str, str], tuple[int, int, Method]]] = {
    ("bytes", "fromhex"): (1, 1, from_hex),
    ("int", "from_bytes"): (1, 2, from_bytes),
}

__all__ = [
    "ARITY",
    "CLASS_FUNCTIONS",
    "FUNCTIONS",
    "METHODS",
    "Failure",
    "equal",
    "get_item",
    "hold_pop",
    "largest",
    "method_of",
    "smallest",
    "text_of",
]
