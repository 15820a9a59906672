"""The canonical codec: every value has exactly one encoding, and only that one is accepted.

msgpack, written by `msgspec`; what decodes but does not encode back to the very same bytes is refused
(other integer widths, unsorted or repeated map keys, trailing bytes). Hashes and signatures are taken
over these bytes, so two nodes that read the same value must hold the same bytes. This module knows no
type of the ledger; `ledger.types` does.

Integers outside 64 bits travel as msgpack extension 1: two's complement, big-endian, as short as possible.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec

from ledger.errors import Malformed, NotCanonical

T = TypeVar("T")

EXT_BIG_INT = 1
INTEGER_BITS_MAX = 256
_INT64_MIN = -(1 << 63)
_UINT64_MAX = (1 << 64) - 1
_DEPTH_MAX = 64

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def encode(value: object) -> bytes:
    """The one encoding of `value` (structs, None, bool, int within 256 bits, str, bytes, list, tuple, dict).

    Raises `Malformed` for what has no encoding: floats by themselves encode, but no type of the ledger has one.
    """
    try:
        return _encoder.encode(value)
    except OverflowError:
        pass
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"no encoding for this value: {error}") from None
    return _encoder.encode(_wrap_big_integers(value, 0))


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
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise Malformed(f"not a {getattr(kind, '__name__', 'value')}: {error}") from None
    if encode(value) != data:
        raise NotCanonical(f"not the canonical encoding of a {getattr(kind, '__name__', 'value')}")
    return value


def _read_extension(code: int, data: memoryview) -> int:
    if code != EXT_BIG_INT:
        raise ValueError(f"unknown extension {code}, expected {EXT_BIG_INT} (integer)")
    if len(data) > INTEGER_BITS_MAX // 8 + 1:
        raise ValueError(f"an integer of {len(data)} bytes is outside {INTEGER_BITS_MAX} bits")
    return int.from_bytes(data, "big", signed=True)


def _wrap_big_integers(value: Any, depth: int) -> Any:
    """A copy of `value` with every integer outside 64 bits as an extension."""
    if depth > _DEPTH_MAX:
        raise Malformed(f"nested deeper than {_DEPTH_MAX}")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if _INT64_MIN <= value <= _UINT64_MAX:
            return value
        if value.bit_length() > INTEGER_BITS_MAX:
            raise Malformed(f"an integer of {value.bit_length()} bits is outside {INTEGER_BITS_MAX} bits")
        return msgspec.msgpack.Ext(EXT_BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if isinstance(value, list | tuple):
        return [_wrap_big_integers(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_wrap_big_integers(key, depth + 1): _wrap_big_integers(item, depth + 1) for key, item in value.items()}
    return value
