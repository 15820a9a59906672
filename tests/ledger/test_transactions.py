"""Transactions: what a client signs, how they are named, and how each fault is told."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from nacl.bindings import crypto_core_ed25519_scalar_reduce, crypto_scalarmult_ed25519_base_noclamp

from ledger import codec, crypto, hashing
from ledger.crypto import SigningKey
from ledger.errors import CodecError, Malformed, NotCanonical
from ledger.transactions import (
    find_fault,
    identify,
    judge,
    read_transaction,
    sign_transaction,
    signature_holds,
    signature_item,
)
from ledger.types import Call, Parameters, Transaction, body_bytes

KEY = SigningKey.from_seed(b"\x21" * 32)
CHAIN = b"\x0c" * 32
CALL = Call("token", "transfer", codec.encode(["a" * 64, 5]))
PARAMETERS = Parameters(validity_window=16, transaction_bytes_max=1024, transaction_gas_max=100_000)


def signed(*, key=KEY, chain_id=CHAIN, calls=(CALL,), gas_limit=50_000, valid_until=110, salt=bytes(16)) -> bytes:
    return sign_transaction(key, chain_id, calls, gas_limit, valid_until, salt)


def test_a_signed_transaction_reads_back_and_its_signature_holds():
    raw = signed()
    transaction = read_transaction(raw)
    assert transaction.encode() == raw
    assert transaction.body.sender == KEY.public_key
    assert transaction.body.calls == (CALL,)
    assert body_bytes(raw) == transaction.body.encode()
    assert signature_holds(raw, transaction)
    assert crypto.verify_many([signature_item(raw, transaction)] * 3) == [True] * 3
    assert signed() == raw, "signing is deterministic: the same parts give the same bytes"


def test_the_id_names_the_body_and_the_hash_names_these_bytes():
    raw = signed()
    transaction = read_transaction(raw)
    assert identify(raw) == (hashing.transaction_id(transaction.body.encode()), hashing.transaction_hash(raw))
    assert identify(raw)[0] != identify(signed(salt=b"\x01" * 16))[0], "a new salt is a new intent"


def test_scenario_83_two_valid_signatures_of_one_body_have_one_id():
    """The owner of a key can sign one body twice, with another nonce; a replay is still known by its id."""
    raw = signed()
    message = signature_item(raw, read_transaction(raw))[1]
    order = 2**252 + 27742317777372353535851937790883648493
    expanded = hashlib.sha512(KEY.seed).digest()
    scalar = int.from_bytes(expanded[:32], "little") & ((1 << 254) - 8) | 1 << 254
    nonce = int.from_bytes(crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"another nonce").digest()), "little")
    r = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    challenge = int.from_bytes(hashlib.sha512(r + KEY.public_key + message).digest(), "little")
    signature = r + ((nonce + challenge * scalar) % order).to_bytes(32, "little")
    twin = replace(read_transaction(raw), signature=signature).encode()
    assert twin != raw
    assert signature_holds(twin, read_transaction(twin))
    assert identify(twin)[0] == identify(raw)[0]
    assert identify(twin)[1] != identify(raw)[1]


def test_a_forged_signature_or_a_changed_body_does_not_hold():
    raw = signed()
    transaction = read_transaction(raw)
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        try:
            other = read_transaction(changed)
        except CodecError:
            continue
        assert not signature_holds(changed, other), f"byte {place}"
    stolen = replace(transaction, body=replace(transaction.body, sender=SigningKey.from_seed(b"\x22" * 32).public_key))
    assert not signature_holds(stolen.encode(), stolen)


def test_a_signature_for_another_domain_does_not_hold():
    raw = signed()
    transaction = read_transaction(raw)
    for message in (body_bytes(raw), crypto.signing_message("checkpoint", CHAIN, body_bytes(raw))):
        other = replace(transaction, signature=KEY.sign(message))
        assert not signature_holds(other.encode(), other)


def test_no_transaction_is_signed_that_nobody_would_read():
    for wrong in (
        {"calls": ()},
        {"calls": (CALL,) * 65},
        {"salt": bytes(15)},
        {"chain_id": bytes(31)},
        {"gas_limit": -1},
        {"gas_limit": 1 << 70},
        {"valid_until": 1 << 53},
        {"calls": (Call("", "transfer", b""),)},
        {"calls": (Call("t" * 64, "transfer", b""),)},
    ):
        with pytest.raises(Malformed):
            signed(**wrong)


# ── judging ───────────────────────────────────────────────────────────────────────────────────────


def fault(raw: bytes, height: int = 100):
    found = find_fault(raw, chain_id=CHAIN, parameters=PARAMETERS, height=height)
    assert judge(raw, chain_id=CHAIN, parameters=PARAMETERS, height=height) == ("" if found is None else found.code)
    return found


def test_a_transaction_is_valid_from_v_before_its_last_height_to_that_height():
    raw = signed(valid_until=110)
    for height in (94, 100, 110):
        assert fault(raw, height) is None
    assert fault(raw, 111) == ("expired", "valid until height 110, the next block is 111")
    assert fault(raw, 93) == ("too_far", "valid until height 110, it may be at most 109 for block 93")


def test_each_fault_has_its_code_and_says_what_was_found_and_expected():
    assert fault(signed()) is None
    long = signed(calls=(Call("token", "transfer", bytes(1000)),))
    assert fault(long) == ("too_large", f"{len(long)} bytes long, at most 1024 are allowed")
    assert fault(signed(chain_id=b"\x0d" * 32)) == (
        "wrong_chain",
        f"signed for chain {'0d' * 32}, this one is {'0c' * 32}",
    )
    assert fault(signed(gas_limit=100_000)) is None
    assert fault(signed(gas_limit=100_001)) == ("gas_limit", "gas limit 100001, it must be 1 to 100000")
    assert fault(signed(gas_limit=0)) == ("gas_limit", "gas limit 0, it must be 1 to 100000")
    code, message = fault(b"\xc0")
    assert code == "malformed"
    assert message.startswith("not a signed transaction in its canonical encoding: not a Transaction")


def test_size_is_judged_before_anything_is_parsed():
    assert fault(b"\x91" * 1025).code == "too_large"
    assert fault(b"\x91" * 1024).code == "malformed"


def test_a_transaction_that_was_read_already_is_not_read_again():
    raw = signed()
    known = {"chain_id": CHAIN, "parameters": PARAMETERS, "transaction": read_transaction(raw)}
    assert judge(raw, height=100, **known) == ""
    assert judge(raw, height=111, **known) == "expired"


@pytest.mark.parametrize("cut", [0, 1, 2, 40, -65, -64, -1])
def test_a_truncated_transaction_is_malformed(cut):
    assert fault(signed()[:cut]).code == "malformed"


def test_trailing_bytes_and_other_encodings_are_malformed():
    raw = signed()
    assert fault(raw + b"\x00").code == "malformed"
    wider = b"\xdc\x00\x02" + raw[1:]
    with pytest.raises(NotCanonical):
        read_transaction(wider)
    assert fault(wider).code == "malformed"
    short = codec.encode([codec.decode(raw)[0], codec.decode(raw)[1][:63]])
    assert fault(short).code == "malformed"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed_and_nothing_worse(data):
    assert fault(data).code == "malformed"


@settings(max_examples=100, deadline=None)
@given(
    calls=st.lists(
        st.builds(Call, st.text(min_size=1, max_size=63), st.text(min_size=1, max_size=63), st.binary(max_size=100)),
        min_size=1,
        max_size=4,
    ),
    gas_limit=st.integers(0, 1 << 52),
    valid_until=st.integers(0, 1 << 52),
    salt=st.binary(min_size=16, max_size=16),
)
def test_whatever_is_signed_reads_back(calls, gas_limit, valid_until, salt):
    raw = sign_transaction(KEY, CHAIN, calls, gas_limit, valid_until, salt)
    transaction = read_transaction(raw)
    assert isinstance(transaction, Transaction)
    assert transaction.encode() == raw
    assert signature_holds(raw, transaction)
