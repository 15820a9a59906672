"""How the command line speaks: plain lines for people, JSON for machines, one sentence of advice for a mistake."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for machines.")]


class UserError(Exception):
    """A mistake of the user, or a state of the world that the user can mend. The text says what to do."""


def examples(*commands: str) -> str:
    """The end of a help page: commands to copy."""
    return "\n".join(["[bold]Examples[/]", *(f"  [cyan]{_escaped(command)}[/]" for command in commands)])


def _escaped(text: str) -> str:
    """Text in which rich sees no markup."""
    return text.replace("[", "\\[")


def say(line: str = "") -> None:
    """One line for a person."""
    typer.echo(line)


def say_fields(fields: Iterable[tuple[str, object]], indent: str = "") -> None:
    """Names and values in two columns."""
    rows = [(name, printable(str(value))) for name, value in fields]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        say(f"{indent}{name:<{width}}  {value}")


def printable(text: str) -> str:
    """The text with what would move the cursor, colour or turn around the line written as an escape."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def say_json(value: Any) -> None:
    """A value for a machine, readable by a person too."""
    import json

    say(json.dumps(value, indent=2, ensure_ascii=False))


def hint(line: str) -> None:
    """A remark beside the output: it goes to standard error, so that output can be piped."""
    typer.echo(line, err=True)


def explain(error: Exception) -> str | None:
    """The advice for an error that a user can mend, None for a defect of Quorate."""
    if isinstance(error, UserError | OSError):
        return _explain_os(error) if isinstance(error, OSError) else str(error)
    return str(error) if isinstance(error, _known_errors()) else None


def _explain_os(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _known_errors() -> tuple[type[Exception], ...]:
    """The error trees of the packages, as far as this process has loaded them."""
    names = {
        "ledger.errors": ("LedgerError",),
        "network.config": ("ConfigError",),
        "network.member": ("MemberExists",),
        "network.testnet_layout": ("TestnetError",),
        "network.client.errors": ("ClientError",),
        "network.json_values": ("NotAValue",),
    }
    loaded = ((sys.modules[module], each) for module, each in names.items() if module in sys.modules)
    return tuple(getattr(module, name) for module, classes in loaded for name in classes)


def short(path: Path) -> str:
    """A path as a person would type it from here."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)
