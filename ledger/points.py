"""Whether 32 bytes are an Ed25519 public key that somebody can have made: a point of prime order, canonically encoded.

Plain integer arithmetic and no library, because this verdict decides what a transaction does, and must be the same on
every machine: libsodium's own check has accepted points outside the prime-order group (CVE-2025-69277), so members
with different builds of it would disagree. About a millisecond; keys are made members rarely.

Edwards25519, RFC 8032 section 5.1: -x^2 + y^2 = 1 + d x^2 y^2 over the integers modulo p.
"""

from __future__ import annotations

from typing import Final

_P: Final = (1 << 255) - 19
_ORDER: Final = (1 << 252) + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_Y_MASK: Final = (1 << 255) - 1

_Point = tuple[int, int, int, int]
"""X, Y, Z, T: x = X/Z, y = Y/Z, x y = T/Z."""


def is_public_key(data: bytes) -> bool:
    """Whether these are the bytes of a point whose order is the prime. Never raises, whatever bytes it is given."""
    if len(data) != 32:
        return False
    number = int.from_bytes(data, "little")
    y, sign = number & _Y_MASK, number >> 255
    x = _x_of(y, sign) if y < _P else None
    if x is None or (x, y) == (0, 1):
        return False
    big_x, big_y, big_z, _ = _times((x, y, 1, x * y % _P), _ORDER)
    return big_x == 0 and big_y == big_z


def _x_of(y: int, sign: int) -> int | None:
    """The x with this sign, None where the curve has no such point (RFC 8032 section 5.1.3)."""
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    return _P - x if x & 1 != sign else x


def _times(point: _Point, factor: int) -> _Point:
    """Double and add. Its time tells about the key, which is public."""
    result: _Point = (0, 1, 1, 0)
    for bit in bin(factor)[2:]:
        result = _add(result, result)
        if bit == "1":
            result = _add(result, point)
    return result


def _add(one: _Point, other: _Point) -> _Point:
    """The complete addition of RFC 8032 section 5.1.4: it also doubles."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P
