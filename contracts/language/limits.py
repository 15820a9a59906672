"""Every limit of the language, by name. All are part of the language version: validators must agree on them.

The limits on source text are checked before Python's parser sees it, so that no text can make the parser overflow
or dawdle. The limits on values hold at every moment of a call, whatever the gas.
"""

from __future__ import annotations

from typing import Final

# ── source ────────────────────────────────────────────────────────────────────────────────────────
SOURCE_BYTES_MAX: Final = 64 << 10  # of a contract, as UTF-8
TOKENS_MAX: Final = 16_384  # words, numbers, strings and signs of a source
LINE_CHARACTERS_MAX: Final = 40_000  # longer lines hide things in a review; generated tables still fit
BRACKET_DEPTH_MAX: Final = 24  # brackets inside each other
INDENT_DEPTH_MAX: Final = 12  # blocks inside each other
OPERATORS_IN_EXPRESSION_MAX: Final = 100  # operators, dots and calls on the way to one innermost operand
ELIF_CHAIN_MAX: Final = 64  # `elif` in a row
INTEGER_DIGITS_MAX: Final = 80  # of a literal; 2**256 has 78
NAME_CHARACTERS_MAX: Final = 63  # of any name
PROBLEMS_MAX: Final = 100  # problems told at once

# ── shape of a program ────────────────────────────────────────────────────────────────────────────
EXPRESSION_DEPTH_MAX: Final = 40  # expressions inside each other
FUNCTIONS_MAX: Final = 256  # methods and functions of a file
PARAMETERS_MAX: Final = 32  # of one function; fields of one event
STATE_VARIABLES_MAX: Final = 64  # of a contract
EVENTS_MAX: Final = 64  # of a file
INTERFACES_MAX: Final = 32  # of a file
RECORDS_MAX: Final = 64  # of a file
RECORD_CHARACTERS_MAX: Final = 1000  # of a record written out, with the records in it
CONSTANTS_BYTES_MAX: Final = 1 << 20  # that all constants of a file may make; of a short file, less
SOURCES_OF_LOOP_MAX: Final = 18  # views of one loop and what they run over: a zip of eight, each numbered, has 17
UNION_OPTIONS_MAX: Final = 8  # different types of one union
LOCALS_MAX: Final = 128  # in one function, comprehension variables included
FRAMES_PER_CALL_MAX: Final = 400  # host frames that one call of one contract can need, found statically
HOST_RECURSION_LIMIT: Final = 6_000  # 8 nested contract calls of that many frames, and room for the runtime

# ── values ────────────────────────────────────────────────────────────────────────────────────────
INTEGER_BITS_MAX: Final = 256  # of the magnitude of an int
INTEGER_MAX: Final = (1 << INTEGER_BITS_MAX) - 1  # the largest int; its negative is the smallest
DECIMAL_CHARACTERS_MAX: Final = 80  # of the text of a Decimal: 256 bits, 18 digits after the point
STR_CHARACTERS_MAX: Final = 256 << 10  # of a str
BYTES_LENGTH_MAX: Final = 512 << 10  # of a bytes
ITEMS_MAX: Final = 64 << 10  # of a list, tuple or dict
VALUE_DEPTH_MAX: Final = 16  # containers inside containers, wherever a value is compared, encoded or checked
ENCODED_BYTES_MAX: Final = 128 << 10  # one stored value, one field of an event, one argument list
DICT_KEY_INTEGER_MAX: Final = (1 << 61) - 2  # larger integers can be made to collide in the host's hash tables
KEY_CHARACTERS_MAX: Final = 1024  # of one str or bytes in a state key
MADE_BYTES_MAX: Final = 64 << 20  # text, lists and dicts that one transaction may make, kept or not
MESSAGE_CHARACTERS_MAX: Final = 256  # of a `require` or `Error` message; the rest is cut off
SCAN_LIMIT_MAX: Final = 1000  # entries that one iteration over a Map may ask for, items of one page of a List
