"""How a dict of the language lies in the host's memory: where its keys are, and what is left of deleted entries.

The host finds a key by its hash. That of a str or bytes is another in each process, but that of an int is the int
itself: whoever chooses the numbers can lay them so that one look-up passes all the others. So an int is kept beside a
secret of the process, and comes out as itself. And the host keeps the places of deleted entries, which every walk
over the dict passes: a dict that has become much smaller is laid anew. What a contract sees is the same either way.
"""

from __future__ import annotations

from typing import Any, Final

_SECRET: Final = hash("where the integers of this process lie")
_BYTES_AN_ENTRY: Final = 256  # twice what the host takes where nothing was deleted
_ENTRIES_BESIDES: Final = 16


def kept(number: int) -> tuple[int, int]:
    """An int as it is kept: no other key is a tuple."""
    return (_SECRET, number)


def given(key: Any) -> Any:
    """A key that is kept, as the contract knows it."""
    return key[1] if type(key) is tuple else key


def shrink(entries: dict[Any, Any]) -> None:
    """Lay a dict anew, in its order, once it takes far more memory than its entries need."""
    if entries.__sizeof__() > _BYTES_AN_ENTRY * (len(entries) + _ENTRIES_BESIDES):
        fresh = dict(entries)
        entries.clear()
        entries.update(fresh)
