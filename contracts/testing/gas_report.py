"""What the methods of contracts cost in a test: calls and their least, median and greatest gas, as numbers or a table.

It counts what it is told. Plain Python has no gas, and says so rather than show a wrong number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


class GasUnknown(RuntimeError):
    """Somebody asks for gas where Python runs the contracts."""

    def __init__(self) -> None:
        super().__init__(
            "Python runs the contracts of this chain, and counts no gas: make it with mode='interpreter', "
            "or run pytest --contracts=interpreter (or both)"
        )


@dataclass(frozen=True, slots=True)
class MethodGas:
    """The successful calls of one method. `median` is a figure that occurred: the lower one of two."""

    name: str
    calls: int
    least: int
    median: int
    most: int

    @classmethod
    def of(cls, name: str, figures: Iterable[int]) -> MethodGas:
        """The summary of all figures of one method, of which there is at least one."""
        ordered = sorted(figures)
        return cls(name, len(ordered), ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1])


class GasReport:
    """Gas by "contract.method", and by "deploy contract". Its text is a table."""

    def __init__(self, figures: Mapping[str, Sequence[int]]) -> None:
        self.methods = tuple([MethodGas.of(name, figures[name]) for name in sorted(figures) if figures[name]])

    @classmethod
    def together(cls, all_figures: Iterable[Mapping[str, Sequence[int]]]) -> GasReport:
        """One report of several chains."""
        merged: dict[str, list[int]] = {}
        for figures in all_figures:
            for name, found in figures.items():
                merged.setdefault(name, []).extend(found)
        return cls(merged)

    def __getitem__(self, name: str) -> MethodGas:
        for method in self.methods:
            if method.name == name:
                return method
        known = ", ".join(method.name for method in self.methods) or "nothing"
        raise KeyError(f"no call of {name!r} has succeeded here; there is gas of {known}")

    def __str__(self) -> str:
        rows = [("method", "calls", "min", "median", "max"), *[_row(method) for method in self.methods]]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "\n".join(_line(row, widths) for row in rows)


def _row(method: MethodGas) -> tuple[str, ...]:
    return (method.name, *[f"{number:,}" for number in (method.calls, method.least, method.median, method.most)])


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    numbers = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *numbers])
