"""The arguments of a call as a transaction brings them: bytes that anybody wrote, paid for before they are read.

What the bytes of a transaction cost does for texts and numbers. A list or a dict may be a single byte of them, and
takes as long to make as a text of hundreds: they are counted beforehand, from above, by the bytes that may begin one.
This module knows no contract, and not which arguments a method takes.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

from contracts import codes, costs
from contracts.language.interface import Failure, Meter
from contracts.language.limits import VALUE_DEPTH_MAX
from ledger import codec
from ledger.errors import CodecError

_NOT_A_LIST: Final = "the arguments are not the canonical encoding of a list of values"
_PLAIN: Final = frozenset({str, int, bool, bytes, type(None)})
_CONTAINERS: Final = frozenset({list, dict})
_STR: Final = frozenset({str})

# Headers of msgpack: maps and arrays, and extensions, which hold the integers beyond 64 bits.
_MAY_BEGIN_A_PART: Final = bytes([*range(0x80, 0xA0), 0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9), *range(0xDC, 0xE0)])
_BYTES_BEHIND: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}  # of an int
_LENGTH_BEHIND: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # of bytes, of a str: so long a length


def pay_for_parts(meter: Meter, data: bytes) -> None:
    """Charge for the lists, dicts and large integers that the encoded arguments can hold, beyond a few."""
    if _bytes_that_may(data) > costs.ARGUMENT_PARTS_FREE:
        parts = _bytes_that_may(data[_first_part(data) :])
        meter.charge(costs.ARGUMENT_PART * max(parts - costs.ARGUMENT_PARTS_FREE, 0))


def _bytes_that_may(data: bytes) -> int:
    return len(data) - len(data.translate(None, _MAY_BEGIN_A_PART))


def _first_part(data: bytes) -> int:
    """Where the first argument begins that is neither a text nor a plain number: those before it hold no parts.

    Of more than 15 arguments, all are looked at.
    """
    if not 0x90 <= data[0] <= 0x9F:
        return 0
    position = 1
    for _ in range(data[0] & 0x0F):
        head = data[position : position + 1]
        size = _plain_size(data, position, head[0]) if head else 0
        if not size:
            break
        position += size
    return position


def _plain_size(data: bytes, position: int, head: int) -> int:
    """The bytes of an argument that is None, a bool, an int of 64 bits, a str or bytes; 0 for any other."""
    if head < 0x80 or head >= 0xE0 or head in (0xC0, 0xC2, 0xC3):
        return 1
    if 0xA0 <= head <= 0xBF:
        return 1 + (head & 0x1F)
    if head in _BYTES_BEHIND:
        return 1 + _BYTES_BEHIND[head]
    width = _LENGTH_BEHIND.get(head, 0)
    return width and 1 + width + int.from_bytes(data[position + 1 : position + 1 + width], "big")


def decode_arguments(data: bytes) -> list[Any]:
    """The argument list of a call. Raises `Failure` unless it is a list of contract values, canonically encoded.

    How deep a parser of the host can nest depends on its stack, so too deep and malformed are one answer.
    """
    try:
        arguments = codec.decode(data)
    except CodecError:
        raise _not_a_list() from None
    if type(arguments) is not list:
        raise _not_a_list()
    for argument in arguments:
        if type(argument) not in _PLAIN:
            _check_nested(argument)
    return arguments


def _not_a_list() -> Failure:
    return Failure(codes.BAD_ARGUMENTS, _NOT_A_LIST)


def _check_nested(value: Any) -> None:
    """Only values of the language, and not nested deeper than the limit. A level at a time, without recursion."""
    level = [value]
    for _ in range(VALUE_DEPTH_MAX):
        level = _one_deeper(level)
        if not level:
            return
    raise _not_a_list()


def _one_deeper(level: list[Any]) -> list[Any]:
    """What is inside these, as far as it needs another look."""
    if not set(map(type, level)) <= _CONTAINERS:
        raise _not_a_list()
    dicts = [value for value in level if type(value) is dict]
    if not set(map(type, chain.from_iterable(dicts))) <= _STR:
        raise _not_a_list()
    lists = [value for value in level if type(value) is list]
    items = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, dicts))]
    return [] if set(map(type, items)) <= _PLAIN else [item for item in items if type(item) not in _PLAIN]
