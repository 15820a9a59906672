"""Who a peer is: mutual TLS 1.3 with the members' certificates from genesis, and a pin on each member's key.

The trust store holds exactly the certificates of the members. That alone would let one member's certificate stand
for another's (a self-signed certificate may even issue further ones), so a peer is a member only if the SHA-256 of
its SubjectPublicKeyInfo is that member's. This module knows certificates, and no frame.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ledger.errors import KeyFileError
from ledger.keys import spki_pin
from ledger.types import ValidatorSet


class LinkError(Exception):
    """The links of this node cannot be made as they are configured. The message says what to change."""


@dataclass(frozen=True)
class Credentials:
    """What this node proves itself with, and what it holds others to."""

    member: int
    member_of_pin: dict[bytes, int]
    serving: ssl.SSLContext
    dialling: ssl.SSLContext

    def member_of(self, certificate_der: bytes | None) -> int | None:
        """The member whose key a peer has proven, None for a stranger."""
        if not certificate_der:
            return None
        try:
            return self.member_of_pin.get(spki_pin(certificate_der))
        except KeyFileError:
            return None


def load_credentials(
    member: int, validators: ValidatorSet, key_path: Path, certificate_path: Path, passphrase: bytes | None = None
) -> Credentials:
    """Read this member's TLS key and certificate and hold them against genesis. Raises `LinkError`."""
    _check_own_certificate(member, validators, certificate_path)
    files = (key_path, certificate_path, passphrase)
    return Credentials(
        member,
        _pins(validators),
        _context(ssl.PROTOCOL_TLS_SERVER, validators, *files),
        _context(ssl.PROTOCOL_TLS_CLIENT, validators, *files),
    )


def _pins(validators: ValidatorSet) -> dict[bytes, int]:
    pins: dict[bytes, int] = {}
    for index, validator in enumerate(validators.members):
        try:
            pin = spki_pin(validator.tls_certificate)
        except KeyFileError as error:
            raise LinkError(f"the TLS certificate of {validator.name} in genesis is unreadable: {error}") from None
        if pin in pins:
            other = validators.members[pins[pin]].name
            raise LinkError(f"{validator.name} and {other} have the same TLS key in genesis, expected one each")
        pins[pin] = index
    return pins


def _check_own_certificate(member: int, validators: ValidatorSet, path: Path) -> None:
    expected = validators.members[member]
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    except OSError as error:
        raise LinkError(f"the TLS certificate {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise LinkError(f"{path} is no certificate in PEM form") from None
    if found != expected.tls_certificate:
        raise LinkError(f"{path} is not the TLS certificate that genesis names for {expected.name}")


def _context(
    side: ssl._SSLMethod, validators: ValidatorSet, key_path: Path, certificate_path: Path, passphrase: bytes | None
) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # members are known by key, not by where they live
    context.verify_mode = ssl.CERT_REQUIRED
    # A member's certificate is trusted by itself, whoever issued it; its issuer is not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET  # no resumption: every link proves both keys anew
    if side == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    context.load_verify_locations(cadata=b"".join(validator.tls_certificate for validator in validators.members))
    try:
        # An empty passphrase instead of none: OpenSSL would ask at the terminal for one.
        context.load_cert_chain(certificate_path, key_path, password=passphrase or b"")
    except ssl.SSLError as error:
        reason = error.reason or "wrong or missing passphrase"
        raise LinkError(f"the TLS key {key_path} does not fit {certificate_path}: {reason}") from None
    except OSError as error:
        raise LinkError(f"the TLS key {key_path} cannot be read: {error.strerror}") from None
    return context
