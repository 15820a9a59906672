"""Which contracts there are: their records in the state, and their programs, compiled once a code hash.

The records are state of the system contract, so they are read where a frame reads its state: a contract that was
deployed earlier in the same transaction is there already. Nobody's rights are judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from contracts.keys import state_key
from contracts.language.interface import Method, Program
from contracts.language.source import memory_of
from contracts.leftovers import LEFTOVERS
from ledger import codec, hashing

SYSTEM: Final = "system"
CONTRACTS: Final = "contracts"  # (name) -> record
SOURCES: Final = "sources"  # (name, version) -> version record
LAYOUTS: Final = "layouts"  # (name) -> {variable: type} of every version so far

CACHED_BYTES_MAX: Final = 48 << 20  # of memory, of the programs kept compiled
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


class Catalogue:
    """Finds contracts by name. Programs are kept by code hash; too many, and all are compiled again when called."""

    def __init__(self, system: Program, compile_source: Callable[[str], Program]) -> None:
        self._system = Loaded.of(system, "")
        self._compile = compile_source
        self._by_hash: dict[bytes, Loaded] = {}
        self._by_record: dict[bytes, Loaded] = {}
        self._memory = 0

    def compile(self, source: str) -> Loaded:
        """The program of a source. Raises `SourceRefused`."""
        loaded = self._by_hash.get(hashing.code_hash(source.encode()))
        if loaded is None:
            LEFTOVERS.note_compiled(memory_of(source))
            loaded = Loaded.of(self._compile(source), source)
            self._keep(loaded)
        return loaded

    def find(self, name: str, read: Read) -> Loaded | None:
        """The contract of this name, None where there is none."""
        if name == SYSTEM:
            return self._system
        data = read(_record_key(name))
        if data is None:
            return None
        found = self._by_record.get(data)
        return found if found is not None else self._load(name, data, read)

    def _load(self, name: str, data: bytes, read: Read) -> Loaded:
        record = codec.decode(data)
        loaded = self._by_hash.get(record["code_hash"])
        if loaded is None:
            loaded = self.compile(read_version(name, record["version"], read)["source"])
        if len(self._by_record) >= CACHED_RECORDS_MAX:
            self._by_record.clear()
        self._by_record[data] = loaded
        return loaded

    def _keep(self, loaded: Loaded) -> None:
        memory = memory_of(loaded.source)
        self._memory += memory
        if self._memory > CACHED_BYTES_MAX:
            self._by_hash.clear()
            self._by_record.clear()
            self._memory = memory
        self._by_hash[loaded.program.code_hash] = loaded


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
