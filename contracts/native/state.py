"""`Var`, `Map` and `List` as Python runs them: places in the state, never values.

Types, encodings and the words of refusals are the interpreter's own; the state is reached through the call that runs.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, Generic, TypedDict, TypeVar, Unpack, cast, get_args, get_origin, overload

from contracts import codes
from contracts.keys import Key
from contracts.language import places as rules
from contracts.language import scans
from contracts.language.interface import Bounds, Failure, Host
from contracts.language.values import decode, encode, shown
from contracts.native.failures import pythonic
from contracts.native.kinds import FREE, key_of, state_variable
from contracts.native.world import Binding

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Between(TypedDict, Generic[K], total=False):
    """Where `keys`, `values` and `items` of a Map look."""

    after: K | None
    before: K | None
    first: K | None
    last: K | None
    prefix: Any
    reverse: bool


class _Nothing:
    """No value: None is one."""


_NOTHING = _Nothing()


class Declared:
    """What a class says about one state variable, worked out once a class."""

    def __init__(self, name: str, place: type[Place], inside: tuple[Any, ...]) -> None:
        self.name = name
        self.place = place
        self.variable = state_variable(name, place.__name__, inside)
        self.load = rules.loader(self.variable)
        self.store = rules.storer(self.variable)


class Place:
    """A state variable of one contract object: what the class declares, and where the state is."""

    def __init__(self, binding: Binding, declared: Declared) -> None:
        self._binding = binding
        self._declared = declared
        self._name = declared.name

    @property
    def _host(self) -> Host:
        return self._binding.here

    def _read(self, key: Key) -> Any:
        data = self._host.get(self._name, key)
        return _NOTHING if data is None else self._declared.load(FREE, data)

    def _write(self, key: Key, value: Any) -> None:
        self._host.put(self._name, key, self._declared.store(FREE, value))

    def _forget(self, key: Key) -> None:
        self._host.put(self._name, key, None)


class Var(Place, Generic[V]):
    """One value."""

    @overload
    def get(self) -> V: ...
    @overload
    def get(self, default: D) -> V | D: ...
    @pythonic
    def get(self, default: Any = _NOTHING) -> Any:
        """The value; `default` where it was never set, and a failure if there is no default."""
        value = self._read(())
        if value is not _NOTHING:
            return value
        if default is _NOTHING:
            raise Failure(codes.KEY_ERROR, f"{self._name} was never set")
        return default

    @pythonic
    def set(self, value: V) -> None:
        """Put a value."""
        self._write((), value)

    @pythonic
    def exists(self) -> bool:
        """Whether it has a value."""
        return self._read(()) is not _NOTHING

    @pythonic
    def delete(self) -> None:
        """Forget the value."""
        self._forget(())


class Map(Place, Generic[K, V]):
    """Values by key; a key of several parts is a tuple. Iteration is in key order and has a limit."""

    def _place(self, key: Any) -> Key:
        return key_of(self._declared.variable, key)

    def _missing(self, key: Any) -> Failure:
        return Failure(codes.KEY_ERROR, f"{self._name} has no entry{shown(key)}")

    @pythonic
    def __getitem__(self, key: K) -> V:
        value = self._read(self._place(key))
        if value is _NOTHING:
            raise self._missing(key)
        return cast("V", value)

    @pythonic
    def __setitem__(self, key: K, value: V) -> None:
        self._write(self._place(key), value)

    @pythonic
    def __delitem__(self, key: K) -> None:
        place = self._place(key)
        if self._read(place) is _NOTHING:
            raise self._missing(key)
        self._forget(place)

    @pythonic
    def __contains__(self, key: K) -> bool:
        return self._read(self._place(key)) is not _NOTHING

    @overload
    def get(self, key: K) -> V | Any: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    @pythonic
    def get(self, key: K, default: Any = None) -> Any:
        """The value, or `default` where there is none."""
        value = self._read(self._place(key))
        return default if value is _NOTHING else value

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: D) -> V | D: ...
    @pythonic
    def pop(self, key: K, default: Any = _NOTHING) -> Any:
        """Delete the entry and give its value, or `default` where there is none."""
        place = self._place(key)
        value = self._read(place)
        if value is not _NOTHING:
            self._forget(place)
            return value
        if default is _NOTHING:
            raise self._missing(key)
        return default

    def keys(self, limit: int, **bounds: Unpack[Between[K]]) -> list[K]:
        """At most `limit` keys, in key order: those after, before, from `first`, up to `last`, with the same `prefix`.

        `first` and `last` are themselves within, `after` and `before` are not. With `reverse` from the highest down.
        """
        return [self._written(key) for key, _ in self._scan(limit, **bounds)]

    def values(self, limit: int, **bounds: Unpack[Between[K]]) -> list[V]:
        """The values of `keys`."""
        return [self._declared.load(FREE, data) for _, data in self._scan(limit, **bounds)]

    def items(self, limit: int, **bounds: Unpack[Between[K]]) -> list[tuple[K, V]]:
        """The keys and values of `keys`."""
        found = self._scan(limit, **bounds)
        return [(self._written(key), self._declared.load(FREE, data)) for key, data in found]

    def _written(self, key: Key) -> K:
        return cast("K", key if self._declared.variable.nested else key[0])

    @pythonic
    def _scan(self, limit: Any, *, prefix: Any = None, reverse: Any = False, **keys: Any) -> list[tuple[Key, bytes]]:
        scans.hold_limit(limit)
        first = scans.prefix_of(self._declared.variable, prefix)
        if unknown := sorted(set(keys) - set(scans.BOUNDS)):
            raise TypeError(f"no bound of a Map is called {unknown[0]!r}")
        places = {name: self._place(keys[name]) for name in scans.BOUNDS if keys.get(name) is not None}
        if type(reverse) is not bool:
            raise Failure(codes.BAD_TYPE, f"reverse must be bool, not {type(reverse).__name__}")
        return self._host.scan(self._name, first, Bounds(reverse=reverse, **places), limit)


class List(Place, Generic[V]):
    """Values by position."""

    @pythonic
    def __len__(self) -> int:
        data = self._host.get(self._name, rules.LENGTH)
        return 0 if data is None else int(decode(FREE, data))

    def _index(self, place: Any) -> Key:
        if type(place) is not int:
            raise Failure(codes.BAD_TYPE, f"an index must be int, not {type(place).__name__}")
        length = len(self)
        real = place + length if place < 0 else place
        if not 0 <= real < length:
            raise Failure(codes.INDEX_ERROR, f"index {place} of {self._name}, which has {length} items")
        return (real,)

    @overload
    def __getitem__(self, place: int) -> V: ...
    @overload
    def __getitem__(self, place: slice[int | None, int | None, None]) -> list[V]: ...
    @pythonic
    def __getitem__(self, place: Any) -> Any:
        if type(place) is not slice:
            return self._read(self._index(place))
        if place.step is not None:
            raise Failure(codes.BAD_VALUE, "a step in a slice of stored state: read the page, then slice it")
        pages = scans.page_of(self._declared.variable, place.start, place.stop, self.__len__)
        return [self._read((at,)) for at in pages]

    @pythonic
    def __setitem__(self, place: int, value: V) -> None:
        self._write(self._index(place), value)

    def __iter__(self) -> Iterator[V]:
        for place in range(len(self)):
            if place >= len(self):
                return
            yield self[place]

    @pythonic
    def append(self, value: V) -> None:
        """Add a value at the end."""
        length = len(self)
        self._write((length,), value)
        self._host.put(self._name, rules.LENGTH, encode(FREE, length + 1))

    @pythonic
    def pop(self) -> V:
        """Remove the last value and give it."""
        (place,) = self._index(-1)
        value = self._read((place,))
        self._forget((place,))
        self._host.put(self._name, rules.LENGTH, encode(FREE, place) if place else None)
        return cast("V", value)


# ── what a class declares ─────────────────────────────────────────────────────────────────────────

_declared: dict[type, tuple[Declared, ...]] = {}  # by contract, worked out once


def declarations(contract: type) -> tuple[Declared, ...]:
    """The state variables of a class, in the order written."""
    if contract not in _declared:
        hints = [(name, get_origin(hint), get_args(hint)) for name, hint in typing.get_type_hints(contract).items()]
        _declared[contract] = tuple(
            [
                Declared(name, place, inside)
                for name, place, inside in hints
                if isinstance(place, type) and issubclass(place, Place)
            ]
        )
    return _declared[contract]
