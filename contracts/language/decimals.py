"""Decimals as the language has them: made, rounded, summed and written, each at its price.

The numbers themselves are `contracts.decimal`'s matter, their operators stand among those of the other values. Every
function charges before it works, and has a failure of the language where the number has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from contracts import codes
from contracts.decimal import Decimal
from contracts.language import gas
from contracts.language.interface import Meter
from contracts.language.values import decimal_operation, fail, type_name, want


def read(meter: Meter, value: Any) -> Decimal:
    """Decimal(value), of a str, an int or a Decimal."""
    if type(value) not in (str, int, Decimal):
        fail(codes.BAD_TYPE, f"Decimal() takes a str, an int or a Decimal, not {type_name(value)}")
    number: Decimal = _apply(meter, gas.DECIMAL_TEXT if type(value) is str else gas.DECIMAL, Decimal, value)
    return number


def total(meter: Meter, items: list[Any]) -> Any:
    """The sum of Decimals and ints, added from left to right."""
    result: Any = 0
    for item in items:
        if type(result) is int and type(item) is int:
            result += item
        else:
            result = decimal_operation(meter, "+", result, item)
    return result


def text_of(meter: Meter, number: Decimal) -> str:
    """str(number)."""
    meter.charge(gas.DECIMAL_TEXT)
    return str(number)


def whole(meter: Meter, number: Decimal) -> int:
    """int(number): what follows the point is dropped."""
    meter.charge(gas.DECIMAL)
    return int(number)


def absolute(meter: Meter, number: Decimal) -> Decimal:
    """abs(number)."""
    meter.charge(gas.DECIMAL)
    return abs(number)


def _rounded(method: Callable[[Decimal, int], Decimal]) -> Callable[..., Decimal]:
    def rounded(meter: Meter, number: Decimal, places: Any = 0) -> Decimal:
        result: Decimal = _apply(meter, gas.DECIMAL, method, number, want(int, places, "the places"))
        return result

    return rounded


METHODS: Final = {
    "round": _rounded(Decimal.round),
    "floor": _rounded(Decimal.floor),
    "ceil": _rounded(Decimal.ceil),
}


def _apply(meter: Meter, price: int, function: Callable[..., Any], *args: Any) -> Any:
    meter.charge(price)
    try:
        return function(*args)
    except ArithmeticError as error:
        fail(codes.ARITHMETIC, str(error))
    except ValueError as error:
        fail(codes.BAD_VALUE, str(error))
