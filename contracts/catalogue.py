"""Which contracts there are: their records in the state, and their programs, compiled once a code hash.

The records are state of the system contract, so they are read where a frame reads its state: a contract that was
deployed earlier in the same transaction is there already. Nobody's rights are judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from contracts import costs
from contracts.keys import state_key
from contracts.language.interface import Method, Program
from contracts.language.source import memory_of
from contracts.leftovers import LEFTOVERS
from ledger import codec, hashing

SYSTEM: Final = "system"
CONTRACTS: Final = "contracts"  # (name) -> record
SOURCES: Final = "sources"  # (name, version) -> version record
LAYOUTS: Final = "layouts"  # (name) -> {variable: type} of every version so far
PROGRAMS: Final = "programs"  # () -> bytes of memory of all programs

CALLED_BYTES_MAX: Final = costs.PROGRAMS_BYTES_MAX + (64 << 20)  # of memory, of contracts, and some older versions
COMPILED_BYTES_MAX: Final = 48 << 20  # of memory, of sources that nobody has called yet, and that may not be deployed
CACHED_RECORDS_MAX: Final = 4096

Read = Callable[[bytes], bytes | None]


class NodeFault(Exception):
    """The host failed (memory, stack, storage, a bug): the node must stop here, and no transaction is to blame."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A contract that can be called."""

    program: Program
    methods: dict[str, Method]
    source: str

    @classmethod
    def of(cls, program: Program, source: str) -> Loaded:
        """A program with its entry points by name."""
        return cls(program, {method.name: method for method in program.methods}, source)


class _Programs:
    """By code hash, while all together fit into so much memory; then all are forgotten."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._by_hash: dict[bytes, Loaded] = {}

    def get(self, code_hash: bytes) -> Loaded | None:
        return self._by_hash.get(code_hash)

    def keep(self, loaded: Loaded) -> None:
        memory = memory_of(loaded.source)
        self._bytes += memory
        if self._bytes > self._bytes_max:
            self._by_hash.clear()
            self._bytes = memory
        self._by_hash[loaded.program.code_hash] = loaded


class Catalogue:
    """Finds contracts by name. Each is compiled once: a call pays far less than that takes, so the system contract lets
    no more be deployed than are kept. What is compiled and never called is apart: it cannot push them out."""

    def __init__(self, system: Program, compile_source: Callable[[str], Program]) -> None:
        self._system = Loaded.of(system, "")
        self._compile = compile_source
        self._called = _Programs(CALLED_BYTES_MAX)
        self._compiled = _Programs(COMPILED_BYTES_MAX)
        self._by_record: dict[bytes, bytes] = {}  # code hashes

    def compile(self, source: str) -> Loaded:
        """The program of a source. Raises `SourceRefused`."""
        code_hash = hashing.code_hash(source.encode())
        loaded = self._called.get(code_hash) or self._compiled.get(code_hash)
        if loaded is None:
            LEFTOVERS.note_compiled(memory_of(source))
            loaded = Loaded.of(self._compile(source), source)
            self._compiled.keep(loaded)
        return loaded

    def find(self, name: str, read: Read) -> Loaded | None:
        """The contract of this name, None where there is none."""
        if name == SYSTEM:
            return self._system
        data = read(_record_key(name))
        if data is None:
            return None
        code_hash = self._by_record.get(data)
        found = None if code_hash is None else self._called.get(code_hash)
        return found if found is not None else self._load(name, data, read)

    def _load(self, name: str, data: bytes, read: Read) -> Loaded:
        record = codec.decode(data)
        loaded = self._called.get(record["code_hash"])
        if loaded is None:
            loaded = self.compile(read_version(name, record["version"], read)["source"])
            self._called.keep(loaded)
        if len(self._by_record) >= CACHED_RECORDS_MAX:
            self._by_record.clear()
        self._by_record[data] = record["code_hash"]
        return loaded


@lru_cache(maxsize=1024)
def _record_key(name: str) -> bytes:
    return state_key(SYSTEM, CONTRACTS, (name,))


def read_record(name: str, read: Read) -> dict[str, Any] | None:
    """The record of a deployed contract: version, code_hash, owner (an address), height of that version."""
    data = read(_record_key(name))
    record: dict[str, Any] | None = None if data is None else codec.decode(data)
    return record


def read_version(name: str, version: int, read: Read) -> dict[str, Any]:
    """One version of a contract's code: source, code_hash, by (an address), height."""
    data = read(state_key(SYSTEM, SOURCES, (name, version)))
    if data is None:
        raise NodeFault(f"the state lacks version {version} of contract {name!r}, which its record names")
    found: dict[str, Any] = codec.decode(data)
    return found
