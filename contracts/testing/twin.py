"""A second run of everything, by Python, that must come to the same: state, results, events, failures.

It follows a chain that the interpreter runs, block by block, and raises at the first difference. What Python cannot
know is left out: gas, the words of failures that Python itself makes, and transactions that ran out of gas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts import codes
from contracts.block import BlockOutcome
from contracts.engine import Engine
from contracts.keys import split_key
from contracts.memory import MemoryState
from contracts.queries import ViewOutcome
from ledger import codec
from ledger.types import Call, Receipt, Transaction

_SHOWN_MAX = 5  # differences in one message


class Disagreement(AssertionError):
    """Plain Python and the interpreter came to different ends: the contract does what only one of them allows.

    The author's guide lists the differences that there are; any other is a defect of Quorate.
    """

    def __init__(self, what: str, python: str, interpreter: str) -> None:
        sides = f"\n  python:       {python}\n  interpreter:  {interpreter}"
        super().__init__(f"{what}: plain Python and the interpreter disagree{sides}")
        self.python = python
        self.interpreter = interpreter


class Twin:
    """The same chain, run by Python."""

    def __init__(self, engine: Engine, state: MemoryState) -> None:
        self.engine = engine
        self.state = state

    def follow(
        self, height: int, time_ms: int, transactions: Sequence[bytes], executed: BlockOutcome, theirs: MemoryState
    ) -> None:
        """Execute what the interpreter has executed. Raises `Disagreement`."""
        receipts = [codec.decode(raw, Receipt) for raw in executed.receipts]
        ran = zip(executed.executed, receipts, strict=True)
        batch = [(transactions[index], receipt) for index, receipt in ran if receipt.code != codes.OUT_OF_GAS]
        outcome = self.engine.execute(height, time_ms, [raw for raw, _ in batch])
        self.engine.mark_sealed(height)
        for raw, (sent, receipt) in zip(outcome.receipts, batch, strict=True):
            _compare(_what(sent), codec.decode(raw, Receipt), receipt)
        if self.state.root != theirs.root:
            raise _state_disagreement(height, self.state.changes(height), theirs.changes(height))

    def check_view(self, what: str, mine: ViewOutcome, theirs: ViewOutcome) -> None:
        """Hold an answer against the interpreter's. Raises `Disagreement`."""
        if theirs.code == codes.OUT_OF_GAS:
            return
        said = [(each.code, each.message if each.code == codes.FAILED else "", each.value) for each in (mine, theirs)]
        if said[0] != said[1]:
            shown = [_view_shown(each) for each in (mine, theirs)]
            raise Disagreement(what, shown[0], shown[1])


def _compare(what: str, mine: Receipt, theirs: Receipt) -> None:
    if _agreed(mine) == _agreed(theirs):
        return
    if mine.code != codes.OK or theirs.code != codes.OK or mine.results != theirs.results:
        raise Disagreement(what, _shown(mine), _shown(theirs))
    raise Disagreement(f"{what}, events", _events_shown(mine), _events_shown(theirs))


def _agreed(receipt: Receipt) -> tuple[Any, ...]:
    """What must be the same."""
    message = receipt.message if receipt.code == codes.FAILED else ""
    return receipt.code, message, receipt.contract, receipt.results, receipt.events


def _what(raw: bytes) -> str:
    calls: tuple[Call, ...] = codec.decode(raw, Transaction).body.calls
    return " + ".join(f"{call.contract}.{call.method}" for call in calls)


def _shown(receipt: Receipt) -> str:
    if receipt.code != codes.OK:
        return f"{receipt.code}: {receipt.message} ({receipt.contract}, line {receipt.line})"
    return "ok, result " + ", ".join(repr(codec.decode(result)) for result in receipt.results)


def _events_shown(receipt: Receipt) -> str:
    return ", ".join(f"{event.name}({codec.decode(event.fields)})" for event in receipt.events) or "none"


def _view_shown(answer: ViewOutcome) -> str:
    if answer.code != codes.OK:
        return f"{answer.code}: {answer.message} (line {answer.line})"
    return repr(codec.decode(answer.value))


def _state_disagreement(
    height: int, mine: dict[bytes, bytes | None], theirs: dict[bytes, bytes | None]
) -> Disagreement:
    nothing = b""
    keys = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key, nothing) != theirs.get(key, nothing))
    named = [_place(key) for key in keys[:_SHOWN_MAX]]
    sides = [
        ", ".join(f"{name} = {_value(side, key)}" for name, key in zip(named, keys, strict=False))
        for side in (mine, theirs)
    ]
    return Disagreement(f"the state at height {height}", sides[0], sides[1])


def _place(key: bytes) -> str:
    contract, variable, parts = split_key(key)
    return f"{contract}.{variable}" + (f"[{', '.join(map(repr, parts))}]" if parts else "")


def _value(side: dict[bytes, bytes | None], key: bytes) -> str:
    if key not in side:
        return "(not written)"
    data = side[key]
    return "(deleted)" if data is None else repr(codec.decode(data))
