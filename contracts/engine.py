"""The engine: ordered batches in, receipts and roots out; and reads of what it executed.

It owns the order of things: one commit a block, the ids that must not run again, which heights may be read, which
versions may be forgotten. How a batch runs is `contracts.block`'s, what a contract may do `contracts.invocation`'s
matter. It reads no clock and knows no socket, and it checks no signature: what it is handed has been ordered.

    side table (not under the root, written in the same commit):
    g -> chain id           r -> state root of height 0, from height 1 on
    t height -> its time    s -> the height sealed last when the block was committed
    i valid_until id -> the height at which this transaction ran
    b -> the height of the snapshot that this state was begun with, where it was
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from contracts import costs
from contracts.block import SENDING_ROLES, BlockOutcome, BlockRun, ExecutedId
from contracts.catalogue import Catalogue
from contracts.invocation import Setting
from contracts.language.interface import Program
from contracts.language.limits import HOST_RECURSION_LIMIT
from contracts.queries import (
    ContractInfo,
    StateValue,
    ViewOutcome,
    contract_names,
    describe,
    run_view,
    state_path_key,
)
from contracts.storage import CachedReader, HeightReader, Reader, StateStore
from contracts.system import account_key, genesis_writes, roles_in, system_program
from contracts.watched_meter import Late
from ledger.errors import GenesisError
from ledger.snapshot_tree import root_of
from ledger.types import Genesis

VERSIONS_KEPT: Final = 128  # heights below the last sealed one that can be read and executed again
PRUNE_EVERY: Final = 16  # heights
FORGET_MAX: Final = 200_000  # ids in one block's side writes, those forgotten among them; above what a block brings

_FORGET_PAGE: Final = 1_000

_GENESIS, _GENESIS_ROOT, _SEALED, _TIME, _ID, _BASE = b"g", b"r", b"s", b"t", b"i", b"b"


class HeightUnavailable(ValueError):
    """A height that is not sealed yet, or whose version is not kept any more."""


class Engine:
    """Contracts over one authenticated state. One caller at a time.

    `compile_source` is the language's, unless a test brings its own programs. `watch` gives what is to run in place
    of each program (it is handed its source, too): a trace's matter, and no node has one.
    """

    def __init__(
        self,
        state: StateStore,
        genesis: Genesis,
        compile_source: Callable[[str], Program] | None = None,
        watch: Callable[[Program, str], Program] | None = None,
    ) -> None:
        self._state = state
        self._genesis = genesis
        self._chain_id = genesis.chain_id.hex()
        compiled = compile_source or _language
        if watch is None:
            self._catalogue = Catalogue(system_program(), compiled)
        else:
            self._catalogue = Catalogue(system_program(watch), lambda source: watch(compiled(source), source))
        self._newest = CachedReader(state)
        self._sealed_height = self._noted_height = self._base = 0
        self._forget_from = _ID
        # What a contract may nest is limited by the language, far below this; the host must never be the limit.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), HOST_RECURSION_LIMIT))

    # ── state of the engine ───────────────────────────────────────────────────────────────────────

    @property
    def height(self) -> int:
        """The height executed last, -1 before `initialise`."""
        return self._state.height

    @property
    def root(self) -> bytes:
        """The state root at `height`."""
        return self._state.root

    @property
    def sealed_height(self) -> int:
        """The height that reads serve."""
        return self._sealed_height

    def initialise(self) -> bytes:
        """Write the genesis accounts at height 0, unless they are there, and give the state root of height 0.

        Raises `GenesisError` when the state was made with another genesis.
        """
        chain_id = self._state.side_get(_GENESIS)
        if chain_id is None:
            return self._write_genesis()
        if chain_id != self._genesis.chain_id:
            raise GenesisError(
                f"this state belongs to chain {chain_id.hex()}, the genesis is that of {self._genesis.chain_id.hex()}"
            )
        sealed = self._state.side_get(_SEALED)
        self._sealed_height = self._noted_height = 0 if sealed is None else int.from_bytes(sealed, "big")
        self._base = int.from_bytes(self._state.side_get(_BASE) or b"", "big")
        root = self._state.side_get(_GENESIS_ROOT)
        return self._state.root if root is None else root

    def _write_genesis(self) -> bytes:
        side = {_GENESIS: self._genesis.chain_id, _TIME + _number(0): _number(self._genesis.time_ms)}
        return self._state.commit(0, genesis_writes(self._genesis), side)

    # ── executing ─────────────────────────────────────────────────────────────────────────────────

    def execute(self, height: int, time_ms: int, transactions: Sequence[bytes]) -> BlockOutcome:
        """Execute one ordered batch of signed transactions (canonical, checked by the validator).

        `height` is the next one, and the batch is committed; or one executed before, whose outcome is then found
        again from the state below it, as a validator needs it that lost power before it had stored the block.
        Raises `NodeFault` when the host fails, and `HeightUnavailable` for any other height.
        """
        if height == self._state.height + 1:
            return self._execute_next(height, time_ms, transactions)
        oldest = max(1, self._oldest_height + 1)
        if not oldest <= height <= self._state.height:
            raise HeightUnavailable(
                f"block {height} cannot be executed: {self._state.height + 1} is next, "
                f"and those from {oldest} on can be executed again"
            )
        return self._execute_again(height, time_ms, transactions)

    def _execute_next(self, height: int, time_ms: int, transactions: Sequence[bytes]) -> BlockOutcome:
        run = self._block_run(height, time_ms, self._newest, self._was_executed)
        run.run(transactions)
        writes = run.writes.values
        root = self._state.commit(height, writes, self._side_writes(height, time_ms, run.ids.values()))
        self._noted_height = self._sealed_height
        self._newest.on_commit(writes)
        return run.outcome(root)

    def _execute_again(self, height: int, time_ms: int, transactions: Sequence[bytes]) -> BlockOutcome:
        def was_executed_below(identity: ExecutedId) -> bool:
            found = self._state.side_get(_id_key(identity))
            return found is not None and int.from_bytes(found, "big") < height

        run = self._block_run(height, time_ms, HeightReader(self._state, height - 1), was_executed_below)
        run.run(transactions)
        return run.outcome(self._state.root_at(height))

    def _block_run(
        self, height: int, time_ms: int, reader: Reader, is_executed: Callable[[ExecutedId], bool]
    ) -> BlockRun:
        return BlockRun(
            height=height,
            time_ms=time_ms,
            gas_max=self._genesis.parameters.block_gas_max,
            reader=reader,
            catalogue=self._catalogue,
            is_executed=is_executed,
            chain_id=self._chain_id,
        )

    def _was_executed(self, identity: ExecutedId) -> bool:
        return self._state.side_get(_id_key(identity)) is not None

    def _side_writes(self, height: int, time_ms: int, ids: Iterable[ExecutedId]) -> dict[bytes, bytes | None]:
        side: dict[bytes, bytes | None] = {_id_key(identity): _number(height) for identity in ids}
        self._forget_ids(height, side)
        side[_TIME + _number(height)] = _number(time_ms)
        if (needed := self._lowest_needed(height)) > 0:
            side[_TIME + _number(needed - 1)] = None
        side[_SEALED] = _number(self._sealed_height)
        if height == 1:
            side[_GENESIS_ROOT] = self._state.root
        return side

    def _lowest_needed(self, height: int) -> int:
        """The lowest height that can still be read or executed again, however far the seals lag behind `height`."""
        return max(0, height - VERSIONS_KEPT - self._genesis.parameters.window)

    def _forget_ids(self, height: int, side: dict[bytes, bytes | None]) -> None:
        """Forget ids that no batch may name any more; those of heights that can be executed again are kept."""
        end = _ID + _number(self._lowest_needed(height))
        while len(side) < FORGET_MAX and self._forget_from < end:
            entries = self._state.side_scan(_ID, self._forget_from, _FORGET_PAGE)
            expired = [key for key, _ in entries if key < end]
            side.update(dict.fromkeys(expired))
            # Next time begin where this time ended: the database walks over what was deleted before.
            self._forget_from = expired[-1] + b"\x00" if len(expired) == _FORGET_PAGE else end

    # ── sealed heights ────────────────────────────────────────────────────────────────────────────

    def mark_sealed(self, height: int) -> None:
        """Reads may serve heights up to this one, and versions far below it are let go. It never goes back."""
        sealed = min(height, self._state.height)
        if sealed <= self._sealed_height:
            return
        due = sealed // PRUNE_EVERY > self._sealed_height // PRUNE_EVERY
        self._sealed_height = sealed
        if due:
            # A restart knows the seal that was noted with the last block, and reads from there on: older than this
            # one by a window, or by all the blocks that were just executed in a row to make a state again.
            lowest = min(self._oldest_height - self._genesis.parameters.window, self._noted_height - VERSIONS_KEPT)
            self._state.prune(max(0, lowest))

    @property
    def _oldest_height(self) -> int:
        """The lowest height whose state can be read."""
        return max(self._base, self._sealed_height - VERSIONS_KEPT)

    def _readable(self, height: int | None) -> int:
        if height is None:
            return self._sealed_height
        if not self._oldest_height <= height <= self._sealed_height:
            raise HeightUnavailable(
                f"height {height} cannot be read here: {self._oldest_height} to {self._sealed_height} can"
            )
        return height

    def _reader(self, height: int) -> Reader:
        return self._newest if height == self._state.height else HeightReader(self._state, height)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def view(
        self,
        contract: str,
        method: str,
        args: bytes,
        sender: bytes = b"",
        height: int | None = None,
        late: Late | None = None,
    ) -> ViewOutcome:
        """Run a view at a sealed height (None: the last) on behalf of any key. `args` encodes the argument list.

        Its gas is what it would be at the newest height, and far below that a read takes the node longer: raises
        `TooMuchLookedAt` where that is too long. A block that is executed again knows no such limit. And what
        takes so long that `late` says so, wherever it reads, ends in `TookTooLong`.
        """
        at = self._readable(height)
        stamp = self._state.side_get(_TIME + _number(at))
        setting = Setting(at, 0 if stamp is None else int.from_bytes(stamp, "big"), "", self._chain_id)
        with self._state.looking_at_most(costs.VIEW_LOOKS_MAX):
            return run_view(self._catalogue, self._reader(at), setting, sender.hex(), contract, method, args, late)

    def contract_names(self) -> list[str]:
        """The names of all contracts at the last sealed height, the system contract first. Nothing is compiled."""
        return contract_names(self._reader(self._sealed_height))

    def contracts(self) -> list[ContractInfo]:
        """All contracts at the last sealed height, without source. Those that nobody has called yet are compiled."""
        found = [self.contract(name, with_source=False) for name in self.contract_names()]
        return [info for info in found if info is not None]

    def contract(self, name: str, with_source: bool = True) -> ContractInfo | None:
        """One contract at the last sealed height, with its interface."""
        return describe(self._catalogue, self._reader(self._sealed_height).read, name, with_source)

    def state_value(self, contract: str, path: bytes, height: int | None = None) -> StateValue:
        """A value of a contract's state, or its absence, with proof, at a sealed height (None: the last).

        `path` encodes a list: the variable's name, then the parts of its key. Raises `Failure` for what is none.
        """
        at = self._readable(height)
        key = state_path_key(contract, path)
        value = self._state.get(key, at)
        proof = self._state.prove(key, at)
        return StateValue(key, value is not None, value or b"", proof, at, self._state.root_at(at))

    def known_senders(self, public_keys: Sequence[bytes]) -> list[bool]:
        """Which of these keys may send transactions, at the last sealed height."""
        read = self._reader(self._sealed_height).read
        return [bool(roles_in(read(account_key(key.hex()))) & SENDING_ROLES) for key in public_keys]


def genesis_root(genesis: Genesis) -> bytes:
    """The state root of height 0."""
    writes = genesis_writes(genesis)
    return root_of((key, value) for key, value in writes.items() if value is not None)


def adopted_side(genesis: Genesis, height: int, time_ms: int) -> dict[bytes, bytes]:
    """The side table of a state that came as a snapshot of this height, but for the ids (`adopted_ids`)."""
    side = {_GENESIS: genesis.chain_id, _GENESIS_ROOT: genesis_root(genesis), _TIME + _number(height): _number(time_ms)}
    return side | {_SEALED: _number(height), _BASE: _number(height)}


def adopted_ids(height: int, executed: Iterable[tuple[int, ExecutedId]]) -> Iterator[tuple[bytes, bytes]]:
    """The entries of that side table about ids that may come again.

    `executed` are (height, id) of what ran in the last blocks up to `height`, a validity window of them.
    """
    return ((_id_key(each), _number(at)) for at, each in executed if each.valid_until > height)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _id_key(identity: ExecutedId) -> bytes:
    return _ID + _number(identity.valid_until) + identity.transaction_id


def _language(source: str) -> Program:
    from contracts.language import compile_source

    return compile_source(source)
