"""Where a contract under test comes from: a class, a file or a text; and how each becomes a class that Python runs.

Only an author's own tests load a source as Python. A node never does.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from pathlib import Path
from types import ModuleType

from contracts.native import Contract
from ledger import hashing


def source_text(source: str | type | Path) -> str:
    """The text of a contract that is given as text, as a class or as a file."""
    file = source_file(source)
    return str(source) if file is None else file.read_text(encoding="utf-8")


def source_file(source: str | type | Path) -> Path | None:
    """The file of a contract that is given as a class or as a file; None for a text."""
    if isinstance(source, type):
        file = inspect.getsourcefile(source)
        if file is None:
            raise ValueError(f"the source file of {source.__name__} is not known; give its path")
        return Path(file)
    if isinstance(source, Path) or (source.endswith(".py") and "\n" not in source):
        return Path(source)
    return None


def load_class(source: str, name: str, file: Path | None) -> type[Contract]:
    """The contract class of a source that the checker has accepted, made by Python.

    With its file's name, so that breakpoints, tracebacks and coverage find the lines; a text gets a name of its own.
    """
    shown = str(file.resolve()) if file is not None else f"<contract {name}>"
    if file is None:
        linecache.cache[shown] = (len(source), None, source.splitlines(keepends=True), shown)
    module = ModuleType(f"quorate_contract_{hashing.code_hash(source.encode()).hex()}")
    sys.modules[module.__name__] = module  # annotations are looked up there
    exec(compile(source, shown, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 -- an author's own code
    found = module.__dict__[name]
    assert isinstance(found, type), "the checker has seen the class"
    assert issubclass(found, Contract), "and its base"
    return found
