"""What a declared state variable makes of values and keys: values to bytes and back, written keys to key tuples.

Everything is held to its declared type on the way in. It knows types and bytes; it knows no syntax but prices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from contracts import codes
from contracts.address import is_address, why_not
from contracts.language import gas, limits
from contracts.language.interface import Key, Meter
from contracts.language.unit import Body, StateVariable
from contracts.language.value_types import ADDRESS, STR, Misfit, Scalar, Type, has_decimal, has_tuple
from contracts.language.values import decode, encode, fail, type_name

LENGTH: Final[Key] = ()  # where a List keeps its length


def loader(variable: StateVariable) -> Callable[[Meter, bytes], Any]:
    """What turns stored bytes into a value of the declared type."""
    kind = variable.value
    if not has_tuple(kind) and not has_decimal(kind):
        return decode
    return lambda meter, data: kind.fit(meter, decode(meter, data), outside=True)


def storer(variable: StateVariable) -> Callable[[Meter, Any], bytes]:
    """What checks a value against the declared type and gives its bytes."""
    kind = variable.value
    what = f"a value of {variable.name}"

    def store(meter: Meter, value: Any) -> bytes:
        try:
            kind.fit(meter, value)
        except Misfit as error:
            fail(codes.BAD_TYPE, f"{what} {error}")
        return encode(meter, value)

    def store_scalar(meter: Meter, value: Any) -> bytes:
        if type(value) is not scalar:
            fail(codes.BAD_TYPE, f"{what} must be {kind.text}, not {type_name(value)}")
        return encode(meter, value)

    scalar = kind.kind if isinstance(kind, Scalar) and kind is not ADDRESS else None
    return store if scalar is None else store_scalar


def part_of(kind: Type, value: Any, what: str) -> Any:
    """One part of a key, held to its type."""
    assert isinstance(kind, Scalar)
    if type(value) is not kind.kind:
        fail(codes.BAD_TYPE, f"{what} must be {kind.text}, not {type_name(value)}")
    if kind is ADDRESS:
        if not is_address(value):
            fail(codes.BAD_TYPE, f"{what} is no Address: {why_not(value)}")
        return value
    if (kind.kind is str or kind.kind is bytes) and len(value) > limits.KEY_CHARACTERS_MAX:
        fail(codes.SIZE_LIMIT, f"{what} of {len(value)}, at most {limits.KEY_CHARACTERS_MAX} are allowed")
    return value


def key_maker(body: Body, variable: StateVariable) -> Callable[[Any], Key]:
    """What turns a written key into the key tuple of the host; the Addresses in it are paid for with the statement."""
    body.pay(gas.ADDRESS * variable.keys.count(ADDRESS))
    what = f"a key of {variable.name}"
    kinds = variable.keys

    def nested(value: Any) -> Key:
        if type(value) is not tuple or len(value) != len(kinds):
            fail(codes.BAD_TYPE, f"{what} must be a tuple of {len(kinds)}")
        return tuple([part_of(kind, part, what) for kind, part in zip(kinds, value, strict=True)])

    if variable.nested:
        return nested
    only = kinds[0]
    if only is not STR:
        return lambda value: (part_of(only, value, what),)

    def plain(value: Any) -> Key:
        if type(value) is str and len(value) <= limits.KEY_CHARACTERS_MAX:
            return (value,)
        return (part_of(only, value, what),)

    return plain
