"""Python's annotations as the language's types: what a hint at a parameter, a field or a state variable stands for.

The types themselves are those of the interpreter, so that a value fits in both worlds or in none.
"""

from __future__ import annotations

import functools
import types as python_types
import typing
from typing import Any, Final, get_args, get_origin

from contracts import codes
from contracts.address import Address
from contracts.decimal import Decimal
from contracts.language import limits
from contracts.language import value_types as types
from contracts.language.interface import Failure, Meter
from contracts.language.unit import StateVariable
from contracts.native.records import RecordMeta

FREE: Final = Meter(1 << 62, 1 << 62)
"""The meter of plain Python, which has no gas."""

_SCALARS: Final[dict[Any, types.Type]] = {
    bool: types.BOOL,
    int: types.INT,
    str: types.STR,
    Address: types.ADDRESS,
    bytes: types.BYTES,
    Decimal: types.DECIMAL,
    None: types.NONE,
    type(None): types.NONE,
    Any: types.ANY,
}


def type_of(hint: Any) -> types.Type:
    """The language's type of a Python annotation."""
    scalar = None if isinstance(hint, python_types.GenericAlias) else _SCALARS.get(hint)
    if scalar is not None:
        return scalar
    if isinstance(hint, RecordMeta):
        return _record_of(hint)
    origin, inside = get_origin(hint), get_args(hint)
    if origin is list:
        item = type_of(inside[0])
        return types.ListOf(item, f"list[{item.text}]")
    if origin is dict:
        key, value = type_of(inside[0]), type_of(inside[1])
        return types.DictOf(key, value, f"dict[{key.text}, {value.text}]")
    if origin is tuple:
        return _tuple_of(inside)
    if origin is python_types.UnionType or origin is typing.Union:
        options = tuple([type_of(option) for option in inside])
        return types.AnyOf(options, " | ".join([option.text for option in options]))
    raise TypeError(f"{hint!r} is no type of the contract language")


@functools.cache
def _record_of(record: RecordMeta) -> types.Type:
    fields = [(name, type_of(hint)) for name, hint in typing.get_type_hints(record).items()]
    return types.RecordOf.of(record.__name__, tuple(fields))


def _tuple_of(inside: tuple[Any, ...]) -> types.Type:
    if len(inside) == 2 and inside[1] is ...:
        rest = type_of(inside[0])
        return types.TupleOf((), rest, f"tuple[{rest.text}, ...]")
    items = tuple([type_of(item) for item in inside])
    return types.TupleOf(items, None, f"tuple[{', '.join([item.text for item in items])}]")


def state_variable(name: str, kind: str, inside: tuple[Any, ...]) -> StateVariable:
    """The declaration of a Var, Map or List (`kind`) with these type arguments."""
    value = type_of(inside[-1])
    if kind != "Map":
        return StateVariable(name, kind, (), False, value, f"{kind}[{value.text}]")
    nested = get_origin(inside[0]) is tuple
    keys = tuple([type_of(part) for part in (get_args(inside[0]) if nested else inside[:1])])
    written = type_of(inside[0]).text
    return StateVariable(name, kind, keys, nested, value, f"Map[{written}, {value.text}]")


def key_of(variable: StateVariable, written: Any) -> tuple[Any, ...]:
    """A key as the host takes it: the parts of a written key. Raises `Failure`."""
    what = f"a key of {variable.name}"
    if not variable.nested:
        return (_part(variable.keys[0], written, what),)
    if type(written) is not tuple or len(written) != len(variable.keys):
        raise Failure(codes.BAD_TYPE, f"{what} must be a tuple of {len(variable.keys)}")
    return _parts(variable, written, what)


def _parts(variable: StateVariable, parts: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    return tuple([_part(kind, part, what) for kind, part in zip(variable.keys, parts, strict=False)])


def _part(kind: types.Type, value: Any, what: str) -> Any:
    if isinstance(kind, types.Scalar) and type(value) is not kind.kind:
        raise Failure(codes.BAD_TYPE, f"{what} {kind.refuse(value)}")
    if kind is types.ADDRESS:
        return fit(kind, value, what, codes.BAD_TYPE)
    if type(value) in (str, bytes) and len(value) > limits.KEY_CHARACTERS_MAX:
        message = f"{what} of {len(value)}, at most {limits.KEY_CHARACTERS_MAX} are allowed"
        raise Failure(codes.SIZE_LIMIT, message)
    return value


def fit(kind: types.Type, value: Any, what: str, code: str, outside: bool = False) -> Any:
    """The value as this type. Raises `Failure` with this code."""
    try:
        return kind.fit(FREE, value, outside=outside)
    except types.Misfit as error:
        raise Failure(code, f"{what} {error}") from None
