"""`GET /v1/events`: sealed blocks and contract events as server-sent events that resume from a cursor.

A stream owns no queue: it holds a cursor and walks the blocks behind it, out of memory while they are recent and out
of the store when they are not. A slow reader therefore costs one cursor, and a reader that was away loses nothing.

The cursor names what was seen last: "12" is block 12 with all its events (a block's own event comes last), and
"12.3.1" is event 1 of transaction 3 in block 12.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from ledger import codec
from ledger.types import HEIGHT_MAX, BlockRecord, Receipt, ValidatorSet
from network import present
from network.api import NodeUnavailable, ValidatorApi
from network.gateway.feed import FETCH_BLOCKS, SealedFeed
from network.gateway.problems import Problem
from network.gateway.settings import GatewaySettings

BLOCK, CONTRACT = "block", "contract"
KINDS = frozenset({BLOCK, CONTRACT})
RECONNECT_MS = 1000
RETRY_S = 1.0
_CURSOR = re.compile(r"^(\d{1,16})(?:\.(\d{1,6})\.(\d{1,6}))?$", re.ASCII)


class Position(NamedTuple):
    """An event of a contract inside the chain; `transaction` and `event` are -1 before the first of a block."""

    height: int
    transaction: int
    event: int


class Filter(msgspec.Struct, frozen=True):
    """What a client wants to hear. Empty contract and event mean any."""

    kinds: frozenset[str] = KINDS
    contract: str = ""
    event: str = ""


def read_filter(types: str, contract: str, event: str) -> Filter:
    """The query's filter. Naming a contract or an event without `types` means contract events only."""
    if not types:
        return Filter(frozenset({CONTRACT}) if contract or event else KINDS, contract, event)
    kinds = frozenset(types.split(","))
    if not kinds <= KINDS:
        raise Problem("bad_parameter", f"types is {types[:80]!r}; it lists {BLOCK} and {CONTRACT}, with a comma")
    return Filter(kinds, contract, event)


def start_after(last_event_id: str, first: str, sealed_height: int) -> Position:
    """Where to start: after `Last-Event-ID`, else at height `from`, else with the next block."""
    if last_event_id:
        found = _CURSOR.match(last_event_id)
        if found is None:
            raise Problem("bad_parameter", f"Last-Event-ID is {last_event_id[:40]!r}; send back the id of an event")
        if found[2] is None:
            return Position(int(found[1]) + 1, -1, -1)
        return Position(int(found[1]), int(found[2]), int(found[3]))
    if first:
        if not (first.isascii() and first.isdigit()) or len(first) > 16 or int(first) > HEIGHT_MAX:
            raise Problem("bad_parameter", f"from is {first[:40]!r}; it is a height")
        return Position(int(first), -1, -1)
    return Position(max(sealed_height, 0) + 1, -1, -1)


class EventStreams:
    """All open streams: their number has a limit."""

    def __init__(self, feed: SealedFeed, validator: ValidatorApi, settings: GatewaySettings) -> None:
        self._feed = feed
        self._validator = validator
        self._settings = settings
        self._validators: ValidatorSet | None = None  # the set that sealed the latest block that was told
        self.open = 0

    def check_room(self) -> None:
        """Refuse one stream too many."""
        if self.open >= self._settings.streams_max:
            raise Problem("too_many_requests", f"{self.open} event streams are open, which is the limit of this node")

    async def stream(self, wanted: Filter, after: Position) -> AsyncIterator[bytes]:
        """The bytes of one stream, until the client leaves or the gateway stops."""
        self.open += 1
        try:
            yield b"retry: %d\n\n" % RECONNECT_MS
            height = after.height
            while not self._feed.stopping:
                if not await self._feed.advanced(height - 1, self._settings.heartbeat_s):
                    if not self._feed.stopping:
                        yield heartbeat(height, after)
                    continue
                records = await self._records(height)
                for record in records:
                    text = render(record, wanted, after, await self._members(record))
                    if text:
                        yield text
                    height = record.height + 1
                    await asyncio.sleep(0)  # a long history is not told in one breath
                if not records:  # not kept here, or the validator is away: come back later
                    await self._feed.sleep(RETRY_S)
                    yield heartbeat(height, after)
        finally:
            self.open -= 1

    async def _members(self, record: BlockRecord) -> ValidatorSet | None:
        """Who could seal it, asked for once a set; None where the validator is away."""
        name = record.block.header.validators_hash
        if self._validators is None or self._validators.hash != name:
            try:
                self._validators = await self._validator.validator_set(name)
            except NodeUnavailable:
                return None
        return self._validators

    async def _records(self, height: int) -> list[BlockRecord]:
        try:
            return await self._feed.records(height, min(self._feed.height, height + FETCH_BLOCKS - 1))
        except NodeUnavailable:
            return []


def heartbeat(height: int, after: Position) -> bytes:
    """A comment that keeps the connection. Its id lets a filtered stream resume at `height`, not at its last event."""
    if height <= after.height and after.transaction >= 0:
        return b": waiting\n\n"  # in the middle of a block: the client holds the finer cursor
    return b": waiting\nid: %d\n\n" % (height - 1) if height else b": waiting\n\n"


def render(record: BlockRecord, wanted: Filter, after: Position, members: ValidatorSet | None = None) -> bytes:
    """One block's events as text, without those up to `after`; `members` names its proposer."""
    parts: list[bytes] = []
    if CONTRACT in wanted.kinds:
        for receipt in record.receipts:
            parts.extend(_contract_events(receipt, wanted, after))
    if BLOCK in wanted.kinds:
        parts.append(_message(BLOCK, str(record.height), present.block_summary(record, members)))
    return b"".join(parts)


def _contract_events(receipt: bytes, wanted: Filter, after: Position) -> list[bytes]:
    found = codec.decode(receipt, Receipt)
    return [
        _message(
            CONTRACT,
            f"{found.height}.{found.index}.{number}",
            {
                "height": found.height,
                "index": found.index,
                "event": number,
                "transaction_id": found.transaction_id.hex(),
                **present.event(entry),
            },
        )
        for number, entry in enumerate(found.events)
        if Position(found.height, found.index, number) > after
        and wanted.contract in ("", entry.contract)
        and wanted.event in ("", entry.name)
    ]


def _message(kind: str, cursor: str, data: dict[str, Any]) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (cursor.encode(), kind.encode(), msgspec.json.encode(data))
