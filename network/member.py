"""Makes what one member brings to a network: its keys, its settings, and its line in the genesis file.

It creates files and replaces none. What all members share, the genesis itself, is made by those who agree on it.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from consensus import first_journal
from ledger.crypto import SigningKey
from ledger.journal import Journal
from ledger.keys import certificate_pem, new_tls_identity, save_signing_key, write_private_file
from ledger.types import Validator
from network.config import NodeConfig, write_config
from network.driver import REPLICA_RECORD
from network.paths import NodePaths

MEMBER_FILE = "member.json"


class MemberExists(Exception):
    """The directory holds a member already; nothing in it is ever replaced."""


def make_member(config: NodeConfig, *, power: int = 1, passphrase: bytes | None = None) -> Validator:
    """Create the keys and the settings file that `config` names; what genesis needs is returned and in `member.json`.

    Raises `MemberExists` where a settings file stands, `KeyFileError` where a key does.
    """
    directory = config.path.parent
    if config.path.exists():
        raise MemberExists(f"{config.path} exists already: this member is made, and nothing is replaced")
    directory.mkdir(parents=True, exist_ok=True)
    for path in (config.validator_key_path, config.tls_key_path, config.tls_certificate_path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = SigningKey.generate()
    save_signing_key(config.validator_key_path, key, passphrase)
    tls_key, certificate = new_tls_identity(config.node.name)
    write_private_file(config.tls_key_path, tls_key)
    config.tls_certificate_path.write_bytes(certificate_pem(certificate))
    validator = Validator(config.node.name, key.public_key, power, certificate)
    (directory / MEMBER_FILE).write_text(json.dumps(genesis_entry(validator), indent=2) + "\n")
    _begin_journal(NodePaths(config.data_directory).journal)
    write_config(config)
    return validator


def _begin_journal(path: Path) -> None:
    """Write down that this key has signed nothing yet: from now on a journal that is empty or gone is a lost one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise MemberExists(f"{path} exists already: a vote journal belongs to the key that it was begun with")
    journal, _ = Journal.open(path)
    try:
        journal.append(REPLICA_RECORD + record for record in first_journal())
        journal.sync()
    finally:
        journal.close()


def genesis_entry(validator: Validator) -> dict[str, str | int]:
    """A validator as the genesis file writes it."""
    return {
        "name": validator.name,
        "public_key": validator.public_key.hex(),
        "power": validator.power,
        "tls_certificate": base64.b64encode(validator.tls_certificate).decode(),
    }
