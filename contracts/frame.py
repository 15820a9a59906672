"""One call frame: the world that a running contract sees, with a write-set of its own.

A frame reads through its own writes, those of the frames below it, of its transaction and of its block, down to
the state; it writes only to its own set, which is merged downwards when the call succeeds and dropped when it
fails. Frames of one transaction share the meter and the events. Who may call what is decided in
`contracts.invocation`; this module asks it to run another contract and knows no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from contracts import codes, costs
from contracts.catalogue import SYSTEM, Loaded
from contracts.keys import BadKey, Key, scan_prefix, split_suffix, state_key
from contracts.language.interface import Bounds, Context, Failure, Meter
from contracts.receipts import encode_result, encode_value
from contracts.writes import Span, WriteSet, overlaid
from ledger import codec
from ledger.types import LogEntry

if TYPE_CHECKING:
    from contracts.invocation import Invocation


_UNSHARED: Final = frozenset({type(None), bool, int, str, bytes})  # what nobody can change needs no copy


def key_span(contract: str, variable: str, prefix: Key, bounds: Bounds) -> Span:
    """The state keys that a scan looks at. Raises `BadKey`."""

    def place(key: Key) -> bytes:
        return state_key(contract, variable, key)

    begin = scan_prefix(contract, variable, prefix)
    # The entry at `prefix` itself goes on with 00; those with more parts with a tag, from 01 to 04. And what ends with
    # 00 is followed by itself with anything behind it: 01 is behind the key, and before every other.
    lowest = [begin + b"\x01"]
    highest = [begin + b"\xff"]
    if bounds.first is not None:
        lowest.append(place(bounds.first))
    if bounds.after is not None:
        lowest.append(place(bounds.after) + b"\x01")
    if bounds.last is not None:
        highest.append(place(bounds.last) + b"\x01")
    if bounds.before is not None:
        highest.append(place(bounds.before))
    return Span(begin, max(lowest), min(highest), bounds.reverse)


class Frame:
    """The `Host` of one call."""

    __slots__ = ("_invocation", "_meter", "_own", "context", "depth", "layers", "read_only", "writes")

    def __init__(
        self, invocation: Invocation, context: Context, below: tuple[WriteSet, ...], depth: int, read_only: bool
    ) -> None:
        self._invocation = invocation
        self.context = context  # who, when, where
        self._meter: Meter = invocation.meter
        self.writes = WriteSet()
        self.layers = (self.writes, *below)  # this frame's writes and those below it, uppermost first
        self._own = self.layers[: len(self.layers) - invocation.settled]  # those of this transaction
        self.depth = depth
        self.read_only = read_only

    def get(self, variable: str, key: Key) -> bytes | None:
        """The stored bytes, None where there are none."""
        self._meter.charge(costs.READ)
        value = self.read(self._place(variable, key))
        if value is not None:
            self._meter.charge(len(value) // costs.READ_BYTES_PER_UNIT)
        return value

    def put(self, variable: str, key: Key, value: bytes | None) -> None:
        """Store bytes; None deletes."""
        if self.read_only:
            raise Failure(codes.NOT_PERMITTED, "a view cannot write")
        size = 0 if value is None else len(value)
        if size > costs.VALUE_BYTES_MAX:
            raise Failure(codes.SIZE_LIMIT, f"a state value of {size} bytes, at most {costs.VALUE_BYTES_MAX} fit")
        place = self._place(variable, key)
        self._meter.charge(self._write_cost(place, size))
        self.writes.put(place, value)

    def _place(self, variable: str, key: Key) -> bytes:
        """The state key, a long one paid for: each zero in it is two bytes, and takes as long as ten others."""
        try:
            place = state_key(self.context.contract, variable, key)
        except BadKey as error:
            raise Failure(error.code, str(error)) from None
        if len(place) > costs.KEY_BYTES_FREE:
            self._meter.charge(len(place) - costs.KEY_BYTES_FREE)
        return place

    def _write_cost(self, place: bytes, size: int) -> int:
        for layer in self._own:
            if place in layer.values:
                grown = max(size - len(layer.values[place] or b""), 0)
                return costs.WRITE_AGAIN + size // costs.REWRITTEN_BYTES_PER_UNIT + costs.WRITE_BYTE * grown
        return costs.WRITE + costs.WRITE_BYTE * (len(place) + size)

    def scan(self, variable: str, prefix: Key, bounds: Bounds, limit: int) -> list[tuple[Key, bytes]]:
        """Entries within the bounds, in their order, whose key has more parts than `prefix` and begins with it."""
        if not 0 <= limit <= costs.SCAN_ENTRIES_MAX:
            raise Failure(codes.SIZE_LIMIT, f"a scan of {limit} entries, at most {costs.SCAN_ENTRIES_MAX} are allowed")
        self._meter.charge(costs.SCAN)
        contract = self.context.contract
        try:
            span = key_span(contract, variable, prefix, bounds)
        except BadKey as error:
            raise Failure(error.code, str(error)) from None
        return self._collect(span, len(scan_prefix(contract, variable)), limit) if limit else []

    def _collect(self, span: Span, skip: int, limit: int) -> list[tuple[Key, bytes]]:
        found: list[tuple[Key, bytes]] = []
        room = costs.SCAN_BYTES_MAX
        page = min(limit, costs.SCAN_PAGE)
        for place, value, size in overlaid(self.layers, self._invocation.reader, span, page):
            entry = costs.SCAN_DELETED if value is None else costs.SCAN_ENTRY
            long = max(len(place) - costs.KEY_BYTES_FREE, 0)
            self._meter.charge(entry + size // costs.READ_BYTES_PER_UNIT + long)
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
        self._meter.charge(len(data) // costs.CALL_BYTES_PER_UNIT)
        given = [*args] if _UNSHARED.issuperset(map(type, args)) else codec.decode_own(data)
        result = self._invocation.call_from(self, contract, method, given, read_only)
        data = encode_result(result)
        self._meter.charge(len(data) // costs.CALL_BYTES_PER_UNIT)
        return result if type(result) in _UNSHARED else codec.decode_own(data)

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
