"""One verdict on a signature, on every machine: the public vectors through both libraries, and what never may pass."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import crypto
from ledger.crypto import SigningKey, signing_message, verify, verify_many, verify_with_cryptography, well_formed

VECTORS = Path(__file__).parents[1] / "vectors"
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
KEY = SigningKey.from_seed(b"\x11" * 32)
MESSAGE = b"one of four validators"
SIGNATURE = KEY.sign(MESSAGE)


def both(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """The verdict, which must be the same from libsodium and OpenSSL."""
    verdict = verify(public_key, message, signature)
    assert verify_with_cryptography(public_key, message, signature) is verdict, "the libraries disagree"
    return verdict


# ── public vectors ────────────────────────────────────────────────────────────────────────────────


def test_wycheproof_every_verdict():
    groups = json.loads((VECTORS / "wycheproof/ed25519_test.json").read_text())["testGroups"]
    cases = [(bytes.fromhex(group["publicKey"]["pk"]), case) for group in groups for case in group["tests"]]
    verdicts = {}
    for public_key, case in cases:
        verdict = both(public_key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
        assert verdict is (case["result"] == "valid"), f"case {case['tcId']}: {case['comment']}"
        verdicts[case["tcId"]] = verdict
    assert (len(verdicts), sum(verdicts.values())) == (151, 88)


def test_scenario_80_malleated_signatures_are_refused():
    """S + L signs the same equation; accepting it would give one signature two encodings."""
    groups = json.loads((VECTORS / "wycheproof/ed25519_test.json").read_text())["testGroups"]
    malleated = [(g, c) for g in groups for c in g["tests"] if "SignatureMalleability" in c["flags"]]
    assert len(malleated) == 8
    for group, case in malleated:
        assert not both(bytes.fromhex(group["publicKey"]["pk"]), bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
    s = int.from_bytes(SIGNATURE[32:], "little")
    assert both(KEY.public_key, MESSAGE, SIGNATURE)
    assert not both(KEY.public_key, MESSAGE, SIGNATURE[:32] + (s + L).to_bytes(32, "little"))
    assert not both(KEY.public_key, MESSAGE, SIGNATURE[:32] + L.to_bytes(32, "little"))


def sign_and_verify(seed: bytes, public_key: bytes, message: bytes, signature: bytes, name: str) -> None:
    key = SigningKey.from_seed(seed)
    assert key.public_key == public_key, name
    assert key.sign(message) == signature, name
    assert verify(public_key, message, signature), name


def test_rfc_8032_section_7_1_byte_for_byte():
    cases = json.loads((VECTORS / "rfc8032/rfc8032_7.1.json").read_text())
    assert len(cases) == 5
    for case in cases:
        parts = [bytes.fromhex(case[part]) for part in ("secret_key", "public_key", "message", "signature")]
        sign_and_verify(*parts, case["name"])
        assert both(*parts[1:])


def test_sign_input_byte_for_byte():
    lines = gzip.decompress((VECTORS / "rfc8032/sign.input.gz").read_bytes()).decode().splitlines()
    assert len(lines) == 1024
    for number, line in enumerate(lines):
        secret, public_key, message, signed = (bytes.fromhex(field) for field in line.split(":")[:4])
        assert signed[64:] == message
        sign_and_verify(secret[:32], public_key, message, signed[:64], f"line {number + 1}")


def test_scenario_81_speccheck_has_one_verdict_behind_the_pre_check():
    cases = json.loads((VECTORS / "speccheck/cases.json").read_text())
    parts = [[bytes.fromhex(case[part]) for part in ("pub_key", "message", "signature")] for case in cases]
    verdicts = [both(*case) for case in parts]
    assert len(verdicts) == 12
    assert [number for number, verdict in enumerate(verdicts) if verdict] == [3]
    # 3 has a key and an R of mixed order and holds without the cofactor; 4 and 5 would need a cofactored check.


# ── the pre-check, by arithmetic on the curve ─────────────────────────────────────────────────────

D = -121665 * pow(121666, -1, P) % P


def add(one, other):
    (x1, y1), (x2, y2) = one, other
    k = D * x1 * x2 * y1 * y2
    x3 = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P)
    y3 = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P)
    return x3 % P, y3 % P


def x_of(y: int) -> int | None:
    """An x for this y, None when there is none (RFC 8032 section 5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return None if (x * x - square) % P else x


def small_order_encodings() -> list[bytes]:
    """Every 32-byte string that some decoder takes for a point of order 1, 2, 4 or 8."""
    y_of_order_8 = int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    )
    encodings = []
    for y in (0, 1, P - 1, y_of_order_8, P - y_of_order_8):
        point = (x_of(y), y)
        for _ in range(3):
            point = add(point, point)
        assert point == (0, 1), "8 times the point is the identity"
        for same_y in (y, y + P):
            if same_y < 2**255:
                encodings += [(same_y | sign << 255).to_bytes(32, "little") for sign in (0, 1)]
    return encodings


def test_every_small_order_encoding_is_refused_as_key_and_as_r():
    encodings = small_order_encodings()
    assert len(set(encodings)) == 14  # the eight points, "minus zero" of two, and four non-canonical
    for encoding in encodings:
        assert not well_formed(encoding, MESSAGE, SIGNATURE)
        assert not well_formed(KEY.public_key, MESSAGE, encoding + SIGNATURE[32:])
        assert not both(encoding, MESSAGE, encoding + bytes(32)), "the forgery that holds for any message"


def test_non_canonical_points_are_refused():
    for y in range(P, 2**255):  # all 19 of them
        for sign in (0, 1):
            encoding = (y | sign << 255).to_bytes(32, "little")
            assert not well_formed(encoding, MESSAGE, SIGNATURE)
            assert not well_formed(KEY.public_key, MESSAGE, encoding + SIGNATURE[32:])


def test_scenario_82_r_of_small_order_by_the_keys_owner_is_refused():
    """An honest key's owner signs with r = 0, so that R is the identity: a library may accept it, we do not."""
    r = b"\x01" + bytes(31)
    expanded = hashlib.sha512(KEY.seed).digest()
    scalar = int.from_bytes(expanded[:32], "little") & ((1 << 254) - 8) | 1 << 254
    challenge = int.from_bytes(hashlib.sha512(r + KEY.public_key + MESSAGE).digest(), "little")
    signature = r + (challenge * scalar % L).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(KEY.public_key).verify(signature, MESSAGE)  # does not raise: the equation holds
    assert not both(KEY.public_key, MESSAGE, signature)


# ── verify as a function ──────────────────────────────────────────────────────────────────────────


def test_a_signature_holds_for_its_key_and_message_only():
    assert both(KEY.public_key, MESSAGE, SIGNATURE)
    assert not both(SigningKey.from_seed(b"\x12" * 32).public_key, MESSAGE, SIGNATURE)
    assert not both(KEY.public_key, MESSAGE + b"\x00", SIGNATURE)
    assert not both(KEY.public_key, b"", SIGNATURE)
    for bit in range(512):
        flipped = bytearray(SIGNATURE)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not both(KEY.public_key, MESSAGE, bytes(flipped)), f"bit {bit}"
    for bit in range(256):
        flipped = bytearray(KEY.public_key)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not both(bytes(flipped), MESSAGE, SIGNATURE), f"bit {bit}"


@pytest.mark.parametrize(
    "wrong", [None, 5, "text", [], object(), b"", bytes(31), bytes(65), bytearray(64), memoryview(bytes(32))]
)
def test_verify_never_raises(wrong):
    for arguments in [(wrong, MESSAGE, SIGNATURE), (KEY.public_key, MESSAGE, wrong), (wrong, wrong, wrong)]:
        assert both(*arguments) is False
    if type(wrong) is not bytes:
        assert both(KEY.public_key, wrong, SIGNATURE) is False


def test_a_bytes_subclass_is_not_asked_what_it_is():
    class Liar(bytes):
        def __len__(self):
            raise RuntimeError

    assert verify(KEY.public_key, Liar(MESSAGE), SIGNATURE) is False


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_arbitrary_bytes_get_one_verdict(public_key, message, signature):
    assert both(public_key, message, signature) is False


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary(max_size=80))
def test_arbitrary_points_get_one_verdict(public_key, signature, message):
    assert both(public_key, message, signature) is False


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_what_is_signed_verifies(seed, message):
    key = SigningKey.from_seed(seed)
    assert both(key.public_key, message, key.sign(message))
    assert crypto.sign(seed, message) == key.sign(message), "signing is deterministic"


def test_scenario_84_many_is_one_by_one():
    """No batch equation: a job of 64 gives each the verdict that it has alone."""
    items = [(KEY.public_key, bytes([n]), KEY.sign(bytes([n - n % 3]))) for n in range(64)]
    assert verify_many(items) == [verify(*item) for item in items] == [n % 3 == 0 for n in range(64)]
    assert verify_many([]) == []


# ── domains and keys ──────────────────────────────────────────────────────────────────────────────


def test_a_signature_is_bound_to_kind_and_chain():
    chain, other = b"\x01" * 32, b"\x02" * 32
    signature = KEY.sign(signing_message("prepare", chain, b"body"))
    assert signing_message("prepare", chain, b"body") == b"quorate.prepare\x00" + chain + b"body"
    assert verify(KEY.public_key, signing_message("prepare", chain, b"body"), signature)
    assert not verify(KEY.public_key, signing_message("commit", chain, b"body"), signature)
    assert not verify(KEY.public_key, signing_message("prepare", other, b"body"), signature)


def test_a_key_does_not_show_itself():
    assert KEY.seed.hex() not in repr(KEY)
    assert KEY.public_key.hex() in repr(KEY)
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        SigningKey.from_seed(bytes(31))
    assert SigningKey.generate().seed != SigningKey.generate().seed
