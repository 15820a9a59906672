"""What a transaction on a local chain came to, with its values decoded, and the exception for one that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts import codes
from contracts.testing.gas_report import GasUnknown
from ledger import codec
from ledger.types import Receipt


@dataclass(frozen=True, slots=True)
class Event:
    """What a contract emitted."""

    contract: str
    name: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A receipt with its values decoded. `gas` is None where Python ran the contracts, which counts none."""

    code: str
    message: str
    contract: str
    line: int
    gas: int | None
    height: int
    transaction_id: str
    results: tuple[Any, ...]
    events: tuple[Event, ...]

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == codes.OK

    @property
    def result(self) -> Any:
        """What the (last) call returned, None after a failure."""
        return self.results[-1] if self.results else None

    @property
    def gas_used(self) -> int:
        """Gas of the whole transaction. Raises `GasUnknown` where Python ran it."""
        if self.gas is None:
            raise GasUnknown
        return self.gas


class CallFailed(AssertionError):
    """A call or a view failed that the test expected to succeed; it has the code, the message and the line."""

    def __init__(self, what: str, code: str, message: str, contract: str, line: int) -> None:
        where = f" ({contract or 'contract'}, line {line})" if line else ""
        super().__init__(f"{what}: {code}: {message}{where}")
        self.code = code
        self.message = message
        self.contract = contract
        self.line = line


def outcome_of(receipt: Receipt, has_gas: bool) -> Outcome:
    """The outcome that a receipt states."""
    return Outcome(
        code=receipt.code,
        message=receipt.message,
        contract=receipt.contract,
        line=receipt.line,
        gas=receipt.gas_used if has_gas else None,
        height=receipt.height,
        transaction_id=receipt.transaction_id.hex(),
        results=tuple(codec.decode(result) for result in receipt.results),
        events=tuple(Event(event.contract, event.name, codec.decode(event.fields)) for event in receipt.events),
    )
