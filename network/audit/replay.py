"""Executing the chain once more, over a state of the audit's own: what every header and receipt has to be.

One height after the other, from genesis or from where an earlier audit stopped. It compares nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from contracts.catalogue import NodeFault
from contracts.engine import Engine, HeightUnavailable
from contracts.language import Program
from ledger.blocks import genesis_header, next_header, next_time_ms
from ledger.errors import InvalidProof
from ledger.state import State
from ledger.types import Genesis, Header
from network.audit.rows import Rest


class Expected(NamedTuple):
    """What execution gave. `executed` are the indexes of the bodies that ran."""

    header: Header
    receipts: tuple[bytes, ...]
    executed: tuple[int, ...]


class Replay:
    """An engine that is fed stored blocks. `watch` is a trace's, as for the engine."""

    def __init__(self, state: State, genesis: Genesis, watch: Callable[[Program, str], Program] | None = None) -> None:
        self._engine = Engine(state, genesis, watch=watch)
        self._genesis = genesis
        self._genesis_root = self._engine.initialise()

    def run(self, parent: Header | None, rest: Rest) -> Expected:
        """Execute what follows `parent` (None: the genesis). Raises `InvalidProof` when the engine cannot."""
        if parent is None:
            return Expected(genesis_header(self._genesis, self._genesis_root), (), ())
        height, validators = parent.height + 1, self._genesis.validators.hash
        try:
            outcome = self._engine.execute(height, next_time_ms(parent, rest.batch), rest.bodies)
        except (NodeFault, HeightUnavailable) as error:
            raise InvalidProof(f"it cannot be executed: {error}") from None
        header = next_header(
            parent,
            rest.batch,
            executed=rest.transactions,
            transactions_root=outcome.transactions_root,
            receipts_root=outcome.receipts_root,
            state_root=outcome.state_root,
            gas_used=outcome.gas_used,
            validators_hash=validators,
            next_validators_hash=validators,
        )
        self._engine.mark_sealed(height)
        return Expected(header, outcome.receipts, outcome.executed)
