"""The canonical codec: every value has exactly one encoding, and only that one is accepted.

msgpack, written by `msgspec`; what decodes but does not encode back to the very same bytes is refused
(other integer widths, unsorted or repeated map keys, trailing bytes). Hashes and signatures are taken
over these bytes, so two nodes that read the same value must hold the same bytes. This module knows no
type of the ledger; `ledger.types` does.

A plain value is None, bool, an integer within 256 bits, str, bytes, a list or tuple of values, or a dict from str
to values, nested at most `DEPTH_MAX` deep. Floats, timestamps and sets have no place in it. Integers outside 64 bits
travel as msgpack extension 1: two's complement, big-endian, as short as possible.

A verdict depends on the bytes alone. Should the host's own stack be too short to reach it, `RecursionError` says so:
that is a fault of this process, and never means that the bytes are wrong.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, TypeVar, overload

import msgspec

from ledger.errors import Malformed, NotCanonical

T = TypeVar("T")

EXT_BIG_INT = 1
INTEGER_BITS_MAX = 256
DEPTH_MAX = 64  # lists and maps within each other
_INT64_MIN = -(1 << 63)
_UINT64_MAX = (1 << 64) - 1
_SCALARS = frozenset({NoneType, bool, int, str, bytes})
_FEW = 16  # items, below which one look at all of them takes longer than one at each

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_any_decoder = msgspec.msgpack.Decoder()
_STACK_PROBE = b"\x91" * (2 * DEPTH_MAX) + b"\xc0"


def encode(value: object) -> bytes:
    """The one encoding of a plain value or a struct. Raises `Malformed` for what has none."""
    if type(value) not in _SCALARS and not isinstance(value, msgspec.Struct):
        _check_plain(value, 0)
    try:
        return _encoder.encode(value)
    except OverflowError:
        pass
    except (TypeError, ValueError) as error:
        raise Malformed(f"no encoding for this value: {error}") from None
    try:
        return _encoder.encode(_wrap_big_integers(value))
    except OverflowError:
        raise Malformed("an integer in a struct is outside 64 bits") from None


@overload
def decode(data: bytes) -> Any: ...
@overload
def decode(data: bytes, kind: type[T]) -> T: ...
def decode(data: bytes, kind: Any = Any) -> Any:
    """Decode `data` as `kind`, refusing every encoding but the canonical one.

    Raises `Malformed` when the bytes are not a `kind`, `NotCanonical` when they are one in other bytes.
    """
    try:
        decoder = _decoders.get(kind)
        if decoder is None:
            decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind, ext_hook=_read_extension)
        value = decoder.decode(data)
    except RecursionError:
        _blame_the_host_if_it_is_at_fault()
        raise Malformed(f"nested deeper than {DEPTH_MAX}") from None
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise Malformed(f"not a {_name_of(kind)}: {error}") from None
    if encode(value) != data:
        raise NotCanonical(f"not the canonical encoding of a {_name_of(kind)}")
    return value


def decode_own(data: bytes) -> Any:
    """The plain value of bytes that `encode` gave here, or that a state root vouches for: in half the time, for whether
    they are canonical is not looked at again. Raises `Malformed` when they are no value at all."""
    try:
        return _own_decoder.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Malformed(f"not a value: {error}") from None


def _check_plain(value: Any, depth: int) -> None:
    """Raise `Malformed` unless `value` is a plain value. Structs may stand in it: their own types check them."""
    kind = type(value)
    if kind in _SCALARS or isinstance(value, msgspec.Struct):
        return
    if kind is not list and kind is not tuple and kind is not dict:
        raise Malformed(f"no encoding for this value: a {kind.__name__} is not a plain value")
    if depth == DEPTH_MAX:
        raise Malformed(f"nested deeper than {DEPTH_MAX}")
    items = value.values() if kind is dict else value
    if len(items) > _FEW and set(map(type, items)) <= _SCALARS:
        return
    for item in items:
        if type(item) not in _SCALARS:
            _check_plain(item, depth + 1)


def _blame_the_host_if_it_is_at_fault() -> None:
    """Raise `RecursionError` when a value of allowed depth would not decode here either."""
    _any_decoder.decode(_STACK_PROBE)


def _name_of(kind: Any) -> str:
    return "value" if kind is Any else getattr(kind, "__name__", "value")


def _read_extension(code: int, data: memoryview) -> int:
    if code != EXT_BIG_INT:
        raise ValueError(f"unknown extension {code}, expected {EXT_BIG_INT} (integer)")
    if len(data) > INTEGER_BITS_MAX // 8 + 1:
        raise ValueError(f"an integer of {len(data)} bytes is outside {INTEGER_BITS_MAX} bits")
    return int.from_bytes(data, "big", signed=True)


_own_decoder = msgspec.msgpack.Decoder(ext_hook=_read_extension)


def _wrap_big_integers(value: Any) -> Any:
    """A copy of the checked plain `value` with every integer outside 64 bits as an extension."""
    kind = type(value)
    if kind is int and not _INT64_MIN <= value <= _UINT64_MAX:
        if value.bit_length() > INTEGER_BITS_MAX:
            raise Malformed(f"an integer of {value.bit_length()} bits is outside {INTEGER_BITS_MAX} bits")
        magnitude = value if value >= 0 else ~value
        return msgspec.msgpack.Ext(EXT_BIG_INT, value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))
    if kind is list or kind is tuple:
        return [_wrap_big_integers(item) for item in value]
    if kind is dict:
        return {key: _wrap_big_integers(item) for key, item in value.items()}
    return value
