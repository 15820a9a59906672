"""One transaction, or one view, while it runs: who may be called, how deep, and what all of it did.

Its frames share a meter, the events and a write-set; the engine takes these when everything has succeeded and
drops them otherwise. Rights of senders are the engine's and the system contract's matter, not this module's.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from contracts import codes, costs
from contracts.catalogue import SYSTEM, Loaded, Read
from contracts.frame import Frame
from contracts.language.interface import Context, Failure, Meter
from contracts.receipts import encode_result
from contracts.storage import Reader
from contracts.writes import WriteSet
from ledger.types import LogEntry


class Setting(msgspec.Struct, frozen=True, gc=False):
    """What the ordered batch says about a transaction, beside its own bytes."""

    height: int
    time_ms: int
    transaction_id: str
    chain_id: str = ""


class Contracts(Protocol):
    """Where called contracts come from: a `Catalogue`, or objects of a test."""

    def find(self, name: str, read: Read, /) -> Loaded | None:
        """The contract of this name, None where there is none."""
        ...

    def compile(self, source: str, /) -> Loaded:
        """The program of a source. Raises `SourceRefused`."""
        ...


class Invocation:
    """The frames of one transaction or view, from the first call to the last."""

    __slots__ = (
        "_active",
        "_below",
        "_called",
        "_catalogue",
        "_code_bytes",
        "_read_only",
        "_receipt_bytes",
        "_setting",
        "events",
        "meter",
        "reader",
        "settled",
        "writes",
    )

    def __init__(
        self,
        *,
        catalogue: Contracts,
        reader: Reader,
        below: tuple[WriteSet, ...],
        setting: Setting,
        meter: Meter,
        read_only: bool = False,
    ) -> None:
        self._catalogue = catalogue
        self._setting = setting
        self._read_only = read_only
        self._active: list[str] = []
        self._receipt_bytes = 0
        self._called: set[str] = set()
        self._code_bytes = 0
        self.reader = reader
        self.meter = meter
        self.events: list[LogEntry] = []
        self.writes = WriteSet()
        self.settled = len(below)  # write-sets of the block, which other transactions have filled
        self._below = (self.writes, *below)

    @property
    def transaction_id(self) -> str:
        """In hex, "" for a view."""
        return self._setting.transaction_id

    def call(self, sender: str, contract: str, method: str, args: list[Any]) -> bytes:
        """A call of the transaction itself (or the view). The result's bytes; raises `Failure`."""
        self.meter.charge(costs.CALL)
        loaded = self._find(contract, self.read)
        viewing = self._require_method(contract, loaded, method, self._read_only)
        try:
            result = encode_result(self._run(loaded, sender, contract, method, args, self._below, 1, viewing))
        except Failure as failure:
            failure.contract = failure.contract or contract
            raise
        self.meter.charge(costs.RESULT_BYTE * len(result))
        self._keep_bytes(len(result))
        return result

    def call_from(self, caller: Frame, contract: str, method: str, args: list[Any], read_only: bool) -> Any:
        """A call from one contract to another, whose `sender` is then the calling contract's name."""
        self.meter.charge(costs.CALL)
        if type(contract) is not str or type(method) is not str:
            raise Failure(codes.BAD_TYPE, "a contract and a method are named by str")
        loaded = self._find(contract, caller.read)
        viewing = self._require_method(contract, loaded, method, read_only)
        sender = caller.context.contract
        return self._run(loaded, sender, contract, method, args, caller.layers, caller.depth + 1, viewing)

    def start(self, caller: Frame, name: str, loaded: Loaded, args: list[Any]) -> None:
        """Run the `init` of a contract that the system contract is deploying, in the name of the deployer."""
        for method in loaded.methods.values():
            if method.kind == "init":
                self.meter.charge(costs.CALL)
                sender = caller.context.sender
                try:
                    self._run(loaded, sender, name, method.name, args, caller.layers, caller.depth + 1, False)
                except Failure as failure:
                    failure.contract = failure.contract or name
                    raise
                return
        if args:
            raise Failure(
                codes.BAD_ARGUMENTS, f"this contract has no init and takes no arguments, {len(args)} were given"
            )

    def compile(self, source: str) -> Loaded:
        """The program of a source. Raises `SourceRefused`."""
        return self._catalogue.compile(source)

    def read(self, place: bytes) -> bytes | None:
        """The value at a state key as the next call finds it, uncharged."""
        for layer in self._below:
            if place in layer.values:
                return layer.values[place]
        return self.reader.read(place)

    def record(self, entry: LogEntry) -> None:
        """Keep an event for the receipt."""
        self._keep_bytes(len(entry.fields))
        self.events.append(entry)

    def _keep_bytes(self, size: int) -> None:
        self._receipt_bytes += size
        if self._receipt_bytes > costs.RECEIPT_BYTES_MAX:
            raise Failure(
                codes.SIZE_LIMIT,
                f"the results and events of a transaction have at most {costs.RECEIPT_BYTES_MAX} bytes",
            )

    def _find(self, contract: str, read: Any) -> Loaded:
        loaded = self._catalogue.find(contract, read) if _is_name(contract) else None
        if loaded is None:
            raise Failure(codes.UNKNOWN_CONTRACT, f"there is no contract {_shown(contract)}")
        if contract not in self._called:
            self._called.add(contract)
            self._pay_for_code(len(loaded.source))
        return loaded

    def _pay_for_code(self, size: int) -> None:
        """Whether a program is at hand already must not be seen, so every transaction pays for it."""
        self.meter.charge(costs.CODE_BYTE * size)
        self._code_bytes += size
        if self._code_bytes > costs.CODE_BYTES_MAX:
            raise Failure(
                codes.SIZE_LIMIT, f"the contracts that a transaction calls have at most {costs.CODE_BYTES_MAX} bytes"
            )

    def _require_method(self, contract: str, loaded: Loaded, method: str, read_only: bool) -> bool:
        """Whether the method is to run as a view; raises unless it is one that may run here."""
        found = loaded.methods.get(method)
        if found is None or found.kind == "init":
            raise Failure(codes.UNKNOWN_METHOD, f"contract {_shown(contract)} has no method {_shown(method)}")
        if found.kind == "view":
            return True
        if read_only:
            message = f"{_shown(contract)}.{method} may write, and only a view can run here"
            raise Failure(codes.NOT_PERMITTED, message)
        return False

    def _run(
        self,
        loaded: Loaded,
        sender: str,
        contract: str,
        method: str,
        args: list[Any],
        below: tuple[WriteSet, ...],
        depth: int,
        read_only: bool,
    ) -> Any:
        """One frame: its writes join those below it when it succeeds."""
        if depth > costs.CALL_DEPTH_MAX:
            raise Failure(codes.CALL_DEPTH, f"calls are nested deeper than {costs.CALL_DEPTH_MAX}")
        # The system contract writes before it hands over, and calls nobody but views of its own: it may be asked again.
        if contract in self._active and contract != SYSTEM:
            raise Failure(codes.REENTRANCY, f"contract {_shown(contract)} is running already in this transaction")
        setting = self._setting
        context = Context(sender, setting.height, setting.time_ms, setting.transaction_id, contract, setting.chain_id)
        frame = Frame(self, context, below, depth, read_only)
        self._active.append(contract)
        try:
            result = loaded.program.run(method, args, frame, self.meter)
        except Failure as failure:
            if failure.line:
                failure.contract = failure.contract or contract
            raise
        finally:
            self._active.pop()
        if frame.writes.values:
            below[0].merge(frame.writes)
        return result


def _is_name(text: str) -> bool:
    return 0 < len(text) < 64 and text.isascii()


def _shown(text: str) -> str:
    """A name from outside, fit to be quoted: `repr` would ask this Python's own Unicode tables."""
    return ascii(text) if len(text) <= 64 else ascii(text[:61] + "...")
