"""The one mapping between a contract's (variable, key tuple) and the bytes that the authenticated state is keyed by.

Injective, so that no two places in any two contracts share a key; prefix-free, so that any tree may hold them;
and in the order of the keys themselves, so that a scan of the state is an iteration over a Map in key order.
It knows nothing of values, gas or the state.

    key     = name(contract) name(variable) element* END
    name    = one byte of length, then that many bytes of ASCII
    element = tag, then   bool: 00 or 01
                          int:  80 + n (or 80 - n below zero), then n bytes of magnitude (complemented below zero)
                          bytes, str (as UTF-8): the bytes with 00 written as 00 FF, then STOP = 00 01
    END     = 00, below every tag: a shorter tuple comes before a longer one

Elements of different types sort bool, int, bytes, str. Nothing is normalised: two strings are the same key only
when they are the same code points.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from contracts import codes

Element = bool | int | bytes | str
Key = tuple[Element, ...]

KEY_BYTES_MAX: Final = 1024  # of one whole encoded key
ELEMENTS_MAX: Final = 8  # the deepest nesting of Maps, and then some

_INTEGER_BYTES_MAX: Final = 32
_END: Final = b"\x00"
_STOP: Final = b"\x00\x01"
_ESCAPED_ZERO: Final = b"\x00\xff"
_BOOL, _INT, _BYTES, _STR = 0x01, 0x02, 0x03, 0x04
_FALSE, _TRUE = bytes([_BOOL, 0]), bytes([_BOOL, 1])
_INT_ZERO: Final = 0x80

_prefixes: dict[tuple[str, str], bytes] = {}
_PREFIXES_MAX: Final = 4096
_TEXT_KEYS_MAX: Final = 8192  # encoded and kept; near to 3 MB


class BadKey(ValueError):
    """A value that cannot be a key. `code` is the stable code for the receipt, the text is fit for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def state_key(contract: str, variable: str, key: Key) -> bytes:
    """The bytes under which `contract` keeps `variable` at `key` (the empty tuple for a plain variable)."""
    if len(key) == 1 and type(text := key[0]) is str:
        return _text_key(contract, variable, text)
    return _fitting(scan_prefix(contract, variable, key) + _END)


@lru_cache(maxsize=_TEXT_KEYS_MAX)
def _text_key(contract: str, variable: str, text: str) -> bytes:
    """The same for the commonest of keys. Only a str may be looked up so: elsewhere True would find what 1 left."""
    return _fitting(scan_prefix(contract, variable, (text,)) + _END)


def _fitting(encoded: bytes) -> bytes:
    if len(encoded) > KEY_BYTES_MAX:
        raise BadKey(codes.SIZE_LIMIT, f"a key of {len(encoded)} bytes, at most {KEY_BYTES_MAX} are allowed")
    return encoded


def scan_prefix(contract: str, variable: str, key: Key = ()) -> bytes:
    """What the keys of `variable` that begin with the elements of `key`, and no others, begin with."""
    prefix = _prefixes.get((contract, variable))
    if prefix is None:
        prefix = _variable_prefix(contract, variable)
    if not key:
        return prefix
    if len(key) > ELEMENTS_MAX:
        raise BadKey(codes.SIZE_LIMIT, f"a key of {len(key)} elements, at most {ELEMENTS_MAX} are allowed")
    return prefix + b"".join([_element(element) for element in key])


def contract_prefix(contract: str) -> bytes:
    """What every key of one contract begins with."""
    return _name(contract)


def split_key(encoded: bytes) -> tuple[str, str, Key]:
    """The (contract, variable, key tuple) of a state key. Raises `ValueError` for bytes that are none."""
    contract, position = _read_name(encoded, 0)
    variable, position = _read_name(encoded, position)
    elements: list[Element] = []
    while encoded[position : position + 1] != _END:
        element, position = _read_element(encoded, position)
        elements.append(element)
    if position + 1 != len(encoded):
        raise ValueError("not a state key: bytes after its end")
    return contract, variable, tuple(elements)


def split_suffix(encoded: bytes, position: int) -> Key:
    """The elements of a state key from `position` on: what a scan found behind its prefix."""
    elements: list[Element] = []
    end = len(encoded) - 1
    while position < end:
        element, position = _read_element(encoded, position)
        elements.append(element)
    return tuple(elements)


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


def _variable_prefix(contract: str, variable: str) -> bytes:
    prefix = _name(contract) + _name(variable)
    if len(_prefixes) >= _PREFIXES_MAX:
        _prefixes.clear()
    _prefixes[contract, variable] = prefix
    return prefix


def _name(name: str) -> bytes:
    data = name.encode("ascii", "backslashreplace")
    if not 0 < len(data) < 256 or not name.isascii():
        raise BadKey(codes.BAD_VALUE, "a name in a key is 1 to 255 ASCII characters")
    return bytes([len(data)]) + data


def _element(value: Element) -> bytes:
    """One element, by its exact type: a subclass of int or str is none of ours."""
    kind = type(value)
    if kind is str:
        return b"\x04" + _escaped(_utf8(cast(str, value))) + _STOP
    if kind is int:
        return _integer(cast(int, value))
    if kind is bytes:
        return b"\x03" + _escaped(cast(bytes, value)) + _STOP
    if kind is bool:
        return _TRUE if value else _FALSE
    raise BadKey(codes.BAD_TYPE, "a key is made of str, int, bytes and bool")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadKey(codes.BAD_VALUE, "a lone surrogate cannot be part of a key") from None


def _escaped(data: bytes) -> bytes:
    return data.replace(b"\x00", _ESCAPED_ZERO) if b"\x00" in data else data


def _integer(value: int) -> bytes:
    magnitude = abs(value)
    size = (magnitude.bit_length() + 7) // 8
    if size > _INTEGER_BYTES_MAX:
        raise BadKey(codes.ARITHMETIC, "an integer in a key is outside 256 bits")
    if value < 0:
        return bytes([_INT, _INT_ZERO - size]) + ((1 << 8 * size) - 1 - magnitude).to_bytes(size, "big")
    return bytes([_INT, _INT_ZERO + size]) + magnitude.to_bytes(size, "big")


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def _read_name(encoded: bytes, position: int) -> tuple[str, int]:
    size = encoded[position] if position < len(encoded) else 0
    data = encoded[position + 1 : position + 1 + size]
    if not size or len(data) != size:
        raise ValueError("not a state key: a name is cut short")
    return data.decode("ascii"), position + 1 + size


def _read_element(encoded: bytes, position: int) -> tuple[Element, int]:
    tag = encoded[position] if position < len(encoded) else None
    position += 1
    if tag == _STR:
        data, position = _read_escaped(encoded, position)
        return data.decode(), position
    if tag == _BYTES:
        return _read_escaped(encoded, position)
    if tag == _INT:
        return _read_integer(encoded, position)
    if tag == _BOOL and encoded[position : position + 1] in (b"\x00", b"\x01"):
        return encoded[position] == 1, position + 1
    raise ValueError(f"not a state key: no element begins with {tag}")


def _read_escaped(encoded: bytes, position: int) -> tuple[bytes, int]:
    # A zero is always followed by FF or is the stop, so the first stop is the end, however many zeros come before it.
    end = encoded.find(_STOP, position)
    if end < 0:
        raise ValueError("not a state key: an element is cut short")
    written = encoded[position:end]
    data = written.replace(_ESCAPED_ZERO, b"\x00")
    if written.count(b"\x00") != len(written) - len(data):
        raise ValueError("not a state key: a zero byte is neither escaped nor a stop")
    return data, end + len(_STOP)


def _read_integer(encoded: bytes, position: int) -> tuple[int, int]:
    size = encoded[position] - _INT_ZERO if position < len(encoded) else 99
    data = encoded[position + 1 : position + 1 + abs(size)]
    if abs(size) > _INTEGER_BYTES_MAX or len(data) != abs(size):
        raise ValueError("not a state key: an integer is cut short")
    magnitude = int.from_bytes(data, "big")
    if size < 0:
        magnitude = (1 << 8 * -size) - 1 - magnitude
    if (magnitude.bit_length() + 7) // 8 != abs(size):
        raise ValueError("not a state key: an integer is longer than it must be")
    return (-magnitude if size < 0 else magnitude), position + 1 + abs(size)
