"""A public key is a point of prime order, canonically encoded; its twins of small and of mixed order are none."""

from __future__ import annotations

import pytest
from nacl.bindings import crypto_core_ed25519_add, crypto_core_ed25519_is_valid_point

from ledger.crypto import SigningKey
from ledger.points import is_public_key

P = (1 << 255) - 19
KEYS = [SigningKey.from_seed(bytes([number]) * 32).public_key for number in range(8)]
ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
SMALL = {
    "order 1": "01" + "00" * 31,
    "order 2": "ec" + "ff" * 30 + "7f",
    "order 4": "00" * 32,
    "order 4, other sign": "00" * 31 + "80",
    "order 8": ORDER_8,
    "order 8, other sign": ORDER_8[:-2] + "85",
    "order 8, negative": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "order 8, negative, other sign": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}


def encoded(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_was_made_is_one(key):
    assert is_public_key(key)


@pytest.mark.parametrize("name", SMALL)
def test_a_point_of_small_order_is_none(name):
    assert not is_public_key(bytes.fromhex(SMALL[name]))


@pytest.mark.parametrize("name", [name for name in SMALL if name != "order 1"])
@pytest.mark.parametrize("key", KEYS[:3])
def test_a_key_with_a_point_of_small_order_added_is_none(name, key):
    """Libraries have differed about these: so none is asked."""
    mixed = crypto_core_ed25519_add(key, bytes.fromhex(SMALL[name]))
    assert mixed != key
    assert not is_public_key(mixed)
    assert is_public_key(crypto_core_ed25519_add(mixed, minus(bytes.fromhex(SMALL[name]))))


def minus(point: bytes) -> bytes:
    """-(x, y) is (-x, y), and a point with x = 0 is its own."""
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)
    return point if y in (1, P - 1) else encoded(y, 1 - (point[31] >> 7))


@pytest.mark.parametrize(
    "data",
    [
        encoded(1, 1),  # x = 0 with a sign
        encoded(P),  # y = 0, not canonical
        encoded(P + 1),  # y = 1, not canonical
        encoded((1 << 255) - 1),
        encoded(2),  # no such point
        b"",
        KEYS[0][:31],
        KEYS[0] + b"\x00",
    ],
)
def test_what_is_no_canonical_point_is_none(data):
    assert not is_public_key(data)


def test_of_all_small_numbers_it_finds_those_that_another_library_finds():
    """But for the points that differ by the one of order 2, which depends on the library's version."""
    for y in range(2, 120):
        mine = is_public_key(encoded(y))
        theirs = crypto_core_ed25519_is_valid_point(encoded(y))
        twin = theirs and is_public_key(crypto_core_ed25519_add(encoded(y), bytes.fromhex(SMALL["order 2"])))
        assert mine == theirs or twin, y
    assert any(is_public_key(encoded(y)) for y in range(2, 120))
