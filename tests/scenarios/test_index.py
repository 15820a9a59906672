"""The index of scenarios in the docs and the tests name each other, one to one.

A test of this folder begins with `test_` and its number; one that lives with the part that it is about, elsewhere, with
`test_scenario_` and its number. `QUORATE_SCENARIOS=write` rewrites the index's last column from the tests; a new
number's title is then to be written.
"""

import ast
import os
import re
from pathlib import Path

HERE = Path(__file__).parent
INDEX = HERE.parents[1] / "docs" / "scenarios.md"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)
NAMED = re.compile(r"^test_(\d+)_\w+$")
NAMED_ELSEWHERE = re.compile(r"^test_scenario_(\d+)_\w+$")


def rows():
    """number -> (title, names of its tests) of every row of the index, in order."""
    found = ROW.findall(INDEX.read_text(encoding="utf-8"))
    return [(int(number), title, re.findall(r"`(\w+)`", names)) for number, title, names in found]


def functions():
    """number -> every numbered test function: those of this folder first."""
    found, tests = {}, HERE.parent
    here = [(path, NAMED) for path in sorted(HERE.glob("test_*.py"))]
    elsewhere = [(path, NAMED_ELSEWHERE) for path in sorted(tests.rglob("test_*.py")) if path.parent != HERE]
    for path, pattern in here + elsewhere:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (named := pattern.match(node.name)):
                found.setdefault(int(named[1]), []).append(node.name)
    return found


def rewritten():
    """The index with the tests that there are."""
    titles = {number: title for number, title, _ in rows()}
    tests = functions()
    lines = [
        f"| {number} | {titles.get(number, 'TITLE')} | {', '.join(f'`{name}`' for name in tests.get(number, []))} |"
        for number in sorted(titles | tests)
    ]
    text = INDEX.read_text(encoding="utf-8")
    places = list(ROW.finditer(text))
    return text[: places[0].start()] + "\n".join(lines) + text[places[-1].end() :]


def test_the_index_names_every_test_and_no_other():
    if os.environ.get("QUORATE_SCENARIOS") == "write":
        INDEX.write_text(rewritten(), encoding="utf-8")
    assert {number: names for number, _, names in rows()} == functions()
    assert INDEX.read_text(encoding="utf-8") == rewritten()


def test_every_row_has_a_title_and_its_place():
    numbers = [number for number, _, _ in rows()]
    assert numbers == sorted(set(numbers))
    assert all(title != "TITLE" for _, title, _ in rows())


def test_no_number_is_left_out():
    assert [number for number, _, _ in rows()] == list(range(1, 103))


def test_no_line_of_the_index_escapes_the_check():
    lines = INDEX.read_text(encoding="utf-8").splitlines()
    assert sum(bool(re.match(r"^\|? *\d", line)) for line in lines) == len(rows())
