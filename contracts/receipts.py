"""What goes into receipts: values as canonical bytes, messages fit to be kept, and the receipt itself.

Everything here is a rule that all validators apply alike; nothing of the host's own error text passes through.
"""

from __future__ import annotations

from typing import Any

from contracts import codes
from contracts.costs import MESSAGE_CHARACTERS_MAX
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


def fit_message(message: str) -> str:
    """The message as a receipt keeps it: bounded, and with an encoding."""
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = message[: MESSAGE_CHARACTERS_MAX - 3] + "..."
    if message.isascii():
        return message
    return message.encode("utf-8", "backslashreplace").decode()
