"""The executor process: contracts and the state, behind one Unix socket, in a sandbox (`network.sandbox`).

It runs what the validator orders and answers views and state reads of gateways. Its state is derived: losing it
costs a replay, never data. `python -m network.executor_process` is started by `quorate start`, not by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from contracts.engine import Engine, HeightUnavailable
from contracts.language.interface import Failure
from contracts.watched_meter import TookTooLong
from ledger.errors import DataLost, GenesisError, LedgerError, OtherFormat, TooMuchLookedAt
from ledger.genesis import load_genesis
from ledger.state import State
from network import sandbox
from network.api import (
    STATE_DAMAGED,
    AnyExecutorRequest,
    ContractInfo,
    Execute,
    ExecutionOutcome,
    ExecutorStatus,
    Forget,
    FreezeState,
    GetContract,
    GetContracts,
    GetExecutorStatus,
    GetState,
    KnownSenders,
    MarkSealed,
    MethodInterface,
    ReadFrozen,
    ScrubbedState,
    ScrubState,
    StateAnswer,
    ThawState,
    View,
    ViewOutcome,
)
from network.ipc import Connection, RemoteError, Server
from network.lifeline import StopSignal, run, set_up_logging, settle_memory
from network.sandbox import Protection
from network.snapshots.frozen import FrozenStates
from network.supervisor import EXIT_UNFIT

log = logging.getLogger("quorate.executor")

VIEW_S_MAX = 2.0  # of one view: blocks wait while it runs
SCRUB_LOOKS = 48  # rows and pages of the state that are read again at once: a block waits some milliseconds for it

_decoder = msgspec.msgpack.Decoder(AnyExecutorRequest)
_encode = msgspec.msgpack.Encoder().encode


class ExecutorService:
    """One engine, one request at a time: the socket's answers come in the order of the work."""

    def __init__(
        self,
        engine: Engine,
        protections: Sequence[Protection],
        forget: asyncio.Event,
        frozen: FrozenStates,
        state: State | None = None,
    ) -> None:
        self._engine = engine
        self._state = state
        self._frozen = frozen
        self._in_force = tuple(each.name for each in protections if each.in_force)
        self._missing = tuple((each.name, each.missing) for each in protections if not each.in_force)
        self._forget = forget

    async def handle(self, _connection: Connection, payload: bytes) -> bytes:
        """The encoded answer to an encoded request. What cannot be read becomes an error with a stable code."""
        try:
            request = _decoder.decode(payload)
            return _encode(await self._contracts() if isinstance(request, GetContracts) else self._answer(request))
        except HeightUnavailable as error:
            raise RemoteError("height_unavailable", str(error)) from None
        except TooMuchLookedAt as error:
            raise RemoteError("height_too_costly", str(error)) from None
        except TookTooLong:
            what = f"the view was ended after {VIEW_S_MAX:g} seconds: ask for less at a time, or another node"
            raise RemoteError("view_too_long", what) from None
        except Failure as failure:
            raise RemoteError(failure.code, failure.message) from None
        except Exception as error:
            damage = damage_in(error)
            if damage is None:
                raise
            log.error("DAMAGED: %s; the state is deleted, and made again from the blocks", damage)
            self._forget.set()
            raise RemoteError(STATE_DAMAGED, str(damage)) from None

    async def _contracts(self) -> list[ContractInfo]:
        """All contracts. Whatever was not called since the start is compiled, and between two of them others go on."""
        infos = []
        for name in self._engine.contract_names():
            found = self._engine.contract(name, with_source=False)
            infos += [] if found is None else [_contract_info(found)]
            await asyncio.sleep(0)
        return infos

    def _answer(self, request: AnyExecutorRequest) -> Any:
        engine = self._engine
        match request:
            case Execute(height, time_ms, transactions):
                outcome = engine.execute(height, time_ms, transactions)
                self._frozen.on_executed(height)
                return ExecutionOutcome(*(getattr(outcome, name) for name in ExecutionOutcome.__struct_fields__))
            case MarkSealed(height):
                engine.mark_sealed(height)
                return None
            case Forget():
                self._forget.set()
                return None
            case GetExecutorStatus():
                contracts = len(engine.contract_names())
                return ExecutorStatus(engine.height, engine.root, contracts, self._in_force, self._missing)
            case View(contract, method, args, sender, height):
                until = time.monotonic() + VIEW_S_MAX
                view = engine.view(contract, method, args, sender, height, lambda: time.monotonic() > until)
                return ViewOutcome(*(getattr(view, name) for name in ViewOutcome.__struct_fields__))
            case GetContract(name):
                found = engine.contract(name)
                return None if found is None else _contract_info(found)
            case GetState(contract, path, height):
                value = engine.state_value(contract, path, height)
                return StateAnswer(*(getattr(value, name) for name in StateAnswer.__struct_fields__))
            case KnownSenders(public_keys):
                return engine.known_senders(public_keys)
            case FreezeState(height):
                return self._frozen.freeze(height)
            case ReadFrozen(name, height, start):
                return self._frozen.read(name, height, start)
            case ThawState(name, height):
                return self._frozen.thaw(name, height)
            case ScrubState(after):
                return self._scrub(after)

    def _scrub(self, after: bytes) -> ScrubbedState:
        state = self._state
        if state is None:
            raise RemoteError("no_state", "this executor was given no state to read again")
        begun = time.thread_time()
        done = state.scrub(after, SCRUB_LOOKS)
        took_s, size = time.thread_time() - begun, max(done.bytes_read, state.size_bytes)
        return ScrubbedState(done.after, done.bytes_read, took_s, size, state.height, state.root, done.fault)


def damage_in(error: BaseException | None) -> DataLost | None:
    """The damage to the state that is behind an error, whoever wrapped it; None where it is something else."""
    while error is not None:
        if isinstance(error, DataLost):
            return error
        error = error.__cause__
    return None


def _contract_info(found: Any) -> ContractInfo:
    fields = {name: getattr(found, name) for name in ContractInfo.__struct_fields__}
    fields["methods"] = tuple(
        MethodInterface(*(getattr(method, name) for name in MethodInterface.__struct_fields__))
        for method in found.methods
    )
    return ContractInfo(**fields)


def open_state(path: Path) -> State:
    """The state; one that is damaged, or that another version wrote, is deleted, since the blocks make it again."""
    try:
        return State.open(path, time.perf_counter_ns)
    except (DataLost, OtherFormat) as error:
        log.error("%s; it is deleted and rebuilt from the blocks", error)
        empty(path)
        return State.open(path, time.perf_counter_ns)


def empty(directory: Path) -> None:
    """Delete all that is in a directory, and leave the directory: removing that is a right over the one above."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


async def serve(
    socket_path: Path,
    state_path: Path,
    genesis_path: Path,
    snapshot_every: int,
    protections: tuple[Protection, ...] = (),
) -> int:
    """Open the state and answer until told to stop, or until the parent is gone. `protections`: those of `drop`.

    The state's directory is there, and the order matters: the socket is bound before `confine` takes the right to it,
    and the state is opened after, since LevelDB starts threads, which are bound as the one that starts them.
    """
    genesis = load_genesis(genesis_path)
    server = Server(socket_path, _not_yet)
    server.bind()
    protections += sandbox.confine([state_path])
    state = open_state(state_path)
    engine = Engine(state, genesis)
    engine.initialise()
    forget = asyncio.Event()
    frozen = FrozenStates(state, snapshot_every)
    stop = asyncio.create_task(StopSignal(follow_parent=True).wait())
    await server.start()
    protections += sandbox.seal()
    server.handler = ExecutorService(engine, protections, forget, frozen, state).handle
    log.info("serving at height %d, %s", engine.height, _told(protections))
    settle_memory()
    forgotten = asyncio.create_task(forget.wait())
    await asyncio.wait((stop, forgotten), return_when=asyncio.FIRST_COMPLETED)
    await server.close()
    frozen.close()
    state.close()
    if forget.is_set():
        log.warning("deleting the state, as told: it is rebuilt from the blocks")
        empty(state_path)
    for task in (stop, forgotten):
        task.cancel()
    return 0


async def _not_yet(_connection: Connection, _payload: bytes) -> bytes:
    raise RemoteError("starting", "the executor is not ready yet")


def _told(protections: Sequence[Protection]) -> str:
    """The log's line about the sandbox."""
    in_force = ", ".join(each.name for each in protections if each.in_force)
    missing = "; ".join(f"{each.name} ({each.missing})" for each in protections if not each.in_force)
    return f"protections: {in_force or 'none'}" + (f"; not in force: {missing}" if missing else "")


def main() -> int:
    """Entry point of `python -m network.executor_process`."""
    parser = argparse.ArgumentParser(prog="quorate-executor", description="Started by `quorate start`.")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--genesis", type=Path, required=True)
    parser.add_argument("--snapshot-every", type=int, default=0)
    parser.add_argument("--log-level", default="info")
    arguments = parser.parse_args()
    protections = sandbox.drop()
    set_up_logging("executor", arguments.log_level)
    arguments.state.mkdir(parents=True, exist_ok=True)
    try:
        return run(serve(arguments.socket, arguments.state, arguments.genesis, arguments.snapshot_every, protections))
    except GenesisError as error:
        log.error("%s", error)
        return EXIT_UNFIT
    except LedgerError as error:
        log.error("%s", error)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
