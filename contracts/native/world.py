"""The world of contract objects that are called from Python: their state, and the transaction that is running.

It is the runtime of a validator over a dict: every call from outside is a transaction of its own, so what fails leaves
no trace in any contract, nobody is entered twice, and depth and sizes have their limits. Roles and gas it has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import msgspec

from contracts.catalogue import Loaded, Read
from contracts.frame import Frame
from contracts.invocation import Invocation, Setting
from contracts.keys import Key, contract_prefix, split_key
from contracts.language.interface import Bounds, Context, Host, Meter, Method
from contracts.native.entries import entries_of, entry_of
from contracts.native.kinds import FREE
from contracts.writes import WriteSet

START_TIME_MS = 1_700_000_000_000


class Binding:
    """Ties a contract object to where it is: to the call that is running, and to its world between calls."""

    def __init__(self, contract: Any, context: Context, host: Host | None = None) -> None:
        self.contract = contract
        self.outside = context  # what `self.ctx` shows between calls, and what the next call begins with
        self.host = host
        self.world: World | None = None

    @classmethod
    def alone(cls, contract: Any, name: str) -> Binding:
        """A new object in a world of its own."""
        binding = cls(contract, Context("", 1, START_TIME_MS, "00" * 32, name, "00" * 32))
        World().add(binding)
        return binding

    @property
    def name(self) -> str:
        """What other contracts call this one."""
        return self.outside.contract

    @property
    def context(self) -> Context:
        """Who, when, where: of the call that is running, or of the next one."""
        return self.outside if self.host is None else self.host.context

    def show(self, **changes: Any) -> None:
        """Let the next calls find another sender, height, time, name..."""
        if "contract" in changes:
            self.home.rename(self, changes["contract"])
        self.outside = msgspec.structs.replace(self.outside, **changes)

    @property
    def home(self) -> World:
        """The world of an object that a test made."""
        if self.world is None:
            raise RuntimeError("this contract belongs to a chain: ask the chain for its state, events and time")
        return self.world

    @property
    def here(self) -> Host:
        """The host of the call that is running, or the world itself for a test that looks between calls."""
        return Between(self) if self.host is None else self.host


class World:
    """Contract objects by name, with all their state, as it stands between calls."""

    def __init__(self) -> None:
        self.bindings: dict[str, Binding] = {}
        self.values: dict[bytes, bytes] = {}
        self.events: list[tuple[Binding, Any]] = []
        self._starting = ("", "")

    # ── who is there ──────────────────────────────────────────────────────────────────────────────

    def add(self, binding: Binding) -> None:
        """Let an object in."""
        self._require_free(binding.name, binding)
        self.bindings[binding.name] = binding
        binding.world = self

    def rename(self, binding: Binding, name: str) -> None:
        """Give an object another name; its state goes with it."""
        self._require_free(name, binding)
        old, new = contract_prefix(binding.name), contract_prefix(name)
        moved = {key: value for key, value in self.values.items() if key.startswith(old)}
        for key in moved:
            del self.values[key]
        self.values.update({new + key[len(old) :]: value for key, value in moved.items()})
        self.bindings[name] = self.bindings.pop(binding.name)

    def join(self, other: World) -> None:
        """Become one world with another."""
        if other is self:
            return
        for binding in other.bindings.values():
            self.add(binding)
        self.values |= other.values
        self.events += other.events

    def entries(self, binding: Binding) -> dict[tuple[str, Key], bytes]:
        """The state of one object: encoded values by (variable, key)."""
        prefix = contract_prefix(binding.name)
        split = [(split_key(key), value) for key, value in self.values.items() if key.startswith(prefix)]
        return {(variable, key): value for (_, variable, key), value in split}

    def _require_free(self, name: str, binding: Binding) -> None:
        if self.bindings.get(name, binding) is not binding:
            raise ValueError(f"two contracts are called {name!r}: give one another name with ctx.contract = ...")

    # ── one transaction ───────────────────────────────────────────────────────────────────────────

    def enter(self, binding: Binding, method: str, args: list[Any]) -> bytes:
        """A call from outside: it changes all that it changes, or nothing. The encoded result; raises `Failure`."""
        context = binding.outside
        invocation = self._invocation(context)
        before = len(self.events)
        self._starting = (binding.name, method)
        try:
            result = invocation.call(context.sender, binding.name, method, args)
        except BaseException:
            del self.events[before:]
            raise
        finally:
            self._starting = ("", "")
        self.apply(invocation.writes)
        return result

    def _invocation(self, context: Context) -> Invocation:
        setting = Setting(context.height, context.time, context.transaction_id, context.chain_id)
        return Invocation(catalogue=self, reader=self, below=(), setting=setting, meter=Meter(FREE.limit, FREE.room))

    def frame(self, binding: Binding) -> Frame:
        """A frame in which nothing has happened yet."""
        return Frame(self._invocation(binding.outside), binding.outside, (), 1, False)

    def apply(self, writes: WriteSet) -> None:
        """Make writes the state."""
        for key, value in writes.values.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value

    # ── what the runtime asks for ─────────────────────────────────────────────────────────────────

    def read(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""
        return self.values.get(key)

    def scan(self, prefix: bytes, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries with the prefix and not below `start`, in key order."""
        keys = sorted(key for key in self.values if key.startswith(prefix) and key >= start)
        return [(key, self.values[key]) for key in keys[:limit]]

    def scan_back(self, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` entries from the highest key below `end` down to `start`."""
        keys = sorted((key for key in self.values if start <= key < end), reverse=True)
        return [(key, self.values[key]) for key in keys[:limit]]

    def find(self, name: str, _read: Read) -> Loaded | None:
        """An object as something to call. Only a test calls an init, and only from outside."""
        binding = self.bindings.get(name)
        if binding is None:
            return None
        methods = {each: entry.method() for each, entry in entries_of(type(binding.contract)).items()}
        contract, starting = self._starting
        if contract == name and starting in methods and methods[starting].kind == "init":
            methods[starting] = replace(methods[starting], kind="call")
        return Loaded(ObjectProgram(binding), methods, "")

    def compile(self, _source: str) -> NoReturn:
        """Objects are made by Python."""
        raise NotImplementedError("contract objects deploy nothing: use contracts.testing.LocalChain")


class ObjectProgram:
    """The `Program` of one contract object: it runs the object's own methods."""

    code_hash = bytes(32)
    doc = ""
    methods: tuple[Method, ...] = ()
    state: tuple[tuple[str, str], ...] = ()
    events: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()

    def __init__(self, binding: Binding) -> None:
        self.name = binding.name
        self._binding = binding

    def run(self, method: str, args: list[Any], host: Host, _meter: Meter) -> Any:
        """Run one entry point on behalf of the runtime. Raises `Failure`, and whatever Python raises."""
        contract = self._binding.contract
        entry = entry_of(type(contract), method)
        assert entry is not None, "the runtime asks for what `World.find` has shown"
        self._binding.host = host
        try:
            return entry.run(contract, args)
        finally:
            self._binding.host = None


class Between:
    """The host of a contract object between calls: a test reads and writes state at once, and outside any rule."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    @property
    def context(self) -> Context:
        """What the next call will find."""
        return self._binding.outside

    def get(self, variable: str, key: Key) -> bytes | None:
        """The stored bytes, None where there are none."""
        return self._binding.home.frame(self._binding).get(variable, key)

    def put(self, variable: str, key: Key, value: bytes | None) -> None:
        """Store bytes; None deletes."""
        frame = self._binding.home.frame(self._binding)
        frame.put(variable, key, value)
        self._binding.home.apply(frame.writes)

    def scan(self, variable: str, prefix: Key, bounds: Bounds, limit: int) -> list[tuple[Key, bytes]]:
        """Entries in the order of the bounds."""
        return self._binding.home.frame(self._binding).scan(variable, prefix, bounds, limit)

    def emit(self, event: str, fields: dict[str, Any]) -> None:
        """Check an event's size."""
        self._binding.home.frame(self._binding).emit(event, fields)

    def call(self, contract: str, method: str, args: list[Any]) -> Any:
        """Call another contract in this one's name."""
        frame = self._binding.home.frame(self._binding)
        result = frame.call(contract, method, args)
        self._binding.home.apply(frame.writes)
        return result

    def ask(self, contract: str, method: str, args: list[Any]) -> Any:
        """Ask a view of another contract."""
        return self._binding.home.frame(self._binding).ask(contract, method, args)
