"""`Address`: whom a contract names: an account by the hex of its public key, another contract by its name.

An address is a str that was looked at, and stays one. What has the form of an address need not exist: an account may
be made later, a contract deployed later. This module knows the form alone.
"""

from __future__ import annotations

import re
from typing import Final

from ledger.types import NAME_PATTERN

ADDRESS_CHARACTERS_MAX: Final = 64
_FORM: Final = re.compile(rf"[0-9a-f]{{{ADDRESS_CHARACTERS_MAX}}}|{NAME_PATTERN.removeprefix('^').removesuffix('$')}")
_SHOWN_CHARACTERS_MAX: Final = 70


class Address(str):
    """The address of an account or of a contract. `Address(text)` is `text` itself. Raises `ValueError` for others."""

    __slots__ = ()

    def __new__(cls, text: str) -> Address:
        """The text as it is: to a type checker it is an address from here on."""
        given: object = text
        if type(given) is not str:
            raise TypeError(f"Address() takes a str, not {'None' if given is None else type(given).__name__}")
        if not is_address(text):
            raise ValueError(why_not(text))
        return text  # type: ignore[return-value]  # there is nothing to add to a str


def is_address(text: str) -> bool:
    """Whether a text has the form of an address."""
    return len(text) <= ADDRESS_CHARACTERS_MAX and _FORM.fullmatch(text) is not None


def why_not(text: str) -> str:
    """What to say of a text that is no address; it is the same on every machine."""
    shown = ascii(text) if len(text) <= _SHOWN_CHARACTERS_MAX else f"a text of {len(text)} characters"
    return f"an Address is the 64 lower-case hex digits of a public key, or the name of a contract; not {shown}"
