"""What the runtime charges, and the limits it keeps: everything outside the interpreter that costs a node something.

One unit of gas stands for about five nanoseconds of one core, as in the language, and `scripts/gas_table.py` measures
how near to that each price is. What the interpreter charges for its own work, encoding and decoding included, stands
there; these prices come on top, always before the work.
Each number is part of what validators agree on.
"""

from __future__ import annotations

from typing import Final

# ── gas ───────────────────────────────────────────────────────────────────────────────────────────

TRANSACTION: Final = 10_000  # reading, naming and checking one signed transaction, and its receipt
TRANSACTION_BYTE: Final = 3  # it is hashed, stored and sent to every member
ARGUMENT_PART: Final = 80  # of a list, dict or integer beyond 64 bits in the arguments of a transaction's call
ARGUMENT_PARTS_FREE: Final = 100  # of these, the first; they are counted by the bytes that may begin one
CALL: Final = 1_000  # a frame: of a transaction's calls, and of calls between contracts
CALL_BYTES_PER_UNIT: Final = 32  # arguments and results cross between contracts as bytes
RESULT_BYTE: Final = 1  # a result is kept in the receipt
READ: Final = 1_000  # a value of the state, or that there is none
READ_BYTES_PER_UNIT: Final = 32  # of a value that is read
KEY_BYTES_FREE: Final = 256  # of a state key; each byte more is a unit of gas, where it is read, written or found
WRITE: Final = 15_000  # a path of the state tree is hashed again
WRITE_BYTE: Final = 3  # of the key and of the value
WRITE_AGAIN: Final = 400  # of a key that this transaction has written already: only what it grows by is paid anew
REWRITTEN_BYTES_PER_UNIT: Final = 256  # of a value that is written again
SCAN: Final = 4_000  # a scan, besides its entries
SCAN_ENTRY: Final = 500  # every entry that is found
SCAN_DELETED: Final = 250  # one that was deleted in this block
EVENT: Final = 1_000  # an event, besides its bytes
EVENT_BYTE: Final = 1  # of its fields, which the receipt keeps
CODE_BYTE: Final = 2  # of the source of each contract that a transaction calls, once
COMPILE_BYTE: Final = 1_000  # of a source that is deployed: checked and compiled once by every member
REPLACED_BYTE: Final = 10  # of the source that an upgrade replaces: its words are counted, to give their room back
KEY_CHECK: Final = 350_000  # whether a new account's key is a point of prime order: a millisecond and a half

VIEW_GAS_MAX: Final = 50_000_000  # of one view call, which nobody pays for

VIEW_LOOKS_MAX: Final = 1_000_000  # changed rows that a view below the newest height may look at: about a second

# ── limits ────────────────────────────────────────────────────────────────────────────────────────

CALL_DEPTH_MAX: Final = 8  # frames on top of each other; the call of the transaction is the first
CODE_BYTES_MAX: Final = 256 << 10  # of the sources of all contracts that one transaction calls
VALUE_BYTES_MAX: Final = 128 << 10  # of one state value
EVENT_BYTES_MAX: Final = 16 << 10  # of the fields of one event
RECEIPT_BYTES_MAX: Final = 256 << 10  # of all results and events of one transaction
BLOCK_RECEIPTS_BYTES_MAX: Final = 8 << 20  # of all receipts of a block, which travels in one message
PROGRAMS_BYTES_MAX: Final = 512 << 20  # of memory, of all contracts of a network compiled: every member keeps them
MESSAGE_CHARACTERS_MAX: Final = 2_000  # of a receipt's message
SCAN_ENTRIES_MAX: Final = 1_000  # that one scan may ask for
SCAN_BYTES_MAX: Final = 1 << 20  # of keys and values that one scan may find
SCAN_PAGE: Final = 32  # entries read from the state at a time, before they are paid for
