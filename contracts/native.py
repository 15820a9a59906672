"""A contract as plain Python: the classes behind `from contracts import ...` when a contract file runs under pytest.

State lives in memory and behaves as on chain: values are checked against their types, encoded when they are put and
decoded when they are got, a call that fails changes nothing, a view cannot write. There is no gas here and no
sandbox; for those, and for several contracts with accounts and blocks, use `contracts.testing`.

    token = Token()
    token.ctx.sender = "alice"
    token.create("Acme", "ACM", 100)
    token.transfer("bob", 30)
    assert token.balance_of("bob") == 30
    assert token.ctx.events[-1] == Transfer(sender="alice", to="bob", amount=30)
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types as python_types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast, dataclass_transform, get_args, get_origin, overload

from contracts.address import Address
from contracts.decimal import Decimal, plain
from contracts.language import limits
from contracts.language import value_types as types
from contracts.language.interface import Meter
from ledger import codec

Value = Any
"""Any value of the language: None, bool, int, str, bytes, list, dict, tuple, Decimal."""

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])

_UNLIMITED: Final = 1 << 62
_NO_DEFAULT: Final = object()


class Error(Exception):
    """A contract says no. On chain the transaction fails with the code "failed" and this message."""


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


# ── types ─────────────────────────────────────────────────────────────────────────────────────────

_SCALARS: Final[dict[Any, types.Type]] = {
    bool: types.BOOL,
    int: types.INT,
    str: types.STR,
    Address: types.ADDRESS,
    bytes: types.BYTES,
    Decimal: types.DECIMAL,
    None: types.NONE,
    type(None): types.NONE,
    Any: types.ANY,
}


def type_of(hint: Any) -> types.Type:
    """The language's type of a Python annotation."""
    scalar = _SCALARS.get(hint) if not isinstance(hint, python_types.GenericAlias) else None
    if scalar is not None:
        return scalar
    origin, inside = get_origin(hint), get_args(hint)
    if origin is list:
        item = type_of(inside[0])
        return types.ListOf(item, f"list[{item.text}]")
    if origin is dict:
        key, value = type_of(inside[0]), type_of(inside[1])
        return types.DictOf(key, value, f"dict[{key.text}, {value.text}]")
    if origin is tuple and len(inside) == 2 and inside[1] is ...:
        rest = type_of(inside[0])
        return types.TupleOf((), rest, f"tuple[{rest.text}, ...]")
    if origin is tuple:
        items = tuple([type_of(item) for item in inside])
        return types.TupleOf(items, None, f"tuple[{', '.join([item.text for item in items])}]")
    if origin is python_types.UnionType or origin is typing.Union:
        options = tuple([type_of(option) for option in inside])
        return types.AnyOf(options, " | ".join([option.text for option in options]))
    raise TypeError(f"{hint!r} is no type of the contract language")


def _fit(kind: types.Type, value: Any, what: str, outside: bool = False) -> Any:
    try:
        return kind.fit(Meter(_UNLIMITED), value, outside=outside)
    except types.Misfit as error:
        raise TypeError(f"{what} {error}") from None


# ── the world of one contract object ──────────────────────────────────────────────────────────────


@dataclass
class Context:
    """What `self.ctx` shows, and what a test sets as it likes; the rest is for tests alone.

    `events` are those emitted so far. `entries` is the state: bytes by (variable, key).
    """

    sender: str = ""
    height: int = 1
    time: int = 1_700_000_000_000
    transaction_id: str = "00" * 32
    contract: str = ""
    events: list[Event] = field(default_factory=list)
    entries: dict[tuple[str, Any], bytes] = field(default_factory=dict)
    others: dict[str, Contract] = field(default_factory=dict)
    reading: bool = False

    def connect(self, name: str, other: Contract) -> None:
        """Let `self.call(name, ...)` reach another contract object."""
        other.ctx.contract = name
        self.others[name] = other

    def put(self, variable: str, key: Any, data: bytes | None) -> None:
        """Store bytes; None deletes."""
        if self.reading:
            raise Error("a view cannot write")
        if data is None:
            self.entries.pop((variable, key), None)
        else:
            self.entries[variable, key] = data

    def run(self, kind: str, method: Callable[[], Any]) -> Any:
        """Run an entry point: what fails leaves no trace, and a view leaves none at all."""
        entries, events, reading = dict(self.entries), list(self.events), self.reading
        self.reading = reading or kind == "view"
        try:
            return method()
        except BaseException:
            self.entries, self.events = entries, events
            raise
        finally:
            self.reading = reading


# ── state ─────────────────────────────────────────────────────────────────────────────────────────


class _Place:
    """A state variable of one contract object: a name, and the store that it writes to."""

    def __init__(self, context: Context, name: str, hints: tuple[Any, ...]) -> None:
        self._context = context
        self._name = name
        self._kind = type_of(hints[-1])
        self._hints = hints

    def _read(self, key: Any) -> Any:
        data = self._context.entries.get((self._name, key))
        return _NO_DEFAULT if data is None else _fit(self._kind, codec.decode(data), self._name, outside=True)

    def _write(self, key: Any, value: Any) -> None:
        _fit(self._kind, value, f"a value of {self._name}")
        self._context.put(self._name, key, codec.encode(plain(value)))

    def _delete(self, key: Any) -> None:
        self._context.put(self._name, key, None)


class Var(_Place, Generic[V]):
    """One value."""

    @overload
    def get(self) -> V: ...
    @overload
    def get(self, default: D) -> V | D: ...
    def get(self, default: Any = _NO_DEFAULT) -> Any:
        """The value; `default` where it was never set, and a failure if there is no default."""
        value = self._read(())
        if value is not _NO_DEFAULT:
            return value
        if default is _NO_DEFAULT:
            raise KeyError(f"{self._name} was never set")
        return default

    def set(self, value: V) -> None:
        """Put a value."""
        self._write((), value)

    def exists(self) -> bool:
        """Whether it has a value."""
        return self._read(()) is not _NO_DEFAULT

    def delete(self) -> None:
        """Forget the value."""
        self._delete(())


class Map(_Place, Generic[K, V]):
    """Values by key; a key of several parts is a tuple. Iteration is in key order and has a limit."""

    def __init__(self, context: Context, name: str, hints: tuple[Any, ...]) -> None:
        super().__init__(context, name, hints)
        self._key = type_of(hints[0])
        self._plain = get_origin(hints[0]) is not tuple

    def _place(self, key: Any) -> tuple[Any, ...]:
        fitted = _fit(self._key, key, f"a key of {self._name}")
        return (fitted,) if self._plain else cast("tuple[Any, ...]", fitted)

    def __getitem__(self, key: K) -> V:
        value = self._read(self._place(key))
        if value is _NO_DEFAULT:
            raise KeyError(key)
        return cast("V", value)

    def __setitem__(self, key: K, value: V) -> None:
        self._write(self._place(key), value)

    def __delitem__(self, key: K) -> None:
        self[key]
        self._delete(self._place(key))

    def __contains__(self, key: K) -> bool:
        return self._read(self._place(key)) is not _NO_DEFAULT

    @overload
    def get(self, key: K) -> V | Any: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: Any = None) -> Any:
        """The value, or `default` where there is none."""
        value = self._read(self._place(key))
        return default if value is _NO_DEFAULT else value

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: D) -> V | D: ...
    def pop(self, key: K, default: Any = _NO_DEFAULT) -> Any:
        """Delete the entry and give its value, or `default` where there is none."""
        value = self._read(self._place(key))
        if value is _NO_DEFAULT:
            if default is _NO_DEFAULT:
                raise KeyError(key)
            return default
        self._delete(self._place(key))
        return value

    def keys(self, limit: int, *, after: K | None = None, prefix: Any = None) -> list[K]:
        """At most `limit` keys, in key order, after a key, with the same first parts."""
        return [key for key, _ in self.items(limit, after=after, prefix=prefix)]

    def values(self, limit: int, *, after: K | None = None, prefix: Any = None) -> list[V]:
        """The values of `keys`."""
        return [value for _, value in self.items(limit, after=after, prefix=prefix)]

    def items(self, limit: int, *, after: K | None = None, prefix: Any = None) -> list[tuple[K, V]]:
        """The keys and values of `keys`."""
        if not 0 <= limit <= limits.SCAN_LIMIT_MAX:
            raise ValueError(f"a limit of {limit}, it must lie from 0 to {limits.SCAN_LIMIT_MAX}")
        first = () if prefix is None else prefix if isinstance(prefix, tuple) else (prefix,)
        start = None if after is None else self._place(after)
        places = sorted([key for name, key in self._context.entries if name == self._name])
        chosen = [key for key in places if key[: len(first)] == first and (start is None or key > start)]
        return [(cast("K", key[0] if self._plain else key), self._read(key)) for key in chosen[:limit]]


class List(_Place, Generic[V]):
    """Values by position."""

    def __len__(self) -> int:
        data = self._context.entries.get((self._name, ()))
        return 0 if data is None else int(codec.decode(data))

    def _index(self, place: int) -> tuple[int]:
        length = len(self)
        real = place + length if place < 0 else place
        if not 0 <= real < length:
            raise IndexError(f"index {place} of {self._name}, which has {length} items")
        return (real,)

    def __getitem__(self, place: int) -> V:
        return cast("V", self._read(self._index(place)))

    def __setitem__(self, place: int, value: V) -> None:
        self._write(self._index(place), value)

    def __iter__(self) -> Iterator[V]:
        for place in range(len(self)):
            if place >= len(self):
                return
            yield self[place]

    def append(self, value: V) -> None:
        """Add a value at the end."""
        length = len(self)
        self._write((length,), value)
        self._context.put(self._name, (), codec.encode(length + 1))

    def pop(self) -> V:
        """Remove the last value and give it."""
        place = self._index(-1)
        value = self._read(place)
        self._delete(place)
        self._context.put(self._name, (), codec.encode(place[0]) if place[0] else None)
        return cast("V", value)


# ── contracts ─────────────────────────────────────────────────────────────────────────────────────


class Contract:
    """Base of every contract."""

    ctx: Context

    def __init__(self) -> None:
        self.ctx = Context(contract=type(self).__name__.lower())
        for name, hint in typing.get_type_hints(type(self)).items():
            kind = get_origin(hint)
            if isinstance(kind, type) and issubclass(kind, _Place):
                setattr(self, name, kind(self.ctx, name, get_args(hint)))

    def emit(self, event: Event) -> None:
        """Record an event."""
        if self.ctx.reading:
            raise Error("a view cannot emit an event")
        hints = typing.get_type_hints(type(event))
        for name, value in vars(event).items():
            _fit(type_of(hints[name]), value, f"{type(event).__name__}.{name}")
        self.ctx.events.append(event)

    def call(self, contract: str, method: str, args: list[Any]) -> Any:
        """Call another contract: its sender is this contract's name, and nothing is shared."""
        other = self.ctx.others.get(contract)
        entry: Any = getattr(other, method, None)
        if other is None or getattr(entry, "contract_kind", None) not in ("call", "view"):
            raise Error(f"no contract {contract!r} with a method {method!r}")
        sender, other.ctx.sender = other.ctx.sender, self.ctx.contract
        try:
            return codec.decode(codec.encode(plain(entry(*codec.decode(codec.encode(plain(args)))))))
        finally:
            other.ctx.sender = sender


def _entry(kind: str) -> Callable[[F], F]:
    def mark(method: F) -> F:
        hints: dict[str, types.Type] = {}

        @functools.wraps(method)
        def entry(self: Contract, *args: Any, **keywords: Any) -> Any:
            if not hints:
                hints.update({name: type_of(hint) for name, hint in typing.get_type_hints(method).items()})
            given = inspect.signature(method).bind(self, *args, **keywords).arguments
            fitted = {
                name: _fit(hints[name], given[name], f"the argument {name!r}", outside=True)
                for name in given
                if name in hints
            }
            return self.ctx.run(kind, lambda: method(self, **fitted))

        entry.contract_kind = kind  # type: ignore[attr-defined]  # read by Contract.call
        return cast("F", entry)

    return mark


def init(method: F) -> F:
    """Mark the method that runs once, when the contract is deployed."""
    return _entry("init")(method)


def call(method: F) -> F:
    """Mark a method that transactions and other contracts may call."""
    return _entry("call")(method)


def view(method: F) -> F:
    """Mark a method that only reads: anyone may ask it, without a transaction."""
    return _entry("view")(method)
