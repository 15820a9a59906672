"""Operations on values, by exact type: arithmetic within 256 bits, deep comparison, measuring, detaching.

Every function takes the meter and charges before it works. A combination of types that is not listed has no
meaning and fails with a stable code, never with the host's own error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, NoReturn

from contracts import codes
from contracts.decimal import Decimal, plain
from contracts.language import gas, limits
from contracts.language.dict_keys import given, kept, shrink
from contracts.language.interface import Failure, Meter
from ledger import codec
from ledger.errors import CodecError

INTEGER_MAX = limits.INTEGER_MAX
_ORDERED = (int, str, bytes, Decimal)
_COUNT_MAX: Final = (1 << 63) - 1
_SHORT_MIN: Final = -(1 << 63)  # of integers that have the codec's own short form
_SHORT_MAX: Final = (1 << 64) - 1
_SCALARS = (type(None), bool, int, str, bytes)
_COMPARED = (*_SCALARS, Decimal)


def fail(code: str, message: str) -> NoReturn:
    """End the call. The line is added on the way out."""
    raise Failure(code, message)


def type_name(value: Any) -> str:
    """The name of a value's type for messages; nothing of the host shows."""
    return "None" if value is None else type(value).__name__


def overflow() -> NoReturn:
    """An integer left the range."""
    fail(codes.ARITHMETIC, f"an integer outside {limits.INTEGER_BITS_MAX} bits")


def bounded(number: int) -> int:
    """`number` if it lies within 256 bits."""
    if -INTEGER_MAX <= number <= INTEGER_MAX:
        return number
    overflow()


def no_operator(symbol: str, left: Any, right: Any) -> NoReturn:
    """The types have no such operator."""
    fail(codes.BAD_TYPE, f"no operator {symbol} for {type_name(left)} and {type_name(right)}")


def want(kind: type, value: Any, what: str) -> Any:
    """`value` if it is exactly a `kind`."""
    if type(value) is not kind:
        fail(codes.BAD_TYPE, f"{what} must be {kind.__name__}, not {type_name(value)}")
    return value


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────


def room_for_text(meter: Meter, length: int, weight: int, kind: type, zeros: bool = False) -> None:
    """Charge for a str or bytes about to be made; refuse one above the limit. Zeros need no copying, and cost half."""
    limit = limits.STR_CHARACTERS_MAX if kind is str else limits.BYTES_LENGTH_MAX
    if length > limit:
        fail(codes.SIZE_LIMIT, f"a {kind.__name__} of {length}, at most {limit} are allowed")
    meter.charge(gas.TEXT)
    gas.charge_made(meter, 2 * length if weight > length else length // 2 if zeros else length, weight)


def room_for_items(meter: Meter, count: int) -> None:
    """Charge for a list or tuple of `count` items about to be made; refuse one above the limit."""
    if count > limits.ITEMS_MAX:
        fail(codes.SIZE_LIMIT, f"{count} items, at most {limits.ITEMS_MAX} are allowed")
    gas.charge_items(meter, count)


def room_for_entries(meter: Meter, copied: int, merged: int = 0) -> None:
    """Charge for a dict about to be made of `copied` entries, and of `merged` ones; refuse one above the limit."""
    count = copied + merged
    if count > limits.ITEMS_MAX:
        fail(codes.SIZE_LIMIT, f"{count} entries, at most {limits.ITEMS_MAX} are allowed")
    meter.charge(count * gas.ENTRY_COPIED + merged * gas.ENTRY_MERGED)
    meter.make(count * gas.ENTRY_BYTES)


def dict_key(meter: Meter, key: Any) -> Any:
    """`key` as a dict keeps it (`dict_keys.kept`), if it may have it: str, bytes, or an int within 61 bits.

    A bool would be merged with 0 or 1, a tuple can be made to collide: both are refused.
    """
    kind = type(key)
    if kind is str or kind is bytes:
        length = len(key)
        if length > 64:
            meter.charge(length // gas.CHARACTERS_HASHED_PER_UNIT)
        return key
    if kind is int:
        if -limits.DICT_KEY_INTEGER_MAX <= key <= limits.DICT_KEY_INTEGER_MAX:
            return kept(key)
        fail(codes.BAD_VALUE, "an int as a dict key must be within 61 bits; use str(n)")
    fail(codes.BAD_TYPE, f"a dict key must be str, bytes or int, not {type_name(key)}")


def index(key: Any) -> int:
    """`key` if it can index a sequence."""
    if type(key) is not int:
        fail(codes.BAD_TYPE, f"an index must be int, not {type_name(key)}")
    return key


def counted(number: int) -> int:
    """`number` if the host takes it as a count or a place in a sequence: with others Python fails, even of nothing."""
    if not -_COUNT_MAX <= number <= _COUNT_MAX:
        fail(codes.ARITHMETIC, "a count or a place outside 64 bits")
    return number


# ── arithmetic and concatenation ──────────────────────────────────────────────────────────────────


def add(meter: Meter, left: Any, right: Any) -> Any:
    """left + right."""
    kind = type(left)
    if kind is not type(right):
        return decimal_operation(meter, "+", left, right)
    if kind is int:
        return bounded(left + right)
    if kind is str or kind is bytes:
        weight = gas.text_weight(left) + gas.text_weight(right)
        if kind is str and not (left.isascii() and right.isascii()):
            weight = 4 * (len(left) + len(right))
        room_for_text(meter, len(left) + len(right), weight, kind)
        return left + right
    if kind is list or kind is tuple:
        room_for_items(meter, len(left) + len(right))
        return left + right
    return decimal_operation(meter, "+", left, right)


def add_in_place(meter: Meter, left: Any, right: Any) -> Any:
    """left += right: a list grows where it is, so every name for it sees that."""
    if type(left) is list and type(right) is list:
        grow(meter, left, len(right))
        left += right
        return left
    return add(meter, left, right)


def grow(meter: Meter, items: list[Any], count: int) -> None:
    """Charge for `count` more items in a list and refuse more than the limit."""
    if len(items) + count > limits.ITEMS_MAX:
        fail(codes.SIZE_LIMIT, f"{len(items) + count} items, at most {limits.ITEMS_MAX} are allowed")
    gas.charge_items(meter, count)


def subtract(meter: Meter, left: Any, right: Any) -> Any:
    """left - right."""
    if type(left) is int and type(right) is int:
        return bounded(left - right)
    return decimal_operation(meter, "-", left, right)


def multiply(meter: Meter, left: Any, right: Any) -> Any:
    """left * right: integers, or a sequence and how often."""
    if type(left) is int and type(right) is int:
        return bounded(left * right)
    if type(left) is Decimal or type(right) is Decimal:
        return decimal_operation(meter, "*", left, right)
    if type(left) is int:
        left, right = right, left
    kind = type(left)
    if type(right) is not int or kind not in (str, bytes, list, tuple):
        no_operator("*", left, right)
    meter.charge(gas.TEXT)
    times = max(right, 0)
    if kind is str or kind is bytes:
        room_for_text(meter, len(left) * times, gas.text_weight(left) * times, kind)
    else:
        room_for_items(meter, len(left) * times)
    counted(right)
    return left * times if left else left[:]


def multiply_in_place(meter: Meter, left: Any, right: Any) -> Any:
    """left *= right: a list is repeated where it is."""
    if type(left) is list and type(right) is int:
        left[:] = multiply(meter, left, right)
        return left
    return multiply(meter, left, right)


def divide(meter: Meter, left: Any, right: Any) -> Any:
    """left / right, where one of them is a Decimal: of two integers it would be a float."""
    if type(left) is int and type(right) is int:
        fail(codes.BAD_TYPE, "no operator / for int and int: use //, or make one of them a Decimal")
    return decimal_operation(meter, "/", left, right)


def floor_divide(_meter: Meter, left: Any, right: Any) -> Any:
    """left // right."""
    if type(left) is int and type(right) is int:
        if right == 0:
            fail(codes.ARITHMETIC, "division by zero")
        return left // right
    no_operator("//", left, right)


def modulo(_meter: Meter, left: Any, right: Any) -> Any:
    """left % right, of integers only: % never formats."""
    if type(left) is int and type(right) is int:
        if right == 0:
            fail(codes.ARITHMETIC, "division by zero")
        return left % right
    no_operator("%", left, right)


def power(meter: Meter, left: Any, right: Any) -> Any:
    """left ** right."""
    meter.charge(gas.POWER)
    if type(left) is not int or type(right) is not int:
        no_operator("**", left, right)
    if right < 0:
        fail(codes.ARITHMETIC, "a negative exponent has no integer result")
    if -1 <= left <= 1:
        return left if right % 2 else left * left if right else 1
    if (left.bit_length() - 1) * right > limits.INTEGER_BITS_MAX:
        overflow()
    return bounded(left**right)


def shift_left(_meter: Meter, left: Any, right: Any) -> Any:
    """left << right."""
    if type(left) is not int or type(right) is not int:
        no_operator("<<", left, right)
    if right < 0:
        fail(codes.ARITHMETIC, "a negative shift")
    if left == 0:
        return 0
    if right > limits.INTEGER_BITS_MAX:
        overflow()
    return bounded(left << right)


def shift_right(_meter: Meter, left: Any, right: Any) -> Any:
    """left >> right."""
    if type(left) is not int or type(right) is not int:
        no_operator(">>", left, right)
    if right < 0:
        fail(codes.ARITHMETIC, "a negative shift")
    return left >> min(right, limits.INTEGER_BITS_MAX)


def bit_and(_meter: Meter, left: Any, right: Any) -> Any:
    """left & right, of two integers or two bools."""
    if (type(left) is int or type(left) is bool) and type(right) is type(left):
        return bounded(left & right)  # of the two smallest it is one below them
    no_operator("&", left, right)


def bit_or(meter: Meter, left: Any, right: Any) -> Any:
    """left | right, of two integers or two bools; of two dicts their union."""
    kind = type(left)
    if kind is type(right):
        if kind is int or kind is bool:
            return left | right
        if kind is dict:
            room_for_entries(meter, len(left), len(right))
            return left | right
    no_operator("|", left, right)


def bit_or_in_place(meter: Meter, left: Any, right: Any) -> Any:
    """left |= right: a dict takes the other's entries where it is."""
    if type(left) is dict and type(right) is dict:
        room_for_entries(meter, len(left), len(right))
        left.update(right)
        return left
    return bit_or(meter, left, right)


def bit_xor(_meter: Meter, left: Any, right: Any) -> Any:
    """left ^ right, of two integers or two bools."""
    if (type(left) is int or type(left) is bool) and type(right) is type(left):
        return bounded(left ^ right)
    no_operator("^", left, right)


def negative(meter: Meter, value: Any) -> Any:
    """-value."""
    if type(value) is Decimal:
        meter.charge(gas.DECIMAL)
        return -value
    return -want(int, value, "the operand of -")


def positive(_meter: Meter, value: Any) -> Any:
    """+value."""
    if type(value) is Decimal:
        return value
    return want(int, value, "the operand of +")


def invert(_meter: Meter, value: Any) -> Any:
    """~value."""
    return bounded(~want(int, value, "the operand of ~"))


# ── decimals ──────────────────────────────────────────────────────────────────────────────────────

_DECIMAL_OPERATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "<": operator.lt,
}
_DECIMAL_OPERANDS: Final = ((Decimal, Decimal), (Decimal, int), (int, Decimal))


def decimal_operation(meter: Meter, symbol: str, left: Any, right: Any) -> Any:
    """left (symbol) right where one is a Decimal, and the other a Decimal or an int, which counts exactly."""
    if (type(left), type(right)) not in _DECIMAL_OPERANDS:
        no_operator(symbol, left, right)
    meter.charge(gas.DECIMAL)
    try:
        return _DECIMAL_OPERATIONS[symbol](left, right)
    except ArithmeticError as error:
        fail(codes.ARITHMETIC, str(error))


# ── comparison ────────────────────────────────────────────────────────────────────────────────────


def equal(meter: Meter, left: Any, right: Any, depth: int = 0) -> bool:
    """left == right, to any depth of value; each pair of items is paid for."""
    kind = type(left)
    if kind is Decimal or type(right) is Decimal:
        meter.charge(gas.DECIMAL)
    if kind is not type(right):
        return bool(left == right) if kind in _COMPARED and type(right) in _COMPARED else False
    if kind is str or kind is bytes:
        if len(left) != len(right):
            return False
        meter.charge(gas.TEXT + gas.text_effort(left) // gas.CHARACTERS_SCANNED_PER_UNIT)
        return bool(left == right)
    if kind is list or kind is tuple:
        return len(left) == len(right) and _equal_items(meter, left, right, depth)
    if kind is dict:
        return len(left) == len(right) and _equal_entries(meter, left, right, depth)
    return bool(left == right)


def _deeper(depth: int) -> int:
    if depth >= limits.VALUE_DEPTH_MAX:
        fail(codes.SIZE_LIMIT, f"a value nested deeper than {limits.VALUE_DEPTH_MAX}")
    return depth + 1


def _equal_items(meter: Meter, left: Any, right: Any, depth: int) -> bool:
    depth = _deeper(depth)
    for one, other in zip(left, right, strict=True):
        meter.charge(gas.ITEM_COMPARED)
        if not equal(meter, one, other, depth):
            return False
    return True


def _equal_entries(meter: Meter, left: dict[Any, Any], right: dict[Any, Any], depth: int) -> bool:
    depth = _deeper(depth)
    for key, one in left.items():
        meter.charge(gas.ITEM_COMPARED)
        if key not in right or not equal(meter, one, right[key], depth):
            return False
    return True


def less(meter: Meter, left: Any, right: Any, depth: int = 0) -> bool:
    """left < right of two int, str, bytes, or of two lists or tuples of such, in dictionary order."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return bool(left < right)
        if kind is str or kind is bytes:
            effort = min(gas.text_effort(left), gas.text_effort(right))
            meter.charge(gas.TEXT + effort // gas.CHARACTERS_SCANNED_PER_UNIT)
            return bool(left < right)
        if kind is list or kind is tuple:
            depth = _deeper(depth)
            for one, other in zip(left, right, strict=False):
                meter.charge(gas.ITEM_COMPARED)
                if not equal(meter, one, other, depth):
                    return less(meter, one, other, depth)
            return len(left) < len(right)
    return bool(decimal_operation(meter, "<", left, right))


def less_or_equal(meter: Meter, left: Any, right: Any) -> bool:
    """left <= right."""
    return not less(meter, right, left)


def contains(meter: Meter, item: Any, container: Any) -> bool:
    """item in container."""
    kind = type(container)
    if kind is dict:
        return dict_key(meter, item) in container
    if kind is list or kind is tuple:
        return position(meter, item, container) >= 0
    if kind is str and type(item) is str:
        meter.charge(gas.TEXT + gas.search_cost(len(container), len(item)) + gas.wide_search_cost(container, item))
        return item in container
    if kind is bytes and type(item) is bytes:
        meter.charge(gas.TEXT + gas.search_cost(len(container), len(item)))
        return item in container
    fail(codes.BAD_TYPE, f"no operator in for {type_name(item)} and {type_name(container)}")


def position(meter: Meter, item: Any, items: Any) -> int:
    """The first index of `item` in a list or tuple, -1 where there is none."""
    meter.charge(len(items) * gas.ITEM_SCANNED)
    if type(item) in _SCALARS and Decimal not in set(map(type, items)):  # whose comparison is not the host's own
        effort = gas.text_effort(item) if type(item) is str or type(item) is bytes else 0
        meter.charge(gas.SEARCH + len(items) * (effort // gas.CHARACTERS_SCANNED_PER_UNIT))
        try:
            return int(items.index(item))
        except ValueError:
            return -1
    for place, other in enumerate(items):
        meter.charge(gas.ITEM_COMPARED)
        if equal(meter, item, other, 1):
            return place
    return -1


def occurrences(meter: Meter, item: Any, items: Any) -> int:
    """How often `item` occurs in a list or tuple."""
    meter.charge(len(items) * gas.ITEM_COMPARED)
    return sum([1 for other in items if equal(meter, item, other, 1)])


def sortable(meter: Meter, items: list[Any]) -> int:
    """Check that all items can be ordered among each other; the gas of comparing the two heaviest.

    Only what compares without surprises: int, str, bytes, or tuples or lists of these with one type a place.
    """
    meter.charge(len(items) * gas.ITEM_CHECKED)
    if not items:
        return 0
    kind = type(items[0])
    for item in items:
        if type(item) is not kind:
            fail(codes.BAD_TYPE, f"cannot order {kind.__name__} and {type_name(item)}")
    if kind is int:
        return gas.SORTED_INTEGER
    if kind is Decimal:
        return gas.SORTED_DECIMAL
    if kind is str or kind is bytes:
        return max([_order_cost(item) for item in items])
    if kind is tuple or kind is list:
        return _sortable_rows(meter, items)
    fail(codes.BAD_TYPE, f"cannot order values of type {type_name(items[0])}")


def _sortable_rows(meter: Meter, rows: list[Any]) -> int:
    kinds: dict[int, type] = {}
    heaviest = 0
    for row in rows:
        meter.charge(gas.ITEM_CHECKED + len(row) * gas.ITEM_COMPARED)
        cost = gas.SORTED_ROW
        for place, item in enumerate(row):
            kind = kinds.setdefault(place, type(item))
            if type(item) is not kind or kind not in _ORDERED:
                fail(codes.BAD_TYPE, f"cannot order {kind.__name__} and {type_name(item)} inside items")
            cost += _order_cost(item)
        heaviest = max(heaviest, cost)
    return heaviest


def _order_cost(item: Any) -> int:
    if type(item) is int:
        return gas.SORTED_INTEGER
    if type(item) is Decimal:
        return gas.SORTED_DECIMAL
    return gas.SORTED_TEXT + gas.text_effort(item) // gas.CHARACTERS_SCANNED_PER_UNIT


def sort(meter: Meter, items: list[Any], reverse: Any) -> list[Any]:
    """`items` sorted where they are."""
    want(bool, reverse, "reverse")
    meter.charge(gas.SEARCH)
    comparison = sortable(meter, items)
    meter.charge(gas.sort_cost(len(items), comparison))
    items.sort(reverse=reverse)
    return items


# ── subscripts ────────────────────────────────────────────────────────────────────────────────────


def get_item(meter: Meter, container: Any, key: Any) -> Any:
    """container[key]."""
    kind = type(container)
    if kind is dict:
        try:
            return container[dict_key(meter, key)]
        except KeyError:
            fail(codes.KEY_ERROR, f"no such key{shown(key)}")
    if kind is list or kind is tuple or kind is str or kind is bytes:
        if type(key) is not int:
            index(key)
        try:
            return container[key]
        except IndexError:
            fail(codes.INDEX_ERROR, f"index {key} of a {kind.__name__} of {len(container)}")
    fail(codes.BAD_TYPE, f"{type_name(container)} has no items")


def shown(key: Any) -> str:
    """A key as it appears in a message: short and ASCII, or not at all."""
    if type(key) is int:
        return f" {key}"
    if type(key) is str and len(key) <= 80 and key.isascii() and key.isprintable():
        return f" {key!r}"
    return ""


def set_item(meter: Meter, container: Any, key: Any, value: Any) -> None:
    """container[key] = value."""
    if type(container) is dict:
        key = dict_key(meter, key)
        if key not in container:
            if len(container) >= limits.ITEMS_MAX:
                fail(codes.SIZE_LIMIT, f"more than {limits.ITEMS_MAX} entries")
            meter.charge(gas.ENTRY_MADE)
        container[key] = value
    elif type(container) is list:
        try:
            container[index(key)] = value
        except IndexError:
            fail(codes.INDEX_ERROR, f"index {key} of a list of {len(container)}")
    else:
        fail(codes.BAD_TYPE, f"items of {type_name(container)} cannot be assigned")


def note_deletion(meter: Meter, entries: dict[Any, Any]) -> None:
    """Let the loops that run over a dict know: the same key put back would not be at its place. And give room back."""
    shrink(entries)
    if meter.loops and id(entries) in meter.loops:
        meter.loops[id(entries)][1] += 1


def delete_item(meter: Meter, container: Any, key: Any) -> None:
    """del container[key]."""
    if type(container) is dict:
        try:
            del container[dict_key(meter, key)]
        except KeyError:
            fail(codes.KEY_ERROR, f"no such key{shown(key)}")
        note_deletion(meter, container)
    elif type(container) is list:
        gas.charge_moved(meter, len(container))
        try:
            del container[index(key)]
        except IndexError:
            fail(codes.INDEX_ERROR, f"index {key} of a list of {len(container)}")
    else:
        fail(codes.BAD_TYPE, f"items of {type_name(container)} cannot be deleted")


def get_slice(meter: Meter, container: Any, start: Any, stop: Any, step: Any) -> Any:
    """container[start:stop:step]."""
    kind = type(container)
    meter.charge(gas.SLICE)
    if kind not in (list, tuple, str, bytes):
        fail(codes.BAD_TYPE, f"{type_name(container)} cannot be sliced")
    for bound in (step, start, stop):  # in the order in which Python looks at them
        if bound is not None and type(bound) is not int:
            fail(codes.BAD_TYPE, f"a slice bound must be int or None, not {type_name(bound)}")
        if step == 0:
            fail(codes.BAD_VALUE, "a slice step of zero")
    cut = slice(start, stop, step)
    count = len(range(*cut.indices(len(container))))
    if step not in (None, 1):
        meter.charge(count // gas.STEPS_PER_UNIT)
    if kind is str or kind is bytes:
        weight = count if kind is bytes or container.isascii() else 4 * count
        room_for_text(meter, count, weight, kind)
    else:
        room_for_items(meter, count)
    return container[cut]


# ── across the boundary ───────────────────────────────────────────────────────────────────────────


def measure(meter: Meter, value: Any) -> bool:
    """Walk a value that is about to be encoded: refuse what has no encoding or is too large, pay for the rest.

    Says whether there is a Decimal in it, which `plain` must make a text first.
    """
    kind = type(value)
    if kind is str or kind is bytes:
        weight = len(value) if kind is bytes or value.isascii() else 4 * len(value)
        if weight > limits.ENCODED_BYTES_MAX:
            fail(codes.SIZE_LIMIT, f"a value larger than {limits.ENCODED_BYTES_MAX} bytes encoded")
        meter.charge(gas.ITEM_CODED + weight // gas.CHARACTERS_MADE_PER_UNIT)
        meter.make(weight)
    elif kind is int or kind is bool or value is None:
        meter.charge(gas.ITEM_CODED)
    else:
        room = [limits.ENCODED_BYTES_MAX, 0]
        _measure(meter, value, 0, room)
        return room[1] > 0
    return False


def _measure(meter: Meter, value: Any, depth: int, room: list[int]) -> None:
    """`room` is the bytes that are left, and how many Decimals were met."""
    kind = type(value)
    meter.charge(gas.ITEM_CODED)
    if kind is str or kind is bytes:
        weight = gas.text_weight(value)
        _take(room, weight)
        gas.charge_made(meter, weight, weight)
    elif kind is list or kind is tuple:
        depth = _deeper(depth)
        _take(room, len(value))
        meter.make(gas.VALUE_BYTES + len(value) * gas.VALUE_BYTES)
        meter.charge(gas.CONTAINER_CODED)
        for item in value:
            _measure(meter, item, depth, room)
    elif kind is dict:
        depth = _deeper(depth)
        _take(room, len(value))
        meter.make(gas.VALUE_BYTES + len(value) * (gas.ENTRY_BYTES + gas.VALUE_BYTES))
        meter.charge(gas.CONTAINER_CODED)
        for key, item in value.items():
            if type(key) is not str:
                fail(codes.BAD_TYPE, f"a dict that leaves the call has str keys, not {type_name(given(key))}")
            _measure(meter, key, depth, room)
            _measure(meter, item, depth, room)
    elif kind is int:
        if not _SHORT_MIN <= value <= _SHORT_MAX:
            meter.charge(gas.LARGE_INTEGER_CODED)
    elif kind is Decimal:
        meter.charge(gas.DECIMAL_TEXT)
        _take(room, limits.DECIMAL_CHARACTERS_MAX)
        room[1] += 1
    elif kind not in _SCALARS:
        fail(codes.BAD_TYPE, f"{type_name(value)} is no value")


def _take(room: list[int], weight: int) -> None:
    room[0] -= weight
    if room[0] < 0:
        fail(codes.SIZE_LIMIT, f"a value larger than {limits.ENCODED_BYTES_MAX} bytes encoded")


def encode(meter: Meter, value: Any) -> bytes:
    """The canonical bytes of a value that leaves the call, measured and paid for first."""
    if type(value) is int:
        meter.charge(gas.ITEM_CODED)
        return _encoded(bounded(value))
    holds_decimals = measure(meter, value)
    data = _encoded(plain(value) if holds_decimals else value)
    if len(data) > limits.ENCODED_BYTES_MAX:
        fail(codes.SIZE_LIMIT, f"a value of {len(data)} bytes encoded, at most {limits.ENCODED_BYTES_MAX} are allowed")
    return data


def _encoded(value: Any) -> bytes:
    """What has none, whatever let it come so far, ends a call and no node: in plain Python a lone surrogate does."""
    try:
        return codec.encode(value)
    except CodecError:
        fail(codes.BAD_VALUE, "this value has no encoding")


def decode(meter: Meter, data: bytes) -> Any:
    """The value of canonical bytes. Its bytes are paid for first, the values inside a container when it is there:
    how many they are is known only then, and what is stored is small."""
    meter.left -= gas.ITEM_CODED + len(data) // gas.BYTES_DECODED_PER_UNIT
    if meter.left < 0:
        meter.run_out()
    try:
        value = codec.decode_own(data)
    except CodecError as error:
        # What the state holds was encoded here; anything else is damage, and a fault of the node.
        raise RuntimeError("the state holds bytes that are no value") from error
    meter.make(len(data))
    if type(value) is list or type(value) is dict:
        settle(meter, value)
    return value


def settle(meter: Meter, value: Any) -> None:
    """Pay for the values inside a value that another made: from the state, from another contract."""
    if type(value) is dict:
        meter.make(gas.VALUE_BYTES + len(value) * (gas.ENTRY_BYTES + gas.VALUE_BYTES))
        meter.charge(gas.CONTAINER_CODED + len(value) * (gas.ENTRY_MADE + gas.ITEM_CODED))
        for item in value.values():
            settle(meter, item)
    elif type(value) is list:
        meter.make(gas.VALUE_BYTES + len(value) * gas.VALUE_BYTES)
        meter.charge(gas.CONTAINER_CODED + len(value) * (gas.ITEM_MADE + gas.ITEM_CODED))
        for item in value:
            settle(meter, item)


BinaryOperation = Callable[[Meter, Any, Any], Any]
