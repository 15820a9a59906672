"""The node's own copy of the state: derived, and yet what its reads are served from. Held against the audit's.

Every value is compared, at the height that the copy has reached. Its pages, from which proofs are made, are not:
a proof that does not hold convinces nobody.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from ledger.errors import DataLost, OtherFormat
from ledger.state import State
from ledger.types import Header
from network.audit.findings import Finding, Wrong, first_difference
from network.audit.shadow import make_shadow

_PAGE = 1000


def check_state(database: Path, shadow: Path, own: State, header: Header | None) -> None:
    """`own` is the audit's state, `header` the last one that it executed. Raises `Wrong`.

    A copy that is missing, that another version wrote, or that is at another height than is kept here, says nothing.
    """
    if not database.is_dir() or header is None:
        return
    make_shadow(database, shadow)
    try:
        state = State.open(shadow)
    except OtherFormat:
        return
    except DataLost as error:
        because = str(error).replace(str(shadow), str(database))
        raise Wrong(Finding(f"{database.name}/", "the state", because)) from None
    try:
        if own.oldest_height <= state.height <= own.height:
            _compare(database.name, state, own)
    except DataLost as error:
        raise Wrong(Finding(f"{database.name}/", "the state", str(error), state.height)) from None
    finally:
        state.close()


def _compare(name: str, state: State, own: State) -> None:
    height, right = state.height, own.root_at(state.height)
    start = b""
    while True:
        mine, yours = state.scan(b"", start, _PAGE), own.scan(b"", start, _PAGE, height)
        for found, expected in zip_longest(mine, yours):
            if found != expected:
                raise Wrong(_difference(name, height, found, expected))
        if len(yours) < _PAGE:
            break
        start = yours[-1][0] + b"\x00"
    if state.root != right:
        because = f"it is {state.root.hex()}, the chain has {right.hex()}"
        raise Wrong(Finding(f"{name}/", f"the state root after height {height}", because, height))


def _difference(
    name: str, height: int, found: tuple[bytes, bytes] | None, expected: tuple[bytes, bytes] | None
) -> Finding:
    if found is None or (expected is not None and expected[0] < found[0]):
        assert expected is not None
        return Finding(f"{name}/ key {expected[0].hex()}", "a value of the state", "it is missing", height)
    record = f"{name}/ key {found[0].hex()}"
    if expected is None or found[0] < expected[0]:
        return Finding(record, "a value of the state", "the chain has no such key", height)
    because = "execution gives another value"
    return Finding(record, "a value of the state", because, height, first_difference(found[1], expected[1]), exact=True)
