"""Contracts that Python itself runs on a local chain: the runtime's rules around the author's own class.

The source is checked as on chain, and what the runtime sees of the contract is what the checker has read; only the
bodies of its methods are run by Python. So rights, state, events and failures are those of the chain; gas, and limits
on values that never leave a call, are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.language import compile_source
from contracts.language.interface import Host, Meter, Method, Program
from contracts.native import Contract, as_failure, bound, entry_of
from contracts.testing.sources import load_class
from ledger import hashing


class PythonPrograms:
    """The compiler of a chain whose contracts Python runs. `error` is what ended the last transaction."""

    def __init__(self) -> None:
        self._classes: dict[bytes, type[Contract]] = {}
        self._files: dict[bytes, Path] = {}
        self.error: Exception | None = None

    def expect(self, source: str, given: str | type | Path, file: Path | None) -> None:
        """Remember where a source comes from that is about to be deployed."""
        key = hashing.code_hash(source.encode("utf-8", "replace"))
        if isinstance(given, type) and issubclass(given, Contract):
            self._classes[key] = given
        elif file is not None:
            self._files[key] = file

    def compile(self, source: str) -> Program:
        """The program of a source. Raises `SourceRefused`."""
        checked = compile_source(source)
        found = self._classes.get(checked.code_hash)
        if found is None or found.__name__ != checked.name:
            found = load_class(source, checked.name, self._files.get(checked.code_hash))
            self._classes[checked.code_hash] = found
        return PythonProgram(checked, found, self)


class PythonProgram:
    """A checked contract with the bodies of its class. Implements `interface.Program`."""

    def __init__(self, checked: Program, contract: type[Contract], programs: PythonPrograms) -> None:
        self.code_hash = checked.code_hash
        self.name = checked.name
        self.doc = checked.doc
        self.methods: tuple[Method, ...] = checked.methods
        self.state = checked.state
        self.events = checked.events
        self._class = contract
        self._programs = programs

    def run(self, method: str, args: list[Any], host: Host, _meter: Meter) -> Any:
        """Run one entry point. Raises `Failure`; what no contract can raise goes through as it is."""
        entry = entry_of(self._class, method)
        assert entry is not None, "the checker has read the same class"
        try:
            return entry.run(bound(self._class, host), args)
        except Exception as error:
            failure = as_failure(error, entry.function.__code__.co_filename)
            if failure is None:
                raise
            if self._programs.error is None:  # the innermost: a caller only passes on what its callee came to
                self._programs.error = error
            failure.contract = failure.contract or host.context.contract
            raise failure from error
