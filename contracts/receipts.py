"""What goes into receipts: values as canonical bytes, messages fit to be kept, and the receipt itself.

Everything here is a rule that all validators apply alike; nothing of the host's own error text passes through.
"""

from __future__ import annotations

from typing import Any

from contracts import codes
from contracts.costs import MESSAGE_CHARACTERS_MAX
from contracts.language.interface import Failure
from contracts.language.limits import VALUE_DEPTH_MAX
from ledger import codec
from ledger.errors import CodecError

_NOT_A_LIST = "the arguments are not the canonical encoding of a list of values"
_NONE = codec.encode(None)
_PLAIN = frozenset({str, int, bool, bytes, type(None)})


def encode_value(value: Any) -> bytes:
    """The bytes of a value that a program has let out: the language has checked and measured it by then."""
    if value is None:
        return _NONE
    try:
        return codec.encode(value)
    except CodecError:
        raise Failure(codes.BAD_VALUE, "this value has no encoding") from None


def decode_arguments(data: bytes) -> list[Any]:
    """The argument list of a call. Raises `Failure` unless it is a list of contract values, canonically encoded.

    How deep a parser of the host can nest depends on its stack, so too deep and malformed are one answer.
    """
    try:
        arguments = codec.decode(data)
    except CodecError:
        raise Failure(codes.BAD_ARGUMENTS, _NOT_A_LIST) from None
    if type(arguments) is not list:
        raise Failure(codes.BAD_ARGUMENTS, _NOT_A_LIST)
    for argument in arguments:
        if type(argument) not in _PLAIN:
            try:
                _check_nested(argument)
            except Failure:
                raise Failure(codes.BAD_ARGUMENTS, _NOT_A_LIST) from None
    return arguments


def _check_nested(value: Any) -> None:
    """Only values of the language, and not nested deeper than the limit. A level at a time, without recursion."""
    level = [value]
    for _ in range(VALUE_DEPTH_MAX):
        level = [item for value in level for item in _items(value)]
        if not level:
            return
    raise Failure(codes.SIZE_LIMIT, f"lists and dicts are nested deeper than {VALUE_DEPTH_MAX}")


def _items(value: Any) -> list[Any]:
    """What is inside a value, as far as it needs another look."""
    kind = type(value)
    if kind in _PLAIN:
        return []
    if kind is list or kind is tuple:
        return [item for item in value if type(item) not in _PLAIN]
    if kind is dict and all(type(key) is str for key in value):
        return [item for item in value.values() if type(item) not in _PLAIN]
    raise Failure(
        codes.BAD_VALUE, "a value is None, bool, int, str, bytes, or a list of these, or a dict of them by str"
    )


def fit_message(message: str) -> str:
    """The message as a receipt keeps it: bounded, and with an encoding."""
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = message[: MESSAGE_CHARACTERS_MAX - 3] + "..."
    if message.isascii():
        return message
    return message.encode("utf-8", "backslashreplace").decode()
