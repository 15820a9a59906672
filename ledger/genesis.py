"""genesis.json at the edge, `Genesis` inside: the first agreement of a network, read strictly.

The chain id is the hash of the canonical `Genesis`, so key order and white space of the file do not matter, and
everything that does matter is written out: no key may be missing, none may be unknown, no default is filled in
(a default that changed with the program would change the chain id). Every refusal names the place
(`validators[2].public_key`), what was found there and what is expected. Hex for keys, base64 for certificates.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Meta

from ledger import files
from ledger.errors import GenesisError
from ledger.points import is_public_key
from ledger.types import NAME_PATTERN, POWER_MAX, Account, Genesis, Parameters, TimeMs, Validator, ValidatorSet

FORMAT_VERSION = 1
FILE_BYTES_MAX = 32 << 20
VALIDATORS_MAX = 1024
HASH_BYTES_ENCODED = 34
WINDOW_BYTES_MAX = 20 << 20  # a consensus message holds 32 MiB, certificates among them
NEW_VIEW_BYTES_MAX = 31 << 20
SIGNATURE_BYTES_ENCODED = 71  # of one member in a certificate: an index, 64 bytes, and their frames
CERTIFICATE_BYTES_ENCODED = 64  # view, height, digest
ROLES = ("admin", "deployer", "writer", "auditor")


# ── the file ──────────────────────────────────────────────────────────────────────────────────────


def load_genesis(path: Path | str) -> Genesis:
    """Read and check a genesis file. Raises `GenesisError`, naming the file and the place in it."""
    path = Path(path)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise GenesisError(f"{path}: found {path.stat().st_size} bytes, expected at most {FILE_BYTES_MAX}")
        text = path.read_bytes()
    except FileNotFoundError:
        raise GenesisError(f"{path} is missing: give the genesis file that all members of the network have") from None
    except OSError as error:
        raise GenesisError(f"cannot read {path}: {error.strerror}") from None
    try:
        return from_json(text)
    except GenesisError as error:
        raise GenesisError(f"{path}: {error}") from None


def save_genesis(genesis: Genesis, path: Path | str) -> None:
    """Check and write a genesis file, in one durable step. Raises `GenesisError`."""
    text = to_json(genesis)
    from_json(text)
    try:
        files.replace(Path(path), text.encode())
    except OSError as error:
        raise GenesisError(f"cannot write {path}: {error.strerror}") from None


def to_json(genesis: Genesis) -> str:
    """The file's text: two-space indents, short lists on one line, a final newline."""
    document = {
        "format": genesis.format,
        "network": genesis.network,
        "time_ms": genesis.time_ms,
        "parameters": {name: getattr(genesis.parameters, name) for name in Parameters.__struct_fields__},
        "validators": [
            {
                "name": validator.name,
                "public_key": validator.public_key.hex(),
                "power": validator.power,
                "tls_certificate": base64.b64encode(validator.tls_certificate).decode(),
            }
            for validator in genesis.validators.members
        ],
        "accounts": [
            {"name": account.name, "public_key": account.public_key.hex(), "roles": list(account.roles)}
            for account in genesis.accounts
        ],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return (
        re.sub(r'\[\n\s+("\w+"(?:,\n\s+"\w+")*)\n\s+\]', lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"
    )


def from_json(text: str | bytes) -> Genesis:
    """Read and check a genesis. Raises `GenesisError` with the place, what was found and what is expected."""
    parsed = _parse(text)
    _check_format(parsed)
    document = _Object(parsed, "", ("format", "network", "time_ms", "parameters", "validators", "accounts"))
    genesis = Genesis(
        format=FORMAT_VERSION,
        network=_name(document["network"], "network"),
        time_ms=_integer(document["time_ms"], "time_ms", TimeMs),
        parameters=_parameters(document["parameters"]),
        validators=ValidatorSet(_validators(document["validators"])),
        accounts=_accounts(document["accounts"]),
    )
    _check_parameters(genesis.parameters)
    _check_new_view_fits(genesis.parameters, len(genesis.validators.members))
    return genesis


# ── its parts ─────────────────────────────────────────────────────────────────────────────────────


def _check_format(parsed: object) -> None:
    """Before the keys are: a file of another kind or format has other keys, and is better named by what it is."""
    found = parsed.get("format", FORMAT_VERSION) if isinstance(parsed, dict) else FORMAT_VERSION
    if found != FORMAT_VERSION or isinstance(found, bool):
        raise _unexpected("format", found, f"{FORMAT_VERSION}, the only one that this program reads")


def _parameters(value: object) -> Parameters:
    kinds = get_type_hints(Parameters, include_extras=True)
    document = _Object(value, "parameters", Parameters.__struct_fields__)
    return Parameters(
        **{name: _integer(document[name], f"parameters.{name}", kinds[name]) for name in Parameters.__struct_fields__}
    )


def _check_parameters(parameters: Parameters) -> None:
    for smaller, larger in (
        ("transaction_bytes_max", "block_bytes_max"),
        ("transaction_gas_max", "block_gas_max"),
        ("request_timeout_ms", "timeout_max_ms"),
    ):
        found, bound = getattr(parameters, smaller), getattr(parameters, larger)
        if found > bound:
            raise _unexpected(f"parameters.{smaller}", found, f"at most {larger}, which is {bound}")
    named = parameters.window * parameters.block_transactions_max * HASH_BYTES_ENCODED
    if named > WINDOW_BYTES_MAX:
        raise _unexpected(
            "parameters.block_transactions_max",
            parameters.block_transactions_max,
            f"at most {WINDOW_BYTES_MAX // (parameters.window * HASH_BYTES_ENCODED)} with a window of "
            f"{parameters.window}: a VIEW-CHANGE names every transaction of the window in one message",
        )


def _check_new_view_fits(parameters: Parameters, members: int) -> None:
    """A NEW-VIEW holds a VIEW-CHANGE a member, each with a seal and a certificate a height, a signature a member each.

    One that no message could hold would end all view changes for good.
    """
    certificate = members * SIGNATURE_BYTES_ENCODED + CERTIFICATE_BYTES_ENCODED
    largest = members * (parameters.window + 1) * certificate
    largest += parameters.window * parameters.block_transactions_max * HASH_BYTES_ENCODED
    if largest > NEW_VIEW_BYTES_MAX:
        raise _unexpected(
            "validators",
            members,
            f"fewer with a window of {parameters.window} and {parameters.block_transactions_max} transactions a block: "
            f"the message that starts a view could take {largest} bytes, and may take {NEW_VIEW_BYTES_MAX}",
        )


def _validators(value: object) -> tuple[Validator, ...]:
    items = _list(value, "validators")
    if not 1 <= len(items) <= VALIDATORS_MAX:
        raise _unexpected("validators", len(items), f"1 to {VALIDATORS_MAX} validators")
    validators = tuple(_validator(item, f"validators[{index}]") for index, item in enumerate(items))
    _distinct("validators", "name", (validator.name for validator in validators))
    _distinct("validators", "public_key", (validator.public_key.hex() for validator in validators))
    _distinct("validators", "tls_certificate", (_tls_key(validator) for validator in validators), "TLS key")
    return validators


def _validator(value: object, place: str) -> Validator:
    document = _Object(value, place, Validator.__struct_fields__)
    power = document["power"]
    if type(power) is not int or not 1 <= power <= POWER_MAX:
        raise _unexpected(f"{place}.power", power, f"an integer from 1 to {POWER_MAX}")
    return Validator(
        name=_name(document["name"], f"{place}.name"),
        public_key=_public_key(document["public_key"], f"{place}.public_key"),
        power=power,
        tls_certificate=_certificate(document["tls_certificate"], f"{place}.tls_certificate"),
    )


def _accounts(value: object) -> tuple[Account, ...]:
    accounts = tuple(_account(item, f"accounts[{index}]") for index, item in enumerate(_list(value, "accounts")))
    _distinct("accounts", "name", (account.name for account in accounts))
    _distinct("accounts", "public_key", (account.public_key.hex() for account in accounts))
    if not any("admin" in account.roles for account in accounts):
        raise GenesisError("accounts: found no account with the role admin, expected at least one")
    return accounts


def _account(value: object, place: str) -> Account:
    document = _Object(value, place, Account.__struct_fields__)
    roles = _list(document["roles"], f"{place}.roles")
    for index, role in enumerate(roles):
        if role not in ROLES:
            raise _unexpected(f"{place}.roles[{index}]", role, f"one of {', '.join(ROLES)}")
    _distinct(f"{place}.roles", "", roles)
    return Account(
        name=_name(document["name"], f"{place}.name"),
        public_key=_public_key(document["public_key"], f"{place}.public_key"),
        roles=tuple(roles),
    )


# ── values ────────────────────────────────────────────────────────────────────────────────────────


class _Object(dict[str, Any]):
    """A JSON object at a place, with exactly these keys."""

    def __init__(self, value: object, place: str, keys: Iterable[str]) -> None:
        if not isinstance(value, dict):
            raise _unexpected(place or "the file", value, "an object")
        inside, expected = f"{place}." if place else "", tuple(keys)
        for key in value:
            if key not in expected:
                raise GenesisError(f"{inside}{key}: unknown key, expected {', '.join(expected)}")
        for key in expected:
            if key not in value:
                raise GenesisError(f"{inside}{key}: missing")
        super().__init__(value)


def _list(value: object, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise _unexpected(place, value, "a list")
    return value


def _integer(value: object, place: str, kind: Any) -> int:
    """An integer within the bounds of an annotated type of `ledger.types`."""
    bounds = next(argument for argument in get_args(kind) if isinstance(argument, Meta))
    low, high = int(bounds.ge or 0), int(bounds.le or 0)
    if type(value) is not int or not low <= value <= high:
        raise _unexpected(place, value, f"an integer from {low} to {high}")
    return value


def _name(value: object, place: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(NAME_PATTERN.removesuffix("$"), value):
        raise _unexpected(place, value, "a name: a small letter, then up to 62 of a-z, 0-9, _ and -")
    return value


def _public_key(value: object, place: str) -> bytes:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise _unexpected(place, value, "an Ed25519 public key: 64 small hexadecimal digits")
    key = bytes.fromhex(value)
    if not is_public_key(key):
        raise _unexpected(place, value, "an Ed25519 public key of prime order, canonically encoded")
    return key


def _certificate(value: object, place: str) -> bytes:
    expected = "a DER certificate in base64"
    if not isinstance(value, str):
        raise _unexpected(place, value, expected)
    try:
        certificate = base64.b64decode(value, validate=True)
        x509.load_der_x509_certificate(certificate).public_key()
    except (binascii.Error, ValueError, TypeError, x509.InvalidVersion) as error:
        raise GenesisError(f"{place}: expected {expected} ({error})") from None
    if base64.b64encode(certificate).decode() != value:
        raise GenesisError(f"{place}: expected {expected}, in its one canonical form")
    return certificate


def _tls_key(validator: Validator) -> str:
    key = x509.load_der_x509_certificate(validator.tls_certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()


def _distinct(place: str, field: str, values: Iterable[str], what: str = "") -> None:
    """That no value comes twice among `place[0].field`, `place[1].field`..."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(value, index)
        if first != index:
            tail = f".{field}" if field else ""
            again = f"the {what or field.replace('_', ' ') or 'value'} of {place}[{first}] again"
            raise GenesisError(f"{place}[{index}]{tail}: found {again}, expected a different one")


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────


def _parse(text: str | bytes) -> Any:
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        return json.loads(
            decoded, object_pairs_hook=_without_duplicates, parse_float=_refuse_number, parse_constant=_refuse_number
        )
    except UnicodeDecodeError as error:
        raise GenesisError(f"not UTF-8 text: {error}") from None
    except json.JSONDecodeError as error:
        raise GenesisError(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # integers of absurd length, absurd nesting
        raise GenesisError(f"not JSON that this program reads: {error}") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise GenesisError(f"{next(key for key in keys if keys.count(key) > 1)}: this key stands twice in one object")
    return found


def _refuse_number(text: str) -> object:
    raise GenesisError(f"{text}: found a number that is no integer, expected integers only")


def _unexpected(place: str, found: object, expected: str) -> GenesisError:
    shown = json.dumps(found, ensure_ascii=False)
    return GenesisError(f"{place}: found {shown if len(shown) <= 80 else shown[:77] + '...'}, expected {expected}")
