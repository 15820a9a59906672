"""The contract `system` as one program: the methods of both halves, each run by the half that has it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from contracts import codes
from contracts.language.interface import Failure, Host, Meter, Program
from contracts.language.program import compile_source
from contracts.system.code import CodeProgram
from ledger import hashing

MEMBERS_SOURCE: Final = files("contracts.system").joinpath("members.py").read_text(encoding="utf-8")

Watch = Callable[[Program, str], Program]


class SystemProgram:
    """Programs under one name and over one state, as a `Program`. No two have a method or a variable in common."""

    name: Final = "System"
    doc: Final = "Who may send, who may deploy, and which code each contract has: accounts, roles, code."

    def __init__(self, *parts: Program) -> None:
        self.code_hash = hashing.code_hash(b"".join(part.code_hash for part in parts))
        self.methods = tuple(method for part in parts for method in part.methods)
        self.state = tuple(variable for part in parts for variable in part.state)
        self.events = tuple(event for part in parts for event in part.events)
        self._part_of = {method.name: part for part in parts for method in part.methods}

    def run(self, method: str, args: list[Any], host: Host, meter: Meter) -> Any:
        """Run one entry point. Raises `Failure`."""
        part = self._part_of.get(method)
        if part is None:
            raise Failure(codes.UNKNOWN_METHOD, "the system contract has no such method")
        return part.run(method, args, host, meter)


@lru_cache(maxsize=1)
def members() -> Program:
    """The half that is written in the contract language, compiled."""
    return compile_source(MEMBERS_SOURCE)


def system_program(watch: Watch | None = None) -> SystemProgram:
    """The system contract; a trace `watch`es both halves."""
    code: Program = CodeProgram()
    if watch is None:
        return SystemProgram(members(), code)
    return SystemProgram(watch(members(), MEMBERS_SOURCE), watch(code, ""))
