"""`Decimal`: fixed-point numbers with 18 digits after the point, the same on every machine.

A Decimal is a whole number of units of 10**-18 that lies within 256 bits. Sums and differences are exact; a product
or a quotient of more digits goes to the nearest unit, and from halfway to the even one. Outside a running contract (in
state, arguments, results, events) it is its text, `12.5`, in the one way that `str` writes it. Validators and plain
Python share this class; what a contract may do with it, and at what price, is the matter of `contracts.language`.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

PLACES: Final = 18  # digits after the point
UNITS_MAX: Final = (1 << 256) - 1  # of 10**-18, of the magnitude
TEXT_CHARACTERS_MAX: Final = 100  # of what `Decimal` reads; what it writes has at most 80

_ONE: Final = 10**PLACES
_TEXT: Final = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?")


class Decimal:
    """A number with 18 digits after the point. It never changes.

    Raises `ValueError` for a text that is no such number, `OverflowError` for a number that is too large.
    """

    __slots__ = ("_units",)
    _units: int
    __hash__ = None  # type: ignore[assignment]  # no key of a dict: on chain it could be made to collide

    def __init__(self, value: Decimal | int | str) -> None:
        if type(value) is str:
            units = _units_of_text(value)
        elif type(value) is int:
            units = value * _ONE
        elif type(value) is Decimal:
            units = value._units  # noqa: SLF001 -- the class is of this module
        else:
            raise TypeError(f"Decimal() takes a str, an int or a Decimal, not {_name(value)}")
        self._units = _bounded(units)

    def __str__(self) -> str:
        whole, rest = divmod(abs(self._units), _ONE)
        fraction = f".{rest:0{PLACES}d}".rstrip("0") if rest else ""
        return f"{'-' if self._units < 0 else ''}{whole}{fraction}"

    def __repr__(self) -> str:
        return f"Decimal({str(self)!r})"

    def __bool__(self) -> bool:
        return self._units != 0

    def __int__(self) -> int:
        """The whole part: what follows the point is dropped."""
        return -(-self._units // _ONE) if self._units < 0 else self._units // _ONE

    # ── rounding ──────────────────────────────────────────────────────────────────────────────────

    def round(self, places: int = 0) -> Decimal:
        """The nearest number with so many digits after the point; from halfway the one with an even last digit."""
        step = _step(places)
        return _of(_nearest(self._units, step) * step)

    def floor(self, places: int = 0) -> Decimal:
        """The largest number with so many digits after the point that is not above this one."""
        step = _step(places)
        return _of(self._units // step * step)

    def ceil(self, places: int = 0) -> Decimal:
        """The smallest number with so many digits after the point that is not below this one."""
        step = _step(places)
        return _of(-(-self._units // step) * step)

    # ── arithmetic ────────────────────────────────────────────────────────────────────────────────

    def __add__(self, other: Decimal | int) -> Decimal:
        units = _units(other)
        return NotImplemented if units is None else _of(self._units + units)

    __radd__ = __add__

    def __sub__(self, other: Decimal | int) -> Decimal:
        units = _units(other)
        return NotImplemented if units is None else _of(self._units - units)

    def __rsub__(self, other: int) -> Decimal:
        units = _units(other)
        return NotImplemented if units is None else _of(units - self._units)

    def __mul__(self, other: Decimal | int) -> Decimal:
        if type(other) is int:
            return _of(self._units * other)
        return _of(_nearest(self._units * other._units, _ONE)) if type(other) is Decimal else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Decimal | int) -> Decimal:
        if type(other) is int:
            return _of(_nearest(self._units, other))
        return _of(_nearest(self._units * _ONE, other._units)) if type(other) is Decimal else NotImplemented

    def __rtruediv__(self, other: int) -> Decimal:
        return _of(_nearest(other * _ONE * _ONE, self._units)) if type(other) is int else NotImplemented

    def __neg__(self) -> Decimal:
        return _of(-self._units)

    def __pos__(self) -> Decimal:
        return self

    def __abs__(self) -> Decimal:
        return _of(abs(self._units))

    # ── comparison ────────────────────────────────────────────────────────────────────────────────

    def __eq__(self, other: object) -> bool:
        units = _units(other)
        return NotImplemented if units is None else self._units == units

    def __lt__(self, other: Decimal | int) -> bool:
        units = _units(other)
        return NotImplemented if units is None else self._units < units

    def __le__(self, other: Decimal | int) -> bool:
        units = _units(other)
        return NotImplemented if units is None else self._units <= units

    def __gt__(self, other: Decimal | int) -> bool:
        units = _units(other)
        return NotImplemented if units is None else self._units > units

    def __ge__(self, other: Decimal | int) -> bool:
        units = _units(other)
        return NotImplemented if units is None else self._units >= units


def plain(value: Any) -> Any:
    """The value as it leaves a contract: every Decimal inside as its text."""
    kind = type(value)
    if kind is Decimal:
        return str(value)
    if kind is list or kind is tuple:
        return kind([plain(item) for item in value])
    if kind is dict:
        return {key: plain(item) for key, item in value.items()}
    return value


# ── units ─────────────────────────────────────────────────────────────────────────────────────────


def _units(value: object) -> int | None:
    """The units of a Decimal or an int; None for anything else, a bool included."""
    if type(value) is Decimal:
        return value._units  # noqa: SLF001 -- the class is of this module
    return value * _ONE if type(value) is int else None


def _of(units: int) -> Decimal:
    """The Decimal of so many units. Raises `OverflowError`."""
    made = Decimal.__new__(Decimal)
    made._units = _bounded(units)  # noqa: SLF001 -- the class is of this module
    return made


def _bounded(units: int) -> int:
    return units if -UNITS_MAX <= units <= UNITS_MAX else _overflow()


def _overflow() -> NoReturn:
    raise OverflowError(f"a Decimal outside 256 bits, {PLACES} digits after the point included")


def _nearest(numerator: int, denominator: int) -> int:
    """The quotient as the nearest integer, from halfway the even one."""
    if denominator == 0:
        raise ZeroDivisionError("division by zero")
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient & 1))


def _step(places: int) -> int:
    """The units of one in the last of so many places."""
    if type(places) is not int:
        raise TypeError(f"places must be int, not {_name(places)}")
    if not 0 <= places <= PLACES:
        raise ValueError(f"{places} places, there are 0 to {PLACES}")
    step: int = 10 ** (PLACES - places)
    return step


def _units_of_text(text: str) -> int:
    match = _TEXT.fullmatch(text) if len(text) <= TEXT_CHARACTERS_MAX else None
    if match is None:
        raise ValueError("a Decimal is written in ASCII digits, with a point between digits or without: '12.5'")
    sign, whole, fraction = match.groups(default="")
    if len(fraction) > PLACES:
        raise ValueError(f"a Decimal has at most {PLACES} digits after the point, not {len(fraction)}")
    return int(f"{sign}{whole}{fraction.ljust(PLACES, '0')}")


def _name(value: object) -> str:
    return "None" if value is None else type(value).__name__
