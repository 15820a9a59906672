"""Key files and TLS identities: private keys at rest, and the certificate that a peer link must prove.

A key file is PKCS #8 PEM, encrypted when a passphrase is given, mode 0600, written once and never replaced. A file
that others may read is refused, because the key in it must be taken for known. Certificates are self-signed: no
authority is trusted, the pinned key is the identity. What is signed with these keys is no concern of this module.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledger.crypto import SigningKey
from ledger.errors import KeyFileError

KEY_FILE_BYTES_MAX = 16 << 10
_PRIVATE_MODE = 0o600
_READABLE_BY_OTHERS = 0o077

# Validity dates are no part of the pinned identity. Fixed ones need no clock and never lock a node out.
_NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)  # RFC 5280 4.1.2.5: no expiry
_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,  # it signs itself
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


# ── signing keys ──────────────────────────────────────────────────────────────────────────────────


def save_signing_key(path: Path, key: SigningKey, passphrase: bytes | None = None) -> None:
    """Write a new key file. Raises `KeyFileError` when `path` exists already: keys are never overwritten."""
    encryption: serialization.KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        if not passphrase:
            raise KeyFileError("an empty passphrase protects nothing: give one, or none at all")
        encryption = serialization.BestAvailableEncryption(passphrase)
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    write_private_file(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def load_signing_key(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """The key in `path`. Raises `KeyFileError` saying what is wrong with the file and what to do."""
    data = read_private_file(path)
    try:
        private = serialization.load_pem_private_key(data, passphrase)
    except TypeError:
        raise KeyFileError(_passphrase_advice(path, given=passphrase is not None)) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(_unreadable_advice(path, data, error)) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key of type {type(private).__name__}, expected Ed25519")
    return SigningKey.from_seed(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))


def _passphrase_advice(path: Path, *, given: bool) -> str:
    if given:
        return f"{path} is not encrypted, but a passphrase was given: start without one"
    return f"{path} is encrypted: give its passphrase"


def _unreadable_advice(path: Path, data: bytes, error: Exception) -> str:
    if b"ENCRYPTED PRIVATE KEY" in data:
        return f"wrong passphrase for {path}, or the file is damaged"
    return f"{path} is not a private key in PKCS #8 PEM: {error}"


# ── private files ─────────────────────────────────────────────────────────────────────────────────


def write_private_file(path: Path, data: bytes) -> None:
    """Create `path` with mode 0600 and `data` in it, whole and on disk, or not at all. Refuses to replace a file."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(scratch, path)  # unlike a rename, it fails where the name is taken
        finally:
            scratch.unlink()
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise KeyFileError(f"{error.filename2 or error.filename} exists already: keys are never overwritten") from None
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror}") from None


def read_private_file(path: Path) -> bytes:
    """The bytes of a file that only its owner may read. Raises `KeyFileError` when others may, or there is none."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing: create the key, or correct the path") from None
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    mode = stat.S_IMODE(status.st_mode)
    if mode & _READABLE_BY_OTHERS:
        raise KeyFileError(f"{path} has mode {mode:04o}, others may use the key in it: run chmod 600 {path}")
    if len(data) > KEY_FILE_BYTES_MAX:
        raise KeyFileError(f"{path} is longer than {KEY_FILE_BYTES_MAX} bytes, so it is no key file")
    return data


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ── TLS identities ────────────────────────────────────────────────────────────────────────────────


def new_tls_identity(name: str) -> tuple[bytes, bytes]:
    """(private key as PEM, self-signed certificate as DER) for mutual TLS 1.3 between nodes.

    ECDSA on P-256, which every TLS library accepts for both client and server; `name` is the subject alternative name.
    It stands as its own root, so that it can be loaded as the one certificate trusted, under strict checks too.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    key_pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem, certificate.public_bytes(Encoding.DER)


def spki_pin(certificate_der: bytes) -> bytes:
    """SHA-256 of the certificate's SubjectPublicKeyInfo: the identity that a peer is held to (as in RFC 7469).

    Raises `KeyFileError` when the bytes are no certificate.
    """
    try:
        public_key = x509.load_der_x509_certificate(certificate_der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"not a DER certificate: {error}") from None
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def certificate_pem(certificate_der: bytes) -> bytes:
    """The certificate in the PEM form that Python's `ssl` loads."""
    return x509.load_der_x509_certificate(certificate_der).public_bytes(Encoding.PEM)
