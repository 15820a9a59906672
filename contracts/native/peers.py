"""What `self.at(Interface, address)` gives when Python itself runs a contract: another one, as far as it is known.

Arguments are fitted to the interface before they leave, results when they come back, with the interpreter's words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contracts import codes
from contracts.decimal import plain
from contracts.language.interface import Host
from contracts.language.peers import hold_name
from contracts.language.values import measure, want
from contracts.native.entries import Entry, entry_of
from contracts.native.failures import pythonic
from contracts.native.kinds import FREE, fit


class Interface:
    """Base of what a contract knows of another one: methods marked @call or @view, with types and without code."""


class Peer:
    """Another contract by its address, with the methods of an interface."""

    __slots__ = ("_address", "_host", "_interface")

    def __init__(self, host: Host, interface: type, address: Any) -> None:
        self._host = host
        self._interface = interface
        self._address = hold_name(want(str, address, "the address"))

    def __getattr__(self, method: str) -> Callable[..., Any]:
        entry = entry_of(self._interface, method)
        if entry is None:
            raise AttributeError(f"{self._interface.__name__} has no method {method!r}")
        return pythonic(lambda *args, **keywords: self._ask(entry, entry.positional(self, args, keywords)))

    def _ask(self, entry: Entry, args: list[Any]) -> Any:
        shown = f"{self._interface.__name__}.{entry.name}"
        given = [
            fit(entry.type_of(name), value, f"the argument {name!r} of {shown}", codes.BAD_TYPE)
            for name, value in zip(entry.parameters, args, strict=True)
        ]
        measure(FREE, given)
        ask = self._host.ask if entry.kind == "view" else self._host.call
        result = ask(self._address, entry.name, plain(given))
        return fit(entry.type_of("return"), result, f"the result of {shown}", codes.BAD_TYPE, outside=True)
