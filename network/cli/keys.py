"""`quorate keys`: make a key, show its public half, take the fingerprint of what others are to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from network.cli.console import AsJson, UserError, examples, say, say_fields, say_json
from network.cli.keyfiles import ask_passphrase, open_key

app = typer.Typer(no_args_is_help=True, help="Make and show keys.")

NEW_EXAMPLES = examples("quorate keys new ann.pem", "quorate keys new ann.pem --encrypt")
SHOW_EXAMPLES = examples("quorate keys show ann.pem", "quorate keys show ann.pem --address")
FINGERPRINT_EXAMPLES = examples("quorate keys fingerprint keys/tls.crt", "quorate keys fingerprint genesis.json")


@app.command(epilog=NEW_EXAMPLES)
def new(
    file: Annotated[Path, typer.Argument(help="Where to write it (PEM, mode 0600).")],
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt it with a passphrase (asked, or QUORATE_PASSPHRASE).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an Ed25519 key. An existing file is never replaced."""
    from ledger.crypto import SigningKey
    from ledger.errors import KeyFileError
    from ledger.keys import save_signing_key

    if file.exists():
        raise KeyFileError(f"{file} exists already: keys are never overwritten")
    passphrase = ask_passphrase(file, confirm=True) if encrypt else None
    key = SigningKey.generate()
    save_signing_key(file, key, passphrase)
    _show(file, key.public_key, as_json)


@app.command(epilog=SHOW_EXAMPLES)
def show(
    file: Annotated[Path, typer.Argument(help="A key file.")],
    address: Annotated[
        bool, typer.Option("--address", help="Only the public key in hex, as contracts see it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the public half of a key. The private half is never printed."""
    key = open_key(file)
    if address:
        say(key.public_key.hex())
    else:
        _show(file, key.public_key, as_json)


@app.command(epilog=FINGERPRINT_EXAMPLES)
def fingerprint(
    file: Annotated[Path, typer.Argument(help="A TLS certificate (PEM), a genesis file, or a key file.")],
    as_json: AsJson = False,
) -> None:
    """What two members compare over the telephone: a certificate's pin, a genesis' chain id, a key's public half."""
    kind, value = _fingerprint(file)
    if as_json:
        say_json({"file": str(file), "kind": kind, "fingerprint": value})
    else:
        say_fields([(kind, value)])


def _fingerprint(file: Path) -> tuple[str, str]:
    text = file.read_bytes()[: 1 << 20]
    if b"BEGIN CERTIFICATE" in text:
        import ssl

        from ledger.keys import spki_pin

        try:
            certificate = ssl.PEM_cert_to_DER_cert(text.decode("ascii").strip())
        except ValueError as error:
            raise UserError(f"{file} is not a PEM certificate: {error}") from None
        return "certificate pin (SHA-256 of its public key)", spki_pin(certificate).hex()
    if text.lstrip().startswith(b"{"):
        from ledger.genesis import load_genesis

        return "chain id", load_genesis(file).chain_id.hex()
    if b"PRIVATE KEY" not in text:
        raise UserError(f"{file} is none of what has a fingerprint: a certificate (PEM), a genesis file, a key file")
    return "public key", open_key(file).public_key.hex()


def _show(file: Path, public_key: bytes, as_json: bool) -> None:
    if as_json:
        say_json({"file": str(file), "public_key": public_key.hex()})
    else:
        say_fields([("file", file), ("public key", public_key.hex())])
