"""What an audit finds: which record, which part of it, and which byte. Knows bytes; not what any record means.

A hash says that something is wrong and not where. Where the right bytes are known (they follow from others) the first
difference is the place; where they are not, every change of a single byte is tried, and one that mends is the place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

MEND_BYTES_MAX = 2048  # 255 changes a byte, each hashed: some seconds
MEND_BITS_OF_BYTES_MAX = 16 << 10  # 8 changes a byte
SHOWN_BYTES_MAX = 80  # of what was found and expected


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold. `offset` counts from the start of the record (a row's value, or a file).

    `exact` says that the byte there is the first wrong one; else the wrong one lies in the part that begins there. No
    offset: the record is missing, or what is wrong is not in its bytes.
    """

    record: str
    part: str
    because: str
    height: int | None = None
    offset: int | None = None
    exact: bool = False

    def __str__(self) -> str:
        where = "" if self.height is None else f"height {self.height}: "
        if self.offset is None:
            byte = ""
        elif self.exact:
            byte = f", first wrong byte at offset {self.offset}"
        else:
            byte = f", in what begins at offset {self.offset}"
        return f"{where}{self.part} ({self.record}{byte}): {self.because}"


class Wrong(Exception):
    """Carries a finding to whoever reports it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)  # as it is: so it goes from one process to another
        self.finding = finding


def first_difference(found: bytes, expected: bytes) -> int | None:
    """The first offset at which two byte strings differ, None where they are equal."""
    if found == expected:
        return None
    pairs = enumerate(zip_longest(found, expected))
    return next(index for index, (mine, yours) in pairs if mine != yours)


def mending_byte(data: bytes, holds: Callable[[bytes], bool]) -> tuple[int, bytes] | None:
    """The byte whose change alone makes `data` hold, and `data` so changed; None where there is none.

    Single bits are tried first, as disks flip those; then every other value. What is too long for that is not tried.
    """
    if len(data) > MEND_BITS_OF_BYTES_MAX:
        return None
    found = _mended(data, holds, [1 << bit for bit in range(8)])
    if found is None and len(data) <= MEND_BYTES_MAX:
        found = _mended(data, holds, [change for change in range(1, 256) if change & (change - 1)])
    return found


def _mended(data: bytes, holds: Callable[[bytes], bool], changes: list[int]) -> tuple[int, bytes] | None:
    changed = bytearray(data)
    for offset, found in enumerate(data):
        for change in changes:
            changed[offset] = found ^ change
            if holds(bytes(changed)):
                return offset, bytes(changed)
        changed[offset] = found
    return None


def shown(value: object) -> str:
    """A value in a sentence."""
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= SHOWN_BYTES_MAX else f"{text[:SHOWN_BYTES_MAX]}..."
