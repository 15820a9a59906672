"""Types as they are written in annotations, and whether a value has one: exactly, since bool is not int.

`fit` returns the value as its type says it: what crosses a boundary comes back with lists where tuples were, so a
value for `tuple[...]` is turned into one, and what comes from outside has texts where Decimals were. This module
knows values and their types; it knows no syntax tree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contracts.address import is_address, why_not
from contracts.decimal import Decimal
from contracts.language import gas, limits
from contracts.language.dict_keys import given
from contracts.language.interface import Meter

_LARGEST, _SMALLEST = limits.INTEGER_MAX, -limits.INTEGER_MAX
_LONG = limits.STR_CHARACTERS_MAX


class Misfit(Exception):
    """A value is not of the type. The text completes "the argument `x` ..."."""


class Type:
    """One type. `text` is how it is written."""

    text: str = ""

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:
        """The value as this type; `outside` says that it comes from bytes. Raises `Misfit`."""
        raise NotImplementedError

    def refuse(self, value: Any) -> Misfit:
        """What to raise."""
        return Misfit(f"must be {self.text}, not {'None' if value is None else type(value).__name__}")


class Scalar(Type):
    """bool, int, str, bytes or None, exactly."""

    __slots__ = ("_largest", "kind", "text")

    def __init__(self, kind: Any, text: str) -> None:
        self.kind = kind
        self.text = text
        self._largest = {int: limits.INTEGER_MAX, str: limits.STR_CHARACTERS_MAX, bytes: limits.BYTES_LENGTH_MAX}.get(
            kind
        )

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:  # noqa: ARG002 -- as in `Type`
        """An int must also lie within 256 bits, a text within its limit."""
        if type(value) is not self.kind:
            raise self.refuse(value)
        if self._largest is not None and (abs(value) if self.kind is int else len(value)) > self._largest:
            unit = {int: "256 bits", str: f"{self._largest} characters", bytes: f"{self._largest} bytes"}[self.kind]
            raise Misfit(f"must lie within {unit}")
        return value


class AddressType(Scalar):
    """Address: a str in the form of one."""

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:  # noqa: ARG002 -- as in `Type`
        """The str as it is."""
        if type(value) is not str:
            raise self.refuse(value)
        meter.charge(gas.ADDRESS)
        if not is_address(value):
            raise Misfit(f"is no Address: {why_not(value)}")
        return value


class DecimalType(Type):
    """Decimal. From outside it comes as its text, in the one way that `str` writes it."""

    text = "Decimal"

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:  # noqa: ARG002 -- as in `Type`
        """The number, made of its text where that came from outside."""
        if type(value) is Decimal:
            return value
        if not outside or type(value) is not str:
            raise self.refuse(value)
        meter.charge(gas.DECIMAL_TEXT)
        try:
            number = Decimal(value)
        except (ValueError, ArithmeticError) as error:
            raise Misfit(f"must be the text of a Decimal: {error}") from None
        if str(number) != value:
            raise Misfit(f"must be the text of a Decimal as it is written here, {str(number)!r}, not {value!r}")
        return number


def _enter(meter: Meter, value: Any, depth: int) -> int:
    """Pay for what is in a list or dict, and for the thing itself where it is one of many. The depth inside."""
    count = len(value)
    if count > limits.ITEMS_MAX:
        raise Misfit(f"has {count} items, at most {limits.ITEMS_MAX} are allowed")
    meter.containers = meter.containers + 1 if depth else 1
    price = count * gas.ITEM_CODED
    if meter.containers > gas.CONTAINERS_CHECKED_FREE:
        price += gas.CONTAINER_CHECKED
    meter.left -= price
    if meter.left < 0:
        meter.run_out()
    if depth >= limits.VALUE_DEPTH_MAX:
        raise Misfit(f"is nested deeper than {limits.VALUE_DEPTH_MAX}")
    return depth + 1


@dataclass(frozen=True)
class ListOf(Type):
    """list[T]."""

    item: Type
    text: str

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:
        """A new list."""
        if type(value) is not list:
            raise self.refuse(value)
        depth = _enter(meter, value, depth)
        return [self.item.fit(meter, item, depth, outside) for item in value]


@dataclass(frozen=True)
class DictOf(Type):
    """dict[K, V]."""

    key: Type
    value: Type
    text: str

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:
        """A new dict in the order of the old."""
        if type(value) is not dict:
            raise self.refuse(value)
        depth = _enter(meter, value, depth)
        return {
            self.key.fit(meter, given(k), depth, outside): self.value.fit(meter, v, depth, outside)
            for k, v in value.items()
        }


@dataclass(frozen=True)
class TupleOf(Type):
    """tuple[A, B] with exactly these places, or tuple[T, ...] (`rest`)."""

    items: tuple[Type, ...]
    rest: Type | None
    text: str

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:
        """A tuple, made of a list where need be."""
        if type(value) is not list and type(value) is not tuple:
            raise self.refuse(value)
        depth = _enter(meter, value, depth)
        if self.rest is not None:
            rest = self.rest
            return tuple([rest.fit(meter, item, depth, outside) for item in value])
        if len(value) != len(self.items):
            raise Misfit(f"must be {self.text}, not a tuple of {len(value)}")
        return tuple([kind.fit(meter, item, depth, outside) for kind, item in zip(self.items, value, strict=True)])


@dataclass(frozen=True)
class RecordOf(Type):
    """A Record: a dict with exactly these fields. Its text names them, for its name alone would say little."""

    name: str
    fields: tuple[tuple[str, Type], ...]
    text: str

    @classmethod
    def of(cls, name: str, fields: tuple[tuple[str, Type], ...]) -> RecordOf:
        """The record with this name and these fields."""
        return cls(name, fields, f"{name}{{{', '.join([f'{field}: {kind.text}' for field, kind in fields])}}}")

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:
        """A new dict in the order of the old."""
        if type(value) is not dict:
            raise self.refuse(value)
        depth = _enter(meter, value, depth)
        kinds = self._kinds
        if value.keys() != kinds.keys():
            raise Misfit(self._wanted)
        return {key: kinds[key].fit(meter, item, depth, outside) for key, item in value.items()}

    # Both are made once: a record may be the option of a union that most values are not.

    @cached_property
    def _kinds(self) -> dict[str, Type]:
        return dict(self.fields)

    @cached_property
    def _wanted(self) -> str:
        return f"must have the fields of {self.name}, each and no other: {', '.join(self._kinds)}"


@dataclass(frozen=True)
class AnyOf(Type):
    """A | B: the first that fits."""

    options: tuple[Type, ...]
    text: str

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:
        """Each option is tried in the order written, and paid for."""
        for option in self.options:
            meter.charge(gas.OPTION_TRIED)
            try:
                return option.fit(meter, value, depth, outside)
            except Misfit:
                continue
        raise self.refuse(value)


@dataclass(frozen=True)
class AnyValue(Type):
    """`Value`: whatever the language has."""

    text: str = "Value"

    def fit(self, meter: Meter, value: Any, depth: int = 0, outside: bool = False) -> Any:
        """A copy, checked to its depth."""
        kind = type(value)
        if kind is list:
            depth = _enter(meter, value, depth)
            return [self.fit(meter, item, depth, outside) for item in value]
        if value is None or kind is bool or kind is Decimal or (kind is int and _SMALLEST <= value <= _LARGEST):
            return value
        scalar = _BY_KIND.get(kind)
        if scalar is not None:
            return scalar.fit(meter, value, depth, outside)
        if kind is not tuple and kind is not dict:
            raise Misfit(f"contains a {kind.__name__}, which is no value")
        depth = _enter(meter, value, depth)
        if kind is dict:
            return {_text_key(meter, key): self.fit(meter, item, depth, outside) for key, item in value.items()}
        return tuple([self.fit(meter, item, depth, outside) for item in value])


def _text_key(meter: Meter, key: Any) -> Any:
    return key if type(key) is str and len(key) < _LONG else STR.fit(meter, given(key))


# ── what a type may have inside ───────────────────────────────────────────────────────────────────


def has_tuple(kind: Type) -> bool:
    """Whether a value of this type may have a tuple in it, that the type asks for."""
    return _has(kind, lambda one: isinstance(one, TupleOf))


def has_decimal(kind: Type) -> bool:
    """Whether a value of this type may have a Decimal in it, that the type asks for."""
    return _has(kind, lambda one: one is DECIMAL)


def has_text(kind: Type) -> bool:
    """Whether a value of this type may have a str in it."""
    return _has(kind, lambda one: one in (STR, ADDRESS, ANY))


def may_hold_decimal(kind: Type) -> bool:
    """Whether a value of this type may have a Decimal in it, asked for or not."""
    return _has(kind, lambda one: one is DECIMAL or one is ANY)


def _has(kind: Type, wanted: Callable[[Type], bool]) -> bool:
    if wanted(kind):
        return True
    if isinstance(kind, ListOf):
        return _has(kind.item, wanted)
    if isinstance(kind, DictOf):
        return _has(kind.value, wanted)
    if isinstance(kind, RecordOf):
        return any(_has(item, wanted) for _, item in kind.fields)
    if isinstance(kind, TupleOf):
        return any(_has(item, wanted) for item in (*kind.items, *([kind.rest] if kind.rest else [])))
    return isinstance(kind, AnyOf) and any(_has(option, wanted) for option in kind.options)


# ── the types ─────────────────────────────────────────────────────────────────────────────────────

NONE = Scalar(type(None), "None")
BOOL = Scalar(bool, "bool")
INT = Scalar(int, "int")
STR = Scalar(str, "str")
ADDRESS = AddressType(str, "Address")
BYTES = Scalar(bytes, "bytes")
DECIMAL = DecimalType()
ANY = AnyValue()

SCALARS: dict[str, Type] = {kind.text: kind for kind in (NONE, BOOL, INT, STR, ADDRESS, BYTES, DECIMAL, ANY)}
KEY_TYPES = (BOOL, INT, STR, ADDRESS, BYTES)
_BY_KIND: dict[type, Type] = {int: INT, str: STR, bytes: BYTES}
