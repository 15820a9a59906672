"""The documentation is held to the program: what exists is documented, and what is linked exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from network.cli.app import app
from network.config import settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
ENVIRONMENT = re.compile(r"QUORATE_[A-Z]+")


def commands() -> list[str]:
    """Every command as it is typed: "quorate deploy", "quorate keys new"."""
    found = []
    root = typer.main.get_command(app)
    for name, command in sorted(root.commands.items()):
        inner = getattr(command, "commands", None)
        found += [f"quorate {name} {each}" for each in sorted(inner)] if inner else [f"quorate {name}"]
    return found


def dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    return sorted({re.split(r"[^A-Za-z0-9._-]", text)[0] for group in groups for text in group})


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_operations_page(command: str) -> None:
    assert f"`{command}" in OPERATIONS


@pytest.mark.parametrize("command", commands())
def test_every_command_shows_examples_of_itself(command: str) -> None:
    target = typer.main.get_command(app)
    for word in command.split()[1:]:
        target = target.commands[word]
    assert target.help
    assert command in (target.epilog or "")


@pytest.mark.parametrize("setting", list(settings()), ids=lambda setting: f"{setting.table}.{setting.key}")
def test_every_setting_is_in_the_operations_page_as_it_is(setting) -> None:
    default = f"`{setting.default}`" if setting.default else "must be given"
    assert f"| `{setting.key}` | {default} | {setting.expected} | {setting.description} |" in OPERATIONS


def test_every_environment_variable_is_in_the_operations_page() -> None:
    used = {name for path in (ROOT / "network").rglob("*.py") for name in ENVIRONMENT.findall(path.read_text())}
    assert used
    assert used <= set(ENVIRONMENT.findall(OPERATIONS))


@pytest.mark.parametrize("name", dependencies())
def test_every_dependency_has_its_reason(name: str) -> None:
    rows = [line for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines() if line.startswith("| `")]
    (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
    assert all(cell.strip() for cell in row.strip("|").split("|"))


@pytest.mark.parametrize("target", re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_every_make_target_explains_itself(target: str) -> None:
    assert re.search(rf"^\.PHONY:.*\b{target}\b", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


@pytest.mark.parametrize("package", ["ledger", "consensus", "contracts", "network"])
def test_every_module_has_its_row_in_the_architecture_page_and_no_row_is_of_a_module_that_went(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    section = page.partition(f"### `{package}/`")[2].partition("\n#")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    there = [
        path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    ]
    assert sorted(named) == sorted(set(there) - {"__init__"})


def test_every_file_that_the_architecture_page_names_by_its_path_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    paths = re.findall(r"`((?:ledger|consensus|contracts|network|scripts|tests)/[a-z_/.]+)`", page)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_decision_is_in_its_index() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    assert [path.name for path in folder.glob("0*.md") if f"({path.name})" not in index] == []


def test_both_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "bench"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
