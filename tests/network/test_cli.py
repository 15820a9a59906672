"""What a person types and what comes back: results, exit codes, and one line of advice for every mistake."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ledger import codec
from ledger.blocks import genesis_header, next_header, receipts_root, transactions_root
from ledger.crypto import SigningKey
from ledger.genesis import load_genesis, save_genesis
from ledger.hashing import ZERO_HASH
from ledger.keys import load_signing_key, save_signing_key
from ledger.proofs import prove_transaction
from ledger.seals import assemble_seal, checkpoint_message
from ledger.transactions import identify, sign_transaction
from ledger.types import (
    Account,
    Batch,
    Block,
    BlockRecord,
    Call,
    Checkpoint,
    Genesis,
    Parameters,
    Receipt,
    Validator,
    ValidatorSet,
)
from network.cli import main
from network.cli.arguments import read_arguments
from network.cli.console import UserError
from network.cli.names import is_name, suggested
from network.config import read_config

FILE = b"a file worth notarising\n"


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def quorate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Types a command line in this process."""
    for name in ("QUORATE_URL", "QUORATE_KEY", "QUORATE_GENESIS", "QUORATE_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def type_it(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["quorate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return Result(int(ended.value.code or 0), found.out, found.err)

    return type_it


# ── the command itself ────────────────────────────────────────────────────────────────────────────


def test_version(quorate: Callable[..., Result]) -> None:
    assert quorate("--version") == (0, "quorate 0.1.0\n", "")


def test_a_mistyped_command_is_met_with_the_nearest_one(quorate: Callable[..., Result]) -> None:
    result = quorate("deploi")
    assert result.code == 2
    assert "No such command 'deploi'. Did you mean 'deploy'?" in result.err


def test_help_needs_none_of_the_heavy_parts() -> None:
    script = (
        "import sys\nsys.argv = ['quorate', '--help']\nfrom network.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('httpx', 'fastapi', 'uvicorn', 'cryptography', 'plyvel') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_key_is_private_and_shows_its_public_half(quorate: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "ann.pem"
    made = quorate("keys", "new", path, "--json")
    public_key = load_signing_key(path).public_key.hex()
    assert (made.code, json.loads(made.out)["public_key"]) == (0, public_key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert quorate("keys", "show", path, "--address") == (0, public_key + "\n", "")
    assert quorate("keys", "fingerprint", path) == (0, f"public key  {public_key}\n", "")


def test_a_key_is_never_replaced(quorate: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "ann.pem"
    quorate("keys", "new", path)
    before = path.read_bytes()
    result = quorate("keys", "new", path)
    assert (result.code, result.err) == (1, f"quorate: {path} exists already: keys are never overwritten\n")
    assert path.read_bytes() == before


def test_an_encrypted_key_opens_with_its_passphrase_alone(
    quorate: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ann.pem"
    monkeypatch.setenv("QUORATE_PASSPHRASE", "sesame")
    assert quorate("keys", "new", path, "--encrypt").code == 0
    assert quorate("keys", "show", path).code == 0
    monkeypatch.setenv("QUORATE_PASSPHRASE", "simsim")
    wrong = quorate("keys", "show", path)
    assert (wrong.code, wrong.err) == (1, f"quorate: wrong passphrase for {path}, or the file is damaged\n")
    monkeypatch.delenv("QUORATE_PASSPHRASE")
    silent = quorate("keys", "show", path)
    assert silent.code == 1
    assert "there is no terminal to ask: set QUORATE_PASSPHRASE" in silent.err


def test_a_key_that_others_may_read_is_refused(quorate: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "ann.pem"
    save_signing_key(path, SigningKey.generate())
    path.chmod(0o644)
    result = quorate("keys", "show", path)
    assert result.code == 1
    assert f"run chmod 600 {path}" in result.err


def test_a_missing_file_is_named(quorate: Callable[..., Result], tmp_path: Path) -> None:
    assert quorate("keys", "show", tmp_path / "none.pem").err.startswith(f"quorate: {tmp_path}/none.pem is missing")
    fingerprint = quorate("keys", "fingerprint", tmp_path / "none.crt")
    assert (fingerprint.code, fingerprint.err) == (1, f"quorate: {tmp_path}/none.crt: No such file or directory\n")


# ── init, testnet, start ──────────────────────────────────────────────────────────────────────────


def test_init_makes_a_member_that_starts_from_its_own_settings(quorate: Callable[..., Result], tmp_path: Path) -> None:
    made = quorate("init", tmp_path / "acme", "--name", "acme", "--listen", "0.0.0.0:9300", "--json")
    entry = json.loads(made.out)["genesis_entry"]
    config = read_config(tmp_path / "acme")
    assert (config.node.name, config.peer.listen) == ("acme", "0.0.0.0:9300")
    assert load_signing_key(config.validator_key_path).public_key.hex() == entry["public_key"]
    assert json.loads((tmp_path / "acme" / "member.json").read_text()) == entry


def test_init_replaces_nothing(quorate: Callable[..., Result], tmp_path: Path) -> None:
    quorate("init", tmp_path, "--name", "acme")
    result = quorate("init", tmp_path, "--name", "acme")
    assert result.code == 1
    assert "node.toml exists already: this member is made, and nothing is replaced" in result.err


def test_testnet_makes_a_network_and_says_how_to_go_on(quorate: Callable[..., Result], tmp_path: Path) -> None:
    result = quorate(
        "testnet", tmp_path / "net", "--base-port", 0, "--account", "ann", "--account", "bob:writer,deployer"
    )
    assert result.code == 0
    assert f"quorate testnet {tmp_path}/net --start" in result.out
    genesis = load_genesis(tmp_path / "net" / "genesis.json")
    roles = {account.name: account.roles for account in genesis.accounts}
    assert roles == {"admin": ("admin",), "ann": ("writer",), "bob": ("writer", "deployer")}
    pin = quorate("keys", "fingerprint", tmp_path / "net" / "genesis.json")
    assert pin.out == f"chain id  {genesis.chain_id.hex()}\n"
    certificate = quorate("keys", "fingerprint", tmp_path / "net" / "node-1" / "keys" / "tls.crt")
    assert certificate.out.startswith("certificate pin (SHA-256 of its public key)  ")


def test_testnet_replaces_nothing(quorate: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("dear to me")
    result = quorate("testnet", tmp_path, "--base-port", 0)
    assert result.code == 1
    assert "not empty: nothing is replaced; choose another directory" in result.err


def test_start_refuses_wrong_settings_with_their_line(quorate: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('[node]\nname = "ann"\n[gateway]\nprot = 1\n')
    result = quorate("start", tmp_path)
    assert result.code == 2
    assert f"{tmp_path}/node.toml:4: unknown key gateway.prot; did you mean port?" in result.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--name", "Big Corp"),
            "--name 'Big Corp' is no name for a member: write a small letter, then up to 62 of a-z",
        ),
        (
            ("--name", "Big Corp"),
            ", 0-9, _ and -, such as 'big-corp'",
        ),
        (("--name", "3M Company"), "such as 'm-company'"),
        (("--name", ""), "such as 'acme'"),
        (("--name", "acme", "--listen", "9101"), "--listen '9101' is not host:port with a port from 1 to 65535"),
        (("--name", "acme", "--listen", "acme:99999"), "--listen 'acme:99999' is not host:port"),
        (
            ("--name", "acme", "--listen", "0.0.0.0:8101"),
            "quorate: gateway.port: found 8101, which is the port of peer.listen; give each its own",
        ),
    ],
)
def test_init_blames_the_option_and_not_a_file_that_was_never_made(
    quorate: Callable[..., Result], tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    result = quorate("init", tmp_path / "acme", *options)
    assert (result.code, "node.toml" in result.err, (tmp_path / "acme").exists()) == (1, False, False)
    assert said in result.err


@pytest.mark.parametrize("typed", ["Big Corp", "ACME GmbH & Co. KG", "x" * 80, "__init__", "-", "a!", "Łódź"])
def test_a_suggested_name_is_a_name(typed: str) -> None:
    assert is_name(suggested(typed))
    assert not is_name(typed)


def test_start_without_settings_says_how_to_make_them(quorate: Callable[..., Result], tmp_path: Path) -> None:
    result = quorate("start", tmp_path)
    assert result.code == 2
    assert (
        result.err
        == f"quorate: {tmp_path}/node.toml: no such file; make one with `quorate init` or `quorate testnet`\n"
    )


def test_start_of_a_whole_network_names_its_nodes(quorate: Callable[..., Result], tmp_path: Path) -> None:
    quorate("testnet", tmp_path / "net", "--base-port", 0)
    result = quorate("start", tmp_path / "net")
    assert result.code == 2
    assert f"{tmp_path}/net holds several nodes, start one of them, such as {tmp_path}/net/node-1" in result.err
    again = quorate("testnet", tmp_path / "net")
    assert f"start it with `quorate testnet {tmp_path}/net --start`, or choose another directory" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ann:king"], "--account 'ann:king': 'king' is no role; there are admin, deployer, writer, auditor"),
        ([":writer"], "--account ':writer' has no name"),
        (["Big Corp:writer"], "--account 'Big Corp' is no name for an account: write a small letter, then up to 62"),
        (["ann:writer", "ann:deployer"], "'ann' is given twice; write all roles at once, as ann:ROLE,ROLE"),
    ],
)
def test_testnet_refuses_accounts_that_cannot_be(
    quorate: Callable[..., Result], tmp_path: Path, words: list[str], said: str
) -> None:
    options = [part for word in words for part in ("--account", word)]
    result = quorate("testnet", tmp_path / "net", "--base-port", 0, *options)
    assert result.code == 1
    assert said in result.err
    assert not (tmp_path / "net").exists()


def test_a_key_behind_the_lone_dashes_is_told_apart_from_none(quorate: Callable[..., Result]) -> None:
    result = quorate("call", "token", "transfer", "ann", "--", "-5", "--key", "k.pem")
    assert (result.code, result.err) == (
        1,
        "quorate: --key stands behind the lone --, where everything is an argument: put it before\n",
    )


def test_only_what_has_a_fingerprint_is_asked_for_one(quorate: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Nothing\n")
    result = quorate("keys", "fingerprint", tmp_path / "README.md")
    assert (result.code, "README.md is none of what has a fingerprint" in result.err) == (1, True)


def test_a_backup_of_a_directory_that_is_none_says_so(quorate: Callable[..., Result], tmp_path: Path) -> None:
    result = quorate("snapshot", tmp_path / "backup.snapshot", "--data", tmp_path / "nowhere")
    assert (result.code, result.err) == (
        1,
        f"quorate: {tmp_path}/nowhere is no directory: give the data directory of a node\n",
    )


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        ("str", "0123", "0123"),
        ("str", "true", "true"),
        ("int", "-5", -5),
        ("bool", "true", True),
        ("bytes", "0xff00", b"\xff\x00"),
        ("Address", "0123", "0123"),
        ("Address | None", "null", None),
        ("Decimal", "12.50", "12.5"),
        ("Decimal", "-7", "-7"),
        ("str | None", "None", None),
        ("int | None", "7", 7),
        ("list[int]", "[1, 2]", [1, 2]),
        ("dict[str, bytes]", '{"a": {"$bytes": "00"}}', {"a": b"\0"}),
        ("dict[str, int | str | None]", '{"a": 1}', {"a": 1}),
        (
            "Money{token: Address, memo: int | str | None} | None",
            '{"token": "gold", "memo": "x"}',
            {"token": "gold", "memo": "x"},
        ),
    ],
)
def test_words_are_read_as_the_types_that_the_method_declares(kind: str, word: str, value: Any) -> None:
    (found,) = read_arguments("m", [("x", kind)], [word])
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "word", "complaint"),
    [
        ("int", "ten", "argument 'x' of m(x: int): 'ten' is no whole number"),
        ("int", "1.5", "'1.5' is no whole number"),
        ("bool", "1", "'1' is neither true nor false"),
        ("bytes", "xyz", "'xyz' is not hexadecimal"),
        ("Decimal", "1e3", "'1e3' is no Decimal: a Decimal is written in ASCII digits"),
        ("Decimal", "0." + "1" * 19, "is no Decimal: a Decimal has at most 18 digits after the point"),
        ("list[int]", "1,2", "write a list[int] as JSON"),
        ("list[int]", "[1.5]", "is a float"),
    ],
)
def test_words_of_the_wrong_type_are_refused(kind: str, word: str, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        read_arguments("m", [("x", kind)], [word])
    assert complaint in str(caught.value)


def test_too_few_words_show_the_whole_signature() -> None:
    with pytest.raises(UserError, match=r"transfer\(to: str, amount: int\): number of arguments expected: 2, found: 1"):
        read_arguments("transfer", [("to", "str"), ("amount", "int")], ["ann"])


# ── nothing listens ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", [("status",), ("block", "1"), ("tx", "ab" * 32), ("view", "token", "total")])
def test_without_a_node_the_address_is_named(quorate: Callable[..., Result], words: tuple[str, ...]) -> None:
    result = quorate(*words, "--url", "http://127.0.0.1:1")
    assert result.code == 1
    assert "http://127.0.0.1:1" in result.err
    assert "Traceback" not in result.err


def test_an_address_that_is_none_is_refused(quorate: Callable[..., Result]) -> None:
    result = quorate("status", "--url", "localhost")
    assert result.code == 1
    assert "write http://HOST:PORT" in result.err


def test_what_is_no_transaction_id_is_refused(quorate: Callable[..., Result]) -> None:
    assert quorate("tx", "xyz").err == "quorate: 'xyz' is no transaction id: it has 64 hex digits\n"


def test_without_a_key_nothing_is_sent(quorate: Callable[..., Result]) -> None:
    result = quorate("call", "token", "transfer", "a", "1")
    assert result.code == 1
    assert "no key to sign with: give --key FILE, or set QUORATE_KEY" in result.err


# ── verify ────────────────────────────────────────────────────────────────────────────────────────


class Sealed(NamedTuple):
    directory: Path
    genesis: Genesis
    text: str

    @property
    def receipt(self) -> Path:
        return self.directory / "receipt.json"


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """One transaction that names a file's hash, in a block that three of four members sealed."""
    import hashlib

    from ledger.keys import new_tls_identity

    keys = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 5)]
    members = tuple(
        Validator(f"member-{index}", key.public_key, 1, new_tls_identity(f"member-{index}")[1])
        for index, key in enumerate(keys)
    )
    client = SigningKey.from_seed(b"c" * 32)
    accounts = (Account("ann", client.public_key, ("admin",)),)
    genesis = Genesis(1, "proofs", 1_700_000_000_000, Parameters(), ValidatorSet(members), accounts)
    call = Call("registry", "register", codec.encode([hashlib.sha256(FILE).hexdigest(), "a.txt"]))
    raw = sign_transaction(client, genesis.chain_id, (call,), 100_000, 50, b"s" * 16)
    transaction_id, transaction_hash = identify(raw)
    receipt = Receipt(1, 0, transaction_id, transaction_hash, "ok", "", "", 0, 900, (codec.encode(None),), ()).encode()
    batch = Batch(0, 1, 0, 0, 1_700_000_001_000, (transaction_hash,))
    header = next_header(
        genesis_header(genesis, ZERO_HASH),
        batch,
        executed=(transaction_hash,),
        transactions_root=transactions_root((transaction_hash,)),
        receipts_root=receipts_root((receipt,)),
        state_root=ZERO_HASH,
        gas_used=900,
        validators_hash=genesis.validators.hash,
        next_validators_hash=genesis.validators.hash,
    )
    votes = {
        index: keys[index].sign(checkpoint_message(genesis.chain_id, Checkpoint(0, 1, index, header.hash)))
        for index in (0, 2, 3)
    }
    seal = assemble_seal(0, 1, header.hash, votes)
    record = BlockRecord(Block(header, batch, (transaction_hash,)), (raw,), (receipt,), seal)
    text = prove_transaction(record, 0)
    (tmp_path / "receipt.json").write_text(text)
    (tmp_path / "a.txt").write_bytes(FILE)
    save_genesis(genesis, tmp_path / "genesis.json")
    return Sealed(tmp_path, genesis, text)


def test_a_receipt_verifies_and_says_what_it_proves(quorate: Callable[..., Result], sealed: Sealed) -> None:
    result = quorate("verify", sealed.receipt, "--file", sealed.directory / "a.txt")
    assert result.code == 0
    assert result.out.splitlines()[0] == (
        f"valid: this file ({sealed.directory}/a.txt) existed at block 1, "
        "sealed by 3 of 4 validators at 2023-11-14 22:13:21.000 UTC"
    )
    assert "sealed by     member-0, member-2, member-3" in result.out
    assert "(ann in genesis)" in result.out
    assert "outcome       ok" in result.out


def test_a_receipt_verifies_for_machines(quorate: Callable[..., Result], sealed: Sealed) -> None:
    result = quorate("verify", sealed.receipt, "--json")
    found = json.loads(result.out)
    assert (result.code, found["valid"], found["height"]) == (0, True, 1)
    assert found["signers"] == ["member-0", "member-2", "member-3"]
    assert found["calls"][0]["method"] == "register"


def test_a_receipt_with_one_changed_byte_is_invalid(quorate: Callable[..., Result], sealed: Sealed) -> None:
    text = bytearray(sealed.text.encode())
    for place in range(0, len(text), 97):
        changed = bytes(text[:place]) + bytes([text[place] ^ 1]) + bytes(text[place + 1 :])
        sealed.receipt.write_bytes(changed)
        result = quorate("verify", sealed.receipt)
        assert (place, result.code) == (place, 1)
        assert result.out.startswith("invalid, because ")


def test_a_receipt_with_changed_white_space_is_invalid_and_says_so(
    quorate: Callable[..., Result], sealed: Sealed
) -> None:
    sealed.receipt.write_text(sealed.text + "\n")
    result = quorate("verify", sealed.receipt)
    assert result.code == 1
    assert result.out.startswith("invalid, because the file's form (its white space, ")
    assert f" was changed at byte {len(sealed.text)}: get the file again" in result.out


def test_another_file_is_not_what_the_receipt_names(quorate: Callable[..., Result], sealed: Sealed) -> None:
    other = sealed.directory / "b.txt"
    other.write_bytes(b"another file\n")
    result = quorate("verify", sealed.receipt, "--file", other)
    assert result.code == 1
    assert result.out.startswith(f"invalid, because no argument of the transaction is the SHA-256 of {other}")


def test_a_receipt_of_another_network_is_invalid(quorate: Callable[..., Result], sealed: Sealed) -> None:
    import msgspec

    save_genesis(msgspec.structs.replace(sealed.genesis, network="other"), sealed.directory / "genesis.json")
    result = quorate("verify", sealed.receipt, "--json")
    found = json.loads(result.out)
    assert (result.code, found["valid"]) == (1, False)
    assert "it is from chain" in found["because"]


def test_verify_needs_a_genesis_and_says_so(quorate: Callable[..., Result], sealed: Sealed) -> None:
    (sealed.directory / "genesis.json").unlink()
    result = quorate("verify", sealed.receipt)
    assert (result.code, result.err) == (
        2,
        (
            "quorate: no genesis to check against: give --genesis FILE, "
            f"or put it beside the file as {sealed.directory}/genesis.json\n"
        ),
    )


def test_a_missing_receipt_is_named(quorate: Callable[..., Result], sealed: Sealed) -> None:
    result = quorate("verify", sealed.directory / "none.json", "--genesis", sealed.directory / "genesis.json")
    assert (result.code, result.err) == (2, f"quorate: {sealed.directory}/none.json: No such file or directory\n")


def test_a_directory_to_verify_is_told_its_option(quorate: Callable[..., Result], sealed: Sealed) -> None:
    result = quorate("verify", sealed.directory)
    advice = f"give a file, or audit a stopped node with --data {sealed.directory}"
    assert (result.code, result.err) == (2, f"quorate: {sealed.directory} is a directory: {advice}\n")


def test_a_proof_in_the_place_of_the_genesis_is_named_by_its_format(
    quorate: Callable[..., Result], sealed: Sealed
) -> None:
    result = quorate("verify", sealed.receipt, "--genesis", sealed.receipt)
    found = 'format: found "quorate-proof-1", expected 1, the only one that this program reads'
    assert (result.code, result.err) == (2, f"quorate: {sealed.receipt}: {found}\n")


def test_changes_of_the_validators_on_the_way_are_told(quorate: Callable[..., Result], tmp_path: Path) -> None:
    from ledger.proofs import prove_header
    from scripts.paper_proofs import Chain

    chain = Chain("paper")
    for trusted, told in ((1, [2, 4]), (3, [4]), (6, [])):
        (tmp_path / "proof.json").write_text(prove_header(chain.records[5], chain.way(chain.records[5], trusted)))
        header = chain.headers[trusted - 1].hash.hex()
        result = quorate("verify", tmp_path / "proof.json", "--header", header)
        line = f"  validators  changed after block {', '.join(map(str, told))}: each time the set before named the next"
        assert (result.code, line in result.out.splitlines()) == (0, bool(told))
        found = json.loads(quorate("verify", tmp_path / "proof.json", "--header", header, "--json").out)
        assert found["validator_changes"] == told


def test_verify_opens_no_connection(sealed: Sealed) -> None:
    """As a process of its own, with every socket refused."""
    script = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\nsocket.getaddrinfo = refuse\n"
        f"sys.argv = ['quorate', 'verify', {str(sealed.receipt)!r}]\n"
        "from network.cli import main\nmain()\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE")}
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False, env=environment
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("valid: this transaction took place at block 1, sealed by 3 of 4 validators")
