"""Where the pages of the state's tree lie among the versions kept: today's each by itself, yesterday's by the dozen.

A block changes hundreds of pages, and a record for what each of them was would cost the database more than the pages
do. So what a block replaced in one part of the tree, the pages that begin with the same two nibbles, is one record of
undos (`ledger.state_undo`), kept under the block's height; to read a page as it was is to undo, newest first, what the
records above a height say about it. Pages are bytes here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from ledger.errors import DataLost
from ledger.state_tree import OpenPages, TreeChange
from ledger.state_undo import Undo, undo_of_page, undo_of_slots, undone
from ledger.versions import Versions

_PAGE = b"p"  # kind of row

_PART_NIBBLES = 2

_Part = dict[str, Undo | None]
"""Undos by the nibbles of their pages; None where there was no page."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Part).decode


class StatePages:
    """The pages of one state; `open` are those of the newest height."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self.open = OpenPages(self.read)

    def read(self, nibbles: str, height: int | None = None) -> bytes:
        """A page as it was stored at a height (None: the newest). Raises `DataLost`, `HeightNotKept`."""
        page = self.stored(nibbles)
        if height is not None:
            for record in self._versions.kept_above(height, _part_of(nibbles)):
                part = _decode(record)
                if nibbles in part:
                    page = undone(page, part[nibbles])
        if page is None:
            raise DataLost(f"the state has lost a page of its tree, at {nibbles or 'the root'}")
        return page

    def stored(self, nibbles: str) -> bytes | None:
        """The newest page as it lies in the database, None where there is none."""
        return self._versions.plain_get(_PAGE + nibbles.encode())


def page_rows(change: TreeChange) -> tuple[dict[bytes, bytes | None], dict[bytes, bytes]]:
    """The rows that a change writes, and the records of what they were."""
    rows: dict[bytes, bytes | None] = {}
    parts: dict[str, _Part] = defaultdict(dict)
    for nibbles, page in change.pages.items():
        rows[_PAGE + nibbles.encode()] = page
        parts[nibbles[:_PART_NIBBLES]][nibbles] = _undo(change, nibbles, page)
    return rows, {_part_of(nibbles): _encode(part) for nibbles, part in parts.items()}


def loaded_pages(pages: Mapping[str, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The rows of pages that were made elsewhere than by a change."""
    return ((_PAGE + nibbles.encode(), page) for nibbles, page in pages.items())


def _undo(change: TreeChange, nibbles: str, page: bytes | None) -> Undo | None:
    before = change.before.get(nibbles)
    if before is None:
        return None
    return undo_of_page(before[0]) if page is None else undo_of_slots(*before)


def _part_of(nibbles: str) -> bytes:
    return _PAGE + nibbles[:_PART_NIBBLES].encode()
