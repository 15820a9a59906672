"""A trace as lines for a person: gas used so far, the source line, and beneath it what the line read, wrote and named.

gas used  line
  13,145   124  balance = self.balances.get(sender, 0)
                  read balances["3d40..."] = 1000
                  balance = 1000
  14,260 ! 125  require(balance >= amount, "insufficient balance")
                  failed: insufficient balance
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from contracts.tracing import (
    AnyStep,
    CallStep,
    EventStep,
    FailStep,
    FunctionStep,
    LineStep,
    ReadStep,
    ReturnStep,
    ScanStep,
    Shown,
    ValuesStep,
    WriteStep,
)

HEAD: Final = f"{'gas used':>12}  {'line':>4}"
_INDENT: Final = "  "


def trace_lines(steps: Sequence[AnyStep]) -> Iterator[str]:
    """The lines of a trace, beginning with its head. Empty for a trace without a step."""
    if not steps:
        return
    yield HEAD
    failing = _failing_line(steps)
    for position, step in enumerate(steps):
        if isinstance(step, LineStep):
            yield _row(step, step.line, step.source, marked=position == failing)
            yield from _assigned(step.values, step.depth + 1)
        elif isinstance(step, ValuesStep):
            yield from _assigned(step.values, step.depth + 1)
        elif isinstance(step, FailStep):
            if failing is None and step.line:
                yield _row(step, step.line, step.source, marked=True)
            yield _beneath(step.depth + 1, f"{step.code}: {step.message}")
        elif isinstance(step, CallStep):
            yield _row(step, 0, f"{step.contract}.{step.method}({', '.join(step.args)})   sender {step.sender}")
        elif isinstance(step, ReturnStep):
            yield _row(step, 0, f"{step.contract}.{step.method} returns {step.value}")
        elif isinstance(step, FunctionStep):
            yield _row(step, 0, f"{step.function}({_listed(step.args.items())})")
        else:
            yield _beneath(step.depth + 1, _access(step))


def _failing_line(steps: Sequence[AnyStep]) -> int | None:
    """Where the line that fails is told of, None when none is, or when it fails before it is begun."""
    last = next((step for step in reversed(steps) if isinstance(step, FailStep)), None)
    if last is None:
        return None
    for position in range(len(steps) - 1, -1, -1):
        step = steps[position]
        if isinstance(step, LineStep) and step.depth == last.depth:
            return position if (step.contract, step.line) == (last.contract, last.line) else None
    return None


def _access(step: ReadStep | WriteStep | ScanStep | EventStep) -> str:
    if isinstance(step, ReadStep):
        return f"read {step.place}" + (f" = {step.value}" if step.value is not None else ": nothing there")
    if isinstance(step, WriteStep):
        return f"write {step.place} = {step.value}" if step.value is not None else f"delete {step.place}"
    if isinstance(step, ScanStep):
        return f"scan {step.place}: {step.found} entries, at most {step.limit}"
    return f"event {step.name}({_listed(step.fields.items())})"


def _assigned(values: Shown, depth: int) -> Iterator[str]:
    for name, value in values.items():
        yield _beneath(depth, f"return {value}" if name == "return" else f"{name} = {value}")


def _row(step: AnyStep, line: int, text: str, *, marked: bool = False) -> str:
    number = str(line) if line else ""
    return f"{step.gas:>12,} {'!' if marked else ' '}{number:>4}  {_INDENT * step.depth}{text}"


def _beneath(depth: int, text: str) -> str:
    return f"{'':>12}  {'':>4}  {_INDENT * depth}{text}"


def _listed(values: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values)
