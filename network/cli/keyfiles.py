"""Opens the key file that a command is given, asking for its passphrase where it is encrypted."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from network.cli.console import UserError

if TYPE_CHECKING:
    from ledger.crypto import SigningKey

PASSPHRASE_VARIABLE = "QUORATE_PASSPHRASE"  # noqa: S105 - the name of a variable, not what it holds
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", envvar="QUORATE_KEY", help="Key file of the account that signs.", show_default=False),
]


def open_key(path: Path | None) -> SigningKey:
    """The key in a PEM file. Raises `UserError` where none is named, `KeyFileError` where it cannot be used."""
    from ledger.keys import load_signing_key, read_private_file

    if path is None:
        raise UserError("no key to sign with: give --key FILE, or set QUORATE_KEY (make one with `quorate keys new`)")
    refuse_other_files(path)
    encrypted = b"ENCRYPTED PRIVATE KEY" in read_private_file(path)
    return load_signing_key(path, ask_passphrase(path) if encrypted else None)


def refuse_other_files(path: Path) -> None:
    """A file that holds no key is named as that, and nobody is told to hide it. Raises `UserError`."""
    from ledger.keys import KEY_FILE_BYTES_MAX

    with contextlib.suppress(OSError), path.open("rb") as file:  # what cannot be read is told of by who reads it
        if b"PRIVATE KEY" not in file.read(KEY_FILE_BYTES_MAX):
            raise UserError(f"{path} holds no private key: give a PEM file, as `quorate keys new` writes it")


def ask_passphrase(path: Path, *, confirm: bool = False) -> bytes:
    """The passphrase from the environment, else from the person at the terminal."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given.encode()
    if not sys.stdin.isatty():
        raise UserError(f"{path} needs a passphrase, and there is no terminal to ask: set {PASSPHRASE_VARIABLE}")
    answer: str = typer.prompt(f"Passphrase for {path}", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer.encode()
