"""A look into a replica's memory, for tools that explore or attack it: one digest of all of it, and its size.

It walks whatever is there, by attribute, so that a new field of the protocol is seen without being told of. It knows
no rule and changes nothing. What a replica reads but never writes (committee, parameters, functions) is left out.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import msgspec

from consensus.committee import Committee
from consensus.core import BUFFERED_WINDOWS, FUTURE_VIEWS_MAX, Core
from consensus.messages import CommitCertificate, PreparedCertificate
from consensus.replica import Replica
from consensus.simulation.checkers import Violation
from ledger.types import Parameters, Seal

UNCHANGING = (Committee, Parameters, FunctionType, BuiltinFunctionType, MethodType, type)
OUTPUTS = frozenset({"out", "refused", "_handlers"})  # what is told, and counters: no rule reads them
ATOMS = (type(None), bool, int, str, bytes)
JOURNAL_KINDS = 8  # records that one height may have, beside its batches
SLACK = 8
_SLOTS: dict[type, tuple[str, ...]] = {}

State = Any  # nested tuples of atoms


def core_of(replica: Replica) -> Core:
    """The memory itself."""
    core = vars(replica)["_core"]
    assert isinstance(core, Core)
    return core


def state_of(replica: Replica, *, signers: bool = True) -> State:
    """All of a replica's memory as nested tuples: equal for replicas that will behave alike from here on.

    A dict's order is not part of it: no rule of the protocol reads one (iteration is over sorted keys, or ends at the
    only entry that fits). Without `signers`, certificates for one thing are equal whoever signed them.
    """
    return _state(vars(replica), signers)


def digest_of(replica: Replica, *, signers: bool = True) -> bytes:
    """The digest of `state_of`."""
    return hashlib.sha256(repr(state_of(replica, signers=signers)).encode()).digest()


def _state(value: Any, signers: bool) -> State:
    if isinstance(value, ATOMS):
        return value
    if isinstance(value, dict):
        return ("dict", *sorted((repr(key), _state(each, signers)) for key, each in value.items()))
    if isinstance(value, tuple | list | deque):
        return tuple(_state(each, signers) for each in value)
    if isinstance(value, set | frozenset):
        return ("set", *sorted(repr(_state(each, signers)) for each in value))
    if not signers and isinstance(value, PreparedCertificate | CommitCertificate | Seal):
        value = msgspec.structs.replace(value, signatures=())
    if signers and isinstance(value, msgspec.Struct):
        return type(value).__name__, msgspec.msgpack.encode(value)
    return type(value).__name__, *((name, _state(part, signers)) for name, part in _attributes(value))


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Every attribute of an object that is memory, by name."""
    for name in _names(value):
        part = getattr(value, name)
        if name not in OUTPUTS and not isinstance(part, UNCHANGING):
            yield name, part


def _names(value: Any) -> list[str]:
    if isinstance(value, msgspec.Struct):
        return list(value.__struct_fields__)
    return sorted([*_slots(type(value)), *getattr(value, "__dict__", ())])


def _slots(kind: type) -> tuple[str, ...]:
    found = _SLOTS.get(kind)
    if found is None:
        found = _SLOTS[kind] = tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    return found


def limit_of(core: Core) -> int:
    """The most entries that heights, members, views and a batch can explain in any one container."""
    heights = BUFFERED_WINDOWS * core.window
    views = FUTURE_VIEWS_MAX + 2
    journal = 2 * heights * (JOURNAL_KINDS + views)
    return max(heights, core.committee.size, views, core.parameters.block_transactions_max, journal) + SLACK


def require_bounded(replica: Replica) -> None:
    """Raise `Violation` when any container in a replica's memory is larger than can be explained."""
    core = core_of(replica)
    limit = limit_of(core)
    for path, size in sizes(core):
        _require_explained(core, path, size, limit)


def require_bounded_at_the_top(replica: Replica) -> None:
    """The same for the containers that hang directly on the memory: cheap enough for every step."""
    core = core_of(replica)
    limit = limit_of(core)
    for name, value in vars(core).items():
        if isinstance(value, dict | tuple | set) and len(value) > limit:
            _require_explained(core, name, len(value), limit)
    buffered = BUFFERED_WINDOWS * core.window
    _require_explained(core, "slots", len(core.slots), buffered + core.window)  # a NEW-VIEW may start far above (P4.6)
    for name in ("checkpoints", "seals", "executed"):
        _require_explained(core, name, len(getattr(core, name)), buffered)


def _require_explained(core: Core, path: str, size: int, limit: int) -> None:
    if size > limit:
        raise Violation(f"member {core.member}: {path} holds {size} entries, at most {limit} are explained")


def sizes(core: Core) -> Iterator[tuple[str, int]]:
    """Every container in a replica's memory, with the number of its entries. One with a `maxlen` bounds itself."""
    stack: list[tuple[str, Any]] = [("core", core)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, (*ATOMS, *UNCHANGING)) or (isinstance(value, deque) and value.maxlen):
            continue
        if isinstance(value, dict):
            yield path, len(value)
            stack += [(path, each) for each in value.values()]
        elif isinstance(value, list | tuple | set | frozenset | deque):
            yield path, len(value)
            stack += [(path, each) for each in value if not isinstance(each, ATOMS)]
        else:
            stack += [(f"{path}.{name}", each) for name, each in _attributes(value)]
