"""What the runtime charges, and the limits it keeps: everything outside the interpreter that costs a node something.

One unit of gas stands for about five nanoseconds of one core, as in the language. What the interpreter charges for
its own work, encoding and decoding included, stands there; these prices come on top, always before the work.
Each number is part of what validators agree on.
"""

from __future__ import annotations

from typing import Final

# ── gas ───────────────────────────────────────────────────────────────────────────────────────────

TRANSACTION: Final = 10_000  # reading, naming and checking one signed transaction, and its receipt
TRANSACTION_BYTE: Final = 20  # it is hashed, stored and sent to every member
CALL: Final = 1_000  # a frame: of a transaction's calls, and of calls between contracts
CALL_BYTE: Final = 2  # arguments and results cross between contracts as bytes
RESULT_BYTE: Final = 20  # a result is kept in the receipt
READ: Final = 1_000
READ_BYTE: Final = 1
WRITE: Final = 15_000  # a path of the state tree is hashed again
WRITE_BYTE: Final = 20  # of the key and of the value
SCAN: Final = 2_000
SCAN_ENTRY: Final = 500  # every entry looked at, one that was deleted in this block included
EVENT: Final = 1_000
EVENT_BYTE: Final = 20
COMPILE_BYTE: Final = 400  # of a source that is deployed: checked and compiled once by every member

VIEW_GAS_MAX: Final = 50_000_000  # of one view call, which nobody pays for

# ── limits ────────────────────────────────────────────────────────────────────────────────────────

CALL_DEPTH_MAX: Final = 8  # frames on top of each other; the call of the transaction is the first
VALUE_BYTES_MAX: Final = 128 << 10  # of one state value
EVENT_BYTES_MAX: Final = 16 << 10  # of the fields of one event
RECEIPT_BYTES_MAX: Final = 256 << 10  # of all results and events of one transaction
BLOCK_RECEIPTS_BYTES_MAX: Final = 8 << 20  # of all receipts of a block, which travels in one message
MESSAGE_CHARACTERS_MAX: Final = 2_000  # of a receipt's message
SCAN_ENTRIES_MAX: Final = 1_000  # that one scan may ask for
SCAN_BYTES_MAX: Final = 1 << 20  # of keys and values that one scan may find
SCAN_PAGE: Final = 32  # entries read from the state at a time, before they are paid for
