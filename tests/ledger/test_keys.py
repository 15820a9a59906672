"""Key files: written once, private, and clear about what is wrong. TLS identities: they prove one pinned key."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ledger.crypto import SigningKey
from ledger.errors import KeyFileError
from ledger.keys import (
    KEY_FILE_BYTES_MAX,
    certificate_pem,
    load_signing_key,
    new_tls_identity,
    read_private_file,
    save_signing_key,
    spki_pin,
    write_private_file,
)

KEY = SigningKey.from_seed(bytes(range(32)))


def test_a_key_comes_back_from_its_file_which_only_the_owner_may_read(tmp_path):
    path = tmp_path / "validator.pem"
    save_signing_key(path, KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert load_signing_key(path).seed == KEY.seed
    assert [entry.name for entry in tmp_path.iterdir()] == ["validator.pem"], "no scratch file stays behind"


def test_an_encrypted_key_opens_with_its_passphrase_only(tmp_path):
    path = tmp_path / "validator.pem"
    save_signing_key(path, KEY, b"correct horse")
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert load_signing_key(path, b"correct horse").public_key == KEY.public_key
    with pytest.raises(KeyFileError, match="wrong passphrase"):
        load_signing_key(path, b"correct horsf")
    with pytest.raises(KeyFileError, match="is encrypted: give its passphrase"):
        load_signing_key(path)


def test_a_passphrase_for_an_open_key_is_a_mistake_worth_telling(tmp_path):
    path = tmp_path / "validator.pem"
    save_signing_key(path, KEY)
    with pytest.raises(KeyFileError, match="is not encrypted"):
        load_signing_key(path, b"something")
    with pytest.raises(KeyFileError, match="empty passphrase"):
        save_signing_key(tmp_path / "other.pem", KEY, b"")


def test_a_key_is_never_overwritten(tmp_path):
    path = tmp_path / "validator.pem"
    save_signing_key(path, KEY)
    with pytest.raises(KeyFileError, match=r"validator\.pem exists already"):
        save_signing_key(path, SigningKey.generate())
    assert load_signing_key(path).seed == KEY.seed
    assert [entry.name for entry in tmp_path.iterdir()] == ["validator.pem"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o610])
def test_a_key_that_others_may_use_is_refused(tmp_path, mode):
    path = tmp_path / "validator.pem"
    save_signing_key(path, KEY)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"has mode {mode:04o}.*chmod 600"):
        load_signing_key(path)


def test_a_missing_key_says_so(tmp_path):
    with pytest.raises(KeyFileError, match=r"nowhere\.pem is missing"):
        load_signing_key(tmp_path / "nowhere.pem")
    with pytest.raises(KeyFileError, match="cannot read"):
        load_signing_key(tmp_path)
    with pytest.raises(KeyFileError, match="cannot write"):
        save_signing_key(tmp_path / "no such folder" / "validator.pem", KEY)


def test_what_is_no_ed25519_key_is_refused(tmp_path):
    def written(name: str, data: bytes) -> Path:
        write_private_file(tmp_path / name, data)
        return tmp_path / name

    def pem(private) -> bytes:
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(KeyFileError, match="expected Ed25519"):
        load_signing_key(written("ec", pem(ec.generate_private_key(ec.SECP256R1()))))
    with pytest.raises(KeyFileError, match="expected Ed25519"):
        load_signing_key(written("rsa", pem(rsa.generate_private_key(65537, 2048))))
    for number, garbage in enumerate(
        [b"", b"\x00" * 100, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
    ):
        with pytest.raises(KeyFileError, match="is not a private key"):
            load_signing_key(written(f"garbage{number}", garbage))
    with pytest.raises(KeyFileError, match="longer than"):
        read_private_file(written("long", bytes(KEY_FILE_BYTES_MAX + 1)))


def test_a_damaged_key_file_never_gives_another_key(tmp_path):
    path = tmp_path / "validator.pem"
    save_signing_key(path, KEY)
    whole = path.read_bytes()
    for cut in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(KeyFileError):
            load_signing_key(path)


def test_the_pin_is_the_hash_of_the_public_key_info():
    _, certificate = new_tls_identity("validator-0")
    info = x509.load_der_x509_certificate(certificate).public_key()
    assert (
        spki_pin(certificate)
        == hashlib.sha256(info.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    )
    assert spki_pin(new_tls_identity("validator-0")[1]) != spki_pin(certificate), "same name, another key"
    for garbage in (b"", b"\x30\x03", certificate[:-1], certificate + b"\x00"):
        with pytest.raises(KeyFileError, match="not a DER certificate"):
            spki_pin(garbage)


def test_a_certificate_names_its_node():
    _, certificate = new_tls_identity("validator_0-a")
    names = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["validator_0-a"]


def context(side: int, folder: Path, name: str, trusted: bytes) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    made.load_verify_locations(cadata=trusted)
    return made


def shake_hands(client_context: ssl.SSLContext, server_context: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return client, server


def test_two_nodes_prove_their_pinned_keys_over_tls_1_3_and_a_stranger_does_not(tmp_path):
    certificates = {}
    for name in ("alpha", "beta", "stranger"):
        key, certificates[name] = new_tls_identity(name)
        write_private_file(tmp_path / f"{name}.key", key)
        (tmp_path / f"{name}.crt").write_bytes(certificate_pem(certificates[name]))

    def meet(client: str, server: str) -> tuple[ssl.SSLObject, ssl.SSLObject]:
        return shake_hands(
            context(ssl.PROTOCOL_TLS_CLIENT, tmp_path, client, certificates["beta"]),
            context(ssl.PROTOCOL_TLS_SERVER, tmp_path, server, certificates["alpha"]),
        )

    client, server = meet("alpha", "beta")
    assert client.version() == server.version() == "TLSv1.3"
    assert spki_pin(server.getpeercert(binary_form=True)) == spki_pin(certificates["alpha"])
    assert spki_pin(client.getpeercert(binary_form=True)) == spki_pin(certificates["beta"])
    with pytest.raises(ssl.SSLCertVerificationError):
        meet("stranger", "beta")
    with pytest.raises(ssl.SSLCertVerificationError):
        meet("alpha", "stranger")
