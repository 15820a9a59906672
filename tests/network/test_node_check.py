"""What a node finds wrong before it starts anything: the key that cannot be opened says which variable opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import KeyFileError
from ledger.keys import load_signing_key, save_signing_key
from network.config import NodeConfig, read_config
from network.node import check
from network.testnet_layout import make_testnet


@pytest.fixture
def encrypted(tmp_path: Path) -> NodeConfig:
    """The settings of a validator whose key has a passphrase."""
    make_testnet(tmp_path / "net", time_ms=1_700_000_000_000, validators=1, base_port=None)
    config = read_config(tmp_path / "net" / "node-1")
    key = load_signing_key(config.validator_key_path)
    config.validator_key_path.unlink()
    save_signing_key(config.validator_key_path, key, b"open sesame")
    return config


def test_an_encrypted_key_opens_with_the_passphrase_of_the_environment(encrypted, monkeypatch):
    monkeypatch.setenv("QUORATE_PASSPHRASE", "open sesame")
    _, _, member = check(encrypted)
    assert member == 0


def test_an_encrypted_key_without_a_passphrase_names_the_variable(encrypted, monkeypatch):
    monkeypatch.delenv("QUORATE_PASSPHRASE", raising=False)
    with pytest.raises(KeyFileError, match=r"validator\.pem is encrypted: set QUORATE_PASSPHRASE to its passphrase"):
        check(encrypted)


def test_an_encrypted_key_with_a_wrong_passphrase_is_refused(encrypted, monkeypatch):
    monkeypatch.setenv("QUORATE_PASSPHRASE", "open poppy")
    with pytest.raises(KeyFileError, match="wrong passphrase for"):
        check(encrypted)
