"""One call frame: the world that a running contract sees, with a write-set of its own.

A frame reads through its own writes, those of the frames below it, of its transaction and of its block, down to
the state; it writes only to its own set, which is merged downwards when the call succeeds and dropped when it
fails. Frames of one transaction share the meter and the events. Who may call what is decided in
`contracts.invocation`; this module asks it to run another contract and knows no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts import codes, costs
from contracts.catalogue import SYSTEM, Loaded
from contracts.keys import BadKey, Key, scan_prefix, split_suffix, state_key
from contracts.language.interface import Context, Failure, Meter
from contracts.receipts import encode_value
from contracts.writes import WriteSet, overlaid
from ledger import codec
from ledger.types import LogEntry

if TYPE_CHECKING:
    from contracts.invocation import Invocation


class Frame:
    """The `Host` of one call."""

    __slots__ = ("_invocation", "_meter", "context", "depth", "layers", "read_only", "writes")

    def __init__(
        self, invocation: Invocation, context: Context, below: tuple[WriteSet, ...], depth: int, read_only: bool
    ) -> None:
        self._invocation = invocation
        self.context = context  # who, when, where
        self._meter: Meter = invocation.meter
        self.writes = WriteSet()
        self.layers = (self.writes, *below)  # this frame's writes and those below it, uppermost first
        self.depth = depth
        self.read_only = read_only

    def get(self, variable: str, key: Key) -> bytes | None:
        """The stored bytes, None where there are none."""
        self._meter.charge(costs.READ)
        try:
            place = state_key(self.context.contract, variable, key)
        except BadKey as error:
            raise Failure(error.code, str(error)) from None
        value = self.read(place)
        if value is not None:
            self._meter.charge(costs.READ_BYTE * len(value))
        return value

    def put(self, variable: str, key: Key, value: bytes | None) -> None:
        """Store bytes; None deletes."""
        if self.read_only:
            raise Failure(codes.NOT_PERMITTED, "a view cannot write")
        size = 0 if value is None else len(value)
        if size > costs.VALUE_BYTES_MAX:
            raise Failure(codes.SIZE_LIMIT, f"a state value of {size} bytes, at most {costs.VALUE_BYTES_MAX} fit")
        try:
            place = state_key(self.context.contract, variable, key)
        except BadKey as error:
            raise Failure(error.code, str(error)) from None
        self._meter.charge(costs.WRITE + costs.WRITE_BYTE * (len(place) + size))
        self.writes.put(place, value)

    def scan(self, variable: str, prefix: Key, after: Key | None, limit: int) -> list[tuple[Key, bytes]]:
        """Entries in key order whose key has more parts than `prefix` and begins with it, strictly after `after`."""
        if not 0 <= limit <= costs.SCAN_ENTRIES_MAX:
            raise Failure(codes.SIZE_LIMIT, f"a scan of {limit} entries, at most {costs.SCAN_ENTRIES_MAX} are allowed")
        self._meter.charge(costs.SCAN)
        contract = self.context.contract
        try:
            begin = scan_prefix(contract, variable, prefix)
            # The entry at `prefix` itself goes on with 00; those with more parts with a tag above it.
            start = begin + b"\x01" if after is None else max(begin, state_key(contract, variable, after)) + b"\x01"
        except BadKey as error:
            raise Failure(error.code, str(error)) from None
        return self._collect(begin, start, len(scan_prefix(contract, variable)), limit)

    def _collect(self, begin: bytes, start: bytes, skip: int, limit: int) -> list[tuple[Key, bytes]]:
        found: list[tuple[Key, bytes]] = []
        if not limit:
            return found
        room = costs.SCAN_BYTES_MAX
        page = min(limit, costs.SCAN_PAGE)
        for place, value, size in overlaid(self.layers, self._invocation.reader, begin, start, page):
            self._meter.charge(costs.SCAN_ENTRY + costs.READ_BYTE * size)
            if value is None:
                continue
            room -= size
            if room < 0:
                raise Failure(codes.SIZE_LIMIT, f"a scan of more than {costs.SCAN_BYTES_MAX} bytes; lower its limit")
            found.append((split_suffix(place, skip), value))
            if len(found) == limit:
                break
        return found

    def emit(self, event: str, fields: dict[str, Any]) -> None:
        """Record an event of this transaction; it is forgotten if the transaction fails."""
        if self.read_only:
            raise Failure(codes.NOT_PERMITTED, "a view cannot emit an event")
        data = encode_value(fields)
        if len(data) > costs.EVENT_BYTES_MAX:
            raise Failure(codes.SIZE_LIMIT, f"an event of {len(data)} bytes, at most {costs.EVENT_BYTES_MAX} fit")
        self._meter.charge(costs.EVENT + costs.EVENT_BYTE * len(data))
        self._invocation.record(LogEntry(self.context.contract, event, data))

    def call(self, contract: str, method: str, args: list[Any]) -> Any:
        """Call another contract. Arguments and result cross as bytes, so that nothing is shared."""
        return self._cross(contract, method, args, self.read_only)

    def ask(self, contract: str, method: str, args: list[Any]) -> Any:
        """As `call`, of a view: what runs there can write nothing."""
        return self._cross(contract, method, args, True)

    def _cross(self, contract: str, method: str, args: list[Any], read_only: bool) -> Any:
        data = encode_value(args)
        self._meter.charge(costs.CALL_BYTE * len(data))
        result = encode_value(self._invocation.call_from(self, contract, method, codec.decode(data), read_only))
        self._meter.charge(costs.CALL_BYTE * len(result))
        return codec.decode(result)

    def compile(self, source: str) -> Loaded:
        """For the system contract: the program of a source. Raises `SourceRefused`."""
        assert self.context.contract == SYSTEM, "only the system contract deploys"
        return self._invocation.compile(source)

    def start(self, name: str, loaded: Loaded, args: list[Any]) -> None:
        """For the system contract: run the `init` of what it deploys."""
        assert self.context.contract == SYSTEM, "only the system contract deploys"
        self._invocation.start(self, name, loaded, args)

    def read(self, place: bytes) -> bytes | None:
        """The value at a state key as this frame finds it, uncharged: for the runtime's own look-ups."""
        for layer in self.layers:
            if place in layer.values:
                return layer.values[place]
        return self._invocation.reader.read(place)
