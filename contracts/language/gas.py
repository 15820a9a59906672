"""The gas table: what everything costs, and the rule that it is charged before the work.

One unit stands for about five nanoseconds of one core, or two bytes of memory made. A statement's fixed part (all
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
OPERATION: Final = 20  # an operator, a comparison, `not`, a conditional expression
SUBSCRIPT: Final = 25  # x[i], x[a:b], of values
BUILD: Final = 40  # a list, dict or tuple display, besides its items
METHOD_CALL: Final = 45  # a method of a value, a built-in function
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
POW_MODULO: Final = 60  # for each bit of the exponent
ADDRESS: Final = 60  # an Address looked at: an argument, a key, a value that leaves
DECIMAL: Final = 80  # an operation on a Decimal, besides
DECIMAL_TEXT: Final = 200  # a Decimal read from its text, or written as one
DECIMAL_SORTED_WEIGHT: Final = 200  # bytes that a Decimal counts for where values are sorted

# ── by size ───────────────────────────────────────────────────────────────────────────────────────
ITEM_MADE: Final = 8  # a list item, a tuple item: eight bytes and the copying
INTEGER_MADE: Final = 14  # besides, for each integer of a range that is made into a list
TEXT_MADE: Final = 35  # besides, for each character of a text that is not ASCII made into a list item
PAIR_MADE: Final = 35  # besides, for each pair of `enumerate`, `zip`, `.items()` that is made into a list item
ENTRY_MADE: Final = 60  # a dict entry
ITEM_SCANNED: Final = 6  # an item looked at
ITEM_CODED: Final = 30  # a value encoded, decoded, checked against a type or compared, for each value in it
CHARACTERS_MADE_PER_UNIT: Final = 2  # characters (of ASCII text) or bytes made for one unit of gas
CHARACTERS_SCANNED_PER_UNIT: Final = 8  # characters or bytes looked at for one unit of gas
CHARACTERS_ASKED_PER_UNIT: Final = 1  # isdigit and its like, strip
BYTE_DECODED: Final = 2  # of what the state held
SHA256_BYTES_PER_UNIT: Final = 2  # bytes hashed for one unit of gas


def text_weight(text: Any) -> int:
    """Bytes that the characters of a str or bytes take: four a character as soon as one is not ASCII."""
    if type(text) is bytes or text.isascii():
        return len(text)
    return 4 * len(text)


def charge_made(meter: Meter, weight: int) -> None:
    """Charge for `weight` bytes of text about to be made."""
    meter.charge(weight // CHARACTERS_MADE_PER_UNIT)


def charge_scanned(meter: Meter, weight: int) -> None:
    """Charge for `weight` bytes of text about to be read."""
    meter.charge(weight // CHARACTERS_SCANNED_PER_UNIT)


def search_cost(text_length: int, pattern_length: int) -> int:
    """Gas of looking for a pattern in a text: the host's search is quadratic in the worst case, up to a bound."""
    return (text_length * (1 + min(pattern_length, 128) // 4) + pattern_length) // CHARACTERS_SCANNED_PER_UNIT


def reverse_search_cost(text_length: int, pattern_length: int) -> int:
    """As `search_cost` from the right, where the host's search has no such bound."""
    return (text_length * (1 + pattern_length // 4) + pattern_length) // CHARACTERS_SCANNED_PER_UNIT


def sort_cost(count: int, item_weight: int) -> int:
    """Gas of sorting `count` items whose comparison reads at most `item_weight` bytes."""
    return count * count.bit_length() * (4 + item_weight // CHARACTERS_SCANNED_PER_UNIT)
