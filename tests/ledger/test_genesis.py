"""genesis.json: what is written comes back with the same chain id, and every mistake is named with its place."""

import base64
import datetime
import json
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from ledger import genesis as genesis_file
from ledger.crypto import SigningKey
from ledger.errors import GenesisError
from ledger.genesis import from_json, load_genesis, save_genesis, to_json
from ledger.types import Account, Genesis, Parameters, Validator, ValidatorSet


def public_key(number: int) -> bytes:
    return SigningKey.from_seed(bytes([number]) * 32).public_key


def certificate(number: int, serial: int = 1) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "validator")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, start, start + datetime.timedelta(9))
    return builder.sign(key, None).public_bytes(genesis_file.Encoding.DER)


NAMES = ("alpha", "beta", "gamma", "delta")
VALIDATORS = tuple(Validator(name, public_key(i), 1, certificate(100 + i)) for i, name in enumerate(NAMES, 1))
ACCOUNTS = (Account("root", public_key(50), ("admin", "writer")), Account("clerk", public_key(51), ()))
GENESIS = Genesis(1, "consortium", 1_750_000_000_000, Parameters(), ValidatorSet(VALIDATORS), ACCOUNTS)


def document() -> dict:
    return json.loads(to_json(GENESIS))


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "genesis.json"
    save_genesis(GENESIS, path)
    assert load_genesis(path) == GENESIS
    assert load_genesis(path).chain_id == GENESIS.chain_id
    assert [entry.name for entry in tmp_path.iterdir()] == ["genesis.json"]


def test_the_text_is_pleasant():
    text = to_json(GENESIS)
    assert text.startswith('{\n  "format": 1,\n  "network": "consortium",\n  "time_ms": 1750000000000,\n')
    assert '\n      "roles": ["admin", "writer"]\n' in text
    assert text.endswith("}\n")


def test_key_order_and_white_space_do_not_change_the_chain_id():
    def shuffled(value):
        if isinstance(value, dict):
            keys = list(value)
            random.Random(7).shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(shuffled(document()), separators=(" ,\n", "\t:"))
    assert text != to_json(GENESIS)
    assert from_json(text).chain_id == GENESIS.chain_id


def test_the_order_of_validators_does_change_it():
    changed = document()
    changed["validators"].reverse()
    assert from_json(json.dumps(changed)).chain_id != GENESIS.chain_id


SMALL_ORDER = "01" + "00" * 31
NOT_CANONICAL = "ee" + "ff" * 30 + "7f"
NOT_ON_THE_CURVE = "02" + "00" * 31
HEX = "64 small hexadecimal digits"
PRIME = "of prime order, canonically encoded"

MISTAKES = [
    ("format", 2, r"^format: found 2, expected 1, the only one"),
    ("format", True, r"^format: found true, expected 1"),
    ("format", "quorate-proof-1", r"^format: found \"quorate-proof-1\", expected 1"),
    ("network", "Big Corp", r'^network: found "Big Corp", expected a name'),
    ("network", "name\n", "^network: found .* expected a name"),
    ("time_ms", -1, r"^time_ms: found -1, expected an integer from 0 to 9007199254740991"),
    ("time_ms", "now", r'^time_ms: found "now", expected an integer'),
    ("time_ms", True, r"^time_ms: found true, expected an integer"),
    ("parameters", [], r"^parameters: found \[\], expected an object"),
    ("parameters.window", 0, r"^parameters\.window: found 0, expected an integer from 1 to 64"),
    ("parameters.window", None, r"^parameters\.window: found null, expected an integer"),
    ("parameters.transaction_bytes_max", 1 << 20, "^$"),
    (
        "parameters.block_gas_max",
        1_000_000,
        r"^parameters\.transaction_gas_max: .* at most block_gas_max, which is 1000",
    ),
    ("parameters.request_timeout_ms", 60_000, "^$"),
    (
        "parameters.timeout_max_ms",
        1_000,
        r"^parameters\.request_timeout_ms: found 2000, expected at most timeout_max_ms",
    ),
    ("validators", {}, r"^validators: found {}, expected a list"),
    ("validators", [], r"^validators: found 0, expected 1 to 1024 validators"),
    ("validators.2", "gamma", r'^validators\[2\]: found "gamma", expected an object'),
    ("validators.2.name", "", r'^validators\[2\]\.name: found "", expected a name'),
    ("validators.2.name", "alpha", r"^validators\[2\]\.name: found the name of validators\[0\] again"),
    ("validators.2.public_key", "ab", rf'^validators\[2\]\.public_key: found "ab", expected .*{HEX}'),
    ("validators.2.public_key", public_key(3).hex().upper(), rf"^validators\[2\]\.public_key: .*{HEX}"),
    ("validators.2.public_key", public_key(3).hex() + "\n", rf"^validators\[2\]\.public_key: .*{HEX}"),
    ("validators.2.public_key", SMALL_ORDER, rf"^validators\[2\]\.public_key: .*{PRIME}"),
    ("validators.2.public_key", NOT_CANONICAL, rf"^validators\[2\]\.public_key: .*{PRIME}"),
    ("validators.2.public_key", NOT_ON_THE_CURVE, rf"^validators\[2\]\.public_key: .*{PRIME}"),
    (
        "validators.2.public_key",
        public_key(1).hex(),
        r"^validators\[2\]\.public_key: found the public key of validators\[0\]",
    ),
    ("validators.2.power", 0, r"^validators\[2\]\.power: found 0, expected an integer from 1"),
    ("validators.2.power", True, r"^validators\[2\]\.power: found true"),
    (
        "validators.2.tls_certificate",
        5,
        r"^validators\[2\]\.tls_certificate: found 5, expected a DER certificate in base64",
    ),
    ("validators.2.tls_certificate", "%", r"^validators\[2\]\.tls_certificate: expected a DER certificate in base64"),
    (
        "validators.2.tls_certificate",
        "AAAA",
        r"^validators\[2\]\.tls_certificate: expected a DER certificate in base64",
    ),
    ("validators.2.tls_certificate", "", r"^validators\[2\]\.tls_certificate: expected a DER certificate in base64"),
    (
        "validators.2.tls_certificate",
        base64.b64encode(certificate(101, serial=2)).decode(),
        r"^validators\[2\]\.tls_certificate: found the TLS key of validators\[0\] again, expected a different one",
    ),
    ("accounts", [], "^accounts: found no account with the role admin, expected at least one"),
    ("accounts.0.roles", ["writer"], "^accounts: found no account with the role admin"),
    (
        "accounts.0.roles",
        ["admin", "king"],
        r'^accounts\[0\]\.roles\[1\]: found "king", expected one of admin, deployer',
    ),
    ("accounts.0.roles", ["admin", []], r"^accounts\[0\]\.roles\[1\]: found \[\], expected one of"),
    (
        "accounts.0.roles",
        ["admin", "admin"],
        r"^accounts\[0\]\.roles\[1\]: found the value of accounts\[0\]\.roles\[0\]",
    ),
    (
        "accounts.1.public_key",
        public_key(50).hex(),
        r"^accounts\[1\]\.public_key: found the public key of accounts\[0\]",
    ),
    ("accounts.1.name", "root", r"^accounts\[1\]\.name: found the name of accounts\[0\] again"),
    ("accounts.1.public_key", SMALL_ORDER, rf"^accounts\[1\]\.public_key: .*{PRIME}"),
    ("motto", "x", r"^motto: unknown key, expected format, network, time_ms"),
    ("validators.1.colour", "x", r"^validators\[1\]\.colour: unknown key, expected name, public_key, power"),
]


@pytest.mark.parametrize(("place", "value", "message"), MISTAKES)
def test_every_mistake_is_named_with_its_place(place, value, message):
    changed = document()
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    target = changed
    for part in path:
        target = target[part]
    target[last] = value
    if message == "^$":  # allowed, at the bound
        assert from_json(json.dumps(changed)) != GENESIS
        return
    with pytest.raises(GenesisError, match=message):
        from_json(json.dumps(changed))


@pytest.mark.parametrize(
    "place", ["network", "parameters", "parameters.window", "validators.0.power", "accounts.1.roles", "accounts"]
)
def test_a_missing_key_is_named(place):
    changed = document()
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    target = changed
    for part in path:
        target = target[part]
    del target[last]
    named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in [*path, last]).lstrip(".")
    with pytest.raises(GenesisError) as caught:
        from_json(json.dumps(changed))
    assert str(caught.value) == f"{named}: missing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: line 1, column 1"),
        ("{", "not JSON"),
        ('{"format": 1}{}', "not JSON"),
        ("[]", r"the file: found \[\], expected an object"),
        ('{"format": 1, "format": 1}', "format: this key stands twice in one object"),
        ('{"format": 1.0}', "1.0: found a number that is no integer"),
        ('{"format": NaN}', "NaN: found a number that is no integer"),
        ('{"format": 1e2}', "1e2: found a number that is no integer"),
        ("[" * 100_000, "not JSON"),
        ('{"format": ' + "9" * 5000 + "}", "not JSON that this program reads"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_is_no_json_is_refused(text, message):
    with pytest.raises(GenesisError, match=message):
        from_json(text)


def test_a_file_is_named_in_its_errors(tmp_path):
    path = tmp_path / "genesis.json"
    with pytest.raises(GenesisError, match=rf"{path} is missing: give the genesis file that all members"):
        load_genesis(path)
    with pytest.raises(GenesisError, match=rf"cannot read {tmp_path}: Is a directory"):
        load_genesis(tmp_path)
    path.write_text("{}")
    with pytest.raises(GenesisError, match=rf"{path}: format: missing"):
        load_genesis(path)


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(genesis_file, "FILE_BYTES_MAX", 10)
    path = tmp_path / "genesis.json"
    path.write_text(" " * 11)
    with pytest.raises(GenesisError, match="found 11 bytes, expected at most 10"):
        load_genesis(path)


def test_a_wrong_genesis_is_not_saved(tmp_path):
    wrong = Genesis(1, "consortium", 0, Parameters(), ValidatorSet(VALIDATORS), ())
    with pytest.raises(GenesisError, match="no account with the role admin"):
        save_genesis(wrong, tmp_path / "genesis.json")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(GenesisError, match="cannot write"):
        save_genesis(GENESIS, tmp_path / "nowhere" / "genesis.json")


def test_a_window_of_full_blocks_must_fit_one_message():
    changed = document()
    changed["parameters"] |= {"window": 64, "block_transactions_max": 100_000}
    with pytest.raises(GenesisError, match=r"parameters.block_transactions_max.*at most 9637 with a window of 64"):
        from_json(json.dumps(changed))


def test_a_network_whose_new_view_fits_no_message_is_refused():
    check = genesis_file._check_new_view_fits
    check(Parameters(), 200)
    check(Parameters(window=64), 60)
    with pytest.raises(GenesisError, match=r"validators: found 100, expected fewer with a window of 64 and 2000"):
        check(Parameters(window=64), 100)
    with pytest.raises(GenesisError, match="the message that starts a view could take"):
        check(Parameters(), 1024)
