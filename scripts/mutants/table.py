"""The table of docs/mutants.md: written by the search, read by the tests. Everything outside of its marks is prose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.mutants import CATALOGUE
from scripts.mutants.hunt import Found

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"
BEGIN = "<!-- begin: written by python -m scripts.mutants --write-table -->"
END = "<!-- end -->"
VIOLATION_CHARS_MAX = 120
HEADER = (
    "| mutant | known from the field as | what is broken | seed | what the simulator says | seconds |",
    "|---|---|---|---|---|---|",
)


def write(found: Sequence[Found]) -> None:
    """Put the results between the marks, in the catalogue's order."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{_tables(found)}\n{END}{tail}")


def recorded_seeds() -> dict[str, int]:
    """The seed that found each mutant, by name."""
    seeds = {}
    for line in PAGE.read_text().partition(BEGIN)[2].partition(END)[0].splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == len(HEADER[0].split("|")) - 2 and cells[0].startswith("`") and cells[3].isdigit():
            seeds[cells[0].strip("`")] = int(cells[3])
    return seeds


def _tables(found: Sequence[Found]) -> str:
    by_name = {each.mutant: each for each in found}
    lines: list[str] = []
    section = ""
    for mutant in CATALOGUE:
        result = by_name.get(mutant.name)
        if result is None:
            continue
        if mutant.section != section:
            section = mutant.section
            lines += ["", f"### {section}", "", *HEADER]
        seed = "**survives**" if result.seed is None else str(result.seed)
        cells = (f"`{mutant.name}`", mutant.scenario, mutant.broken, seed, _cell(result.violation))
        lines.append(f"| {' | '.join(cells)} | {result.seconds:.1f} |")
    return "\n".join(lines) + "\n"


def _cell(violation: str) -> str:
    """One line that a table bears."""
    text = " ".join(violation.split()).replace("|", "/").replace("<", "(").replace(">", ")")
    return text if len(text) <= VIOLATION_CHARS_MAX else text[: VIOLATION_CHARS_MAX - 2] + " …"
