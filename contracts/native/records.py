"""Records as Python runs them: a class of typed fields whose calls give plain dicts, as the interpreter makes them.

To a type checker a record is a `TypedDict`; here it is a class that remembers its fields. Values are held to it where
they cross a boundary, by the language's own type.
"""

from __future__ import annotations

import typing
from typing import Any


class RecordMeta(type):
    """The class of records: what is called gives a dict."""

    def __call__(cls, *args: Any, **fields: Any) -> dict[str, Any]:
        """The fields by name, each once."""
        wanted = list(typing.get_type_hints(cls))
        if args or sorted(fields) != sorted(wanted):
            raise TypeError(f"{cls.__name__} takes its fields by name, each once: {', '.join(wanted)}")
        return fields


class Record(metaclass=RecordMeta):
    """Base of a contract's records."""
