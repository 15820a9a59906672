"""The gas table: what everything costs, and the rule that it is charged before the work.

One unit stands for about five nanoseconds of one core; `scripts/gas_table.py` measures how near to that each price is.
Memory is counted apart, in bytes that a transaction may make (`Meter.room`). A statement's fixed part (all
the nodes in it, both branches of a conditional expression) is added up when the contract is compiled and charged
once, as the statement begins; what depends on sizes is charged by each primitive, before it touches the data.
All of it follows from the source and the values alone, never from the host.
"""

from __future__ import annotations

from typing import Any, Final

from contracts.language.interface import Meter

# ── fixed, by construct ───────────────────────────────────────────────────────────────────────────
STATEMENT: Final = 15  # any statement, besides what is in it
LOAD: Final = 5  # a name, a constant
OPERATION: Final = 30  # an operator, a comparison, `not`, a conditional expression, a part of an f-string
CHAIN: Final = 60  # a chained comparison, besides its operators
SUBSCRIPT: Final = 30  # x[i], x[a:b], of values
SLICE: Final = 60  # x[a:b], besides
BUILD: Final = 40  # a list, dict or tuple display, besides its items
BUILTIN: Final = 45  # a function of the language that takes one plain value
METHOD_CALL: Final = 120  # a method of a value, any other function of the language
FUNCTION_CALL: Final = 120  # a method of the contract, a function of the module
ENTRY: Final = 200  # entering a contract
ITERATION: Final = 30  # one turn of a loop or comprehension
CONTEXT: Final = 25  # self.ctx.sender and its like
STATE_READ: Final = 150  # besides what the runtime charges for the access
STATE_WRITE: Final = 200  # besides what the runtime charges for the access
SCAN: Final = 300  # one iteration over a Map, besides its entries
SCAN_ENTRY: Final = 150  # each entry that it gives
EMIT: Final = 300  # one event, besides its fields and what the runtime charges
CONTRACT_CALL: Final = 1000  # besides what happens inside
SHA256: Final = 150  # besides the bytes
POW_MODULO: Final = 12  # for each bit of the exponent, and
POW_MODULO_BITS_PER_UNIT: Final = 5  # one more for so many bits of the modulus
ADDRESS: Final = 60  # an Address looked at: an argument, a key, a value that leaves
DECIMAL: Final = 100  # an operation on a Decimal, besides
DECIMAL_TEXT: Final = 200  # a Decimal read from its text, or written as one
SORTED_INTEGER: Final = 1  # a comparison while items are sorted, of two int
SORTED_TEXT: Final = 4  # of two str or bytes, besides their characters
SORTED_DECIMAL: Final = 20  # of two Decimals
SORTED_ROW: Final = 20  # of two lists or tuples, besides what is in them

# ── by size ───────────────────────────────────────────────────────────────────────────────────────
TEXT: Final = 40  # a str or bytes made or compared by an operation, besides its characters
POWER: Final = 30  # `**`, besides
STEPS_PER_UNIT: Final = 16  # items or characters picked by a slice with a step, for one unit of gas
SEARCH: Final = 80  # looking for an item in a list or tuple, a sort, a split, besides their items
ITEM_MADE: Final = 8  # an item of a display, an argument, an item appended
ITEMS_COPIED_PER_UNIT: Final = 2  # items of a list or tuple that is made or copied as a whole, for one unit of gas
ITEMS_MOVED_PER_UNIT: Final = 16  # items of a list that move to another place for one unit of gas
INTEGER_MADE: Final = 5  # besides, for each integer of a range that is made into a list
TEXT_REPLACED: Final = 1  # a piece of a text that `replace` puts a longer or shorter one in the place of; else half
TEXT_MADE: Final = 6  # besides, for each part that a text is split into, or character (not ASCII) made a list item
PAIR_MADE: Final = 8  # besides, for each pair of `enumerate`, `zip`, `.items()` that is made into a list item
ENTRY_MADE: Final = 60  # a dict entry
ENTRY_COPIED: Final = 2  # an entry of a dict that is copied as a whole
ENTRY_MERGED: Final = 2  # besides, an entry that is put among another dict's
ITEM_SCANNED: Final = 6  # an item looked at by `in`, `all`, `index` and their like
ITEM_CHECKED: Final = 12  # an item whose type is looked at, as by `join` and `sum`, or a key given to a loop
ITEM_COMPARED: Final = 60  # a pair of items compared
LARGE_INTEGER_CODED: Final = 30  # besides, for an integer outside 64 bits among items that are encoded
ITEM_CODED: Final = 40  # a value encoded, decoded or checked against a type, for each value in it
OPTION_TRIED: Final = 120  # each option of a union that a value is held against
CONTAINER_CODED: Final = 80  # besides, for each list or dict in it
CONTAINER_CHECKED: Final = 120  # besides, for each list or dict in a value that is held against a type
CONTAINERS_CHECKED_FREE: Final = 100  # of these, the first
CHARACTERS_MADE_PER_UNIT: Final = 64  # characters or bytes made for one unit of gas; of text that is not ASCII, half
CHARACTERS_SCANNED_PER_UNIT: Final = 64  # characters or bytes compared for one unit of gas; not ASCII, half
CHARACTERS_HASHED_PER_UNIT: Final = 8  # of a key of a dict, above 64 of them
CHARACTERS_COUNTED_PER_UNIT: Final = 8  # by `count`, `replace`, `split`, besides the search
CHARACTERS_CODED_PER_UNIT: Final = 4  # upper, lower, hex, fromhex, and UTF-8 that is not ASCII
CHARACTERS_SEARCHED_PER_UNIT: Final = 8  # of text that is not ASCII, besides, looked through for one character
SEARCHES_PER_WIDE: Final = 4  # units of a search for more than one character that cost one more in such text
CHARACTERS_SEARCHED_FREE: Final = 1_000  # of these, the first
CHARACTERS_ASKED_PER_UNIT: Final = 1  # isdigit and its like, strip
ITEM_BYTES: Final = 8  # of memory, for the place of an item
VALUE_BYTES: Final = 64  # of memory, for an item that is made as well, and for each list or dict besides its items
BYTES_BESIDES: Final = 16  # of memory, for each unit that an item costs besides its place
ENTRY_BYTES: Final = 100  # of memory, for a dict entry
BYTES_DECODED_PER_UNIT: Final = 32  # bytes decoded of what the state held, for one unit of gas
SHA256_BYTES_PER_UNIT: Final = 2  # bytes hashed for one unit of gas


def text_weight(text: Any) -> int:
    """Bytes that the characters of a str or bytes take: four a character as soon as one is not ASCII."""
    if type(text) is bytes or text.isascii():
        return len(text)
    return 4 * len(text)


def text_effort(text: Any) -> int:
    """Characters of a str or bytes as the host copies and compares them: twice as long as soon as one is not ASCII."""
    if type(text) is bytes or text.isascii():
        return len(text)
    return 2 * len(text)


def charge_made(meter: Meter, effort: int, weight: int) -> None:
    """Charge for text about to be made, by its `text_effort` and `text_weight`."""
    meter.charge(effort // CHARACTERS_MADE_PER_UNIT)
    meter.make(weight)


def charge_items(meter: Meter, count: int) -> None:
    """Charge for a list or tuple of `count` items about to be made or copied, or for so many more in a list."""
    meter.charge(count // ITEMS_COPIED_PER_UNIT)
    meter.make(count * ITEM_BYTES)


def charge_scanned(meter: Meter, effort: int) -> None:
    """Charge for text about to be read, by its `text_effort`."""
    meter.charge(effort // CHARACTERS_SCANNED_PER_UNIT)


def charge_moved(meter: Meter, count: int) -> None:
    """Charge for `count` items of a list that move where they are."""
    meter.charge(count // ITEMS_MOVED_PER_UNIT)


# The host looks for one character with a jump of its own, for a pattern place by place, and in a long text for a long
# pattern by a way that is linear whatever the pattern.
_LONG_TEXT: Final = 2_500
_LONG_PATTERN: Final = 100


def wide_search_cost(text: Any, pattern: Any) -> int:
    """Gas besides of a search in a text that is not ASCII: characters take more bytes, and for one of them the host
    looks for a byte of it, which others have too."""
    if type(text) is bytes or text.isascii():
        return 0
    if len(pattern) > 1:
        return search_cost(len(text), len(pattern)) // SEARCHES_PER_WIDE
    return max(len(text) - CHARACTERS_SEARCHED_FREE, 0) // CHARACTERS_SEARCHED_PER_UNIT


def search_cost(text_length: int, pattern_length: int) -> int:
    """Gas of looking for a pattern in a text, at the worst that the two can be."""
    places = text_length - pattern_length + 1
    if places <= 0:
        return 0
    if pattern_length <= 1:
        return places // CHARACTERS_SCANNED_PER_UNIT
    if text_length >= _LONG_TEXT and pattern_length >= _LONG_PATTERN:
        return (text_length + pattern_length) // 2
    return places * (4 + pattern_length // 8) // 8


def reverse_search_cost(text_length: int, pattern_length: int) -> int:
    """As `search_cost` from the right, where the host has no linear way."""
    places = text_length - pattern_length + 1
    if places <= 0:
        return 0
    if pattern_length <= 1:
        return places // CHARACTERS_SCANNED_PER_UNIT
    return places * (4 + pattern_length // 6) // 8


def sort_cost(count: int, comparison: int) -> int:
    """Gas of sorting `count` items of which comparing two costs `comparison` at most."""
    return count * count.bit_length() * comparison
