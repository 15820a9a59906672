"""The table of docs/mutants.md: written by the search, read by the tests. Everything outside of its marks is prose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.mutants import CATALOGUE, Mutant
from scripts.mutants.hunt import Found

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"
BEGIN = "<!-- begin: written by python -m scripts.mutants --write-table -->"
END = "<!-- end -->"
VIOLATION_CHARS_MAX = 120
HEADER = (
    "| mutant | known from the field as | what is broken | seed | what the simulator says |",
    "|---|---|---|---|---|",
)
COLUMNS = 5


def write(found: Sequence[Found]) -> None:
    """Put the results between the marks, in the catalogue's order. What was not looked for now keeps its row."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    rows = {name: line for name, line, _ in _rows()} | {each.mutant: _row(each) for each in found}
    PAGE.write_text(f"{head}{BEGIN}\n{_tables(rows)}\n{END}{tail}")


def recorded_seeds() -> dict[str, int]:
    """The seed that found each mutant, by name. A survivor has none."""
    return {name: int(seed) for name, _, seed in _rows() if seed.isdigit()}


def likely_seeds(mutant: Mutant) -> list[int]:
    """Seeds to try first: the mutant's own, then those that found others of its section, then those of the rest."""
    seeds = recorded_seeds()
    near = [each.name for each in CATALOGUE if each.section == mutant.section]
    ordered = [mutant.name, *near, *seeds]
    return list(dict.fromkeys(seeds[name] for name in ordered if name in seeds))


def _rows() -> list[tuple[str, str, str]]:
    """(mutant, line, seed) of every row as it stands."""
    rows = []
    for line in PAGE.read_text().partition(BEGIN)[2].partition(END)[0].splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == COLUMNS and cells[0].startswith("`"):
            rows.append((cells[0].strip("`"), line, cells[3]))
    return rows


def _tables(rows: Mapping[str, str]) -> str:
    lines: list[str] = []
    section = ""
    for mutant in CATALOGUE:
        if mutant.name in rows and mutant.section != section:
            section = mutant.section
            lines += ["", f"### {section}", "", *HEADER]
        if mutant.name in rows:
            lines.append(rows[mutant.name])
    return "\n".join(lines) + "\n"


def _row(result: Found) -> str:
    mutant = next(each for each in CATALOGUE if each.name == result.mutant)
    seed = "**survives**" if result.seed is None else str(result.seed)
    cells = (f"`{mutant.name}`", mutant.scenario, mutant.broken, seed, _cell(result.violation))
    return f"| {' | '.join(cells)} |"


def _cell(violation: str) -> str:
    """The first line, as far as a table bears it."""
    text = violation.partition("\n")[0].strip().replace("|", "/").replace("<", "(").replace(">", ")")
    return text if len(text) <= VIOLATION_CHARS_MAX else text[: VIOLATION_CHARS_MAX - 2] + " …"
