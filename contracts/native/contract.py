"""What a contract file names: the classes behind `from contracts import ...` when Python itself runs it.

They are typed for editors and mypy, and do nothing of their own: state, types and failures are those of the runtime
and of the interpreter's own tables, reached through the call that is running.

    token = Token()
    token.ctx.sender = "alice"
    token.create("Acme", "ACM", 100)
    token.transfer("bob", 30)
    assert token.balance_of("bob") == 30
    assert token.ctx.events[-1] == Transfer(sender="alice", to="bob", amount=30)
"""

from __future__ import annotations

import copy
import functools
import hashlib
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast, dataclass_transform

from contracts import codes
from contracts.address import Address
from contracts.decimal import plain
from contracts.keys import Key
from contracts.language import value_types as types
from contracts.language.interface import Failure, Host
from contracts.language.peers import hold_name
from contracts.language.values import encode, measure, want
from contracts.native.entries import Entry
from contracts.native.failures import Error, as_exception, pythonic
from contracts.native.kinds import FREE, fit, type_of
from contracts.native.peers import Peer
from contracts.native.state import declarations
from contracts.native.world import Binding
from ledger import codec

Value = Any
"""Any value of the language: None, bool, int, str, bytes, list, dict, tuple, Decimal."""

S = TypeVar("S")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def require(condition: object, message: str) -> None:
    """Fail with `message` unless `condition` holds."""
    if not condition:
        raise Error(message)


def sha256(data: bytes) -> bytes:
    """The 32 bytes of SHA-256."""
    return hashlib.sha256(data).digest()


# ── events ────────────────────────────────────────────────────────────────────────────────────────


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Event:
    """Base of a contract's events: a class of typed fields, made by keyword."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)


_fields: dict[type, dict[str, types.Type]] = {}  # by event, worked out once


def _field_types(event: type[Event]) -> dict[str, types.Type]:
    if event not in _fields:
        _fields[event] = {name: type_of(hint) for name, hint in typing.get_type_hints(event).items()}
    return _fields[event]


def _fields_of(event: Event) -> dict[str, Any]:
    """The fields as they are recorded. Raises `Failure`."""
    fields = {}
    for name, kind in _field_types(type(event)).items():
        fields[name] = fit(kind, getattr(event, name), f"{type(event).__name__}.{name}", codes.BAD_TYPE)
        measure(FREE, fields[name])
        fields[name] = plain(fields[name])
    return fields


# ── the context ───────────────────────────────────────────────────────────────────────────────────


class _Shown(Generic[T, S]):
    """One thing that `self.ctx` shows. Between calls a test sets it, to what may also be of a wider type."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, context: Context, _owner: type) -> T:
        return cast("T", getattr(context.binding.context, self._name))

    def __set__(self, context: Context, value: S) -> None:
        context.binding.show(**{self._name: value})


class Context:
    """What `self.ctx` shows: who calls, at which height and time, in which transaction, this contract's own name, and
    the chain.

    A test sets these as it likes, for the calls that follow. Everything else here is for tests of contract objects
    alone: on a `LocalChain` ask the chain.
    """

    sender = _Shown[Address, str]()
    height = _Shown[int, int]()
    time = _Shown[int, int]()
    transaction_id = _Shown[str, str]()
    contract = _Shown[Address, str]()
    chain_id = _Shown[str, str]()

    def __init__(self, binding: Binding) -> None:
        self.binding = binding

    @property
    def events(self) -> list[Event]:
        """What this contract has emitted so far, oldest first."""
        return [event for binding, event in self.binding.home.events if binding is self.binding]

    @property
    def entries(self) -> dict[tuple[str, Key], bytes]:
        """This contract's whole state: encoded values by (variable, key)."""
        return self.binding.home.entries(self.binding)

    def connect(self, name: str, other: Contract) -> None:
        """Give another contract object a name, under which `self.call(name, ...)` reaches it."""
        joined = other.ctx.binding
        joined.show(contract=name)
        self.binding.home.join(joined.home)


# ── contracts ─────────────────────────────────────────────────────────────────────────────────────


class Contract:
    """Base of every contract."""

    ctx: Context

    def __init__(self) -> None:
        self._bind(Binding.alone(self, type(self).__name__.lower()))

    def _bind(self, binding: Binding) -> None:
        self.ctx = Context(binding)
        for declared in declarations(type(self)):
            setattr(self, declared.name, declared.place(binding, declared))

    @pythonic
    def emit(self, event: Event) -> None:
        """Record an event."""
        binding = self.ctx.binding
        binding.here.emit(type(event).__name__, _fields_of(event))
        if binding.world is not None:
            binding.world.events.append((binding, copy.deepcopy(event)))  # what it holds may change later

    @pythonic
    def call(self, contract: str, method: str, args: list[Any]) -> Any:
        """Call another contract: its sender is this contract's name, and nothing is shared."""
        for what, given, kind in (("contract", contract, str), ("method", method, str), ("arguments", args, list)):
            want(kind, given, f"the {what}")
        for name in (contract, method):
            hold_name(name)
        measure(FREE, args)
        return self.ctx.binding.here.call(contract, method, plain(args))

    @pythonic
    def at(self, interface: Callable[..., T], address: str) -> T:
        """Another contract by its address, with the methods of an Interface: self.at(Oracle, address).price("GOLD")."""
        return cast("T", Peer(self.ctx.binding.here, cast("type", interface), address))


def bound(contract: type[Contract], host: Host) -> Contract:
    """An object of the class for one call frame of a chain."""
    made = object.__new__(contract)
    made._bind(Binding(made, host.context, host))
    return made


def _mark(kind: str, method: F) -> F:
    entry = Entry(kind, method)

    @functools.wraps(method)
    def run(self: Contract, *args: Any, **keywords: Any) -> Any:
        binding = self.ctx.binding
        if binding.host is not None:
            return method(self, *args, **keywords)  # the contract calls a method of its own
        try:
            values = entry.positional(self, args, keywords)
            detached = codec.decode(encode(FREE, entry.fitted(values)))
            return entry.received(codec.decode(binding.home.enter(binding, entry.name, detached)))
        except Failure as failure:
            raise as_exception(failure) from None

    run.entry = entry  # type: ignore[attr-defined]  # read by `entry_of`
    return cast("F", run)


def init(method: F) -> F:
    """Mark the method that runs once, when the contract is deployed."""
    return _mark("init", method)


def call(method: F) -> F:
    """Mark a method that transactions and other contracts may call."""
    return _mark("call", method)


def view(method: F) -> F:
    """Mark a method that only reads: anyone may ask it, without a transaction."""
    return _mark("view", method)
