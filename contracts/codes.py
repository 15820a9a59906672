"""The codes of outcomes: what a receipt or a view answers in one stable word.

Clients branch on these words, and they are part of what every validator must agree on: a code is added,
never renamed, never reused. The message beside a code is for people. This module knows nothing but the words.
"""

from __future__ import annotations

from typing import Final

OK: Final = "ok"  # it succeeded, and its writes and events hold

# ── refused before a line of the contract ran ─────────────────────────────────────────────────────
UNKNOWN_SENDER: Final = "unknown_sender"  # the sender is no account of this network
NOT_PERMITTED: Final = "not_permitted"  # the sender's roles do not allow this, or a view tried to write
UNKNOWN_CONTRACT: Final = "unknown_contract"  # no contract has this name
UNKNOWN_METHOD: Final = "unknown_method"  # the contract has no public method of this name, or not of this kind
BAD_ARGUMENTS: Final = "bad_arguments"  # too few, too many, or of another type than declared

# ── the contract said no ──────────────────────────────────────────────────────────────────────────
FAILED: Final = "failed"  # `require` or `raise Error`; the message is the contract's own text

# ── the contract went wrong ───────────────────────────────────────────────────────────────────────
ARITHMETIC: Final = "arithmetic"  # division by zero, or an integer outside 256 bits
BAD_VALUE: Final = "bad_value"  # a value that the operation does not take
BAD_TYPE: Final = "bad_type"  # a value of another type than declared, or an operator the type lacks
KEY_ERROR: Final = "key_error"  # no such key
INDEX_ERROR: Final = "index_error"  # no such position
UNASSIGNED: Final = "unassigned"  # a name was read before a value was given to it

# ── a limit was met ───────────────────────────────────────────────────────────────────────────────
OUT_OF_GAS: Final = "out_of_gas"  # the gas limit was used up
SIZE_LIMIT: Final = "size_limit"  # a value, key, event or message larger than the named limit
CALL_DEPTH: Final = "call_depth"  # contracts called each other deeper than the named limit
REENTRANCY: Final = "reentrancy"  # a contract was called again while one of its calls was still running

# ── the system contract said no ───────────────────────────────────────────────────────────────────
SOURCE_REFUSED: Final = "source_refused"  # the checker refused the source; the message lists lines and reasons
BAD_NAME: Final = "bad_name"  # a name outside the pattern, or a reserved one
NAME_TAKEN: Final = "name_taken"  # a contract of this name is deployed already
LAYOUT_CHANGED: Final = "layout_changed"  # an upgrade would misread the state that the old code wrote

ALL: Final = frozenset(
    {
        OK,
        UNKNOWN_SENDER,
        NOT_PERMITTED,
        UNKNOWN_CONTRACT,
        UNKNOWN_METHOD,
        BAD_ARGUMENTS,
        FAILED,
        ARITHMETIC,
        BAD_VALUE,
        BAD_TYPE,
        KEY_ERROR,
        INDEX_ERROR,
        UNASSIGNED,
        OUT_OF_GAS,
        SIZE_LIMIT,
        CALL_DEPTH,
        REENTRANCY,
        SOURCE_REFUSED,
        BAD_NAME,
        NAME_TAKEN,
        LAYOUT_CHANGED,
    }
)
