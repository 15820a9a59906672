"""Ed25519 signatures with one verdict on every machine, and the domain that every signature is bound to.

Libraries disagree on edge cases (small-order points, non-canonical encodings), and a validator that accepts
what its neighbour refuses forks the chain. So everything on which they could disagree is refused here, byte by
byte, before any library is asked; behind that check libsodium and OpenSSL give the same answers on every public
vector ("Taming the many EdDSAs", Chalkias, Garillot and Nikolaenko, 2020). There is no batch verification: its
verdict may differ from that of single verification.

libsodium does the work on the hot path: it is about twice as fast as OpenSSL and frees the interpreter's lock.
This module knows neither files (`ledger.keys`) nor what is signed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

# RFC 8032 section 5.1: the field's prime, and the order of the base point.
_P = (1 << 255) - 19
_L = (1 << 252) + 27742317777372353535851937790883648493
_Y_MASK = (1 << 255) - 1  # an encoded point is y in 255 bits and the sign of x in the top bit

# The y of every point of order 1, 2, 4 and 8; either sign bit is refused, which also covers "minus zero".
# The non-canonical encodings of these points have y >= p and are refused by that.
_Y_OF_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({1, _P - 1, 0, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8})


def signing_message(kind: str, chain_id: bytes, body: bytes) -> bytes:
    """The bytes that a signature of `kind` covers: no signature passes for one of another kind or chain.

    `kind` is ASCII without NUL and `chain_id` has a fixed length, so different parts never give equal bytes.
    """
    return b"quorate." + kind.encode("ascii") + b"\x00" + chain_id + body


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is `public_key`'s over `message`. Never raises, whatever it is given."""
    if not well_formed(public_key, message, signature):
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def verify_with_cryptography(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """The same verdict by another library (OpenSSL): the twin that tests hold `verify` against."""
    if not well_formed(public_key, message, signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_many(items: Iterable[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """`verify` for each (public key, message, signature), in order: one job for a thread, of about 64 items."""
    return [verify(public_key, message, signature) for public_key, message, signature in items]


def well_formed(public_key: object, message: object, signature: object) -> bool:
    """The pre-check: types, lengths, S < L, and A and R canonical and not of small order. Asks no library."""
    if type(public_key) is not bytes or type(message) is not bytes or type(signature) is not bytes:
        return False  # exactly bytes: a subclass could answer differently each time it is asked
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    if int.from_bytes(signature[32:], "little") >= _L:
        return False
    a_y = int.from_bytes(public_key, "little") & _Y_MASK
    r_y = int.from_bytes(signature[:32], "little") & _Y_MASK
    return a_y < _P and r_y < _P and a_y not in _SMALL_ORDER_Y and r_y not in _SMALL_ORDER_Y


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature of RFC 8032 over `message`. For more than one signature keep a `SigningKey`."""
    return SigningKey.from_seed(seed).sign(message)


class SigningKey:
    """A private key. Signing is deterministic; the key never appears in its `repr`."""

    __slots__ = ("_secret", "public_key", "seed")

    seed: bytes
    public_key: bytes

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed is {SEED_BYTES} bytes, not {len(seed)}")
        self.seed = seed
        self.public_key, self._secret = crypto_sign_seed_keypair(seed)

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """The key of a 32-byte seed (RFC 8032's private key)."""
        return cls(seed)

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key from the operating system's randomness."""
        return cls(secrets.token_bytes(SEED_BYTES))

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over `message`."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey(public_key={self.public_key.hex()})"
