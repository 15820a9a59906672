"""Files that a command was asked to write: new ones, whole or not at all, and a failure that names the file."""

from __future__ import annotations

import contextlib
from pathlib import Path

from network.cli.console import UserError, short


def refuse_existing(path: Path, advice: str = "choose another name") -> None:
    """Before any work is done for it. Raises `UserError`."""
    if path.exists():
        raise UserError(f"{short(path)} exists already: {advice}")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises `OSError` with its name, and leaves nothing half-written."""
    file = path.open("x", encoding="utf-8")
    try:
        with file:
            file.write(text)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
