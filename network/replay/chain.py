"""Where the blocks come from that are executed again: a chain as the replay needs it, and a node's chain over HTTP.

A chain gives headers, transactions and receipts by height. It executes nothing and compares nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ledger.genesis import from_json
from ledger.types import Genesis, Header
from network.audit.rows import Rest

if TYPE_CHECKING:
    from ledger.state import State
    from network.client import Client


class Unknown(Exception):
    """The transaction, or a block that its replay needs, is not there. The text says what to do."""


class StoredBlock(NamedTuple):
    """A block as it was stored: what is to come out again."""

    header: Header
    rest: Rest


class Chain(Protocol):
    """Blocks by height, from genesis on."""

    @property
    def genesis(self) -> Genesis:
        """What every member agreed on first."""
        ...

    def locate(self, transaction_id: bytes) -> tuple[int, int]:
        """(height, index in the block) of an executed transaction. Raises `Unknown`."""
        ...

    def block(self, height: int) -> StoredBlock:
        """The block at a height. Raises `Unknown`, or a `LedgerError` where it is damaged."""
        ...

    def kept_state(self) -> State | None:
        """A state that may hold the version below the wanted block, to save the way from genesis; None: there is none.

        The replay may change it: it is a copy, which this chain closes.
        """
        ...


class NodeChain:
    """The chain of a running node, through its gateway. Everything is fetched block by block."""

    def __init__(self, client: Client, genesis: Genesis | None) -> None:
        """`genesis` None: the node's own is believed."""
        self._client = client
        self._genesis = genesis

    @property
    def genesis(self) -> Genesis:
        """The one given, else the node's."""
        if self._genesis is None:
            self._genesis = from_json(json.dumps(self._client.get("/v1/genesis")["genesis"]))
        return self._genesis

    def locate(self, transaction_id: bytes) -> tuple[int, int]:
        """(height, index in the block) of a sealed transaction. Raises `Unknown`."""
        found = self._client.transaction(transaction_id)
        if found["state"] != "sealed":
            raise Unknown(f"transaction {transaction_id.hex()} is not executed yet: ask again when it is sealed")
        return int(found["height"]), int(found["index"])

    def block(self, height: int) -> StoredBlock:
        """The sealed block at a height, checked against its seal where a genesis was given."""
        record = self._client.block_record(height)
        rest = Rest(record.block.batch, record.block.transactions, record.bodies, record.receipts)
        return StoredBlock(record.block.header, rest)

    def kept_state(self) -> None:
        """None: a node gives no state away."""
        return
