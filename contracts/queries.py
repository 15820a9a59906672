"""Reading what was executed: views, contracts, state values with proofs, always at one height.

Nothing here writes. Which heights may be read is the engine's matter; the caller has resolved it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts import codes, costs
from contracts.arguments import decode_arguments, pay_for_parts
from contracts.catalogue import CONTRACTS, SYSTEM, Catalogue, Loaded, NodeFault, Read, read_record
from contracts.invocation import Invocation, Setting
from contracts.keys import BadKey, scan_prefix, split_key, state_key
from contracts.language.interface import Failure, Meter
from contracts.leftovers import LEFTOVERS
from contracts.receipts import fit_message
from contracts.storage import Reader
from contracts.watched_meter import Late, TookTooLong, WatchedMeter
from ledger import codec
from ledger.errors import TooMuchLookedAt

_PAGE = 256


@dataclass(frozen=True, slots=True)
class ViewOutcome:
    """The answer to a view call at a height. `code` is "ok" or a stable error code; `value` is encoded."""

    code: str
    message: str
    line: int
    value: bytes
    gas_used: int
    height: int


@dataclass(frozen=True, slots=True)
class MethodInterface:
    """A method of a contract: `kind` is "init", "call" or "view"; parameters are (name, type as written)."""

    name: str
    kind: str
    parameters: tuple[tuple[str, str], ...]
    returns: str
    doc: str


@dataclass(frozen=True, slots=True)
class ContractInfo:
    """A deployed contract. `source` is empty in listings and for the system contract, which has no `owner` either."""

    name: str
    code_hash: bytes
    owner: bytes
    height: int
    version: int
    source: str
    doc: str
    methods: tuple[MethodInterface, ...]
    state: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class StateValue:
    """A state value at a height with its proof. `present` is False for a proven absence (`value` is empty then)."""

    key: bytes
    present: bool
    value: bytes
    proof: bytes
    height: int
    state_root: bytes


def run_view(
    catalogue: Catalogue,
    reader: Reader,
    setting: Setting,
    sender: str,
    contract: str,
    method: str,
    args: bytes,
    late: Late | None = None,
) -> ViewOutcome:
    """Run a view within its own gas limit, and until it is `late`: then raises `TookTooLong`.

    Raises `NodeFault` when the host fails, and lets `TooMuchLookedAt` pass.
    """
    LEFTOVERS.collect()
    meter = Meter(costs.VIEW_GAS_MAX) if late is None else WatchedMeter(costs.VIEW_GAS_MAX, late)
    invocation = Invocation(catalogue=catalogue, reader=reader, below=(), setting=setting, meter=meter, read_only=True)
    try:
        pay_for_parts(meter, args)
        value = invocation.call(sender, contract, method, decode_arguments(args))
        failure = None
    except Failure as raised:
        failure = raised
    except (NodeFault, TooMuchLookedAt, TookTooLong):
        raise
    except Exception as error:
        raise NodeFault(f"the host failed in a view of {contract!r}: {type(error).__name__}") from error
    finally:
        LEFTOVERS.note(meter)
    if meter.exhausted:
        failure = Failure(codes.OUT_OF_GAS, f"a view may use {costs.VIEW_GAS_MAX} gas", failure.line if failure else 0)
    if failure is not None:
        return ViewOutcome(failure.code, fit_message(failure.message), failure.line, b"", meter.used, setting.height)
    return ViewOutcome(codes.OK, "", 0, value, meter.used, setting.height)


def contract_names(reader: Reader) -> list[str]:
    """The names of all contracts in order, the system contract first. Nothing is compiled."""
    names = [SYSTEM]
    prefix = scan_prefix(SYSTEM, CONTRACTS)
    start = prefix
    while entries := reader.scan(prefix, start, _PAGE):
        names += [str(split_key(key)[2][0]) for key, _ in entries]
        start = entries[-1][0] + b"\x00"
    return names


def describe(catalogue: Catalogue, read: Read, name: str, with_source: bool = True) -> ContractInfo | None:
    """One contract, None where there is none."""
    try:
        loaded = catalogue.find(name, read)
    except BadKey:
        return None
    if loaded is None:
        return None
    record = read_record(name, read) or {"owner": "", "height": 0, "version": 1}
    return _info(name, loaded, record, with_source)


def _info(name: str, loaded: Loaded, record: dict[str, Any], with_source: bool) -> ContractInfo:
    program = loaded.program
    return ContractInfo(
        name=name,
        code_hash=program.code_hash,
        owner=bytes.fromhex(record["owner"]),
        height=record["height"],
        version=record["version"],
        source=loaded.source if with_source else "",
        doc=program.doc,
        methods=tuple(
            MethodInterface(method.name, method.kind, method.parameters, method.returns, method.doc)
            for method in program.methods
        ),
        state=program.state,
        events=program.events,
    )


def state_path_key(contract: str, path: bytes) -> bytes:
    """The state key that an encoded path names: a list of the variable's name and its key's parts.

    Raises `Failure` (bad_arguments and the key codes) for a path that names no place.
    """
    parts = decode_arguments(path)
    if not parts or type(parts[0]) is not str:
        raise Failure(codes.BAD_ARGUMENTS, "a path is a list: the state variable's name, then the parts of its key")
    try:
        return state_key(contract, parts[0], tuple(parts[1:]))
    except BadKey as error:
        raise Failure(error.code, str(error)) from None


def encoded_path(variable: str, *key: Any) -> bytes:
    """The path of a state value, as `state_path_key` reads it."""
    return codec.encode([variable, *key])
