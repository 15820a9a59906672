"""A deliberate bug: a function of the protocol with one piece of its text replaced, in this process, for a while.

An edit names the function, the text as it must stand in it exactly once, and the text that breaks it. The function
object stays and gets other code, so whoever imported it runs the bug. An edit that no longer matches raises
`StaleEdit`: a mutant that silently changed nothing would say that the simulator is blind. Knows no single mutant.
"""

from __future__ import annotations
import __future__

import contextlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType

import msgspec

_ANNOTATIONS = __future__.annotations.compiler_flag


class StaleEdit(LookupError):
    """The code has changed: what an edit replaces is not there once, or is not code any more when replaced."""


class Edit(msgspec.Struct, frozen=True):
    """In `function` ("consensus.slot:Votes.add"), `old` becomes `new`."""

    function: str
    old: str
    new: str


class Mutant(msgspec.Struct, frozen=True):
    """One bug. `section` is the part of the protocol it breaks, `broken` says what a careless author did."""

    name: str
    section: str
    scenario: str  # the failure that is known from the field, in words
    broken: str
    edits: tuple[Edit, ...]


@contextlib.contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Run the block with the bug in place. Raises `StaleEdit` before anything is changed."""
    changes: dict[FunctionType, str] = {}
    for edit in mutant.edits:
        function = function_at(edit.function)
        changes[function] = _replaced(mutant, edit, changes.get(function) or _source(function))
    broken = {function: _compiled(mutant, function, source) for function, source in changes.items()}
    honest = {function: function.__code__ for function in broken}
    try:
        _install(broken)
        yield
    finally:
        _install(honest)


def _install(codes: dict[FunctionType, CodeType]) -> None:
    for function, code in codes.items():
        function.__code__ = code


def function_at(path: str) -> FunctionType:
    """The function, method or property getter that a path names."""
    module_name, _, qualified = path.partition(":")
    found: object = importlib.import_module(module_name)
    for name in qualified.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    if isinstance(found, property):
        found = found.fget
    found = getattr(found, "__func__", found)
    if not isinstance(found, FunctionType):
        raise StaleEdit(f"there is no function {path}")
    return found


def _source(function: FunctionType) -> str:
    return textwrap.dedent(inspect.getsource(function.__code__))


def _replaced(mutant: Mutant, edit: Edit, source: str) -> str:
    found = source.count(edit.old)
    if found != 1:
        raise StaleEdit(f"{mutant.name}: {edit.function} has {edit.old!r} {found} times, expected once:\n{source}")
    return source.replace(edit.old, edit.new)


def _compiled(mutant: Mutant, function: FunctionType, source: str) -> CodeType:
    """The code of the changed function, to be run with the globals and defaults of the honest one."""
    name = f"<mutant {mutant.name}>"
    try:
        module = compile(source, name, "exec", flags=_ANNOTATIONS, dont_inherit=True)
    except SyntaxError as error:
        raise StaleEdit(f"{mutant.name}: {function.__qualname__} is no Python any more: {error}\n{source}") from None
    codes = [each for each in module.co_consts if isinstance(each, CodeType) and each.co_name == function.__name__]
    if len(codes) != 1 or codes[0].co_freevars:
        raise StaleEdit(f"{mutant.name}: {function.__qualname__} does not stand alone")
    return codes[0]
