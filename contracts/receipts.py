"""What goes into receipts: values as canonical bytes, messages fit to be kept, and the receipt itself.

Everything here is a rule that all validators apply alike; nothing of the host's own error text passes through.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from contracts import codes
from contracts.costs import MESSAGE_CHARACTERS_MAX, RECEIPT_BYTES_MAX
from contracts.language.interface import Failure
from ledger import codec
from ledger.errors import CodecError

_NONE = codec.encode(None)


def encode_value(value: Any) -> bytes:
    """The bytes of a value that a program has let out: the language has checked and measured it by then."""
    if value is None:
        return _NONE
    try:
        return codec.encode(value)
    except CodecError:
        raise Failure(codes.BAD_VALUE, "this value has no encoding") from None


def encode_result(value: Any) -> bytes:
    """The bytes of what a method returned. One text may stand in it many times, and would be written as often: how long
    the bytes will be is looked at before there are any."""
    if type(value) in (list, tuple, dict) and _is_larger(value, RECEIPT_BYTES_MAX):
        raise Failure(codes.SIZE_LIMIT, f"a result larger than {RECEIPT_BYTES_MAX} bytes encoded")
    data = encode_value(value)
    if len(data) > RECEIPT_BYTES_MAX:
        message = f"a result of {len(data)} bytes encoded, at most {RECEIPT_BYTES_MAX} are allowed"
        raise Failure(codes.SIZE_LIMIT, message)
    return data


def _is_larger(value: Any, most: int) -> bool:
    """Whether a value has more items, or longer texts altogether, than so many bytes hold. A level at a time."""
    level, size = [value], 1
    while level:
        size += sum([len(item) for item in level if type(item) is str or type(item) is bytes])
        lists = [item for item in level if type(item) is list or type(item) is tuple]
        dicts = [item for item in level if type(item) is dict]
        size += sum(map(len, lists)) + 2 * sum(map(len, dicts))
        if size > most:
            return True
        keys, values = chain.from_iterable(dicts), chain.from_iterable(map(dict.values, dicts))
        level = [*chain.from_iterable(lists), *keys, *values]
    return False


def fit_message(message: str) -> str:
    """The message as a receipt keeps it: bounded, and with an encoding."""
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = message[: MESSAGE_CHARACTERS_MAX - 3] + "..."
    if message.isascii():
        return message
    return message.encode("utf-8", "backslashreplace").decode()
