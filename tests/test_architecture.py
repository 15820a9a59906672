"""The shape of the project, held by reading its source: who imports whom, what the pure parts may not touch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("ledger", "consensus", "contracts", "network", "scripts")
MAY_IMPORT = {
    "ledger": {"ledger"},
    "consensus": {"consensus", "ledger"},
    "contracts": {"contracts", "ledger"},
    "network": {"network", "contracts", "consensus", "ledger"},
    "scripts": {"scripts", "network", "contracts", "consensus", "ledger"},
}
FOLDERS = {"ledger", "consensus", "contracts", "network", "tests", "scripts", "docs"}
MODULES_LARGEST_LINES = 800

# What would let two validators disagree: a clock, chance, the operating system's mood.
WORLD = {"asyncio", "multiprocessing", "os", "random", "secrets", "select", "selectors", "signal", "socket"}
WORLD |= {"ssl", "subprocess", "threading", "time", "uuid", "datetime", "platform", "locale"}
NO_DISK = {"io", "pathlib", "shutil", "tempfile", "plyvel"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, those inside functions and behind TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides which package is meant"
            yield node.lineno, node.module or ""


def offences(path: Path, forbidden: set[str]) -> list[str]:
    shown = path.relative_to(ROOT)
    return [f"{shown}:{line} imports {name}" for line, name in imports(path) if name.partition(".")[0] in forbidden]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    siblings = set(PACKAGES) | {"tests"}
    assert [text for path in modules(package) for text in offences(path, siblings - MAY_IMPORT[package])] == []


def test_consensus_touches_no_clock_no_chance_no_io() -> None:
    core = [path for path in modules("consensus") if "sim" not in path.parts]
    assert core, "the rule must bind something"
    assert [text for path in core for text in offences(path, WORLD | NO_DISK)] == []


def test_contracts_touch_no_clock_no_chance_no_io() -> None:
    files = [path for path in modules("contracts") if "testing" not in path.parts]
    assert files, "the rule must bind something"
    assert [text for path in files for text in offences(path, WORLD | NO_DISK)] == []


def test_state_touches_no_clock_and_no_chance() -> None:
    paths = sorted([*(ROOT / "ledger").glob("state*.py"), *(ROOT / "ledger" / "state").glob("**/*.py")])
    assert paths, "the rule must bind something"
    assert [text for path in paths for text in offences(path, WORLD - {"os"})] == []


def test_ledger_opens_no_socket_and_reads_no_clock() -> None:
    allowed = {"os", "secrets", "datetime", "threading"}  # files, new keys, times written out, a lock
    assert [text for path in modules("ledger") for text in offences(path, WORLD - allowed)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_opens_by_saying_what_it_knows(package: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules(package)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_grown_past_one_thought(package: str) -> None:
    long = [
        str(path.relative_to(ROOT)) for path in modules(package) if path.read_text().count("\n") > MODULES_LARGEST_LINES
    ]
    assert long == []


def test_the_top_level_holds_the_agreed_folders_and_no_other() -> None:
    tracked_roots = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    made_by_tools = {"build", "dist", "__pycache__"} | {name for name in tracked_roots if name.endswith(".egg-info")}
    assert tracked_roots - made_by_tools == FOLDERS


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", ".ci/run"]
)
def test_the_top_level_has_what_a_stranger_looks_for(name: str) -> None:
    assert (ROOT / name).is_file()


def test_the_tests_mirror_the_packages() -> None:
    mirrored = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert mirrored <= {*PACKAGES, "sim", "scenarios", "e2e", "vectors"}


def test_the_rules_see_through_late_and_aliased_imports(tmp_path: Path) -> None:
    path = tmp_path / "sly.py"
    path.write_text("def f() -> None:\n    import time as t\n    from os import urandom\n    t, urandom\n")
    assert list(imports(path)) == [(2, "time"), (3, "os")]
