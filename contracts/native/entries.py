"""An entry point of a contract class: a method marked @init, @call or @view, held to its types on the way in and out.

It fits arguments and results as the interpreter does, with the same words. Who may call it when is not its matter.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from contracts import codes
from contracts.decimal import plain
from contracts.language.interface import Failure, Method
from contracts.language.value_types import Type
from contracts.native.kinds import FREE, fit, type_of


class Entry:
    """A marked method. `kind` is "init", "call" or "view"."""

    def __init__(self, kind: str, function: Callable[..., Any]) -> None:
        self.kind = kind
        self.function = function
        self.name: str = function.__name__

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @cached_property
    def _kinds(self) -> dict[str, Type]:
        return {name: type_of(hint) for name, hint in typing.get_type_hints(self.function).items()}

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names, without self."""
        return tuple(self._signature.parameters)[1:]

    def type_of(self, name: str) -> Type:
        """The type of a parameter; of the result for "return"."""
        return self._kinds[name]

    def method(self) -> Method:
        """What the runtime knows of it."""
        kinds = self._kinds
        parameters = tuple([(name, kinds[name].text) for name in self.parameters])
        line = self.function.__code__.co_firstlineno
        return Method(self.name, self.kind, parameters, kinds["return"].text, inspect.getdoc(self.function) or "", line)

    def positional(self, contract: Any, args: Sequence[Any], keywords: dict[str, Any]) -> list[Any]:
        """The arguments of a call from Python, in order. Raises `Failure` when they do not match the parameters."""
        try:
            given = self._signature.bind(contract, *args, **keywords).arguments
        except TypeError as error:
            raise Failure(codes.BAD_ARGUMENTS, f"{self.name}: {error}") from None
        return [given[name] for name in self.parameters]

    def fitted(self, args: Sequence[Any]) -> list[Any]:
        """The arguments as their types say. Raises `Failure`."""
        names = self.parameters
        if len(args) != len(names):
            wanted = ", ".join(names) or "nothing"
            message = f"{self.name} takes {len(names)} arguments ({wanted}), not {len(args)}"
            raise Failure(codes.BAD_ARGUMENTS, message)
        return [self._argument(name, value) for name, value in zip(names, args, strict=True)]

    def run(self, contract: Any, args: Sequence[Any]) -> Any:
        """Run the body with arguments that fit. Raises `Failure`, and whatever Python raises."""
        return plain(self._result(self.function(contract, *self.fitted(args))))

    def _argument(self, name: str, value: Any) -> Any:
        what = f"the argument {name!r} of {self.name}"
        return fit(self._kinds[name], value, what, codes.BAD_ARGUMENTS, outside=True)

    def _result(self, value: Any) -> Any:
        return fit(self._kinds["return"], value, f"the result of {self.name}", codes.BAD_TYPE)

    def received(self, value: Any) -> Any:
        """A result that came back as bytes, with its tuples and Decimals."""
        return self._kinds["return"].fit(FREE, value, outside=True)


def entry_of(contract: type, name: str) -> Entry | None:
    """The entry point of this name, None where there is none."""
    found = getattr(getattr(contract, name, None), "entry", None)
    return found if isinstance(found, Entry) else None


def entries_of(contract: type) -> dict[str, Entry]:
    """All entry points of a class, by name."""
    found = {name: entry_of(contract, name) for name in dir(contract)}
    return {name: entry for name, entry in found.items() if entry is not None}
